"""Integrity: no row was edited, deleted or inserted since it was synced.

Recomputes the chain of seals (ledger/seals.py makes them): its links, the digest of the rows in
each sealed range, rows outside of any, and names that contradict their numbers.

Whoever can write to the database could write a whole new chain. So the newest digest belongs
somewhere else too: Dagster keeps it with each materialization of masques/transactions, and
`masques verify --seal DIGEST` asks whether the chain still holds one that was kept.
"""

from collections.abc import Iterator
from typing import Final

from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import Scope
from masques_pipelines.ledger.seals import SEAL_COLUMNS, Seal, seal_of
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# Recomputing takes some 200 bytes of memory an event.
EVENTS_PER_QUERY: Final = 400_000
_FINDINGS_MAX: Final = 20
# All forks of the chain; a seal that was sent twice is there once.
_SEALS: Final = (
    f"SELECT {SEAL_COLUMNS} FROM masques_ops.ledger_seals FINAL ORDER BY sequence, digest"  # noqa: S608 - a constant
)
# A seal follows each batch, so only expiries come after the last one.
_UNSEALED: Final = (
    "SELECT transaction_id, toUnixTimestamp64Nano(timestamp) FROM masques.transactions "
    "WHERE timestamp > fromUnixTimestamp64Nano({sealed_to_ns:Int64}, 'UTC') "
    "AND event_type != 'two_phase_expired' ORDER BY timestamp LIMIT 20"
)
_TAMPERED: Final = "a seal was edited, removed or added"


def prove_integrity(scope: Scope) -> ProofResult:
    """Recomputes the chain: all of its links, and the rows that the scope asks for."""
    warehouse, kept_digest = scope.warehouse, scope.kept_digest
    seals = [seal_of(record) for record in warehouse.records(_SEALS)]
    findings = _broken_links(seals)
    if kept_digest is not None and kept_digest not in {seal.digest for seal in seals}:
        findings.append(f"the kept digest {kept_digest} is not in the chain: it was replaced")
    after_ns, removed_ns = scope.recompute_after_ns, scope.position.removed_ns
    # A batch that retention has begun to remove cannot be recomputed any more.
    checked = [seal for seal in seals if seal.from_ns >= removed_ns and seal.to_ns > after_ns]
    findings += _changed_batches(warehouse, checked)
    findings += _unsealed(warehouse, seals[-1].to_ns if seals else 0)
    findings += _contradictions(warehouse, max(after_ns, removed_ns))
    head = seals[-1].digest if seals else ""
    numbers: dict[str, int | float | str] = {
        "seals": len(seals),
        "seals_recomputed": len(checked),
        "seal": head,
    }
    if findings:
        shown = tuple(findings[:_FINDINGS_MAX])
        return ProofResult("fails", f"{len(findings)} findings", shown, numbers)
    summary = f"{len(seals):,} batches, newest digest {head or '-'}"
    return ProofResult("holds", summary, numbers=numbers)


INTEGRITY: Final = Proof(
    name="integrity",
    table="transactions",
    statement="No row was edited, deleted or inserted since the ledger sent it",
    advice="Find out who writes to masques.transactions beside the sync; `masques ledger rebuild` "
    "writes the rows from the ledger again.",
    prove=prove_integrity,
)


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
    rows = warehouse.rows(_UNSEALED, {"sealed_to_ns": sealed_to_ns})
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
