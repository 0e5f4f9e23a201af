"""Edits one column of one row in each sealed batch: the proof names exactly these batches.

`python -m tests.campaigns.ledger_edits --edits 10000 --seed 1` copies a real server's events in
hundreds of small batches, half of them with one chart and half with another that renames and reuses
words, and edits them in rounds. It fails when a round's findings are not the edited batches, and
when anything is found after the rows were put back.
"""

import argparse
import json
import random
import re
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

from masques_pipelines.ledger import seals
from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.chart import Chart, read_chart
from masques_pipelines.ledger.proofs.integrity import find_changes
from masques_pipelines.ledger.proofs.scope import read_scope
from masques_pipelines.ledger.records import CHANGE_EVENT_DTYPE, records_of
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from tests.support.memory_ledger import MemoryLedger
from tests.support.paths import ROOT

CAPTURE = ROOT / "tests" / "data" / "captures" / "small"
EVENTS_PER_BATCH = 7
Row = dict[str, Any]
Edit = Callable[[random.Random, Any, Row], Any]
ZERO = str(uuid.UUID(int=0))
STATUSES = ("pending", "posted", "voided", "expired", "", "POSTED")
EVENT_TYPES = ("single_phase", "two_phase_pending", "two_phase_posted", "two_phase_voided", "")
# Steps of 10^-18 in one raw unit, by ledger: the scales of the packaged chart.
UNITS = {1: 10**12, 2: 10**7, 3: 10**9}
_BATCH = re.compile(r"batch (\d+) ")
_ROWS = """
SELECT
    s.sequence AS sequence,
    toString(toUnixTimestamp64Nano(t.timestamp)) AS timestamp,
    t.* EXCEPT (one, at_ns, timestamp, amount, ingested_at, chart_version),
    toString(t.amount) AS amount,
    toString(t.chart_version) AS chart_version,
    toString(t.ingested_at) AS ingested_at
FROM (SELECT *, 1 AS one, toUInt64(toUnixTimestamp64Nano(timestamp)) AS at_ns
    FROM masques.transactions) AS t
ASOF JOIN (SELECT 1 AS one, sequence, to_ns FROM masques_ops.ledger_seals FINAL) AS s
    ON s.one = t.one AND t.at_ns <= s.to_ns
ORDER BY t.timestamp
"""
_VERSION = "SELECT max(version) FROM masques_ops.chart_entries"
_PUT_BACK = "INSERT INTO masques.transactions SELECT * FROM masques_ops.kept WHERE {but}"


def other_chart() -> Chart:
    """Returns the packaged chart with words renamed, reused and swapped."""
    chart = read_chart(None)
    codes, types = dict(chart.transfer_codes), dict(chart.resource_types)
    types[1], types[2] = types[2], types[1]
    for code, name in ((3, "tool_call"), (4, "api_call")):
        codes[code] = codes[code].model_copy(update={"name": name})
    return chart.model_copy(update={"transfer_codes": codes, "resource_types": types})


def _shifted(by: int) -> Edit:
    def edit(_dice: random.Random, value: Any, row: Row) -> str:
        return _units_added(value, by * UNITS.get(int(row["ledger"]), 10**18))

    return edit


def _units_added(value: str, steps: int) -> str:
    total = int(Decimal(value).scaleb(18)) + steps
    whole, part = divmod(abs(total), 10**18)
    return f"{'-' if total < 0 else ''}{whole}.{part:018}"


def _constant(*values: Any) -> Edit:
    return lambda dice, _value, _row: dice.choice(values)


def _number(bits: int) -> dict[str, Edit]:
    return {
        "random": lambda dice, _value, _row: dice.getrandbits(bits),
        "zero": _constant(0),
        "most": _constant(2**bits - 1),
        "one more": lambda _dice, value, _row: (int(value) + 1) % 2**bits,
        "one bit": lambda dice, value, _row: int(value) ^ 1 << dice.randrange(bits),
    }


