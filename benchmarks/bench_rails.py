"""Measures a long back-fill of Base, in requests and seconds.

10,000 transfers over 50,000 blocks, read through a provider that serves 2,000 blocks at once; the
same with one request for each receipt; a poll with nothing new. The chain is computed in this
process, so the network to a provider is not measured. Seconds differ with the machine, requests do
not, the ratio hardly.
"""

import argparse
import tempfile
from functools import partial

import httpx2

from masques_pipelines.rails.base.rail import BaseConfig, BaseRail
from masques_pipelines.rails.base.transfers import Asset
from masques_pipelines.rails.ingest import RailRun, ingest
from masques_pipelines.rails.node import HttpNode, JsonRpc
from masques_pipelines.rails.revisions import open_settlements
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from tests.support.anvil import TREASURY, USDC
from tests.support.made_chain import MadeChain

PROVIDER_LIMIT_BLOCKS = 2_000


def poll(warehouse: Warehouse, chain: MadeChain, *, batches: bool) -> RailRun:
    """Brings the table up to the head of the chain."""
    with httpx2.Client(transport=chain) as client:
        node = HttpNode(client, "http://made.chain", "http://made.chain")
        config = BaseConfig(
            network="eip155:8453",
            treasury=frozenset({TREASURY}),
            assets=(Asset(USDC, "USDC", 6),),
            start_block=0,
        )
        rpc = JsonRpc(node, takes_batches=batches)
        rail = BaseRail(rpc, config, partial(open_settlements, warehouse, "base"))
        return ingest(warehouse, rail)


def back_fill(warehouse: Warehouse, chain: MadeChain, *, batches: bool) -> RailRun:
    """Reads the whole chain into an empty table."""
    for table in ("masques.settlements", "masques_ops.rail_cursors"):
        warehouse.command(f"TRUNCATE TABLE {table}")
    return poll(warehouse, chain, batches=batches)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--transfers", type=int, default=10_000)
    parser.add_argument("--blocks", type=int, default=50_000)
    wanted = parser.parse_args()
    every = wanted.blocks // wanted.transfers
    chain = MadeChain(blocks=wanted.blocks, every=every, limit=PROVIDER_LIMIT_BLOCKS)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_warehouse(
            read_settings({"MASQUES_HOME": folder}), origin=Origin(job="bench")
        ) as warehouse,
    ):
        migrate(warehouse)
        batched = back_fill(warehouse, chain, batches=True)
        show("back-fill, 50 a request", batched)
        show("poll with nothing new", poll(warehouse, chain, batches=True))
        single = back_fill(warehouse, chain, batches=False)
        show("back-fill, one a request", single)
    print(
        f"one a request / 50 a request: {single.calls / batched.calls:.1f} x the requests, "
        f"{single.duration_s / batched.duration_s:.1f} x the seconds"
    )


def show(what: str, run: RailRun) -> None:
    print(
        f"{what:26} {run.revisions:7,} rows {run.calls:7,} requests {run.fetches:3} fetches "
        f"{run.notes.get('ranges_refused', 0):3} refused {run.duration_s:6.2f} s "
        f"{run.revisions / run.duration_s:7,.0f} rows/s"
    )


if __name__ == "__main__":
    main()
