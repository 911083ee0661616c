"""What tenants, keys and people may take: `limits.yaml` as values, whole and valid, or refused with the reason."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Annotated, Any, Literal, Protocol

import msgspec
import yaml

from gateway.limits.concurrency import Priority

Measure = Literal["requests", "tokens", "dollars"]
MEASURES: tuple[Measure, ...] = ("requests", "tokens", "dollars")
NANO = 1_000_000_000  # budgets count whole billionths of a dollar, so that sums are exact
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_RATE = re.compile(rf"(\d{{1,12}}(?:\.\d{{1,6}})?)/({'|'.join(_SECONDS)})", re.ASCII)
_MOST_DOLLARS = 1_000_000  # in billionths this is still a whole number to Redis, which counts in doubles


class LimitsRefused(Exception):
    """`limits.yaml` is not there or not valid; the text says what and where."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So much in any span of so many seconds; of dollars, billionths."""

    amount: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Caps:
    """The limits of one tenant, key or person; None is no limit, and no priority of its own."""

    concurrency: int | None = None
    requests: Rate | None = None
    tokens: Rate | None = None
    dollars: Rate | None = None
    priority: Priority | None = None

    @property
    def rates(self) -> tuple[Rate | None, Rate | None, Rate | None]:
        """In the order of `MEASURES`."""
        return self.requests, self.tokens, self.dollars

    def scaled(self, share: float) -> "Caps":
        """A part of each limit."""
        places = None if self.concurrency is None else _part(self.concurrency, share)
        parts = (None if rate is None else Rate(_part(rate.amount, share), rate.seconds) for rate in self.rates)
        requests, tokens, dollars = parts
        return replace(self, concurrency=places, requests=requests, tokens=tokens, dollars=dollars)


NO_CAPS = Caps()


@dataclass(frozen=True, slots=True)
class Limited:
    """What every tenant, key and person may take, and what single ones, or an issuer's people, may instead."""

    tenant: Caps
    key: Caps = NO_CAPS
    tenants: Mapping[str, Caps] = field(default_factory=dict)
    keys: Mapping[str, Caps] = field(default_factory=dict)
    person: Caps = NO_CAPS
    issuers: Mapping[str, Caps] = field(default_factory=dict)

    def of_tenant(self, tenant: str) -> Caps:
        """A tenant's limits."""
        return self.tenants.get(tenant, self.tenant)

    def of_key(self, prefix: str) -> Caps:
        """The limits of the key that begins like this."""
        return self.keys.get(prefix, self.key)

    def of_person(self, issuer: str) -> Caps:
        """The limits of each person who comes with a token of this issuer."""
        return self.issuers.get(issuer, self.person)


class InForce(Protocol):
    """Where the limits that count now are found; `refusal` says why later ones do not."""

    @property
    def limited(self) -> Limited: ...

    @property
    def refusal(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Unchanging:
    """Limits of a deployment that has no file of them."""

    limited: Limited
    refusal: None = None


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits as the file writes them: what is left out stays as it is for everybody, null is no limit."""

    concurrency: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType | None = msgspec.UNSET
    requests: str | msgspec.UnsetType | None = msgspec.UNSET
    tokens: str | msgspec.UnsetType | None = msgspec.UNSET
    dollars: str | msgspec.UnsetType | None = msgspec.UNSET
    priority: Priority | msgspec.UnsetType = msgspec.UNSET

    def over(self, caps: Caps, where: str) -> Caps:
        """These limits, and where there are none those of `caps`."""
        changed: dict[str, Any] = {} if self.concurrency is msgspec.UNSET else {"concurrency": self.concurrency}
        if self.priority is not msgspec.UNSET:
            changed["priority"] = self.priority
        for measure in MEASURES:
            written = getattr(self, measure)
            if written is not msgspec.UNSET:
                changed[measure] = None if written is None else _rate(written, measure, f"{where}.{measure}")
        return replace(caps, **changed)


class _Defaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tenant: _Written = _Written()
    key: _Written = _Written()
    person: _Written = _Written()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    defaults: _Defaults = _Defaults()
    tenants: dict[str, _Written] = {}
    keys: dict[str, _Written] = {}
    issuers: dict[str, _Written] = {}


def parse_limits(raw: bytes, concurrency: int) -> Limited:
    """The limits that the content of the file describes; `concurrency` is every tenant's unless it says otherwise."""
    try:
        written = msgspec.convert(yaml.safe_load(raw.decode()) or {}, _File)
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise LimitsRefused(f"the limits are not valid: {error}") from error
    tenant = written.defaults.tenant.over(Caps(concurrency), "defaults.tenant")
    key = written.defaults.key.over(NO_CAPS, "defaults.key")
    person = written.defaults.person.over(NO_CAPS, "defaults.person")
    return Limited(
        tenant,
        key,
        {name: one.over(tenant, f"tenants.{name}") for name, one in written.tenants.items()},
        {name: one.over(key, f"keys.{name}") for name, one in written.keys.items()},
        person,
        {name: one.over(person, f"issuers.{name}") for name, one in written.issuers.items()},
    )


def _rate(written: str, measure: Measure, where: str) -> Rate:
    found = _RATE.fullmatch(written)
    if found is None:
        raise LimitsRefused(f"{where} is {written!r}: write an amount per {', '.join(_SECONDS)}, like 600/minute")
    amount, seconds = Decimal(found[1]), _SECONDS[found[2]]
    if measure == "dollars":
        if amount > _MOST_DOLLARS:
            raise LimitsRefused(f"{where} is {written!r}: more than {_MOST_DOLLARS} dollars cannot be counted")
        return Rate(int(amount * NANO), seconds)
    if amount != int(amount):
        raise LimitsRefused(f"{where} is {written!r}: {measure} are whole numbers")
    return Rate(int(amount), seconds)


def _part(amount: int, share: float) -> int:
    """Never nothing of something."""
    return min(amount, max(1, int(amount * share)))