_UUID: dict[str, Edit] = {
    "random": lambda dice, _value, _row: str(uuid.UUID(int=dice.getrandbits(128))),
    "zero": _constant(ZERO),
    "most": _constant(str(uuid.UUID(int=2**128 - 1))),
    "halves swapped": lambda _dice, value, _row: str(
        uuid.UUID(bytes=uuid.UUID(value or ZERO).bytes[8:] + uuid.UUID(value or ZERO).bytes[:8])
    ),
    "itself": lambda _dice, _value, row: row["transaction_id"],
}
_WORD: dict[str, Edit] = {
    "empty": _constant(""),
    "upper": lambda _dice, value, _row: value.upper() or " ",
    "space": lambda _dice, value, _row: value + " ",
    "null byte": lambda _dice, value, _row: value + "\0",
    "unheard of": _constant("evil", "ledger_", "type_", "code_-1"),
}
_HEX: dict[str, Edit] = {
    **_WORD,
    "zeros": lambda _dice, value, _row: "0" * (len(value) or 32),
    "random": lambda dice, _value, _row: f"{dice.getrandbits(128):032x}",
    "short": lambda dice, _value, _row: f"{dice.getrandbits(64):016x}",
    "odd": lambda _dice, value, _row: value[:-1] or "0",
    "newline": lambda _dice, value, _row: value + "\n",
}
KINDS: dict[str, dict[str, Edit]] = {
    "timestamp": {"later": lambda _dice, value, _row: str(int(value) + 1)},
    "transaction_id": _UUID,
    "debit_account_id": {**_UUID, "other side": lambda _d, _v, row: row["credit_account_id"]},
    "credit_account_id": {**_UUID, "other side": lambda _d, _v, row: row["debit_account_id"]},
    "amount": {
        "one unit": _shifted(1),
        "one unit less": _shifted(-1),
        "wrapped": _shifted(2**128),
        "wrapped below": _shifted(-(2**128)),
        "less than a unit": lambda _dice, value, _row: _units_added(value, 1),
        "negative": lambda _dice, value, _row: "-" + value.lstrip("-"),
        "nine units": _shifted(9),
        "zero": _constant("0.000000000000000000"),
        "minus a unit": lambda _dice, _value, row: _shifted(-1)(_dice, "0", row),
    },
    "currency": {**_WORD, "number": lambda _d, _v, row: f"ledger_{row['ledger']}"},
    "transaction_type": {**_WORD, "number": lambda _d, _v, row: f"code_{row['code']}"},
    "resource_type": {**_WORD, "number": lambda _d, _v, row: f"type_{row['resource_code']}"},
    "resource_id": {
        **_WORD,
        "wrapped": lambda dice, value, _row: str(int(value or 0) + (dice.randrange(1, 256) << 24)),
        "wrapped all": lambda _dice, value, _row: str(int(value or 0) + 2**32),
        "leading zero": lambda _dice, value, _row: f"0{value}",
        "sign": lambda _dice, value, _row: f"+{value}",
        "zero": _constant("0"),
        "random": lambda dice, _value, _row: str(dice.getrandbits(24)),
    },
    "status": {**_WORD, "other": _constant(*STATUSES)},
    "attributes": {
        "none": _constant({}),
        "more": lambda _dice, value, _row: {**value, "note": "1"},
        "zero": _constant({"hold_timestamp_ns": "0"}),
        "leading zero": lambda _d, value, _r: {k: f"0{v}" for k, v in value.items()} or {"": ""},
        "wrapped": lambda _d, value, _r: {k: str(int(v) + 2**64) for k, v in value.items()},
        "own time": lambda _d, _v, row: {"hold_timestamp_ns": row["timestamp"]},
    },
    "trace_id": _HEX,
    "span_id": _HEX,
    "pending_id": {**_UUID, "null": _constant(None)},
    "event_type": {**_WORD, "other": _constant(*EVENT_TYPES)},
    "ledger": _number(32),
    "code": _number(16),
    "flags": _number(16),
    "timeout_s": _number(32),
    "resource_code": _number(8),
    "chart_version": {
        "zero": _constant("0"),
        "later": lambda _dice, value, _row: str(int(value) + 1),
        "random": lambda dice, _value, _row: str(dice.getrandbits(63)),
    },
}
# Every column can also take the value of another row.
PAIRS = [(column, kind) for column, kinds in KINDS.items() for kind in [*kinds, "another row's"]]


