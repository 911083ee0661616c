"""Write the dashboards' JSON: `python -m deploy.grafana`."""

import json
from pathlib import Path

from deploy.grafana.cost import COST
from deploy.grafana.panels import Board
from deploy.grafana.quality import QUALITY
from deploy.grafana.service import SERVICE
from deploy.grafana.versions import VERSIONS

BOARDS = SERVICE, COST, QUALITY, VERSIONS
FOLDER = Path(__file__).parent


def path_of(board: Board) -> Path:
    """The file of a dashboard."""
    return FOLDER / f"{board.uid.removeprefix('twinpin-')}.json"


def text_of(board: Board) -> str:
    """What is in it."""
    return json.dumps(board.render(), indent=2) + "\n"


def main() -> None:
    """Write all of them."""
    for board in BOARDS:
        path_of(board).write_text(text_of(board), "utf-8")


if __name__ == "__main__":
    main()
