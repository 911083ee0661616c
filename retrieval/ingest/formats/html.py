"""HTML by a walk over its tree: what a reader sees, without navigation, scripts and hidden parts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from retrieval.ingest.blocks import BlockWriter, Parsed, ParseError

_DEEPEST = 5000
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_UNCLOSED = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
        "p",
        "li",
        "dt",
        "dd",
        "tr",
        "td",
        "th",
        "thead",
        "tbody",
        "tfoot",
        "colgroup",
        "option",
        "optgroup",
        "rp",
        "rt",
        "html",
        "head",
        "body",
        "a",
        "b",
        "i",
        "u",
        "s",
        "em",
        "strong",
        "small",
        "big",
        "font",
        "code",
        "tt",
        "nobr",
        "strike",
    ]
)
_SKIPPED = frozenset(
    [
        "script",
        "style",
        "noscript",
        "template",
        "head",
        "nav",
        "footer",
        "svg",
        "math",
        "canvas",
        "iframe",
        "object",
        "audio",
        "video",
        "button",
        "select",
        "input",
        "textarea",
        "dialog",
        "form-control",
        "-comment",
        "!doctype",
    ]
)
_ROLES = frozenset({"navigation", "banner", "contentinfo", "search"})
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_PARTS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "caption",
        "center",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "header",
        "hr",
        "html",
        "legend",
        "main",
        "p",
        "section",
        "summary",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "table",
        "ul",
        "ol",
        "menu",
        "li",
        "pre",
    ]
) | frozenset(_HEADINGS)
_HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])", re.IGNORECASE)
_SPACES = re.compile(r"\s+")


def read(text: str) -> Parsed:
    """A page's main content; its title is the first h1, else `<title>`."""
    _check_depth(text)
    tree = LexborHTMLParser(text)
    title = tree.css_first("head > title")
    out = BlockWriter()
    root = _main(tree)
    if root is not None:
        _Walk(out, _keeps_header(root)).run(root)
    return out.finish(otherwise=title.text() if title is not None else None)


def write(fragment: str, out: BlockWriter) -> None:
    """Write a piece of HTML, such as Markdown embeds, to `out`."""
    _check_depth(fragment)
    body = LexborHTMLParser(fragment).body
    if body is not None:
        _Walk(out, keep_header=True).run(body)


def _check_depth(text: str) -> None:
    """The tree builder takes quadratic time on deep nesting, so count before it is asked."""
    depth = 0
    for found in _TAG.finditer(text):
        if found[2].lower() not in _UNCLOSED:
            depth = max(0, depth - 1) if found[1] else depth + 1
            if depth > _DEEPEST:
                raise ParseError(f"HTML nested deeper than {_DEEPEST} elements")


def _main(tree: LexborHTMLParser) -> LexborNode | None:
    mains = [node for node in tree.css("main, [role=main]") if not _is_hidden(node)]
    return mains[0] if len(mains) == 1 and mains[0].text().strip() else tree.body


def _keeps_header(root: LexborNode) -> bool:
    """A page's header goes, unless the page has no other h1 than the one in it."""
    headings = root.css("h1")
    return bool(headings) and all(_in_page_header(node) for node in headings)


def _in_page_header(node: LexborNode) -> bool:
    return any(above.tag == "header" for above in _ancestors(node))


def _ancestors(node: LexborNode) -> Iterator[LexborNode]:
    above = node.parent
    while above is not None:
        yield above
        above = above.parent


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    if not attributes:
        return False
    if "hidden" in attributes or attributes.get("aria-hidden") == "true" or attributes.get("role") in _ROLES:
        return True
    return bool(_HIDING.search(attributes.get("style") or ""))


@dataclass(slots=True)
class _Walk:
    """Depth first without recursion; `_text` gathers what stands on one level of blocks."""

    out: BlockWriter
    keep_header: bool
    _text: list[str] = field(default_factory=list)
    _articles: int = 0

    def run(self, root: LexborNode) -> None:
        stack: list[tuple[LexborNode, bool]] = [(root, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                self._leave(node)
            elif self._enter(node):
                stack.append((node, True))
                stack.extend((child, False) for child in reversed(list(node.iter(include_text=True))))
        self._flush()

    def _enter(self, node: LexborNode) -> bool:
        """Take a node; True when its children are to be visited."""
        tag = node.tag or ""
        if tag == "-text":
            self._text.append(_SPACES.sub(" ", node.text_content or ""))
            return False
        if tag in _SKIPPED or _is_hidden(node) or self._is_page_header(tag):
            return False
        if tag == "br":
            self._text.append("\n")
            return False
        if tag in _PARTS:
            self._flush()
            return self._open(tag, node)
        return True

    def _is_page_header(self, tag: str) -> bool:
        return tag == "header" and not self.keep_header and not self._articles

    def _open(self, tag: str, node: LexborNode) -> bool:
        if tag in ("ul", "ol", "menu"):
            self.out.open_list(_first_number(node) if tag == "ol" else None)
        elif tag == "li" and self.out.in_list:
            self.out.item()
        elif tag in ("main", "article"):
            self._articles += 1
        elif tag in _HEADINGS:
            self.out.heading(_HEADINGS[tag], _visible_text(node))
            return False
        elif tag == "pre":
            self.out.code(_visible_text(node))
            return False
        elif tag == "table" and _is_data(node):
            self._table(node)
            return False
        return True

    def _leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag not in _PARTS:
            return
        self._flush()
        if tag in ("ul", "ol", "menu"):
            self.out.close_list()
        elif tag in ("main", "article"):
            self._articles -= 1

    def _flush(self) -> None:
        if self._text:
            text, self._text = "".join(self._text), []
            self.out.paragraph(text)

    def _table(self, table: LexborNode) -> None:
        caption = table.css_first("caption")
        if caption is not None:
            self.out.paragraph(_visible_text(caption))
        self.out.table([_cells(row) for row in table.css("tr") if not _is_hidden(row)])


def _first_number(node: LexborNode) -> int:
    start = node.attributes.get("start") or ""
    return int(start) if start.isdecimal() and len(start) < 9 else 1


def _is_data(table: LexborNode) -> bool:
    """Whether it has columns, and is not there for the layout of a page."""
    if table.css_first("h1, h2, h3") is not None or len(table.css("table")) > 1:
        return False
    return any(len(_cells(row)) > 1 for row in table.css("tr"))


def _cells(row: LexborNode) -> list[str]:
    return [_visible_text(cell) for cell in row.iter() if cell.tag in ("td", "th") and not _is_hidden(cell)]


def _visible_text(root: LexborNode) -> str:
    """Text under a node as it stands in the source, hidden parts left out."""
    pieces: list[str] = []
    stack = [root]
    while stack:
        node = stack.pop()
        tag = node.tag or ""
        if tag == "-text":
            pieces.append(node.text_content or "")
        elif tag == "br":
            pieces.append("\n")
        elif tag not in _SKIPPED and not _is_hidden(node):
            stack.extend(reversed(list(node.iter(include_text=True))))
            if tag in _PARTS and node is not root:
                pieces.append(" ")
    return "".join(pieces)
