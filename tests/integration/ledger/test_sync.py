"""The sync on the real engine: a real server's bytes against the server's own answers."""

import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from masques_pipelines.ledger.accounts import sync_accounts
from masques_pipelines.ledger.binding import LedgerBindingError
from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.chart import Chart, ChartError, read_chart
from masques_pipelines.ledger.rebuild import rebuild_transactions
from masques_pipelines.ledger.records import ACCOUNT_DTYPE, CHANGE_EVENT_DTYPE, Records, records_of
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.ledger.transactions import SyncIncompleteError, sync_transactions
from masques_pipelines.warehouse.client import Warehouse
from tests.support.balances import NO_BALANCES, folded_balances, snapshot_balances
from tests.support.memory_ledger import MemoryLedger, account, event
from tests.support.paths import ROOT

SCALES = {1: 6, 2: 11, 3: 9}
ALL_TRANSACTIONS = (
    "SELECT * EXCEPT ingested_at, toUnixTimestamp64Nano(timestamp) AS ns "
    "FROM masques.transactions ORDER BY timestamp"
)


@pytest.fixture
def chart() -> Chart:
    return read_chart(None)


@pytest.fixture
def small(small_capture: Path) -> Iterator[CaptureSource]:
    with CaptureSource(small_capture) as source:
        yield source


@pytest.fixture
def expected(small_capture: Path) -> dict[str, Any]:
    """The server's own answers: lookup_accounts, counts, posted sums."""
    answers: dict[str, Any] = json.loads((small_capture / "expected.json").read_text())
    return answers


def memory_ledger(source: LedgerSource) -> MemoryLedger:
    """Returns a copy of a capture that a test may cut and change."""
    events = records_of(source.change_events(0).data, CHANGE_EVENT_DTYPE, origin="test")
    accounts = records_of(source.accounts(0).data, ACCOUNT_DTYPE, origin="test")
    return MemoryLedger(events=events, known_accounts=accounts, cluster_id=source.cluster_id)


def units(amount: str, ledger: int) -> Decimal:
    return Decimal(amount).scaleb(-SCALES[ledger])


def expected_balances(expected: dict[str, Any]) -> dict[uuid.UUID, tuple[Decimal, ...]]:
    return {
        uuid.UUID(int=int(account_id)): tuple(
            units(found[name], found["ledger"])
            for name in ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
        )
        for account_id, found in expected["accounts"].items()
    }


def test_the_balances_of_every_account_equal_the_servers(
    warehouse: Warehouse, small: CaptureSource, chart: Chart, expected: dict[str, Any]
) -> None:
    done = sync_accounts(warehouse, small, chart)
    assert snapshot_balances(warehouse) == expected_balances(expected)
    assert (done.rows_written, done.rows_total, done.accounts_read) == (122, 122, 122)


def test_folding_the_events_gives_the_servers_balances(
    warehouse: Warehouse, small: CaptureSource, chart: Chart, expected: dict[str, Any]
) -> None:
    sync_transactions(warehouse, small, chart)
    folded = folded_balances(warehouse)

    # An account without any event is in no row of the fold.
    assert {
        account_id: folded.get(account_id, NO_BALANCES)
        for account_id in expected_balances(expected)
    } == expected_balances(expected)
    assert set(folded) <= set(expected_balances(expected))


def test_counts_and_posted_sums_equal_the_servers(
    warehouse: Warehouse, small: CaptureSource, chart: Chart, expected: dict[str, Any]
) -> None:
    done = sync_transactions(warehouse, small, chart)

    counts = warehouse.rows("SELECT event_type, count() FROM masques.transactions GROUP BY ALL")
    assert dict(counts) == expected["events_by_type"]
    posted = warehouse.rows(
        "SELECT ledger, sum(amount) FROM masques.transactions "
        "WHERE event_type IN ('single_phase', 'two_phase_posted') GROUP BY ledger"
    )
    assert dict(posted) == {
        int(ledger): units(amount, int(ledger))
        for ledger, amount in expected["posted_amount_by_ledger"].items()
    }
    assert (done.rows_written, done.rows_total, done.events_read) == (2120, 2120, 2120)


