"""Solana over the real runtime: the x402 SDK's word against the chain, mints, forks, paging."""

import ctypes
import json
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from solders.keypair import Keypair
from x402 import x402ClientSync, x402FacilitatorSync
from x402.mechanisms.svm import FacilitatorKeypairSigner, KeypairSigner
from x402.mechanisms.svm.exact import ExactSvmClientScheme, register_exact_svm_facilitator
from x402.schemas import PaymentRequired, PaymentRequirements, ResourceInfo

from masques_pipelines.rails import settlement_ids
from masques_pipelines.rails.attribution import link_settlements
from masques_pipelines.rails.catalog import open_rail, place
from masques_pipelines.rails.ingest import RailRun, ingest
from masques_pipelines.rails.protocol import RailRefusedError
from masques_pipelines.rails.revisions import open_settlements, recorded_settlements
from masques_pipelines.rails.rewind import rewind
from masques_pipelines.rails.solana import rail as solana
from masques_pipelines.rails.solana.addresses import associated_token_account, is_on_curve
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.solana_rpc import (
    FIRST_SLOT,
    NETWORK,
    TOKEN_2022,
    TREASURY,
    USDC,
    Solana,
    running_solana,
    settings_of,
    token_account,
)

OTHER_MINT = "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU"
MINT_2022 = "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo"
BUYER = Keypair.from_seed(bytes([7] * 32))
FACILITATOR = Keypair.from_seed(bytes([9] * 32))
FAILED = "transaction_failed: InstructionError: [2, Custom: 1]"


@pytest.fixture
def chain() -> Iterator[Solana]:
    with running_solana() as chain:
        for wallet in (BUYER, FACILITATOR):
            chain.airdrop(str(wallet.pubkey()))
        chain.fund(str(BUYER.pubkey()), 50_000_000)
        chain.fund(TREASURY, 0)
        chain.advance()
        yield chain


@pytest.fixture
def settings(chain: Solana, tmp_path: Path) -> Settings:
    return settings_of(chain, tmp_path)


def poll(warehouse: Warehouse, settings: Settings) -> RailRun:
    for name in ("journal", "solana"):
        with open_rail(
            settings,
            place(settings, name),
            partial(open_settlements, warehouse, "solana", NETWORK),
            partial(recorded_settlements, warehouse, "solana", NETWORK),
        ) as rail:
            done = ingest(warehouse, rail)
    return done


def statuses(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "SELECT status, failure_reason, amount, tx_hash FROM masques.settlements "
        "ORDER BY settlement_id, revision"
    )


def settle(
    chain: Solana, settings: Settings, units: int, memo: str, *, asset: str = USDC, **noted: Any
) -> dict[str, Any]:
    """A buyer pays through the official client and facilitator; the gate notes both messages."""
    asked = PaymentRequirements(
        scheme="exact",
        network=NETWORK,
        asset=asset,
        amount=str(units),
        pay_to=TREASURY,
        max_timeout_seconds=60,
        extra={"feePayer": str(FACILITATOR.pubkey()), "memo": memo},
    )
    client = x402ClientSync()
    client.register("solana:*", ExactSvmClientScheme(KeypairSigner(BUYER), rpc_url=chain.url))
    facilitator = x402FacilitatorSync()
    register_exact_svm_facilitator(
        facilitator, FacilitatorKeypairSigner(FACILITATOR, rpc_url=chain.url), networks=NETWORK
    )
    payload = client.create_payment_payload(
        PaymentRequired(
            x402_version=2, resource=ResourceInfo(url="https://api.example.test/d"), accepts=[asked]
        )
    )
    answer = facilitator.settle(payload, asked).model_dump(by_alias=True, mode="json")
    folder = Path(settings.landing_url) / "settlement_journal"
    folder.mkdir(parents=True, exist_ok=True)
    request = {
        "paymentPayload": payload.model_dump(by_alias=True, mode="json"),
        "paymentRequirements": asked.model_dump(by_alias=True, mode="json"),
    }
    line = {
        "recorded_at": datetime.fromtimestamp(chain.start_s + 100, UTC).isoformat(),
        "event": "settle",
        "request": request,
        "response": answer,
        **noted,
    }
    with (folder / "gate.ndjson").open("a") as file:
        file.write(json.dumps(line) + "\n")
    return dict(answer)


