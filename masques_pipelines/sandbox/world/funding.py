"""Funds prepaid agents: deposits computed backwards from what each one needs, never an overdraft.

An agent tops up by the same amount each time, just before it would have too little. So a request
that is refused for insufficient funds just before a deposit is so by construction.
"""

from typing import Final

import numpy as np

from masques_pipelines.sandbox.world.draft import Draft
from masques_pipelines.sandbox.world.population import house_account
from masques_pipelines.sandbox.world.shape import (
    API_CALL,
    DEPOSIT,
    ESCROW,
    INSUFFICIENT,
    MIGRATED,
    MIGRATION,
    OF_DEPOSIT,
    OF_MASQUE,
    PENDING,
    POSTED,
    PREPAID_BASE,
    PREPAID_LIGHTNING,
    REFUND,
    REQUEST,
    SECOND,
    SETTLE,
    SETTLED,
    SUCCESS,
    TOKEN,
    TREASURY,
    VOIDED,
    Column,
    Rows,
    random_ids,
)
from masques_pipelines.sandbox.world.spans import request_spans
from masques_pipelines.sandbox.world.state import FIRST_RATES
from masques_pipelines.sandbox.world.traffic import units_of

# How long before a deposit nothing else happens, where a request is refused.
_GAP_MIN: Final = 2 * SECOND
_GAP_MAX: Final = 40 * SECOND
_SHARE_SPLIT: Final = 0.03
# Keeps agents apart in one running maximum: what an agent needs in all stays below it.
_APART: Final = 44