def test_status_follows_from_the_event_type(
    warehouse: Warehouse, small: CaptureSource, chart: Chart
) -> None:
    sync_transactions(warehouse, small, chart)
    assert warehouse.rows(
        "SELECT event_type, status, min(pending_id IS NULL), max(pending_id IS NULL) "
        "FROM masques.transactions GROUP BY ALL ORDER BY event_type"
    ) == [
        ("single_phase", "posted", 1, 1),
        ("two_phase_expired", "expired", 0, 0),
        ("two_phase_pending", "pending", 1, 1),
        ("two_phase_posted", "posted", 0, 0),
        ("two_phase_voided", "voided", 0, 0),
    ]
    # An expiry is about its own hold.
    assert (
        warehouse.scalar(
            "SELECT countIf(pending_id != transaction_id) FROM masques.transactions "
            "WHERE event_type = 'two_phase_expired'"
        )
        == 0
    )


def test_a_second_run_writes_no_row(
    warehouse: Warehouse, small: CaptureSource, chart: Chart
) -> None:
    sync_accounts(warehouse, small, chart)
    sync_transactions(warehouse, small, chart)
    before = warehouse.frame(ALL_TRANSACTIONS)

    assert sync_accounts(warehouse, small, chart).rows_written == 0
    assert sync_transactions(warehouse, small, chart).rows_written == 0
    pd.testing.assert_frame_equal(warehouse.frame(ALL_TRANSACTIONS), before)


def test_replayed_polls_give_the_same_table_as_one_pass(
    warehouse: Warehouse, small: CaptureSource, chart: Chart, small_capture: Path
) -> None:
    sync_transactions(warehouse, small, chart)
    once = warehouse.frame(ALL_TRANSACTIONS)
    for table in ("masques.transactions", "masques_ops.ledger_seals"):
        warehouse.command(f"TRUNCATE TABLE {table}")
    ledger = memory_ledger(small)
    everything = ledger.events
    polls = json.loads((small_capture / "meta.json").read_text())["live_polls"]

    for _wall_ns, _rows, cursor in polls:
        ledger.events = everything[everything["timestamp"] <= int(cursor)]
        sync_transactions(warehouse, ledger, chart)

    pd.testing.assert_frame_equal(warehouse.frame(ALL_TRANSACTIONS), once)


@pytest.mark.parametrize(("page", "batch"), [(1, 1), (7, 100), (1016, 2000), (2730, 65_520)])
def test_any_page_and_batch_size_gives_the_same_table(
    warehouse: Warehouse, small: CaptureSource, chart: Chart, page: int, batch: int
) -> None:
    ledger = memory_ledger(small)
    ledger.events = ledger.events[:120]  # enough for all event types, few enough for pages of one
    ledger.page_events = page
    done = sync_transactions(warehouse, ledger, chart, batch_events=batch)

    assert done.rows_written == 120
    times = warehouse.rows("SELECT toUnixTimestamp64Nano(timestamp) FROM masques.transactions")
    assert sorted(time for (time,) in times) == ledger.events["timestamp"].tolist()


MAX_U128 = 2**128 - 1
RECENT_NS = 1_790_000_000_123_456_789


def test_extreme_values_read_back_exactly_into_pandas(warehouse: Warehouse, chart: Chart) -> None:
    ledger = MemoryLedger()
    ledger.add(
        event(
            RECENT_NS,
            transfer_id=2**128 - 2,  # the largest legal id
            transfer_amount=MAX_U128,  # 39 digits
            ledger=77,  # not in the chart: scale 0
            transfer_code=65535,  # not in the chart
            transfer_user_data_128=0x0123456789ABCDEF0123456789ABCDEF,
            transfer_user_data_64=0x00000000000000AB,  # leading zeros are kept
            transfer_user_data_32=(9 << 24) | 0xFFFFFF,  # a type that is not in the chart
            debit_account_id=1,
            credit_account_id=2**127,
        ),
        event(RECENT_NS + 1, transfer_amount=MAX_U128, ledger=3),  # one nanosecond later
        event(RECENT_NS + 2, transfer_amount=1, ledger=2),  # the smallest amount
    )
    sync_transactions(warehouse, ledger, chart)
    frame = warehouse.frame("SELECT * FROM masques.transactions ORDER BY timestamp")

    assert frame["timestamp"].astype("int64").tolist() == [RECENT_NS + n for n in range(3)]
    assert frame["amount"].tolist() == [
        Decimal(MAX_U128),
        Decimal("340282366920938463463374607431.768211455"),
        Decimal("0.00000000001"),
    ]
    first = frame.iloc[0]
    assert first["transaction_id"] == uuid.UUID(int=2**128 - 2)
    assert first["debit_account_id"] == uuid.UUID(int=1)
    assert first["credit_account_id"] == uuid.UUID(int=2**127)
    assert (first["currency"], first["transaction_type"]) == ("ledger_77", "code_65535")
    assert (first["resource_type"], first["resource_id"]) == ("type_9", "16777215")
    assert first["trace_id"] == "0123456789abcdef0123456789abcdef"
    assert first["span_id"] == "00000000000000ab"
    assert (frame.iloc[1]["trace_id"], frame.iloc[1]["span_id"]) == ("", "")
    assert (frame.iloc[1]["resource_type"], frame.iloc[1]["resource_id"]) == ("", "")