def test_our_token_accounts_are_derived_as_solana_derives_them() -> None:
    for seed in range(1, 20):
        owner = str(Keypair.from_seed(bytes([seed] * 32)).pubkey())
        assert associated_token_account(owner, USDC) == token_account(owner, USDC)
        assert is_on_curve(bytes(Keypair.from_seed(bytes([seed] * 32)).pubkey()))


def test_a_token_2022_payment_has_its_line_and_its_link(
    warehouse: Warehouse, chain: Solana, tmp_path: Path
) -> None:
    chain.place_mint(MINT_2022, 6, TOKEN_2022)
    for owner, units in ((str(BUYER.pubkey()), 50_000_000), (TREASURY, 0)):
        chain.fund(owner, units, MINT_2022)
    mints = ",".join(f"{mint}:{name}:6" for mint, name in ((USDC, "USDC"), (MINT_2022, "PYUSD")))
    both = settings_of(chain, tmp_path, MASQUES_SOLANA_MINTS=mints)
    answer = settle(
        *(chain, both, 30_000, "order-2022"), asset=MINT_2022, transaction_id=str(UUID(int=7))
    )
    assert answer["success"], answer
    for _ in range(3):
        poll(warehouse, both)
        link_settlements(warehouse)
        chain.advance(200)
    rows = warehouse.rows(
        "SELECT settlement_id, currency, amount, payer, protocol, attributes['answer'] "
        "FROM masques_marts.settlements_current WHERE status != 'superseded'"
    )
    paid = settlement_ids.solana_transfer(
        NETWORK, answer["transaction"], token_account(TREASURY, MINT_2022, TOKEN_2022)
    )
    expected = (paid, "PYUSD", Decimal("0.03"), str(BUYER.pubkey()), "x402", "success")
    assert rows == [expected]
    links = "SELECT settlement_id, transaction_id FROM masques_ops.settlement_links FINAL"
    assert warehouse.rows(links) == [(paid, UUID(int=7))]
    assert warehouse.scalar("SELECT count() FROM masques_ops.settlement_findings") == 0


def test_a_payment_through_the_facilitator_is_pending_then_confirmed(
    warehouse: Warehouse, settings: Settings, chain: Solana
) -> None:
    answer = settle(chain, settings, 10_000, "order-7f3a")
    assert answer["success"]
    poll(warehouse, settings)
    chain.advance()
    poll(warehouse, settings)

    rows = warehouse.records(
        "SELECT * EXCEPT (recorded_at, ingested_at) FROM masques.settlements ORDER BY revision"
    )
    assert [(r["status"], r["finality"]) for r in rows] == [
        ("pending", ""),
        ("pending", "confirmed"),
        ("confirmed", "finalized"),
    ]
    last = rows[-1]
    (landed,) = chain.landed
    assert int(last.pop("timestamp").timestamp()) == landed["blockTime"]
    assert int(last.pop("from_account_id")) == 0
    assert last["attributes"].pop("journal_at").endswith("#2")
    assert last["attributes"].pop("deadline_s") == str(chain.start_s + 100 + 150)
    assert last == {
        "settlement_id": settlement_ids.solana_transfer(
            NETWORK, answer["transaction"], token_account(TREASURY)
        ),
        "rail": "solana",
        "protocol": "x402",
        "amount": Decimal("0.01"),
        "currency": "USDC",
        "tx_hash": answer["transaction"],
        "block_height": landed["slot"],
        "confirmations": 34,
        "to_address": TREASURY,
        "status": "confirmed",
        "failure_reason": "",
        "network_fee": Decimal("0.00001"),  # two signatures of 5,000 lamports
        "facilitator_fee": Decimal(0),
        "direction": "in",
        "revision": 3,
        "finality": "finalized",
        "block_hash": "",
        "network": NETWORK,
        "asset": USDC,
        "payer": str(BUYER.pubkey()),
        "payment_ref": answer["transaction"],
        "fee_currency": "SOL",
        "transaction_id": None,
        "attributes": {
            "answer": "success",
            "facilitator_said": "success",
            "memo": "order-7f3a",
            "resource": "https://api.example.test/d",
            "scheme": "exact",
            "submitted_by": str(FACILITATOR.pubkey()),
            "token_account": token_account(TREASURY),
        },
    }


