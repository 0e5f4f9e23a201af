"""Several networks of one rail and several nodes of one network, in one run over computed nodes."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from masques_pipelines.rail_settings import USDC, RailSettings
from masques_pipelines.rails.evidence import CHAIN_SAYS
from masques_pipelines.rails.lightning.rail import CAIP2
from masques_pipelines.rails.protocol import ANSWER, DEADLINE, Observation
from masques_pipelines.rails.revisions import append, changes_of, current_revisions
from masques_pipelines.rails.rewind import rewind
from masques_pipelines.rails.run import RailOutcome, close_abandoned, ingest_all
from masques_pipelines.rails.settlement_ids import lightning_payment, settlement_id
from masques_pipelines.rails.status import status_lines
from masques_pipelines.sandbox.nodes.base import BASE, POLYGON, BaseNode, Chain
from masques_pipelines.sandbox.nodes.facts import Genesis, Payment
from masques_pipelines.sandbox.parties import BASE_BUYER, BASE_TREASURY
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql
from tests.support.fake_lnd import FakeLnd
from tests.support.spoiled_nodes import lnd_answers

BEGIN_S = 1_780_000_000
NOW_S = BEGIN_S + 10_000
ARBITRUM = Chain(42161, "0xaf88d065e77c8cc2239327c5edb3a432268e5831")
CHAINS = {"base": BASE, "polygon": POLYGON, "arbitrum": ARBITRUM}
MAINNET = CAIP2["mainnet"]
ROWS = """
SELECT rail, network, direction, status, count(), sum(amount) AS total, any(fee_currency)
FROM masques_marts.settlements_current
GROUP BY rail, network, direction, status ORDER BY rail, network, direction, status
"""
CURSORS = """
SELECT rail, network, node, position FROM masques_ops.rail_cursors FINAL
WHERE rail != 'journal' ORDER BY rail, network, node
"""


class DownNode(httpx2.BaseTransport):
    """A node that does not answer."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)


@dataclasses.dataclass
class World:
    """Networks of one rail: the same payments, and so the same hashes, are on all of them.

    Attributes:
        count: Payments of each network.
        now_s: The time of all nodes.
        names: Networks that are read, in the order of the run.
        down: Those whose node does not answer.
    """

    count: dict[str, int]
    now_s: int = NOW_S
    names: Sequence[str] = ("base", "polygon")
    down: Sequence[str] = ()
    requests: dict[str, int] = dataclasses.field(default_factory=dict)

    def node(self, name: str) -> httpx2.BaseTransport:
        if name in self.down:
            return DownNode()
        payments = [
            Payment(n, BEGIN_S + 10 * n, 1_000_000 * n, BASE_BUYER, BASE_TREASURY, "plain")
            for n in range(1, self.count[name] + 1)
        ]
        genesis = Genesis(BEGIN_S, 1, {BASE_TREASURY: 0})
        inner = BaseNode(payments, lambda: self.now_s, genesis, chain=CHAINS[name])

        def counted(request: httpx2.Request) -> httpx2.Response:
            self.requests[name] = self.requests.get(name, 0) + 1
            return inner.handle_request(request)

        return httpx2.MockTransport(counted)

    def rail(self, name: str) -> RailSettings:
        network = CHAINS[name].network
        return RailSettings(
            kind="base",
            name=name,
            url=f"http://{name}.test",
            network=network,
            treasury=(BASE_TREASURY,),
            assets=(USDC[network],),
            finality="finalized",
            start=0,
            transport=lambda: self.node(name),
        )

    def settings(self, plain: Settings) -> Settings:
        return dataclasses.replace(plain, rails=tuple(self.rail(name) for name in self.names))


@pytest.fixture
def plain(engine_settings: Settings, tmp_path: Any) -> Settings:
    (tmp_path / "landing").mkdir()
    environ = {
        "MASQUES_HOME": str(tmp_path),
        "MASQUES_CLICKHOUSE_URL": engine_settings.clickhouse_url,
    }
    return read_settings(environ)


def outcomes(warehouse: Warehouse, settings: Settings) -> dict[str, RailOutcome]:
    done = ingest_all(warehouse, settings)
    return {each.label: each for each in done.outcomes if not each.disabled_reason}