def test_an_unknown_account_code_and_ledger_are_data(warehouse: Warehouse, chart: Chart) -> None:
    ledger = MemoryLedger(
        known_accounts=account(RECENT_NS, ledger=77, code=9, credits_posted=MAX_U128)
    )
    sync_accounts(warehouse, ledger, chart)
    assert warehouse.rows(
        "SELECT currency, account_type, credits_posted, balance FROM masques.accounts"
    ) == [("ledger_77", "code_9", Decimal(MAX_U128), Decimal(MAX_U128))]


def test_an_account_gets_a_row_only_when_something_changed(
    warehouse: Warehouse, chart: Chart
) -> None:
    first, second = account(RECENT_NS), account(RECENT_NS + 1)
    ledger = MemoryLedger(known_accounts=np.concatenate([first, second]), page_accounts=1)
    ledger.add(event(RECENT_NS + 10))  # the ledger's clock
    sync_accounts(warehouse, ledger, chart)
    ledger.known_accounts["flags"][0] = 32  # closed
    ledger.add(event(RECENT_NS + 20))

    assert sync_accounts(warehouse, ledger, chart).rows_written == 1
    assert warehouse.rows(
        "SELECT toUInt128(account_id) - {base:UInt64}, flags, toUnixTimestamp64Nano(snapshot_at) "
        "- {base:UInt64} FROM masques.accounts FINAL ORDER BY account_id",
        {"base": RECENT_NS},
    ) == [(0, 32, 20), (1, 0, 10)]
    # The unchanged account's row is older than its newest reading, which is noted here.
    assert warehouse.rows(
        "SELECT page, accounts, created_from_ns - {base:UInt64}, snapshot_at_ns - {base:UInt64}, "
        "is_last FROM masques_ops.account_reads ORDER BY recorded_at, page",
        {"base": RECENT_NS},
    ) == [(0, 1, 0, 10, 0), (1, 1, 1, 10, 1), (0, 1, 0, 20, 0), (1, 1, 1, 20, 1)]


def test_events_of_several_months_go_in_as_one_part_each(
    warehouse: Warehouse, chart: Chart
) -> None:
    september_end = 1_790_812_799_999_999_999  # 2026-09-30 23:59:59.999999999 UTC
    ledger = MemoryLedger()
    ledger.add(event(september_end), event(september_end + 1), event(september_end + 2))
    sync_transactions(warehouse, ledger, chart)

    assert warehouse.rows(
        "SELECT partition, rows FROM system.parts "
        "WHERE database = 'masques' AND table = 'transactions' AND active ORDER BY partition"
    ) == [("202609", 1), ("202610", 2)]


def test_a_second_ledger_is_refused_by_cluster_and_by_first_event(
    warehouse: Warehouse, small: CaptureSource, chart: Chart
) -> None:
    sync_transactions(warehouse, small, chart)
    of_another_cluster = memory_ledger(small)
    of_another_cluster.cluster_id = 2
    with pytest.raises(LedgerBindingError, match=r"is a copy of cluster 1 .*another ledger"):
        sync_transactions(warehouse, of_another_cluster, chart)

    # The same cluster id, as every development ledger has, and another history.
    of_another_history = memory_ledger(small)
    of_another_history.events = of_another_history.events[1:]
    with pytest.raises(LedgerBindingError, match="whose first event is transfer"):
        sync_accounts(warehouse, of_another_history, chart)
    assert warehouse.scalar("SELECT count() FROM masques.transactions") == 2120


