"""The HTTP front as the unmodified driver sees it, fault by fault.

Here: that the front answers as a ClickHouse server does, that each fault it can be ordered to
make reaches the client, and what the driver itself does about it.
Not here: the project's own code on the server path.
A re-run starts on empty folders.
"""

import contextlib
import gzip
import http.client
import socket
import struct
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import clickhouse_connect
import pandas as pd
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import (
    DatabaseError,
    OperationalError,
    StreamFailureError,
)
from lz4 import frame as lz4_frame  # type: ignore[import-untyped]  # ships no type information

from masques_pipelines import zstd
from masques_pipelines.warehouse.statements import ServerError, read_statement
from tests.clickhouse_front.faults import FaultKind
from tests.clickhouse_front.front import Front, http_front
from tests.support.paths import ROOT
from tests.support.patience import process_limit_s, until

USER, PASSWORD = "masques", "p@ss/word:1"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with http_front(tmp_path_factory.mktemp("front") / "db") as front:
        yield front


@pytest.fixture
def front(shared: Front) -> Iterator[Front]:
    yield shared
    left = shared.faults()
    shared.clear_faults()
    assert left == [], "a fault that was ordered did not happen"


@contextlib.contextmanager
def connected(front: Front, **options: Any) -> Iterator[Client]:
    client = clickhouse_connect.get_client(dsn=front.url, **options)
    try:
        yield client
    finally:
        client.close()
        client.close_connections()


@pytest.fixture
def client(front: Front) -> Iterator[Client]:
    with connected(front) as client:
        yield client


@pytest.fixture
def table(client: Client) -> str:
    name = f"t_{uuid.uuid4().hex}"
    client.command(f"CREATE TABLE {name} (a UInt32, b String) ENGINE = MergeTree ORDER BY a")
    return name


def insert_one(client: Client, table: str, **settings: str) -> None:
    client.raw_insert(table, ["a", "b"], insert_block=b"1,x\n", fmt="CSV", settings=settings)


def count(client: Client, table: str) -> int:
    return int(str(client.command(f"SELECT count() FROM {table}")))


# --- What a server does --------------------------------------------------------------------------


def test_client_pings_and_commands(front: Front, client: Client) -> None:
    assert client.ping()
    assert client.command("SELECT 1") == 1
    assert client.command("SELECT 1, 'two'") == ["1", "two"]
    assert client.command("SELECT 'a;b' -- c;d\n;") == "a;b"
    assert client.server_version == client.command("SELECT version()")
    with connected(front, database="system") as other:
        assert other.command("SELECT currentDatabase()") == "system"
    assert client.command("SELECT currentDatabase()") == "default"
    with pytest.raises(DatabaseError) as error, connected(front, database="nowhere") as other:
        other.command("SELECT 1")
    assert error.value.code == 81


def test_query_binds_parameters_also_too_long_for_a_url(client: Client) -> None:
    row = client.query(
        "SELECT {n:UInt32} + 1, {s:String}, {u:UUID}, {d:Decimal(76, 18)}",
        parameters={"n": 4, "s": "it's\t\\", "u": uuid.UUID(int=7), "d": Decimal("1.5")},
    ).first_row
    assert row == (5, "it's\t\\", uuid.UUID(int=7), Decimal("1.5"))
    text = "späť\r\n'\\" * 1000
    long = client.query(
        "SELECT {s:String}, length({x:Array(UInt64)})",
        parameters={"s": text, "x": list(range(5000))},
    )
    assert long.first_row == (text, 5000)
    with pytest.raises(DatabaseError) as error:
        client.query("SELECT {n:UInt32}")  # bound above: it must not have stayed
    assert error.value.code == 456


def test_frames_go_in_and_come_out_exactly(client: Client) -> None:
    client.command(
        "CREATE TABLE frames (at DateTime64(9, 'UTC'), id UUID, amount Decimal(76, 18),"
        " note LowCardinality(String), at_end Nullable(UInt64)) ENGINE = MergeTree ORDER BY at"
    )
    frame = pd.DataFrame(
        {
            "at": pd.to_datetime([1_700_000_000_000_000_001, 1_700_000_000_000_000_002], unit="ns"),
            "id": [uuid.UUID(int=1), uuid.UUID(int=2**127)],
            "amount": [Decimal("0.000000000000000001"), Decimal(2**128 - 1)],
            "note": ["", "späť"],
            "at_end": pd.array([None, 2**64 - 1], dtype="UInt64"),
        }
    )
    summary = client.insert_df("frames", frame)  # Native, compressed with lz4
    assert summary.written_rows == 2
    back = client.query_df("SELECT * FROM frames ORDER BY at")
    assert back["at"].astype("int64").tolist() == frame["at"].astype("int64").tolist()
    assert back["id"].tolist() == frame["id"].tolist()
    assert back["amount"].tolist() == frame["amount"].tolist()
    assert back["note"].tolist() == frame["note"].tolist()
    assert back["at_end"].tolist()[1] == 2**64 - 1
    assert client.query("SELECT at FROM frames LIMIT 0").column_names == ("at",)
    notes = client.query_arrow("SELECT note FROM frames ORDER BY at")["note"]
    assert notes.to_pylist() == ["", "späť"]


