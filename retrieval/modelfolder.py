"""A sentence-transformers folder: where it is, the digest of all that decides a vector, and what it says of itself."""

import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from tokenizers import Tokenizer

from retrieval.errors import RecipeError
from retrieval.index import Embedding

_DECIDING = ("config.json", "modules.json", "sentence_bert_config.json", "tokenizer.json", "1_Pooling/config.json")
_WEIGHTS = "*.safetensors"
_PROMPTS = {"query": "query_prefix", "document": "passage_prefix", "passage": "passage_prefix"}


def pinned_directory(recipe: Embedding) -> Path:
    """The folder of a recipe's model; RecipeError when it is not there, or is another model than was pinned."""
    directory = model_directory(recipe)
    if not (directory / "modules.json").is_file() or not (directory / "tokenizer.json").is_file():
        raise RecipeError(
            f"{model_name(recipe)} is no sentence-transformers folder with a tokenizer.json: save it by "
            "SentenceTransformer.save_pretrained"
        )
    found = model_digest(directory)
    if found != recipe.digest:
        raise RecipeError(
            f"embedding model {model_name(recipe)} is {found}, but the recipe pins {recipe.digest or 'none'}"
        )
    _require_prompts(recipe, directory)
    return directory


def model_directory(recipe: Embedding) -> Path:
    """The folder that the recipe names, in the package that ships it if there is one, which is not imported."""
    if not recipe.package:
        if not recipe.path:
            raise RecipeError("the recipe names no embedding model: give embedder.package, or the folder in .path")
        return Path(recipe.path)
    spec = importlib.util.find_spec(recipe.package)
    if spec is None or not spec.submodule_search_locations:
        raise RecipeError(f"the embedding model's package {recipe.package!r} is not installed")
    return Path(spec.submodule_search_locations[0]) / recipe.path


def model_name(recipe: Embedding) -> str:
    """What a person calls the model."""
    return repr(recipe.package or recipe.path)


def model_digest(directory: Path) -> str:
    """`sha256:<hex>` over every file that decides a vector: weights, tokenizer, pooling and further modules."""
    digest = hashlib.sha256()
    for name in (*_DECIDING, *sorted(path.name for path in directory.glob(_WEIGHTS)), *_further(directory)):
        content = (directory / name).read_bytes() if (directory / name).exists() else b""
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
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


def read_json(path: Path) -> Any:
    """A file of a model folder, None where there is none; RecipeError when it is not JSON."""
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise RecipeError(f"the model's {path.name} is not valid: {error}") from error


def _further(directory: Path) -> Iterator[str]:
    """Files of modules beside the pooling, a dense layer for instance; most models have none."""
    for module in read_json(directory / "modules.json") or ():
        folder = directory / module["path"]
        if module["path"] not in ("", ".", "1_Pooling") and folder.is_dir():
            for file in sorted((*folder.glob("config.json"), *folder.glob(_WEIGHTS), *folder.glob("*.bin"))):
                yield file.relative_to(directory).as_posix()


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
