"""Tamper evidence: the chain of seals, recomputed from the tables.

Here: the links of the chain, the digest of the rows in each sealed range, rows outside of any, and
words that contradict their numbers.
Not here: making seals (seals.py).
A re-run recomputes; nothing is written.

Whoever can write to the database could write a whole new chain. So the newest digest belongs
somewhere else too: Dagster keeps it with each materialization of masques/transactions, and
`masques verify --seal DIGEST` asks whether the chain still holds one that was kept.
"""

from collections.abc import Iterator
from typing import Final

from masques_pipelines.ledger.proofs.position import removed_until_ns
from masques_pipelines.ledger.proofs.result import Proof
from masques_pipelines.ledger.seals import Seal, seal_of
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

NAME: Final = "no row was edited, deleted or inserted since it was synced"
# Recomputing takes some 200 bytes of memory an event.
EVENTS_PER_QUERY: Final = 400_000
_FINDINGS_MAX: Final = 20


def prove_chain(
    warehouse: Warehouse, *, rows_after_ns: int = 0, kept_digest: str | None = None
) -> Proof:
    """Recomputes the chain.

    Args:
        warehouse: Where the copy is.
        rows_after_ns: Recompute the rows of the batches that end after this; the links of the chain
            are always checked from the beginning.
        kept_digest: A digest that was kept elsewhere and must be in the chain.
    """
    seals = [seal_of(record) for record in warehouse.records(sql("ledger/proofs/seals"))]
    findings = _broken_links(seals)
    if kept_digest is not None and kept_digest not in {seal.digest for seal in seals}:
        findings.append(f"the kept digest {kept_digest} is not in the chain: it was replaced")
    removed_ns = removed_until_ns(warehouse)
    # A batch that retention has begun to eat cannot be recomputed any more.
    checked = [seal for seal in seals if seal.from_ns >= removed_ns and seal.to_ns > rows_after_ns]
    findings += _changed_batches(warehouse, checked)
    findings += _unsealed(warehouse, seals[-1].to_ns if seals else 0)
    findings += _contradictions(warehouse, max(rows_after_ns, removed_ns))
    head = seals[-1].digest if seals else ""
    numbers: dict[str, int | float | str] = {
        "seals": len(seals),
        "seals_recomputed": len(checked),
        "seal": head,
    }
    if findings:
        shown = tuple(findings[:_FINDINGS_MAX])
        return Proof(NAME, "fails", f"{len(findings)} findings", shown, numbers)
    return Proof(NAME, "holds", f"{len(seals):,} batches, newest digest {head or '-'}", (), numbers)


def _broken_links(seals: list[Seal]) -> list[str]:
    """Returns one line for each seal that does not follow from the one before it."""
    findings = []
    before: Seal | None = None
    for seal in seals:
        expected = before.sequence + 1 if before else 1
        if seal.sequence != expected:
            findings.append(f"seal {seal.sequence} follows where {expected} should: {_TAMPERED}")
        elif seal.previous_digest != (before.digest if before else ""):
            findings.append(f"seal {seal.sequence} does not name the one before it: {_TAMPERED}")
        elif seal.from_ns != (before.to_ns if before else 0):
            findings.append(f"seal {seal.sequence} does not begin where the last one ends")
        if seal.digest != seal.computed_digest():
            findings.append(f"seal {seal.sequence} was edited: its digest is not that of the row")
        before = seal
    return findings


_TAMPERED: Final = "a seal was edited, removed or added"


def _changed_batches(warehouse: Warehouse, seals: list[Seal]) -> list[str]:
    """Returns one line for each sealed range whose rows are not those that the ledger sent."""
    findings = []
    for group in _groups(seals):
        found = {
            int(row["sealed_to"]): (int(row["events"]), str(row["events_digest"]))
            for row in warehouse.records(
                sql("ledger/proofs/seal_digests"),
                {
                    "ends": [seal.to_ns for seal in group],
                    "from_ns": group[0].from_ns,
                    "to_ns": group[-1].to_ns,
                },
            )
        }
        for seal in group:
            events, digest = found.get(seal.to_ns, (0, ""))
            where = f"batch {seal.sequence} (ledger time {seal.from_ns} to {seal.to_ns})"
            if events != seal.events:
                findings.append(f"{where}: {seal.events:,} events were sent, {events:,} are there")
            elif digest != seal.events_digest:
                findings.append(f"{where}: a row is not as the ledger sent it")
    return findings


def _groups(seals: list[Seal]) -> Iterator[list[Seal]]:
    group: list[Seal] = []
    for seal in seals:
        if group and sum(one.events for one in group) + seal.events > EVENTS_PER_QUERY:
            yield group
            group = []
        group.append(seal)
    if group:
        yield group


def _unsealed(warehouse: Warehouse, sealed_to_ns: int) -> list[str]:
    """Only expiries may wait for a seal, until the next transfer."""
    rows = warehouse.rows(sql("ledger/proofs/unsealed"), {"sealed_to_ns": sealed_to_ns})
    return [
        f"transaction {transaction_id} at ledger time {at_ns} is in no batch"
        for transaction_id, at_ns in rows
    ]


def _contradictions(warehouse: Warehouse, from_ns: int) -> list[str]:
    rows = warehouse.records(sql("ledger/proofs/derived_findings"), {"from_ns": from_ns})
    return [
        f"{row['rows']:,} rows from ledger time {row['first_ns']}: ledger {row['ledger']}, code "
        f"{row['code']} and {row['event_type']} do not give {row['currency']}, "
        f"{row['transaction_type']} and {row['status']}, or a text is not as the sync writes it"
        for row in rows
    ]
