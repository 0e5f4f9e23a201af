"""Computes a long chain instead of mining it: many transfers over many blocks, in milliseconds.

A transport that answers as an EVM node behind a provider's limit, for measuring only. Correctness
is tested on a real chain (tests/support/anvil.py), which takes many minutes to mine as many blocks.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import httpx2

from masques_pipelines.rails.base.transfers import TRANSFER, address_topic
from tests.support.anvil import TREASURY, USDC

SENDER = "0x" + "5" * 40
START_S = 1_780_000_000


def digest(kind: str, number: int) -> str:
    return "0x" + hashlib.sha256(f"{kind} {number}".encode()).hexdigest()


class MadeChain(httpx2.BaseTransport):
    """Answers for `blocks` blocks with one transfer in every `every`-th."""

    def __init__(self, *, blocks: int, every: int, limit: int, final_after: int = 600) -> None:
        self.head = blocks
        self._every = every
        self._limit = limit
        self._final = blocks - final_after
        self.requests = 0
        self.calls = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        self.requests += 1
        calls = body if isinstance(body, list) else [body]
        answers = [self._answer(each) for each in calls]
        return httpx2.Response(200, json=answers if isinstance(body, list) else answers[0])

    def _answer(self, call: dict[str, Any]) -> dict[str, Any]:
        self.calls += 1
        method, params = call["method"], call["params"]
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": call["id"]}
        if method == "eth_getLogs":
            first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
            if last - first + 1 > self._limit:
                message = f"eth_getLogs is limited to a {self._limit:,} blocks range"
                return {**answer, "error": {"code": -32600, "message": message}}
            is_in = len(params[0]["topics"]) == 3  # what comes; nothing goes out
            return {**answer, "result": self._logs(first, last) if is_in else []}
        results: dict[str, Callable[[], Any]] = {
            "eth_chainId": lambda: hex(8453),
            "eth_blockNumber": lambda: hex(self.head),
            "eth_getBlockByNumber": lambda: self._block(params[0]),
            "eth_getTransactionReceipt": lambda: self._receipt(int(params[0][-12:], 16)),
            "eth_getBlockReceipts": lambda: self._receipts(int(params[0], 16)),
            "eth_call": lambda: self._balance(int(params[1], 16)),
        }
        return {**answer, "result": results[method]()}

    def _logs(self, first: int, last: int) -> list[dict[str, Any]]:
        start = -(-max(first, 1) // self._every) * self._every
        return [self._log(number) for number in range(start, last + 1, self._every)]

    def _log(self, number: int) -> dict[str, Any]:
        return {
            "address": USDC,
            "topics": [TRANSFER, address_topic(SENDER), address_topic(TREASURY)],
            "data": f"0x{number:064x}",
            "blockNumber": hex(number),
            "blockHash": digest("block", number),
            # The number is in the hash, so that a receipt can be computed from it.
            "transactionHash": digest("tx", number)[:54] + f"{number:012x}",
            "logIndex": "0x0",
        }

    def _block(self, tag: str) -> dict[str, Any]:
        number = {"latest": self.head, "finalized": self._final}.get(tag)
        number = int(tag, 16) if number is None else number
        stamp = hex(START_S + 2 * number)
        return {"number": hex(number), "hash": digest("block", number), "timestamp": stamp}

    def _balance(self, block: int) -> str:
        """What came until a block: each transfer moves as many units as its block's number."""
        count = block // self._every
        return f"0x{self._every * count * (count + 1) // 2:064x}"

    def _receipts(self, block: int) -> list[dict[str, Any]]:
        return [self._receipt(block)] if block and block % self._every == 0 else []

    def _receipt(self, number: int) -> dict[str, Any]:
        log = self._log(number)
        return {
            "transactionHash": log["transactionHash"],
            "blockHash": log["blockHash"],
            "blockNumber": log["blockNumber"],
            "status": "0x1",
            "from": SENDER,
            "gasUsed": "0xfde8",
            "effectiveGasPrice": "0xf4240",
            "l1Fee": "0x3b9aca00",
            "logs": [log],
        }
