"""The prompt: a question, its history and its evidence become messages that fit the model; training rows use it too."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeVar

from serving.errors import PromptTooLong
from serving.generator import Message
from serving.manifest import PromptTemplate
from serving.markers import strip_markers
from serving.untrusted import fenced, one_line, without_markers, without_special_tokens

CHARACTERS_PER_TOKEN = 16  # no text worth reading has more on average: longer than this is too long without counting
JOINT_TOKENS = 1  # what joining two parts may add to the sum of their counts


@dataclass(frozen=True, slots=True)
class Place:
    """From code point `start` of a document's text on, words stand under this path of headings and on this page."""

    start: int
    heading: tuple[str, ...]
    page: int | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One passage as the model is shown it: `text` is the document version's stored text from `start` to `end`.

    Offsets are code points; `marker` is the number it is cited by, from 1; `version` is the document's. `heading` and
    `page` are those the model is shown; `places`, in order, say where each of its words stands. `header` is the first
    row of the table that the text goes on with: the model is shown it above the text, and nothing of it can be cited.
    """

    marker: int
    document: str
    version: str
    title: str
    source: str
    heading: tuple[str, ...]
    page: int | None
    start: int
    end: int
    text: str
    places: tuple[Place, ...] = ()
    header: str = ""

    def place(self, offset: int) -> Place:
        """Where the word at `offset` of the document stands; where the passage does if nothing more is known."""
        before = [place for place in self.places if place.start <= offset]
        return before[-1] if before else Place(self.start, self.heading, self.page)


@dataclass(frozen=True, slots=True)
class PromptBudget:
    """Tokens: the model's context, what the answer may take of it, and what the chat template adds to a message.

    History may have `history_share` of what question and first passage leave, and all that the passages do not need.
    """

    context_tokens: int
    answer_tokens: int
    message_overhead_tokens: int
    history_share: float = 0.25


@dataclass(frozen=True, slots=True)
class Prompt:
    """Messages ready to send, the evidence that is in them (best first), and an upper estimate of their tokens."""

    messages: tuple[Message, ...]
    evidence: tuple[Evidence, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class _Passage:
    evidence: Evidence
    rendered: str
    tokens: int


@dataclass(frozen=True, slots=True)
class _Turn:
    messages: tuple[Message, ...]
    tokens: int


Counted = TypeVar("Counted", _Passage, _Turn)


class _Counter:
    """Counts tokens, but not of a text that is certainly longer than `limit`."""

    __slots__ = ("_count", "limit", "overhead")

    def __init__(self, count_tokens: Callable[[str], int], budget: PromptBudget) -> None:
        self._count = count_tokens
        self.limit = budget.context_tokens - budget.answer_tokens
        self.overhead = budget.message_overhead_tokens

    def __call__(self, text: str) -> int:
        least = len(text) // CHARACTERS_PER_TOKEN
        return least if least > self.limit else self._count(text)

    def message(self, text: str) -> int:
        return self(text) + self.overhead

    def own(self, text: str) -> int:
        """A message in the template's words, which are the same for everybody."""
        return _counted_once(self._count, text) + self.overhead


@lru_cache(maxsize=64)
def _counted_once(count_tokens: Callable[[str], int], text: str) -> int:
    return count_tokens(text)


