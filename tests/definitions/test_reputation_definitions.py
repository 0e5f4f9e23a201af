"""Reputation through Dagster: the job, its checks, what it shows, a failure, and the schedule."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from masques_pipelines.defs.reputation.reputation_scores import reputation_scores
from masques_pipelines.defs.resources import WarehouseResource
from masques_pipelines.reputation.checks import NAMES
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.code_location import defs
from tests.support.reputation_world import PLATFORM, Event, World, ident

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def _environment(
    monkeypatch: pytest.MonkeyPatch, engine_settings: Settings, tmp_path: Path
) -> None:
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))


def fill(warehouse: Warehouse) -> None:
    """An agent that keeps a hold, is paid in a currency without rate, and pays itself."""
    world = World(identities={ident("agent"): {}, ident("client"): {}, ident("idle"): {}})
    at = NOW - timedelta(days=2)
    world.pay(ident("client"), ident("agent"), at, event_type="two_phase_posted", hold=ident("h"))
    paid = world.pay(ident("client"), ident("agent"), at, currency="XYZ")
    own = world.pay(ident("agent"), ident("agent"), at)
    world.events = [
        Event(ident("agent"), at, reference_type="transaction", reference=paid),
        Event(ident("agent"), at, reference_type="transaction", reference=own),
        Event(ident("agent"), at, "identity_hygiene", -1.0, counterparty=str(PLATFORM)),
    ]
    world.load(warehouse, with_facts=False)


@pytest.mark.usefixtures("_environment")
def test_the_job_scores_checks_and_shows(
    warehouse: Warehouse, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    fill(warehouse)
    rates = tmp_path / "landing" / "exchange_rates" / "a.ndjson"
    rates.parent.mkdir(parents=True)
    rates.write_text('{"currency":"SOL","quoted_at":"2026-11-01T00:00:00Z","usd":"1"}\n[]\n')
    os.utime(rates, (time.time() - 60,) * 2)
    job = defs.resolve_job_def("reputation_aggregation_job")
    run = job.execute_in_process(instance=instance)

    evaluations = {found.check_name: found for found in run.get_asset_check_evaluations()}
    assert set(evaluations) == {
        *NAMES,
        "parts_are_read",
        "rows_are_unchanged",
        "whole_pass_is_recent",
    }
    assert [name for name, found in evaluations.items() if not found.passed] == []
    (made,) = run.asset_materializations_for_node("masques__reputation_scores")
    values = {name: entry.value for name, entry in made.metadata.items()}
    expected = {
        "dagster/row_count": 3,
        "rows_written": 3,
        "identities_with_evidence": 1,
        # The three, and the hold that the client kept.
        "events_in_window": 4,
        "signals_derived": 1,
        "excluded_events": 1,
        "payments_without_rate": 1,
        "evidence_changed": 4,
        "facts_compared": "everything",
        "rates_loaded": 1,
        "bad_rate_rows": 1,
        "model_version": "price-3",
        "leftovers_removed": 0,
    }
    assert {name: values[name] for name in expected} == expected
    assert "0.5-0.6" in str(values["distribution"])
    movers = made.metadata["largest movers in a week"].value.records  # type: ignore[union-attr]
    assert {record.data["identity_id"] for record in movers} == {str(ident("agent"))}
    # A second run looks only at what is new.
    again = job.execute_in_process(instance=instance)
    (made,) = again.asset_materializations_for_node("masques__reputation_scores")
    shown = ("facts_compared", "evidence_changed", "signals_derived", "rates_loaded")
    assert [made.metadata[name].value for name in shown] == ["what is new", 0, 0, 0]


@pytest.mark.usefixtures("_environment")
def test_a_failed_refresh_fails_the_run_with_the_engines_words(warehouse: Warehouse) -> None:
    fill(warehouse)
    assert alone().success
    scores = "SELECT * FROM masques.reputation_scores ORDER BY identity_id"
    before = warehouse.rows(scores)
    # The facts can be written down; the computation fails.
    warehouse.command(
        "ALTER TABLE masques.reputation_scores_mv MODIFY QUERY SELECT identity_id, "
        "throwIf(1, 'out of numbers') AS overall_score FROM masques.identities"
    )
    run = alone()
    assert not run.success
    (failure,) = run.filter_events(lambda event: event.is_step_failure)
    assert "out of numbers" in str(failure.step_failure_data.error)
    assert warehouse.rows(scores) == before


@pytest.mark.usefixtures("_environment")
def test_an_asset_without_the_root_says_to_migrate_first(empty_warehouse: Warehouse) -> None:
    (failure,) = alone().filter_events(lambda event: event.is_step_failure)
    assert failure.step_failure_data.user_failure_data is not None
    assert failure.step_failure_data.user_failure_data.description == (
        f"{empty_warehouse.description}: it has no schema yet: run `masques migrate`, then again"
    )


def alone() -> dg.ExecuteInProcessResult:
    """The asset without the root, which would refuse a changed view."""
    return dg.materialize(
        [reputation_scores], resources={"warehouse": WarehouseResource()}, raise_on_error=False
    )


def test_a_tick_asks_for_one_run() -> None:
    schedule = defs.resolve_schedule_def("reputation_aggregation_schedule")
    assert (schedule.cron_schedule, schedule.job_name) == (
        "20 * * * *",
        "reputation_aggregation_job",
    )
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    with dg.instance_for_test() as on_disk:
        context = dg.build_schedule_context(
            instance=on_disk,
            scheduled_execution_time=NOW,
            repository_def=defs.get_repository_def(),
        )
        (request,) = schedule.evaluate_tick(context).run_requests or ()
    assert request.run_key == NOW.isoformat()
    job = defs.resolve_job_def("reputation_aggregation_job")
    assert {key.to_user_string() for key in job.asset_layer.selected_asset_keys} == {
        "masques_ops/schema_migrations",
        "masques/reputation_scores",
    }
