"""One channel id on two networks: vouchers, claims and losses of the one are never the other's."""

import uuid
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from masques_pipelines.rail_settings import USDC, RailSettings
from masques_pipelines.rails.evidence import CHAIN_SAYS
from masques_pipelines.rails.rewind import rewind
from masques_pipelines.rails.run import ingest_all
from masques_pipelines.sandbox.journal import Announcement, journal_line
from masques_pipelines.sandbox.nodes.base import BASE, FINAL_AFTER_S, POLYGON, BaseNode
from masques_pipelines.sandbox.nodes.escrow import DELAY_S, channel_id
from masques_pipelines.sandbox.nodes.facts import Genesis, Kind, Payment
from masques_pipelines.sandbox.parties import BASE_BUYER, BASE_TREASURY
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

BEGIN_S, SEED = 1_780_000_000, 1
CHAINS = {"base": BASE, "polygon": POLYGON}
CHANNEL = channel_id(SEED, 7)
# Numbers of the ledger transfers, by network and voucher.
TRANSFERS = {"base": (11, 12), "polygon": (21, 22)}
ENDED_S = BEGIN_S + 3_000 + DELAY_S + 300


def step(number: int, after_s: int, kind: Kind, **more: Any) -> Payment:
    at_s = BEGIN_S + after_s
    units = more.pop("units", 1)
    return Payment(number, at_s, units, BASE_BUYER, BASE_TREASURY, kind, channel=CHANNEL, **more)


VOUCHERS = (
    step(1, 100, "voucher", units=1_000, total=1_000, deposit=5_000),
    step(2, 200, "voucher", units=1_500, total=2_500),
)
# The same payments, and so the same hashes; only what becomes of them is another.
PAYMENTS = {
    "base": (*VOUCHERS, step(3, 3_000, "claim", total=2_500)),
    "polygon": (
        *VOUCHERS,
        step(3, 3_000, "ask_back"),
        step(4, 3_000 + DELAY_S + 60, "take_back"),
    ),
}


@dataclass
class Networks:
    """Both networks and the journal in one warehouse."""

    warehouse: Warehouse
    plain: Settings
    names: tuple[str, ...]
    settings: Settings = field(init=False)

    def read(self, now_s: int) -> None:
        self.settings = replace(
            self.plain, rails=tuple(self._rail(name, now_s) for name in self.names)
        )
        done = ingest_all(self.warehouse, self.settings)
        assert [each.error for each in done.outcomes] == [""] * len(done.outcomes)

    def _rail(self, name: str, now_s: int) -> RailSettings:
        chain = CHAINS[name]
        genesis = Genesis(BEGIN_S, SEED, {BASE_TREASURY: 0})
        return RailSettings(
            kind="base",
            name=name,
            url=f"http://{name}.test",
            network=chain.network,
            treasury=(BASE_TREASURY,),
            assets=(USDC[chain.network],),
            finality="finalized",
            start=0,
            transport=lambda: BaseNode(
                PAYMENTS[name], lambda: now_s, genesis, chain=chain, has_escrow=True
            ),
        )

    def states(self) -> list[tuple[Any, ...]]:
        rows = self.warehouse.rows(
            "SELECT network, status, failure_reason, toInt64(amount * 1000000), transaction_id "
            "FROM masques_marts.settlements_current ORDER BY network, amount"
        )
        return [(*row[:4], row[4].int) for row in rows]

    def unclaimed(self) -> list[tuple[Any, ...]]:
        return self.warehouse.rows(
            "SELECT network, channel_id, vouchers, toInt64(unclaimed * 1000000), "
            "toInt64(at_risk * 1000000), toUnixTimestamp(deadline) "
            "FROM masques_marts.unclaimed_channels ORDER BY network"
        )


@pytest.fixture(params=[("base", "polygon"), ("polygon", "base")], ids="-".join)
def networks(
    warehouse: Warehouse,
    engine_settings: Settings,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Networks:
    journal = tmp_path / "landing" / "settlement_journal" / "gate.ndjson"
    journal.parent.mkdir(parents=True)
    lines = [
        journal_line(
            Announcement(name, paid, "settle", paid.at_s, transaction_ids=(str(transfer),)), SEED
        )
        for name, numbers in TRANSFERS.items()
        for paid, transfer in zip(VOUCHERS, map(_uuid, numbers), strict=True)
    ]
    journal.write_text("".join(lines))
    environ = {
        "MASQUES_HOME": str(tmp_path),
        "MASQUES_CLICKHOUSE_URL": engine_settings.clickhouse_url,
    }
    return Networks(warehouse, read_settings(environ), request.param)


def _uuid(number: int) -> uuid.UUID:
    return uuid.UUID(int=number)


def test_the_same_channel_on_another_network_is_another_channel(networks: Networks) -> None:
    base, polygon = BASE.network, POLYGON.network
    networks.read(BEGIN_S + 150 + FINAL_AFTER_S)
    assert networks.states() == [
        (polygon, "claimable", "", 1_000, 21), (polygon, "claimable", "", 1_500, 22),
        (base, "claimable", "", 1_000, 11), (base, "claimable", "", 1_500, 12),
    ]  # fmt: skip
    assert networks.unclaimed() == [
        (polygon, CHANNEL, 2, 2_500, 0, None), (base, CHANNEL, 2, 2_500, 0, None),
    ]  # fmt: skip
    # Claimed on the one, and asked back on the other.
    asked_s = BEGIN_S + 3_000
    networks.read(asked_s + FINAL_AFTER_S + 60)
    claimed = [(base, "confirmed", "", 1_000, 11), (base, "confirmed", "", 1_500, 12)]
    assert networks.states()[2:] == claimed
    assert networks.unclaimed() == [(polygon, CHANNEL, 2, 2_500, 2_500, asked_s + DELAY_S)]
    networks.read(ENDED_S + FINAL_AFTER_S)
    ended = [
        (polygon, "failed", "claim_expired", 1_000, 21),
        (polygon, "failed", "claim_expired", 1_500, 22),
        *claimed,
    ]
    assert networks.states() == ended
    assert networks.unclaimed() == []
    says = networks.warehouse.records(sql(CHAIN_SAYS))
    assert {(e["network"], e["state"], e["balance"]) for e in says} == {
        (base, "agrees", Decimal("0.0025")), (polygon, "agrees", Decimal(0)),
    }  # fmt: skip
    assert networks.warehouse.rows(
        "SELECT network, toInt64(balance * 1000000), toInt64(claimed * 1000000) "
        "FROM masques_ops.channels FINAL ORDER BY network"
    ) == [(polygon, 0, 0), (base, 5_000, 2_500)]
    claims = "SELECT network, total_units FROM masques_ops.channel_claims FINAL"
    assert networks.warehouse.rows(claims) == [(base, 2_500)]
    assert networks.warehouse.rows("SELECT * FROM masques_ops.settlement_findings FINAL") == []

    # What is read again on either network changes nothing on the other.
    for name in networks.names:
        rewind(networks.warehouse, networks.settings, name, 0)
        networks.read(ENDED_S + FINAL_AFTER_S + 2)
        assert networks.states() == ended
