"""Several payers of one Solana transaction are told apart where their transfers are the sum."""

import pytest

from masques_pipelines.rails.solana.transfers import PAYERS_MAX, _amount, _told_apart


@pytest.mark.parametrize(
    ("paid", "units", "text"),
    [
        ({"a": 2, "b": 3}, 5, "a 2, b 3"),
        ({"b": 3, "a": 2}, 5, "b 3, a 2"),
        ({"a": 5}, 5, ""),  # one payer is the payer
        ({"a": 2, "b": 3}, 4, ""),  # a fee of the token, or a program that moved it otherwise
        ({"a": 2, "": 3}, 5, ""),  # nobody known
        ({"a": 2, "b": None}, 2, ""),  # a transfer that does not say how much
        ({f"w{n}": 1 for n in range(PAYERS_MAX)}, PAYERS_MAX, None),
        ({f"w{n}": 1 for n in range(PAYERS_MAX + 1)}, PAYERS_MAX + 1, ""),
    ],
)
def test_payers_are_told_apart_when_they_are_the_whole_sum(
    paid: dict[str, int | None], units: int, text: str | None
) -> None:
    found = _told_apart(paid, units)
    assert found == text if text is not None else found.count(", ") == PAYERS_MAX - 1


@pytest.mark.parametrize(
    ("info", "units"),
    [
        ({"amount": "7"}, 7),
        ({"tokenAmount": {"amount": "7", "decimals": 6}}, 7),
        ({"tokenAmount": {}}, None),
        ({"amount": 7}, None),
        ({"amount": "-7"}, None),
        ({"amount": "\u0667"}, None),
        ({}, None),
    ],
)
def test_a_transfer_says_what_it_moved_or_nothing(
    info: dict[str, object], units: int | None
) -> None:
    assert _amount(info) == units
