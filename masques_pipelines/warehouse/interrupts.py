"""Makes a call into the engine end when a signal arrives.

Python runs its signal handlers between two of its own instructions, on the main thread only. A
call into the embedded engine is one instruction, however long it takes: Ctrl-C, SIGTERM and
Dagster's Terminate would wait for its end (a query of 100 s was seen to run to it).
"""

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, Final, TypeVar

# A cancelled query ends with its block; what lasts longer is left to the process's end.
CANCEL_WAIT_S: Final = 3.0
CANCEL_AGAIN_S: Final = 0.5
# A signal that comes just before the main thread begins to wait, or reaches another thread, wakes
# nobody: Python sees it at the next look. One Ctrl-C in some thousands was lost for good.
LOOK_AGAIN_S: Final = 0.2

Given = TypeVar("Given")
Result = TypeVar("Result")


class EngineCalls:
    """Runs calls of one warehouse on a thread beside the main one, which stays interruptible.

    Attributes:
        is_abandoned: A cancelled call did not end. The engine cannot be closed then: closing waits
            for it.
    """

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self.is_abandoned = False

    def __call__(self, call: Callable[[], Result]) -> Result:
        """Returns what the call returns; an interrupt cancels it and is raised at once.

        Off the main thread the call is simply made: no signal handler runs there.
        """
        if threading.current_thread() is not threading.main_thread():
            return call()
        return self.beside(call, _result_of)

    def beside(
        self, call: Callable[[], Given], meanwhile: "Callable[[Future[Given]], Result]"
    ) -> Result:
        """Makes the call beside this thread; whatever this thread raises cancels it.

        Args:
            call: Of the engine.
            meanwhile: Given what the call will have returned; what it returns is returned.
        """
        outcome: Future[Given] = Future()
        thread = threading.Thread(target=_fulfil, args=(outcome, call), daemon=True)
        try:
            thread.start()
            return meanwhile(outcome)
        except BaseException:
            self._end(outcome)
            self.is_abandoned = not outcome.done() and thread.is_alive()
            raise

    def _end(self, outcome: "Future[Any]") -> None:
        """Cancels what is running until it has ended, or CANCEL_WAIT_S are over."""
        until_s = time.monotonic() + CANCEL_WAIT_S
        # Again and again: a query that is about to begin is not cancelled by the first.
        while not outcome.done() and time.monotonic() < until_s:
            with contextlib.suppress(Exception):  # the interrupt says more than a failed cancel
                self._cancel()
            wait([outcome], timeout=CANCEL_AGAIN_S)


def _result_of(outcome: Future[Result]) -> Result:
    while not wait([outcome], timeout=LOOK_AGAIN_S).done:
        pass
    return outcome.result()


def _fulfil(outcome: Future[Result], call: Callable[[], Result]) -> None:
    try:
        outcome.set_result(call())
    except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
        outcome.set_exception(error)
