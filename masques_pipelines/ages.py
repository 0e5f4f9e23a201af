"""Puts lengths of time in words, the same in every command, page and message."""

from datetime import UTC, datetime, timedelta
from typing import Final

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


def duration(length: timedelta | float) -> str:
    """Returns a length of time, or of seconds, in the largest unit of which it has two."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    for unit_s, name in _UNITS:
        if abs(seconds) >= 2 * unit_s:
            return f"{int(seconds / unit_s):,} {name}"
    return f"{int(seconds)} s"


def age(then: datetime, now: datetime) -> str:
    """Returns how long ago something was; a time without a zone is UTC."""
    passed = now - (then if then.tzinfo else then.replace(tzinfo=UTC))
    return "in the future" if passed < timedelta(0) else f"{duration(passed)} ago"
