"""The speed and memory of the ledger sync, as ratios within one run: `make bench-ledger`.

Here: five ways through the same events, each in a process of its own so that its peak memory is its
own, and the memory of long back-fills.
Not here: anything that a test relies on.
A re-run measures anew, in temporary folders.

With a TigerBeetle binary (TIGERBEETLE_BIN, or tigerbeetle on PATH) a server is started on loopback
and loaded; without one the tests' capture is tiled to as many events.

(a) reading    draining all change events, nothing else
(b) inserting  the events lie in memory; inserting them as the sync does
(c) sync       sync_transactions from an empty table, seals and final check included
(c') resumed   the same without reading transfers, as a run reads that resumes
(d) by client  query_transfers' dataclasses, a DataFrame, insert_df into a table without indexes
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tigerbeetle as tb

from masques_pipelines.ledger.capture.source import read_capture
from masques_pipelines.ledger.chart import load_chart, read_chart
from masques_pipelines.ledger.connect import open_ledger
from masques_pipelines.ledger.reader import BATCH_EVENTS, EventReader
from masques_pipelines.ledger.records import TIMESTAMP_MAX, Records, timestamps_ns
from masques_pipelines.ledger.source import CHANGE_EVENTS_PER_PAGE_MAX, Page
from masques_pipelines.ledger.transactions import LEASE, insert_events, sync_transactions
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.lease import writer_lease
from tests.support.captures import moved

ROOT = Path(__file__).resolve().parents[1]
PHASES = ("reading", "inserting", "sync", "resumed", "client")
NAMES = {
    "reading": "(a) reading change events alone",
    "inserting": "(b) inserting alone",
    "sync": "(c) our sync, end to end",
    "resumed": "(c') the same, by change events alone",
    "client": "(d) query_transfers, pandas, insert_df",
}
CAPTURE = Path(__file__).parent.parent / "tests" / "data" / "captures" / "small"
CLIENT_EVENTS_MAX = 150_000  # (d) is slow, and its rate does not depend on the length
MEMORY_EVENTS = (100_000, 1_000_000, 5_000_000)


class TiledLedger:
    """The tests' capture, repeated with later times and other ids; pages are made when asked."""

    cluster_id = 1
    release = "tiled"
    description = "memory://tiled capture"
    has_quick_transfers = False

    def __init__(self, events: int) -> None:
        self._tile: Records = np.array(read_capture(CAPTURE).change_events)
        self._events = events
        times = timestamps_ns(self._tile).astype(np.int64)
        # Transfers only at the tile's end, and no hold that reaches into the next one.
        self._span = int(times[-1] - times[0]) + 1
        tiles = -(-events // len(self._tile))
        self._start = time.time_ns() - tiles * self._span - 10**9
        self._offset = self._start - int(times[0])
        self._times = times

    def change_events(
        self, timestamp_min: int, timestamp_max: int = 0, limit: int | None = None
    ) -> Page:
        """Returns change events of that closed range, as LedgerSource does; no page spans tiles."""
        number = max(0, (timestamp_min - self._start) // self._span)
        page = self._tile[:0]
        while len(page) == 0 and number * len(self._tile) < self._events:
            shift = self._offset + number * self._span
            start = np.searchsorted(self._times, timestamp_min - shift)
            end = np.searchsorted(self._times, (timestamp_max or TIMESTAMP_MAX) - shift, "right")
            end = min(end, start + (limit or CHANGE_EVENTS_PER_PAGE_MAX))
            end = min(end, self._events - number * len(self._tile))
            page = moved(self._tile[start:end], number=number, shift_ns=shift)
            number += 1
        return Page(data=page.tobytes(), ledger_time_ns=time.time_ns())

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> "TiledLedger":
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing is held."""


class ByChangeEvents:
    """Any source, as one whose transfers are of no use."""

    has_quick_transfers = False

    def __init__(self, source: Any) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


@contextlib.contextmanager
def opened_source(url: str, events: int) -> Iterator[Any]:
    with open_ledger(url) if url else TiledLedger(events) as source:
        yield source


@contextlib.contextmanager
def new_warehouse() -> Iterator[Warehouse]:
    with tempfile.TemporaryDirectory(prefix="bench-ledger-") as home:
        settings = read_settings({"MASQUES_HOME": home})
        with open_warehouse(settings, origin=Origin(job="bench")) as warehouse:
            migrate(warehouse)
            yield warehouse


def measure(phase: str, url: str, events: int) -> dict[str, float]:
    """Runs one phase in this process; returns events, seconds and peak memory."""
    with opened_source(url, events) as source:
        source.change_events(0, limit=1)  # a session's first call takes 0.6 s, whoever asks
        if phase == "reading":
            started = time.perf_counter()
            reader = EventReader(ByChangeEvents(source), cursor_ns=0)
            count = sum(len(batch.events) for batch in reader.batches())
            seconds = time.perf_counter() - started
        elif phase == "inserting":
            batches = [batch.events for batch in EventReader(source, cursor_ns=0).batches()]
            count = sum(map(len, batches))
            with new_warehouse() as warehouse, writer_lease(warehouse, LEASE) as lease:
                chart = read_chart(None)
                words = chart.parameters(load_chart(warehouse, chart))
                started = time.perf_counter()
                for batch in batches:
                    insert_events(warehouse, lease, words, batch)
                seconds = time.perf_counter() - started
        elif phase in {"sync", "resumed"}:
            ledger = source if phase == "sync" else ByChangeEvents(source)
            with new_warehouse() as warehouse:
                done = sync_transactions(warehouse, ledger, read_chart(None))
                count, seconds = done.events_read, done.duration_s
                again = sync_transactions(warehouse, ledger, read_chart(None)).duration_s
        else:
            count, seconds = by_client(source, url, min(events, CLIENT_EVENTS_MAX))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {"events": count, "seconds": seconds, "peak_mb": peak_mb}
    return {**result, "nothing_new_s": again} if phase in {"sync", "resumed"} else result


def by_client(source: Any, url: str, events: int) -> tuple[int, float]:
    """What is commonly written: one dataclass a transfer, a frame, insert_df."""
    with new_warehouse() as warehouse:
        warehouse.command(
            "CREATE TABLE masques_ops.by_client (id UUID, timestamp DateTime64(9, 'UTC'), "
            "debit_account_id UUID, credit_account_id UUID, amount Decimal(76, 18), ledger UInt32, "
            "code UInt16, flags UInt16, pending_id UUID, trace_id String, timeout UInt32) "
            "ENGINE = MergeTree PARTITION BY toYYYYMM(timestamp) ORDER BY (timestamp, id)"
        )
        if not url:
            return _frames(warehouse, _made_transfers(source, events))
        address = url.removeprefix("tigerbeetle://").partition("/")[0]
        with tb.ClientSync(cluster_id=source.cluster_id, replica_addresses=address) as client:
            client.lookup_accounts([1])
            return _frames(warehouse, _queried_transfers(client, events))


def _queried_transfers(client: tb.ClientSync, events: int) -> Iterator[list[tb.Transfer]]:
    start, read = 0, 0
    while read < events:
        page = client.query_transfers(
            tb.QueryFilter(
                user_data_128=0, user_data_64=0, user_data_32=0, ledger=0, code=0,
                timestamp_min=start, timestamp_max=0, limit=8189, flags=tb.QueryFilterFlags.NONE,
            )
        )  # fmt: skip
        if not page:
            return
        yield page
        start, read = page[-1].timestamp + 1, read + len(page)


def _made_transfers(source: Any, events: int) -> Iterator[list[tb.Transfer]]:
    """Without a server: the same dataclasses, made from the same bytes."""
    for batch in EventReader(source, cursor_ns=0).batches(8189):
        yield [
            tb.Transfer(
                id=_u128(one["transfer_id"]), debit_account_id=_u128(one["debit_account_id"]),
                credit_account_id=_u128(one["credit_account_id"]),
                amount=_u128(one["transfer_amount"]), pending_id=_u128(one["transfer_pending_id"]),
                user_data_128=_u128(one["transfer_user_data_128"]), user_data_64=0, user_data_32=0,
                timeout=int(one["transfer_timeout"]), ledger=int(one["ledger"]),
                code=int(one["transfer_code"]), flags=tb.TransferFlags(int(one["transfer_flags"])),
                timestamp=int(one["timestamp"]),
            )
            for one in batch.events
        ]  # fmt: skip
        events -= len(batch.events)
        if events <= 0:
            return


def _u128(field: Any) -> int:
    return int(field["low"]) | int(field["high"]) << 64


def _frames(warehouse: Warehouse, pages: Iterator[list[tb.Transfer]]) -> tuple[int, float]:
    import decimal  # noqa: PLC0415 - of this phase alone
    import uuid  # noqa: PLC0415

    count, started = 0, time.perf_counter()
    scale = decimal.Decimal(10) ** -6
    for page in pages:
        frame = pd.DataFrame(
            {
                "id": [uuid.UUID(int=one.id) for one in page],
                "timestamp": pd.to_datetime([one.timestamp for one in page], unit="ns", utc=True),
                "debit_account_id": [uuid.UUID(int=one.debit_account_id) for one in page],
                "credit_account_id": [uuid.UUID(int=one.credit_account_id) for one in page],
                "amount": [decimal.Decimal(one.amount) * scale for one in page],
                "ledger": [one.ledger for one in page],
                "code": [one.code for one in page],
                "flags": [int(one.flags) for one in page],
                "pending_id": [uuid.UUID(int=one.pending_id) for one in page],
                "trace_id": [f"{one.user_data_128:032x}" for one in page],
                "timeout": [one.timeout for one in page],
            }
        )
        warehouse.client.insert_df("masques_ops.by_client", frame)
        count += len(page)
    return count, time.perf_counter() - started


def in_own_process(phase: str, url: str, events: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--phase", phase, "--url", url, "--events", str(events)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


@dataclass(frozen=True)
class Load:
    """Writes transfers as fast as the server takes them, between 40 accounts.

    Of ten, eight are payments, one is a hold with a timeout of an hour, and one posts it.

    Attributes:
        expiring: Every so many transfers one is a hold that expires after a second; 0 for none.
    """

    address: str
    cluster_id: int
    events: int
    expiring: int = 0

    def write(self) -> None:
        """Writes them all."""
        rng = np.random.default_rng(1)
        with tb.ClientSync(cluster_id=self.cluster_id, replica_addresses=self.address) as client:
            client.create_accounts(
                [tb.Account(id=n, ledger=1, code=200, user_data_128=n) for n in range(1, 41)]
            )
            for start in range(1, self.events + 1, 8180):  # a page's worth, whole tens
                numbers = range(start, min(start + 8180, self.events + 1))
                traces = rng.integers(1, 2**62, len(numbers)).tolist()
                amounts = rng.integers(1, 10**9, len(numbers)).tolist()
                results = client.create_transfers(
                    [self._transfer(*one) for one in zip(numbers, traces, amounts, strict=True)]
                )
                if any(one.status != tb.CreateTransferStatus.CREATED for one in results):
                    raise RuntimeError("the ledger refused a transfer")

    def _transfer(self, number: int, trace: int, amount: int) -> tb.Transfer:
        # Ten transfers in a row are between the same two accounts: a hold and its post are.
        debit = number // 10 % 40 + 1
        transfer = tb.Transfer(
            id=(1 << 100) + number, debit_account_id=debit, credit_account_id=debit % 40 + 1,
            amount=amount, ledger=1, code=3, user_data_128=trace << 64 | trace, user_data_64=trace,
            user_data_32=3 << 24 | 7,
        )  # fmt: skip
        if self.expiring and number % self.expiring == 1:
            transfer.flags, transfer.timeout = tb.TransferFlags.PENDING, 1
        elif number % 10 == 2:
            transfer.flags, transfer.timeout = tb.TransferFlags.PENDING, 3600
        elif number % 10 == 7:
            transfer.flags, transfer.amount = tb.TransferFlags.POST_PENDING_TRANSFER, tb.AMOUNT_MAX
            transfer.pending_id = transfer.id - 5
        return transfer


@contextlib.contextmanager
def ledger_url(events: int, expiring: int) -> Iterator[str]:
    """Yields the URL of a loaded server, or "" when there is no binary."""
    named = os.environ.get("TIGERBEETLE_BIN") or shutil.which("tigerbeetle")
    if not named:
        yield ""
        return
    from tests.support.tigerbeetle_server import running_server  # noqa: PLC0415 - needs a binary

    with (
        tempfile.TemporaryDirectory(prefix="bench-ledger-") as folder,
        running_server(
            Path(folder), binary=Path(named), development=False, cache_grid="1GiB"
        ) as server,
    ):
        Load(server.address, server.cluster_id, events, expiring).write()
        yield server.url


def table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def report(events: int, rounds: int, expiring: int, *, with_memory: bool) -> None:
    with ledger_url(events, expiring) as url:
        print(f"{events:,} events, {'a real server' if url else 'a tiled capture'}, "
              f"best of {rounds} rounds in turn, batches of {BATCH_EVENTS:,}\n")  # fmt: skip
        found: dict[str, list[dict[str, float]]] = {phase: [] for phase in PHASES}
        for _ in range(rounds):
            for phase in PHASES:
                found[phase].append(in_own_process(phase, url, events))
    rates = {phase: max(one["events"] / one["seconds"] for one in found[phase]) for phase in PHASES}
    rows: list[tuple[str, ...]] = [("way", "events per s", "ratio to (c)", "peak MB")]
    for phase in PHASES:
        peak = max(one["peak_mb"] for one in found[phase])
        ratio = rates[phase] / rates["sync"]
        rows.append((NAMES[phase], f"{rates[phase]:,.0f}", f"{ratio:.2f}", f"{peak:,.0f}"))
    print(table(rows))
    slower = min(rates["reading"], rates["inserting"])
    nothing = min(one["nothing_new_s"] for one in found["sync"])
    print(f"\nc / the slower of a and b: {rates['sync'] / slower:.2f}   (aim 0.8 or more)")
    print(f"c / d: {rates['sync'] / rates['client']:.1f}   (aim 8 or more)")
    print(f"a sync with nothing new: {nothing:.3f} s   (aim under 0.2 s)")
    if with_memory:
        rows = [("events of the back-fill", "peak MB", "events per s")]
        for size in MEMORY_EVENTS:
            one = in_own_process("sync", "", size)
            rows.append(
                (f"{size:,}", f"{one['peak_mb']:,.0f}", f"{one['events'] / one['seconds']:,.0f}")
            )
        print("\nMemory of one sync, from a tiled capture:\n")
        print(table(rows))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--expiring", type=int, default=0, help="a server: one of so many expires")
    parser.add_argument("--memory", action="store_true", help="also 100 k, 1 M and 5 M events")
    parser.add_argument("--phase", choices=PHASES)
    parser.add_argument("--url", default="")
    given = parser.parse_args()
    if given.phase:
        print(json.dumps(measure(given.phase, given.url, given.events)))
    else:
        report(given.events, given.rounds, given.expiring, with_memory=given.memory)


if __name__ == "__main__":
    main()
