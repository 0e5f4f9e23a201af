"""Books a day's traffic: holds, calls with fees, tokens, direct payments, refunds, payouts."""

from typing import Final

import numpy as np

from masques_pipelines.sandbox.world.channels import pay_by_voucher
from masques_pipelines.sandbox.world.draft import Draft
from masques_pipelines.sandbox.world.population import AGENCY_PARTY, house_account
from masques_pipelines.sandbox.world.shape import (
    ADJUSTMENT,
    API_CALL,
    BASE,
    BTC,
    BY_VOUCHER,
    CHALLENGE,
    CHALLENGED,
    DIRECT,
    DIRECT_SOLANA,
    EXPIRED,
    FAILED,
    FEE,
    HOLD_TIMEOUT_S,
    HOLDS,
    LIGHTNING,
    LINK,
    LINKED,
    MASQUE_SESSION,
    NO_ANSWER,
    OF_MASQUE,
    OF_PAYOUT,
    PAID,
    PAYOUT,
    PENDING,
    PLAIN,
    PLATFORM_FEE,
    POSTED,
    POSTS,
    REFUND,
    REFUSED,
    REJECTED,
    SECOND,
    SETTLE,
    SETTLE_STEP,
    SETTLED,
    SETTLEMENT,
    SUCCESS,
    TOKEN,
    TOKENS,
    TREASURY,
    UNPAID,
    USD,
    VALID,
    VERIFY,
    VERIFY_STEP,
    VOIDED,
    VOIDS,
    Column,
    Rows,
    random_ids,
)
from masques_pipelines.sandbox.world.spans import facilitator_spans, token_spans
from masques_pipelines.sandbox.world.traffic import Traffic, units_of

# One part in twenty of what is paid is the platform's.
_FEE_PART: Final = 20
_PAYOUT_DAY: Final = 7
_PAYOUT_LEAST_MICRO: Final = 5_000
_TOKEN_S: Final = 25


def book_sessions(draft: Draft, traffic: Traffic) -> Rows:
    """Books the holds of sessions; returns the sessions' dons, and doffs of those that end."""
    people, dons = draft.people, traffic.sessions
    is_held = people.is_prepaid[dons["agent"]]
    held = dons[is_held]
    ledgers = people.agent_ledger[held["agent"]]
    amounts = _in_units(draft, people.masque_price[held["masque"]] * 5, ledgers)
    holds = draft.transfers(
        held["t"],
        MASQUE_SESSION,
        type=PENDING,
        flags=HOLDS,
        timeout=HOLD_TIMEOUT_S,
        debit=people.first_agent + held["agent"],
        credit=people.author_account(people.masque_author[held["masque"]], ledgers),
        amount=amounts,
        held=amounts,
        trace=held["trace"],
        resource=OF_MASQUE | held["masque"].astype(np.uint32),
        payer=held["agent"],
    )
    holds["hold"] = holds["chain"]
    ends = _ends(draft, holds, traffic.ends[is_held])
    draft.add("events", holds)
    draft.add("events", ends)
    dons["hold"][is_held] = holds["id"]
    return _doffs(dons, traffic.ends, is_held, ends)


