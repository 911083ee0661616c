"""A sentence-transformers model as OpenVINO takes it: converted with all its modules, checked, kept by its digest.

What is converted is the whole chain, pooling and dense layers too, so that nothing of it has to be built again here. A
conversion is kept only if it gives the vectors of the original, of texts and of their tokens, for texts of all lengths,
one by one and together.
"""

import hashlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from retrieval.errors import RecipeError
from retrieval.models.encoder_openvino import SENTENCE, TOKENS, ConvertedModel, OpenVinoEncoder, Reading, openvino
from retrieval.models.encoder_torch import load_model, token_vectors
from retrieval.models.likeness import TokenVectors
from retrieval.models.modelfolder import load_tokenizer

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_FORM = "2"  # of what is kept; another one is another folder
_LEAST_COSINE = 0.9999
_PROBES = (
    "",
    "Refund",
    "How many days of ANNUAL leave do I get?",
    "Für Verträge gilt § 4; 東京 の 契約書 — naïve café, 12.5 % (net) …",
    "The pump needs oil every 200 hours, or it stops. " * 5,
    "endless words without any end to them " * 400,
)


class _Kept(msgspec.Struct, frozen=True):
    """What lies beside a kept conversion: how the tokenizer reads for it, and the digest of its files."""

    reading: Reading
    digest: str


def converted_model(directory: Path, digest: str, kept_in: Path | None) -> ConvertedModel:
    """The model in `directory`, whose digest is `digest`, converted before or now; RecipeError when it cannot be."""
    if kept_in is None:
        return _convert(directory)
    folder = kept_in / f"{digest.removeprefix('sha256:')[:32]}-{openvino().get_version().split('-')[0]}-{_FORM}"
    with _refusing(folder):
        kept = _read(folder)
    if kept is None:
        made = _convert(directory)
        with _refusing(folder):
            _keep(made, folder)
            kept = _read(folder)
    if kept is None:
        raise RecipeError(f"the converted model in {folder} changed while it was read: remove the folder")
    return ConvertedModel(openvino().Core().read_model(folder / "model.xml"), load_tokenizer(directory), kept.reading)


def _read(folder: Path) -> _Kept | None:
    """A conversion that is whole; what is not is removed."""
    if not folder.exists():
        return None
    try:
        kept = msgspec.json.decode((folder / "kept.json").read_bytes(), type=_Kept)
        whole = _digest(folder) == kept.digest
    except (FileNotFoundError, msgspec.DecodeError):
        kept, whole = None, False
    if not whole:
        _remove(folder)
    return kept if whole else None


def _remove(folder: Path) -> None:
    """Renamed before, so that its place is free whatever becomes of its files."""
    aside = Path(tempfile.mkdtemp(prefix=".damaged-", dir=folder.parent))
    try:
        with suppress(FileNotFoundError):  # another process was first
            folder.rename(aside / folder.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _refusing(folder: Path) -> Iterator[None]:
    """What the disk refuses keeps a version from being opened, and not a process from being started."""
    try:
        yield
    except OSError as error:
        raise RecipeError(
            f"the converted model in {folder} can be neither read nor kept ({error.strerror}): let this process write "
            "there, and remove the folder"
        ) from error


def _keep(model: ConvertedModel, folder: Path) -> None:
    """Written beside and renamed, so that no process reads a half."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent) as making:
        beside = Path(making) / folder.name
        beside.mkdir()
        openvino().save_model(model.graph, beside / "model.xml", compress_to_fp16=False)
        (beside / "kept.json").write_bytes(msgspec.json.encode(_Kept(model.reading, _digest(beside))))
        try:
            beside.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was first
                raise


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in ("model.xml", "model.bin"):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _convert(directory: Path) -> ConvertedModel:
    original, longest = load_model(directory)
    reading = Reading(
        max_tokens=longest,
        lower=bool(getattr(original[0], "do_lower_case", False)),
        pad_id=int(original.tokenizer.pad_token_id or 0),
        pad_left=original.tokenizer.padding_side == "left",
    )
    model = ConvertedModel(_graph(original, directory.name), load_tokenizer(directory), reading)
    _require_alike(original, model, directory.name)
    return model


def _graph(original: "SentenceTransformer", name: str) -> Any:
    """The whole chain of modules, from token ids to vectors of texts and tokens, for any number of any length."""
    import torch

    class Chain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.modules_in_order = original

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
            features = self.modules_in_order({"input_ids": input_ids, "attention_mask": attention_mask})
            return {output: features[output] for output in (SENTENCE, TOKENS)}

    ov = openvino()
    example = {name: torch.ones(2, 7, dtype=torch.long) for name in ("input_ids", "attention_mask")}
    shapes = [(name, ov.PartialShape([-1, -1]), ov.Type.i64) for name in example]
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what depends on the example shows in the comparison
            return ov.convert_model(Chain().eval(), example_input=example, input=shapes)
    except Exception as error:  # of as many kinds as there are layers
        raise _unconvertible(name, original, str(error)) from error


def _require_alike(original: "SentenceTransformer", model: ConvertedModel, name: str) -> None:
    encoder = OpenVinoEncoder(model, "f32")
    worst = min(_of_texts(original, encoder), _of_tokens(original, encoder))
    if not worst >= _LEAST_COSINE:
        raise _unconvertible(name, original, f"cosine {worst:.5f} to the original, {_LEAST_COSINE} is due")


def _of_texts(original: "SentenceTransformer", encoder: OpenVinoEncoder) -> float:
    """The least cosine of a probe's vector to the original's."""
    due = original.encode(list(_PROBES), prompt="", normalize_embeddings=True, show_progress_bar=False)
    together, alone = encoder.passages(_PROBES), [encoder.questions([text])[0] for text in _PROBES]
    return min(float(due[n] @ made[n]) for made in (together, alone) for n in range(len(_PROBES)))


def _of_tokens(original: "SentenceTransformer", encoder: OpenVinoEncoder) -> float:
    """The least cosine of a token's vector to the original's, -1 where they are not as many."""
    due = token_vectors(original, _PROBES)
    together, alone = encoder.tokens(_PROBES), [encoder.tokens([text])[0] for text in _PROBES]
    return min(_least(due[n], made[n]) for made in (together, alone) for n in range(len(_PROBES)))


def _least(due: TokenVectors, made: TokenVectors) -> float:
    return float((due * made).sum(axis=1).min(initial=1.0)) if due.shape == made.shape else -1.0


def _unconvertible(name: str, original: "SentenceTransformer", why: str) -> RecipeError:
    modules = ", ".join(type(module).__name__ for module in original)
    return RecipeError(
        f"the model {name!r} ({modules}) cannot be converted for OpenVINO: set embedder.runtime to torch ({why[:200]})"
    )
