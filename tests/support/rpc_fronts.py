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


Change = Callable[[Any], Any]


def answers_of(request: httpx2.Request) -> tuple[list[dict[str, Any]], bool]:
    """Returns the calls of a request, and whether they are a batch."""
    body = json.loads(request.content)
    return (body, True) if isinstance(body, list) else ([body], False)


class Front(httpx2.BaseTransport):
    """A provider before a chain: answers itself, or changes what the chain answers."""

    def __init__(self, inner: httpx2.BaseTransport | None = None) -> None:
        self._inner = inner or httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        calls, is_batch = answers_of(request)
        refused = self.refuse(calls, is_batch=is_batch)
        if refused is not None:
            return refused
        answer = self._inner.handle_request(request)
        answer.read()
        parsed = answer.json()
        by_id = {each["id"]: each for each in (parsed if is_batch else [parsed])}
        changed = [self.change(call, dict(by_id[call["id"]])) for call in calls]
        return httpx2.Response(200, json=changed if is_batch else changed[0])

    def refuse(self, calls: list[dict[str, Any]], *, is_batch: bool) -> httpx2.Response | None:
        """Returns an answer that never reached the chain, None to ask it."""
        del calls, is_batch
        return None

    def change(self, call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        """Returns the answer of one call as this provider gives it."""
        del call
        return answer

    def close(self) -> None:
        self._inner.close()


class Limited(Front):
    """A provider that serves ranges up to a limit."""

    def __init__(self, limit: int, dialect: str, inner: httpx2.BaseTransport | None = None) -> None:
        super().__init__(inner)
        self._limit = limit
        self._words = DIALECTS[dialect]
        self.served = 0
        self.refused = 0

    def change(self, call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if call["method"] != "eth_getLogs":
            return answer
        query = call["params"][0]
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        if last - first + 1 <= self._limit:
            self.served += 1
            return answer
        self.refused += 1
        code, message = self._words(self._limit, first)
        return {"jsonrpc": "2.0", "id": call["id"], "error": {"code": code, "message": message}}


class Refusing(Front):
    """A provider that fails for wide ranges or for batches, below JSON-RPC."""

    def __init__(
        self,
        failure: httpx2.Response | Exception,
        *,
        limit: int | None = None,
        inner: httpx2.BaseTransport | None = None,
    ) -> None:
        super().__init__(inner)
        self._failure = failure
        self._limit = limit
        self.refused = 0

    def refuse(self, calls: list[dict[str, Any]], *, is_batch: bool) -> httpx2.Response | None:
        if self._limit is None:
            is_refused = is_batch
        else:
            spans = [c["params"][0] for c in calls if c["method"] == "eth_getLogs"]
            is_refused = any(
                int(s["toBlock"], 16) - int(s["fromBlock"], 16) >= self._limit for s in spans
            )
        if not is_refused:
            return None
        self.refused += 1
        if isinstance(self._failure, Exception):
            raise self._failure
        return self._failure


class Spoiled(Front):
    """A provider that spoils answers by order: each entry spoils the next matching request.

    An entry is (method, what): what is an HTTP answer, an exception, or a change of the result.
    What `always` names is changed in every answer.
    """

    def __init__(self, inner: httpx2.BaseTransport | None = None) -> None:
        super().__init__(inner)
        self.orders: list[tuple[str, Any]] = []
        self.always: dict[str, Change] = {}
        self._now: tuple[str, Change] | None = None

    def refuse(self, calls: list[dict[str, Any]], *, is_batch: bool) -> httpx2.Response | None:
        del is_batch
        self._now = None
        methods = {"*", *(call["method"] for call in calls)}
        if not self.orders or self.orders[0][0] not in methods:
            return None
        method, what = self.orders.pop(0)
        if isinstance(what, Exception):
            raise what
        if isinstance(what, httpx2.Response):
            return what
        self._now = (method, what)
        return None

    def change(self, call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        for method, what in (self._now or ("", None), *self.always.items()):
            if what is not None and method == call["method"] and "result" in answer:
                answer["result"] = what(answer["result"])
        return answer
