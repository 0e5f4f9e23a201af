"""Base through nodes that answer anything: one bad item stops nothing, and nothing is lost."""

import copy
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from masques_pipelines.rails.base import rail as base_rail
from masques_pipelines.rails.base.logs import LogReader
from masques_pipelines.rails.base.open_settlements import DECISIONS_MAX
from masques_pipelines.rails.base.rail import BaseRail
from masques_pipelines.rails.base.scan import TRIES_MAX
from masques_pipelines.rails.base.window import BaseConfig
from masques_pipelines.rails.node import BATCH_MAX, HttpNode, JsonRpc
from masques_pipelines.rails.protocol import (
    Asset,
    Cursor,
    FetchResult,
    OpenSettlement,
    OpenSettlements,
    RailUnavailableError,
)
from masques_pipelines.sandbox.nodes.base import BASE, Chain
from tests.support.anvil import TREASURY, USDC
from tests.support.made_chain import START_S, MadeChain
from tests.support.rpc_fronts import DIALECTS, Front, Limited, Refusing, Spoiled

BLOCKS, EVERY = 800, 50
PAYMENTS = BLOCKS // EVERY
FINAL = list(range(EVERY, BLOCKS - 600 + 1, EVERY))
VICTIM = f"{FINAL[1]:012x}"
CONFIG = BaseConfig(
    network="eip155:8453",
    treasury=frozenset({TREASURY}),
    assets=(Asset(USDC, "USDC", 6),),
    start_block=0,
)


def nobody(*, after: str = "", limit: int = 0) -> list[OpenSettlement]:
    del after, limit
    return []


def rail_over(
    transport: httpx2.BaseTransport,
    *,
    batches: bool = True,
    open_now: OpenSettlements = nobody,
    config: BaseConfig = CONFIG,
) -> BaseRail:
    client = httpx2.Client(transport=transport)
    node = HttpNode(client, "http://made.chain/key", "http://made.chain", sleep=lambda _s: None)
    return BaseRail(JsonRpc(node, takes_batches=batches), config, open_now)


def chain(limit: int = 10_000) -> MadeChain:
    return MadeChain(blocks=BLOCKS, every=EVERY, limit=limit)


def heights(result: FetchResult) -> list[int]:
    return sorted(each.block_height or 0 for each in result.observations)


ALL = list(range(EVERY, BLOCKS + 1, EVERY))
WRONG: list[Any] = [
    None,
    [],
    {},
    "",
    "0x",
    "0xzz",
    7,
    -1,
    True,
    "0x" + "f" * 65,
    "²",
    [None],
]


def missing(value: Any, key: str) -> Any:
    return {name: each for name, each in value.items() if name != key}


