"""Two EVM networks in one run: two real chains, the real x402 SDK, and one rails file."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from masques_pipelines.rails.evidence import CHAIN_SAYS
from masques_pipelines.rails.run import RailOutcome, ingest_all
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql
from tests.support.anvil import TREASURY, USDC, Anvil, place_of, running_anvil, word
from tests.support.x402_evm import BUYER, NETWORK, Payments

POLYGON = "eip155:137"
POLYGON_USDC = "0x3c499c542cef5e3811e1192ce70d8cc03d5c3359"
DEPOSITS = ("0198c4a0-0000-7000-8000-00000000000a", "0198c4a0-0000-7000-8000-00000000000b")
PAID = """
SELECT network, protocol, status, sum(amount), any(fee_currency), min(network_fee) > 0, count()
FROM masques_marts.settlements_current
WHERE direction = 'in' GROUP BY network, protocol, status ORDER BY network, protocol, status
"""


@pytest.fixture
def polygon() -> Iterator[Anvil]:
    with running_anvil(chain_id=137, token=POLYGON_USDC) as chain:
        yield chain


@pytest.fixture
def settings(engine_settings: Settings, tmp_path: Path, chain: Anvil, polygon: Anvil) -> Settings:
    (tmp_path / "landing").mkdir()
    entries = [
        f"  {name}: {{kind: base, network: '{network}', endpoint: '{node.url}', "
        f"treasury: ['{TREASURY}'], start: 0}}\n"
        for name, network, node in (("base", NETWORK, chain), ("polygon", POLYGON, polygon))
    ]
    rails = tmp_path / "rails.yaml"
    rails.write_text("rails:\n" + "".join(entries))
    return read_settings(
        {
            "MASQUES_HOME": str(tmp_path),
            "MASQUES_CLICKHOUSE_URL": engine_settings.clickhouse_url,
            "MASQUES_RAILS_FILE": str(rails),
        }
    )


def run(warehouse: Warehouse, settings: Settings) -> dict[str, RailOutcome]:
    done = ingest_all(warehouse, settings)
    found = {each.label: each for each in done.outcomes if not each.disabled_reason}
    assert {each.error for each in found.values()} == {""}
    return found


def test_one_buyer_pays_on_two_chains_in_one_run(
    warehouse: Warehouse, settings: Settings, tmp_path: Path, chain: Anvil, polygon: Anvil
) -> None:
    places = ((chain, NETWORK, USDC, 1_000_000), (polygon, POLYGON, POLYGON_USDC, 2_500_000))
    journal = tmp_path / "landing" / "settlement_journal"
    answers = []
    for (node, network, token, units), deposit in zip(places, DEPOSITS, strict=True):
        node.mint(BUYER, 50_000_000, token)
        payments = Payments(node, journal / f"{network[7:]}.ndjson", network, token)
        try:
            payload = payments.sign(units)
            answers.append(payments.settle(payload, transaction_id=deposit))
        finally:
            payments.close()
    assert [each["success"] for each in answers] == [True, True]
    run(warehouse, settings)
    for node in (chain, polygon):
        node.finalize()
    run(warehouse, settings)
    assert warehouse.rows(PAID) == [
        (POLYGON, "x402", "confirmed", Decimal("2.5"), "POL", True, 1),
        (NETWORK, "x402", "confirmed", Decimal(1), "ETH", True, 1),
    ]
    links = warehouse.rows(
        "SELECT s.network, toString(l.transaction_id) FROM masques_ops.settlement_links AS l FINAL "
        "INNER JOIN masques_marts.settlements_current AS s ON s.settlement_id = l.settlement_id "
        "ORDER BY l.transaction_id"
    )
    assert links == [(NETWORK, DEPOSITS[0]), (POLYGON, DEPOSITS[1])]
    assert warehouse.rows("SELECT kind FROM masques_ops.settlement_findings FINAL") == []
    says = {each["network"]: each["state"] for each in warehouse.records(sql(CHAIN_SAYS))}
    assert says == {NETWORK: "agrees", POLYGON: "agrees"}
    # One unit that moved behind our back is a difference of its own network.
    slot = place_of(polygon, TREASURY, POLYGON_USDC)
    polygon.rpc("anvil_setStorageAt", POLYGON_USDC, slot, "0x" + word(2_500_001))
    polygon.finalize()
    run(warehouse, settings)
    says = {each["network"]: each["state"] for each in warehouse.records(sql(CHAIN_SAYS))}
    assert says == {NETWORK: "agrees", POLYGON: "differs"}
