"""Writes what the nodes and the gate say beside settlements: balances, and lines as facts.

Both may be written twice: a row has the key of its fact. What the balances say about the
settlements is the view masques_marts.chain_balances.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from masques_pipelines.money import amount_text
from masques_pipelines.rails.protocol import (
    BalanceReading,
    ChannelClaim,
    ChannelState,
    JournalEvent,
)
from masques_pipelines.warehouse.client import Warehouse

# The statement whose records are ChainBalance.
CHAIN_SAYS: Final = "rails/chain_says"
# Of a public key, enough to tell two nodes apart.
NODE_SHOWN: Final = 10
_BALANCE_COLUMNS: Final = (
    "rail",
    "network",
    "asset",
    "address",
    "line",
    "is_flow",
    "currency",
    "balance",
    "block",
    "block_hash",
    "finality",
    "read_at",
    "problem",
    "recorded_at",
)
_CLAIM_COLUMNS: Final = (
    *("rail", "network", "channel_id", "total_units", "units", "tx_hash", "block", "block_hash"),
    *("time", "submitted_by", "network_fee", "recorded_at", "is_deleted"),
)
_CHANNEL_COLUMNS: Final = (
    *("rail", "network", "channel_id", "payer", "to_address", "asset", "currency", "balance"),
    *(
        "claimed",
        "claimed_units",
        "withdrawing",
        "claim_until_s",
        "withdraw_delay_s",
        "block",
        "read_at",
    ),
    "recorded_at",
)
_EVENT_COLUMNS: Final = (
    "event_id",
    "time",
    "kind",
    "protocol",
    "scheme",
    "network",
    "settlement_id",
    "reference",
    "outcome",
    "error_reason",
    "latency_ms",
    "transaction_ids",
    "source",
    "line_no",
    "recorded_at",
)


def write_balances(
    warehouse: Warehouse,
    key: tuple[str, str],
    readings: Sequence[BalanceReading],
    *,
    now: datetime,
) -> None:
    """Writes balances of a rail; `key` is its name and network."""
    warehouse.insert_rows(
        "masques_ops.rail_balances",
        _BALANCE_COLUMNS,
        [
            (
                *key,
                each.asset,
                each.address,
                each.line,
                int(each.is_flow),
                each.currency,
                each.balance or 0,
                each.block,
                each.block_hash,
                each.finality,
                each.read_at_ns,
                each.problem or ("" if each.balance is not None else "not known"),
                now,
            )
            for each in readings
        ],
    )


def write_events(warehouse: Warehouse, events: Sequence[JournalEvent], *, now: datetime) -> None:
    """Writes lines of the journal as facts."""
    warehouse.insert_rows(
        "masques_ops.journal_events",
        _EVENT_COLUMNS,
        [
            (
                each.event_id,
                each.time_ns,
                each.kind,
                each.protocol,
                each.scheme,
                each.network,
                each.settlement_id,
                each.reference,
                each.outcome,
                each.error_reason,
                each.latency_ms,
                list(each.transaction_ids),
                each.source,
                each.line_no,
                now,
            )
            for each in events
        ],
        # A month is a partition, and the clock of a gate may jump through more than a hundred.
        max_partitions_per_insert_block=0,
    )


def write_claims(
    warehouse: Warehouse,
    key: tuple[str, str],
    claims: Sequence[ChannelClaim],
    *,
    now: datetime,
) -> None:
    """Writes claims of payment channels; `key` is the rail's name and network."""
    warehouse.insert_rows(
        "masques_ops.channel_claims",
        _CLAIM_COLUMNS,
        [
            (
                *(*key, each.channel_id, each.total, each.units, each.tx_hash),
                *(each.block_height, each.block_hash, each.time_ns, each.submitted_by),
                *(each.network_fee, now, int(each.is_gone)),
            )
            for each in claims
        ],
    )


def write_channels(
    warehouse: Warehouse,
    key: tuple[str, str],
    channels: Sequence[ChannelState],
    *,
    now: datetime,
) -> None:
    """Writes what the contract says of payment channels; `key` is the rail's name and network."""
    warehouse.insert_rows(
        "masques_ops.channels",
        _CHANNEL_COLUMNS,
        [
            (
                *(*key, each.channel_id, each.payer, each.to_address, each.asset, each.currency),
                *(
                    each.balance,
                    each.claimed,
                    each.claimed_units,
                    each.withdrawing,
                    each.claim_until_s or 0,
                ),
                *(each.withdraw_delay_s, each.block, each.read_at_ns, now),
            )
            for each in channels
        ],
    )


@dataclass(frozen=True)
class ChainBalance:
    """A row of masques_marts.chain_balances: what the chain says about one asset of a network."""

    rail: str
    network: str
    node: str
    asset: str
    currency: str
    state: str
    opening_block: int
    opening: Decimal
    added: Decimal
    dropped: Decimal
    came_in: Decimal
    went_out: Decimal
    fees: Decimal
    flows: Decimal
    expected: Decimal
    balance: Decimal
    difference: Decimal
    block: int
    read_at: datetime
    added_addresses: Sequence[str]
    dropped_addresses: Sequence[str]
    problem: str

    @property
    def key(self) -> str:
        """Rail, network, node and asset, for people."""
        node = f" {self.node[:NODE_SHOWN]}…" if self.node else ""
        return f"{self.rail} {self.network}{node} {self.currency or self.asset}"

    @property
    def text(self) -> str:
        """One line: which rail and asset, at which block, by how much, and which addresses."""
        changed = [f"{each} is new" for each in self.added_addresses]
        changed += [f"{each} is not read any more" for each in self.dropped_addresses]
        return "; ".join([self._state, *changed])

    @property
    def _state(self) -> str:
        at = f"block {self.block}" if self.block else f"{self.read_at:%Y-%m-%d %H:%M:%S}"
        if self.state == "differs":
            direction = "less" if self.difference < 0 else "more"
            return (
                f"{self.key} ({self.asset or self.node or self.network}): the chain has "
                f"{amount_text(abs(self.difference))} {direction} at {at} than the settlements "
                f"say: {amount_text(self.balance)} instead of {amount_text(self.expected)} since "
                f"block {self.opening_block}"
            )
        if self.state == "inconclusive":
            return f"{self.key}: inconclusive: {self.problem}"
        if self.state == "opening":
            return f"{self.key}: opening balance {amount_text(self.balance)} at {at}"
        return f"{self.key}: agrees at {at}: {amount_text(self.balance)}"
