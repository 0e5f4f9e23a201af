"""Reads the date that the names of folders say, so that older ones need not be listed each time.

`2026-11-24`, `20261124`, `2026-11`, `2026/11/24` and `2026/11`, each part also as `dt=…`.
"""

import calendar
import contextlib
import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

_NUMBERS: Final = re.compile(r"(\d{4})(?:-?(\d{2})(?:-?(\d{2}))?)?")
_TWO_DIGITS: Final = re.compile(r"\d{2}")


def last_day(path: str) -> date | None:
    """Returns the last day that a folder is for by its path, None when that says no date."""
    parts: list[int] = []
    for name in path.strip("/").split("/"):
        text = name.rsplit("=", 1)[-1]
        if whole := _NUMBERS.fullmatch(text):
            parts = [int(part) for part in whole.groups() if part]
        elif 0 < len(parts) < 3 and _TWO_DIGITS.fullmatch(text):
            parts.append(int(text))
    if not parts:
        return None
    year, month = parts[0], parts[1] if len(parts) > 1 else 12
    with contextlib.suppress(ValueError, calendar.IllegalMonthError):
        last = calendar.monthrange(year, month)[1]
        return date(year, month, parts[2] if len(parts) > 2 else last)
    return None


def is_older(path: str, since: date | None) -> bool:
    """Says whether a folder is for days before a date only."""
    day = last_day(path) if since else None
    return since is not None and day is not None and day < since


def days_ago(days: int | None) -> date | None:
    """Returns the day (UTC) so many days before today, None for None."""
    return None if days is None else datetime.now(UTC).date() - timedelta(days=days)
