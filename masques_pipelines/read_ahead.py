"""Reads an iterator ahead in a background thread, while its consumer works on the item before."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import Final, TypeVar

Item = TypeVar("Item")
_END: Final = object()


def read_ahead(items: Iterable[Item], *, items_max: int) -> Generator[Item, None, None]:
    """Yields the same items in the same order, at most items_max of them read in advance.

    An error of the source is raised after the items before it. Closing the generator ends the
    thread.
    """
    ready: queue.Queue[object] = queue.Queue(items_max)
    is_closed = threading.Event()

    def put(item: object) -> bool:
        while not is_closed.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def read() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(_END)
        except BaseException as error:  # noqa: BLE001 - raised again where the items are used
            put(_Failed(error))

    thread = threading.Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not _END:
            if isinstance(item, _Failed):
                raise item.error
            yield item  # type: ignore[misc]  # only the source's items are put, and the two above
    finally:
        is_closed.set()
        thread.join()


class _Failed:
    """An error on its way from the thread."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
