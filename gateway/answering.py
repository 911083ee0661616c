"""The story of one answer, from question to verdict: rewrite, find, decide, prompt, generate, check, record."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

from gateway.answers.draft import Draft
from gateway.answers.events import AnswerEvent, Delta, Reason, Verdict
from gateway.answers.exchange import Asked, Exchange
from gateway.answers.prompting import Prompting
from gateway.audit import Audit
from gateway.cache.reusing import Reusing
from gateway.cache.wishes import WISHLESS, Wish
from gateway.caller import Caller
from gateway.errors import Invalid, Overloaded
from gateway.limits.seat import Seat
from gateway.metering import EngineMeter
from gateway.policy import confidence_in, enough_evidence
from gateway.release import ResolvedPins
from gateway.telemetry import spans
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import UNTRACED, Trace
from retrieval.acl import AccessFilter, PermissionScope, access_filter
from retrieval.catalog import Catalog
from retrieval.findings import Findings
from serving.errors import EngineRefused, EngineUnavailable
from serving.generator import GenerationRequest, Piece
from serving.output import is_structured, response_format
from serving.prompt import Prompt
from serving.rewrite import Rewriter, Rewritten


class Answering:
    """Holds what all answers share; `events` tells one of them."""

    def __init__(
        self,
        audit: Audit,
        metrics: Metrics,
        meter: EngineMeter,
        prompting: Prompting,
        catalog: Catalog,
        reusing: Reusing | None = None,
    ) -> None:
        """With `reusing` what was answered already is given again where that is right."""
        self._catalog = catalog
        self._reusing = reusing
        self._prompting = prompting
        self._audit = audit
        self._metrics = metrics
        self._meter = meter

    @property
    def reuses(self) -> bool:
        """Whether an answer may be given that asks no model: until that is known, its seat is not taken."""
        return self._reusing is not None

    def open(
        self,
        asked: Asked,
        caller: Caller,
        pins: ResolvedPins,
        deadline: float,
        seat: Seat,
        trace: Trace = UNTRACED,
        wish: Wish = WISHLESS,
    ) -> Exchange:
        """Give a question its id; it keeps its two versions until it is answered, or until the deadline passes.

        Invalid when it is to be answered without documents by a version that answers from them only.
        """
        if asked.retrieval == "none" and pins.model_version.manifest.prompt_alone is None:
            told = f"{pins.model!r} answers from documents only: leave `retrieval` out"
            raise Invalid(told, param="retrieval")
        tab = self._meter.tab(caller.principal.tenant, pins.model_version, seat)
        id = f"ans_{secrets.token_hex(12)}"
        return Exchange(id, datetime.now(UTC), asked, caller, pins, tab, deadline, trace, wish)

    async def events(self, exchange: Exchange) -> AsyncGenerator[AnswerEvent]:
        """Sources, deltas, verdict, usage. An error comes before Sources, or ends the stream where it happens."""
        asked, draft = exchange.asked, Draft(exchange.tab)
        self._audit.admit(exchange.principal.tenant)
        try:
            async with aclosing(self._made(exchange, draft)) as events:
                async for event in events:
                    yield event
            draft.usage = draft.settle()
            with exchange.trace.child("record"):
                await self._audit.keep(draft.record(exchange))
            draft.recorded = True
            yield cast("Verdict", draft.verdict)
            yield draft.usage
        except Exception as error:
            draft.failure = type(error).__name__
            if isinstance(error, EngineRefused) and error.status == 400 and asked.response_format:
                told = "the model cannot be held to this response_format: correct or simplify it"
                raise Invalid(told, param="response_format") from error
            raise
        finally:
            sanitized = draft.sanitizer.exchanged > 0
            self._metrics.generated(exchange.pins.model, draft.gaps, fits=draft.fits, sanitized=sanitized)
            if not draft.recorded and draft.failure != Overloaded.__name__:  # of that nothing was begun
                with exchange.trace.child("record"):
                    self._audit.write(draft.record(exchange))
            self._audit.leave()

    def _made(self, exchange: Exchange, draft: Draft) -> AsyncGenerator[AnswerEvent]:
        """Sources and deltas, of an answer that was made already if there is one; the draft has the verdict then."""
        return self._make(exchange, draft) if self._reusing is None else self._reusing.make(exchange, draft, self._make)

    async def _make(self, exchange: Exchange, draft: Draft) -> AsyncGenerator[AnswerEvent]:
        with exchange.tab.seat.taken():
            async with aclosing(self._make_it(exchange, draft)) as events:
                async for event in events:
                    yield event

    async def _make_it(self, exchange: Exchange, draft: Draft) -> AsyncGenerator[AnswerEvent]:
        model, access = exchange.pins.model_version, access_filter(exchange.principal)
        reason = await self._seek(exchange, draft, access) if exchange.asked.retrieval == "auto" else None
        if reason is not None:
            words = model.manifest.prompt.abstention
            yield draft.sources()
            yield Delta(words)
            draft.verdict = draft.abstains(reason, words)
            return
        async with self._ask(exchange, draft, access) as (prompt, pieces):
            yield draft.sources()
            async for piece in pieces:
                if words := draft.take(piece):
                    yield Delta(words)
        draft.verdict = _check(exchange, draft, prompt)

    async def _seek(self, exchange: Exchange, draft: Draft, access: AccessFilter) -> Reason | None:
        """Find what the answer is to be made from; None to go on, or why not."""
        index = exchange.pins.index_version
        async with asyncio.timeout_at(exchange.deadline):
            scope = await self._catalog.scope(access)
            draft.seeks(await self._rewrite(exchange, self._prompting.salt(scope, exchange.pins)))
            findings = await _find(draft.rewritten, exchange, access, scope)
        confidence = confidence_in(findings, index.recipe, index.calibration)
        draft.found(findings, confidence)
        return enough_evidence(findings, confidence)

    async def _rewrite(self, exchange: Exchange, salt: str) -> Rewritten:
        model, asked = exchange.pins.model_version, exchange.asked
        rewriter = Rewriter(model.manifest, exchange.tab, model.count_tokens)
        with exchange.trace.child("rewrite") as span:
            return await rewriter.rewrite(
                asked.question, asked.history, cache_salt=salt, request_id=exchange.id, trace=span.headers
            )

    @asynccontextmanager
    async def _ask(
        self, exchange: Exchange, draft: Draft, access: AccessFilter
    ) -> AsyncGenerator[tuple[Prompt, AsyncIterator[Piece]]]:
        """Ask the model, or the fallback that is pinned where no engine takes the question for it."""
        async with AsyncExitStack() as stack:
            scope = await self._scope(exchange, access)
            salt = self._prompting.salt(scope, exchange.pins)
            prompt = self._prompt(exchange, draft, salt)
            try:
                pieces = await stack.enter_async_context(self._generate(exchange, draft, prompt, salt))
            except (EngineUnavailable, EngineRefused):
                if not exchange.falls_back():
                    raise
                salt = self._prompting.salt(scope, exchange.pins)
                prompt = self._prompt(exchange, draft, salt)
                pieces = await stack.enter_async_context(self._generate(exchange, draft, prompt, salt))
            yield prompt, pieces

    async def _scope(self, exchange: Exchange, access: AccessFilter) -> PermissionScope:
        """With whom this prompt may share what the engine has read, by the lists that its passages were found under."""
        if exchange.asked.retrieval == "none":
            return access.own_scope
        async with asyncio.timeout_at(exchange.deadline):
            return await self._catalog.scope(access)

    def _prompt(self, exchange: Exchange, draft: Draft, salt: str) -> Prompt:
        """What was found stands in the order of its markers from here on."""
        model = exchange.pins.model_version
        prompt, draft.findings = self._prompting.prompt(exchange.asked, draft.findings, model, salt)
        draft.asks(prompt, structured=is_structured(_format(exchange)))
        return prompt

    @asynccontextmanager
    async def _generate(
        self, exchange: Exchange, draft: Draft, prompt: Prompt, salt: str
    ) -> AsyncGenerator[AsyncIterator[Piece]]:
        request = _request(exchange, prompt, salt)
        told = spans.of_generation(request, exchange.pins)
        with exchange.trace.child(f"chat {request.model}", told, remote=True) as span:
            async with exchange.tab.generate(replace(request, trace=span.headers)) as pieces:
                yield pieces
            span.tell(spans.of_finish(draft))


async def _find(sought: Rewritten, exchange: Exchange, access: AccessFilter, scope: PermissionScope) -> Findings:
    """Find for the question as it stands alone, so that what is enough is decided for that as well."""
    index, narrowing = exchange.pins.index_version, exchange.asked.narrowing
    limit, earlier, deadline = index.recipe.passages, sought.earlier, exchange.deadline
    with exchange.trace.child("retrieval", spans.of_retrieval(exchange.pins)) as span:
        findings = await index.finder.find(
            sought.question, access, narrowing, limit=limit, earlier=earlier, deadline=deadline, known=scope
        )
        span.laps(findings.timings)
    return findings


def _request(exchange: Exchange, prompt: Prompt, salt: str) -> GenerationRequest:
    manifest, asked = exchange.pins.model_version.manifest, exchange.asked
    return GenerationRequest(
        model=manifest.served_name,
        messages=prompt.messages,
        max_tokens=min(asked.max_tokens or manifest.answer_tokens, manifest.answer_tokens),
        sampling=manifest.sampling,
        response_format=_format(exchange),
        cache_salt=salt,
        request_id=exchange.id,
        prompt_tokens=prompt.tokens,
        deadline=exchange.deadline,
    )


def _format(exchange: Exchange) -> Mapping[str, object] | None:
    return exchange.asked.response_format or response_format(exchange.pins.model_version.manifest.output_schema)


def _check(exchange: Exchange, draft: Draft, prompt: Prompt) -> Verdict:
    with exchange.trace.child("grounding") as span:
        verdict = draft.check(prompt, exchange.pins.model_version, exchange.asked.response_format)
        span.tell(spans.of_verdict(verdict))
    return verdict