def test_insert_and_values(front: Front, client: Client, table: str) -> None:
    client.insert(table, [[1, "x"], [2, "y"]], ["a", "b"])
    client.command(f"INSERT INTO {table} VALUES ({{n:UInt32}}, upper('z'))", parameters={"n": 3})
    client.command(
        f"INSERT INTO {table} SELECT a, upper(b) FROM input('a UInt32, b String') FORMAT CSV",
        data="4,four\n5,five\n",
    )
    rows = client.query(f"SELECT * FROM {table} ORDER BY a").result_rows
    assert rows == [(1, "x"), (2, "y"), (3, "Z"), (4, "FOUR"), (5, "FIVE")]
    sent = front.requests(f"INSERT INTO {table}")
    assert [request["rows_written"] for request in sent] == [1, 2]


PACKERS: dict[str | None, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "lz4": lz4_frame.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("compression", [None, *PACKERS])
def test_raw_bytes_through_a_null_table_and_its_view(
    front: Front, client: Client, compression: str | None
) -> None:
    inlet = f"inlet_{compression}"
    client.command(f"CREATE TABLE {inlet} (n UInt32, text FixedString(4)) ENGINE = Null")
    client.command(f"CREATE TABLE {inlet}_to (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    client.command(
        f"CREATE MATERIALIZED VIEW {inlet}_mv TO {inlet}_to AS"
        f" SELECT n * 2 AS n, toString(text) AS s FROM {inlet}"
    )
    # Semicolons and quotes: the data must not be read as SQL.
    page = b"".join(struct.pack("<I4s", n, b";'\n\\") for n in range(1000))
    if compression is None:
        client.raw_insert(inlet, insert_block=page, fmt="RowBinary")  # SQL before the data
    else:
        packed = PACKERS[compression](page)  # SQL in the URL
        client.raw_insert(inlet, insert_block=packed, fmt="RowBinary", compression=compression)
    seen = client.query(f"SELECT count(), sum(n), any(s) FROM {inlet}_to").first_row
    assert seen == (1000, 999_000, ";'\n\\")
    sent = front.requests(f"INSERT INTO {inlet} ")
    assert [request["rows_written"] for request in sent] == [2000]  # the view's target counts


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELEC 1", 62),
        ("1 + 1", 62),  # the embedded engine alone would take it for a SELECT
        ("SELECT * FROM no_such_table", 60),
        ("SELECT * FROM no_such_database.t", 81),
        ("SELECT no_such_column", 47),
        ("SELECT toUInt8('x')", 6),
        ("SELECT throwIf(1, 'boom')", 395),
        ("SET max_threads = 1", 48),
        ("USE system", 48),
    ],
)
def test_error_codes_reach_the_client(client: Client, sql: str, code: int) -> None:
    with pytest.raises(DatabaseError) as error:
        client.command(sql)
    assert error.value.code == code


def test_bad_data_is_an_error_and_nothing_is_kept(client: Client, table: str) -> None:
    with pytest.raises(DatabaseError) as error:
        client.raw_insert(table, ["a", "b"], insert_block=b"1,x\nbad,y\n", fmt="CSV")
    assert error.value.code == 27
    with pytest.raises(DatabaseError) as error:
        client.raw_insert("nowhere", insert_block=b"1,x\n", fmt="CSV")
    assert error.value.code == 60
    assert count(client, table) == 0


def test_settings_reach_the_engine_and_do_not_leak(front: Front, client: Client) -> None:
    comment = "SELECT getSetting('log_comment')"
    for _ in range(8):  # twice the number of handles
        sent = {"log_comment": "it's \\ {run}", "max_threads": "7"}
        assert client.query(comment, settings=sent).first_row == ("it's \\ {run}",)
        with pytest.raises(DatabaseError):
            client.query("SELECT throwIf(1)", settings=sent)
    for _ in range(8):
        assert client.query(comment).first_row == ("",)
    assert front.requests(comment)[0]["settings"]["max_threads"] == "7"
    with pytest.raises(DatabaseError) as error:
        client.query("SELECT 1", settings={"max_threads": "many"})
    assert error.value.code == 27


