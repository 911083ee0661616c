"""What the spans of an answer say of themselves: attributes of OpenTelemetry's GenAI conventions, and a few of ours."""

from gateway.answers.draft import Draft
from gateway.answers.events import Verdict
from gateway.release import ResolvedPins
from gateway.telemetry.tracing import Told
from serving.generator import GenerationRequest


def of_retrieval(pins: ResolvedPins) -> Told:
    """Which index is searched."""
    return {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": pins.index}


def of_generation(request: GenerationRequest, pins: ResolvedPins) -> Told:
    """What the engine is asked for."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": request.model,
        "gen_ai.request.max_tokens": request.max_tokens,
        "gen_ai.request.temperature": request.sampling.temperature,
        "gen_ai.request.top_p": request.sampling.top_p,
        "gen_ai.output.type": "json" if request.response_format else "text",
        "twinpin.model": pins.model,
    }


def of_finish(draft: Draft) -> Told:
    """What the engine did, as far as it came."""
    finish = draft.finish
    if finish is None:
        return {}
    return {
        "gen_ai.response.finish_reasons": [finish.reason],
        "gen_ai.usage.input_tokens": finish.prompt_tokens,
        "gen_ai.usage.output_tokens": finish.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": finish.cached_tokens,
    }


def of_verdict(verdict: Verdict) -> Told:
    """What the answer is worth."""
    return {
        "twinpin.status": verdict.status,
        "twinpin.reason": verdict.reason or "none",
        "twinpin.citations": len(verdict.citations),
        "twinpin.unsupported": len(verdict.unsupported),
    }
