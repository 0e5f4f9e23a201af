"""Measures a sync and its proofs without news, after a day and after three years of history.

Here: a real server's small capture, behind as many seals, checkpoints, readings and syncs as one
every five minutes leaves. CPU of the whole process, the embedded engine's threads included; own
process each.
Aim: three years within 1.2 times a day.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from masques_pipelines.ledger.accounts import sync_accounts
from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.chart import Chart, read_chart
from masques_pipelines.ledger.proofs.suite import all_hold, prove_after_sync
from masques_pipelines.ledger.seals import Seal
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse

CAPTURE = Path(__file__).parent.parent / "tests" / "data" / "captures" / "small"
STEP_NS = 300 * 10**9
PER_DAY = 288
DAYS = {"a day": 1, "three years": 1095}
# masques_ops keeps these for a year.
KEPT_DAYS = 365
ROWS_AT_ONCE = 50_000
CHECKPOINTS = """
INSERT INTO masques_ops.balance_checkpoints
    (checkpoint_ns, base_ns, accounts, open_holds, state, recorded_at)
SELECT at, at - 86400000000000, 122, 0,
    if(toDayOfMonth(fromUnixTimestamp64Nano(toInt64(at), 'UTC')) = 28, 'proven', 'pruned'), now64(6)
FROM (SELECT {first_ns:UInt64} + number * 86400000000000 AS at FROM numbers({days:UInt32}))
"""
BALANCES = """
INSERT INTO masques_ops.checkpoint_balances (checkpoint_ns, account_id, ledger)
SELECT checkpoint_ns, account_id, ledger
FROM masques_ops.balance_checkpoints, masques.accounts
WHERE state = 'proven' AND checkpoint_ns < {before_ns:UInt64}
"""
SYNCS = """
INSERT INTO masques_ops.ledger_syncs (watermark_ns, source, recorded_at)
SELECT {first_ns:UInt64} + number * 300000000000, 'bench',
    now64(6) - toIntervalSecond(300 * ({rows:UInt32} - number))
FROM numbers({rows:UInt32})
"""
READS = """
INSERT INTO masques_ops.account_reads
    (read_id, accounts, content_digest, snapshot_at_ns, is_last, recorded_at)
SELECT generateUUIDv4(), 122, 1, {first_ns:UInt64} + number * 300000000000, 1,
    now64(6) - toIntervalSecond(300 * ({rows:UInt32} - number))
FROM numbers({rows:UInt32})
"""


def seals(first_ns: int, count: int) -> Iterator[Seal]:
    """Yields a sound chain of batches without events."""
    before = Seal(0, 0, first_ns, 0, {}, {}, "", "", "")
    for number in range(1, count + 1):
        seal = Seal(
            sequence=number,
            from_ns=before.to_ns if number > 1 else 0,
            to_ns=first_ns + number * STEP_NS,
            events=0,
            posted={1: 0},
            held={1: 0},
            events_digest="",
            previous_digest=before.digest,
        )
        before = replace(seal, digest=seal.computed_digest())
        yield before


def write_history(warehouse: Warehouse, days: int) -> int:
    """Writes what so many days of syncs before the capture leave; returns where that begins."""
    with CaptureSource(CAPTURE) as source:
        capture_ns = int.from_bytes(source.change_events(0, limit=1).data[368:376], "little")
    first_ns = capture_ns - (days * PER_DAY + 1) * STEP_NS
    rows: list[list[object]] = []
    sealed_at = datetime.now(UTC)
    names = [*asdict(next(seals(1, 1))), "sealed_at"]
    for seal in seals(first_ns, days * PER_DAY):
        rows.append([*asdict(seal).values(), sealed_at])
        if len(rows) == ROWS_AT_ONCE:
            warehouse.insert_rows("masques_ops.ledger_seals", names, rows)
            rows.clear()
    warehouse.insert_rows("masques_ops.ledger_seals", names, rows)
    return first_ns


def prove(warehouse: Warehouse, source: CaptureSource, chart: Chart) -> None:
    """Makes the proofs, which must hold."""
    results = prove_after_sync(warehouse, source, chart)
    if not all_hold(results):
        wrong = {proof.name: result.summary for proof, result in results.items()}
        raise RuntimeError(f"the proofs of the made history do not hold: {wrong}")


def measure(days: int, rounds: int) -> dict[str, float]:
    """Returns CPU seconds of one sync with its proofs, the least of some rounds."""
    chart = read_chart(None)
    with tempfile.TemporaryDirectory(prefix="bench-proofs-") as home:
        settings = read_settings({"MASQUES_HOME": home})
        with (
            open_warehouse(settings, origin=Origin(job="bench")) as warehouse,
            CaptureSource(CAPTURE) as source,
        ):
            migrate(warehouse)
            first_ns = write_history(warehouse, days)
            sync_transactions(warehouse, source, chart)
            sync_accounts(warehouse, source, chart)
            prove(warehouse, source, chart)
            kept = min(days, KEPT_DAYS) * PER_DAY
            for statement in (SYNCS, READS):
                warehouse.command(statement, {"first_ns": first_ns, "rows": kept})
            warehouse.command(CHECKPOINTS, {"first_ns": first_ns, "days": days})
            newest_ns = int(
                warehouse.scalar("SELECT max(checkpoint_ns) FROM masques_ops.balance_checkpoints")
            )
            warehouse.command(BALANCES, {"before_ns": newest_ns})
            found: list[tuple[float, float]] = []
            for _ in range(rounds):
                began, began_cpu = time.perf_counter(), time.process_time()
                sync_accounts(warehouse, source, chart)
                sync_transactions(warehouse, source, chart)
                prove(warehouse, source, chart)
                found.append((time.process_time() - began_cpu, time.perf_counter() - began))
    cpu_s = sorted(cpu for cpu, _ in found)
    return {"least": cpu_s[0], "median": cpu_s[len(cpu_s) // 2], "wall": min(w for _, w in found)}


def main() -> None:
    """Prints a table; each line is measured in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--days", type=int, help="measure only this, as JSON")
    arguments = parser.parse_args()
    if arguments.days:
        print(json.dumps(measure(arguments.days, arguments.rounds)))
        return
    results: dict[str, dict[str, float]] = {}
    for name, days in DAYS.items():
        command = [sys.executable, __file__, f"--rounds={arguments.rounds}", f"--days={days}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        results[name] = json.loads(done.stdout.splitlines()[-1])
    print("| history | CPU s (median) | CPU s (least) | wall s (least) |\n|---|---|---|---|")
    for name, found in results.items():
        print(f"| {name} | {found['median']:.2f} | {found['least']:.2f} | {found['wall']:.2f} |")
    ratio = results["three years"]["least"] / results["a day"]["least"]
    print(f"\nthree years / a day: {ratio:.2f} (aim 1.2 or less)")


if __name__ == "__main__":
    main()