class World:
    """A copy of a real server's events in many small batches, and what edits of it must show."""

    def __init__(self, warehouse: Warehouse, seed: int) -> None:
        self._warehouse = warehouse
        self._dice = random.Random(seed)
        self._charts: dict[str, Chart] = {}  # by version
        self._fill()
        text = warehouse.text(_ROWS, fmt="JSONEachRow")
        self._rows: list[Row] = [json.loads(line) for line in text.splitlines()]
        self._batches: dict[int, list[Row]] = {}
        for row in self._rows:
            self._batches.setdefault(int(row.pop("sequence")), []).append(row)
        self._ends = {number: int(rows[-1]["timestamp"]) for number, rows in self._batches.items()}
        warehouse.command("DROP TABLE IF EXISTS masques_ops.kept")
        warehouse.command("CREATE TABLE masques_ops.kept AS masques.transactions")
        warehouse.command("INSERT INTO masques_ops.kept SELECT * FROM masques.transactions")
        self._pairs = self._in_turn()
        self.made: Counter[tuple[str, str]] = Counter()

    def round(self) -> tuple[int, list[str]]:
        """Edits a row of each batch; returns how many edits, and what is wrong in the findings."""
        edits = [(number, *self._edited(rows)) for number, rows in self._batches.items()]
        times = ", ".join(before["timestamp"] for _, before, _, _ in edits)
        self._put(f"toUnixTimestamp64Nano(timestamp) NOT IN ({times})", [e[2] for e in edits])
        expected: dict[int, str] = {}
        for number, _before, after, pair in edits:
            expected[number] = " ".join(pair)
            expected.setdefault(self._batch_of(after), f"holds the row of batch {number}")
        findings, _ = find_changes(read_scope(self._warehouse))
        named = {int(match[1]): line for line in findings if (match := _BATCH.match(line))}
        faults = [f"batch {n}: not found: {expected[n]}" for n in expected if n not in named]
        faults += [line for n, line in named.items() if n not in expected]
        return len(edits), faults

    def put_back(self) -> list[str]:
        """Puts every row back; returns what is found nevertheless."""
        self._put("1", [])
        return find_changes(read_scope(self._warehouse))[0]

    def close(self) -> None:
        self._warehouse.command("DROP TABLE masques_ops.kept")

    def _fill(self) -> None:
        with (
            CaptureSource(CAPTURE) as source,
            mock.patch.object(seals, "SEAL_EVENTS_MAX", EVENTS_PER_BATCH),
        ):
            data = source.change_events(0).data
            everything = records_of(data, CHANGE_EVENT_DTYPE, origin="campaign")
            ledger = MemoryLedger(cluster_id=source.cluster_id)
            for end, chart in ((len(everything) // 2, read_chart(None)), (None, other_chart())):
                ledger.events = everything[:end]
                sync_transactions(self._warehouse, ledger, chart)
                self._charts[str(self._warehouse.scalar(_VERSION))] = chart

    def _put(self, but: str, rows: list[Row]) -> None:
        self._warehouse.command("TRUNCATE TABLE masques.transactions")
        self._warehouse.command(_PUT_BACK.format(but=but))
        self._warehouse.insert_json("masques.transactions", [_as_stored(row) for row in rows])

    def _in_turn(self) -> Iterator[tuple[str, str]]:
        while True:
            yield from self._dice.sample(PAIRS, len(PAIRS))

    def _edited(self, rows: list[Row]) -> tuple[Row, Row, tuple[str, str]]:
        """Returns a row of the batch before and after an edit that changes it, and which it was."""
        while True:
            column, kind = next(self._pairs)
            before = self._dice.choice(rows)
            if kind == "another row's":
                value = self._dice.choice(self._rows)[column]
            else:
                value = KINDS[column][kind](self._dice, before[column], before)
            if self._differs(column, before, value):
                self.made[column, kind] += 1
                return before, {**before, column: value}, (column, f"{kind}: {value!r}")

    def _differs(self, column: str, row: Row, value: Any) -> bool:
        before = row[column]
        if column == "amount":
            return Decimal(before) != Decimal(value)
        if column == "chart_version" and value != before and value in self._charts:
            # Not of the ledger's: where both charts have the same words, the row says the same.
            return self._words(row, before) != self._words(row, value)
        return bool(before != value)

    def _words(self, row: Row, version: str) -> tuple[str | None, ...]:
        chart = self._charts[version]
        code, type_ = int(row["code"]), int(row["resource_code"])
        known = chart.transfer_codes.get(code)
        return known.name if known else None, chart.resource_types.get(type_)

    def _batch_of(self, row: Row) -> int:
        """Returns the batch in whose range the row's time is."""
        time_ns = int(row["timestamp"])
        return next((n for n, end in self._ends.items() if time_ns <= end), max(self._ends))


def _as_stored(row: Row) -> Row:
    """Returns a row as the engine takes it: a time of nanoseconds is a decimal number."""
    whole, part = divmod(int(row["timestamp"]), 10**9)
    return {**row, "timestamp": f"{whole}.{part:09}"}


def run(warehouse: Warehouse, *, edits: int, seed: int) -> tuple[int, int, list[str], set[str]]:
    """Returns how many edits and rounds were made, what went wrong, and the pairs not tried."""
    world = World(warehouse, seed)
    made = rounds = 0
    faults: list[str] = []
    try:
        while made < edits:
            more, wrong = world.round()
            made, rounds = made + more, rounds + 1
            faults += [f"round {rounds}: {each}" for each in wrong]
        faults += [f"at the end: {each}" for each in world.put_back()]
    finally:
        world.close()
    untried = {" ".join(pair) for pair in PAIRS if not world.made[pair]}
    return made, rounds, faults, untried


def main() -> None:
    """Runs the campaign in a home of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        settings = read_settings({"MASQUES_HOME": str(Path(folder))})
        with open_warehouse(settings, origin=Origin(job="campaign")) as warehouse:
            migrate(warehouse)
            made, rounds, faults, untried = run(
                warehouse, edits=arguments.edits, seed=arguments.seed
            )
    took_s = time.monotonic() - began_s
    lines = [
        f"{made:,} edits in {rounds} rounds, {len(faults)} faults, {took_s:.0f} s",
        f"{len(PAIRS) - len(untried)} of {len(PAIRS)} kinds of edits were tried",
        *(f"FAULT {each}" for each in faults[:100]),
    ]
    print("\n".join(lines))  # noqa: T201 - a command
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
