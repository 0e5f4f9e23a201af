"""The age of the newest sync, and how far behind the clock it ended."""

from typing import Final

from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import Scope

# The schedule syncs every 5 minutes; a long back-fill is one sync.
SYNC_AGE_MAX_S: Final = 3600
LAG_MAX_S: Final = 60.0
CLOCK_MAX_S: Final = 60.0


def find_staleness(scope: Scope) -> ProofResult:
    """Finds a newest sync that is old, or that ended far behind the ledger's clock."""
    newest = scope.position.newest_sync
    if newest is None:
        return ProofResult("inconclusive", "nothing was synced yet: run the sync")
    numbers = {"watermark_ns": newest.watermark_ns, "lag_s": round(newest.lag_s, 3)}
    numbers["ledger_clock_ahead_s"] = round(max(0.0, -newest.lag_s), 3)
    findings = []
    if newest.age_s > SYNC_AGE_MAX_S:
        findings.append(f"the newest sync ended {newest.age_s:,} s ago: is the schedule running?")
    if newest.age_s < -CLOCK_MAX_S:
        findings.append(
            f"the newest sync is recorded {-newest.age_s:,} s from now: a clock is or was wrong"
        )
    if newest.lag_s < -CLOCK_MAX_S:
        findings.append(
            f"the ledger's clock was {-newest.lag_s:,.0f} s ahead of this machine's: set the clocks"
        )
    # A capture does not grow: how far behind the clock it is says nothing.
    if newest.lag_s > LAG_MAX_S and newest.source.startswith("tigerbeetle://"):
        findings.append(
            f"the newest sync ended {newest.lag_s:,.0f} s behind this machine's clock: the sync, "
            "or the ledger's clock, is behind"
        )
    if findings:
        return ProofResult("fails", findings[0], tuple(findings), numbers)
    return ProofResult("holds", f"synced {newest.age_s:,} s ago", numbers=numbers)


FRESHNESS: Final = Proof(
    name="freshness",
    table="transactions",
    statement="The newest sync is at most an hour old and reached the ledger's clock",
    advice="See whether ledger_sync_schedule is on and its runs succeed.",
    prove=find_staleness,
    is_warning=True,
)
