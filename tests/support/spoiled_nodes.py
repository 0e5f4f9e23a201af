"""Solana and LND without a network, whose answers a test changes on their way."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from masques_pipelines.rails.node import HttpNode, JsonRpc
from tests.support.fake_lnd import FakeLnd
from tests.support.solana_rpc import Solana

# What a spoiler gets: method or path, what was asked, the true answer.
Spoil = Callable[[str, Any, Any], Any]


class RpcFailureError(Exception):
    """A spoiler answers a call with a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def truth(_method: str, _asked: Any, answer: Any) -> Any:
    return answer


def solana_rpc(chain: Solana, spoil: Spoil = truth) -> JsonRpc:
    def one(call: Mapping[str, Any]) -> dict[str, Any]:
        method, params = call["method"], call.get("params") or []
        chain.requests.append(method)
        try:
            result = spoil(method, params, chain.answer(method, params))
        except RpcFailureError as error:
            return {"id": call["id"], "error": {"code": error.code, "message": str(error)}}
        return {"jsonrpc": "2.0", "id": call["id"], "result": result}

    def answer(request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        answers = [one(each) for each in body] if isinstance(body, list) else one(body)
        return httpx2.Response(200, content=json.dumps(answers))

    return JsonRpc(_node(answer))


def lnd_node(lnd: FakeLnd, spoil: Spoil = truth) -> HttpNode:
    return _node(lnd_answers(lnd, spoil))


def lnd_answers(lnd: FakeLnd, spoil: Spoil = truth) -> Callable[[httpx2.Request], httpx2.Response]:
    """Returns what answers as a node, in this process."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        query = dict(request.url.params)
        if request.content:
            query |= {name: str(value) for name, value in json.loads(request.content).items()}
        path = request.url.path
        lnd.requests.append(f"{path}?{request.url.query.decode()}")
        status, found = lnd.answer_any(path, query)
        content = json.dumps(spoil(path, query, found))
        return httpx2.Response(status, content=content, headers={"Date": lnd.date})

    return answer


def _node(answer: Callable[[httpx2.Request], httpx2.Response]) -> HttpNode:
    client = httpx2.Client(transport=httpx2.MockTransport(answer))
    return HttpNode(client, "http://node.test", "http://node.test", sleep=lambda _s: None)
