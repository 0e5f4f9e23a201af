"""What was rejected is read again once its cause is gone, on each rail; twice is nothing more."""

import contextlib
import dataclasses
import gzip
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner

from masques_pipelines.cli import masques
from masques_pipelines.rail_settings import RailSettings
from masques_pipelines.rails import catalog
from masques_pipelines.rails.base import scan
from masques_pipelines.rails.base.rail import BaseRail
from masques_pipelines.rails.descriptor import RailContext, RailPlace
from masques_pipelines.rails.journal import headers
from masques_pipelines.rails.lightning.rail import LightningRail
from masques_pipelines.rails.node import HttpNode, JsonRpc
from masques_pipelines.rails.protocol import Rail, Rejected
from masques_pipelines.rails.replay import RailReplay, replay
from masques_pipelines.rails.revisions import quarantine
from masques_pipelines.rails.run import ingest_all
from masques_pipelines.rails.solana.rail import SolanaRail
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Warehouse
from tests.campaigns.journal_lines import USDC, real_lines
from tests.integration.rails.conftest import NETWORK, Polls
from tests.integration.rails.test_lightning_trust import NOW_S, pay
from tests.integration.rails.test_solana_trust import BUYER, CONFIG
from tests.support.anvil import TREASURY, Anvil
from tests.support.fake_lnd import FakeLnd
from tests.support.rpc_fronts import Front
from tests.support.solana_rpc import TREASURY as WALLET
from tests.support.solana_rpc import Solana
from tests.support.spoiled_nodes import Spoil, lnd_node, solana_rpc, truth
from tests.support.x402_evm import FACILITATOR

QUARANTINE = "SELECT source, line_no, reason, state FROM masques_ops.quarantine FINAL ORDER BY ALL"
MONEY = (
    "SELECT status, direction, amount, currency FROM masques_marts.settlements_current "
    "ORDER BY status, amount"
)
EVERYTHING = "SELECT * EXCEPT (recorded_at, ingested_at) FROM {table} ORDER BY ALL"


def states(warehouse: Warehouse) -> list[str]:
    return [row[3] for row in warehouse.rows(QUARANTINE)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"MASQUES_HOME": str(tmp_path)})


def serve(monkeypatch: pytest.MonkeyPatch, name: str, network: str) -> list[Callable[..., Rail]]:
    """Leaves one rail in the catalog; the last function of the list makes it."""
    makers: list[Callable[..., Rail]] = []

    @contextlib.contextmanager
    def opened(context: RailContext) -> Iterator[Rail]:
        yield makers[-1](context.open_settlements)

    descriptor = dataclasses.replace(
        catalog.by_name(name),
        open=opened,
        network=lambda _configured: network,
    )
    configured = RailSettings(kind=name, name=name, url="here", network=network)
    only = (RailPlace(descriptor, configured),)
    monkeypatch.setattr(catalog, "places", lambda _settings: only)
    return makers


def replayed_once(
    warehouse: Warehouse, settings: Settings, expected: RailReplay
) -> list[tuple[Any, ...]]:
    """Replays twice: the first does it, the second has nothing to do and writes nothing."""
    assert replay(warehouse, settings) == [expected]
    tables = ("masques.settlements", "masques_ops.quarantine", "masques_ops.journal_events FINAL")
    before = [warehouse.rows(EVERYTHING.format(table=each)) for each in tables]
    left = expected.tried - expected.closed
    again = RailReplay(expected.rail, tried=left, revisions=0)
    assert replay(warehouse, settings) == [again]
    if not left:
        assert [warehouse.rows(EVERYTHING.format(table=each)) for each in tables] == before
    return warehouse.rows(MONEY)


# The journal ----------------------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A line of each kind, of which some are in another asset than the settings know."""
    file = tmp_path / "landing" / "settlement_journal" / "gate.ndjson"
    file.parent.mkdir(parents=True)
    lines = [*map(json.dumps, real_lines()), "no json at all"]
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def of_journal(folder: Path, *, knows: bool) -> Settings:
    token = USDC if knows else "0x" + "5" * 40
    values = {"MASQUES_HOME": str(folder), "MASQUES_LANDING_URL": str(folder / "landing")}
    return read_settings({**values, "MASQUES_BASE_ASSETS": f"{token}:USDC:6"})


