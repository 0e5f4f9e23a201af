"""Runs statements of many clients on one embedded engine, each on a handle of its own.

The pipeline's handles and the readers' are separate pools: whatever readers ask, the pipeline's
statements do not wait for them.
"""

import contextlib
import importlib
import itertools
import queue
import re
import threading
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from masques_pipelines.warehouse.engine_noise import without_cgroup_noise
from masques_pipelines.warehouse.statements import (
    WORD,
    ServerError,
    Statement,
    calls_input,
    into_file,
    not_implemented,
    quoted,
    tokens,
)

# Statements that run at the same time. The pipeline's jobs have one or two each.
WRITERS: Final = 8
READERS: Final = 4
# More than these wait already: a reader is told so, as a server at its limit of queries says.
WAITING_READERS_MAX: Final = 32
_TOO_MANY_QUERIES: Final = 202
_SAME_ID_IS_RUNNING: Final = 216
_READ_ONLY: Final = "readonly"
_CANCEL: Final = "KILL QUERY WHERE endsWith(query, {marker:String}) ASYNC"


@dataclass(frozen=True)
class Job:
    """A statement with all that the request says about how to run it.

    Attributes:
        database: Names without a database are of this one.
        settings: Of this statement only.
        params: Bound to it.
        default_format: Of a result whose statement names none.
        query_id: Of a client; two of the same id do not run at once.
        is_readers: Its settings cannot be changed once they are set; it runs among readers.
    """

    statement: Statement
    database: str
    settings: Mapping[str, str]
    params: Mapping[str, str]
    default_format: str
    query_id: str = ""
    is_readers: bool = False
    marker: str = field(default_factory=lambda: f"-- {uuid.uuid4()}")


@dataclass(frozen=True)
class Answer:
    """What the engine gave; `format` is '' when the statement gives no result set."""

    body: bytes = b""
    format: str = ""
    summary: Mapping[str, int] = field(default_factory=dict)


