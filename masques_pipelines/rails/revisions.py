"""Turns observations into revisions of settlements: only a change is appended, the latest wins.

The same observations again append nothing.

The chain decides and the journal announces: an intent never changes what came from the chain. An
intent whose answer proves less never replaces one whose answer proves more; of two that prove the
same the first stays. So the order in which lines are read changes nothing. What a line says about
ledger transfers is a claim: attribution.py links those that are proved.

A status is not monotonic: a failed payment may be found in a later block. Everything that changes
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
from masques_pipelines.quarantine import Entry, put
from masques_pipelines.rails.protocol import (
    ADDED_TO_CHAIN,
    ANSWER,
    CHANNEL,
    CLOSED,
    DEADLINE,
    FACILITATOR_SAID,
    INTENT_ATTRIBUTES,
    JOURNAL_AT,
    LINKING_ANSWERS,
    OPEN_MAX,
    UNATTRIBUTED,
    Finding,
    Observation,
    OpenSettlement,
    Rejected,
)
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

IDS_PER_QUERY: Final = 1_000
# The table that entries of the rails in quarantine were meant for.
QUARANTINED: Final = "settlements"

# Bitcoin's first block, and the last year that DateTime64(9) holds: a time outside is not a time of
# a payment. Written as 1970 a row would be deleted by the retention of its table at the insert.
TIME_MIN_NS: Final = 1_231_006_505 * 10**9
TIME_MAX_NS: Final = 9_214_646_400 * 10**9

_CLAIM_COLUMNS: Final = (
    *("settlement_id", "payers_id", "tx_hash", "asset", "to_address", "amount", "is_exact"),
)
# A payer may sign any validBefore up to 2**256.
_DEADLINE_DIGITS_MAX: Final = 78
_FINAL_STATUSES: Final = ("confirmed", "failed", "superseded")
# These cannot change for one payment; they are fields of Observation.
_FACTS: Final = ("asset", "to_address", "amount")
# A change of these alone makes no revision: they depend on the time of reading.
_NOT_COMPARED: Final = ("confirmations", "source", "timestamp_ns", "transaction_ids", "payers_id")
_STORED: Final = tuple(
    each.name
    for each in fields(Observation)
    if each.name not in ("source", "timestamp_ns", "transaction_ids", "payers_id")
)


@dataclass(frozen=True)
class Revision:
    """One row of masques.settlements.

    Attributes:
        seen: The payment as the row records it.
        revision: 1 and up for each settlement.
        from_account_id: The payer's account in the ledger, the zero UUID when it is not known.
        transaction_id: The first ledger transfer that is linked to it.
    """

    seen: Observation
    revision: int
    from_account_id: uuid.UUID = UNATTRIBUTED
    transaction_id: uuid.UUID | None = None

    @property
    def is_final(self) -> bool:
        """Whether the chain has decided; an intent never is final."""
        return self.seen.status in _FINAL_STATUSES


@dataclass(frozen=True)
class Claim:
    """What a successful answer of the journal says about a settlement and ledger transfers.

    Attributes:
        settlement_id: The payment.
        payers_id: The payment of this payer, where the transaction has several.
        tx_hash: The transaction that the answer names, '' when it names none.
        transaction_ids: The ledger transfers that the line names, sorted.
        asset: What was paid.
        to_address: Who was paid, '' when the line does not say.
        amount: How much was paid.
        is_exact: Whether exactly that has to be paid; otherwise it may be more.
        claimed_at_ns: Time of the line, nanoseconds since 1970.
    """

    settlement_id: uuid.UUID
    payers_id: uuid.UUID
    tx_hash: str
    transaction_ids: tuple[uuid.UUID, ...]
    asset: str
    to_address: str
    amount: Decimal
    is_exact: bool
    claimed_at_ns: int


@dataclass(frozen=True)
class Changes:
    """The rows to append because of observations, the contradictions found, and the claims made."""

    revisions: Sequence[Revision]
    findings: Sequence[Finding]
    claims: Sequence[Claim] = ()


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
    claims: dict[Claim, Claim] = {}
    for seen in observations:
        recorded = current.get(seen.settlement_id)
        before = working.get(seen.settlement_id, recorded)
        next_revision = recorded.revision + 1 if recorded else 1
        after, found = _merged(before, seen)
        findings.extend(replace(each, revision=next_revision if after else 0) for each in found)
        if after is not None:
            working[seen.settlement_id] = replace(after, revision=next_revision)
        if claim := _claim(seen):
            claims[replace(claim, claimed_at_ns=0)] = claim
    revisions = [each for key, each in working.items() if _differs(each, current.get(key))]
    # Of the outcome of all observations, so that their order does not matter.
    for each in revisions:
        was = current.get(each.seen.settlement_id)
        if was is None or _contradiction(was.seen) != _contradiction(each.seen):
            findings += [replace(f, revision=each.revision) for f in _contradiction(each.seen)]
    # A contradiction is recorded once: when it changes a row, or rejects one (revision 0).
    changed = {each.seen.settlement_id for each in revisions}
    findings = [f for f in findings if f.revision == 0 or f.settlement_id in changed]
    return Changes(revisions=revisions, findings=findings, claims=list(claims.values()))


def _claim(seen: Observation) -> Claim | None:
    """Returns what an intent claims; only a successful or pending answer can claim anything."""
    if seen.source != "intent" or seen.attributes.get(ANSWER) not in LINKING_ANSWERS:
        return None
    if not seen.transaction_ids:
        return None
    named = tuple(sorted(set(seen.transaction_ids)))
    return Claim(
        settlement_id=seen.settlement_id,
        payers_id=seen.payers_id,
        tx_hash=seen.tx_hash,
        transaction_ids=named,
        asset=seen.asset,
        to_address=seen.to_address,
        amount=seen.amount,
        is_exact=_is_exact(seen),
        claimed_at_ns=seen.timestamp_ns,
    )


def _merged(before: Revision | None, seen: Observation) -> tuple[Revision | None, list[Finding]]:
    """Returns the row that follows from an observation, None when nothing changes."""
    if before is None:
        return Revision(seen=_allowed(seen), revision=0), []
    if seen.source == "intent":
        return _with_intent(before, _allowed(seen))
    return _with_chain(before, seen)


def _allowed(seen: Observation) -> Observation:
    """Returns an intent with the attributes that it may have; the chain's own as they are."""
    if seen.source != "intent" or seen.attributes.keys() <= INTENT_ATTRIBUTES:
        return seen
    kept = {name: value for name, value in seen.attributes.items() if name in INTENT_ATTRIBUTES}
    return replace(seen, attributes=kept)


