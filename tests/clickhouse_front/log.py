"""The log of what was sent to the server: a file, so that it can be read after a kill too."""

import json
import uuid
from pathlib import Path
from typing import TypedDict

LOGGED_SQL_CHARS = 4000


class LoggedRequest(TypedDict):
    """One request as the server saw it; a client that sends twice has two of these."""

    id: str
    sql: str  # without the data of an insert, and cut
    settings: dict[str, str]
    params: dict[str, str]
    database: str
    query_id: str
    body_bytes: int  # as sent, that is compressed
    fault: str  # kind of the fault that hit it, or ''
    executed: bool  # the engine ran it to its end, without an error
    rows_written: int  # as ClickHouse counts: rows of the materialized views' targets included
    code: int  # ClickHouse error code, 0 when there was none
    status: int  # HTTP status of the answer, 0 when no answer was sent
    finished: bool  # False: it was in flight when the server was killed, or still is


def new_entry(body: bytes, database: str, query_id: str) -> LoggedRequest:
    """Returns the entry of a request of which nothing is known yet."""
    return LoggedRequest(
        id=str(uuid.uuid4()),
        sql="",
        settings={},
        params={},
        database=database or "default",
        query_id=query_id or str(uuid.uuid4()),
        body_bytes=len(body),
        fault="",
        executed=False,
        rows_written=0,
        code=0,
        status=0,
        finished=False,
    )


def front_dir(path: Path) -> Path:
    """Returns the folder beside the engine's files with configuration, log and errors."""
    folder = path.with_name(path.name + ".front")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def log_file(path: Path) -> Path:
    """Returns the log of the server on that path."""
    return front_dir(path) / "requests.ndjson"


def write_request(log: Path, entry: LoggedRequest) -> None:
    """Appends one line, in one write, so that a reader or a kill meets whole lines."""
    with log.open("ab", buffering=0) as file:
        file.write(json.dumps(entry).encode() + b"\n")


def read_requests(log: Path, match: str) -> list[LoggedRequest]:
    """Returns the last state of each request with `match` in its SQL, oldest first."""
    found: dict[str, LoggedRequest] = {}
    for line in log.read_text().splitlines() if log.exists() else ():
        entry: LoggedRequest = json.loads(line)
        found[entry["id"]] = entry
    return [entry for entry in found.values() if match in entry["sql"]]
