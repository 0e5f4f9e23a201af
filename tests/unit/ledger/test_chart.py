"""The chart: the packaged one, and one line for each way to get it wrong."""

from pathlib import Path

import pytest

from masques_pipelines.ledger.chart import ChartError, LedgerEntry, read_chart

VALID = """
ledgers:
  1: {asset: USD, scale: 6}
account_codes: {100: treasury}
transfer_codes: {1: deposit}
resource_types: {1: masque}
"""


def test_the_packaged_chart_names_what_the_captures_use() -> None:
    chart = read_chart(None)

    assert chart.ledgers == {
        1: LedgerEntry(asset="USD", scale=6),
        2: LedgerEntry(asset="BTC", scale=11),
        3: LedgerEntry(asset="SOL", scale=9),
    }
    assert chart.account_codes == {
        100: "treasury",
        200: "prepaid",
        300: "author",
        400: "platform_fee",
        500: "escrow",
    }
    assert sorted(chart.transfer_codes) == list(range(1, 12))
    assert sorted(chart.resource_types) == list(range(1, 6))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        # Decimal(76, 18) has no room for it.
        ("scale: 6", "scale: 19", "ledgers.1.scale: Input should be less than or equal to 18"),
        ("scale: 6", "scale: -1", "ledgers.1.scale: Input should be greater than or equal to 0"),
        ("scale: 6", "scale: '6'", "ledgers.1.scale: Input should be a valid integer"),
        ("scale: 6", "scale: 6.0", "ledgers.1.scale: Input should be a valid integer"),
        ("asset: USD", "asset: usd", "ledgers.1.asset: String should match pattern"),
        # Looks like a number that is not in the chart.
        ("deposit", "code_9", "transfer_codes.1: Value error, a name cannot begin with code_"),
        # Plain YAML would let the second one win.
        ("100: treasury", "100: treasury, 100: author", "line 4: 100 is there twice"),
        ("100: treasury", "65536: treasury", "account_codes.65536: Input should be less than"),
        ("1: masque", "256: masque", "resource_types.256: Input should be less than"),
        ("1: masque", "0: masque", "resource_types.0: Input should be greater than"),
        ("ledgers:", "ledger:", "ledgers: Field required"),
        ("{1: deposit}", "{1: deposit", "line 6: "),  # not closed
        ("  1: {asset: USD, scale: 6}", "  {}", "ledgers: Dictionary should have at least 1 item"),
    ],
)
def test_a_malformed_chart_is_one_line_that_names_file_and_entry(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    path = tmp_path / "chart.yaml"
    path.write_text(VALID.replace(before, after), encoding="utf-8")

    with pytest.raises(ChartError) as raised:
        read_chart(path)

    assert str(raised.value).startswith(f"{path}: {message}")
    assert "\n" not in str(raised.value)


def test_an_empty_chart_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chart.yaml"
    path.write_text("", encoding="utf-8")
    with pytest.raises(ChartError, match="the file: "):
        read_chart(path)