def test_an_empty_ledger_binds_its_cluster_and_later_its_first_event(
    warehouse: Warehouse, chart: Chart
) -> None:
    ledger = MemoryLedger(cluster_id=5)
    done = sync_transactions(warehouse, ledger, chart)
    assert (done.rows_total, done.newest_event_ns) == (0, 0)
    # Another cluster is refused before anything of it is written.
    other = MemoryLedger(cluster_id=6, known_accounts=account(RECENT_NS - 1))
    with pytest.raises(LedgerBindingError, match="is a copy of cluster 5"):
        sync_accounts(warehouse, other, chart)
    assert warehouse.scalar("SELECT count() FROM masques.accounts") == 0

    ledger.add(event(RECENT_NS))
    for _ in range(2):
        sync_transactions(warehouse, ledger, chart)
        assert warehouse.rows(
            "SELECT cluster_id, toUnixTimestamp64Nano(first_event_at), first_transfer_id "
            "FROM masques_ops.ledger_binding ORDER BY first_event_at"
        ) == [(5, 0, uuid.UUID(int=0)), (5, RECENT_NS, uuid.UUID(int=RECENT_NS))]


def test_a_ledger_that_was_restored_from_an_older_backup_is_named(
    warehouse: Warehouse, small: CaptureSource, chart: Chart
) -> None:
    ledger = memory_ledger(small)
    everything = ledger.events
    sync_accounts(warehouse, ledger, chart)
    sync_transactions(warehouse, ledger, chart)
    ledger.events = everything[:1500]
    # It goes on from there: its next transfer is later than all that was copied.
    ledger.add(event(int(everything["timestamp"][-1]) + 1))
    for sync in (sync_accounts, sync_transactions):
        with pytest.raises(LedgerBindingError, match="restored from a backup of before that"):
            sync(warehouse, ledger, chart)
    with pytest.raises(LedgerBindingError, match="an empty warehouse and keep this one to compare"):
        rebuild_transactions(warehouse, ledger, chart)
    assert warehouse.scalar("SELECT count() FROM masques.transactions") == 2120
    ledger.events = everything
    assert sync_transactions(warehouse, ledger, chart).rows_written == 0


def test_rows_of_another_hand_are_noticed(
    warehouse: Warehouse, small: CaptureSource, chart: Chart
) -> None:
    def write_meanwhile(_ledger: MemoryLedger) -> None:
        if _ledger.calls == 3:  # after the cursor was read
            warehouse.command(
                "INSERT INTO masques.transactions (transaction_id, timestamp, event_type) VALUES "
                "(generateUUIDv4(), now64(9), 'single_phase')"
            )

    ledger = memory_ledger(small)
    sync_transactions(warehouse, ledger, chart)
    ledger.calls, ledger.before_call = 0, write_meanwhile
    warehouse.command(
        "INSERT INTO masques.transactions (transaction_id, timestamp, event_type) VALUES "
        "(generateUUIDv4(), now64(9), 'two_phase_expired')"
    )
    with pytest.raises(SyncIncompleteError, match="another process writes to it"):
        sync_transactions(warehouse, ledger, chart)


def test_a_chart_may_grow_but_a_ledger_keeps_its_scale(
    warehouse: Warehouse, small: CaptureSource, chart: Chart, tmp_path: Path
) -> None:
    sync_transactions(warehouse, small, chart)
    text = (ROOT / "masques_pipelines/ledger/chart.yaml").read_text()
    path = tmp_path / "chart.yaml"

    path.write_text(text.replace("resource_types:", "  12: tip\n\nresource_types:"))
    sync_transactions(warehouse, small, read_chart(path))
    assert warehouse.rows(
        "SELECT transaction_type FROM masques_ops.chart_transfer_codes WHERE code = 12"
    ) == [("tip",)]

    path.write_text(text.replace("asset: USD, scale: 6", "asset: USD, scale: 2"))
    with pytest.raises(ChartError, match="ledger 1 was USD with scale 6 and is USD with scale 2"):
        sync_transactions(warehouse, small, read_chart(path))


def test_a_killed_insert_is_completed_by_the_next_run(
    warehouse: Warehouse, small: CaptureSource, chart: Chart
) -> None:
    sync_transactions(warehouse, small, chart)
    once = warehouse.frame(ALL_TRANSACTIONS)
    # What a kill can leave: the oldest events, up to any point.
    for kept in (0, 1, 1000, 2119):
        for table in ("masques.transactions", "masques_ops.ledger_seals"):
            warehouse.command(f"TRUNCATE TABLE {table}")
        ledger = memory_ledger(small)
        everything: Records = ledger.events
        ledger.events = everything[:kept]
        if kept:
            sync_transactions(warehouse, ledger, chart)
        ledger.events = everything
        sync_transactions(warehouse, ledger, chart)
        pd.testing.assert_frame_equal(warehouse.frame(ALL_TRANSACTIONS), once)
