"""How far the chain is, signed and beside the database: a chain that was cut or made anew does not fit it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from retrieval.durable import replace_file
from retrieval.errors import CatalogError
from retrieval.receipt import Signer
from retrieval.records.chain import Head

_KIND = "record-head+jws"


@dataclass(frozen=True, slots=True)
class HeadFile:
    """One file per data folder; it only ever goes on."""

    path: Path
    signer: Signer

    def write(self, head: Head) -> None:
        """Readers see the old head or the new one, after a power failure too; ReceiptInvalid as in `read`."""
        with self._mapped("written to"), self._alone():
            known = self.read()
            if known is None or known.sequence < head.sequence:
                replace_file(self.path, self.signer.seal(msgspec.json.encode(head), _KIND).encode("ascii"))

    def read(self) -> Head | None:
        """The head as it was signed; ReceiptInvalid when somebody else wrote it."""
        with self._mapped("read from"):
            try:
                signed = self.path.read_text("ascii", errors="replace")
            except FileNotFoundError:
                return None
        return msgspec.json.decode(self.signer.unseal(signed, _KIND), type=Head)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Among all threads and processes: each that comes opens the lock anew."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(f"{self.path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _mapped(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            told = error.strerror or type(error).__name__
            raise CatalogError(f"the head of the records cannot be {what} {self.path.name!r}: {told}") from error
