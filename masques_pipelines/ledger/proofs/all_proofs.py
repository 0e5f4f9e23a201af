"""All proofs of the ledger's copy in one call.

Here: their order, and the checkpoint that a good balance proof earns.
Not here: the proofs (one file each).
A re-run proves anew.
"""

from masques_pipelines.ledger.proofs.balances import prove_balances
from masques_pipelines.ledger.proofs.chain import prove_chain
from masques_pipelines.ledger.proofs.checkpoints import advance_checkpoint
from masques_pipelines.ledger.proofs.completeness import (
    find_staleness,
    find_unknown_numbers,
    prove_completeness,
)
from masques_pipelines.ledger.proofs.history import prove_history
from masques_pipelines.ledger.proofs.holds import find_overdue_holds, prove_holds
from masques_pipelines.ledger.proofs.result import Proof, record_proofs
from masques_pipelines.ledger.proofs.trial_balance import prove_trial_balance
from masques_pipelines.warehouse.warehouse import Warehouse


def prove_all(
    warehouse: Warehouse, *, from_beginning: bool = False, kept_digest: str | None = None
) -> list[Proof]:
    """Runs every proof; a balance proof that holds leaves a checkpoint when one is due.

    Args:
        warehouse: Where the copy is.
        from_beginning: Add up all events there are, not those since the newest checkpoint, and
            compare the checkpoint and the account history with them.
        kept_digest: See prove_chain.
    """
    balances = prove_balances(warehouse, from_beginning=from_beginning)
    proofs = [
        balances,
        prove_trial_balance(warehouse, from_beginning=from_beginning),
        prove_holds(warehouse, from_beginning=from_beginning),
        prove_completeness(warehouse, from_beginning=from_beginning),
        prove_chain(warehouse, kept_digest=kept_digest),
        find_overdue_holds(warehouse, from_beginning=from_beginning),
        find_unknown_numbers(warehouse),
        find_staleness(warehouse),
    ]
    if from_beginning:
        proofs.insert(1, prove_history(warehouse))
    if all(proof.holds or proof.is_warning for proof in proofs):
        advance_checkpoint(warehouse)
    record_proofs(warehouse, proofs)
    return proofs
