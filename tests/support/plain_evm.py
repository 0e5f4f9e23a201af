"""An EVM chain in memory, in milliseconds: what its receipts say, and what follows from them.

Logs, balances and states of authorizations all follow from the same receipts, so that the answers
agree with each other as those of a true node do. Nothing is executed: tests/support/anvil.py is a
real chain.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from masques_pipelines.rails.base.escrow import (
    CLAIMED,
    DEPOSITED,
    ESCROW,
    REFUNDED,
    SETTLED,
    WITHDRAW_FINALIZED,
    WITHDRAW_INITIATED,
)
from masques_pipelines.rails.base.gateway_contracts import (
    BURNED,
    MINTED,
    Contracts,
)
from masques_pipelines.rails.base.gateway_contracts import (
    DEPOSITED as GATEWAY_DEPOSITED,
)
from masques_pipelines.rails.base.transfers import (
    AUTHORIZATION_CANCELED,
    AUTHORIZATION_USED,
    BALANCE_OF,
    TRANSFER,
    address_topic,
)
from masques_pipelines.rails.node import BATCH_MAX
from tests.support.anvil import TREASURY, USDC

START_S = 1_795_000_000
SUBMITTER = "0x" + "5" * 40


class DirectRpc:
    """Asks a chain in memory without a connection.

    Attributes:
        cpu_s: CPU seconds of its answers.
    """

    def __init__(self, chain: "PlainEvm") -> None:
        self._chain = chain
        self.node = SimpleNamespace(description="memory", calls=0)
        self.cpu_s = 0.0

    def call(self, method: str, *params: Any, attempts: int = 0) -> Any:
        return self.many([(method, params)], attempts=attempts)[0]

    def many(self, calls: Sequence[tuple[str, Sequence[Any]]], *, attempts: int = 0) -> list[Any]:
        del attempts
        self.node.calls += -(-len(calls) // BATCH_MAX)
        before = time.process_time()
        answers = [self._chain.answer(method, list(params)) for method, params in calls]
        self.cpu_s += time.process_time() - before
        return answers


def digest(text: str) -> str:
    return "0x" + hashlib.sha256(text.encode()).hexdigest()


def moves(sender: str, receiver: str, units: int, token: str = USDC) -> dict[str, Any]:
    topics = [TRANSFER, address_topic(sender), address_topic(receiver)]
    return {"address": token, "topics": topics, "data": f"0x{units:064x}"}


def uses(authorizer: str, nonce: str, token: str = USDC) -> dict[str, Any]:
    topics = [AUTHORIZATION_USED, address_topic(authorizer), nonce]
    return {"address": token, "topics": topics, "data": "0x"}


def cancels(authorizer: str, nonce: str, token: str = USDC) -> dict[str, Any]:
    return {**uses(authorizer, nonce, token), "topics": [
        AUTHORIZATION_CANCELED, address_topic(authorizer), nonce,
    ]}  # fmt: skip


def _escrow(topic: str, *more: str, amounts: tuple[int, ...]) -> dict[str, Any]:
    data = "0x" + "".join(f"{each:064x}" for each in amounts)
    return {"address": ESCROW, "topics": [topic, *more], "data": data}


def deposits(channel: str, units: int, balance: int) -> dict[str, Any]:
    return _escrow(DEPOSITED, channel, address_topic(SUBMITTER), amounts=(units, balance))


def claims(channel: str, units: int, total: int) -> dict[str, Any]:
    return _escrow(CLAIMED, channel, address_topic(SUBMITTER), amounts=(units, total))


def asks_back(channel: str, units: int, until_s: int) -> dict[str, Any]:
    return _escrow(WITHDRAW_INITIATED, channel, amounts=(units, until_s))


def takes_back(channel: str, units: int) -> dict[str, Any]:
    return _escrow(WITHDRAW_FINALIZED, channel, address_topic(SUBMITTER), amounts=(units,))


def sweeps(receiver: str, units: int, token: str = USDC) -> tuple[dict[str, Any], dict[str, Any]]:
    topics = (address_topic(receiver), address_topic(token), address_topic(SUBMITTER))
    return moves(ESCROW, receiver, units), _escrow(SETTLED, *topics, amounts=(units,))


GATEWAY = Contracts("eip155:8453")
ZERO = "0x" + "0" * 40


def _words(*numbers: int) -> str:
    return "".join(f"{each % 2**256:064x}" for each in numbers)


def batch_call(changes: dict[str, int], token: str = USDC) -> str:
    """The call that changes balances in Circle Gateway by what is left of many payments."""
    entries = [n for address, units in changes.items() for n in (int(address, 16), units)]
    wallet = int(GATEWAY.wallet, 16)
    batch = _words(0xA0, 7, 6, int(token, 16), wallet, len(changes), *entries)
    size = len(batch) // 2
    return "0xc9486c8b" + _words(64, 96 + size, size) + batch + _words(1) + "00" * 32


def gateway_deposit(owner: str, units: int, token: str = USDC) -> tuple[dict[str, Any], ...]:
    topics = [GATEWAY_DEPOSITED, *map(address_topic, (token, owner, owner))]
    booked = {"address": GATEWAY.wallet, "topics": topics, "data": "0x" + _words(units)}
    return moves(owner, GATEWAY.wallet, units, token), booked


def gateway_mint(
    owner: str, units: int, spec: str, domain: int = 6, token: str = USDC
) -> tuple[dict[str, Any], ...]:
    """A withdrawal: tokens are minted before the balance that they come from is burned."""
    topics = [MINTED, address_topic(token), address_topic(owner), spec]
    words = _words(domain, int(owner, 16), int(owner, 16), units)
    used = {"address": GATEWAY.minter, "topics": topics, "data": "0x" + words}
    return moves(ZERO, owner, units, token), used


def gateway_burn(
    owner: str, units: int, fee: int, spec: str, domain: int = 6, token: str = USDC
) -> dict[str, Any]:
    topics = [BURNED, address_topic(token), address_topic(owner), spec]
    who = int(owner, 16)
    words = _words(domain, who, who, units, fee, units + fee, 0)
    return {"address": GATEWAY.wallet, "topics": topics, "data": "0x" + words}


@dataclass
class PlainEvm:
    """One chain: transactions in blocks of two seconds, the newest of which are not final."""

    head: int = 0
    final: int = 0
    receipts: list[dict[str, Any]] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    receiver: str = TREASURY
    targets: dict[str, str] = field(default_factory=dict)
    chain_id: int = 8453
    in_gateway: list[tuple[int, str, int]] = field(default_factory=list)

    def time_s(self, block: int) -> int:
        return START_S + 2 * block

    def land(
        self, block: int, *logs: dict[str, Any], status: int = 1, call: str = "0x", fork: str = ""
    ) -> str:
        """Puts a transaction into a block; returns its hash."""
        tx = digest(f"tx {block} {len(self.receipts)} {fork}")
        place = {
            "blockNumber": hex(block),
            "blockHash": self._hash(block),
            "transactionHash": tx,
            "transactionIndex": "0x0",
        }
        made = [
            {**log, **place, "logIndex": hex(number), "removed": False}
            for number, log in enumerate(logs)
        ]
        self.receipts.append(
            {
                **place,
                "status": hex(status),
                "from": SUBMITTER,
                "to": USDC,
                "gasUsed": "0xfde8",
                "effectiveGasPrice": "0xf4240",
                "l1Fee": "0x3b9aca00",
                "logs": made,
            }
        )
        self.inputs[tx] = call
        return tx

    def settle(self, block: int, changes: dict[str, int]) -> str:
        """Settles payments by Circle Gateway in a batch; returns the hash of its transaction."""
        tx = self.land(block, call=batch_call(changes))
        self.targets[tx] = GATEWAY.wallet
        self.in_gateway += [(block, address, units) for address, units in changes.items()]
        return tx

    def answer(self, method: str, params: list[Any]) -> Any:
        return getattr(self, f"_{method.removeprefix('eth_')}")(*params)

    def _hash(self, block: int) -> str:
        return digest(f"block {block}")

    def _number(self, tag: str) -> int:
        return {"latest": self.head, "finalized": self.final}.get(tag) or int(tag, 16)

    def _chainId(self) -> str:  # noqa: N802 - the node's name
        return hex(self.chain_id)

    def _blockNumber(self) -> str:  # noqa: N802 - the node's name
        return hex(self.head)

    def _getBlockByNumber(self, tag: str, _whole: bool) -> Any:  # noqa: N802
        number = self._number(tag)
        if number > self.head:
            return None
        return {
            "number": hex(number),
            "hash": self._hash(number),
            "parentHash": self._hash(number - 1),
            "timestamp": hex(self.time_s(number)),
        }

    def _getTransactionReceipt(self, tx: str) -> Any:  # noqa: N802 - the node's name
        return next((each for each in self.receipts if each["transactionHash"] == tx), None)

    def _getBlockReceipts(self, tag: str) -> Any:  # noqa: N802 - the node's name
        return [each for each in self.receipts if each["blockNumber"] == hex(self._number(tag))]

    def _getTransactionByHash(self, tx: str) -> Any:  # noqa: N802 - the node's name
        if tx not in self.inputs:
            return None
        return {"hash": tx, "input": self.inputs[tx], "to": self.targets.get(tx, USDC)}

    def _getLogs(self, query: dict[str, Any]) -> Any:  # noqa: N802 - the node's name
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        return [
            log
            for log in self._logs()
            if first <= int(log["blockNumber"], 16) <= last and _matches(log, query)
        ]

    def _call(self, call: dict[str, str], tag: str) -> str:
        if call["to"] == ESCROW:
            return self._escrow_says(call["data"], self._number(tag))
        upto = self._number(tag)
        if call["to"] == GATEWAY.wallet:
            owner = "0x" + call["data"][-40:]
            held = sum(u for at, who, u in self.in_gateway if at <= upto and who == owner)
            return "0x" + _words(held)
        logs = [
            log
            for log in self._logs()
            if int(log["blockNumber"], 16) <= upto and log["address"] == call["to"]
        ]
        words = [call["data"][start : start + 64] for start in range(10, len(call["data"]), 64)]
        if call["data"].startswith(BALANCE_OF):
            topic = f"0x{words[0]}"
            value = sum(
                int(log["data"], 16) * ((log["topics"][2] == topic) - (log["topics"][1] == topic))
                for log in logs
                if log["topics"][0] == TRANSFER
            )
        else:
            subject = [f"0x{each}" for each in words]
            value = any(
                log["topics"][0] != TRANSFER and log["topics"][1:] == subject for log in logs
            )
        return f"0x{int(value):064x}"

    def _escrow_says(self, data: str, upto: int) -> str:
        """Answers for the escrow contract, whose channels all pay one receiver."""
        logs = [log for log in self._logs() if log["address"] == ESCROW]
        if not logs:
            return "0x"
        logs = [log for log in logs if int(log["blockNumber"], 16) <= upto]

        def total(topic: str, channel: str = "") -> int:
            return sum(
                int(log["data"][2:66], 16)
                for log in logs
                if log["topics"][0] == topic and channel in ("", log["topics"][1])
            )

        channel = "0x" + data[10:74]
        if data.startswith("0x21ff6389"):
            receiver = "0x" + data[10:74]
            swept = [log for log in logs if log["topics"][:2] == [SETTLED, receiver]]
            is_paid = receiver == address_topic(self.receiver)
            found = total(CLAIMED) * is_paid, sum(int(log["data"], 16) for log in swept)
        elif data.startswith("0x7a7ebd7b"):
            taken = total(WITHDRAW_FINALIZED, channel) + total(REFUNDED, channel)
            found = total(DEPOSITED, channel) - taken, total(CLAIMED, channel)
        else:
            asked = [
                log
                for log in logs
                if log["topics"][0] in (WITHDRAW_INITIATED, WITHDRAW_FINALIZED)
                and log["topics"][1] == channel
            ]
            is_asked = bool(asked) and asked[-1]["topics"][0] == WITHDRAW_INITIATED
            at_s = self.time_s(int(asked[-1]["blockNumber"], 16)) if is_asked else 0
            found = (int(asked[-1]["data"][2:66], 16) if is_asked else 0), at_s
        return "0x" + "".join(f"{each:064x}" for each in found)

    def _logs(self) -> list[dict[str, Any]]:
        return [log for each in self.receipts if each["status"] == "0x1" for log in each["logs"]]


def _matches(log: dict[str, Any], query: dict[str, Any]) -> bool:
    if log["address"] not in query["address"]:
        return False
    for topic, wanted in zip(log["topics"], query["topics"], strict=False):
        if wanted is not None and topic not in ([wanted] if isinstance(wanted, str) else wanted):
            return False
    return len(log["topics"]) >= len(query["topics"])
