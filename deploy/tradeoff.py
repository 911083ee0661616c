"""How the picture of an index version's threshold looks on a terminal: what each error would be at any other."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from retrieval.calibration import Calibration, Point

_WIDTH, _HEIGHT = 60, 14
_ANSWERS, _ABSTENTIONS, _BOTH, _CHOSEN = "●", "○", "◉", "│"
_STYLES = {_ANSWERS: "red", _ABSTENTIONS: "yellow", _BOTH: "magenta", _CHOSEN: "green"}


def show_calibration(console: Console, calibration: Calibration) -> None:
    """The figures, the picture, its legend, and the categories with thresholds of their own."""
    for line in (*_figures(calibration), "", *picture(calibration), "", *_legend(calibration)):
        console.print(_coloured(line), soft_wrap=True)


def picture(calibration: Calibration) -> list[str]:
    """Both errors over the thresholds between which they change, highest first, and the axis."""
    columns = _columns(calibration.curve)
    chosen = min(range(len(columns)), key=lambda n: abs(columns[n].threshold - calibration.threshold))
    rows = [_row(columns, level, chosen) for level in range(_HEIGHT, -1, -1)]
    low, high = columns[0].threshold, columns[-1].threshold
    named = f"{calibration.threshold:.2f}"
    axis = f"{low:<{chosen}.2f}{named}"
    return [*rows, f"      {axis}{high:>{max(6, len(columns) - len(axis))}.2f}"]


def _columns(curve: Sequence[Point]) -> list[Point]:
    """The part of the curve where anything changes, spread over the width."""
    moving = [n for n, one in enumerate(curve) if one.false_answers < 1 and one.false_abstentions < 1]
    first, last = (max(0, moving[0] - 1), min(len(curve) - 1, moving[-1] + 1)) if moving else (0, len(curve) - 1)
    return [curve[first + round(step * (last - first) / (_WIDTH - 1))] for step in range(_WIDTH)]


def _row(columns: Sequence[Point], level: int, chosen: int) -> str:
    label = f"{level / _HEIGHT:>4.0%} " if level in (0, _HEIGHT // 2, _HEIGHT) else "     "
    return f"{label} {''.join(_mark(one, level, n == chosen) for n, one in enumerate(columns))}".rstrip()


def _mark(point: Point, level: int, chosen: bool) -> str:
    answers, abstentions = (round(rate * _HEIGHT) == level for rate in (point.false_answers, point.false_abstentions))
    if answers and abstentions:
        return _BOTH
    if answers:
        return _ANSWERS
    if abstentions:
        return _ABSTENTIONS
    return _CHOSEN if chosen else " "


def _figures(calibration: Calibration) -> Iterator[str]:
    held_out, rule = calibration.held_out, calibration.rule
    aim = "both errors weigh alike" if rule.kind == "even" else f"false answers within {rule.false_answers:.1%}"
    yield f"{calibration.index}, fitted {calibration.fitted:%Y-%m-%d %H:%M} UTC; {aim}"
    yield (
        f"{calibration.answerable} answerable samples, {calibration.unanswerable} unanswerable ones (of which "
        f"{calibration.withheld} with their documents withheld); {calibration.empty} found nothing"
    )
    yield (
        f"threshold {calibration.threshold:g}, area under the curve {calibration.auc:.3f}; held out: false answers "
        f"{held_out.false_answers:.1%}, false abstentions {held_out.false_abstentions:.1%}, Brier {held_out.brier:.3f}"
    )


def _legend(calibration: Calibration) -> Iterator[str]:
    yield f"{_ANSWERS} unanswerable that would be answered  {_ABSTENTIONS} answerable that would not  {_BOTH} both"
    yield "on the samples it was chosen on, so a little too good; the held-out errors above are not"
    for category, threshold in sorted(calibration.categories.items()):
        yield f"{category}: threshold {threshold:g}"


def _coloured(line: str) -> Text:
    text = Text(line)
    for mark, style in _STYLES.items():
        text.highlight_words([mark], style)
    return text
