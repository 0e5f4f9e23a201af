"""The chart: the packaged one, and one line for each way to get it wrong."""

import re
from pathlib import Path

import pytest

from masques_pipelines.ledger.chart import Chart, ChartError, LedgerEntry, Row, read_chart

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
        1: LedgerEntry(asset="USD", scale=6, rail_assets=("USDC",)),
        2: LedgerEntry(asset="BTC", scale=11, rail_assets=("BTC",)),
        3: LedgerEntry(asset="SOL", scale=9, rail_assets=("SOL",)),
    }
    assert {code: each.name for code, each in chart.account_codes.items()} == {
        100: "treasury",
        200: "prepaid",
        300: "author",
        400: "platform_fee",
        500: "escrow",
    }
    assert sorted(chart.transfer_codes) == list(range(1, 12))
    assert sorted(chart.resource_types) == list(range(1, 6))
    # It says of everything what it needs, and which side is a rail's.
    assert all(each.needs for each in chart.transfer_codes.values())
    assert [code for code, each in chart.account_codes.items() if each.row(code).is_rail_side] == [
        100
    ]


def read(tmp_path: Path, text: str) -> Chart:
    path = tmp_path / "chart.yaml"
    path.write_text(text, encoding="utf-8")
    return read_chart(path)


def test_a_chart_that_gives_names_only_has_the_defaults(tmp_path: Path) -> None:
    text = VALID.replace("{100: treasury}", "{100: treasury, 200: prepaid}")
    assert read(tmp_path, text).entries() == {
        Row("ledger", 1, "USD", 6, rail_assets=("USD",), hold_days_max=1),
        Row("account_code", 100, "treasury", is_rail_side=1),
        Row("account_code", 200, "prepaid"),
        Row("transfer_code", 1, "deposit", within_s=86_400),
        Row("resource_type", 1, "masque"),
    }


def test_a_chart_says_what_transfers_need_and_which_side_is_a_rails(tmp_path: Path) -> None:
    text = (
        VALID.replace("scale: 6", "scale: 6, rail_assets: [USDC, EURC, USDC], hold_days_max: 3")
        .replace(
            "100: treasury",
            "100: {name: treasury, is_rail_side: false}, 101: {name: hot, is_rail_side: true}",
        )
        .replace("1: deposit", "1: {name: deposit, needs: settlement, within_s: 600}")
    )
    assert read(tmp_path, text).entries() == {
        Row("ledger", 1, "USD", 6, rail_assets=("EURC", "USDC"), hold_days_max=3),
        Row("account_code", 100, "treasury"),
        Row("account_code", 101, "hot", is_rail_side=1),
        Row("transfer_code", 1, "deposit", needs="settlement", within_s=600),
        Row("resource_type", 1, "masque"),
    }
    assert (
        read(tmp_path, text.replace("[USDC, EURC, USDC]", "[]")).ledgers[1].row(1).rail_assets == ()
    )


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
        (
            "deposit",
            "code_9",
            "transfer_codes.1.name: Value error, a name cannot begin with code_",
        ),
        ("1: deposit", "1: {name: deposit, needs: love}", "transfer_codes.1.needs: Input should"),
        ("1: deposit", "1: {name: deposit, within_s: 0}", "transfer_codes.1.within_s: Input sh"),
        ("1: deposit", "1: {needs: nothing}", "transfer_codes.1.name: Field required"),
        ("1: deposit", "1: {name: a, need: nothing}", "transfer_codes.1.need: Extra inputs are"),
        (
            "100: treasury",
            "100: {name: treasury, is_rail_side: 1}",
            "account_codes.100.is_rail_side: Input should be a valid boolean",
        ),
        ("scale: 6", "scale: 6, rail_assets: [US D]", "ledgers.1.rail_assets.0: String should"),
        ("scale: 6", "scale: 6, hold_days_max: 0", "ledgers.1.hold_days_max: Input should be"),
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

    said = str(raised.value)
    if not message.startswith("line "):
        said = re.sub(r": line [1-6]: ", ": ", said, count=1)
    assert said.startswith(f"{path}: {message}")
    assert "\n" not in str(raised.value)


def test_an_empty_chart_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chart.yaml"
    path.write_text("", encoding="utf-8")
    with pytest.raises(ChartError, match="the file: "):
        read_chart(path)