def announced(warehouse: Warehouse) -> dict[str, Any]:
    columns = "settlement_id, status, amount, currency, to_address, tx_hash, payer"
    claims = "settlement_id, tx_hash, transaction_ids, amount"
    events = "event_id, time, kind, outcome, settlement_id, reference, source, line_no"
    return {
        "settlements": warehouse.rows(
            f"SELECT {columns} FROM masques_marts.settlements_current ORDER BY ALL"
        ),
        "claims": warehouse.rows(
            f"SELECT {claims} FROM masques_ops.settlement_claims FINAL ORDER BY ALL"
        ),
        "events": warehouse.rows(
            f"SELECT {events} FROM masques_ops.journal_events FINAL ORDER BY ALL"
        ),
    }


@pytest.mark.parametrize("is_file_gone", [False, True])
def test_lines_of_the_journal_settle_after_their_asset_is_known(
    warehouse: Warehouse,
    journal: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_file_gone: bool,
) -> None:
    # A decoder that cannot read challenges: only the file itself has their headers.
    whole = headers.read_l402

    def broken(*_arguments: Any, **_more: Any) -> Any:
        raise ValueError("invoice")

    with monkeypatch.context() as patch:
        patch.setattr(headers, "read_l402", broken)
        ingest_all(warehouse, of_journal(tmp_path, knows=False))
    assert headers.read_l402 is whole
    reasons = [row[2] for row in warehouse.rows(QUARANTINE)]
    assert reasons.count("unknown:asset") == 14
    assert reasons.count("bad_l402:invoice") == 4
    assert reasons.count("invalid_json:line") == 1
    if is_file_gone:
        journal.unlink()
    knowing = of_journal(tmp_path, knows=True)
    left = {"bad_l402:invoice": 4} if is_file_gone else {}
    done, *_ = replay(warehouse, knowing, reason="unknown:asset")
    assert (done.tried, done.closed) == (14, 14)
    done, *_ = replay(warehouse, knowing)
    assert (done.tried, done.closed) == (5, 0 if is_file_gone else 4)
    still = [row[2] for row in warehouse.rows(QUARANTINE) if row[3] == "open"]
    assert still == [*["bad_l402:invoice"] * left.get("bad_l402:invoice", 0), "invalid_json:line"]
    again, *_ = replay(warehouse, knowing)
    assert (again.closed, again.revisions) == (0, 0)
    if is_file_gone:
        return
    after = announced(warehouse)
    for table in ("masques.settlements", "masques_ops.settlement_claims"):
        warehouse.command(f"TRUNCATE TABLE {table}")
    for table in ("journal_events", "rail_cursors", "quarantine"):
        warehouse.command(f"TRUNCATE TABLE masques_ops.{table}")
    ingest_all(warehouse, knowing)
    assert announced(warehouse) == after  # as if it had been known from the start


def test_what_was_kept_of_a_line_is_the_same_fact(
    warehouse: Warehouse, journal: Path, tmp_path: Path
) -> None:
    ingest_all(warehouse, of_journal(tmp_path, knows=False))
    journal.unlink()
    replay(warehouse, of_journal(tmp_path, knows=True))
    kept = announced(warehouse)
    ids = [row[0] for row in kept["events"]]
    assert len(ids) == len(set(ids)) == len({row[-1] for row in kept["events"]})
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in real_lines()))
    ingest_all(warehouse, of_journal(tmp_path, knows=True))  # delivered again, whole
    whole = announced(warehouse)
    assert [row[0] for row in whole["events"]] == ids
    assert whole["settlements"] == kept["settlements"]


