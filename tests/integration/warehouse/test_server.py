"""The server path: the same work over HTTP, with lines that break at the worst moments.

The server is tests/clickhouse_front/, the embedded engine behind ClickHouse's HTTP interface.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from masques_pipelines.errors import SettingError
from masques_pipelines.ledger.accounts import sync_accounts
from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.chart import read_chart
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.rails.run import LEASE, ingest_all
from masques_pipelines.sandbox.stamp import StampError, check_stamp, stamp_warehouse
from masques_pipelines.sandbox.stand_ins import with_stand_ins
from masques_pipelines.schema.migrations import make_plan
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.errors import WarehousePermanentError, WarehouseTransientError
from masques_pipelines.warehouse.lease import LeaseBusyError, writer_lease
from tests.clickhouse_front.faults import FaultKind
from tests.clickhouse_front.front import Front, http_front
from tests.support.fresh_schema import adopt_schema, fresh_schema
from tests.support.migrated_folder import copy_migrated
from tests.support.sync_worker import WRITE


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("server") / "data"
    copy_migrated(folder)
    with http_front(folder, user="masques", password="p@ss/word") as running:
        with connected(running) as warehouse:
            adopt_schema(warehouse)
        yield running


@contextmanager
def connected(front: Front) -> Iterator[Warehouse]:
    settings = read_settings({"MASQUES_CLICKHOUSE_URL": front.url})
    with open_warehouse(settings, origin=Origin(job="tests")) as warehouse:
        yield warehouse


@pytest.fixture
def server(front: Front) -> Iterator[Warehouse]:
    """A migrated server without rows; every fault that a test ordered must have happened."""
    with connected(front) as warehouse:
        fresh_schema(warehouse)
        yield warehouse
    assert front.faults() == []


def counted(warehouse: Warehouse) -> tuple[int, int]:
    events, times = warehouse.row("SELECT count(), uniqExact(timestamp) FROM masques.transactions")
    return int(events), int(times)


def test_the_sandbox_fills_a_server_that_then_refuses_production(
    server: Warehouse, front: Front, tmp_path: Path
) -> None:
    given = {"MASQUES_HOME": str(tmp_path), "MASQUES_CLICKHOUSE_URL": front.url}
    sandbox = with_stand_ins(read_settings({**given, "MASQUES_SANDBOX": "1"}))
    stamp_warehouse(server, sandbox)
    check_stamp(server, sandbox)
    with pytest.raises(StampError, match="is stamped sandbox since"):
        check_stamp(server, with_stand_ins(read_settings(given)))


def test_migrations_and_sync_work_over_http(server: Warehouse, small_capture: Path) -> None:
    assert make_plan(server).is_clean
    with CaptureSource(small_capture) as ledger:
        assert sync_accounts(server, ledger, read_chart(None)).rows_written == 122
        assert sync_transactions(server, ledger, read_chart(None)).rows_written == 2120
        assert sync_transactions(server, ledger, read_chart(None)).rows_written == 0
    assert counted(server) == (2120, 2120)


def test_queries_are_tagged_and_inserts_synchronous(
    server: Warehouse, front: Front, small_capture: Path
) -> None:
    with CaptureSource(small_capture) as ledger:
        sync_transactions(server, ledger, read_chart(None))
    insert = front.requests(match=WRITE)[-1]
    assert insert["settings"]["log_comment"] == '{"run_id":"","asset_key":"","job":"tests"}'
    assert insert["settings"]["async_insert"] == "0"


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "truncate"])
def test_a_line_that_breaks_at_an_insert_loses_and_doubles_nothing(
    server: Warehouse, front: Front, small_capture: Path, kind: FaultKind
) -> None:
    # drop_after: the insert is in, its answer is lost, and the driver itself sends it again.
    front.inject(kind, match=WRITE, times=1 if kind == "truncate" else 2)
    with CaptureSource(small_capture) as ledger:
        done = sync_transactions(server, ledger, read_chart(None), batch_events=500)
    assert (done.rows_written, counted(server)) == (2120, (2120, 2120))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("error", {"code": 202}),  # TOO_MANY_SIMULTANEOUS_QUERIES
        ("error", {"code": 999}),  # KEEPER_EXCEPTION
        ("http_status", {"status": 502}),  # a proxy whose server is away
        ("http_status", {"status": 503}),
        ("http_status", {"status": 429}),
    ],
)
def test_a_passing_error_is_tried_again(
    server: Warehouse, front: Front, kind: FaultKind, options: dict[str, int]
) -> None:
    front.inject(kind, match="INSERT INTO masques.identities", times=2, **options)
    server.insert_rows("masques.identities", ["display_name"], [["once"]])
    assert server.rows("SELECT display_name FROM masques.identities") == [("once",)]
    sent = [r for r in front.requests(match="INSERT INTO masques.identities") if not r["executed"]]
    assert len(sent) >= 2


def test_a_lasting_error_is_tried_once(server: Warehouse, front: Front) -> None:
    before = len(front.requests(match="INSERT INTO masques.nowhere"))
    with pytest.raises(WarehousePermanentError):
        server.insert_rows("masques.nowhere", ["x"], [[1]])
    front.inject("error", match="INSERT INTO masques.identities", code=57)
    with pytest.raises(WarehousePermanentError) as raised:
        server.insert_rows("masques.identities", ["display_name"], [["never"]])
    assert raised.value.code == 57
    assert len(front.requests(match="INSERT INTO masques.nowhere")) - before <= 1


def test_a_server_that_stays_away_is_given_up_in_seconds(server: Warehouse, front: Front) -> None:
    front.inject("error", match="INSERT INTO masques.identities", code=210, times=5)
    with pytest.raises(WarehouseTransientError) as raised:
        server.insert_rows("masques.identities", ["display_name"], [["never"]])
    assert raised.value.code == 210


def test_a_wrong_password_is_refused_without_showing_it(front: Front) -> None:
    settings = read_settings(
        {"MASQUES_CLICKHOUSE_URL": f"http://masques:wrong-one@127.0.0.1:{front.port}"}
    )
    with (
        pytest.raises(WarehousePermanentError) as raised,
        open_warehouse(settings, origin=Origin()),
    ):
        pass
    assert raised.value.code == 516
    assert "wrong-one" not in str(raised.value)


def test_a_killed_server_is_waited_for_and_the_sync_goes_on(
    server: Warehouse, front: Front, small_capture: Path
) -> None:
    with CaptureSource(small_capture) as ledger:
        sync_transactions(server, ledger, read_chart(None))
        front.kill()
        front.restart()
        assert sync_transactions(server, ledger, read_chart(None)).rows_written == 0
    assert counted(server) == (2120, 2120)


def test_a_second_writer_of_settlements_waits_for_the_lease(
    server: Warehouse, front: Front, tmp_path: Path
) -> None:
    # Revisions are numbered by what is there: two writers would give one number twice.
    settings = read_settings({"MASQUES_HOME": str(tmp_path), "MASQUES_CLICKHOUSE_URL": front.url})
    before = len(front.requests(match="CREATE TABLE masques_ops.lease_settlements_"))
    ingest_all(server, settings)
    taken = front.requests(match="CREATE TABLE masques_ops.lease_settlements_")[before:]
    assert len(taken) == 2  # taken, and released

    with (
        writer_lease(server, LEASE),
        pytest.raises(LeaseBusyError, match="writes 'settlements' already"),
        writer_lease(server, LEASE, wait_s=0),
    ):
        pass


def test_the_password_may_stand_in_a_file(front: Front, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss/word\n")
    url = f"http://masques@127.0.0.1:{front.port}"
    asked = {"MASQUES_CLICKHOUSE_URL": url, "MASQUES_CLICKHOUSE_PASSWORD_FILE": str(file)}
    with open_warehouse(read_settings(asked), origin=Origin()) as warehouse:
        assert warehouse.scalar("SELECT 1") == 1
    both = read_settings({**asked, "MASQUES_CLICKHOUSE_URL": front.url})
    with (
        pytest.raises(SettingError, match="MASQUES_CLICKHOUSE_PASSWORD_FILE: MASQUES_CLICKHOUSE"),
        open_warehouse(both, origin=Origin()),
    ):
        pass
    file.write_text("wrong")
    with (
        pytest.raises(WarehousePermanentError) as refused,
        open_warehouse(read_settings(asked), origin=Origin()),
    ):
        pass
    assert "wrong" not in str(refused.value)
