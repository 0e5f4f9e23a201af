"""Every proof against a real TigerBeetle server that is being written to meanwhile."""

import threading
import time
from pathlib import Path

import pytest

from masques_pipelines.ledger.accounts import sync_accounts
from masques_pipelines.ledger.chart import read_chart
from masques_pipelines.ledger.connect import open_ledger
from masques_pipelines.ledger.proofs.checkpoints import advance_checkpoint
from masques_pipelines.ledger.proofs.position import read_position
from masques_pipelines.ledger.proofs.suite import prove_after_sync, prove_all
from masques_pipelines.ledger.rebuild import rebuild_transactions
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.warehouse.client import Warehouse
from tests.support.tigerbeetle_load import LedgerLoad
from tests.support.tigerbeetle_server import binary_or_skip, running_server

pytestmark = pytest.mark.tigerbeetle


def test_every_proof_holds_while_the_ledger_is_written_to(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    chart = read_chart(None)
    with (
        running_server(tmp_path, binary=binary_or_skip(), development=False) as server,
        LedgerLoad(server.address, server.cluster_id, seed=11) as load,
        open_ledger(server.url) as ledger,
    ):
        load.hold_until_expiry(200)
        writer = threading.Thread(target=load.play, args=(400,))
        writer.start()
        rounds = 0
        while writer.is_alive() or rounds < 3:
            sync_accounts(warehouse, ledger, chart)
            sync_transactions(warehouse, ledger, chart)
            proofs = prove_after_sync(warehouse, ledger, chart)
            assert {
                proof.name: one.findings for proof, one in proofs.items() if not one.holds
            } == {}
            advance_checkpoint(  # so that each round starts where the last one ended
                warehouse, read_position(warehouse), events_per_checkpoint=1
            )
            rounds += 1
        writer.join()
        time.sleep(1.5)  # the holds expire a second after they were made
        sync_accounts(warehouse, ledger, chart)
        sync_transactions(warehouse, ledger, chart)
        proofs = prove_all(warehouse, from_beginning=True)
        assert {proof.name: one.findings for proof, one in proofs.items() if not one.holds} == {}
        assert rounds >= 3

        before = warehouse.frame(
            "SELECT * EXCEPT ingested_at FROM masques.transactions ORDER BY timestamp"
        )
        done = rebuild_transactions(warehouse, ledger, chart)
        assert sum(month.rows for month in done.values()) == len(before)
        after = warehouse.frame(
            "SELECT * EXCEPT ingested_at FROM masques.transactions ORDER BY timestamp"
        )
        assert after.equals(before)
