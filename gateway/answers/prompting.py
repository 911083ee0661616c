"""What was found becomes the prompt, and what its beginning shares with others: only those of the same permissions."""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from gateway.answers.exchange import Asked
from gateway.release import ModelVersion, ResolvedPins
from retrieval.acl import PermissionScope
from retrieval.entries import Passage
from retrieval.findings import Findings, Found
from serving.manifest import SHARED_PREFIX
from serving.prefixes import Served
from serving.prompt import Evidence, Place, Prompt, PromptBudget, build_prompt

_REMEMBERED, _SECONDS = 16_384, 3_600.0  # of 5 passages each 3,000 prompts: more than most engines keep
_encode = msgspec.msgpack.Encoder().encode


class Prompting:
    """Makes prompts, and remembers how those of late began."""

    def __init__(self, secret: bytes | None = None) -> None:
        """Gateways with the same `secret` share what an engine has read; without one each is alone, until it ends."""
        self._key = secrets.token_bytes(32) if secret is None else hmac.digest(secret, b"prefix salts", "sha256")
        self._served = Served(_REMEMBERED, _SECONDS)

    def salt(self, scope: PermissionScope, pins: ResolvedPins) -> str:
        """Callers with different permissions share no prefix cache, so its timing tells none what others asked."""
        return hmac.digest(self._key, _encode((scope, pins.index, pins.model)), "sha256").hex()

    def prompt(
        self, asked: Asked, findings: Findings | None, model: ModelVersion, salt: str
    ) -> tuple[Prompt, Findings | None]:
        """The prompt, and what was found in the order of its markers.

        Where the model version shares prefixes, passages that were shown lately stand first, as they stood then; unless
        there is a conversation before them, which no other prompt begins with, or not all of them fit.
        """
        if findings is None:
            return _prompt(asked, None, model), None
        ranked = sorted(findings.passages, key=lambda found: found.rank)  # a model that fell out had them otherwise
        if model.manifest.passage_order == SHARED_PREFIX and not asked.history:
            shown = [_shown(one.passage) for one in ranked]
            order = self._served.order(salt, shown)
            ordered = [ranked[position] for position in order]
            prompt = _prompt(asked, ordered, model)
            if len(prompt.evidence) == len(ranked):
                self._served.serve(salt, [shown[position] for position in order])
                return prompt, replace(findings, passages=tuple(ordered))
        return _prompt(asked, ranked, model), replace(findings, passages=tuple(ranked))


def _shown(passage: Passage) -> bytes:
    """In what passages differ that a prompt shows differently."""
    return _encode((passage.ref, passage.title, passage.source))


def _prompt(asked: Asked, passages: Sequence[Found] | None, model: ModelVersion) -> Prompt:
    """Number the passages as they come and fit them with question and history into the model's context.

    Without any to come it is the prompt for who asks without documents. The model is asked in the user's own words,
    after the conversation they belong to: a rewriting that went wrong costs passages, but never makes it answer what
    nobody asked.
    """
    manifest = model.manifest
    budget = PromptBudget(manifest.context_tokens, manifest.answer_tokens, manifest.message_overhead_tokens)
    alone = manifest.prompt_alone if passages is None else None
    return build_prompt(
        alone or manifest.prompt,
        question=asked.question,
        history=asked.history,
        evidence=[_evidence(marker, found) for marker, found in enumerate(passages or (), start=1)],
        budget=budget,
        count_tokens=model.count_tokens,
        order="best_last" if manifest.passage_order == "best_last" else "best_first",
    )


def _evidence(marker: int, found: Found) -> Evidence:
    passage, ref = found.passage, found.passage.ref
    return Evidence(
        marker=marker,
        document=ref.document,
        version=ref.version,
        title=passage.title,
        source=passage.source,
        heading=ref.heading,
        page=ref.page,
        start=ref.start,
        end=ref.end,
        text=passage.text,
        places=tuple(Place(place.start, place.heading, place.page) for place in passage.places),
        header=ref.header,
    )