def test_a_transaction_that_failed_on_chain_fails_though_the_facilitator_said_success(
    warehouse: Warehouse, settings: Settings, chain: Solana
) -> None:
    # The buyer's money goes elsewhere between the simulation and the landing.
    chain.before_send = lambda: chain.fund(str(BUYER.pubkey()), 5)
    answer = settle(chain, settings, 20_000, "order-8")
    assert answer["success"]  # the word of the official facilitator
    poll(warehouse, settings)
    assert [row[0] for row in statuses(warehouse)] == ["pending"]
    chain.advance()
    poll(warehouse, settings)

    assert [row[:2] for row in statuses(warehouse)] == [
        ("pending", ""),
        ("failed", FAILED),
    ]
    assert warehouse.rows("SELECT kind, detail FROM masques_ops.settlement_findings FINAL") == [
        (
            "facilitator_contradicted",
            f"answered success, the payment failed: {FAILED}",
        )
    ]


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="it has no x87 unit"
)
def test_a_program_that_ran_leaves_the_float_unit_empty(chain: Solana) -> None:
    # Or scores are NaN in tests that run in this process later.
    chain.transfer(BUYER, TREASURY, 10_000)
    environment = ctypes.create_string_buffer(64)
    ctypes.CDLL(None).fegetenv(environment)
    assert environment.raw[8:10] == b"\xff\xff"  # the tag word of glibc's fenv_t: all empty


def test_another_mint_with_a_copied_memo_is_no_payment(
    warehouse: Warehouse, settings: Settings, chain: Solana
) -> None:
    chain.place_mint(OTHER_MINT, 6)
    chain.fund(str(BUYER.pubkey()), 10**9, OTHER_MINT)
    chain.fund(TREASURY, 0, OTHER_MINT)
    chain.transfer(BUYER, TREASURY, 10_000, mint=OTHER_MINT, memo="order-7f3a")
    chain.advance()
    poll(warehouse, settings)
    assert statuses(warehouse) == []


def test_a_payment_that_is_forked_away_is_unknown_after_its_blockhash_is_dead(
    warehouse: Warehouse, settings: Settings, chain: Solana
) -> None:
    signature = chain.transfer(BUYER, TREASURY, 30_000)
    poll(warehouse, settings)
    chain.forget(signature)
    chain.advance()
    poll(warehouse, settings)
    assert [row[0] for row in statuses(warehouse)] == ["pending"]  # it may land again
    chain.advance(200)
    poll(warehouse, settings)
    amount = Decimal("0.03")
    assert statuses(warehouse) == [
        ("pending", "", amount, signature),
        ("unknown", "forked_away", amount, signature),
    ]


