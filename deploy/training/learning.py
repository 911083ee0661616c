"""The steps of a training: sentence vectors and token vectors of one model, learnt together."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy, normalize

from deploy.training.plan import Batch, Plan
from deploy.training.sets import TrainingError
from retrieval.index import Embedding

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

VERSION = str(torch.__version__)
_NEVER = -1e4  # a score that takes part in no softmax


@dataclass(frozen=True, slots=True)
class _Encoded:
    """Unit vectors: (texts, dimensions) and (texts, tokens, dimensions); `own` marks tokens that are words."""

    sentences: torch.Tensor
    tokens: torch.Tensor
    own: torch.Tensor


def precision() -> torch.dtype:
    """What this CPU multiplies in: bfloat16 where it has it, else 32-bit floats."""
    able = any(name.endswith("bf16") and has is True for name, has in torch.cpu.get_capabilities().items())
    return torch.bfloat16 if able else torch.float32


def learn(model: "SentenceTransformer", prefixes: Embedding, batches: Iterable[Batch], plan: Plan) -> Iterator[float]:
    """Change the model in place, and give the loss of each step. Torch's own randomness is left as it was.

    Embeddings of words and places stay: the sets have few of the words. TrainingError when the loss is no number.
    """
    weights = _prepared(model, plan)
    optimizer = torch.optim.AdamW(weights, lr=plan.learning_rate, weight_decay=plan.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, plan.rate)
    encoder = _Encoder(model, prefixes, plan)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        for step, batch in enumerate(batches, 1):
            loss = _loss(encoder, batch, plan)
            if not math.isfinite(loss.item()):
                raise TrainingError(f"the loss is {loss.item()} at step {step}: this model cannot be trained so")
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(weights, plan.clip)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            yield loss.item()
    model.eval()


def token_likeness(asked: torch.Tensor, own: torch.Tensor, told: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """(questions, passages): the mean over a question's tokens of the cosine to the passage's nearest one.

    Vectors are (texts, tokens, dimensions), of length one, and their masks (texts, tokens).
    """
    cosines = torch.einsum("qnd,pmd->qpnm", asked, told)
    nearest = cosines.masked_fill(~theirs[None, :, None, :], _NEVER).amax(3)
    words = own.sum(1).clamp(min=1)
    return nearest.masked_fill(~own[:, None, :], 0).sum(2) / words[:, None]


class _Encoder:
    """Gives what the product takes from the model, with the recipe's prefixes."""

    def __init__(self, model: "SentenceTransformer", prefixes: Embedding, plan: Plan) -> None:
        self._model, self._plan, self._prefixes = model, plan, prefixes
        self._precision = precision()

    def questions(self, texts: Sequence[str]) -> _Encoded:
        return self._encode([self._prefixes.query_prefix + text for text in texts], self._plan.question_tokens)

    def passages(self, texts: Sequence[str]) -> _Encoded:
        return self._encode([self._prefixes.passage_prefix + text for text in texts], self._plan.passage_tokens)

    def _encode(self, texts: list[str], most: int) -> _Encoded:
        read = min(most, int(self._model.max_seq_length or most))
        wanted = {"text": {"return_special_tokens_mask": True, "max_length": read}}
        features = self._model.preprocess(texts, prompt="", processing_kwargs=wanted)
        own = (features["special_tokens_mask"] == 0) & (features["attention_mask"] == 1)
        first, *further = self._model
        with torch.autocast("cpu", self._precision, enabled=self._precision is not torch.float32):
            features = first(features)
        features["token_embeddings"] = features["token_embeddings"].float()  # what is added up is added up exactly
        for module in further:
            features = module(features)
        sentences, tokens = features["sentence_embedding"].float(), features["token_embeddings"].float()
        return _Encoded(normalize(sentences, dim=1), normalize(tokens, dim=2), own)


def _prepared(model: "SentenceTransformer", plan: Plan) -> list[torch.nn.Parameter]:
    """The weights that learn."""
    model.float().train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = plan.dropout
    for name, weight in model.named_parameters():
        weight.requires_grad_("embeddings" not in name)
    return [weight for weight in model.parameters() if weight.requires_grad]


def _loss(encoder: _Encoder, batch: Batch, plan: Plan) -> torch.Tensor:
    asked, told = encoder.questions(batch.questions), encoder.passages(batch.passages)
    cosine = asked.sentences @ told.sentences.T
    both = (cosine + token_likeness(asked.tokens, asked.own, told.tokens, told.own)) / 2
    due, left_out = torch.tensor(batch.due), torch.tensor(batch.left_out)
    first = cross_entropy((both / plan.temperature).masked_fill(left_out, _NEVER), due)
    second = cross_entropy((cosine / plan.sentence_temperature).masked_fill(left_out, _NEVER), due)
    return first + plan.sentence_share * second
