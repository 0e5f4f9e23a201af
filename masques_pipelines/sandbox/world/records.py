"""Makes a day's ledger records: the change events and accounts that TigerBeetle would hold."""

from typing import Final

import numpy as np

from masques_pipelines.ledger.records import ACCOUNT_DTYPE, CHANGE_EVENT_DTYPE, Records
from masques_pipelines.sandbox.world.day import Day
from masques_pipelines.sandbox.world.population import Population
from masques_pipelines.sandbox.world.shape import (
    EXPIRED,
    LEDGERS,
    POSTED,
    VOIDED,
    Column,
    Rows,
)

BALANCES: Final = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
_NUMBERS: Final = np.array([ledger.number for ledger in LEDGERS], np.uint32)


def change_events(people: Population, day: Day) -> Records:
    """Returns a day's change events."""
    events = day.rows["events"]
    made = np.zeros(len(events), CHANGE_EVENT_DTYPE)
    _write_id(made, "transfer_id", events["id"])
    made["transfer_amount"]["low"] = events["amount"]
    # An expiry has the hold's own fields, and so names no hold.
    ends = (events["type"] == POSTED) | (events["type"] == VOIDED)
    made["transfer_pending_id"]["low"] = np.where(ends, events["hold_id"]["lo"], 0)
    made["transfer_pending_id"]["high"] = np.where(ends, events["hold_id"]["hi"], 0)
    _write_id(made, "transfer_user_data_128", events["trace"])
    made["transfer_user_data_64"] = events["span"]
    made["transfer_user_data_32"] = events["resource"]
    for name in ("timeout", "code", "flags"):
        made[f"transfer_{name}"] = events[name]
    made["ledger"] = _NUMBERS[people.ledger[events["debit"]]]
    made["type"], made["timestamp"] = events["type"], events["t"]
    expired = events["type"] == EXPIRED
    made["transfer_timestamp"] = np.where(expired, events["hold_t"], events["t"])
    for side, balances in (("debit", day.debits), ("credit", day.credits)):
        _write_side(people, made, side, events[side], balances)
    return made


def _write_side(
    people: Population, made: Records, side: str, accounts: Column, balances: Column
) -> None:
    _write_id(made, f"{side}_account_id", people.ids[0][accounts])
    _write_id(made, f"{side}_account_user_data_128", people.owner[accounts])
    for place, name in enumerate(BALANCES):
        made[f"{side}_account_{name}"]["low"] = balances[:, place]
    made[f"{side}_account_code"] = people.code[accounts]
    made[f"{side}_account_flags"] = people.flags[accounts]
    made[f"{side}_account_timestamp"] = people.created[accounts]


def accounts(people: Population, balances: Column) -> Records:
    """Returns all accounts, by creation, with the balances of a moment."""
    made = np.zeros(people.count, ACCOUNT_DTYPE)
    _write_id(made, "id", people.ids[0])
    _write_id(made, "user_data_128", people.owner)
    for place, name in enumerate(BALANCES):
        made[name]["low"] = balances[:, place]
    made["ledger"] = _NUMBERS[people.ledger]
    made["code"], made["flags"], made["timestamp"] = people.code, people.flags, people.created
    return made


def _write_id(made: Records, name: str, ids: Rows) -> None:
    made[name]["low"], made[name]["high"] = ids["lo"], ids["hi"]