class Handle:
    """One connection of the engine: one statement at a time."""

    def __init__(self, connection: str, folder: Path, settings: Mapping[str, str]) -> None:
        """Opens it.

        Args:
            connection: The engine's.
            folder: Where the data of `input()` is put as a file.
            settings: Of all its statements, unless a statement has others.
        """
        # Not at import: loading the engine takes half a second.
        with without_cgroup_noise():
            self._engine: Any = importlib.import_module("chdb").connect(connection)
        self._folder = folder
        self._database = "default"
        # chDB alone takes `1 + 1` for a query; a server does not.
        self._usual = {"implicit_select": "0", **settings}
        self._changed: dict[str, str] = {}
        self._set(self._usual)

    def close(self) -> None:
        """Closes it."""
        self._engine.close()

    def fix(self, settings: Mapping[str, str], database: str) -> None:
        """Sets what no later statement of this handle can change."""
        self._use(database)
        # Last: nothing is set after it.
        others = {name: value for name, value in settings.items() if name != _READ_ONLY}
        self._set({**others, _READ_ONLY: settings.get(_READ_ONLY, "1")})

    def run(self, job: Job, result_file: Path | None = None) -> Answer:
        """Runs a statement under its settings.

        Args:
            job: The statement.
            result_file: A file, or a named pipe, for its result; None: it is returned.
        """
        self._use(job.database)
        self._change_settings(job.settings)
        return self._run(job, result_file)

    def run_fixed(self, job: Job, result_file: Path | None = None) -> Answer:
        """Runs a statement of a reader, on a handle that `fix` prepared for its settings."""
        return self._run(job, result_file)

    def _use(self, database: str) -> None:
        if database != self._database:
            self._query(f"USE `{database.replace('`', '``')}`")
            self._database = database

    def _change_settings(self, settings: Mapping[str, str]) -> None:
        """Sets those of a statement; what the one before had set, and this one has not, goes."""
        gone = {name for name in self._changed if name not in settings}
        usual = {name: self._usual[name] for name in gone & set(self._usual)}
        fresh = {
            name: value for name, value in settings.items() if self._changed.get(name) != value
        }
        # A statement that was refused has set none of its settings.
        self._set({**usual, **fresh}, defaults=gone - set(usual))
        self._changed = dict(settings)

    def _set(self, settings: Mapping[str, str], defaults: "set[str] | None" = None) -> None:
        pairs = [f"{_name(name)} = {quoted(value)}" for name, value in settings.items()]
        pairs += [f"{_name(name)} = DEFAULT" for name in sorted(defaults or ())]
        if pairs:
            self._query("SET " + ", ".join(pairs))

    def _run(self, job: Job, result_file: Path | None) -> Answer:
        statement = job.statement
        if result_file is not None:
            sql = into_file(statement.sql, str(result_file), job.default_format)
            _body, summary = self._query(_marked(sql, job), job.default_format, job.params)
            return Answer(summary=summary)
        if statement.data is None:
            return self._select(job)
        for before, match in itertools.pairwise(tokens(statement.sql)):
            if calls_input(before, match):
                call = slice(before.start(), match.end())
                return self._insert_through_input(job, statement.data, call)
        if job.params:
            raise not_implemented("query parameters in an insert with data")
        return self._insert(statement.sql, statement.format, statement.data)

    def _select(self, job: Job) -> Answer:
        named = job.statement.format
        sql = _marked(job.statement.sql, job)
        if named or job.default_format != "TabSeparated":
            body, summary = self._query(sql, job.default_format, job.params)
            return Answer(body, named or job.default_format, summary)
        # A result set without rows and no result set are told apart by the line of names.
        body, summary = self._query(sql, "TabSeparatedWithNames", job.params)
        names, _, rows = body.partition(b"\n")
        return Answer(rows, job.default_format if names else "", summary)

    def _insert(self, sql: bytes, fmt: str, data: bytes) -> Answer:
        with _engine_errors(), self._engine.send_insert(sql.decode(), fmt) as stream:
            stream.append(data)
            done = stream.finish()
        return Answer(
            summary={
                "written_rows": done.rows_written,
                "written_bytes": done.bytes_written,
                "elapsed_ns": int(done.elapsed * 1e9),
            }
        )

    def _insert_through_input(self, job: Job, data: bytes, call: slice) -> Answer:
        """`input(` at `call` becomes `file(` on a copy: chDB silently takes no data."""
        sql = job.statement.sql
        spool = self._folder / f"spool-{uuid.uuid4()}"
        spool.write_bytes(data)
        try:
            source = f"file({quoted(str(spool))}, {quoted(job.statement.format)},".encode()
            rewritten = sql[: call.start] + source + sql[call.stop :]
            body, summary = self._query(rewritten, "Null", job.params)
        finally:
            spool.unlink()
        return Answer(body, summary=summary)

    def _query(
        self, sql: str | bytes, fmt: str = "TabSeparated", params: Mapping[str, str] | None = None
    ) -> tuple[bytes, dict[str, int]]:
        with _engine_errors():
            result = self._engine.query(sql, fmt, params=dict(params or {}))
        summary = {
            "read_rows": result.storage_rows_read(),
            "read_bytes": result.storage_bytes_read(),
            "written_rows": result.rows_written(),
            "written_bytes": result.bytes_written(),
            "result_rows": result.rows_read(),
            "elapsed_ns": int(result.elapsed() * 1e9),
        }
        return result.bytes() or b"", summary


def _marked(sql: bytes, job: Job) -> bytes:
    """The engine gives statements ids of its own: to cancel one, its text says which it is."""
    return sql + b"\n" + job.marker.encode()


def _wishes(job: Job) -> tuple[object, ...]:
    """Returns what a reader's handle has to be like."""
    return (job.database, tuple(sorted(job.settings.items())))


def _name(setting: str) -> str:
    if not WORD.fullmatch(setting.encode()):
        text = f"Code: 115. DB::Exception: Unknown setting '{setting}'. (UNKNOWN_SETTING)"
        raise ServerError(115, text)
    return setting


@contextlib.contextmanager
def _engine_errors() -> Iterator[None]:
    """ChDB raises RuntimeErrors with the server's text in them, sometimes behind its own."""
    try:
        yield
    except RuntimeError as error:
        found = re.search(r"Code: (\d+)\..*", str(error), re.DOTALL)
        if not found:
            raise
        raise ServerError(int(found[1]), found[0].strip()) from error


