"""Payments by voucher on a real chain: each is one settlement, from its line to its claim."""

from typing import Any

import pytest

from masques_pipelines.rails.base import rail, vouchers
from masques_pipelines.rails.channels import RecordedChannels
from masques_pipelines.warehouse.sql import sql
from tests.integration.rails.conftest import NETWORK, Polls
from tests.support.anvil import Anvil
from tests.support.x402_channels import DELAY_S, ChannelShop, escrow_holds
from tests.support.x402_evm import BUYER, Payments

Row = tuple[str, str, int, int | None]


@pytest.fixture
def shop(payments: Payments, chain: Anvil) -> ChannelShop:
    chain.mint(BUYER, 50_000_000)
    return ChannelShop(payments)


def rows(polls: Polls) -> list[Row]:
    """Status, reason, units and number of the ledger transfer of each settlement that counts."""
    found = polls.warehouse.rows(
        "SELECT status, failure_reason, amount, transaction_id "
        "FROM masques_marts.settlements_current WHERE status != 'superseded' "
        "ORDER BY toUInt64OrZero(attributes['charged_total']), amount"
    )
    return [
        (status, reason, int(amount.scaleb(6)), transfer.int if transfer else None)
        for status, reason, amount, transfer in found
    ]


def settle(polls: Polls) -> None:
    polls.chain.finalize()
    polls.poll()


def agrees(polls: Polls) -> None:
    """The chain check holds to one unit, and nothing is a finding."""
    found = polls.warehouse.rows("SELECT state, difference FROM masques_marts.chain_balances")
    assert found == [("agrees", 0)]
    assert polls.findings() == []


def test_each_voucher_is_one_settlement_from_its_line_to_its_claim(
    polls: Polls, shop: ChannelShop, chain: Anvil
) -> None:
    settle(polls)
    shop.pay(1_000, 1)  # brings the deposit of 10,000
    shop.pay(2_000, 2, charged=1_500)
    shop.pay(700, 3)
    polls.poll()
    assert [status for status, *_ in rows(polls)] == ["off_chain"] * 3
    assert unclaimed(polls) == [(3, 3_200, 0, None, None)]
    settle(polls)
    assert rows(polls) == [
        ("claimable", "", 1_000, 1), ("claimable", "", 1_500, 2), ("claimable", "", 700, 3),
    ]  # fmt: skip
    agrees(polls)
    ((vouchers, units, at_stake, deadline, last_s),) = unclaimed(polls)
    assert (vouchers, units, at_stake, deadline) == (3, 3_200, 0, None)
    assert last_s == read_to_s(polls) + DELAY_S
    claim = shop.claim()
    settle(polls)
    confirmed = [
        ("confirmed", "", 1_000, 1),
        ("confirmed", "", 1_500, 2),
        ("confirmed", "", 700, 3),
    ]
    assert rows(polls) == confirmed
    agrees(polls)
    shop.sweep()
    settle(polls)
    assert rows(polls) == confirmed
    agrees(polls)
    shop.pay(900, 4)  # never claimed
    settle(polls)
    shop.start_withdrawal(6_800)
    settle(polls)
    assert rows(polls)[3:] == [("claimable", "", 900, 4)]
    deadline = int(current(polls)[3]["attributes"]["deadline_s"])
    assert 0 < deadline - chain.time_s <= DELAY_S
    assert unclaimed(polls) == [(1, 900, 900, deadline, deadline)]
    assert [at_risk(polls, deadline - left_s) for left_s in (451, 449, -60)] == [0, 900, 900]
    chain.pass_time(DELAY_S + 60)
    shop.end_withdrawal()
    settle(polls)
    assert rows(polls) == [*confirmed, ("failed", "claim_expired", 900, 4)]
    agrees(polls)
    assert escrow_holds(chain) == 0
    for row in current(polls)[:3]:
        assert (row["tx_hash"], row["attributes"]["claim_hash"]) == (claim, claim)
        assert row["payer"] == BUYER
    assert sum(row["network_fee"] > 0 for row in current(polls)) == 1
    before = polls.history()
    polls.poll()
    settle(polls)
    assert polls.history() == before


