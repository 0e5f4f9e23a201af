"""Each command on a sandbox whose world another version made says so, and what to do."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from masques_pipelines.cli import masques
from masques_pipelines.errors import PermanentError
from masques_pipelines.sandbox.places import WORLD, WORLD_NAME, WORLD_VERSION
from tests.integration.commands.test_without_schema import CALLS, WITHOUT

# Those of WITHOUT, as somebody would call them.
MORE = {
    "backup": ("backup",),
    "demo": (),
    "dev": (),
    "doctor": (),
    "ledger capture": ("capture",),
    "migrate": (),
    "rails check": (),
    "restore": ("backup",),
    "sandbox advance": ("30m",),
    "sandbox check": (),
    "sandbox live": ("--for", "0m"),
    "sandbox trouble": ("bad_rows",),
    "serve": (),
    "trace": ("4bf92f3577b34da6a3ce929d0e0e4736",),
}
# They read no sandbox; the last one replaces it.
NONE = {"intake validate", "runbook", "sandbox new"}


@pytest.mark.parametrize("version", [None, WORLD_VERSION - 1, WORLD_VERSION + 1])
def test_each_command_names_the_folder_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int | None
) -> None:
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "sandbox"
    new = ["sandbox", "new", "--days", "2", "--scale", "0.001", "--yes"]
    assert CliRunner().invoke(masques, new, catch_exceptions=False).exit_code == 0
    path = root / WORLD / WORLD_NAME
    kept = json.loads(path.read_text())
    assert kept.pop("version") == WORLD_VERSION
    path.write_text(json.dumps(kept | ({} if version is None else {"version": version})))
    files = {each: each.read_bytes() for each in root.rglob("*") if each.is_file()}

    assert {*CALLS, *MORE} - {"dev"} == {*CALLS, *WITHOUT} - NONE
    for name, arguments in {**CALLS, **MORE}.items():
        result = CliRunner().invoke(masques, [*name.split(), *arguments])
        assert isinstance(result.exception, PermanentError), (name, result.output)
        assert str(result.exception) == (
            f"{root}: its world was made by another version of this project, and would be read "
            "otherwise than it was written: make a new one in its place with `masques sandbox new`"
        ), name
    after = {each: each.read_bytes() for each in root.rglob("*") if each.is_file()}
    assert {each: after[each] for each in files} == files
    assert set(after) - set(files) <= {root / ".lock"}

    assert CliRunner().invoke(masques, new, catch_exceptions=False).exit_code == 0
    moved = CliRunner().invoke(masques, ["sandbox", "live", "--for", "0m"], catch_exceptions=False)
    assert moved.exit_code == 0
