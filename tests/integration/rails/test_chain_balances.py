"""What the chain says: one unit that no settlement records is a difference, and names its place."""

import itertools
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from masques_pipelines.rails.evidence import CHAIN_SAYS, ChainBalance, write_balances
from masques_pipelines.rails.protocol import BalanceReading, Direction, Observation, Status
from masques_pipelines.rails.revisions import append, changes_of
from masques_pipelines.rails.settlement_ids import settlement_id
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

NETWORK, USDC = "eip155:8453", "0xusdc"
T0 = 1_790_000_000 * 10**9
UNIT = Decimal("0.000001")
NUMBERS = itertools.count(1)


def reading(block: int, balance: Decimal | None, **changed: Any) -> BalanceReading:
    fields: dict[str, Any] = {
        "asset": USDC,
        "address": "0xus",
        "currency": "USDC",
        "finality": "finalized",
    }
    return BalanceReading(
        **{
            **fields,
            "balance": balance,
            "block": block,
            "read_at_ns": T0 + block * 10**9,
            **changed,
        }
    )


def moved(
    block: int | None,
    amount: Decimal,
    *,
    direction: Direction = "in",
    status: Status = "confirmed",
    at_ns: int | None = None,
    **changed: Any,
) -> Observation:
    fields: dict[str, Any] = {
        "settlement_id": settlement_id("test", str(next(NUMBERS))),
        "source": "chain",
        "rail": "base",
        "network": NETWORK,
        "currency": "USDC",
        "asset": USDC,
        "finality": "finalized",
        "to_address": "0xus",
        "payer": "0xus",
        "fee_currency": "ETH",
        "network_fee": Decimal("0.5"),
        "timestamp_ns": T0 + (block or 0) * 10**9 if at_ns is None else at_ns,
    }
    fields |= {"direction": direction, "status": status, "amount": amount, "block_height": block}
    return Observation(**{**fields, **changed})


def write(
    warehouse: Warehouse,
    *readings: BalanceReading,
    settlements: list[Observation] | None = None,
    rail: tuple[str, str] = ("base", NETWORK),
) -> None:
    now = datetime.now(UTC)
    append(warehouse, changes_of(settlements or [], {}), now=now)
    write_balances(warehouse, rail, readings, now=now)


def chain_says(warehouse: Warehouse) -> list[ChainBalance]:
    return [ChainBalance(**each) for each in warehouse.records(sql(CHAIN_SAYS))]


def said(warehouse: Warehouse) -> list[tuple[str, Decimal]]:
    return [(each.state, each.difference) for each in chain_says(warehouse)]


def test_all_that_moves_is_in_the_balance(warehouse: Warehouse) -> None:
    before = [moved(5, Decimal(7)), moved(10, Decimal(1))]  # in the opening balance already
    write(warehouse, reading(10, Decimal(100)), settlements=before)
    assert said(warehouse) == [("opening", Decimal(0))]
    after = [
        moved(11, Decimal("3.5")),
        moved(20, Decimal(2), direction="out"),
        moved(21, Decimal(9)),  # after the newest reading
        moved(12, Decimal(50), status="pending"),
        moved(12, Decimal(50), status="failed"),
        moved(None, Decimal(50), status="superseded", finality=""),
        moved(None, Decimal(50), status="off_chain", finality=""),
        moved(None, Decimal(50), status="claimable", finality=""),
        moved(None, Decimal(50), status="not_followed", finality=""),
        moved(12, Decimal(50), asset="0xother"),
    ]
    write(warehouse, reading(20, Decimal("101.5")), settlements=after)
    write(warehouse, reading(20, Decimal("101.5")), settlements=after)  # sent twice
    (says,) = chain_says(warehouse)
    assert (says.state, says.opening, says.came_in, says.went_out, says.balance, says.block) == (
        *("agrees", Decimal(100), Decimal("3.5"), Decimal(2), Decimal("101.5"), 20),
    )


@pytest.mark.parametrize(
    ("recorded", "balance", "difference"),
    [
        # A log that the node hid, a settlement too many, one unit moved behind our back.
        ([], Decimal("103.5"), Decimal("3.5")),
        ([moved(11, Decimal("3.5")), moved(12, UNIT)], Decimal("103.5"), -UNIT),
        ([moved(11, Decimal("3.5"))], Decimal("103.5") - UNIT, -UNIT),
        ([moved(11, Decimal("3.5"), direction="out")], Decimal("96.5") + UNIT, UNIT),
    ],
)
def test_a_difference_names_rail_asset_block_and_amount(
    warehouse: Warehouse, recorded: list[Observation], balance: Decimal, difference: Decimal
) -> None:
    write(warehouse, reading(10, Decimal(100)), reading(20, balance), settlements=recorded)
    (says,) = chain_says(warehouse)
    assert (says.state, says.difference) == ("differs", difference)
    for part in ("base eip155:8453 USDC", USDC, "block 20", f"{abs(difference):f}"):
        assert part in says.text

    # The state is gone at a later block: what was red stays red.
    write(warehouse, reading(30, None, problem="the node has no state of block 30"))
    assert said(warehouse) == [("differs", difference)]


