"""From observations to revisions: what is new is appended, the newest revision speaks.

Here: comparing what was seen with what is written down, and the rows that follow from it.
Not here: reading rails (one file each), attribution to accounts (linking.py).
A re-run with the same observations appends nothing: only a change makes a revision.

The chain decides and the journal announces: an intent never changes a status that the chain gave.
A status is not monotonic: a failed payment may be found in a block later. Everything that changes
after it was final is a finding as well.
"""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.money import amount_text
from masques_pipelines.rails.protocol import (
    UNATTRIBUTED,
    Observation,
    OpenSettlement,
    Refused,
)
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

IDS_PER_QUERY: Final = 1_000

# Attributes with a meaning for this module; times are decimal text, seconds since 1970 in UTC.
DEADLINE: Final = "deadline_s"
JOURNAL_AT: Final = "journal_at"
FACILITATOR_SAID: Final = "facilitator_said"

_FINAL_STATUSES: Final = ("confirmed", "failed")
# Of a payment these cannot change; an Observation has them under the same names.
_FACTS: Final = ("asset", "to_address", "amount")
# A change of these alone is no news: they are a measure of the moment.
_NOT_COMPARED: Final = ("confirmations", "source", "timestamp_ns")
_STORED: Final = tuple(
    each.name for each in fields(Observation) if each.name not in ("source", "timestamp_ns")
)
COLUMNS: Final = (*_STORED, "timestamp", "from_account_id", "revision", "recorded_at")


@dataclass(frozen=True)
class Revision:
    """One row of masques.settlements.

    Attributes:
        seen: What the row says of the payment.
        revision: 1 and up for each settlement.
        from_account_id: The payer's account in the ledger, zero when it is not known.
    """

    seen: Observation
    revision: int
    from_account_id: uuid.UUID = UNATTRIBUTED

    @property
    def is_final(self) -> bool:
        """Whether the chain has decided: an intent has no finality."""
        return self.seen.status in _FINAL_STATUSES


@dataclass(frozen=True)
class Finding:
    """A contradiction, for a person to look at.

    Attributes:
        settlement_id: The payment.
        kind: facts_disagree, intent_disagrees, facilitator_contradicted or changed_after_final.
        detail: What was written down and what is said now, without a secret.
        rail: Of the payment.
        revision: The revision that was written because of it; 0 when none was.
    """

    settlement_id: uuid.UUID
    kind: str
    detail: str
    rail: str
    revision: int


@dataclass(frozen=True)
class Changes:
    """What observations change: rows to append and contradictions found."""

    revisions: Sequence[Revision]
    findings: Sequence[Finding]


def changes_of(
    observations: Iterable[Observation], current: Mapping[uuid.UUID, Revision]
) -> Changes:
    """Returns what has to be appended so that the newest revisions say what was observed.

    Args:
        observations: In the order in which they were made.
        current: The newest revision of each settlement that is written down already.
    """
    working: dict[uuid.UUID, Revision] = {}
    findings: list[Finding] = []
    for seen in observations:
        written = current.get(seen.settlement_id)
        before = working.get(seen.settlement_id, written)
        next_revision = written.revision + 1 if written else 1
        after, found = _merged(before, seen)
        findings.extend(replace(each, revision=next_revision if after else 0) for each in found)
        if after is not None:
            working[seen.settlement_id] = replace(after, revision=next_revision)
    revisions = [each for key, each in working.items() if _differs(each, current.get(key))]
    # A contradiction is found once: when it changes a row, or when a row is refused (revision 0).
    changed = {each.seen.settlement_id for each in revisions}
    findings = [f for f in findings if f.revision == 0 or f.settlement_id in changed]
    return Changes(revisions=revisions, findings=findings)


def _merged(before: Revision | None, seen: Observation) -> tuple[Revision | None, list[Finding]]:
    """Returns the row that follows from an observation, None when it says nothing new."""
    if before is None:
        return Revision(seen=seen, revision=0), []
    if seen.source == "intent":
        return _with_intent(before, seen)
    return _with_chain(before, seen)


