"""`masques sandbox`: a world is made, replaced only when that is confirmed, and moved on."""

import fcntl
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from masques_pipelines.commands.sandbox import sandbox
from masques_pipelines.errors import SettingError
from masques_pipelines.sandbox.world.store import WorldError, digest, read_troubles
from masques_pipelines.warehouse.embedded import side_folder
from masques_pipelines.warehouse.errors import WarehouseBusyError

NEW = ("new", "--days", "4", "--scale", "0.002")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))


def run(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(sandbox, arguments, input=answer)


def test_a_world_is_made_replaced_only_when_asked_and_moved_on(tmp_path: Path) -> None:
    root = tmp_path / "sandbox"
    assert run(*NEW, "--ago", "2h").exit_code == 0
    first = digest(root)
    refused = run(*NEW, answer="n\n")
    assert refused.exit_code == 1
    assert digest(root) == first
    assert run("advance", "90m").exit_code == 0
    assert digest(root) != first
    assert run("live", "--for", "0m").exit_code == 0
    ahead = run("advance", "1d")
    assert isinstance(ahead.exception, SettingError)
    assert "masques sandbox live" in str(ahead.exception)
    assert run(*NEW, "--seed", "2", "--yes").exit_code == 0
    assert digest(root) != first
    assert run("advance", "1w").exit_code == 2


def test_a_trouble_happens_from_now_on_and_what_was_shown_stays(tmp_path: Path) -> None:
    root = tmp_path / "sandbox"
    assert run(*NEW, "--ago", "2h").exit_code == 0
    files = {path: path.read_bytes() for path in (root / "landing").rglob("*.*")}
    listed = run("trouble").stdout.split()
    assert len(listed) >= 35
    assert run("trouble", "bad_rows").exit_code == 0
    assert run("live", "--for", "0m", "--every", "1m").exit_code == 0
    after = {path: path.read_bytes() for path in (root / "landing").rglob("*.*")}
    assert files == {path: after[path] for path in files}
    assert "trouble-1.ndjson" in {path.name for path in after}
    assert [each["kind"] for each in read_troubles(root)] == ["bad_rows"]
    unknown = run("trouble", "rain")
    assert isinstance(unknown.exception, SettingError)


def test_a_folder_with_files_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "sandbox" / "landing" / "api_requests" / "ours.ndjson"
    kept.parent.mkdir(parents=True)
    kept.write_text("{}\n")
    refused = run(*NEW, "--yes")
    assert isinstance(refused.exception, WorldError)
    assert kept.exists()


def test_production_has_no_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASQUES_LEDGER_URL", "capture:///srv/ledger")
    for command in (NEW, ("advance", "1h"), ("live",)):
        refused = run(*command)
        assert isinstance(refused.exception, SettingError)
        assert "these settings are of production" in str(refused.exception)


def test_a_world_is_not_replaced_under_a_process_that_has_its_warehouse_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masques_pipelines.commands.sandbox.COMMAND_LOCK_TIMEOUT_S", 0.0)
    root = tmp_path / "sandbox"
    assert run(*NEW).exit_code == 0
    kept = root / "warehouse" / "store" / "part"
    kept.parent.mkdir(parents=True)
    kept.write_text("rows\n")
    lock = side_folder(root / "warehouse") / "lock"
    lock.parent.mkdir()
    first = digest(root)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("process 7 (masques dev)")
        file.flush()
        refused = run(*NEW, "--seed", "2", "--yes")
    assert isinstance(refused.exception, WarehouseBusyError)
    assert "in use by process 7 (masques dev)" in str(refused.exception)
    assert (digest(root), kept.exists()) == (first, True)
    assert run(*NEW, "--seed", "2", "--yes").exit_code == 0
    assert digest(root) != first
    assert list((root / "warehouse").iterdir()) == []
