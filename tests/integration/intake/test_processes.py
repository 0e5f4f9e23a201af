"""The intake among processes: killed, twice at once, and against a server."""

import contextlib
import gzip
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from masques_pipelines.intake.run import load_table
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.landing.zone import open_landing
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from tests.clickhouse_front.front import Front, http_front
from tests.support.gate_rows import GOOD, NOON, ndjson, request
from tests.support.landing_zone import Zone, counts
from tests.support.migrated_folder import copy_migrated
from tests.support.paths import ROOT
from tests.support.patience import finish, run_python

# Batches of 300 kB, so that a kill finds some done and some not.
INTAKE = """
import sys
import masques_pipelines.intake.batches as loading
import masques_pipelines.landing.formats as reading
from masques_pipelines.intake.replay import replay
from masques_pipelines.intake.run import load_table
from masques_pipelines.landing.zone import open_landing
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.quarantine import Selection
from masques_pipelines.settings import read_settings
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.client import Origin

loading.BATCH_BYTES = 300_000
reading.CHUNK_BYTES = 50_000
given = dict(zip(("MASQUES_HOME", "MASQUES_CLICKHOUSE_URL"), sys.argv[1:]))
settings = read_settings({name: value for name, value in given.items() if value})
with open_warehouse(settings, origin=Origin(job="test")) as warehouse:
    migrate(warehouse)
    print("begun", flush=True)
    done = load_table(warehouse, open_landing(settings), TABLES["api_requests"], settle_s=-1)
    # A file that two kills met is set aside, as one that kills would be.
    replay(warehouse, open_landing(settings), Selection(reason="stopped_the_run_twice"))
    rows = [row for query in sys.argv[3:] for row in warehouse.rows(query)]
# The other one waits for the warehouse, and its reader for it.
for each in [done.total("loaded"), *rows]:
    print(each)
"""
TABLE = "SELECT * EXCEPT ingested_at FROM masques.api_requests ORDER BY ALL"
BAD = (
    "SELECT source, line_no, reason, raw, state FROM masques_ops.quarantine FINAL "
    "WHERE line_no > 0 ORDER BY ALL"
)


