"""Several payers in one Solana transaction, on the real token program: a settlement for each.

Each is linked to the ledger transfer that the line of its payer names, in whichever order lines and
chain are read.
"""

import itertools
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from solders.keypair import Keypair

from masques_pipelines.rails.attribution import link_settlements
from masques_pipelines.rails.catalog import open_rail, place
from masques_pipelines.rails.ingest import ingest
from masques_pipelines.rails.revisions import open_settlements, recorded_settlements
from masques_pipelines.rails.rewind import rewind
from masques_pipelines.rails.solana import transfers
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql
from tests.support.solana_rpc import (
    FIRST_SLOT,
    NETWORK,
    TREASURY,
    USDC,
    Solana,
    running_solana,
    settings_of,
)

ONE, TWO = (Keypair.from_seed(bytes([each] * 32)) for each in (21, 22))
Row = tuple[str, str, int, int | None, str]


@pytest.fixture
def chain() -> Iterator[Solana]:
    with running_solana() as chain:
        for wallet in (ONE, TWO):
            chain.airdrop(str(wallet.pubkey()))
            chain.fund(str(wallet.pubkey()), 50_000)
        chain.fund(TREASURY, 0)
        chain.advance()
        yield chain


@pytest.fixture
def settings(chain: Solana, tmp_path: Path) -> Settings:
    return settings_of(chain, tmp_path)


def write_line(
    settings: Settings, chain: Solana, tx: str, payer: Keypair, units: int, transfer: int
) -> None:
    asked = {
        "scheme": "exact", "network": NETWORK, "asset": USDC, "amount": str(units),
        "payTo": TREASURY, "maxTimeoutSeconds": 60,
    }  # fmt: skip
    payload = {"x402Version": 2, "payload": {"transaction": f"of {transfer}"}, "accepted": asked}
    line = {
        "recorded_at": chain.start_s + 100 + transfer,
        "event": "settle",
        "request": {"paymentPayload": payload, "paymentRequirements": asked},
        "response": {"success": True, "transaction": tx, "network": NETWORK,
                     "payer": str(payer.pubkey())},
        "resource": f"https://api.example.test/{transfer}",
        "transaction_id": str(UUID(int=transfer)),
    }  # fmt: skip
    folder = Path(settings.landing_url) / "settlement_journal"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "gate.ndjson").open("a") as file:
        file.write(json.dumps(line) + "\n")


def read(warehouse: Warehouse, settings: Settings, *names: str) -> None:
    Path(settings.landing_url, "settlement_journal").mkdir(parents=True, exist_ok=True)
    for name in names:
        with open_rail(
            settings,
            place(settings, name),
            partial(open_settlements, warehouse, "solana", NETWORK),
            partial(recorded_settlements, warehouse, "solana", NETWORK),
        ) as rail:
            ingest(warehouse, rail)
    link_settlements(warehouse)


def rows(warehouse: Warehouse) -> list[Row]:
    """Status, payer, units, number of the ledger transfer and protocol of what counts."""
    found = warehouse.rows(
        "SELECT status, payer, amount, transaction_id, protocol "
        "FROM masques_marts.settlements_current WHERE status != 'superseded' ORDER BY amount"
    )
    return [(s, p, int(a.scaleb(6)), t.int if t else None, x) for s, p, a, t, x in found]


def is_right(warehouse: Warehouse) -> None:
    """The chain check holds to one unit, the fee is there once, and nothing is a finding."""
    assert warehouse.rows(
        "SELECT state, toInt64(balance * 1000000) FROM masques_marts.chain_balances"
    ) == [("agrees", 750)]
    assert warehouse.rows("SELECT kind, detail FROM masques_ops.settlement_findings FINAL") == []
    fees = "SELECT toInt64(sum(network_fee) * 1000000000) FROM masques_marts.settlements_current "
    assert warehouse.scalar(fees + "WHERE status = 'confirmed'") == 10_000
    assert warehouse.records(sql("rails/final_stays_final")) == []


