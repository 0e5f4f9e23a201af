"""ClickHouse's HTTP interface before an embedded engine, as far as drivers and tools use it.

Sessions, temporary tables and external data are refused (code 48). A result is sent while it is
computed, from a named pipe that the engine writes, in any of its formats; one that fails after its
beginning ends with the error in a block that drivers know, and a cut connection.
"""

import asyncio
import contextlib
import fcntl
import hmac
import json
import os
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from masques_pipelines.warehouse.serve.address import READER
from masques_pipelines.warehouse.serve.blocks import to_blocks
from masques_pipelines.warehouse.serve.engine import Answer, Engine, Job
from masques_pipelines.warehouse.serve.readers import check_reading, reader_settings
from masques_pipelines.warehouse.serve.wire import (
    STATUS,
    Question,
    credentials,
    read_question,
    wants_blocks,
)
from masques_pipelines.warehouse.statements import ServerError, is_query

# A driver that asks for blocks takes these two as text.
_NEVER_IN_BLOCKS: Final = (401, 403)
# What is computed before the answer begins: up to here an error has a status of its own.
HELD_BYTES: Final = 1 << 20
# What the engine adds to statements, in its messages also cut.
_MARKER: Final = re.compile(r"\s*-- [0-9a-f]{8}-[0-9a-f-]+(\.\.\.)?")
_PIPE_BYTES: Final = 1 << 20
# A client that takes nothing for so long is gone, as far as others who wait are concerned.
SEND_TIMEOUT_S: Final = 60.0
CANCEL_AGAIN_S: Final = 0.5
CANCEL_WAIT_S: Final = 10.0


class App:
    """The routes `/` and `/ping` on an engine, for the pipeline and for readers."""

    name = "masques"

    def __init__(self, engine: Engine, folder: Path, passwords: Mapping[str, str]) -> None:
        """Keeps what answers need.

        Args:
            engine: Runs the statements.
            folder: For named pipes.
            passwords: Of the users.
        """
        self.engine = engine
        self._folder = folder
        self._passwords = passwords
        self._sessions: set[str] = set()

    def starlette(self) -> Starlette:
        """Returns the ASGI application; the engine is closed when the server has let go of it."""

        @contextlib.asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            self.engine.close()

        return Starlette(routes=self.routes(), lifespan=lifespan)

    def routes(self) -> list[Route]:
        """Returns what is answered."""
        return [
            Route("/", self.query, methods=["GET", "POST"]),
            Route("/ping", lambda _: PlainTextResponse("Ok.\n")),
        ]

    async def query(self, request: Request) -> Response:
        """Answers one request."""
        response = await self.plain(request)
        if wants_blocks(request) and response.status_code not in _NEVER_IN_BLOCKS:
            return in_blocks(response)
        return response

    async def plain(self, request: Request) -> Response:
        """Answers one request, without ClickHouse's blocks around the answer."""
        query_id = str(uuid.uuid4())
        try:
            user = self.user(request)
            body = await request.body()
            if not body and "query" not in request.query_params:
                return PlainTextResponse("Ok.\n")
            question = read_question(request, body, query_id)
            query_id = question.query_id
            job = as_job(question, user)
            with self.session(question.session):
                if question.is_whole or not is_query(question.statement.sql):
                    return await self.whole(request, job)
                return await self.begun(request, job, is_cut_by_errors=user == READER)
        except ServerError as error:
            return self.error_response(error, query_id)
        except ClientDisconnect:
            return Response(status_code=499)

    @contextlib.contextmanager
    def session(self, name: str) -> Iterator[None]:
        """Refuses a second statement of a session while the first one runs, as a server does."""
        if name and name in self._sessions:
            raise self.engine.error(373, f"Session {name} is locked by a concurrent client")
        self._sessions.add(name)
        try:
            yield
        finally:
            self._sessions.discard(name)

    async def whole(self, request: Request, job: Job) -> Response:
        """Runs a statement to its end; a query whose client has gone is cancelled."""
        running = self.engine.submit(job)
        future = asyncio.wrap_future(running)
        future.add_done_callback(_take_notice)
        try:
            gone = asyncio.ensure_future(request.receive())
            try:
                either: set[asyncio.Future[Any]] = {future, gone}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if not future.done() and is_query(job.statement.sql):
                    await _cancel(self.engine, job, running)
                    raise ClientDisconnect
                answer = await future
            finally:
                gone.cancel()
        finally:
            self.engine.forget(job)
        return Response(answer.body, headers=self.headers(job.query_id, answer))

    async def begun(self, request: Request, job: Job, *, is_cut_by_errors: bool) -> Response:
        """Runs a query until its end or HELD_BYTES; what follows is sent as it comes.

        Args:
            request: The request.
            job: The query.
            is_cut_by_errors: Whether the connection is cut behind an error, for clients that would
                take it for a part of the result. The pipeline's own look for it.
        """
        stream = Stream(self.engine, job, self._folder)
        try:
            held = await stream.begin(request)
        except BaseException:
            await stream.end()
            raise
        headers = self.headers(job.query_id, stream.answer(job))
        if stream.is_over():
            await stream.end()
            return Response(held, headers=headers)
        return Streamed(held, stream, headers, is_cut_by_errors=is_cut_by_errors)

    def headers(self, query_id: str, answer: Answer | None = None) -> dict[str, str]:
        """Returns the headers of an answer, as a server has them."""
        headers = {
            "Content-Type": "text/plain; charset=UTF-8",
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Server-Display-Name": self.name,
            "X-ClickHouse-Timezone": self.engine.timezone,
        }
        if answer is not None:
            summary = {name: str(value) for name, value in answer.summary.items()}
            headers["X-ClickHouse-Summary"] = json.dumps(summary)
            if answer.format:
                headers["X-ClickHouse-Format"] = answer.format
        return headers

    def error_response(self, error: ServerError, query_id: str) -> Response:
        """Returns an error as a server words it."""
        text = re.sub(r" \(version [^()]*\)$", "", _MARKER.sub("", str(error)))
        headers = self.headers(query_id) | {"X-ClickHouse-Exception-Code": str(error.code)}
        return Response(
            f"{text} (version {self.engine.version} (official build))\n",
            STATUS.get(error.code, 500),
            headers,
        )

    def user(self, request: Request) -> str:
        """Returns who asks.

        Raises:
            ServerError: The password is not that user's.
        """
        user, given = credentials(request)
        known = self._passwords.get(user, "")
        if not hmac.compare_digest(known.encode(), given.encode()) or not known:
            raise self.engine.error(
                516,
                f"{user}: Authentication failed: password is incorrect, or there is no user"
                " with such name",
            )
        return user


