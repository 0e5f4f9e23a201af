"""Makes a call into the engine end when a signal arrives.

Python runs its signal handlers between two of its own instructions, on the main thread only. A
call into the embedded engine is one instruction, however long it takes: Ctrl-C, SIGTERM and
Dagster's Terminate would wait for its end (a query of 100 s was seen to run to it).
"""

import contextlib
import os
import queue
import signal
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
# What a signal handler raises can be dropped on its way: by Python inside a finaliser, or by code
# that catches everything. Of 60 runs that were interrupted as their first step began, some waited
# 600 s for the lock. A wait that still lasts this long after a signal raises it again; cleaning up
# after one takes less.
LOST_AFTER_S: Final = 5.0
# A byte in the pipe that no signal writes.
_NO_SIGNAL: Final = 0

Given = TypeVar("Given")
Result = TypeVar("Result")
_Queue = queue.SimpleQueue["tuple[Future[Any], Callable[[], Any]] | None"]


class _Watch:
    """The signals that this process received, whatever their handlers made of them."""

    writer: int | None = None
    numbers: Final[list[int]] = []
    unanswered_since_s: float | None = None
    is_read: Final = threading.Event()


def watch_signals() -> None:
    """Notes every SIGINT and SIGTERM from now on; on the main thread. Called again it does nothing.

    Who replaces the handlers, as Dagster does many times, changes nothing in that.
    """
    if _Watch.writer is not None:
        return
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _Watch.writer = writer
    threading.Thread(target=_note_signals, args=(reader,), daemon=True).start()


def first_signal() -> int | None:
    """Returns the first signal that was received since `watch_signals`, None without any."""
    if _Watch.writer is None:
        return None
    _Watch.is_read.clear()
    with contextlib.suppress(BlockingIOError):  # full of signals: some are noted by now
        os.write(_Watch.writer, bytes([_NO_SIGNAL]))
    _Watch.is_read.wait(timeout=1)
    return _Watch.numbers[0] if _Watch.numbers else None


def _note_signals(reader: int) -> None:
    while True:
        number = os.read(reader, 1)[0]
        if number in (signal.SIGINT, signal.SIGTERM):
            _Watch.numbers.append(number)
            _Watch.unanswered_since_s = time.monotonic()
        elif number == _NO_SIGNAL:
            _Watch.is_read.set()


def raise_if_lost(waits_since_s: float) -> None:
    """Raises an interrupt of which nothing came; called now and then by a wait of the main thread.

    Args:
        waits_since_s: When the wait began, by the monotonic clock. A wait that began after the
            signal is part of what its handler does, unless it lasts as long by itself.

    Raises:
        KeyboardInterrupt: Once for each signal.
    """
    at_s = _Watch.unanswered_since_s
    if at_s is None or threading.current_thread() is not threading.main_thread():
        return
    if time.monotonic() - max(at_s, waits_since_s) >= LOST_AFTER_S:
        _Watch.unanswered_since_s = None
        raise KeyboardInterrupt


class EngineCalls:
    """Runs calls of one warehouse on a thread beside the main one, which stays interruptible.

    Attributes:
        is_abandoned: A cancelled call did not end. The engine cannot be closed then: closing waits
            for it.
    """

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self._queue: _Queue | None = None
        self.is_abandoned = False

    def close(self) -> None:
        """Ends the thread."""
        if self._queue is not None:
            self._queue.put(None)
            self._queue = None

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
        try:
            self._calls().put((outcome, call))
            return meanwhile(outcome)
        except BaseException:
            self._end(outcome)
            self.is_abandoned = not outcome.done()
            self.close()  # the next call must not wait for this one
            raise

    def _calls(self) -> "_Queue":
        # One thread for all calls: a new one for each took 1.4 ms of a core, SELECT 1 takes 0.8.
        if self._queue is None:
            self._queue = queue.SimpleQueue()
            threading.Thread(target=_make_calls, args=(self._queue,), daemon=True).start()
        return self._queue

    def _end(self, outcome: "Future[Any]") -> None:
        """Cancels what is running until it has ended, or CANCEL_WAIT_S are over."""
        if outcome.cancel():  # it was not begun, and is not any more
            return
        until_s = time.monotonic() + CANCEL_WAIT_S
        # Again and again: a query that is about to begin is not cancelled by the first.
        while not outcome.done() and time.monotonic() < until_s:
            with contextlib.suppress(Exception):  # the interrupt says more than a failed cancel
                self._cancel()
            wait([outcome], timeout=CANCEL_AGAIN_S)


def _result_of(outcome: Future[Result]) -> Result:
    since_s = time.monotonic()
    while True:
        try:
            outcome.exception(timeout=LOOK_AGAIN_S)
        except TimeoutError:
            raise_if_lost(since_s)
        else:
            return outcome.result()


def _make_calls(calls: "_Queue") -> None:
    while (asked := calls.get()) is not None:
        outcome, call = asked
        if outcome.set_running_or_notify_cancel():
            _fulfil(outcome, call)
        # What a call returned is not kept until the next one.
        del asked, outcome, call


def _fulfil(outcome: "Future[Any]", call: Callable[[], Any]) -> None:
    try:
        outcome.set_result(call())
    except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
        outcome.set_exception(error)
