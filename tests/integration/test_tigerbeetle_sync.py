"""The whole sync against a real TigerBeetle server, while it is being written to."""

import threading
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import tigerbeetle as tb

from masques_pipelines.ledger.accounts import sync_accounts
from masques_pipelines.ledger.chart import Chart, read_chart
from masques_pipelines.ledger.sources.opening import open_ledger
from masques_pipelines.ledger.sources.protocol import LedgerSource
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.warehouse.warehouse import Warehouse
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