def _with_intent(before: Revision, seen: Observation) -> tuple[Revision | None, list[Finding]]:
    """Adds what the journal reports to a settlement."""
    known = before.seen
    if not known.finality:  # only the journal has reported it so far
        merged = _announced(known, seen)
        return (None if merged == known else replace(before, seen=merged)), []
    if known.status == "superseded":
        return None, []  # what the line claims is about the settlement that has the money
    if JOURNAL_AT in known.attributes and not _proves_more(seen, known, ADDED_TO_CHAIN):
        return None, []  # the same line again, or one that proves less
    kept = {k: v for k, v in known.attributes.items() if k not in ADDED_TO_CHAIN}
    added = {k: v for k, v in seen.attributes.items() if k in ADDED_TO_CHAIN}
    merged = replace(known, protocol=known.protocol or seen.protocol, attributes={**kept, **added})
    return replace(before, seen=merged), _disagreement(seen, known, exact=_is_exact(known))


def _announced(known: Observation, seen: Observation) -> Observation:
    """Returns what two lines announce of one payment, in whichever order they are read."""
    best, other = (seen, known) if _proves_more(seen, known) else (known, seen)
    attributes = dict(best.attributes)
    if best.protocol == "l402" and DEADLINE in other.attributes:
        # Both are of one invoice, and a paid request does not repeat it.
        attributes.setdefault(DEADLINE, other.attributes[DEADLINE])
    merged = replace(best, amount=best.amount or other.amount, attributes=attributes)
    is_unanswered = "no_answer" in (best.failure_reason, other.failure_reason)
    if is_unanswered and best.attributes.get(ANSWER) in ("refused", "unanswered", "verified"):
        return replace(merged, status="unknown", failure_reason="no_answer")
    return merged


def _proves_more(
    seen: Observation, known: Observation, names: frozenset[str] = INTENT_ATTRIBUTES
) -> bool:
    """Returns whether an intent replaces the one that is recorded: by proof, then the earlier."""
    if seen.answer_rank != known.answer_rank:
        return seen.answer_rank > known.answer_rank
    return _order_of(seen, known, names) < _order_of(known, seen, names)


def _order_of(one: Observation, other: Observation, names: frozenset[str]) -> tuple[Any, ...]:
    """Returns a key that two different lines of one time and proof do not share."""
    facts: tuple[str, ...] = ()
    if not one.finality and not other.finality:
        facts = (f"{one.amount:f}", one.asset, one.to_address, one.payer, one.tx_hash)
    attributes = sorted((k, v) for k, v in one.attributes.items() if k in names)
    return one.attributes.get(JOURNAL_AT, ""), facts, attributes


def _disagreement(intent: Observation, found: Observation, *, exact: bool) -> list[Finding]:
    """Returns a finding when the chain differs from what a successful line announced.

    What anybody can make the gate write, without a successful answer, is not worth a finding.
    """
    if intent.attributes.get(ANSWER) not in LINKING_ANSWERS:
        return []
    difference = _difference(intent, found, exact=exact)
    return [_finding(found, "intent_disagrees", difference)] if difference else []


