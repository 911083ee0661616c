"""Jupyter notebooks: Markdown cells as Markdown, code cells as code, each with the text that it printed."""

from collections.abc import Mapping, Sequence

import msgspec

from retrieval.ingest.blocks import BlockWriter, Parsed, ParseError
from retrieval.ingest.formats import markdown

Lines = str | list[str]


class _Output(msgspec.Struct):
    text: Lines = ""
    data: Mapping[str, msgspec.Raw] = {}


class _Cell(msgspec.Struct):
    cell_type: str
    source: Lines = ""
    outputs: Sequence[_Output] = ()


class _Notebook(msgspec.Struct):
    cells: Sequence[_Cell]


def read(text: str) -> Parsed:
    """A .ipynb of format 4; pictures and rendered HTML that cells put out are left out."""
    try:
        notebook = msgspec.json.decode(text.encode(), type=_Notebook)
        out = BlockWriter()
        for cell in notebook.cells:
            _write(out, cell)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ParseError("not a notebook of format 4: save it with a current Jupyter, or export it as HTML") from error
    return out.finish()


def _write(out: BlockWriter, cell: _Cell) -> None:
    if cell.cell_type == "markdown":
        markdown.write(_joined(cell.source), out)
    elif cell.cell_type == "code":
        out.code(_joined(cell.source))
        for output in cell.outputs:
            out.code(_joined(output.text) or _plain(output))


def _plain(output: _Output) -> str:
    plain = output.data.get("text/plain")
    return "" if plain is None else _joined(msgspec.json.decode(plain, type=str | list[str]))


def _joined(lines: Lines) -> str:
    return lines if isinstance(lines, str) else "".join(lines)
