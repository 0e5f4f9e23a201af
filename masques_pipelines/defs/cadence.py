"""How often each job runs, and when a table that it fills counts as out of date."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import dagster as dg


@dataclass(frozen=True)
class Cadence:
    """A schedule in UTC.

    Attributes:
        cron: As the schedule has it.
        every: The time between two of its ticks.
        run_max: How long a run may take. Longer ones are ended (run monitoring, dagster.yaml), and
            the next one goes on where they were.
    """

    cron: str
    every: timedelta
    run_max: timedelta

    def freshness(self) -> dg.FreshnessPolicy:
        """Returns the policy of a table: amber after three intervals, red after six.

        One tick may be skipped while a run is unfinished, and a run may queue behind other jobs'.
        """
        return dg.FreshnessPolicy.time_window(
            warn_window=3 * self.every, fail_window=6 * self.every
        )


LEDGER_SYNC: Final = Cadence("*/5 * * * *", timedelta(minutes=5), timedelta(hours=1))
SETTLEMENT_INGESTION: Final = Cadence("*/10 * * * *", timedelta(minutes=10), timedelta(hours=1))
INTAKE: Final = Cadence("*/15 * * * *", timedelta(minutes=15), timedelta(hours=2))
# Runs of five minutes each, so that the other jobs get the warehouse in between.
VERIFICATION: Final = Cadence("5,25,45 1-4 * * *", timedelta(minutes=20), timedelta(hours=1))
INVENTORY: Final = Cadence("50 * * * *", timedelta(hours=1), timedelta(hours=1))
REPUTATION_AGGREGATION: Final = Cadence("20 * * * *", timedelta(hours=1), timedelta(hours=1))
# After a sync of the ledger, the rails and the landing zone each has had its turn.
RECONCILIATION: Final = Cadence("3-59/5 * * * *", timedelta(minutes=5), timedelta(hours=1))
HOUSEKEEPING: Final = Cadence("35 5 * * *", timedelta(days=1), timedelta(hours=1))

BY_JOB: Final = {
    "housekeeping_job": HOUSEKEEPING,
    "ledger_sync_job": LEDGER_SYNC,
    "settlement_ingestion_job": SETTLEMENT_INGESTION,
    "intake_job": INTAKE,
    "inventory_job": INVENTORY,
    "reconciliation_job": RECONCILIATION,
    "reputation_aggregation_job": REPUTATION_AGGREGATION,
    "verification_job": VERIFICATION,
}
