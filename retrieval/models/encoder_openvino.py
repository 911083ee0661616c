"""A converted model on OpenVINO: several batches at once, each on its own cores, in 32-bit floats or in bfloat16."""

import sys
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec
from tokenizers import Encoding, Tokenizer

from retrieval.errors import RecipeError
from retrieval.models.encoder import Vectors
from retrieval.models.likeness import TokenVectors, unit_rows

if TYPE_CHECKING:
    import numpy as np
    import openvino as ov

Array: TypeAlias = "np.ndarray[Any, Any]"
Batch: TypeAlias = tuple[list[int], dict[str, Array]]  # places in the list of texts, and the inputs of those texts

SENTENCE, TOKENS = "sentence_embedding", "token_embeddings"  # what a converted graph gives, by the library's names
_BATCH = 8  # measured: more of them together get slower again, as they leave the cache
_TOKENS_BATCH = 2  # so much comes out of it that it leaves the cache earlier
# The runtime keeps for good what it compiles for each shape that it is given, and the first of a shape waits for it.
_LENGTHS = (8, 16, 24, *range(32, 256, 16), *range(256, 512, 32), *range(512, 1024, 128), *range(1024, 8193, 1024))


class Reading(msgspec.Struct, frozen=True):
    """How a model's tokenizer reads for it."""

    max_tokens: int
    lower: bool
    pad_id: int
    pad_left: bool


@dataclass(frozen=True, slots=True)
class ConvertedModel:
    """The whole model as one graph: token ids and attention mask in, a vector a text and one a token out."""

    graph: "ov.Model"
    tokenizer: Tokenizer
    reading: Reading


class OpenVinoEncoder:
    """Questions, passages and tokens have a compiled model each, so that no question waits behind a batch of passages.

    Each gives only what is wanted of it, so that a sentence's vector costs no copy of its tokens.
    """

    def __init__(self, model: ConvertedModel, precision: Literal["f32", "bf16"]) -> None:
        _require_able(precision)
        self._reading = model.reading
        self._tokenizer = model.tokenizer
        self._tokenizer.enable_truncation(model.reading.max_tokens)
        self._questions = _Compiled(model.graph, SENTENCE, precision)
        self._passages = _Compiled(model.graph, SENTENCE, precision)
        self._states = _Compiled(model.graph, TOKENS, precision)

    @property
    def max_tokens(self) -> int:
        """Tokens that the model reads of a text, with special tokens."""
        return self._reading.max_tokens

    def questions(self, texts: Sequence[str]) -> Vectors:
        """Encode a few short texts."""
        return self._encode(texts, self._questions())

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Encode many long texts."""
        return self._encode(texts, self._passages())

    def tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """A matrix (tokens, dimensions) for each text, without special tokens."""
        read, streams = self._read(texts), self._states()
        made: dict[int, TokenVectors] = {}

        def take(places: list[int], states: Array) -> None:
            for place, rows in zip(places, states, strict=True):
                made[place] = unit_rows(rows[self._own(read[place], len(rows))])

        # the shortest is the question, which nobody is to wait for
        size = max(1, min(_TOKENS_BATCH, len(read) // streams.number))
        streams.run(self._batches(read, size), take)
        return [made[place] for place in range(len(read))]

    def _encode(self, texts: Sequence[str], streams: "_Streams") -> Vectors:
        import numpy as np

        read = self._read(texts)
        made = np.empty((len(read), streams.dimensions), dtype=np.float32)

        def take(places: list[int], vectors: Array) -> None:
            made[places] = vectors

        size = max(1, min(_BATCH, -(-len(read) // streams.number)))
        streams.run(self._batches(read, size), take)
        vectors: Vectors = unit_rows(made).tolist()
        return vectors

    def _read(self, texts: Sequence[str]) -> list[Encoding]:
        return self._tokenizer.encode_batch_fast([text.lower() if self._reading.lower else text for text in texts])

    def _batches(self, read: Sequence[Encoding], size: int) -> Iterator[Batch]:
        """Texts of about one length together, the longest first: the last batch to end is then a short one."""
        order = sorted(range(len(read)), key=lambda place: -len(read[place].ids))
        for start in range(0, len(order), size):
            places = order[start : start + size]
            yield places, self._padded([read[place].ids for place in places])

    def _padded(self, rows: Sequence[Sequence[int]]) -> dict[str, Array]:
        import numpy as np

        longest = self._length(max(map(len, rows)))
        ids = np.full((len(rows), longest), self._reading.pad_id, dtype=np.int64)
        mask = np.zeros((len(rows), longest), dtype=np.int64)
        for row, tokens in enumerate(rows):
            place = self._place(len(tokens), longest)
            ids[row, place], mask[row, place] = tokens, 1
        return {"input_ids": ids, "attention_mask": mask}

    def _length(self, tokens: int) -> int:
        """What a row is padded to: one of a few lengths, and none that the model cannot read."""
        place = bisect_left(_LENGTHS, tokens)
        return min(_LENGTHS[place], self._reading.max_tokens) if place < len(_LENGTHS) else tokens

    def _place(self, length: int, longest: int) -> slice:
        """Where a text's own tokens stand among those of a padded row."""
        return slice(longest - length, longest) if self._reading.pad_left else slice(0, length)

    def _own(self, read: Encoding, longest: int) -> Array:
        """Which tokens of a padded row are words of the text: neither padding nor special."""
        import numpy as np

        own = np.zeros(longest, dtype=bool)
        own[self._place(len(read.ids), longest)] = np.equal(read.special_tokens_mask, 0)
        return own


