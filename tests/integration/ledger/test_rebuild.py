"""Rows derived anew from the ledger: the chart learned a ledger, or a month was lost."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from masques_pipelines.ledger.accounts import sync_accounts
from masques_pipelines.ledger.chart import read_chart
from masques_pipelines.ledger.proofs.chart_findings import CHART as CHART_PROOF
from masques_pipelines.ledger.proofs.suite import prove_all
from masques_pipelines.ledger.rebuild import Month, RebuildError, rebuild_transactions
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.warehouse.client import Warehouse
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

    done = rebuild_transactions(warehouse, ledger, learned, ledger=77)
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


def test_a_lost_or_damaged_month_comes_back(warehouse: Warehouse) -> None:
    ledger, chart = three_months(), read_chart(None)
    sync_accounts(warehouse, ledger, chart)
    sync_transactions(warehouse, ledger, chart)
    whole = warehouse.frame(EVERYTHING)

    warehouse.command("ALTER TABLE masques.transactions DROP PARTITION 202610")
    assert sync_transactions(warehouse, ledger, chart).rows_written == 0  # it only looks ahead
    assert "completeness" in failing(warehouse)
    assert rebuild_transactions(warehouse, ledger, chart, month=Month(2026, 10)) == {
        Month(2026, 10): 2
    }
    pd.testing.assert_frame_equal(warehouse.frame(EVERYTHING), whole)

    warehouse.command(
        "ALTER TABLE masques.transactions UPDATE amount = 1 WHERE 1", mutations_sync=2
    )
    assert sum(rebuild_transactions(warehouse, ledger, chart).values()) == 4
    pd.testing.assert_frame_equal(warehouse.frame(EVERYTHING), whole)
    assert failing(warehouse) == {"chart_knows_all"}  # ledger 77 is not in the chart


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


def test_a_month_without_events_is_named_and_left_as_it_is(warehouse: Warehouse) -> None:
    ledger, chart = three_months(), read_chart(None)
    with pytest.raises(RebuildError, match=r"no event in 2026-10 .*: sync the ledger first"):
        rebuild_transactions(warehouse, MemoryLedger(), chart, month=Month(2026, 10))
    sync_transactions(warehouse, ledger, chart)
    # The next event is in January: December has none.
    ledger.add(event(SEPTEMBER_END_NS + 100 * DAY_NS, transfer_amount=6))
    sync_transactions(warehouse, ledger, chart)
    whole = warehouse.frame(EVERYTHING)

    for month in (Month(2020, 1), Month(2026, 12), Month(2027, 2)):
        with pytest.raises(RebuildError) as raised:
            rebuild_transactions(warehouse, ledger, chart, month=month)
        assert str(raised.value) == (
            f"memory://ledger has no event in {month} that retention keeps: "
            "give a month from 2026-09 to 2027-01"
        )
    done = rebuild_transactions(warehouse, ledger, chart)
    assert done == {
        Month(2026, 9): 1,
        Month(2026, 10): 2,
        Month(2026, 11): 1,
        Month(2027, 1): 1,
    }
    pd.testing.assert_frame_equal(warehouse.frame(EVERYTHING), whole)
