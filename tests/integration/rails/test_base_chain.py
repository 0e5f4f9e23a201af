"""Base on a real chain without a gate: reorganisations, look-alikes, sizes, limits, restarts."""

import dataclasses
from decimal import Decimal
from typing import Any

import pytest

from masques_pipelines.money import EXACT
from masques_pipelines.rails import settlement_ids
from masques_pipelines.rails.base.window import BaseConfig
from masques_pipelines.rails.protocol import RailRefusedError
from masques_pipelines.rails.rewind import RewindError, rewind
from masques_pipelines.settings import read_settings
from tests.integration.rails.conftest import NETWORK, Polls
from tests.support.anvil import TREASURY, USDC, Anvil
from tests.support.x402_evm import BUYER, FACILITATOR, Payments

LOOK_ALIKE = "0x0000000000000000000000000000000000005afe"


@pytest.fixture(autouse=True)
def _funded(chain: Anvil) -> None:
    chain.mint(BUYER, 50_000_000)
    chain.mint(FACILITATOR, 50_000_000)


def transfer_id(chain: Anvil, tx_hash: str, ordinal: int = 0) -> Any:
    return settlement_ids.base_transfer(NETWORK, tx_hash, ordinal)


def newest(polls: Polls) -> list[tuple[Any, ...]]:
    return polls.warehouse.rows(
        "SELECT status, failure_reason, tx_hash, block_height, amount, direction "
        "FROM masques_marts.settlements_current ORDER BY block_height, tx_hash"
    )


def test_plain_transfers_in_and_out_are_recorded_and_internal_ones_are_not(
    polls: Polls, chain: Anvil
) -> None:
    chain.rpc("anvil_impersonateAccount", TREASURY)
    came = chain.transfer(FACILITATOR, TREASURY, 1_000_000)
    went = chain.transfer(TREASURY, FACILITATOR, 400_000)
    chain.transfer(TREASURY, TREASURY, 50)  # no money came or went
    chain.finalize()
    done = polls.poll()

    heights = {tx: int(chain.receipt(tx)["blockNumber"], 16) for tx in (came, went)}
    assert newest(polls) == [
        ("confirmed", "", came, heights[came], Decimal(1), "in"),
        ("confirmed", "", went, heights[went], Decimal("0.4"), "out"),
    ]
    assert done.notes["internal_skipped"] == 1
    balance = int(
        chain.rpc("eth_call", {"to": USDC, "data": "0x70a08231" + TREASURY[2:].rjust(64, "0")}), 16
    )
    assert balance == 600_000  # what came less what went


