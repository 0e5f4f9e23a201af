"""A ClickHouse HTTP server for tests: the wire of a server, the embedded engine behind it.

Here: enough of ClickHouse's HTTP interface, on 127.0.0.1 and over chDB, for an unmodified
`clickhouse_connect.get_client(host=...)`, with faults to order and a log of what was sent.
Not here: anything the product imports; sessions, temporary tables, compressed or streamed
responses, external data. What it cannot do it refuses (code 48), so that a test cannot pass on
a difference it does not see.
A re-run: the engine's files at `path` are kept, so a restart finds what was committed. Next to
them lies `<path>.front/`: the engine's configuration (rewritten), the request log and the
server's error output (both appended to).

The server is a process of its own, since a process can open one engine path only and a fork of
one that has opened it hangs. `python -m tests.support.http_front --path DIR` starts one by hand.
"""

import argparse
import asyncio
import base64
import contextlib
import email.message
import email.parser
import gzip
import itertools
import json
import os
import queue
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, ClassVar, Literal, TypedDict, cast, get_args
from urllib.parse import quote, urlencode

import chdb
import uvicorn
import zstandard
from lz4 import frame as lz4_frame  # type: ignore[import-untyped]  # ships no type information
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tests.support.paths import ROOT
from tests.support.patience import moment_s

HANDLES = 4  # engine handles, that is: statements that run at the same time
LOGGED_SQL_CHARS = 4000
MAX_URI_BYTES = 1 << 20  # ClickHouse's own default for http_max_uri_size

FaultKind = Literal["drop_before", "drop_after", "error", "http_status", "delay", "truncate"]


class LoggedRequest(TypedDict):
    """One request as the server saw it; a client that sends twice has two of these."""

    id: str
    sql: str  # without the data of an insert, and cut
    settings: dict[str, str]
    params: dict[str, str]
    database: str
    query_id: str
    body_bytes: int  # as sent, that is compressed
    fault: str  # kind of the fault that hit it, or ''
    executed: bool  # the engine ran it to its end, without an error
    rows_written: int  # as ClickHouse counts: rows of the materialized views' targets included
    code: int  # ClickHouse error code, 0 when there was none
    status: int  # HTTP status of the answer, 0 when no answer was sent
    finished: bool  # False: it was in flight when the server was killed, or still is


# --- SQL: only as much of it as a server must see before it hands a statement over ---------------

_TOKEN = re.compile(
    rb"""(?P<skip>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)
    |'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`
    |\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|\w+|.""",
    re.DOTALL | re.VERBOSE,
)
_WORD = re.compile(rb"[A-Za-z_]\w*")


class ServerError(Exception):
    """An error as a client sees it: ClickHouse's code and ClickHouse's text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Statement:
    """One statement; `data` is what follows the FORMAT of an insert, None for all others."""

    sql: bytes
    format: str  # of the data, or of the result when the statement names one, else ''
    data: bytes | None = None

    @property
    def text(self) -> str:
        """The SQL as it was sent, without the data: what faults match and the log shows."""
        tail = "" if self.data is None else f"FORMAT {self.format}"
        return self.sql.decode(errors="replace") + tail


def _tokens(sql: bytes) -> Iterator[re.Match[bytes]]:
    return (match for match in _TOKEN.finditer(sql) if match["skip"] is None)


def read_statement(sql: bytes) -> Statement:
    """Cut an insert's data off; refuse what a server would refuse over HTTP."""
    insert = _insert_with_data(sql)
    if insert is not None:
        return insert
    tokens = list(_tokens(sql))
    words = [token.group().upper() for token in tokens]
    if not words or words == [b";"]:
        raise ServerError(62, "Code: 62. DB::Exception: Syntax error: Empty query. (SYNTAX_ERROR)")
    if b";" in words[:-1]:
        # The embedded engine would run them all.
        position = tokens[words.index(b";")].end()
        raise ServerError(
            62,
            "Code: 62. DB::Exception: Syntax error (Multi-statements are not allowed):"
            f" failed at position {position} (end of query). (SYNTAX_ERROR)",
        )
    if words[0] in {b"SET", b"USE"} or words[:2] == [b"CREATE", b"TEMPORARY"]:
        # It would change a handle that the next client gets.
        raise _not_implemented(f"{words[0].decode()} needs a session")
    return Statement(sql, _result_format([token.group() for token in tokens]))


