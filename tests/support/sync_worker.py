"""A process that syncs, to be killed: runs one sync after another and says where it is.

Here: what a killed process did, in a process of its own (an embedded engine has one owner, and a
kill -9 must hit nothing else).
Not here: the killing and the comparing (tests/integration/ledger/test_faults.py).
A re-run goes on where the one before was killed, as the product does.

Lines on standard output: `checked <digest of the whole table>` after an undisturbed sync, `syncing`
before the next, `done <digest>` after it.
"""

import sys
from pathlib import Path
from unittest.mock import patch

from masques_pipelines.ledger import backfill
from masques_pipelines.ledger.accounts import sync_accounts
from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.chart import read_chart
from masques_pipelines.ledger.proofs.integrity import prove_integrity
from masques_pipelines.ledger.proofs.scope import read_scope
from masques_pipelines.ledger.records import ACCOUNT_DTYPE, CHANGE_EVENT_DTYPE, records_of
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from tests.support.captures import tiled
from tests.support.memory_ledger import MemoryLedger

# Small, so that a kill has many places to hit.
PAGE_EVENTS = 80
BATCH_EVENTS = 160
# Stretches between the capture's expiries are short too.
STRETCH_EVENTS = 10

# How a server's log shows the insert of events: the table's name travels beside the statement.
WRITE = "INSERT INTO {database:Identifier}.{table:Identifier}"

# Every column of every row, in the order of time: two equal digests are two equal tables.
TABLE_DIGEST = """
SELECT concat(toString(count()), ':', lower(hex(SHA256(arrayStringConcat(
    arrayMap(pair -> pair.2, arraySort(groupArray((timestamp, row)))))))))
FROM
(
    SELECT timestamp, toString(tuple(* EXCEPT (ingested_at, chart_version))) AS row
    FROM masques.transactions
)
"""


def ledger_of(capture: Path, events: int) -> MemoryLedger:
    """Returns the first events of a capture, tiled when it has fewer, with small pages."""
    with CaptureSource(capture) as source:
        captured = records_of(source.change_events(0).data, CHANGE_EVENT_DTYPE, origin="t")
        return MemoryLedger(
            events=tiled(captured, -(-events // len(captured)))[:events],
            known_accounts=records_of(source.accounts(0).data, ACCOUNT_DTYPE, origin="t"),
            cluster_id=source.cluster_id,
            page_events=PAGE_EVENTS,
            page_transfers=3 * PAGE_EVENTS,
            has_quick_transfers=True,
        )


def sync(warehouse: Warehouse, ledger: MemoryLedger) -> None:
    """Does what the job does."""
    sync_accounts(warehouse, ledger, read_chart(None))
    sync_transactions(warehouse, ledger, read_chart(None), batch_events=BATCH_EVENTS)


def digest(warehouse: Warehouse) -> str:
    """Returns the whole table's digest; an error when the chain of seals does not fit it."""
    proof = prove_integrity(read_scope(warehouse))
    if not proof.holds:
        raise RuntimeError(f"{proof.summary}: {proof.findings}")
    return str(warehouse.scalar(TABLE_DIGEST))


def run(home: str, url: str, capture: str, undisturbed: int, disturbed: int) -> None:
    """Syncs the ledger of one size undisturbed, then of another: the parent kills when it likes."""
    settings = read_settings({"MASQUES_HOME": home, "MASQUES_CLICKHOUSE_URL": url})
    with (
        patch.object(backfill, "STRETCH_EVENTS_MIN", STRETCH_EVENTS),
        open_warehouse(settings, origin=Origin(job="tests")) as warehouse,
    ):
        if undisturbed:
            sync(warehouse, ledger_of(Path(capture), undisturbed))
            _say(f"checked {digest(warehouse)}")
        _say("syncing")
        sync(warehouse, ledger_of(Path(capture), disturbed))
        _say(f"done {digest(warehouse)}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
