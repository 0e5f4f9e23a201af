"""Says how the rails stand, and tries their endpoints without writing anything."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from masques_pipelines.ages import age
from masques_pipelines.errors import MasquesError, SettingError
from masques_pipelines.rails import catalog
from masques_pipelines.rails.descriptor import RailPlace
from masques_pipelines.rails.endpoint import own_secrets
from masques_pipelines.rails.evidence import CHAIN_SAYS, ChainBalance
from masques_pipelines.rails.protocol import OPEN_MAX, OpenSettlement
from masques_pipelines.rails.run import unexpected
from masques_pipelines.rails_file import read_rails_file
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql


def status_lines(warehouse: Warehouse, settings: Settings, now: datetime) -> Iterator[str]:
    """Returns lines for each network: head, position, what is open, errors, the chain's word."""
    known = {
        (each["rail"], each["network"], each["node"]): each
        for each in warehouse.records(sql("rails/status"))
    }
    says = [ChainBalance(**each) for each in warehouse.records(sql(CHAIN_SAYS))]
    shown: set[tuple[str, str]] = set()
    for place in catalog.places(settings):
        reason, key = place.disabled_reason, place.key
        row = known.get(key)
        network = f" ({key.network})" if key.network and not reason else ""
        yield f"{place.name:10} {'off: ' + reason if reason else 'on' + network}"
        if row is not None and (not reason or row["position"] is not None):
            yield from (f"  {line}" for line in _place_lines(place, row, now))
        elif not reason:
            yield "  never read; masques rails check tries the endpoint"
        # The nodes of one network are one chain.
        if key[:2] not in shown:
            shown.add(key[:2])
            yield from (
                f"  chain check: {each.text}"
                for each in says
                if (each.rail, each.network) == key[:2]
            )
        start = place.configured.start
        if start is not None and row is not None and row["position"] is not None:
            yield (
                f"  start at {place.kind.unit} {start:,}: used by the first run only; to read from "
                f"earlier, masques rails rewind {place.name} {start}"
            )


def _place_lines(place: RailPlace, row: dict[str, Any], now: datetime) -> Iterator[str]:
    if row["position"] is not None:
        head = "unknown" if row["head"] is None else f"{row['head']:,}"
        behind = "" if row["behind"] is None else f", {row['behind']:,} behind"
        yield f"read to {place.kind.unit} {row['position']:,}, head {head}{behind}"
    if row["read_to"] is not None:
        yield f"final up to {row['read_to']:%Y-%m-%d %H:%M:%S}, {age(row['read_to'], now)}"
    if row["state"] != "off":
        yield f"last run: {row['state']}, {age(row['run_at'], now)}"
    if row["open_count"]:
        yield f"open: {row['open_count']:,}, the oldest {age(row['oldest_open'], now)}"
    if row["failure"]:
        yield f"last error, {age(row['failed_at'], now)}: {row['failure']}"


def check_lines(settings: Settings) -> Iterator[tuple[str, bool]]:
    """Makes one fetch of each network that is on, keeps nothing; returns lines, and whether good.

    It needs no warehouse, and reads as the first run would: from the start.
    """
    redact = own_secrets(settings)
    for place in catalog.places(settings):
        reason = place.disabled_reason
        if reason is not None:
            yield f"{place.name:10} off: {reason}", True
            continue
        try:
            text, is_good = f"{place.name:10} {_tried(settings, place)}", True
        except MasquesError as error:
            text, is_good = f"{place.name:10} FAILED: {redact(str(error))}", False
        except Exception as error:  # noqa: BLE001 - whatever it is, the other rails are tried
            text, is_good = f"{place.name:10} FAILED: {unexpected(error)}", False
        yield text, is_good


def file_lines(path: Path) -> Iterator[str]:
    """Yields a line for each rail of a file that can be used.

    Raises:
        SettingError: It cannot be used: one line for each error.
    """
    found = read_rails_file(path)
    problems = []
    for each in found:
        try:
            catalog.by_name(each.kind).check(each)
        except SettingError as error:
            problems.append(str(error))
    if problems:
        raise SettingError("\n".join(problems))
    for each in found:
        place = RailPlace(catalog.by_name(each.kind), each)
        key = place.key
        yield f"{each.name:10} {' '.join(filter(None, (key.rail, key.network)))}"


def _tried(settings: Settings, place: RailPlace) -> str:
    with catalog.open_rail(settings, place, _nothing_open) as opened:
        fetched = opened.fetch(None)
        text = (
            f"good: {opened.description} on {opened.network or 'no network'} answered "
            f"{opened.calls} calls; at {place.kind.unit} {fetched.position:,}, "
            f"{fetched.behind:,} behind; {len(fetched.observations)} payments in the first fetch"
        )
    refused = Counter(each.reason for each in fetched.rejected)
    if refused:
        listed = ", ".join(f"{count} {reason}" for reason, count in refused.most_common(3))
        text += f"; {sum(refused.values())} would go to quarantine: {listed}"
    return text


def _nothing_open(*, after: str = "", limit: int = OPEN_MAX) -> Sequence[OpenSettlement]:
    del after, limit
    return ()
