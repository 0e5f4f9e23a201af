"""Tells what happened on three rails: payments with each kind of ending, and the gate's journal.

By hand, and small: each row of the settlements can be told beforehand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx2

from masques_pipelines.sandbox.journal import Announcement, Answer, Event
from masques_pipelines.sandbox.nodes.base import BaseNode
from masques_pipelines.sandbox.nodes.facts import Genesis, Payment
from masques_pipelines.sandbox.nodes.lightning import LndNode
from masques_pipelines.sandbox.nodes.solana import SolanaNode
from masques_pipelines.sandbox.parties import (
    BASE_BUYER,
    BASE_PARTNER,
    BASE_TREASURY,
    LND_PARTNER,
    LND_PUBKEY,
    SOLANA_BUYER,
    SOLANA_TREASURY,
    START,
    TREASURY,
)

# When the first block is, before the story's end.
BEGINS_BEFORE_S: Final = 5_400
# Decides hashes, signatures and preimages.
SEED: Final = 1
# Deposits of the captured ledger (tests/data/captures/small) that the payments settle.
DEPOSITS: Final = (
    "01a0c585-9503-1785-1825-13e37108ccf7",
    "01a0c585-9504-0130-8717-1322da13d87e",
    "01a0c585-9505-aa9d-212f-72c8093b6117",
    "01a0c585-9506-399b-eda3-a8f71238ac96",
    "01a0c585-9507-834d-92e8-2f4abd4609b6",
)

# The story's clock stands still: what is undecided is not overdue for a month.
_MONTH_S: Final = 30 * 86_400


@dataclass(frozen=True)
class Story:
    """What happened.

    Attributes:
        payments: Facts, by rail.
        announcements: The journal, in the order of its lines.
    """

    payments: Mapping[str, Sequence[Payment]]
    announcements: Sequence[Announcement]


def story_until(now_s: int) -> Story:
    """Returns the story that ends at a time."""
    parts = {
        "base": _on_base(now_s),
        "solana": _on_solana(now_s),
        "lightning": _on_lightning(now_s),
    }
    return Story(
        {rail: payments for rail, (payments, _) in parts.items()},
        sorted((each for _, said in parts.values() for each in said), key=lambda each: each.at_s),
    )


def story_node(
    rail: str, payments: Sequence[Payment], ends_s: int, now_s: int
) -> httpx2.BaseTransport:
    """Returns a node that answers as a rail of the story at a time of the clock."""

    def clock() -> int:
        return now_s

    genesis = Genesis(ends_s - BEGINS_BEFORE_S, SEED, dict.fromkeys(TREASURY["base"], 0))
    if rail == "base":
        return BaseNode(payments, clock, genesis)
    if rail == "solana":
        wallets, first_slot = TREASURY["solana"], START["solana"]
        return SolanaNode(payments, clock, genesis, treasury=wallets, first_slot=first_slot)
    return LndNode(payments, clock, genesis, pubkey=LND_PUBKEY)


def _on_base(now_s: int) -> tuple[list[Payment], list[Announcement]]:
    """Paid, reverted, replayed, never sent, sent by hand, paid out, undecided, unanswered."""
    us, buyer, partner = BASE_TREASURY, BASE_BUYER, BASE_PARTNER
    payments = [
        Payment(1, now_s - 5_000, 10_000, buyer, us),
        Payment(2, now_s - 4_960, 250_000, buyer, us),
        Payment(3, now_s - 4_920, 12_345, buyer, us),
        Payment(4, now_s - 4_800, 900_000_000, buyer, us, "failed", valid_s=60),
        Payment(5, now_s - 4_700, 75_000, buyer, us),
        # Too late: the authorization was used.
        Payment(6, now_s - 4_700, 75_000, buyer, us, "failed", replays=5),
        Payment(7, now_s - 4_600, 5_000, buyer, us, "unpaid", valid_s=60),
        Payment(8, now_s - 4_500, 2_000_000, partner, us, "plain"),
        Payment(9, now_s - 4_400, 150_000, us, partner, "plain"),
        Payment(10, now_s - 3_900, 44_000, buyer, us, "unpaid", valid_s=_MONTH_S),
        Payment(11, now_s - 300, 33_000, buyer, us),  # above the final block
    ]
    of = {each.number: each for each in payments}

    def said(number: int, answer: Answer = "success", deposit: str = "") -> Announcement:
        at_s = of[number].at_s + 2
        event: Event = "verify" if answer == "valid" else "settle"
        return Announcement("base", of[number], event, at_s, answer, (deposit,) if deposit else ())

    return payments, [
        said(1, deposit=DEPOSITS[0]),
        said(2, deposit=DEPOSITS[1]),
        said(3, deposit=DEPOSITS[2]),
        said(4, "failed"),
        said(5, deposit=DEPOSITS[3]),
        said(6, "failed"),
        said(7, "valid"),
        said(10, "none"),
    ]


def _on_solana(now_s: int) -> tuple[list[Payment], list[Announcement]]:
    """Paid, failed though the facilitator said success, paid by hand, not final yet."""
    us, buyer = SOLANA_TREASURY, SOLANA_BUYER
    payments = [
        Payment(1, now_s - 3_000, 10_000, buyer, us, valid_s=60),
        Payment(2, now_s - 2_900, 990_000, buyer, us, valid_s=60),
        Payment(3, now_s - 2_800, 20_000, buyer, us, "failed", valid_s=60),
        Payment(4, now_s - 2_500, 640_000, buyer, us, "plain"),
        Payment(5, now_s - 6, 70_000, buyer, us, "plain"),
    ]
    said = [Announcement("solana", each, "settle", each.at_s + 1) for each in payments[:3]]
    return payments, said


def _on_lightning(now_s: int) -> tuple[list[Payment], list[Announcement]]:
    """Paid at once and in parts, held, canceled, never paid, paid out."""
    us = LND_PUBKEY
    payments = [
        Payment(1, now_s - 3_000, 21_000, "", us),
        Payment(2, now_s - 2_980, 21_500, "", us, parts=2),
        Payment(3, now_s - 2_000, 8_000, "", us, "failed"),
        Payment(4, now_s - 2_960, 21_000, "", us, "unpaid"),
        Payment(5, now_s - 200, 21_000, "", us, "held"),
        Payment(6, now_s - 1_000, 15_000, us, LND_PARTNER, "plain"),
    ]
    tea, in_parts, ignored = payments[0], payments[1], payments[3]
    return payments, [
        Announcement("lightning", tea, "challenge", tea.at_s + 1),
        Announcement("lightning", in_parts, "challenge", in_parts.at_s + 1),
        Announcement("lightning", ignored, "challenge", ignored.at_s + 1),
        Announcement(
            "lightning", tea, "payment", tea.at_s + tea.after_s, transaction_ids=(DEPOSITS[4],)
        ),
    ]
