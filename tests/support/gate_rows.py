"""Rows as the gate and the services around it report them: one good row per table, to change."""

import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, Any]
# A time within retention: yesterday at noon.
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)


def made_id(number: int, kind: int = 0) -> str:
    """Returns a UUID that says what it numbers."""
    return str(uuid.UUID(int=(kind << 64) + number + 1))


def at(seconds: float, nanoseconds: str = "123456789") -> str:
    """Returns a time after NOON with nanoseconds."""
    return f"{NOON + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{nanoseconds}Z"


def request(number: int, **changes: Any) -> Row:
    row: Row = {
        "request_id": made_id(number, 1),
        "timestamp": at(number),
        "identity_id": made_id(number % 7, 2),
        "session_id": made_id(number % 11, 3),
        "endpoint": f"/v1/masques/{number % 5}",
        "method": "post",
        "resource_type": "masque",
        "resource_id": str(number % 5),
        "tokens_input": number,
        "tokens_output": 2**63 + number,
        "bytes_transferred": 10 * number,
        "duration_ms": number % 1000,
        "price_usd": "0.000123",
        "transaction_id": made_id(number, 4),
        "status_code": 200,
        "payment_status": "paid",
        "trace_id": f"{number + 1:032x}",
        "span_id": f"{number + 1:016x}",
        "charged": "0.000000123456789012",
        "charged_currency": "BTC",
    }
    return {**row, **changes}


def session(number: int, report: str = "session", **changes: Any) -> Row:
    row: Row = {
        "report": report,
        "session_id": made_id(number, 3),
        "identity_id": made_id(number % 7, 2),
        "masque_name": "Codesmith",
        "masque_version": "0.1.0",
        "masque_source": "private",
        "donned_at": at(number),
        "intent": "write",
        "client_info": {"name": "cli", "version": "2"},
        "trace_id": "",
        "author_id": made_id(0, 5),
        "transaction_id": made_id(number, 4),
    }
    if report != "don":
        row["doffed_at"] = at(number + 60)
        row["charged"], row["charged_currency"] = f"{number}.25", "USD"
    return {**row, **changes}


def identity(number: int, **changes: Any) -> Row:
    row: Row = {
        "identity_id": made_id(number, 2),
        "identity_type": "agent",
        "created_at": at(0),
        "display_name": f"agent {number}",
        "attributes": {"team": "blue"},
        "external_ids": {"wallet": "0xabc"},
        "status": "active",
        "status_reason": "",
        "updated_at": at(number),
    }
    return {**row, **changes}


def event(number: int, **changes: Any) -> Row:
    row: Row = {
        "event_id": made_id(number, 6),
        "timestamp": at(number),
        "identity_id": made_id(number % 7, 2),
        "category": "task_quality",
        "event_type": "task_done",
        "score_delta": 0.25,
        "confidence": 0.5,
        "reference_type": "session",
        "reference_id": made_id(number % 11, 3),
        "attributes": {"counterparty_id": made_id(1, 2)},
    }
    return {**row, **changes}


def payment_link(number: int, **changes: Any) -> Row:
    row: Row = {
        "transaction_id": made_id(number, 7),
        "refund_of": made_id(number % 3, 4),
        "timestamp": at(number),
        "note": "served nothing",
    }
    return {**row, **changes}


GOOD = {
    "identities": identity,
    "masque_sessions": session,
    "api_requests": request,
    "reputation_events": event,
    "payment_links": payment_link,
}


def ndjson(rows: Iterable[Mapping[str, Any] | str | bytes]) -> bytes:
    """Returns rows as NDJSON; texts and bytes are lines as they are."""
    lines = []
    for row in rows:
        if isinstance(row, bytes):
            lines.append(row)
        else:
            lines.append((row if isinstance(row, str) else json.dumps(row)).encode())
    return b"".join(line + b"\n" for line in lines)
