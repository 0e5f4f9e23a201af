"""How our errors look in Dagster: one line, and retried only where that can help.

Here: the translation of the project's errors into Dagster's failures, and the steps' retry policy.
Not here: retries of single queries (warehouse/retry.py) or calls (ledger/sources/).
A re-run of a step is safe for every asset of this project.

Dagster has one mechanism more: run retries (dagster.yaml) restart a run whose process crashed.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

import dagster as dg

from masques_pipelines.errors import MasquesError, TransientError
from masques_pipelines.warehouse.errors import WarehouseBusyError

StepContext = dg.OpExecutionContext | dg.AssetExecutionContext | dg.AssetCheckExecutionContext

# The query layer has tried for some seconds already; these pauses outlast a server's restart.
RETRY_POLICY: Final = dg.RetryPolicy(
    max_retries=2, delay=15, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)


@contextlib.contextmanager
def explained_failures(context: StepContext) -> Iterator[None]:
    """Turns an error that a person is meant to read into a failure that shows just that line.

    The line is logged at once, too: a step that will be retried says nothing else of its reason.
    A permanent error is not retried. Neither is a busy warehouse: its long wait is over.
    """
    try:
        yield
    except MasquesError as error:
        context.log.error(str(error))  # noqa: TRY400 - the trace comes with the failure
        can_pass = isinstance(error, TransientError) and not isinstance(error, WarehouseBusyError)
        raise dg.Failure(description=str(error), allow_retries=can_pass) from error
