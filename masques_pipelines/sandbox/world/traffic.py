"""Makes a day's sessions and requests: who dons what, when, and what is asked and answered."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from masques_pipelines.sandbox.world.population import Population
from masques_pipelines.sandbox.world.shape import (
    BY_VOUCHER,
    DAY,
    DIRECT,
    FREE,
    HOLD_TIMEOUT_S,
    PAID,
    REJECTED,
    REQUEST,
    SECOND,
    SESSION,
    TOKENS,
    Column,
    Rows,
    random_ids,
)
from masques_pipelines.sandbox.world.state import State

# A session has about this many requests, and this many paid ones fail at the server.
_REQUESTS_MEAN: Final = 10
_SHARE_FAILING: Final = 0.004
# No session begins in a day's first minute, so that what comes before it is of the same day.
_FIRST: Final = 60 * SECOND
_GROWTH_DAYS: Final = 90
# Agents that pay by voucher begin no session, and end theirs, so long before midnight.
_CHANNEL_FIRST: Final = 120 * SECOND
_CHANNEL_REST: Final = 60 * SECOND


@dataclass
class Traffic:
    """A day's sessions and their requests.

    Attributes:
        sessions: One row a session, as a don.
        ends: When each session ends.
        requests: Ordered by session and time.
        of: Which session each request belongs to.
        failed: Where a direct payment failed on its chain.
        unanswered: Where the facilitator of a direct payment did not answer.
    """

    sessions: Rows
    ends: Column
    requests: Rows
    of: Column
    failed: Column
    unanswered: Column


def units_of(micro_dollars: Column, ledgers: Column, rates: Column) -> Column:
    """Returns amounts in the smallest unit of ledgers, at least 1."""
    factors = np.array([1, 10**5, 10**3])
    return np.asarray(np.maximum(1, micro_dollars * factors[ledgers] // rates[ledgers]))


def make_traffic(
    people: Population, state: State, chance: np.random.Generator, start_ns: int
) -> Traffic:
    """Makes the traffic of a day: rhythm of hours and weekdays, growth, heavy tails."""
    sessions = _sessions(people, state, chance, start_ns)
    count = len(sessions)
    sizes = chance.geometric(1 / _REQUESTS_MEAN, count).clip(1, 200)
    of = np.repeat(np.arange(count), sizes)
    gaps = chance.exponential(8 * SECOND, len(of)).astype(np.int64) + SECOND // 5
    first = np.cumsum(sizes) - sizes
    offsets = np.cumsum(gaps)
    offsets -= np.repeat(offsets[first] - gaps[first], sizes) if count else 0
    began = sessions["t"]
    longest = (HOLD_TIMEOUT_S - 60) * SECOND
    last = np.maximum.reduceat(offsets, first) if count else offsets
    ends = began + np.minimum(last + 3 * SECOND, longest)
    # Channels are counted by day.
    by_voucher = people.kind[sessions["agent"]] == BY_VOUCHER
    ends = np.where(by_voucher, np.minimum(ends, start_ns + DAY - _CHANNEL_REST), ends)
    requests = _requests(people, chance, sessions, of)
    requests["t"] = np.minimum(began[of] + offsets, ends[of] - SECOND)
    failed, unanswered = _meet_facilitators(people, chance, requests)
    units = units_of(requests["price"], requests["asset"], state.rates)
    requests["charged"] = np.where(requests["status"] == PAID, units, -1)
    return Traffic(sessions, ends, requests, of, failed, unanswered)


def _sessions(people: Population, state: State, chance: np.random.Generator, start_ns: int) -> Rows:
    hours = np.arange(24)
    is_weekend = (start_ns // (86_400 * SECOND) + 4) % 7 in (0, 6)
    rhythm = (1 + 0.6 * np.sin((hours - 8) / 24 * 2 * np.pi)) * (0.7 if is_weekend else 1)
    growth = 0.7 + 0.6 * min(state.day, _GROWTH_DAYS) / _GROWTH_DAYS
    mean = people.shape.requests_per_day / _REQUESTS_MEAN * growth * rhythm.mean()
    count = int(chance.poisson(mean))
    hour = np.searchsorted(np.cumsum(rhythm) / rhythm.sum(), chance.random(count))
    made = np.zeros(count, SESSION)
    within = chance.integers(0, 3_600 * SECOND, count)
    made["t"] = start_ns + np.maximum(hour * 3_600 * SECOND + within, _FIRST)
    made["agent"] = np.searchsorted(people.agent_weights, chance.random(count))
    latest = np.where(people.kind[made["agent"]] == BY_VOUCHER, DAY - _CHANNEL_FIRST, DAY)
    made["t"] = np.minimum(made["t"], start_ns + latest)
    made["donned"] = made["t"]
    made["masque"] = np.searchsorted(people.masque_weights, chance.random(count))
    made["asset"] = people.agent_ledger[made["agent"]]
    made["id"] = random_ids(chance, count)
    made["trace"] = random_ids(chance, count)
    made["charged"] = -1
    return made


def _requests(people: Population, chance: np.random.Generator, sessions: Rows, of: Column) -> Rows:
    count = len(of)
    made = np.zeros(count, REQUEST)
    for name in ("agent", "masque", "asset"):
        made[name] = sessions[name][of]
    made["session"] = sessions["id"][of]
    made["id"], made["trace"] = random_ids(chance, count), random_ids(chance, count)
    made["span"] = chance.integers(1, 2**63, count, dtype=np.uint64)
    made["tokens_in"] = chance.integers(50, 4_000, count)
    made["tokens_out"] = chance.integers(50, 8_000, count)
    made["ms"] = chance.lognormal(6, 0.8, count).clip(5, 60_000)
    tokens = made["tokens_out"].astype(np.int64) + 1_000
    drawn = chance.random(count)
    made["status"] = np.where(drawn < 0.12, FREE, np.where(drawn < 0.15, REJECTED, PAID))
    is_free = made["status"] == FREE
    made["price"] = np.where(is_free, 0, people.masque_price[made["masque"]] * tokens // 4_000)
    fails = (chance.random(count) < _SHARE_FAILING) & (made["status"] == PAID)
    is_token = people.kind[made["agent"]] == TOKENS
    made["http"] = np.where(fails & ~is_token, 500, 200)
    made["http"][made["status"] == REJECTED] = 402
    return made


def _meet_facilitators(
    people: Population, chance: np.random.Generator, made: Rows
) -> tuple[Column, Column]:
    """Rejects some requests of agents that pay directly; returns where it failed, and was mute.

    A voucher is checked without the chain.
    """
    drawn = chance.random(len(made))
    is_direct = np.isin(people.kind[made["agent"]], DIRECT) & (made["status"] == PAID)
    is_direct &= people.kind[made["agent"]] != BY_VOUCHER
    failed, unanswered = is_direct & (drawn < 0.02), is_direct & (drawn >= 0.02) & (drawn < 0.03)
    made["status"][failed | unanswered], made["http"][failed | unanswered] = REJECTED, 402
    return failed, unanswered