def test_insert_deduplication_token_is_honoured(client: Client) -> None:
    client.command(
        "CREATE TABLE dedup (a UInt32, b String) ENGINE = MergeTree ORDER BY a"
        " SETTINGS non_replicated_deduplication_window = 100"
    )
    insert_one(client, "dedup", insert_deduplication_token="page-1")
    insert_one(client, "dedup", insert_deduplication_token="page-1")
    assert count(client, "dedup") == 1
    insert_one(client, "dedup", insert_deduplication_token="page-2")
    assert count(client, "dedup") == 2


@pytest.mark.parametrize("second", ["SELECT 2", "DROP TABLE {t}", "INSERT INTO {t} VALUES (1, '')"])
def test_two_statements_are_refused_and_neither_runs(
    client: Client, table: str, second: str
) -> None:
    first = f"INSERT INTO {table} VALUES (1, 'x')"
    with pytest.raises(DatabaseError, match="Multi-statements are not allowed") as error:
        client.command(f"{first}; {second.format(t=table)}")
    assert error.value.code == 62
    assert count(client, table) == 0


@pytest.mark.parametrize(
    ("sql", "head", "fmt", "data"),
    [
        (b"SELECT ';' /* ; */ -- ;\n", b"", "", None),
        (b"SELECT 1 FORMAT JSON SETTINGS max_threads = 1;", b"", "JSON", None),
        (b"select 1 format JSONEachRow", b"", "JSONEachRow", None),
        (b"SELECT format FROM t", b"", "", None),
        (b"INSERT INTO t FORMAT RowBinary\n\n;'\x00", b"INSERT INTO t ", "RowBinary", b"\n;'\x00"),
        (b"INSERT INTO t FORMAT CSV 1,2\n", b"INSERT INTO t ", "CSV", b"1,2\n"),
        (b"insert into t (`format`, a) format TSV\r\n1", b"", "TSV", b"1"),
        (b"INSERT INTO t VALUES (1, 'FORMAT CSV')", b"", "", None),
        (b"INSERT INTO t SELECT 1 AS format", b"", "", None),
        (b"INSERT INTO t SELECT input FROM s FORMAT CSV", b"", "CSV", None),
        (b"INSERT INTO t SELECT a FROM input('a Int8') FORMAT CSV\n1", b"", "CSV", b"1"),
    ],
)
def test_statements_and_data_are_told_apart(
    sql: bytes, head: bytes, fmt: str, data: bytes | None
) -> None:
    statement = read_statement(sql)
    assert (statement.format, statement.data) == (fmt, data)
    assert not head or statement.sql == head


@pytest.mark.parametrize("sql", [b"", b" -- nothing\n", b";", b"SELECT 1;;", b"SELECT 1; SELECT 2"])
def test_what_is_not_one_statement_is_refused(sql: bytes) -> None:
    with pytest.raises(ServerError) as error:
        read_statement(sql)
    assert error.value.code == 62


def test_password_is_asked_for_and_requests_are_logged(tmp_path: Path) -> None:
    with http_front(tmp_path / "db", user=USER, password=PASSWORD) as front:
        with connected(front) as client:
            assert client.command("SELECT 1") == 1
        wrong: list[dict[str, Any]] = [
            {"username": USER, "password": "wrong"},
            {"username": "other", "password": PASSWORD},
            {},
        ]
        for login in wrong:
            with pytest.raises(DatabaseError) as error:
                clickhouse_connect.get_client(host="127.0.0.1", port=front.port, **login)
            assert error.value.code == 516
        refused = [request for request in front.requests() if request["status"] == 403]
        assert len(refused) == 3
        assert not any(request["executed"] for request in refused)


def test_concurrent_use_of_a_session_is_refused(front: Front) -> None:
    session = {"session_id": "s-1"}
    with connected(front, **session) as one, connected(front, **session) as two:
        front.inject("delay", match="'slow'", seconds=1.0)
        slow = threading.Thread(target=one.command, args=("SELECT 'slow'",))
        slow.start()
        until(lambda: front.requests("'slow'"), "the slow statement to arrive")
        with pytest.raises(DatabaseError) as error:
            two.command("SELECT 1")
        slow.join()
        assert error.value.code == 373
        assert two.command("SELECT 1") == 1


