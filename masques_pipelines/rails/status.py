"""Says how the rails stand, and tries their endpoints without writing anything."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from masques_pipelines.ages import age
from masques_pipelines.errors import MasquesError
from masques_pipelines.rails import catalog
from masques_pipelines.rails.descriptor import RailDescriptor
from masques_pipelines.rails.endpoint import own_secrets
from masques_pipelines.rails.evidence import CHAIN_SAYS, ChainBalance
from masques_pipelines.rails.protocol import OPEN_MAX, OpenSettlement
from masques_pipelines.rails.run import unexpected
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql


def status_lines(warehouse: Warehouse, settings: Settings, now: datetime) -> Iterator[str]:
    """Returns some lines for each rail: head, position, what is open, errors, the chain's word."""
    known = {each["rail"]: each for each in warehouse.records(sql("rails/status"))}
    says = [ChainBalance(**each) for each in warehouse.records(sql(CHAIN_SAYS))]
    for rail in catalog.RAILS:
        reason = rail.disabled_reason(settings)
        yield f"{rail.name:10} {'off: ' + reason if reason else 'on'}"
        if rail.name in known and (not reason or known[rail.name]["position"] is not None):
            yield from (f"  {line}" for line in _rail_lines(rail, known[rail.name], now))
        elif not reason:
            yield "  never read; masques rails check tries the endpoint"
        yield from (f"  chain check: {each.text}" for each in says if each.rail == rail.name)
        start = getattr(getattr(settings, rail.name, None), "start", None)
        if start is not None and known.get(rail.name, {}).get("position") is not None:
            yield (
                f"  start at {rail.unit} {start:,}: used by the first run only; to read from "
                f"earlier, masques rails rewind {rail.name} {start}"
            )


def _rail_lines(rail: RailDescriptor, row: dict[str, Any], now: datetime) -> Iterator[str]:
    if row["position"] is not None:
        head = "unknown" if row["head"] is None else f"{row['head']:,}"
        behind = "" if row["behind"] is None else f", {row['behind']:,} behind"
        yield f"read to {rail.unit} {row['position']:,}, head {head}{behind}"
    if row["read_to"] is not None:
        yield f"final up to {row['read_to']:%Y-%m-%d %H:%M:%S}, {age(row['read_to'], now)}"
    if row["state"] != "off":
        yield f"last run: {row['state']}, {age(row['run_at'], now)}"
    if row["open_count"]:
        yield f"open: {row['open_count']:,}, the oldest {age(row['oldest_open'], now)}"
    if row["failure"]:
        yield f"last error, {age(row['failed_at'], now)}: {row['failure']}"


def check_lines(settings: Settings) -> Iterator[tuple[str, bool]]:
    """Makes one fetch of each rail that is on and keeps nothing; returns lines, and whether good.

    It needs no warehouse, and reads as the first run would: from the start.
    """
    redact = own_secrets(settings)
    for rail in catalog.RAILS:
        try:
            reason = rail.disabled_reason(settings)
            if reason is not None:
                yield f"{rail.name:10} off: {reason}", True
                continue
            text, is_good = f"{rail.name:10} {_tried(settings, rail)}", True
        except MasquesError as error:
            text, is_good = f"{rail.name:10} FAILED: {redact(str(error))}", False
        except Exception as error:  # noqa: BLE001 - whatever it is, the other rails are tried
            text, is_good = f"{rail.name:10} FAILED: {unexpected(error)}", False
        yield text, is_good


def _tried(settings: Settings, rail: RailDescriptor) -> str:
    with catalog.open_rail(settings, rail.name, _nothing_open) as opened:
        fetched = opened.fetch(None)
        text = (
            f"good: {opened.description} on {opened.network or 'no network'} answered "
            f"{opened.calls} calls; at {rail.unit} {fetched.position:,}, "
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
