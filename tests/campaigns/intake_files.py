"""Drops many odd files into a landing zone and loads them: each ends in one way, with its reason.

`python -m tests.campaigns.intake_files --files 10000 --seed 1` writes generated files and mutations
of real ones, under good and odd names, with entries that are no files among them, some of which a
store fails to give; then it runs the intake until nothing is due. It fails when a file that was
offered is not loaded, a duplicate, in quarantine or passed over, when a row of a file is not, when
a table does not hold what was loaded, or when a second run changes anything.
"""

import argparse
import errno
import gzip
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from masques_pipelines.intake.run import load_table
from masques_pipelines.intake.tables import TABLES, IntakeTable
from masques_pipelines.landing.file_log import ATTEMPTS_MAX
from masques_pipelines.landing.zone import Landing, open_landing
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.sql import sql
from masques_pipelines.zstd import compress as zstd_compress
from tests.support.fresh_schema import fresh_schema
from tests.support.gate_files import FORMATS
from tests.support.gate_rows import GOOD, Row, ndjson
from tests.support.paths import ROOT

GATE_DAY = "tests/data/gate_day"
# What a name ends in, beside those of FORMATS.
ODD_ENDINGS = ("json", "ndjson.bz2", "ndjson.1", "tsv", "parq", "", "ndjson.tmp", "csv.part", "gz")
ODD_NAMES = (
    "a b",
    "ü",
    "x'y",
    "%20",
    "a\nb",
    "a\tb",
    "\x1b[1m",
    "{s}",
    "*?[",
    "x" * 230,
    "..a",
    "@1",
)
ODD_FOLDERS = ("api_request", "API_Requests", "identities_old", "gate/identities", "lost")
ODD_VALUES: tuple[Any, ...] = (
    *(None, "", "x", -1, 2**64, 1e300, "NaN", [], {}, {"a": [1]}, True, "2026-02-30", "9" * 400),
    *("0" * 32, "paid", 10**19, "1e-7", "\x00", "\ud800", "Ünïcode", "12:30", " "),
)
FAULTS: tuple[Exception, ...] = (
    OSError(errno.EIO, "Input/output error"),
    PermissionError(errno.EACCES, "Permission denied"),
    FileNotFoundError(errno.ENOENT, "gone"),
    RuntimeError("an error of a store's library"),
)
# Files that producers were shown and a gate delivered, mutated beside generated ones.
REAL_FILES: Mapping[str, tuple[str, ...]] = {
    name: (f"docs/landing/{name}.example.ndjson", f"{GATE_DAY}/{name}.{ending}")
    for name, ending in (
        ("identities", "csv"),
        ("payment_links", "csv"),
        ("masque_sessions", "ndjson"),
        ("api_requests", "ndjson"),
        ("reputation_events", "ndjson"),
    )
}
ENDED = ("loaded", "same", "failed", "passed_over")
ROUNDS_MAX = 100