def _insert_with_data(sql: bytes) -> Statement | None:
    """`INSERT … FORMAT f <data>`, also with `SELECT … FROM input(…)`; None for all else."""
    depth = 0
    selects = reads_input = False
    before: re.Match[bytes] | None = None
    for index, match in enumerate(_tokens(sql)):
        word = match.group().upper()
        if index == 0 and word != b"INSERT":
            return None
        named = before is not None and before.group().upper() == b"FORMAT" and depth == 0
        if before and named and _WORD.fullmatch(word) and (not selects or reads_input):
            data = sql[_data_start(sql, match.end()) :]
            return Statement(sql[: before.start()], match.group().decode(), data)
        if word == b"VALUES" and depth == 0 and not selects:
            return None  # rows in SQL text, which may hold expressions and parameters
        depth += (word == b"(") - (word == b")")
        selects = selects or word in {b"SELECT", b"WITH"}
        reads_input = reads_input or _calls_input(before, match)
        before = match
    return None


def _calls_input(before: re.Match[bytes] | None, match: re.Match[bytes]) -> bool:
    """Whether two neighbours are the start of `input(…)`, which is not a column of that name."""
    return before is not None and before.group().upper() == b"INPUT" and match.group() == b"("


def _data_start(sql: bytes, offset: int) -> int:
    """Skip what ClickHouse skips behind FORMAT f: blanks, then one line end."""
    blanks = re.compile(rb"[ \t\f]*\r?\n?").match(sql, offset)
    return blanks.end() if blanks else offset


def _result_format(words: list[bytes]) -> str:
    """The format of a trailing FORMAT clause; '' without one."""
    for index in range(len(words) - 2, 0, -1):
        behind = [word.upper() for word in words[index + 2 : index + 3]]
        if words[index].upper() == b"FORMAT" and behind in ([], [b";"], [b"SETTINGS"]):
            return words[index + 1].decode()
    return ""


def _not_implemented(what: str) -> ServerError:
    return ServerError(48, f"Code: 48. DB::Exception: {what}: not in this front. (NOT_IMPLEMENTED)")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


# --- Engine --------------------------------------------------------------------------------------


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
            pairs = ", ".join(f"{_name(k)} = {_quoted(v)}" for k, v in job.settings.items())
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
        for before, match in itertools.pairwise(_tokens(statement.sql)):
            if _calls_input(before, match):
                call = slice(before.start(), match.end())
                return self._insert_through_input(job, statement.data, call)
        if job.params:
            raise _not_implemented("query parameters in an insert with data")
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
            source = f"file({_quoted(str(spool))}, {_quoted(job.statement.format)},".encode()
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
    if not _WORD.fullmatch(setting.encode()):
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

    def __init__(self, path: Path, front_dir: Path) -> None:
        for left_behind in front_dir.glob("spool-*"):
            left_behind.unlink()
        options = urlencode({"config-file": _write_config(front_dir)}, quote_via=quote)
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


def _write_config(front_dir: Path) -> Path:
    """Refreshable views must not all run at every open; only a users file can say so."""
    users, config = front_dir / "users.xml", front_dir / "config.xml"
    users.write_text(
        "<clickhouse><profiles><default>"
        "<stop_refreshable_materialized_views_on_startup>1"
        "</stop_refreshable_materialized_views_on_startup>"
        "</default></profiles><users><default><password></password><profile>default</profile>"
        "<quota>default</quota><networks><ip>::/0</ip></networks></default></users>"
        "<quotas><default/></quotas></clickhouse>"
    )
    config.write_text(
        f"<clickhouse><user_directories><users_xml><path>{users}</path></users_xml>"
        "</user_directories></clickhouse>"
    )
    return config