def of_victim(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def changed(receipt: Any) -> Any:
        is_victim = isinstance(receipt, dict) and receipt["transactionHash"].endswith(VICTIM)
        return change(copy.deepcopy(receipt)) if is_victim else receipt

    return changed


@pytest.mark.parametrize(
    "key", ["transactionHash", "blockHash", "blockNumber", "status", "from", "gasUsed", "logs"]
)
def test_one_receipt_of_another_shape_stops_nothing_and_waits(key: str) -> None:
    for wrong in [missing, *WRONG]:

        def change(receipt: Any, wrong: Any = wrong) -> Any:
            return missing(receipt, key) if callable(wrong) else {**receipt, key: wrong}

        if key == "logs" and wrong == []:
            continue  # a receipt without a transfer of ours is one
        front = Spoiled(chain())
        front.always = {
            "eth_getTransactionReceipt": of_victim(change),
            "eth_getBlockReceipts": lambda found: [of_victim(change)(each) for each in found],
        }
        rail = rail_over(front)
        cursor: Cursor | None = None
        for tries in range(1, TRIES_MAX + 1):
            result = rail.fetch(cursor)
            cursor = result.cursor
            assert result.cursor["next"] == BLOCKS - 600 + 1
            if tries == 1:
                assert heights(result) == [each for each in ALL if each != FINAL[1]]
            if tries < TRIES_MAX:
                assert result.rejected == []
                assert [n for n, _ in result.cursor["waiting"].values()] == [FINAL[1]]
                # Until then the sums cannot agree, and the block is not read.
                assert result.read_to_ns is None
                assert all(each.block == 0 for each in result.balances)
        assert [each.reason for each in result.rejected] == ["unreadable:receipt"]
        assert "waiting" not in result.cursor


def test_a_receipt_that_comes_later_or_only_with_its_block_is_read() -> None:
    for late in (
        {"eth_getTransactionReceipt"},
        {"eth_getTransactionReceipt", "eth_getBlockReceipts"},
    ):
        front = Spoiled(chain())
        front.always = dict.fromkeys(late, lambda _result: None)
        rail = rail_over(front)
        first = rail.fetch(None)
        front.always = {}
        second = rail.fetch(first.cursor)
        final = {each for each in heights(first) + heights(second) if each in FINAL}
        assert final == set(FINAL)
        assert "waiting" not in second.cursor
        assert second.rejected == []


@pytest.mark.parametrize("key", ["blockNumber", "blockHash", "transactionHash", "topics", "data"])
def test_one_log_of_another_shape_stops_nothing(key: str) -> None:
    for wrong in [missing, *WRONG]:

        def change(logs: Any, wrong: Any = wrong) -> Any:
            changed = copy.deepcopy(logs)
            for log in changed:
                if log["transactionHash"].endswith(VICTIM):
                    value = missing(log, key) if callable(wrong) else {**log, key: wrong}
                    log.clear()
                    log.update(value)
            return changed

        if key == "data" and wrong == "0x":
            continue
        front = Spoiled(chain())
        front.always = {"eth_getLogs": change}
        result = rail_over(front).fetch(None)
        if key == "transactionHash":
            assert heights(result) == [each for each in ALL if each != FINAL[1]]
            assert [each.reason for each in result.rejected] == ["unreadable:log"]
        else:  # its receipt says what the log does not
            assert heights(result) == ALL
            assert result.rejected == []


@pytest.mark.parametrize("data", ["0x", "0x00", "0x" + "0" * 66, "zz", None, 7])
def test_a_transfer_without_an_amount_is_that_transfers_problem(data: Any) -> None:
    def change(receipt: Any) -> Any:
        receipt["logs"][0]["data"] = data
        return receipt

    front = Spoiled(chain())
    front.always = {
        "eth_getTransactionReceipt": of_victim(change),
        "eth_getBlockReceipts": lambda found: [of_victim(change)(each) for each in found],
    }
    rail = rail_over(front)
    result = rail.fetch(None)
    assert heights(result) == [each for each in ALL if each != FINAL[1]]
    for _ in range(TRIES_MAX - 1):
        if not result.rejected:
            result = rail.fetch(result.cursor)
    assert len(result.rejected) == 1


@pytest.mark.parametrize(
    "method", ["eth_chainId", "eth_blockNumber", "eth_getBlockByNumber", "eth_getLogs"]
)
def test_what_the_rail_cannot_do_without_says_where_it_is_nonsense(method: str) -> None:
    for wrong in WRONG:
        if method == "eth_getLogs" and wrong in ([], [None]):
            continue  # a list; items of it are items
        front = Spoiled(chain())

        def change(_result: Any, wrong: Any = wrong) -> Any:
            return wrong

        front.always = {method: change}
        with pytest.raises(RailUnavailableError) as raised:
            rail_over(front).fetch(None)
        text = str(raised.value)
        assert f"answered nonsense: {method}" in text or "does not have" in text
        assert "key" not in text


def test_a_removed_log_is_skipped_and_a_log_of_another_block_is_read_by_its_receipt() -> None:
    def removed(logs: Any) -> Any:
        stale = [{**log, "removed": True, "transactionHash": "0x" + "9" * 64} for log in logs[:1]]
        return [*logs, *stale]

    front = Spoiled(chain())
    front.always = {"eth_getLogs": removed}
    result = rail_over(front).fetch(None)
    assert heights(result) == ALL
    assert result.notes["removed_skipped"] == 1

    front.always = {"eth_getLogs": lambda logs: [{**log, "blockNumber": "0xfffff"} for log in logs]}
    assert heights(rail_over(front).fetch(None)) == ALL


@pytest.mark.parametrize(
    "failure",
    [
        httpx2.Response(504, html="<html>Gateway timeout</html>"),
        httpx2.Response(503, json={"error": "upstream"}),
        httpx2.Response(413, html="<html>too large</html>"),
        httpx2.Response(400, json={"message": "bad request"}),
        httpx2.ReadTimeout("slow"),
        httpx2.RemoteProtocolError("cut"),
        httpx2.Response(200, json={"error": {"code": -32603, "message": "Internal error"}}),
        httpx2.Response(200, json={"error": {"code": -32016, "message": "backend failed"}}),
        httpx2.Response(200, json={"error": {"code": -32000, "message": "query timeout"}}),
        httpx2.Response(200, json={"result": "a very long answer"}),
    ],
)
@pytest.mark.parametrize("batches", [True, False])
def test_any_failure_of_a_wide_range_shrinks_it(failure: Any, batches: bool) -> None:
    front = Refusing(failure, limit=90, inner=chain())
    result = rail_over(front, batches=batches).fetch(None)
    assert heights(result) == ALL
    assert front.refused > 0
    assert "limit" not in result.cursor  # what may pass is not learned for ever


def test_a_limit_that_is_learned_is_kept_for_the_next_run_of_the_same_provider() -> None:
    for dialect in DIALECTS:
        if "range" in dialect or dialect in ("retry with", "too much to say"):
            continue  # about this range, not about all
        front = Limited(70, dialect, chain())
        first = rail_over(front).fetch(None)
        assert heights(first) == ALL
        refused, front.refused = front.refused, 0
        assert refused > 0
        second = rail_over(front).fetch(first.cursor)
        assert front.refused <= (1 if dialect == "says nothing" else 0), dialect
        assert second.cursor["limit"]["endpoint"] == "http://made.chain"


def test_balances_are_read_before_the_first_block_and_at_the_final_one() -> None:
    result = rail_over(chain()).fetch(None)
    came = [each.amount for each in result.observations if (each.block_height or 0) in FINAL]
    assert [(each.block, each.balance) for each in result.balances] == [
        (0, 0),
        (BLOCKS - 600, sum(came)),
    ]
    front = Spoiled(chain())
    front.always = {"eth_call": lambda _result: None}
    readings = rail_over(front).fetch(None).balances
    assert [each.line for each in readings] == ["balance", "claimed"]
    for reading in readings:
        assert (reading.block, reading.balance) == (BLOCKS - 600, None)
        assert "answered no balance" in reading.problem


def test_an_idle_poll_is_three_requests() -> None:
    first = rail_over(chain()).fetch(None)
    pending = [
        OpenSettlement(each, None) for each in first.observations if each.finality == "latest"
    ]

    def open_now(*, after: str = "", limit: int = 0) -> list[OpenSettlement]:
        del after, limit
        return pending

    rail = rail_over(chain(), open_now=open_now)
    again = rail.fetch(first.cursor)
    assert (again.observations, again.cursor, rail.calls) == ([], first.cursor, 3)


def test_a_finality_that_stalls_ends_the_fetch_at_the_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # More blocks above the final one than a fetch takes of those below it.
    monkeypatch.setattr(base_rail, "BLOCKS_PER_FETCH", 50)
    rail, cursor, fetches = rail_over(chain()), None, 0
    while fetches < 2 * BLOCKS // 50:
        fetched = rail.fetch(cursor)
        cursor, fetches = fetched.cursor, fetches + 1
        if fetched.is_caught_up:
            break
    assert fetched.is_caught_up
    assert rail.fetch(cursor).is_caught_up


@pytest.mark.parametrize(
    ("chain_id", "coin"), [(8453, "ETH"), (10, "ETH"), (42161, "ETH"), (137, "POL"), (5000, "")]
)
def test_a_fee_is_in_the_networks_own_coin_or_in_no_known_one(chain_id: int, coin: str) -> None:
    of = Chain(chain_id, BASE.token)
    config = replace(CONFIG, network=of.network)
    node = MadeChain(blocks=BLOCKS, every=EVERY, limit=10_000, chain=of)
    found = rail_over(node, config=config).fetch(None)
    assert {each.network for each in found.observations} == {config.network}
    assert {each.fee_currency for each in found.observations} == {coin}


class InvalidParams(Front):
    """A node that refuses to look for one hash."""

    def change(self, call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if "0x" + "f" * 64 not in call["params"]:
            return answer
        return {"id": call["id"], "error": {"code": -32602, "message": "invalid params"}}


@pytest.mark.parametrize("batches", [True, False])
@pytest.mark.parametrize("tx_hash", ["0x" + "f" * 64, "0x", "pending", "0x" + "zz" * 32])
def test_a_hash_that_the_node_refuses_is_that_payments_problem(tx_hash: str, batches: bool) -> None:
    first = rail_over(chain()).fetch(None)
    ours = first.observations[0]
    claimed = replace(
        ours, source="intent", status="pending", finality="", block_height=None, block_hash=""
    )
    known = [
        OpenSettlement(
            replace(claimed, settlement_id=uuid.UUID(int=1), tx_hash=tx_hash, payment_ref=tx_hash),
            START_S,
        ),
        OpenSettlement(claimed, START_S),
    ]

    def open_now(*, after: str = "", limit: int = 0) -> list[OpenSettlement]:
        del after, limit
        return known

    rail = rail_over(InvalidParams(chain()), open_now=open_now, batches=batches)
    found = {each.settlement_id: each.status for each in rail.fetch(first.cursor).observations}
    assert found.get(ours.settlement_id) == "confirmed"
    assert found.get(uuid.UUID(int=1)) in (None, "unknown")


def test_hundreds_of_payments_within_their_deadline_cost_no_call() -> None:
    first = rail_over(chain()).fetch(None)
    announced = [
        OpenSettlement(
            replace(
                first.observations[0],
                settlement_id=uuid.UUID(int=number),
                source="intent",
                status="pending",
                finality="",
                block_height=None,
                block_hash="",
                tx_hash=f"0x{number:064x}",
                payment_ref=f"0x{number + 10**6:064x}",
                timestamp_ns=(START_S + 2 * BLOCKS) * 10**9,
            ),
            deadline_s=START_S + deadline_s,
        )
        for number, deadline_s in enumerate([10**9] * 1_000, start=1)
    ]

    def open_now(*, after: str = "", limit: int = 1_000) -> list[OpenSettlement]:
        return [each for each in announced if str(each.settlement_id) > after][:limit]

    rail = rail_over(chain(), open_now=open_now)
    again = rail.fetch(first.cursor)
    # The first three, and the receipts and headers of what is not final and not open here.
    assert (rail.calls, again.cursor) == (5, first.cursor)
    # Past their deadline each fetch asks for a part of them, and the next continues behind it.
    announced = [replace(each, deadline_s=START_S) for each in announced]
    rail = rail_over(chain(), open_now=open_now)
    past = rail.fetch(first.cursor)
    assert past.cursor["looked"] == str(uuid.UUID(int=DECISIONS_MAX))
    # Receipts, states, and on this chain, which answers no state that is 0 or 1, events and theirs.
    assert rail.calls - 5 <= 4 * DECISIONS_MAX // BATCH_MAX


def test_a_range_that_is_refused_without_a_number_is_found_by_halves() -> None:
    front = Limited(70, "says nothing", MadeChain(blocks=50_000, every=50_000, limit=10**6))
    client = httpx2.Client(transport=front)
    node = HttpNode(client, "http://a.test", "http://a.test", sleep=lambda _s: None)
    reader = LogReader(JsonRpc(node))
    query = {"address": [USDC], "topics": [None, None, []]}
    for _ in reader.read([query], 1, 3_000):
        pass
    assert 60 <= (reader.learned or 0) <= 70
    assert front.refused <= 16
