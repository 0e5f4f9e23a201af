"""Makes whole passes: everything proved from the beginning, slice by slice, over many runs.

A slice is recorded when it is made. So a run that is killed, or out of time, loses one slice, and
the next run goes on with it. A pass is complete when every slice was made; what was written after
it began is the next pass's.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from masques_pipelines.inventory.proofs import TableProof
from masques_pipelines.ledger.proofs.suite import Results
from masques_pipelines.verification.slices import (
    Slice,
    SliceResult,
    of_ledger,
    of_table,
    plan,
    prove_slice,
)
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# A complete pass is not followed by another one for so long: one a night.
REST_S: Final = 20 * 3600
# After so many days without a complete pass somebody should look.
PASS_DAYS_MAX: Final = 3
FULL: Final = "full"
_COLUMNS: Final = (
    *("pass_begun_at", "number", "kind", "part", "outcome", "summary", "findings"),
    *("sealed_sequence", "sealed_digest", "recorded_at"),
)
_TIME: Final = "%Y-%m-%d %H:%M:%S.%f"
_WAREHOUSE_AGE: Final = (
    "SELECT dateDiff('second', min(recorded_at), now64(6, 'UTC')) "
    "FROM masques_ops.schema_migrations"
)


@dataclass(frozen=True)
class WholePass:
    """A pass over everything.

    Attributes:
        begun_at: When it began (UTC).
        ended_at: When its last slice so far was made.
        slices: Its slices.
        left: Slices to be made yet.
        proved: Slices in which something was compared.
        failed: Slices in which something is wrong.
        findings: What is wrong.
        age_s: Seconds since ended_at.
    """

    begun_at: datetime
    ended_at: datetime
    slices: int
    left: int
    proved: int
    failed: int
    findings: tuple[str, ...]
    age_s: int

    @property
    def is_complete(self) -> bool:
        """Whether it was made to its end, and there was something to prove."""
        return not self.left and self.proved > 0

    @property
    def text(self) -> str:
        """One line: when, over what, and what it found."""
        if self.left:
            made = f"{self.slices - self.left:,} of {self.slices:,} slices made"
            return f"begun {self.begun_at:%Y-%m-%d %H:%M} UTC, {made}{self._found}"
        when = f"of {self.begun_at:%Y-%m-%d %H:%M} to {self.ended_at:%Y-%m-%d %H:%M} UTC"
        return f"{when}, {self.slices:,} slices{self._found}"

    @property
    def _found(self) -> str:
        return f", {self.failed:,} FAILED" if self.failed else ", nothing is wrong"


@dataclass(frozen=True)
class Passes:
    """What is known of whole passes.

    Attributes:
        complete: The newest one that was made to its end; None when there is none.
        running: The newest one when it is not complete.
        warehouse_age_s: Seconds since the warehouse was made.
    """

    complete: WholePass | None
    running: WholePass | None
    warehouse_age_s: int

    @property
    def is_overdue(self) -> bool:
        """Whether there was none for PASS_DAYS_MAX days."""
        age_s = self.complete.age_s if self.complete else self.warehouse_age_s
        return age_s > PASS_DAYS_MAX * 86_400

    @property
    def text(self) -> str:
        """What to say of them, in a line or two."""
        last = self.complete.text if self.complete else "none was completed yet"
        running = f"; now: {self.running.text}" if self.running else ""
        return f"last whole pass: {last}{running}"


def read_passes(warehouse: Warehouse) -> Passes:
    """Returns the newest complete pass and the one that is being made."""
    found = [_pass(row) for row in warehouse.records(sql("verification/passes"))]
    complete = max((one for one in found if one.is_complete), key=_begun, default=None)
    newest = max(found, key=_begun, default=None)
    return Passes(
        complete=complete,
        running=newest if newest and newest.left else None,
        warehouse_age_s=int(warehouse.scalar(_WAREHOUSE_AGE)),
    )


def advance_pass(
    warehouse: Warehouse,
    *,
    budget_s: float,
    kept: Mapping[str, int] | None = None,
    rest_s: float = REST_S,
) -> int:
    """Makes slices of the running pass, or begins one when the last is long enough ago.

    Args:
        warehouse: Where the tables are.
        budget_s: No slice is begun after so many seconds; one is always made.
        kept: Digests of seals that were kept elsewhere, as of prove_all.
        rest_s: How long after a complete pass the next one begins.

    Returns:
        How many slices were made.
    """
    began_s = time.monotonic()
    passes = read_passes(warehouse)
    if passes.running is None:
        if passes.complete is not None and passes.complete.age_s < rest_s:
            return 0
        begun_at = _begin(warehouse)
    else:
        begun_at = passes.running.begun_at
    made = 0
    for number, kind, part in warehouse.rows(
        sql("verification/due"), {"begun_at": f"{begun_at:{_TIME}}"}
    ):
        if made and time.monotonic() - began_s >= budget_s:
            break
        due = Slice(int(number), str(kind), str(part), _proved_to(warehouse, begun_at, int(number)))
        _record(warehouse, begun_at, [(due, prove_slice(warehouse, due, kept=kept or {}))])
        made += 1
    return made


def record_full(
    warehouse: Warehouse, begun_at: datetime, results: Results, tables: Sequence[TableProof]
) -> None:
    """Records a pass that was made at once; one with something not yet to be proved is none."""
    found = [(proof.name, of_ledger(proof, result)) for proof, result in results.items()]
    found += [(each.table, of_table(each)) for each in tables]
    if any(result.outcome == "inconclusive" for _, result in found):
        return
    made = [
        (Slice(number, FULL, name), result) for number, (name, result) in enumerate(found, start=1)
    ]
    _record(warehouse, begun_at, made)


def _begin(warehouse: Warehouse) -> datetime:
    begun_at = datetime.now(UTC)
    due = SliceResult("due", "")
    _record(warehouse, begun_at, [(one, due) for one in plan(warehouse)])
    return begun_at


def _proved_to(warehouse: Warehouse, begun_at: datetime, number: int) -> tuple[int, str]:
    rows = warehouse.rows(
        sql("verification/proved_to"), {"begun_at": f"{begun_at:{_TIME}}", "number": number}
    )
    return (int(rows[0][0]), str(rows[0][1])) if rows else (0, "")


def _record(
    warehouse: Warehouse, begun_at: datetime, made: Sequence[tuple[Slice, SliceResult]]
) -> None:
    now = datetime.now(UTC)
    warehouse.insert_rows(
        "masques_ops.proof_slices",
        _COLUMNS,
        [
            [
                begun_at,
                one.number,
                one.kind,
                one.part,
                result.outcome,
                result.summary,
                list(result.findings),
                result.sealed_sequence,
                result.sealed_digest,
                now,
            ]
            for one, result in made
        ],
    )


def _begun(one: WholePass) -> datetime:
    return one.begun_at


def _pass(row: dict[str, Any]) -> WholePass:
    return WholePass(
        begun_at=row["begun_at"],
        ended_at=row["ended_at"],
        slices=int(row["slices"]),
        left=int(row["slices_left"]),
        proved=int(row["slices_proved"]),
        failed=int(row["slices_failed"]),
        findings=tuple(map(str, row["findings"])),
        age_s=int(row["age_s"]),
    )
