"""Writes the packaged day of gate files from the packaged ledger capture.

Here: what the gate would have reported of the capture's payments: the requests and sessions that
they paid for, who took part, what was said of them, and some rows that are wrong.
Not here: re-dating and installing it (masques_pipelines/sandbox/gate_day.py).
A re-run writes the same bytes. By hand: python -m tests.support.make_gate_day
"""

import csv
import io
import json
import random
import sys
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from masques_pipelines.ledger.capture.source import read_capture
from masques_pipelines.ledger.chart import Chart, read_chart
from masques_pipelines.ledger.records import Records, u128
from tests.support.paths import ROOT

DATA = ROOT / "masques_pipelines" / "sandbox" / "data"
CAPTURE = DATA / "capture"
TARGET = DATA / "gate_day"
MASQUES = ("Codesmith", "Chartwright", "Firekeeper", "Lexicographer", "Prism")
DAY_NS = 86_400 * 10**9
REFUND_NOTES = ("served nothing", "served too late", "")
POSTED = 2  # the type of the event that ends a hold with a payment


def moment(ns: int) -> str:
    whole, rest = divmod(ns, 10**9)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def as_uuid(number: int) -> str:
    return str(uuid.UUID(int=number))


def charge(chart: Chart, ledger: int, units: int) -> dict[str, str]:
    """What was charged, in the currency it was paid in."""
    entry = chart.ledgers[ledger]
    amount = Decimal(units).scaleb(-entry.scale)
    return {"charged": f"{amount:f}", "charged_currency": entry.asset}


def of_code(
    chart: Chart, events: Records, code: int, kinds: tuple[int, ...]
) -> list[dict[str, Any]]:
    found = []
    for index in range(len(events)):
        event = events[index : index + 1]
        if int(event["transfer_code"][0]) == code and int(event["type"][0]) in kinds:
            found.append(
                {
                    "id": as_uuid(u128(event, "transfer_id")[0]),
                    "pending_id": as_uuid(u128(event, "transfer_pending_id")[0]),
                    "ns": int(event["timestamp"][0]),
                    "trace_id": f"{u128(event, 'transfer_user_data_128')[0]:032x}",
                    "span_id": f"{int(event['transfer_user_data_64'][0]):016x}",
                    "resource": int(event["transfer_user_data_32"][0]) & 0xFFFFFF,
                    "payer": as_uuid(u128(event, "debit_account_user_data_128")[0]),
                    "author": as_uuid(u128(event, "credit_account_user_data_128")[0]),
                    "kind": int(event["type"][0]),
                    "charge": charge(
                        chart, int(event["ledger"][0]), u128(event, "transfer_amount")[0]
                    ),
                }
            )
    return found


