"""An erasure comes to its end whatever the document is called, and whatever state an index version was left in."""

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from retrieval.ingest.prepared import Parser
from retrieval.live import LiveIndex
from retrieval.opening import open_live
from tests.proofs import draw
from tests.proofs.oracle import Lists, Oracle, Paper
from tests.proofs.residue import residue
from tests.proofs.world import InProcess, World, open_world, recipe

STAFF = Lists(frozenset({"group:staff"}))
RNG = random.Random(3)


def an_oracle() -> Oracle:
    return Oracle(datetime.now(UTC).date())


@pytest.mark.parametrize("name", ["a", "en", "document", "documents", "group:staff"])
async def test_a_document_whose_words_stand_in_every_store(tmp_path: Path, name: str) -> None:
    """Its id and its lines are also names of fields, of tables, or of readers."""
    async with open_world(tmp_path, an_oracle()) as world:
        await world.put(("acme", "another.txt"), Paper(draw.text(RNG, 1)), STAFF)
        await world.put(("acme", name), Paper(f"documents\n\nsequence\n\ngroup:staff\n\n{draw.text(RNG, 2)}"), STAFF)
        await erased(world, ("acme", name), tmp_path)


async def test_a_document_that_names_another_which_is_gone(tmp_path: Path) -> None:
    """That there was one is on record for ever: its id is no trace of whoever named it."""
    async with open_world(tmp_path, an_oracle()) as world:
        gone, index = ("acme", "policies/refunds.md"), ("acme", "policies/index.md")
        await world.put(gone, Paper(draw.text(RNG, 1)), STAFF)
        await world.delete(gone)
        await world.put(index, Paper(f"Policies:\n\n{gone[1]}\n\n{draw.text(RNG, 1)}"), STAFF)
        await erased(world, index, tmp_path)


async def test_one_of_the_same_name_was_deleted_while_an_index_version_slept(tmp_path: Path) -> None:
    async with open_world(tmp_path, an_oracle()) as world:
        for tenant in ("acme", "other"):
            await world.put((tenant, "policies/refunds.md"), Paper(draw.text(RNG, 2)), STAFF)
        await world.build(recipe(25))
        sleeping, world.board.candidate = world.board.candidate, None
        assert sleeping is not None
        await sleeping.close()
        await world.delete(("acme", "policies/refunds.md"))
        await erased(world, ("other", "policies/refunds.md"), tmp_path)
        woken = await open_live(recipe(25), world.place, world.catalog)
        world.board.candidate = woken
        assert await woken.store.count() == 0


async def test_a_build_was_cut_off(tmp_path: Path) -> None:
    key = ("acme", "policies/refunds.md")
    async with open_world(tmp_path, an_oracle()) as world:
        await world.put(key, Paper(draw.text(RNG, 2)), STAFF)
        begun = await half_built(world, InProcess())
        assert await begun.store.holds(*key) > 0
        await begun.close()
        await erased(world, key, tmp_path)


async def half_built(world: World, parser: Parser) -> LiveIndex:
    """A build that has the chunks, and no seal."""
    begun = await open_live(recipe(25), world.place, world.catalog, create=True, parser=parser)
    await begun.follow()
    return begun


async def erased(world: World, key: tuple[str, str], folder: Path) -> None:
    marks = world.oracle.marks(key)
    receipt = (await world.erase(key)).receipt
    assert all(one.scanned and not one.found for one in receipt.stores), receipt
    assert residue(folder, marks) == []
    assert residue(folder / "indexes", {key[1]} if "/" in key[1] else set()) == []
