"""Gathers lines of files into batches, which lie in a file until they are loaded."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from masques_pipelines.landing.chunks import Chunk, FileProblemError, chunk_rows
from masques_pipelines.landing.file_log import FAILED, FileResult
from masques_pipelines.warehouse.spool import Spool

# What the engine parses in one statement, which costs it some 0.2 s of its own, however few the
# lines are.
BATCH_BYTES: Final = 128 << 20
BATCH_CHUNKS: Final = 1000


@dataclass
class Source:
    """One thing to load: its result, which is filled in, and its lines.

    Attributes:
        result: The caller sets folder, path, source and channel; the loader the counts.
        chunks: The lines. May raise FileProblemError: then the file as a whole is quarantined too.
        finish: Called after the last chunk, to complete the result (the file's hash).
        is_whole_file: False for single lines, which do not show that the file can be read.
    """

    result: FileResult
    chunks: Iterable[Chunk]
    finish: Callable[[FileResult], None] = lambda _result: None
    is_whole_file: bool = True


@dataclass(frozen=True)
class StoredChunk:
    """A chunk of a batch, whose lines are read from the batch's file when they are asked for."""

    source: Source
    first_line: int
    lines: int
    problem: str
    spool: Spool
    offset: int
    size: int

    @property
    def data(self) -> bytes:
        """The lines of NDJSON, separated by line feeds, without the last line feed."""
        return self.spool.read(self.offset, self.size)


@dataclass
class Batch:
    """Chunks that are loaded together.

    Attributes:
        rows: The chunks as `chunk_rows` gives them.
        chunks: Where each of them is; its place is its number.
        ended: The sources that end with the batch.
        lines: How many lines the chunks have.
        lines_sum: The sum of the lines' numbers.
        names: The names that the SQL uses.
    """

    rows: Spool
    chunks: list[StoredChunk] = field(default_factory=list)
    ended: list[Source] = field(default_factory=list)
    lines: int = 0
    lines_sum: int = 0
    names: dict[str, str] = field(default_factory=dict)

    def add(self, source: Source, chunk: Chunk) -> None:
        """Writes a chunk of a source."""
        head, data = chunk_rows(
            len(self.chunks), source.result.source, source.result.channel, chunk
        )
        offset = self.rows.size + len(head)
        self.rows.write((head, data))
        self.chunks.append(
            StoredChunk(
                source, chunk.first_line, chunk.lines, chunk.problem, self.rows, offset, len(data)
            )
        )
        self.lines += chunk.lines
        self.lines_sum += chunk.lines_sum

    @property
    def is_full(self) -> bool:
        """Whether it should be loaded before more is added."""
        return self.rows.size >= BATCH_BYTES or len(self.chunks) + len(self.ended) >= BATCH_CHUNKS

    def lines_at(self, places: Iterable[tuple[int, int, str]]) -> Iterator[tuple[str, int, bytes]]:
        """Yields source, number and text of lines, given chunk and line number in order."""
        split_no, lines = -1, []
        for chunk_no, line_no, source in places:
            chunk = self.chunks[int(chunk_no)]
            if chunk_no != split_no:
                split_no, lines = int(chunk_no), chunk.data.split(b"\n")
            yield source, int(line_no), lines[int(line_no) - chunk.first_line]


def gather(sources: Iterable[Source], spool: Callable[[], Spool]) -> Iterator[Batch]:
    """Gathers sources into batches; a source may span several."""
    batch = Batch(spool())
    for source in sources:
        for chunk in _chunks(source):
            batch.add(source, chunk)
            if batch.is_full:
                yield batch
                batch = Batch(spool())
        source.finish(source.result)
        batch.ended.append(source)
        if batch.is_full:
            yield batch
            batch = Batch(spool())
    if batch.chunks or batch.ended:
        yield batch
    else:
        batch.rows.close()


def _chunks(source: Source) -> Iterator[Chunk]:
    """Yields a source's chunks; a problem of the whole file ends them and is noted."""
    try:
        yield from source.chunks
    except FileProblemError as problem:
        source.result.state = FAILED
        source.result.problem = f"{problem.reason}: {problem}"
