"""Takes a rail's own secrets out of texts that a node answered.

Providers echo what they were sent: the URL with its key, the bearer token, the macaroon.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

REDACTED: Final = "[redacted]"
# Shorter pieces of a path ("v2", "rpc") are names, and taking them out would garble every text.
_PIECE_MIN: Final = 6
# Of a secret, any part of this length is a secret as well: providers cut what they echo.
_PART_MIN: Final = 12
_NOTHING: Final = r"(?!)"
_URL: Final = re.compile(
    r"\b([a-z][a-z0-9+.-]*://)(?:[^\s/@]*@)?([^\s/?#'\"]+)[^\s'\"]*", re.IGNORECASE
)


class Redactor:
    """Replaces secrets in a text, in whatever usual encoding they come back."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for each in secrets for form in _forms(each)}
        short = sorted((each for each in forms if len(each) < _PART_MIN), key=len, reverse=True)
        self._short = re.compile("|".join(map(re.escape, short)) or _NOTHING, re.IGNORECASE)
        self._parts = frozenset(
            form[start : start + _PART_MIN]
            for form in forms
            for start in range(len(form) - _PART_MIN + 1)
        )

    def __call__(self, text: str) -> str:
        """Returns the text without secrets, and with no more of an URL than its host."""
        text = _URL.sub(rf"\1\2/{REDACTED}", text)
        return self._short.sub(REDACTED, self._without_parts(text))

    def _without_parts(self, text: str) -> str:
        if not self._parts:
            return text
        lowered = text.lower()
        if len(lowered) != len(text):  # a letter whose small form is longer; no secret has one
            text = text.encode("ascii", "replace").decode()
            lowered = text.lower()
        pieces, kept_from, hidden_to = [], 0, -1
        for start in range(len(lowered) - _PART_MIN + 1):
            if lowered[start : start + _PART_MIN] not in self._parts:
                continue
            if start > hidden_to:
                pieces += [text[kept_from:start], REDACTED]
            kept_from = hidden_to = start + _PART_MIN
        return "".join([*pieces, text[kept_from:]])


def redactor_of(url: str, headers: Mapping[str, str]) -> Redactor:
    """Returns what takes the key of a URL and the values of headers out of texts."""
    return Redactor(secrets_of(url, headers))


def secrets_of(url: str, headers: Mapping[str, str]) -> list[str]:
    """Returns the parts of a URL and of headers that may be secrets."""
    parts = urlsplit(url)
    is_provider = parts.scheme in ("http", "https")
    pieces = [each for each in parts.path.split("/") if is_provider and len(each) >= _PIECE_MIN]
    values = [value for _, value in parse_qsl(parts.query, keep_blank_values=True) if value]
    own = [each for each in (parts.username, parts.password) if each]
    tokens = [each for value in headers.values() for each in (value, value.rpartition(" ")[2])]
    return [*pieces, *values, *own, *tokens]


def _forms(secret: str) -> set[str]:
    """Returns a secret as it may come back, in lower case."""
    plain = unquote(secret)
    raw = plain.encode()
    encoded = {
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        raw.hex(),
    }
    try:  # a macaroon goes as hex, and may come back as base64
        bytes_of = bytes.fromhex(plain)
        encoded |= {
            base64.b64encode(bytes_of).decode().rstrip("="),
            base64.urlsafe_b64encode(bytes_of).decode().rstrip("="),
        }
    except ValueError:
        pass
    return {each.lower() for each in {secret, plain, quote(plain, safe=""), *encoded} if each}
