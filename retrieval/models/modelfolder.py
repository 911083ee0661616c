"""A model's folder: where a recipe's is, the digest of all that decides what it gives, and what it says of itself."""

import hashlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
from tokenizers import Tokenizer

from retrieval.errors import RecipeError
from retrieval.index import Embedding

_DECIDING = ("config.json", "modules.json", "sentence_bert_config.json", "tokenizer.json", "1_Pooling/config.json")
_WEIGHTS = "*.safetensors"
_PROMPTS = {"query": "query_prefix", "document": "passage_prefix", "passage": "passage_prefix"}
# Of a pair's model more files have a say: its activation, template and length stand in various ones of them.
_SAYING = {".json", ".jinja", ".model", ".safetensors", ".txt"}
_OTHER_RUNTIMES = {"onnx", "openvino"}
_BLOCK = 1 << 20


class Named(Protocol):
    """The part of a recipe that names a model: in a package's folder `path`, or without one in that of this machine."""

    @property
    def package(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def digest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Kind:
    """What a model is `called`, in which `part` of a recipe; its folder has to have `due`, and `deciding` decide."""

    part: str
    called: str
    due: tuple[str, ...]
    lacking: str
    deciding: Callable[[Path], Iterable[str]]


def read_json(path: Path) -> Any:
    """A file of a model folder, None where there is none; RecipeError when it is not JSON."""
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise RecipeError(f"the model's {path.name} is not valid: {error}") from error


def _deciding_vectors(directory: Path) -> Iterator[str]:
    """Weights, tokenizer, pooling and further modules."""
    yield from (*_DECIDING, *sorted(path.name for path in directory.glob(_WEIGHTS)))
    yield from _further(directory)


def _further(directory: Path) -> Iterator[str]:
    """Files of modules beside the pooling, a dense layer for instance; most models have none."""
    for module in read_json(directory / "modules.json") or ():
        folder = directory / module["path"]
        if module["path"] not in ("", ".", "1_Pooling") and folder.is_dir():
            for file in sorted((*folder.glob("config.json"), *folder.glob(_WEIGHTS), *folder.glob("*.bin"))):
                yield file.relative_to(directory).as_posix()


def _deciding_scores(directory: Path) -> list[str]:
    """Whatever may have a say, by its ending; neither notes, nor what is hidden or made for other runtimes."""
    found = [path.relative_to(directory) for path in directory.rglob("*") if path.suffix in _SAYING and path.is_file()]
    return sorted(
        one.as_posix()
        for one in found
        if not _OTHER_RUNTIMES & set(one.parts) and not any(part.startswith(".") for part in one.parts)
    )


EMBEDDER = Kind(
    "embedder",
    "embedding model",
    ("modules.json", "tokenizer.json"),
    "is no sentence-transformers folder with a tokenizer.json: save it by SentenceTransformer.save_pretrained",
    _deciding_vectors,
)
RERANKER = Kind(
    "reranker",
    "reranking model",
    ("config.json", "tokenizer.json"),
    "is no cross-encoder's folder with a config.json and a tokenizer.json: save it by CrossEncoder.save_pretrained",
    _deciding_scores,
)


def pinned_directory(recipe: Embedding) -> Path:
    """The folder of a recipe's embedder; RecipeError when it is not there, or is another model than was pinned."""
    directory = pinned_folder(recipe, EMBEDDER)
    _require_prompts(recipe, directory)
    return directory


def pinned_folder(recipe: Named, kind: Kind) -> Path:
    """The folder of a model of that kind; RecipeError when it is not there, or is another model than was pinned."""
    directory = model_directory(recipe, kind)
    if not all((directory / name).is_file() for name in kind.due):
        raise RecipeError(f"{model_name(recipe)} {kind.lacking}")
    found = model_digest(directory, kind)
    if found != recipe.digest:
        raise RecipeError(
            f"{kind.called} {model_name(recipe)} is {found}, but the recipe pins {recipe.digest or 'none'}"
        )
    return directory


def model_directory(recipe: Named, kind: Kind = EMBEDDER) -> Path:
    """The folder that the recipe names, in the package that ships it if there is one, which is not imported."""
    if not recipe.package:
        if not recipe.path:
            raise RecipeError(f"the recipe names no {kind.called}: give {kind.part}.package, or the folder in .path")
        return Path(recipe.path)
    spec = importlib.util.find_spec(recipe.package)
    if spec is None or not spec.submodule_search_locations:
        raise RecipeError(f"the {kind.called}'s package {recipe.package!r} is not installed")
    return Path(spec.submodule_search_locations[0]) / recipe.path


def model_name(recipe: Named) -> str:
    """What a person calls the model."""
    return repr(recipe.package or recipe.path)


def model_digest(directory: Path, kind: Kind = EMBEDDER) -> str:
    """`sha256:<hex>` over every file that decides what a model of that kind, by default an embedder, gives."""
    digest = hashlib.sha256()
    for name in kind.deciding(directory):
        path = directory / name
        digest.update(f"{name}\0{path.stat().st_size if path.exists() else 0}\0".encode())
        for block in _blocks(path):
            digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def load_tokenizer(directory: Path) -> Tokenizer:
    """The folder's tokenizer, which neither cuts nor pads; RecipeError when its file is not valid."""
    try:
        tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    except Exception as error:  # the library raises nothing more precise
        raise RecipeError(f"the tokenizer.json of {directory.name!r} cannot be read: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _blocks(path: Path) -> Iterator[bytes]:
    """A file that may be larger than what memory there is; nothing where there is none."""
    if path.exists():
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block


def _require_prompts(recipe: Embedding, directory: Path) -> None:
    """A model that was trained with prompts finds badly without them, so the recipe has to spell them out."""
    held = read_json(directory / "config_sentence_transformers.json") or {}
    for name, prompt in (held.get("prompts") or {}).items():
        field = _PROMPTS.get(name)
        if field and prompt and getattr(recipe, field) != prompt:
            raise RecipeError(
                f"embedding model {model_name(recipe)} wants {prompt!r} in front of each {name}: set "
                f"embedder.{field} to it, the recipe has {getattr(recipe, field)!r}"
            )