def as_job(question: Question, user: str) -> Job:
    """Returns the statement to run, with the limits of who asks.

    Raises:
        ServerError: A reader may not ask that.
    """
    settings = dict(question.settings)
    if user == READER:
        is_readers = True
        check_reading(question.statement.sql, question.database, question.params)
        settings = reader_settings(settings)
    else:
        # Those of a handle that can be used for other statements afterwards are never fixed.
        is_readers = settings.get("readonly", "0") != "0"
    return Job(
        statement=question.statement,
        database=question.database,
        settings=settings,
        params=question.params,
        default_format=question.default_format,
        query_id=question.query_id,
        is_readers=is_readers,
    )


def _take_notice(future: "asyncio.Future[Answer]") -> None:
    """Of a failure that nobody waits for, since its client has gone, nothing is printed."""
    if not future.cancelled():
        future.exception()


async def _cancel(engine: Engine, job: Job, running: "Future[Answer]") -> None:
    """Cancels a query until it has ended: one that is about to begin is not hit by the first."""
    if running.cancel():
        return
    until_s = time.monotonic() + CANCEL_WAIT_S
    while not running.done() and time.monotonic() < until_s:
        await asyncio.to_thread(engine.cancel, job)
        await asyncio.to_thread(wait, [running], CANCEL_AGAIN_S)


@dataclass
class _Ends:
    """The two ends of a pipe that this process keeps."""

    path: Path
    descriptor: int


