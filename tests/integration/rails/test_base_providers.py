"""Base through providers as they are: limits in each dialect, busy, down, behind, lying."""

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import httpx2
import pytest

from masques_pipelines.rails.base.rail import BaseRail
from masques_pipelines.rails.ingest import ingest, read_cursor
from masques_pipelines.rails.node import HttpNode, JsonRpc
from masques_pipelines.rails.protocol import RailRefusedError, RailUnavailableError
from masques_pipelines.rails.revisions import open_settlements
from tests.integration.rails.conftest import NETWORK, Polls
from tests.support.anvil import TREASURY, Anvil
from tests.support.rpc_fronts import DIALECTS, Limited, Spoiled
from tests.support.x402_evm import FACILITATOR

KEY_URL = "https://base.example.test/v2/a-secret-key"


@pytest.fixture(autouse=True)
def _funded(chain: Anvil) -> None:
    chain.mint(FACILITATOR, 50_000_000)


class OverHere(httpx2.BaseTransport):
    """Sends what is meant for a provider to the chain on loopback."""

    def __init__(self, inner: httpx2.BaseTransport, url: str) -> None:
        self._inner, self._url = inner, httpx2.URL(url)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self._inner.handle_request(
            httpx2.Request(
                request.method,
                self._url,
                content=request.content,
                headers={"Content-Type": "application/json"},
            )
        )


def rail_over(polls: Polls, transport: httpx2.BaseTransport, client: httpx2.Client) -> BaseRail:
    node = HttpNode(client, KEY_URL, "https://base.example.test", sleep=lambda _s: None)
    return BaseRail(
        JsonRpc(node), polls.config, partial(open_settlements, polls.warehouse, "base", NETWORK)
    )


def forget(polls: Polls) -> None:
    for table in ("masques.settlements", "masques_ops.rail_cursors"):
        polls.warehouse.command(f"TRUNCATE TABLE {table}")


def test_each_providers_limit_is_learned(polls: Polls, chain: Anvil) -> None:
    sent = []
    for units in (1, 2, 3):
        chain.mine(140)
        sent.append(chain.transfer(FACILITATOR, TREASURY, units))
    chain.finalize()
    for dialect in DIALECTS:
        forget(polls)
        transport = Limited(70, dialect)
        with httpx2.Client(transport=OverHere(transport, chain.url)) as client:
            ingest(polls.warehouse, rail_over(polls, transport, client))
        transport.close()

        assert polls.warehouse.rows(
            "SELECT tx_hash, amount FROM masques.settlements ORDER BY block_height"
        ) == [(tx, Decimal(units).scaleb(-6)) for units, tx in enumerate(sent, start=1)]
        # 430 blocks, twice (in and out), 70 at a time are 14 calls. A named limit is met after one
        # refusal; where nothing is named the size is halved, and tried again a little larger.
        most = 16 if "limit" in dialect or dialect in ("names what it got", "at most") else 60
        assert transport.served <= most
        assert transport.refused <= (2 if most == 16 else 60)  # in and out, in one request


@pytest.fixture
def spoiled(polls: Polls, chain: Anvil) -> Iterator[tuple[Spoiled, Any]]:
    chain.transfer(FACILITATOR, TREASURY, 5)
    chain.finalize()
    transport = Spoiled()
    with httpx2.Client(transport=OverHere(transport, chain.url)) as client:
        yield transport, lambda: ingest(polls.warehouse, rail_over(polls, transport, client))
    transport.close()


HTML = httpx2.Response(502, html="<html><title>Bad gateway</title></html>")
RATE = {"jsonrpc": "2.0", "id": 0, "error": {"code": -32005, "message": "rate limit exceeded"}}


TROUBLES = (
    HTML,
    httpx2.Response(200, html="<html>Please log in</html>"),
    httpx2.Response(429, headers={"Retry-After": "1"}, json={"error": "slow down"}),
    httpx2.Response(200, json=RATE),
    httpx2.ReadTimeout("read timed out"),
    httpx2.RemoteProtocolError("peer closed connection"),
)


def test_what_passes_is_tried_again_and_what_does_not_stops_without_a_trace(
    polls: Polls, spoiled: tuple[Spoiled, Any]
) -> None:
    transport, run = spoiled
    for trouble in TROUBLES:
        forget(polls)
        transport.orders = [("*", trouble)] * 3
        assert run().revisions == 1  # the fourth attempt of the first call was answered
        forget(polls)
        transport.orders = [("eth_getLogs", trouble)] * 200
        with pytest.raises(RailUnavailableError, match="at each of 4 attempts") as raised:
            run()
        assert "a-secret-key" not in str(raised.value)
        assert "\n" not in str(raised.value)
        assert read_cursor(polls.warehouse, "base", NETWORK) is None
        assert polls.history() == []
        transport.orders = []
        assert run().revisions == 1


