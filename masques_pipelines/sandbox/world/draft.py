"""Collects the rows of a day while it is made."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from masques_pipelines.sandbox.world.population import Population
from masques_pipelines.sandbox.world.shape import (
    BASE,
    EVENT,
    LINE,
    NAMED,
    PAYMENT,
    POLYGON_EVERY,
    Column,
    Rows,
    ids_at,
)
from masques_pipelines.sandbox.world.state import KINDS_OF_ROWS, State


@dataclass
class Draft:
    """A day in the making.

    Attributes:
        people: The parties.
        state: Of the day's beginning; its counters move on while rows are added.
        chance: The day's random numbers.
        start_ns: When the day begins.
        rows: What was added, by kind.
        named: Transfers that lines name; their `first` counts from the first of them.
    """

    people: Population
    state: State
    chance: np.random.Generator
    start_ns: int
    rows: dict[str, list[Rows]] = field(
        default_factory=lambda: {name: [] for name in KINDS_OF_ROWS}
    )
    named: list[Rows] = field(default_factory=list)

    def add(self, kind: str, rows: Rows) -> None:
        """Adds rows of a kind."""
        self.rows[kind].append(rows)

    def transfers(self, times: Column, code: int, **values: Any) -> Rows:
        """Returns new transfers with ids and chains of their own, single-phase unless said."""
        made = np.zeros(len(times), EVENT)
        made["t"], made["code"], made["payer"] = times, code, -1
        made["id"] = ids_at(self.chance, made["t"])
        made["chain"] = np.arange(self.state.chains, self.state.chains + len(times))
        self.state.chains += len(times)
        for name, value in values.items():
            made[name] = value
        return made

    def payments(self, rails: Column, times: Column, units: Column, **values: Any) -> Rows:
        """Returns new payments, numbered by rail."""
        made = np.zeros(len(times), PAYMENT)
        made["t"], made["rail"], made["units"] = times, rails, units
        made["valid_s"], made["after_s"] = 600, 20
        made["polygon"] = made["rail"] == BASE
        for rail in range(len(self.state.numbers)):
            is_there = made["rail"] == rail
            count = int(is_there.sum())
            first = int(self.state.numbers[rail])
            made["number"][is_there] = np.arange(first, first + count)
            self.state.numbers[rail] += count
        made["polygon"] &= made["number"] % POLYGON_EVERY == 0
        for name, value in values.items():
            made[name] = value
        made["polygon"] &= ~made["out"]
        return made

    def lines(self, of: Rows, times: Column, event: int, answer: int, named: Rows | None) -> Rows:
        """Adds and returns a line of the journal for each payment, naming one transfer or none.

        Args:
            of: The payments.
            times: When the lines are written.
            event: What the gate did.
            answer: What came back.
            named: Ids of the transfers that they name, None for none.
        """
        made = np.zeros(len(of), LINE)
        made["t"], made["event"], made["answer"] = times, event, answer
        made["rail"], made["number"] = of["rail"], of["number"]
        made["latency_ms"] = self.chance.lognormal(5.5, 0.6, len(of)).clip(20, 30_000)
        if named is not None:
            made["first"] = self._name(named) + np.arange(len(of))
            made["count"] = 1
        self.add("lines", made)
        return made

    def batches(self, of: Rows, times: Column, event: int, named: Rows, counts: Column) -> None:
        """Adds a line for each payment, each naming several transfers in a row."""
        made = np.zeros(len(of), LINE)
        made["t"], made["event"], made["rail"], made["number"] = (
            times,
            event,
            of["rail"],
            of["number"],
        )
        made["latency_ms"] = self.chance.integers(100, 2_000, len(of))
        made["first"] = self._name(named) + np.cumsum(counts) - counts
        made["count"] = counts
        self.add("lines", made)

    def _name(self, ids: Rows) -> int:
        """Notes transfers that lines name; returns the place of the first."""
        first = len(self.state.named) + sum(len(each) for each in self.named)
        added = np.zeros(len(ids), NAMED)
        added["transfer"] = ids
        self.named.append(added)
        return first
