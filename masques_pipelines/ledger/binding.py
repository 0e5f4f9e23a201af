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
    """The warehouse is a copy of another ledger."""


def bind_ledger(warehouse: Warehouse, source: LedgerSource) -> bool:
    """Binds the warehouse to the ledger, or checks that it is bound to this one.

    A ledger is identified by its cluster id and its first event (time and transfer). One without
    any event cannot be identified yet and is not bound.

    Returns:
        Whether the warehouse is bound now.

    Raises:
        LedgerBindingError: It is bound to another ledger; the text says to which and what to do.
    """
    rows = warehouse.rows(sql("ledger/binding"))
    if not rows:
        return _bind(warehouse, source)
    cluster_id, first_event_ns, first_transfer_id, bound_source, bound_at = rows[0]
    if int(cluster_id) != source.cluster_id:
        _refuse(warehouse, source, f"cluster {cluster_id} ({bound_source}, bound {bound_at})")
    first = _event_at(source, int(first_event_ns))
    if len(first) == 0 or uuid.UUID(int=u128(first, "transfer_id")[0]) != first_transfer_id:
        _refuse(
            warehouse,
            source,
            f"a ledger whose first event is transfer {first_transfer_id} at {first_event_ns} "
            f"({bound_source}, bound {bound_at})",
        )
    return True


def _bind(warehouse: Warehouse, source: LedgerSource) -> bool:
    page = source.change_events(0, limit=1)
    first = records_of(page.data, CHANGE_EVENT_DTYPE, origin=source.description)
    if len(first) == 0:
        return False
    warehouse.command(
        sql("ledger/bind_ledger"),
        {
            "cluster_id": str(source.cluster_id),
            "first_event_ns": int(first["timestamp"][0]),
            "first_transfer_id": str(uuid.UUID(int=u128(first, "transfer_id")[0])),
            "source": source.description,
            "bound_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
        },
    )
    return True


def _event_at(source: LedgerSource, time_ns: int) -> Records:
    page = source.change_events(time_ns, time_ns, limit=1)
    return records_of(page.data, CHANGE_EVENT_DTYPE, origin=source.description)


def _refuse(warehouse: Warehouse, source: LedgerSource, bound_to: str) -> NoReturn:
    raise LedgerBindingError(
        f"{warehouse.description} is a copy of {bound_to}, and {source.description} (cluster "
        f"{source.cluster_id}) is another ledger: give MASQUES_LEDGER_URL the first one, or "
        "MASQUES_HOME or MASQUES_CLICKHOUSE_URL an empty warehouse for this one"
    )