CLIENT_PROCESS = """
import sys, clickhouse_connect
client = clickhouse_connect.get_client(dsn=sys.argv[1])
for n in range(20):
    client.raw_insert("pair", insert_block=f"{sys.argv[2]},{n}\\n".encode(), fmt="CSV")
    assert client.command("SELECT count() FROM pair WHERE a = " + sys.argv[2]) == n + 1
client.close()
"""


def test_two_processes_write_at_the_same_time(front: Front, client: Client) -> None:
    client.command("CREATE TABLE pair (a UInt32, n UInt32) ENGINE = MergeTree ORDER BY a")
    writers = [
        subprocess.Popen([sys.executable, "-c", CLIENT_PROCESS, front.url, str(n)]) for n in (1, 2)
    ]
    assert [writer.wait(process_limit_s()) for writer in writers] == [0, 0]
    assert count(client, "pair") == 40


# --- Faults, and what the driver makes of them ---------------------------------------------------


@pytest.mark.parametrize(("kind", "kept"), [("drop_before", 1), ("drop_after", 2)])
def test_driver_sends_an_insert_again_when_the_connection_drops(
    front: Front, client: Client, table: str, kind: FaultKind, kept: int
) -> None:
    # No error anywhere, and a committed insert is there twice: this is why the product may not
    # rely on "the call returned" for exactly once.
    front.inject(kind, match=f"INSERT INTO {table}")
    insert_one(client, table)
    sent = front.requests(f"INSERT INTO {table}")
    assert [request["fault"] for request in sent] == [kind, ""]
    assert [request["status"] for request in sent] == [0, 200]
    assert [request["executed"] for request in sent] == [kind == "drop_after", True]
    assert count(client, table) == kept