class _Compiled:
    """Compiled by whoever needs it first, which takes a second, while others wait for that one."""

    def __init__(self, graph: "ov.Model", output: str, precision: str) -> None:
        self._made_of = graph, output, precision
        self._streams: _Streams | None = None
        self._lock = threading.Lock()

    def __call__(self) -> "_Streams":
        with self._lock:
            if self._streams is None:
                self._streams = _Streams(*self._made_of)
            return self._streams


class _Streams:
    """A compiled model that has as many batches under way as suits the CPU; one caller at a time."""

    def __init__(self, graph: "ov.Model", output: str, precision: str) -> None:
        ov = openvino()
        wanted = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": precision,
            "ENABLE_CPU_PINNING": False,  # a core that something else is busy on would be waited for
        }
        compiled = ov.Core().compile_model(_giving(graph, output), "CPU", wanted)
        self.dimensions = int(list(compiled.output(0).get_partial_shape())[-1].get_length())
        self.number = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._queue = ov.AsyncInferQueue(compiled, self.number)
        self._lock = threading.Lock()

    def run(self, batches: Iterator[Batch], take: Callable[[list[int], Array], None]) -> None:
        """Give `take` the places of each batch and what came of it, as it ends; the array is written over later."""
        with self._lock:
            self._queue.set_callback(lambda request, places: take(places, request.get_output_tensor(0).data))
            for places, inputs in batches:
                self._queue.start_async(inputs, places)
            self._queue.wait_all()


def _giving(graph: "ov.Model", output: str) -> "ov.Model":
    """The graph without its other outputs: what only they need is not computed."""
    one = graph.clone()
    for result in one.get_results():
        if output not in result.input_value(0).get_names():
            one.remove_result(result)
    return one


def openvino() -> Any:
    """The library; a package of its maker's that would report each import over the network stays out."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino as ov

    return ov


def _require_able(precision: str) -> None:
    """On a CPU without it bfloat16 is emulated, slower than what it stands for, and rounded otherwise."""
    if precision == "bf16" and "BF16" not in openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise RecipeError(
            "this CPU has no bfloat16 (avx512_bf16 or amx_bf16), which the recipe's embedder.precision asks for: "
            "pin a version of precision f32 here, or run this one on another machine"
        )
