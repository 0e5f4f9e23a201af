"""Integrity: no row was edited, deleted or inserted since it was synced.

Recomputes the chain of seals (ledger/seals.py makes them): its links, the digest of the rows in
each sealed range, whether each column is what the ledger's bytes give, and rows outside of any.

A pass over what is new starts at the seal that the newest checkpoint names: what was proved once is
not proved again, so its cost does not grow with history. `masques verify` starts at the first seal.

Whoever can write to the database could write a whole new chain. So the newest digest belongs
somewhere else too: Dagster keeps it with each materialization of masques/transactions, and its
check and `masques verify --seal DIGEST` ask whether the chain still holds what was kept.
"""

from collections.abc import Iterator
from typing import Final

from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import Scope
from masques_pipelines.ledger.proofs.sealed import SEQUENCE_MAX, Anchor, may_be_removed, seals_after
from masques_pipelines.ledger.records import TIMESTAMP_MAX
from masques_pipelines.ledger.seals import Seal
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# Recomputing takes some 200 bytes of memory an event.
EVENTS_PER_QUERY: Final = 200_000
SEALS_PER_QUERY: Final = 10_000
_FINDINGS_MAX: Final = 20
_KEPT: Final = (
    "SELECT DISTINCT digest FROM masques_ops.ledger_seals "
    "WHERE has({digests:Array(String)}, digest) "
    "AND (has({sequences:Array(UInt64)}, 0) OR sequence IN {sequences:Array(UInt64)})"
)
# A seal follows each batch, so only expiries come after the last one. No event is of before 1970.
_OUTSIDE: Final = (
    "SELECT transaction_id, toUnixTimestamp64Nano(timestamp) FROM masques.transactions "
    "WHERE (timestamp > fromUnixTimestamp64Nano({sealed_to_ns:Int64}, 'UTC') "
    "AND event_type != 'two_phase_expired') OR timestamp <= fromUnixTimestamp64Nano(0, 'UTC') "
    "ORDER BY timestamp LIMIT 20"
)
_TAMPERED: Final = "a seal was edited, removed or added"


def prove_integrity(scope: Scope) -> ProofResult:
    """Recomputes the chain: its links from the anchor on, and the rows that the scope asks for."""
    findings, numbers = find_changes(scope)
    if findings:
        shown = tuple(findings[:_FINDINGS_MAX])
        return ProofResult("fails", f"{len(findings)} findings", shown, numbers)
    return ProofResult("holds", _summary(scope, numbers), numbers=numbers)


def find_changes(scope: Scope) -> tuple[list[str], dict[str, int | float | str]]:
    """Returns one line for each batch, seal or row that was changed, and what was looked at."""
    warehouse, removed_ns = scope.warehouse, scope.position.removed_ns
    links = _Links(scope.anchor)
    findings = _lost_digests(warehouse, scope.kept)
    recomputed = passed_over = 0
    for seals in _groups(seals_after(warehouse, scope.anchor, to_sequence=scope.to_sequence)):
        findings += links.broken(seals)
        due = [
            seal
            for seal in seals
            if seal.to_ns > scope.recompute_after_ns and seal.sequence > scope.anchor.sequence
        ]
        checked = [seal for seal in due if not may_be_removed(seal, removed_ns)]
        findings += _changed_batches(warehouse, checked)
        recomputed += len(checked)
        passed_over += len(due) - len(checked)
    newest = links.newest
    findings += links.missing_anchor()
    waiting = 0
    if scope.to_sequence == SEQUENCE_MAX:
        findings += _outside(warehouse, newest.to_ns)
        waiting = _changed_after(warehouse, newest.to_ns, findings)
    elif newest.sequence < scope.to_sequence:
        findings.append(f"seals {newest.sequence + 1} to {scope.to_sequence} are gone: {_TAMPERED}")
    return findings, {
        "seals": newest.sequence,
        "seals_recomputed": recomputed,
        "seals_not_recomputed": passed_over,
        "rows_not_sealed": waiting,
        "seal": newest.digest,
    }


INTEGRITY: Final = Proof(
    name="integrity",
    table="transactions",
    statement="No row was edited, deleted or inserted since the ledger sent it",
    advice="Find out who writes to masques.transactions beside the sync; `masques ledger rebuild` "
    "writes the rows from the ledger again.",
    prove=prove_integrity,
)


def _summary(scope: Scope, numbers: dict[str, int | float | str]) -> str:
    parts = [
        f"{numbers['seals']:,} batches, {numbers['seals_recomputed']:,} of them recomputed",
        f"newest digest {numbers['seal'] or '-'}",
    ]
    if scope.anchor.sequence:
        parts[0] += " (all since the newest checkpoint)"
    if numbers["seals_not_recomputed"]:
        parts.append(
            f"{numbers['seals_not_recomputed']:,} not recomputed: retention removes their rows"
        )
    if numbers["rows_not_sealed"]:
        parts.append(f"{numbers['rows_not_sealed']:,} expiries wait for a seal")
    return "; ".join(parts)