def _ends(draft: Draft, holds: Rows, at: Column) -> Rows:
    """Returns how holds end: posted in part or whole, voided, or left to expire."""
    chance, count = draft.chance, len(holds)
    drawn = chance.random(count)
    how = np.where(drawn < 0.8, POSTED, np.where(drawn < 0.9, VOIDED, EXPIRED))
    made = holds.copy()
    expiry = holds["t"] + HOLD_TIMEOUT_S * SECOND + chance.integers(1, SECOND, count)
    is_real = how != EXPIRED
    real = draft.transfers(at, MASQUE_SESSION)
    made["t"] = np.where(is_real, at, expiry)
    made["type"], made["chain"] = how, real["chain"]
    made["hold_id"], made["hold_t"] = holds["id"], holds["t"]
    made["id"][is_real] = real["id"][is_real]
    made["timeout"] = np.where(is_real, 0, HOLD_TIMEOUT_S)
    made["flags"] = np.select([how == POSTED, how == VOIDED], [POSTS, VOIDS], HOLDS)
    part = np.maximum(1, holds["held"] * chance.integers(2, 6, count) // 5)
    made["amount"] = np.where(how == POSTED, part, holds["held"])
    return made


def _doffs(dons: Rows, at: Column, is_held: Column, ends: Rows) -> Rows:
    """Returns dons and doffs: a session whose hold expires has crashed and has no doff."""
    crashed = np.zeros(len(dons), bool)
    crashed[is_held] = ends["type"] == EXPIRED
    charged = np.zeros(len(dons), np.int64)
    charged[is_held] = np.where(ends["type"] == POSTED, ends["amount"], 0)
    doffs = dons.copy()
    doffs["t"], doffs["ended"], doffs["charged"] = at, at, charged
    return np.concatenate([dons, doffs[~crashed]])


def book_calls(draft: Draft, traffic: Traffic) -> Rows:
    """Books paid requests, each with its fee in a linked chain; returns the calls.

    A prepaid agent pays from its account, a direct one by its own payment on a rail.
    """
    people, requests = draft.people, traffic.requests
    is_call = (requests["status"] == PAID) & (people.kind[requests["agent"]] != TOKENS)
    asked = requests[is_call]
    is_direct = np.isin(people.kind[asked["agent"]], DIRECT)
    payer = people.first_agent + asked["agent"]
    calls = draft.transfers(
        asked["t"] - SECOND // 500,
        API_CALL,
        flags=LINKED,
        debit=np.where(is_direct, house_account(TREASURY, USD), payer),
        credit=people.author_account(
            people.masque_author[asked["masque"]], asked["asset"].astype(np.int64)
        ),
        amount=asked["charged"],
        trace=asked["trace"],
        span=asked["span"],
        resource=OF_MASQUE | asked["masque"].astype(np.uint32),
        payer=np.where(is_direct, -1, asked["agent"]),
    )
    requests["transfer"][is_call] = calls["id"]
    draft.add("events", calls)
    fees = _fees(draft, calls)
    _refund(draft, asked, calls, fees, is_direct)
    _pay_directly(draft, traffic, asked[is_direct], calls[is_direct])
    return calls


def _fees(draft: Draft, calls: Rows) -> Rows:
    fees = draft.transfers(calls["t"], FEE)
    for name in ("chain", "trace", "resource"):
        fees[name] = calls[name]
    fees["span"] = draft.chance.integers(1, 2**63, len(calls), dtype=np.uint64)
    fees["debit"] = calls["credit"]
    fees["credit"] = _house(PLATFORM_FEE, draft.people.ledger[calls["credit"]])
    # Of the least payment nothing is left to take.
    fees["amount"] = np.maximum(1, calls["amount"] // _FEE_PART)
    fees["step"] = 1
    draft.add("events", fees)
    return fees


def _pay_directly(draft: Draft, traffic: Traffic, asked: Rows, calls: Rows) -> None:
    """Adds the payments of direct calls, the challenges before them, and what was said."""
    requests = traffic.requests
    challenges = asked.copy()
    challenges["t"] -= 8 * SECOND
    challenges["status"], challenges["http"], challenges["charged"] = CHALLENGED, 402, -1
    challenges["transfer"] = 0
    challenges["id"] = random_ids(draft.chance, len(challenges))
    challenges["span"] = draft.chance.integers(1, 2**63, len(challenges), dtype=np.uint64)
    draft.add("requests", challenges)
    by_voucher = draft.people.kind[asked["agent"]] == BY_VOUCHER
    for whose, paid in (
        (~by_voucher, _direct_payments(draft, asked[~by_voucher], SETTLED)),
        (by_voucher, pay_by_voucher(draft, asked[by_voucher])),
    ):
        verified = draft.lines(paid, paid["t"] + SECOND, VERIFY, VALID, None)
        draft.add("spans", facilitator_spans(asked[whose], verified, VERIFY_STEP))
        settled = draft.lines(paid, paid["t"] + 3 * SECOND, SETTLE, SUCCESS, calls["id"][whose])
        draft.add("spans", facilitator_spans(asked[whose], settled, SETTLE_STEP))
    # The chain refused these, and of the others nobody knows: nothing is booked for either.
    for where, kind, answer in (
        (traffic.failed, FAILED, REFUSED),
        (traffic.unanswered, UNPAID, NO_ANSWER),
    ):
        tried = requests[where]
        sent = _direct_payments(draft, tried, kind)
        said = draft.lines(sent, sent["t"] + 3 * SECOND, SETTLE, answer, None)
        draft.add("spans", facilitator_spans(tried, said, SETTLE_STEP, fails=True))


def _direct_payments(draft: Draft, asked: Rows, kind: int) -> Rows:
    is_solana = draft.people.kind[asked["agent"]] == DIRECT_SOLANA
    paid = draft.payments(
        is_solana.astype(int),
        asked["t"] - 6 * SECOND,
        asked["price"],
        party=asked["agent"],
        kind=kind,
        valid_s=60,
    )
    draft.add("payments", paid)
    return paid


def book_tokens(draft: Draft, traffic: Traffic) -> None:
    """Books L402 tokens: one payment on Lightning buys all paid requests of a session."""
    people, requests = draft.people, traffic.requests
    is_token = people.kind[requests["agent"]] == TOKENS
    rides = np.flatnonzero(is_token & (requests["status"] == PAID))
    sessions, first, counts = np.unique(traffic.of[rides], return_index=True, return_counts=True)
    del sessions
    heads, starts = rides[first], np.repeat(np.arange(len(first)), counts)
    totals = np.bincount(starts, requests["charged"][rides], len(first)).astype(np.int64)
    prices = np.bincount(starts, requests["price"][rides], len(first)).astype(np.int64)
    requests["charged"][rides], requests["price"][rides] = 0, 0
    requests["charged"][heads], requests["price"][heads] = totals, prices
    asked = requests[heads]
    tokens = draft.transfers(
        asked["t"] - 9 * SECOND,
        API_CALL,
        flags=LINKED,
        debit=house_account(TREASURY, BTC),
        credit=people.author_account(people.masque_author[asked["masque"]], np.full(1, BTC)),
        amount=totals,
        trace=asked["trace"],
        span=asked["span"],
        resource=OF_MASQUE | asked["masque"].astype(np.uint32),
    )
    draft.add("events", tokens)
    _fees(draft, tokens)
    requests["transfer"][rides] = tokens["id"][starts]
    invoices, challenges = _invoices(draft, asked, totals, SETTLED)
    draft.lines(invoices, asked["t"] - 10 * SECOND, TOKEN, SUCCESS, tokens["id"])
    draft.add("spans", token_spans(requests[heads], challenges))
    left = requests[is_token & (requests["status"] == REJECTED)]
    ledgers = left["asset"].astype(np.int64)
    _invoices(draft, left, _in_units(draft, np.maximum(1, left["price"]), ledgers), UNPAID)


def _invoices(draft: Draft, asked: Rows, units: Column, kind: int) -> tuple[Rows, Rows]:
    """Adds and returns the invoice of each challenge, and the challenge at the gate."""
    at = asked["t"] - _TOKEN_S * SECOND
    made = draft.payments(
        np.full(len(asked), LIGHTNING), at, units, party=asked["agent"], kind=kind, after_s=13
    )
    draft.add("payments", made)
    draft.lines(made, at + SECOND, CHALLENGE, SUCCESS, None)
    challenges = asked.copy()
    challenges["t"], challenges["status"], challenges["http"] = at + SECOND, CHALLENGED, 402
    challenges["charged"], challenges["transfer"] = -1, 0
    challenges["id"] = random_ids(draft.chance, len(asked))
    challenges["span"] = draft.chance.integers(1, 2**63, len(asked), dtype=np.uint64)
    draft.add("requests", challenges)
    return made, challenges


def _refund(draft: Draft, asked: Rows, calls: Rows, fees: Rows, is_direct: Column) -> None:
    """Refunds what was paid and not served, within half an hour: on the ledger or on the rail.

    The platform gives its fee back first, in the same chain: no author pays for it.
    """
    people = draft.people
    failing = asked["http"] >= 500
    call, fee, is_out = calls[failing], fees[failing], is_direct[failing]
    at = call["t"] + draft.chance.integers(300, 1_800, len(call)) * SECOND
    back = draft.transfers(at, ADJUSTMENT, flags=LINKED, debit=fee["credit"], credit=fee["debit"])
    refunds = draft.transfers(at, REFUND, debit=call["credit"], credit=call["debit"], step=1)
    back["amount"], refunds["amount"] = fee["amount"], call["amount"]
    refunds["chain"] = back["chain"]
    refunds["payer"] = call["payer"]
    for made in (back, refunds):
        made["trace"], made["resource"] = call["trace"], call["resource"]
    draft.add("events", back)
    draft.add("events", refunds)
    links = np.zeros(len(refunds), LINK)
    links["t"], links["transfer"], links["of"] = at + SECOND, refunds["id"], call["id"]
    links["note"] = draft.chance.integers(0, 3, len(refunds))
    draft.add("links", links)
    agents = asked["agent"][failing][is_out]
    sent = draft.payments(
        (people.kind[agents] == DIRECT_SOLANA).astype(int),
        at[is_out] + 30 * SECOND,
        refunds["amount"][is_out],
        party=agents,
        out=True,
        kind=PLAIN,
    )
    draft.add("payments", sent)
    draft.lines(sent, sent["t"] + 2 * SECOND, PAYOUT, SUCCESS, refunds["id"][is_out])


def book_payouts(draft: Draft) -> None:
    """Pays authors once a week nine tenths of what they had at midnight.

    An agency is paid once for all its authors; everybody else has a payment for each payout.
    """
    if draft.state.day % _PAYOUT_DAY != _PAYOUT_DAY - 1:
        return
    people, state = draft.people, draft.state
    pending = state.ahead["events"]
    promised = np.bincount(
        pending["debit"], pending["amount"] * (pending["type"] == 0), people.count
    ).astype(np.int64)
    for ledger in (USD, BTC):
        accounts = people.author_account(np.arange(people.shape.authors), np.full(1, ledger))
        have = state.balances[accounts, 3] - state.balances[accounts, 1] - promised[accounts]
        least = _in_units(draft, np.full(1, _PAYOUT_LEAST_MICRO), np.full(1, ledger))
        who = np.flatnonzero(have > least)
        at = draft.start_ns + 6 * 3_600 * SECOND + np.arange(len(who)) * SECOND // 20
        made = draft.transfers(
            at,
            SETTLEMENT,
            debit=accounts[who],
            credit=house_account(TREASURY, ledger),
            amount=have[who] * 9 // 10,
            resource=OF_PAYOUT,
        )
        made["trace"] = random_ids(draft.chance, len(who))
        draft.add("events", made)
        _send(draft, made, who, ledger)


def _send(draft: Draft, payouts: Rows, who: Column, ledger: int) -> None:
    """Adds the payments of payouts, and what the payout service says of them."""
    people = draft.people
    agency = people.agency[who] if ledger == USD else np.full(len(who), -1)
    alone = agency < 0
    rails = people.author_rail[who[alone]] if ledger == USD else LIGHTNING
    times = payouts["t"][alone] + 30 * SECOND
    sent = draft.payments(
        np.broadcast_to(rails, len(times)),
        times,
        payouts["amount"][alone],
        party=-1 - who[alone],
        out=True,
        kind=PLAIN,
    )
    draft.add("payments", sent)
    draft.lines(sent, times + 2 * SECOND, PAYOUT, SUCCESS, payouts["id"][alone])
    for number in np.unique(agency[~alone]).tolist():
        theirs = payouts[agency == number]
        at = theirs["t"][-1:] + 60 * SECOND
        party = AGENCY_PARTY - number
        total = theirs["amount"].sum(keepdims=True)
        paid = draft.payments(np.full(1, BASE), at, total, party=party, out=True, kind=PLAIN)
        draft.add("payments", paid)
        draft.batches(paid, at + 2 * SECOND, PAYOUT, theirs["id"], np.array([len(theirs)]))


def _in_units(draft: Draft, micro: Column, ledgers: Column) -> Column:
    return units_of(micro, ledgers, draft.state.rates)


def _house(code: int, ledgers: Column) -> Column:
    return np.asarray(np.array([house_account(code, ledger) for ledger in range(3)])[ledgers])
