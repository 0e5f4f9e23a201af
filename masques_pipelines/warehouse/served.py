"""Asks the process that serves an embedded warehouse (`masques serve`), over loopback.

The rows of an insert do not go through it: they lie in a file that both processes see, as with the
engine in this process.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from masques_pipelines.warehouse.client import CLIENT_SETTINGS
from masques_pipelines.warehouse.embedded import side_folder
from masques_pipelines.warehouse.errors import WarehouseTransientError, translate
from masques_pipelines.warehouse.serve.address import HOST, WRITER, find_server, password

CONNECT_TIMEOUT_S: Final = 10
# The longest statement is a rebuild of a month; a process that is gone closes its connections.
SEND_RECEIVE_TIMEOUT_S: Final = 3600
# A process that was killed is back within some seconds, on the same port; on a busy machine half a
# minute was seen.
BACK_WAIT_S: Final = 60.0
POLL_S: Final = 0.1

Result = TypeVar("Result")


def is_served(folder: Path) -> bool:
    """Says whether a process serves that warehouse."""
    return find_server(side_folder(folder)) is not None


def connect(folder: Path) -> Client | None:
    """Returns a client of the process that serves a warehouse; None when there is none.

    Raises:
        WarehouseTransientError, WarehousePermanentError: It is there and does not answer.
    """
    side = side_folder(folder)
    address = find_server(side)
    if address is None:
        return None
    try:
        return clickhouse_connect.get_client(
            host=HOST,
            port=address.port,
            username=WRITER,
            password=password(side, WRITER),
            connect_timeout=CONNECT_TIMEOUT_S,
            send_receive_timeout=SEND_RECEIVE_TIMEOUT_S,
            client_name="masques-pipelines",
            # An answer is read when it is whole: one that is cut is asked for again.
            settings={**CLIENT_SETTINGS, "wait_end_of_query": "1"},
            autogenerate_session_id=False,
            dedicated_pool=True,
            compress=False,
        )
    except ClickHouseError as error:
        if find_server(side) != address:  # it ended meanwhile
            return None
        raise translate(
            error, what=f"{address.url}: process {address.pid}, which serves {folder}, said"
        ) from error


@contextlib.contextmanager
def second_client(folder: Path) -> Iterator[Client]:
    """Opens one more client of the process that serves a warehouse.

    Raises:
        WarehouseTransientError: It is gone.
    """
    client = connect(folder)
    if client is None:
        raise WarehouseTransientError(
            f"{folder}: the process that served it is gone: run this again"
        )
    with contextlib.closing(client):
        yield client


class ServedCalls:
    """Makes the calls of one client; when the process is gone, waits for it to be back.

    The call itself is repeated by who retries transient errors.
    """

    def __init__(self, folder: Path) -> None:
        """Keeps where to look for the process."""
        self._folder, self._side = folder, side_folder(folder)
        self._has_waited_in_vain = False

    def __call__(self, call: Callable[[], Result]) -> Result:
        """Returns what the call returns.

        Raises:
            WarehouseTransientError: The process has ended, and none came in its place.
        """
        try:
            return call()
        except OperationalError as error:
            if not self._has_waited_in_vain:
                self._has_waited_in_vain = not self._wait()
            if not self._has_waited_in_vain:
                raise
            raise WarehouseTransientError(
                f"chdb://{self._folder}: the process that served it has ended: run this again"
            ) from error

    def _wait(self) -> bool:
        until_s = time.monotonic() + BACK_WAIT_S
        while find_server(self._side) is None:
            if time.monotonic() >= until_s:
                return False
            time.sleep(POLL_S)
        return True
