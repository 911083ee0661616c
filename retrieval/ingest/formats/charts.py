"""The figures behind a chart of a presentation, as a table."""

from collections.abc import Sequence
from itertools import islice, zip_longest

from pptx.chart.chart import Chart
from pptx.chart.plot import _BasePlot as Plot

from retrieval.ingest.blocks import BlockWriter
from retrieval.ingest.formats.drawings import paragraphs
from retrieval.ingest.formats.values import shown

_MOST_SERIES = 200
_MOST_POINTS = 5000


def write(out: BlockWriter, chart: Chart) -> None:
    """Its title, then a table of categories and series for each of its plots."""
    if chart.has_title:
        out.paragraph(" ".join(one.text for one in paragraphs(chart.chart_title._element)))
    for plot in chart.plots:
        out.table(_rows(plot))


def _rows(plot: Plot) -> list[Sequence[str]]:
    series = list(islice(plot.series, _MOST_SERIES))
    columns = [[str(one) for one in islice(plot.categories, _MOST_POINTS)]]
    columns += [[shown(value) for value in islice(one.values, _MOST_POINTS)] for one in series]
    return [["", *(one.name for one in series)], *zip_longest(*columns, fillvalue="")]
