"""The proofs on a real server's bytes: they hold, and each fails when its own thing is broken."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masques_pipelines.ledger import transactions
from masques_pipelines.ledger.accounts import sync_accounts
from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.chart import Chart, read_chart
from masques_pipelines.ledger.proofs import position
from masques_pipelines.ledger.proofs.balances import (
    BALANCES,
    prove_balances,
    prove_balances_reading_again,
)
from masques_pipelines.ledger.proofs.chart_findings import CHART
from masques_pipelines.ledger.proofs.checkpoints import advance_checkpoint, renew_checkpoints
from masques_pipelines.ledger.proofs.completeness import COMPLETENESS
from masques_pipelines.ledger.proofs.holds import HOLDS, NO_OVERDUE_HOLDS
from masques_pipelines.ledger.proofs.integrity import INTEGRITY, prove_integrity
from masques_pipelines.ledger.proofs.position import read_position
from masques_pipelines.ledger.proofs.proof import ProofResult
from masques_pipelines.ledger.proofs.scope import read_scope
from masques_pipelines.ledger.proofs.suite import PROOFS, all_hold, prove_after_sync, prove_all
from masques_pipelines.ledger.proofs.trial_balance import TRIAL_BALANCE
from masques_pipelines.ledger.records import ACCOUNT_DTYPE, CHANGE_EVENT_DTYPE, records_of
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.warehouse.client import Warehouse
from tests.support.balances import folded_balances
from tests.support.kept_rows import filled_once
from tests.support.memory_ledger import MemoryLedger, account, event

SEPTEMBER_END_NS = 1_790_812_799_999_999_999  # 2026-09-30 23:59:59.999999999 UTC
DAY_NS = 86_400 * 10**9
EVERYTHING = "SELECT * EXCEPT ingested_at FROM masques.transactions ORDER BY timestamp"


@pytest.fixture
def chart() -> Chart:
    return read_chart(None)


@pytest.fixture
def ledger(small_capture: Path) -> Iterator[MemoryLedger]:
    """The small capture, which a test may cut and change."""
    with CaptureSource(small_capture) as source:
        yield MemoryLedger(
            events=records_of(source.change_events(0).data, CHANGE_EVENT_DTYPE, origin="test"),
            known_accounts=records_of(source.accounts(0).data, ACCOUNT_DTYPE, origin="test").copy(),
            cluster_id=source.cluster_id,
        )


@pytest.fixture
def synced(warehouse: Warehouse, ledger: MemoryLedger, chart: Chart) -> Warehouse:
    """A copy that is right: 2,120 events in batches of 300, so that there are several seals."""
    ledger.page_events = 300

    def fill() -> None:
        sync_accounts(warehouse, ledger, chart)
        sync_transactions(warehouse, ledger, chart, batch_events=300)

    filled_once(warehouse, "synced in batches of 300", fill)
    return warehouse


def outcomes(warehouse: Warehouse, **options: Any) -> dict[str, str]:
    return {proof.name: one.outcome for proof, one in prove_all(warehouse, **options).items()}


def failing(warehouse: Warehouse, **options: Any) -> set[str]:
    return {name for name, outcome in outcomes(warehouse, **options).items() if outcome != "holds"}


def integrity(warehouse: Warehouse, *, kept_digest: str | None = None) -> ProofResult:
    return prove_integrity(read_scope(warehouse, kept={kept_digest: 0} if kept_digest else None))


def edit(warehouse: Warehouse, statement: str) -> None:
    warehouse.command(statement, mutations_sync=2)


def test_every_proof_holds_from_a_checkpoint_and_from_the_beginning(synced: Warehouse) -> None:
    assert failing(synced) == set()
    assert read_position(synced).base_ns > 0  # the proofs left a checkpoint
    assert failing(synced, from_beginning=True) == set()
    assert (
        synced.rows(
            "SELECT proof, uniqExact(outcome), any(outcome) FROM masques_ops.proofs "
            "GROUP BY proof HAVING any(outcome) != 'holds'"
        )
        == []
    )


def of_first(condition: str, *, offset: int = 0) -> str:
    """Returns the condition that picks one row of the transactions."""
    return (
        "WHERE (transaction_id, event_type) IN (SELECT transaction_id, event_type "
        f"FROM masques.transactions WHERE {condition} ORDER BY timestamp LIMIT 1 OFFSET {offset})"
    )


PAYMENT = "event_type = 'single_phase' AND ledger = 1"
POST = "event_type = 'two_phase_posted' AND ledger = 1"
OF_A_MASQUE = "resource_type = 'masque'"
ITS_HOLD = f"transaction_id IN (SELECT pending_id FROM masques.transactions WHERE {POST})"
# Each way to break one row, and the proofs that must not hold any more.
BROKEN_ROWS = [
    (
        # One millionth more on one payment: no sum is right any more.
        f"UPDATE amount = amount + toDecimal256('0.000001', 18) {of_first(PAYMENT)}",
        {"balance_proof", "integrity", "completeness"},
    ),
    (
        # Less than the ledger's smallest unit: a rounding would hide it.
        f"UPDATE amount = amount + toDecimal256('0.0000000001', 18) {of_first(PAYMENT)}",
        {"balance_proof", "integrity", "completeness"},
    ),
    (
        # The same money to another account: every total is right.
        f"UPDATE credit_account_id = debit_account_id {of_first(PAYMENT)}",
        {"balance_proof", "integrity"},
    ),
    # No money at all: only the seal knows.
    (f"UPDATE trace_id = repeat('a', 32) {of_first(PAYMENT)}", {"integrity"}),
    # A word that the number does not give.
    (
        f"UPDATE transaction_type = 'refund' {of_first('code = 3')}",
        {"integrity", "chart_knows_all"},
    ),
    (f"UPDATE status = 'voided' {of_first(PAYMENT)}", {"integrity"}),
    (
        f"UPDATE resource_type = 'api' {of_first(OF_A_MASQUE)}",
        {"integrity", "chart_knows_all"},
    ),
    (
        f"DELETE {of_first(PAYMENT, offset=400)}",
        {"balance_proof", "integrity", "completeness"},
    ),
    (
        # A hold that is gone, while its post is there.
        f"DELETE {of_first(ITS_HOLD)}",
        {"balance_proof", "integrity", "completeness", "hold_lifecycle"},
    ),
    (
        # A post above its hold.
        f"UPDATE amount = amount + 1000000 {of_first(POST)}",
        {"balance_proof", "integrity", "completeness", "hold_lifecycle"},
    ),
    (
        # A void of another amount than was held.
        "UPDATE amount = amount * 2 " + of_first("event_type = 'two_phase_voided' AND amount > 0"),
        {"integrity", "hold_lifecycle"},
    ),
]


OF_ROWS = (BALANCES, INTEGRITY, TRIAL_BALANCE, HOLDS, COMPLETENESS, CHART)


def test_each_broken_row_fails_the_proofs_that_it_should(synced: Warehouse) -> None:
    synced.command("CREATE TABLE masques_ops.kept AS masques.transactions")
    synced.command("INSERT INTO masques_ops.kept SELECT * FROM masques.transactions")
    (partition,) = {
        int(p) for (p,) in synced.rows("SELECT toYYYYMM(timestamp) FROM masques_ops.kept")
    }
    scope = read_scope(synced)
    for change, expected in BROKEN_ROWS:
        edit(synced, f"ALTER TABLE masques.transactions {change}")
        found = {proof.name for proof in OF_ROWS if not proof.prove(scope).holds}
        assert found == expected, change
        synced.command(
            f"ALTER TABLE masques.transactions REPLACE PARTITION {partition} FROM masques_ops.kept"
        )
    assert failing(synced) == set()


def test_a_row_that_was_inserted_is_found_inside_and_after_the_sealed_batches(
    synced: Warehouse,
) -> None:
    copied = "SELECT * REPLACE(timestamp {shift} AS timestamp) FROM masques.transactions "
    # A nanosecond after a row in the middle; the posted row's copy posts its hold twice.
    synced.command(
        "INSERT INTO masques.transactions "
        + copied.format(shift="+ toIntervalNanosecond(1)")
        + "WHERE event_type = 'two_phase_posted' ORDER BY timestamp LIMIT 1 OFFSET 50"
    )
    assert failing(synced) == {"balance_proof", "integrity", "completeness", "hold_lifecycle"}
    findings = prove_all(synced)[HOLDS].findings
    assert "resolved more than once" in findings[0]

    edit(
        synced,
        "ALTER TABLE masques.transactions DELETE WHERE toUnixTimestamp64Nano(timestamp) IN "
        "(SELECT toUnixTimestamp64Nano(timestamp) + 1 FROM masques.transactions WHERE event_type = "
        "'two_phase_posted' ORDER BY timestamp LIMIT 1 OFFSET 50)",
    )
    synced.command(
        "INSERT INTO masques.transactions "
        + copied.format(shift="+ toIntervalDay(1)")
        + "WHERE event_type = 'single_phase' ORDER BY timestamp LIMIT 1"
    )
    assert "is in no batch" in " ".join(integrity(synced).findings)


def test_a_failed_balance_proof_names_account_and_amounts(synced: Warehouse) -> None:
    edit(
        synced,
        "ALTER TABLE masques.accounts UPDATE credits_posted = credits_posted + 1000000 WHERE "
        "account_id IN (SELECT account_id FROM masques.accounts WHERE ledger = 2 AND code = 200 "
        "ORDER BY account_id LIMIT 1)",
    )
    account_id, credits_posted = synced.row(
        "SELECT account_id, credits_posted FROM masques.accounts WHERE ledger = 2 AND code = 200 "
        "ORDER BY account_id LIMIT 1"
    )
    proofs = prove_all(synced)

    assert proofs[BALANCES].findings == (
        (
            f"account {account_id}: credits posted {credits_posted:.11f} BTC, its events add up to "
            f"{credits_posted - 1_000_000:.11f} BTC (difference 1000000.00000000000 BTC)"
        ),
    )
    assert proofs[TRIAL_BALANCE].outcome == "fails"
    assert "difference -1000000.00000000000 BTC" in proofs[TRIAL_BALANCE].findings[0]
    assert read_position(synced).checkpoint_ns == 0  # nothing wrong becomes a base


def test_an_account_that_is_gone_is_missed(synced: Warehouse) -> None:
    edit(
        synced,
        "ALTER TABLE masques.accounts DELETE WHERE account_id IN (SELECT account_id "
        "FROM masques.accounts WHERE code = 200 ORDER BY account_id LIMIT 1)",
    )
    assert failing(synced) == {"balance_proof", "last_reading", "trial_balance", "completeness"}


def test_the_chain_finds_a_seal_that_was_edited_removed_or_replaced(synced: Warehouse) -> None:
    kept = integrity(synced).numbers["seal"]
    assert integrity(synced, kept_digest=str(kept)).holds
    assert int(integrity(synced).numbers["seals"]) > 3

    edit(
        synced, "ALTER TABLE masques_ops.ledger_seals UPDATE events = events + 1 WHERE sequence = 2"
    )
    assert "seal 2 was edited" in integrity(synced).findings[0]
    edit(synced, "ALTER TABLE masques_ops.ledger_seals DELETE WHERE sequence = 2")
    assert "seal 3 follows where 2 should" in integrity(synced).findings[0]
    # A whole new chain is sound by itself; only a digest that was kept elsewhere tells.
    synced.command("TRUNCATE TABLE masques_ops.ledger_seals")
    assert "is not in the chain" in integrity(synced, kept_digest=str(kept)).findings[0]


def test_proofs_go_on_from_the_checkpoint_and_reach_the_same_end(
    warehouse: Warehouse, ledger: MemoryLedger, chart: Chart
) -> None:
    everything, accounts = ledger.events, ledger.known_accounts
    # The accounts as they were after each cut are not known here; their events are. So the balances
    # are those that the events give, which other tests hold against the server's own.
    for cut in (100, 101, 400):
        ledger.events = everything[:cut]
        ledger.known_accounts = with_balances(accounts, ledger.events)
        sync_accounts(warehouse, ledger, chart)
        sync_transactions(warehouse, ledger, chart)
        proofs = prove_all(warehouse)
        assert all_hold(proofs)
        advance_checkpoint(warehouse, read_position(warehouse), events_per_checkpoint=1)
    assert warehouse.scalar("SELECT count() FROM masques_ops.balance_checkpoints FINAL") == 3
    # Two newest are kept with their balances; the rest are one line each.
    assert warehouse.rows(
        "SELECT uniqExact(checkpoint_ns) FROM masques_ops.checkpoint_balances"
    ) == [(2,)]
    assert failing(warehouse, from_beginning=True) == set()


def with_balances(accounts: np.ndarray[Any, Any], events: np.ndarray[Any, Any]) -> Any:
    """Returns the accounts that exist by then, with the balances of their newest event."""
    last = int(events["timestamp"][-1])
    known = accounts[accounts["timestamp"] <= last].copy()
    for name in ("debits_pending", "debits_posted", "credits_pending", "credits_posted"):
        known[name] = np.zeros(1, known.dtype[name])
    place = {
        (int(row["id"]["low"]), int(row["id"]["high"])): index for index, row in enumerate(known)
    }
    for one in events:
        for side in ("debit", "credit"):
            key = one[f"{side}_account_id"]
            index = place[int(key["low"]), int(key["high"])]
            for name in ("debits_pending", "debits_posted", "credits_pending", "credits_posted"):
                known[name][index] = one[f"{side}_account_{name}"]
    return known


def test_what_a_killed_checkpoint_left_counts_for_nothing(synced: Warehouse) -> None:
    for table in ("checkpoint_balances", "checkpoint_holds"):
        synced.command(f"INSERT INTO masques_ops.{table} SELECT * FROM generateRandom() LIMIT 0")
    synced.command(
        "INSERT INTO masques_ops.checkpoint_balances (checkpoint_ns, account_id, debits_posted) "
        "VALUES (5, generateUUIDv4(), 7)"
    )
    synced.command(
        "INSERT INTO masques_ops.account_days (account_id, day, checkpoint_ns, debits_posted) "
        "VALUES (generateUUIDv4(), '2026-01-01', 5, 7)"
    )
    assert failing(synced) == set()
    assert failing(synced, from_beginning=True) == set()
    assert (
        synced.scalar("SELECT count() FROM masques_ops.checkpoint_balances WHERE checkpoint_ns = 5")
        == 0
    )


def test_a_damaged_checkpoint_is_told_from_damaged_rows_and_renewed(synced: Warehouse) -> None:
    prove_all(synced)
    edit(
        synced,
        "ALTER TABLE masques_ops.checkpoint_balances UPDATE credits_posted = credits_posted + 1 "
        "WHERE account_id IN (SELECT max(account_id) FROM masques_ops.checkpoint_balances)",
    )
    assert failing(synced) == {"balance_proof"}
    assert failing(synced, from_beginning=True) == {"account_history"}
    renew_checkpoints(synced)
    assert failing(synced, from_beginning=True) == set()
    assert read_position(synced).base_ns > 0


def test_the_account_history_ends_each_day_where_the_events_end_it(
    warehouse: Warehouse, chart: Chart
) -> None:
    one, two = account(SEPTEMBER_END_NS - 9), account(SEPTEMBER_END_NS - 8)
    parties = {"debit_account_id": SEPTEMBER_END_NS - 9, "credit_account_id": SEPTEMBER_END_NS - 8}
    ledger = MemoryLedger(known_accounts=np.concatenate([one, two]))
    start = SEPTEMBER_END_NS
    ledger.add(
        event(start, transfer_amount=5_000_000, **parties),  # the last nanosecond of 30 September
        event(start + 1, transfer_amount=2_000_000, type=1, transfer_flags=2, **parties),  # a hold
        event(start + DAY_NS, transfer_amount=1_000_000, **parties),  # 1 October, its last moment
        # 3 October: half of the hold is posted, all of it is released.
        event(
            start + 2 * DAY_NS + 1,
            transfer_amount=1_000_000,
            type=2,
            transfer_flags=4,
            transfer_pending_id=start + 1,
            **parties,
        ),
    )
    ledger.known_accounts["debits_posted"]["low"][0] = 7_000_000
    ledger.known_accounts["credits_posted"]["low"][1] = 7_000_000
    sync_accounts(warehouse, ledger, chart)
    sync_transactions(warehouse, ledger, chart)
    assert failing(warehouse) == set()

    rows = warehouse.rows(
        "SELECT toString(day), debits_posted, debits_pending, debited_that_day, movements "
        "FROM masques_marts.account_history WHERE account_id = "
        "(SELECT min(account_id) FROM masques.accounts) ORDER BY day"
    )
    assert rows == [
        ("2026-09-30", Decimal(5), Decimal(0), Decimal(5), 1),
        ("2026-10-01", Decimal(6), Decimal(2), Decimal(1), 2),
        ("2026-10-03", Decimal(7), Decimal(0), Decimal(1), 2),
    ]
    assert warehouse.rows(
        "SELECT state, held, posted, released, open FROM masques_marts.holds"
    ) == [("posted_partly", Decimal(2), Decimal(1), Decimal(1), Decimal(0))]


def test_holds_are_derived_before_any_merge(synced: Warehouse) -> None:
    assert dict(synced.rows("SELECT state, count() FROM masques_marts.holds GROUP BY state")) == {
        "open": 12,
        "posted": 35,
        "posted_partly": 182,
        "voided": 63,
        "expired": 67,
    }
    # What is open is what the accounts show as pending.
    assert synced.scalar("SELECT sum(open) FROM masques_marts.holds") == synced.scalar(
        "SELECT sum(debits_pending) FROM masques.accounts FINAL"
    )
    assert len(folded_balances(synced)) > 0


def test_an_import_behind_a_reading_leads_to_a_new_reading(
    warehouse: Warehouse, chart: Chart
) -> None:
    start = SEPTEMBER_END_NS
    parties = {"debit_account_id": start - 9, "credit_account_id": start - 8}
    ledger = MemoryLedger(known_accounts=np.concatenate([account(start - 9), account(start - 8)]))
    hold = {"transfer_amount": 4, "transfer_flags": 2, **parties}
    ledger.add(event(start, type=1, **hold), event(start + 50, type=4, transfer_id=start, **hold))
    sync_accounts(warehouse, ledger, chart)
    sync_transactions(warehouse, ledger, chart)
    assert prove_balances(read_scope(warehouse)).holds
    # An import lands behind the expiry, and behind the reading of the accounts.
    ledger.add(event(start + 20, transfer_amount=7, transfer_flags=256, **parties))
    ledger.known_accounts["debits_posted"]["low"][0] = 7
    ledger.known_accounts["credits_posted"]["low"][1] = 7
    sync_transactions(warehouse, ledger, chart)

    blurred = prove_balances(read_scope(warehouse))
    assert (blurred.outcome, len(blurred.findings)) == ("inconclusive", 2)
    assert prove_balances_reading_again(warehouse, ledger, chart)[1].holds
    # A real difference is not excused by an import for ever.
    edit(warehouse, "ALTER TABLE masques.transactions UPDATE amount = 8 WHERE flags = 256")
    assert prove_balances_reading_again(warehouse, ledger, chart)[1].outcome == "fails"


def test_balances_that_are_newer_than_the_events_wait_for_them(
    warehouse: Warehouse, ledger: MemoryLedger, chart: Chart
) -> None:
    sync_transactions(warehouse, ledger, chart)
    ledger.add(event(int(ledger.events["timestamp"][-1]) + 1, transfer_amount=1))
    sync_accounts(warehouse, ledger, chart)

    assert prove_balances(read_scope(warehouse)).outcome == "inconclusive"
    ledger.events = ledger.events[:-1]
    sync_accounts(warehouse, ledger, chart)  # read_ns stays that of the reading before
    assert failing(warehouse) >= {"balance_proof"}


def test_an_open_hold_past_its_timeout_is_a_finding_and_no_failure(
    warehouse: Warehouse, chart: Chart
) -> None:
    start = SEPTEMBER_END_NS
    parties = {"debit_account_id": start - 9, "credit_account_id": start - 8}
    known = np.concatenate([account(start - 9), account(start - 8)])
    known["debits_pending"]["low"][0] = known["credits_pending"]["low"][1] = 5_000_000
    ledger = MemoryLedger(known_accounts=known)
    ledger.add(
        event(
            start,
            type=1,
            transfer_flags=2,
            transfer_amount=5_000_000,
            transfer_timeout=30,
            **parties,
        ),
        event(start + 3600 * 10**9),  # the ledger's clock goes on, the hold does not expire
    )
    sync_accounts(warehouse, ledger, chart)
    sync_transactions(warehouse, ledger, chart)
    found = prove_all(warehouse)[NO_OVERDUE_HOLDS]

    assert (found.outcome, NO_OVERDUE_HOLDS.is_warning) == ("fails", True)
    assert "5.000000 USD open, 3,570 s past its timeout" in found.findings[0]


def test_numbers_that_the_chart_does_not_know_are_a_warning(
    warehouse: Warehouse, chart: Chart
) -> None:
    ledger = MemoryLedger(known_accounts=account(SEPTEMBER_END_NS, ledger=77, code=9))
    ledger.add(event(SEPTEMBER_END_NS + 1, ledger=77, transfer_code=65535, transfer_amount=3))
    sync_accounts(warehouse, ledger, chart)
    sync_transactions(warehouse, ledger, chart)
    found = prove_all(warehouse)[CHART]

    assert CHART.is_warning
    assert [line.split(", which")[0] for line in found.findings] == [
        "accounts: 1 rows with code_9",
        "accounts: 1 rows with ledger_77",
        "transactions: 1 rows with code_65535",
        "transactions: 1 rows with ledger_77",
    ]


def test_proofs_after_a_sync_look_only_at_what_is_new(
    synced: Warehouse, ledger: MemoryLedger, chart: Chart
) -> None:
    proofs = prove_after_sync(synced, ledger, chart)
    assert all(proof.holds for proof in proofs.values())
    again = prove_after_sync(synced, ledger, chart)
    assert all(proof.holds for proof in again.values())
    assert again[COMPLETENESS].numbers["events"] == 0
    assert again[INTEGRITY].numbers["seals_recomputed"] == 0


def test_a_pass_without_news_reads_position_and_chart_once(
    synced: Warehouse, ledger: MemoryLedger, chart: Chart, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_after_sync(synced, ledger, chart)
    call = vars(Warehouse)["_call"]
    sent: list[str] = []

    def counted(self: Warehouse, sql: str, send: Callable[[], Any]) -> Any:
        sent.append(sql)
        return call(self, sql, send)

    monkeypatch.setattr(Warehouse, "_call", counted)
    prove_after_sync(synced, ledger, chart)

    assert len(sent) == 18, "\n".join(sent)
    assert sum("masques_ops.account_readings" in sql for sql in sent) == 3  # two proofs, position
    assert sum("masques_ops.chart_ledgers" in sql for sql in sent) == 3  # scales, words: twice


def test_the_names_of_proofs_are_unique_within_their_table() -> None:
    names = [(proof.table, proof.name) for proof in PROOFS]
    assert sorted(set(names)) == sorted(names)
    assert not [name for table, name in names if table in name]


def test_proofs_start_at_the_oldest_checkpoint_when_old_events_are_gone(
    warehouse: Warehouse,
    ledger: MemoryLedger,
    chart: Chart,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everything, accounts = ledger.events, ledger.known_accounts
    checkpoints = []
    for cut in (200, 400, 600):
        ledger.events = everything[:cut]
        ledger.known_accounts = with_balances(accounts, ledger.events)
        sync_accounts(warehouse, ledger, chart)
        sync_transactions(warehouse, ledger, chart)
        assert failing(warehouse) == set()
        advance_checkpoint(warehouse, read_position(warehouse), events_per_checkpoint=1)
        checkpoints.append(read_position(warehouse).checkpoint_ns)
    # Seven years pass, seen from the middle of the second stretch.
    gone_ns = int(everything["timestamp"][300])
    for module in (position, transactions):
        monkeypatch.setattr(module, "retention_horizon_ns", lambda: gone_ns)
    edit(
        warehouse,
        "ALTER TABLE masques.transactions DELETE WHERE timestamp <= "
        f"fromUnixTimestamp64Nano(toInt64({gone_ns}), 'UTC')",
    )
    assert read_position(warehouse, from_beginning=True).base_ns == checkpoints[1]
    assert failing(warehouse, from_beginning=True) == set()
    # Later rows are still watched.
    edit(
        warehouse,
        "ALTER TABLE masques.transactions UPDATE trace_id = repeat('a', 32) WHERE timestamp IN "
        "(SELECT max(timestamp) FROM masques.transactions WHERE event_type = 'single_phase')",
    )
    assert failing(warehouse, from_beginning=True) == {"integrity"}


def test_without_a_checkpoint_what_is_gone_cannot_be_proved(
    synced: Warehouse, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone_ns = int(ledger.events["timestamp"][1000])
    monkeypatch.setattr(position, "retention_horizon_ns", lambda: gone_ns)
    edit(
        synced,
        "ALTER TABLE masques.transactions DELETE WHERE timestamp <= "
        f"fromUnixTimestamp64Nano(toInt64({gone_ns}), 'UTC')",
    )
    found = outcomes(synced)
    assert {found["balance_proof"], found["trial_balance"], found["hold_lifecycle"]} == {
        "inconclusive"
    }
    assert (found["completeness"], found["integrity"]) == ("holds", "holds")
