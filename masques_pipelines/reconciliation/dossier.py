"""Tells the whole story of a payment: what each side said of it, in order, and what is wrong."""

import uuid
from dataclasses import asdict, dataclass
from typing import Any, Final

from masques_pipelines.errors import PermanentError
from masques_pipelines.reconciliation.breaks import open_breaks
from masques_pipelines.reconciliation.payments import overlap_ms
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# A session or a trace may be of many payments; more than this nobody reads.
PAYMENTS_MOST: Final = 50
_NOW: Final = """
SELECT transaction_type, funding, state, gate, rail, toString(posted) AS posted, currency,
    toString(charged) AS charged, toString(settled) AS settled, rail_currency,
    toString(refunded) AS refunded, amount_basis, toString(due_at) AS due_at
FROM masques_marts.payments WHERE item_id = {item_id:UUID}
"""
_BROKEN: Final = """
SELECT arrayExists(
    leg -> leg NOT IN (SELECT verdict FROM masques_ops.sound_verdicts), {legs:Array(String)})
"""


class PaymentError(PermanentError):
    """Nothing is known of what was asked for."""


@dataclass(frozen=True)
class Dossier:
    """All that is known of one payment.

    Attributes:
        item_id: The transfer, or the hold; else the settlement or the request that names none.
        verdict: What is said of it now; empty when it was not compared yet.
        breaks: Its open breaks.
        events: What happened, in order.
    """

    item_id: str
    verdict: dict[str, Any]
    breaks: list[dict[str, Any]]
    events: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Returns it as plain values; amounts are texts, so that none is rounded."""
        return asdict(self)


def dossiers(warehouse: Warehouse, key: str) -> list[Dossier]:
    """Returns the payments that a key is about.

    Args:
        warehouse: Holds the facts.
        key: Id of a request, transfer, hold, settlement or session; nonce, transaction hash,
            payment hash or signature; or a trace.

    Raises:
        PaymentError: No fact has this key.
    """
    asked = {"key": key.strip(), "most": PAYMENTS_MOST}
    found = warehouse.rows(sql("reconciliation/find_known"), asked) or warehouse.rows(
        sql("reconciliation/find_payments"), asked
    )
    if not found:
        raise PaymentError(
            f"{key}: no request, transfer, session or settlement has this id, hash or trace: look "
            "whether its side was read (`masques rails status`, `masques intake quarantine`)"
        )
    return [_dossier(warehouse, str(item_id)) for (item_id,) in found]


def _dossier(warehouse: Warehouse, item_id: str) -> Dossier:
    verdicts = warehouse.records(_NOW, {"item_id": item_id})
    verdict = verdicts[0] if verdicts else {}
    legs = [verdict[leg] for leg in ("gate", "rail") if verdict]
    is_broken = bool(warehouse.scalar(_BROKEN, {"legs": legs}))
    return Dossier(
        item_id=item_id,
        verdict=verdict,
        breaks=open_breaks(warehouse, item_id=uuid.UUID(item_id)) if is_broken else [],
        events=warehouse.records(
            sql("reconciliation/story"),
            {"item_id": item_id, "overlap_ms": overlap_ms(warehouse)},
        ),
    )