def _with_intent(before: Revision, seen: Observation) -> tuple[Revision | None, list[Finding]]:
    """Adds what the journal knows to a settlement."""
    known = before.seen
    if _journal_at(seen) <= _journal_at(known):
        return None, []  # the same line again, or an older one
    if not known.finality:  # the journal has spoken alone so far
        merged = replace(
            seen,
            tx_hash=seen.tx_hash or known.tx_hash,
            protocol=seen.protocol or known.protocol,
            transaction_id=seen.transaction_id or known.transaction_id,
            attributes={**known.attributes, **seen.attributes},
        )
        return replace(before, seen=merged), []
    difference = _difference(seen, known, exact=known.protocol == "x402" and known.rail == "base")
    merged = replace(
        known,
        protocol=known.protocol or seen.protocol,
        # An announcement of another payment must not lend its ledger transfer to this one.
        transaction_id=known.transaction_id or (None if difference else seen.transaction_id),
        attributes={**seen.attributes, **known.attributes, JOURNAL_AT: seen.attributes[JOURNAL_AT]},
    )
    findings = [_finding(known, "intent_disagrees", difference)] if difference else []
    findings += _contradiction(merged)
    return replace(before, seen=merged), findings


def _with_chain(before: Revision, seen: Observation) -> tuple[Revision | None, list[Finding]]:
    """Replaces what is known of a settlement by what the chain says."""
    known, findings = before.seen, []
    is_known_by_chain = bool(known.finality)
    exact = seen.rail == "base" and bool(known.protocol == "x402")
    difference = _difference(known, seen, exact=exact or is_known_by_chain)
    if difference and before.is_final:
        return None, [_finding(known, "facts_disagree", difference)]
    if before.is_final and seen.status == "pending" and _place(seen) == _place(known):
        return None, []  # a node whose final block lags behind
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
        announced: What was said first.
        found: What is said now.
        exact: Whether the amounts have to be equal; else the found one may be higher (an invoice
            may be overpaid, x402 on Solana pays at least what was asked).
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


def _contradiction(seen: Observation) -> list[Finding]:
    """Returns a finding when the facilitator's answer is not what the chain decided."""
    said = seen.attributes.get(FACILITATOR_SAID, "")
    if seen.status == "failed" and said == "success":
        return [_finding(seen, "facilitator_contradicted", f"said success, {seen.failure_reason}")]
    if seen.status == "confirmed" and said.startswith("failure") and "pending" not in said:
        return [
            _finding(seen, "facilitator_contradicted", f"said {said}, the payment is confirmed")
        ]
    return []


def _finding(seen: Observation, kind: str, detail: str) -> Finding:
    return Finding(seen.settlement_id, kind, detail, seen.rail, revision=0)


def _outcome(seen: Observation) -> str:
    return " ".join(filter(None, [seen.status, seen.failure_reason, seen.tx_hash, seen.block_hash]))


def _place(seen: Observation) -> tuple[str, str]:
    return seen.tx_hash, seen.block_hash


def _journal_at(seen: Observation) -> str:
    return seen.attributes.get(JOURNAL_AT, "")


def _differs(after: Revision, before: Revision | None) -> bool:
    """Says whether a row says something that the one before it does not."""
    if before is None or after.from_account_id != before.from_account_id:
        return True
    return any(
        getattr(after.seen, each.name) != getattr(before.seen, each.name)
        for each in fields(Observation)
        if each.name not in _NOT_COMPARED
    )


def current_revisions(warehouse: Warehouse, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Revision]:
    """Returns the newest revision of each settlement that is written down."""
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

    Findings come first: they follow from a difference that is gone once the revision is there.
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


def quarantine(warehouse: Warehouse, refused: Sequence[Refused], *, now: datetime) -> None:
    """Writes what cannot be a row to the quarantine; the same thing again replaces itself."""
    warehouse.insert_rows(
        "masques_ops.quarantine",
        (
            "table_name",
            "source",
            "line_no",
            "reason",
            "raw",
            "first_seen",
            "attempts",
            "state",
            "updated_at",
        ),
        [
            (
                "masques.settlements",
                each.source,
                each.line_no,
                each.reason,
                each.raw,
                now,
                1,
                "open",
                now,
            )
            for each in refused
        ],
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
