"""An index version: the recipe that names it, and the manifest that seals a build of it."""

import hashlib
import math
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml

from retrieval.calibration import Calibration
from retrieval.errors import RecipeError

Days = Annotated[int, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Whole = Annotated[int, msgspec.Meta(ge=1)]
Weight = Annotated[float, msgspec.Meta(ge=0.0)]
Label = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9.-]*\Z", max_length=64)]


class Chunker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`budget` counts a chunk's own tokens for the embedder; `context` is what is embedded in front of its text.

    `budgets` are other budgets for some formats, by the file name's ending without the dot ("csv"). A chunk is found by
    its neighbours under the same heading, too: `around` is their share in its vector and in the weights of its words.
    """

    name: str
    budget: Whole
    context: Literal["none", "heading"]
    budgets: dict[str, Whole] = {}
    around: Share = 0.0


class Embedding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`package` ships the model in its folder `path`; `digest` is over all files that decide its vectors.

    Without a package `path` is a folder of this machine, or with the runtime "vllm" the name a server knows the model
    by. A runtime or a precision that moves vectors makes another index version. `query_prefix` and `passage_prefix` are
    what models that tell the two apart are trained with.
    """

    package: str
    path: str
    digest: str
    dimensions: Whole
    runtime: Literal["torch", "openvino", "vllm"] = "torch"
    precision: Literal["f32", "bf16"] = "f32"
    query_prefix: str = ""
    passage_prefix: str = ""


class Bm25(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Okapi BM25; `avg_len` is in tokens after stop words, measured once and pinned."""

    k: Weight
    b: Share
    avg_len: Annotated[float, msgspec.Meta(gt=0.0)]
    language: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.k) and math.isfinite(self.avg_len)):
            raise ValueError("bm25.k and bm25.avg_len have to be finite")


class Fusion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`convex` adds scaled scores, `rrf` adds reciprocal ranks (with constant `k`); weights are dense and sparse."""

    kind: Literal["convex", "rrf"]
    dense: Weight
    sparse: Weight
    k: Count = 60

    def __post_init__(self) -> None:
        if not 0 < self.dense + self.sparse < math.inf:
            raise ValueError("fusion.dense and fusion.sparse have to be finite, and one of them above 0")


class Rerank(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What gives a second opinion on the first `pairs` candidates, and how much of it counts.

    "late" compares a question's tokens with a passage's by the recipe's own embedder; a "cross-encoder" reads both
    together: `package` ships it in its folder `path`, without a package `path` is a folder of this machine, or with the
    runtime "vllm" the name a server knows it by. `blend` is the share of its scores, scaled from the worst to the best
    of the pairs, in the order; the rest is the fused score's. It is not asked where the best fused score leads the next
    by `margin` or more.
    """

    kind: Literal["late", "cross-encoder"]
    pairs: Annotated[int, msgspec.Meta(ge=2)]
    blend: Share = 0.3
    margin: Share = 1.0
    package: str = ""
    path: str = ""
    digest: str = ""
    runtime: Literal["torch", "vllm"] = "torch"


class Packing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How passages are made of what was found: neighbours in one document become one, and each may grow.

    `grow` is up to how many of the embedder's tokens a passage takes in of what stands around it under its heading, and
    the rest of a table that it is part of; `per_document` is how many passages one document may have, 0 for any number.
    """

    grow: Count = 0
    per_document: Count = 0


class IndexRecipe(msgspec.Struct, frozen=True, dict=True, forbid_unknown_fields=True):
    """All that decides what is found. `candidates` is per leg, `passages` how many go on to the model.

    When no passage's confidence reaches `abstain_below` the question is not answered; confidence is the passage's
    cosine, blended by `abstain_coverage` with the share of the question's words that the passage holds, and then by
    `abstain_weakest` with how near the least similar of the question's tokens have something in the passage.
    Passages that repeat each other are shown once: `collapse` is the share of three-word sequences from which on they
    do, 0 shows all. `freshness` gives per category the days after which evidence is old, "*" for all others.
    """

    label: Label
    parser: str
    chunker: Chunker
    embedder: Embedding
    bm25: Bm25
    fusion: Fusion
    reranker: Rerank | None
    candidates: Whole
    passages: Whole
    abstain_below: float
    abstain_coverage: Share = 0.0
    collapse: Share = 0.9
    freshness: dict[str, Days] = {}
    packing: Packing | None = None
    abstain_weakest: Share = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.abstain_below):
            raise ValueError("abstain_below has to be finite")

    @cached_property
    def name(self) -> str:
        """`idx-<label>-<first 8 hex digits of the digest of all that is not at its default>`.

        So a field that a later release adds renames no recipe that does without it, and no default may ever change.
        """
        canonical = msgspec.json.encode(_chosen(self), order="deterministic")
        return f"idx-{self.label}-{hashlib.sha256(canonical).hexdigest()[:8]}"


def _chosen(part: object) -> object:
    """Fields whose value equals the default are left out, of parts too; msgspec's own option asks for identity."""
    if not isinstance(part, msgspec.Struct):
        return part
    held = [(field, getattr(part, field.name)) for field in msgspec.structs.fields(part)]
    return {field.name: _chosen(value) for field, value in held if value != _default(field)}


def _default(field: msgspec.structs.FieldInfo) -> object:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


class IndexManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a build held when it was sealed; `watermark` is the catalog's sequence per tenant that it had reached.

    `calibration` says which confidence is enough; without one the recipe's `abstain_below` does.
    """

    name: str
    recipe: IndexRecipe
    documents: int
    chunks: int
    measured_avg_len: float
    watermark: dict[str, int]
    sealed: datetime
    calibration: Calibration | None = None


def load_recipe(path: Path) -> IndexRecipe:
    """Read a recipe and refuse it when its content does not give the name it is filed under."""
    try:
        recipe = msgspec.convert(yaml.safe_load(path.read_text("utf-8")), IndexRecipe)
    except FileNotFoundError as error:
        raise RecipeError(f"index version {path.stem!r} is not known: there is no recipe file {path.name!r}") from error
    except OSError as error:
        raise RecipeError(f"recipe {path.name!r} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise RecipeError(f"recipe {path.name!r} is not valid: {error}") from error
    if recipe.name != path.stem:
        raise RecipeError(
            f"recipe {path.name!r} gives {recipe.name!r}: file it under that name, a changed recipe is another version"
        )
    return recipe
