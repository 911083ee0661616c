"""Vectors that are held: exactly, so many bytes of them, by a digest, and none begun before all was let go of."""

from array import array
from collections.abc import Sequence

from retrieval.models.textcache import BESIDE
from retrieval.models.vectorcache import VectorCache

EACH = 8 + BESIDE


def vector(text: str) -> list[float]:
    return array("f", [len(text) / 3, 0.1]).tolist()


def test_those_used_last_are_held_as_they_were() -> None:
    cache = VectorCache(2 * EACH)
    for text in ("a", "bb"):
        cache.put(text, vector(text))
    assert cache.get("a") == vector("a")
    cache.put("ccc", vector("ccc"))
    assert [cache.get(text) for text in ("a", "bb", "ccc")] == [vector("a"), None, vector("ccc")]


def test_longer_vectors_take_more_of_the_room() -> None:
    cache = VectorCache(2 * EACH)
    cache.put("a", vector("a"))
    cache.put("long", [0.5] * 4)
    assert (cache.get("a"), cache.get("long")) == (None, [0.5] * 4)


def test_the_text_itself_is_not_kept() -> None:
    cache = VectorCache(2 * EACH)
    cache.put("secret words", vector("secret words"))
    assert b"secret" not in repr(vars(cache)).encode()
    assert cache.get("secret words") is not None


def test_only_what_is_not_held_is_computed_and_each_text_once() -> None:
    asked: list[list[str]] = []

    def compute(texts: Sequence[str]) -> list[list[float]]:
        asked.append(list(texts))
        return [vector(text) for text in texts]

    cache = VectorCache(2 * EACH)
    assert cache.complete(["a", "bb", "a"], compute) == [vector("a"), vector("bb"), vector("a")]
    assert cache.complete(["bb", "ccc", "dddd", "e", "ff"], compute)[0] == vector("bb")
    assert asked == [["a", "bb"], ["ccc", "dddd", "e", "ff"]], "more than there is room for is computed all the same"
    assert cache.complete([], compute) == []
    assert len(asked) == 2


def test_what_was_begun_before_all_was_let_go_of_is_not_held() -> None:
    cache = VectorCache(8 * EACH)

    def compute(texts: Sequence[str]) -> list[list[float]]:
        cache.clear()
        return [vector(text) for text in texts]

    assert cache.complete(["erased meanwhile"], compute) == [vector("erased meanwhile")]
    assert cache.get("erased meanwhile") is None
