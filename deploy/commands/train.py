"""`twinpin train`: weights of your own for the embedder, and for comparing token by token."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.printing import print_line
from deploy.settings import Settings


def train(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of collections: scifact, covid_qa or both.", exists=True, file_okay=False),
    ] = None,
    beir: Annotated[
        list[Path] | None, typer.Option(help="Folder of a judged collection.", exists=True, file_okay=False)
    ] = None,
    split: Annotated[str, typer.Option(help="Which of its judgements.")] = "train",
    squad: Annotated[
        list[Path] | None, typer.Option(help="Articles with answers in them, in SQuAD's format.", exists=True)
    ] = None,
    steps: Annotated[int, typer.Option(help="How long it takes.", min=1)] = 300,
    seed: Annotated[int, typer.Option(help="Of all that is left to chance.", min=0)] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the weights; without it the data folder's models.", file_okay=False)
    ] = None,
) -> None:
    """Train the stable version's embedder on questions with their passages, and tell how to build a version with it."""
    from deploy.pinboard import read_pinboard
    from deploy.progress import RunProgress
    from deploy.results import write_result
    from deploy.training.plan import Plan
    from deploy.training.sets import load_sets
    from deploy.training.story import train as train_weights
    from deploy.training.story import weights_of
    from deploy.training.trained import build_command, recipe_changes

    settings = Settings()
    board = read_pinboard(settings.releases)
    stable = board.recipes[board.pins.index.stable]
    weights_of(stable.embedder)
    sets = load_sets(data, beir or (), split, squad or ())
    with RunProgress("training") as progress:
        folder, training = train_weights(stable, sets, Plan(steps, seed), out or settings.models, progress)
    path = write_result("reranker", "make reranker", training.figures())
    print_line(f"{folder}: trained on {training.told} in {training.seconds:.0f} s; recorded in {path}")
    print_line(training.digest)
    print_line(build_command(stable.name, recipe_changes(stable, folder, training.digest)))
