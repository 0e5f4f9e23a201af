"""Which errors are worth another attempt."""

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, ProgrammingError

from masques_pipelines.warehouse.errors import (
    WarehousePermanentError,
    WarehouseTransientError,
    one_line,
    translate,
)


@pytest.mark.parametrize(
    "error",
    [
        DatabaseError("too many queries", code=202),
        DatabaseError("keeper away", code=999),
        # The server as a whole was full: another query's fault.
        DatabaseError("Code: 241. DB::Exception: (total) memory limit exceeded", code=241),
        OperationalError("connection refused"),  # the transport has no code
        DatabaseError("HTTP driver received HTTP status 503, server response: <html>"),
    ],
)
def test_passing_errors_are_transient(error: DatabaseError) -> None:
    assert isinstance(translate(error, what="x"), WarehouseTransientError)


@pytest.mark.parametrize(
    "error",
    [
        DatabaseError("no such table", code=60),
        # The query alone is too large: it will be next time.
        DatabaseError("Code: 241. DB::Exception: Query memory limit exceeded", code=241),
        ProgrammingError("wrong parameters"),
        DatabaseError("HTTP driver received HTTP status 404"),
    ],
)
def test_lasting_errors_are_permanent(error: DatabaseError) -> None:
    assert isinstance(translate(error, what="x"), WarehousePermanentError)


@pytest.mark.parametrize(
    "text",
    [
        "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)",
        # Where nothing was reserved before, the operating system's word comes with another code.
        "Code: 75. DB::Exception: Cannot write, errno: 28, strerror: No space left on device",
    ],
)
def test_a_full_disk_passes_and_the_text_says_what_to_do(text: str) -> None:
    error = translate(DatabaseError(text, code=int(text[6:9].rstrip("."))), what="x")
    assert isinstance(error, WarehouseTransientError)
    assert str(error) == (
        f"x: {text}: free some space on the disk that holds the warehouse, then run again"
    )


def test_the_text_is_one_line_without_credentials_or_trace() -> None:
    text = one_line("failed at\nhttp://me:secret@host:8123/ ok. Stack trace: 0. frame")
    assert text == "failed at http://***@host:8123/ ok."


def test_of_a_transport_error_only_the_reason_is_told() -> None:
    text = one_line(
        "Error HTTPConnectionPool(host='h', port=9): Max retries exceeded with url: /?query_id=1 "
        "(Caused by NewConnectionError(\"HTTPConnection(host='h', port=9): Failed to establish a "
        'new connection: [Errno 111] Connection refused")) executing HTTP request attempt 1'
    )
    assert text == "[Errno 111] Connection refused"
