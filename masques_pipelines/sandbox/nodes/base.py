"""Computes a Base node: a chain with one token, from payments and a clock."""

import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from masques_pipelines.rails.base.escrow import ESCROW
from masques_pipelines.rails.base.transfers import (
    AUTHORIZATION_CANCELED,
    AUTHORIZATION_STATE,
    AUTHORIZATION_USED,
    BALANCE_OF,
    TRANSFER,
    address_of,
    address_topic,
)
from masques_pipelines.sandbox.nodes.escrow import Escrow, Event, is_step
from masques_pipelines.sandbox.nodes.facts import (
    Clock,
    Genesis,
    Payment,
    Sums,
    digest,
    moves_of,
    number_in,
    numbered,
)
from masques_pipelines.sandbox.nodes.transport import RefusedError, RpcNode


@dataclass(frozen=True)
class Chain:
    """A network that the node may be of.

    Attributes:
        chain_id: As eth_chainId answers it.
        token: Address of the one token, lower-case hex.
    """

    chain_id: int
    token: str

    @property
    def network(self) -> str:
        """CAIP-2 id."""
        return f"eip155:{self.chain_id}"


BASE: Final = Chain(8453, "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913")
POLYGON: Final = Chain(137, "0x3c499c542cef5e3811e1192ce70d8cc03d5c3359")
BLOCK_S: Final = 2
RANGE_MAX: Final = 10_000
# Base is final after about 20 minutes, and safe after about 2.
FINAL_AFTER_S: Final = 1_200
SAFE_AFTER_S: Final = 120
# What every address had before the first block, but those that are given.
FUNDED_UNITS: Final = 10**15

_ON_CHAIN: Final = ("plain", "paid", "failed", "canceled")
_ENDS_AUTHORIZATION: Final = ("paid", "canceled")
# transferWithAuthorization of EIP-3009, and transfer of ERC-20.
_SENT: Final = {"plain": "0xa9059cbb"}
_SENT_AUTHORIZED: Final = "0xe3ee160e"
_RANGE_REFUSED: Final = -32600
_ADDRESS_DIGITS: Final = 40
_WORD_DIGITS: Final = 64


def transaction_hash(seed: int, number: int) -> str:
    """Returns the hash of a payment's transaction."""
    return "0x" + numbered(seed, "base transaction", number).hex()


def nonce(seed: int, payment: Payment) -> str:
    """Returns the nonce of the authorization that a payment carries."""
    number = payment.number if payment.replays is None else payment.replays
    return "0x" + numbered(seed, "base nonce", number).hex()


def facilitator(seed: int) -> str:
    """Returns the address that sends the transactions of authorizations."""
    return "0x" + digest(seed, "base facilitator", 0).hex()[:_ADDRESS_DIGITS]


