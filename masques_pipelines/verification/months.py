"""Proves one month: its seals and events, and the content of each table of that month."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from masques_pipelines.inventory.proofs import prove_content
from masques_pipelines.inventory.tables import TABLES
from masques_pipelines.ledger.month import Month
from masques_pipelines.ledger.proofs.integrity import INTEGRITY
from masques_pipelines.ledger.proofs.scope import read_scope
from masques_pipelines.ledger.proofs.sealed import SEQUENCE_MAX, Anchor, sealed_months
from masques_pipelines.ledger.proofs.suite import make_proof
from masques_pipelines.verification.slices import SliceResult, of_ledger, of_table
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

_ANY_TIME_NS: Final = 2**64 - 1
_SEAL_BEFORE: Final = (
    "SELECT max(sequence), argMax(digest, sequence) FROM masques_ops.ledger_seals FINAL "
    "WHERE to_ns < {time_ns:UInt64}"
)


def prove_month(warehouse: Warehouse, month: Month) -> Iterator[SliceResult]:
    """Yields a result for the ledger's events of a month, and for each table that has months.

    The chain of seals is entered at the last seal before the month; that this one is right is
    proved by a whole pass only.
    """
    sequence, digest = _seal_before(warehouse, month.start_ns)
    last, _ = _seal_before(warehouse, month.following.start_ns)
    newest, _ = _seal_before(warehouse, _ANY_TIME_NS)
    if last > sequence:
        scope = replace(
            read_scope(warehouse, from_beginning=True),
            anchor=Anchor(sequence, digest),
            # The newest month has what is not sealed yet, too.
            to_sequence=SEQUENCE_MAX if last == newest else last,
        )
        yield of_ledger(INTEGRITY, make_proof(INTEGRITY, scope))
    yield _counted(warehouse, month)
    for table in TABLES:
        if table.kept_years:
            yield of_table(prove_content(warehouse, table, everything=True, prefix=str(month)))


def _counted(warehouse: Warehouse, month: Month) -> SliceResult:
    sealed, sealed_to_ns = sealed_months(warehouse, Anchor())
    counts = warehouse.rows(sql("ledger/proofs/month_counts"), {"sealed_to_ns": sealed_to_ns})
    there = {int(partition): int(rows) - int(unsealed) for partition, rows, unsealed in counts}
    sent, found = sealed.get(month.partition, 0), there.get(month.partition, 0)
    outcome = "nothing" if sent == found == 0 else "holds" if sent == found else "fails"
    return SliceResult(outcome, f"transactions: {sent:,} events were sent, {found:,} are there")


def _seal_before(warehouse: Warehouse, time_ns: int) -> tuple[int, str]:
    sequence, digest = warehouse.row(_SEAL_BEFORE, {"time_ns": time_ns})
    return int(sequence), str(digest)
