"""Makes one day of a world: `generate(seed, day)` and what earlier days left to it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from masques_pipelines.sandbox.world.booking import (
    book_calls,
    book_payouts,
    book_sessions,
    book_tokens,
)
from masques_pipelines.sandbox.world.draft import Draft
from masques_pipelines.sandbox.world.funding import fund
from masques_pipelines.sandbox.world.population import Population
from masques_pipelines.sandbox.world.shape import (
    DAY,
    KEY,
    LIMITED,
    NAMED,
    PAID,
    PENDING,
    POSTED,
    RATING,
    SECOND,
    SINGLE,
    Column,
    Rows,
    random_ids,
)
from masques_pipelines.sandbox.world.spans import is_direct, request_spans
from masques_pipelines.sandbox.world.state import State, day_start
from masques_pipelines.sandbox.world.traffic import Traffic, make_traffic

_SHARE_RATED: Final = 0.25
_SHARE_NEW_KEYS: Final = 0.01
# The rates of a day, in thousandths of those of the day before.
_RATE_STEPS: Final = (985, 1_016)


@dataclass
class Day:
    """A day of a world, each kind of rows ordered by time; a trouble changes rows and names.

    Attributes:
        number: From 0.
        start_ns: When it begins.
        opening: Balances of the accounts at its beginning.
        rates: Whole dollars for one unit of each ledger's asset.
        rows: By kind, as STATE keeps those that lie ahead.
        named: Transfers that lines name.
        debits: Balances of the debit side after each event.
        credits: Balances of the credit side after each event.
    """

    number: int
    start_ns: int
    opening: Column
    rates: Column
    rows: dict[str, Rows]
    named: Rows
    debits: Column
    credits: Column


def next_day(people: Population, state: State, besides: Rows | None = None) -> Day:
    """Makes the day that a state begins, and turns the state into that of the next day.

    Args:
        people: The parties.
        state: Of the day's beginning.
        besides: Events that the ledger has besides, in accounts that may be overdrawn.
    """
    chance = np.random.default_rng([people.shape.seed, 1, state.day])
    start_ns = day_start(people, state.day)
    opening = state.balances.copy()
    if state.day:
        steps = chance.integers(*_RATE_STEPS, len(state.rates))
        state.rates = np.maximum(1, state.rates * steps // 1_000)
        state.rates[0] = 1
    draft = Draft(people, state, chance, start_ns)
    traffic = make_traffic(people, state, chance, start_ns)
    draft.add("sessions", book_sessions(draft, traffic))
    book_calls(draft, traffic)
    book_tokens(draft, traffic)
    book_payouts(draft)
    _trace(draft, traffic)
    _rate(draft, draft.rows["sessions"][0])
    _renew_keys(draft)
    rows, ahead = _split(draft)
    rows["events"], funded = fund(draft, rows["events"])
    if besides is not None:
        funded["events"] = besides
    for name, more in funded.items():
        rows[name] = np.concatenate([rows[name], more])
    rows = {name: each[np.argsort(each["t"], kind="stable")] for name, each in rows.items()}
    events = _in_order(rows["events"], state.last_t)
    rows["events"] = events
    _tell_holds(events, ahead["events"])
    debits, credited = _balance(people, state, events)
    named = np.concatenate([state.named, *draft.named])
    day = Day(state.day, start_ns, opening, state.rates.copy(), rows, named, debits, credited)
    state.ahead, state.named = ahead, _named_ahead(ahead["lines"], named)
    state.last_t = int(events["t"][-1]) if len(events) else state.last_t
    state.day += 1
    return day


def _split(draft: Draft) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """Parts what happens on the day, with what earlier days left to it, from what lies ahead."""
    end_ns = draft.start_ns + DAY
    rows, ahead = {}, {}
    for name, parts in draft.rows.items():
        both = np.concatenate([draft.state.ahead[name], *parts])
        is_now = both["t"] < end_ns
        rows[name], ahead[name] = both[is_now], both[~is_now]
    return rows, ahead


def _named_ahead(lines: Rows, named: Rows) -> Rows:
    """Keeps the transfers that lines of later days name, and counts their places from there."""
    kept = [named[first : first + count] for first, count in lines[["first", "count"]].tolist()]
    lines["first"] = np.cumsum(lines["count"]) - lines["count"]
    return np.concatenate([np.empty(0, NAMED), *kept])


def _in_order(events: Rows, last_t: int) -> Rows:
    """Gives the ledger's clock: strictly ascending, linked chains 1 ns apart."""
    events = events[np.lexsort((events["step"], events["chain"], events["t"]))]
    places = np.arange(len(events))
    times = np.maximum(events["t"], last_t + 1) - places
    events["t"] = np.maximum.accumulate(times) + places
    return events


