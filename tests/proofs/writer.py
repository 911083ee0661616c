"""A process that changes documents until it is killed, and says before and after each change what it does."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal, TypeAlias

from tests.proofs import draw
from tests.proofs.oracle import Key, Lists, Oracle, Paper
from tests.proofs.world import Pins, World, open_world, recipe

TENANTS = ["acme", "other"]
BUDGETS = [12, 25, 40]
GROUPS = draw.GROUPS[:6]
NOBODY = Lists(frozenset())
Kind: TypeAlias = Literal["put", "grant", "revert", "delete", "erase", "build", "flip", "roll back"]
_OFTEN: tuple[Kind, ...] = ("put",) * 5
_THEN: tuple[Kind, ...] = (*("grant",) * 4, *("delete",) * 2, "revert", "erase")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is done; `handed_in` are the documents of a put."""

    kind: Kind
    key: Key = ("", "")
    lists: Lists = NOBODY
    handed_in: tuple[tuple[Key, Paper, Lists], ...] = ()
    budget: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """A change was acknowledged; `pins` are in force now."""

    pins: Pins


def write(folder: Path, pins: Pins, oracle: Oracle, seed: int, pipe: Connection) -> None:
    """Open the data folder, catch up, and change things for ever."""
    asyncio.run(_write(folder, pins, oracle, random.Random(seed), pipe))


async def _write(folder: Path, pins: Pins, oracle: Oracle, rng: random.Random, pipe: Connection) -> None:
    async with open_world(folder, oracle, pins) as world:
        await world.follow()
        pipe.send(Done(pins))
        while True:
            change = a_change(world, rng)
            pipe.send(change)
            await perform(world, change)
            pipe.send(Done(world.board.pins()))


async def perform(world: World, change: Change) -> None:
    """Do it, to its acknowledgement."""
    match change.kind:
        case "put":
            await world.put_all(change.handed_in)
        case "grant":
            await world.grant(change.key, change.lists)
        case "revert":
            await world.revert(change.key)
        case "delete":
            await world.delete(change.key)
        case "erase":
            await world.erase(change.key)
        case "build":
            await world.build(recipe(change.budget))
        case "flip":
            await world.flip()
        case "roll back":
            await world.roll_back()


def note(oracle: Oracle, change: Change) -> None:
    """What it comes to for readers."""
    match change.kind:
        case "put":
            for one in change.handed_in:
                oracle.put(*one)
        case "grant":
            oracle.grant(change.key, change.lists)
        case "revert" if oracle.standing[change.key].earlier is not None:
            oracle.revert(change.key)
        case "delete" | "erase":
            oracle.delete(change.key)


def a_change(world: World, rng: random.Random) -> Change:
    """Mostly documents that come and change; now and then an index version."""
    kind = rng.choice(list(_possible(world)))
    if kind == "put":
        return Change(kind, handed_in=_handed_in(world.oracle, rng))
    if kind == "build":
        opened = [index.recipe for index in world.board.retained()]
        return Change(kind, budget=rng.choice([one for one in BUDGETS if recipe(one) not in opened]))
    if kind in ("flip", "roll back"):
        return Change(kind)
    return Change(kind, rng.choice(sorted(world.oracle.standing)), draw.lists(rng, GROUPS, 4))


def _possible(world: World) -> Iterator[Kind]:
    """What can be done now, as often as it is to be done."""
    yield from _OFTEN
    if len(world.oracle.standing) > 3:
        yield from _THEN
    yield "build" if world.board.candidate is None else "flip"
    if world.board.previous is not None:
        yield "roll back"


def _handed_in(oracle: Oracle, rng: random.Random) -> tuple[tuple[Key, Paper, Lists], ...]:
    names = rng.sample([f"doc-{n}" for n in range(8)], rng.choice([1, 1, 1, 4]))
    keys = [(rng.choice(TENANTS), name) for name in names]
    return tuple((key, _paper(oracle, key, rng), draw.lists(rng, GROUPS, 4)) for key in keys)


def _paper(oracle: Oracle, key: Key, rng: random.Random) -> Paper:
    others = [one for one in oracle.documents(key[0]) if one != key[1]]
    return draw.paper(rng, oracle.today, others, rng.randint(1, 5))
