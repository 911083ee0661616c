"""A follow-up becomes the question that is searched for: as asked, by the rule, or by the served model, guarded."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from serving.claims.lexicon import term
from serving.errors import GenerationError, GenerationTimeout
from serving.followups.phrases import words_of
from serving.followups.rule import stand_alone
from serving.followups.words import ASKING, AUXILIARIES
from serving.generator import Finish, Generates, GenerationRequest, Message, Sampling, Text
from serving.manifest import ModelManifest, RewritePrompt
from serving.markers import strip_markers
from serving.untrusted import fenced, one_line, without_special_tokens

Failure = Literal["engine", "timeout", "unusable"]
EARLIER = 2  # questions before this one of which the passages stay candidates
TURNS = 6  # messages that the model is shown at most
TURN_CHARACTERS = 600  # of each of them, and of a question that is a follow-up
LONGER = 200  # characters that a rewritten question may have more than the one asked
KEPT_WORDS = 0.5  # the share of the question's content words that its rewriting keeps
OWN_WORDS = 0.2  # the share of its content words that stand nowhere in the conversation


@dataclass(frozen=True, slots=True)
class Rewritten:
    """`question` is what to search for; `earlier` are stand-alone questions of the turns before it, newest last.

    `by` says who changed the words of the question, None where they are the user's. `failure` is why the model that was
    asked did not.
    """

    question: str
    earlier: tuple[str, ...] = ()
    by: Literal["rule", "model"] | None = None
    failure: Failure | None = None


def rewrite_by_rule(question: str, history: Sequence[Message]) -> Rewritten:
    """What the rule makes of it."""
    *earlier, asked = stand_alone(question, history)
    return Rewritten(asked, tuple(earlier[-EARLIER:]), None if asked == question else "rule")


class Rewriter:
    """Rewrites as a model version says; `generator` serves that version and `count_tokens` is its tokenizer's."""

    def __init__(self, manifest: ModelManifest, generator: Generates, count_tokens: Callable[[str], int]) -> None:
        self._manifest = manifest
        self._generator = generator
        self._count = count_tokens

    async def rewrite(
        self,
        question: str,
        history: Sequence[Message],
        *,
        cache_salt: str | None,
        request_id: str,
        trace: Mapping[str, str] | None = None,
    ) -> Rewritten:
        """What to search for; where the engine fails, is too slow or gives no question, what the rule makes of it."""
        rewriting = self._manifest.rewrite
        if rewriting.kind == "none" or not any(message.role == "user" for message in history):
            return Rewritten(question)
        by_rule = rewrite_by_rule(question, history)
        if rewriting.prompt is None or len(question) > TURN_CHARACTERS:
            return by_rule
        request = self._request(rewriting.prompt, question, history, cache_salt, request_id)
        return await self._ask(replace(request, trace=trace or {}), question, history, by_rule)

    async def _ask(
        self, request: GenerationRequest, question: str, history: Sequence[Message], by_rule: Rewritten
    ) -> Rewritten:
        pieces: list[str] = []
        finished = False
        failure: Failure = "unusable"
        try:
            async with asyncio.timeout(self._manifest.rewrite.seconds), self._generator.generate(request) as stream:
                async for piece in stream:
                    if isinstance(piece, Text):
                        pieces.append(piece.text)
                    finished = isinstance(piece, Finish)
        except (TimeoutError, GenerationTimeout):
            failure = "timeout"
        except GenerationError:
            failure = "engine"
        made = _first_line("".join(pieces))
        if not finished or not is_usable(made, question, history):
            return Rewritten(by_rule.question, by_rule.earlier, by_rule.by, failure)
        return Rewritten(made, by_rule.earlier, None if made == question else "model")

    def _request(
        self, prompt: RewritePrompt, question: str, history: Sequence[Message], cache_salt: str | None, request_id: str
    ) -> GenerationRequest:
        rewriting = self._manifest.rewrite
        asked = _harmless(question, prompt)
        fixed = self._count(prompt.system) + self._count(prompt.question.format(turns="", question=asked))
        fixed += 2 * self._manifest.message_overhead_tokens
        room = self._manifest.context_tokens - rewriting.tokens - fixed
        turns = "".join(reversed(list(self._fitting(prompt, history, room))))
        return GenerationRequest(
            model=self._manifest.served_name,
            messages=(
                Message("system", prompt.system),
                Message("user", prompt.question.format(turns=turns, question=asked)),
            ),
            max_tokens=rewriting.tokens,
            sampling=Sampling(stop=("\n",)),
            response_format=None,
            cache_salt=cache_salt,
            request_id=request_id,
            prompt_tokens=fixed + self._count(turns),
        )

    def _fitting(self, prompt: RewritePrompt, history: Sequence[Message], room: int) -> Iterator[str]:
        """Turns as the model is shown them, newest first, as long as there is room."""
        for message in reversed(_shown(history)):
            text = _harmless(strip_markers(message.content[:TURN_CHARACTERS]), prompt)
            turn = prompt.turn.format(role=message.role, text=text)
            room -= self._count(turn) + 1
            if room < 0:
                return
            yield turn


def is_usable(made: str, question: str, history: Sequence[Message]) -> bool:
    """A rewriting asks what the question asks, in words of the conversation; anything else is the model's own idea."""
    if not made or len(made) > len(question) + LONGER or (_asks(question) and not _asks(made)):
        return False
    if ":" in made and ":" not in question:
        return False  # a label in front, "User: ..."
    wanted, said = _content(question), _content(made)
    known = wanted.union(*(_content(message.content[:TURN_CHARACTERS]) for message in _shown(history)))
    own = said - known
    if any(not word.isalpha() for word in own) or len(own) > OWN_WORDS * len(said):
        return False
    return len(wanted & said) >= KEPT_WORDS * len(wanted)


def _shown(history: Sequence[Message]) -> Sequence[Message]:
    return [message for message in history if message.role != "system"][-TURNS:]


def _content(text: str) -> frozenset[str]:
    return frozenset(term(word.base) for word in words_of(text)) - {""}


def _asks(text: str) -> bool:
    words = words_of(text)
    return text.rstrip().endswith("?") or (bool(words) and words[0].base in ASKING | AUXILIARIES)


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return " ".join(lines[0].split()).strip("\"'\u201c\u201d ") if lines else ""


def _harmless(text: str, prompt: RewritePrompt) -> str:
    return one_line(fenced(without_special_tokens(text), prompt.turn, prompt.question))
