"""Troubles of holds: money that stays held, and sessions that were served for nothing."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from masques_pipelines.sandbox.world.population import Population, house_account
from masques_pipelines.sandbox.world.shape import (
    DAY,
    ESCROW,
    EVENT,
    EXPIRED,
    HOLDS,
    MASQUE_SESSION,
    OF_MASQUE,
    PENDING,
    SECOND,
    USD,
    Rows,
    ids_at,
)
from masques_pipelines.sandbox.world.troubles.observed import Hit, Observed, Trouble, money, text

STUCK_HOLD: Final = "stuck_hold"
_HELD_MICRO: Final = 1_500_000
_SERVED_S: Final = 1_800


def stuck_holds(people: Population, troubles: Iterable[Trouble]) -> Rows:
    """Returns holds without a timeout that nobody ends: the ledger has them as any others.

    They are in no agent's account, whose deposits would follow from them.
    """
    stuck = [each for each in troubles if each.kind == STUCK_HOLD]
    made = np.zeros(len(stuck), EVENT)
    for row, trouble in zip(made, stuck, strict=True):
        chance = np.random.default_rng([people.shape.seed, 5, trouble.number])
        row["t"] = trouble.at_ns
        row["id"] = ids_at(chance, np.array([trouble.at_ns]))[0]
        # None of the numbers of a day's own chains, and of its own holds.
        row["chain"] = row["hold"] = -1 - trouble.number
        row["credit"] = people.author_account(
            np.array([trouble.number % people.shape.authors]), np.array([USD])
        )[0]
    made["debit"], made["payer"] = house_account(ESCROW, USD), -1
    made["type"], made["flags"], made["code"] = PENDING, HOLDS, MASQUE_SESSION
    made["amount"] = made["held"] = _HELD_MICRO
    made["resource"] = OF_MASQUE
    return made


def stuck_hold(seen: Observed, trouble: Trouble) -> Hit | None:
    """Money is held without a timeout, and nobody ends the hold."""
    (hold,) = stuck_holds(seen.people, [trouble])
    amount, currency = money(_HELD_MICRO, USD)
    ids = {"transfers": [text(hold["id"])]}
    visible = trouble.at_ns + DAY
    return Hit(ids, visible, amount, currency, classes=("stale_hold",))


def served_not_paid(seen: Observed, trouble: Trouble) -> Hit | None:
    """A gate ends a session as served, and never posts its hold, which expires."""
    sessions, events = seen.rows["sessions"], seen.rows["events"]
    expiries = events[events["type"] == EXPIRED]
    place = seen.first("sessions", np.isin(sessions["hold"], expiries["hold_id"]), trouble)
    if place is None:
        return None
    ended = sessions[place : place + 1].copy()
    (expiry,) = expiries[expiries["hold_id"] == ended["hold"][0]]
    ended["t"] = ended["ended"] = ended["t"] + _SERVED_S * SECOND
    ended["charged"] = expiry["amount"]
    both = np.concatenate([sessions, ended])
    seen.rows["sessions"] = both[np.argsort(both["t"], kind="stable")]
    ids = {"sessions": [text(ended["id"][0])], "transfers": [text(ended["hold"][0])]}
    amount, currency = money(int(expiry["amount"]), int(ended["asset"][0]))
    return Hit(ids, int(expiry["t"]), amount, currency, classes=("served_not_paid",))
