"""Measures what the intake costs beside much that is there already, one size in one process.

    python benchmarks/bench_intake.py --scale NAME --sizes 1000000,10000000

NAME is one of:
    rows        a batch of 110,000 requests, into a table with so many rows
    quarantine  a file with one conflict, beside so many rows of the same table in quarantine
    zone        one new file, beside so many files of older days
    files       so many files of 10,000 requests
What is there already is made by the engine. CPU seconds are those of the process.
"""

import resource
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from masques_pipelines.intake.run import RUN_FILES_MAX, load_table
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.landing.zone import open_landing
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.sql import sql

BATCH_ROWS = 110_000
FILE_ROWS = 10_000
_TABLE = TABLES["api_requests"]
# Requests as text for a file; ids are random, times are within a day.
_LINES = """
SELECT generateUUIDv4() AS request_id, now64(9) - toIntervalSecond(rand() % 80000) AS timestamp,
    generateUUIDv4() AS identity_id, concat('/v1/masques/', toString(number % 500)) AS endpoint,
    'POST' AS method, 'masque' AS resource_type, toString(number % 5000) AS resource_id,
    rand(1) % 10000 AS tokens_input, rand(2) % 10000 AS tokens_output,
    rand(3) % 1000000 AS bytes_transferred, rand(4) % 5000 AS duration_ms,
    toString(toDecimal64(rand(5) % 1000000, 6) / 1000000) AS price_usd,
    generateUUIDv4(1) AS transaction_id, 200 AS status_code, 'paid' AS payment_status,
    toString(toDecimal64(rand(6) % 1000000, 6) / 1000000) AS charged, 'USDC' AS charged_currency
FROM numbers({rows})
INTO OUTFILE '{path}' FORMAT JSONEachRow"""
_ROWS = """
INSERT INTO masques.api_requests (request_id, timestamp, identity_id, endpoint, ingested_at)
SELECT generateUUIDv4(), now64(9) - toIntervalMinute(1 + rand() % 430000),
    toUUID('00000000-0000-0000-0000-000000000001'), '/v1', now64(3) - INTERVAL 1 DAY
FROM numbers({rows:UInt64}) SETTINGS max_block_size = 200000, max_threads = 1"""
_QUARANTINE = """
INSERT INTO masques_ops.quarantine (table_name, source, line_no, reason, raw, first_seen, attempts,
    state, updated_at)
SELECT 'api_requests', concat('api_requests/', toString(intDiv(number, 100000)), '.ndjson'),
    number % 100000 + 1, 'bad_decimal:price_usd', repeat(hex(number), 30), now64(3), 1, 'open',
    now64(6)
FROM numbers({first:UInt64}, {rows:UInt64})"""
_STEP_ROWS = 100_000
_LOGGED = """
INSERT INTO masques_ops.intake_files (folder, path, version, source, state, bytes, sha256, attempts,
    rows_read, loaded, recorded_at)
SELECT 'api_requests', path, version, path, 'loaded', bytes, hex(SHA256(path)), 1, 1, 1,
    now64(6) - INTERVAL 9 DAY
FROM input('path String, version String, bytes UInt64')"""

_LISTED = """
INSERT INTO masques_ops.intake_listings (folder, listed_at)
SELECT 'api_requests', now64(6) + INTERVAL 2 HOUR"""


def prepare_scale(name: str, size: int, settings: Settings) -> None:
    """Makes what is there already, and lets the first run of the day look through it."""
    landing = Path(settings.landing_url)
    (landing / "api_requests").mkdir(parents=True, exist_ok=True)
    with open_warehouse(settings, origin=Origin(job="bench")) as warehouse:
        migrate(warehouse)
        _PREPARE[name](warehouse, landing, size)
        _load(warehouse, settings)
        _DELIVER[name](warehouse, landing, size)


