"""`masques verify`: prove that the copy is the ledger, to the last unit."""

from datetime import UTC, datetime
from typing import Final

import click

from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.inventory.proofs import TableProof, prove_tables
from masques_pipelines.ledger.proofs.checkpoints import renew_checkpoints
from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.suite import all_hold, prove_all
from masques_pipelines.verification.passes import read_passes, record_full

_WORDS: Final = {
    "holds": "proved",
    "fails": "FAILED",
    "inconclusive": "not yet",
    "nothing": "nothing",
}

_NOT_READ: Final = (
    "not read here: the content of rows and the files of tables (inventory_job reads each once a "
    "day; --full reads all now), and of the ledger what lies before its last checkpoint"
)


@click.command()
@click.option(
    "--full",
    is_flag=True,
    help="Everything from the beginning, content and files too, not only since the checkpoint.",
)
@click.option(
    "--seal",
    "kept_digest",
    help="A seal's digest that was kept elsewhere; the chain must still hold it.",
)
@click.option("--renew", is_flag=True, help="First drop checkpoints and account history.")
def verify(*, full: bool, kept_digest: str | None, renew: bool) -> None:
    """Prove that the eight tables are what was written to them.

    accounts and transactions: balances, trial balance, holds, completeness and the chain of
    seals. identities, masque_sessions, api_requests, reputation_events, settlements and the
    payment links: rows by day, with --full their content too. reputation_scores: with --full.

    Exits with 1 when a proof fails or cannot be made; warnings do not count.
    """
    with opened_warehouse(command_settings(), "verify", writes=True) as warehouse:
        if renew:
            renew_checkpoints(warehouse)
        kept = {kept_digest: 0} if kept_digest else None
        begun_at = datetime.now(UTC)
        results = prove_all(warehouse, from_beginning=full or renew, kept=kept)
        tables = list(prove_tables(warehouse, everything=full))
        if full:
            record_full(warehouse, begun_at, results, tables)
        passes = read_passes(warehouse)
    for proof, result in results.items():
        _show(proof, result)
    for each in tables:
        _show_table(each)
    if not full:
        click.echo(_NOT_READ)
    click.echo(passes.text)
    if not all_hold(results) or any(each.outcome == "fails" for each in tables):
        raise SystemExit(1)


def _show_table(proof: TableProof) -> None:
    click.echo(f"{_WORDS[proof.outcome]:<8} {proof.table}: {proof.summary}")
    for finding in proof.findings:
        click.echo(f"           {finding}")
    if proof.outcome == "fails":
        click.echo(f"           what to do: {proof.advice}")


def _show(proof: Proof, result: ProofResult) -> None:
    is_warning = proof.is_warning and result.outcome == "fails"
    word = "warning" if is_warning else _WORDS[result.outcome]
    click.echo(f"{word:<8} {proof.name}: {result.summary}")
    if result.outcome == "fails":
        click.echo(f"           to be proved: {proof.statement}")
        click.echo(f"           what to do: {proof.advice}")
    for finding in result.findings:
        click.echo(f"           {finding}")