class Engine:
    """The embedded engine at one path, with a pool of handles for concurrent requests."""

    def __init__(self, connection: str, folder: Path, settings: Mapping[str, str]) -> None:
        """Opens it.

        Args:
            connection: The engine's address with its options.
            folder: For files of this process.
            settings: Of every statement, unless it has others.
        """
        self._connection = connection
        self._folder = folder
        self._settings = settings
        # The first opens the engine; the others join it.
        self._own = self._opened()
        self._own_guard = threading.Lock()
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self._free: queue.SimpleQueue[Handle] = queue.SimpleQueue()
        for _ in range(WRITERS):
            self._free.put(self._opened())
        self._fixed: queue.LifoQueue[tuple[object, Handle]] = queue.LifoQueue()
        self._readers_waiting = 0
        self._running: set[str] = set()
        self.version, self.timezone = self._rows("SELECT version(), timezone()")[0]
        names = self._rows("SELECT number, errorCodeToName(number) FROM numbers(2000)")
        self._error_names = {int(code): name for code, name in names if name}

    def submit(self, job: Job, result_file: Path | None = None) -> "Future[Answer]":
        """Runs a statement when a handle is free. To be called from one thread.

        Raises:
            ServerError: Too many readers wait already, or its query id is running.
        """
        if job.query_id and job.query_id in self._running:
            raise self.error(_SAME_ID_IS_RUNNING, f"Query with id = {job.query_id} is running")
        if not job.is_readers:
            future = self._writers.submit(self._write, job, result_file)
        elif self._readers_waiting >= READERS + WAITING_READERS_MAX:
            raise self.error(_TOO_MANY_QUERIES, "Too many simultaneous queries of readers")
        else:
            self._readers_waiting += 1
            future = self._readers.submit(self._read, job, result_file)
        self._running.add(job.query_id)
        return future

    def forget(self, job: Job) -> None:
        """Notes that a statement has ended. To be called from the thread that submitted it."""
        self._running.discard(job.query_id)
        self._readers_waiting -= job.is_readers

    def cancel(self, job: Job) -> None:
        """Cancels a statement that is running; its error says so."""
        sql = _CANCEL.replace("{marker:String}", quoted(job.marker)).encode()
        with contextlib.suppress(ServerError), self._own_guard:
            self._own.run(Job(Statement(sql, ""), "default", {}, {}, "TabSeparated"))

    def error(self, code: int, text: str) -> ServerError:
        """Returns an error that the engine did not raise, with its own name for the code."""
        name = self._error_names.get(code, "UNKNOWN")
        return ServerError(code, f"Code: {code}. DB::Exception: {text}. ({name})")

    def close(self) -> None:
        """Closes all handles, when the statements have ended."""
        for pool in (self._writers, self._readers):
            pool.shutdown()
        while not self._fixed.empty():
            self._fixed.get()[1].close()
        while not self._free.empty():
            self._free.get().close()
        self._own.close()

    def _opened(self) -> Handle:
        return Handle(self._connection, self._folder, self._settings)

    def _write(self, job: Job, result_file: Path | None) -> Answer:
        handle = self._free.get()
        try:
            return handle.run(job, result_file)
        finally:
            self._free.put(handle)

    def _read(self, job: Job, result_file: Path | None) -> Answer:
        handle = self._fixed_handle(job)
        try:
            return handle.run_fixed(job, result_file)
        finally:
            self._fixed.put((_wishes(job), handle))

    def _fixed_handle(self, job: Job) -> Handle:
        """Returns a handle that has a reader's settings; one of others is closed for it."""
        others = []
        found = None
        with contextlib.suppress(queue.Empty):
            while found is None:
                wishes, handle = self._fixed.get_nowait()
                if wishes == _wishes(job):
                    found = handle
                else:
                    others.append((wishes, handle))
        if found is None and len(others) >= READERS:
            others.pop()[1].close()
        for other in others:
            self._fixed.put(other)
        if found is not None:
            return found
        handle = self._opened()
        try:
            handle.fix(job.settings, job.database)
        except BaseException:
            handle.close()
            raise
        return handle

    def _rows(self, sql: str) -> list[list[str]]:
        job = Job(Statement(sql.encode(), ""), "default", {}, {}, "TabSeparated")
        return [line.split("\t") for line in self._own.run(job).body.decode().splitlines()]
