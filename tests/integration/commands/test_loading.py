"""What a command loads: its own module and what that needs, nothing of the other commands."""

import json
import os
import sys
from pathlib import Path

import click
import pytest

from masques_pipelines.cli import DAGSTER_COMMANDS, OWN_COMMANDS, masques
from masques_pipelines.settings import VARIABLES
from tests.support.patience import run

# Runs each command line in turn and prints, for each, its exit code and what was loaded by then.
RUNS = """
import contextlib, io, json, sys
from masques_pipelines.cli import main
loaded = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["masques", *arguments]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main()
    loaded.append(sorted(sys.modules))
print(json.dumps(loaded))
"""
# Each takes longer to load than the commands that can do without it take to run.
HEAVY = {"dagster", "fsspec", "httpx2", "numpy", "pandas", "pyarrow", "tigerbeetle", "yaml"}
ROW = {
    "identity_id": "6f1f2b0e-0b7c-4a53-9f0e-0d0f5f3a1b11",
    "identity_type": "agent",
    "created_at": "2026-11-01T00:00:00Z",
    "updated_at": "2026-11-01T00:00:00Z",
}


def loaded(home: Path, *lines: list[str]) -> list[set[str]]:
    environment = {
        **os.environ,
        **dict.fromkeys(VARIABLES, ""),
        "MASQUES_HOME": str(home),
        "MASQUES_CLICKHOUSE_URL": f"chdb://{home}/engine",
    }
    done = run([sys.executable, "-c", RUNS, json.dumps(lines)], env=environment, cwd=home)
    assert done.returncode == 0, done.stderr
    return [set(modules) for modules in json.loads(done.stdout.splitlines()[-1])]


def heavy(modules: set[str]) -> set[str]:
    rails = {name for name in modules if name.startswith("masques_pipelines.rails")}
    return rails | HEAVY & modules


def test_a_command_loads_only_what_it_needs(tmp_path: Path) -> None:
    rows = tmp_path / "rows.ndjson"
    rows.write_text(json.dumps(ROW) + "\n")
    by_help, by_migrate, by_validate = loaded(
        tmp_path,
        ["--help"],
        ["migrate"],
        ["intake", "validate", str(rows), "--table", "identities"],
    )
    assert "masques_pipelines.settings" not in by_help
    assert "masques_pipelines.schema.migrations" in by_migrate
    assert heavy(by_migrate) == set()
    assert "masques_pipelines.intake.validation" in by_validate
    assert heavy(by_validate) == {"fsspec"}


@pytest.mark.parametrize("name", sorted(OWN_COMMANDS | DAGSTER_COMMANDS))
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    context = click.Context(masques)
    command = masques.get_command(context, name)
    assert command is not None
    assert command.name == name
    said = command.short_help or command.get_short_help_str(limit=1_000)
    assert said.rstrip(".") == (OWN_COMMANDS | DAGSTER_COMMANDS)[name].rstrip(".")
    assert name in masques.list_commands(context)


def test_an_unknown_command_is_a_wrong_use() -> None:
    assert masques.get_command(click.Context(masques), "migrations") is None
