"""Whole sentences that state nothing, and those that say "I do not know": short documented lists, matched strictly."""

import re
from functools import lru_cache
from itertools import pairwise

_SOURCES = (
    r"(?:passages?|documents?|contexts?|sources?|texts?|excerpts?|evidence|information|material|dokumente?|quellen?)"
)
_NEUTRAL = re.compile(
    r"""(?:
        (?:sure|certainly|of\ course|absolutely|hello|hi|hey|good\ (?:morning|afternoon|evening)|thanks|thank\ you
           |you(?:'re|\ are)\ welcome|gerne|nat\u00fcrlich|hallo|guten\ tag|bonjour|bien\ s\u00fbr|merci)
        (?:\ (?:there|thing|for\ (?:asking|your\ question)|very\ much|so\ much))?
      | great\ question | good\ question
      | (?:i\ )?hope\ (?:this|that)\ (?:helps|answers\ your\ question)
      | let\ me\ know\ if\ (?:you\ (?:need|have)|there\ is)\ (?:any|anything)\ (?:more|else|further|other)?\ ?
        (?:questions?|help|information)?
      | (?:is\ there\ anything\ else\ )?(?:how\ )?(?:can|may)\ i\ help(?:\ you)?
        (?:\ with)?(?:\ anything\ else)?(?:\ today)?
      | would\ you\ like\ (?:to\ know\ more|more\ (?:details|information|help))
      | here\ (?:is|are)\ (?:the|your)\ (?:answer|summary|details|steps)
      | i(?:'d|\ would)\ be\ happy\ to\ help(?:\ you)?(?:\ with\ (?:that|this))?
    )[\s.!?,:]*""",
    re.IGNORECASE | re.VERBOSE,
)
_ABSTAINING = re.compile(
    rf"""
    (?:(?:sorry|unfortunately|i(?:'m|\ am)\ (?:sorry|afraid)|i\ apologi[sz]e|leider|d\u00e9sol\u00e9e?)
       [,.]?\s*(?:but\ |that\ )?)?
    (?:
        i\ (?:do\ not|don't|cannot|can't|could\ not|couldn't|am\ not\ able\ to|am\ unable\ to|was\ unable\ to)
        \ (?:know|answer|determine|find|say|tell|have\ (?:enough|sufficient|any|the|that|this)\ [\w\ ]*information)\b
      | i(?:'m|\ am)\ (?:not\ sure|(?:unable|not\ able)\ to\ (?:answer|determine|find|say))\b
      | there\ (?:is|was)\ (?:no|not\ enough|insufficient)\ (?:information|mention|answer|evidence)\b
      | (?:no|not\ enough|insufficient)\ (?:\w+\ )?(?:information|mention|evidence)\b
      | (?:the|these|those|this|none\ of\ the|my)\ (?:\w+\ )?{_SOURCES}(?:\ (?:provided|given|above|supplied))?
        \ (?:do(?:es)?\ not|don't|doesn't|did\ not|didn't|cannot)
        \ (?:contain|mention|say|provide|specify|include|state|answer|cover|address|give|explain)\b
      | none\ of\ the\ (?:\w+\ )?{_SOURCES}\ (?:contains?|mentions?|says?|answers?|specif(?:y|ies))\b
      | (?:this|that|it|the\ answer|the\ information)\ is\ not
        \ (?:mentioned|specified|stated|provided|found|covered|answered|contained|available|given)
        \ (?:in|by)\ (?:the|these|any)\b
      | ich\ wei(?:\u00df|ss)\ (?:es\ |das\ )?nicht\b
      | (?:dazu\ |dar\u00fcber\ )?(?:steht|finde\ ich|gibt\ es)\ (?:dazu\ |dar\u00fcber\ )?(?:nichts|keine\ \w+)\b
      | je\ ne\ (?:le\ )?sais\ pas\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_GOES_ON = re.compile(
    r"[,;:\u2013\u2014-]\s*(?:but|however|though|although|so|therefore|aber|mais)\b|\bbut\b", re.IGNORECASE
)
_BULLET = re.compile(r"^\s*(?:[-*+\u2022]|\d{1,3}[.)])?[\s*_>#]*")
_WORD = re.compile(r"[^\W_]+")
_PART_END = re.compile(r"[.!?:,]\s+")
_POLAR = re.compile(
    r"\s*(?:is|are|was|were|do|does|did|can|could|may|might|must|should|shall|will|would|has|have|had|am|ist|sind|darf"
    r"|kann|muss|wird|hat|gibt|est-ce)\b",
    re.IGNORECASE,
)


def states_nothing(sentence: str) -> bool:
    """A greeting, an offer to help, or no word at all."""
    bare = _bare(sentence)
    return not any(letter.isalnum() for letter in bare) or _NEUTRAL.fullmatch(bare) is not None


def abstains(sentence: str, abstention: str) -> bool:
    """The sentence says only that the answer is not known: in the words agreed on, or in those of the list above."""
    bare = _bare(sentence)
    if abstention and _agrees(bare, abstention):
        return True
    found = _ABSTAINING.match(bare)
    return found is not None and _GOES_ON.search(bare, found.end()) is None


def asks_for_a_side(question: str) -> bool:
    """The question can be answered with yes or no."""
    last = _PART_END.split(question.strip())[-1]
    return _POLAR.match(last) is not None


def _bare(sentence: str) -> str:
    return _BULLET.sub("", sentence).strip(" \"'*_\u201c\u201d\n\t").replace("\u2019", "'")


def _agrees(bare: str, abstention: str) -> bool:
    first = _WORD.search(bare.casefold())
    return (first[0] if first else "") in _first_words(abstention) and _plain(bare) in _agreed(abstention)


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


@lru_cache(maxsize=64)
def _agreed(abstention: str) -> frozenset[str]:
    """A template's own wording, whole and sentence by sentence."""
    return frozenset(map(_plain, (abstention, *_parts(abstention))))


@lru_cache(maxsize=64)
def _first_words(abstention: str) -> frozenset[str]:
    return frozenset(wording.partition(" ")[0] for wording in _agreed(abstention))


def _parts(abstention: str) -> list[str]:
    stops = [0, *(found.end() for found in re.finditer(r"[.!?]+\s+", abstention)), len(abstention)]
    return [abstention[start:end] for start, end in pairwise(stops)]
