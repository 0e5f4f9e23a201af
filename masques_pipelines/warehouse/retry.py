"""Retries calls that failed with a transient error: bounded, exponential, with jitter."""

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from masques_pipelines.warehouse.errors import WarehouseTransientError

ATTEMPTS_MAX: Final = 5
# 0.25, 0.5, 1 and 2 s, each plus up to 0.25 s: under 5 s in all, so that a step of Dagster, which
# retries after a longer pause, does not wait long for a server that is down.
WAIT_FIRST_S: Final = 0.25
WAIT_MAX_S: Final = 4.0
JITTER_S: Final = 0.25

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


def with_retries(call: Callable[[], Result]) -> Result:
    """Calls until it succeeds, fails permanently, or has failed ATTEMPTS_MAX times.

    Every call must be idempotent: the answer of a call that took effect may have been lost.

    Raises:
        WarehouseTransientError: The last attempt failed too; other errors at the first.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(WarehouseTransientError),
        stop=stop_after_attempt(ATTEMPTS_MAX),
        wait=wait_exponential_jitter(multiplier=WAIT_FIRST_S, max=WAIT_MAX_S, jitter=JITTER_S),
        before_sleep=_log_attempt,
        reraise=True,
    )
    return retrying(call)


def _log_attempt(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause_s = state.next_action.sleep if state.next_action else 0.0
    logger.warning(
        "attempt %d of %d failed, next in %.1f s: %s",
        state.attempt_number,
        ATTEMPTS_MAX,
        pause_s,
        error,
    )
