"""The types of the suite: a proof, and the result of one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from masques_pipelines.ledger.proofs.scope import Scope

Outcome = Literal["holds", "fails", "inconclusive"]


@dataclass(frozen=True)
class ProofResult:
    """The result of a proof.

    Attributes:
        outcome: "inconclusive" means that something must happen first; `summary` says what.
        summary: One line.
        findings: One line for each account, hold or batch that contradicts it, the first 20.
        numbers: What was counted, for metadata.
        covers: What it looked at, when that is not everything.
        is_of_nothing: It is inconclusive because there is nothing to prove.
    """

    outcome: Outcome
    summary: str
    findings: tuple[str, ...] = ()
    numbers: Mapping[str, int | float | str] = field(default_factory=dict)
    covers: str = ""
    is_of_nothing: bool = False

    @property
    def holds(self) -> bool:
        """Whether it was proved."""
        return self.outcome == "holds"


@dataclass(frozen=True)
class Proof:
    """A proof of the suite.

    Attributes:
        name: Its name in Dagster, in masques_ops.proofs and on the command line.
        table: The table of `masques` that it is a check of.
        statement: What is proved, as a sentence without a full stop.
        advice: What to do when it fails, for people.
        prove: Looks at the tables, writes nothing.
        is_warning: A finding should be seen, and makes no row wrong.
        is_blocking: Nothing that depends on the table is made after it failed.
        only_full: Made only from the ledger's beginning: its cost grows with history.
    """

    name: str
    table: Literal["accounts", "transactions"]
    statement: str
    advice: str
    prove: Callable[[Scope], ProofResult]
    is_warning: bool = False
    is_blocking: bool = False
    only_full: bool = False
