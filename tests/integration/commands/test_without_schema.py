"""Each command on a warehouse without the schema, or with an older one, says what to run."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from masques_pipelines.cli import OWN_COMMANDS, masques
from masques_pipelines.schema import migrations
from masques_pipelines.schema.declared import declared_schema
from masques_pipelines.schema.files import SqlFile, sql_files
from masques_pipelines.schema.migrations import MigrationError
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from tests.clickhouse_front.front import http_front

ID = "00000000-0000-0000-0000-0000000000c8"
# Every command that opens the warehouse, as somebody would call it.
CALLS = {
    "accept": ("api_requests", "--by=ops", "--reason=the files are gone"),
    "breaks ack": (ID, "--note=seen"),
    "breaks compare": (),
    "breaks explain": (ID, "--note=a test"),
    "breaks list": (),
    "breaks show": (ID,),
    "breaks write-off": (ID, "--note=too small"),
    "intake load": (),
    "intake quarantine discard": ("--yes",),
    "intake quarantine list": (),
    "intake quarantine replay": (),
    "intake quarantine show": (),
    "intake reload": ("--table=api_requests",),
    "ledger rebuild": (),
    "payment show": (ID,),
    "rails claims": (),
    "rails register": tuple(
        f"--rail=base --address=0x{'ab' * 20} --account={ID} --from=2026-01-01".split()
    ),
    "rails replay": (),
    "rails resolve": (ID, "--none", "--reason=none fits"),
    "rails rewind": ("base", "0"),
    "rails status": (),
    "reputation explain": (ID,),
    "reputation recompute": (),
    "status": (),
    "sql": ("SELECT count() FROM masques.transactions",),
    "verify": (),
}
# These open none, or make the schema.
WITHOUT = {
    "backup",
    "demo",
    # Says so in one of its lines.
    "doctor",
    "intake validate",
    "ledger capture",
    "migrate",
    "rails check",
    "restore",
    "runbook",
    # Refused in production, which has no world.
    "sandbox advance",
    "sandbox check",
    "sandbox live",
    "sandbox new",
    "sandbox trouble",
    # Those who ask it are told.
    "serve",
    # It reads what a Collector wrote.
    "trace",
}


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield " ".join(path)
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None and (path or name in OWN_COMMANDS):
            yield from leaves(found, (*path, name))


def refusal(name: str) -> str:
    result = CliRunner().invoke(masques, [*name.split(), *CALLS[name]])
    assert isinstance(result.exception, MigrationError), (name, result.output, result.exception)
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.fixture
def _environment(
    monkeypatch: pytest.MonkeyPatch, engine_settings: Settings, tmp_path: Path, small_capture: Path
) -> None:
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    monkeypatch.setenv("MASQUES_LEDGER_URL", f"capture://{small_capture}")
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))


def test_the_matrix_has_every_command() -> None:
    assert set(leaves(masques)) == set(CALLS) | WITHOUT


@pytest.mark.usefixtures("_environment")
def test_without_a_schema_each_command_says_what_to_run(
    empty_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in CALLS:
        line = refusal(name)
        start = f"{empty_warehouse.description}: it has no schema yet: run `masques migrate`"
        assert line.startswith(start), (name, line)
    with http_front(tmp_path / "server") as front:
        monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", front.url)
        for name in CALLS:
            line = refusal(name)
            start = f"{front.url}: it has no schema yet: run `masques migrate`"
            assert line.startswith(start), (name, line)
        # A query that needs none of our tables is run.
        plain = CliRunner().invoke(masques, ["sql", "SELECT 1", "--format=TSV"])
        assert (plain.exit_code, plain.stdout) == (0, "1\n")


@pytest.mark.usefixtures("_environment")
def test_an_older_schema_is_named_and_a_newer_one_is_read(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = sql_files()
    later = SqlFile(89, "089_later.sql", "SELECT 1")
    monkeypatch.setattr(migrations, "sql_files", lambda: [*known, later])
    for name in sorted(set(CALLS) - {"sql"}):
        line = refusal(name)
        assert line.startswith(
            f"{warehouse.description}: its schema is older than this checkout (089_later.sql): "
            "run `masques migrate`"
        ), (name, line)
    # One view file fewer: the record has the newer views.
    monkeypatch.setattr(migrations, "sql_files", lambda: known[:-1])
    line = refusal("rails status")
    assert "its schema is older than this checkout (views)" in line
    newer = declared_schema()
    older = replace(newer, views_version=newer.views_version - 1)
    monkeypatch.setattr(migrations, "declared_schema", lambda: older)
    result = CliRunner().invoke(masques, ["rails", "status"], catch_exceptions=False)
    assert result.exit_code == 0


@pytest.mark.usefixtures("_environment", "warehouse")
def test_a_user_who_cannot_see_the_record_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    unseen = migrations._VISIBLE.replace("'schema_migrations'", "'unseen'")  # noqa: SLF001
    monkeypatch.setattr(migrations, "_VISIBLE", unseen)
    result = CliRunner().invoke(masques, ["rails", "claims"], catch_exceptions=False)
    assert result.exit_code == 0


@pytest.mark.usefixtures("_environment", "warehouse")
def test_an_unknown_name_with_the_schema_in_place_is_the_querys_own_fault() -> None:
    result = CliRunner().invoke(masques, ["sql", "SELECT * FROM masques.transaction"])
    assert "masques migrate" not in str(result.exception)
    assert "Code: 60" in str(result.exception)
