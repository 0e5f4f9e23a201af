"""The aggregation on the real engine: signals, refresh, history, explanation, and interruptions."""

import gzip
import importlib.resources
import os
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from click.testing import CliRunner

from masques_pipelines.cli import masques
from masques_pipelines.commands.reputation import explanation_lines, reputation
from masques_pipelines.inventory.detached import detach_broken
from masques_pipelines.inventory.proofs import prove_content, prove_files, prove_parts, prove_rows
from masques_pipelines.inventory.tables import EVENTS
from masques_pipelines.reputation.aggregation import aggregate
from masques_pipelines.reputation.checks import check_scores
from masques_pipelines.reputation.explain import ExplanationError, explain
from masques_pipelines.reputation.model import ModelError, load_model, read_model
from masques_pipelines.reputation.rates import load_rates
from masques_pipelines.reputation.scores import distribution, movers, refresh_scores
from masques_pipelines.reputation.signals import write_signals
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.errors import WarehousePermanentError
from masques_pipelines.warehouse.sql import sql
from tests.support.broken_files import break_a_file
from tests.support.migrated_folder import copy_migrated
from tests.support.patience import finish
from tests.support.reputation_world import (
    MODEL,
    PLATFORM,
    Event,
    Settlement,
    World,
    ident,
)

NOW = datetime.now(UTC).replace(microsecond=0)
TABLES = "SELECT name FROM system.tables WHERE database = 'masques' ORDER BY name"
SIGNALS = (
    "SELECT event_type, identity_id, category, score_delta, reference_type, reference_id, "
    "attributes['counterparty_id'] FROM masques.reputation_events ORDER BY event_type, identity_id"
)


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def small_world() -> World:
    world = World(identities={ident("agent"): {}, ident("idle"): {}})
    for n in range(3):
        payment = world.pay(ident(f"client {n}"), ident("agent"), ago(n + 1))
        world.events.append(
            Event(ident("agent"), ago(n + 1), reference_type="transaction", reference=payment)
        )
    world.events.append(
        Event(
            ident("agent"),
            ago(1),
            "identity_hygiene",
            -0.5,
            0.8,
            "attestation",
            counterparty=str(PLATFORM),
            channel="platform",
        )
    )
    world.attesting = {"platform"}
    return world