def test_a_run_that_catches_up_knows_what_was_taken_back_long_ago(
    polls: Polls, shop: ChannelShop, chain: Anvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contract has nothing of it any more, and no search reaches back to the event."""
    monkeypatch.setattr(rail, "BLOCKS_PER_FETCH", 5)
    monkeypatch.setattr(vouchers, "SEARCH_RANGES_MAX", 0)
    shop.pay(1_000, 1)
    shop.pay(900, 2)
    shop.start_withdrawal(10_000)
    chain.pass_time(DELAY_S + 60)
    shop.end_withdrawal()
    chain.mine(20)
    chain.pass_time(8 * 24 * 3_600)
    settle(polls)
    assert rows(polls) == [
        ("failed", "claim_expired", 1_000, 1),
        ("failed", "claim_expired", 900, 2),
    ]
    assert polls.findings() == []


def unclaimed(polls: Polls) -> list[tuple[int, int, int, int | None, int | None]]:
    """Vouchers, units, units at risk, deadline and last minute of each channel, in seconds."""
    return polls.warehouse.rows(
        "SELECT vouchers, toInt64(unclaimed * 1000000), toInt64(at_risk * 1000000), "
        "toUnixTimestamp(deadline), toUnixTimestamp(last_minute) "
        "FROM masques_marts.unclaimed_channels"
    )


def at_risk(polls: Polls, now_s: int) -> int:
    found = polls.warehouse.records(sql("rails/vouchers_are_claimed"), {"now_s": now_s})
    return sum(int(each["at_risk"].scaleb(6)) for each in found)


def read_to_s(polls: Polls) -> int:
    return int(
        polls.warehouse.scalar(
            "SELECT toUnixTimestamp(max(read_to)) FROM masques_ops.rail_cursors FINAL"
        )
    )


def current(polls: Polls) -> list[dict[str, Any]]:
    return polls.warehouse.records(
        "SELECT * FROM masques_marts.settlements_current WHERE status != 'superseded' "
        "ORDER BY toUInt64OrZero(attributes['charged_total']), amount"
    )


def test_a_refund_claims_the_rest_and_gives_back_the_deposit(
    polls: Polls, shop: ChannelShop, chain: Anvil
) -> None:
    settle(polls)
    shop.pay(1_000, 1)
    shop.pay(300, 2)
    settle(polls)
    shop.start_withdrawal(9_000)
    chain.finalize()
    tx = shop.refund()  # one transaction: the claim, and the rest of the deposit to the buyer
    shop.sweep()
    settle(polls)
    assert rows(polls) == [("confirmed", "", 1_000, 1), ("confirmed", "", 300, 2)]
    assert {row["tx_hash"] for row in current(polls)} == {tx}
    assert {row["attributes"].get("deadline_s", "") for row in current(polls)} == {""}
    agrees(polls)
    assert unclaimed(polls) == []
    assert escrow_holds(chain) == 0


def test_a_voucher_that_the_journal_lost_is_a_payment_without_a_transfer_until_its_line_comes(
    polls: Polls, shop: ChannelShop, payments: Payments
) -> None:
    settle(polls)
    shop.pay(1_000, 1)
    lost = shop.pay(200, 2, note=False)
    shop.pay(300, 3)
    shop.claim()
    settle(polls)
    shop.sweep()
    settle(polls)
    assert sorted(rows(polls)) == [
        ("confirmed", "", 200, None), ("confirmed", "", 300, 3), ("confirmed", "", 1_000, 1),
    ]  # fmt: skip
    agrees(polls)
    payments.write(lost)
    polls.poll()
    assert rows(polls) == [
        ("confirmed", "", 1_000, 1), ("confirmed", "", 200, 2), ("confirmed", "", 300, 3),
    ]  # fmt: skip
    agrees(polls)
    assert polls.warehouse.records(sql("rails/final_stays_final")) == []


def test_two_channels_of_one_buyer_whose_lines_come_last(
    polls: Polls, shop: ChannelShop, payments: Payments
) -> None:
    other = ChannelShop(payments, salt=1)
    settle(polls)
    paid = [(shop, 500), (other, 500), (shop, 70)]
    lines = [each.pay(units, n, note=False) for n, (each, units) in enumerate(paid, 1)]
    assert shop.channel_id != other.channel_id
    for each in (shop, other):
        each.claim()
    shop.sweep()
    settle(polls)
    for line in reversed(lines):
        payments.write(line)
        payments.write(line)
        polls.poll()
    assert sorted(rows(polls)) == [
        ("confirmed", "", 70, 3), ("confirmed", "", 500, 1), ("confirmed", "", 500, 2),
    ]  # fmt: skip
    agrees(polls)


def test_a_long_lived_channel_is_read_from_its_last_claim_on(
    polls: Polls, shop: ChannelShop
) -> None:
    settle(polls)
    for number in range(1, 4):
        shop.pay(100 * number, number)
        shop.claim()
        settle(polls)
    shop.pay(50, 4)
    settle(polls)
    channels = RecordedChannels(polls.warehouse, "base", NETWORK)
    (settled,) = channels.settled_to([shop.channel_id]).values()
    assert settled == 600
    above = {shop.channel_id: settled}
    assert [row.attributes["charged_total"] for row in channels.settlements(above)] == ["650"]
    assert channels.claims(above) == []
    whole = {shop.channel_id: 0}
    assert (len(channels.settlements(whole)), len(channels.claims(whole))) == (4, 3)
    assert [row[:3] for row in rows(polls)] == [
        *(("confirmed", "", 100 * number) for number in range(1, 4)), ("claimable", "", 50),
    ]  # fmt: skip
    agrees(polls)
