"""What the chart says of facilitators: exact, and one line with its number for each way to err."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from masques_pipelines.ledger.chart import ChartError, Row, read_chart
from tests.unit.ledger.test_chart import VALID

BUYERS_HAND = "0x" + "5" * 40
ACCOUNT = "0x" + "6" * 40
FACILITATORS = f"""
facilitators:
  cdp:
    submitters: ["{BUYERS_HAND.upper().replace("0X", "0x")}"]
    paid_to: ["{ACCOUNT}"]
    fees:
      - {{from: 2026-07-01, asset: USD, flat: "0.001", basis_points: "2.5"}}
      - {{from: 2026-01-01, asset: USD, flat: "0.001", free_per_month: 1000}}
    statements:
      - {{month: 2026-10, asset: USD, charged: "1.20"}}
"""
TEXT = VALID + FACILITATORS


def test_facilitators_are_rows_of_the_chart(tmp_path: Path) -> None:
    path = tmp_path / "chart.yaml"
    path.write_text(TEXT)
    rows = sorted(row for row in read_chart(path).entries() if row.kind.startswith("facilitator"))
    assert rows == [
        Row("facilitator", 1, "cdp", addresses=(BUYERS_HAND,)),
        Row("facilitator_account", 1, "cdp", addresses=(ACCOUNT,)),
        Row("facilitator_fee", 1, "cdp", fee_from=date(2026, 1, 1), fee_asset="USD",
            fee_flat=Decimal("0.001"), fee_free_per_month=1000),
        Row("facilitator_fee", 2, "cdp", fee_from=date(2026, 7, 1), fee_asset="USD",
            fee_flat=Decimal("0.001"), fee_basis_points=Decimal("2.5")),
        Row("facilitator_statement", 1, "cdp", fee_from=date(2026, 10, 1), fee_asset="USD",
            fee_charged=Decimal("1.20")),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "line", "message"),
    [
        ('flat: "0.001", basis', "flat: 0.001, basis", 13, "must be a whole number, or an exact"),
        ('flat: "0.001", basis', 'flat: "-1", basis', 13, "must be a number that is not negative"),
        ('flat: "0.001", basis', 'flat: "1e9", basis', 13, "must be a number that is not negative"),
        ('"2.5"', '"10001"', 13, "must be at most 10000"),
        ('"2.5"', '"0.00001"', 13, "with at most 4 decimals"),
        ("from: 2026-07-01", "from: July", 13, "must be a day, as in 2026-01-01"),
        ("from: 2026-07-01", "from: 2026-01-01", 9, "two fees hold from the same day"),
        ("month: 2026-10", "month: 2026-13", 16, "must be a month, as in 2026-10"),
        ("asset: USD, charged", "charged", 16, "Field required"),
        ("statements:", "bills:", 15, "Extra inputs are not permitted"),
        (ACCOUNT, "0x12", 11, "must be an address"),
        (f'["{BUYERS_HAND}"]', "[]", 10, "at least 1 item"),
        ("  cdp:", "  CDP:", 9, "String should match pattern"),
    ],
)
def test_an_error_names_its_line(
    tmp_path: Path, before: str, after: str, line: int, message: str
) -> None:
    path = tmp_path / "chart.yaml"
    assert before in TEXT
    path.write_text(TEXT.replace(before, after, 1))
    with pytest.raises(ChartError) as raised:
        read_chart(path)
    said = str(raised.value)
    assert said.startswith(f"{path}: line {line}: facilitators.")
    assert message in said
    assert "\n" not in said


def test_one_address_is_of_one_facilitator(tmp_path: Path) -> None:
    path = tmp_path / "chart.yaml"
    other = FACILITATORS[FACILITATORS.index("  cdp:") :].replace("  cdp:", "  payai:")
    path.write_text(TEXT + other)
    with pytest.raises(ChartError, match="is a submitter of cdp and of payai"):
        read_chart(path)
