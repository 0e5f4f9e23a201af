"""Measures how fast the intake loads requests, beside a bare INSERT … SELECT FROM file().

One million full NDJSON requests, 100 bad lines among them, are loaded both ways. Each way runs in
a process of its own, in turns, so that both see the same machine; CPU seconds and peak memory are
those of the process, from the first statement to the last. The ratio is that of the CPU seconds,
which other work on the machine changes least; that of the clock is printed beside it. Of the rows
it only checks that all bad lines are found.

    python benchmarks/bench_intake.py [--rows 1000000] [--rounds 3]

With --scale it measures what a load costs beside much that is there: see intake_scales.py.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from intake_scales import SCALES, measure_scale, prepare_scale

from masques_pipelines.intake.run import load_table
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.landing.zone import open_landing
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Origin
from masques_pipelines.warehouse.connect import open_warehouse

BAD_LINES = 100
# Of the CPU seconds. The aim is 0.6 (docs/performance.md); below this one something is broken.
RATIO_MIN = 0.38
PEAK_BYTES_MAX = 1.2e9
COLUMNS = """request_id UUID, timestamp DateTime64(9, \\'UTC\\'), identity_id UUID,
session_id Nullable(UUID), endpoint LowCardinality(String), method LowCardinality(String),
resource_type LowCardinality(String), resource_id String, tokens_input UInt64,
tokens_output UInt64, bytes_transferred UInt64, duration_ms UInt64, price_usd Decimal(18, 6),
transaction_id Nullable(UUID), status_code UInt16, payment_status LowCardinality(String),
trace_id String, span_id String, charged Nullable(Decimal(76, 18)),
charged_currency LowCardinality(String)"""
NAMES = """request_id, timestamp, identity_id, session_id, endpoint, method, resource_type,
resource_id, tokens_input, tokens_output, bytes_transferred, duration_ms, price_usd,
transaction_id, status_code, payment_status, trace_id, span_id, charged, charged_currency"""


def write_rows(folder: Path, rows: int) -> dict[int, str]:
    """Writes the rows with and without bad lines; returns the bad lines' numbers and reasons."""
    chance = random.Random(7)
    people = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(2_000)]
    sessions = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(20_000)]
    start = datetime.now(UTC) - timedelta(days=1)
    step = timedelta(days=1) / (rows + 1)
    bad_at = set(chance.sample(range(rows), BAD_LINES))
    reasons: dict[int, str] = {}
    (folder / "landing/api_requests").mkdir(parents=True)
    line_no = 0
    with (
        (folder / "good.ndjson").open("w") as good,
        (folder / "landing/api_requests/all.ndjson").open("w") as every,
    ):
        for number in range(rows):
            row = {
                "request_id": str(uuid.UUID(int=chance.getrandbits(128))),
                "timestamp": f"{start + number * step:%Y-%m-%dT%H:%M:%S.%f}{number % 1000:03}Z",
                "identity_id": chance.choice(people),
                "session_id": chance.choice(sessions),
                "endpoint": f"/v1/masques/{number % 500}/pull",
                "method": "POST",
                "resource_type": "masque",
                "resource_id": str(number % 5_000),
                "tokens_input": chance.randrange(10_000),
                "tokens_output": chance.randrange(10_000),
                "bytes_transferred": chance.randrange(10**6),
                "duration_ms": chance.randrange(5_000),
                "price_usd": f"{chance.random():.6f}",
                "transaction_id": str(uuid.UUID(int=chance.getrandbits(128))),
                "status_code": 200,
                "payment_status": "paid",
                "trace_id": f"{chance.getrandbits(128):032x}",
                "span_id": f"{chance.getrandbits(64):016x}",
                "charged": f"{chance.random():.6f}",
                "charged_currency": "USDC",
            }
            line = json.dumps(row, separators=(",", ":")) + "\n"
            good.write(line)
            every.write(line)
            line_no += 1
            if number in bad_at:
                text, reason = _bad(row, number)
                every.write(text + "\n")
                line_no += 1
                reasons[line_no] = reason
    return reasons


def _bad(row: dict[str, object], number: int) -> tuple[str, str]:
    match number % 4:
        case 0:
            return json.dumps(row)[:200], "invalid_json"
        case 1:
            return json.dumps(row | {"request_id": None}), "missing:request_id"
        case 2:
            return json.dumps(row | {"status_code": 599}), "conflict:request_id"
        case _:
            fresh = str(uuid.UUID(int=number))
            return json.dumps(
                row | {"request_id": fresh, "price_usd": "?"}
            ), "bad_decimal:price_usd"


def _settings(folder: Path, name: str) -> Settings:
    return read_settings(
        {"MASQUES_HOME": str(folder / name), "MASQUES_LANDING_URL": str(folder / "landing")}
    )


