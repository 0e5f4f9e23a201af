"""Writes the payer cluster of each party: its first funder in the ledger, followed to the origin.

Writes only parties that are not there yet. The same party always gets the same cluster, because
only what happened before it was funded counts. For the same reason nobody can move into or out of
a cluster later, and money that goes in a circle makes no cycle here.
"""

import uuid
from typing import Final

from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

CLUSTERS: Final = "masques_ops.payer_clusters"
# About 40 MB of Python objects.
PAGE_ROWS: Final = 50_000


def follow_funders(
    warehouse: Warehouse, *, since: str = "1970-01-01 00:00:00", page_rows: int = PAGE_ROWS
) -> int:
    """Writes the cluster of each party whose first money came in since then; returns their number.

    Pages come oldest first, so a funder is resolved before the parties that it funded, and a chain
    of any length takes one pass.
    """
    written = 0
    while True:
        rows = warehouse.rows(
            sql("reputation/new_fundings"), {"since": since, "page_rows": page_rows}
        )
        if not rows:
            return written
        found: dict[uuid.UUID, tuple[uuid.UUID, int]] = {}
        block: list[list[object]] = []
        for party_id, funder_id, funded_at_ns, funder_cluster_id, is_funder_funded_before in rows:
            cluster_id = funder_cluster_id if is_funder_funded_before else funder_id
            in_page = found.get(funder_id)
            if in_page is not None and in_page[1] < funded_at_ns:
                cluster_id = in_page[0]
            found[party_id] = (cluster_id, funded_at_ns)
            block.append([party_id, funder_id, cluster_id, funded_at_ns])
        warehouse.insert_rows(
            CLUSTERS, ["party_id", "funder_id", "cluster_id", "funded_at_ns"], block
        )
        written += len(block)
        if len(rows) < page_rows:
            return written