# --- HTTP ----------------------------------------------------------------------------------------

# URL parameters that the HTTP interface itself consumes; all others are settings.
_TRANSPORT = frozenset(
    {
        *("query", "database", "default_format", "query_id", "quota_key", "role"),
        *("user", "password", "session_id", "session_timeout", "session_check"),
        *("buffer_size", "wait_end_of_query", "client_protocol_version"),
        *("compress", "decompress", "enable_http_compression"),
        *("send_progress_in_http_headers", "http_headers_progress_interval_ms"),
    }
)

# How a server turns error codes into HTTP status; the driver resends reads on 503.
_STATUS = {
    **dict.fromkeys((6, 27, 36, 38, 41, 44, 53, 62, 69, 72, 117, 376), 400),
    194: 401,
    **dict.fromkeys((192, 193, 497, 516), 403),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 81, 115, 336), 404),
    159: 408,
    48: 501,
    **dict.fromkeys((76, 209, 439), 503),
}

_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4_frame.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


@dataclass
class Fault:
    """What is to go wrong for the next `times` statements with `match` in them, `skip` passed."""

    kind: FaultKind
    match: str
    times: int = 1
    skip: int = 0
    code: int = 0
    status: int = 502
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"no such fault: {self.kind}")
        if self.kind == "error" and not self.code:
            raise ValueError("an error fault needs a ClickHouse code")


