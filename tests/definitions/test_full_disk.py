"""A disk that is really full: the run says so, one message, and the next run goes on from there."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from masques_pipelines.defs import failures
from masques_pipelines.defs.alerts import alerts_sensor
from masques_pipelines.defs.resources import run_settings
from masques_pipelines.doctor.around import Surroundings, look_around
from masques_pipelines.warehouse import retry
from masques_pipelines.warehouse.client import Origin
from masques_pipelines.warehouse.connect import open_warehouse
from tests.support.code_location import defs
from tests.support.hook import Hook, hook_server
from tests.support.migrated_folder import copy_migrated
from tests.support.served import served
from tests.support.small_disk import filled, small_disk

DISK_BYTES = 256 << 20
JOB = "ledger_sync_job"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, small_capture: Path, tmp_path: Path) -> Iterator[Path]:
    """A home on a small disk, with a served engine; Dagster's history is on another disk."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setattr(failures, "RETRY_PAUSES_S", ())
    monkeypatch.setattr(retry, "ATTEMPTS_MAX", 1)
    monkeypatch.setenv("MASQUES_HOME", str(folder))
    monkeypatch.setenv("MASQUES_LEDGER_URL", f"capture://{small_capture}")
    with small_disk(folder, DISK_BYTES):
        copy_migrated(folder / "warehouse")
        with served(folder / "warehouse"):
            yield folder


def run(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def(JOB).execute_in_process(instance=instance, raise_on_error=False)


def told(instance: dg.DagsterInstance, hook: Hook) -> list[tuple[str, str]]:
    """Lets the sensor look twice; returns titles and texts of the messages that came."""
    hook.received.clear()
    for _ in range(2):
        repository = defs.get_repository_def()
        with dg.build_sensor_context(instance=instance, repository_def=repository) as context:
            alerts_sensor(context)
    return [(body["title"], body["message"]) for _, body in hook.received]


def disk_is(level: str, home: Path) -> bool:
    (found,) = (
        each
        for each in look_around(Surroundings(run_settings(), home / "dagster", datetime.now(UTC)))
        if each.name == "disk"
    )
    return found.level == level


def test_a_full_disk_fails_a_run_is_told_and_loses_nothing(
    home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as full, hook_server() as hook:
        rules = tmp_path / "alerts.yaml"
        rules.write_text(f"to: [{{url: 'json://127.0.0.1:{hook.server_port}/'}}]\n")
        monkeypatch.setenv("MASQUES_ALERTS_FILE", str(rules))
        full.enter_context(filled(home))
        assert not run(instance).success
        ((title, text),) = told(instance, hook)
        assert title == f"Masques: {JOB} failed"
        assert "free some space on the disk that holds the warehouse, then run again" in text
        assert disk_is("bad", home)
        full.close()
        assert run(instance).success
        ((title, _),) = told(instance, hook)
        assert title == f"Masques: over: {JOB} failed"
        assert disk_is("good", home)
        with open_warehouse(run_settings(), origin=Origin(job="test")) as warehouse:
            assert warehouse.scalar("SELECT count() FROM masques.transactions") == 2120
