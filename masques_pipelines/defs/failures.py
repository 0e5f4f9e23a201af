"""Translates the project's errors into Dagster's: one line, and retried only where that can help.

No asset or op has a `retry_policy`: with one, Dagster takes Ctrl-C, SIGTERM and Terminate for a
failure that the policy retries, and a run that should end was seen to go on to its success. Run
retries (dagster.yaml) are something else: they restart a run whose process crashed.
"""

import contextlib
import functools
import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast

import dagster as dg

from masques_pipelines.errors import MasquesError, TransientError
from masques_pipelines.warehouse.errors import WarehouseBusyError

StepContext = dg.OpExecutionContext | dg.AssetExecutionContext | dg.AssetCheckExecutionContext

# The query layer has tried for some seconds already; these pauses outlast a server's restart.
RETRY_PAUSES_S: Final = (15.0, 30.0)

Context = TypeVar("Context", bound=StepContext)
P = ParamSpec("P")
R = TypeVar("R")


def step_of(context: StepContext) -> dg.OpExecutionContext:
    """Returns the context of the step that an asset, a check or an op runs in."""
    if isinstance(context, dg.OpExecutionContext):
        return context
    return context.op_execution_context


def explained(
    function: Callable[Concatenate[Context, P], R],
) -> Callable[Concatenate[Context, P], R]:
    """Decorates the body of an asset, check or op: its failure is the one line of its error."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generating(context: Context, /, *args: P.args, **kwargs: P.kwargs) -> Any:
            with _explained_failures(context):
                yield from cast("Iterator[Any]", function(context, *args, **kwargs))

        return cast("Callable[Concatenate[Context, P], R]", generating)

    @functools.wraps(function)
    def returning(context: Context, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with _explained_failures(context):
            return function(context, *args, **kwargs)

    return returning


def failure_text(event: dg.DagsterEvent) -> str:
    """Returns why a step failed: the line of our error, or the first of another's."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return data.user_failure_data.description
    if data.error is None:
        return "no reason is known"
    error = data.error.cause or data.error
    return str(error.message).strip()


@contextlib.contextmanager
def _explained_failures(context: StepContext) -> Iterator[None]:
    """Turns a MasquesError into a retry if it is transient, else into a failure of one line.

    A busy warehouse is not retried: its long wait is over.
    """
    try:
        yield
    except MasquesError as error:
        attempt = step_of(context).retry_number
        is_final = not isinstance(error, TransientError) or isinstance(error, WarehouseBusyError)
        if is_final or attempt >= len(RETRY_PAUSES_S):
            # Not chained: the line says it, and the trace of our own error is of no use to anybody.
            raise dg.Failure(description=str(error), allow_retries=False) from None
        pause_s = RETRY_PAUSES_S[attempt]
        context.log.warning("%s; trying again in %.0f s", error, pause_s)
        # Paused here, not by Dagster: between two attempts it notices no interrupt.
        _release_resources(context)
        time.sleep(pause_s)
        raise dg.RetryRequested(max_retries=len(RETRY_PAUSES_S), seconds_to_wait=0) from error


def _release_resources(context: StepContext) -> None:
    """Closes what the run keeps open, so that others can use the embedded warehouse meanwhile."""
    for name in ("warehouse", "ledger"):
        resource = getattr(context.resources, name, None)
        if resource is not None:
            resource.release()
