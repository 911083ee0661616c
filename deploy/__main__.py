"""The operator's command line: `twinpin`, or `python -m deploy`."""

import sys

import typer
from pydantic import ValidationError

from deploy.client import GatewayRefused
from deploy.commands import asking, documents, evaluate, gates, index, ingest, keys, records, stack, train
from deploy.desk import UnclearTenant
from deploy.exporting import CannotExport
from deploy.keys import KeyFileError
from deploy.local import StackError
from deploy.pinboard import ReleaseConfigError
from deploy.recorddesk import RecordMissing
from deploy.replaying import CannotReplay
from retrieval.errors import RetrievalError
from retrieval.layout import settings_refused
from serving.errors import ServingError

REFUSED = 2
_EXPECTED = (
    CannotExport,
    CannotReplay,
    GatewayRefused,
    KeyFileError,
    RecordMissing,
    ReleaseConfigError,
    RetrievalError,
    ServingError,
    StackError,
    UnclearTenant,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Twinpin: two pins, one for the index, one for the model.",
)
for command in (
    asking.ask,
    asking.search,
    ingest.ingest,
    documents.erase,
    records.explain,
    records.replay,
    stack.run,
    stack.serve_model,
    stack.bench,
    train.train,
):
    app.command(command.__name__.replace("_", "-"))(command)
for group, name in (
    (documents.app, "documents"),
    (evaluate.app, "evaluate"),
    (gates.app, "gates"),
    (index.app, "index"),
    (keys.app, "keys"),
    (records.app, "records"),
):
    app.add_typer(group, name=name)


def main() -> None:
    """Run a command; expected refusals are one line on standard error and exit code 2."""
    try:
        app()
    except ValidationError as error:  # pydantic checks settings here, and nothing else
        sys.stderr.write(f"twinpin: {settings_refused(error)}\n")
        sys.exit(REFUSED)
    except _EXPECTED as error:
        sys.stderr.write(f"twinpin: {error}\n")
        sys.exit(REFUSED)


if __name__ == "__main__":
    main()
