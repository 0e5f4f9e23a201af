"""Lightning over a faithful fake of LND: every state of invoices and payments, paging, refusals."""

import time
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from masques_pipelines.rails import settlement_ids
from masques_pipelines.rails.attribution import link_settlements
from masques_pipelines.rails.catalog import open_rail, place
from masques_pipelines.rails.ingest import RailRun, ingest, read_cursor
from masques_pipelines.rails.protocol import RailRefusedError, RailUnavailableError
from masques_pipelines.rails.revisions import open_settlements
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.bolt11 import challenge, l402_token, line_of
from tests.support.fake_lnd import MACAROON, PUBKEY, FakeLnd, payment_hash, preimage, running_lnd

MAINNET = "bip122:000000000019d6689c085ae165831e93"
NOW_S = int(time.time()) - 86_400


@pytest.fixture
def lnd() -> Iterator[FakeLnd]:
    with running_lnd(NOW_S) as node:
        yield node


@pytest.fixture
def settings(lnd: FakeLnd, tmp_path: Path) -> Settings:
    macaroon = tmp_path / "readonly.macaroon"
    macaroon.write_bytes(MACAROON)
    return read_settings(
        {
            "MASQUES_HOME": str(tmp_path / "home"),
            "MASQUES_LND_URL": lnd.url,
            "MASQUES_LND_MACAROON_FILE": str(macaroon),
        }
    )


def poll(warehouse: Warehouse, settings: Settings) -> RailRun:
    for name in ("journal", "lightning"):
        known = partial(open_settlements, warehouse, "lightning", MAINNET)
        with open_rail(settings, place(settings, name), known) as rail:
            done = ingest(warehouse, rail)
    link_settlements(warehouse)
    return done


def rows(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "SELECT payment_ref, revision, status, failure_reason, amount, finality, direction "
        "FROM masques.settlements ORDER BY settlement_id, revision"
    )


def by_name(warehouse: Warehouse, *names: str) -> dict[str, list[tuple[Any, ...]]]:
    known = {payment_hash(name): name for name in names}
    found: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows(warehouse):
        found.setdefault(known[row[0]], []).append(row[1:])
    return found


def test_every_state_of_an_invoice(warehouse: Warehouse, settings: Settings, lnd: FakeLnd) -> None:
    names = ("plain", "parts", "held", "half", "expired", "unpaid")
    for name in names:
        lnd.add(name, 21_000)
    lnd.hold("plain", 21_000)
    lnd.settle("plain")
    lnd.hold("parts", 12_000, 9_500)  # two parts, and 500 msat more than asked
    lnd.settle("parts")
    lnd.hold("held", 21_000)  # a hold invoice: the money is here and not ours yet
    lnd.hold("half", 10_000)  # one part of two; the other never comes
    lnd.cancel("expired")
    poll(warehouse, settings)
    lnd.now_s += 30
    lnd.settle("held")
    lnd.cancel("half")
    done = poll(warehouse, settings)

    paid, over, half = (Decimal(f"0.000000{n}") for n in ("21000", "21500", "10000"))
    assert by_name(warehouse, *names) == {
        "plain": [(1, "confirmed", "", paid.scaleb(0), "settled", "in")],
        "parts": [(1, "confirmed", "", over, "settled", "in")],
        "held": [
            (1, "pending", "", paid, "accepted", "in"),
            (2, "confirmed", "", paid, "settled", "in"),
        ],
        "half": [
            (1, "pending", "", half, "accepted", "in"),
            (2, "failed", "invoice_canceled", half, "canceled", "in"),
        ],
        # "expired" was never paid, and "unpaid" may be yet: neither moved money.
    }
    assert done.notes["open_invoices"] == 1  # "unpaid"


