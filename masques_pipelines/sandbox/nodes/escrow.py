"""Computes the escrow contract of payment channels: what each step of a channel logs and moves.

A step is a payment of facts.py with a kind of its own. What it moves follows from the steps before
it: a claim is what the channel has paid and was not claimed yet, a sweep all that was claimed. So a
step that is left out changes what later ones move, as on a real chain.
"""

import bisect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from masques_pipelines.rails.base.escrow import (
    CHANNELS,
    CLAIMED,
    DEPOSITED,
    ESCROW,
    PENDING,
    RECEIVERS,
    REFUNDED,
    SETTLED,
    WITHDRAW_FINALIZED,
    WITHDRAW_INITIATED,
)
from masques_pipelines.rails.base.transfers import TRANSFER, address_of, address_topic
from masques_pipelines.sandbox.nodes.facts import Payment, digest

# How long a payer waits for what it asks back.
DELAY_S: Final = 3_600
STEPS: Final = ("claim", "close", "ask_back", "take_back", "sweep")
# Steps that the payer sends itself.
OF_PAYER: Final = ("ask_back", "take_back")
_WORD: Final = 64
_SELECTOR: Final = 10


class Event(NamedTuple):
    """One log of a transaction."""

    address: str
    topics: tuple[str, ...]
    data: str


class Move(NamedTuple):
    """Tokens that move by a step."""

    block: int
    sender: str
    receiver: str
    units: int


def channel_id(seed: int, number: int) -> str:
    """Returns the id of a channel, which its number names among all."""
    return "0x" + digest(seed, "payment channel", number).hex()


def is_step(payment: Payment) -> bool:
    """Returns whether a payment is a transaction with the escrow."""
    return payment.kind in STEPS or payment.deposit > 0


class Escrow:
    """The escrow of one network, up to any block."""

    def __init__(
        self,
        steps: Iterable[Payment],
        *,
        token: str,
        submitter: str,
        block_of: Callable[[int], int],
    ) -> None:
        """Takes the steps in the order of the chain.

        Args:
            steps: Payments for which is_step is true.
            token: The one token.
            submitter: Who sends the transactions of the receiver.
            block_of: Returns the block of a time.
        """
        self._token, self._submitter, self._block_of = token, submitter, block_of
        self.events: dict[int, list[Event]] = {}
        self.moves: list[Move] = []
        # What the functions answer, by their argument: two numbers from each block on.
        self._balance = _History()
        self._asked = _History()
        self._claimed = _History()
        for step in steps:
            self.events[step.number] = list(self._take(step, block_of(step.at_s)))

    def answer(self, data: str, block: int) -> str | None:
        """Returns what the contract answers to a call at a block, None for another function."""
        histories = {CHANNELS: self._balance, PENDING: self._asked, RECEIVERS: self._claimed}
        history = histories.get(data[:_SELECTOR])
        if history is None:
            return None
        words = data[_SELECTOR:]
        key = "0x" + words
        if history is self._claimed:
            is_token = address_of(words[_WORD:]) == self._token
            key = address_of(words[:_WORD]) if is_token else ""
        return "0x" + "".join(f"{each:0{_WORD}x}" for each in history.at(key, block))

    def _take(self, step: Payment, block: int) -> Iterator[Event]:
        """Yields the events of a step, and notes what it changes."""
        channel = step.channel
        balance, claimed = self._balance.newest(channel)
        if step.kind == "voucher":
            yield self._move(block, step.sender, ESCROW, step.deposit)
            balance += step.deposit
            yield self._event((DEPOSITED, channel, self._by(step)), step.deposit, balance)
        if step.kind in ("claim", "close") and step.total > claimed:
            units, claimed = step.total - claimed, step.total
            total, swept = self._claimed.newest(step.receiver)
            self._claimed.note(step.receiver, block, (total + units, swept))
            yield self._event((CLAIMED, channel, self._by(step)), units, claimed)
        if step.kind == "close" and balance > claimed:
            left, balance = balance - claimed, claimed
            asked, at_s = self._asked.newest(channel)
            still = (asked - left, at_s) if asked > left else (0, 0)
            self._asked.note(channel, block, still)
            yield self._event((REFUNDED, channel, self._by(step)), left)
            yield self._move(block, ESCROW, step.sender, left)
        if step.kind == "ask_back" and balance > claimed:
            at_s = step.at_s
            self._asked.note(channel, block, (balance - claimed, at_s))
            yield self._event((WITHDRAW_INITIATED, channel), balance - claimed, at_s + DELAY_S)
        if step.kind == "take_back":
            taken = min(self._asked.newest(channel)[0], balance - claimed)
            balance -= taken
            self._asked.note(channel, block, (0, 0))
            yield self._event((WITHDRAW_FINALIZED, channel, self._by(step)), taken)
            yield self._move(block, ESCROW, step.sender, taken)
        if step.kind == "sweep":
            total, swept = self._claimed.newest(step.receiver)
            self._claimed.note(step.receiver, block, (total, total))
            yield self._move(block, ESCROW, step.receiver, total - swept)
            topics = (SETTLED, address_topic(step.receiver), address_topic(self._token))
            yield self._event((*topics, self._by(step)), total - swept)
        else:
            self._balance.note(channel, block, (balance, claimed))

    def _by(self, step: Payment) -> str:
        return address_topic(self.sender(step))

    def sender(self, step: Payment) -> str:
        """Returns who sends the transaction of a step."""
        return step.sender if step.kind in OF_PAYER else self._submitter

    def _event(self, topics: tuple[str, ...], *numbers: int) -> Event:
        return Event(ESCROW, topics, "0x" + "".join(f"{each:0{_WORD}x}" for each in numbers))

    def _move(self, block: int, sender: str, receiver: str, units: int) -> Event:
        self.moves.append(Move(block, sender, receiver, units))
        topics = (TRANSFER, address_topic(sender), address_topic(receiver))
        return Event(self._token, topics, f"0x{units:0{_WORD}x}")


class _History:
    """Two numbers by key, from blocks on."""

    def __init__(self) -> None:
        self._blocks: dict[str, list[int]] = defaultdict(list)
        self._values: dict[str, list[tuple[int, int]]] = defaultdict(list)

    def note(self, key: str, block: int, value: tuple[int, int]) -> None:
        self._blocks[key].append(block)
        self._values[key].append(value)

    def newest(self, key: str) -> tuple[int, int]:
        return self._values[key][-1] if key in self._values else (0, 0)

    def at(self, key: str, block: int) -> tuple[int, int]:
        place = bisect.bisect_right(self._blocks.get(key, []), block)
        return self._values[key][place - 1] if place else (0, 0)
