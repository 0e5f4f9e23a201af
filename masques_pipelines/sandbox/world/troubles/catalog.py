"""The troubles that a world may have, by kind: each changes what is observed, never the ledger."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, Final

from masques_pipelines.sandbox.world.landing import moment
from masques_pipelines.sandbox.world.troubles import channels, gate, holds, money, nodes, people
from masques_pipelines.sandbox.world.troubles.observed import Hit, Observed, Trouble

Apply = Callable[[Observed, Trouble], Hit | None]

KINDS: Final[dict[str, Apply]] = {
    "bad_line": money.bad_line,
    "bad_rate": gate.bad_rate,
    "bad_rows": gate.bad_rows,
    "claims_disagree": money.claims_disagree,
    "clock_skew": gate.clock_skew,
    "conflicting_row": gate.conflicting_row,
    "damaged_file": gate.damaged_file,
    "duplicate_file": gate.duplicate_file,
    "exit_scam": people.exit_scam,
    "expired_vouchers": channels.expired_vouchers,
    "facilitator_lies": money.facilitator_lies,
    "failed_payout": money.failed_payout,
    "framing": people.framing,
    "future_rows": gate.future_rows,
    "hidden_payment": money.hidden_payment,
    "late_file": gate.late_file,
    "lost_don": gate.lost_don,
    "lost_file": gate.lost_file,
    "lost_session": gate.lost_session,
    "missing_spans": gate.missing_spans,
    "old_treasury": money.old_treasury,
    "paid_not_served": gate.paid_not_served,
    "paid_twice": money.paid_twice,
    "paid_without_transfer": gate.paid_without_transfer,
    "praise_ring": people.praise_ring,
    "rail_stops": nodes.rail_stops,
    "reorg": nodes.reorg,
    "repeated_rows": gate.repeated_rows,
    "served_not_paid": holds.served_not_paid,
    holds.STUCK_HOLD: holds.stuck_hold,
    "unbooked_payment": money.unbooked_payment,
    "unclaimed_vouchers": channels.unclaimed_vouchers,
    "unfollowed_voucher": money.unfollowed_voucher,
    "unknown_ending": gate.unknown_ending,
    "unknown_identity": gate.unknown_identity,
    "unknown_refund": gate.unknown_refund,
    "unsettled_deposit": money.unsettled_deposit,
    "wash_revenue": people.wash_revenue,
    "whitewash": people.whitewash,
    "wrong_amount": money.wrong_amount,
    "wrong_asset": money.wrong_asset,
    "wrong_charge": gate.wrong_charge,
    "wrong_party": gate.wrong_party,
    "wrong_transfer": gate.wrong_transfer,
}


def apply(seen: Observed, troubles: Iterable[Trouble]) -> list[dict[str, Any]]:
    """Applies the troubles of a day, in their order; returns the entries of troubles.ndjson.

    One that finds nothing to hit on its day changes nothing, and its entry says so.
    """
    return [_entry(trouble, KINDS[trouble.kind](seen, trouble)) for trouble in troubles]


def _entry(trouble: Trouble, hit: Hit | None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "number": trouble.number,
        "kind": trouble.kind,
        "at": moment(trouble.at_ns),
        "state": "nothing_to_hit" if hit is None else "done",
    }
    if hit is None:
        return entry
    return entry | {
        "ids": hit.ids,
        "visible_at": moment(hit.visible_ns),
        "money": str(hit.money),
        "currency": hit.currency,
        "findings": [asdict(each) for each in hit.findings],
        "also": [asdict(each) for each in hit.also],
        "classes": list(hit.classes),
    }


def lines(entries: Iterable[dict[str, Any]]) -> str:
    """Returns entries as lines of JSON."""
    return "".join(json.dumps(entry) + "\n" for entry in entries)
