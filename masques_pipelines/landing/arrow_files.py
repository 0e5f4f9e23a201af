"""Reads CSV and Parquet files, and Arrow batches, as chunks of NDJSON lines.

Loaded only where one is read: Arrow takes longer to load than most commands need.
"""

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from masques_pipelines.landing.arrow_json import json_lines
from masques_pipelines.landing.chunks import (
    BOM,
    CHUNK_BYTES,
    WRONG_FIELD_COUNT,
    Chunk,
    FileProblemError,
)
from masques_pipelines.landing.compression import BLOCK_BYTES, BlockStream

PARQUET_BATCH_ROWS: Final = 16_384
_HEADER_BYTES_MAX: Final = 1 << 20


def batches_chunks(batches: Iterable[pa.RecordBatch], *, first_line: int = 1) -> Iterator[Chunk]:
    """Yields the rows of Arrow batches as NDJSON."""
    line_no = first_line
    for batch in batches:
        for piece in _bounded(batch):
            yield Chunk(line_no, json_lines(piece))
            line_no += piece.num_rows


def _bounded(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cuts a batch so that a chunk of it stays near CHUNK_BYTES; names add to the values."""
    if batch.num_rows == 0:
        return
    names_bytes = sum(len(name) + 8 for name in batch.schema.names)
    row_bytes = batch.get_total_buffer_size() // batch.num_rows + names_bytes
    rows = max(1, CHUNK_BYTES // max(1, row_bytes))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def parquet_chunks(blocks: Iterable[bytes]) -> Iterator[Chunk]:
    """Yields the rows of a Parquet file as NDJSON.

    Parquet is read from its end, so a stream is written to a temporary file first.

    Raises:
        FileProblemError: It cannot be read (further).
    """
    with tempfile.TemporaryFile() as file:
        file.writelines(blocks)
        file.seek(0)
        try:
            parquet = pyarrow.parquet.ParquetFile(file)
            names = parquet.schema_arrow.names
            _refuse_repeated(names)
            yield from batches_chunks(parquet.iter_batches(batch_size=PARQUET_BATCH_ROWS))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise FileProblemError(
                "bad_parquet",
                f"the Parquet data cannot be read ({_line(error)}): deliver the file again",
            ) from error


def csv_chunks(blocks: Iterable[bytes]) -> Iterator[Chunk]:
    """Yields the records of a CSV file as NDJSON.

    Raises:
        FileProblemError: It cannot be read (further).
    """
    stream = io.BufferedReader(BlockStream(blocks), BLOCK_BYTES)
    head = stream.peek(_HEADER_BYTES_MAX)
    if head.startswith(BOM):
        stream.read(len(BOM))
        head = stream.peek(_HEADER_BYTES_MAX)
    if not head:
        return
    names = _header(head)
    bad: list[Any] = []

    def keep(row: Any) -> str:
        bad.append(row)
        return "skip"

    try:
        with pyarrow.csv.open_csv(
            stream,
            # One thread: only then has a bad row its number. Values stay bytes: the engine rejects
            # a bad row by itself, where the reader would reject the file.
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=CHUNK_BYTES, column_names=names, skip_rows=1
            ),
            parse_options=pyarrow.csv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=keep
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(names, pa.binary()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        ) as reader:
            yield from _csv_records(reader, bad)
    except FileProblemError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FileProblemError(
            "bad_csv", f"the CSV data cannot be read ({_line(error)}): deliver the file again"
        ) from error


def _csv_records(reader: Iterable[pa.RecordBatch], bad: list[Any]) -> Iterator[Chunk]:
    """Numbers the records: good rows take the numbers that the skipped ones leave free."""
    record = 2  # the header is record 1
    for batch in reader:
        start = 0
        while start < batch.num_rows:
            yield_to = batch.num_rows
            if bad:
                yield_to = min(yield_to, start + bad[0].number - record)
            if yield_to > start:
                part = batch.slice(start, yield_to - start)
                yield from batches_chunks([part], first_line=record)
                record, start = record + part.num_rows, yield_to
            if bad and bad[0].number == record:
                yield _skipped(bad.pop(0), record)
                record += 1
    for row in bad:
        yield _skipped(row, record)
        record += 1


def _skipped(row: Any, record: int) -> Chunk:
    text = row.text.encode("utf-8", "surrogateescape")
    return Chunk(record, text, WRONG_FIELD_COUNT)


def _header(head: bytes) -> list[str]:
    try:
        names = next(csv.reader(io.StringIO(head.decode("utf-8", "replace"), newline="")))
    except (csv.Error, StopIteration) as error:
        raise FileProblemError(
            "bad_header", "the CSV file has no line of field names: deliver it with one"
        ) from error
    names = [name.strip() for name in names]
    _refuse_repeated(names)
    return names


def _refuse_repeated(names: list[str]) -> None:
    if "" in names or len(set(names)) != len(names):
        raise FileProblemError(
            "bad_header",
            "a field name is empty or there twice: name each field once, and deliver again",
        )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