def test_a_whole_row_of_a_settled_invoice(
    warehouse: Warehouse, settings: Settings, lnd: FakeLnd
) -> None:
    lnd.add("tea", 1)
    lnd.hold("tea", 1)
    lnd.settle("tea")
    poll(warehouse, settings)
    (row,) = warehouse.records(
        "SELECT * EXCEPT (recorded_at, ingested_at) FROM masques.settlements"
    )
    assert int(row.pop("timestamp").timestamp()) == NOW_S
    assert int(row.pop("from_account_id")) == 0
    assert row == {
        "settlement_id": settlement_ids.lightning_payment(payment_hash("tea")),
        "rail": "lightning",
        "protocol": "",
        "amount": Decimal("0.00000000001"),  # one millisatoshi
        "currency": "BTC",
        "tx_hash": payment_hash("tea"),
        "block_height": None,
        "confirmations": 0,
        "to_address": PUBKEY,
        "status": "confirmed",
        "failure_reason": "",
        "network_fee": Decimal(0),  # the payer's business
        "facilitator_fee": Decimal(0),
        "direction": "in",
        "revision": 1,
        "finality": "settled",
        "block_hash": "",
        "network": MAINNET,
        "asset": "",
        "payer": "",  # Lightning tells nobody who paid
        "payment_ref": payment_hash("tea"),
        "fee_currency": "BTC",
        "transaction_id": None,
        "attributes": {},
    }
    stored = warehouse.text("SELECT * FROM masques.settlements", fmt="JSONEachRow")
    assert preimage("tea").hex() not in stored


def test_an_old_open_invoice_is_found_when_it_is_paid_and_an_empty_page_keeps_the_cursor(
    warehouse: Warehouse, settings: Settings, lnd: FakeLnd
) -> None:
    names = [f"n{number}" for number in range(250)]  # three pages
    for name in names:
        lnd.add(name, 1000)
    poll(warehouse, settings)
    cursor = read_cursor(warehouse, "lightning", MAINNET)
    assert cursor is not None
    assert cursor["added"] == 250
    assert len(cursor["old_open"]) == 100  # and the lists begin after them
    lnd.hold("n3", 1000)
    lnd.settle("n3")  # between two polls: it was never seen held
    lnd.delete("n4")  # a canceled invoice that the node has forgotten
    poll(warehouse, settings)
    cursor = read_cursor(warehouse, "lightning", MAINNET)
    assert cursor is not None
    assert cursor["added"] == 250
    assert by_name(warehouse, *names) == {
        "n3": [(1, "confirmed", "", Decimal("0.00000001"), "settled", "in")]
    }
    lnd.requests.clear()
    assert poll(warehouse, settings).revisions == 0
    # info, two times six of the balance, a page of open and one of new ones, payments, forwards
    assert len(lnd.requests) == 17


def test_each_set_of_an_amp_invoice_is_a_settlement(
    warehouse: Warehouse, settings: Settings, lnd: FakeLnd
) -> None:
    lnd.add("reusable", 0, is_amp=True)
    lnd.pay_set("reusable", "aa" * 32, 5_000)
    lnd.pay_set("reusable", "bb" * 32, 7_000, state="ACCEPTED")
    poll(warehouse, settings)
    lnd.pay_set("reusable", "bb" * 32, 7_000)
    poll(warehouse, settings)
    assert warehouse.rows(
        "SELECT attributes['amp_set_id'], status, amount FROM masques.settlements "
        "ORDER BY attributes['amp_set_id'], revision"
    ) == [
        ("aa" * 32, "confirmed", Decimal("0.00000005")),
        ("bb" * 32, "pending", Decimal("0.00000007")),
        ("bb" * 32, "confirmed", Decimal("0.00000007")),
    ]