def test_driver_sends_frames_again_too(front: Front, client: Client, table: str) -> None:
    front.inject("drop_after", match=f"INSERT INTO `{table}`")
    client.insert_df(table, pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    assert len(front.requests(f"INSERT INTO `{table}`")) == 2
    assert count(client, table) == 4


def test_a_token_makes_the_resend_harmless(front: Front, client: Client) -> None:
    client.command(
        "CREATE TABLE resent (a UInt32, b String) ENGINE = MergeTree ORDER BY a"
        " SETTINGS non_replicated_deduplication_window = 100"
    )
    front.inject("drop_after", match="INSERT INTO resent")
    insert_one(client, "resent", insert_deduplication_token="page-1")
    sent = front.requests("INSERT INTO resent")
    assert [r["settings"]["insert_deduplication_token"] for r in sent] == ["page-1", "page-1"]
    assert count(client, "resent") == 1


def test_driver_gives_up_after_one_resend(front: Front, client: Client, table: str) -> None:
    front.inject("drop_before", match=f"INSERT INTO {table}", times=2)
    with pytest.raises(OperationalError):
        insert_one(client, table)
    assert len(front.requests(f"INSERT INTO {table}")) == 2
    assert count(client, table) == 0


def test_driver_does_not_resend_streams_or_commands(
    front: Front, client: Client, table: str
) -> None:
    front.inject("drop_after", match=f"INSERT INTO {table}", times=2)
    with pytest.raises(OperationalError):
        client.raw_insert(table, ["a", "b"], insert_block=(row for row in [b"1,x\n"]), fmt="CSV")
    with pytest.raises(OperationalError):
        client.command(f"INSERT INTO {table} SELECT 2, 'y'")
    assert len(front.requests(f"INSERT INTO {table}")) == 2
    assert count(client, table) == 2


def test_driver_resends_reads(front: Front, client: Client) -> None:
    front.inject("drop_after", match="'read again'")
    assert client.command("SELECT 'read again'") == "read again"
    assert len(front.requests("'read again'")) == 2


@pytest.mark.parametrize("code", [202, 241, 252, 999])
def test_error_is_not_executed_and_keeps_its_code(
    front: Front, client: Client, table: str, code: int
) -> None:
    front.inject("error", match=table, code=code)
    with pytest.raises(DatabaseError) as error:
        insert_one(client, table)
    assert error.value.code == code
    sent = front.requests(f"INSERT INTO {table}")
    assert [(request["code"], request["executed"]) for request in sent] == [(code, False)]
    insert_one(client, table)
    assert count(client, table) == 1


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_proxy_page_has_no_code(front: Front, client: Client, table: str, status: int) -> None:
    front.inject("http_status", match=f"INSERT INTO {table}", status=status)
    with pytest.raises(DatabaseError, match=f"HTTP status {status}") as error:
        insert_one(client, table)
    assert error.value.code is None
    # For 429, 503 and 504 the driver's error is of another class, and reads are sent again.
    assert isinstance(error.value, OperationalError) == (status in {429, 503})
    assert len(front.requests(f"INSERT INTO {table}")) == 1
    if status != 502:
        front.inject("http_status", match="'busy'", status=status, times=2)
        assert client.query("SELECT 'busy'").first_row == ("busy",)


def test_delay_past_the_clients_patience_still_commits(front: Front, table: str) -> None:
    with connected(front, send_receive_timeout=1) as client:
        front.inject("delay", match=f"INSERT INTO {table}", seconds=1.5)
        with pytest.raises(OperationalError, match="timed out"):
            insert_one(client, table)
        until(lambda: front.requests(f"INSERT INTO {table}")[0]["finished"], "the insert to end")
        assert len(front.requests(f"INSERT INTO {table}")) == 1
        assert count(client, table) == 1


def test_truncated_answers_are_errors(front: Front, client: Client, table: str) -> None:
    front.inject("truncate", match=table, times=2)
    with pytest.raises(OperationalError, match="IncompleteRead"):
        insert_one(client, table)
    with pytest.raises(StreamFailureError):
        client.query(f"SELECT number FROM numbers(100000) WHERE 0 NOT IN (SELECT a FROM {table})")
    assert count(client, table) == 1


def test_faults_can_be_aimed_and_taken_back(front: Front, client: Client, table: str) -> None:
    front.inject("error", match=table, skip=1, code=241)
    insert_one(client, table)
    with pytest.raises(DatabaseError):
        insert_one(client, table)
    insert_one(client, table)
    front.inject("error", match="'never'", code=241)
    assert [fault["match"] for fault in front.faults()] == ["'never'"]
    front.clear_faults()
    assert client.command("SELECT 'never'") == "never"
    with pytest.raises(ValueError, match="needs a ClickHouse code"):
        front.inject("error", match="x")


# --- Life and death of the server ----------------------------------------------------------------


def test_data_and_log_survive_restart_and_kill(tmp_path: Path) -> None:
    with http_front(tmp_path / "db") as front, connected(front) as client:
        port = front.port
        client.command("CREATE TABLE t (a UInt32, b String) ENGINE = MergeTree ORDER BY a")
        client.command("CREATE DATABASE d")  # 'default' is of a kind that takes no such views
        client.command("CREATE TABLE d.scores (at DateTime64(9)) ENGINE = MergeTree ORDER BY at")
        client.command(
            "CREATE MATERIALIZED VIEW d.fill REFRESH EVERY 1 HOUR TO d.scores EMPTY AS"
            " SELECT now64(9) AS at"
        )
        insert_one(client, "t")
        front.restart()
        assert (front.port, count(client, "t")) == (port, 1)
        # A server that starts must not run the views: they would write behind a test's back.
        assert client.command("SELECT status FROM system.view_refreshes") == "Disabled"
        assert count(client, "d.scores") == 0

        front.inject("delay", match="INSERT INTO t", seconds=60)
        doomed = threading.Thread(target=_insert_in_vain, args=(front,))
        doomed.start()
        until(lambda: len(front.requests("INSERT INTO t")) == 2, "the insert to arrive")
        front.kill()
        doomed.join()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
        assert [request["finished"] for request in front.requests("INSERT INTO t")] == [True, False]
        front.restart()
        assert (front.port, count(client, "t")) == (port, 1)


def _insert_in_vain(front: Front) -> None:
    with connected(front) as client, pytest.raises(OperationalError):
        insert_one(client, "t")


def test_a_path_has_one_server(shared: Front) -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        Front(shared.path)


def test_it_listens_on_loopback_only_and_ends_with_its_starter(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys; from tests.clickhouse_front.front import Front;"
        "front = Front(pathlib.Path(sys.argv[1]));"
        "print(front.port, flush=True); sys.stdin.read(); os._exit(1)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "db")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with starter:
        assert starter.stdout is not None
        port = int(starter.stdout.readline())
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            connection.request("GET", "/ping")
            assert connection.getresponse().read() == b"Ok.\n"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port)).close()
        starter.communicate()  # it ends without a word to the server

    def gone() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return True
        return False

    until(gone, "the server to notice")
