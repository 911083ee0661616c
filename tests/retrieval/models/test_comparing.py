"""Comparing: token vectors are made once, together, off the event loop, and nothing outlives its erasure."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from retrieval.errors import EmbedderUnavailable
from retrieval.models.comparing import Comparer
from retrieval.models.likeness import Likeness, TokenVectors, likeness, unit_rows

PASSAGES = [f"passage {n} of the house" for n in range(12)]
ASKED = "what about the house"
ROOM = 1 << 20


class Model:
    """A row for each word, and a record of what it was given; it waits where it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()
        self.busy, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()

    def encode(self, texts: Sequence[str]) -> list[TokenVectors]:
        self.batches.append(list(texts))
        self.threads.add(threading.get_ident())
        self.busy.set()
        assert self.may_end.wait(5)
        return [tokens(text) for text in texts]


def tokens(text: str) -> TokenVectors:
    rows = [np.random.default_rng(list(word.encode())).standard_normal(16) for word in text.split()]
    return unit_rows(rows) if rows else np.empty((0, 16), dtype=np.float32)


def due(question: str, passages: Sequence[str]) -> list[Likeness]:
    held = [tokens(text).astype(np.float16) for text in (question, *passages)]
    return [likeness(held[0], one) for one in held[1:]]


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def comparer(model: Model) -> Iterator[Comparer]:
    comparer = Comparer(model.encode, ROOM)
    yield comparer
    model.may_end.set()
    comparer.close()


async def test_each_passage_is_compared_with_the_question_and_what_is_held_comes_out_alike(
    comparer: Comparer, model: Model
) -> None:
    first = await comparer.compare(ASKED, [*PASSAGES, "", PASSAGES[0]])
    assert first == due(ASKED, [*PASSAGES, "", PASSAGES[0]])
    assert first[12] == Likeness(0.0, 0.0)
    encoded = [text for batch in model.batches for text in batch]
    assert sorted(encoded) == sorted([ASKED, "", *PASSAGES]), "each once"
    assert await comparer.compare(ASKED, PASSAGES) == first[:12]
    assert await comparer.compare("another question", PASSAGES[:2]) == due("another question", PASSAGES[:2])
    assert model.batches[-1] == ["another question"]
    assert await comparer.compare(ASKED, []) == []
    assert model.threads.isdisjoint({threading.get_ident()})
    assert len(model.threads) == 1


async def test_callers_at_once_share_a_batch_and_its_texts(comparer: Comparer, model: Model) -> None:
    model.may_end.clear()
    first = asyncio.create_task(comparer.compare("first", ["a"]))
    assert await asyncio.to_thread(model.busy.wait, 5), "the event loop goes on while the model works"
    others = [asyncio.create_task(comparer.compare(ASKED, [text, "b"])) for text in ("a", "c", "d")]
    await asyncio.sleep(0)
    model.may_end.set()
    await asyncio.gather(first, *others)
    assert [sorted(batch) for batch in model.batches] == [["a", "first"], sorted(["b", "c", "d", ASKED])]


async def test_who_leaves_takes_along_what_was_not_begun(comparer: Comparer, model: Model) -> None:
    model.may_end.clear()
    first = asyncio.create_task(comparer.compare("first", ["a"]))
    assert await asyncio.to_thread(model.busy.wait, 5)
    left, stays = (asyncio.create_task(comparer.compare(asked, PASSAGES[:2])) for asked in ("left", "stays"))
    await asyncio.sleep(0)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    model.may_end.set()
    assert await stays == due("stays", PASSAGES[:2])
    assert await first == due("first", ["a"])
    assert "left" not in [text for batch in model.batches for text in batch]