def fund(draft: Draft, events: Rows) -> tuple[Rows, dict[str, Rows]]:
    """Returns the events with deposits, and the rows of other kinds that go with them."""
    agents, times, needs, places = _needs(draft, events)
    if len(agents) == 0:
        return events, {}
    starts = np.flatnonzero(np.diff(agents, prepend=-1))
    sizes = np.diff(np.append(starts, len(agents)))
    apart = np.repeat(np.arange(len(starts)), sizes).astype(np.int64) << _APART
    state = draft.state
    most = np.maximum.accumulate(np.maximum(needs, state.most[agents]) + apart) - apart
    topup = _topup(draft)[agents]
    counts = -(-most // topup)
    before = np.concatenate([[0], counts[:-1]])
    before[starts] = state.deposits[agents[starts]]
    triggers = np.flatnonzero(counts > before)
    ends = starts + sizes - 1
    who = agents[ends]
    state.need[who], state.most[who], state.deposits[who] = needs[ends], most[ends], counts[ends]
    amounts = (counts - before)[triggers] * topup[triggers]
    # Between what the agent did before and what it has too little for.
    last = np.concatenate([[0], times[:-1]])
    last[starts] = draft.start_ns
    gaps = np.minimum(times - last, _GAP_MAX)[triggers]
    at = np.maximum(draft.start_ns + 1_000, times[triggers] - gaps // 2)
    deposits = _deposits(draft, agents[triggers], at, amounts)
    rows = _payments(draft, deposits, agents[triggers])
    is_refused = (gaps > _GAP_MIN) & (events["code"][places[triggers]] == API_CALL)
    asked = events[places[triggers]][is_refused]
    refused = _refused(draft, asked, asked["t"] - gaps[is_refused] * 3 // 4)
    rows["requests"] = refused
    rows["spans"] = request_spans(draft.people, refused, np.zeros(len(refused), bool))
    return np.concatenate([events, deposits]), rows


def _needs(draft: Draft, events: Rows) -> tuple[Column, Column, Column, Column]:
    """Returns agent, time, cumulated need and place of what agents spend and get back."""
    places = np.flatnonzero(events["payer"] >= 0)
    spent = events[places]
    kind, amount, held = spent["type"], spent["amount"], spent["held"]
    changes = np.select(
        [kind == PENDING, kind == POSTED, kind >= VOIDED, spent["code"] == REFUND],
        [amount, amount - held, -held, -amount],
        amount,
    )
    order = np.lexsort((spent["step"], spent["chain"], spent["t"], spent["payer"]))
    agents, changes = spent["payer"][order], changes[order]
    sums = np.cumsum(changes)
    starts = np.flatnonzero(np.diff(agents, prepend=-1))
    sizes = np.diff(np.append(starts, len(agents)))
    base = np.repeat(sums[starts] - changes[starts], sizes) if len(agents) else sums
    return agents, spent["t"][order], sums - base + draft.state.need[agents], places[order]


def _topup(draft: Draft) -> Column:
    people = draft.people
    return units_of(people.topup, people.agent_ledger, np.array(FIRST_RATES, np.int64))


def _deposits(draft: Draft, agents: Column, times: Column, amounts: Column) -> Rows:
    people = draft.people
    ledgers = people.agent_ledger[agents]
    is_migrated = people.kind[agents] == MIGRATED
    sources = np.array([house_account(TREASURY, ledger) for ledger in range(3)])
    made = draft.transfers(
        times,
        DEPOSIT,
        debit=np.where(is_migrated, house_account(ESCROW, 2), sources[ledgers]),
        credit=people.first_agent + agents,
        amount=amounts,
        resource=np.where(is_migrated, 0, OF_DEPOSIT),
    )
    made["code"][is_migrated] = MIGRATION
    made["trace"] = random_ids(draft.chance, len(made))
    return made


def _payments(draft: Draft, deposits: Rows, agents: Column) -> dict[str, Rows]:
    """Returns the payments of deposits, some in two parts, and the journal's lines."""
    kinds = draft.people.kind[agents]
    is_paid = kinds != MIGRATED
    deposits, agents, kinds = deposits[is_paid], agents[is_paid], kinds[is_paid]
    is_split = (draft.chance.random(len(deposits)) < _SHARE_SPLIT) & (kinds != PREPAID_LIGHTNING)
    is_split &= deposits["amount"] > 1
    part = np.where(is_split, deposits["amount"] // 3 + 1, deposits["amount"])
    whose = np.concatenate([np.arange(len(deposits)), np.flatnonzero(is_split)])
    units = np.concatenate([part, (deposits["amount"] - part)[is_split]])
    rails = np.select([kinds == PREPAID_BASE, kinds == PREPAID_LIGHTNING], [0, 2], 1)[whose]
    is_lightning = rails == 2
    # An invoice is made before its payment arrives: 13 s.
    early = np.where(is_lightning, 18, 6) * SECOND
    made = draft.payments(
        rails,
        np.maximum(draft.start_ns, deposits["t"][whose] - early),
        units,
        party=agents[whose],
        kind=SETTLED,
        after_s=13,
    )
    first = len(draft.rows["lines"])
    named = deposits["id"][whose]
    settled, invoiced = ~is_lightning, is_lightning
    draft.lines(made[settled], made["t"][settled] + 2 * SECOND, SETTLE, SUCCESS, named[settled])
    draft.lines(made[invoiced], made["t"][invoiced] + 14 * SECOND, TOKEN, SUCCESS, named[invoiced])
    lines = np.concatenate(draft.rows["lines"][first:])
    return {"payments": made, "lines": lines}


def _refused(draft: Draft, calls: Rows, times: Column) -> Rows:
    """Returns what the gate refused just before the deposits that these calls needed."""
    made = np.zeros(len(calls), REQUEST)
    made["t"] = times
    made["agent"], made["masque"] = calls["payer"], calls["resource"] & (OF_MASQUE - 1)
    made["asset"] = draft.people.agent_ledger[calls["payer"]]
    factors = np.array([1, 10**5, 10**3])[made["asset"]]
    made["price"] = calls["amount"] * draft.state.rates[made["asset"]] // factors
    made["charged"], made["status"], made["http"] = -1, INSUFFICIENT, 402
    made["id"], made["trace"] = (
        random_ids(draft.chance, len(calls)),
        random_ids(draft.chance, len(calls)),
    )
    made["span"] = draft.chance.integers(1, 2**63, len(calls), dtype=np.uint64)
    return made
