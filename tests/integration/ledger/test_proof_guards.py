"""What could fool the proofs: lost history, edited books, wrong clocks, nothing, old imports."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masques_pipelines.ledger.accounts import rebuild_accounts, sync_accounts
from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.chart import Chart, read_chart
from masques_pipelines.ledger.proofs.balances import BALANCES
from masques_pipelines.ledger.proofs.checkpoints import renew_checkpoints
from masques_pipelines.ledger.proofs.completeness import COMPLETENESS
from masques_pipelines.ledger.proofs.freshness import FRESHNESS
from masques_pipelines.ledger.proofs.integrity import INTEGRITY
from masques_pipelines.ledger.proofs.last_reading import LAST_READING
from masques_pipelines.ledger.proofs.position import read_position
from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import read_scope, read_scope_of_news
from masques_pipelines.ledger.proofs.suite import (
    all_hold,
    make_proof,
    prove_after_sync,
    prove_all,
)
from masques_pipelines.ledger.rebuild import rebuild_transactions
from masques_pipelines.ledger.records import ACCOUNT_DTYPE, CHANGE_EVENT_DTYPE, records_of
from masques_pipelines.ledger.transactions import retention_horizon_ns, sync_transactions
from masques_pipelines.warehouse.client import Warehouse
from tests.support.kept_rows import filled_once
from tests.support.memory_ledger import MemoryLedger, account, event

SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
# Amid a month, so that days before and after it are of the same.
START_NS = 1_792_000_000 * SECOND_NS
ROWS = "SELECT * EXCEPT ingested_at FROM masques.transactions ORDER BY timestamp"
ACCOUNTS = "SELECT * EXCEPT ingested_at FROM masques.accounts FINAL ORDER BY account_id"


@pytest.fixture
def chart() -> Chart:
    return read_chart(None)


@pytest.fixture
def ledger(small_capture: Path) -> Iterator[MemoryLedger]:
    with CaptureSource(small_capture) as source:
        yield MemoryLedger(
            events=records_of(source.change_events(0).data, CHANGE_EVENT_DTYPE, origin="test"),
            known_accounts=records_of(source.accounts(0).data, ACCOUNT_DTYPE, origin="test").copy(),
            cluster_id=source.cluster_id,
            page_events=300,
            page_accounts=50,
        )


@pytest.fixture
def proved(warehouse: Warehouse, ledger: MemoryLedger, chart: Chart) -> Warehouse:
    """A copy that was proved, so that there is a checkpoint, in several batches and pages."""

    def fill() -> None:
        sync(warehouse, ledger, chart, batch_events=300)
        assert all_hold(prove_after_sync(warehouse, ledger, chart))
        assert read_position(warehouse).base_ns > 0

    filled_once(warehouse, "proved", fill)
    return warehouse


def sync(warehouse: Warehouse, ledger: MemoryLedger, chart: Chart, **options: Any) -> None:
    sync_accounts(warehouse, ledger, chart)
    sync_transactions(warehouse, ledger, chart, **options)


def prove(warehouse: Warehouse, proof: Proof, *, kept: dict[str, int] | None = None) -> ProofResult:
    """Makes one proof on what is new, as a pass after a sync makes all of them."""
    return make_proof(proof, replace(read_scope_of_news(warehouse), kept=kept or {}))


def failing(results: Any) -> set[str]:
    return {proof.name for proof, result in results.items() if result.outcome == "fails"}


def edit(warehouse: Warehouse, statement: str) -> None:
    warehouse.command(statement, mutations_sync=2)


LOSSES = {
    "rows deleted": "ALTER TABLE masques.transactions DELETE WHERE code = 3",
    "rows deleted lightly": "DELETE FROM masques.transactions WHERE code = 3",
    "a month dropped": "ALTER TABLE masques.transactions DROP PARTITION {month}",
    "all truncated": "TRUNCATE TABLE masques.transactions",
    "a row doubled": "INSERT INTO masques.transactions SELECT * FROM masques.transactions LIMIT 1",
}


def test_a_loss_of_long_proved_rows_is_red_in_the_next_scheduled_run(
    proved: Warehouse, ledger: MemoryLedger, chart: Chart
) -> None:
    whole = proved.frame(ROWS)
    month = int(proved.scalar("SELECT any(toYYYYMM(timestamp)) FROM masques.transactions"))
    for loss, statement in LOSSES.items():
        edit(proved, statement.format(month=month))
        found = prove(proved, COMPLETENESS)
        assert found.outcome == "fails", loss
        assert f"month {month // 100}-{month % 100:02}: 2,0" in found.findings[-1], loss
        if loss == "all truncated":
            assert "completeness" in failing(prove_after_sync(proved, ledger, chart))
        else:  # a sync writes what is after the cursor again
            rebuild_transactions(proved, ledger, chart)
            sync_transactions(proved, ledger, chart)  # expiries that no seal covers yet
            assert prove(proved, COMPLETENESS).holds, loss
            assert proved.frame(ROWS).equals(whole), loss


def test_a_pass_without_news_reads_no_seal_but_the_checkpoints(proved: Warehouse) -> None:
    first = int(proved.scalar("SELECT min(sequence) FROM masques_ops.ledger_seals"))
    edit(
        proved,
        f"ALTER TABLE masques_ops.ledger_seals UPDATE events = 1 WHERE sequence = {first}",
    )
    # What lies before the checkpoint was proved once; all of it is what `masques verify` proves.
    assert prove(proved, INTEGRITY).holds
    assert "seal 1 was edited" in INTEGRITY.prove(read_scope(proved)).findings[0]
    newest = "SELECT max(sequence) FROM masques_ops.ledger_seals"
    edit(proved, f"ALTER TABLE masques_ops.ledger_seals DELETE WHERE sequence >= ({newest})")
    found = " ".join(prove(proved, INTEGRITY).findings)
    assert "the newest checkpoint was made from" in found or "are gone" in found


def test_a_chain_that_was_replaced_is_found_by_a_digest_that_was_kept(
    proved: Warehouse, ledger: MemoryLedger, chart: Chart
) -> None:
    sequence, digest = proved.row(
        "SELECT sequence, digest FROM masques_ops.ledger_seals ORDER BY sequence DESC LIMIT 1"
    )
    for kept in ({digest: int(sequence)}, {digest: 0}):
        assert prove(proved, INTEGRITY, kept=kept).holds
    for kept in ({digest: int(sequence) - 1}, {"0" * 64: int(sequence)}, {"0" * 64: 0}):
        found = prove(proved, INTEGRITY, kept=kept)
        assert "the chain was replaced" in found.findings[0]
    after_sync = prove_after_sync(proved, ledger, chart, kept=kept)
    assert after_sync[INTEGRITY].findings == found.findings


def test_proofs_of_nothing_do_not_hold(
    warehouse: Warehouse, ledger: MemoryLedger, chart: Chart
) -> None:
    for full in (False, True):
        results = prove_all(warehouse, from_beginning=full)
        assert {result.outcome for result in results.values()} == {"inconclusive"}
        assert all("nothing to prove: nothing was synced" in r.summary for r in results.values())
        assert not all_hold(results)
    # A ledger of nothing that was synced is no more.
    sync(warehouse, MemoryLedger(), chart)
    found = prove_after_sync(warehouse, MemoryLedger(), chart)[BALANCES]
    assert (found.outcome, "no account and no event" in found.summary) == ("inconclusive", True)
    # Rows that vanished are not nothing.
    warehouse.command("TRUNCATE TABLE masques_ops.ledger_binding")
    sync(warehouse, ledger, chart)
    for table in ("accounts", "transactions"):
        warehouse.command(f"TRUNCATE TABLE masques.{table}")
    assert {"completeness", "integrity", "last_reading"} <= failing(prove_all(warehouse))


def test_an_edit_of_the_binding_hides_nothing(proved: Warehouse) -> None:
    edit(
        proved,
        "ALTER TABLE masques_ops.ledger_binding UPDATE first_event_at = '2015-01-01' WHERE 1",
    )
    edit(proved, "ALTER TABLE masques.transactions DELETE WHERE code = 3")
    assert read_position(proved).removed_ns == 0
    scope = read_scope(proved, from_beginning=True)
    assert [p.prove(scope).outcome for p in (INTEGRITY, COMPLETENESS)] == ["fails", "fails"]


def test_rows_that_no_seal_covers_are_counted(proved: Warehouse, ledger: MemoryLedger) -> None:
    found = INTEGRITY.prove(read_scope(proved))
    sealed_to_ns = proved.scalar("SELECT max(to_ns) FROM masques_ops.ledger_seals")
    waiting = int((ledger.events["timestamp"] > sealed_to_ns).sum())
    assert found.numbers["rows_not_sealed"] == waiting
    if waiting:
        assert f"{waiting} expiries wait for a seal" in found.summary
        edit(
            proved,
            "ALTER TABLE masques.transactions UPDATE trace_id = 'A' WHERE "
            f"toUnixTimestamp64Nano(timestamp) > {sealed_to_ns}",
        )
        assert "trace_id is not what" in INTEGRITY.prove(read_scope(proved)).findings[0]


EDITS_OF_ACCOUNTS = {
    "identity_id": "generateUUIDv4()",
    "code": "code + 1",
    "ledger": "ledger + 1",
    "flags": "bitXor(flags, 8)",
    "created_at": "created_at + toIntervalNanosecond(1)",
    "credits_posted": "credits_posted + 1",
    "debits_pending": "debits_pending + toDecimal256('0.000000000000000001', 18)",
    "currency": "'USDC'",
    "account_type": "'evil'",
}
ONE_ACCOUNT = "account_id IN (SELECT min(account_id) FROM masques.accounts WHERE code = 200)"


def test_an_edit_of_any_column_of_an_account_is_found_and_healed(
    proved: Warehouse, ledger: MemoryLedger, chart: Chart
) -> None:
    whole, scope = proved.frame(ACCOUNTS), read_scope(proved)
    for column, value in EDITS_OF_ACCOUNTS.items():
        edit(proved, f"ALTER TABLE masques.accounts UPDATE {column} = {value} WHERE {ONE_ACCOUNT}")
        assert LAST_READING.prove(scope).outcome == "fails", column
        # The next sync writes it again, and its checks say so once.
        sync_accounts(proved, ledger, chart)
        assert proved.frame(ACCOUNTS).equals(whole), column
        said = LAST_READING.prove(replace(scope, after_sync=True))
        is_of_a_word = column in {"currency", "account_type"}
        assert said.holds if is_of_a_word else "has written them again" in said.findings[0], column
    sync(proved, ledger, chart)
    assert failing(prove_after_sync(proved, ledger, chart)) == set()


PHANTOMS = {
    "among the others": "created_at + toIntervalNanosecond(1) AS created_at",
    "after the newest": "created_at + toIntervalDay(1) AS created_at",
    "before the first": "created_at - toIntervalYear(1) AS created_at",
    "of the future": "created_at + toIntervalYear(1) AS created_at, "
    "snapshot_at + toIntervalYear(1) AS snapshot_at",
}


def test_accounts_that_the_ledger_does_not_have_are_found_and_go(
    proved: Warehouse, ledger: MemoryLedger, chart: Chart
) -> None:
    whole = proved.frame(ACCOUNTS)
    for where, shifted in PHANTOMS.items():
        proved.command(
            "INSERT INTO masques.accounts SELECT * REPLACE(generateUUIDv4() AS account_id, "
            f"{shifted}) FROM (SELECT * FROM masques.accounts WHERE {ONE_ACCOUNT})"
        )
        sync_accounts(proved, ledger, chart)
        assert prove(proved, LAST_READING).outcome == "fails", where
        assert rebuild_accounts(proved, ledger, chart) == 122
        assert proved.frame(ACCOUNTS).equals(whole), where
        assert prove(proved, LAST_READING).holds, where
    assert failing(prove_after_sync(proved, ledger, chart)) == set()
    proved.command("TRUNCATE TABLE masques.accounts")
    assert LAST_READING.prove(read_scope(proved)).outcome == "fails"
    sync(proved, ledger, chart)
    assert proved.frame(ACCOUNTS).equals(whole)


def test_a_run_with_a_wrong_clock_is_over_with_the_next(
    proved: Warehouse, ledger: MemoryLedger, chart: Chart
) -> None:
    ahead = "recorded_at + toIntervalYear(8)"
    for table in ("ledger_syncs", "account_reads"):
        proved.command(
            f"INSERT INTO masques_ops.{table} SELECT * REPLACE({ahead} AS recorded_at) "
            f"FROM masques_ops.{table}"
        )
    found = prove(proved, FRESHNESS)
    assert "a clock is or was wrong" in found.findings[0]
    before = read_position(proved)
    ledger.add(event(int(ledger.events["timestamp"][-1]) + SECOND_NS, transfer_amount=0))
    sync(proved, ledger, chart)
    after = read_position(proved)
    assert after.newest_sync is not None
    assert after.newest_sync.age_s < 3600
    assert after.first_reading_ns > before.first_reading_ns  # so that checkpoints go on
    assert "clock is" not in prove(proved, FRESHNESS).summary


def parties() -> tuple[MemoryLedger, dict[str, int]]:
    known = np.concatenate([account(START_NS - 9), account(START_NS - 8)])
    ledger = MemoryLedger(known_accounts=known)
    return ledger, {"debit_account_id": START_NS - 9, "credit_account_id": START_NS - 8}


def test_while_an_import_goes_on_nothing_is_refuted(warehouse: Warehouse, chart: Chart) -> None:
    ledger, sides = parties()
    known = ledger.known_accounts
    hold = {"transfer_amount": 4, "transfer_flags": 2, **sides}
    # Expiries, so that imports land behind them, and behind each reading of the accounts.
    ledger.add(event(START_NS, type=1, **hold))
    ledger.add(event(START_NS + DAY_NS, type=4, transfer_id=START_NS, **hold))
    sync(warehouse, ledger, chart)
    imported = 0

    def import_after_each_reading(changing: MemoryLedger) -> None:
        nonlocal imported
        shown = imported
        known["debits_posted"]["low"][0] = known["credits_posted"]["low"][1] = shown
        imported += 1
        changing.add(event(START_NS + imported, transfer_amount=1, transfer_flags=256, **sides))

    ledger.before_call = import_after_each_reading
    sync(warehouse, ledger, chart)
    found = prove_after_sync(warehouse, ledger, chart)
    assert found[BALANCES].outcome == "inconclusive"
    assert "fails" not in {result.outcome for result in found.values()}
    ledger.before_call = lambda _ledger: None
    known["debits_posted"]["low"][0] = known["credits_posted"]["low"][1] = imported
    sync(warehouse, ledger, chart)
    assert failing(prove_after_sync(warehouse, ledger, chart)) == set()
    assert all_hold(prove_all(warehouse, from_beginning=True))


def old_history(years: int = 9) -> tuple[MemoryLedger, int]:
    """Returns a ledger with a payment and a hold every 200 days since so many years ago."""
    start = datetime.now(UTC) - timedelta(days=365 * years)
    start_ns = int(start.timestamp()) * SECOND_NS
    one, two = start_ns - 9, start_ns - 8
    known = np.concatenate([account(one), account(two), account(start_ns - 7)])
    ledger = MemoryLedger(known_accounts=known)
    sides = {"debit_account_id": one, "credit_account_id": two}
    for number in range(int(365 * years / 200)):
        at = start_ns + number * 200 * DAY_NS
        held = at + SECOND_NS
        ledger.add(event(at, transfer_amount=100 + number, **sides))
        ledger.add(event(held, type=1, transfer_flags=2, transfer_amount=10, **sides))
        if number % 3 == 0:  # posted in part, a step later
            ledger.add(
                event(
                    held + 200 * DAY_NS + 1,
                    type=2,
                    transfer_flags=4,
                    transfer_amount=7,
                    transfer_pending_id=held,
                    **sides,
                )
            )
    with_balances(ledger)
    return ledger, start_ns


def with_balances(ledger: MemoryLedger) -> None:
    """Gives the two accounts the balances that the events add up to."""
    types, amounts = ledger.events["type"], ledger.events["transfer_amount"]["low"]
    pending = 10 * (int((types == 1).sum()) - int((types == 2).sum()))
    posted = int(amounts[(types == 0) | (types == 2)].sum())
    for number, side in ((0, "debits"), (1, "credits")):
        ledger.known_accounts[f"{side}_pending"]["low"][number] = pending
        ledger.known_accounts[f"{side}_posted"]["low"][number] = posted


@pytest.mark.parametrize("cut", [0, 5])
def test_a_history_that_is_older_than_retention_is_provable(
    warehouse: Warehouse, chart: Chart, cut: int
) -> None:
    ledger, start_ns = old_history()
    everything = ledger.events
    for end in (cut, len(everything)) if cut else (len(everything),):
        ledger.events = everything[:end]
        with_balances(ledger)
        sync(warehouse, ledger, chart)
        # Without the ledger nothing can be said yet; with it, an opening checkpoint is written.
        if end == len(everything) and not cut:
            found = make_proof(BALANCES, read_scope(warehouse))
            assert "run ledger_sync_job" in found.summary
        results = prove_after_sync(warehouse, ledger, chart)
        assert all_hold(results), {p.name: (r.summary, r.findings) for p, r in results.items()}
    assert warehouse.scalar("SELECT min(timestamp) FROM masques.transactions").year >= (
        datetime.now(UTC).year - 7
    )
    full = prove_all(warehouse, from_beginning=True)
    assert all_hold(full), {p.name: (r.summary, r.findings) for p, r in full.items()}
    assert "not recomputed" in full[INTEGRITY].summary
    openings = "SELECT count() FROM masques_ops.balance_checkpoints FINAL WHERE is_opening"
    assert warehouse.scalar(openings) == (2 if cut else 1)
    assert start_ns < read_position(warehouse).base_ns
    if not cut:
        return
    # It is not derived from anything here: after a renewal it is read again.
    renew_checkpoints(warehouse)
    assert make_proof(BALANCES, read_scope(warehouse)).outcome == "inconclusive"
    assert all_hold(prove_after_sync(warehouse, ledger, chart))
    assert warehouse.scalar(openings) == 1
    # It is right, not only equal: a unit more on an account is found.
    edit(warehouse, "ALTER TABLE masques.accounts UPDATE debits_posted = 0 WHERE debits_posted > 0")
    assert make_proof(BALANCES, read_scope(warehouse)).outcome == "fails"


def test_a_ledger_that_ended_before_retention_begins_is_read_once(
    warehouse: Warehouse, chart: Chart
) -> None:
    ledger, _ = old_history()
    ledger.events = ledger.events[:5]
    with_balances(ledger)
    for _ in range(2):
        sync(warehouse, ledger, chart)
        assert all_hold(prove_after_sync(warehouse, ledger, chart))
    assert not read_position(warehouse).needs_opening
    assert all_hold(prove_all(warehouse, from_beginning=True))
    assert retention_horizon_ns() > int(ledger.events["timestamp"][-1])
