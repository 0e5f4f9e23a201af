"""Describes the payments that the sandbox's nodes answer from, and names what follows from them.

A node holds payments and a clock, and computes every answer: blocks, slots, indices, hashes,
receipts, balances and finality follow from number, seed and time. It shows nothing that lies in the
future of its clock; at one time of the clock a question has one answer. It scans no list of
payments to answer a request: they are found by number, or by time with a binary search.
"""

import bisect
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, Literal

# What happened to a payment:
#   plain: moved without a gate: a transfer, or on Lightning a payment of ours.
#   paid: moved because a gate asked for it, by an authorization, a facilitator, or an invoice.
#   failed: its transaction is on the chain and moved nothing; on Lightning its parts arrived and
#       were canceled, or a payment of ours did not arrive.
#   canceled: on Base, its authorization was canceled; otherwise as unpaid.
#   unpaid: never sent; on Lightning an invoice that expires.
#   held: on Lightning its parts arrived and neither settle nor return; otherwise as unpaid.
#   hidden: moved, and no list of the node shows it: the balances do.
# On Base, of a payment channel:
#   voucher: signed, after a deposit of its own where it has one.
#   claim: the receiver claims what the channel has paid.
#   close: the same, and gives back to the payer what is left.
#   ask_back: the payer asks for all that is not claimed.
#   take_back: the payer takes what it asked for and is not claimed meanwhile.
#   sweep: all that was claimed goes to the receiver.
Kind = Literal[
    "plain", "paid", "failed", "canceled", "unpaid", "held", "hidden",
    "voucher", "claim", "close", "ask_back", "take_back", "sweep",
]  # fmt: skip
MOVING: Final[tuple[Kind, ...]] = ("plain", "paid", "hidden")

# Virtual time, seconds since 1970.
Clock = Callable[[], int]
# The last digits of a hash are its number, so that a hash is found without a table of all.
NUMBER_BYTES: Final = 6


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment of one rail: a fact.

    Attributes:
        number: Names it among the payments of its rail, up to 2**48 - 1; its hashes follow from it.
        at_s: When it reaches the rail, seconds since 1970: the time of its block, or of its
            invoice.
        units: The amount in the smallest unit; on Lightning millisatoshi.
        sender: Address, wallet, or public key of a node; '' where the rail does not say.
        receiver: As `sender`.
        kind: What happened to it.
        valid_s: Seconds after `at_s` until which it can be paid: validBefore, or an expiry.
        after_s: On Lightning, seconds from the invoice until its parts arrive, or from the start of
            a payment of ours until it ends.
        parts: On Lightning, the number of parts that it arrives in.
        replays: On Base, the number of the payment whose authorization its transaction carries
            again; None for its own.
        channel: On Base, the payment channel; '' for none, and of a sweep.
        total: What the channel has paid with a voucher, or by a claim.
        deposit: What a voucher deposits before.
    """

    number: int
    at_s: int
    units: int
    sender: str
    receiver: str
    kind: Kind = "paid"
    valid_s: int = 600
    after_s: int = 20
    parts: int = 1
    replays: int | None = None
    channel: str = ""
    total: int = 0
    deposit: int = 0


@dataclass(frozen=True)
class Genesis:
    """How a node begins.

    Attributes:
        at_s: Time of its first block or slot, seconds since 1970.
        seed: Decides hashes, signatures and preimages, and nothing else.
        opening: What addresses had before the first payment, in the smallest unit.
        forks_s: On Base, times from which on the blocks are others than those that stay.
    """

    at_s: int
    seed: int = 0
    opening: Mapping[str, int] = field(default_factory=dict)
    forks_s: tuple[int, ...] = ()


def digest(seed: int, kind: str, number: int) -> bytes:
    """Returns 32 bytes that follow from seed, kind and number."""
    return hashlib.sha256(f"{seed} {kind} {number}".encode()).digest()


def numbered(seed: int, kind: str, number: int, length: int = 32) -> bytes:
    """Returns bytes that follow from seed, kind and number, and end with the number."""
    made = hashlib.sha512(f"{seed} {kind} {number}".encode()).digest()
    return made[: length - NUMBER_BYTES] + number.to_bytes(NUMBER_BYTES, "big")


def number_in(data: bytes) -> int:
    """Returns the number that bytes end with."""
    return int.from_bytes(data[-NUMBER_BYTES:], "big")


class Sums:
    """Adds up amounts until a time, or any other ascending place."""

    def __init__(self, moves: Iterable[tuple[int, int]]) -> None:
        """Takes (place, amount) in any order."""
        ordered = sorted(moves)
        self._places = [place for place, _ in ordered]
        self._sums = list(accumulate((amount for _, amount in ordered), initial=0))

    def until(self, place: int) -> int:
        """Returns the sum of the amounts at places up to and including one."""
        return self._sums[bisect.bisect_right(self._places, place)]


def moves_of(
    payments: Sequence[Payment],
    address: str,
    place_of: Callable[[Payment], int],
    more: Iterable[tuple[int, str, str, int]] = (),
) -> Sums:
    """Returns what came to an address, less what left it, by place.

    Args:
        payments: Those of the rail.
        address: Whose moves.
        place_of: Where a payment moves.
        more: What else moves: place, sender, receiver and units.
    """
    moves = [
        (place, units * ((receiver == address) - (sender == address)))
        for place, sender, receiver, units in more
    ]
    for each in payments:
        if each.kind in MOVING and address in (each.sender, each.receiver):
            units = each.units * ((each.receiver == address) - (each.sender == address))
            moves.append((place_of(each), units))
    return Sums(moves)
