"""The registry of payers' addresses: whose account an address belonged to, and when.

Here: writing entries.
Not here: using them (linking.py).
A re-run of the same entry replaces it by itself.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from masques_pipelines.errors import PermanentError
from masques_pipelines.warehouse.client import Warehouse


class RegistryError(PermanentError):
    """An entry cannot be used."""


@dataclass(frozen=True)
class Payer:
    """One entry.

    Attributes:
        rail: base, solana or lightning.
        address: As settlements.payer has it.
        account_id: The ledger account of its owner.
        valid_from: Inclusive.
        valid_to: Exclusive.
    """

    rail: str
    address: str
    account_id: uuid.UUID
    valid_from: datetime
    valid_to: datetime


def register(warehouse: Warehouse, entry: Payer) -> None:
    """Writes an entry; one with the same rail, address and beginning is replaced.

    Raises:
        RegistryError: It ends before it begins.
    """
    if entry.valid_to <= entry.valid_from:
        raise RegistryError(
            f"{entry.address}: it would be valid until {entry.valid_to} and only from "
            f"{entry.valid_from} on: give --to a later time"
        )
    # Base's addresses have no case of their own; the mixed case is only a checksum.
    address = entry.address.lower() if entry.rail == "base" else entry.address
    warehouse.insert_rows(
        "masques_ops.payer_addresses",
        ("rail", "address", "account_id", "valid_from", "valid_to", "recorded_at"),
        [
            (
                entry.rail,
                address,
                entry.account_id,
                entry.valid_from,
                entry.valid_to,
                datetime.now(UTC),
            )
        ],
    )
