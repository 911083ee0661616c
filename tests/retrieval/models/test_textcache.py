"""Values that are held for texts: as many as there is room for by weight, and none that was begun before a clearing."""

from retrieval.models.textcache import TextCache, text_key


def test_as_many_are_held_as_there_is_room_for_and_those_used_last() -> None:
    cache: TextCache[bytes] = TextCache(10, len)
    for text in ("a", "b", "c"):
        cache.put(text, text.encode() * 4)
    assert ["a" in cache, "b" in cache, "c" in cache] == [False, True, True]
    assert cache.weight == 8
    assert cache.get("b") == b"bbbb"
    cache.put("d", b"dd")
    assert cache.weight == 10
    cache.put("e", b"e")
    assert cache.get("c") is None, "to ask for one is to use it, and this one was not"
    assert (cache.get("b"), cache.weight) == (b"bbbb", 7)


def test_to_look_whether_one_is_held_is_not_to_use_it() -> None:
    cache: TextCache[bytes] = TextCache(2, len)
    cache.put("a", b"a")
    cache.put("b", b"b")
    assert "a" in cache
    cache.put("c", b"c")
    assert "a" not in cache


def test_a_value_in_place_of_another_takes_its_room() -> None:
    cache: TextCache[bytes] = TextCache(10, len)
    cache.put("a", b"1" * 9)
    cache.put("a", b"2")
    assert (cache.get("a"), cache.weight) == (b"2", 1)


def test_what_is_larger_than_the_room_is_not_held() -> None:
    cache: TextCache[bytes] = TextCache(10, len)
    cache.put("a", b"1" * 11)
    assert ("a" in cache, cache.weight) == (False, 0)


def test_what_was_begun_before_all_was_let_go_of_is_not_held() -> None:
    cache: TextCache[bytes] = TextCache(10, len)
    begun = cache.age
    cache.put("a", b"1", begun)
    assert "a" in cache
    cache.clear()
    assert ("a" in cache, cache.weight) == (False, 0)
    cache.put("a", b"1", begun)
    assert "a" not in cache
    cache.put("a", b"1", cache.age)
    assert "a" in cache


def test_the_text_itself_is_not_kept_and_a_lone_surrogate_is_a_text_too() -> None:
    cache: TextCache[bytes] = TextCache(10, len)
    cache.put("secret \ud800", b"1")
    assert b"secret" not in repr(vars(cache)).encode()
    assert "secret \ud800" in cache


def test_a_value_is_held_for_its_scope_only() -> None:
    cache: TextCache[bytes] = TextCache(10, len)
    cache.put("a", b"1", scope="one")
    assert [cache.get("a", scope) for scope in ("one", "two", "")] == [b"1", None, None]
    assert "a" not in cache
    cache.put("a", b"2")
    assert (cache.get("a", "one"), cache.get("a"), cache.weight) == (b"1", b"2", 2)
    assert len({text_key(text, scope) for text, scope in (("bc", "a"), ("c", "ab"), ("abc", ""), ("1:abc", ""))}) == 4