def test_state_that_the_node_lost_is_inconclusive_and_not_red(warehouse: Warehouse) -> None:
    write(warehouse, reading(10, None, problem="missing trie node"))
    (says,) = chain_says(warehouse)
    assert (says.state, says.text) == (
        "inconclusive",
        "base eip155:8453 0xusdc: inconclusive: missing trie node",
    )
    write(warehouse, reading(20, Decimal(5)), reading(30, None, problem="missing trie node"))
    assert said(warehouse) == [("inconclusive", Decimal(0))]
    write(warehouse, reading(40, Decimal(6)), settlements=[moved(25, Decimal(1))])
    assert said(warehouse) == [("agrees", Decimal(0))]


def also(block: int, balance: int) -> BalanceReading:
    return reading(block, Decimal(balance), address="0xalso")


def test_addresses_are_one_sum_and_one_that_comes_or_goes_opens_nothing_again(
    warehouse: Warehouse,
) -> None:
    write(warehouse, reading(10, Decimal(100)))
    # 5 came before the other address was ours, 7 after, and 30 went from one to the other.
    before = moved(15, Decimal(5), to_address="0xalso")
    write(warehouse, reading(20, Decimal(100)), also(20, 50), settlements=[before])
    after = moved(25, Decimal(7), to_address="0xalso")
    write(warehouse, reading(30, Decimal(70)), also(30, 87), settlements=[after])
    (says,) = chain_says(warehouse)
    assert (says.state, says.opening_block, says.opening, says.added, says.came_in) == (
        *("agrees", 10, Decimal(100), Decimal(50), Decimal(7)),
    )
    assert says.text.endswith("; 0xalso since 20 is new")

    # It is dropped: what it does from then on is no matter, and what it took along is.
    late = moved(35, Decimal(11), to_address="0xalso")
    paid = moved(36, Decimal(20), direction="out", to_address="0xalso")
    write(warehouse, reading(40, Decimal(50)), settlements=[late, paid])
    (says,) = chain_says(warehouse)
    assert (says.state, says.dropped, says.balance) == ("agrees", Decimal(87), Decimal(50))
    assert says.text.endswith("0xalso since 20 is new; 0xalso until 30 is not read any more")

    # One unit less of the one that stays is seen all the same, and so it is when the other is back.
    write(warehouse, reading(50, Decimal(50) - UNIT), also(50, 3))
    assert said(warehouse) == [("differs", -UNIT)]
    write(warehouse, reading(60, Decimal(50)), also(60, 3))
    assert said(warehouse) == [("agrees", Decimal(0))]


def test_what_an_address_lost_while_it_was_ours_stays_red(warehouse: Warehouse) -> None:
    write(warehouse, reading(10, Decimal(100)), also(10, 50))
    write(warehouse, reading(20, Decimal(100)), also(20, 49))
    write(warehouse, reading(30, Decimal(100)))
    assert said(warehouse) == [("differs", Decimal(-1))]
    # Until the settlement is found that moved it.
    write(warehouse, settlements=[moved(15, Decimal(1), direction="out", payer="0xalso")])
    assert said(warehouse) == [("agrees", Decimal(0))]


def test_lines_of_a_node_without_blocks_count_by_time(warehouse: Warehouse) -> None:
    def node(at_s: int, channels: str, wallet: str, forwards: str) -> list[BalanceReading]:
        lines = {"channels": channels, "wallet": wallet, "forward_fees": forwards}
        return [
            BalanceReading(
                asset="",
                address="02abc",
                currency="BTC",
                balance=Decimal(value),
                block=0,
                read_at_ns=T0 + at_s * 10**9,
                finality="settled",
                line=line,
                is_flow=line == "forward_fees",
            )
            for line, value in lines.items()
        ]

    def paid(at_s: int, amount: str, **changed: Any) -> Observation:
        lightning = {"rail": "lightning", "network": "bip122:0", "currency": "BTC", "asset": ""}
        lightning |= {"to_address": "02abc", "payer": "02abc"}
        fee = {"fee_currency": "BTC", "network_fee": Decimal(0)}
        return moved(
            None, Decimal(amount), at_ns=T0 + at_s * 10**9, **{**lightning, **fee, **changed}
        )

    rail = ("lightning", "bip122:0")
    out = paid(9, "0.1", direction="out", network_fee=Decimal("0.001"))
    settlements = [paid(4, "7"), paid(6, "0.5"), out]
    write(warehouse, *node(5, "1", "2", "0.25"), settlements=settlements, rail=rail)
    # In 0.5, out 0.1 with a fee of 0.001, 0.01 earned by forwards, 1 moved to the wallet.
    write(warehouse, *node(10, "0.409", "3", "0.26"), rail=rail)
    (says,) = chain_says(warehouse)
    assert (says.state, says.fees, says.flows, says.balance) == (
        *("agrees", Decimal("0.001"), Decimal("0.01"), Decimal("3.409")),
    )
    write(warehouse, *node(11, "0.409", "2.99999999", "0.26"), rail=rail)
    assert said(warehouse) == [("differs", Decimal("-0.00000001"))]
