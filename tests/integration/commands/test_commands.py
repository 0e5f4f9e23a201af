"""The `masques` command as a person runs it: in a process of its own, with good and bad input."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from masques_pipelines.cli import masques as cli
from masques_pipelines.settings import VARIABLES, Settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.command_line import commands
from tests.support.dagster_home import copy_history
from tests.support.migrated_folder import copy_migrated
from tests.support.patience import finish, run

SANDBOX = "this is the sandbox, "
STAMP = "SELECT kind, ledger FROM masques_ops.warehouse_stamp"
ROWS_BY_TABLE = (
    "SELECT concat(database, '.', name) AS t, total_rows FROM system.tables "
    "WHERE total_rows > 0 AND (database = 'masques' OR "
    "database = 'masques_ops' AND name IN ('quarantine', 'exchange_rates', 'intake_files', "
    "'settlement_findings')) ORDER BY t"
)
NOT_OF_THE_LEDGER = (
    "SELECT count() FROM masques.reputation_events "
    "WHERE reference_id NOT IN (SELECT toString(transaction_id) FROM masques.transactions);"
    "SELECT count() FROM masques.reputation_scores "
    "WHERE identity_id NOT IN (SELECT identity_id FROM masques.accounts)"
)
NINE_OBJECTS = """\
┌─name─────────────────┬─engine─────────────┐
│ accounts             │ ReplacingMergeTree │
│ api_requests         │ MergeTree          │
│ identities           │ ReplacingMergeTree │
│ masque_sessions      │ MergeTree          │
│ reputation_events    │ MergeTree          │
│ reputation_scores    │ ReplacingMergeTree │
│ reputation_scores_mv │ MaterializedView   │
│ settlements          │ MergeTree          │
│ transactions         │ MergeTree          │
└──────────────────────┴────────────────────┘
"""


@pytest.fixture
def migrated(tmp_path: Path) -> Path:
    """A home whose sandbox has an empty warehouse."""
    copy_migrated(tmp_path / "sandbox" / "warehouse")
    return tmp_path


def environment(home: Path, **settings: str) -> dict[str, str]:
    """Every setting is given, so that no .env of the checkout takes part."""
    blanks = dict.fromkeys(VARIABLES, "")
    dagster_home = home / "dagster"
    copy_history(dagster_home)
    return {
        **os.environ,
        **blanks,
        "MASQUES_HOME": str(home),
        # Not the checkout's own history.
        "DAGSTER_HOME": str(dagster_home),
        **settings,
    }


def masques(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return run(
        [sys.executable, "-m", "masques_pipelines", *arguments],
        env=environment(home, **settings),
        cwd="/",  # a command means the same from whichever folder it is called
    )


def failed(home: Path, *arguments: str, **settings: str) -> str:
    """Returns the one line of a command that failed as it should, after that of the sandbox."""
    result = masques(home, *arguments, **settings)
    assert result.returncode == 1, result.stdout + result.stderr
    lines = result.stderr.strip().splitlines()
    if lines[0].startswith(SANDBOX):
        del lines[0]
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.fixture(scope="module")
def demo(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A home in which a demo ran, and the demo."""
    home = tmp_path_factory.mktemp("demo")
    return home, masques(home, "demo", MASQUES_LEDGER_URL="capture:///nowhere")


