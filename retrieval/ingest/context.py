"""What is embedded in front of a chunk's own text: where it stands, within what the embedder reads."""

from collections.abc import Callable, Iterator, Sequence

from retrieval.ingest.chunk import Chunk

_JOINT = " > "


def embedded(
    text: str, chunk: Chunk, title: str | None, budget: int, limit: int, count_tokens: Callable[[str], int]
) -> str:
    """A chunk's `text` below its title and headings and its table's header; all of it counts up to `limit` tokens.

    The text always stays; what stands above gives way: at most half a `budget` for title and headings, and less
    where the text leaves less. Without a title nothing but the header stands above.
    """
    header = chunk.header if chunk.header and count_tokens(f"{chunk.header}\n{text}") <= limit else ""
    below = "\n".join(filter(None, (header, text)))
    if title is None:
        return below
    room = min(limit - count_tokens(below) - 1, budget // 2)
    path = _shortened(list(_distinct(title, chunk.heading, text)), room, count_tokens)
    return f"{path}\n{below}" if path else below


def _distinct(title: str, heading: Sequence[str], text: str) -> Iterator[str]:
    """Title and headings, each once and none that the text itself begins with."""
    said = {_plain(line) for line in _opening(text, {_plain(part) for part in (title, *heading)})}
    for part in (title, *heading):
        if _plain(part) and _plain(part) not in said:
            said.add(_plain(part))
            yield part


def _opening(text: str, headings: set[str]) -> Iterator[str]:
    """The first lines of a text that are headings."""
    for line in filter(str.strip, text.split("\n")):
        if _plain(line) not in headings:
            return
        yield line


def _plain(part: str) -> str:
    return " ".join(part.casefold().split()).strip(" .:#*")


def _shortened(parts: list[str], room: int, count_tokens: Callable[[str], int]) -> str:
    """The parts in one line of up to `room` tokens: outer headings go first, then the innermost, then words."""
    while parts and count_tokens(_JOINT.join(parts)) > room:
        if len(parts) > 1:
            del parts[1]
        else:
            return _first_words(parts[0], room, count_tokens)
    return _JOINT.join(parts)


def _first_words(line: str, room: int, count_tokens: Callable[[str], int]) -> str:
    words = line.split()
    while words and count_tokens(" ".join(words)) > room:
        words.pop()
    return " ".join(words)
