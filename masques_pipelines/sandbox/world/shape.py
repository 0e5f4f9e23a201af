"""Describes the sandbox's world: its size, its ledgers, and the rows that a day is made of.

A world follows from its shape alone: each day has a generator of random numbers of its own, so a
day is the same however many days are made at once.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.void]
Column = npt.NDArray[Any]

SECOND: Final = 10**9
DAY: Final = 86_400 * SECOND
# Ten requests a session on average, and this many requests a day at scale 1: a million in 90 days.
REQUESTS_PER_DAY: Final = 11_300


class Ledger(NamedTuple):
    """A ledger of the world: its number and asset, and the decimal places of one unit."""

    number: int
    asset: str
    scale: int


# As the packaged chart has them.
LEDGERS: Final = (Ledger(1, "USD", 6), Ledger(2, "BTC", 11), Ledger(3, "SOL", 9))
USD: Final = 0
BTC: Final = 1
SOL: Final = 2

# Account codes, transfer codes and resource types of the packaged chart.
TREASURY, PREPAID, AUTHOR, PLATFORM_FEE, ESCROW = 100, 200, 300, 400, 500
DEPOSIT, MASQUE_SESSION, API_CALL, FEE, REFUND, SETTLEMENT = 1, 2, 3, 4, 5, 6
ADJUSTMENT, MIGRATION = 9, 11
OF_MASQUE, OF_DEPOSIT, OF_PAYOUT = 1 << 24, 4 << 24, 5 << 24

# Types of a change event, and flags of a transfer.
SINGLE, PENDING, POSTED, VOIDED, EXPIRED = range(5)
LINKED, HOLDS, POSTS, VOIDS = 1, 2, 4, 8
# Flag of an account: its debits must not exceed its credits.
LIMITED: Final = 2
HOLD_TIMEOUT_S: Final = 3_600

# How an agent pays.
PREPAID_BASE, PREPAID_SOLANA, PREPAID_LIGHTNING, MIGRATED = range(4)
DIRECT_BASE, DIRECT_SOLANA, TOKENS, BY_VOUCHER = range(4, 8)
DIRECT: Final = (DIRECT_BASE, DIRECT_SOLANA, BY_VOUCHER)
# Rails, in the order of their numbers in a payment.
RAILS: Final = ("base", "solana", "lightning")
BASE, SOLANA, LIGHTNING = range(3)
# Of the payments that come in on EVM networks outside of channels, one in so many is on the second
# one.
POLYGON_EVERY: Final = 5
POLYGON: Final = "polygon"


def place_of(rail: int, *, is_on_polygon: bool) -> str:
    """Returns the name of the network that a payment is on, as the settings have it."""
    return POLYGON if is_on_polygon else RAILS[rail]


# What became of a request: payment_status of the landing contract, by number.
STATUSES: Final = (
    "paid",
    "challenged",
    "free_tier",
    "rejected",
    "insufficient_funds",
    "settlement_pending",
    "unknown",
)
PAID, CHALLENGED, FREE, REJECTED, INSUFFICIENT = range(5)

_ID: Final = [("hi", "<u8"), ("lo", "<u8")]
ID: Final = np.dtype(_ID)

# A transfer of the ledger, or the expiry of a hold. `hold_*` is the hold that it ends; `chain` and
# `step` keep linked transfers together; `payer` is the agent that needs the money, or -1; `links`
# is the payment that it settles, or -1.
EVENT: Final = np.dtype(
    [
        ("t", "<i8"),
        ("type", "u1"),
        ("code", "<u2"),
        ("debit", "<i4"),
        ("credit", "<i4"),
        ("amount", "<i8"),
        ("id", ID),
        ("hold_id", ID),
        ("hold_t", "<i8"),
        ("held", "<i8"),
        ("hold", "<i8"),
        ("timeout", "<u4"),
        ("flags", "<u2"),
        ("trace", ID),
        ("span", "<u8"),
        ("resource", "<u4"),
        ("payer", "<i4"),
        ("chain", "<i8"),
        ("step", "u1"),
    ]
)
# What the gate reports of a request. `charged` is -1 where nothing was said; `asset` is a ledger.
REQUEST: Final = np.dtype(
    [
        ("t", "<i8"),
        ("id", ID),
        ("agent", "<i4"),
        ("masque", "<i4"),
        ("session", ID),
        ("transfer", ID),
        ("price", "<i8"),
        ("charged", "<i8"),
        ("asset", "u1"),
        ("status", "u1"),
        ("http", "<u2"),
        ("ms", "<u4"),
        ("tokens_in", "<u4"),
        ("tokens_out", "<u4"),
        ("trace", ID),
        ("span", "<u8"),
    ]
)
# A don (`ended` is 0) or a doff.
SESSION: Final = np.dtype(
    [
        ("t", "<i8"),
        ("id", ID),
        ("agent", "<i4"),
        ("masque", "<i4"),
        ("hold", ID),
        ("donned", "<i8"),
        ("ended", "<i8"),
        ("charged", "<i8"),
        ("asset", "u1"),
        ("trace", ID),
    ]
)
# A payment on a rail. `party` is an agent, or for money that leaves an author (-1 - number). Of
# payment channels: the channel's number, what it has paid after a voucher or by a claim, and what
# a voucher deposits before.
PAYMENT: Final = np.dtype(
    [
        ("t", "<i8"),
        ("rail", "u1"),
        ("number", "<i8"),
        ("units", "<i8"),
        ("party", "<i4"),
        ("to", "<i4"),
        ("out", "?"),
        ("kind", "u1"),
        ("valid_s", "<u4"),
        ("after_s", "<u4"),
        ("polygon", "?"),
        ("channel", "<i8"),
        ("total", "<i8"),
        ("deposit", "<i8"),
    ]
)
# What an agent's payment channel is at: its number, counted by agent, and amounts in the token's
# smallest unit; `day` is when it was opened.
CHANNEL: Final = np.dtype(
    [
        ("count", "<i8"),
        ("open", "?"),
        ("day", "<i8"),
        ("paid", "<i8"),
        ("deposited", "<i8"),
        ("claimed", "<i8"),
    ]
)
# A line of the journal about the payment `number` of `rail`; `transfers` rows of NAMED follow it.
LINE: Final = np.dtype(
    [
        ("t", "<i8"),
        ("rail", "u1"),
        ("number", "<i8"),
        ("event", "u1"),
        ("answer", "u1"),
        ("latency_ms", "<u4"),
        ("first", "<i8"),
        ("count", "<i4"),
    ]
)
NAMED: Final = np.dtype([("transfer", ID)])
# A refund, an agent's word about an author, and a new key of an agent.
LINK: Final = np.dtype([("t", "<i8"), ("transfer", ID), ("of", ID), ("note", "u1")])
RATING: Final = np.dtype(
    [
        ("t", "<i8"),
        ("id", ID),
        ("author", "<i4"),
        ("agent", "<i4"),
        ("session", ID),
        ("delta", "<i4"),
        ("good", "?"),
    ]
)
KEY: Final = np.dtype([("t", "<i8"), ("agent", "<i4"), ("version", "<i4")])
# An OTel span, as sql/sandbox/insert_spans.sql reads it. `parent` is 0 for the root; `about` is the
# request, session or transfer that it is about.
SPAN: Final = np.dtype(
    [
        ("t", "<i8"),
        ("took", "<i8"),
        ("trace", ID),
        ("span", "<u8"),
        ("parent", "<u8"),
        ("step", "u1"),
        ("is_error", "u1"),
        ("about", ID),
        ("masque", "<i4"),
        ("http", "<u2"),
    ]
)
# Where a span's time is spent.
GATE_STEP, AGENT_STEP, VERIFY_STEP, SETTLE_STEP, LEDGER_STEP = range(5)

# Kinds of a payment, as the nodes name them; events and answers of a line.
KINDS: Final = (
    "plain", "paid", "failed", "canceled", "unpaid", "held", "hidden",
    "voucher", "claim", "close", "ask_back", "take_back", "sweep",
)  # fmt: skip
PLAIN, SETTLED, FAILED, CANCELED, UNPAID = range(5)
VOUCHER, CLAIM, CLOSE, ASK_BACK, TAKE_BACK, SWEEP = range(7, 13)
EVENTS: Final = ("challenge", "payment", "verify", "settle", "payout")
CHALLENGE, TOKEN, VERIFY, SETTLE, PAYOUT = range(5)
ANSWERS: Final = ("success", "failed", "valid", "none")
SUCCESS, REFUSED, VALID, NO_ANSWER = range(4)


@dataclass(frozen=True)
class Shape:
    """What a world follows from.

    Attributes:
        seed: Decides everything that chance decides.
        start_ns: Midnight (UTC) of its first day, nanoseconds since 1970.
        requests_per_day: On average over 90 days.
        agents: Agents that pay.
        authors: Authors of masques.
        masques: Masques of the catalogue.
    """

    seed: int
    start_ns: int
    requests_per_day: int
    agents: int
    authors: int
    masques: int


def shape_of(seed: int, start_ns: int, scale: float) -> Shape:
    """Returns the shape of a world of a scale: 1 is a million requests in 90 days."""
    size = max(scale, 0.0) ** 0.5
    return Shape(
        seed=seed,
        start_ns=start_ns // DAY * DAY,
        requests_per_day=max(20, round(REQUESTS_PER_DAY * scale)),
        agents=max(28, round(2_000 * size)),
        authors=max(6, round(200 * size)),
        masques=max(8, round(60 * size)),
    )


def ids_at(chance: np.random.Generator, times: Column) -> Rows:
    """Returns ids that ascend with time: 48 bits of milliseconds and 80 of chance."""
    made = np.zeros(len(times), ID)
    made["hi"] = (times // 1_000_000).astype(np.uint64) << np.uint64(16)
    made["hi"] |= chance.integers(0, 2**16, len(times), dtype=np.uint64)
    made["lo"] = chance.integers(1, 2**63, len(times), dtype=np.uint64)
    return made


def random_ids(chance: np.random.Generator, count: int) -> Rows:
    """Returns ids without any order."""
    made = np.zeros(count, ID)
    made["hi"] = chance.integers(1, 2**63, count, dtype=np.uint64)
    made["lo"] = chance.integers(1, 2**63, count, dtype=np.uint64)
    return made