def _with_chain(before: Revision, seen: Observation) -> tuple[Revision | None, list[Finding]]:
    """Replaces what is recorded of a settlement by what the chain shows."""
    known, findings = before.seen, []
    is_known_by_chain = bool(known.finality)
    difference = ""
    if is_known_by_chain:
        difference = _difference(known, seen, exact=True)
        if difference:
            findings.append(_finding(known, "facts_disagree", difference))
        if difference and before.is_final:
            return None, findings
    else:
        findings += _disagreement(known, seen, exact=_is_exact(known))
    if before.is_final and seen.status == "pending" and _position(seen) == _position(known):
        return None, []  # from a node whose final block lags behind
    # An empty one takes away what was there.
    attributes = {k: v for k, v in {**known.attributes, **seen.attributes}.items() if v}
    if CLOSED not in seen.attributes:
        attributes.pop(CLOSED, None)
    merged = replace(
        seen,
        protocol=seen.protocol or known.protocol,
        payer=seen.payer or known.payer,
        facilitator_fee=seen.facilitator_fee or known.facilitator_fee,
        attributes=attributes,
    )
    # The same money under another identity contradicts nothing.
    is_same_money = seen.status == "superseded"
    if before.is_final and not is_same_money and _outcome(merged) != _outcome(known):
        findings.append(
            _finding(known, "changed_after_final", f"{_outcome(known)} became {_outcome(merged)}")
        )
    after = replace(
        before, seen=merged, from_account_id=UNATTRIBUTED if difference else before.from_account_id
    )
    return after, findings


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
    """Returns whether a payment moves exactly what was announced: by EIP-3009, or from us."""
    is_signed = known.protocol == "x402" and known.network.startswith("eip155:")
    return is_signed or known.direction == "out"


def _contradiction(seen: Observation) -> list[Finding]:
    """Returns a finding when the facilitator's answer contradicts the chain."""
    answer = seen.attributes.get(FACILITATOR_SAID, "")
    # The gate accepted a voucher: that it was not claimed in time is its own doing.
    is_lost = CHANNEL in seen.attributes
    if seen.status == "failed" and answer == "success" and not is_lost:
        detail = f"answered success, the payment failed: {seen.failure_reason}"
        return [_finding(seen, "facilitator_contradicted", detail)]
    if seen.status == "confirmed" and answer.startswith("failure") and "pending" not in answer:
        detail = f"answered {answer}, the payment is confirmed"
        return [_finding(seen, "facilitator_contradicted", detail)]
    return []


def _finding(seen: Observation, kind: str, detail: str) -> Finding:
    return Finding(seen.settlement_id, kind, detail, seen.rail, network=seen.network)


def _outcome(seen: Observation) -> str:
    return " ".join(filter(None, [seen.status, seen.failure_reason, seen.tx_hash, seen.block_hash]))


def _position(seen: Observation) -> tuple[str, str]:
    return seen.tx_hash, seen.block_hash


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


def open_settlements(
    warehouse: Warehouse, rail: str, network: str, *, after: str = "", limit: int = OPEN_MAX
) -> list[OpenSettlement]:
    """Returns open settlements of a network by id, from the one after `after` in a circle."""
    parameters = {"rail": rail, "network": network, "after": after, "limit": limit}
    records = warehouse.records(sql("rails/open_settlements"), parameters)
    return [open_of(_revision_of(record).seen) for record in records]


def recorded_settlements(
    warehouse: Warehouse, rail: str, network: str, first: int, last: int
) -> list[OpenSettlement]:
    """Returns a network's settlements that are recorded as confirmed in blocks first…last."""
    records = warehouse.records(
        sql("rails/recorded_settlements"),
        {"rail": rail, "network": network, "first": first, "last": last},
    )
    return [open_of(_revision_of(record).seen) for record in records]


def append(warehouse: Warehouse, changes: Changes, *, now: datetime) -> None:
    """Writes claims, findings and then revisions; all may be sent twice.

    Findings come first: they follow from a difference that is gone once the revision is written.
    """
    warehouse.insert_rows(
        "masques_ops.settlement_claims",
        (*_CLAIM_COLUMNS, "transaction_ids", "claimed_at", "recorded_at"),
        [
            (
                *(getattr(each, name) for name in _CLAIM_COLUMNS),
                list(each.transaction_ids),
                each.claimed_at_ns,
                now,
            )
            for each in changes.claims
        ],
    )
    warehouse.insert_rows(
        "masques_ops.settlement_findings",
        ("settlement_id", "kind", "detail", "rail", "network", "revision", "found_at"),
        [
            (f.settlement_id, f.kind, f.detail, f.rail, f.network, f.revision, now)
            for f in changes.findings
        ],
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
        QUARANTINED,
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
        "transaction_id": each.transaction_id,
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
    return Revision(
        seen, int(record["revision"]), record["from_account_id"], record["transaction_id"]
    )


def seen_of(record: Mapping[str, Any]) -> Observation:
    """Returns a row of masques.settlements as an observation."""
    return _revision_of(record).seen


def open_of(latest: Observation) -> OpenSettlement:
    """Returns an open settlement as its rail gets it, with the deadline that it can read."""
    deadline = latest.attributes.get(DEADLINE, "")
    is_time = deadline.isascii() and deadline.isdigit() and len(deadline) <= _DEADLINE_DIGITS_MAX
    return OpenSettlement(latest=latest, deadline_s=int(deadline) if is_time else None)
