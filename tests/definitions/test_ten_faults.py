"""Ten faults, each injected: one message, named by the doctor, one message when it is over.

What is red or fails is made by the jobs themselves, found by the sensor, told over loopback.
"""

import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._daemon.types import DaemonHeartbeat

from masques_pipelines.alerts.book import read_book
from masques_pipelines.defs import failures
from masques_pipelines.defs.alerts import alerts_sensor
from masques_pipelines.defs.resources import run_settings
from masques_pipelines.doctor import clocks
from masques_pipelines.doctor.around import Surroundings, guarded, look_around
from masques_pipelines.doctor.inside import look_inside
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse import retry
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.errors import translate
from tests.support.code_location import defs
from tests.support.hook import Hook, hook_server

Usage = namedtuple("Usage", "total used free")
FULL_DISK = (
    "Code: 75. DB::Exception: Cannot write to file, errno: 28, strerror: No space left on device"
)
NO_RIGHT = "Code: 497. DB::Exception: masques: Not enough privileges: INSERT ON masques.accounts"
LEDGER = "ledger_sync_job"
RAILS = "settlement_ingestion_job"


@dataclass
class Plant:
    """The pipeline of a home of production, and somebody who is told."""

    patch: pytest.MonkeyPatch
    warehouse: Warehouse
    instance: dg.DagsterInstance
    hook: Hook
    home: Path

    def run(self, *tables: str, job: str = LEDGER) -> None:
        """Runs a job, or what it makes of some tables."""
        defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            asset_selection=[dg.AssetKey(each.split(".")) for each in tables] or None,
        )

    def look(self) -> list[dict[str, Any]]:
        """Lets the sensor look twice; returns the messages that came."""
        self.hook.received.clear()
        for _ in range(2):
            context = dg.build_sensor_context(
                instance=self.instance, repository_def=defs.get_repository_def()
            )
            with context:
                alerts_sensor(context)
        return [body for _, body in self.hook.received]

    def bad(self) -> set[str]:
        """Returns what the doctor finds bad."""
        settings = run_settings()
        at = Surroundings(settings, self.home, datetime.now(UTC))

        def inside() -> Iterator[Any]:
            with open_warehouse(settings, origin=Origin(job="doctor")) as opened:
                yield from look_inside(opened)

        found = [*look_around(at), *guarded("warehouse", inside)]
        return {each.name for each in found if each.level == "bad"}


def root(plant: Plant) -> None:
    plant.run("masques_ops.schema_migrations")


def transactions(plant: Plant) -> None:
    plant.run("masques.transactions")


def ledger_down(plant: Plant) -> None:
    plant.patch.setenv("MASQUES_LEDGER_URL", "capture:///nowhere")
    transactions(plant)


def clickhouse_down(plant: Plant) -> None:
    plant.patch.setenv("MASQUES_CLICKHOUSE_URL", "http://127.0.0.1:9")
    plant.patch.setattr(retry, "ATTEMPTS_MAX", 2)
    root(plant)


def refusing(plant: Plant, text: str, code: int) -> None:
    def refuse(*_args: object, **_more: object) -> None:
        raise translate(DatabaseError(text, code=code), what="masques.accounts")

    for name in ("_insert", "_insert_file", "_insert_body"):
        plant.patch.setattr(Warehouse, name, refuse)


def full_disk(plant: Plant) -> None:
    refusing(plant, FULL_DISK, 75)
    plant.patch.setattr(shutil, "disk_usage", lambda _path: Usage(10**12, 10**12, 0))
    transactions(plant)


def missing_grants(plant: Plant) -> None:
    refusing(plant, NO_RIGHT, 497)
    ask = Warehouse.scalar

    def scalar(warehouse: Warehouse, text: str, *more: Any) -> Any:
        is_missing = text.startswith("CHECK GRANT") and "masques.accounts" in text
        return 0 if is_missing else ask(warehouse, text, *more)

    plant.patch.setattr(Warehouse, "scalar", scalar)
    transactions(plant)


def red_check(plant: Plant) -> None:
    """A row that the ledger never sent, which several proofs see."""
    plant.run()
    assert plant.look() == []
    plant.warehouse.command(
        "INSERT INTO masques.transactions SELECT * REPLACE (generateUUIDv4() AS transaction_id) "
        "FROM masques.transactions LIMIT 1"
    )
    plant.run()


def without_the_row(plant: Plant) -> None:
    plant.warehouse.command("TRUNCATE TABLE masques.transactions")
    for table in ("proof_checkpoints", "ledger_seals"):
        plant.warehouse.command(f"TRUNCATE TABLE IF EXISTS masques_ops.{table}")
    plant.run()


