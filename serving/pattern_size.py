"""How large a regular expression is with its repetitions written out: that is what it may cost at each character."""

import re

from serving.errors import SchemaError

_PART = re.compile(
    r"""(?P<member>\\.|\[(?!\^?\])(?:\\.|[^\[\]\\])+\])
      | (?P<times>\{\s*(?P<least>\d{0,6})\s*(?:,\s*(?P<most>\d{0,6})\s*)?\})
      | (?P<opens>\((?:\?(?::|P?<\w+>))?(?!\?))
      | (?P<closes>\))
      | (?P<unread>[\[(])
      | (?P<again>[*+?])
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_OF_UNICODE = re.compile(r"\\[pP]")
_WIDE = re.compile(r"\\[DSWs]|\[\^|[^\x00-\x7f]|^\.$")
_ANY, _MANY = 700, 16  # states for one class of Unicode's, and for one that goes beyond ASCII


def pattern_size(pattern: str) -> int:
    """States of its automaton, an upper estimate. SchemaError for what it cannot read, such as flags in a pattern."""
    groups, last = [0], 0  # what stands in each open group so far, and what a repetition would repeat
    for part in _PART.finditer(pattern):
        kind = part.lastgroup
        if kind == "opens":
            groups.append(0)
            last = 0
            continue
        if kind == "closes" and len(groups) > 1:
            last = groups.pop() + 2
            added = last
        elif kind in ("closes", "unread"):
            raise SchemaError("a pattern has a group or a class that is not counted: write it without")
        elif kind == "again":
            added = 1
            last += 1
        elif part["times"] is not None:
            added = last * max(int(part["least"] or 0), int(part["most"] or 0), 1)
            last += added
        else:
            added = last = _class_size(part[0])
        groups[-1] += added
    return sum(groups)


def _class_size(written: str) -> int:
    return len(written) + _MANY * len(_WIDE.findall(written)) + _ANY * len(_OF_UNICODE.findall(written))
