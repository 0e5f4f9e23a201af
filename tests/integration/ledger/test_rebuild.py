"""Rows derived anew from the ledger: the chart learned a ledger, or a month was lost."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from masques_pipelines.inventory.detached import drop_detached
from masques_pipelines.inventory.proofs import prove_files
from masques_pipelines.ledger import rebuild
from masques_pipelines.ledger.accounts import rebuild_accounts, sync_accounts
from masques_pipelines.ledger.chart import read_chart
from masques_pipelines.ledger.month import Month
from masques_pipelines.ledger.proofs.chart_findings import CHART as CHART_PROOF
from masques_pipelines.ledger.proofs.suite import prove_all
from masques_pipelines.ledger.rebuild import MonthRebuilt, rebuild_transactions
from masques_pipelines.ledger.transactions import RebuildError, sync_transactions
from masques_pipelines.warehouse.client import Warehouse
from tests.support.broken_files import break_a_file
from tests.support.memory_ledger import MemoryLedger, account, event
from tests.support.paths import ROOT

CHART = ROOT / "masques_pipelines" / "ledger" / "chart.yaml"
EVERYTHING = "SELECT * EXCEPT ingested_at FROM masques.transactions ORDER BY timestamp"
SEPTEMBER_END_NS = 1_790_812_799_999_999_999  # 2026-09-30 23:59:59.999999999 UTC
DAY_NS = 86_400 * 10**9


def three_months() -> MemoryLedger:
    """Events in September, October and November; ledger 77 has some in the first two."""
    known = np.concatenate(
        [account(SEPTEMBER_END_NS - 9), account(SEPTEMBER_END_NS - 8, ledger=77)]
    )
    known = np.concatenate([known, account(SEPTEMBER_END_NS - 7, ledger=77)])
    own = {"debit_account_id": SEPTEMBER_END_NS - 8, "credit_account_id": SEPTEMBER_END_NS - 7}
    usd = {"debit_account_id": SEPTEMBER_END_NS - 9, "credit_account_id": SEPTEMBER_END_NS - 9}
    ledger = MemoryLedger(known_accounts=known)
    ledger.add(
        event(SEPTEMBER_END_NS, ledger=77, transfer_amount=1234, **own),
        event(SEPTEMBER_END_NS + 1, ledger=77, transfer_amount=66, **own),
        event(SEPTEMBER_END_NS + 2, transfer_amount=5, **usd),
        event(SEPTEMBER_END_NS + 40 * DAY_NS, transfer_amount=6, **usd),
    )
    known["debits_posted"]["low"][:] = (11, 1300, 0)
    known["credits_posted"]["low"][:] = (11, 0, 1300)
    return ledger


def swapped(done: dict[Month, MonthRebuilt]) -> dict[Month, int]:
    """Returns the rows of each month that was swapped in."""
    return {month: what.rows for month, what in done.items() if what.outcome == "swapped in"}


def failing(warehouse: Warehouse) -> set[str]:
    results = prove_all(warehouse, from_beginning=True)
    return {proof.name for proof, result in results.items() if not result.holds}


def test_rows_follow_the_chart_after_it_learned_a_ledger(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    ledger = three_months()
    sync_accounts(warehouse, ledger, read_chart(None))
    sync_transactions(warehouse, ledger, read_chart(None))
    assert failing(warehouse) == {"chart_knows_all"}
    seals = warehouse.rows("SELECT digest FROM masques_ops.ledger_seals")

    path = tmp_path / "chart.yaml"
    path.write_text(
        CHART.read_text().replace("\nledgers:\n", "\nledgers:\n  77: {asset: EUR, scale: 2}\n")
    )
    learned = read_chart(path)
    sync_accounts(warehouse, ledger, learned)
    sync_transactions(warehouse, ledger, learned)
    # Balances are euros now, events still units of a ledger unknown: the same raw amounts.
    findings = prove_all(warehouse)[CHART_PROOF].findings
    assert findings == (
        (
            "transactions: 2 rows are older than the chart's entry for ledger_77: "
            "run `masques ledger rebuild`"
        ),
    )
    assert failing(warehouse) == {"chart_knows_all"}

    done = swapped(rebuild_transactions(warehouse, ledger, learned, ledger=77))
    assert done == {Month(2026, 9): 1, Month(2026, 10): 2}
    assert warehouse.rows(
        "SELECT currency, amount FROM masques.transactions ORDER BY timestamp"
    ) == [
        ("EUR", Decimal("12.34")),
        ("EUR", Decimal("0.66")),
        ("USD", Decimal("0.000005")),
        ("USD", Decimal("0.000006")),
    ]
    assert failing(warehouse) == set()
    assert warehouse.rows("SELECT digest FROM masques_ops.ledger_seals") == seals
    assert warehouse.rows(
        "SELECT max(debits_posted) FROM masques_marts.account_history WHERE currency = 'EUR'"
    ) == [(Decimal(13),)]


def test_a_hold_has_one_scale_between_learning_a_ledger_and_its_rebuild(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    """F11: the hold was written in units of an unknown ledger, its post and another in euros."""
    ledger = three_months()
    held, posted, open_ = (SEPTEMBER_END_NS + 50 * DAY_NS + n for n in range(3))
    own = {"debit_account_id": SEPTEMBER_END_NS - 8, "credit_account_id": SEPTEMBER_END_NS - 7}
    hold = {"ledger": 77, "transfer_flags": 2, "type": 1, "transfer_amount": 1234, **own}
    ledger.add(event(held, **hold), event(open_ - 10, **hold))
    sync_transactions(warehouse, ledger, read_chart(None))
    path = tmp_path / "chart.yaml"
    path.write_text(
        CHART.read_text().replace("\nledgers:\n", "\nledgers:\n  77: {asset: EUR, scale: 2}\n")
    )
    post = {"ledger": 77, "transfer_flags": 4, "type": 2, "transfer_pending_id": held, **own}
    ledger.add(event(posted, transfer_amount=1234, **post))
    sync_transactions(warehouse, ledger, read_chart(path))
    shown = "SELECT state, currency, held, posted, open FROM {} ORDER BY state"
    rows = warehouse.rows(shown.format("masques_marts.holds"))
    euros, none = Decimal("12.34"), Decimal(0)
    assert rows == [("open", "EUR", euros, none, euros), ("posted", "EUR", euros, euros, none)]
    hold_id = warehouse.scalar(
        "SELECT transaction_id FROM masques_marts.holds WHERE state = 'posted'"
    )
    assert warehouse.rows(shown.format(f"masques_marts.hold(id = '{hold_id}')")) == rows[1:]
    assert warehouse.rows("SELECT currency, held FROM masques_marts.holds_open") == [("EUR", euros)]


def test_a_lost_or_damaged_month_comes_back(warehouse: Warehouse) -> None:
    ledger, chart = three_months(), read_chart(None)
    sync_accounts(warehouse, ledger, chart)
    sync_transactions(warehouse, ledger, chart)
    whole = warehouse.frame(EVERYTHING)

    warehouse.command("ALTER TABLE masques.transactions DROP PARTITION 202610")
    assert sync_transactions(warehouse, ledger, chart).rows_written == 0  # it only looks ahead
    assert "completeness" in failing(warehouse)
    done = rebuild_transactions(warehouse, ledger, chart, month=Month(2026, 10))
    assert done == {Month(2026, 10): MonthRebuilt("swapped in", rows=2, rows_before=0)}
    assert str(done[Month(2026, 10)]) == "2 rows swapped in for 0"
    pd.testing.assert_frame_equal(warehouse.frame(EVERYTHING), whole)

    warehouse.command(
        "ALTER TABLE masques.transactions UPDATE amount = 1 WHERE 1", mutations_sync=2
    )
    assert sum(swapped(rebuild_transactions(warehouse, ledger, chart)).values()) == 4
    pd.testing.assert_frame_equal(warehouse.frame(EVERYTHING), whole)
    assert failing(warehouse) == {"chart_knows_all"}  # ledger 77 is not in the chart


def test_a_damaged_file_is_found_and_written_again(warehouse: Warehouse) -> None:
    ledger, chart = three_months(), read_chart(None)
    sync_accounts(warehouse, ledger, chart)
    sync_transactions(warehouse, ledger, chart)
    accounts = "SELECT * EXCEPT (ingested_at, snapshot_at) FROM masques.accounts FINAL ORDER BY ALL"
    before = warehouse.rows(EVERYTHING), warehouse.rows(accounts)
    for name in ("masques.transactions", "masques.accounts"):
        break_a_file(warehouse, name)
        found = prove_files(warehouse, everything=True, names=(name,))
        assert (found.outcome, len(found.findings)) == ("fails", 1)
        assert "Checksum mismatch" in found.findings[0]
    rebuild_transactions(warehouse, ledger, chart)
    rebuild_accounts(warehouse, ledger, chart)
    assert (warehouse.rows(EVERYTHING), warehouse.rows(accounts)) == before
    names = ("masques.transactions", "masques.accounts")
    assert prove_files(warehouse, everything=True, names=names).outcome == "holds"
    # Not detached by the rebuild: a month is swapped for another. By an engine that starts it is.
    for name in names:
        warehouse.command(f"ALTER TABLE {name} DETACH PARTITION ID '{_any_part(warehouse, name)}'")
        assert drop_detached(warehouse, name, is_restored=lambda: False) == ()
        assert len(drop_detached(warehouse, name)) == 1


def _any_part(warehouse: Warehouse, name: str) -> str:
    return str(warehouse.scalar(f"SELECT any(_partition_id) FROM {name}"))


def test_a_ledger_that_lost_events_replaces_nothing(warehouse: Warehouse) -> None:
    ledger, chart = three_months(), read_chart(None)
    sync_transactions(warehouse, ledger, chart, batch_events=1)
    whole = warehouse.frame(EVERYTHING)
    everything = ledger.events
    ledger.events = everything[[0, 2, 3]]  # the second is in October
    ledger.page_events = 1

    with pytest.raises(RebuildError, match=r"2026-10: memory://ledger has 1 events, and at least"):
        rebuild_transactions(warehouse, ledger, chart)
    pd.testing.assert_frame_equal(warehouse.frame(EVERYTHING), whole)


NOTHING = MonthRebuilt("no events", rows=0, rows_before=0)


def test_months_without_events_are_passed_over_and_named(warehouse: Warehouse) -> None:
    ledger, chart = three_months(), read_chart(None)
    with pytest.raises(RebuildError, match=r"2026-10: there is nothing of it: sync the ledger f"):
        rebuild_transactions(warehouse, MemoryLedger(), chart, month=Month(2026, 10))
    sync_transactions(warehouse, ledger, chart)
    # The next event is in January: December has none.
    ledger.add(event(SEPTEMBER_END_NS + 100 * DAY_NS, transfer_amount=6))
    sync_transactions(warehouse, ledger, chart)
    whole = warehouse.frame(EVERYTHING)

    for month in (Month(2020, 1), Month(2027, 2)):
        with pytest.raises(RebuildError) as raised:
            rebuild_transactions(warehouse, ledger, chart, month=month)
        assert str(raised.value) == (
            f"{month}: there is nothing of it: give a month from 2026-09 to 2027-01"
        )
    empty = rebuild_transactions(warehouse, ledger, chart, month=Month(2026, 12))
    assert empty == {Month(2026, 12): NOTHING}
    assert rebuild_transactions(warehouse, ledger, chart) == {
        Month(2026, 9): MonthRebuilt("swapped in", rows=1, rows_before=1),
        Month(2026, 10): MonthRebuilt("swapped in", rows=2, rows_before=2),
        Month(2026, 11): MonthRebuilt("swapped in", rows=1, rows_before=1),
        Month(2026, 12): NOTHING,
        Month(2027, 1): MonthRebuilt("swapped in", rows=1, rows_before=1),
    }
    pd.testing.assert_frame_equal(warehouse.frame(EVERYTHING), whole)


def test_rows_of_a_month_of_which_the_ledger_has_nothing_are_dropped(warehouse: Warehouse) -> None:
    ledger, chart = three_months(), read_chart(None)
    ledger.add(event(SEPTEMBER_END_NS + 100 * DAY_NS, transfer_amount=6))
    sync_transactions(warehouse, ledger, chart)
    whole = warehouse.frame(EVERYTHING)
    for days in (80, -400):  # between events, and before the first
        warehouse.command(
            "INSERT INTO masques.transactions SELECT * "
            "REPLACE(timestamp + toIntervalDay({days:Int32}) AS timestamp) "
            "FROM (SELECT * FROM masques.transactions ORDER BY timestamp LIMIT 1)",
            {"days": days},
        )
    assert "completeness" in failing(warehouse)
    done = rebuild_transactions(warehouse, ledger, chart)
    assert {month for month, what in done.items() if what.outcome == "dropped"} == {
        Month(2025, 8),
        Month(2026, 12),
    }
    pd.testing.assert_frame_equal(warehouse.frame(EVERYTHING), whole)


def test_a_month_past_retention_stays_as_it_is(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, chart = three_months(), read_chart(None)
    sync_transactions(warehouse, ledger, chart)
    monkeypatch.setattr(rebuild, "retention_horizon_ns", lambda: SEPTEMBER_END_NS + 20 * DAY_NS)
    done = rebuild_transactions(warehouse, ledger, chart)
    assert [str(what) for what in done.values()] == [
        "its events are past retention, 1 rows stay as they are",
        "its events are past retention, 2 rows stay as they are",
        "1 rows swapped in for 1",
    ]