def freshness(state: FreshnessState) -> Callable[[Plant], None]:
    def report(plant: Plant) -> None:
        plant.instance._report_runless_asset_event(  # noqa: SLF001 - as Dagster's daemon does
            FreshnessStateChange(
                key=dg.AssetKey(["masques", "api_requests"]),
                previous_state=FreshnessState.UNKNOWN,
                new_state=state,
                state_change_timestamp=datetime.now(UTC).timestamp(),
            )
        )

    return report


def heartbeat(minutes: int) -> Callable[[Plant], None]:
    def beat(plant: Plant) -> None:
        then = datetime.now(UTC) - timedelta(minutes=minutes)
        plant.instance.add_daemon_heartbeat(DaemonHeartbeat(then.timestamp(), "SCHEDULER", "1", []))

    return beat


def skewed(plant: Plant) -> None:
    ours = clocks.time_s
    plant.patch.setattr(clocks, "time_s", lambda: ours() + 600)
    transactions(plant)


def lying_rail(plant: Plant) -> None:
    plant.run(job=RAILS)
    reading(plant, 1, 100)
    reading(plant, 2, 90)
    plant.run(job=RAILS)


def reading(plant: Plant, block: int, balance: int) -> None:
    plant.warehouse.command(
        "INSERT INTO masques_ops.rail_balances (rail, network, asset, block, read_at, address, "
        "currency, balance) VALUES ('base', 'eip155:8453', '0xusdc', "
        f"{block}, now64(9) + {block}, '0xours', 'USDC', {balance})"
    )


def rail_that_agrees(plant: Plant) -> None:
    reading(plant, 3, 100)
    plant.run(job=RAILS)


def drift(plant: Plant) -> None:
    plant.warehouse.command("ALTER TABLE masques.accounts ADD COLUMN odd UInt8")
    root(plant)


def no_drift(plant: Plant) -> None:
    plant.warehouse.command("ALTER TABLE masques.accounts DROP COLUMN odd")
    root(plant)


FAULTS: list[tuple[Callable[[Plant], None], Callable[[Plant], None], str, str]] = [
    (ledger_down, transactions, "run_failed", "ledger"),
    (clickhouse_down, root, "run_failed", "warehouse"),
    (full_disk, transactions, "disk_is_nearly_full", "disk"),
    (red_check, without_the_row, "", "fault"),
    (freshness(FreshnessState.FAIL), freshness(FreshnessState.PASS), "table_is_stale", "fault"),
    (heartbeat(9), heartbeat(0), "daemon_is_gone", "fault"),
    (missing_grants, transactions, "run_failed", "rights"),
    (skewed, transactions, "clocks_agree", "warehouse clock"),
    (lying_rail, rail_that_agrees, "chain_agrees", "fault"),
    (drift, no_drift, "run_failed", "schema"),
]
NAMES = (
    *("ledger down", "ClickHouse down", "full disk", "red check", "stale files", "dead daemon"),
    *("missing grants", "clock skew", "rail that lies", "schema drift"),
)


@pytest.fixture
def plant(
    monkeypatch: pytest.MonkeyPatch,
    warehouse: Warehouse,
    engine_settings: Settings,
    small_capture: Path,
    instance: dg.DagsterInstance,
    tmp_path: Path,
) -> Iterator[Plant]:
    monkeypatch.setattr(failures, "RETRY_PAUSES_S", ())
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    monkeypatch.setenv("MASQUES_LEDGER_URL", f"capture://{small_capture}")
    (tmp_path / "landing").mkdir()
    with hook_server() as hook, pytest.MonkeyPatch.context() as patch:
        rules = tmp_path / "alerts.yaml"
        rules.write_text(
            f"to: [{{url: 'json://127.0.0.1:{hook.server_port}/'}}]\nui: http://ui.example.com\n"
        )
        monkeypatch.setenv("MASQUES_ALERTS_FILE", str(rules))
        yield Plant(patch, warehouse, instance, hook, tmp_path)


@pytest.mark.parametrize(("inject", "mend", "entry", "named"), FAULTS, ids=NAMES)
def test_a_fault_is_one_message_and_so_is_its_end(
    plant: Plant,
    inject: Callable[[Plant], None],
    mend: Callable[[Plant], None],
    entry: str,
    named: str,
) -> None:
    inject(plant)
    (message,) = plant.look()
    known = read_book(plant.home).open
    for each in known.values():
        assert f"id: {each.fault.id}" in message["message"]
        assert entry in ("", each.fault.entry)
        assert f"runbook: masques runbook {each.fault.entry}" in message["message"]
    for part in ("next: ", "page: http://ui.example.com/", "owner: ", "since: "):
        assert part in message["message"]
    assert message["type"] == "failure"
    assert named in plant.bad()
    plant.patch.undo()
    mend(plant)
    (message,) = plant.look()
    assert message["title"].startswith("Masques: over: ")
    assert message["type"] == "success"
    assert read_book(plant.home).open == {}
    assert plant.bad() == set()