def build_prompt(
    template: PromptTemplate,
    *,
    question: str,
    history: Sequence[Message],
    evidence: Sequence[Evidence],
    budget: PromptBudget,
    count_tokens: Callable[[str], int],
    order: Literal["best_first", "best_last"] = "best_first",
) -> Prompt:
    """Messages in the order system, history, evidence with question, so that a conversation's prefix stays the same.

    `evidence` comes best first, and whatever `order` the passages are shown in, they keep their markers. One that does
    not fit any more is left out, and worse ones that are shorter still come in; history goes oldest turn first. A turn
    is a user's message with the answers to it; the client's own system messages are not passed on. The template's
    `system` may name {abstention}, `passage` {marker} {title} {source} {heading} {page} {text}, and `question`
    {passages} {question}. All but the template is untrusted and made harmless. Raises PromptTooLong when the question
    and the shortest passage do not fit.
    """
    count = _Counter(count_tokens, budget)
    asked = _safe(question, template)
    system = template.system.format(abstention=template.abstention)
    fixed = count.own(system) + count.message(template.question.format(passages="", question=asked))
    passages = list(_chosen(_render(template, evidence, count), count.limit - fixed))
    if fixed > count.limit or (evidence and not passages):
        raise PromptTooLong(tokens=_least(template, evidence, count, fixed), limit=count.limit)
    room = count.limit - fixed - sum(passage.tokens for passage in passages[:1])
    unused = count.limit - fixed - sum(passage.tokens for passage in passages)
    turns = list(_fitting(_turns(template, history, count), max(unused, int(room * budget.history_share))))
    past = sum(turn.tokens for turn in turns)
    kept = tuple(_chosen(passages, count.limit - fixed - past))
    shown = kept if order == "best_first" else kept[::-1]
    return Prompt(
        messages=_messages(template, system, asked, turns, shown),
        evidence=tuple(passage.evidence for passage in kept),
        tokens=fixed + past + sum(passage.tokens for passage in kept),
    )


def _safe(text: str, template: PromptTemplate) -> str:
    return fenced(without_special_tokens(text), template.passage, template.question)


def _render(template: PromptTemplate, evidence: Sequence[Evidence], count: _Counter) -> Iterator[_Passage]:
    for one in evidence:
        rendered = template.passage.format(
            marker=one.marker,
            title=one_line(_quoted(one.title, template)),
            source=one_line(_quoted(one.source, template)),
            heading=one_line(_quoted(" / ".join(one.heading), template)),
            page="" if one.page is None else one.page,
            text=_quoted(f"{one.header}\n{one.text}" if one.header else one.text, template),
        )
        yield _Passage(one, rendered, count(rendered) + JOINT_TOKENS)


def _quoted(text: str, template: PromptTemplate) -> str:
    return without_markers(_safe(text, template))


def _least(template: PromptTemplate, evidence: Sequence[Evidence], count: _Counter, fixed: int) -> int:
    return fixed + min((passage.tokens for passage in _render(template, evidence, count)), default=0)


def _turns(template: PromptTemplate, history: Sequence[Message], count: _Counter) -> Iterator[_Turn]:
    """Turns from the newest to the oldest, each counted when it is asked for; answers without a question are left."""
    answers: tuple[Message, ...] = ()
    for message in reversed(history):
        if message.role == "system":
            continue
        if message.role == "assistant":  # what is left when markers are gone can be a special token
            answers = (Message("assistant", _safe(strip_markers(message.content), template)), *answers)
            continue
        messages = (Message("user", _safe(message.content, template)), *answers)
        yield _Turn(messages, sum(count.message(one.content) for one in messages))
        answers = ()


def _chosen(passages: Iterable[_Passage], room: int) -> Iterator[_Passage]:
    """Those that fit beside the better ones that did: what a long one leaves free is not left empty."""
    for passage in passages:
        if passage.tokens <= room:
            room -= passage.tokens
            yield passage


def _fitting(parts: Iterator[Counted], room: int) -> Iterator[Counted]:
    """Parts up to the first that does not fit: history has no holes."""
    for part in parts:
        room -= part.tokens
        if room < 0:
            return
        yield part


def _messages(
    template: PromptTemplate, system: str, asked: str, turns: Sequence[_Turn], passages: Sequence[_Passage]
) -> tuple[Message, ...]:
    past = [message for turn in reversed(turns) for message in turn.messages]
    shown = "\n".join(passage.rendered for passage in passages)
    return (
        Message("system", system),
        *past,
        Message("user", template.question.format(passages=shown, question=asked)),
    )