def test_the_same_hashes_on_three_networks_are_payments_of_their_own(
    warehouse: Warehouse, plain: Settings
) -> None:
    world = World({"base": 3, "polygon": 2, "arbitrum": 1}, names=("base", "polygon", "arbitrum"))
    settings = world.settings(plain)
    done = outcomes(warehouse, settings)
    assert {name: each.error for name, each in done.items()} == {
        "journal": "", "base": "", "polygon": "", "arbitrum": "",
    }  # fmt: skip
    assert warehouse.rows(ROWS) == [
        ("base", "eip155:137", "in", "confirmed", 2, Decimal(3), "POL"),
        ("base", "eip155:42161", "in", "confirmed", 1, Decimal(1), "ETH"),
        ("base", "eip155:8453", "in", "confirmed", 3, Decimal(6), "ETH"),
    ]
    assert warehouse.scalar("SELECT uniqExact(tx_hash) FROM masques.settlements") == 3
    says = warehouse.records(sql(CHAIN_SAYS))
    assert {(each["network"], each["state"], each["balance"]) for each in says} == {
        ("eip155:8453", "agrees", Decimal(6)),
        ("eip155:137", "agrees", Decimal(3)),
        ("eip155:42161", "agrees", Decimal(1)),
    }
    text = "\n".join(status_lines(warehouse, settings, datetime.now(UTC)))
    for name in world.names:
        assert f"{name:10} on ({CHAINS[name].network})\n  read to block" in text
    assert text.count("chain check: base eip155:137 USDC: agrees") == 1
    again = outcomes(warehouse, settings)
    assert [each.run.revisions for each in again.values() if each.run] == [0, 0, 0, 0]


def test_what_one_network_recorded_is_not_looked_for_on_another(
    warehouse: Warehouse, plain: Settings
) -> None:
    # On Polygon are payments in blocks that Base has empty: they are not Base's reorganisation.
    world = World({"base": 1, "polygon": 5})
    settings = world.settings(plain)
    outcomes(warehouse, settings)
    before = warehouse.rows(ROWS)
    rewind(warehouse, settings, "base", 0)
    done = outcomes(warehouse, settings)
    assert done["base"].run is not None
    assert (done["base"].run.revisions, done["polygon"].error) == (0, "")
    assert warehouse.rows(ROWS) == before


def test_a_network_that_is_down_stops_no_other(warehouse: Warehouse, plain: Settings) -> None:
    world = World({"base": 1, "polygon": 2}, down=("polygon",))
    done = outcomes(warehouse, world.settings(plain))
    assert done["base"].error == ""
    assert done["polygon"].error.startswith("http://polygon.test: no answer")
    assert [each[1:5] for each in warehouse.rows(ROWS)] == [("eip155:8453", "in", "confirmed", 1)]
    runs = warehouse.records(sql("rails/newest_runs"))
    assert [(each["name"], each["network"], each["state"]) for each in runs] == [
        ("polygon", "eip155:137", "failed"),
        ("base", "eip155:8453", "read"),
        ("journal", "", "read"),
        ("lightning", "", "off"),
        ("solana", "", "off"),
    ]
    world.down = ()
    outcomes(warehouse, world.settings(plain))
    assert [each[4] for each in warehouse.rows(ROWS)] == [2, 1]


def test_a_network_goes_on_where_it_was_when_others_come_and_go(
    warehouse: Warehouse, plain: Settings
) -> None:
    world = World({"base": 4, "polygon": 3}, names=("base",))
    # The one-network form: the same key, and another name.
    first = outcomes(warehouse, world.settings(plain))["base"].run
    assert first is not None
    assert first.revisions == 4
    calls, world.requests = world.requests["base"], {}
    world.names = ("polygon", "base")
    second = outcomes(warehouse, world.settings(plain))
    base = second["base"].run
    assert base is not None
    assert (base.revisions, base.observations, base.position) == (0, 0, first.position)
    assert world.requests["base"] < calls
    (place,) = [each for each in warehouse.rows(CURSORS) if each[1] == "eip155:8453"]
    assert place == ("base", "eip155:8453", "", first.position)
    # A network that is not in the settings any more is in no run, status or check.
    world.names = ("base",)
    outcomes(warehouse, world.settings(plain))
    names = [each["name"] for each in warehouse.records(sql("rails/newest_runs"))]
    assert "polygon" not in names
    lags = [each[0] for each in warehouse.rows(sql("doctor/lags"))]
    assert "rail base" in lags
    assert "rail polygon" not in lags


