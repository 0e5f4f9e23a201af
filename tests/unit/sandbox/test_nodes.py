"""The sandbox's nodes through the rails: whatever the pages, batches and steps, the same rows."""

import itertools
import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from masques_pipelines.rails.base import rail as base_rail
from masques_pipelines.rails.lightning import node as lightning_node
from masques_pipelines.rails.protocol import BalanceReading, Cursor, Observation
from masques_pipelines.rails.solana import rail as solana_rail
from masques_pipelines.rails.solana.addresses import associated_token_account
from masques_pipelines.sandbox.nodes import base, lightning, solana
from masques_pipelines.sandbox.nodes.base import BaseNode
from masques_pipelines.sandbox.nodes.facts import Payment
from tests.support.made_world import (
    BEGIN_S,
    FIRST_SLOT,
    PARTIES,
    RAILS,
    Present,
    node_of,
    payments_of,
    rail_of,
)

# Everything has happened, is final, and has expired.
END_S = BEGIN_S + 3 * 3_600
DECIMALS = {"base": 6, "solana": 6, "lightning": 11}
Rows = dict[Any, dict[str, Any]]


def read(
    rail: str, payments: Iterable[Payment], moments: Iterable[int], **more: Any
) -> tuple[Rows, list[BalanceReading], list[Observation]]:
    """Reads a node at moments of its clock: rows by id, balances, and all that was observed."""
    clock = Present(BEGIN_S)
    limits = {"range_max": more.pop("range_max", 10_000)} if rail == "base" else {}
    reader = rail_of(rail, node_of(rail, payments, clock, **limits), **more)
    cursor: Cursor | None = None
    rows: Rows = {}
    balances: list[BalanceReading] = []
    observed: list[Observation] = []
    for clock.now_s in moments:
        is_caught_up = False
        while not is_caught_up:
            fetched = reader.fetch(cursor)
            cursor, is_caught_up = json.loads(json.dumps(fetched.cursor)), fetched.is_caught_up
            assert (list(fetched.rejected), list(fetched.findings)) == ([], [])
            balances += fetched.balances
            observed += fetched.observations
            rows |= {each.settlement_id: row_of(each) for each in fetched.observations}
    return rows, balances, observed


def row_of(seen: Observation) -> dict[str, Any]:
    """Returns an observation without what depends on the moment of the reading."""
    return {**vars(replace(seen, confirmations=0)), "attributes": dict(seen.attributes)}


