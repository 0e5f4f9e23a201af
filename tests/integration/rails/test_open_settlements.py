"""Open settlements come in turn, and announcements that nobody settled are closed."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from masques_pipelines.rails.descriptor import RailKey
from masques_pipelines.rails.ingest import Place, write_cursor
from masques_pipelines.rails.protocol import ANSWER, CLOSED, DEADLINE, JOURNAL_AT, Observation
from masques_pipelines.rails.revisions import (
    append,
    changes_of,
    current_revisions,
    open_settlements,
)
from masques_pipelines.rails.run import close_abandoned
from masques_pipelines.rails.settlement_ids import settlement_id
from masques_pipelines.warehouse.client import Warehouse

NETWORK = "eip155:8453"
READ_TO_S = 1_795_000_000


def announced(number: int, answer: str = "verified", **changed: Any) -> Observation:
    attributes = {ANSWER: answer, JOURNAL_AT: "2026-11-20", DEADLINE: str(READ_TO_S - 1)}
    fields: dict[str, Any] = {
        "settlement_id": settlement_id("open", str(number)),
        "source": "intent",
        "rail": "base",
        "network": NETWORK,
        "direction": "in",
        "status": "pending",
        "amount": Decimal(number),
        "currency": "USDC",
        "timestamp_ns": (READ_TO_S - 100) * 10**9,
    }
    fields["attributes"] = attributes | changed.pop("attributes", {})
    return Observation(**{**fields, **changed})


def write(warehouse: Warehouse, *observations: Observation) -> None:
    known = current_revisions(warehouse, [each.settlement_id for each in observations])
    append(warehouse, changes_of(observations, known), now=datetime.now(UTC))


def ids(warehouse: Warehouse, **named: Any) -> list[uuid.UUID]:
    return [each.settlement_id for each in open_settlements(warehouse, "base", NETWORK, **named)]


def test_each_open_settlement_has_its_turn(warehouse: Warehouse) -> None:
    write(warehouse, *(announced(number) for number in range(1, 8)))
    everyone = ids(warehouse)
    assert everyone == sorted((settlement_id("open", str(n)) for n in range(1, 8)), key=str)
    after, seen = "", []
    for _ in range(7):  # seven looks at three each: three times around
        some = ids(warehouse, after=after, limit=3)
        seen += some
        after = str(some[-1])
    assert seen == everyone * 3
    assert ids(warehouse, after=str(everyone[5]), limit=100) == [*everyone[6:], *everyone[:6]]


@pytest.mark.parametrize("read_to_s", [None, READ_TO_S - 2, READ_TO_S])
def test_what_nobody_settled_is_closed_once_its_deadline_was_read(
    warehouse: Warehouse, read_to_s: int | None
) -> None:
    kept = [
        announced(2, "unanswered"),  # may be on its way: its rail decides
        announced(3, "success", tx_hash="0xaa"),
        announced(4, "failed", tx_hash="0xab"),
        announced(5, attributes={DEADLINE: ""}),
        announced(6, attributes={DEADLINE: "9" * 77}),
        announced(7, rail="lightning", network="bip122:0"),
        announced(8, source="chain", finality="latest", tx_hash="0xac"),
    ]
    closed = [announced(1), announced(9, "refused", status="unknown", failure_reason="x")]
    write(warehouse, *kept, *closed)
    place = Place({}, 1, None if read_to_s is None else read_to_s * 10**9)
    for key in (("base", NETWORK), ("lightning", "bip122:0")):
        write_cursor(warehouse, RailKey(*key), place)
    expected = 2 if read_to_s == READ_TO_S else 0
    assert close_abandoned(warehouse) == expected
    assert close_abandoned(warehouse) == 0
    found = warehouse.rows(
        "SELECT settlement_id, status, failure_reason FROM masques_marts.settlements_current "
        "WHERE attributes['closed'] != ''"
    )
    reason = ("unknown", "not_seen_until_deadline")
    assert sorted(found) == sorted((each.settlement_id, *reason) for each in closed[:expected])
    assert {each.settlement_id for each in closed[:expected]}.isdisjoint(ids(warehouse))

    # The chain shows it after all.
    write(warehouse, replace(closed[0], source="chain", status="pending", finality="latest"))
    (now,) = current_revisions(warehouse, [closed[0].settlement_id]).values()
    assert (now.seen.status, CLOSED in now.seen.attributes) == ("pending", False)
    assert closed[0].settlement_id in ids(warehouse)
