"""The retry policy of the rails: what is tried again, how often, and how it ends."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from masques_pipelines.rails.node import (
    ATTEMPTS_MAX,
    ATTEMPTS_WIDE,
    HttpNode,
    JsonRpc,
    RpcError,
)
from masques_pipelines.rails.protocol import RailRefusedError, RailUnavailableError

RATE = {"error": {"code": -32005, "message": "rate limit exceeded"}}
OTHER = {"error": {"code": -32602, "message": "invalid params"}}


class Scripted:
    """A node that answers from a list, and keeps the pauses between its answers."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers: Iterator[Any] = iter(answers)
        self.pauses: list[float] = []
        self.client = httpx2.Client(transport=httpx2.MockTransport(self.answer))
        self.node = HttpNode(
            self.client, "http://a.test", "http://a.test", sleep=self.pauses.append
        )

    def answer(self, _request: httpx2.Request) -> httpx2.Response:
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx2.Response) else httpx2.Response(200, json=answer)


@pytest.fixture
def scripted() -> Iterator[Callable[[list[Any]], Scripted]]:
    made: list[Scripted] = []

    def make(answers: list[Any]) -> Scripted:
        made.append(Scripted(answers))
        return made[-1]

    yield make
    for each in made:
        each.client.close()


Make = Callable[[list[Any]], Scripted]


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (httpx2.ConnectError("http://a.test/a-secret-key"), r"no answer \(ConnectError\)"),
        (httpx2.ReadTimeout("slow"), r"no answer \(ReadTimeout\)"),
        (httpx2.Response(503, json={}), "HTTP 503"),
        (httpx2.Response(200, html="<html>"), "HTTP 200 without JSON"),
        (RATE, "eth_chainId: rate limit exceeded"),
        ([], "eth_chainId: the answer is not JSON-RPC"),
    ],
)
def test_a_call_is_tried_four_times_with_growing_pauses_between(
    scripted: Make, failure: Any, text: str
) -> None:
    there = scripted([failure] * (ATTEMPTS_MAX - 1) + [{"result": "0x1"}])
    assert JsonRpc(there.node).call("eth_chainId") == "0x1"
    assert there.node.calls == ATTEMPTS_MAX
    assert [0.5 * 2**n <= pause <= 0.75 * 2**n for n, pause in enumerate(there.pauses)] == [
        True,
        True,
        True,
    ]

    gone = scripted([failure] * ATTEMPTS_MAX)
    with pytest.raises(
        RailUnavailableError, match=rf"^http://a\.test: {text} at each of 4 attempts: [^\n]*$"
    ) as raised:
        JsonRpc(gone.node).call("eth_chainId")
    assert "a-secret-key" not in str(raised.value)
    assert len(gone.pauses) == ATTEMPTS_MAX - 1  # nobody waits after the last attempt


def test_what_a_retry_does_not_change_is_not_retried(scripted: Make) -> None:
    there = scripted([OTHER])
    with pytest.raises(RpcError, match=r"invalid params \(code -32602\)"):
        JsonRpc(there.node).call("eth_call")
    refused = scripted([httpx2.Response(403, json={})])
    with pytest.raises(RailRefusedError, match="it refuses our credentials"):
        JsonRpc(refused.node).call("eth_call")
    assert there.pauses == refused.pauses == []


@pytest.mark.parametrize(
    ("after", "least_s"),
    [
        ("7", 7.5),
        ("3600", 10.5),
        ("soon", 0.5),
        ("\u0667", 0.5),
        ("9" * 5000, 0.5),
        ("Sat, 28 Nov 2026 10:00:07 GMT", 7.5),
        ("Sat, 28 Nov 2026 12:00:00 GMT", 10.5),
        ("Sat, 28 Nov 2026 09:00:00 GMT", 0.5),
    ],
)
def test_a_retry_after_is_waited_for_up_to_ten_seconds(
    scripted: Make, after: str, least_s: float
) -> None:
    headers = {b"Retry-After": after.encode(), b"Date": b"Sat, 28 Nov 2026 10:00:00 GMT"}
    there = scripted([httpx2.Response(429, headers=headers, json={}), {"a": 1}])
    assert there.node.json("GET", "/") == (200, {"a": 1})
    assert least_s <= there.pauses[0] <= least_s + 0.25


def test_a_batch_that_stays_limited_is_sent_one_by_one(scripted: Make) -> None:
    there = scripted([RATE] * ATTEMPTS_MAX + [{"result": 1}, {"result": 2}])
    rpc = JsonRpc(there.node)
    assert rpc.batch("m", [[1], [2]]) == [1, 2]
    assert rpc.takes_batches  # busy, not unable
    assert there.node.calls == ATTEMPTS_MAX + 2


