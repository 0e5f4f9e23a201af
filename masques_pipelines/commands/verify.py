"""`masques verify`: prove that the copy is the ledger, to the last unit.

Here: the command and what it prints.
Not here: the proofs (ledger/proofs/).
A re-run proves anew.
"""

from typing import Final

import click

from masques_pipelines.commands.console import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.ledger.proofs.checkpoints import renew_checkpoints
from masques_pipelines.ledger.proofs.result import Proof
from masques_pipelines.ledger.proofs.suite import prove_all

_WORDS: Final = {"holds": "proved", "fails": "FAILED", "inconclusive": "not yet"}


@click.command()
@click.option("--full", is_flag=True, help="From the ledger's beginning, not the last checkpoint.")
@click.option(
    "--seal", "kept_digest", help="A seal's digest that was kept; it must still be there."
)
@click.option("--renew", is_flag=True, help="First drop checkpoints and account history.")
def verify(*, full: bool, kept_digest: str | None, renew: bool) -> None:
    """Prove balances, trial balance, holds, completeness and the chain of seals.

    Exits with 1 when a proof fails or cannot be made; warnings do not count.
    """
    with opened_warehouse(command_settings(), "verify", writes=True) as warehouse:
        if renew:
            renew_checkpoints(warehouse)
        proofs = prove_all(warehouse, from_beginning=full or renew, kept_digest=kept_digest)
    for proof in proofs.values():
        _show(proof)
    if not all(proof.holds or proof.is_warning for proof in proofs.values()):
        raise SystemExit(1)


def _show(proof: Proof) -> None:
    is_warning = proof.is_warning and not proof.holds
    word = "warning" if is_warning else _WORDS[proof.outcome]
    click.echo(f"{word:<8} {proof.name}: {proof.summary}")
    for finding in proof.findings:
        click.echo(f"           {finding}")
