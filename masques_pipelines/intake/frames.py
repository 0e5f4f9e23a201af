"""Loads a pandas DataFrame with the same validation as a file, for notebooks and scripts.

The columns are the fields of the landing contract (docs/intake.md). Loading the same frame again
changes nothing: its rows are there already.
"""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from masques_pipelines.intake.batches import Source
from masques_pipelines.intake.channels import FRAME
from masques_pipelines.intake.loader import Loader
from masques_pipelines.intake.run import LEASE, IntakeResult
from masques_pipelines.intake.tables import intake_table
from masques_pipelines.inventory.tables import BY_ASSET
from masques_pipelines.inventory.writes import counted
from masques_pipelines.landing.arrow_chunks import batches_chunks
from masques_pipelines.landing.chunks import Chunk
from masques_pipelines.landing.fields import Fields
from masques_pipelines.landing.file_log import FileResult, record_files
from masques_pipelines.landing.listing import shown
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import writer_lease

_BATCH_ROWS = 16_384


def load_frame(warehouse: Warehouse, table: str, frame: pd.DataFrame, *, name: str) -> IntakeResult:
    """Loads the rows of a DataFrame, with the validation, duplicates and quarantine of files.

    Args:
        warehouse: The target.
        table: identities, masque_sessions, api_requests or reputation_events.
        frame: Columns are the table's fields. Times may be timestamps (UTC when they have no zone),
            ISO-8601 texts or epoch numbers; ids uuid.UUID or text; money Decimal or text; maps
            dictionaries. The index is ignored. Missing is None, NaN, NaT or pd.NA.
        name: The frame is `frame:<name>` in quarantine, where its row numbers begin with 1.

    Raises:
        UnknownTableError: There is no such table.
        ValueError: Two columns of the frame have one name.
        IntakeIncompleteError, LeaseBusyError, WarehouseTransientError, WarehousePermanentError:
            as load_table.
    """
    found = intake_table(table)
    if not frame.columns.is_unique:
        raise ValueError("two columns of the frame have one name: name each field once")
    source = shown(f"{FRAME}:{name}")
    result = FileResult(
        folder=table,
        path=source,
        version=datetime.now(UTC).isoformat(),
        source=source,
        channel=FRAME,
        bytes=int(frame.memory_usage(deep=False).sum()),
    )
    done = IntakeResult(found)
    with (
        writer_lease(warehouse, LEASE) as lease,
        counted(warehouse, BY_ASSET[found.name]),
        warehouse.second_connection() as helper,
    ):
        loader = Loader(warehouse, found, helper=helper, before_batch=lease.hold)
        for ended in loader.load([Source(result, frame_chunks(frame, loader.fields))]):
            record_files(warehouse, ended)
            done.files.extend(ended)
    done.reasons = loader.reasons
    return done


def frame_chunks(frame: pd.DataFrame, fields: Fields) -> Iterator[Chunk]:
    """Yields the rows of a frame as lines of NDJSON."""
    for start in range(0, len(frame), _BATCH_ROWS):
        part = frame.iloc[start : start + _BATCH_ROWS]
        names = [str(name) for name in part.columns]
        arrays = [_array(part.iloc[:, number]) for number in range(len(names))]
        batch = pa.RecordBatch.from_arrays(arrays, names=names)
        yield from batches_chunks([batch], first_line=start + 1, fields=fields)


def _array(column: "pd.Series[Any]") -> pa.Array:
    """Returns a column as Arrow; objects that Arrow has no type for become their text."""
    if column.dtype == object:
        column = column.map(_plain, na_action="ignore")
    try:
        array = pa.array(column, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        array = pa.array(column.map(_text, na_action="ignore"), pa.string(), from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _plain(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, dict):
        return json.dumps(value, default=str)
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
