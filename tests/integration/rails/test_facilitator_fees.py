"""What facilitators should charge by the chart, and did charge: exact sums in the marts."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from masques_pipelines.ledger.chart import load_chart, read_chart
from masques_pipelines.rails.protocol import Observation
from masques_pipelines.rails.revisions import append, changes_of
from masques_pipelines.warehouse.client import Warehouse
from tests.unit.ledger.test_chart import VALID
from tests.unit.ledger.test_chart_facilitators import ACCOUNT, BUYERS_HAND

NOW = datetime(2026, 11, 1, tzinfo=UTC)
CHART = (
    VALID.replace("scale: 6", "scale: 6, rail_assets: [USDC]")
    + f"""
facilitators:
  cdp:
    submitters: ["{BUYERS_HAND}"]
    paid_to: ["{ACCOUNT}"]
    fees:
      - {{from: 2026-01-01, asset: USD, flat: "0.001", free_per_month: 2}}
      - {{from: 2026-10-10, asset: USD, flat: "0.001", basis_points: "2.5"}}
    statements:
      - {{month: 2026-09, asset: USD, charged: "0.0010"}}
      - {{month: 2026-10, asset: USD, charged: "0.003"}}
"""
)


def payment(day: str, amount: str, currency: str = "USDC", **more: object) -> Observation:
    at = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    seen = Observation(
        settlement_id=uuid.uuid5(uuid.NAMESPACE_DNS, f"{day} {amount} {currency} {more}"),
        source="chain", rail="base", network="eip155:8453", direction="in", status="confirmed",
        amount=Decimal(amount), currency=currency, timestamp_ns=int(at.timestamp()) * 10**9,
        asset="0xa", to_address="0xb", payer="0xc", protocol="x402", tx_hash="0xd", block_height=1,
        finality="finalized", attributes={"submitted_by": BUYERS_HAND},
    )  # fmt: skip
    return replace(seen, **more)  # type: ignore[arg-type]


PAYMENTS = (
    # September: two are free, and the third costs 0.001.
    *(payment(f"2026-09-0{day}", "1") for day in (1, 2, 3)),
    # October: two free, one flat; from the tenth on flat and 2.5 basis points, of any number.
    *(payment(f"2026-10-0{day}", "5") for day in (1, 2, 3)),
    payment("2026-10-10", "8"),
    # November: a currency that is not booked in USD, and what is not paid by a facilitator of ours.
    payment("2026-11-02", "3", "EURC"),
    payment("2026-11-03", "3", attributes={"submitted_by": "0xother"}),
    payment("2026-11-04", "3", protocol=""),
    payment("2026-11-05", "3", status="pending", finality="latest"),
    # August: paid on the rail, and nothing stated.
    *(payment(f"2026-08-0{day}", "2") for day in (1, 2, 3, 4)),
    payment("2026-08-09", "0.002", direction="out", to_address=ACCOUNT, protocol=""),
    # Before the first fee.
    payment("2025-12-31", "9"),
)


def test_fees_are_estimated_beside_each_payment_and_compared(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    path = tmp_path / "chart.yaml"
    path.write_text(CHART)
    load_chart(warehouse, read_chart(path))
    append(warehouse, changes_of(PAYMENTS, {}), now=NOW)
    each = warehouse.rows(
        "SELECT toString(toDate(timestamp)), is_free, estimated FROM masques_marts.settlement_fees "
        "ORDER BY timestamp"
    )
    flat = Decimal("0.001")
    assert each == [
        ("2025-12-31", 0, None),
        ("2026-08-01", 1, 0), ("2026-08-02", 1, 0), ("2026-08-03", 0, flat),
        ("2026-08-04", 0, flat),
        ("2026-09-01", 1, 0), ("2026-09-02", 1, 0), ("2026-09-03", 0, flat),
        ("2026-10-01", 1, 0), ("2026-10-02", 1, 0), ("2026-10-03", 0, flat),
        ("2026-10-10", 0, Decimal("0.003")),
        ("2026-11-02", 0, None),
    ]  # fmt: skip
    assert warehouse.rows(
        "SELECT toString(month), fee_asset, payments, free, estimated, stated, paid, difference, "
        "state FROM masques_marts.facilitator_fees WHERE facilitator = 'cdp' ORDER BY month"
    ) == [
        ("2025-12-01", "", 1, 0, 0, None, 0, None, "not_estimated"),
        ("2026-08-01", "USD", 4, 2, 2 * flat, None, Decimal("0.002"), 0, "agrees"),
        ("2026-09-01", "USD", 3, 2, flat, flat, 0, 0, "agrees"),
        ("2026-10-01", "USD", 4, 2, 4 * flat, 3 * flat, 0, -flat, "differs"),
        ("2026-11-01", "USD", 1, 0, 0, None, 0, None, "not_estimated"),
    ]


def test_without_facilitators_in_the_chart_there_is_nothing(warehouse: Warehouse) -> None:
    load_chart(warehouse, read_chart(None))
    append(warehouse, changes_of(PAYMENTS, {}), now=NOW)
    assert warehouse.rows("SELECT * FROM masques_marts.settlement_fees") == []
    assert warehouse.rows("SELECT * FROM masques_marts.facilitator_fees") == []
