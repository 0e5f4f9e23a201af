"""Green means green: a run without news makes no asset stale, and every asset is fresh after it.

Asked as the UI asks, through GraphQL.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.freshness import FreshnessDaemon

from masques_pipelines.sandbox.world.store import make_world, world_until
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.code_location import defs
from tests.support.gate_rows import GOOD, ndjson

# Whole runs of Dagster, which a busy machine makes slow.
pytestmark = pytest.mark.timeout(600)

STALE = "{ assetNodes { assetKey { path } isMaterializable staleStatus staleCauses { reason } } }"
FRESH = (
    "{ assetNodes { assetKey { path } isMaterializable freshnessStatusInfo { freshnessStatus } } }"
)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    # The events are kept in memory: on disk each costs some 20 ms of a core.
    memory = {
        "module": "dagster._core.storage.event_log.in_memory",
        "class": "InMemoryEventLogStorage",
    }
    noop = {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
    overrides = {
        "telemetry": {"enabled": False},
        "compute_logs": noop,
        "event_log_storage": memory,
    }
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as made:
        yield made


@pytest.fixture
def workspace(instance: dg.DagsterInstance) -> Iterator[WorkspaceProcessContext]:
    origin = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(module_name="masques_pipelines.definitions"),
        location_name="masques_pipelines",
    )
    with WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as context:
        yield context


@pytest.fixture
def _sandbox(
    monkeypatch: pytest.MonkeyPatch,
    engine_settings: Settings,
    warehouse: Warehouse,
    tmp_path: Path,
) -> None:
    del warehouse
    small = world_until(time.time_ns(), seed=1, days=2, scale=0.002, troubles=0)
    make_world(tmp_path / "sandbox", small)
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
    monkeypatch.setenv("MASQUES_SANDBOX", "1")
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)


def materializable(workspace: WorkspaceProcessContext, query: str) -> dict[str, dict[str, Any]]:
    # Takes two seconds of a core to load, and every process of the tests loads this module.
    from dagster_graphql.test.utils import execute_dagster_graphql  # noqa: PLC0415

    result = execute_dagster_graphql(workspace.create_request_context(), query)
    assert not result.errors
    return {
        "/".join(node["assetKey"]["path"]): node
        for node in result.data["assetNodes"]
        if node["isMaterializable"]
    }


@pytest.mark.filterwarnings(
    "ignore:Property `ScheduleDefinition.environment_vars`:DeprecationWarning"
)
@pytest.mark.usefixtures("_sandbox")
def test_a_tick_without_news_makes_nothing_stale_and_news_what_is_made_of_it(
    instance: dg.DagsterInstance, workspace: WorkspaceProcessContext, tmp_path: Path
) -> None:
    everything = defs.resolve_implicit_global_asset_job_def()
    assert everything.execute_in_process(instance=instance).success
    for schedule in defs.schedules or ():
        assert isinstance(schedule, dg.ScheduleDefinition)
        if schedule.job_name == "housekeeping_job":
            continue  # it looks at Dagster's own history only
        job = defs.resolve_job_def(schedule.job_name)
        assert job.execute_in_process(instance=instance).success

    stale = materializable(workspace, STALE)
    graph = defs.get_repository_def().asset_graph
    assert set(stale) == {key.to_user_string() for key in graph.materializable_asset_keys}
    causes = {name: [c["reason"] for c in node["staleCauses"]] for name, node in stale.items()}
    assert {name: node["staleStatus"] for name, node in stale.items()} == dict.fromkeys(
        stale, "FRESH"
    ), causes

    # What the daemon does every half minute.
    asyncio.run(FreshnessDaemon()._evaluate_assets(workspace))  # noqa: SLF001 - its loop, once
    fresh = materializable(workspace, FRESH)
    assert {
        name: node["freshnessStatusInfo"]["freshnessStatus"] for name, node in fresh.items()
    } == dict.fromkeys(fresh, "HEALTHY")

    file = tmp_path / "sandbox" / "landing" / "identities" / "news.ndjson"
    file.write_bytes(ndjson([GOOD["identities"](1)]))
    an_hour_ago_s = time.time() - 3600
    os.utime(file, (an_hour_ago_s, an_hour_ago_s))
    assert defs.resolve_job_def("intake_job").execute_in_process(instance=instance).success
    stale = materializable(workspace, STALE)
    assert {name for name, node in stale.items() if node["staleStatus"] != "FRESH"} == {
        "masques/reputation_scores"
    }