def _tell_holds(events: Rows, ahead: Rows) -> None:
    """Tells what ends a hold when the ledger booked the hold."""
    holds = events[events["type"] == PENDING]
    order = np.argsort(holds["hold"])
    numbers, times = holds["hold"][order], holds["t"][order]
    if len(holds) == 0:
        return
    for rows in (events, ahead):
        place = np.searchsorted(numbers, rows["hold"]).clip(0, len(numbers) - 1)
        is_known = (rows["type"] >= POSTED) & (numbers[place] == rows["hold"])
        rows["hold_t"] = np.where(is_known, times[place], rows["hold_t"])


def _balance(people: Population, state: State, events: Rows) -> tuple[Column, Column]:
    """Returns the balances of both sides after each event, and moves the state's on."""
    count = len(events)
    kind, amount, held = events["type"], events["amount"], events["held"]
    pending = np.where(kind == PENDING, amount, np.where(kind >= POSTED, -held, 0))
    posted = np.where((kind == SINGLE) | (kind == POSTED), amount, 0)
    changes = np.zeros((2 * count, 4), np.int64)
    changes[:count, 0], changes[:count, 1] = pending, posted
    changes[count:, 2], changes[count:, 3] = pending, posted
    accounts = np.concatenate([events["debit"], events["credit"]])
    order = np.lexsort((np.tile(np.arange(count), 2), accounts))
    ordered = accounts[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    sizes = np.diff(np.append(first, len(ordered)))
    sums = np.cumsum(changes[order], axis=0)
    before = sums[first] - changes[order][first]
    sums += np.repeat(state.balances[ordered[first]] - before, sizes, axis=0)
    state.balances[ordered[first]] = sums[first + sizes - 1]
    spent = sums[:, 0] + sums[:, 1] > sums[:, 3]
    if (spent & (people.flags[ordered] == LIMITED)).any():
        raise AssertionError(f"an account is overdrawn on day {state.day}")
    sides = np.empty_like(sums)
    sides[order] = sums
    return sides[:count], sides[count:]


def _trace(draft: Draft, traffic: Traffic) -> None:
    """Adds the requests that are no challenges, and the spans of all."""
    people, requests = draft.people, traffic.requests
    waits = is_direct(people, requests) & (requests["status"] == PAID)
    waits |= traffic.failed | traffic.unanswered
    for challenges in draft.rows["requests"]:
        waited = np.zeros(len(challenges), bool)
        draft.add("spans", request_spans(people, challenges, waited))
    draft.add("requests", requests)
    draft.add("spans", request_spans(people, requests, waits))


def _rate(draft: Draft, sessions: Rows) -> None:
    """Lets some agents say how a session went, a while after it."""
    doffs = sessions[sessions["ended"] > 0]
    rated = doffs[draft.chance.random(len(doffs)) < _SHARE_RATED]
    made = np.zeros(len(rated), RATING)
    made["t"] = rated["t"] + draft.chance.integers(5, 900, len(rated)) * SECOND
    made["id"], made["session"] = random_ids(draft.chance, len(rated)), rated["id"]
    made["agent"], made["author"] = rated["agent"], draft.people.masque_author[rated["masque"]]
    # Some masques are better than others.
    skill = 0.6 + 0.38 * ((rated["masque"] * 37 % 17) / 17)
    made["good"] = draft.chance.random(len(rated)) < skill
    size = draft.chance.integers(3, 10, len(rated))
    made["delta"] = np.where(made["good"], size, -size)
    draft.add("ratings", made)


def _renew_keys(draft: Draft) -> None:
    """Gives some agents a new key."""
    agents = draft.people.shape.agents
    who = np.flatnonzero(draft.chance.random(agents) < _SHARE_NEW_KEYS)
    draft.state.versions[who] += 1
    made = np.zeros(len(who), KEY)
    made["t"] = draft.start_ns + draft.chance.integers(60, 86_000, len(who)) * SECOND
    made["agent"], made["version"] = who, draft.state.versions[who]
    draft.add("keys", made)
