"""A converted model on OpenVINO: several batches at once, each on its own cores, in 32-bit floats or in bfloat16."""

import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from tokenizers import Encoding, Tokenizer

from retrieval.encoder import Vectors
from retrieval.errors import RecipeError

if TYPE_CHECKING:
    import numpy as np
    import openvino as ov

_BATCH = 8  # measured: more of them together get slower again, as they leave the cache


class Reading(msgspec.Struct, frozen=True):
    """How a model's tokenizer reads for it."""

    max_tokens: int
    lower: bool
    pad_id: int
    pad_left: bool


@dataclass(frozen=True, slots=True)
class ConvertedModel:
    """The whole model as one graph: token ids and attention mask in, one vector a text out."""

    graph: "ov.Model"
    tokenizer: Tokenizer
    reading: Reading


class OpenVinoEncoder:
    """Questions and passages have a compiled model each, so that no question waits behind a batch of passages."""

    def __init__(self, model: ConvertedModel, precision: Literal["f32", "bf16"]) -> None:
        _require_able(precision)
        self._reading = model.reading
        self._tokenizer = model.tokenizer
        self._tokenizer.enable_truncation(model.reading.max_tokens)
        self._graph = model.graph
        self._precision = precision
        self._questions = _Streams(model.graph, precision)

    @property
    def max_tokens(self) -> int:
        """Tokens that the model reads of a text, with special tokens."""
        return self._reading.max_tokens

    def questions(self, texts: Sequence[str]) -> Vectors:
        """Encode a few short texts."""
        return self._encode(texts, self._questions)

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Encode many long texts."""
        return self._encode(texts, self._passages)

    @cached_property
    def _passages(self) -> "_Streams":
        return _Streams(self._graph, self._precision)

    def _encode(self, texts: Sequence[str], streams: "_Streams") -> Vectors:
        import numpy as np

        if not texts:
            return []
        read = self._tokenizer.encode_batch_fast([text.lower() if self._reading.lower else text for text in texts])
        size = min(_BATCH, -(-len(read) // streams.number))
        made = streams.run(self._batches(read, size), len(read))
        made /= np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)
        vectors: Vectors = made.tolist()
        return vectors

    def _batches(
        self, read: Sequence[Encoding], size: int
    ) -> Iterator[tuple[list[int], dict[str, "np.ndarray[Any, Any]"]]]:
        """Texts of about one length together, the longest first: the last batch to end is then a short one."""
        order = sorted(range(len(read)), key=lambda place: -len(read[place].ids))
        for start in range(0, len(order), size):
            places = order[start : start + size]
            yield places, self._padded([read[place].ids for place in places])

    def _padded(self, rows: Sequence[Sequence[int]]) -> dict[str, "np.ndarray[Any, Any]"]:
        import numpy as np

        longest = max(1, *map(len, rows))
        ids = np.full((len(rows), longest), self._reading.pad_id, dtype=np.int64)
        mask = np.zeros((len(rows), longest), dtype=np.int64)
        for row, tokens in enumerate(rows):
            place = slice(longest - len(tokens), longest) if self._reading.pad_left else slice(0, len(tokens))
            ids[row, place], mask[row, place] = tokens, 1
        return {"input_ids": ids, "attention_mask": mask}


class _Streams:
    """A compiled model that has as many batches under way as suits the CPU; one caller at a time."""

    def __init__(self, graph: "ov.Model", precision: str) -> None:
        ov = openvino()
        wanted = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": precision,
            "ENABLE_CPU_PINNING": False,  # a core that something else is busy on would be waited for
        }
        compiled = ov.Core().compile_model(graph, "CPU", wanted)
        self._dimensions = graph.output(0).get_partial_shape()[1].get_length()
        self.number = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._queue = ov.AsyncInferQueue(compiled, self.number)
        self._lock = threading.Lock()

    def run(
        self, batches: Iterator[tuple[list[int], dict[str, "np.ndarray[Any, Any]"]]], number: int
    ) -> "np.ndarray[Any, np.dtype[np.float32]]":
        """(number, dimensions) float32; each batch tells the places of its rows."""
        import numpy as np

        made = np.empty((number, self._dimensions), dtype=np.float32)

        def take(request: Any, places: list[int]) -> None:
            made[places] = request.get_output_tensor(0).data

        with self._lock:
            self._queue.set_callback(take)
            for places, inputs in batches:
                self._queue.start_async(inputs, places)
            self._queue.wait_all()
        return made


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