def steps(count: int, seed: int = 0) -> list[int]:
    chance = random.Random(seed)
    return [*sorted(chance.randrange(BEGIN_S, END_S) for _ in range(count - 1)), END_S]


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes pages and fetches so small that every list has several."""
    monkeypatch.setattr(base_rail, "BLOCKS_PER_FETCH", 1_100)
    monkeypatch.setattr(solana_rail, "PAGE", 3)
    monkeypatch.setattr(solana_rail, "TRANSACTIONS_PER_FETCH", 5)
    monkeypatch.setattr(lightning_node, "PAGE", 3)


def expected(rail: str, payments: Iterable[Payment]) -> list[tuple[Any, ...]]:
    """Returns what the facts say, by themselves: direction, status, amount and time."""
    found = []
    for each in payments:
        is_out = each.sender == PARTIES[rail][0]
        time_s, status = each.at_s, "confirmed"
        if rail == "lightning":
            time_s += each.after_s
            if each.kind == "held":
                status, time_s = "pending", each.at_s if is_out else time_s
            if each.kind == "failed":
                status = "failed"
                time_s = each.at_s if is_out else time_s + lightning.CANCELED_AFTER_S
        elif each.kind not in ("plain", "paid"):
            continue
        if each.kind != "unpaid":
            units = Decimal(each.units).scaleb(-DECIMALS[rail])
            found.append(("out" if is_out else "in", status, units, time_s))
    return sorted(found)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("rail", RAILS)
def test_pages_batches_and_steps_of_the_clock_change_no_row(
    monkeypatch: pytest.MonkeyPatch, rail: str, seed: int
) -> None:
    payments = payments_of(rail, seed)
    at_once, _, _ = read(rail, payments, [END_S])
    found = sorted(
        (each["direction"], each["status"], each["amount"], each["timestamp_ns"] // 10**9)
        for each in at_once.values()
    )
    assert found == expected(rail, payments)
    for is_small, batches, count in itertools.product((False, True), (True, False), (1, 7)):
        if is_small:
            small(monkeypatch)
        more: dict[str, Any] = {} if rail == "lightning" else {"batches": batches}
        if rail == "base" and is_small:
            more["range_max"] = 150
        rows, _, _ = read(rail, payments, steps(count, seed), **more)
        assert rows == at_once, (is_small, batches, count)
        monkeypatch.undo()


@pytest.mark.parametrize("rail", RAILS)
def test_the_balance_moves_by_the_settlements_and_by_what_is_hidden(rail: str) -> None:
    payments = payments_of(rail, 3)
    moments = steps(9, 3)
    us = PARTIES[rail][0]
    hidden = next(each for each in payments if each.kind == "paid" and each.receiver == us)
    for facts, missing in (
        (payments, 0),
        ([replace(each, kind="hidden") if each is hidden else each for each in payments], 1),
    ):
        _, balances, observed = read(rail, facts, [BEGIN_S, *moments])
        # A block that is read twice says the same twice.
        lines = {(each.read_at_ns, each.line): each for each in balances}
        by_read: dict[int, Decimal] = {}
        for (read_at_ns, line), each in lines.items():
            assert each.balance is not None, each.problem
            if line in ("balance", "channels", "channels_unsettled"):
                by_read[read_at_ns] = by_read.get(read_at_ns, Decimal(0)) + each.balance
        moved = {
            each.settlement_id: -each.amount - each.network_fee * (rail == "lightning")
            if each.direction == "out"
            else each.amount
            for each in observed
            if each.status == "confirmed"
        }
        difference = by_read[max(by_read)] - by_read[min(by_read)] - sum(moved.values())
        assert difference == missing * Decimal(hidden.units).scaleb(-DECIMALS[rail])


def ask(node: httpx2.BaseTransport, method: str, *params: Any) -> Any:
    call = {"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)}
    answer = node.handle_request(httpx2.Request("POST", "http://a.test", json=call)).json()
    assert answer["id"] == 7
    return answer.get("result", answer.get("error"))


def get(node: httpx2.BaseTransport, path: str, **params: Any) -> Any:
    return node.handle_request(httpx2.Request("GET", f"http://a.test{path}", params=params)).json()


def test_what_lies_in_the_future_of_the_clock_is_not_shown_by_any_question() -> None:
    clock = Present(BEGIN_S + 600)
    late = {
        rail: Payment(9, BEGIN_S + 601, 5, others[0], us) for rail, (us, others) in PARTIES.items()
    }
    chain = node_of("base", [late["base"]], clock)
    name = base.transaction_hash(1, late["base"].number)
    us, buyer = late["base"].receiver, late["base"].sender
    state = "0xe94a0102" + buyer[2:].rjust(64, "0") + base.nonce(1, late["base"])[2:]
    asked: list[tuple[Any, ...]] = [
        ("eth_getTransactionReceipt", name),
        ("eth_getTransactionByHash", name),
        ("eth_getBlockByNumber", hex(301), False),
        ("eth_getBlockReceipts", hex(301)),
    ]
    assert [ask(chain, *each) for each in asked] == [None] * 4
    assert ask(chain, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x200", "topics": []}) == []
    before = ask(chain, "eth_call", {"to": base.BASE.token, "data": state}, "latest")
    balance = {"to": base.BASE.token, "data": "0x70a08231" + us[2:].rjust(64, "0")}
    funds = ask(chain, "eth_call", balance, "latest")
    assert ask(chain, "eth_call", balance, hex(301))["message"] == "header not found"

    cluster = node_of("solana", [late["solana"]], clock)
    name = solana.signature(1, late["solana"].number)
    assert ask(cluster, "getSlot", {"commitment": "confirmed"}) == FIRST_SLOT + 1_500
    assert ask(cluster, "getTransaction", name, {}) is None
    assert ask(cluster, "getSignatureStatuses", [name])["value"] == [None]
    assert ask(cluster, "getBlockTime", FIRST_SLOT + 1_501)["code"] == -32004

    lnd = node_of("lightning", [late["lightning"]], clock)
    found = lightning.payment_hash(1, late["lightning"].number)
    assert get(lnd, "/v1/invoices", num_max_invoices=10)["invoices"] == []
    assert get(lnd, "/v1/payments", max_payments=10, include_incomplete="true")["payments"] == []
    assert get(lnd, f"/v1/invoice/{found}")["code"] == 5

    clock.now_s += 600
    assert all(ask(chain, *each) for each in asked)
    assert ask(chain, "eth_call", {"to": base.BASE.token, "data": state}, "latest") != before
    assert ask(chain, "eth_call", balance, "latest") != funds
    assert ask(cluster, "getTransaction", name, {})["slot"] == FIRST_SLOT + 1_503
    assert get(lnd, f"/v1/invoice/{found}")["r_hash"]


@pytest.mark.parametrize("rail", RAILS)
def test_the_same_question_at_the_same_time_has_the_same_answer_in_every_process(rail: str) -> None:
    """Two nodes, made from facts in another order, in which time went other ways."""
    payments = payments_of(rail, 5)
    first, second = Present(END_S), Present(BEGIN_S)
    one, two = (
        node_of(rail, payments, first),
        node_of(rail, sorted(payments, key=lambda p: p.units), second),
    )
    recorded: list[tuple[httpx2.Request, Any]] = []

    def note(request: httpx2.Request) -> httpx2.Response:
        answer = one.handle_request(request)
        recorded.append((request, answer.json()))
        return answer

    rail_of(rail, httpx2.MockTransport(note)).fetch(None)
    for second.now_s in steps(5):
        rail_of(rail, two).fetch(None)
    again = [two.handle_request(request).json() for request, _ in recorded]
    assert again == [answer for _, answer in recorded]


def test_a_node_says_what_is_wrong_with_a_question() -> None:
    chain = node_of("base", [], Present(END_S), range_max=100)
    assert ask(chain, "eth_mine")["code"] == -32601
    odd: tuple[Any, ...] = ("0xzz", {}, 7, None)
    for wrong in odd:
        assert ask(chain, "eth_getBlockByNumber", wrong, False)["code"] == -32602
    wide = {"fromBlock": "0x1", "toBlock": "0x65", "topics": []}
    assert ask(chain, "eth_getLogs", wide)["message"] == (
        "eth_getLogs is limited to a 100 blocks range"
    )
    cluster = node_of("solana", [], Present(END_S))
    ahead = {"commitment": "finalized", "minContextSlot": FIRST_SLOT * 2}
    assert ask(cluster, "getSlot", ahead)["code"] == -32016
    assert get(node_of("lightning", [], Present(END_S)), "/v1/nothing")["code"] == 5


class Counted(Payment):
    """A payment that counts how often it is looked at."""

    looks = 0

    def __getattribute__(self, name: str) -> Any:
        Counted.looks += 1
        return super().__getattribute__(name)


@pytest.mark.parametrize("rail", RAILS)
def test_no_request_looks_at_all_payments(rail: str) -> None:
    us, others = PARTIES[rail]
    payments = [
        Counted(number, BEGIN_S + number, number, others[0], us) for number in range(1, 4_001)
    ]
    node = node_of(rail, payments, Present(BEGIN_S + 4_000))
    for question in questions_of(rail, node):
        first = node.handle_request(question)  # what is made once is made now
        Counted.looks = 0
        assert node.handle_request(question).content == first.content
        assert first.status_code == 200
        assert "error" not in first.json()
        assert Counted.looks < 400, question.content or question.url


def questions_of(rail: str, node: httpx2.BaseTransport) -> list[httpx2.Request]:
    """Returns requests for one item, or a page of ten, in the middle of a long history."""
    if rail == "lightning":
        name = lightning.payment_hash(1, 2_000)
        paths: list[tuple[str, Mapping[str, Any]]] = [
            (f"/v1/invoice/{name}", {}),
            ("/v1/invoices", {"index_offset": 1_990, "num_max_invoices": 10}),
            ("/v1/invoices", {"num_max_invoices": 10, "pending_only": "true"}),
            ("/v1/balance/channels", {}),
        ]
        return [httpx2.Request("GET", f"http://a.test{p}", params=q) for p, q in paths]
    if isinstance(node, BaseNode):
        block = node.block_of(BEGIN_S + 2_000)
        name = base.transaction_hash(1, 2_000)
        call = {"to": base.BASE.token, "data": "0x70a08231" + PARTIES["base"][0][2:].rjust(64, "0")}
        span = {"fromBlock": hex(block), "toBlock": hex(block + 5), "topics": []}
        calls: list[tuple[str, list[Any]]] = [
            ("eth_getTransactionReceipt", [name]),
            ("eth_getTransactionByHash", [name]),
            ("eth_getLogs", [span]),
            ("eth_call", [call, hex(block)]),
        ]
    else:
        name = solana.signature(1, 2_000)
        account = associated_token_account(PARTIES["solana"][0], solana.MINT)
        calls = [
            ("getTransaction", [name, {}]),
            ("getSignatureStatuses", [[name]]),
            ("getSignaturesForAddress", [account, {"limit": 10, "before": name}]),
            ("getMultipleAccounts", [[account], {"commitment": "finalized"}]),
        ]
    return [
        httpx2.Request("POST", "http://a.test", json={"id": 1, "method": m, "params": p})
        for m, p in calls
    ]