def test_a_node_without_batches_is_asked_for_one_only_once(scripted: Make) -> None:
    there = scripted([OTHER, *({"result": n} for n in range(4))])
    rpc = JsonRpc(there.node)
    assert rpc.batch("m", [[1], [2]]) == [0, 1]
    assert rpc.batch("m", [[1], [2]]) == [2, 3]
    assert there.pauses == []


def test_a_dead_node_ends_a_batch(scripted: Make) -> None:
    tried = ATTEMPTS_WIDE + ATTEMPTS_MAX  # as a batch, and then the first call of it
    there = scripted([httpx2.ConnectError("gone")] * tried)
    with pytest.raises(RailUnavailableError, match="ConnectError"):
        JsonRpc(there.node).batch("m", [[1], [2]])
    assert there.node.calls == tried


ANSWERED = [{"id": 0, "result": "a"}, {"id": 1, "result": "b"}]


@pytest.mark.parametrize(
    "batch",
    [
        httpx2.Response(413, html="<html>too large</html>"),
        httpx2.Response(403, json={"error": {"message": "batch requests are for paid plans"}}),
        httpx2.Response(401, json={"error": "not in your plan"}),
        httpx2.Response(429, json={}),
        httpx2.Response(500, json=[]),
        {"error": {"code": -32600, "message": "batch too large"}},
        [*ANSWERED, {"id": 1, "result": "c"}],
        [{"id": None, "error": {"code": -32600, "message": "invalid"}}],
        [{"id": None, "result": "x"}, *ANSWERED],
        [{"id": "0", "result": "x"}, {"id": "1", "result": "y"}],
        [{"id": True, "result": "x"}, {"id": False, "result": "y"}],
        [{"id": 0}, {"id": 1}],
        [{"id": 7, "result": "x"}],
        ["a", 1, None],
        [{"id": n, "error": {"code": -32000, "message": "batch limit"}} for n in (0, 1)],
        [{"id": n, "error": {"code": 429, "message": "too fast"}} for n in (0, 1)],
        "text",
        7,
    ],
)
def test_whatever_is_wrong_with_a_batch_single_calls_decide(scripted: Make, batch: Any) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        if isinstance(body, list):
            return batch if isinstance(batch, httpx2.Response) else httpx2.Response(200, json=batch)
        return httpx2.Response(200, json={"id": 0, "result": "ab"[body["params"][0]]})

    there = scripted([])
    with httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
        there.node.client = client
        assert JsonRpc(there.node).many([("m", [0]), ("m", [1])]) == ["a", "b"]


def test_an_error_of_one_call_is_that_calls_result(scripted: Make) -> None:
    there = scripted([[{"id": 1, "result": "b"}, {"id": 0, **OTHER}]])
    bad, good = JsonRpc(there.node).many([("m", [0]), ("m", [1])])
    assert (isinstance(bad, RpcError), good) == (True, "b")
    assert there.node.calls == 1


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("eth_call", {"code": -32007, "message": "50/second request limit reached"}),
        ("eth_getLogs", {"code": -32007, "message": "50/second request limit reached"}),
        ("eth_getLogs", {"code": -32005, "message": "You've exceeded the RPS limit"}),
        ("eth_getLogs", {"code": 15, "message": "Too many request, try again later"}),
        ("eth_getLogs", {"code": -32000, "message": "daily quota used up"}),
        ("eth_getLogs", {"code": 429, "message": "compute units per second"}),
        ("eth_getLogs", {"code": -32016, "message": "over rate limit"}),
        ("eth_call", {"code": -32005, "message": "limit exceeded"}),
        ("eth_call", {"code": -32000, "message": "request timed out"}),
        ("eth_getLogs", {"code": -32603, "message": "Internal error"}),
    ],
)
def test_each_dialect_of_a_rate_limit_is_tried_again(
    scripted: Make, method: str, error: dict[str, Any]
) -> None:
    there = scripted([{"error": error}, {"result": []}])
    assert JsonRpc(there.node).call(method) == []


@pytest.mark.parametrize(
    "message",
    [
        "query timeout exceeded",
        "query returned more than 10000 results",
        "block range too large",
        "limit exceeded",
    ],
)
def test_a_search_that_is_too_large_is_not_tried_again(scripted: Make, message: str) -> None:
    there = scripted([{"error": {"code": -32005, "message": message}}])
    with pytest.raises(RpcError):
        JsonRpc(there.node).call("eth_getLogs")
