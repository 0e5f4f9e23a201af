"""Runs statements on the embedded engine as a server would: one pool of handles for one path."""

import contextlib
import itertools
import queue
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import chdb

from masques_pipelines.warehouse.serve.statements import (
    WORD,
    ServerError,
    Statement,
    calls_input,
    not_implemented,
    quoted,
    tokens,
)

OWNER = "owner"
BACKUPS_DISK = "backups"
HANDLES = 4  # engine handles, that is: statements that run at the same time


@dataclass(frozen=True)
class Job:
    """A statement with all that the request says about how to run it."""

    statement: Statement
    database: str
    settings: Mapping[str, str]
    params: Mapping[str, str]
    default_format: str


@dataclass(frozen=True)
class Answer:
    """What the engine gave; `format` is '' when the statement gives no result set."""

    body: bytes = b""
    format: str = ""
    summary: Mapping[str, int] = field(default_factory=dict)


class Handle:
    """One chDB connection. Its settings and its database are put right for each statement."""

    def __init__(self, connection: str, spool_dir: Path) -> None:
        self._engine: Any = chdb.connect(connection)  # type: ignore[no-untyped-call]
        self._spool_dir = spool_dir
        self._database = "default"
        # chDB alone takes `1 + 1` for a query; a server does not.
        self._query("SET implicit_select = 0")

    def close(self) -> None:
        self._engine.close()

    def run(self, job: Job) -> Answer:
        """Run one statement; the handle is left as it was found."""
        if job.database != self._database:
            self._query(f"USE `{job.database.replace('`', '``')}`")
            self._database = job.database
        if job.settings:
            # One statement: if one name or value is bad, none of them is set.
            pairs = ", ".join(f"{_name(k)} = {quoted(v)}" for k, v in job.settings.items())
            self._query(f"SET {pairs}")
        try:
            return self._run(job)
        finally:
            if job.settings:
                self._query("SET " + ", ".join(f"{name} = DEFAULT" for name in job.settings))

    def _run(self, job: Job) -> Answer:
        statement = job.statement
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
        if named or job.default_format != "TabSeparated":
            body, summary = self._query(job.statement.sql, job.default_format, job.params)
            return Answer(body, named or job.default_format, summary)
        # A result set without rows and no result set are told apart by the line of names.
        body, summary = self._query(job.statement.sql, "TabSeparatedWithNames", job.params)
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
        """`input(` at `call` becomes `file(` on a spooled copy: chDB silently takes no data."""
        sql = job.statement.sql
        spool = self._spool_dir / f"spool-{uuid.uuid4()}"
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

    def __init__(self, path: Path, front_dir: Path, grants: Sequence[str] = ()) -> None:
        for left_behind in front_dir.glob("spool-*"):
            left_behind.unlink()
        disk = f"storage_configuration.disks.{BACKUPS_DISK}"
        options = urlencode(
            {
                "config-file": _write_config(front_dir, grants),
                f"{disk}.type": "local",
                f"{disk}.path": f"{front_dir}/backups/",
                "backups.allowed_disk": BACKUPS_DISK,
            },
            quote_via=quote,
        )
        connection = f"file:{path}?{options}"
        self._handles = [Handle(connection, front_dir) for _ in range(HANDLES)]
        self._idle: queue.SimpleQueue[Handle] = queue.SimpleQueue()
        for handle in self._handles:
            self._idle.put(handle)
        self.version, self.timezone = self._rows("SELECT version(), timezone()")[0]
        names = self._rows("SELECT number, errorCodeToName(number) FROM numbers(2000)")
        self._error_names = {int(code): name for code, name in names if name}

    def run(self, job: Job) -> Answer:
        """Run one statement on whichever handle is free, waiting for one if need be."""
        handle = self._idle.get()
        try:
            return handle.run(job)
        finally:
            self._idle.put(handle)

    def error(self, code: int, text: str) -> ServerError:
        """An error that the engine did not raise, with the engine's own name for its code."""
        name = self._error_names.get(code, "UNKNOWN")
        return ServerError(code, f"Code: {code}. DB::Exception: {text}. ({name})")

    def close(self) -> None:
        for handle in self._handles:
            handle.close()

    def _rows(self, sql: str) -> list[list[str]]:
        answer = self.run(Job(Statement(sql.encode(), ""), "default", {}, {}, "TabSeparated"))
        return [line.split("\t") for line in answer.body.decode().splitlines()]


def _write_config(front_dir: Path, grants: Sequence[str]) -> Path:
    """Writes what only a users file can say.

    Refreshable views must not all run at every open. With grants, the user of the engine, and so of
    every request, may do no more than they say; another user, OWNER, may do anything, and owns what
    `give_to_owner` gave it.
    """
    users, config = front_dir / "users.xml", front_dir / "config.xml"
    # The last one is for the front itself, which gives the engine the data of `input()` as a file.
    listed = "".join(f"<query>{grant}</query>" for grant in [*grants, "GRANT READ ON FILE"])
    user = (
        "<password></password><profile>default</profile><quota>default</quota>"
        "<networks><ip>::/0</ip></networks>"
    )
    users.write_text(
        "<clickhouse><profiles><default>"
        "<stop_refreshable_materialized_views_on_startup>1"
        "</stop_refreshable_materialized_views_on_startup>"
        "</default></profiles><users>"
        f"<default>{user}{f'<grants>{listed}</grants>' if grants else ''}</default>"
        f"<{OWNER}>{user}</{OWNER}></users>"
        "<quotas><default/></quotas></clickhouse>"
    )
    config.write_text(
        f"<clickhouse><user_directories><users_xml><path>{users}</path></users_xml>"
        "</user_directories></clickhouse>"
    )
    return config


def give_to_owner(path: Path) -> None:
    """Makes another user the one in whose name the views of a stopped engine run.

    The engine has one user, who made them: on a server the migrator makes them, and others ask.
    """
    for definition in (path / "store").rglob("*.sql"):
        text = definition.read_text(encoding="utf-8")
        if "DEFINER = default" in text:
            definition.write_text(
                text.replace("DEFINER = default", f"DEFINER = {OWNER}"), encoding="utf-8"
            )
