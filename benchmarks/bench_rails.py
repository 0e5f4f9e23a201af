"""Measures the rails in requests and CPU seconds, each at a size and at twice that size.

A back-fill of Base, through a provider that serves 2,000 blocks at once, with and without batches;
a run with nothing new and many open payments; the claims of thousands of vouchers; a back-fill of
Solana; expired challenges on LND. The nodes are computed in this process: what they take is not
counted, and no network is measured. Each row is written through the same code as a run of the
rails, into an embedded warehouse.

Requests are exact. Seconds differ with the machine and with what else runs on it; their ratio
hardly: twice the size has to take twice as much, or as much where a constant is meant.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from masques_pipelines.rails.base.rail import BaseRail
from masques_pipelines.rails.base.window import BaseConfig
from masques_pipelines.rails.channels import RecordedChannels
from masques_pipelines.rails.ingest import RailRun, ingest
from masques_pipelines.rails.protocol import Asset
from masques_pipelines.rails.revisions import append, changes_of, open_settlements
from masques_pipelines.sandbox.nodes.base import BASE, POLYGON
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from tests.support.anvil import TREASURY, USDC
from tests.support.plain_evm import DirectRpc
from tests.support.rail_worlds import (
    START_S,
    RailWorld,
    base_world,
    lightning_world,
    open_payments,
    solana_world,
)
from tests.support.voucher_lines import NETWORK, busy_channels

EXPIRY_S = 86_400
TABLES = (
    "masques.settlements",
    "masques_ops.rail_cursors",
    "masques_ops.rail_balances",
    "masques_ops.channel_claims",
    "masques_ops.channels",
)


@dataclass(frozen=True)
class Measured:
    """What one run took: rows, requests, CPU seconds of this process without the node's."""

    rows: int
    calls: int
    cpu_s: float


@dataclass(frozen=True)
class Case:
    """One thing to measure: what it is, its size, and the measuring of one size."""

    name: str
    size: int
    measure: Callable[[Warehouse, int], Measured]


def empty(warehouse: Warehouse) -> None:
    for table in TABLES:
        warehouse.command(f"TRUNCATE TABLE {table}")


def announce(warehouse: Warehouse, rail: str, count: int, **more: int) -> None:
    """Writes announcements of payments that are open."""
    seen = open_payments(rail, count, **more)
    append(warehouse, changes_of(seen, {}), now=datetime.now(UTC))


def run(warehouse: Warehouse, world: RailWorld) -> Measured:
    """Brings the table up to the head of a rail, as a run does."""
    before_s, node_s = time.process_time(), world.node.cpu_s
    known = partial(open_settlements, warehouse, world.name, world.network)
    done: RailRun = ingest(warehouse, world.rail(known))
    cpu_s = time.process_time() - before_s - (world.node.cpu_s - node_s)
    return Measured(done.revisions, done.calls, cpu_s)


def back_fill(make: Callable[[int], RailWorld], warehouse: Warehouse, size: int) -> Measured:
    """Reads a whole chain into an empty table."""
    empty(warehouse)
    return run(warehouse, make(size))


def two_networks(warehouse: Warehouse, size: int) -> Measured:
    """Reads two EVM networks into an empty table, one after the other as a run does."""
    empty(warehouse)
    done = [run(warehouse, base_world(size, of=chain)) for chain in (BASE, POLYGON)]
    return Measured(
        *(sum(getattr(each, name) for each in done) for name in Measured.__annotations__)
    )


def idle_on_one_of_two(warehouse: Warehouse, size: int) -> Measured:
    """Reads nothing new on one network while so many payments are open on the other."""
    empty(warehouse)
    world = base_world(100, of=POLYGON)
    announce(warehouse, "base", size)
    run(warehouse, world)
    return run(warehouse, world)


def idle(make: Callable[[int], RailWorld], warehouse: Warehouse, size: int) -> Measured:
    """Reads nothing new while so many payments are open."""
    empty(warehouse)
    world = make(size)
    announce(warehouse, world.name, size)
    run(warehouse, world)
    return run(warehouse, world)


def expired(warehouse: Warehouse, size: int) -> Measured:
    """Decides so many challenges that nobody paid and that expired."""
    empty(warehouse)
    world = lightning_world(size, valid_s=EXPIRY_S)
    announce(warehouse, world.name, size, deadline_s=START_S + EXPIRY_S)
    run(warehouse, world)
    world.clock.now_s += 2 * EXPIRY_S
    return run(warehouse, world)


def vouchers(warehouse: Warehouse, size: int) -> Measured:
    """Reads the claims of so many vouchers, a hundred a channel, which the journal announced."""
    empty(warehouse)
    chain, lines = busy_channels(size)
    for start in range(0, len(lines), 1_000):
        append(warehouse, changes_of(lines[start : start + 1_000], {}), now=datetime.now(UTC))
    rpc: Any = DirectRpc(chain)
    config = BaseConfig(NETWORK, frozenset({TREASURY}), (Asset(USDC, "USDC", 6),), start_block=1)
    rail = BaseRail(
        rpc,
        config,
        partial(open_settlements, warehouse, "base", NETWORK),
        channels=RecordedChannels(warehouse, "base", NETWORK),
    )
    before_s = time.process_time()
    done = ingest(warehouse, rail)
    return Measured(done.revisions, done.calls, time.process_time() - before_s - rpc.cpu_s)


CASES = (
    Case("Base, back-fill", 5_000, partial(back_fill, base_world)),
    Case(
        "Base, back-fill, one call a request",
        2_500,
        partial(back_fill, partial(base_world, takes_batches=False)),
    ),
    Case("Base, nothing new, open payments", 1_000, partial(idle, lambda _: base_world(100))),
    Case("Base and Polygon, back-fill", 2_500, two_networks),
    Case("Polygon, nothing new, open on Base", 1_000, idle_on_one_of_two),
    Case("Base, vouchers claimed", 5_000, vouchers),
    Case("Solana, back-fill", 8_000, partial(back_fill, solana_world)),
    Case("Solana, nothing new, open payments", 1_000, partial(idle, lambda _: solana_world(100))),
    Case("LND, expired challenges", 5_000, expired),
    Case(
        "LND, nothing new, open challenges",
        1_000,
        partial(idle, partial(lightning_world, valid_s=10**8)),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0, help="Multiplies all sizes.")
    parser.add_argument("--case", default="", help="Only cases whose name has this text.")
    wanted = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}; CPU seconds without the computed nodes")
    print(f"{'':38} {'size':>7} {'rows':>7} {'requests':>9} {'CPU s':>7}   twice: requests, CPU")
    with (
        tempfile.TemporaryDirectory() as folder,
        open_warehouse(
            read_settings({"MASQUES_HOME": folder}), origin=Origin(job="bench")
        ) as warehouse,
    ):
        migrate(warehouse)
        for case in (each for each in CASES if wanted.case in each.name):
            size = int(case.size * wanted.scale)
            once, twice = (case.measure(warehouse, n) for n in (size, 2 * size))
            for n, each in ((size, once), (2 * size, twice)):
                line = f"{case.name:38} {n:7,} {each.rows:7,} {each.calls:9,} {each.cpu_s:7.2f}"
                ratios = f"   {twice.calls / once.calls:.2f} x, {twice.cpu_s / once.cpu_s:.2f} x"
                print(line + (ratios if each is twice else ""), flush=True)


if __name__ == "__main__":
    main()
