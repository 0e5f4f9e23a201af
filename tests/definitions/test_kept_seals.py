"""The digests that Dagster keeps: which are asked for, and what a replaced chain of seals shows."""

import time
from pathlib import Path

import dagster as dg
import pytest

from masques_pipelines.defs.ledger.kept_seals import AGES_S, kept_seals
from masques_pipelines.defs.table_asset import table_key
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.code_location import defs


@pytest.fixture
def production(
    monkeypatch: pytest.MonkeyPatch,
    empty_warehouse: Warehouse,
    engine_settings: Settings,
    small_capture: Path,
) -> Warehouse:
    """The test process's warehouse as the copy of a capture, and no sandbox."""
    monkeypatch.setenv("MASQUES_HOME", str(engine_settings.home))
    monkeypatch.setenv("MASQUES_SANDBOX", "0")
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    monkeypatch.setenv("MASQUES_LEDGER_URL", f"capture://{small_capture}")
    return empty_warehouse


def integrity(instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
    result = defs.resolve_job_def("ledger_sync_job").execute_in_process(
        instance=instance, raise_on_error=False
    )
    (found,) = (
        one for one in result.get_asset_check_evaluations() if one.check_name == "integrity"
    )
    return found


def test_a_chain_that_was_written_anew_fails_the_check(production: Warehouse) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert integrity(instance).passed
        kept = kept_seals(instance)
        newest = production.row(
            "SELECT digest, sequence FROM masques_ops.ledger_seals ORDER BY sequence DESC LIMIT 1"
        )
        assert kept == dict([newest])
        # Whoever can write to ClickHouse takes a row away, and seals the rest as if it never was.
        for table in ("ledger_seals", "balance_checkpoints", "checkpoint_balances"):
            production.command(f"TRUNCATE TABLE masques_ops.{table}")
        production.command(
            "INSERT INTO masques_ops.ledger_seals (sequence, digest) VALUES (1, 'of another hand')"
        )
        found = integrity(instance)
    assert not found.passed
    assert f"the kept digest {newest[0]} is not in the chain" in str(found.description)


def test_digests_of_some_time_ago_are_asked_for_too(monkeypatch: pytest.MonkeyPatch) -> None:
    key, now_s = table_key("transactions"), time.time()
    with dg.DagsterInstance.ephemeral() as instance:
        assert kept_seals(instance) == {}
        for number in range(3):
            instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    key, metadata={"seal": f"d{number}", "seal_sequence": number}
                )
            )
        assert kept_seals(instance) == {"d1": 1, "d2": 2}
        # Seen in a year, the newest are old; and one of before the number was kept has none.
        instance.report_runless_asset_event(
            dg.AssetMaterialization(key, metadata={"seal": "without"})
        )
        monkeypatch.setattr(time, "time", lambda: now_s + AGES_S[-1] + 60)
        assert kept_seals(instance) == {"without": 0, "d2": 2}
