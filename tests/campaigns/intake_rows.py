"""Loads many odd rows: each ends in one way, and what is known of a row beforehand comes true.

`python -m tests.campaigns.intake_rows --size 1000000 --seed 1` writes files of good rows, of rows
that were delivered before, of others with a key that was, of rows with odd values and damaged
lines; then it runs the intake. It fails when a row that was written is not loaded, a duplicate, in
quarantine or blank, when a good row is not in its table with its content, when a repeated row is
loaded twice, or when a row with another content under the same key is not in quarantine.
"""

import argparse
import csv
import gzip
import io
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import parquet

from masques_pipelines.intake.run import load_table
from masques_pipelines.intake.tables import TABLES, IntakeTable
from masques_pipelines.landing.zone import Landing, open_landing
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.sql import sql
from masques_pipelines.zstd import compress
from tests.campaigns.intake_files import ODD_VALUES
from tests.support.fresh_schema import fresh_schema
from tests.support.gate_rows import GOOD, Row, at

ROWS_OF_A_FILE: Final = 10_000
FILES_MIN: Final = 40
# Good rows have numbers below this one; rows that are odd have others, so that neither meets.
ODD_FROM: Final = 10**9
ODD_KEYS: Final = 5_000
# Times of good rows lie within yesterday's afternoon.
SECONDS: Final = 40_000
TIMES: Final = ("timestamp", "donned_at", "updated_at")
# A field whose content makes another row of the same key.
OTHER: Final = {
    "identities": "display_name",
    "masque_sessions": "intent",
    "api_requests": "resource_id",
    "reputation_events": "event_type",
    "payment_links": "note",
}
KINDS: Final = ("good", "same", "conflict", "odd", "damaged", "blank")
WEIGHTS: Final = (50, 8, 5, 30, 5, 2)
DAMAGED: Final = (b"{", b"[]", b"\xff\xfe", b"null", b"{}", b"7", b'"x"', b"{}{}", b"\x00", b"{,}")
# Each of another number of fields than any table has.
DAMAGED_CSV: Final = (b"x", b"\xff\xfe", b"1,2,3\xe9", b"\x80,\x00", b"," * 40, "é,ü".encode())
ENDINGS: Final = ("ndjson", "ndjson", "ndjson.gz", "ndjson.zst", "csv", "parquet")


@dataclass
class Outcome:
    """What became of the rows.

    Attributes:
        written: Rows by what they were meant to be.
        ended: Rows by what became of them.
        reasons: Why rows were quarantined.
        faults: What is wrong; nothing, when all is right.
    """

    written: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


@dataclass
class _Told:
    """What was written of a table: how many good rows, their charges, and lines by their kind."""

    good: int = 0
    charged: Decimal = Decimal(0)
    lines: int = 0
    same: int = 0
    good_lines: set[tuple[str, int]] = field(default_factory=set)
    conflicts: set[tuple[str, int]] = field(default_factory=set)


