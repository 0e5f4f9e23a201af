"""Payouts on real chains: the transfer that left is linked to the ledger transfers of its line."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from masques_pipelines.rails.attribution import link_settlements
from masques_pipelines.rails.ingest import ingest
from masques_pipelines.rails.journal.rail import JournalRail
from masques_pipelines.rails.lightning.rail import CAIP2, LightningRail
from masques_pipelines.rails.protocol import Asset, AssetAllowList
from masques_pipelines.rails.revisions import open_settlements
from masques_pipelines.rails.solana.rail import SolanaConfig, SolanaRail
from masques_pipelines.warehouse.client import Warehouse
from tests.integration.rails.conftest import ASSET, NETWORK, Polls, landing_at
from tests.support.anvil import TREASURY, USDC, Anvil, word
from tests.support.fake_lnd import FakeLnd
from tests.support.solana_rpc import FIRST_SLOT, Solana
from tests.support.solana_rpc import NETWORK as SOLANA
from tests.support.solana_rpc import USDC as MINT
from tests.support.spoiled_nodes import lnd_node, solana_rpc
from tests.support.x402_evm import FACILITATOR

NOW_S = 1_795_168_800
LIGHTNING = CAIP2["mainnet"]
OWNER = Keypair.from_seed(bytes([11] * 32))
RECEIVER = str(Keypair.from_seed(bytes([12] * 32)).pubkey())
STRANGER = str(Keypair.from_seed(bytes([13] * 32)).pubkey())
ALLOWED = AssetAllowList(
    {(NETWORK, USDC): ASSET, (SOLANA, MINT): Asset(MINT, "USDC", 6)},
    {NETWORK: "base", SOLANA: "solana", LIGHTNING: "lightning"},
)


@dataclass
class World:
    """A chain, its journal and what an operator of payouts does with them.

    Attributes:
        warehouse: What is fed.
        landing: Folder of the journal.
        network: CAIP-2 id.
        asset: Token, '' for the rail's own coin.
        pay: Pays units to a receiver; returns the transaction.
        settle: Makes it final.
        read: Reads the chain.
        to: Receiver, and another one.
        now_s: Time of the chain.
    """

    warehouse: Warehouse
    landing: Path
    network: str
    asset: str
    pay: Callable[[int, str], str]
    settle: Callable[[], Any]
    read: Callable[[], Any]
    to: tuple[str, str]
    now_s: Callable[[], int] = lambda: NOW_S
    names: dict[str, str] = field(default_factory=dict)

    def line(self, tx: str, units: int, to: str, *ids: int, **more: Any) -> None:
        """Writes a line of the payout service."""
        folder = self.landing / "settlement_journal"
        folder.mkdir(parents=True, exist_ok=True)
        record = {
            "recorded_at": datetime.fromtimestamp(self.now_s(), UTC).isoformat(),
            "event": "payout",
            "network": self.network,
            "asset": self.asset,
            "amount": str(units),
            "to": to,
            "transaction": tx,
            "transaction_ids": [str(uuid.UUID(int=each)) for each in ids],
            **more,
        }
        with (folder / "gate.ndjson").open("a") as file:
            file.write(json.dumps(record) + "\n")

    def poll(self) -> None:
        ingest(self.warehouse, JournalRail(landing_at(self.landing), ALLOWED))
        self.read()
        link_settlements(self.warehouse)

    def links(self) -> list[tuple[str, int]]:
        found = self.warehouse.rows(
            "SELECT s.tx_hash, l.transaction_id FROM masques_ops.settlement_links AS l FINAL "
            "INNER JOIN masques_marts.settlements_current AS s "
            "ON s.settlement_id = l.settlement_id WHERE s.status = 'confirmed' ORDER BY ALL"
        )
        return sorted((self.names.get(tx, tx), int(each.int)) for tx, each in found)

    def money(self) -> list[tuple[str, int]]:
        return self.warehouse.rows(
            "SELECT status, count() FROM masques_marts.settlements_current "
            "WHERE direction = 'out' GROUP BY status ORDER BY status"
        )

    def findings(self) -> list[tuple[str, str]]:
        found = self.warehouse.rows(
            "SELECT kind, detail FROM masques_ops.settlement_findings FINAL ORDER BY kind, detail"
        )
        return [(kind, detail) for kind, detail in found if kind != "intent_disagrees"]


@pytest.fixture
def base(polls: Polls, chain: Anvil) -> World:
    chain.rpc("anvil_impersonateAccount", TREASURY)
    chain.mint(TREASURY, 50_000_000)
    return World(
        polls.warehouse,
        polls.landing,
        NETWORK,
        USDC,
        pay=lambda units, to: chain.transfer(TREASURY, to, units),
        settle=chain.finalize,
        read=polls.poll,
        to=("0x" + "a1" * 20, "0x" + "b2" * 20),
        now_s=lambda: chain.time_s,
    )


@pytest.fixture
def solana(warehouse: Warehouse, tmp_path: Path) -> World:
    chain = Solana()
    chain.airdrop(str(OWNER.pubkey()))
    chain.fund(str(OWNER.pubkey()), 50_000_000)
    for receiver in (RECEIVER, STRANGER):
        chain.fund(receiver, 0)
    chain.advance()
    config = SolanaConfig(
        SOLANA, (str(OWNER.pubkey()),), (Asset(MINT, "USDC", 6),), start_slot=FIRST_SLOT
    )

    def known(**more: Any) -> Any:
        return open_settlements(warehouse, "solana", SOLANA, **more)

    return World(
        warehouse,
        tmp_path,
        SOLANA,
        MINT,
        pay=lambda units, to: chain.transfer(OWNER, to, units),
        settle=chain.advance,
        read=lambda: ingest(warehouse, SolanaRail(solana_rpc(chain), config, known)),
        to=(RECEIVER, STRANGER),
        now_s=lambda: chain.start_s + 100,
    )


@pytest.fixture
def lightning(warehouse: Warehouse, tmp_path: Path) -> World:
    lnd = FakeLnd(NOW_S)
    made: Iterator[int] = iter(range(100))

    def known(**more: Any) -> Any:
        return open_settlements(warehouse, "lightning", LIGHTNING, **more)

    return World(
        warehouse,
        tmp_path,
        "lightning",
        "",
        pay=lambda msat, _to: lnd.pay(f"payout {next(made)}", msat, "SUCCEEDED"),
        settle=lambda: None,
        read=lambda: ingest(warehouse, LightningRail(lnd_node(lnd), "mainnet", known)),
        to=("03" + "ef" * 32, "03" + "cd" * 32),
    )


@pytest.mark.parametrize("rail", ["base", "solana", "lightning"])
def test_a_payout_is_linked_on_its_chain_and_only_by_its_own_money(
    rail: str, request: pytest.FixtureRequest
) -> None:
    world: World = request.getfixturevalue(rail)
    right, wrong = world.to
    paid = {name: world.pay(7_000, right) for name in ("first", "late", "less", "more", "astray")}
    world.names = {tx: name for name, tx in paid.items()}
    # One payout of three ledger transfers, announced before it is final; tried again, it says more.
    world.line(paid["first"], 7_000, right, 1, 2, 3, payout_id="p-1")
    world.line(paid["less"], 6_999, right, 4, payout_id="p-2")
    world.line(paid["more"], 7_001, right, 5, payout_id="p-3")
    world.line(paid["astray"], 7_000, wrong, 6, payout_id="p-4")
    if rail != "lightning":
        world.poll()
        assert world.links() == []
    world.settle()
    for _ in range(2):
        world.line(
            paid["first"], 7_000, right, 3, 2, 1, payout_id="p-1", response={"success": True}
        )
    world.poll()
    world.line(paid["late"], 7_000, right, 7, payout_id="p-5", response={"success": True})
    # Refused by its own service, and of money that never left: neither is a claim.
    world.line(paid["late"], 7_000, right, 8, payout_id="p-6", response={"success": False})
    world.poll()
    expected = [("first", 1), ("first", 2), ("first", 3), ("late", 7)]
    assert world.links() == expected
    assert dict(world.money())["confirmed"] == 5  # each payout once
    found = world.findings()
    assert [kind for kind, _ in found] == ["claim_disagrees"] * 3
    for tx in ("less", "more", "astray"):
        assert sum(paid[tx] in detail for _, detail in found) == 1
    world.settle()
    world.poll()
    assert (world.links(), world.findings()) == (expected, found)


def test_one_transaction_on_base_pays_many_also_alike(base: World, chain: Anvil) -> None:
    """A smart wallet pays in batches: each payout is linked to a transfer of its own money."""
    right, other = base.to
    chain.rpc("anvil_setCode", TREASURY, batches())
    receivers = [(right, 5), (other, 6), (right, 8), (right, 8), (other, 9)]
    data = "0x" + "".join(word(to) + word(units) for to, units in receivers)
    tx = chain.send(FACILITATOR, TREASURY, data)
    chain.finalize()
    base.names = {tx: "batch"}
    for number, (to, units) in enumerate(receivers[:4], 1):
        base.line(tx, units, to, number, payout_id=f"p-{number}", response={"success": True})
        if number > 2:  # of the two that are alike, one comes later
            base.poll()
    assert base.links() == [("batch", number) for number in (1, 2, 3, 4)]
    assert dict(base.money()) == {"confirmed": 5, "superseded": 4}
    assert base.findings() == []
    assert base.warehouse.rows(
        "SELECT toInt64(amount * 1000000), count() FROM masques_marts.settlements_current "
        "WHERE transaction_id IS NOT NULL GROUP BY amount ORDER BY amount"
    ) == [(5, 1), (6, 1), (8, 2)]
    # A fifth line for four transfers, of the same money as two of them: nobody knows whose.
    base.line(tx, 8, right, 99, payout_id="p-99", response={"success": True})
    base.poll()
    assert base.links() == [("batch", number) for number in (1, 2, 3, 4)]


def batches() -> str:
    """Code of a wallet: transfers the token to each (receiver, amount) of the call's data."""
    call = "6000600060446000600073" + USDC[2:] + "5af150"
    each = "63a9059cbb60e01b60005280356004528060200135602452" + call
    code = "6000" + "5b3681101560{end:02x}57" + each + "604001600256"
    end = len(code.format(end=0)) // 2
    return "0x" + code.format(end=end) + "5b00"
