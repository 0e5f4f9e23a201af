"""Reputation over HTTP: the refresh of a server, its errors, and a server that is killed in it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from masques_pipelines.errors import MasquesError
from masques_pipelines.reputation.aggregation import aggregate
from masques_pipelines.reputation.facts import LEASE, write_facts
from masques_pipelines.reputation.scores import refresh_scores
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.errors import WarehousePermanentError
from masques_pipelines.warehouse.lease import LeaseBusyError, writer_lease
from tests.clickhouse_front.faults import FaultKind
from tests.clickhouse_front.front import Front, http_front
from tests.support.fresh_schema import adopt_schema, fresh_schema
from tests.support.migrated_folder import copy_migrated
from tests.support.patience import until
from tests.support.reputation_reference import python_scores
from tests.support.reputation_world import Event, World, ident

NOW = datetime.now(UTC).replace(microsecond=0)
SCORES = "SELECT * FROM masques.reputation_scores ORDER BY identity_id"
LEFTOVERS = (
    "SELECT countIf(startsWith(name, '.tmp')), count() FROM system.tables "
    "WHERE database = 'masques'"
)


@contextmanager
def connected(front: Front) -> Iterator[Warehouse]:
    settings = read_settings({"MASQUES_CLICKHOUSE_URL": front.url})
    with open_warehouse(settings, origin=Origin(job="tests")) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("server") / "data"
    copy_migrated(folder)
    with http_front(folder) as running:
        with connected(running) as warehouse:
            adopt_schema(warehouse)
        yield running


@pytest.fixture
def server(front: Front) -> Iterator[Warehouse]:
    """A migrated server without rows; every fault that a test ordered must have happened."""
    with connected(front) as warehouse:
        fresh_schema(warehouse)
        yield warehouse
    assert front.faults() == []


def small_world() -> World:
    world = World(identities={ident("agent"): {}, ident("idle"): {}})
    for n in range(3):
        at = NOW - timedelta(days=n + 1)
        payment = world.pay(ident(f"client {n}"), ident("agent"), at)
        world.events.append(
            Event(ident("agent"), at, reference_type="transaction", reference=payment)
        )
    return world


def test_a_server_refreshes_and_is_waited_for(server: Warehouse, tmp_path: Path) -> None:
    world = small_world()
    world.load(server, with_facts=False)
    settings = read_settings({"MASQUES_HOME": str(tmp_path)})
    first = aggregate(server, settings)
    second = aggregate(server, settings)

    assert (first.facts.evidence, first.refresh.identities, first.refresh.events) == (3, 2, 3)
    assert (second.facts.is_full, second.facts.evidence) == (False, 0)
    found = dict(
        server.rows("SELECT identity_id, overall_score FROM masques.reputation_scores FINAL")
    )
    expected = python_scores(world, second.refresh.computed_at.replace(tzinfo=UTC))
    assert found == pytest.approx({i: score.overall for i, score in expected.items()}, abs=1e-9)


def test_the_error_of_a_refresh_comes_over_the_line(server: Warehouse) -> None:
    small_world().load(server)
    refresh_scores(server)
    before = server.rows(SCORES)
    server.command("RENAME TABLE masques_ops.reputation_evidence TO masques_ops.log_away")
    try:
        with pytest.raises(WarehousePermanentError, match="reputation_evidence"):
            refresh_scores(server)
    finally:
        server.command("RENAME TABLE masques_ops.log_away TO masques_ops.reputation_evidence")
    assert server.rows(SCORES) == before
    assert refresh_scores(server).identities == 2


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_a_line_that_breaks_at_the_evidence_doubles_nothing(
    server: Warehouse, front: Front, kind: FaultKind
) -> None:
    # drop_after: the insert is in, its answer is lost, and it is sent again.
    small_world().load(server, with_facts=False)
    front.inject(kind, match="INSERT INTO masques_ops.reputation_evidence")
    assert write_facts(server).evidence == 3
    later = small_world()
    later.load(server, ingested_at=datetime.now(UTC), with_facts=False)
    front.inject(kind, match="INSERT INTO masques_ops.reputation_evidence")
    assert write_facts(server).evidence == 3
    assert write_facts(server, full=True).evidence == 0


def test_a_second_run_waits_for_the_first(
    server: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masques_pipelines.reputation.facts.LEASE_S", -9.9)
    with writer_lease(server, LEASE), pytest.raises(LeaseBusyError, match="'reputation'"):
        write_facts(server)


def test_a_server_that_dies_in_a_refresh_keeps_the_scores(tmp_path: Path) -> None:
    copy_migrated(tmp_path / "data")
    with http_front(tmp_path / "data") as front:
        with connected(front) as server:
            server.command(
                "INSERT INTO masques.reputation_events (event_id, timestamp, identity_id, "
                "category, score_delta, confidence) SELECT generateUUIDv4(), "
                "now64(9) - INTERVAL number % 80 DAY, generateUUIDv4(), 'economic', 1, 1 "
                "FROM numbers(20000)"
            )
            write_facts(server)
            refresh_scores(server)
            scores = "SELECT count(), max(computed_at) FROM masques.reputation_scores"
            before = server.row(scores)
            doomed = threading.Thread(target=_refresh_in_vain, args=(front,))
            doomed.start()
            until(lambda: server.row(LEFTOVERS)[0], "the refresh to begin")
            front.kill()
            doomed.join()
        front.restart()
        with connected(front) as server:
            assert (server.row(scores), server.row(LEFTOVERS)) == (before, (1, 10))
            refreshed = refresh_scores(server)
            assert (refreshed.leftovers, refreshed.identities) == (1, 20_000)
            assert server.row(LEFTOVERS) == (0, 9)


def _refresh_in_vain(front: Front) -> None:
    with pytest.raises(MasquesError), connected(front) as server:
        refresh_scores(server)
