"""Reads Parquet as chunks of NDJSON lines, in bounded memory whatever its dictionaries say."""

import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from masques_pipelines.landing.arrow_chunks import batches_chunks
from masques_pipelines.landing.chunks import Chunk, FileProblemError, said
from masques_pipelines.landing.compression import refuse_bomb
from masques_pipelines.landing.fields import Fields, check_names

BATCH_ROWS: Final = 16_384
# What the values of one column of a batch may take at worst.
BATCH_BYTES_MAX: Final = 64 << 20
_BYTES: Final = "BYTE_ARRAY"


def parquet_chunks(blocks: Iterable[bytes], fields: Fields) -> Iterator[Chunk]:
    """Yields the rows of a Parquet file, the first being row 1.

    Parquet is read from its end, so a stream is written to a temporary file first.

    Raises:
        FileProblemError: It has no key field, or cannot be read (further); the chunks so far are
            good.
    """
    with tempfile.TemporaryFile() as file:
        file.writelines(blocks)
        size = file.tell()
        made = 0
        try:
            for chunk in batches_chunks(_batches(file, fields), fields=fields):
                made += len(chunk.data)
                refuse_bomb(taken=size, made=made)
                yield chunk
        except (pa.ArrowException, OSError, ValueError, IndexError) as error:
            raise FileProblemError(
                "bad_parquet",
                f"the Parquet data cannot be read ({said(error)}): deliver the file again",
            ) from error


def _batches(file: Any, fields: Fields) -> Iterator[pa.RecordBatch]:
    file.seek(0)
    described = pyarrow.parquet.ParquetFile(file)
    names = described.schema_arrow.names
    check_names(names, fields)
    leaves = [described.schema.column(number) for number in range(len(described.schema))]
    # Texts stay in their dictionaries: each value is in memory once, until its rows are measured.
    texts = [leaf.path for leaf in leaves if leaf.physical_type == _BYTES and leaf.path in names]
    far = [leaf.path for leaf in leaves if leaf.physical_type == "INT96" and leaf.path in names]
    # Not those inside of lists and maps: Arrow cannot. Their batches are short instead.
    inner = [
        number
        for number, leaf in enumerate(leaves)
        if leaf.physical_type == _BYTES and leaf.path not in names
    ]
    rows = _batch_rows(file, described.metadata, inner)
    batches = _open(file, texts).iter_batches(batch_size=rows)
    if not far:
        yield from batches
        return
    # INT96 counts nanoseconds of a day and days without an end; nanoseconds since 1970 end in 2262,
    # and what lies beyond would come round as a date of today. Microseconds reach further.
    coarse = _open(file, texts, coerce_int96_timestamp_unit="us")
    for batch, other in zip(batches, coarse.iter_batches(batch_size=rows), strict=True):
        yield _with_far_dates(batch, other, far)


def _batch_rows(file: Any, metadata: Any, leaves: list[int]) -> int:
    """Returns how many rows to read at once, so that no dictionary fills the memory.

    At worst each value of a column is the longest of its dictionary, and that is all of it.
    """
    rows = BATCH_ROWS
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for leaf in leaves:
            column = group.column(leaf)
            if column.has_dictionary_page and group.num_rows:
                row_bytes = _dictionary_bytes(file, column) * column.num_values // group.num_rows
                rows = min(rows, max(1, BATCH_BYTES_MAX // max(1, row_bytes)))
    return rows


def _dictionary_bytes(file: Any, column: Any) -> int:
    """Returns how long a dictionary page is when it is decompressed.

    A page begins with its header in Thrift's compact protocol: type, uncompressed size and
    compressed size are its first three fields, each a zigzag varint behind the byte 0x15.
    https://parquet.apache.org/docs/file-format/data-pages/
    """
    file.seek(column.dictionary_page_offset)
    head = file.read(16)
    place, value = 0, 0
    for _field in range(2):
        if head[place : place + 1] != b"\x15":
            raise ValueError("a page header of a dictionary is damaged")
        place, value, shift = place + 1, 0, 0
        while head[place] & 0x80:
            value |= (head[place] & 0x7F) << shift
            place, shift = place + 1, shift + 7
        value |= head[place] << shift
        place += 1
    return value >> 1


def _open(file: Any, texts: list[str], **options: Any) -> pyarrow.parquet.ParquetFile:
    return pyarrow.parquet.ParquetFile(
        file, read_dictionary=texts, page_checksum_verification=True, **options
    )


def _with_far_dates(
    batch: pa.RecordBatch, coarse: pa.RecordBatch, names: list[str]
) -> pa.RecordBatch:
    for name in names:
        place = batch.schema.get_field_index(name)
        fine, far = batch.column(place), coarse.column(place)
        reached = pc.cast(pc.floor_temporal(fine, unit="microsecond"), far.type, safe=False)
        texts = pc.if_else(
            pc.equal(reached, far), pc.cast(fine, pa.string()), pc.cast(far, pa.string())
        )
        batch = batch.set_column(place, name, texts)
    return batch
