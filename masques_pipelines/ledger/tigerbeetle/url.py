"""URLs of TigerBeetle clusters: `tigerbeetle://host:port,…/?cluster_id=7`."""

import math
import re
from typing import Final

from masques_pipelines.errors import SettingError
from masques_pipelines.ledger.source import LedgerSource, parse_cluster_id
from masques_pipelines.ledger.tigerbeetle.address import ADDRESSES_MAX, Address
from masques_pipelines.ledger.tigerbeetle.source import (
    CALL_TIMEOUT_S,
    OPEN_TIMEOUT_S,
    Bounds,
    TigerBeetleSource,
)
from masques_pipelines.ledger.url import VARIABLE, Kind, LedgerUrl

# Registering with a cluster takes about 0.6 s, so a shorter time would always fail. A time of more
# than an hour is likelier a typing mistake than meant.
TIMEOUT_S_MIN: Final = 1.0
TIMEOUT_S_MAX: Final = 3600.0

_EXAMPLE: Final = "tigerbeetle://10.0.0.1:3000,10.0.0.2:3000/?cluster_id=7"


def _open(url: LedgerUrl) -> LedgerSource:
    if url.path not in ("", "/"):
        raise SettingError(
            f"{VARIABLE}: remove the path {url.path!r}: a cluster has none, as in {_EXAMPLE}"
        )
    options = url.options(known=("cluster_id", "timeout_s", "open_timeout_s"))
    if "cluster_id" not in options:
        raise SettingError(f"{VARIABLE}: cluster_id is missing; write it as in {_EXAMPLE}")
    try:
        cluster_id = parse_cluster_id(options["cluster_id"])
    except ValueError as error:
        raise SettingError(f"{VARIABLE}: cluster_id: {error}") from error
    bounds = Bounds(
        open_timeout_s=_seconds(options, "open_timeout_s", default_s=OPEN_TIMEOUT_S),
        timeout_s=_seconds(options, "timeout_s", default_s=CALL_TIMEOUT_S),
    )
    return TigerBeetleSource(cluster_id, _addresses(url.authority), bounds=bounds)


KIND: Final = Kind(example=_EXAMPLE, open=_open)


def _addresses(authority: str) -> list[Address]:
    if "@" in authority:
        raise SettingError(
            f"{VARIABLE}: remove the user and password before '@': TigerBeetle has none"
        )
    texts = authority.split(",")
    if not authority or len(texts) > ADDRESSES_MAX:
        count = len(texts) if authority else 0
        raise SettingError(
            f"{VARIABLE}: it has {count} addresses; a cluster has 1 to {ADDRESSES_MAX}, one for "
            "each replica"
        )
    addresses = []
    for number, text in enumerate(texts, start=1):
        try:
            addresses.append(Address.parse(text))
        except ValueError as error:
            raise SettingError(
                f"{VARIABLE}: address {number} of {len(texts)}: {error}; write host:port, with "
                "commas between addresses"
            ) from error
    return addresses


def _seconds(options: dict[str, str], name: str, *, default_s: float) -> float:
    if name not in options:
        return default_s
    text = options[name]
    seconds = float(text) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) else math.nan
    if not TIMEOUT_S_MIN <= seconds <= TIMEOUT_S_MAX:
        raise SettingError(
            f"{VARIABLE}: {name} is {text[:60]!r}, not a number of seconds from "
            f"{TIMEOUT_S_MIN:g} to {TIMEOUT_S_MAX:g}"
        )
    return seconds
