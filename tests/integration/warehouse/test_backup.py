"""A backup holds every row; a restore makes them again, or changes nothing."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from masques_pipelines.cli import masques
from masques_pipelines.schema.migrations import make_plan
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from tests.clickhouse_front.engine import BACKUPS_DISK
from tests.clickhouse_front.front import http_front
from tests.integration.warehouse.test_roles import grants
from tests.support.command_line import REMOVE, commands
from tests.support.filled_tables import contents, fill_tables
from tests.support.migrated_folder import copy_migrated
from tests.support.paths import ROOT
from tests.support.patience import run_python

# This process has the tests' engine, and an engine is of one folder.
FILL = """
import json, sys
from masques_pipelines.schema.migrations import make_plan
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin
from masques_pipelines.warehouse.connect import open_warehouse
from tests.support.command_line import REMOVE, commands
from tests.support.filled_tables import contents, fill_tables

with open_warehouse(read_settings({"MASQUES_HOME": sys.argv[1]}), origin=Origin()) as warehouse:
    if sys.argv[2] == "fill":
        fill_tables(warehouse)
        warehouse.command("TRUNCATE TABLE masques_ops.warehouse_stamp")
    assert make_plan(warehouse).is_clean
    print(json.dumps(contents(warehouse)))
"""
COMMAND = """
import sys
import masques_pipelines.warehouse.backup as backup
from masques_pipelines.cli import main

run, left = backup._run, int(sys.argv.pop(1))
def stopping(*arguments):
    global left
    left -= 1
    if left == 0:
        print("here", flush=True)
        sys.stdin.readline()
    return run(*arguments)
backup._run = stopping
main()
"""


def settings(home: Path) -> dict[str, str]:
    return {"MASQUES_HOME": str(home), "MASQUES_LANDING_URL": str(home), "PATH": "/usr/bin"}


def command(home: Path, *arguments: str, stop_at: int = 0) -> tuple[int, str]:
    """Runs a command; killed before the given statement of BACKUP or RESTORE, if it is above 0."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(stop_at), *arguments],
        env=settings(home),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        if stop_at:
            assert process.stdout.readline() == "here\n"
            process.kill()
        return process.wait(), process.stdout.read()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[int]]]:
    """A home with rows in every table, and what the tables hold."""
    home = tmp_path_factory.mktemp("whole")
    copy_migrated(home / "warehouse")
    return home, json.loads(run_python(FILL, str(home), "fill").stdout)


@pytest.mark.timeout(300)
def test_a_restored_warehouse_is_the_one_that_was_backed_up(
    whole: tuple[Path, dict[str, list[int]]], tmp_path: Path
) -> None:
    home, folder = tmp_path / "home", tmp_path / "backup"
    warehouse, before = home / "warehouse", whole[1]
    shutil.copytree(whole[0], home, symlinks=True)
    assert min(rows for rows, _ in before.values()) == 0  # the stamp
    assert sum(rows for rows, _ in before.values()) > 500

    assert command(home, "backup", str(folder), stop_at=1)[0] < 0
    assert not folder.exists()
    shutil.rmtree(next(tmp_path.glob("*.unfinished")))
    back_up, restore = ("backup", str(folder)), ("restore", str(folder))
    done, again, refused = commands(settings(home), back_up, back_up, restore)
    assert (done.status, done.stdout.startswith(f"wrote {folder}: ")) == (0, True), done
    assert again.status == 1  # nothing is overwritten
    assert folder.stat().st_mode & 0o077 == 0
    assert refused.status == 1
    assert "the database masques is there already" in refused.stderr
    shutil.rmtree(warehouse)
    for statement in (1, 4):
        assert command(home, "restore", str(folder), stop_at=statement)[0] < 0
        assert list(warehouse.iterdir()) == []
    status, said = command(home, "restore", str(folder))
    assert (status, "restored " in said) == (0, True), said
    assert json.loads(run_python(FILL, str(home), "look").stdout) == before
    assert not [path for path in home.iterdir() if ".made" in path.name]
    assert not list(tmp_path.glob("*.unfinished"))
    for private in ("warehouse", "warehouse.engine"):
        assert (home / private).stat().st_mode & 0o077 == 0

    restore = "restore", str(tmp_path)
    there, none = commands(settings(home), restore, (REMOVE, str(warehouse)), restore)
    assert (there.status, none.status, "holds no backup" in none.stderr) == (1, 1, True), none


@pytest.mark.timeout(300)
def test_a_server_is_backed_up_to_its_disk_by_the_migrator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"disk://{BACKUPS_DISK}/one"
    # Dropping what is lost is an administrator's.
    rights = [*grants("masques_migrator"), "GRANT DROP DATABASE ON *.*"]
    copy_migrated(tmp_path / "data")
    with http_front(tmp_path / "data", grants=rights) as front:
        monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", front.url)
        monkeypatch.setenv("MASQUES_LANDING_URL", str(tmp_path))
        monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
        settings = read_settings({"MASQUES_CLICKHOUSE_URL": front.url})
        with open_warehouse(settings, origin=Origin()) as server:
            fill_tables(server)
            server.command("TRUNCATE TABLE masques_ops.warehouse_stamp")
            before = held(server)
            _succeeds("backup", place)
            for name in ("masques", "masques_ops", "masques_marts"):
                server.command(f"DROP DATABASE {name}")
            front.inject("drop_after", match="RESTORE DATABASE")
            _succeeds("restore", place)
            assert held(server) == before
            assert make_plan(server).is_clean
            # The backup holds its own leases, whose deadlines would pass in a minute.
            for (name,) in server.rows("SELECT name FROM system.tables WHERE name LIKE 'lease_%'"):
                server.command(f"DROP TABLE masques_ops.{name}")
        for arguments in (["backup", place], ["backup", str(tmp_path / "x")], ["restore", place]):
            assert CliRunner().invoke(masques, arguments).exit_code == 1


def held(server: Warehouse) -> dict[str, tuple[int, int]]:
    """What the tables hold but for the scores, which a server's view computes again at once."""
    return {
        table: found
        for table, found in contents(server).items()
        if "reputation_scores" not in table and ".tmp" not in table
    }


def _succeeds(*arguments: str) -> None:
    result = CliRunner().invoke(masques, arguments)
    assert result.exit_code == 0, (result.output, result.exception)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["cut", "copied with its links followed"])
def test_an_engine_that_does_not_open_says_why_and_advises_no_loss(
    whole: tuple[Path, dict[str, list[int]]], tmp_path: Path, kind: str
) -> None:
    home = tmp_path / "home"
    shutil.copytree(whole[0], home, symlinks=kind == "cut")
    if kind == "cut":
        some = next((home / "warehouse/store").rglob("account_reads.sql"))
        some.write_text("ATTACH TABLE account_reads")
    status, said = command(home, "verify")
    assert status == 1
    reason, advice = {
        "cut": ("code ", "load a backup (masques restore FOLDER)"),
        "copied with its links followed": ("code 504: Directory metadata/", "(cp -a)"),
    }[kind]
    assert reason in said
    assert advice in said
    assert "are not built again" in said
    assert said.splitlines()[-1].startswith(f"masques: {home}/warehouse: "), said