def measure_scale(settings: Settings) -> dict[str, float]:
    """Returns seconds, CPU seconds, and the peak of memory in bytes, of one load."""
    with open_warehouse(settings, origin=Origin(job="bench")) as warehouse:
        found = _load(warehouse, settings)
    return {**found, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def _load(warehouse: Warehouse, settings: Settings) -> dict[str, float]:
    cpu_s, started_s = time.process_time(), time.perf_counter()
    rows, left = 0, 1
    while left:
        done = load_table(
            warehouse, open_landing(settings), _TABLE, settle_s=-1,
            files_max=RUN_FILES_MAX,
        )  # fmt: skip
        rows, left = rows + done.total("loaded"), done.files_left
    return {
        "seconds": time.perf_counter() - started_s,
        "cpu": time.process_time() - cpu_s,
        "rows": rows,
    }


def _no_more(_warehouse: Warehouse, _landing: Path, _size: int) -> None:
    """Nothing is there before."""


def _table_rows(warehouse: Warehouse, landing: Path, size: int) -> None:
    # One row is loaded, too: rows that no run loaded are counted by the first one that does.
    _file(warehouse, landing / "api_requests/first.ndjson", 1)
    warehouse.command(_ROWS, {"rows": size})
    names = {"keys": f"{_TABLE.name}_keys", "key_times": _TABLE.key_times}
    warehouse.command(sql("intake/write_keys"), names)
    for table in (_TABLE.target, f"masques_ops.{_TABLE.key_times}"):
        warehouse.command(f"OPTIMIZE TABLE {table} FINAL")


def _quarantined(warehouse: Warehouse, landing: Path, size: int) -> None:
    for first in range(0, size, _STEP_ROWS):
        rows = min(_STEP_ROWS, size - first)
        warehouse.command(_QUARANTINE, {"first": first, "rows": rows})
    _file(warehouse, landing / "api_requests/first.ndjson", 1)


def _old_files(warehouse: Warehouse, landing: Path, size: int) -> None:
    rows = []
    for n in range(size):
        day = datetime.now(UTC).date() - timedelta(days=10 + n % 50)
        file = landing / f"api_requests/{day}/{n}.ndjson"
        if n < 50:
            file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"\n")
        stat = file.stat()
        version = f"{stat.st_size}-{stat.st_mtime_ns // 1000}-{stat.st_ctime_ns // 1000}"
        rows.append((f"{file.relative_to(landing)}\t{version}\t{stat.st_size}\n".encode(),))
    if rows:
        warehouse.insert_select(_LOGGED, rows, None, "TSV")
    # Nobody can set when a folder changed last; so the next listing is one of some hours later.
    warehouse.command(_LISTED)


def _file(warehouse: Warehouse, path: Path, rows: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    warehouse.command(_LINES.format(rows=rows, path=path))


def _one_new(warehouse: Warehouse, landing: Path, _size: int) -> None:
    day = datetime.now(UTC).date()
    _file(warehouse, landing / f"api_requests/{day}/new.ndjson", 1)


def _batch(warehouse: Warehouse, landing: Path, _size: int) -> None:
    _file(warehouse, landing / "api_requests/batch.ndjson", BATCH_ROWS)


def _conflict(_warehouse: Warehouse, landing: Path, _size: int) -> None:
    line = (landing / "api_requests/first.ndjson").read_text()
    other = line.replace('"status_code":200', '"status_code":500')
    (landing / "api_requests/second.ndjson").write_text(other)


def _files(warehouse: Warehouse, landing: Path, size: int) -> None:
    for n in range(size):
        _file(warehouse, landing / f"api_requests/{n}.ndjson", FILE_ROWS)


_PREPARE = {
    "rows": _table_rows,
    "quarantine": _quarantined,
    "zone": _old_files,
    "files": _no_more,
}
_DELIVER = {
    "rows": _batch,
    "quarantine": _conflict,
    "zone": _one_new,
    "files": _files,
}
SCALES = tuple(_PREPARE)
