"""Writes the landing files of a slice of time: what the gate and its neighbours deliver of it.

A slice has fixed edges, so the files of a world are the same however its clock moves.
"""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from masques_pipelines.sandbox.world import tables
from masques_pipelines.sandbox.world.announcements import journal_lines
from masques_pipelines.sandbox.world.day import Day
from masques_pipelines.sandbox.world.payments import Wallets
from masques_pipelines.sandbox.world.population import Population
from masques_pipelines.sandbox.world.shape import DAY, LEDGERS, RAILS, SECOND, Rows
from masques_pipelines.whole_file import whole_file

# Older than any file that may still grow.
_AGE_S: Final = 60
_NOTES: Final = ("served nothing", "served too late", "")
_IDENTITY_FIELDS: Final = (
    "identity_id",
    "identity_type",
    "created_at",
    "display_name",
    "attributes",
    "external_ids",
    "status",
    "updated_at",
)


_PARQUET: Final = (
    ("api_requests", "requests", tables.requests),
    ("masque_sessions", "sessions", tables.sessions),
    ("reputation_events", "ratings", tables.ratings),
)


@dataclass(frozen=True)
class Slice:
    """A stretch of time, closed at its beginning and open at its end, nanoseconds since 1970."""

    begin_ns: int
    end_ns: int

    @property
    def name(self) -> str:
        """Names the files of the slice."""
        begin, end = (
            datetime.fromtimestamp(each // SECOND, UTC) for each in (self.begin_ns, self.end_ns)
        )
        return f"{begin:%Y%m%d-%H%M%S}-{end:%H%M%S}"

    def of(self, rows: Rows) -> Rows:
        """Returns the rows of the slice, which are ordered by time."""
        start, end = np.searchsorted(rows["t"], [self.begin_ns, self.end_ns]).tolist()
        return rows[start:end]


@dataclass(frozen=True)
class LandingFiles:
    """Writes files below a landing zone; one that is there is left as it is.

    Attributes:
        root: The landing zone.
        people: The parties.
        wallets: Their addresses.
    """

    root: Path
    people: Population
    wallets: Wallets

    def write_first(self) -> None:
        """Writes the identities that are there when the world begins."""
        self.put("identities/first.csv", lambda: csv_of(_IDENTITY_FIELDS, self._first_identities()))

    def write(self, day: Day, cut: Slice, payments: Rows) -> None:
        """Writes the files of a slice; a kind without rows has none.

        Args:
            day: The day that the slice is of.
            cut: The slice.
            payments: Those of the day and of the day before.
        """
        people, name = self.people, cut.name
        rows = {kind: cut.of(each) for kind, each in day.rows.items()}
        for folder, kind, made in _PARQUET:
            if len(rows[kind]):
                self.put(f"{folder}/{name}.parquet", partial(_parquet, made, people, rows[kind]))
        if len(rows["links"]):
            self.put(
                f"payment_links/{name}.csv.gz",
                lambda: gzip.compress(
                    csv_of(
                        ("transaction_id", "refund_of", "timestamp", "note"), _links(rows["links"])
                    ),
                    mtime=0,
                ),
            )
        if len(rows["keys"]):
            self.put(
                f"identities/{name}.csv", lambda: csv_of(_IDENTITY_FIELDS, self._keys(rows["keys"]))
            )
        if len(rows["lines"]):
            said = journal_lines(
                self.wallets, people.shape.seed, rows["lines"], day.named, payments
            )
            self.put(f"settlement_journal/{name}.ndjson", lambda: "".join(said).encode())
        if cut.begin_ns == day.start_ns:
            self.put(
                f"exchange_rates/{name[:8]}.csv",
                lambda: csv_of(("currency", "quoted_at", "usd"), _rates(day)),
            )

    def put(self, name: str, content: Callable[[], bytes]) -> None:
        """Writes a file so that it is there whole or not at all, and settled."""
        path = self.root / name
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, age_s=_AGE_S) as file:
            file.write(content())

    def _first_identities(self) -> Iterable[tuple[Any, ...]]:
        shape = self.people.shape
        for number in range(shape.agents + shape.authors):
            at_ns = shape.start_ns - DAY + number * SECOND
            yield self._identity(number, version=1, at_ns=at_ns)

    def _keys(self, rows: Rows) -> Iterable[tuple[Any, ...]]:
        for t, agent, version in rows.tolist():
            yield self._identity(agent, version=version, at_ns=t)

    def _identity(self, number: int, *, version: int, at_ns: int) -> tuple[Any, ...]:
        shape = self.people.shape
        is_agent = number < shape.agents
        party = number if is_agent else shape.agents - 1 - number
        created_ns = shape.start_ns - DAY + number * SECOND
        (identity,) = tables.id_texts(self.people.ids[1][number : number + 1])
        wallets = {rail: self.wallets.of(place, party) for place, rail in enumerate(RAILS[:2])}
        return (
            identity,
            "agent" if is_agent else "user",
            moment(created_ns),
            f"agent {number}" if is_agent else f"author {number - shape.agents}",
            json.dumps({"plan": ("free", "pro")[number % 2]}),
            json.dumps({**wallets, "key": f"k-{number}-{version}"}),
            "active",
            moment(at_ns),
        )


def moment(ns: int) -> str:
    """Returns a time as ISO 8601, to the nanosecond."""
    whole, rest = divmod(ns, SECOND)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _links(rows: Rows) -> Iterable[tuple[str, ...]]:
    refunds, paid = tables.id_texts(rows["transfer"]), tables.id_texts(rows["of"])
    for refund, of, t, note in zip(
        refunds, paid, rows["t"].tolist(), rows["note"].tolist(), strict=True
    ):
        yield refund, of, moment(t), _NOTES[note]


def _rates(day: Day) -> Iterable[tuple[str, ...]]:
    for ledger, rate in list(zip(LEDGERS, day.rates.tolist(), strict=True))[1:]:
        yield ledger.asset, moment(day.start_ns), str(rate)


def csv_of(fields: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """Returns rows as a CSV file with a header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows(rows)
    return out.getvalue().encode()


def _parquet(made: Callable[[Population, Rows], Any], people: Population, rows: Rows) -> bytes:
    return parquet_of(made(people, rows))


def parquet_of(table: Any) -> bytes:
    """Returns a table as a Parquet file."""
    from pyarrow import parquet  # noqa: PLC0415 - it takes long to load

    out = io.BytesIO()
    parquet.write_table(table, out, compression="zstd")
    return out.getvalue()