class BaseNode(RpcNode):
    """An EVM node, with what Base's rail asks for."""

    def __init__(  # noqa: PLR0913 - how a chain is made, by name
        self,
        payments: Iterable[Payment],
        clock: Clock,
        genesis: Genesis,
        *,
        chain: Chain = BASE,
        block_s: int = BLOCK_S,
        range_max: int = RANGE_MAX,
        has_escrow: bool = False,
    ) -> None:
        """Makes the chain; later payments than the clock's time are shown when it reaches them.

        Args:
            payments: Facts, in any order; addresses in lower-case hex.
            clock: The node's time.
            genesis: Block 0.
            chain: The network.
            block_s: Seconds from one block to the next.
            range_max: Blocks that one eth_getLogs may ask for.
            has_escrow: Whether the contract of payment channels is there.
        """
        super().__init__(clock)
        self._chain = chain
        self._seed, self._genesis_s = genesis.seed, genesis.at_s
        self._opening = {ESCROW: 0, **genesis.opening}
        self._block_s, self._range_max = block_s, range_max
        self._payments = sorted(payments, key=lambda each: (each.at_s, each.number))
        self._mined = [each for each in self._payments if each.kind in _ON_CHAIN or is_step(each)]
        self._escrow = Escrow(
            filter(is_step, self._mined),
            token=chain.token,
            submitter=facilitator(genesis.seed),
            block_of=self.block_of,
        )
        self._contracts = (chain.token, *((ESCROW,) if has_escrow else ()))
        self._blocks = [self.block_of(each.at_s) for each in self._mined]
        self._places = {each.number: place for place, each in enumerate(self._mined)}
        self._sums: dict[str, Sums] = {}
        self._forks = [self.block_of(each) for each in genesis.forks_s]

    def block_of(self, time_s: int) -> int:
        """Returns the first block that is not before a time."""
        return max(0, -(-(time_s - self._genesis_s) // self._block_s))

    @property
    def head(self) -> int:
        """Number of the newest block."""
        return max(0, (self.clock() - self._genesis_s) // self._block_s)

    def methods(self) -> Mapping[str, Callable[..., Any]]:
        """Returns what answers each method."""
        return {
            "eth_chainId": lambda: hex(self._chain.chain_id),
            "eth_blockNumber": lambda: hex(self.head),
            "eth_getBlockByNumber": self._block,
            "eth_getLogs": self._logs,
            "eth_getTransactionReceipt": self._receipt_of_hash,
            "eth_getTransactionByHash": self._transaction,
            "eth_getBlockReceipts": self._receipts,
            "eth_call": self._call,
        }

    def _number(self, tag: str) -> int:
        head = self.head
        named = {
            "earliest": 0,
            "latest": head,
            "safe": max(0, head - SAFE_AFTER_S // self._block_s),
            "finalized": max(0, head - FINAL_AFTER_S // self._block_s),
        }
        return named[tag] if tag in named else int(tag, 16)

    def _hash(self, block: int) -> str:
        forked = [each for each in self._forks if each <= block]
        kind = f"base block, forked at {forked}" if forked else "base block"
        return "0x" + digest(self._seed, kind, block).hex()

    def _block(self, tag: str, _whole: Any = None) -> dict[str, Any] | None:
        number = self._number(tag)
        if number > self.head:
            return None
        return {
            "number": hex(number),
            "hash": self._hash(number),
            "parentHash": self._hash(number - 1),
            "timestamp": hex(self._genesis_s + number * self._block_s),
        }

    # Transactions -----------------------------------------------------------------------------

    def _place(self, hash_text: str) -> int | None:
        """Returns the place of a transaction, None for one that is not in a block yet, or ever."""
        place = self._places.get(number_in(bytes.fromhex(hash_text[2:])))
        if place is None or self._blocks[place] > self.head:
            return None
        found = transaction_hash(self._seed, self._mined[place].number)
        return place if found == hash_text.lower() else None

    def _head_of(self, place: int) -> dict[str, Any]:
        """Returns where a transaction is."""
        block = self._blocks[place]
        return {
            "blockNumber": hex(block),
            "blockHash": self._hash(block),
            "transactionHash": transaction_hash(self._seed, self._mined[place].number),
            "transactionIndex": hex(place - bisect.bisect_left(self._blocks, block)),
        }

    def _events(self, payment: Payment) -> list[Event]:
        """Returns what a transaction logs, in Circle's order."""
        if payment.kind == "failed":
            return []
        if is_step(payment):
            return self._escrow.events[payment.number]
        token = self._chain.token
        sender, receiver = address_topic(payment.sender), address_topic(payment.receiver)
        data = f"0x{payment.units:0{_WORD_DIGITS}x}"
        moved = Event(token, (TRANSFER, sender, receiver), data)
        if payment.kind == "plain":
            return [moved]
        key = (sender, nonce(self._seed, payment))
        if payment.kind == "canceled":
            return [Event(token, (AUTHORIZATION_CANCELED, *key), "0x")]
        return [Event(token, (AUTHORIZATION_USED, *key), "0x"), moved]

    def _logs_of(self, place: int) -> list[dict[str, Any]]:
        first = bisect.bisect_left(self._blocks, self._blocks[place])
        before = sum(len(self._events(each)) for each in self._mined[first:place])
        head = self._head_of(place)
        return [
            {
                **head,
                "address": event.address,
                "topics": list(event.topics),
                "data": event.data,
                "logIndex": hex(before + number),
                "removed": False,
            }
            for number, event in enumerate(self._events(self._mined[place]))
        ]

    def _called(self, payment: Payment) -> str:
        return ESCROW if is_step(payment) else self._chain.token

    def _sender(self, payment: Payment) -> str:
        if is_step(payment):
            return self._escrow.sender(payment)
        return payment.sender if payment.kind == "plain" else facilitator(self._seed)

    def _receipt(self, place: int) -> dict[str, Any]:
        payment = self._mined[place]
        return {
            **self._head_of(place),
            "type": "0x2",
            "status": hex(payment.kind != "failed"),
            "from": self._sender(payment),
            "to": self._called(payment),
            "gasUsed": hex(65_000),
            "effectiveGasPrice": hex(1_000_000),
            "l1Fee": hex(1_000_000_000),
            "logs": self._logs_of(place),
        }

    def _receipt_of_hash(self, hash_text: str) -> dict[str, Any] | None:
        place = self._place(hash_text)
        return None if place is None else self._receipt(place)

    def _receipts(self, tag: str) -> list[dict[str, Any]] | None:
        number = self._number(tag)
        if number > self.head:
            return None
        return [self._receipt(place) for place in self._within(number, number)]

    def _transaction(self, hash_text: str) -> dict[str, Any] | None:
        place = self._place(hash_text)
        if place is None:
            return None
        payment, head = self._mined[place], self._head_of(place)
        words = [payment.receiver, f"{payment.units:x}"]
        if payment.kind != "plain":
            until = f"{payment.at_s + payment.valid_s:x}"
            words = [payment.sender, *words, "0", until, nonce(self._seed, payment)]
        data = "".join(each.removeprefix("0x").rjust(_WORD_DIGITS, "0") for each in words)
        head["hash"] = head.pop("transactionHash")
        call = _SENT.get(payment.kind, _SENT_AUTHORIZED) + data.lower()
        return {
            **head,
            "from": self._sender(payment),
            "to": self._called(payment),
            "value": "0x0",
            "input": call,
        }

    # Searches ---------------------------------------------------------------------------------

    def _within(self, first: int, last: int) -> range:
        last = min(last, self.head)
        start = bisect.bisect_left(self._blocks, first)
        return range(start, max(start, bisect.bisect_right(self._blocks, last)))

    def _logs(self, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        first, last = self._number(query["fromBlock"]), self._number(query["toBlock"])
        if last - first + 1 > self._range_max:
            text = f"eth_getLogs is limited to a {self._range_max:,} blocks range"
            raise RefusedError(_RANGE_REFUSED, text)
        contracts = _choices(query.get("address"))
        if contracts is not None and contracts.isdisjoint(self._contracts):
            return []
        wanted = [_choices(each) for each in query.get("topics", [])]
        return [
            log
            for place in self._within(first, last)
            if any(_matches(each, contracts, wanted) for each in self._events(self._mined[place]))
            for log in self._logs_of(place)
            if _matches(Event(log["address"], log["topics"], ""), contracts, wanted)
        ]

    # The contract -----------------------------------------------------------------------------

    def _call(self, call: Mapping[str, str], tag: str = "latest") -> str:
        block = self._number(tag)
        if block > self.head:
            raise RefusedError(-32000, "header not found")
        contract, data = call["to"].lower(), call["data"].lower()
        if contract not in self._contracts:
            return "0x"
        if contract == ESCROW:
            answer = self._escrow.answer(data, block)
            if answer is None:
                raise RefusedError(3, "execution reverted")
            return answer
        if data.startswith(BALANCE_OF):
            return f"0x{self._balance(address_of(data), block):0{_WORD_DIGITS}x}"
        if data.startswith(AUTHORIZATION_STATE):
            words = data.removeprefix(AUTHORIZATION_STATE)
            is_ended = self._is_ended(address_of(words[:_WORD_DIGITS]), words[-64:], block)
            return f"0x{is_ended:0{_WORD_DIGITS}x}"
        raise RefusedError(3, "execution reverted")

    def _balance(self, address: str, block: int) -> int:
        if address not in self._sums:
            self._sums[address] = moves_of(
                self._payments, address, lambda each: self.block_of(each.at_s), self._escrow.moves
            )
        return self._opening.get(address, FUNDED_UNITS) + self._sums[address].until(block)

    def _is_ended(self, authorizer: str, nonce_digits: str, block: int) -> bool:
        """Returns whether an authorization is used or canceled."""
        place = self._places.get(number_in(bytes.fromhex(nonce_digits)))
        if place is None or self._blocks[place] > block:
            return False
        payment = self._mined[place]
        is_it = nonce(self._seed, payment) == f"0x{nonce_digits}" and payment.sender == authorizer
        return is_it and payment.kind in _ENDS_AUTHORIZATION


def _choices(wanted: Any) -> frozenset[str] | None:
    """Returns the values that a place of a search may have, None for any."""
    if wanted is None:
        return None
    return frozenset(each.lower() for each in ([wanted] if isinstance(wanted, str) else wanted))


def _matches(
    event: Event, contracts: frozenset[str] | None, wanted: Sequence[frozenset[str] | None]
) -> bool:
    if contracts is not None and event.address not in contracts:
        return False
    return len(event.topics) >= len(wanted) and all(
        choices is None or topic in choices
        for topic, choices in zip(event.topics, wanted, strict=False)
    )
