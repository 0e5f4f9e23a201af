"""Answers requests in this process: the transports of the sandbox's nodes."""

import json
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any, Final

import httpx2

from masques_pipelines.sandbox.nodes.facts import Clock

UNKNOWN_METHOD: Final = -32601
INVALID_PARAMS: Final = -32602


class RefusedError(Exception):
    """A node answers a JSON-RPC call with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class RpcNode(httpx2.BaseTransport):
    """Answers JSON-RPC calls, single or in batches.

    Attributes:
        clock: The node's time.
        requests: Requests answered.
        calls: Calls in them.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.requests = 0
        self.calls = 0

    def methods(self) -> Mapping[str, Callable[..., Any]]:
        """Returns what answers each method, from its parameters; raises RefusedError."""
        raise NotImplementedError

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answers one request; as every node, with the time of its clock."""
        self.requests += 1
        body = json.loads(request.content)
        answers = [self._answer(each) for each in body] if isinstance(body, list) else None
        return respond(200, self._answer(body) if answers is None else answers, self.clock())

    def _answer(self, call: Mapping[str, Any]) -> dict[str, Any]:
        self.calls += 1
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": call.get("id")}
        method = self.methods().get(call.get("method", ""))
        if method is None:
            return {**answer, "error": {"code": UNKNOWN_METHOD, "message": "Method not found"}}
        try:
            return {**answer, "result": method(*call.get("params", []))}
        except RefusedError as error:
            code, message = error.code, str(error)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            code, message = INVALID_PARAMS, "invalid params"
        return {**answer, "error": {"code": code, "message": message}}


def respond(status: int, body: Any, now_s: int) -> httpx2.Response:
    """Returns a JSON answer that is dated by a node's clock."""
    headers = {"Content-Type": "application/json", "Date": formatdate(now_s, usegmt=True)}
    return httpx2.Response(status, content=json.dumps(body), headers=headers)
