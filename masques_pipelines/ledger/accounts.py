"""Fills masques.accounts with the balances of all accounts at exact ledger times.

A re-run reads all accounts again and writes a row only where something changed.

TigerBeetle has no "changed since" for accounts, so all are read: pages of 8,189, some 2 M accounts
a second. A page shows its accounts at the page's own ledger time; the pages of one reading follow
each other by creation time, so masques_ops.account_reads says for any account when it was last
read.
"""

import logging
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from masques_pipelines.ledger.account_digest import content_digest
from masques_pipelines.ledger.binding import bind_ledger
from masques_pipelines.ledger.chart import Chart, load_chart
from masques_pipelines.ledger.records import ACCOUNT_DTYPE, Records, records_of
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.ledger.transactions import LEASE, RebuildError
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import writer_lease
from masques_pipelines.warehouse.sql import sql

ACCOUNTS: Final = "masques.accounts"
REBUILT: Final = "masques_ops.accounts_rebuilt"
_EMPTY_REBUILT: Final = f"TRUNCATE TABLE {REBUILT}"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AccountsSync:
    """How one reading went.

    Attributes:
        rows_written: Accounts whose row was new or had changed.
        rows_total: Accounts known.
        accounts_read: Accounts that the ledger returned.
        pages: Replies of the ledger.
        watermark_ns: Ledger time of the reading's last page, nanoseconds since 1970.
        lag_s: Seconds from watermark_ns to now, by this machine's clock; below 0 when the ledger's
            clock is ahead of it.
        duration_s: How long it took.
    """

    rows_written: int
    rows_total: int
    accounts_read: int
    pages: int
    watermark_ns: int
    lag_s: float
    duration_s: float

    @property
    def rows_per_s(self) -> float:
        """Accounts read and compared per second."""
        return self.accounts_read / self.duration_s if self.duration_s else 0.0


@dataclass(frozen=True)
class _PageRead:
    created_from_ns: int
    created_to_ns: int
    accounts: int
    content_digest: int
    snapshot_at_ns: int


def sync_accounts(warehouse: Warehouse, source: LedgerSource, chart: Chart) -> AccountsSync:
    """Reads all accounts and writes those that changed.

    Args:
        warehouse: The target.
        source: The ledger.
        chart: What its numbers mean.

    Raises:
        LedgerBindingError, ChartError, LedgerUnavailableError, LedgerRefusedError, PageError,
        WarehouseTransientError, WarehousePermanentError: as sync_transactions.
    """
    started_s = time.monotonic()
    load_chart(warehouse, chart)
    bind_ledger(warehouse, source)
    started_at = str(warehouse.scalar("SELECT toString(now64(3, 'UTC'))"))
    changed = _changed_pages(warehouse)
    reads, ended_ns = _read_all(warehouse, source, chart, table=ACCOUNTS)
    _record(warehouse, reads, changed)
    known, written = warehouse.row(sql("ledger/accounts_total"), {"since": started_at})
    watermark_ns = reads[-1].snapshot_at_ns if reads else ended_ns
    return AccountsSync(
        rows_written=int(written),
        rows_total=int(known),
        accounts_read=sum(read.accounts for read in reads),
        pages=len(reads) + 1,
        watermark_ns=watermark_ns,
        lag_s=time.time() - watermark_ns / 1e9,
        duration_s=time.monotonic() - started_s,
    )


def rebuild_accounts(warehouse: Warehouse, source: LedgerSource, chart: Chart) -> int:
    """Reads all accounts into an empty table and swaps it in; returns how many.

    For what no sync puts right: accounts that the ledger does not have, and rows whose time of
    reading lies in the future, which win over every later one.

    Raises:
        RebuildError: The ledger has no account; the rows stay as they are.
        As sync_accounts.
    """
    with writer_lease(warehouse, LEASE) as lease:
        load_chart(warehouse, chart)
        bind_ledger(warehouse, source)
        warehouse.command(_EMPTY_REBUILT)
        reads, _ = _read_all(warehouse, source, chart, table=REBUILT)
        if not reads:  # an empty table never replaces one
            raise RebuildError(f"{source.description} has no account: the rows stay as they are")
        lease.hold()
        warehouse.command(
            f"ALTER TABLE {ACCOUNTS} REPLACE PARTITION tuple() FROM masques_ops.accounts_rebuilt"
        )
        _record(warehouse, reads, set())
        warehouse.command(_EMPTY_REBUILT)
    return sum(read.accounts for read in reads)


def _changed_pages(warehouse: Warehouse) -> set[int]:
    """Returns the pages of the reading before that the table does not hold as they were read."""
    rows = warehouse.records(sql("ledger/proofs/account_pages"))
    changed = {int(row["page"]) for row in rows if row["is_changed"] or row["accounts_odd"]}
    if changed:
        logger.warning(
            "masques.accounts was changed since it was last read (pages %s): reading it again",
            ", ".join(map(str, sorted(changed)[:20])),
        )
    return changed


def _read_all(
    warehouse: Warehouse, source: LedgerSource, chart: Chart, *, table: str
) -> tuple[list[_PageRead], int]:
    """Writes all accounts into a table; returns the pages, and the time of the last reply."""
    reads: list[_PageRead] = []
    created_ns = 0
    while True:
        page = source.accounts(created_ns)
        accounts = records_of(page.data, ACCOUNT_DTYPE, origin=source.description)
        if len(accounts) == 0:
            return reads, page.ledger_time_ns
        read = _PageRead(
            created_from_ns=int(accounts["timestamp"][0]),
            created_to_ns=int(accounts["timestamp"][-1]),
            accounts=len(accounts),
            content_digest=content_digest(accounts),
            snapshot_at_ns=page.ledger_time_ns,
        )
        _insert(warehouse, chart, accounts, read, table=table)
        reads.append(read)
        created_ns = read.created_to_ns + 1
        if len(reads) % 10 == 0:
            logger.info("%s accounts read", f"{sum(read.accounts for read in reads):,}")


def _insert(
    warehouse: Warehouse, chart: Chart, accounts: Records, read: _PageRead, *, table: str
) -> None:
    """Writes the accounts of one page that are new or have changed."""
    database, _, name = table.partition(".")
    warehouse.insert_select(
        sql("ledger/write_accounts"),
        [[accounts.view(np.uint8).data]],
        {
            "database": database,
            "table": name,
            "snapshot_at_ns": read.snapshot_at_ns,
            "created_from_ns": read.created_from_ns,
            "created_to_ns": read.created_to_ns,
            **chart.account_parameters(),
        },
    )


def _record(warehouse: Warehouse, reads: list[_PageRead], changed: set[int]) -> None:
    """Records at which ledger time each range of accounts was read, all pages as one block."""
    read_id, recorded_at = uuid.uuid4(), datetime.now(UTC)
    warehouse.insert_rows(
        "masques_ops.account_reads",
        [
            "read_id",
            "page",
            "created_from_ns",
            "created_to_ns",
            "accounts",
            "content_digest",
            "is_healed",
            "snapshot_at_ns",
            "is_last",
            "recorded_at",
        ],
        [
            [
                read_id,
                number,
                read.created_from_ns,
                read.created_to_ns,
                read.accounts,
                read.content_digest,
                int(number in changed),
                read.snapshot_at_ns,
                int(read is reads[-1]),
                recorded_at,
            ]
            for number, read in enumerate(reads)
        ],
    )