LINES = ((ONE, 500, 1), (TWO, 250, 2))


@pytest.mark.parametrize(
    ("order", "before"), list(itertools.product(((0, 1), (1, 0)), (0, 1, 2))), ids=str
)
def test_each_payer_of_a_transaction_has_a_settlement_of_its_own(
    warehouse: Warehouse, settings: Settings, chain: Solana, order: tuple[int, int], before: int
) -> None:
    read(warehouse, settings, "journal", "solana")
    tx = chain.transfer_together(TREASURY, {ONE: 500, TWO: 250})
    for number in order[:before]:
        write_line(settings, chain, tx, *LINES[number])
    read(warehouse, settings, "journal", "solana")  # not final yet
    chain.advance()
    read(warehouse, settings, "journal", "solana")
    for number in order[before:]:
        write_line(settings, chain, tx, *LINES[number])
        read(warehouse, settings, "journal", "solana")
    found = rows(warehouse)
    assert [row[:4] for row in found] == [
        ("confirmed", str(TWO.pubkey()), 250, 2), ("confirmed", str(ONE.pubkey()), 500, 1),
    ]  # fmt: skip
    assert "x402" in {row[4] for row in found}
    is_right(warehouse)
    history = "SELECT count() FROM masques.settlements"
    written = warehouse.scalar(history)
    read(warehouse, settings, "journal", "solana")
    assert warehouse.scalar(history) == written


def test_a_line_of_another_payer_or_amount_links_nothing(
    warehouse: Warehouse, settings: Settings, chain: Solana
) -> None:
    read(warehouse, settings, "journal", "solana")
    tx = chain.transfer_together(TREASURY, {ONE: 500, TWO: 250})
    write_line(settings, chain, tx, ONE, 501, 1)
    write_line(settings, chain, tx, TWO, 250, 2)
    chain.advance()
    read(warehouse, settings, "journal", "solana")
    assert [row[:4] for row in rows(warehouse)] == [
        ("confirmed", str(TWO.pubkey()), 250, 2), ("confirmed", str(ONE.pubkey()), 500, None),
    ]  # fmt: skip
    found = warehouse.rows("SELECT kind FROM masques_ops.settlement_findings FINAL")
    assert ("claim_disagrees",) in found


def test_two_lines_about_one_payer_still_link_nothing(
    warehouse: Warehouse, settings: Settings, chain: Solana
) -> None:
    read(warehouse, settings, "journal", "solana")
    tx = chain.transfer(ONE, TREASURY, 500)
    write_line(settings, chain, tx, ONE, 500, 1)
    write_line(settings, chain, tx, TWO, 500, 2)
    chain.advance()
    read(warehouse, settings, "journal", "solana")
    assert [row[:4] for row in rows(warehouse)] == [
        ("confirmed", str(ONE.pubkey()), 500, None),
    ]  # fmt: skip
    found = warehouse.rows("SELECT kind FROM masques_ops.settlement_findings FINAL")
    assert found == [("claims_disagree",)]


def test_what_was_recorded_as_one_payment_is_told_apart_when_it_is_read_again(
    warehouse: Warehouse, settings: Settings, chain: Solana, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(warehouse, settings, "journal", "solana")
    chain.transfer_together(TREASURY, {ONE: 500, TWO: 250})
    chain.advance()
    with monkeypatch.context() as before:
        before.setattr(transfers, "_by_payer", lambda whole, _account: [whole])
        read(warehouse, settings, "solana")
    assert [row[:3] for row in rows(warehouse)] == [("confirmed", "", 750)]
    rewind(warehouse, settings, "solana", FIRST_SLOT)
    chain.advance(200)
    read(warehouse, settings, "journal", "solana")
    assert [row[:3] for row in rows(warehouse)] == [
        ("confirmed", str(TWO.pubkey()), 250), ("confirmed", str(ONE.pubkey()), 500),
    ]  # fmt: skip
    is_right(warehouse)
