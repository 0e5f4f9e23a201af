"""Opening checkpoints: what events that are older than retention add up to, read from the ledger.

ClickHouse removes such rows as they are written, so nothing in the warehouse tells what they held.
A ledger whose history was imported has them from the start. Their balances and open holds at one
ledger time are the checkpoint that all proofs start from.

A re-run goes on from the newest checkpoint; what a killed run left of one counts for nothing.
"""

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from masques_pipelines.ledger.proofs.checkpoints import drop_unfinished, record_checkpoint
from masques_pipelines.ledger.proofs.position import Position
from masques_pipelines.ledger.proofs.sealed import Anchor
from masques_pipelines.ledger.reader import BATCH_EVENTS, EventReader
from masques_pipelines.ledger.records import (
    EVENT_TYPE_PENDING,
    EVENT_TYPE_POSTED,
    Records,
    timestamps_ns,
    u128,
)
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.ledger.transactions import LEASE
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import writer_lease

# Rows of so long after the horizon are there too, so that the checkpoint serves `verify --full`
# until the next ones do.
_AFTER_HORIZON_NS: Final = 86_400 * 10**9
_ROWS_AT_ONCE: Final = 50_000
_BALANCES: Final = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
_BALANCE_COLUMNS: Final = ("checkpoint_ns", "account_id", "ledger", *_BALANCES)
_DAY_COLUMNS: Final = (
    "account_id",
    "day",
    "checkpoint_ns",
    "ledger",
    *_BALANCES,
    "movements",
)
_HOLD_COLUMNS: Final = (
    "opened_ns",
    "debit_account_id",
    "credit_account_id",
    "ledger",
    "amount",
    "timeout_s",
    "code",
)
_KNOWN_BALANCES: Final = (
    f"SELECT account_id, ledger, {', '.join(_BALANCES)} "  # noqa: S608 - constants
    "FROM masques_ops.checkpoint_balances FINAL WHERE checkpoint_ns = {checkpoint_ns:UInt64}"
)
_KNOWN_HOLDS: Final = (
    f"SELECT transaction_id, {', '.join(_HOLD_COLUMNS)} "  # noqa: S608 - constants
    "FROM masques_ops.checkpoint_holds FINAL WHERE checkpoint_ns = {checkpoint_ns:UInt64}"
)

logger = logging.getLogger(__name__)


@dataclass
class _Account:
    """An account's balances in the order of _BALANCES, now and at the start."""

    ledger: int
    balances: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    before: tuple[int, ...] = (0, 0, 0, 0)
    movements: int = 0

    def move(self, *, is_debit: bool, pending: int, posted: int) -> None:
        first = 0 if is_debit else 2
        self.balances[first] += pending
        self.balances[first + 1] += posted
        self.movements += 1


@dataclass(frozen=True)
class _Hold:
    """An open hold, with the columns of _HOLD_COLUMNS."""

    opened_ns: int
    debit_account_id: int
    credit_account_id: int
    ledger: int
    amount: int
    timeout_s: int
    code: int


class _Fold:
    """Balances and open holds, moved on by events."""

    def __init__(self, accounts: dict[int, _Account], holds: dict[int, _Hold]) -> None:
        self.accounts = accounts
        self.holds = holds

    def add(self, events: Records) -> None:
        """Adds events; a hold comes before what ends it."""
        columns = zip(
            events["type"].tolist(),
            u128(events, "transfer_id"),
            u128(events, "transfer_pending_id"),
            events["timestamp"].tolist(),
            u128(events, "debit_account_id"),
            u128(events, "credit_account_id"),
            events["ledger"].tolist(),
            u128(events, "transfer_amount"),
            events["transfer_timeout"].tolist(),
            events["transfer_code"].tolist(),
            strict=True,
        )
        for kind, transfer_id, pending_id, *fields in columns:
            event = _Hold(*fields)
            if kind == EVENT_TYPE_PENDING:
                self.holds[transfer_id] = event
                self._move(event, pending=event.amount, posted=0)
            elif kind == 0:
                self._move(event, pending=0, posted=event.amount)
            else:
                hold = self.holds.pop(pending_id or transfer_id)
                posted = event.amount if kind == EVENT_TYPE_POSTED else 0
                self._move(hold, pending=-hold.amount, posted=posted)

    def _move(self, event: _Hold, *, pending: int, posted: int) -> None:
        for is_debit in (True, False):
            account_id = event.debit_account_id if is_debit else event.credit_account_id
            account = self.accounts.setdefault(account_id, _Account(event.ledger))
            account.move(is_debit=is_debit, pending=pending, posted=posted)


