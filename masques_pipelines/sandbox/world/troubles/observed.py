"""A day as it is observed, which a trouble changes; the ledger's own records never change."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import numpy as np

from masques_pipelines.sandbox.world.day import Day
from masques_pipelines.sandbox.world.payments import Wallets
from masques_pipelines.sandbox.world.population import Population
from masques_pipelines.sandbox.world.shape import DAY, LEDGERS, SECOND, Column, Rows

Id = tuple[int, int]
HOUR: Final = 3_600 * SECOND


@dataclass(frozen=True)
class Trouble:
    """A trouble: its parameters, from which all else follows.

    Attributes:
        number: Names it within the world.
        kind: One of the catalogue.
        at_ns: It hits the first thing that it can from then on, on the same day.
    """

    number: int
    kind: str
    at_ns: int


@dataclass(frozen=True)
class Finding:
    """What names a trouble.

    Attributes:
        by: quarantine, file, intake, rails, settlement, balance, break or spans, as
            sql/sandbox/found.sql and found_spans.sql say.
        name: The reason, state, kind or class.
        reference: A file and line, a file, or an id.
    """

    by: str
    name: str
    reference: str


@dataclass
class Hit:
    """What a trouble did.

    Attributes:
        ids: What it hit, by kind.
        visible_ns: When it can be seen at the earliest.
        money: What is at stake.
        currency: Of the money.
        findings: What must name it.
        also: What else it may show as.
        classes: Each transfer of ids must be a break of one of these; without transfers each
            settlement.
    """

    ids: dict[str, list[str]]
    visible_ns: int
    money: Decimal = Decimal(0)
    currency: str = ""
    findings: tuple[Finding, ...] = ()
    also: tuple[Finding, ...] = ()
    classes: tuple[str, ...] = ()


def is_break(class_: str, *ids: str) -> tuple[Finding, ...]:
    """Returns the findings that ids are breaks of a class."""
    return tuple(Finding("break", class_, each) for each in ids)


@dataclass(frozen=True)
class ExtraFile:
    """A landing file that a trouble delivers.

    Attributes:
        name: Below the landing zone.
        at_ns: When.
        content: What is in it, given the bytes of another file of the zone.
        of: The other file; '' for none.
    """

    name: str
    at_ns: int
    content: Callable[[bytes], bytes]
    of: str = ""


@dataclass(frozen=True)
class NodeChange:
    """What a rail's node shows otherwise for a while.

    Attributes:
        rail: Name of the network, as the settings of the sandbox have it.
        from_ns: Its clock stands still from then on; or the payment is in a block of then.
        until_ns: Until when; a payment is in its own block after that, on another fork.
        number: The payment; -1 when the node stands still.
    """

    rail: str
    from_ns: int
    until_ns: int
    number: int = -1


@dataclass
class Observed:
    """A day's observations.

    Attributes:
        people: The parties.
        wallets: Their addresses.
        day: As it happened, and as the gate reports it.
        told: Payments as the journal tells them.
        moved: Payments as the rails have them.
        extra: Files besides those of the slices.
        nodes: What nodes show otherwise for a while.
        slice_of: Names the slice that a time is in.
        hit: Rows that troubles hit already: each is hit once.
        ended: Agents whose payment channels end with the day.
    """

    people: Population
    wallets: Wallets
    day: Day
    told: Rows
    moved: Rows
    slice_of: Callable[[int], tuple[int, int, str]]
    extra: list[ExtraFile] = field(default_factory=list)
    nodes: list[NodeChange] = field(default_factory=list)
    hit: set[Id] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)

    @property
    def rows(self) -> dict[str, Rows]:
        """Rows of the day, by kind."""
        return self.day.rows

    def first(self, kind: str, mask: Column, trouble: Trouble) -> int | None:
        """Returns the place of the first row from the trouble's time on that is not hit yet."""
        rows = self.rows[kind]
        # What hangs together with a row shall be of the same day.
        end_ns = self.day.start_ns + DAY - 2 * HOUR
        fits = mask & (rows["t"] >= trouble.at_ns) & (rows["t"] < end_ns)
        for place in np.flatnonzero(fits).tolist():
            key = _key(rows[place])
            if key not in self.hit:
                self.hit.add(key)
                return int(place)
        return None

    def take(self, kind: str, mask: Column) -> Column:
        """Returns which of the rows are not hit yet, and notes that they are now."""
        rows = self.rows[kind]
        free = mask.copy()
        for place in np.flatnonzero(mask).tolist():
            free[place] = _key(rows[place]) not in self.hit
            self.hit.add(_key(rows[place]))
        return free

    def drop(self, kind: str, mask: Column) -> Rows:
        """Takes rows out, and returns them."""
        rows = self.rows[kind]
        self.rows[kind] = rows[~mask]
        return rows[mask]

    def payment(self, rail: int, number: int) -> int:
        """Returns the place of a payment."""
        is_it = (self.moved["rail"] == rail) & (self.moved["number"] == number)
        return int(np.flatnonzero(is_it)[0])


def _key(row: Any) -> Id:
    """Names what a row is about: a request or session, a payment, or a transfer."""
    names = row.dtype.names
    if "number" in names:
        return int(row["rail"]), int(row["number"])
    high, low = row["id" if "id" in names else "transfer"].item()
    return int(high), int(low)


def text(row_id: Any) -> str:
    """Returns an id as text."""
    high, low = row_id.item() if hasattr(row_id, "item") else row_id
    return str(uuid.UUID(int=int(high) << 64 | int(low)))


def money(units: int, ledger: int) -> tuple[Decimal, str]:
    """Returns an amount in whole units, and its currency."""
    return Decimal(int(units)).scaleb(-LEDGERS[ledger].scale), LEDGERS[ledger].asset
