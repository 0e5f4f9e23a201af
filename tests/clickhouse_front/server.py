"""A ClickHouse HTTP server for tests: the wire of a server, the embedded engine behind it.

Enough of ClickHouse's HTTP interface, on 127.0.0.1, for an unmodified
`clickhouse_connect.get_client(host=...)`. Sessions, temporary tables, compressed or streamed
responses and external data are refused (code 48), so that a test cannot pass on a difference it
does not see. The server is a process of its own, since a process can open one engine path only
and a fork of one that has opened it hangs. The engine's files stay, so a restart finds what was
committed. `python -m tests.clickhouse_front.server --path DIR` starts one by hand.
"""

import argparse
import asyncio
import base64
import contextlib
import email.message
import email.parser
import gzip
import json
import os
import re
import signal
import socket
import sys
import threading
import uuid
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import uvicorn
from lz4 import frame as lz4_frame  # type: ignore[import-untyped]  # ships no type information
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from masques_pipelines import zstd
from tests.clickhouse_front.engine import Engine, Job
from tests.clickhouse_front.faults import Cut, Fault, Protocol, take_fault
from tests.clickhouse_front.log import (
    LOGGED_SQL_CHARS,
    LoggedRequest,
    front_dir,
    log_file,
    write_request,
)
from masques_pipelines.warehouse.serve.statements import ServerError, not_implemented, read_statement

MAX_URI_BYTES = 1 << 20  # ClickHouse's own default for http_max_uri_size

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
    "zstd": zstd.decompress,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


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
            return Cut()
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
            write_request(self._log, entry)
            self._sessions.add(session)
            try:
                response = await self._answer(job, entry)
            finally:
                self._sessions.discard(session)
        except ServerError as error:
            response = self._error_response(error, entry)
        if entry["fault"] in {"drop_after", "truncate"}:
            response = Cut(response if entry["fault"] == "truncate" else None)
        entry["status"] = 0 if isinstance(response, Cut) else response.status_code
        entry["finished"] = True
        write_request(self._log, entry)
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
                raise not_implemented(f"Content-Encoding {encoding}")
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
        fault = take_fault(self._faults, job.statement.text)
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

    async def _fail_before(self, fault: Fault) -> Response | None:
        """What happens instead of the statement; None when it is to run after all."""
        if fault.kind == "drop_before":
            return Cut()
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
            raise not_implemented("external data")
        name = part.get_param("name", header="content-disposition")
        fields[str(name)] = cast("bytes", part.get_payload(decode=True)).decode()
    return fields


def _serve(
    path: Path, port: int, user: str | None, password: str | None, grants: list[str]
) -> None:
    """Open the engine, say on stdout which port it is, serve until SIGTERM."""
    engine = Engine(path, front_dir(path), grants)
    app = App(engine, log_file(path), user, password).starlette()
    config = uvicorn.Config(
        app,
        http=Protocol,
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


def main() -> None:
    """Run a server until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description="ClickHouse's HTTP interface over chDB, for tests")
    parser.add_argument("--path", type=Path, required=True, help="the engine's folder")
    parser.add_argument("--port", type=int, default=0, help="0: any free port; it is printed")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--grant", action="append", default=[], help="what requests may do: GRANT")
    parser.add_argument("--until-stdin-ends", action="store_true")
    args = parser.parse_args()
    if args.until_stdin_ends:
        _stop_when_stdin_ends()
    _serve(args.path.resolve(), args.port, args.user, args.password, args.grant)


if __name__ == "__main__":
    main()
