"""The whole sync against a real TigerBeetle server, while it is being written to."""

import threading
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import tigerbeetle as tb

from masques_pipelines.ledger.accounts import sync_accounts
from masques_pipelines.ledger.chart import Chart, read_chart
from masques_pipelines.ledger.connect import open_ledger
from masques_pipelines.ledger.reader import EventReader
from masques_pipelines.ledger.records import (
    CHANGE_EVENT_DTYPE,
    EVENT_TYPE_EXPIRED,
    Records,
    kept_of,
    records_of,
    timestamps_ns,
)
from masques_pipelines.ledger.source import LedgerSource, Page
from masques_pipelines.ledger.tigerbeetle.source import TigerBeetleSource
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.warehouse.client import Warehouse
from tests.support.balances import (
    NO_BALANCES,
    Balances,
    folded_balances,
    snapshot_balances,
)
from tests.support.tigerbeetle_load import LedgerLoad
from tests.support.tigerbeetle_server import TigerBeetleServer, binary_or_skip, running_server

pytestmark = pytest.mark.tigerbeetle

SCALES = {1: 6, 2: 11, 3: 9}
SYNCS = 5


@pytest.fixture(params=["development", "production"])
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[TigerBeetleServer]:
    """Both kinds: a development server's pages end at 1,016 events without a word."""
    development = request.param == "development"
    with running_server(tmp_path, binary=binary_or_skip(), development=development) as running:
        yield running


def of_server(accounts: list[tb.Account]) -> dict[uuid.UUID, Balances]:
    """The server's own answer to lookup_accounts, in whole units."""
    return {
        uuid.UUID(int=account.id): tuple(
            Decimal(amount).scaleb(-SCALES[account.ledger])
            for amount in (
                account.debits_pending,
                account.debits_posted,
                account.credits_pending,
                account.credits_posted,
            )
        )
        for account in accounts
    }


def write_until(load: LedgerLoad, is_enough: threading.Event) -> None:
    while not is_enough.is_set():
        load.play(5)


def sync_both(warehouse: Warehouse, ledger: LedgerSource, chart: Chart) -> int:
    sync_accounts(warehouse, ledger, chart)
    return sync_transactions(warehouse, ledger, chart).rows_total


def change_events_of(ledger: LedgerSource, *, to_ns: int) -> Records:
    """All change events up to the time of one of them, page by page."""
    pages: list[Records] = []
    from_ns = 0
    while from_ns <= to_ns:
        data = ledger.change_events(from_ns, to_ns).data
        pages.append(records_of(data, CHANGE_EVENT_DTYPE, origin="page"))
        from_ns = int(timestamps_ns(pages[-1])[-1]) + 1
    return kept_of(np.concatenate(pages))


def test_a_backfill_by_transfers_during_writing_is_what_change_events_say(
    server: TigerBeetleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    transfers = TigerBeetleSource.transfers

    def noted_transfers(source: TigerBeetleSource, from_ns: int) -> Page:
        asked.append(from_ns)
        return transfers(source, from_ns)

    monkeypatch.setattr(TigerBeetleSource, "transfers", noted_transfers)
    with LedgerLoad(server.address, server.cluster_id, seed=8) as load:
        for _ in range(3):
            load.play(30)
            load.hold_until_expiry(40)  # each time 40 expiries in a second, amid other business
            played_until_s = time.monotonic() + 1.2
            while time.monotonic() < played_until_s:
                load.play(5)
        is_enough = threading.Event()
        writer = threading.Thread(target=write_until, args=(load, is_enough))
        writer.start()
        try:
            with open_ledger(server.url) as ledger:
                read = [batch.events for batch in EventReader(ledger, cursor_ns=0).batches(5000)]
        finally:
            is_enough.set()
            writer.join()
    events = np.concatenate(read)
    with open_ledger(server.url) as ledger:
        expected = change_events_of(ledger, to_ns=int(timestamps_ns(events)[-1]))
    assert events.tobytes() == expected.tobytes()
    assert np.count_nonzero(events["type"] == EVENT_TYPE_EXPIRED) == 120
    assert len(asked) >= 3  # there were stretches of a thousand events between the expiries


def test_syncs_during_writing_end_at_the_servers_own_balances(
    warehouse: Warehouse, server: TigerBeetleServer
) -> None:
    chart = read_chart(None)
    with LedgerLoad(server.address, server.cluster_id, seed=7) as load:
        load.hold_until_expiry(300)
        is_enough = threading.Event()
        writer = threading.Thread(target=write_until, args=(load, is_enough))
        writer.start()
        try:
            with open_ledger(server.url) as ledger:
                totals = [sync_both(warehouse, ledger, chart) for _ in range(SYNCS)]
        finally:
            is_enough.set()
            writer.join()
        assert sorted(set(totals)) == totals  # each sync found more: it was written to meanwhile
        with open_ledger(server.url) as ledger:
            time.sleep(1.5)  # the holds expire a second after they were made
            sync_both(warehouse, ledger, chart)
            assert sync_transactions(warehouse, ledger, chart).rows_written == 0
        truth = of_server(load.accounts())
        written = len(load.written)

    counts = dict(
        warehouse.rows("SELECT event_type, count() FROM masques.transactions GROUP BY event_type")
    )
    assert counts.pop("two_phase_expired") == 300
    assert sum(counts.values()) == written
    assert warehouse.scalar("SELECT count() = uniqExact(timestamp) FROM masques.transactions")
    assert snapshot_balances(warehouse) == truth
    folded = folded_balances(warehouse)
    assert {account_id: folded.get(account_id, NO_BALANCES) for account_id in truth} == truth
