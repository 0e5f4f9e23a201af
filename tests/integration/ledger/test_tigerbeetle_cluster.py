"""The sync and its proofs on a real cluster of three replicas that fails in each of its ways."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import tigerbeetle as tb

from masques_pipelines.ledger.accounts import sync_accounts
from masques_pipelines.ledger.binding import LedgerBindingError
from masques_pipelines.ledger.chart import read_chart
from masques_pipelines.ledger.connect import open_ledger
from masques_pipelines.ledger.proofs.balances import BALANCES
from masques_pipelines.ledger.proofs.suite import Results, all_hold, prove_after_sync, prove_all
from masques_pipelines.ledger.source import LedgerUnavailableError
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.warehouse.client import Warehouse
from tests.support.tigerbeetle_cluster import TigerBeetleCluster, running_cluster
from tests.support.tigerbeetle_load import LedgerLoad
from tests.support.tigerbeetle_server import binary_or_skip, running_server

pytestmark = [pytest.mark.tigerbeetle, pytest.mark.timeout(600)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[TigerBeetleCluster]:
    with running_cluster(tmp_path / "cluster", binary=binary_or_skip()) as running:
        yield running


def sync(warehouse: Warehouse, url: str) -> Results:
    """Syncs both tables and proves them, as the job does."""
    chart = read_chart(None)
    with open_ledger(url) as ledger:
        sync_accounts(warehouse, ledger, chart)
        sync_transactions(warehouse, ledger, chart)
        return prove_after_sync(warehouse, ledger, chart)


def written(warehouse: Warehouse) -> set[int]:
    """Returns the ids of the transfers that are in the copy."""
    rows = warehouse.rows(
        "SELECT transaction_id FROM masques.transactions WHERE event_type != 'two_phase_expired'"
    )
    return {uuid.UUID(str(id_)).int for (id_,) in rows}


def of(load: LedgerLoad) -> set[int]:
    return {one.transfer_id for one in load.written}


def test_failover_and_a_lost_replica_lose_nothing(
    warehouse: Warehouse, cluster: TigerBeetleCluster
) -> None:
    with LedgerLoad(cluster.addresses, cluster.cluster_id, seed=1) as load:
        for replica in (0, 1):  # one of them was the primary
            load.play(10)
            assert all_hold(sync(warehouse, cluster.url))
            cluster.kill(replica)
            load.play(10)
            assert all_hold(sync(warehouse, cluster.url))
            cluster.start(replica)
        cluster.kill(2)
        cluster.recover(2)
        cluster.start(2)
        load.play(10)
        assert all_hold(sync(warehouse, cluster.url))
        assert written(warehouse) == of(load)

        cluster.kill(0, 1)
        url = cluster.url.replace("open_timeout_s=20", "open_timeout_s=3")
        with pytest.raises(LedgerUnavailableError, match="only 1 of 3 replicas answer, which is"):
            open_ledger(url)
        cluster.start(0, 1)
        load.play(5)
        assert all_hold(sync(warehouse, cluster.url))
        with pytest.raises(LedgerUnavailableError, match="so the cluster id is wrong or they are"):
            open_ledger(url.replace(f"cluster_id={cluster.cluster_id}", "cluster_id=8"))
    assert written(warehouse) == of(load)
    assert all_hold(prove_all(warehouse, from_beginning=True))


def test_a_restored_backup_and_another_cluster_are_named_and_written_from_never(
    warehouse: Warehouse, cluster: TigerBeetleCluster, tmp_path: Path
) -> None:
    with LedgerLoad(cluster.addresses, cluster.cluster_id, seed=2) as load:
        load.play(5)
        assert all_hold(sync(warehouse, cluster.url))
    cluster.kill()
    cluster.keep(tmp_path / "backup")
    cluster.start()
    with LedgerLoad(cluster.addresses, cluster.cluster_id, seed=3) as load:
        load.play(5)
        assert all_hold(sync(warehouse, cluster.url))
    before = written(warehouse)
    cluster.kill()
    cluster.put_back(tmp_path / "backup")
    cluster.start()
    with LedgerLoad(cluster.addresses, cluster.cluster_id, seed=4) as load:
        load.play(5)
        with pytest.raises(LedgerBindingError, match="restored from a backup of before that"):
            sync(warehouse, cluster.url)
    cluster.kill()
    with running_server(tmp_path / "other", binary=binary_or_skip(), cluster_id=9) as other:
        client = tb.ClientSync(cluster_id=9, replica_addresses=other.address)
        client.create_accounts([tb.Account(id=5, ledger=1, code=100)])
        client.close()
        with pytest.raises(LedgerBindingError, match="is a copy of cluster 7"):
            sync(warehouse, other.url)
    assert written(warehouse) == before


def test_a_running_import_refutes_nothing_and_ends_proved(
    warehouse: Warehouse, cluster: TigerBeetleCluster
) -> None:
    base_ns = time.time_ns() - 3600 * 10**9
    imported = tb.TransferFlags.IMPORTED
    client = tb.ClientSync(cluster_id=cluster.cluster_id, replica_addresses=cluster.addresses)
    accounts = [
        tb.Account(
            id=n + 1, ledger=1, code=200, flags=tb.AccountFlags.IMPORTED, timestamp=base_ns + n
        )
        for n in range(2)
    ]
    client.create_accounts(accounts)

    def import_next(first: int, count: int) -> None:
        client.create_transfers(
            [
                tb.Transfer(
                    id=n + 1,
                    debit_account_id=1,
                    credit_account_id=2,
                    amount=n + 1,
                    ledger=1,
                    code=1,
                    flags=imported,
                    timestamp=base_ns + 10**9 * (n + 1),
                )
                for n in range(first, first + count)
            ]
        )

    outcomes = set()
    for number in range(4):
        import_next(50 * number, 50)
        results = sync(warehouse, cluster.url)
        outcomes |= {result.outcome for proof, result in results.items() if proof is BALANCES}
        assert "fails" not in {r.outcome for p, r in results.items() if not p.is_warning}
    client.close()
    assert outcomes <= {"holds", "inconclusive"}
    assert all_hold(sync(warehouse, cluster.url))
    assert written(warehouse) == set(range(1, 201))
    assert all_hold(prove_all(warehouse, from_beginning=True))