class Producer:
    """Writes files of one seed."""

    def __init__(self, seed: int, zone: Path) -> None:
        self.dice = random.Random(seed)
        self.zone = zone
        self.files = 0
        self.told = {name: _Told() for name in TABLES}
        self.written: Counter[str] = Counter()

    def write(self, rows: int) -> None:
        """Writes one file of a table, in one of the formats."""
        name = self.dice.choice(list(TABLES))
        ending = self.dice.choice(ENDINGS)
        is_csv, is_parquet = ending == "csv", ending == "parquet"
        path = f"{name}/{self.files:06}.{ending}"
        lines: list[Row | bytes] = []
        # The header of CSV is its first record.
        first = 2 if is_csv else 1
        for kind in self.dice.choices(KINDS, WEIGHTS, k=rows):
            made = "odd" if is_parquet and kind in ("damaged", "blank") else kind
            made = "good" if made in ("same", "conflict") and not self.told[name].good else made
            if is_csv and made == "damaged":
                lines.append(self.dice.choice(DAMAGED_CSV))
            else:
                lines.append(self._row(name, made, (path, first + len(lines))))
            self.written[made] += 1
        self.told[name].lines += rows
        target = self.zone / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_encoded(ending, lines))
        # They are loaded in the order of their times.
        written_s = time.time() - 200_000 + self.files
        os.utime(target, (written_s, written_s))
        self.files += 1

    def _row(self, name: str, kind: str, place: tuple[str, int]) -> Row | bytes:
        told, dice = self.told[name], self.dice
        match kind:
            case "good":
                row = _good(name, told.good)
                told.good += 1
                told.charged += Decimal(row.get("charged") or 0)
                told.good_lines.add(place)
                return row
            case "same":
                told.same += 1
                told.good_lines.add(place)
                return _good(name, dice.randrange(told.good))
            case "conflict":
                told.conflicts.add(place)
                return {**_good(name, dice.randrange(told.good)), OTHER[name]: "another"}
            case "odd":
                return self._odd(name)
            case "damaged":
                return self._damaged(name)
            case _:
                return dice.choice((b"", b" ", b"\t \r"))

    def _odd(self, name: str) -> Row:
        dice = self.dice
        row = _good(name, ODD_FROM + dice.randrange(ODD_KEYS))
        for field_name in dice.sample(sorted(row), dice.randrange(1, 4)):
            if dice.random() < 0.2:
                del row[field_name]
            else:
                row[field_name] = dice.choice(ODD_VALUES)
        if dice.random() < 0.1:
            row["more"] = dice.choice(ODD_VALUES)
        return row

    def _damaged(self, name: str) -> bytes:
        dice = self.dice
        if dice.random() < 0.3:
            return dice.choice(DAMAGED)
        line = bytearray(json.dumps(_good(name, ODD_FROM + dice.randrange(ODD_KEYS))).encode())
        for _ in range(dice.randrange(1, 4)):
            start = dice.randrange(len(line) + 1)
            noise = dice.randbytes(dice.randrange(6)).replace(b"\n", b" ")
            line[start : start + dice.randrange(9)] = noise
        return bytes(line)


def _good(name: str, number: int) -> Row:
    changes: Row = {key: at(number % SECONDS) for key in TIMES if key in _FIELDS[name]}
    if name == "masque_sessions":
        changes["doffed_at"] = at(number % SECONDS + 60)
    return GOOD[name](number, **changes)


_FIELDS: Final = {name: frozenset(make(0)) for name, make in GOOD.items()}