def test_an_aggregation_scores_everybody_and_a_second_one_adds_nothing(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    settings = read_settings({"MASQUES_HOME": str(tmp_path)})
    small_world().load(warehouse, with_facts=False)

    first = aggregate(warehouse, settings)
    second = aggregate(warehouse, settings)

    assert (first.refresh.identities, first.refresh.with_evidence) == (2, 1)
    assert (second.signals, second.facts.evidence, second.facts.standings) == (0, 0, 0)
    assert second.refresh.computed_at > first.refresh.computed_at
    history = "SELECT count() FROM masques_ops.reputation_scores_history FINAL"
    assert warehouse.scalar(history) == 2
    assert [finding.name for finding in check_scores(warehouse) if not finding.passed] == []
    assert "0.4-0.5 " + "█" * 30 + " 1" in distribution(warehouse)
    assert [row["identity_id"] for row in movers(warehouse)] == [ident("agent")]


def test_the_effects_add_up_to_the_score(warehouse: Warehouse, tmp_path: Path) -> None:
    small_world().load(warehouse)
    refresh_scores(warehouse)

    found = explain(warehouse, ident("agent"))
    overall = warehouse.scalar(
        "SELECT overall_score FROM masques.reputation_scores WHERE identity_id = {id:UUID}",
        {"id": str(ident("agent"))},
    )
    effects = [row["effect"] for row in found.contributions]
    assert len(effects) == 4
    assert 0.5 + sum(effects) == pytest.approx(overall, abs=1e-12)
    mart = warehouse.rows(
        "SELECT effect FROM masques_marts.reputation_contributions "
        "WHERE identity_id = {id:UUID} ORDER BY abs(effect) DESC, timestamp DESC, event_id",
        {"id": str(ident("agent"))},
    )
    assert [row[0] for row in mart] == pytest.approx(effects, abs=1e-12)
    lines = explanation_lines(ident("agent"), found, rows_max=2)
    assert any(line.startswith("… and 2 more") for line in lines)
    assert lines[-1].endswith(f"= {overall:.4f}")

    with pytest.raises(ExplanationError, match="no identity or event of that id was known"):
        explain(warehouse, ident("stranger"))


def test_the_command_explains_also_the_past_and_refuses(
    warehouse: Warehouse,
    engine_settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
    small_world().load(warehouse)

    def said(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(reputation, list(arguments))
        return done.exit_code, done.output or str(done.exception)

    code, text = said("recompute")
    assert (code, text.splitlines()[-1]) == (0, "2 identities scored")
    code, before = said("explain", str(ident("agent")))
    assert code == 0
    assert sorted(line.split()[6] for line in before.splitlines() if "rated" in line) == [
        *("attested", "money", "money", "money"),
    ]
    moment = datetime.now(UTC)
    # What comes later changes nothing of it: a refund, a judgement, the standing of a payer.
    later = World(accounts=small_world().accounts)
    payment = later.pay(ident("client 0"), ident("agent"), ago(0.1), "500")
    later.events.append(
        Event(ident("agent"), ago(0.1), delta=-1, reference_type="transaction", reference=payment)
    )
    later.load(warehouse, ingested_at=moment)
    assert said("recompute")[0] == 0
    code, then = said("explain", str(ident("agent")), "--as-of", moment.isoformat())
    assert (code, len(then.splitlines())) == (0, len(before.splitlines()))
    assert then.count("rated") == 4
    assert said("explain", str(ident("agent")))[1].count("rated") == 5

    code, text = said("explain", str(ident("stranger")))
    assert (code, text.startswith(f"{ident('stranger')}: no identity or event of that id")) == (
        1,
        True,
    )
    assert said("explain", "somebody")[0] == 2


def test_scores_of_a_model_with_another_formula_are_not_explained(warehouse: Warehouse) -> None:
    agent = ident("agent")
    warehouse.insert_rows(
        "masques.identities",
        ["identity_id", "created_at"],
        [[agent, datetime.fromtimestamp(1, UTC)]],
    )
    with pytest.raises(ExplanationError, match="by the model price-2, which has no blame_ruins"):
        explain(warehouse, agent, as_of="1970-01-01 00:00:01.5")
    refresh_scores(warehouse)
    assert explain(warehouse, agent).score["model_version"] == "price-3"
    found = explain(warehouse, agent, as_of="1970-01-01 00:00:01.5", with_hindsight=True)
    assert found.contributions == []


def test_a_fresh_name_of_a_suspended_one_has_no_rank(warehouse: Warehouse) -> None:
    """Claims count by when they came in here, in whatever version, and not by created_at."""
    wallet = {"wallet": "0x0123456789abcdef"}

    def claim(
        *names: str, days: float, ids: dict[str, str] = wallet, status: str = "active"
    ) -> None:
        for table in ("masques.identities", "masques_ops.identity_versions"):
            warehouse.insert_rows(
                table,
                [
                    "identity_id",
                    "external_ids",
                    "status",
                    "created_at",
                    "updated_at",
                    "ingested_at",
                ],
                [[ident(n), ids, status, ago(days), ago(days), ago(days)] for n in names],
            )

    claim("victim", days=50)
    claim("bad", days=40)
    claim("bad", days=30, ids={}, status="suspended")
    # One that hides the claim again, and one that says it was created before.
    claim("fresh", days=20)
    claim("fresh", days=19, ids={})
    claim("backdated", days=18)
    warehouse.command(
        "ALTER TABLE masques.identities UPDATE created_at = '2020-01-01' "
        "WHERE identity_id = {id:UUID}",
        {"id": str(ident("backdated"))},
        mutations_sync=2,
    )
    claim("unrelated", days=10, ids={"wallet": "0xanotherwallet"})
    public = {"wallet": "0xexchangewallet"}
    claim("suspended too", days=9, ids=public, status="revoked")
    claim(*(f"customer {n}" for n in range(20)), days=8, ids=public)
    refresh_scores(warehouse)

    ranked = warehouse.rows("SELECT identity_id FROM masques_marts.reputation_ranking")
    kept = {"victim", "unrelated", *(f"customer {n}" for n in range(20))}
    assert {row[0] for row in ranked} == {ident(name) for name in kept}


def test_signals_come_from_the_tables_once(warehouse: Warehouse) -> None:
    world = World()
    agent, seller = ident("agent"), ident("seller")
    hold, crashed = ident("hold"), ident("crashed")
    # A hold that was kept, one that expired, a refund, and a payment that two settlements paid.
    world.pay(
        agent, seller, ago(5), kind="masque_session", event_type="two_phase_posted", hold=hold
    )
    world.pay(
        agent,
        seller,
        ago(4),
        kind="masque_session",
        event_type="two_phase_expired",
        transfer_id=crashed,
        hold=crashed,
    )
    paid = world.pay(agent, seller, ago(3), trace="t")
    world.pay(
        seller,
        agent,
        ago(2),
        "0.5",
        kind="refund",
        trace="t",
        debit=world.account(seller, "author"),
        credit=world.account(agent),
    )
    world.settlements += [
        Settlement(ident("s1"), ago(3), "confirmed", paid, "0x1"),
        Settlement(ident("s2"), ago(3), "confirmed", paid, "0x1"),
        Settlement(
            *(ident("s3"), ago(1), "failed", world.pay(agent, seller, ago(1)), "0x1"),
            reason="authorization_canceled",
        ),
    ]
    # What others can cause, or what is not followed to a chain: no signal.
    for number, (status, reason) in enumerate(
        [
            ("failed", "transaction_reverted"),
            ("failed", "invoice_expired"),
            ("failed", "reorged_out"),
            ("failed", "paid_elsewhere"),
            ("failed", "transaction_failed: InsufficientFundsForRent"),
            ("unknown", "not_seen_until_deadline"),
            ("pending", ""),
            ("superseded", ""),
            ("off_chain", ""),
            ("claimable", ""),
            ("not_followed", "authorization_canceled"),
        ]
    ):
        transfer = world.pay(agent, seller, ago(1))
        world.settlements.append(
            Settlement(ident(f"t{number}"), ago(1), status, transfer, "0x1", reason=reason)
        )
    world.load(warehouse)

    assert write_signals(warehouse) == 4
    assert write_signals(warehouse) == 0
    signer = str(MODEL.attestors[0])
    economic = "economic"
    assert warehouse.rows(SIGNALS) == [
        ("hold_posted", agent, economic, 0.25, "transaction", str(hold), ""),
        ("payment_settled", agent, economic, 0.25, "settlement", str(ident("s1")), ""),
        ("payment_settled", agent, economic, 0.25, "settlement", str(ident("s2")), ""),
        ("settlement_failed", agent, economic, -0.5, "settlement", str(ident("s3")), signer),
    ]
    namespace = uuid.uuid5(uuid.NAMESPACE_DNS, "reputation.masques")
    posted = "SELECT event_id FROM masques.reputation_events WHERE event_type = 'hold_posted'"
    assert warehouse.scalar(posted) == uuid.uuid5(namespace, f"hold_posted|{hold}")
    channels = "SELECT DISTINCT toString(channel) FROM masques.reputation_events"
    assert warehouse.rows(channels) == [("pipeline",)]


OWN_EVENTS = (
    "SELECT * EXCEPT ingested_at FROM masques.reputation_events WHERE channel = 'pipeline' "
    "ORDER BY event_id"
)


@pytest.mark.parametrize("killed_at", ["write_signal_keys", "publish_signals", "end"])
def test_a_kill_leaves_no_signal_without_its_key(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    agent, seller = ident("agent"), ident("seller")
    world = World(identities={agent: {}, seller: {}})
    world.pay(agent, seller, ago(2), event_type="two_phase_posted", hold=ident("hold"))
    world.load(warehouse)
    unknown = (
        "SELECT count() FROM masques.reputation_events WHERE event_id NOT IN "
        "(SELECT row_key FROM masques_ops.reputation_events_key_times)"
    )
    command = Warehouse.command

    def killed(self: Warehouse, statement: str, *given: Any, **settings: Any) -> Any:
        if killed_at != "end" and statement == sql(f"reputation/{killed_at}"):
            raise KeyboardInterrupt
        return command(self, statement, *given, **settings)

    with suppress(KeyboardInterrupt), monkeypatch.context() as patched:
        patched.setattr(Warehouse, "command", killed)
        write_signals(warehouse)
    assert warehouse.scalar(unknown) == 0
    write_signals(warehouse)
    found = "SELECT count(), uniqExact(event_id) FROM masques.reputation_events"
    assert (warehouse.row(found), warehouse.scalar(unknown)) == ((1, 1), 0)


def test_lost_signals_come_back_and_are_not_counted_twice(
    warehouse: Warehouse,
    engine_settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A part with signals is damaged, and another signal of the same day comes meanwhile."""
    agent, seller = ident("agent"), ident("seller")
    world = World(identities={agent: {}, seller: {}})
    for n in range(3):
        world.pay(agent, seller, ago(2), event_type="two_phase_posted", hold=ident(f"hold {n}"))
    world.load(warehouse)
    assert write_signals(warehouse) == 3
    whole = warehouse.rows(OWN_EVENTS)
    break_a_file(warehouse, "masques.reputation_events")
    (finding,) = prove_files(warehouse, everything=True, names=(EVENTS.name,)).findings
    assert "Checksum mismatch" in finding
    assert len(detach_broken(warehouse, EVENTS.name)) == 1
    assert prove_rows(warehouse, EVENTS).outcome == "fails"
    late = World(identities={agent: {}, seller: {}})
    late.pay(agent, seller, ago(2), event_type="two_phase_posted", hold=ident("late"))
    late.load(warehouse)
    assert prove_parts(warehouse).outcome == "fails"
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    monkeypatch.setenv("MASQUES_LANDING_URL", str(tmp_path))
    done = CliRunner().invoke(masques, ["reputation", "recompute"])
    assert done.exit_code == 0, (done.output, done.exception)
    assert "no longer a finding: masques.reputation_events: part" in done.output
    rows = warehouse.rows(OWN_EVENTS)
    assert (len(rows), [row for row in rows if row in whole]) == (4, whole)
    for proof in (prove_rows(warehouse, EVENTS), prove_content(warehouse, EVENTS, everything=True)):
        assert (proof.outcome, proof.findings) == ("holds", ())
    assert prove_parts(warehouse).outcome == "holds"


@pytest.mark.parametrize("days", [2.0, 400.0])
def test_a_forged_event_does_not_take_the_place_of_a_signal(
    warehouse: Warehouse, days: float
) -> None:
    """Anyone can compute the id of a signal, and deliver an event that has it before it is due."""
    agent, seller = ident("agent"), ident("seller")
    world = World(identities={agent: {}, seller: {}})
    world.pay(agent, seller, ago(2), event_type="two_phase_posted", hold=ident("hold"))
    world.load(warehouse)
    namespace = uuid.uuid5(uuid.NAMESPACE_DNS, "reputation.masques")
    taken = uuid.uuid5(namespace, f"hold_posted|{ident('hold')}")
    warehouse.insert_rows(
        "masques.reputation_events",
        ["event_id", "timestamp", "identity_id", "event_type", "channel"],
        [[taken, ago(days), seller, "hold_posted", "gate"]],
    )
    warehouse.insert_rows(
        "masques_ops.reputation_events_key_times", ["row_key", "event_at"], [[taken, ago(days)]]
    )
    assert [write_signals(warehouse), write_signals(warehouse)] == [1, 0]
    found = warehouse.rows(
        "SELECT toString(channel), identity_id, event_id = {taken:UUID} "
        "FROM masques.reputation_events ORDER BY channel",
        {"taken": taken},
    )
    assert found == [("gate", seller, 1), ("pipeline", agent, 0)]


def test_turned_keys_are_a_signal_once_a_month(warehouse: Warehouse) -> None:
    agent = ident("agent")
    for key, days in (("a", 20.0), ("b", 1.0), ("c", 0.9), ("d", 0.8)):
        warehouse.insert_rows(
            "masques.identities",
            ["identity_id", "attributes", "updated_at"],
            [[agent, {"key_id": key}, NOW.replace(day=15) - timedelta(days=days + 60)]],
        )
        write_signals(warehouse)
    rotations = "SELECT count() FROM masques.reputation_events WHERE event_type = 'key_rotated'"
    assert warehouse.scalar(rotations) == 1


def quarantined_rates(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "SELECT source, line_no, reason, attempts, state FROM masques_ops.quarantine FINAL "
        "WHERE table_name = 'exchange_rates' ORDER BY ALL"
    )


def test_rates_are_read_exactly_and_once(warehouse: Warehouse, tmp_path: Path) -> None:
    settings = read_settings({"MASQUES_HOME": str(tmp_path)})
    folder = tmp_path / "landing" / "exchange_rates"
    folder.mkdir(parents=True)
    (folder / "sol.ndjson").write_text(
        '{"currency": "SOL", "quoted_at": "2026-11-01T00:00:00Z", "usd": 141.123456789012345678}\n'
        '{"currency": "SOL", "quoted_at": "2026-11-01T00:00:00", "usd": 1}\n'
        '{"currency": "SOL", "quoted_at": "2026-11-02T00:00:00Z", "usd": -1}\n'
        "no json\n"
    )
    (folder / "btc.csv").write_text("currency,quoted_at,usd\nBTC,2026-11-01T01:00:00+01:00,90000\n")

    done = load_rates(warehouse, settings, settle_s=-1)
    assert (done.files, done.rows_written, done.bad_rows) == (2, 2, 3)
    assert done.reasons[0] == "sol.ndjson:2: bad_timestamp:quoted_at: quoted_at has no zone"
    again = load_rates(warehouse, settings, settle_s=-1)
    # The file with bad rows is read again, and they are told of again; the other one is not.
    assert (again.files, again.rows_written, again.reasons) == (1, 0, done.reasons)
    assert quarantined_rates(warehouse) == [
        ("exchange_rates/sol.ndjson", 2, "bad_timestamp:quoted_at", 2, "open"),
        ("exchange_rates/sol.ndjson", 3, "bad_decimal:usd", 2, "open"),
        ("exchange_rates/sol.ndjson", 4, "invalid_json", 2, "open"),
    ]
    assert warehouse.rows(
        "SELECT currency, toString(quoted_at), toString(usd) FROM masques_ops.exchange_rates "
        "ORDER BY currency"
    ) == [
        ("BTC", "2026-11-01 00:00:00.000000000", "90000"),
        ("SOL", "2026-11-01 00:00:00.000000000", "141.123456789012345678"),
    ]


def test_rates_are_read_from_any_landing_zone(warehouse: Warehouse) -> None:
    store = fsspec.filesystem("memory")
    store.pipe(
        "/rates/exchange_rates/2026/btc.csv.gz",
        gzip.compress(
            b"currency,quoted_at,usd\nBTC,2026-11-01T00:00:00Z,90000.5\nBTC,yesterday,1\n"
        ),
    )
    store.pipe(
        "/rates/exchange_rates/sol.ndjson",
        b'{"currency":"SOL","quoted_at":"2026-11-01T00:00:00Z"}\n\n'
        b'{"currency":"SOL","quoted_at":"2026-11-01T00:00:00Z","usd":"much"}\n["SOL"]\n',
    )
    settings = read_settings({"MASQUES_LANDING_URL": "memory://rates"})
    done = load_rates(warehouse, settings, settle_s=-1)
    assert (done.files, done.rows_written, done.bad_rows) == (2, 1, 4)
    assert done.reasons == (
        "2026/btc.csv.gz:3: bad_timestamp:quoted_at: Invalid isoformat string: 'yesterday'",
        "sol.ndjson:1: missing:usd: usd is missing",
        "sol.ndjson:3: bad_decimal:usd: usd is not a number: 'much'",
        "sol.ndjson:4: not_an_object: not an object",
    )
    # Corrected, it is a new version of the file.
    store.pipe("/rates/exchange_rates/2026/btc.csv.gz", gzip.compress(b"currency,quoted_at,usd\n"))
    store.rm("/rates/exchange_rates/sol.ndjson")
    assert load_rates(warehouse, settings, settle_s=-1).bad_rows == 0
    assert load_rates(warehouse, settings, settle_s=-1).files == 0
    # The corrected file's entry is closed; those of the file that is gone wait for a person.
    assert quarantined_rates(warehouse) == [
        ("exchange_rates/2026/btc.csv.gz", 3, "bad_timestamp:quoted_at", 2, "replayed"),
        ("exchange_rates/sol.ndjson", 1, "missing:usd", 1, "open"),
        ("exchange_rates/sol.ndjson", 3, "bad_decimal:usd", 1, "open"),
        ("exchange_rates/sol.ndjson", 4, "not_an_object", 1, "open"),
    ]


def test_a_run_reports_bad_rates_and_continues(
    warehouse: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "landing" / "exchange_rates"
    folder.mkdir(parents=True)
    (folder / "sol.ndjson").write_text("nonsense\n")
    long_ago_s = time.time() - 60
    os.utime(folder / "sol.ndjson", (long_ago_s, long_ago_s))
    caplog.set_level("INFO", logger="masques_pipelines")
    done = aggregate(warehouse, read_settings({"MASQUES_HOME": str(tmp_path)}))
    assert caplog.messages[:2] == [
        f"no exchange rate is known: payments have no USD value until files in {folder} give some",
        (
            "exchange rate not read: sol.ndjson:1: invalid_json: not JSON: "
            "correct the row; the next run reads it again"
        ),
    ]
    # Nobody is known and nothing has happened: no scores, and no complaint.
    assert (done.refresh.identities, done.refresh.events, done.refresh.unpriced) == (0, 0, 0)
    assert [finding.name for finding in check_scores(warehouse) if not finding.passed] == []
    with pytest.raises(ExplanationError, match="there are no scores yet"):
        explain(warehouse, ident("agent"))


def test_payments_without_a_rate_are_those_behind_the_scores(warehouse: Warehouse) -> None:
    world = World()
    for name, days, times in (("counts", 3, 2), ("before the window", 95, 1), ("refunded", 2, 1)):
        payment = world.pay(ident("client"), ident("agent"), ago(days), currency="XYZ", trace=name)
        world.events += [
            Event(ident("agent"), ago(days), reference_type="transaction", reference=payment)
            for _ in range(times)
        ]
    paid = world.transfers[-1]
    world.pay(
        ident("agent"), ident("client"), ago(1), kind="refund", debit=paid.credit,
        credit=paid.debit, currency="XYZ", trace="refunded",
    )  # fmt: skip
    # Of no event at all.
    world.pay(ident("client"), ident("agent"), ago(3), currency="XYZ")
    world.load(warehouse)
    assert refresh_scores(warehouse).unpriced == 1


def test_a_model_that_does_not_add_up_is_refused(tmp_path: Path) -> None:
    packaged = importlib.resources.files("masques_pipelines.reputation") / "model.yaml"
    text = packaged.read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("share_economic: 0.35", "share_economic: 0.36"))
    with pytest.raises(ModelError, match=r"mine.yaml: the file: .* shares add up to 1.01, not"):
        read_model(path)


def test_the_packaged_model_is_the_one_that_the_migration_loads(warehouse: Warehouse) -> None:
    assert load_model(warehouse, read_model(None)) is False


def test_a_version_cannot_change_its_meaning(warehouse: Warehouse) -> None:
    changed = MODEL.model_copy(update={"half_life_days": 20.0})
    with pytest.raises(ModelError, match="price-3: half_life_days differ from what was loaded"):
        load_model(warehouse, changed)


def test_a_failed_refresh_says_why_and_leaves_the_scores(warehouse: Warehouse) -> None:
    small_world().load(warehouse)
    refresh_scores(warehouse)
    before = warehouse.rows("SELECT * FROM masques.reputation_scores ORDER BY identity_id")
    warehouse.command("RENAME TABLE masques_ops.reputation_standing TO masques_ops.away")
    try:
        with pytest.raises(WarehousePermanentError, match="reputation_standing"):
            refresh_scores(warehouse)
    finally:
        warehouse.command("RENAME TABLE masques_ops.away TO masques_ops.reputation_standing")
    after = warehouse.rows("SELECT * FROM masques.reputation_scores ORDER BY identity_id")
    assert after == before
    assert refresh_scores(warehouse).identities == 2


KILLED = """
import os
import signal
import sys
import threading
import time
from masques_pipelines.reputation.scores import refresh_scores
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.client import Origin
FILLING = "SELECT count() FROM system.tables WHERE database = 'masques' AND name LIKE '.tmp%'"
with open_warehouse(read_settings({"MASQUES_HOME": sys.argv[1]}), origin=Origin()) as warehouse:

    def kill():
        with warehouse.second_connection() as other:
            while not other.scalar(FILLING):
                time.sleep(0.005)
            time.sleep(float(sys.argv[2]))
            os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    refresh_scores(warehouse)
"""
CHECKED = """
import sys
from masques_pipelines.reputation.scores import refresh_scores
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.client import Origin
with open_warehouse(read_settings({"MASQUES_HOME": sys.argv[1]}), origin=Origin()) as warehouse:
    scores = "SELECT count(), max(computed_at) FROM masques.reputation_scores"
    names = "SELECT count(), countIf(startsWith(name, '.tmp')) FROM system.tables "
    names += "WHERE database = 'masques'"
    print(warehouse.row(scores))
    print(warehouse.row(names)[1])
    print(refresh_scores(warehouse).leftovers, warehouse.row(names))
    print(warehouse.row(scores))
"""
FILLED = """
import sys
from datetime import UTC, datetime
from masques_pipelines.reputation.facts import write_facts
from masques_pipelines.reputation.scores import refresh_scores
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.client import Origin
with open_warehouse(read_settings({"MASQUES_HOME": sys.argv[1]}), origin=Origin()) as warehouse:
    warehouse.command(
        "INSERT INTO masques.reputation_events (event_id, timestamp, identity_id, category, "
        "score_delta, confidence) SELECT generateUUIDv4(), now64(9) - INTERVAL number % 80 DAY, "
        "generateUUIDv4(), 'economic', 1, 1 FROM numbers(50000)"
    )
    write_facts(warehouse)
    refresh_scores(warehouse)
    print(warehouse.row("SELECT count(), max(computed_at) FROM masques.reputation_scores"))
"""


def python(script: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def test_a_killed_refresh_leaves_the_scores_and_the_next_one_clears_up(tmp_path: Path) -> None:
    copy_migrated(tmp_path / "warehouse")
    scores = finish(python(FILLED, tmp_path))[0].strip()
    leftovers = 0
    # As soon as it has begun, and somewhat later.
    for delay_s in (0, 0.3):
        finish(python(KILLED, tmp_path, delay_s))
        found, left, cleared, scores_now = finish(python(CHECKED, tmp_path))[0].splitlines()
        # Killed before the swap: the old scores, whole. After it: the new ones, whole.
        assert found.startswith("(50000, ")
        assert found == scores or left == "0"
        assert cleared == f"{left} (9, 0)"
        leftovers += int(left)
        scores = scores_now
    assert leftovers > 0
