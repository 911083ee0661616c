"""Questions in, cited answers out: the native API and the OpenAI-compatible one, over one story."""

from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway.answers.exchange import Asked, Exchange
from gateway.cache.wishes import wish_of
from gateway.errors import Invalid, NotFound
from gateway.http.wire import NativeWire, OpenAIWire
from gateway.parts import caller, parts, pins, until
from gateway.routes.direct import Direct
from gateway.schemas import LONGEST_QUESTION, AnswerRequest, ChatRequest, Turn, narrowing_of
from gateway.streaming import AnswerResponse, Wire
from serving.generator import Message

router = APIRouter(route_class=Direct)


@router.post("/v1/answer")
async def answer(request: Request, body: AnswerRequest) -> Response:
    """Answer a question from the documents this caller may see, with verified citations, or say that it cannot."""
    question, history = (body.question, ()) if body.question else _last_turn(body.messages or [])
    asked = Asked(
        question=question,
        history=history,
        narrowing=narrowing_of(body.filter),
        max_tokens=body.max_tokens,
        response_format=body.response_format,
        conversation=body.conversation,
        user=body.user,
        retrieval=body.retrieval,
    )
    exchange = await _opened(request, asked)
    return _told(request, exchange, NativeWire(exchange), stream=bool(body.stream))


@router.post("/v1/chat/completions")
async def chat_completions(request: Request, body: ChatRequest) -> Response:
    """The same answer in OpenAI's shape."""
    _served(body.model, parts(request).settings.served_model)
    question, history = _last_turn(body.messages)
    asked = Asked(
        question=question,
        history=history,
        narrowing=narrowing_of(body.filter),
        max_tokens=body.max_completion_tokens or body.max_tokens,
        response_format=body.response_format,
        conversation=body.conversation,
        user=body.user,
        retrieval=body.retrieval,
    )
    exchange = await _opened(request, asked)
    include_usage = body.stream_options is not None and body.stream_options.include_usage
    wire = OpenAIWire(exchange, body.model, include_usage, body.ignored())
    return _told(request, exchange, wire, stream=bool(body.stream))


@router.get("/v1/models")
async def models(request: Request) -> dict[str, object]:
    """The product models that can be asked; which version answers is the pins' business."""
    await caller(request)
    served = {"id": parts(request).settings.served_model, "object": "model", "created": 0, "owned_by": "twinpin"}
    return {"object": "list", "data": [served]}


async def _opened(request: Request, asked: Asked) -> Exchange:
    """What this caller asks, from here on with its versions, its deadline and its seat."""
    asking, state = await caller(request), request.state
    deadline, wish = until(request), wish_of(request.headers.get("cache-control"))
    versions = pins(request, asking.principal)
    return parts(request).answering.open(asked, asking, versions, deadline, state.seat, state.trace, wish)


def _told(request: Request, exchange: Exchange, wire: Wire, *, stream: bool) -> Response:
    """Its answer, to a caller whom the limits let in; where answers are kept, one may need no seat."""
    limits, answering = parts(request).limits, parts(request).answering
    seat = None if answering.reuses else exchange.tab.seat
    admission = limits.admit(exchange.caller, exchange.most(), seat)
    return AnswerResponse(exchange, answering.events(exchange), wire, admission, stream=stream)


def _served(asked: str, served: str) -> None:
    if asked != served:
        raise NotFound(f"there is no such model: ask for {served!r}", code="model_not_found", param="model")


def _last_turn(turns: Sequence[Turn]) -> tuple[str, tuple[Message, ...]]:
    """The question is the last user turn; what came before is history."""
    *before, last = turns
    question = last.words().strip()
    if last.role != "user" or not question:
        raise Invalid("the last message must be a user turn with some text", param="messages")
    if len(question) > LONGEST_QUESTION:
        raise Invalid(f"the question is longer than {LONGEST_QUESTION} characters: shorten it", param="messages")
    return question, tuple(message for turn in before if (message := turn.message()) is not None)