def _encoded(ending: str, rows: list[Row | bytes]) -> bytes:
    if ending == "csv":
        return _csv(rows)
    if ending == "parquet":
        return _parquet([row for row in rows if isinstance(row, dict)])
    data = b"".join(
        (row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows
    )
    if ending.endswith("gz"):
        return gzip.compress(data, compresslevel=1)
    return compress(data) if ending.endswith("zst") else data


def _csv(rows: list[Row | bytes]) -> bytes:
    names = sorted({name for row in rows if isinstance(row, dict) for name in row})
    out = io.BytesIO()
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        if isinstance(row, bytes):
            out.write(_taken(text) + row + b"\n")
        else:
            writer.writerow({name: _text(value) for name, value in row.items()})
    return out.getvalue() + _taken(text)


def _taken(text: io.StringIO) -> bytes:
    """Takes out what was written."""
    data = text.getvalue().encode("utf-8", "replace")
    text.seek(0)
    text.truncate()
    return data


def _parquet(rows: list[Row]) -> bytes:
    names = sorted({name for row in rows for name in row})
    columns = {
        name: pa.array([_text(row.get(name)) if name in row else None for row in rows], pa.string())
        for name in names
    }
    out = io.BytesIO()
    parquet.write_table(pa.table(columns), out)
    return out.getvalue()


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = json.dumps(value) if isinstance(value, dict | list | bool) else str(value)
    return text.encode("utf-8", "replace").decode()


def run(warehouse: Warehouse, zone: Path, *, size: int, seed: int) -> Outcome:
    """Writes the rows and loads them."""
    zone.mkdir(parents=True)
    landing = open_landing(read_settings({"MASQUES_LANDING_URL": str(zone)}))
    producer = Producer(seed, zone)
    while sum(producer.written.values()) < size:
        left = size - sum(producer.written.values())
        producer.write(min(ROWS_OF_A_FILE, size // FILES_MIN, left))
    outcome = Outcome(written=producer.written)
    for table in TABLES.values():
        _load(warehouse, landing, table)
        _account(warehouse, table, producer.told[table.name], outcome)
    return outcome


def _load(warehouse: Warehouse, landing: Landing, table: IntakeTable) -> None:
    while load_table(warehouse, landing, table).files_left:
        pass


def _account(warehouse: Warehouse, table: IntakeTable, told: _Told, outcome: Outcome) -> None:
    """Compares what the intake says, what the tables hold, and what was written."""
    name = table.name
    columns = ("rows_read", "blank", "loaded", "duplicates", "quarantined")
    sums = ", ".join(f"sum({each})" for each in columns)
    counts = dict(
        zip(
            columns,
            map(
                int,
                warehouse.row(
                    f"SELECT {sums} FROM masques_ops.intake_files FINAL WHERE folder = '{name}'"
                ),
            ),
            strict=True,
        )
    )
    outcome.ended.update(counts)
    quarantined = {
        (source, int(line)): reason
        for source, line, reason in warehouse.rows(
            "SELECT source, line_no, toString(reason) FROM masques_ops.quarantine FINAL "
            f"WHERE table_name = '{name}'"
        )
    }
    outcome.reasons.update(quarantined.values())
    database, kept = table.kept_in[-1]
    key_number = f"bitAnd(toUInt128({table.key}), toUInt128(18446744073709551615)) - 1"
    charge = "ifNull(sum(charged), 0)" if "charged" in _FIELDS[name] else "toDecimal256(0, 18)"
    good, charged = warehouse.row(
        f"SELECT count(), {charge} FROM {database}.{kept} WHERE {key_number} < {ODD_FROM}"
    )
    facts = {
        "rows that were written are read": (counts["rows_read"], told.lines),
        "rows end in one way": (counts["rows_read"], sum(counts.values()) - counts["rows_read"]),
        "rows in the table": (
            int(warehouse.scalar(f"SELECT count() FROM {database}.{kept}")),
            counts["loaded"],
        ),
        "rows in quarantine": (len(quarantined), counts["quarantined"]),
        "good rows are loaded": (int(good), told.good),
        "good rows keep what was charged": (Decimal(charged), told.charged),
        "good rows are not in quarantine": (len(told.good_lines & quarantined.keys()), 0),
        "conflicts are in quarantine": (
            sum(quarantined.get(place) == f"conflict:{table.key}" for place in told.conflicts),
            len(told.conflicts),
        ),
        "rows that came again are duplicates": (min(counts["duplicates"], told.same), told.same),
        "files that break the rule": (
            len(warehouse.rows(sql("intake/rows_accounted_for"), {"folder": name})),
            0,
        ),
    }
    for fact, (found, wanted) in facts.items():
        if found != wanted:
            outcome.faults.append(f"{name}: {fact}: {found}, not {wanted}")


def main() -> None:
    """Runs the campaign in a warehouse of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        settings = read_settings({"MASQUES_HOME": home})
        with open_warehouse(settings, origin=Origin(job="campaign")) as warehouse:
            fresh_schema(warehouse)
            zone = Path(home) / "landing"
            outcome = run(warehouse, zone, size=arguments.size, seed=arguments.seed)
    print(f"written: {dict(outcome.written)}")  # noqa: T201 - a command
    print(f"ended: {dict(outcome.ended)}")  # noqa: T201
    for reason, count in outcome.reasons.most_common():
        print(f"{count:>8,}  {reason}")  # noqa: T201
    for fault in outcome.faults:
        print(f"FAULT {fault}")  # noqa: T201
    print(f"in {time.monotonic() - began_s:.0f} s")  # noqa: T201
    sys.exit(1 if outcome.faults else 0)


if __name__ == "__main__":
    main()
