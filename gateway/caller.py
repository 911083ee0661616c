"""A verified caller: for whom everything is read, and by which credential."""

from dataclasses import dataclass

from retrieval.acl import Principal


@dataclass(frozen=True, slots=True)
class Caller:
    """Access is the `principal`'s alone. `credential` names the key or the issuer and is safe to show and to record.

    `app` is the subject of the app that acts for the principal, where one does.
    """

    principal: Principal
    credential: str
    app: str | None = None
