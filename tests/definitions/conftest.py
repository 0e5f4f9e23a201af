"""An instance of Dagster that has everything alerts look at."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """With ticks and heartbeats; the events are kept in memory: on disk each costs 20 ms."""
    overrides = {
        "event_log_storage": {
            "module": "dagster._core.storage.event_log.in_memory",
            "class": "InMemoryEventLogStorage",
        },
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        },
        "telemetry": {"enabled": False},
    }
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as made:
        yield made