def test_the_demo_builds_the_copy_and_a_second_one_writes_no_row(
    demo: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    home, first = demo
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stderr.startswith(
        f"this is the sandbox, as the settings ask: demo data in {home}/sandbox\n"
    )
    assert first.stdout.startswith("ignored    MASQUES_LEDGER_URL: ")
    assert "       export MASQUES_SANDBOX=1 MASQUES_LEDGER_URL=\n" in first.stdout
    assert sorted(path.name for path in home.iterdir()) == ["dagster", "sandbox"]
    assert NINE_OBJECTS in first.stdout
    written = re.search(r"([0-9]+) rows written, \1 transactions in all", first.stdout)
    assert written is not None
    assert re.search(r"^troubles   ([0-9]+) of \1 found, nothing else", first.stdout, re.MULTILINE)
    assert "proofs     9 of 9 proofs of the ledger's copy hold" in first.stdout
    assert len(first.stdout.splitlines()) < 160

    second = masques(home, "demo")
    assert f"0 rows written, {written[1]} transactions in all" in second.stdout
    assert re.search(r" 0 rows written, [0-9]+ accounts in all", second.stdout)
    assert "ignored" not in second.stdout
    assert "export" not in second.stdout


@pytest.mark.timeout(900)
def test_after_a_demo_real_settings_bring_no_invented_row_of_any_table(
    demo: tuple[Path, subprocess.CompletedProcess[str]], small_capture: Path
) -> None:
    home, _ = demo
    real = {"MASQUES_LEDGER_URL": f"capture://{small_capture}"}
    done = masques(home, "asset", "materialize", "--select", "*", **real)
    assert done.returncode == 0, done.stdout + done.stderr
    assert SANDBOX not in done.stdout + done.stderr
    assert "no exchange rate is known" in done.stdout + done.stderr
    asked = f"{ROWS_BY_TABLE}; {NOT_OF_THE_LEDGER}; {STAMP}"
    found = masques(home, "sql", asked, "--format", "TSV", **real)
    # What the ledger holds, and what is derived from it.
    assert found.stdout.splitlines() == [
        "masques.accounts\t122",
        "masques.reputation_events\t201",
        "masques.reputation_scores\t36",
        "masques.transactions\t2120",
        *("0", "0"),
        f"production\tcapture://{small_capture}",
    ]
    assert found.stderr == ""

    line = failed(home, "sql", "SELECT 1")  # the settings are lost
    assert line.startswith(f"masques: MASQUES_HOME: {home} was used with real systems (ledger, ")
    still = masques(home, "sql", STAMP, "--format", "TSV", MASQUES_SANDBOX="1")
    assert still.stdout == "sandbox\t\n"
    contradiction = failed(home, "sql", "SELECT 1", MASQUES_SANDBOX="1", **real)
    assert contradiction.startswith(
        "masques: MASQUES_SANDBOX: it is 1, and MASQUES_LEDGER_URL is set: "
    )


def test_a_demo_that_fails_gives_the_reason_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "warehouse").write_text("")  # the first step needs a folder
    line = failed(tmp_path, "demo")
    step = "masques_ops__schema_migrations.apply_migrations"
    assert line.startswith(f"masques: the run failed: {step}: {tmp_path}/sandbox/warehouse: ")


@pytest.fixture
def invoked(
    monkeypatch: pytest.MonkeyPatch,
    empty_warehouse: Warehouse,
    engine_settings: Settings,
    tmp_path: Path,
) -> Callable[..., Result]:
    """Runs commands in this process, on a warehouse without any of our databases."""
    del empty_warehouse
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
    monkeypatch.setenv("MASQUES_SANDBOX", "1")
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    return lambda *arguments: CliRunner().invoke(cli, arguments)


def test_migrate_plans_applies_and_checks(invoked: Callable[..., Result]) -> None:
    assert "due      003_ledger.sql" in invoked("migrate", "--plan").stdout
    assert invoked("migrate", "--check").exit_code == 1
    assert "applied 003_ledger.sql" in invoked("migrate").stdout
    check = invoked("migrate", "--check")
    assert (check.exit_code, check.stdout[:27]) == (0, "the schema is up to date (0")

    invoked("sql", "--write", "ALTER TABLE masques.accounts DROP COLUMN flags")
    check = invoked("migrate", "--check")
    assert check.exit_code == 1
    assert check.stdout == "drift    masques.accounts: column flags is missing\n"
    assert "the live schema differs" in str(invoked("migrate").exception)