def main() -> None:  # noqa: C901 - one story, told from the beginning to the end
    chance = random.Random(42)
    capture = read_capture(CAPTURE)
    events, accounts = capture.change_events, capture.accounts
    last_ns = int(events["timestamp"][-1])
    chart = read_chart(None)
    holds = of_code(chart, events, 2, (1,))
    ends = {one["pending_id"]: one for one in of_code(chart, events, 2, (2, 3))}
    calls = of_code(chart, events, 3, (0,))
    # What the traces of refunds lead to: a call, or a hold of a session or an escrow.
    paid = {one["trace_id"]: one for one in (*of_code(chart, events, 8, (1,)), *holds, *calls)}
    refunds = of_code(chart, events, 5, (0,))
    made = uuid.UUID(int=42)

    def named(kind: str, number: int) -> str:
        return str(uuid.uuid5(made, f"{kind}-{number}"))

    identities = []
    for index, owner in enumerate(u128(accounts, "user_data_128")):
        if int(accounts["code"][index]) in (200, 300) and owner:
            kind = "user" if int(accounts["code"][index]) == 300 else "agent"
            identities.append(
                {
                    "identity_id": as_uuid(owner),
                    "identity_type": kind,
                    "created_at": moment(last_ns - 3 * DAY_NS + index * 10**9),
                    "display_name": f"{kind} {index}",
                    "attributes": json.dumps({"plan": chance.choice(["free", "pro"])}),
                    "external_ids": json.dumps({"wallet": f"0x{owner % 2**160:040x}"}),
                    "status": "active",
                    "status_reason": "",
                    "updated_at": moment(last_ns - 2 * DAY_NS + index * 10**9),
                }
            )
    identities = list({row["identity_id"]: row for row in identities}.values())
    changed = identities[5] | {"status": "suspended", "status_reason": "chargebacks"}
    identities.append(changed | {"updated_at": moment(last_ns - DAY_NS)})
    identities.append(identities[6] | {"identity_type": "robot", "updated_at": moment(last_ns)})

    sessions: list[Any] = []
    for number, hold in enumerate(holds):
        base = {
            "session_id": named("session", number),
            "identity_id": hold["payer"],
            "donned_at": moment(hold["ns"]),
            "trace_id": hold["trace_id"],
        }
        sessions.append(
            {
                "report": "don",
                **base,
                "masque_name": MASQUES[hold["resource"] % len(MASQUES)],
                "masque_version": "0.1.0",
                "masque_source": "marketplace",
                "intent": chance.choice(["implement", "review", "explain"]),
                "client_info": {"name": "cli", "version": "2.1"},
                "author_id": hold["author"],
                "transaction_id": hold["id"],
            }
        )
        if hold["id"] in ends:
            end = ends[hold["id"]]
            taken = end["charge"] if end["kind"] == POSTED else {**end["charge"], "charged": "0"}
            sessions.append({"report": "doff", **base, "doffed_at": moment(end["ns"]), **taken})
    sessions.append({"report": "don", "session_id": named("session", 9999)})

    requests: list[Any] = []
    for number, call in enumerate(calls):
        requests.append(
            {
                "request_id": named("request", number),
                "timestamp": moment(call["ns"]),
                "identity_id": call["payer"],
                "session_id": named("session", number % len(holds)),
                "endpoint": f"/v1/masques/{MASQUES[number % len(MASQUES)].lower()}",
                "method": "POST",
                "resource_type": "mcp_tool",
                "resource_id": str(call["resource"]),
                "tokens_input": chance.randrange(50, 4000),
                "tokens_output": chance.randrange(50, 8000),
                "bytes_transferred": chance.randrange(500, 90_000),
                "duration_ms": chance.randrange(20, 5000),
                "price_usd": f"{chance.randrange(1, 50_000) / 10**6:.6f}",
                "transaction_id": call["id"],
                "status_code": 200,
                "payment_status": "paid",
                "trace_id": call["trace_id"],
                "span_id": call["span_id"],
                **call["charge"],
            }
        )
    for number in range(700):
        status, code = chance.choice(
            [
                ("challenged", 402),
                ("free_tier", 200),
                ("rejected", 402),
                ("insufficient_funds", 402),
            ]
        )
        requests.append(
            {
                "request_id": named("unpaid", number),
                "timestamp": moment(last_ns - chance.randrange(DAY_NS)),
                "identity_id": chance.choice(identities)["identity_id"],
                "endpoint": f"/v1/masques/{chance.choice(MASQUES).lower()}",
                "method": "POST",
                "duration_ms": chance.randrange(1, 90),
                "price_usd": "0.001",
                "status_code": code,
                "payment_status": status,
                "gate": "x402",
            }
        )
    wrong = requests[:8]
    requests += [
        wrong[0] | {"request_id": named("bad", 0), "identity_id": None},
        wrong[1] | {"request_id": "1234"},
        wrong[2] | {"request_id": named("bad", 2), "price_usd": "0.00000012"},
        wrong[3] | {"request_id": named("bad", 3), "payment_status": "settled"},
        wrong[4] | {"request_id": named("bad", 4), "timestamp": "2199-01-01T00:00:00Z"},
        wrong[5] | {"status_code": 500},  # the key is there with other content
        wrong[6],  # the same once more
        json.dumps(wrong[7])[:90],  # cut short
        wrong[7] | {"request_id": named("bad", 7), "transaction_id": None},  # paid by nothing
    ]

    said: list[Any] = []
    for number, hold in enumerate(holds):
        if hold["id"] in ends:
            good = chance.random() < 0.9
            said.append(
                {
                    "event_id": named("task", number),
                    "timestamp": moment(ends[hold["id"]]["ns"]),
                    "identity_id": hold["author"],
                    "category": "task_quality",
                    "event_type": "task_accepted" if good else "task_refused",
                    "score_delta": 0.8 if good else -0.9,
                    "confidence": 0.9,
                    "reference_type": "session",
                    "reference_id": named("session", number),
                    "attributes": {"counterparty_id": hold["payer"]},
                }
            )
    for number, call in enumerate(calls):
        said.append(
            {
                "event_id": named("payment", number),
                "timestamp": moment(call["ns"]),
                "identity_id": call["payer"],
                "category": "economic",
                "event_type": "paid",
                "score_delta": 0.5,
                "confidence": 1,
                "reference_type": "transaction",
                "reference_id": call["id"],
                "attributes": {"counterparty_id": call["author"]},
            }
        )
    said.append(said[0] | {"event_id": named("bad", 8), "category": "luck"})
    said.append(said[1] | {"event_id": named("bad", 9), "score_delta": "very good"})

    links = [
        {
            "transaction_id": refund["id"],
            "refund_of": paid[refund["trace_id"]]["id"],
            "timestamp": moment(refund["ns"]),
            "note": REFUND_NOTES[number % len(REFUND_NOTES)],
        }
        for number, refund in enumerate(refunds)
    ]
    links.append(links[0] | {"transaction_id": links[0]["refund_of"]})  # refunds itself

    TARGET.mkdir(exist_ok=True)
    (TARGET / "meta.json").write_text(
        json.dumps({"last": moment(last_ns), "from": "packaged_capture"}) + "\n"
    )
    (TARGET / "identities.csv").write_text(csv_text(identities))
    (TARGET / "payment_links.csv").write_text(csv_text(links))
    for name, rows in (
        ("masque_sessions", sessions),
        ("api_requests", requests),
        ("reputation_events", said),
    ):
        (TARGET / f"{name}.ndjson").write_text(
            "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
        )
    sys.stdout.write(f"wrote {TARGET}\n")


def csv_text(rows: Iterable[dict[str, Any]]) -> str:
    listed = list(rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(listed[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)
    return out.getvalue()


if __name__ == "__main__":
    main()
