"""Text that others wrote, made harmless for a prompt: no chat-template token, no way out of its delimiters.

What has no width is left out first. From then on characters are exchanged, never removed, so that nothing dangerous can
come together from what is left.
"""

import re
from functools import lru_cache
from string import Formatter

from serving.markers import MARKER_PATTERN

OPEN, CLOSE = "\u2039", "\u203a"  # single angle quotation marks: read like < and >, and are part of no special token

# Special tokens of the chat templates in use. Every <|…|> and [|…|] form, with the full-width bar of some families too;
# every tag without attributes, such as <s>, <bos>, <start_of_turn>, <reserved_106>, <seed:think>, <<SYS>>; the [INST]
# family and those of BERT, GLM and Kimi; Falcon's >>TITLE<<; MiniMax's ]~b] and [e~[.
_BAR_OPEN = re.compile(r"[<\uff1c\[](?=[\u200c\u200d]*[|\uff5c])")
_BAR_CLOSE = re.compile(r"(?<=[|\uff5c\u200c\u200d])[>\uff1e\]]")
_SQUARE = re.compile(
    r"\[(/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_(?:CALLS|RESULTS|CONTENT)|ARGS|CALL_ID|THINK|IMG(?:_BREAK|_END)?"
    r"|PREFIX|MIDDLE|SUFFIX|(?:BEGIN_)?AUDIO|TRANSCRIBE|MODEL_SETTINGS|CLS|SEP|[gs]?MASK|PAD|UNK|BOS|EOS|EOT"
    r"|(?:start|end)_header_id|multimodal|@BOS@))\]",
    re.IGNORECASE,
)
_TAG = re.compile(r"[<\uff1c](/?[^\W\d][^<>\uff1c\uff1e\s|]{0,62})[>\uff1e]")
_HEADLINE = re.compile(r">>(?=[A-Z_]+<<)")
_TILDE = re.compile(r"[\]\[](?=[~!]{1,2}\w{1,2}~?[\]\[])|(?<=~)\[")
_EXCHANGED = str.maketrans("<>\uff1c\uff1e[]", f"{OPEN}{CLOSE}{OPEN}{CLOSE}()")
_BRACKETS = re.compile(r"[<>\uff1c\uff1e\[\]]")
_UNSEEN = re.compile(r"[\u00ad\u200b\u200e\u200f\u2060-\u2064\ufeff\U000e0000-\U000e0fff]")
_CITATION = re.compile(MARKER_PATTERN)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_TAG_NAME = re.compile(r"</?([A-Za-z][\w-]*)")
_RULER = re.compile(r"([^\w\s{}])\1{2,}")


def without_special_tokens(text: str) -> str:
    """`text` in which no tokenizer finds a chat-template token, nor a control or text-direction character."""
    text = _CONTROL.sub(" ", _UNSEEN.sub("", text.replace("\r\n", "\n")))
    if _BRACKETS.search(text):
        text = _TAG.sub(rf"{OPEN}\1{CLOSE}", _SQUARE.sub(r"(\1)", text))
        for form in (_BAR_OPEN, _BAR_CLOSE, _HEADLINE, _TILDE):
            text = form.sub(_exchanged, text)
    return text


def _exchanged(found: re.Match[str]) -> str:
    return found[0].translate(_EXCHANGED)


def without_markers(text: str) -> str:
    """`text` with its own `[3]` as `(3)`, so that it is not taken for a passage's number or a citation."""
    return _CITATION.sub(lambda found: f"({found[0][1:-1]})", text) if "[" in text else text


def fenced(text: str, *templates: str) -> str:
    """`text` in which none of the delimiters of the format strings `templates` can be opened or closed."""
    pattern = _delimiters(templates)
    return pattern.sub(_soften, text) if pattern else text


def one_line(text: str) -> str:
    """`text` fit for a title or an attribute in double quotes."""
    return " ".join(text.split()).replace('"', "'")


@lru_cache(maxsize=16)
def _delimiters(templates: tuple[str, ...]) -> re.Pattern[str] | None:
    literals = [literal for template in templates for literal, *_ in Formatter().parse(template)]
    tags = {name for literal in literals for name in _TAG_NAME.findall(literal)}
    rulers = {ruler[0] for literal in literals for ruler in _RULER.finditer(literal)}
    parts = [rf"<(?=\s*/?\s*{re.escape(tag)}\b)" for tag in sorted(tags)]
    parts += [re.escape(ruler[0]) + "{3,}" for ruler in sorted(rulers)]
    return re.compile("|".join(parts), re.IGNORECASE) if parts else None


def _soften(found: re.Match[str]) -> str:
    return OPEN if found[0] == "<" else found[0][:2]
