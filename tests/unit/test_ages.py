"""Lengths of time are the same words everywhere."""

from datetime import UTC, datetime, timedelta

import pytest

from masques_pipelines.ages import age, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (119.9, "119 s"),
        (120, "2 min"),
        (7_199, "119 min"),
        (7_200, "2 h"),
        (172_799, "47 h"),
        (172_800, "2 d"),
        (10**8 + 0.5, "1,157 d"),
        (-600, "-10 min"),
    ],
)
def test_a_length_has_two_of_its_unit_at_least(seconds: float, words: str) -> None:
    assert duration(seconds) == duration(timedelta(seconds=seconds)) == words


def test_a_time_without_a_zone_is_utc_and_one_to_come_is_told() -> None:
    now = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
    assert age(now - timedelta(minutes=5), now) == "5 min ago"
    assert age(datetime(2026, 11, 28, 11, 0), now) == "60 min ago"  # noqa: DTZ001 - on purpose
    assert age(now + timedelta(seconds=1), now) == "in the future"
