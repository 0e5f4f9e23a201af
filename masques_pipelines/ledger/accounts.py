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

import numpy as np

from masques_pipelines.ledger.binding import bind_ledger
from masques_pipelines.ledger.chart import Chart, load_chart
from masques_pipelines.ledger.records import ACCOUNT_DTYPE, Records, records_of
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

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
        lag_s: Seconds from watermark_ns to now, by this machine's clock.
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
    reads: list[_PageRead] = []
    created_ns = 0
    while True:
        page = source.accounts(created_ns)
        accounts = records_of(page.data, ACCOUNT_DTYPE, origin=source.description)
        if len(accounts) == 0:
            break
        read = _PageRead(
            created_from_ns=int(accounts["timestamp"][0]),
            created_to_ns=int(accounts["timestamp"][-1]),
            accounts=len(accounts),
            snapshot_at_ns=page.ledger_time_ns,
        )
        _insert(warehouse, chart, accounts, read)
        reads.append(read)
        created_ns = reads[-1].created_to_ns + 1
        if len(reads) % 10 == 0:
            logger.info("%s accounts read", f"{sum(read.accounts for read in reads):,}")
    _record(warehouse, reads)
    known, written = warehouse.row(sql("ledger/accounts_total"), {"since": started_at})
    watermark_ns = reads[-1].snapshot_at_ns if reads else page.ledger_time_ns
    return AccountsSync(
        rows_written=int(written),
        rows_total=int(known),
        accounts_read=sum(read.accounts for read in reads),
        pages=len(reads) + 1,
        watermark_ns=watermark_ns,
        lag_s=max(0.0, time.time() - watermark_ns / 1e9),
        duration_s=time.monotonic() - started_s,
    )


def _insert(warehouse: Warehouse, chart: Chart, accounts: Records, read: _PageRead) -> None:
    """Writes the accounts of one page that are new or have changed."""
    warehouse.insert_select(
        sql("ledger/write_accounts"),
        [[accounts.view(np.uint8).data]],
        {
            "snapshot_at_ns": read.snapshot_at_ns,
            "created_from_ns": read.created_from_ns,
            "created_to_ns": read.created_to_ns,
            **chart.account_parameters(),
        },
    )


def _record(warehouse: Warehouse, reads: list[_PageRead]) -> None:
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
                read.snapshot_at_ns,
                int(read is reads[-1]),
                recorded_at,
            ]
            for number, read in enumerate(reads)
        ],
    )