@pytest.mark.parametrize("recheck_max", [1, solana.RECHECK_MAX])
def test_a_payment_that_vanished_is_not_confirmed_after_a_rewind(
    warehouse: Warehouse,
    settings: Settings,
    chain: Solana,
    monkeypatch: pytest.MonkeyPatch,
    recheck_max: int,
) -> None:
    monkeypatch.setattr(solana, "RECHECK_MAX", recheck_max)
    names = [chain.transfer(BUYER, TREASURY, units) for units in (1_000, 2_000, 4_000)]
    chain.advance()
    poll(warehouse, settings)
    assert [row[0] for row in statuses(warehouse)] == ["confirmed"] * 3
    chain.forget(names[1])
    chain.advance(200)
    poll(warehouse, settings)
    assert [row[0] for row in statuses(warehouse)] == ["confirmed"] * 3  # not read again
    rewind(warehouse, settings, "solana", FIRST_SLOT)
    poll(warehouse, settings)
    newest = "SELECT tx_hash, status, failure_reason FROM masques_marts.settlements_current"
    found = {(names[0], "confirmed", ""), (names[2], "confirmed", "")}
    assert set(warehouse.rows(newest)) == {(names[1], "unknown", "forked_away"), *found}
    assert warehouse.rows("SELECT kind FROM masques_ops.settlement_findings FINAL") == [
        ("changed_after_final",)
    ]
    before = statuses(warehouse)
    for _again in range(2):
        rewind(warehouse, settings, "solana", FIRST_SLOT)
        poll(warehouse, settings)
    assert statuses(warehouse) == before


def test_pages_of_three_give_every_payment_once_and_an_idle_poll_is_cheap(
    warehouse: Warehouse, settings: Settings, chain: Solana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solana, "PAGE", 3)
    monkeypatch.setattr(solana, "TRANSACTIONS_PER_FETCH", 4)
    sent = [chain.transfer(BUYER, TREASURY, units) for units in range(1, 12)]
    chain.advance()
    done = poll(warehouse, settings)
    # Each page repeats the end of the one before; the last walk finds nothing new.
    assert (done.fetches, done.revisions) == (4, 11)
    assert warehouse.rows(
        "SELECT tx_hash, amount, status FROM masques.settlements ORDER BY block_height"
    ) == [
        (signature, Decimal(units).scaleb(-6), "confirmed")
        for units, signature in enumerate(sent, start=1)
    ]
    late = chain.transfer(BUYER, TREASURY, 99)
    chain.advance()
    chain.requests.clear()
    assert poll(warehouse, settings).revisions == 1
    assert chain.requests.count("getTransaction") == 1  # the overlap is not read again
    chain.requests.clear()
    assert poll(warehouse, settings).revisions == 0
    assert chain.requests.count("getTransaction") == 0
    assert warehouse.rows(
        "SELECT count(), uniqExact(settlement_id), countIf(tx_hash = {late:String}) "
        "FROM masques.settlements",
        {"late": late},
    ) == [(12, 12, 1)]


def test_two_transfers_in_one_transaction_are_their_sum_and_what_leaves_is_out(
    warehouse: Warehouse, settings: Settings, chain: Solana
) -> None:
    owner = Keypair.from_seed(bytes([11] * 32))
    treasury = str(owner.pubkey())
    settings = settings_of(chain, settings.home, MASQUES_SOLANA_TREASURY=treasury)
    chain.airdrop(str(owner.pubkey()))
    chain.fund(str(owner.pubkey()), 0)
    chain.transfer(BUYER, str(owner.pubkey()), 100, 200)
    chain.transfer(owner, TREASURY, 250)
    chain.advance()
    poll(warehouse, settings)
    assert warehouse.rows(
        "SELECT direction, amount, payer, to_address, attributes['transfers'] "
        "FROM masques.settlements ORDER BY block_height"
    ) == [
        ("in", Decimal("0.0003"), str(BUYER.pubkey()), str(owner.pubkey()), "2"),
        ("out", Decimal("0.00025"), str(owner.pubkey()), TREASURY, ""),
    ]


def test_another_cluster_is_refused(
    warehouse: Warehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.solana_rpc.GENESIS", "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wc")
    with pytest.raises(RailRefusedError, match="its genesis is EtWTRABZaYq6iMfeYKouRu166VU2xqa1"):
        poll(warehouse, settings)
