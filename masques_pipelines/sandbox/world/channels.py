"""Pays by vouchers of payment channels (x402's batch-settlement), and claims and sweeps them.

An agent has one channel at a time, in turn on each of the two EVM networks. It deposits with the
first voucher that the channel has too little for. A collector claims once a day what the channels
have paid; a channel of some days is closed with its claim, and the agent gets back what is left.
Every few days what was claimed is swept to the treasury. What was paid since the last claim is
open.
"""

from typing import Any, Final

import numpy as np

from masques_pipelines.sandbox.world.draft import Draft
from masques_pipelines.sandbox.world.shape import (
    BASE,
    BY_VOUCHER,
    CLAIM,
    CLOSE,
    SECOND,
    SWEEP,
    VOUCHER,
    Column,
    Rows,
)

# When the collector claims the first channel of a day, within how long all, and when it sweeps.
_CLAIM_NS: Final = 4 * 3_600 * SECOND
_CLAIMS_S: Final = 1_200
_SWEEP_NS: Final = 5 * 3_600 * SECOND
_SWEEP_EVERY: Final = 3
# A voucher is accepted some seconds after it is signed; only what was accepted is claimed.
_ACCEPTED_NS: Final = 10 * SECOND
_OPEN_DAYS: Final = 3
# Numbers of an agent's channels.
_COUNT_MAX: Final = 10_000


def channel_number(agent: int, count: int) -> int:
    """Returns the number of an agent's channel, never 0."""
    return agent * _COUNT_MAX + count


def is_on_polygon(numbers: Column) -> Column:
    """Returns which channels are on the second EVM network."""
    return np.asarray((numbers > 0) & (numbers % 2 == 0))


def pay_by_voucher(draft: Draft, asked: Rows) -> Rows:
    """Adds and returns the vouchers of requests, and adds what the collector does on the day.

    Args:
        draft: The day.
        asked: Requests of agents that pay by voucher; all of them are on this day.
    """
    people, state = draft.people, draft.state
    made = draft.payments(
        np.full(len(asked), BASE),
        asked["t"] - 6 * SECOND,
        asked["price"],
        party=asked["agent"],
        kind=VOUCHER,
    )
    order = np.argsort(made["t"], kind="stable")
    collected: list[tuple[int, ...]] = []
    for agent in np.flatnonzero(people.kind == BY_VOUCHER).tolist():
        channel = state.channels[agent]
        at = draft.start_ns + _CLAIM_NS + agent % _CLAIMS_S * SECOND
        places = order[made["party"][order] == agent]
        is_early = made["t"][places] < at - _ACCEPTED_NS
        _pay(draft, made, places[is_early], agent)
        kind = _collect(channel, state.day)
        if kind:
            number = channel_number(agent, int(channel["count"]))
            collected.append((at, agent, kind, number, int(channel["claimed"])))
        _pay(draft, made, places[~is_early], agent)
    made["polygon"] = is_on_polygon(made["channel"])
    draft.add("payments", made)
    _add_claims(draft, collected)
    _sweep(draft)
    return made


def _pay(draft: Draft, made: Rows, places: Column, agent: int) -> None:
    """Lets an agent's channel pay vouchers in their order, and deposits what it lacks."""
    channel, topup = draft.state.channels[agent], int(draft.people.topup[agent])
    for place in places.tolist():
        if not channel["open"]:
            channel["open"], channel["day"] = True, draft.state.day
            channel["count"] += 1
            channel["paid"] = channel["deposited"] = channel["claimed"] = 0
        channel["paid"] += made["units"][place]
        lacking = int(channel["paid"] - channel["deposited"])
        if lacking > 0:
            made["deposit"][place] = -(-lacking // topup) * topup
            channel["deposited"] += made["deposit"][place]
        made["total"][place] = channel["paid"]
        made["channel"][place] = channel_number(agent, int(channel["count"]))


def _collect(channel: Any, day: int) -> int:
    """Returns what the collector does with a channel, 0 for nothing, and notes it."""
    if not channel["open"]:
        return 0
    is_last = day - channel["day"] >= _OPEN_DAYS
    if not is_last and channel["paid"] == channel["claimed"]:
        return 0
    channel["claimed"], channel["open"] = channel["paid"], not is_last
    return CLOSE if is_last else CLAIM


def _add_claims(draft: Draft, collected: list[tuple[int, ...]]) -> None:
    times, agents, kinds, numbers, totals = np.array(collected, np.int64).reshape(-1, 5).T
    claims = draft.payments(
        np.full(len(times), BASE),
        times,
        np.zeros(len(times), np.int64),
        party=agents,
        kind=kinds,
        polygon=is_on_polygon(numbers),
        channel=numbers,
        total=totals,
    )
    draft.state.unswept[np.unique(claims["polygon"].astype(int))] = True
    draft.add("payments", claims)


def _sweep(draft: Draft) -> None:
    """Sends what was claimed of all channels of a network to the treasury, every few days."""
    state = draft.state
    if state.day % _SWEEP_EVERY != _SWEEP_EVERY - 1:
        return
    networks = np.flatnonzero(state.unswept)
    state.unswept[:] = False
    sweeps = draft.payments(
        np.full(len(networks), BASE),
        draft.start_ns + _SWEEP_NS + networks * 60 * SECOND,
        np.zeros(len(networks), np.int64),
        kind=SWEEP,
        polygon=networks == 1,
    )
    draft.add("payments", sweeps)
