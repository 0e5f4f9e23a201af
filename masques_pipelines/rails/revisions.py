"""Turns observations into revisions of settlements: only a change is appended, the latest wins.

The same observations again append nothing.

The chain decides and the journal announces: an intent never changes a status that came from the
chain. A status is not monotonic: a failed payment may be found in a later block. Everything that
changes after it was final is a finding as well.
"""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.money import amount_text
from masques_pipelines.quarantine import Entry, put
from masques_pipelines.rails.protocol import (
    UNATTRIBUTED,
    Observation,
    OpenSettlement,
    Rejected,
)
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

IDS_PER_QUERY: Final = 1_000

# Attributes that this module uses; times are decimal text, seconds since 1970 in UTC.
DEADLINE: Final = "deadline_s"
JOURNAL_AT: Final = "journal_at"
FACILITATOR_SAID: Final = "facilitator_said"

_FINAL_STATUSES: Final = ("confirmed", "failed")
# These cannot change for one payment; they are fields of Observation.
_FACTS: Final = ("asset", "to_address", "amount")
# A change of these alone makes no revision: they depend on the time of reading.
_NOT_COMPARED: Final = ("confirmations", "source", "timestamp_ns")
_STORED: Final = tuple(
    each.name for each in fields(Observation) if each.name not in ("source", "timestamp_ns")
)


@dataclass(frozen=True)
class Revision:
    """One row of masques.settlements.

    Attributes:
        seen: The payment as the row records it.
        revision: 1 and up for each settlement.
        from_account_id: The payer's account in the ledger, the zero UUID when it is not known.
    """

    seen: Observation
    revision: int
    from_account_id: uuid.UUID = UNATTRIBUTED

    @property
    def is_final(self) -> bool:
        """Whether the chain has decided; an intent never is final."""
        return self.seen.status in _FINAL_STATUSES


@dataclass(frozen=True)
class Finding:
    """A contradiction, for a person to look at.

    Attributes:
        settlement_id: The payment.
        kind: facts_disagree, intent_disagrees, facilitator_contradicted or changed_after_final.
        detail: What was recorded and what is observed now, without secrets.
        rail: Rail of the payment.
        revision: The revision that was written because of it, 0 when none was.
    """

    settlement_id: uuid.UUID
    kind: str
    detail: str
    rail: str
    revision: int


@dataclass(frozen=True)
class Changes:
    """The rows to append because of observations, and the contradictions found."""

    revisions: Sequence[Revision]
    findings: Sequence[Finding]


def changes_of(
    observations: Iterable[Observation], current: Mapping[uuid.UUID, Revision]
) -> Changes:
    """Returns what has to be appended so that the latest revisions are what was observed.

    Args:
        observations: In the order in which they were made.
        current: The latest revision of each settlement that is recorded already.
    """
    working: dict[uuid.UUID, Revision] = {}
    findings: list[Finding] = []
    for seen in observations:
        recorded = current.get(seen.settlement_id)
        before = working.get(seen.settlement_id, recorded)
        next_revision = recorded.revision + 1 if recorded else 1
        after, found = _merged(before, seen)
        findings.extend(replace(each, revision=next_revision if after else 0) for each in found)
        if after is not None:
            working[seen.settlement_id] = replace(after, revision=next_revision)
    revisions = [each for key, each in working.items() if _differs(each, current.get(key))]
    # A contradiction is recorded once: when it changes a row, or rejects one (revision 0).
    changed = {each.seen.settlement_id for each in revisions}
    findings = [f for f in findings if f.revision == 0 or f.settlement_id in changed]
    return Changes(revisions=revisions, findings=findings)


def _merged(before: Revision | None, seen: Observation) -> tuple[Revision | None, list[Finding]]:
    """Returns the row that follows from an observation, None when nothing changes."""
    if before is None:
        return Revision(seen=seen, revision=0), []
    if seen.source == "intent":
        return _with_intent(before, seen)
    return _with_chain(before, seen)


