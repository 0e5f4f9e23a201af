"""Deletes what is kept of a table's files and bad rows once it is a year old and settled.

An open entry of quarantine stays, however old it is. A closed one is deleted with all its versions
at once: a rule of the table's own could delete the closing version first, and the entry would be
open again. The log keeps a file for as long as it lies in the landing zone, or it would be read
again.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from masques_pipelines.landing.listing import Listing
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

KEPT_DAYS: Final = 365
# Paths of one statement: a server takes parameters of limited length.
_PATHS: Final = 500


def forget_old(warehouse: Warehouse, table_name: str, listed: Listing) -> None:
    """Deletes old entries of a table; for once a day, since it reads all that is kept of it.

    Args:
        warehouse: Where.
        table_name: The table.
        listed: All that its folders hold now.
    """
    before = datetime.now(UTC) - timedelta(days=KEPT_DAYS)
    asked = {"table_name": table_name, "before": f"{before:%Y-%m-%d %H:%M:%S}"}
    if warehouse.scalar(sql("intake/old_quarantine"), asked):
        warehouse.command(sql("intake/delete_quarantine"), asked)
    there = {file.path for file in listed.files} | {entry.path for entry in listed.passed_over}
    gone = [path for (path,) in warehouse.rows(sql("intake/old_files"), asked) if path not in there]
    for start in range(0, len(gone), _PATHS):
        paths = {"paths": gone[start : start + _PATHS]}
        warehouse.command(sql("intake/delete_files"), {**asked, **paths})