def announced(network: str, deadline_s: int) -> Observation:
    return Observation(
        settlement_id=settlement_id("open", network),
        source="intent",
        rail="base",
        network=network,
        direction="in",
        status="pending",
        amount=Decimal(1),
        currency="USDC",
        timestamp_ns=BEGIN_S * 10**9,
        attributes={ANSWER: "verified", DEADLINE: str(deadline_s)},
    )


def test_an_announcement_waits_for_its_own_network(warehouse: Warehouse, plain: Settings) -> None:
    seen = [announced(chain.network, BEGIN_S + 100) for chain in (BASE, POLYGON)]
    append(warehouse, changes_of(seen, current_revisions(warehouse, [])), now=datetime.now(UTC))
    world = World({"base": 1, "polygon": 1}, down=("polygon",))
    outcomes(warehouse, world.settings(plain))
    assert close_abandoned(warehouse) == 0
    closed = (
        "SELECT network FROM masques_marts.settlements_current WHERE attributes['closed'] != '' "
        "ORDER BY network"
    )
    assert warehouse.rows(closed) == [("eip155:8453",)]
    world.down = ()
    outcomes(warehouse, world.settings(plain))
    assert warehouse.rows(closed) == [("eip155:137",), ("eip155:8453",)]


ALICE, BOB = "02" + "aa" * 32, "03" + "bb" * 32


def lnd_rail(name: str, lnd: FakeLnd, node: str) -> RailSettings:
    return RailSettings(
        kind="lightning",
        name=name,
        url=f"http://{name}.test",
        network="mainnet",
        node=node,
        transport=lambda: httpx2.MockTransport(lnd_answers(lnd)),
    )


def paid(lnd: FakeLnd, name: str, msat: int) -> None:
    lnd.add(name, msat)
    lnd.hold(name, msat)
    lnd.settle(name)


def test_two_nodes_of_one_network_have_cursors_and_balances_of_their_own(
    warehouse: Warehouse, plain: Settings
) -> None:
    alice, bob = FakeLnd(NOW_S, pubkey=ALICE), FakeLnd(NOW_S, pubkey=BOB)
    paid(alice, "one", 5_000)
    paid(alice, "two", 7_000)
    alone = dataclasses.replace(plain, rails=(lnd_rail("lightning", alice, ""),))
    assert outcomes(warehouse, alone)["lightning"].error == ""
    paid(bob, "three", 11_000)
    for lnd in (alice, bob):
        lnd.now_s += 60
    # Bob first: what says whose the old cursor is, is the node's own key.
    both = dataclasses.replace(
        plain, rails=(lnd_rail("bob", bob, "bob"), lnd_rail("alice", alice, "alice"))
    )
    done = outcomes(warehouse, both)
    assert {name: each.error for name, each in done.items()} == {
        "journal": "", "bob": "", "alice": "",
    }  # fmt: skip
    assert done["alice"].run is not None
    assert (done["alice"].run.revisions, done["alice"].run.observations) == (0, 0)
    assert warehouse.rows(CURSORS) == [
        ("lightning", MAINNET, "", 2),
        ("lightning", MAINNET, "alice", 2),
        ("lightning", MAINNET, "bob", 1),
    ]
    assert [each[4:6] for each in warehouse.rows(ROWS)] == [(3, Decimal("0.00000023"))]
    for lnd in (alice, bob):
        lnd.now_s += 60
        paid(lnd, f"later {lnd.pubkey}", 1_000)
        lnd.now_s += 60
    assert {each.error for each in outcomes(warehouse, both).values()} == {""}
    says = warehouse.records(sql(CHAIN_SAYS))
    assert [(each["node"], each["state"]) for each in says] == [(ALICE, "agrees"), (BOB, "agrees")]
    # What moved behind one node's back is said of that one.
    bob.extra_msat = -500
    bob.now_s += 60
    outcomes(warehouse, both)
    says = warehouse.records(sql(CHAIN_SAYS))
    assert [(each["node"], each["state"]) for each in says] == [(BOB, "differs"), (ALICE, "agrees")]


