"""Worlds through the whole pipeline: everything agrees with everything, and no row comes twice."""

import base64
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from masques_pipelines.ledger.proofs.suite import all_hold, prove_all
from masques_pipelines.rails.base.escrow import claimed_call, pair
from masques_pipelines.rails.base.transfers import BALANCE_OF, address_topic
from masques_pipelines.rails.solana.addresses import associated_token_account
from masques_pipelines.reconciliation.checks import position
from masques_pipelines.sandbox.check import compare, compared_to_ns, read_found
from masques_pipelines.sandbox.nodes import base as base_node
from masques_pipelines.sandbox.nodes import solana
from masques_pipelines.sandbox.nodes.lightning import OPENING_MSAT
from masques_pipelines.sandbox.parties import BASE_TREASURY, PLACES, SOLANA_TREASURY
from masques_pipelines.sandbox.world.day import next_day
from masques_pipelines.sandbox.world.landing import moment
from masques_pipelines.sandbox.world.nodes import FLOAT_UNITS, open_node
from masques_pipelines.sandbox.world.population import Population
from masques_pipelines.sandbox.world.shape import DAY, LEDGERS, SECOND, Shape, shape_of
from masques_pipelines.sandbox.world.state import first_state
from masques_pipelines.sandbox.world.store import (
    SLICE_S,
    World,
    advance,
    make_world,
    read_node_changes,
    read_troubles,
)
from masques_pipelines.sandbox.world.troubles.catalog import KINDS
from masques_pipelines.sandbox.world.troubles.observed import HOUR, Trouble
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql
from tests.support.fresh_schema import fresh_schema
from tests.support.sandbox_pipeline import run_all, run_rails, sandbox_settings

QUIET_NS = 200 * SECOND
# What the tables hold, less what says when it was written; settlements as they are now.
CONTENT = {
    "masques.transactions": "ingested_at, chart_version",
    "masques.accounts FINAL": "ingested_at, snapshot_at",
    "masques.identities FINAL": "ingested_at",
    "masques.masque_sessions": "ingested_at",
    "masques.api_requests": "ingested_at",
    "masques.reputation_events": "ingested_at",
    "masques_ops.payment_links": "ingested_at",
    "otel.otel_traces": "",
}
SETTLED = """
SELECT settlement_id, rail, direction, status, amount, currency, tx_hash, block_height, timestamp,
    from_account_id, payer, to_address, payment_ref, transaction_id
FROM masques_marts.settlements_current
"""


def first_refund(shape: Shape) -> int:
    people = Population(shape)
    state = first_state(people)
    links = np.concatenate([next_day(people, state).rows["links"] for _ in range(5)])
    return int(links["t"][links["t"] % DAY < DAY - 3 * 3_600 * SECOND][0])


def midnight() -> int:
    return time.time_ns() // DAY * DAY


