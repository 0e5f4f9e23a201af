"""The slices of a whole pass: which there are, and how each is proved.

A slice is what can be lost when a run is killed: a range of seals, one proof of the ledger over all
events, a month of a table, the files of a table.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from masques_pipelines.inventory.compare import FINDINGS_MAX, buckets_written
from masques_pipelines.inventory.proofs import (
    FILES_OF,
    TableProof,
    prove_content,
    prove_files,
    prove_nothing_changed,
    prove_parts,
    prove_rows,
    prove_scores,
)
from masques_pipelines.inventory.tables import TABLES
from masques_pipelines.ledger.proofs.integrity import INTEGRITY
from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import read_scope
from masques_pipelines.ledger.proofs.sealed import SEQUENCE_MAX, Anchor
from masques_pipelines.ledger.proofs.suite import PROOFS, make_proof
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# A range of seals has about so many events, or so many seals.
EVENTS_PER_RANGE: Final = 1_000_000
SEALS_PER_RANGE: Final = 50_000
_MONTH: Final = len("2026-11")
_BY_NAME: Final = {table.name: table for table in TABLES}
_PROOFS: Final = {proof.name: proof for proof in PROOFS if proof is not INTEGRITY}


@dataclass(frozen=True)
class Slice:
    """A part of a whole pass.

    Attributes:
        number: Its place.
        kind: What is proved.
        part: Over what.
        proved_to: The last seal that slices before it proved, with its digest.
    """

    number: int
    kind: str
    part: str
    proved_to: tuple[int, str] = (0, "")


@dataclass(frozen=True)
class SliceResult:
    """What was found.

    Attributes:
        outcome: As the column of masques_ops.proof_slices.
        summary: One line.
        findings: What is wrong.
        sealed_sequence: The last seal that was proved.
        sealed_digest: Its digest.
    """

    outcome: str
    summary: str
    findings: tuple[str, ...] = ()
    sealed_sequence: int = 0
    sealed_digest: str = ""


def plan(warehouse: Warehouse) -> list[Slice]:
    """Returns the slices of a pass that begins now."""
    return [Slice(n, kind, part) for n, (kind, part) in enumerate(_planned(warehouse), start=1)]


def _planned(warehouse: Warehouse) -> Iterator[tuple[str, str]]:
    bounds = {"events": EVENTS_PER_RANGE, "seals": SEALS_PER_RANGE}
    lasts = [str(last) for (last,) in warehouse.rows(sql("verification/seal_ranges"), bounds)]
    # The last range is open: it has what is not sealed, too.
    yield from (("seals", last) for last in (*lasts[:-1], ""))
    yield from (("proof", name) for name in _PROOFS)
    for table in TABLES:
        yield "rows", table.name
        months = {bucket[:_MONTH] for bucket in buckets_written(warehouse, table)}
        yield from (
            ("content", f"{table.name} {month}".rstrip())
            for month in sorted(months if table.kept_years else {""})
        )
    yield "scores", ""
    yield from (("files", name) for name in FILES_OF)
    yield "parts", ""
    yield "mutations", ""


def prove_slice(warehouse: Warehouse, due: Slice, *, kept: Mapping[str, int]) -> SliceResult:
    """Makes the proofs of a slice."""
    if due.kind == "seals":
        return _prove_seals(warehouse, due, kept)
    if due.kind == "proof":
        proof = _PROOFS[due.part]
        return of_ledger(proof, make_proof(proof, read_scope(warehouse, from_beginning=True)))
    return of_table(_OF_TABLES[due.kind](warehouse, due.part))


def _prove_seals(warehouse: Warehouse, due: Slice, kept: Mapping[str, int]) -> SliceResult:
    sequence, digest = due.proved_to
    scope = replace(
        read_scope(warehouse, from_beginning=True, kept={} if due.part else kept),
        anchor=Anchor(sequence, digest),
        to_sequence=int(due.part or SEQUENCE_MAX),
    )
    result = make_proof(INTEGRITY, scope)
    return replace(
        of_ledger(INTEGRITY, result),
        sealed_sequence=int(result.numbers.get("seals", 0)),
        sealed_digest=str(result.numbers.get("seal", "")),
    )


def _content(warehouse: Warehouse, part: str) -> TableProof:
    name, _, month = part.partition(" ")
    return prove_content(warehouse, _BY_NAME[name], everything=True, prefix=month)


_OF_TABLES: Final[dict[str, Callable[[Warehouse, str], TableProof]]] = {
    "rows": lambda warehouse, part: prove_rows(warehouse, _BY_NAME[part]),
    "content": _content,
    "scores": lambda warehouse, _: prove_scores(warehouse),
    "files": lambda warehouse, part: prove_files(warehouse, everything=True, names=(part,)),
    "parts": lambda warehouse, _: prove_parts(warehouse),
    "mutations": lambda warehouse, _: prove_nothing_changed(warehouse),
}


def of_ledger(proof: Proof, result: ProofResult) -> SliceResult:
    """Returns the result of a proof of the ledger as that of a slice."""
    outcome: str = result.outcome
    if result.is_of_nothing:
        outcome = "nothing"
    elif proof.is_warning and outcome == "fails":
        outcome = "warns"
    return SliceResult(outcome, f"{proof.name}: {result.summary}", result.findings[:FINDINGS_MAX])


def of_table(proof: TableProof) -> SliceResult:
    """Returns the result of a comparison of a table as that of a slice."""
    findings = tuple(f"{proof.table}: {line}" for line in proof.findings)
    return SliceResult(proof.outcome, f"{proof.table}: {proof.summary}", findings)
