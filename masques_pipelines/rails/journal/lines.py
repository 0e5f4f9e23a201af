"""Reads one line of the gate's journal: what it announces, what it says, or why it is rejected.

Nothing that a line holds raises: clients choose parts of it, and one line must never stop a run.
Each line ends in exactly one way: it announces a payment, it is rejected (quarantine), or it is
ignored by a rule that has a name.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from masques_pipelines.rails.journal import headers as header
from masques_pipelines.rails.journal import mpp, payouts, tokens, x402
from masques_pipelines.rails.journal.amounts import nanoseconds
from masques_pipelines.rails.journal.facts import Facts
from masques_pipelines.rails.journal.kept import EVENT_ID, kept_of
from masques_pipelines.rails.journal.messages import Line, LineError, mapping, parsed
from masques_pipelines.rails.journal.reading import UnreadableError, read_json
from masques_pipelines.rails.protocol import (
    NO_ID,
    AssetAllowList,
    JournalEvent,
    Observation,
)
from masques_pipelines.rails.settlement_ids import NAMESPACE


@dataclass(frozen=True)
class Reading:
    """How one line ended.

    Attributes:
        observation: The payment that it announces.
        event: What it says, as a fact; of a rejected line too, as far as it could be read.
        rule: Why a valid line announces nothing.
        reason: Why the line is rejected, `kind:field`.
        kept: What may be kept of a rejected line.
    """

    observation: Observation | None = None
    event: JournalEvent | None = None
    rule: str = ""
    reason: str = ""
    kept: str = ""


@dataclass
class _Reader:
    """One line while it is read."""

    facts: Facts
    record: Any = None
    line: Line | None = None
    bodies: x402.Bodies | None = None
    event_id: uuid.UUID = NO_ID
    headers: Mapping[str, Any] = field(default_factory=dict)


def read_line(
    text: str,
    allowed: AssetAllowList,
    *,
    source: str = "",
    line_no: int = 1,
    is_kept: bool = False,
) -> Reading:
    """Reads a line; nothing that it holds raises.

    Args:
        text: The line, or what quarantine kept of it.
        allowed: The tokens and networks of all rails.
        source: File of the journal.
        line_no: Line of that file, from 1.
        is_kept: Whether it comes from quarantine: then it says whose line it was.
    """
    reader = _Reader(Facts())
    observation, reason = None, ""
    try:
        observation = _announced(reader, text, allowed)
    except UnreadableError as error:
        reason = "unreadable:line" if "deep" in str(error) else "invalid_json:line"
    except LineError as error:
        reason = str(error)
    except Exception:  # noqa: BLE001 - the last resort of one line; its text may hold a secret
        reason = "unreadable:line"
    if observation is None and not reason and not reader.facts.rule:
        reason = "unreadable:line"
    if observation is not None:
        reader.facts.settlement_id = observation.settlement_id
    reader.event_id = _event_id(reader, text, is_kept=is_kept)
    event = _event(reader, source, line_no)
    if reason:
        return Reading(event=event, reason=reason, kept=_kept(reader, text))
    return Reading(observation, event, rule=reader.facts.rule)


def _announced(reader: _Reader, text: str, allowed: AssetAllowList) -> Observation | None:
    record = reader.record = read_json(text)
    if not isinstance(record, dict):
        raise LineError("not_an_object:line")
    line = reader.line = parsed(Line, record)
    headers = {str(name).lower(): value for name, value in mapping(line.headers).items()}
    reader.headers = headers
    facts = reader.facts
    if line.event == "payout":
        return payouts.announced(line, record, allowed, facts)
    protocol = (line.protocol or "").lower()
    speaks: Callable[..., Observation | None]
    if "l402" in protocol or "lsat" in protocol:
        return tokens.announced(line, headers, allowed, facts)
    bodies = reader.bodies = x402.bodies_of(line, headers)
    if bodies.payload:
        return x402.announced(line, bodies, allowed, facts)
    # A paid request before a challenge: a 402 may offer several protocols.
    if header.has_l402_credentials(headers):
        speaks = tokens.announced
    elif line.mpp or header.is_paid_by_mpp(headers):
        speaks = mpp.announced
    elif header.has_l402_challenge(headers):
        speaks = tokens.announced
    elif "mpp" in protocol or header.challenges(headers, (header.MPP_SCHEME,)):
        speaks = mpp.announced
    elif line.event == "challenge" or (line.event is None and "payment-required" in headers):
        facts.kind, facts.outcome, facts.protocol = "challenge", "asked", "x402"
        facts.rule = "challenge"
        return None
    else:
        raise LineError("missing:paymentPayload")
    return speaks(line, headers, allowed, facts)


def _event_id(reader: _Reader, text: str, *, is_kept: bool) -> uuid.UUID:
    """Returns the id of a line: of its text, wherever it is read, or as quarantine kept it."""
    kept = mapping(reader.record).get(EVENT_ID) if is_kept else None
    try:
        return uuid.UUID(kept)
    except (TypeError, ValueError, AttributeError):
        return uuid.uuid5(NAMESPACE, text.encode("utf-8", "replace").decode())


def _event(reader: _Reader, source: str, line_no: int) -> JournalEvent | None:
    facts, line = reader.facts, reader.line
    if facts.kind is None or line is None:
        return None
    return JournalEvent(
        event_id=reader.event_id,
        time_ns=nanoseconds(line.recorded_at),
        kind=facts.kind,
        outcome=facts.outcome,
        source=source,
        line_no=line_no,
        protocol=facts.protocol,
        scheme=facts.scheme,
        network=facts.network,
        settlement_id=facts.settlement_id,
        reference=facts.reference,
        error_reason=facts.error_reason,
        latency_ms=None if line.latency_ms is None else round(line.latency_ms),
        transaction_ids=line.named_transfers,
    )


def _kept(reader: _Reader, text: str) -> str:
    """Returns what may be kept of a rejected line: a line again, with bodies for headers."""
    if reader.record is None:
        return f"[{len(text)} characters that are not JSON]"
    try:
        record, bodies = reader.record, reader.bodies
        if isinstance(record, dict):
            record = {**record, EVENT_ID: str(reader.event_id)}
        if reader.line is not None and reader.facts.protocol == mpp.PROTOCOL:
            record = {**record, "mpp": mpp.bodies_of(reader.line, reader.headers)}
        if bodies is not None and bodies.payload:
            request = {**mapping(record.get("request")), "paymentPayload": bodies.payload}
            if bodies.requirements:
                request["paymentRequirements"] = bodies.requirements
            record = {
                **record,
                "request": request,
                "payload_sha256": x402.hash_of(reader.line, bodies),
                "event": record.get("event") or ("settle" if bodies.is_answered else "verify"),
            }
            if bodies.response is not None:
                record["response"] = dict(bodies.response)
        return kept_of(record)
    except Exception:  # noqa: BLE001 - the last resort of one line; its text may hold a secret
        return f"[{len(text)} characters]"