def quiet_time(shape: Shape, days: int) -> int:
    """When a slice of the last day ends after minutes of nothing: all is told, and delivered."""
    people = Population(shape)
    state = first_state(people)
    day = [next_day(people, state) for _ in range(days)][-1]
    times = np.sort(np.concatenate([rows["t"] for rows in day.rows.values()]))
    ends = np.arange(day.start_ns + DAY // 2, day.start_ns + DAY, SLICE_S * SECOND)
    before = np.searchsorted(times, ends - QUIET_NS)
    return int(ends[before == np.searchsorted(times, ends)][0])


def asked(node: Any, method: str, path: str = "/", **values: Any) -> Any:
    with httpx2.Client(transport=node, base_url="http://node") as client:
        return client.request(method, path, **values).json()


def on_rails(root: Path) -> dict[str, int]:
    """What the nodes say that came to the treasury, in the smallest unit of its ledger."""

    def call(rail: str, method: str, *parameters: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        return asked(open_node(root, rail), "POST", json=body)["result"]

    data = BALANCE_OF + address_topic(BASE_TREASURY)[2:]
    on_base = sum(
        int(call(name, "eth_call", {"to": chain.token, "data": data}, "latest"), 16)
        for name, chain in (("base", base_node.BASE), ("polygon", base_node.POLYGON))
    )
    for name, chain in (("base", base_node.BASE), ("polygon", base_node.POLYGON)):
        method, parameters = claimed_call(BASE_TREASURY, chain.token, "latest")
        claimed, swept = pair(call(name, method, *parameters), name)
        on_base += claimed - swept
    account = associated_token_account(SOLANA_TREASURY, solana.MINT)
    options = {"encoding": "base64", "commitment": "confirmed"}
    (held,) = call("solana", "getMultipleAccounts", [account], options)["value"]
    on_solana = int.from_bytes(base64.b64decode(held["data"][0])[64:72], "little")
    said = asked(open_node(root, "lightning"), "GET", "/v1/balance/channels")
    on_base -= 2 * FLOAT_UNITS
    return {"USD": on_base + on_solana, "BTC": int(said["local_balance"]["msat"]) - OPENING_MSAT}


def treasury(warehouse: Warehouse) -> dict[str, int]:
    """What the ledger says that it has, less the fees of payments over Lightning."""
    rows = warehouse.rows(
        "SELECT currency, sum(debits_posted - credits_posted) - if(currency = 'BTC', ("
        "SELECT sum(network_fee) FROM masques_marts.settlements_current "
        "WHERE rail = 'lightning' AND status = 'confirmed'), 0) "
        "FROM masques.accounts FINAL "
        "WHERE account_type = 'treasury' AND currency != 'SOL' GROUP BY currency"
    )
    places = {each.asset: each.scale for each in LEDGERS}
    return {str(asset): int(amount.scaleb(places[asset])) for asset, amount in rows}


def content(warehouse: Warehouse) -> dict[str, Any]:
    found = {
        table: warehouse.rows(
            "SELECT count(), groupBitXor(sipHash64(tuple(* "
            f"{f'EXCEPT ({left})' if left else ''}))) FROM {table}"
        )
        for table, left in CONTENT.items()
    }
    return {**found, "settlements": sorted(warehouse.rows(SETTLED))}


def agree(warehouse: Warehouse, root: Path, now_ns: int) -> None:
    """Everything agrees with everything, and nothing is found."""
    found = warehouse.rows(sql("sandbox/agreement"), {"until": f"{now_ns // SECOND}"})
    assert [(what, others) for what, _, _, others in found if others] == []
    assert [what for what, compared, same, _ in found if compared != same or not compared] == []
    assert len(found) == 8
    there = on_rails(root)
    open_vouchers = warehouse.scalar("SELECT sum(unclaimed) FROM masques_marts.unclaimed_channels")
    there["USD"] += int(open_vouchers.scaleb(6))
    assert treasury(warehouse) == there
    says = warehouse.rows(
        "SELECT network, state FROM masques_marts.chain_balances WHERE rail = 'base' ORDER BY 1"
    )
    assert says == [("eip155:137", "agrees"), ("eip155:8453", "agrees")]
    paid_on = warehouse.rows(
        "SELECT DISTINCT rail_network FROM masques_marts.payments WHERE rail_name = 'base' "
        "ORDER BY 1"
    )
    assert paid_on == [("eip155:137",), ("eip155:8453",)]
    # Breaks are among them, and money that is not there.
    assert read_found(warehouse) == []
    assert [each["asset"] for each in position(warehouse) if each["state"] == "differs"] == []


def read_to(warehouse: Warehouse) -> dict[str, int]:
    rows = warehouse.rows(
        "SELECT concat(rail, network), toUnixTimestamp64Nano(read_to) "
        "FROM masques_ops.rail_cursors FINAL WHERE read_to IS NOT NULL"
    )
    return {str(rail): int(at) for rail, at in rows}


@pytest.mark.parametrize("seed", [2, 3])
def test_everything_agrees_with_everything(warehouse: Warehouse, tmp_path: Path, seed: int) -> None:
    shape = shape_of(seed, midnight() - 8 * DAY, 0.01)
    end = quiet_time(shape, 8)
    root = tmp_path / "sandbox"
    make_world(root, World(shape, end, end))
    assert run_all(warehouse, sandbox_settings(tmp_path)) > 1_000
    agree(warehouse, root, end)
    assert all_hold(prove_all(warehouse, from_beginning=True))


def test_a_world_that_is_read_in_steps_is_the_one_that_is_read_at_once(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    """A block that is gone and nodes that stand still leave nothing behind."""
    shape = shape_of(1, midnight() - 8 * DAY, 0.01)
    start = shape.start_ns
    stop = start + 6 * DAY + 12 * HOUR
    troubles = (
        Trouble(1, "reorg", start + 5 * DAY),
        *(Trouble(number, "rail_stops", stop) for number in (2, 3, 4, 5)),
    )
    root, settings = tmp_path / "sandbox", sandbox_settings(tmp_path)
    make_world(root, World(shape, start + 4 * DAY, start + 5 * DAY + SECOND, troubles=troubles))
    (fork,) = read_node_changes(root)

    advance(root, fork.from_ns + 60 * SECOND)
    run_all(warehouse, settings)
    advance(root, fork.until_ns + 30 * SECOND)
    run_rails(warehouse, settings)
    (settlement,) = read_troubles(root)[0]["ids"]["settlements"]
    advance(root, stop + HOUR)
    run_rails(warehouse, settings)
    before = read_to(warehouse)
    assert len(before) == len(PLACES)
    assert max(before.values()) <= stop
    advance(root, stop + HOUR + HOUR // 2)
    run_rails(warehouse, settings)
    assert read_to(warehouse) == before
    end = quiet_time(shape, 8)
    advance(root, end)
    run_all(warehouse, settings)
    revisions = warehouse.rows(
        "SELECT toString(status), block_hash FROM masques.settlements "
        "WHERE settlement_id = {id:UUID} ORDER BY revision",
        {"id": settlement},
    )
    assert {status for status, _ in revisions[:-1]} == {"pending"}
    assert revisions[-1][0] == "confirmed"
    # It was in one block, and is in another.
    assert len({block for _, block in revisions if block}) == 2
    agree(warehouse, root, end)
    assert run_all(warehouse, settings) == 0
    assert all_hold(prove_all(warehouse, from_beginning=True))
    in_steps = content(warehouse)

    fresh_schema(warehouse)
    run_all(warehouse, settings)
    agree(warehouse, root, end)
    assert content(warehouse) == in_steps


def test_each_trouble_is_named_by_id_and_nothing_else_is(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    end = midnight()
    shape = shape_of(4, end - 8 * DAY, 0.05)
    times = {kind: 1 + place % 5 for place, kind in enumerate(sorted(KINDS))}
    troubles = tuple(
        Trouble(number, kind, shape.start_ns + times[kind] * DAY + 6 * 3_600 * SECOND)
        for number, kind in enumerate(sorted(KINDS), start=1)
    )
    # Payouts are made once a week, and refunds are rare.
    rare = {"failed_payout": 6 * DAY, "unknown_refund": first_refund(shape) - shape.start_ns}
    troubles = tuple(
        replace(each, at_ns=shape.start_ns + rare.get(each.kind, each.at_ns - shape.start_ns))
        for each in troubles
    )
    root = tmp_path / "sandbox"
    make_world(root, World(shape, end, end, troubles=troubles))
    settings = sandbox_settings(tmp_path)
    run_all(warehouse, settings)
    entries = read_troubles(root)
    done = compare(entries, read_found(warehouse), moment(end), moment(compared_to_ns(warehouse)))
    assert [each["kind"] for each in entries if each["state"] != "done"] == []
    assert (done.missed, done.invented) == ([], [])
    assert done.found == done.expected
    # What can be claimed still is listed, with its deadline; what was lost is not.
    ids = {each["kind"]: each["ids"] for each in entries}
    listed = {
        channel: (at_risk, deadline is not None)
        for channel, at_risk, deadline in warehouse.rows(
            "SELECT channel_id, at_risk, deadline FROM masques_marts.unclaimed_channels"
        )
    }
    (unclaimed,) = ids["unclaimed_vouchers"]["channels"]
    money = next(each["money"] for each in entries if each["kind"] == "unclaimed_vouchers")
    assert listed[unclaimed] == (Decimal(money), True)
    assert ids["expired_vouchers"]["channels"][0] not in listed
    assert [has_deadline for _, has_deadline in listed.values()].count(True) == 1
    open_vouchers = warehouse.scalar("SELECT sum(unclaimed) FROM masques_marts.unclaimed_channels")
    vouchers = "SELECT vouchers FROM masques_marts.position WHERE asset = 'USD'"
    assert warehouse.scalar(vouchers) == open_vouchers >= Decimal(money)
    # What is not as booked is explained by the breaks, to the last unit.
    assert [each["unexplained"] for each in position(warehouse)] == ["0", "0", "0"]
    assert done.found.total() >= 31
    assert done.found.total() + done.unnamed.total() == len(KINDS) >= 35
    assert all_hold(prove_all(warehouse, from_beginning=True))


def test_a_refund_that_is_still_to_come_is_nothing_that_nobody_made(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    shape = shape_of(2, midnight() - 4 * DAY, 0.05)
    people, failed = Population(shape), []
    state = first_state(people)
    for _ in range(3):
        requests = next_day(people, state).rows["requests"]
        failed += requests["t"][requests["http"] >= 500].tolist()
    end = max(failed) + 60 * SECOND
    root = tmp_path / "sandbox"
    make_world(root, World(shape, end, end))
    run_all(warehouse, sandbox_settings(tmp_path))
    early = read_found(warehouse)
    assert {(by, name) for by, name, _ in early} == {("break", "paid_not_served")}
    compared_to = compared_to_ns(warehouse)
    assert read_found(warehouse, compared_to) == []
    advance(root, end + 3 * HOUR)
    run_all(warehouse, sandbox_settings(tmp_path))
    assert read_found(warehouse) == []
