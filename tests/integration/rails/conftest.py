"""Fixtures of the rails' tests: Base on a real chain, the journal, and the rows that they make."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from masques_pipelines.landing.zone import Landing, open_landing
from masques_pipelines.rails.attribution import link_settlements
from masques_pipelines.rails.base.rail import BaseRail
from masques_pipelines.rails.base.window import BaseConfig
from masques_pipelines.rails.channels import RecordedChannels
from masques_pipelines.rails.ingest import RailRun, ingest
from masques_pipelines.rails.journal.rail import JournalRail
from masques_pipelines.rails.node import HttpNode, JsonRpc, open_node
from masques_pipelines.rails.protocol import OPEN_MAX, Asset, AssetAllowList
from masques_pipelines.rails.revisions import open_settlements, recorded_settlements
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.anvil import TREASURY, USDC, Anvil, running_anvil
from tests.support.x402_evm import Payments

NETWORK = "eip155:8453"
ASSET = Asset(USDC, "USDC", 6)
KNOWN = AssetAllowList(
    {(NETWORK, USDC): ASSET},
    {NETWORK: "base", "bip122:000000000019d6689c085ae165831e93": "lightning"},
)


@pytest.fixture
def chain() -> Iterator[Anvil]:
    with running_anvil() as chain:
        yield chain


@pytest.fixture
def payments(chain: Anvil, tmp_path: Path) -> Iterator[Payments]:
    payments = Payments(chain, tmp_path / "landing" / "settlement_journal" / "gate.ndjson")
    yield payments
    payments.close()


def landing_at(folder: Path) -> Landing:
    return open_landing(read_settings({"MASQUES_LANDING_URL": str(folder)}))


@dataclass
class Polls:
    """One warehouse that is fed from a chain and a journal, poll by poll."""

    warehouse: Warehouse
    chain: Anvil
    landing: Path
    start_block: int
    open_max: int = OPEN_MAX
    config: BaseConfig = field(init=False)
    node: HttpNode = field(init=False)

    def __post_init__(self) -> None:
        self.config = BaseConfig(
            network=NETWORK,
            treasury=frozenset({TREASURY}),
            assets=(ASSET,),
            start_block=self.start_block,
        )

        self.node = open_node(self.chain.url, sleep=lambda _s: None)

    def rail(self) -> BaseRail:
        self.node.calls = 0
        return BaseRail(
            JsonRpc(self.node),
            self.config,
            partial(open_settlements, self.warehouse, "base", NETWORK, limit=self.open_max),
            partial(recorded_settlements, self.warehouse, "base", NETWORK),
            RecordedChannels(self.warehouse, "base", NETWORK),
        )

    def poll(self) -> RailRun:
        """One run as the asset does it: the journal, the chain, the links."""
        self.landing.mkdir(parents=True, exist_ok=True)  # a missing zone is an error
        ingest(self.warehouse, JournalRail(landing_at(self.landing), KNOWN))
        done = ingest(self.warehouse, self.rail())
        link_settlements(self.warehouse)
        return done

    def history(self) -> list[dict[str, Any]]:
        """All revisions, whole, without the two times that only this run knows."""
        return self.warehouse.records(
            "SELECT * EXCEPT (recorded_at, ingested_at) FROM masques.settlements "
            "ORDER BY settlement_id, revision"
        )

    def statuses(self) -> list[tuple[str, str]]:
        return self.warehouse.rows(
            "SELECT status, failure_reason FROM masques.settlements "
            "ORDER BY settlement_id, revision"
        )

    def findings(self) -> list[tuple[str, str]]:
        return self.warehouse.rows(
            "SELECT kind, detail FROM masques_ops.settlement_findings FINAL ORDER BY kind, detail"
        )


@pytest.fixture
def polls(warehouse: Warehouse, chain: Anvil, tmp_path: Path) -> Iterator[Polls]:
    polls = Polls(warehouse, chain, tmp_path / "landing", start_block=0)
    yield polls
    polls.node.close()