def test_outgoing_payments_until_they_end(
    warehouse: Warehouse, settings: Settings, lnd: FakeLnd
) -> None:
    lnd.pay("slow", 50_000)
    lnd.pay("done", 40_000, "SUCCEEDED", fee_msat="123")
    lnd.pay("bad", 30_000, "FAILED", failure_reason="FAILURE_REASON_NO_ROUTE")
    poll(warehouse, settings)
    lnd.payments[1].update(status="SUCCEEDED", fee_msat="7")
    poll(warehouse, settings)
    assert warehouse.rows(
        "SELECT payment_ref, status, failure_reason, network_fee, direction, to_address "
        "FROM masques.settlements ORDER BY amount, revision"
    ) == [
        (payment_hash("bad"), "failed", "no_route", Decimal(0), "out", "03" + "ef" * 32),
        (payment_hash("done"), "confirmed", "", Decimal("0.00000000123"), "out", "03" + "ef" * 32),
        (payment_hash("slow"), "pending", "", Decimal(0), "out", "03" + "ef" * 32),
        (payment_hash("slow"), "confirmed", "", Decimal("0.00000000007"), "out", "03" + "ef" * 32),
    ]


def test_l402_challenges_are_pending_until_the_node_says_what_became_of_them(
    warehouse: Warehouse, settings: Settings, lnd: FakeLnd
) -> None:
    for name in ("paid", "ignored", "forgotten"):
        lnd.add(name, 10_000)
        line_of(settings, challenge(payment_hash(name), 10_000, NOW_S))
    transfer = "00000000-0000-0000-0000-00000000002a"
    poll(warehouse, settings)
    lnd.hold("paid", 10_000)
    lnd.settle("paid")
    token = l402_token(payment_hash("paid"))
    line_of(
        settings,
        {
            "recorded_at": NOW_S + 20,
            "headers": {"Authorization": f"L402 {token}:{preimage('paid').hex()}"},
            "transaction_id": transfer,
            "resource": "/tools/search?secret=1",
        },
    )
    lnd.now_s += 4000
    lnd.cancel("ignored")
    lnd.delete("forgotten")
    poll(warehouse, settings)
    link_settlements(warehouse)

    assert {
        name: [row[:3] for row in found]
        for name, found in by_name(warehouse, "paid", "ignored", "forgotten").items()
    } == {
        # Announced, paid, settled, linked.
        "paid": [
            *((1, "pending", ""), (2, "pending", ""), (3, "confirmed", "")),
            (4, "confirmed", ""),
        ],
        "ignored": [(1, "pending", ""), (2, "failed", "invoice_expired")],
        # Deleted by the node: that proves nothing.
        "forgotten": [(1, "pending", ""), (2, "unknown", "invoice_not_found")],
    }
    link_settlements(warehouse)
    assert warehouse.rows(
        "SELECT protocol, toString(transaction_id), attributes['resource'], attributes['proof'] "
        "FROM masques_marts.settlements_current WHERE status = 'confirmed'"
    ) == [("l402", transfer, "/tools/search", "preimage")]
    everything = warehouse.text("SELECT * FROM masques.settlements", fmt="JSONEachRow")
    assert preimage("paid").hex() not in everything
    assert token not in everything


def test_a_wrong_macaroon_a_locked_node_and_another_network_are_told_apart(
    warehouse: Warehouse, settings: Settings, lnd: FakeLnd, tmp_path: Path
) -> None:
    (tmp_path / "readonly.macaroon").write_bytes(b"another")
    with pytest.raises(RailRefusedError, match="it refuses the macaroon") as refused:
        poll(warehouse, settings)
    assert b"another".hex() not in str(refused.value)
    (tmp_path / "readonly.macaroon").write_bytes(MACAROON)
    lnd.fails = [(404, b'{"code":5,"message":"Not Found"}')]
    with pytest.raises(RailUnavailableError, match="HTTP 404: the node may be locked or starting"):
        poll(warehouse, settings)
    lnd.fails = [(500, b'{"code":2,"message":"wallet locked, unlock it"}')]
    with pytest.raises(RailUnavailableError, match="may be locked"):
        poll(warehouse, settings)
    lnd.network = "testnet"
    with pytest.raises(RailRefusedError, match="the node is on testnet, and MASQUES_LND_NETWORK"):
        poll(warehouse, settings)
    assert (
        warehouse.scalar(
            "SELECT count() FROM masques_ops.rail_cursors FINAL WHERE rail = 'lightning'"
        )
        == 0
    )