def _with_intent(before: Revision, seen: Observation) -> tuple[Revision | None, list[Finding]]:
    """Adds what the journal reports to a settlement."""
    known = before.seen
    if _journal_at(seen) <= _journal_at(known):
        return None, []  # the same line again, or an older one
    if not known.finality:  # only the journal has reported it so far
        merged = replace(
            seen,
            tx_hash=seen.tx_hash or known.tx_hash,
            protocol=seen.protocol or known.protocol,
            transaction_id=seen.transaction_id or known.transaction_id,
            attributes={**known.attributes, **seen.attributes},
        )
        return replace(before, seen=merged), []
    difference = _difference(seen, known, exact=_is_exact(known))
    merged = replace(
        known,
        protocol=known.protocol or seen.protocol,
        # An announcement of a different payment must not link its ledger transfer to this one.
        transaction_id=known.transaction_id or (None if difference else seen.transaction_id),
        attributes={**seen.attributes, **known.attributes, JOURNAL_AT: seen.attributes[JOURNAL_AT]},
    )
    findings = [_finding(known, "intent_disagrees", difference)] if difference else []
    findings += _contradiction(merged)
    return replace(before, seen=merged), findings


def _with_chain(before: Revision, seen: Observation) -> tuple[Revision | None, list[Finding]]:
    """Replaces what is recorded of a settlement by what the chain shows."""
    known, findings = before.seen, []
    is_known_by_chain = bool(known.finality)
    difference = _difference(known, seen, exact=is_known_by_chain or _is_exact(known))
    if difference and before.is_final:
        return None, [_finding(known, "facts_disagree", difference)]
    if before.is_final and seen.status == "pending" and _position(seen) == _position(known):
        return None, []  # from a node whose final block lags behind
    if difference:
        findings.append(
            _finding(
                known, "facts_disagree" if is_known_by_chain else "intent_disagrees", difference
            )
        )
    merged = replace(
        seen,
        protocol=seen.protocol or known.protocol,
        payer=seen.payer or known.payer,
        facilitator_fee=seen.facilitator_fee or known.facilitator_fee,
        transaction_id=None if difference else known.transaction_id,
        attributes={**known.attributes, **seen.attributes},
    )
    if before.is_final and _outcome(merged) != _outcome(known):
        findings.append(
            _finding(known, "changed_after_final", f"{_outcome(known)} became {_outcome(merged)}")
        )
    after = replace(
        before, seen=merged, from_account_id=UNATTRIBUTED if difference else before.from_account_id
    )
    return after, findings + _contradiction(merged)


def _difference(announced: Observation, found: Observation, *, exact: bool) -> str:
    """Returns how the facts of two observations of one payment differ, '' when they agree.

    Args:
        announced: The first observation.
        found: The new observation.
        exact: Whether the amounts have to be equal; otherwise the new one may be higher (an invoice
            may be overpaid, x402 on Solana pays at least what was asked for).
    """
    texts = []
    for name in _FACTS:
        was, now = getattr(announced, name), getattr(found, name)
        if name == "amount" and not exact and now >= was:
            continue
        if was != now and was not in ("", None):
            texts.append(
                f"{name} {amount_text(was)} and {amount_text(now)}"
                if name == "amount"
                else f"{name} {was} and {now}"
            )
    return ", ".join(texts)


def _is_exact(known: Observation) -> bool:
    """Returns whether a payment moves exactly what was announced, as EIP-3009 does."""
    return known.protocol == "x402" and known.network.startswith("eip155:")


def _contradiction(seen: Observation) -> list[Finding]:
    """Returns a finding when the facilitator's answer contradicts the chain."""
    answer = seen.attributes.get(FACILITATOR_SAID, "")
    if seen.status == "failed" and answer == "success":
        detail = f"answered success, the payment failed: {seen.failure_reason}"
        return [_finding(seen, "facilitator_contradicted", detail)]
    if seen.status == "confirmed" and answer.startswith("failure") and "pending" not in answer:
        detail = f"answered {answer}, the payment is confirmed"
        return [_finding(seen, "facilitator_contradicted", detail)]
    return []


def _finding(seen: Observation, kind: str, detail: str) -> Finding:
    return Finding(seen.settlement_id, kind, detail, seen.rail, revision=0)


