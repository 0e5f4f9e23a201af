"""How a long back-fill of Base costs in calls and seconds, over a real chain behind a provider.

Here: 10,000 transfers over 50,000 blocks, read through a provider that serves 2,000 blocks at once;
the same with one call a receipt; an idle poll.
Not here: correctness (tests/).
A re-run makes a new chain; numbers differ with the machine, the ratios little.
"""

import argparse
import tempfile
import time
from pathlib import Path

import httpx

from masques_pipelines.rails.base import BaseConfig, BaseRail
from masques_pipelines.rails.evm_transfers import Asset
from masques_pipelines.rails.http import HttpNode, JsonRpc
from masques_pipelines.rails.ingestion import RailRun, ingest
from masques_pipelines.rails.revisions import open_settlements
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.migrations import migrate
from masques_pipelines.warehouse.opening import open_warehouse
from masques_pipelines.warehouse.warehouse import Origin, Warehouse
from tests.support.anvil import TREASURY, USDC, Anvil, running_anvil, word
from tests.support.rpc_fronts import Limited

PROVIDER_LIMIT_BLOCKS = 2_000
TRANSFERS_PER_BLOCK = 5


def fill(chain: Anvil, transfers: int, blocks: int) -> None:
    """Spreads transfers evenly over blocks."""
    sender = chain.accounts[1]
    chain.mint(sender, 10**15)
    is_automatic = False
    chain.rpc("evm_setAutomine", is_automatic)
    steps = transfers // TRANSFERS_PER_BLOCK
    for step in range(steps):
        calls = [
            {
                "jsonrpc": "2.0",
                "id": number,
                "method": "eth_sendTransaction",
                "params": [
                    {
                        "from": sender,
                        "to": USDC,
                        "gas": hex(100_000),
                        "data": "0xa9059cbb" + word(TREASURY) + word(step * 10 + number + 1),
                    }
                ],
            }
            for number in range(TRANSFERS_PER_BLOCK)
        ]
        chain.client.post(chain.url, json=calls)
        chain.mine(blocks // steps)
    chain.finalize()


def back_fill(
    warehouse: Warehouse, chain: Anvil, *, batches: bool, start_block: int = 0
) -> RailRun:
    """Reads the chain from a block on into an empty table."""
    for table in ("masques.settlements", "masques_ops.rail_cursors"):
        warehouse.command(f"TRUNCATE TABLE {table}")
    return poll(warehouse, chain, batches=batches, start_block=start_block)


def poll(warehouse: Warehouse, chain: Anvil, *, batches: bool, start_block: int = 0) -> RailRun:
    transport = Limited(PROVIDER_LIMIT_BLOCKS, "names the limit")
    with httpx.Client(transport=transport, timeout=60) as client:
        node = HttpNode(client, chain.url, chain.url)
        config = BaseConfig(
            network="eip155:8453",
            treasury=frozenset({TREASURY}),
            assets=(Asset(USDC, "USDC", 6),),
            start_block=start_block,
        )
        rpc = JsonRpc(node, takes_batches=batches)
        rail = BaseRail(rpc, config, lambda: open_settlements(warehouse, "base"))
        return ingest(warehouse, rail)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--transfers", type=int, default=10_000)
    parser.add_argument("--blocks", type=int, default=50_000)
    wanted = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_anvil() as chain,
        open_warehouse(
            read_settings({"MASQUES_HOME": str(Path(folder))}), origin=Origin(job="bench")
        ) as warehouse,
    ):
        migrate(warehouse)
        started_s = time.monotonic()
        fill(chain, wanted.transfers, wanted.blocks)
        print(f"chain made in {time.monotonic() - started_s:.0f} s, head {chain.head:,}")
        whole = back_fill(warehouse, chain, batches=True)
        show("back-fill, batches of 50", whole)
        idle = poll(warehouse, chain, batches=True)
        show("idle poll", idle)
        # A tenth of the chain is enough to see what one call a receipt costs.
        start = chain.head - wanted.blocks // 10
        batched = back_fill(warehouse, chain, batches=True, start_block=start)
        single = back_fill(warehouse, chain, batches=False, start_block=start)
        show("last tenth, batches of 50", batched)
        show("last tenth, one call each", single)
        print(
            f"one call each / batches: {single.calls / batched.calls:.1f} x the requests, "
            f"{single.duration_s / batched.duration_s:.1f} x the seconds"
        )


def show(what: str, run: RailRun) -> None:
    per_s = run.revisions / run.duration_s if run.duration_s else 0
    print(
        f"{what:28} {run.revisions:7,} rows {run.calls:7,} requests {run.fetches:3} fetches "
        f"{run.notes.get('ranges_refused', 0):3} refused {run.duration_s:7.2f} s "
        f"{per_s:7,.0f} rows/s"
    )


if __name__ == "__main__":
    main()