class _Links:
    """Follows the chain from an anchor."""

    def __init__(self, anchor: Anchor) -> None:
        self._anchor = anchor
        self._before: Seal | None = None

    @property
    def newest(self) -> Seal:
        """The last seal seen; a seal of nothing when there is none."""
        return self._before or Seal(0, 0, 0, 0, {}, {}, "", "", "")

    def broken(self, seals: list[Seal]) -> list[str]:
        """Returns one line for each seal that does not follow from the one before it."""
        return [finding for seal in seals for finding in self._follow(seal)]

    def missing_anchor(self) -> list[str]:
        """Returns a line when nothing is there any more that the checkpoint was made from."""
        if self._anchor.sequence and self._before is None:
            return [f"seal {self._anchor.sequence} and all later ones are gone: {_TAMPERED}"]
        return []

    def _follow(self, seal: Seal) -> Iterator[str]:
        before, self._before = self._before, seal
        if seal.digest != seal.computed_digest():
            yield f"seal {seal.sequence} was edited: its digest is not that of the row"
        if before is None and self._anchor.sequence:
            if (seal.sequence, seal.digest) != (self._anchor.sequence, self._anchor.digest):
                yield (
                    f"seal {seal.sequence} is not the one that the newest checkpoint was made "
                    f"from: {_TAMPERED}"
                )
            return
        expected = before.sequence + 1 if before else 1
        if seal.sequence != expected:
            yield f"seal {seal.sequence} follows where {expected} should: {_TAMPERED}"
        elif seal.previous_digest != (before.digest if before else ""):
            yield f"seal {seal.sequence} does not name the one before it: {_TAMPERED}"
        elif seal.from_ns != (before.to_ns if before else 0):
            yield f"seal {seal.sequence} does not begin where the last one ends"


def _lost_digests(warehouse: Warehouse, kept: dict[str, int]) -> list[str]:
    """Returns one line for each digest that was kept elsewhere and is not in the chain."""
    if not kept:
        return []
    found = warehouse.rows(_KEPT, {"digests": list(kept), "sequences": sorted(set(kept.values()))})
    there = {str(digest) for (digest,) in found}
    return [
        f"the kept digest {digest} is not in the chain: the chain was replaced"
        for digest in kept
        if digest not in there
    ]


def _changed_batches(warehouse: Warehouse, seals: list[Seal]) -> list[str]:
    """Returns one line for each sealed range whose rows are not those that the ledger sent."""
    if not seals:
        return []
    found = {
        int(row["sealed_to"]): row
        for row in warehouse.records(
            sql("ledger/proofs/seal_digests"),
            {
                "ends": [seal.to_ns for seal in seals],
                "from_ns": seals[0].from_ns,
                "to_ns": seals[-1].to_ns,
            },
        )
    }
    findings = []
    for seal in seals:
        row = found.get(seal.to_ns)
        events = int(row["events"]) if row else 0
        where = f"batch {seal.sequence} (ledger time {seal.from_ns} to {seal.to_ns})"
        if events != seal.events:
            findings.append(f"{where}: {seal.events:,} events were sent, {events:,} are there")
        elif row and row["events_digest"] != seal.events_digest:
            findings.append(f"{where}: a row is not as the ledger sent it")
        elif row and row["odd_rows"]:
            findings.append(f"{where}: {_odd(row)}")
    return findings


def _changed_after(warehouse: Warehouse, sealed_to_ns: int, findings: list[str]) -> int:
    """Finds rows that no seal covers yet and no sync wrote so; returns how many it looked at."""
    rows = warehouse.records(
        sql("ledger/proofs/seal_digests"),
        {"ends": [TIMESTAMP_MAX], "from_ns": sealed_to_ns, "to_ns": TIMESTAMP_MAX},
    )
    findings += [
        f"after ledger time {sealed_to_ns}: {_odd(row)}" for row in rows if row["odd_rows"]
    ]
    return sum(int(row["events"]) for row in rows)


def _odd(row: dict[str, object]) -> str:
    columns = row["odd_columns"]
    names = ", ".join(map(str, columns)) if isinstance(columns, list) else str(columns)
    return f"{row['odd_rows']:,} rows whose {names} is not what the ledger's numbers give"


def _groups(seals: Iterator[Seal]) -> Iterator[list[Seal]]:
    """Yields the seals of about EVENTS_PER_QUERY events after one another."""
    group: list[Seal] = []
    events = 0
    for seal in seals:
        if group and (events + seal.events > EVENTS_PER_QUERY or len(group) >= SEALS_PER_QUERY):
            yield group
            group, events = [], 0
        group.append(seal)
        events += seal.events
    if group:
        yield group


def _outside(warehouse: Warehouse, sealed_to_ns: int) -> list[str]:
    """Returns one line for each row that no batch can hold."""
    rows = warehouse.rows(_OUTSIDE, {"sealed_to_ns": sealed_to_ns})
    return [
        f"transaction {transaction_id} at ledger time {at_ns} is in no batch"
        for transaction_id, at_ns in rows
    ]