@dataclass
class Outcome:
    """What became of the files.

    Attributes:
        offered: Entries that were dropped, but for folders.
        ended: How many ended in which way.
        reasons: Why files failed or were passed over, and rows were quarantined.
        faults: What is wrong; nothing, when all is right.
    """

    offered: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class Producer:
    """Drops files of one seed."""

    def __init__(self, seed: int, zone: Path) -> None:
        self.dice = random.Random(seed)
        self.zone = zone
        self.offered = 0
        self.fails: dict[str, Exception] = {}
        self._earlier: list[bytes] = []

    def drop(self) -> None:
        """Drops one entry."""
        dice = self.dice
        table = dice.choice(list(TABLES))
        name, data = self._content(table)
        folder = self.zone / (dice.choice(ODD_FOLDERS) if dice.random() < 0.02 else table)
        stem = f"{self.offered:06}"
        if dice.random() < 0.1:
            stem = f"{stem}{dice.choice(ODD_NAMES)}"
        if dice.random() < 0.05:
            name = f"day.{dice.choice(ODD_ENDINGS)}".rstrip(".")
        path = folder / f"{stem}.{name.split('.', 1)[-1]}" if "." in name else folder / stem
        if dice.random() < 0.02:
            path = path.with_name(f"{dice.choice('._')}{path.name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        target = os.fsencode(path)
        if dice.random() < 0.02:
            target = target.replace(os.fsencode(stem), os.fsencode(stem) + b"\xff", 1)
        self.offered += 1
        if dice.random() < 0.03:
            self._odd_entry(target)
            return
        with open(target, "wb") as file:  # noqa: PTH123 - the name is bytes
            file.write(data)
        self._date(target)
        if dice.random() < 0.03:
            self.fails[path.name] = dice.choice(FAULTS)

    def _content(self, table: str) -> tuple[str, bytes]:
        dice = self.dice
        if dice.random() < 0.3:
            name, data = self._part_of_a_real_file(table)
            return name, self._mutated(data) if dice.random() < 0.5 else data
        name, write = dice.choice(list(FORMATS.items()))
        name = name.rsplit("/", 1)[-1]
        start = dice.randrange(400)
        rows = [GOOD[table](start + n) for n in range(dice.choice((0, 1, 1, 2, 5)) or 1)]
        if dice.random() < 0.3:
            name, data = self._odd_rows(rows)
        else:
            data = write(rows)
        if dice.random() < 0.1 and self._earlier:
            data = dice.choice(self._earlier)  # also under another format's name
        self._earlier.append(data)
        del self._earlier[:-50]
        return name, self._mutated(data) if dice.random() < 0.3 else data

    def _part_of_a_real_file(self, table: str) -> tuple[str, bytes]:
        dice = self.dice
        path = dice.choice(REAL_FILES[table])
        lines = (ROOT / path).read_bytes().splitlines(keepends=True)
        header, rows = (lines[:1], lines[1:]) if path.endswith("csv") else ([], lines)
        start = dice.randrange(len(rows))
        data = b"".join([*header, *rows[start : start + dice.randrange(1, 40)]])
        name = f"real.{path.rsplit('.', 1)[-1]}"
        match dice.randrange(4):
            case 0:
                return f"{name}.gz", gzip.compress(data, mtime=0)
            case 1:
                return f"{name}.zst", zstd_compress(data)
            case _:
                return name, data

    def _odd_rows(self, rows: list[Row]) -> tuple[str, bytes]:
        lines: list[Any] = []
        for row in rows:
            for field_name in self.dice.sample(sorted(row), 2):
                if self.dice.random() < 0.5:
                    row[field_name] = self.dice.choice(ODD_VALUES)
            lines += [row, self.dice.choice((b"", b"{", b"[]", b"\xff", b"null", b"{}", row))]
        data = ndjson(lines)
        return (
            ("a.ndjson.gz", gzip.compress(data)) if self.dice.random() < 0.2 else ("a.ndjson", data)
        )

    def _mutated(self, data: bytes) -> bytes:
        dice, changed = self.dice, bytearray(data)
        for _ in range(dice.randrange(1, 5)):
            place = dice.randrange(len(changed) + 1)
            match dice.randrange(4):
                case 0 if place < len(changed):
                    changed[place] = dice.randrange(256)
                case 1:
                    del changed[place : place + dice.randrange(1, 60)]
                case 2:
                    changed[place:place] = dice.randbytes(dice.randrange(9))
                case _:
                    del changed[place:]
        return bytes(changed)

    def _odd_entry(self, target: bytes) -> None:
        path = Path(os.fsdecode(target))
        links = ("nothing", path.name, "/etc/passwd", "/", "/dev/zero")
        makes: tuple[Callable[[], object], ...] = (
            lambda: os.mkfifo(path),
            lambda: path.symlink_to(self.dice.choice(links)),
        )
        makes[self.dice.random() < 0.8]()

    def _date(self, target: bytes) -> None:
        """Gives most files a time in the past, a few one in the future or a very old one."""
        now_s = time.time()
        ago_s = self.dice.choice((*([60.0] * 30), -7200.0, 200_000.0, now_s - 1))
        os.utime(target, (now_s - ago_s, now_s - ago_s))


class _Faulty(Landing):
    """A landing zone that fails to give some files."""

    fails: dict[str, Exception]

    def open(self, path: str) -> BinaryIO:
        error = self.fails.get(path.rsplit("/", 1)[-1])
        if error is not None:
            raise error
        return super().open(path)


def run(warehouse: Warehouse, zone: Path, *, files: int, seed: int) -> Outcome:
    """Drops the files in rounds and loads them until nothing is due."""
    producer = Producer(seed, zone)
    zone.mkdir(parents=True)
    found = open_landing(read_settings({"MASQUES_LANDING_URL": str(zone)}))
    landing = _Faulty(found.filesystem, found.root, found.description)
    object.__setattr__(landing, "fails", producer.fails)
    for _ in range(files):
        producer.drop()
    for _ in range(ROUNDS_MAX):
        results = [load_table(warehouse, landing, table) for table in TABLES.values()]
        if not any(done.files or done.files_left for done in results):
            break
    outcome = Outcome(offered=producer.offered)
    waiting = sum(done.waiting for done in results)
    _account(warehouse, outcome, waiting)
    before = _state(warehouse)
    for table in TABLES.values():
        if load_table(warehouse, landing, table).files:
            outcome.faults.append(f"{table.name}: a second run read files again")
    changed = sorted(set(_state(warehouse)) ^ set(before))
    if changed:
        outcome.faults.append(f"a second run changed {len(changed)} entries: {changed[:4]}")
    return outcome


def _account(warehouse: Warehouse, outcome: Outcome, waiting: int) -> None:
    for state, problem, attempts, count in warehouse.rows(
        "SELECT toString(state), splitByChar(':', problem)[1], max(attempts), count() "
        "FROM masques_ops.intake_files FINAL GROUP BY 1, 2"
    ):
        outcome.ended[state] += int(count)
        if state in ("failed", "passed_over"):
            outcome.reasons[f"{state} {problem}"] += int(count)
        if attempts > ATTEMPTS_MAX:
            outcome.faults.append(f"{state} {problem}: {attempts} attempts")
    outcome.ended["waiting"] = waiting
    if sum(outcome.ended[name] for name in (*ENDED, "waiting")) != outcome.offered:
        outcome.faults.append(f"{outcome.offered} files were offered, ended: {outcome.ended}")
    for name in set(outcome.ended) - {*ENDED, "waiting"}:
        outcome.faults.append(f"{outcome.ended[name]} files are left {name}")
    for table in TABLES.values():
        _account_rows(warehouse, table, outcome)
    for reason, count in warehouse.rows(
        "SELECT toString(reason), count() FROM masques_ops.quarantine FINAL "
        "WHERE line_no > 0 GROUP BY reason"
    ):
        outcome.reasons[f"row {reason}"] += int(count)


def _account_rows(warehouse: Warehouse, table: IntakeTable, outcome: Outcome) -> None:
    name = table.name
    if warehouse.rows(sql("intake/rows_accounted_for"), {"folder": name}):
        outcome.faults.append(f"{name}: rows of a file are not accounted for")
    if warehouse.rows(sql("intake/keys_unique"), {"keys": f"{name}_keys"}):
        outcome.faults.append(f"{name}: a key is there twice")
    columns = ("rows_read", "blank", "loaded", "duplicates", "quarantined")
    sums = ", ".join(f"sum({each})" for each in columns)
    counts = warehouse.row(
        f"SELECT {sums} FROM masques_ops.intake_files FINAL WHERE folder = '{name}'"
    )
    outcome.rows.update(dict(zip(columns, map(int, counts), strict=True)))
    database, kept = table.kept_in[-1]
    held = int(warehouse.scalar(f"SELECT count() FROM {database}.{kept}"))
    if held != int(counts[2]):
        outcome.faults.append(f"{name}: {counts[2]} rows were loaded, the table holds {held}")


def _state(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "SELECT path, version, toString(state), attempts FROM masques_ops.intake_files FINAL "
        "UNION ALL SELECT source, toString(line_no), toString(state), attempts "
        "FROM masques_ops.quarantine FINAL ORDER BY ALL"
    )


def main() -> None:
    """Runs the campaign in a warehouse of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        settings = read_settings({"MASQUES_HOME": home})
        with open_warehouse(settings, origin=Origin(job="campaign")) as warehouse:
            fresh_schema(warehouse)
            zone = Path(home) / "landing"
            outcome = run(warehouse, zone, files=arguments.files, seed=arguments.seed)
    print(f"{outcome.offered:,} files: {dict(outcome.ended)}")  # noqa: T201 - a command
    print(f"rows: {dict(outcome.rows)}")  # noqa: T201
    for reason, count in outcome.reasons.most_common():
        print(f"{count:>8,}  {reason}")  # noqa: T201
    for fault in outcome.faults:
        print(f"FAULT {fault}")  # noqa: T201
    print(f"in {time.monotonic() - began_s:.0f} s")  # noqa: T201
    sys.exit(1 if outcome.faults else 0)


if __name__ == "__main__":
    main()
