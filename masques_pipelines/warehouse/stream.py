"""Runs one query and hands its result on while it is computed, in any of ClickHouse's formats.

Memory does not grow with the result. The embedded engine writes it into a named pipe, since what
its own interface returns in pieces is whole only in some formats; a server sends it as it comes.
"""

import contextlib
import os
import select
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.errors import (
    WarehousePermanentError,
    WarehouseTransientError,
    one_line,
    translate,
)
from masques_pipelines.warehouse.interrupts import EngineCalls
from masques_pipelines.warehouse.statements import into_file, is_query, result_format

Write = Callable[[bytes], object]
_CHUNK_BYTES: Final = 1 << 18
_POLL_S: Final = 0.1
# Of the end of a result, enough to see an error that follows it.
_TAIL_BYTES: Final = 4096
_ERROR_MARK: Final = b"\r\n__exception__\r\n"
# Settings of the statement itself may differ, `readonly` may not.
_READ_ONLY: Final = 2
# Text for people: without colours and numbers of rows.
_SHOWN: Final = {"output_format_pretty_color": 0, "output_format_pretty_row_numbers": 0}


def stream_query(
    warehouse: Warehouse, sql: str, *, fmt: str, write: Write, may_write: bool = False
) -> None:
    """Runs a query and writes its result; unless it may write, the engine refuses any change.

    Args:
        warehouse: Where it is asked.
        sql: One statement.
        fmt: The format of the result, unless the statement names one.
        write: Takes each piece of the result. What it raises ends the query.
        may_write: The engine refuses nothing.

    Raises:
        WarehouseTransientError, WarehousePermanentError: The query failed, at its beginning or
            amid its result.
    """
    settings = {**_SHOWN, "log_comment": warehouse.origin.log_comment()}
    if not may_write:
        settings["readonly"] = _READ_ONLY  # last: nothing is set after it
    with warehouse.second_connection() as asking, _translated(warehouse):
        if isinstance(warehouse.calls, EngineCalls):
            for name, value in settings.items():
                asking.client.set_client_setting(name, value)
            _from_engine(warehouse.calls, asking.client, sql, fmt, write)
        else:
            _from_server(asking, sql, fmt, settings, write)


@contextlib.contextmanager
def _translated(warehouse: Warehouse) -> Iterator[None]:
    what = f"{warehouse.description}: the query"
    try:
        yield
    except ClickHouseError as error:
        raise translate(error, what=what) from error
    except HTTPError as error:
        raise WarehouseTransientError(
            f"{what}: the server cut its answer ({one_line(str(error))}): ask again"
        ) from error


def _from_engine(calls: EngineCalls, client: Client, sql: str, fmt: str, write: Write) -> None:
    if not is_query(sql.encode()):
        write(calls(lambda: client.raw_query(sql, fmt=None)))
        return
    with tempfile.TemporaryDirectory(prefix="masques-sql-") as folder:
        path = Path(folder) / "result"
        os.mkfifo(path, 0o600)
        statement = into_file(sql.encode(), str(path), fmt).decode()
        # Open for both: the end of the result is the end of the statement, never of the pipe.
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

        def copy(outcome: "Future[Any]") -> None:
            # Closed before the query is cancelled: the engine may wait in a write.
            with os.fdopen(descriptor, "rb", buffering=0):
                _copy(descriptor, outcome, write)

        calls.beside(lambda: client.raw_query(statement, fmt=None), copy)


def _copy(descriptor: int, outcome: "Future[Any]", write: Write) -> None:
    while True:
        is_done = outcome.done()
        ready, _, _ = select.select([descriptor], [], [], 0.0 if is_done else _POLL_S)
        if ready:
            write(os.read(descriptor, _CHUNK_BYTES))
        elif is_done:
            outcome.result()
            return


def _from_server(
    asking: Warehouse, sql: str, fmt: str, settings: dict[str, Any], write: Write
) -> None:
    query_id = str(uuid.uuid4())
    sent = {**settings, "query_id": query_id, "wait_end_of_query": 0}
    has_ended = False
    tail = b""
    try:
        is_named = not is_query(sql.encode()) or bool(result_format(sql.encode()))
        answer: Any = asking.client.raw_stream(sql, fmt=None if is_named else fmt, settings=sent)
        with contextlib.closing(answer):
            while piece := answer.read(_CHUNK_BYTES):
                tail = (tail + piece)[-_TAIL_BYTES:]
                write(piece)
        has_ended = True
    finally:
        if not has_ended and not asking.is_embedded:
            _kill(asking, query_id)
    if _ERROR_MARK in tail:
        said = tail.rpartition(_ERROR_MARK)[0].rpartition(_ERROR_MARK)[2] or tail
        text = one_line(said.decode("utf-8", "replace"))
        raise WarehousePermanentError(f"{asking.description}: the query failed amid: {text}")


def _kill(asking: Warehouse, query_id: str) -> None:
    """Ends the query on the server: by itself it goes on until it wants to send something."""
    with contextlib.suppress(ClickHouseError, HTTPError), asking.second_connection() as other:
        other.client.command(
            "KILL QUERY WHERE query_id = {query_id:String} ASYNC",
            parameters={"query_id": query_id},
        )