def print_scale(name: str, sizes: list[int]) -> None:
    """Measures each size in a process of its own, and prints the ratio to the first."""
    first = 0.0
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            _in_a_process(Path(folder), name, "--size", str(size), "--prepare")
            found = _in_a_process(Path(folder), name, "--size", str(size))
        first = first or float(found["cpu"])
        print(
            f"{name} {size:,}: {found['rows']:,} rows loaded in {found['seconds']:.2f} s, "
            f"{found['cpu']:.2f} CPU s ({float(found['cpu']) / first:.2f} x), peak "
            f"{float(found['peak']) / 1e9:.2f} GB",
            flush=True,
        )


def _scale_settings(folder: Path) -> Settings:
    values = {"MASQUES_HOME": str(folder / "home"), "MASQUES_LANDING_URL": str(folder / "landing")}
    return read_settings(values)


def measure(folder: Path, name: str) -> dict[str, object]:
    """Loads in this process, which does nothing else."""
    with open_warehouse(_settings(folder, name), origin=Origin(job="bench")) as warehouse:
        migrate(warehouse)
        started_s, cpu_s = time.perf_counter(), time.process_time()
        if name.startswith("bare"):
            warehouse.command(
                f"INSERT INTO masques.api_requests ({NAMES}) SELECT {NAMES} FROM file("
                f"'{folder}/good.ndjson', 'JSONEachRow', '{COLUMNS}')",
                date_time_input_format="best_effort",
            )
        else:
            load_table(
                warehouse,
                open_landing(_settings(folder, name)),
                TABLES["api_requests"],
                settle_s=-1,
            )
        seconds, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_s
        rows = warehouse.scalar("SELECT count() FROM masques.api_requests")
        entries = warehouse.rows(
            "SELECT line_no, toString(reason) FROM masques_ops.quarantine FINAL"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "cpu": cpu_s, "rows": rows, "peak": peak, "quarantine": entries}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=2, metavar=("FOLDER", "NAME"), help=argparse.SUPPRESS)
    parser.add_argument("--scale", choices=SCALES)
    parser.add_argument("--sizes", default="0,1000000")
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.size is not None:
        folder, name = options.measure
        settings = _scale_settings(Path(folder))
        if options.prepare:
            prepare_scale(name, options.size, settings)
        print(json.dumps({} if options.prepare else measure_scale(settings)))
        return 0
    if options.scale:
        print_scale(options.scale, [int(size) for size in options.sizes.split(",")])
        return 0
    if options.measure:
        print(json.dumps(measure(Path(options.measure[0]), options.measure[1])))
        return 0
    return compare(options.rows, options.rounds)


def compare(rows: int, rounds: int) -> int:
    """Loads the same rows both ways, in turns; returns the exit status."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reasons = write_rows(folder, rows)
        size = (folder / "landing/api_requests/all.ndjson").stat().st_size
        print(f"{rows:,} rows and {BAD_LINES} bad lines, {size / 1e6:.0f} MB", flush=True)
        found: dict[str, list[dict[str, Any]]] = {"bare": [], "intake": []}
        for turn in range(rounds):
            for way, rounds_of in found.items():
                rounds_of.append(_in_a_process(folder, f"{way}{turn}"))
                assert rounds_of[-1]["rows"] == rows, rounds_of[-1]["rows"]
                wanted = reasons if way == "intake" else {}
                assert dict(rounds_of[-1]["quarantine"]) == wanted
            print(f"round {turn + 1}: {_compared(found['bare'][-1], found['intake'][-1])}")
    best = {
        way: {each: min(one[each] for one in rounds_of) for each in ("cpu", "seconds")}
        for way, rounds_of in found.items()
    }
    peaks = {way: max(one["peak"] for one in rounds_of) for way, rounds_of in found.items()}
    print(
        f"best of {rounds}: {_compared(best['bare'], best['intake'])} (CPU: at least {RATIO_MIN})"
    )
    print(f"peak: bare {peaks['bare'] / 1e9:.2f} GB, intake {peaks['intake'] / 1e9:.2f} GB")
    ratio = best["bare"]["cpu"] / best["intake"]["cpu"]
    return 0 if ratio >= RATIO_MIN and peaks["intake"] <= PEAK_BYTES_MAX else 1


def _compared(bare: dict[str, Any], intake: dict[str, Any]) -> str:
    return (
        f"bare {bare['cpu']:.2f} CPU s, intake {intake['cpu']:.2f} CPU s, ratio "
        f"{bare['cpu'] / intake['cpu']:.2f}; clock {bare['seconds']:.2f} s, "
        f"{intake['seconds']:.2f} s, ratio {bare['seconds'] / intake['seconds']:.2f}"
    )


def _in_a_process(folder: Path, name: str, *more: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--measure", str(folder), name, *more],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    sys.exit(main())
