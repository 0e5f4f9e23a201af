"""Opens the ledger that MASQUES_LEDGER_URL names. _SCHEMES is the list of the kinds of sources."""

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote

from masques_pipelines.errors import SettingError
from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.source import LedgerSource, parse_cluster_id
from masques_pipelines.ledger.tigerbeetle.address import ADDRESSES_MAX, Address
from masques_pipelines.ledger.tigerbeetle.source import (
    CALL_TIMEOUT_S,
    OPEN_TIMEOUT_S,
    Bounds,
    TigerBeetleSource,
)

# Registering with a cluster takes about 0.6 s, so a shorter time would always fail. A time of more
# than an hour is likelier a typing mistake than meant.
TIMEOUT_S_MIN: Final = 1.0
TIMEOUT_S_MAX: Final = 3600.0

_VARIABLE: Final = "MASQUES_LEDGER_URL"
_TIGERBEETLE_FORM: Final = "tigerbeetle://10.0.0.1:3000,10.0.0.2:3000/?cluster_id=7"
_CAPTURE_FORM: Final = "capture:///absolute/folder"


@dataclasses.dataclass(frozen=True)
class _Url:
    """The parts of a URL. Not urllib's: it refuses a list of addresses with an IPv6 one in it."""

    authority: str
    path: str
    query: str


def open_ledger(url: str) -> LedgerSource:
    """Opens a ledger for reading; close it, or use it as a context manager.

    Args:
        url: `tigerbeetle://host:port,…/?cluster_id=7`, with one address per replica in the
            cluster's order (port 3001 when left out), and optional `timeout_s` (one page) and
            `open_timeout_s` (the first answer); or `capture:///absolute/folder`.

    Raises:
        SettingError: The URL cannot be used; the text says which part.
        LedgerUnavailableError: No ledger answers there.
        LedgerRefusedError: The ledger or the capture will not serve this reader.
        PageError: A file of the capture does not have the expected layout.
    """
    scheme, separator, rest = url.partition("://")
    opener = _SCHEMES.get(scheme)
    # The text of an unknown URL is never shown: it may hold a password.
    if not separator or opener is None:
        shown = f"the scheme {scheme!r} is not known" if separator else "it has no scheme"
        raise SettingError(
            f"{_VARIABLE}: {shown}; known are {' and '.join(_SCHEMES)}, "
            f"as in {_TIGERBEETLE_FORM} or {_CAPTURE_FORM}"
        )
    if "#" in rest:
        raise SettingError(
            f"{_VARIABLE}: remove the '#' and what follows it (in a path, write %23)"
        )
    before_query, _, query = rest.partition("?")
    authority, slash, path = before_query.partition("/")
    return opener(_Url(authority=authority, path=slash + path, query=query))


def _open_tigerbeetle(url: _Url) -> LedgerSource:
    if url.path not in ("", "/"):
        raise SettingError(
            f"{_VARIABLE}: remove the path {url.path!r}: a cluster has none, as in "
            f"{_TIGERBEETLE_FORM}"
        )
    options = _options(url.query, known=("cluster_id", "timeout_s", "open_timeout_s"))
    if "cluster_id" not in options:
        raise SettingError(
            f"{_VARIABLE}: cluster_id is missing; write it as in {_TIGERBEETLE_FORM}"
        )
    try:
        cluster_id = parse_cluster_id(options["cluster_id"])
    except ValueError as error:
        raise SettingError(f"{_VARIABLE}: cluster_id: {error}") from error
    bounds = Bounds(
        open_timeout_s=_seconds(options, "open_timeout_s", default_s=OPEN_TIMEOUT_S),
        timeout_s=_seconds(options, "timeout_s", default_s=CALL_TIMEOUT_S),
    )
    return TigerBeetleSource(cluster_id, _addresses(url.authority), bounds=bounds)


def _addresses(authority: str) -> list[Address]:
    if "@" in authority:
        raise SettingError(
            f"{_VARIABLE}: remove the user and password before '@': TigerBeetle has none"
        )
    texts = authority.split(",")
    if not authority or len(texts) > ADDRESSES_MAX:
        count = len(texts) if authority else 0
        raise SettingError(
            f"{_VARIABLE}: it has {count} addresses; a cluster has 1 to {ADDRESSES_MAX}, one for "
            "each replica"
        )
    addresses = []
    for number, text in enumerate(texts, start=1):
        try:
            addresses.append(Address.parse(text))
        except ValueError as error:
            raise SettingError(
                f"{_VARIABLE}: address {number} of {len(texts)}: {error}; write host:port, with "
                "commas between addresses"
            ) from error
    return addresses


def _open_capture(url: _Url) -> LedgerSource:
    _options(url.query, known=())
    folder = Path(unquote(url.path))
    if url.authority or folder == Path("/") or not folder.is_absolute():
        raise SettingError(
            f"{_VARIABLE}: a capture needs an absolute folder with three slashes, as in "
            f"{_CAPTURE_FORM}"
        )
    return CaptureSource(folder)


def _options(query: str, *, known: tuple[str, ...]) -> dict[str, str]:
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise SettingError(
            f"{_VARIABLE}: what follows the '?' is not name=value, with '&' between"
        ) from error
    options = dict(pairs)
    for name in options:
        if name not in known:
            listed = ", ".join(known) if known else "none"
            raise SettingError(f"{_VARIABLE}: unknown option {name[:60]!r}; known are {listed}")
    if len(options) < len(pairs):
        raise SettingError(f"{_VARIABLE}: an option is given twice; known are {', '.join(known)}")
    return options


def _seconds(options: dict[str, str], name: str, *, default_s: float) -> float:
    if name not in options:
        return default_s
    text = options[name]
    seconds = float(text) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) else math.nan
    if not TIMEOUT_S_MIN <= seconds <= TIMEOUT_S_MAX:
        raise SettingError(
            f"{_VARIABLE}: {name} is {text[:60]!r}, not a number of seconds from "
            f"{TIMEOUT_S_MIN:g} to {TIMEOUT_S_MAX:g}"
        )
    return seconds


_SCHEMES: Final[dict[str, Callable[[_Url], LedgerSource]]] = {
    "tigerbeetle": _open_tigerbeetle,
    "capture": _open_capture,
}