def test_refused_credentials_are_not_tried_again(
    polls: Polls, spoiled: tuple[Spoiled, Any]
) -> None:
    transport, run = spoiled
    transport.orders = [("*", httpx2.Response(401, json={"error": "invalid key"}))] * 2
    with pytest.raises(RailRefusedError, match="it refuses our credentials"):
        run()


@pytest.mark.parametrize(
    ("method", "change", "message"),
    [
        ("eth_blockNumber", lambda _r: "0x1", "several nodes answer under this address"),
        ("eth_getLogs", lambda _r: {"logs": []}, "answered nonsense: eth_getLogs: not a list"),
    ],
)
def test_a_node_that_contradicts_itself_stops_the_rail(
    polls: Polls, spoiled: tuple[Spoiled, Any], method: str, change: Any, message: str
) -> None:
    transport, run = spoiled
    transport.always = {method: change}
    with pytest.raises(RailUnavailableError, match=message):
        run()
    assert polls.history() == []
    transport.always = {}
    assert run().revisions == 1


def test_a_replica_without_the_newest_receipts_is_asked_again_next_time(
    polls: Polls, chain: Anvil
) -> None:
    chain.transfer(FACILITATOR, TREASURY, 5)  # not final
    transport = Spoiled()
    transport.orders = [("eth_getTransactionReceipt", lambda _r: None)]
    with httpx2.Client(transport=OverHere(transport, chain.url)) as client:
        first = ingest(polls.warehouse, rail_over(polls, transport, client))
        assert (first.revisions, first.notes["receipts_disagree"]) == (0, 1)
        assert ingest(polls.warehouse, rail_over(polls, transport, client)).revisions == 1
    transport.close()


def test_a_rate_limit_on_a_batch_is_waited_for_and_not_taken_for_a_refusal(
    polls: Polls, chain: Anvil
) -> None:
    for units in (1, 2, 3):
        chain.transfer(FACILITATOR, TREASURY, units)
    chain.finalize()
    transport = Spoiled()
    transport.orders = [("eth_getTransactionReceipt", httpx2.Response(200, json=RATE))] * 2
    with httpx2.Client(transport=OverHere(transport, chain.url)) as client:
        done = ingest(polls.warehouse, rail_over(polls, transport, client))
    transport.close()
    # chain, final and head; beginning; logs; receipts thrice; headers; before it, balances twice
    assert (done.revisions, done.calls) == (3, 10)


def test_a_node_that_fell_behind_is_waited_for(polls: Polls, spoiled: tuple[Spoiled, Any]) -> None:
    transport, run = spoiled
    run()
    before = polls.history()

    def older(block: dict[str, Any]) -> dict[str, Any]:
        return {**block, "number": "0x1"}

    transport.orders = [("eth_getBlockByNumber", older)]
    with pytest.raises(RailUnavailableError, match="the node is behind"):
        run()
    assert polls.history() == before


def test_the_l1_part_and_the_operators_part_are_in_the_fee(polls: Polls, chain: Anvil) -> None:
    # The test chain has no L1; a receipt of Base has these fields.
    tx_hash = chain.transfer(FACILITATOR, TREASURY, 5)
    chain.finalize()
    transport = Spoiled()

    def of_base(receipt: dict[str, Any]) -> dict[str, Any]:
        return {
            **receipt,
            "l1Fee": hex(10**12),
            "operatorFeeScalar": hex(2_000_000),
            "operatorFeeConstant": hex(7),
        }

    transport.orders = [("eth_getTransactionReceipt", of_base)]
    with httpx2.Client(transport=OverHere(transport, chain.url)) as client:
        ingest(polls.warehouse, rail_over(polls, transport, client))
    transport.close()
    receipt = chain.receipt(tx_hash)
    gas = int(receipt["gasUsed"], 16)
    # Since Jovian: gasUsed * scalar * 100 + constant.
    wei = gas * int(receipt["effectiveGasPrice"], 16) + 10**12 + gas * 2_000_000 * 100 + 7
    assert polls.history()[0]["network_fee"] == Decimal(wei).scaleb(-18)