def test_sql_shows_one_result_per_statement_and_what_is_wrong_is_one_line(
    migrated: Path,
) -> None:
    wrong = (
        ("sql", "SELEC 1"),
        ("sql", "SELECT 'open"),
        ("intake", "quarantine", "discard"),
        ("MASQUES_OOPS=1", "migrate"),
        ("MASQUES_LEDGER_URL=kafka://broker", "ledger", "capture", f"{migrated}/out"),
        ("MASQUES_LEDGER_URL=capture:///nowhere", "ledger", "capture", f"{migrated}/out"),
        ("MASQUES_CLICKHOUSE_URL=http://127.0.0.1:9", "migrate"),
        ("MASQUES_CLICKHOUSE_URL=nonsense", "migrate"),
    )
    two = ("sql", "SELECT 1 AS a; SELECT 'x;y' AS b", "--format", "TSV")
    shown, use, *failed = commands(environment(migrated), two, ("sql",), *wrong)
    assert (shown.status, shown.stdout) == (0, "1\nx;y\n")
    assert (use.status, "Missing argument 'QUERY'" in use.stderr) == (2, True)
    assert [each.status for each in failed] == [1] * len(wrong)
    lines = [each.stderr.splitlines() for each in failed]
    assert all(line[0].startswith(SANDBOX) or len(line) == 1 for line in lines), lines
    assert max(map(len, lines)) <= 2, lines
    begins = (
        "chdb://",
        "query: line 1: ' is not closed",
        "not confirmed, so nothing was done",
        "MASQUES_OOPS: there is no such setting",
        "MASQUES_LEDGER_URL: ",
        "/nowhere: there is no such folder",
        "http://127.0.0.1:9: cannot connect",
        "MASQUES_CLICKHOUSE_URL: ",
    )
    for line, begin in zip(lines, begins, strict=True):
        assert line[-1].startswith(f"masques: {begin}"), (line, begin)


def test_assets_are_materialized_from_any_folder(tmp_path: Path, small_capture: Path) -> None:
    copy_migrated(tmp_path / "warehouse")
    real = {"MASQUES_LEDGER_URL": f"capture://{small_capture}", "MASQUES_SANDBOX": "0"}
    done = masques(tmp_path, "asset", "materialize", "--select", "key:masques/accounts", **real)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "RUN_SUCCESS" in done.stdout + done.stderr
    assert "122 rows written, 122 accounts in all" in done.stdout + done.stderr
    assert "Superse" not in done.stderr


def test_a_failed_run_exits_with_1_and_names_the_reason(migrated: Path) -> None:
    done = masques(
        migrated, "job", "execute", "-j", "ledger_sync_job", MASQUES_LEDGER_URL="capture:///nowhere"
    )
    assert done.returncode == 1
    assert "/nowhere: there is no such folder" in done.stdout + done.stderr


def test_a_capture_of_a_capture_is_the_same_ledger(tmp_path: Path, small_capture: Path) -> None:
    capture = ("ledger", "capture", f"{tmp_path}/copy", "--url", f"capture://{small_capture}")
    written, again = commands(environment(tmp_path), capture, capture)
    assert written.status == 0, written.stderr
    assert "2,120 change events, 122 accounts, 2,053 transfers" in written.stdout
    assert (again.status, f"masques: {tmp_path}/copy" in again.stderr) == (1, True), again.stderr


def test_commands_that_are_the_first_at_once_leave_a_whole_history(tmp_path: Path) -> None:
    # Left to themselves, four broke Dagster's history for good in five of eight homes.
    unused = tmp_path / "unused"
    unused.mkdir()
    (unused / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    first = [
        subprocess.Popen(
            [sys.executable, "-m", "masques_pipelines", "run", "list"],
            env={**environment(tmp_path), "DAGSTER_HOME": str(unused)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [finish(process)[0] for process in first]
    assert [process.returncode for process in first] == [0, 0], outputs
    with dg.DagsterInstance.from_config(str(unused)) as instance:
        assert instance.get_runs() == []


def test_ctrl_c_ends_a_command_with_130(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "masques_pipelines", "sql", "-"],
        env=environment(tmp_path),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(SANDBOX)  # now it reads its input
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert process.stderr.read().strip() == ""


def test_every_command_says_first_that_this_is_the_sandbox(
    invoked: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "identities" / "a.ndjson"
    file.parent.mkdir()
    file.write_text("{}\n")
    for arguments in (
        ["migrate", "--plan"],
        ["sql", "SELECT 1"],
        ["intake", "validate", str(file)],
        ["rails", "rewind", "base", "0"],
        ["ledger", "capture", str(tmp_path / "identities")],
    ):
        done = invoked(*arguments)
        assert done.stderr.startswith(SANDBOX), arguments
        assert SANDBOX not in done.stdout, arguments
    handed_over = masques(tmp_path, "run", "list")
    assert handed_over.stderr.startswith(SANDBOX)
    assert SANDBOX not in handed_over.stdout
    quiet = masques(tmp_path, "sql", "--help", MASQUES_SANDBOX="no")
    assert (quiet.returncode, quiet.stderr) == (0, "")
