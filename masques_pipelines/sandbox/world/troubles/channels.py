"""Troubles of payment channels: what was served by voucher, and nobody claims in time."""

from functools import partial
from typing import Final

import numpy as np

from masques_pipelines.sandbox.nodes import base
from masques_pipelines.sandbox.nodes.escrow import DELAY_S
from masques_pipelines.sandbox.world.shape import (
    ASK_BACK,
    BASE,
    CLAIM,
    CLOSE,
    PAYMENT,
    SECOND,
    SETTLE,
    TAKE_BACK,
    USD,
    VOUCHER,
    Column,
    Rows,
)
from masques_pipelines.sandbox.world.troubles.money import settlement_of
from masques_pipelines.sandbox.world.troubles.observed import (
    Hit,
    Observed,
    Trouble,
    is_break,
    money,
    text,
)

# Of payments that only these troubles make: no other has so high a number.
_NUMBERS: Final = 2**41
# After the last voucher the payer asks its money back, and after the delay it takes it.
_ASKS_S: Final = 60
_TAKES_S: Final = 120


def _lose(class_: str, kinds: tuple[int, ...], seen: Observed, trouble: Trouble) -> Hit | None:
    """Lets a payer ask back what its newest vouchers are for, and nobody claims them any more."""
    payments = seen.rows["payments"]
    claimed = _claimed(payments)
    is_open = payments["total"] > claimed
    place = seen.first("payments", _is_newest(payments) & is_open, trouble)
    if place is None:
        return None
    newest = payments[place]
    lost = payments[is_open & (payments["channel"] == newest["channel"])]
    steps = np.zeros(len(kinds), PAYMENT)
    for name in ("rail", "party", "polygon", "channel"):
        steps[name] = newest[name]
    steps["kind"] = kinds
    steps["number"] = _NUMBERS + 2 * trouble.number + np.arange(len(kinds))
    asked_ns = int(newest["t"]) + _ASKS_S * SECOND
    due_ns = asked_ns + (DELAY_S + _TAKES_S) * SECOND
    steps["t"] = (asked_ns, due_ns)[: len(kinds)]
    seen.moved = np.concatenate([seen.moved, steps])
    seen.ended.add(int(newest["party"]))
    transfers = _transfers(seen, lost["number"])
    # What was given back on the ledger is not lost.
    given_back = {text(each) for each in seen.rows["links"]["of"]}
    amount, currency = money(int(lost["units"].sum()), USD)
    return Hit(
        {
            "channels": [seen.wallets.channel(int(newest["channel"]))],
            "settlements": [settlement_of(seen, lost[n : n + 1]) for n in range(len(lost))],
            "transfers": [each for each in transfers if each not in given_back],
        },
        due_ns + (base.FINAL_AFTER_S + 60) * SECOND,
        amount,
        currency,
        also=is_break(class_, *(each for each in transfers if each in given_back)),
        classes=(class_,),
    )


def _claimed(payments: Rows) -> Column:
    """Returns for each voucher what is claimed of its channel on the day, for others 2**62."""
    is_claim = np.isin(payments["kind"], (CLAIM, CLOSE))
    claims = dict(payments[["channel", "total"]][is_claim].tolist())
    found = np.array([claims.get(each, 0) for each in payments["channel"].tolist()], np.int64)
    return np.where(payments["kind"] == VOUCHER, found, 2**62)


def _is_newest(payments: Rows) -> Column:
    """Returns which vouchers are the last of their channels, with nothing to come on the day."""
    vouchers = np.flatnonzero(payments["kind"] == VOUCHER)
    newest = dict(zip(payments["party"][vouchers].tolist(), vouchers.tolist(), strict=True))
    found = np.zeros(len(payments), bool)
    found[list(newest.values())] = True
    return found


def _transfers(seen: Observed, numbers: Column) -> list[str]:
    """Returns the transfers that vouchers pay."""
    lines = seen.rows["lines"]
    is_theirs = (lines["rail"] == BASE) & np.isin(lines["number"], numbers)
    first = lines["first"][is_theirs & (lines["event"] == SETTLE)]
    return [text(each) for each in seen.day.named["transfer"][first]]


# The payer has not taken it yet, and may at any time.
unclaimed_vouchers = partial(_lose, "outcome_unknown", (ASK_BACK,))
expired_vouchers = partial(_lose, "settlement_failed", (ASK_BACK, TAKE_BACK))