def write_opening(warehouse: Warehouse, source: LedgerSource, position: Position) -> int | None:
    """Writes an opening checkpoint when events that retention removes are in no checkpoint.

    Returns:
        Its ledger time, None when none was needed.

    Raises:
        LeaseBusyError, LeaseLostError: Another process writes to the same server.
        LedgerUnavailableError, LedgerRefusedError, PageError: From the source.
    """
    if not position.needs_opening:
        return None
    # The newest seal ends at a transfer: nothing can land at or before it any more.
    until_ns = min(position.removed_ns + _AFTER_HORIZON_NS, position.sealed_to_ns)
    logger.info("reading what retention removes from the ledger, up to ledger time %d", until_ns)
    with writer_lease(warehouse, LEASE) as lease:
        fold = _known(warehouse, position.checkpoint_ns)
        for events in _events(source, position.checkpoint_ns, until_ns):
            fold.add(events)
            lease.hold()
        drop_unfinished(warehouse)
        for table, columns, rows in _tables(fold, until_ns):
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                lease.hold()
                warehouse.insert_rows(
                    f"masques_ops.{table}", columns, rows[start : start + _ROWS_AT_ONCE]
                )
        # Nothing of the chain of seals was proved here.
        record_checkpoint(warehouse, until_ns, position.checkpoint_ns, Anchor(), is_opening=True)
    return until_ns


def _known(warehouse: Warehouse, checkpoint_ns: int) -> _Fold:
    """Returns balances and holds of a checkpoint; none at all of the ledger's beginning."""
    at = {"checkpoint_ns": checkpoint_ns}
    accounts = {
        account_id.int: _Account(int(ledger), list(map(int, balances)), tuple(map(int, balances)))
        for account_id, ledger, *balances in warehouse.rows(_KNOWN_BALANCES, at)
    }
    holds = {
        row[0].int: _Hold(int(row[1]), row[2].int, row[3].int, *map(int, row[4:]))
        for row in warehouse.rows(_KNOWN_HOLDS, at)
    }
    return _Fold(accounts, holds)


def _events(source: LedgerSource, after_ns: int, until_ns: int) -> Iterator[Records]:
    for batch in EventReader(source, cursor_ns=after_ns).batches(BATCH_EVENTS):
        times = timestamps_ns(batch.events)
        yield batch.events[(times > after_ns) & (times <= until_ns)]
        if len(times) and int(times.min()) > until_ns:
            return


def _tables(
    fold: _Fold, checkpoint_ns: int
) -> Iterator[tuple[str, tuple[str, ...], list[list[Any]]]]:
    """Yields table, columns and rows of a checkpoint."""
    day = datetime.fromtimestamp(checkpoint_ns // 10**9, UTC).date()
    accounts = {uuid.UUID(int=number): account for number, account in fold.accounts.items()}
    yield (
        "checkpoint_balances",
        _BALANCE_COLUMNS,
        [[checkpoint_ns, id_, one.ledger, *one.balances] for id_, one in accounts.items()],
    )
    yield (
        "checkpoint_holds",
        ("checkpoint_ns", "transaction_id", *_HOLD_COLUMNS),
        [
            [
                checkpoint_ns,
                uuid.UUID(int=number),
                hold.opened_ns,
                uuid.UUID(int=hold.debit_account_id),
                uuid.UUID(int=hold.credit_account_id),
                hold.ledger,
                hold.amount,
                hold.timeout_s,
                hold.code,
            ]
            for number, hold in fold.holds.items()
        ],
    )
    yield (
        "account_days",
        _DAY_COLUMNS,
        [
            [id_, day, checkpoint_ns, one.ledger, *_change(one), one.movements]
            for id_, one in accounts.items()
            if one.movements
        ],
    )


def _change(account: _Account) -> list[int]:
    return [now - then for now, then in zip(account.balances, account.before, strict=True)]