def test_a_reorganisation_moves_a_payment_and_keeps_its_id(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    payload = payments.sign(10_001, valid_s=3600)
    tx_hash = payments.send(payload)
    polls.poll()
    before = polls.history()
    raw = chain.rpc("eth_getRawTransactionByHash", tx_hash)
    # Two blocks are replaced; the transaction comes back in the second, behind another one.
    chain.mine()
    chain.rpc("anvil_reorg", 2, [[raw, 1]])
    assert int(chain.receipt(tx_hash)["blockNumber"], 16) == before[0]["block_height"] + 1
    polls.poll()
    chain.finalize()
    polls.poll()

    after = polls.history()
    receipt = chain.receipt(tx_hash)
    assert [(r["revision"], r["status"], r["block_hash"]) for r in after] == [
        (1, "pending", before[0]["block_hash"]),
        (2, "pending", receipt["blockHash"]),
        (3, "confirmed", receipt["blockHash"]),
    ]
    assert {r["settlement_id"] for r in after} == {before[0]["settlement_id"]}


def test_a_payment_that_a_reorganisation_leaves_out_fails_only_when_that_is_final(
    polls: Polls, chain: Anvil
) -> None:
    tx_hash = chain.transfer(FACILITATOR, TREASURY, 77)
    polls.poll()
    chain.rpc("anvil_reorg", 1, [])
    polls.poll()
    polls.poll()
    assert polls.statuses() == [("pending", "")]  # a lagging replica looks the same
    chain.rpc("anvil_dropTransaction", tx_hash)
    chain.finalize()
    polls.poll()

    assert polls.statuses() == [("pending", ""), ("failed", "reorged_out")]
    assert polls.history()[-1]["block_hash"] == ""


def test_an_authorization_that_was_reorganised_away_may_come_back_until_its_deadline(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    payload = payments.sign(10_002, valid_s=3600)
    payments.note("verify", payload, {"isValid": True})
    first = payments.send(payload)
    polls.poll()
    chain.rpc("anvil_reorg", 1, [])
    chain.rpc("anvil_dropTransaction", first)
    chain.finalize()
    polls.poll()
    assert polls.statuses()[-1] == ("pending", "")
    assert polls.history()[-1]["block_hash"] == ""  # it is in no block now
    again = payments.send(payload, gasPrice=hex(6 * 10**9))
    chain.finalize()
    polls.poll()

    last = polls.history()[-1]
    assert (last["status"], last["tx_hash"]) == ("confirmed", again)
    assert polls.findings() == []


def test_look_alike_tokens_and_transfers_of_nothing_are_left_out(
    polls: Polls, chain: Anvil
) -> None:
    chain.place_token(LOOK_ALIKE, "USDC")  # the same symbol at another address
    chain.mint(FACILITATOR, 10**12, token=LOOK_ALIKE)
    chain.transfer(FACILITATOR, TREASURY, 10**12, token=LOOK_ALIKE)
    # Anybody may move nothing in anybody's name: address poisoning.
    chain.transfer_from(FACILITATOR, BUYER, TREASURY, 0)
    chain.finalize()
    done = polls.poll()

    assert polls.history() == []
    assert done.notes["zero_value_skipped"] == 1


def test_amounts_over_64_bits_are_exact_and_over_the_column_are_quarantined(
    polls: Polls, chain: Anvil
) -> None:
    large = 2**200
    chain.mint(FACILITATOR, large)
    chain.transfer(FACILITATOR, TREASURY, large)
    # The treasury's balance must not overflow: empty it, and the rest of all tokens comes.
    chain.rpc("anvil_impersonateAccount", TREASURY)
    chain.transfer(TREASURY, FACILITATOR, large)
    balance = int(
        chain.rpc("eth_call", {"to": USDC, "data": "0x70a08231" + FACILITATOR[2:].rjust(64, "0")}),
        16,
    )
    supply = int(chain.rpc("eth_call", {"to": USDC, "data": "0x18160ddd"}), 16)
    chain.mint(FACILITATOR, 2**256 - 1 - supply)
    everything = balance + 2**256 - 1 - supply
    lost = chain.transfer(FACILITATOR, TREASURY, everything)
    chain.finalize()
    done = polls.poll()

    amount = Decimal(large).scaleb(-6, context=EXACT)
    assert [(row[4], row[5]) for row in newest(polls)] == [(amount, "in"), (amount, "out")]
    assert polls.warehouse.rows(
        "SELECT table_name, source, line_no, reason, state FROM masques_ops.quarantine FINAL"
    ) == [("settlements", f"{NETWORK}:{lost}", 1, "out_of_range:amount", "open")]
    assert done.rejected == 1


def test_the_same_hash_with_two_transfers_is_two_settlements(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    # Two payments of one buyer are two authorizations, whatever transaction carries them.
    first, second = payments.sign(5), payments.sign(5)
    payments.send(first)
    payments.send(second)
    chain.finalize()
    polls.poll()
    assert polls.warehouse.rows(
        "SELECT count(), uniqExact(settlement_id), uniqExact(payment_ref) "
        "FROM masques_marts.settlements_current"
    ) == [(2, 2, 2)]


def test_a_poll_with_nothing_new_appends_nothing_and_makes_few_calls(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    for units in range(1, 6):
        payments.send(payments.sign(units))
    polls.poll()
    before = polls.history()
    again = polls.poll()  # five pending payments above the final block
    # chain, final block, head and anchor; logs in and out; balances
    assert (again.revisions, again.calls) == (0, 3)
    assert polls.history() == before
    chain.finalize()
    polls.poll()
    after = polls.history()
    idle = polls.poll()
    assert (idle.revisions, idle.calls) == (0, 3)
    assert polls.history() == after


def test_another_chain_and_a_changed_past_are_refused(polls: Polls, chain: Anvil) -> None:
    snapshot = chain.rpc("evm_snapshot")
    chain.transfer(FACILITATOR, TREASURY, 1)
    chain.finalize()
    polls.poll()
    chain.rpc("evm_revert", snapshot)
    chain.transfer(FACILITATOR, TREASURY, 2)
    chain.mine(30)
    with pytest.raises(RailRefusedError, match="this is another chain, or a reorganisation below"):
        polls.poll()
    polls.config = BaseConfig(
        network="eip155:84532", treasury=polls.config.treasury, assets=polls.config.assets
    )
    with pytest.raises(RailRefusedError, match="it serves chain 8453"):
        polls.poll()


def test_a_payment_that_vanished_is_not_confirmed_after_a_rewind(
    polls: Polls, chain: Anvil
) -> None:
    snapshot = chain.rpc("evm_snapshot")
    gone = chain.transfer(FACILITATOR, TREASURY, 4_000)
    chain.finalize()
    polls.poll()
    assert [(row[0], row[2]) for row in newest(polls)] == [("confirmed", gone)]
    chain.rpc("evm_revert", snapshot)
    chain.rpc("anvil_dropAllTransactions")
    kept = chain.transfer(FACILITATOR, TREASURY, 5)
    chain.mine(30)
    with pytest.raises(RailRefusedError, match="this is another chain, or a reorganisation below"):
        polls.poll()
    rewind(polls.warehouse, read_settings({}), "base", 0)
    polls.poll()
    assert {(row[0], row[1], row[2]) for row in newest(polls)} == {
        ("failed", "reorged_out", gone),
        ("confirmed", "", kept),
    }
    assert "changed_after_final" in {kind for kind, _ in polls.findings()}
    before = polls.history()
    polls.poll()
    assert polls.history() == before


def test_reading_again_from_an_earlier_block_changes_nothing_and_finds_a_new_treasury(
    polls: Polls, chain: Anvil
) -> None:
    other = "0x" + "7" * 40
    chain.transfer(FACILITATOR, TREASURY, 1)
    missed = chain.transfer(FACILITATOR, other, 2)
    chain.finalize()
    polls.config = dataclasses.replace(polls.config, start_block=chain.head - 3)
    polls.poll()
    assert polls.history() == []  # both lie before the beginning
    settings = read_settings({})
    was = rewind(polls.warehouse, settings, "base", 0).before
    assert was == chain.head - 3  # nothing above it is final yet
    polls.poll()
    before = polls.history()
    assert len(before) == 1
    rewind(polls.warehouse, settings, "base", 0)
    polls.poll()
    assert polls.history() == before
    polls.config = dataclasses.replace(polls.config, treasury=frozenset({TREASURY, other}))
    rewind(polls.warehouse, settings, "base", 0)
    polls.poll()
    assert {r["tx_hash"] for r in polls.history()} > {missed}
    with pytest.raises(RewindError, match="is ahead of that"):
        rewind(polls.warehouse, settings, "base", 10**9)
    with pytest.raises(RewindError, match="it was never read"):
        rewind(polls.warehouse, settings, "solana", 1)