class Stream:
    """A running query whose result comes through a named pipe."""

    def __init__(self, engine: Engine, job: Job, folder: Path) -> None:
        """Starts it."""
        self._engine, self._job = engine, job
        path = folder / f"result-{uuid.uuid4()}"
        os.mkfifo(path, 0o600)
        # Open for both: the end of the result is the end of the statement, never of the pipe.
        self._ends = _Ends(path, os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        with contextlib.suppress(OSError, AttributeError):  # a limit of the system
            fcntl.fcntl(self._ends.descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._readable = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._ends.descriptor, self._readable.set)
        try:
            self._running = engine.submit(job, path)
        except BaseException:
            self._close()
            raise
        self._future = asyncio.wrap_future(self._running)
        self._future.add_done_callback(_take_notice)
        self._has_ended = False

    def answer(self, job: Job) -> Answer:
        """Returns what is known when the answer begins."""
        summary = self._future.result().summary if self._future.done() else {}
        return Answer(format=job.statement.format or job.default_format, summary=summary)

    def is_over(self) -> bool:
        """Says whether the statement has ended and all of its result was read."""
        return self._has_ended

    async def begin(self, request: Request) -> bytes:
        """Returns the first HELD_BYTES, or all.

        Raises:
            ServerError: The statement failed meanwhile.
            ClientDisconnect: Nobody waits for it any more.
        """
        gone = asyncio.ensure_future(request.receive())
        held = bytearray()
        try:
            while len(held) < HELD_BYTES and not self._has_ended:
                held += await self._next(gone)
        finally:
            gone.cancel()
        return bytes(held)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yields the rest of the result.

        Raises:
            ServerError: The statement failed.
        """
        while not self._has_ended:
            yield await self._next(None)

    async def _next(self, gone: "asyncio.Future[Any] | None") -> bytes:
        """Returns what has come; empty at the end."""
        while True:
            is_done = self._future.done()
            self._readable.clear()
            with contextlib.suppress(BlockingIOError):
                return os.read(self._ends.descriptor, _PIPE_BYTES)
            if is_done:
                self._future.result()
                self._has_ended = True
                return b""
            readable = asyncio.ensure_future(self._readable.wait())
            try:
                any_of: set[asyncio.Future[Any]] = {readable, self._future}
                any_of.update([gone] if gone else [])
                await asyncio.wait(any_of, return_when=asyncio.FIRST_COMPLETED)
            finally:
                readable.cancel()
            if gone is not None and gone.done():
                raise ClientDisconnect

    async def end(self) -> None:
        """Cancels the statement if it still runs, and removes the pipe."""
        try:
            if not self._future.done():
                self._drain_for_good()
                await _cancel(self._engine, self._job, self._running)
        finally:
            self._close()
            self._engine.forget(self._job)

    def _drain_for_good(self) -> None:
        """Takes whatever still comes, so that the engine does not wait in a write."""
        descriptor = self._ends.descriptor

        def drain() -> None:
            with contextlib.suppress(BlockingIOError):
                while os.read(descriptor, _PIPE_BYTES):
                    pass

        asyncio.get_running_loop().add_reader(descriptor, drain)

    def _close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._ends.descriptor)
        os.close(self._ends.descriptor)
        self._ends.path.unlink(missing_ok=True)


class Streamed(Response):
    """An answer that is sent while it is computed; without its end when the query failed."""

    def __init__(
        self,
        held: bytes,
        stream: Stream,
        headers: Mapping[str, str],
        *,
        is_cut_by_errors: bool,
    ) -> None:
        """Keeps what is sent."""
        self._tag = uuid.uuid4().hex[:16]
        super().__init__(headers={**headers, "X-ClickHouse-Exception-Tag": self._tag})
        del self.headers["content-length"]
        self._held, self._stream = held, stream
        self._is_cut_by_errors = is_cut_by_errors
        self._packed: Callable[[bytes], bytes] = bytes

    def in_blocks(self) -> None:
        """Lets each part be blocks of its own."""
        self._packed = to_blocks

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        gone = asyncio.ensure_future(receive())
        try:
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(start)
            await self._send_all(send, gone)
        finally:
            gone.cancel()
            await self._stream.end()

    async def _send_all(self, send: Send, gone: "asyncio.Future[Any]") -> None:
        async def part(body: bytes, *, more: bool) -> None:
            packed = self._packed(body)
            message = {"type": "http.response.body", "body": packed, "more_body": more}
            await asyncio.wait_for(send(message), SEND_TIMEOUT_S)

        await part(self._held, more=True)
        try:
            async for chunk in self._stream.chunks():
                if gone.done():
                    return
                await part(chunk, more=True)
        except ServerError as error:
            text = _MARKER.sub("", str(error))
            await part(_exception_block(text, self._tag), more=self._is_cut_by_errors)
            return
        await part(b"", more=False)


def in_blocks(response: Response) -> Response:
    """Returns an answer whose body is in ClickHouse's own blocks."""
    if isinstance(response, Streamed):
        response.in_blocks()
        return response
    body = to_blocks(bytes(response.body))
    headers = {**response.headers, "content-length": str(len(body))}
    return Response(body, response.status_code, headers)


def _exception_block(text: str, tag: str) -> bytes:
    message = text.encode() + b"\n"
    end = f"{len(message)} {tag}\r\n__exception__\r\n".encode()
    return b"\r\n__exception__\r\n" + tag.encode() + b"\r\n" + message + end
