"""Cuts Arrow batches into chunks of NDJSON lines that stay small, whatever a column holds.

A dictionary column keeps each value once: 100 KB of Parquet may hold two million rows of one value
of a megabyte. Rows are measured as they will be written, and cut before they are.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from masques_pipelines.landing.arrow_json import is_text, json_lines, with_readable_bytes
from masques_pipelines.landing.chunks import CHUNK_BYTES, LINE_BYTES_MAX, LINE_TOO_LONG, Chunk
from masques_pipelines.landing.fields import Fields

# What a number, a time or a decimal takes as text, at most about.
_PLAIN_BYTES: Final = 24
# Quotes, colon and comma.
_NAME_BYTES: Final = 8

Sizes = npt.NDArray[np.int64]


def batches_chunks(
    batches: Iterable[pa.RecordBatch], *, first_line: int = 1, fields: Fields | None = None
) -> Iterator[Chunk]:
    """Yields the rows of Arrow batches as NDJSON; a row beyond LINE_BYTES_MAX is one bad row.

    Args:
        batches: The rows.
        first_line: The number of the first row.
        fields: What is known of the columns; None for text in bytes.
    """
    line_no = first_line
    for batch in batches:
        sizes = _row_bytes(batch)
        for start, end in _cuts(sizes):
            if sizes[start] > LINE_BYTES_MAX:
                said = f"a row of {sizes[start]:,} bytes".encode()
                yield Chunk(line_no, said, LINE_TOO_LONG)
            else:
                piece = batch.slice(start, end - start)
                if fields is not None:
                    piece = with_readable_bytes(piece, fields)
                yield Chunk(line_no, json_lines(piece))
            line_no += end - start


def _cuts(sizes: Sizes) -> Iterator[tuple[int, int]]:
    """Yields where pieces begin and end: up to CHUNK_BYTES each, or one row that is longer."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + CHUNK_BYTES, "right")))
        yield start, end
        start = end


def _row_bytes(batch: pa.RecordBatch) -> Sizes:
    names_bytes = sum(len(name) + _NAME_BYTES for name in batch.schema.names)
    sizes = np.full(batch.num_rows, names_bytes, np.int64)
    for column in batch.columns:
        sizes += _value_bytes(column)
    return sizes


def _value_bytes(column: Any) -> Sizes:  # noqa: PLR0911 - one for each kind
    """Returns how long each value will be as text, before characters are escaped."""
    kind = column.type
    if isinstance(column, pa.ExtensionArray):
        return _value_bytes(column.storage)
    if pa.types.is_dictionary(kind):
        of_each = _value_bytes(column.dictionary)
        if not len(of_each):
            return np.zeros(len(column), np.int64)
        places = pc.fill_null(pc.cast(column.indices, pa.int64()), 0)
        sizes: Sizes = of_each[places.to_numpy(zero_copy_only=False)]
        return sizes
    if pa.types.is_fixed_size_list(kind):
        return _value_bytes(pc.cast(column, pa.list_(kind.value_type)))
    if pa.types.is_map(kind):
        return _list_bytes(column, _value_bytes(column.keys) + _value_bytes(column.items))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _list_bytes(column, _value_bytes(column.values))
    if pa.types.is_struct(kind):
        sizes = np.full(len(column), _NAME_BYTES, np.int64)
        for field, child in zip(kind, column.flatten(), strict=True):
            sizes += _value_bytes(child) + len(field.name) + _NAME_BYTES
        return sizes
    if is_text(kind) and not pa.types.is_fixed_size_binary(kind):
        lengths = pc.fill_null(pc.cast(pc.binary_length(column), pa.int64()), 0)
        return np.asarray(lengths.to_numpy(zero_copy_only=False), np.int64)
    width = 2 * kind.byte_width if pa.types.is_fixed_size_binary(kind) else _PLAIN_BYTES
    return np.full(len(column), width, np.int64)


def _list_bytes(column: Any, of_entries: Sizes) -> Sizes:
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(of_entries + _NAME_BYTES)])
    offsets = column.offsets.to_numpy(zero_copy_only=False)
    of_lists: Sizes = ends[offsets[1:]] - ends[offsets[:-1]]
    return of_lists
