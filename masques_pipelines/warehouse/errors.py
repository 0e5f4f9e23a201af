"""Classifies ClickHouse errors as transient or permanent.

Source of the codes: ClickHouse `src/Common/ErrorCodes.cpp`.
"""

import re
from pathlib import Path
from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError, Error, OperationalError

from masques_pipelines.errors import MasquesError, PermanentError, TransientError

TRANSIENT_CODES: Final[dict[int, str]] = {
    159: "TIMEOUT_EXCEEDED: the server was too busy to finish in time",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES: the server is at its limit of queries",
    203: "NO_FREE_CONNECTION: the server's own pool is used up",
    209: "SOCKET_TIMEOUT: a connection between servers was slow",
    210: "NETWORK_ERROR: a connection between servers was cut",
    216: "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING: the same insert, sent before a cut",
    225: "NO_ZOOKEEPER: the keeper of a replicated table is down",
    236: "ABORTED: the server is shutting down or stopped the query",
    242: "TABLE_IS_READ_ONLY: a replica lost its keeper and will reconnect",
    243: "NOT_ENOUGH_SPACE: merges may free some",
    252: "TOO_MANY_PARTS: merges are behind and will catch up",
    279: "ALL_CONNECTION_TRIES_FAILED: no replica answered",
    285: "TOO_FEW_LIVE_REPLICAS: a quorum is not reached yet",
    286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE: the last write is still being replicated",
    319: "UNKNOWN_STATUS_OF_INSERT: the keeper was lost during the commit",
    364: "PART_IS_TEMPORARILY_LOCKED: another operation holds the part",
    425: "SYSTEM_ERROR: the operating system refused for now",
    439: "CANNOT_SCHEDULE_TASK: no free thread",
    473: "DEADLOCK_AVOIDED: a lock could not be taken in time",
    745: "SERVER_OVERLOADED: the server rejects queries under load",
    999: "KEEPER_EXCEPTION: the keeper failed a request",
}

# NO_SUCH_COLUMN_IN_TABLE, UNKNOWN_FUNCTION, UNKNOWN_IDENTIFIER, UNKNOWN_TABLE, UNKNOWN_DATABASE.
UNKNOWN_NAME_CODES: Final = (16, 46, 47, 60, 81)

# A write without reserved space fails with an error of the operating system and other codes.
_NOT_ENOUGH_SPACE: Final = 243
_ACCESS_DENIED: Final = 497
_DISK_IS_FULL: Final = re.compile(r"No space left on device|errno: 28\b")

# A query over its own limit fails again; one that met a full server may not.
_MEMORY_LIMIT_EXCEEDED: Final = 241
_SERVER_MEMORY: Final = re.compile(r"\(total\) memory limit|server memory", re.IGNORECASE)

# What a proxy or load balancer answers while the server is down.
_TRANSIENT_HTTP_STATUS: Final = re.compile(r"\b(?:status|code|HTTP)\D{0,12}(429|502|503|504)\b")

# urllib3 wraps the reason twice; only the innermost is of use to a person.
_TRANSPORT_REASON: Final = re.compile(r"Caused by \w+\((?:.*: )?(?P<reason>[^:]+?)['\")]*\)")

_CREDENTIALS: Final = re.compile(r"(?<=://)[^/@\s]+@")
_TEXT_LENGTH_MAX: Final = 600


class WarehouseTransientError(TransientError):
    """ClickHouse could not serve the call now; `code` is None for a transport error."""

    def __init__(self, text: str, *, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


class WarehousePermanentError(PermanentError):
    """ClickHouse refused the call and will again; `code` is its error code, if it gave one."""

    def __init__(self, text: str, *, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


class WarehouseBusyError(TransientError):
    """Another process holds the embedded warehouse."""


class WarehouseServedError(TransientError):
    """Another process holds the embedded warehouse and answers for it."""


def translate(error: ClickHouseError, *, what: str) -> MasquesError:
    """Returns the transient or permanent error, with one line of what failed and why.

    Args:
        error: What the driver raised.
        what: What was tried, for the beginning of the text.
    """
    code = getattr(error, "code", None)
    if _DISK_IS_FULL.search(str(error)):
        code = _NOT_ENOUGH_SPACE
    text = f"{what}: {one_line(str(error))}"
    if code == _NOT_ENOUGH_SPACE:
        text += ": free some space on the disk that holds the warehouse, then run again"
    if code == _ACCESS_DENIED:
        text += (
            ": what each user needs is in sql/roles.sql (a due migration is the migrator's: "
            "run `masques migrate` as that user)"
        )
    return (
        WarehouseTransientError(text, code=code)
        if is_transient(error, code)
        else WarehousePermanentError(text, code=code)
    )


def unwritable(folder: Path, error: OSError) -> WarehouseTransientError:
    """Returns the error of a file beside the embedded warehouse that cannot be written."""
    return WarehouseTransientError(
        f"{folder}: cannot be written ({error.strerror}): free some space on that disk, or let "
        "this user write there, then run again"
    )


def is_transient(error: ClickHouseError, code: int | None) -> bool:
    """Returns whether the same call may succeed later."""
    if code in TRANSIENT_CODES:
        return True
    if code == _MEMORY_LIMIT_EXCEEDED:
        return bool(_SERVER_MEMORY.search(str(error)))
    if code is not None:
        return False
    if isinstance(error, OperationalError):
        return True  # the transport: refused, reset, timed out
    return isinstance(error, Error) and bool(_TRANSIENT_HTTP_STATUS.search(str(error)))


def one_line(text: str) -> str:
    """Returns an error text in one line, without credentials and stack trace, cut to log size."""
    text = re.split(r",? ?Stack trace", text, maxsplit=1)[0]
    transport = _TRANSPORT_REASON.search(text)
    if transport:
        text = transport["reason"]
    text = _CREDENTIALS.sub("***@", " ".join(text.split()))
    return text if len(text) <= _TEXT_LENGTH_MAX else text[:_TEXT_LENGTH_MAX] + " …"
