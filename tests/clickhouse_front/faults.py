"""Faults that a test orders from the server, and connections that are cut."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

FaultKind = Literal["drop_before", "drop_after", "error", "http_status", "delay", "truncate"]


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


def take_fault(faults: list[Fault], sql: str) -> Fault | None:
    """Returns the fault that hits this statement, and removes one that is spent."""
    for fault in faults:
        if fault.match not in sql:
            continue
        if fault.skip:
            fault.skip -= 1
            continue
        fault.times -= 1
        faults[:] = [left for left in faults if left.times > 0]
        return fault
    return None


class Protocol(H11Protocol):
    """uvicorn's own, with its connections findable: ASGI has no way to cut one."""

    open: ClassVar[dict[tuple[str, int], asyncio.Transport]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the parent
        self.peer = transport.get_extra_info("peername")
        self.open[self.peer] = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open.pop(self.peer, None)
        super().connection_lost(exc)


class Cut(Response):
    """No answer, or the first half of one, and the connection is gone."""

    def __init__(self, answer: Response | None = None) -> None:
        super().__init__()
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = Protocol.open.get(tuple(scope["client"]))
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
