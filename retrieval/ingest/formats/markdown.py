"""Markdown by its token stream: readable text without marks or link targets."""

from collections.abc import Callable, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from retrieval.ingest.blocks import BlockWriter, Parsed, normalise
from retrieval.ingest.formats import frontmatter, html

_BREAKS = {"softbreak": " ", "hardbreak": "\n"}


def read(text: str) -> Parsed:
    """CommonMark with tables, front matter and embedded HTML."""
    metadata, body = frontmatter.split(normalise(text))
    out = BlockWriter()
    write(body, out)
    return out.finish(title=metadata.get("title"), metadata=metadata)


def write(text: str, out: BlockWriter) -> None:
    """Write Markdown without front matter, such as a notebook's cell, to `out`."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    _Walk(tokens, out).run()


class _Walk:
    """One pass over block tokens."""

    def __init__(self, tokens: Sequence[Token], out: BlockWriter) -> None:
        self._tokens = tokens
        self._out = out
        self._heading: int | None = None
        self._rows: list[list[str]] | None = None
        self._actions: dict[str, Callable[[Token], None]] = {
            "heading_open": self._open_heading,
            "inline": self._inline,
            "fence": self._code,
            "code_block": self._code,
            "html_block": self._html,
            "bullet_list_open": lambda _: self._out.open_list(None),
            "ordered_list_open": lambda token: self._out.open_list(int(token.attrGet("start") or 1)),
            "list_item_open": lambda _: self._out.item(),
            "bullet_list_close": lambda _: self._out.close_list(),
            "ordered_list_close": lambda _: self._out.close_list(),
            "table_open": self._open_table,
            "tr_open": lambda _: self._row(),
            "table_close": self._close_table,
        }

    def run(self) -> None:
        for token in self._tokens:
            action = self._actions.get(token.type)
            if action is not None:
                action(token)

    def _open_heading(self, token: Token) -> None:
        # A heading inside a quotation or a list does not part the document.
        self._heading = int(token.tag[1]) if token.level == 0 else None

    def _inline(self, token: Token) -> None:
        text, level = _plain(token.children or ()), self._heading
        self._heading = None
        if self._rows:
            self._rows[-1].append(text)
        elif level is not None:
            self._out.heading(level, text)
        else:
            self._out.paragraph(text)

    def _code(self, token: Token) -> None:
        self._out.code(token.content)

    def _html(self, token: Token) -> None:
        html.write(token.content, self._out)

    def _open_table(self, _: Token) -> None:
        self._rows = []

    def _row(self) -> None:
        if self._rows is not None:
            self._rows.append([])

    def _close_table(self, _: Token) -> None:
        self._out.table(self._rows or [])
        self._rows = None


def _plain(tokens: Sequence[Token]) -> str:
    return "".join(map(_piece, tokens))


def _piece(token: Token) -> str:
    if token.type == "html_inline":
        return "\n" if token.content.lower().startswith("<br") else ""
    return _BREAKS.get(token.type, token.content)
