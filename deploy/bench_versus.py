"""The gateway next to a LiteLLM proxy and to direct calls, in turns: the same engine behind all of them.

LiteLLM passes a request on, and so does the gateway for who wants no documents: known, limited, counted and recorded.
Else it finds, prompts and checks as well: for a caller who may see the whole corpus, and for one who may see one
document, where next to nothing is to be found.
"""

from collections.abc import Mapping, Sequence

from deploy.bench_client import AnswerRefused
from deploy.bench_process import memory_mib
from deploy.bench_rounds import Figures, Subject, Taken, asked, in_turns
from deploy.bench_stack import CALLERS

DIRECT, PROXY = "direct", "LiteLLM proxy"
BARE, ALONE, CORPUS = "gateway, without documents", "gateway, one document", "gateway, 10,000 chunks"
GPU_TOKENS = 5_500
_RAMP = (16, 24, 36, 54, CALLERS)  # the gateway lets more in as it learns that the engine takes them
_ATTEMPTS = 20


async def measure_one_caller(kind: str, subjects: Sequence[Subject]) -> dict[str, Figures]:
    """CPU and added time of requests one after the other."""
    taken = await in_turns(subjects, rounds=6, requests=15, callers=1)
    direct = taken[DIRECT].p50_ms
    cpu = {name: one.cpu_ms for name, one in _others(taken).items()}
    added = {name: one.p50_ms - direct for name, one in _others(taken).items()}
    rows = {f"{DIRECT}, p50 ms": direct, **_named(cpu, "CPU ms"), **_named(added, "added p50 ms")}
    shares = {**_shares(cpu, "CPU", "≤ 0.10"), **_shares(added, "added p50", "≤ 0.10")}
    return {f"{kind}, one caller": rows | shares}


async def measure_many_callers(kind: str, subjects: Sequence[Subject]) -> dict[str, Figures]:
    """Requests per second with many at once, and their CPU."""
    for one in subjects:
        for callers in _RAMP:
            await _until_let_in(one, callers)
    taken = await in_turns(subjects, rounds=2, requests=2 * CALLERS, callers=CALLERS)
    rates = {name: one.rate for name, one in taken.items()}
    cpu = {name: one.cpu_ms for name, one in _others(taken).items()}
    rows = {**_named(rates, "requests/s"), **_named(cpu, "CPU ms"), **_shares(rates, "requests/s", "≥ 10")}
    return {f"{kind}, {CALLERS} callers": rows}


async def _until_let_in(subject: Subject, callers: int) -> None:
    """Ask with so many at once until none is refused; AnswerRefused when that never is."""
    for attempt in range(_ATTEMPTS):
        try:
            await asked(subject, Taken(), 4 * callers, callers)
        except AnswerRefused:
            if attempt + 1 == _ATTEMPTS:
                raise
        else:
            return


async def measure_paced(kind: str, subjects: Sequence[Subject], tokens: int) -> dict[str, Figures]:
    """Streams whose tokens come one by one, as a GPU gives them, and what all that it gives takes."""
    taken = await in_turns(subjects, rounds=4, requests=16, callers=8)
    cpu = {name: one.cpu_ms for name, one in _others(taken).items()}
    cores = {name: ms / 1_000 * GPU_TOKENS / tokens for name, ms in cpu.items()}
    told = _named(cores, f"cores per GPU of {GPU_TOKENS:,} tokens/s")
    return {f"{kind}, 8 callers": {**_named(cpu, "CPU ms"), **told, **_shares(cpu, "CPU", "≤ 0.10")}}


def measure_memory(subjects: Sequence[Subject]) -> dict[str, Figures]:
    """Of each process and its children, after all that."""
    held = {one.name: memory_mib(one.pid) for one in subjects if one.name != DIRECT}
    return {"memory after that": {**_named(held, "MiB (PSS)"), **_shares(held, "memory", "≤ 0.5")}}


def _others(taken: Mapping[str, Taken]) -> dict[str, Taken]:
    return {name: one for name, one in taken.items() if name != DIRECT}


def _named(values: Mapping[str, float], what: str) -> Figures:
    return {f"{name}, {what}": value for name, value in values.items()}


def _shares(values: Mapping[str, float], what: str, goal: str) -> Figures:
    """The gateway's over the proxy's, where there is one."""
    if PROXY not in values:
        return {}
    ours = {name: value for name, value in values.items() if name in (BARE, ALONE, CORPUS)}
    return {f"{name}, {what} over the proxy's (goal {goal})": value / values[PROXY] for name, value in ours.items()}