def _outcome(seen: Observation) -> str:
    return " ".join(filter(None, [seen.status, seen.failure_reason, seen.tx_hash, seen.block_hash]))


def _position(seen: Observation) -> tuple[str, str]:
    return seen.tx_hash, seen.block_hash


def _journal_at(seen: Observation) -> str:
    return seen.attributes.get(JOURNAL_AT, "")


def _differs(after: Revision, before: Revision | None) -> bool:
    """Returns whether a row differs from the one before it in anything that is compared."""
    if before is None or after.from_account_id != before.from_account_id:
        return True
    return any(
        getattr(after.seen, each.name) != getattr(before.seen, each.name)
        for each in fields(Observation)
        if each.name not in _NOT_COMPARED
    )


def current_revisions(warehouse: Warehouse, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Revision]:
    """Returns the latest revision of each settlement that is recorded."""
    wanted = sorted({str(each) for each in ids})
    found: dict[uuid.UUID, Revision] = {}
    for start in range(0, len(wanted), IDS_PER_QUERY):
        chunk = wanted[start : start + IDS_PER_QUERY]
        for record in warehouse.records(sql("rails/current_by_id"), {"ids": chunk}):
            found[record["settlement_id"]] = _revision_of(record)
    return found


def open_settlements(warehouse: Warehouse, rail: str) -> list[OpenSettlement]:
    """Returns the settlements of a rail that are neither confirmed nor failed, oldest first."""
    records = warehouse.records(sql("rails/open_settlements"), {"rail": rail})
    return [_open_of(_revision_of(record).seen) for record in records]


def append(warehouse: Warehouse, changes: Changes, *, now: datetime) -> None:
    """Writes findings and then revisions; both may be sent twice.

    Findings come first: they follow from a difference that is gone once the revision is written.
    """
    warehouse.insert_rows(
        "masques_ops.settlement_findings",
        ("settlement_id", "kind", "detail", "rail", "revision", "found_at"),
        [(f.settlement_id, f.kind, f.detail, f.rail, f.revision, now) for f in changes.findings],
    )
    for start in range(0, len(changes.revisions), IDS_PER_QUERY):
        chunk = changes.revisions[start : start + IDS_PER_QUERY]
        warehouse.insert_select(
            sql("rails/write_revisions"),
            [[_row_of(each, now)] for each in chunk],
            {"ids": [str(each.seen.settlement_id) for each in chunk]},
            "JSONEachRow",
        )


def quarantine(warehouse: Warehouse, rejected: Sequence[Rejected]) -> None:
    """Puts what cannot be a row into quarantine."""
    put(
        warehouse,
        "settlements",
        [Entry(each.source, each.line_no, each.reason, each.raw.encode()) for each in rejected],
    )


def _row_of(each: Revision, now: datetime) -> bytes:
    """Returns a row of masques.settlements as a line of JSON; decimals and times as text."""
    row = {name: getattr(each.seen, name) for name in _STORED}
    seconds, rest_ns = divmod(each.seen.timestamp_ns, 10**9)
    moment = datetime.fromtimestamp(seconds, UTC)
    row |= {
        "attributes": dict(each.seen.attributes),
        "timestamp": f"{moment:%Y-%m-%d %H:%M:%S}.{rest_ns:09d}",
        "from_account_id": each.from_account_id,
        "revision": each.revision,
        "recorded_at": f"{now:%Y-%m-%d %H:%M:%S.%f}",
    }
    return json.dumps(row, default=_text).encode() + b"\n"


def _text(value: Decimal | uuid.UUID) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _revision_of(record: Mapping[str, Any]) -> Revision:
    stored = {name: record[name] for name in _STORED}
    stored["attributes"] = dict(record["attributes"])
    seen = Observation(
        **stored,
        timestamp_ns=int(record["timestamp_ns"]),
        source="chain" if record["finality"] else "intent",
    )
    return Revision(seen, int(record["revision"]), record["from_account_id"])


def _open_of(latest: Observation) -> OpenSettlement:
    deadline = latest.attributes.get(DEADLINE, "")
    return OpenSettlement(latest=latest, deadline_s=int(deadline) if deadline else None)