def test_a_compressed_file_that_was_cut_off_is_read_when_it_is_whole(
    warehouse: Warehouse, journal: Path, tmp_path: Path
) -> None:
    settings = of_journal(tmp_path, knows=True)
    packed = gzip.compress(journal.read_bytes())
    journal.unlink()
    file = journal.with_name("gate.ndjson.1.gz")
    file.write_bytes(packed[:-40])
    for _ in range(2):
        ingest_all(warehouse, settings)
    source = "settlement_journal/gate.ndjson.1.gz"
    assert (source, 0, "unreadable:file", "open") in warehouse.rows(QUARANTINE)
    assert replay(warehouse, settings, reason="unreadable")[0].closed == 0
    file.write_bytes(packed)
    assert replay(warehouse, settings, reason="unreadable")[0].closed == 1
    assert (source, 0, "unreadable:file", "replayed") in warehouse.rows(QUARANTINE)


# Nodes ----------------------------------------------------------------------------------------


class WithoutReceipts(Front):
    """A provider that has lost the receipts of some transactions."""

    def __init__(self, *lost: str) -> None:
        super().__init__()
        self.lost = set(lost)

    def change(self, call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if call["method"] == "eth_getTransactionReceipt" and call["params"][0] in self.lost:
            return {**answer, "result": None}
        return {**answer, "result": []} if call["method"] == "eth_getBlockReceipts" else answer


def test_a_transaction_on_base_settles_when_the_node_has_its_receipt(
    polls: Polls,
    chain: Anvil,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    chain.mint(FACILITATOR, 50_000_000)
    lost, _, both = (chain.transfer(FACILITATOR, TREASURY, units) for units in (5, 70, 900))
    chain.finalize()
    monkeypatch.setattr(scan, "TRIES_MAX", 1)
    makers = serve(monkeypatch, "base", NETWORK)
    request.addfinalizer((opened := contextlib.ExitStack()).close)

    def rail(open_settlements: Any, *gone: str) -> Rail:
        client = opened.enter_context(httpx2.Client(transport=WithoutReceipts(*gone)))
        node = HttpNode(client, chain.url, chain.url, sleep=lambda _s: None)
        return BaseRail(JsonRpc(node), polls.config, open_settlements)

    makers.append(lambda known: rail(known, lost, both))
    ingest_all(polls.warehouse, settings)
    assert [row[0] for row in polls.warehouse.rows(QUARANTINE)] == sorted(
        f"{NETWORK}:{tx}" for tx in (lost, both)
    )
    assert [row[2] for row in polls.warehouse.rows(MONEY)] == [Decimal("0.00007")]
    makers.append(lambda known: rail(known, both))  # one is there again
    done = replay(polls.warehouse, settings)
    assert done == [RailReplay("base", tried=2, closed=1, revisions=1)]
    makers.append(rail)
    money = replayed_once(polls.warehouse, settings, RailReplay("base", 1, 1, 1))
    assert [(row[0], int(row[2] * 10**6)) for row in money] == [
        ("confirmed", 5),
        ("confirmed", 70),
        ("confirmed", 900),
    ]
    assert set(states(polls.warehouse)) == {"replayed"}


def refound(rail: Rail, broken: Rail) -> tuple[list[str], list[Rejected]]:
    """Fetches with one rail, replays with it and with another; returns what is settled, and not."""
    fetched = broken.fetch(None)
    still = broken.replay(fetched.rejected, fetched.cursor).rejected
    assert {each.key for each in still} == {each.key for each in fetched.rejected}
    found = rail.replay(fetched.rejected, fetched.cursor)
    at_once = {each.settlement_id: each for each in rail.fetch(None).observations}
    assert [at_once[each.settlement_id] for each in found.observations] == found.observations
    return [f"{o.status} {o.direction} {o.amount:f}" for o in found.observations], [*found.rejected]


def test_a_transaction_on_solana_settles_when_it_can_be_read() -> None:
    chain = Solana()
    chain.airdrop(str(BUYER.pubkey()))
    chain.fund(str(BUYER.pubkey()), 50_000_000)
    chain.fund(WALLET, 0)
    chain.advance()
    _, bad, unlisted = (chain.transfer(BUYER, WALLET, units) for units in (1, 20, 300))
    chain.advance()

    def spoil(method: str, asked: Any, answer: Any) -> Any:
        if method == "getSignaturesForAddress":
            return [{**e, "slot": "7"} if e["signature"] == unlisted else e for e in answer]
        return "pruned" if method == "getTransaction" and asked[0] in {bad, unlisted} else answer

    settled, left = refound(solana_of(chain), solana_of(chain, spoil))
    assert sorted(settled) == ["confirmed in 0.000020", "confirmed in 0.000300"]
    assert left == []


def test_an_invoice_and_a_payment_on_lightning_settle_when_they_can_be_read() -> None:
    lnd = FakeLnd(NOW_S)
    for name in ("first", "bad", "last"):
        pay(lnd, name, 1_000)
    lnd.pay("out", 5_000, "SUCCEEDED")
    lnd.pay("slow", 6_000)

    def spoil(path: str, _asked: Any, answer: Any) -> Any:
        if path == "/v1/invoices":
            spoiled = {"2": {"amt_paid_msat": "many"}}
            found = [{**e, **spoiled.get(e["add_index"], {})} for e in answer["invoices"]]
            return {**answer, "invoices": found}
        if path == "/v1/payments":
            return {**answer, "payments": [{**e, "value_msat": None} for e in answer["payments"]]}
        return answer

    settled, left = refound(lightning_of(lnd), lightning_of(lnd, spoil))
    assert settled == ["confirmed in 0.00000001000", "confirmed out 0.00000005000"]
    # In flight: the cursor does not follow it, so its entry stays until it has ended.
    assert [each.source.partition("/")[2] for each in left] == ["payments/2"]
    lnd.payments[2]["status"] = "SUCCEEDED"
    ended = lightning_of(lnd).replay(left, None)
    assert [(o.status, o.direction) for o in ended.observations] == [("confirmed", "out")]
    assert ended.rejected == []


def solana_of(chain: Solana, spoil: Spoil = truth) -> SolanaRail:
    return SolanaRail(solana_rpc(chain, spoil), CONFIG, lambda **_: ())


def lightning_of(lnd: FakeLnd, spoil: Spoil = truth) -> LightningRail:
    return LightningRail(lnd_node(lnd, spoil), "mainnet", lambda **_: ())


def test_a_rail_that_is_off_or_down_is_said_and_the_others_are_read(
    warehouse: Warehouse,
    journal: Path,
    tmp_path: Path,
    engine_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert journal
    entry = Rejected(f"{NETWORK}:0x{'1' * 64}", 1, "unreadable:receipt", "{}")
    # Of another network that begins alike: no rail of the settings is of it.
    other = dataclasses.replace(entry, source=f"{NETWORK}2:0x{'1' * 64}")
    quarantine(warehouse, [entry, other])
    for name, value in {
        "MASQUES_CLICKHOUSE_URL": engine_settings.clickhouse_url,
        "MASQUES_HOME": str(tmp_path),
        "MASQUES_LANDING_URL": str(tmp_path / "landing"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("masques_pipelines.rails.node.PAUSE_FIRST_S", 0.001)
    result = CliRunner().invoke(masques, ["rails", "replay"], catch_exceptions=False)
    off = "MASQUES_BASE_RPC_URL is not set: the rail base is off; set it to read the rail"
    assert result.output.splitlines() == [
        "journal    tried 0, closed 0, 0 open, 0 rows written",
        f"base       tried 0, closed 0, 0 open, 0 rows written; not read: {off}",
        "solana     tried 0, closed 0, 0 open, 0 rows written",
        "lightning  tried 0, closed 0, 0 open, 0 rows written",
    ]
    assert result.exit_code == 1
    monkeypatch.setenv("MASQUES_BASE_RPC_URL", "http://127.0.0.1:9/v2/a-CANARY-key")
    monkeypatch.setenv("MASQUES_BASE_TREASURY", "0x" + "ab" * 20)
    result = CliRunner().invoke(masques, ["rails", "replay", "--rail", "base"])
    assert "not read: http://127.0.0.1:9: no answer (ConnectError)" in result.output
    assert "CANARY" not in result.output
    assert states(warehouse) == ["open", "open"]
