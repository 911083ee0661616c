"""How far the chain is, signed and beside the database: a chain that was cut or made anew does not fit it."""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

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
        """Readers see the old head or the new one."""
        known = self.read()
        if known is not None and known.sequence >= head.sequence:
            return
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            draft.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(self.signer.seal(msgspec.json.encode(head), _KIND), "ascii")
            draft.replace(self.path)
        except OSError as error:
            raise CatalogError(f"the head of the records cannot be written to {self.path.name!r}") from error

    def read(self) -> Head | None:
        """The head as it was signed; ReceiptInvalid when somebody else wrote it."""
        try:
            signed = self.path.read_text("ascii")
        except FileNotFoundError:
            return None
        return msgspec.json.decode(self.signer.unseal(signed, _KIND), type=Head)
