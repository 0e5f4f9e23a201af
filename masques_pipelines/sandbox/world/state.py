"""Keeps what one day of a world hands to the next: balances, needs, counters, what lies ahead."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from masques_pipelines.sandbox.world.population import Population
from masques_pipelines.sandbox.world.shape import (
    CHANNEL,
    DAY,
    EVENT,
    KEY,
    LINE,
    LINK,
    NAMED,
    PAYMENT,
    RAILS,
    RATING,
    REQUEST,
    SESSION,
    SPAN,
    Column,
    Rows,
)
from masques_pipelines.whole_file import whole_file

# Dollars for one unit of each ledger's asset on the first day.
FIRST_RATES: Final = (1, 90_000, 150)
KINDS_OF_ROWS: Final = {
    "events": EVENT,
    "requests": REQUEST,
    "sessions": SESSION,
    "payments": PAYMENT,
    "lines": LINE,
    "links": LINK,
    "ratings": RATING,
    "keys": KEY,
    "spans": SPAN,
}


@dataclass
class State:
    """What a day begins with.

    Attributes:
        day: Number of the day, from 0.
        last_t: Time of the ledger's last event.
        balances: Of each account: debits pending and posted, credits pending and posted.
        need: What each agent has spent or reserved so far.
        most: The most that `need` has been.
        deposits: How many deposits each agent has made.
        rates: Whole dollars for one unit of each ledger's asset.
        numbers: The next payment's number, by rail.
        chains: The next linked chain's number.
        versions: Which key each agent has.
        channels: The payment channel of each agent.
        unswept: Whether something was claimed and not swept yet, by EVM network.
        ahead: Rows of later days, by kind.
        named: Transfers that lines of later days name.
    """

    day: int
    last_t: int
    balances: Column
    need: Column
    most: Column
    deposits: Column
    rates: Column
    numbers: Column
    chains: int
    versions: Column
    channels: Rows
    unswept: Column
    ahead: dict[str, Rows] = field(default_factory=dict)
    named: Rows = field(default_factory=lambda: np.empty(0, NAMED))

    def save(self, path: Path) -> None:
        """Writes the state so that it is there whole or not at all."""
        kept: dict[str, Any] = {name: getattr(self, name) for name in _KEPT}
        kept |= {f"ahead_{name}": rows for name, rows in self.ahead.items()}
        with whole_file(path) as file:
            np.savez(file, **kept)


_KEPT: Final = (
    "day", "last_t", "balances", "need", "most", "deposits", "rates", "numbers", "chains",
    "versions", "channels", "unswept", "named",
)  # fmt: skip


def first_state(people: Population) -> State:
    """Returns the state before the first day."""
    agents = people.shape.agents
    return State(
        day=0,
        last_t=people.shape.start_ns,
        balances=np.zeros((people.count, 4), np.int64),
        need=np.zeros(agents, np.int64),
        most=np.zeros(agents, np.int64),
        deposits=np.zeros(agents, np.int64),
        rates=np.array(FIRST_RATES, np.int64),
        numbers=np.ones(len(RAILS), np.int64),
        chains=0,
        versions=np.ones(agents, np.int64),
        channels=np.zeros(agents, CHANNEL),
        unswept=np.zeros(2, bool),
        ahead={name: np.empty(0, kind) for name, kind in KINDS_OF_ROWS.items()},
    )


def load_state(path: Path) -> State:
    """Reads a state that was saved."""
    with np.load(path) as kept:
        values = {name: kept[name] for name in _KEPT}
        ahead = {name: kept[f"ahead_{name}"] for name in KINDS_OF_ROWS}
    for name in ("day", "last_t", "chains"):
        values[name] = int(values[name])
    return State(**values, ahead=ahead)


def day_start(people: Population, day: int) -> int:
    """Returns when a day begins, nanoseconds since 1970."""
    return people.shape.start_ns + day * DAY
