"""Binds a warehouse to the ledger that it is a copy of, and refuses any other.

Two ledgers in one warehouse could not be separated afterwards: times would interleave, and the
cursor of one would hide the events of the other.
"""

import uuid
from datetime import UTC, datetime
from typing import NoReturn

from masques_pipelines.errors import PermanentError
from masques_pipelines.ledger.records import CHANGE_EVENT_DTYPE, Records, records_of, u128
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql


class LedgerBindingError(PermanentError):
    """The warehouse is a copy of another ledger, or of a later state of this one."""


def bind_ledger(warehouse: Warehouse, source: LedgerSource) -> None:
    """Binds the warehouse to the ledger, or checks that it is bound to this one.

    A ledger is identified by its cluster id, from the first sync on; by its first event (time and
    transfer) once it has one; and it must still have the newest event that was sealed.

    Raises:
        LedgerBindingError: It is bound to another ledger, or the ledger has lost events; the text
            says what and what to do.
    """
    (bound,) = warehouse.records(sql("ledger/binding"))
    if not bound["clusters"]:
        _bind(warehouse, source, _first_event(source))
        return
    where = f"({bound['bound_source']}, bound {bound['bound']})"
    if bound["clusters"] != [str(source.cluster_id)]:
        _refuse(warehouse, source, f"cluster {' and '.join(bound['clusters'])} {where}")
    first_event_ns = int(bound["first_event_ns"])
    if first_event_ns == 0:
        first = _first_event(source)
        if len(first):
            _bind(warehouse, source, first)
        return
    first = _event_at(source, first_event_ns)
    transfer_id = bound["first_transfer"]
    if len(first) == 0 or uuid.UUID(int=u128(first, "transfer_id")[0]) != transfer_id:
        _refuse(
            warehouse,
            source,
            f"a ledger whose first event is transfer {transfer_id} at {first_event_ns} {where}",
        )
    _check_newest(warehouse, source, int(bound["newest_sealed_ns"]))


def _check_newest(warehouse: Warehouse, source: LedgerSource, sealed_ns: int) -> None:
    """Raises when the ledger does not have the newest event that was sealed any more."""
    if sealed_ns == 0 or len(_event_at(source, sealed_ns)):
        return
    moment = datetime.fromtimestamp(sealed_ns // 10**9, UTC).isoformat(sep=" ")
    raise LedgerBindingError(
        f"{source.description} does not have the event of ledger time {sealed_ns} ({moment}), the "
        f"newest of which {warehouse.description} is a copy: the ledger was restored from a backup "
        "of before that; restore its newest data, or, when what it has now is the truth, give "
        "MASQUES_HOME or MASQUES_CLICKHOUSE_URL an empty warehouse and keep this one to compare"
    )


def _first_event(source: LedgerSource) -> Records:
    page = source.change_events(0, limit=1)
    return records_of(page.data, CHANGE_EVENT_DTYPE, origin=source.description)


def _bind(warehouse: Warehouse, source: LedgerSource, first: Records) -> None:
    """Binds the warehouse to the cluster and, when there is one, to the first event."""
    has_event = len(first) > 0
    warehouse.command(
        sql("ledger/bind_ledger"),
        {
            "cluster_id": str(source.cluster_id),
            "first_event_ns": int(first["timestamp"][0]) if has_event else 0,
            "first_transfer_id": str(
                uuid.UUID(int=u128(first, "transfer_id")[0] if has_event else 0)
            ),
            "source": source.description,
            "bound_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
        },
    )


def _event_at(source: LedgerSource, time_ns: int) -> Records:
    page = source.change_events(time_ns, time_ns, limit=1)
    return records_of(page.data, CHANGE_EVENT_DTYPE, origin=source.description)


def _refuse(warehouse: Warehouse, source: LedgerSource, bound_to: str) -> NoReturn:
    raise LedgerBindingError(
        f"{warehouse.description} is a copy of {bound_to}, and {source.description} (cluster "
        f"{source.cluster_id}) is another ledger: give MASQUES_LEDGER_URL the first one, or "
        "MASQUES_HOME or MASQUES_CLICKHOUSE_URL an empty warehouse for this one"
    )