class _Protocol(H11Protocol):
    """uvicorn's own, with its connections findable: ASGI has no way to cut one."""

    open: ClassVar[dict[tuple[str, int], asyncio.Transport]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the parent
        self.peer = transport.get_extra_info("peername")
        self.open[self.peer] = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open.pop(self.peer, None)
        super().connection_lost(exc)


class _Cut(Response):
    """No answer, or the first half of one, and the connection is gone."""

    def __init__(self, answer: Response | None = None) -> None:
        super().__init__()
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = _Protocol.open.get(tuple(scope["client"]))
        if self.answer is not None:
            # Without a length it goes out in chunks, as from a server: even an empty body has an
            # end that can be missing.
            status = self.answer.status_code
            headers = [h for h in self.answer.raw_headers if h[0] != b"content-length"]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            half = bytes(self.answer.body)[: len(self.answer.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
        if transport is not None:
            transport.close()  # behind what was sent, which may be nothing
        while (await receive())["type"] != "http.disconnect":
            pass


class App:
    """The routes: ClickHouse's `/` and `/ping`, and `/__faults` for the tests."""

    def __init__(self, engine: Engine, log: Path, user: str | None, password: str | None) -> None:
        self._engine = engine
        self._log = log
        self._credentials = None if user is None else (user, password or "")
        self._faults: list[Fault] = []
        self._sessions: set[str] = set()

    def starlette(self) -> Starlette:
        """The ASGI application; the engine is closed when the server has let go of it."""

        @contextlib.asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            self._engine.close()

        return Starlette(
            routes=[
                Route("/", self.query, methods=["GET", "POST"]),
                Route("/ping", lambda _: PlainTextResponse("Ok.\n")),
                Route("/__faults", self.faults, methods=["GET", "POST", "DELETE"]),
            ],
            lifespan=lifespan,
        )

    async def faults(self, request: Request) -> Response:
        """Order faults, list those that have not all been spent, or take them back."""
        if request.method == "POST":
            self._faults.append(Fault(**await request.json()))
        if request.method == "DELETE":
            self._faults.clear()
        return JSONResponse([vars(fault) for fault in self._faults])

    async def query(self, request: Request) -> Response:
        """One request, logged when it arrives and again when its answer is known."""
        try:
            body = await request.body()
        except ClientDisconnect:
            return _Cut()
        url = dict(request.query_params)
        entry = LoggedRequest(
            id=str(uuid.uuid4()),
            sql="",
            settings={},
            params={},
            database=url.get("database") or "default",
            query_id=url.get("query_id") or str(uuid.uuid4()),
            body_bytes=len(body),
            fault="",
            executed=False,
            rows_written=0,
            code=0,
            status=0,
            finished=False,
        )
        session = url.get("session_id", "")
        try:
            self._check_access(request, session)
            job = self._read_request(request, url, body, entry)
            self._write_log(entry)
            self._sessions.add(session)
            try:
                response = await self._answer(job, entry)
            finally:
                self._sessions.discard(session)
        except ServerError as error:
            response = self._error_response(error, entry)
        if entry["fault"] in {"drop_after", "truncate"}:
            response = _Cut(response if entry["fault"] == "truncate" else None)
        entry["status"] = 0 if isinstance(response, _Cut) else response.status_code
        entry["finished"] = True
        self._write_log(entry)
        return response

    def _check_access(self, request: Request, session: str) -> None:
        given = _credentials(request)
        if self._credentials is not None and given != self._credentials:
            raise self._engine.error(
                516,
                f"{given[0]}: Authentication failed: password is incorrect, or there is no user"
                " with such name",
            )
        if session and session in self._sessions:
            raise self._engine.error(373, f"Session {session} is locked by a concurrent client")

    def _read_request(
        self, request: Request, url: dict[str, str], body: bytes, entry: LoggedRequest
    ) -> Job:
        kind = request.headers.get("content-type", "")
        if kind.startswith("multipart/form-data"):
            url, body = {**url, **_form_fields(kind, body)}, b""
        encoding = request.headers.get("content-encoding", "identity")
        if encoding != "identity":
            if encoding not in _DECODERS:
                raise _not_implemented(f"Content-Encoding {encoding}")
            body = _DECODERS[encoding](body)
        query = url.get("query", "").encode()
        sql = query + b"\n" + body if query and body else query or body
        entry["sql"] = sql[:LOGGED_SQL_CHARS].decode(errors="replace")
        statement = read_statement(sql)
        entry["sql"] = statement.text[:LOGGED_SQL_CHARS]
        given = {name: value for name, value in url.items() if name not in _TRANSPORT}
        params = {name for name in given if name.startswith("param_")}
        entry["params"] = {name.removeprefix("param_"): given.pop(name) for name in params}
        entry["settings"] = given
        default_format = request.headers.get("x-clickhouse-format", "TabSeparated")
        return Job(
            statement=statement,
            database=entry["database"],
            settings=entry["settings"],
            params=entry["params"],
            default_format=url.get("default_format", default_format),
        )

    async def _answer(self, job: Job, entry: LoggedRequest) -> Response:
        fault = self._take_fault(job.statement.text)
        if fault is not None:
            entry["fault"] = fault.kind
            early = await self._fail_before(fault)
            if early is not None:
                return early
        answer = await run_in_threadpool(self._engine.run, job)
        entry["executed"] = True
        entry["rows_written"] = answer.summary.get("written_rows", 0)
        headers = self._headers(entry)
        headers["X-ClickHouse-Summary"] = json.dumps({k: str(v) for k, v in answer.summary.items()})
        if answer.format:
            headers["X-ClickHouse-Format"] = answer.format
        return Response(answer.body, headers=headers)

    def _take_fault(self, sql: str) -> Fault | None:
        for fault in self._faults:
            if fault.match not in sql:
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            self._faults = [left for left in self._faults if left.times > 0]
            return fault
        return None

    async def _fail_before(self, fault: Fault) -> Response | None:
        """What happens instead of the statement; None when it is to run after all."""
        if fault.kind == "drop_before":
            return _Cut()
        if fault.kind == "error":
            raise self._engine.error(fault.code, "Ordered by the test")
        if fault.kind == "http_status":
            page = f"<html><head><title>{fault.status}</title></head><body>proxy</body></html>"
            return Response(page, fault.status, media_type="text/html")
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        return None

    def _headers(self, entry: LoggedRequest) -> dict[str, str]:
        return {
            "Content-Type": "text/plain; charset=UTF-8",
            "X-ClickHouse-Query-Id": entry["query_id"],
            "X-ClickHouse-Server-Display-Name": "http_front",
            "X-ClickHouse-Timezone": self._engine.timezone,
        }

    def _error_response(self, error: ServerError, entry: LoggedRequest) -> Response:
        entry["code"] = error.code
        text = re.sub(r" \(version [^()]*\)$", "", str(error))
        headers = self._headers(entry) | {"X-ClickHouse-Exception-Code": str(error.code)}
        return Response(
            f"{text} (version {self._engine.version} (official build))\n",
            _STATUS.get(error.code, 500),
            headers,
        )

    def _write_log(self, entry: LoggedRequest) -> None:
        # In one write, so that a reader or a kill meets whole lines.
        with self._log.open("ab", buffering=0) as log:
            log.write(json.dumps(entry).encode() + b"\n")


def _credentials(request: Request) -> tuple[str, str]:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        user, _, password = base64.b64decode(token).decode().partition(":")
        return user, password
    asked = request.query_params
    user = request.headers.get("x-clickhouse-user") or asked.get("user") or "default"
    return user, request.headers.get("x-clickhouse-key") or asked.get("password") or ""


def _form_fields(content_type: str, body: bytes) -> dict[str, str]:
    """The driver sends a form once its bound parameters are too long for a URL."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    form = email.parser.BytesParser().parsebytes(head + body)
    fields = {}
    for part in cast("list[email.message.Message]", form.get_payload()):
        if part.get_filename() is not None:
            raise _not_implemented("external data")
        name = part.get_param("name", header="content-disposition")
        fields[str(name)] = cast("bytes", part.get_payload(decode=True)).decode()
    return fields


# --- The server's process ------------------------------------------------------------------------


def _serve(path: Path, port: int, user: str | None, password: str | None) -> None:
    """Open the engine, say on stdout which port it is, serve until SIGTERM."""
    front_dir = _front_dir(path)
    engine = Engine(path, front_dir)
    app = App(engine, front_dir / "requests.ndjson", user, password).starlette()
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        timeout_keep_alive=30,  # as ClickHouse; too short and clients see drops nobody ordered
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=MAX_URI_BYTES,
    )
    # The protocol is named because asyncio turns Nagle's algorithm off only where it is; with it
    # on, every answer waits 40 ms for the client's delayed acknowledgement.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        # uvicorn ends itself by the signal that it was sent; asked to stop is not a failure.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        uvicorn.Server(config).run(sockets=[listener])


def _stop_when_stdin_ends() -> None:
    """A server outlives the test run that was killed, unless it notices."""

    def wait() -> None:
        # Not through sys.stdin: its lock would be held while the interpreter shuts down.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def _front_dir(path: Path) -> Path:
    front_dir = path.with_name(path.name + ".front")
    front_dir.mkdir(parents=True, exist_ok=True)
    return front_dir


def main() -> None:
    """Run a server until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description="ClickHouse's HTTP interface over chDB, for tests")
    parser.add_argument("--path", type=Path, required=True, help="the engine's folder")
    parser.add_argument("--port", type=int, default=0, help="0: any free port; it is printed")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--until-stdin-ends", action="store_true")
    args = parser.parse_args()
    if args.until_stdin_ends:
        _stop_when_stdin_ends()
    _serve(args.path.resolve(), args.port, args.user, args.password)


# --- The tests' side -----------------------------------------------------------------------------


class Front:
    """A running server. `stop()` asks, `kill()` does not ask, `restart()` keeps port and path."""

    def __init__(self, path: Path, user: str | None = None, password: str | None = None) -> None:
        self.path = path.resolve()
        self.user = user
        self.password = password
        self.port = 0
        self._errors = _front_dir(self.path) / "stderr.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """The server's address, with credentials if it asks for them."""
        login = ""
        if self.user is not None:
            login = f"{quote(self.user, safe='')}:{quote(self.password or '', safe='')}@"
        return f"http://{login}127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the server."""
        if self._process is None:
            raise RuntimeError("the front is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the server on its path, on the port it had before if it had one."""
        if self._process is not None:
            raise RuntimeError("the front is running")
        command = [sys.executable, "-m", "tests.support.http_front", "--until-stdin-ends"]
        command += ["--path", str(self.path), "--port", str(self.port)]
        if self.user is not None:
            command += ["--user", self.user, "--password", self.password or ""]
        with self._errors.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        said = self._first_line(self._process)
        if not said:
            self._end(signal.SIGKILL)
            raise RuntimeError(f"the front did not start: {self._complaints()}")
        self.port = int(said)

    def stop(self) -> None:
        """SIGTERM: requests in flight are finished. No-op when it is not running."""
        if self._end(signal.SIGTERM):
            raise RuntimeError(f"the front did not end cleanly: {self._complaints()}")

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone. No-op when it is not running."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it if it runs and start it again; faults that were left are forgotten."""
        self.stop()
        self.start()

    def inject(
        self,
        kind: FaultKind,
        *,
        match: str,
        times: int = 1,
        skip: int = 0,
        code: int = 0,
        status: int = 502,
        seconds: float = 0.0,
    ) -> None:
        """Let the next `times` statements that contain `match` fail, after `skip` that do not.

        Kinds: `drop_before` (not executed, no answer), `drop_after` (executed, no answer),
        `error` (not executed; `code`), `http_status` (not executed; a proxy's page with
        `status`), `delay` (executed after `seconds`), `truncate` (executed, half an answer).
        """
        self._control("POST", Fault(kind, match, times, skip, code, status, seconds))

    def faults(self) -> list[dict[str, object]]:
        """The faults that are not spent yet; empty when all that was ordered has happened."""
        return self._control("GET")

    def clear_faults(self) -> None:
        """Take back all faults that are not spent yet."""
        self._control("DELETE")

    def requests(self, match: str = "") -> list[LoggedRequest]:
        """All requests with `match` in their SQL since the path's first start, oldest first.

        Read from a file: it can be asked after a kill, too.
        """
        log = _front_dir(self.path) / "requests.ndjson"
        found: dict[str, LoggedRequest] = {}
        for line in log.read_text().splitlines() if log.exists() else ():
            entry: LoggedRequest = json.loads(line)
            found[entry["id"]] = entry
        return [entry for entry in found.values() if match in entry["sql"]]

    def _control(self, method: str, fault: Fault | None = None) -> list[dict[str, object]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=moment_s())
        with contextlib.closing(connection):
            body = json.dumps(vars(fault)) if fault else None
            connection.request(method, "/__faults", body)
            response = connection.getresponse()
            text = response.read()
            if response.status != 200:
                raise RuntimeError(f"the front refused: {text.decode()}")
        answer: list[dict[str, object]] = json.loads(text)
        return answer

    @staticmethod
    def _first_line(process: subprocess.Popen[bytes]) -> bytes:
        if process.stdout is None:
            return b""
        ready, _, _ = select.select([process.stdout], [], [], moment_s())
        return process.stdout.readline() if ready else b""

    def _complaints(self) -> str:
        return self._errors.read_text(errors="replace")[-2000:].strip() or "it said nothing"

    def _end(self, how: signal.Signals) -> int:
        """Ends the process; returns its exit code, 0 when it had ended before."""
        process, self._process = self._process, None
        if process is None:
            return 0
        had_ended = process.poll() is not None
        process.send_signal(how)
        try:
            process.wait(moment_s())
        finally:
            process.kill()  # nothing is sent to one that has ended
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        return 0 if had_ended else process.returncode


@contextlib.contextmanager
def http_front(
    path: Path, *, user: str | None = None, password: str | None = None
) -> Iterator[Front]:
    """A server on the engine files at `path` (made if need be), ended on the way out."""
    front = Front(path, user, password)
    try:
        yield front
    finally:
        front.stop()


if __name__ == "__main__":
    main()