def started(script: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def ended(process: "subprocess.Popen[str]") -> str:
    out, err = finish(process)
    assert process.returncode == 0, err
    return out


def write_files(home: Path) -> list[dict[str, Any]]:
    """Eight files of 400 rows over two months, with overlaps, repeats, conflicts and bad rows."""
    rows = [request(n) for n in range(2_000)]
    for row in rows[::3]:
        row["timestamp"] = f"{NOON.replace(day=1):%Y-%m-%d}T00:00:00Z"
    (home / "landing/api_requests").mkdir(parents=True)
    for n in range(8):
        # A kill changes the order of the files, but not which row of a conflict comes first.
        other = request(n * 240, status_code=7)
        lines: list[Any] = [*rows[n * 240 : n * 240 + 390], "bad", other]
        (home / f"landing/api_requests/{n}.ndjson").write_bytes(ndjson(lines))
    return rows


def test_killed_again_and_again_or_run_twice_at_once_the_tables_are_the_same(
    tmp_path: Path, warehouse: Warehouse
) -> None:
    clean, killed, twice = tmp_path / "clean", tmp_path / "killed", tmp_path / "twice"
    for home in (clean, killed, twice):
        write_files(home)
        copy_migrated(home / "warehouse")
    assert Zone(clean / "landing").load(warehouse).total("loaded") == 2_000
    wanted = [str(row) for query in (TABLE, BAD) for row in warehouse.rows(query)]
    assert len(wanted) > 2_010
    chance = random.Random(3)
    kills = 0
    for _ in range(2):
        with started(INTAKE, str(killed)) as process:
            assert process.stdout is not None
            process.stdout.readline()  # begun
            time.sleep(chance.uniform(0.05, 0.9))
            kills += process.poll() is None
            process.kill()
            process.communicate()
    assert kills
    assert ended(started(INTAKE, str(killed), "", TABLE, BAD)).splitlines()[2:] == wanted

    both = [started(INTAKE, str(twice), "", TABLE, BAD) for _ in range(2)]
    said = [ended(process).splitlines() for process in both]
    assert sorted(lines[1] for lines in said) == ["0", "2000"]
    assert [lines[2:] for lines in said] == [wanted, wanted]


# --- A server ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("server") / "db"
    copy_migrated(folder)
    with http_front(folder) as served:
        yield served


def server_settings(front: Front, home: Path) -> Settings:
    return read_settings(
        {"MASQUES_HOME": str(home), "MASQUES_CLICKHOUSE_URL": front.url.split("?")[0]}
    )


@contextlib.contextmanager
def server(settings: Settings) -> Iterator[Warehouse]:
    with open_warehouse(settings, origin=Origin(job="tests")) as warehouse:
        migrate(warehouse)
        for table in ("masques.api_requests", "masques_ops.intake_files", "masques_ops.quarantine"):
            warehouse.command(f"TRUNCATE TABLE {table}")
        yield warehouse


def test_a_server_gets_the_same_also_when_answers_are_lost(front: Front, tmp_path: Path) -> None:
    write_files(tmp_path)
    settings = server_settings(front, tmp_path)
    table = TABLES["api_requests"]
    with server(settings) as warehouse:
        # The answer to each kind of statement is lost once: it took effect and is sent again.
        for statement in (
            "INSERT INTO masques_ops.{staged:Identifier}",
            "INSERT INTO masques_ops.intake_repeats",
            "INSERT INTO {database:Identifier}.{table:Identifier}",
            "INSERT INTO masques_ops.quarantine",
            "INSERT INTO masques_ops.intake_files",
            "TRUNCATE TABLE masques_ops.{table:Identifier}",
        ):
            front.inject("drop_after", match=statement)
        done = load_table(warehouse, open_landing(settings), table, settle_s=-1)
        assert front.faults() == []
        assert (done.total("loaded"), done.total("quarantined")) == (2_000, 16)
        assert warehouse.scalar("SELECT count() FROM masques.api_requests") == 2_000
        assert warehouse.scalar("SELECT count() FROM masques_ops.quarantine FINAL") == 16
        assert counts(load_table(warehouse, open_landing(settings), table, settle_s=-1)) == {}


def test_two_processes_on_a_server_never_write_at_once(front: Front, tmp_path: Path) -> None:
    write_files(tmp_path)
    settings = server_settings(front, tmp_path)
    with server(settings) as warehouse:
        both = [started(INTAKE, str(tmp_path), settings.clickhouse_url) for _ in range(2)]
        outcomes = [(finish(process), process.returncode) for process in both]
        # The second waits for the first one's lease, and then finds nothing to do.
        assert [code for _, code in outcomes] == [0, 0], outcomes
        assert warehouse.scalar("SELECT count() FROM masques.api_requests") == 2_000
        assert warehouse.scalar("SELECT uniqExact(request_id) FROM masques.api_requests") == 2_000


# All in one engine: opening one for each takes most of the time.
VALIDATE_ALL = """
import contextlib
import sys
import tempfile
from pathlib import Path
from masques_pipelines.intake import validation

with tempfile.TemporaryDirectory() as home, validation._engine(Path(home)) as opened:
    validation._engine = lambda _home: contextlib.nullcontext(opened)
    for file in map(Path, sys.argv[1:]):
        print(file.parent.name, validation.validate_file(file, file.parent.name, bad_max=1))
"""


def test_validate_needs_no_warehouse_and_leaves_nothing(tmp_path: Path) -> None:
    folder, home = tmp_path / "api_requests", tmp_path / "home"
    folder.mkdir()
    rows = ndjson([request(1), request(2, request_id="x"), request(1)])
    (folder / "a.ndjson").write_bytes(rows)
    script = "import sys; from masques_pipelines.cli import main; sys.argv = sys.argv[1:]; main()"
    environ = {**os.environ, "MASQUES_HOME": str(home), "TMPDIR": str(tmp_path)}

    arguments = ("masques", "intake", "validate", str(folder / "a.ndjson"))
    done = run_python(script, *arguments, env=environ)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        "api_requests: 1 files, 3 rows: 1 loaded, 1 duplicates, 1 quarantined, 0 blank",
        "           1  bad_uuid:request_id",
    ]
    assert lines[2].startswith('line 2: bad_uuid:request_id: {"request_id": "x"')
    assert len(lines) == 3
    assert not home.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["api_requests"]


def test_a_file_of_each_table_is_validated_without_the_rest_of_the_schema(tmp_path: Path) -> None:
    files = []
    for table, good in GOOD.items():
        file = tmp_path / table / "a.ndjson"
        file.parent.mkdir()
        file.write_bytes(ndjson([good(1), "bad"]))
        files.append(file)
    cut = tmp_path / "api_requests" / "cut.ndjson.gz"
    cut.write_bytes(gzip.compress(ndjson([request(1), request(2), request(1)]))[:-20])
    done = run_python(VALIDATE_ALL, *map(str, files), str(cut))
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert "bad_compression: the compressed data is cut short: deliver the file again" in last
    assert [line.split()[0] for line in lines] == list(GOOD)
    for line in lines:
        assert "rows_read=2, blank=0, loaded=1, duplicates=0, quarantined=1" in line
