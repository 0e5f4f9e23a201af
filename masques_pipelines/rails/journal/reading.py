"""Reads JSON that outsiders wrote: bounded in depth, digits and characters before it is parsed.

Clients choose parts of each line. Python's own parser ends in a RecursionError for deep lists, in a
ValueError for long numbers, and lets half of a surrogate pair through, which no table can store.
"""

import base64
import json
import re
from typing import Any, Final

# Real messages are 6 levels deep.
DEPTH_MAX: Final = 32
# A uint256 has 78 digits; a longer number stays text, which no field takes for a number.
DIGITS_MAX: Final = 78
# A payment payload has 2 kB; a header is bounded by web servers at 8 to 64 kB.
HEADER_CHARACTERS_MAX: Final = 256 * 1024

_STRINGS: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS: Final = re.compile(r"[^\[\]{}]+")
# An escaped backslash, a whole surrogate pair, or half of one.
_ESCAPES: Final = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_HALF_PAIR_LENGTH: Final = 6


class UnreadableError(ValueError):
    """A text that is not JSON, or too deep; it never quotes the text."""


def read_json(text: str) -> Any:
    """Parses JSON; what is too deep or is not JSON is an UnreadableError and nothing else."""
    if text.count("[") + text.count("{") > DEPTH_MAX and _depth(text) > DEPTH_MAX:
        raise UnreadableError("nested too deep")
    if "\\u" in text:
        text = _ESCAPES.sub(_whole, text)
    text = text.encode("utf-8", "replace").decode()
    try:
        return json.loads(text, parse_int=_integer, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("not JSON") from error


def read_header(value: Any) -> dict[str, Any]:
    """Returns the JSON object of a header in base64, plain or for URLs.

    Raises:
        UnreadableError: It is not one.
    """
    if not isinstance(value, str) or len(value) > HEADER_CHARACTERS_MAX:
        raise UnreadableError("not a text, or too long")
    plain = value.strip().replace("-", "+").replace("_", "/").rstrip("=")
    try:
        data = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError as error:
        raise UnreadableError("not base64") from error
    found = read_json(data.decode("utf-8", "replace"))
    if not isinstance(found, dict):
        raise UnreadableError("not an object")
    return found


def _depth(text: str) -> int:
    """Returns how deep a text is nested, without recursion; more than DEPTH_MAX ends the count."""
    depth = deepest = 0
    for bracket in _NOT_BRACKETS.sub("", _STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
        if deepest > DEPTH_MAX:
            break
    return deepest


def _whole(match: re.Match[str]) -> str:
    text = match[0]
    return "\\ufffd" if len(text) == _HALF_PAIR_LENGTH else text


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= DIGITS_MAX + 1 else text


def _refused(_name: str) -> None:
    raise UnreadableError("NaN and infinity are not JSON")
