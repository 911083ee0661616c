"""Seeded ways to spoil a file, from a flipped byte to an archive whose members lie about themselves."""

import io
import random
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable

Change = Callable[[random.Random, bytes], bytes]

_EXTREMES = (0, 1, 0x7F, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_NUMBERS = (b"-1", b"0", b"65536", b"2147483648", b"4294967295", b"99999999999999999999")
_TRICKS = (
    "word/../../outside.txt",
    "/outside.txt",
    "..\\outside.txt",
    "C:outside.txt",
    "a\0b",
    "\u202etxt",
    "x" * 65_000,
)
_SYMLINK = 0o120777 << 16
_ENCRYPTED, _UNKNOWN_METHOD = 1, 99


def mutate(name: str, raw: bytes, number: int) -> bytes:
    """The `number`-th spoiled form of a file: the same for the same three."""
    chance = random.Random(f"{name} {number}")
    changes = (*_ANYWHERE, *_IN_ARCHIVES, *_IN_ARCHIVES) if raw.startswith(b"PK") else (*_ANYWHERE, *_IN_TEXT)
    for _ in range(chance.choice((1, 1, 2, 4))):
        raw = chance.choice(changes)(chance, raw)
    return raw


def flip(chance: random.Random, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(min(chance.choice((1, 4, 64)), len(changed))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def truncate(chance: random.Random, raw: bytes) -> bytes:
    return raw[: chance.randrange(len(raw) + 1)]


def splice(chance: random.Random, raw: bytes) -> bytes:
    """A piece of the file, once or very often, in another place of it."""
    start, place = chance.randrange(len(raw) + 1), chance.randrange(len(raw) + 1)
    piece = raw[start : start + chance.choice((4, 64, 1024))]
    return raw[:place] + piece * chance.choice((1, 2, 500)) + raw[place + chance.choice((0, len(piece))) :]


def insert(chance: random.Random, raw: bytes) -> bytes:
    place = chance.randrange(len(raw) + 1)
    return raw[:place] + chance.randbytes(chance.choice((1, 16, 300))) + raw[place:]


def lie_in_binary(chance: random.Random, raw: bytes) -> bytes:
    """A length, an offset or a count that does not hold: behind a record's mark where there are any."""
    marks = [found.start() for found in re.finditer(rb"PK[\x01\x03\x05\x06][\x02\x04\x06\x08]", raw)]
    start = chance.choice(marks) + chance.randrange(4, 46) if marks else chance.randrange(len(raw) + 1)
    order, size = chance.choice("<>"), chance.choice("HI")
    lie = struct.pack(order + size, chance.choice(_EXTREMES) & (0xFFFF if size == "H" else 0xFFFFFFFF))
    return raw[:start] + lie + raw[start + len(lie) :]


def lie_in_words(chance: random.Random, raw: bytes) -> bytes:
    """Another number than the one that is written somewhere."""
    numbers = list(re.finditer(rb"\d+", raw))
    if not numbers:
        return raw
    found = chance.choice(numbers)
    return raw[: found.start()] + chance.choice(_NUMBERS) + raw[found.end() :]


def in_member(chance: random.Random, raw: bytes) -> bytes:
    """A member that is spoiled and packed again with the right checksum."""

    def spoil(members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
        place = chance.randrange(len(members))
        info, body = members[place]
        members[place] = info, chance.choice((*_ANYWHERE, *_IN_TEXT))(chance, body)

    return _repacked(raw, spoil)


def shuffle_members(chance: random.Random, raw: bytes) -> bytes:
    """Members that are gone, there twice, or hold what another should."""

    def spoil(members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
        one, other = chance.randrange(len(members)), chance.randrange(len(members))
        match chance.randrange(3):
            case 0:
                del members[one]
            case 1:
                members.append((members[one][0], members[other][1]))
            case _:
                members[one] = members[one][0], members[other][1]

    return _repacked(raw, spoil)


def trick_members(chance: random.Random, raw: bytes) -> bytes:
    """Members with names that point elsewhere, that claim to be links, encrypted, or packed in a way of their own."""

    def spoil(members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
        info, body = chance.choice(members)
        odd = zipfile.ZipInfo(chance.choice((info.filename, *_TRICKS)))
        odd.external_attr = chance.choice((0, _SYMLINK))
        members.append((odd, chance.choice((body, b"/etc/passwd", b"../../outside.txt"))))

    changed = bytearray(_repacked(raw, spoil))
    place = changed.rfind(b"PK\1\2", 0, -46)
    if place >= 0 and chance.random() < 0.3:
        changed[place + 8] |= _ENCRYPTED
    elif place >= 0 and chance.random() < 0.3:
        changed[place + 10] = _UNKNOWN_METHOD
    return bytes(changed)


def _repacked(raw: bytes, spoil: Callable[[list[tuple[zipfile.ZipInfo, bytes]]], None]) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = [(zipfile.ZipInfo(one.filename), archive.read(one)) for one in archive.infolist()]
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, EOFError, zlib.error):
        return raw  # spoiled beyond reading by the change before
    if members:
        spoil(members)
    out = io.BytesIO()
    with warnings.catch_warnings(action="ignore", category=UserWarning), zipfile.ZipFile(out, "w") as archive:
        for info, body in members:
            archive.writestr(info, body, zipfile.ZIP_DEFLATED)
    return out.getvalue()


_ANYWHERE: tuple[Change, ...] = (flip, truncate, splice, insert, lie_in_binary)
_IN_TEXT: tuple[Change, ...] = (lie_in_words, lie_in_words)
_IN_ARCHIVES: tuple[Change, ...] = (in_member, in_member, in_member, shuffle_members, trick_members)
