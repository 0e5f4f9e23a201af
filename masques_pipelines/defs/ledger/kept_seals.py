"""The digests of the chain of seals that Dagster keeps with the materializations of transactions.

They are out of reach of who can write to ClickHouse. The newest would change with a chain that was
written anew, so some of before are asked for too: after a replacement an old one is missed for a
year. Who built the warehouse again wipes the materializations of masques/transactions.
"""

import time
from typing import Final

import dagster as dg

from masques_pipelines.defs.table_asset import table_key

SEAL: Final = "seal"
SEAL_SEQUENCE: Final = "seal_sequence"
_HOUR_S: Final = 3600.0
AGES_S: Final = (0.0, _HOUR_S, *(24 * _HOUR_S * days for days in (1, 7, 30, 365)))


def kept_seals(instance: dg.DagsterInstance) -> dict[str, int]:
    """Returns digests that were kept, now and some time ago, with their sequence numbers."""
    now_s = time.time()
    kept: dict[str, int] = {}
    for age_s in AGES_S:
        # Two of now: the newest is of this very run.
        found = instance.fetch_materializations(
            dg.AssetRecordsFilter(
                asset_key=table_key("transactions"), before_timestamp=now_s - age_s
            ),
            limit=1 if age_s else 2,
        )
        for record in found.records:
            made = record.asset_materialization
            values = {name: each.value for name, each in made.metadata.items()} if made else {}
            if values.get(SEAL):
                kept[str(values[SEAL])] = int(str(values.get(SEAL_SEQUENCE, 0)))
    return kept
