"""Moves every time of a rail's recording by the same difference.

Fixed dates would fall outside retention and score windows.
"""

from collections.abc import Callable
from typing import Any, Final

# Where the answers of the three rails hold times in seconds, as numbers, decimal or hex text.
TIME_KEYS: Final = frozenset(
    {
        "timestamp",
        "blockTimestamp",
        "blockTime",
        "creation_date",
        "settle_date",
        "accept_time",
        "resolve_time",
        "settle_time",
    }
)
_TIME_NS_KEYS: Final = frozenset({"creation_time_ns", "attempt_time_ns", "resolve_time_ns"})
# Methods whose bare result is a time.
_TIME_METHODS: Final = frozenset({"getBlockTime"})


def redated(recording: dict[str, Any], difference_s: int) -> dict[str, Any]:
    """Returns a recording whose every time is moved by the same difference.

    Args:
        recording: As json.load gives it; left as it is.
        difference_s: Seconds to add.
    """
    exchanges = []
    for each in recording["exchanges"]:
        bodies = (
            each["request"][2] if isinstance(each["request"][2], list) else [each["request"][2]]
        )
        is_time = any(isinstance(b, dict) and b.get("method") in _TIME_METHODS for b in bodies)
        response = _moved(each["response"], difference_s)
        if is_time and isinstance(response, dict) and isinstance(response.get("result"), int):
            response = {**response, "result": response["result"] + difference_s}
        exchanges.append({**each, "response": response})
    return {
        **recording,
        "recorded_at_s": recording["recorded_at_s"] + difference_s,
        "exchanges": exchanges,
    }


def _moved(value: Any, difference_s: int, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _moved(each, difference_s, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_moved(each, difference_s, key) for each in value]
    if key in TIME_KEYS:
        return _moved_time(value, difference_s)
    return _moved_time(value, difference_s * 10**9) if key in _TIME_NS_KEYS else value


def _moved_time(value: Any, difference: int) -> Any:
    """Moves a time in the form it has; 0 means none and stays."""
    forms: tuple[tuple[bool, Callable[[Any], int], Callable[[int], Any]], ...] = (
        (isinstance(value, int), int, int),
        (isinstance(value, str) and value.startswith("0x"), lambda v: int(v, 16), hex),
        (isinstance(value, str) and value.isdigit(), int, str),
    )
    for matches, read, write in forms:
        if matches:
            return write(read(value) + difference) if read(value) else value
    return value
