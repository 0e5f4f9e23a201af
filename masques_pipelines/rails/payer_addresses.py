"""Writes the registry of payers' addresses: which account an address belonged to, and when.

An entry that is written again replaces itself.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from masques_pipelines.errors import PermanentError
from masques_pipelines.rails import catalog
from masques_pipelines.warehouse.client import Warehouse


class RegistryError(PermanentError):
    """An entry cannot be used."""


@dataclass(frozen=True)
class Payer:
    """One entry.

    Attributes:
        rail: Name of the rail.
        address: As settlements.payer has it, in any case where the rail ignores case.
        account_id: The ledger account of its owner.
        valid_from: Inclusive.
        valid_to: Exclusive.
        network: CAIP-2 id of the network that it is of, '' for all networks of the rail.
    """

    rail: str
    address: str
    account_id: uuid.UUID
    valid_from: datetime
    valid_to: datetime
    network: str = ""


def register(warehouse: Warehouse, entry: Payer) -> None:
    """Writes an entry; one with the same rail, network, address and start is replaced.

    Raises:
        RegistryError: It ends before it starts, or no payer of its rail has an address.
    """
    normalize = catalog.by_name(entry.rail).normalize_payer
    if normalize is None:
        raise RegistryError(f"{entry.rail}: its payers have no addresses to register")
    if entry.valid_to <= entry.valid_from:
        raise RegistryError(
            f"{entry.address}: it would be valid until {entry.valid_to} and only from "
            f"{entry.valid_from} on: give --to a later time"
        )
    warehouse.insert_rows(
        "masques_ops.payer_addresses",
        ("rail", "network", "address", "account_id", "valid_from", "valid_to", "recorded_at"),
        [
            (
                entry.rail,
                entry.network,
                normalize(entry.address),
                entry.account_id,
                entry.valid_from,
                entry.valid_to,
                datetime.now(UTC),
            )
        ],
    )