def test_a_node_does_not_decide_what_another_node_has(
    warehouse: Warehouse, plain: Settings
) -> None:
    alice, bob = FakeLnd(NOW_S, pubkey=ALICE), FakeLnd(NOW_S, pubkey=BOB)
    bob.pay("payout", 3_000, "IN_FLIGHT")
    held = bob.add("held", 4_000)
    bob.hold("held", 4_000)
    both = dataclasses.replace(
        plain, rails=(lnd_rail("bob", bob, "bob"), lnd_rail("alice", alice, "alice"))
    )
    for _ in range(2):
        assert {each.error for each in outcomes(warehouse, both).values()} == {""}
        alice.now_s += 40 * 86_400
    assert [each[2:5] for each in warehouse.rows(ROWS)] == [
        ("in", "pending", 1),
        ("out", "pending", 1),
    ]
    (row,) = warehouse.rows(
        "SELECT settlement_id, revision FROM masques.settlements WHERE direction = 'in'"
    )
    assert row == (lightning_payment(held), 1)


def test_the_wrong_node_under_a_name_is_refused(warehouse: Warehouse, plain: Settings) -> None:
    alice, bob = FakeLnd(NOW_S, pubkey=ALICE), FakeLnd(NOW_S, pubkey=BOB)
    both = [lnd_rail("alice", alice, "alice"), lnd_rail("bob", bob, "bob")]
    outcomes(warehouse, dataclasses.replace(plain, rails=tuple(both)))
    swapped = [lnd_rail("alice", bob, "alice"), lnd_rail("bob", alice, "bob")]
    done = outcomes(warehouse, dataclasses.replace(plain, rails=tuple(swapped)))
    for name in ("alice", "bob"):
        assert "its indexes are others: give MASQUES_LND_URL the node of before" in done[name].error
    assert len(warehouse.rows(CURSORS)) == 2


def test_what_a_node_rejects_is_found_again_at_that_node(
    warehouse: Warehouse, plain: Settings
) -> None:
    alice, bob = FakeLnd(NOW_S, pubkey=ALICE), FakeLnd(NOW_S, pubkey=BOB)
    for lnd in (alice, bob):
        paid(lnd, f"of {lnd.pubkey}", 1_000)
        lnd.invoices[1]["htlcs"] = "many"
    both = dataclasses.replace(
        plain, rails=(lnd_rail("alice", alice, "alice"), lnd_rail("bob", bob, "bob"))
    )
    outcomes(warehouse, both)
    assert warehouse.rows("SELECT source FROM masques_ops.quarantine ORDER BY source") == [
        (f"{MAINNET}:alice/invoices/1",),
        (f"{MAINNET}:bob/invoices/1",),
    ]


def test_a_network_that_is_taken_out_is_no_longer_read_and_its_balance_says_since_when(
    warehouse: Warehouse, plain: Settings
) -> None:
    world = World({"base": 2, "polygon": 3})
    outcomes(warehouse, world.settings(plain))
    since = (
        "SELECT network, no_longer_read_since FROM masques_marts.chain_balances ORDER BY network"
    )
    assert [each for _, each in warehouse.rows(since)] == [None, None]
    world.names = ("base",)
    outcomes(warehouse, world.settings(plain))
    (polygon, ended), (base, read) = warehouse.rows(since)
    assert (polygon, base, read) == ("eip155:137", "eip155:8453", None)
    assert ended is not None
    assert ended.timestamp() <= NOW_S
    # A node that fails is read; it comes back as it was.
    world.names, world.down = ("base", "polygon"), ("polygon",)
    outcomes(warehouse, world.settings(plain))
    assert [each for _, each in warehouse.rows(since)] == [None, None]


def test_one_of_two_nodes_that_is_taken_out_is_no_longer_read(
    warehouse: Warehouse, plain: Settings
) -> None:
    alice, bob = FakeLnd(NOW_S, pubkey=ALICE), FakeLnd(NOW_S, pubkey=BOB)
    rails = [lnd_rail("alice", alice, "alice"), lnd_rail("bob", bob, "bob")]
    outcomes(warehouse, dataclasses.replace(plain, rails=tuple(rails)))
    outcomes(warehouse, dataclasses.replace(plain, rails=(rails[0],)))
    found = warehouse.rows(
        "SELECT node, no_longer_read_since IS NULL FROM masques_marts.chain_balances ORDER BY node"
    )
    assert sorted(found) == sorted([(ALICE, 1), (BOB, 0)])
