"""Takes the life out of an answer as it streams: nothing in it links, loads or runs where it is rendered.

Characters are exchanged for such as read alike and mean nothing to a renderer, so that the words stay readable. What
carries an answer away is not shown to be meant so: only links to the sources of the passages stay.
"""

import re
from dataclasses import replace

from serving.citable import Citable
from serving.exchanges import Exchange, Original
from serving.livelinks import LOOK_BACK, LiveLinks

# None is normalised to the character that it stands for; where nothing fit reads alike, a space is put between.
_LOOKALIKES = {
    "<": "\u2039",
    "(": "\u2768",
    "/": "\u2044",
    ":": " :",
    ".": "\u00b7",
    "\\": "\\ ",
    "@": " (at) ",
    "?": " ?",
    "#": " #",
    ";": " ;",
}
# C0 and C1 controls, soft hyphens, text direction, tags, and what else has no width and no business in prose
_UNSEEN = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u180e\u200b\u202a-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff"
)
_JOINERS = r"\u200c-\u200f\ufe00-\ufe0f"  # emoji and many scripts need them, ASCII does not
_FOR_ASCII = frozenset(_LOOKALIKES.values())
_INVISIBLE = re.compile(f"[{_UNSEEN}{_JOINERS}]+")
_ALWAYS = re.compile(f"[{_UNSEEN}]+")
_SUSPECT = re.compile(f"[<(/@:.?#;\\\\{_UNSEEN}{_JOINERS}]")


class Sanitizer:
    """Sanitizes one answer. The outcome is the same at every split of the stream.

    `structured` answers are JSON: what would be live is written as an escape, so that every value is what it was.
    `exchanged` counts the characters that were exchanged.
    """

    __slots__ = ("_exchanges", "_held", "_length", "_links", "_passed", "_structured", "exchanged")

    def __init__(self, citable: Citable | None = None, *, structured: bool = False) -> None:
        self._links = LiveLinks(citable or Citable(), structured=structured)
        self._structured = structured
        self._passed: list[str] = []
        self._held = ""  # begins with a suspect character that cannot be judged yet
        self._length = 0  # of all that was passed on
        self._exchanges: list[Exchange] = []
        self.exchanged = 0

    def feed(self, text: str) -> str:
        """What of the stream can be passed on now."""
        if not self._held and (text.lstrip(" ").isalnum() or _SUSPECT.search(text) is None):
            self._passed.append(text)
            self._length += len(text)
            return text
        return self._pass_on(text, ended=False)

    def flush(self) -> str:
        """The rest, at the end of the stream."""
        return self._pass_on("", ended=True) if self._held else ""

    def original(self, shown: str) -> Original:
        """What was said, to hold it against passages: without what is not seen, with its own characters for lookalikes.

        `shown` is all that was passed on, but for blanks that were taken from its beginning.
        """
        taken = self._length - len(shown)
        return Original(shown, [replace(one, start=one.start - taken) for one in self._exchanges])

    def _pass_on(self, text: str, *, ended: bool) -> str:
        before = "".join(self._passed)[-LOOK_BACK:]
        text = self._held + self._visible(text, (self._held or before)[-1:])
        self._held, done, at = "", [], 0
        while found := _SUSPECT.search(text, at):
            start = found.start()
            done.append(text[at:start])
            self._length += start - at
            before = (before + text[at:start])[-LOOK_BACK:]
            taken, at = self._judged(before, text, start, ended)
            if taken is None:
                self._held = text[start:]
                break
            done.append(taken)
            self._length += len(taken)
            before += taken
        else:
            done.append(text[at:])
            self._length += len(text) - at
            before += text[at:]
        self._passed = [before]
        return "".join(done)

    def _judged(self, before: str, text: str, at: int, ended: bool) -> tuple[str | None, int]:
        if (character := text[at]) not in _LOOKALIKES:
            return character, at + 1
        kept = self._links.judge(before, text, at, ended=ended)
        if kept is None:
            return None, at
        if kept:
            return text[at : at + kept], at + kept
        self.exchanged += 1
        lookalike = self._exchange(character)
        self._exchanges.append(Exchange(self._length, len(lookalike), character))
        return lookalike, at + 1

    def _exchange(self, character: str) -> str:
        if self._structured:
            return "" if character == "\\" else _escaped(character)
        return _LOOKALIKES[character]

    def _visible(self, text: str, last: str) -> str:
        """`text` without what is not seen, which renderers differ in minding; `last` stands before it."""
        return _INVISIBLE.sub(lambda found: self._unseen(found, last), text)

    def _unseen(self, found: re.Match[str], last: str) -> str:
        if self._structured:
            return "".join(map(_escaped, found[0]))
        neighbour = found.string[found.start() - 1] if found.start() else last
        dropped = _INVISIBLE if neighbour.isascii() or neighbour in _FOR_ASCII else _ALWAYS
        self.exchanged += sum(map(len, dropped.findall(found[0])))
        return dropped.sub("", found[0])


def _escaped(character: str) -> str:
    written = character.encode("utf-16-be").hex()
    return "".join(f"\\u{written[at : at + 4]}" for at in range(0, len(written), 4))
