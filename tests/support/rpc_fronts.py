"""Transports that answer like providers: with limits, their error messages, and failures.

They refuse or spoil requests on the way to a real chain (tests/support/anvil.py).
"""

import json
from collections.abc import Callable
from typing import Any

import httpx2

# How providers word a refusal of a range that is too wide: by the limit, and for the range asked.
Words = Callable[[int, int], tuple[int, str]]
DIALECTS: dict[str, Words] = {
    "names the limit": lambda limit, _: (
        -32600,
        f"eth_getLogs is limited to a {limit:,} blocks range",
    ),
    "names what it got": lambda limit, _: (
        -32614,
        f"eth_getLogs is limited to 0 - {limit} blocks range",
    ),
    "suggests a range": lambda limit, first: (
        -32602,
        (
            "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block "
            "range. Based on your parameters, this block range should work: "
            f"[{first:#x}, {first + limit - 1:#x}]"
        ),
    ),
    "retry with": lambda limit, first: (
        -32005,
        (
            "query returned more than 10000 results. Try with this block range "
            f"[{first:#x}, {first + limit - 1:#x}]."
        ),
    ),
    "says nothing": lambda _limit, _first: (-32000, "block range too large"),
    "too much to say": lambda _limit, _first: (-32011, "backend response too large"),
    "at most": lambda limit, _: (
        -32602,
        f"invalid params: limit the query to at most {limit} blocks",
    ),
}


class Limited(httpx2.BaseTransport):
    """A provider that serves ranges up to a limit."""

    def __init__(self, limit: int, dialect: str) -> None:
        self._inner = httpx2.HTTPTransport()
        self._limit = limit
        self._words = DIALECTS[dialect]
        self.served = 0
        self.refused = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        if isinstance(body, dict) and body["method"] == "eth_getLogs":
            query = body["params"][0]
            first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
            if last - first + 1 > self._limit:
                self.refused += 1
                code, message = self._words(self._limit, first)
                error = {"code": code, "message": message}
                return httpx2.Response(400, json={"jsonrpc": "2.0", "id": 0, "error": error})
            self.served += 1
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


class Spoiled(httpx2.BaseTransport):
    """A provider that spoils answers by order: each entry spoils the next matching request.

    An entry is (method, what): what is an HTTP answer, an exception, or a change of the result.
    """

    def __init__(self) -> None:
        self._inner = httpx2.HTTPTransport()
        self.orders: list[tuple[str, Any]] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        method = body["method"] if isinstance(body, dict) else body[0]["method"]
        what = None
        if self.orders and self.orders[0][0] in ("*", method):
            what = self.orders.pop(0)[1]
        if isinstance(what, Exception):
            raise what
        if isinstance(what, httpx2.Response):
            return what
        answer = self._inner.handle_request(request)
        if what is None:
            return answer
        answer.read()
        changed = answer.json()
        changed["result"] = what(changed["result"])
        return httpx2.Response(200, json=changed)

    def close(self) -> None:
        self._inner.close()