async def test_what_is_being_compared_while_all_is_forgotten_is_not_held(comparer: Comparer, model: Model) -> None:
    model.may_end.clear()
    begun = asyncio.create_task(comparer.compare(ASKED, ["begun"]))
    assert await asyncio.to_thread(model.busy.wait, 5)
    waiting = asyncio.create_task(comparer.compare(ASKED, ["waiting"]))
    await asyncio.sleep(0)
    comparer.forget()
    after = asyncio.create_task(comparer.compare("after", ["waiting", "after"]))
    await asyncio.sleep(0)
    model.may_end.set()
    assert [await begun, await waiting] == [due(ASKED, ["begun"]), due(ASKED, ["waiting"])]
    await after
    model.batches.clear()
    await comparer.compare(ASKED, ["begun", "waiting"])
    await comparer.compare("after", ["after"])
    assert [sorted(batch) for batch in model.batches] == [["begun", "waiting", ASKED]]


async def test_forgetting_lets_go_of_questions_and_passages(comparer: Comparer, model: Model) -> None:
    await comparer.compare(ASKED, ["a"])
    comparer.forget()
    await comparer.compare(ASKED, ["a"])
    assert [sorted(batch) for batch in model.batches] == [["a", ASKED]] * 2


async def test_no_more_bytes_are_held_than_there_is_room_for(model: Model) -> None:
    each = 256 + 5 * 16 * 2  # of five words
    comparer = Comparer(model.encode, 4 * each)
    for passage in PASSAGES:
        await comparer.compare("", [passage])
        assert comparer._held.weight <= 4 * each
    model.batches.clear()
    for passage in reversed(PASSAGES[-3:]):
        await comparer.compare("", [passage])
    assert model.batches == []
    await comparer.compare("", PASSAGES[:1])
    assert model.batches == [PASSAGES[:1]]
    for n in range(40):
        await comparer.compare("", [" " * n])
    assert comparer._held.weight <= 4 * each, "texts without tokens take room too"
    comparer.close()


async def test_long_passages_do_not_wait_for_each_other_and_held_ones_for_none(
    comparer: Comparer, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparer._batcher, "_room", 50)
    await comparer.compare(ASKED, PASSAGES[:6])
    assert [len(batch) for batch in model.batches] == [1 + 2, 2, 2]
    await comparer.compare("again", PASSAGES[:6])
    assert model.batches[3:] == [["again"]]


async def test_too_many_that_wait_and_a_failure_are_told_to_whom_it_concerns(
    comparer: Comparer, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparer._batcher, "_limit", 4)
    with pytest.raises(EmbedderUnavailable, match="4 wait to compare already"):
        await comparer.compare(ASKED, PASSAGES)

    def broken(texts: Sequence[str]) -> list[TokenVectors]:
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(comparer, "_encode", broken)
        with pytest.raises(MemoryError):
            await comparer.compare(ASKED, ["a"])
    assert await comparer.compare(ASKED, ["a"]) == due(ASKED, ["a"])


async def test_the_tokens_of_a_question_are_of_use_to_its_scope_only_those_of_passages_to_all(
    comparer: Comparer, model: Model
) -> None:
    for scope in ("one", "two", "one"):
        assert await comparer.compare(ASKED, ["a", "b"], scope=scope) == due(ASKED, ["a", "b"])
    assert [sorted(batch) for batch in model.batches] == [sorted(["a", "b", ASKED]), [ASKED]]
    model.batches.clear()
    comparer.forget()
    await asyncio.gather(*(comparer.compare(ASKED, ["a"], scope=scope) for scope in ("one", "two")))
    assert [sorted(batch) for batch in model.batches] == [["a", ASKED, ASKED]], "nor in a batch that they share"


async def test_words_that_were_read_before_all_was_forgotten_are_compared_and_not_held(
    comparer: Comparer, model: Model
) -> None:
    read = comparer.age
    comparer.forget()
    assert await comparer.compare(ASKED, ["erased"], since=read) == due(ASKED, ["erased"])
    assert comparer._held.weight == 0
    at_once = [comparer.compare(ASKED, ["erased"], since=since) for since in (comparer.age, read, comparer.age)]
    await asyncio.gather(*at_once)
    assert "erased" not in comparer._held, "whoever came first"
    await comparer.compare(ASKED, ["there still"], since=comparer.age)
    assert "there still" in comparer._held
