"""One process owns the embedded engine; the pipeline writes and readers read beside each other.

Here: the process that `masques serve` keeps, asked by the project's own code, by the plain driver,
by its SQLAlchemy dialect and by the official client of Node.
Not here: the HTTP interface in detail (test_clickhouse_front.py, the same code).
"""

import base64
import os
import shutil
import signal
import struct
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
import sqlalchemy
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.embedded import inserts_folder, side_folder
from masques_pipelines.warehouse.errors import WarehousePermanentError
from masques_pipelines.warehouse.serve.address import (
    READER,
    WRITER,
    Address,
    find_server,
    last_address,
    password,
    password_file,
)
from masques_pipelines.warehouse.serve.blocks import from_blocks, to_blocks
from masques_pipelines.warehouse.serve.engine import READERS
from masques_pipelines.warehouse.stream import stream_query
from tests.support.migrated_folder import copy_migrated
from tests.support.patience import until
from tests.support.served import kept

NODE = Path(__file__).parents[2] / "support" / "node"
NODE_READS = """
const { createClient } = require("@clickhouse/client");
const [url, password] = process.argv.slice(1);
(async () => {
  const client = createClient({ url, username: "reader", password });
  const rows = await client.query({
    query: "SELECT name, toString(18446744073709551615) AS big FROM masques.made " +
           "WHERE number = {n: UInt64}",
    query_params: { n: 2 }, format: "JSONEachRow",
  });
  console.log(JSON.stringify(await rows.json()));
  let count = 0;
  const many = await client.query({ query: "SELECT number FROM numbers(300000)",
                                    format: "JSONEachRow" });
  for await (const part of many.stream()) count += part.length;
  console.log(count);
  await client.close();
})().catch((error) => { console.error(error); process.exit(1); });
"""


@dataclass(frozen=True)
class Served:
    folder: Path
    settings: Settings
    address: Address

    def client(self, user: str = READER, **settings: Any) -> Client:
        return clickhouse_connect.get_client(
            host="127.0.0.1",
            port=self.address.port,
            username=user,
            password=password(side_folder(self.folder), user),
            settings=settings,
        )

    def ask(self, sql: str, **settings: str) -> tuple[int, str]:
        """Asks without a driver, which sends no setting that a reader could not change."""
        code, body = self.ask_bytes(sql.encode(), **settings)
        return code, body.decode()

    def ask_bytes(self, body: bytes, user: str = READER, **settings: str) -> tuple[int, bytes]:
        """Asks without a driver; returns the code of an error, or 0, and the answer as it came."""
        login = f"{user}:{password(side_folder(self.folder), user)}".encode()
        request = urllib.request.Request(
            f"{self.address.url}/?{urllib.parse.urlencode(settings)}",
            body,
            {"Authorization": f"Basic {base64.b64encode(login).decode()}"},
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return 0, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return int(error.headers["X-ClickHouse-Exception-Code"]), error.read()


@contextmanager
def opened(settings: Settings) -> Iterator[Warehouse]:
    with open_warehouse(settings, origin=Origin(job="tests"), lock_timeout_s=0) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("served")
    folder = home / "warehouse"
    copy_migrated(folder)
    with kept(folder) as address:
        settings = read_settings({"MASQUES_HOME": str(home)})
        with opened(settings) as warehouse:
            warehouse.command(
                "CREATE TABLE masques.made (number UInt64, name String) ENGINE = MergeTree "
                "ORDER BY number"
            )
            warehouse.insert_json(
                "masques.made", [{"number": each, "name": f"n{each}"} for each in range(5)]
            )
        yield Served(folder, settings, address)


def rows_now(warehouse: Warehouse) -> int:
    return int(warehouse.scalar("SELECT count() FROM masques.made"))


def test_the_pipeline_writes_through_it_and_waits_for_nobody(running: Served) -> None:
    with opened(running.settings) as one, opened(running.settings) as other:
        assert one.is_server
        assert one.is_embedded
        row = (7).to_bytes(8, "little") + b"\x02n7"
        one.insert_select(
            "INSERT INTO masques.made SELECT * FROM input('number UInt64, name String')", [[row]]
        )
        one.insert_rows("masques.made", ["number", "name"], [(8, "n8")])
        names = other.rows("SELECT name FROM masques.made WHERE number > 6 ORDER BY number")
        assert names == [("n7",), ("n8",)]
        other.command("ALTER TABLE masques.made DELETE WHERE number > 6", mutations_sync=1)
        assert not list(inserts_folder(running.folder).iterdir())


def test_settings_of_a_statement_are_not_those_of_the_next(running: Served) -> None:
    with opened(running.settings) as warehouse:
        usual = warehouse.scalar("SELECT getSetting('max_memory_usage')")
        client = warehouse.client
        asked = "SELECT getSetting('max_memory_usage'), getSetting('max_threads')"
        for _ in range(9):  # each handle, and one again
            changed = client.query(asked, settings={"max_memory_usage": 123456789})
            assert changed.result_rows[0][0] == 123456789
            assert warehouse.row(asked)[0] == usual


REFUSED = [
    "INSERT INTO masques.made VALUES (9, 'x')",
    "DROP TABLE masques.made",
    "ALTER TABLE masques.made DELETE WHERE 1",
    "TRUNCATE TABLE masques.made",
    "OPTIMIZE TABLE masques.made",
    "CREATE TABLE masques.other (a UInt8) ENGINE = Memory",
    "KILL QUERY WHERE 1",
    "SYSTEM STOP MERGES",
    "SYSTEM FLUSH LOGS",
    "SET readonly = 0",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS max_memory_usage = 0",
    "BACKUP TABLE masques.made TO File('/tmp/stolen')",
    "SELECT 1 INTO OUTFILE '/tmp/stolen'",
    "SELECT file('/etc/hostname')",
    "SELECT `file`('/etc/hostname')",
    "SELECT arrayMap(file, ['/etc/hostname'])",
    "SELECT * APPLY file FROM (SELECT '/etc/hostname')",
    "SELECT * FROM file('/etc/hostname', 'LineAsString')",
    "SELECT * FROM url('http://127.0.0.1:1/', 'TSV', 'a String')",
    "SELECT * FROM remote('127.0.0.1', 'masques.made')",
    "SELECT * FROM masques_ops.quarantine",
    'SELECT * FROM "masques\\x5fops".quarantine',
    "SELECT * FROM merge('masques_op', '.*')",
    "SELECT /* KILL */ * FROM `masques_ops`.quarantine",
]


def test_a_reader_changes_and_stops_nothing(running: Served) -> None:
    reader = running.client()
    for statement in REFUSED:
        with pytest.raises(DatabaseError) as refused:
            reader.raw_query(statement)
        assert refused.value.code in {164, 497, 62, 48}, (statement, refused.value)
    assert running.ask("SELECT * FROM quarantine", database="masques_ops")[0] == 497
    for name, value in {"max_memory_usage": "0", "max_threads": "9", "max_ast_depth": "1"}.items():
        assert running.ask("SELECT 1", **{name: value})[0] == 164
    assert running.ask("SELECT 1", readonly="0", max_threads="1") == (0, "1\n")
    assert reader.query("SELECT count() FROM masques_marts.holds").first_row == (0,)
    with opened(running.settings) as warehouse:
        assert rows_now(warehouse) == 5
    assert not Path("/tmp/stolen").exists()


def test_a_reader_has_limits_of_rows_time_and_number(running: Served) -> None:
    reader = running.client()
    with pytest.raises(ClickHouseError, match="Limit for result exceeded"):
        reader.query("SELECT number FROM numbers(3000000)")
    slow = "SELECT count() FROM numbers(1000000000000) WHERE sin(number) > 3"
    assert running.ask(slow, max_execution_time="1")[0] == 159
    with pytest.raises(DatabaseError) as greedy:
        reader.raw_query("SELECT groupArray(number) FROM numbers(900000000)")
    assert greedy.value.code == 241


def test_only_who_knows_a_password_is_answered(running: Served) -> None:
    for user in (READER, WRITER):
        assert password_file(side_folder(running.folder), user).stat().st_mode & 0o777 == 0o600
        with pytest.raises(DatabaseError) as refused:
            clickhouse_connect.get_client(
                host="127.0.0.1", port=running.address.port, username=user, password="x"
            )
        assert refused.value.code == 516


@pytest.mark.parametrize(
    "fmt", ["JSON", "CSVWithNames", "Parquet", "PrettyCompactMonoBlock", "RowBinaryWithNames"]
)
def test_a_result_is_the_same_in_pieces_and_whole(
    running: Served, warehouse: Warehouse, fmt: str
) -> None:
    sql = f"SELECT number, toString(number) AS s FROM numbers(150000) FORMAT {fmt}"
    if fmt == "JSON":
        sql += " SETTINGS output_format_write_statistics = 0, max_threads = 1"
    shown: list[bytes] = []
    for asked in (warehouse, running.settings):
        pieces: list[bytes] = []
        if isinstance(asked, Settings):
            with opened(asked) as server:
                stream_query(server, sql, fmt="TSV", write=pieces.append)
        else:
            stream_query(asked, sql, fmt="TSV", write=pieces.append)
        shown.append(b"".join(pieces))
    assert shown[0] == shown[1]
    assert len(shown[0]) > 20_000


def test_a_query_that_fails_amid_its_result_is_an_error(
    running: Served, warehouse: Warehouse
) -> None:
    sql = "SELECT number, throwIf(number = 2900000) FROM numbers(3000000)"
    with opened(running.settings) as server:
        for asked in (warehouse, server):
            pieces: list[bytes] = []
            with pytest.raises(WarehousePermanentError, match="throwIf"):
                stream_query(asked, sql, fmt="CSV", write=pieces.append)
            assert pieces


@pytest.mark.parametrize("how", ["embedded", "served"])
def test_a_query_that_only_reads_changes_nothing(
    running: Served, warehouse: Warehouse, how: str
) -> None:
    with opened(running.settings) as server:
        asked = server if how == "served" else warehouse
        for statement in (
            "INSERT INTO masques.made VALUES (9, 'x')",
            "SELECT 1 SETTINGS readonly=0",
        ):
            with pytest.raises(WarehousePermanentError):
                stream_query(asked, statement, fmt="TSV", write=lambda _: None)
        assert rows_now(server) == 5


class EnoughError(Exception):
    """What the receiver of a result raises."""


@pytest.mark.parametrize("how", ["embedded", "served"])
def test_a_query_ends_when_its_receiver_does(
    running: Served, warehouse: Warehouse, how: str
) -> None:
    def refuse(_piece: bytes) -> None:
        raise EnoughError

    with opened(running.settings) as server:
        asked = server if how == "served" else warehouse
        with pytest.raises(EnoughError):
            stream_query(
                asked, "SELECT number FROM numbers(1000000000000)", fmt="TSV", write=refuse
            )
        until(
            lambda: (
                asked.scalar("SELECT count() FROM system.processes WHERE query LIKE '%10000000%'")
                == 1  # this one
            ),
            "the query to end",
        )


def test_a_killed_process_comes_back_and_the_pipeline_goes_on(running: Served) -> None:
    with opened(running.settings) as warehouse:
        before = rows_now(warehouse)
        with warehouse.spool() as rows:
            rows.write([(90).to_bytes(8, "little"), b"\x03n90"])
            killed = last_address(side_folder(running.folder))
            assert killed is not None
            os.kill(killed.pid, signal.SIGKILL)
            # Sent again until it is there: the process that took it may have died behind it.
            warehouse.insert_spooled(
                "INSERT INTO masques.made SELECT * FROM input('number UInt64, name String') "
                "WHERE number NOT IN (SELECT number FROM masques.made)",
                rows,
            )
        assert rows_now(warehouse) == before + 1
        warehouse.command("ALTER TABLE masques.made DELETE WHERE number = 90", mutations_sync=1)
    now = find_server(side_folder(running.folder))
    assert now is not None
    assert now.port == running.address.port
    assert now.pid != killed.pid


def test_readers_do_not_keep_the_pipeline_waiting(running: Served) -> None:
    slow = "SELECT count() FROM numbers(1000000000000) WHERE sin(number) > 3"
    # More than run at once; each for some seconds.
    asking = [
        threading.Thread(target=running.ask, args=(slow,), kwargs={"max_execution_time": "3"})
        for _ in range(READERS + 1)
    ]
    for each in asking:
        each.start()
    with opened(running.settings) as warehouse:
        until(
            lambda: (
                warehouse.scalar("SELECT count() FROM system.processes WHERE query LIKE '%sin(%'")
                > READERS  # and this one
            ),
            "readers to ask",
        )
        assert rows_now(warehouse) == 5
        assert any(each.is_alive() for each in asking)
    for each in asking:
        each.join()


def test_answers_and_inserts_come_in_clickhouses_own_blocks(running: Served) -> None:
    """As the JDBC driver wants them, and so DBeaver."""
    for count in (1, 300_000):  # whole, and while it is computed
        asked = f"SELECT number FROM numbers({count})".encode()
        _, blocks = running.ask_bytes(asked, compress="1")
        assert from_blocks(blocks) == "".join(f"{each}\n" for each in range(count)).encode()
    code, blocks = running.ask_bytes(b"SELECT * FROM masques.no_such_table", compress="1")
    assert (code, b"UNKNOWN_TABLE" in from_blocks(blocks)) == (60, True)
    code, text = running.ask_bytes(b"SELECT 1 FROM masques_ops.a", compress="1")
    assert (code, text[:10]) == (497, b"Code: 497.")  # 403, which that driver reads as text

    insert = "INSERT INTO masques.made FORMAT TSV"
    block = to_blocks(b"900\tblock\n" * 2)
    assert running.ask_bytes(block, WRITER, query=insert, decompress="1") == (0, b"")
    counted = "SELECT count() FROM masques.made WHERE number = 900"
    assert running.ask(counted) == (0, "2\n")
    assert running.ask_bytes(block[:-1], WRITER, query=insert, decompress="1")[0] == 271
    assert running.ask(counted) == (0, "2\n")
    running.ask_bytes(b"ALTER TABLE masques.made DELETE WHERE number = 900", WRITER)


def test_the_engines_own_files_are_such_blocks(running: Served) -> None:
    """So the format is the engine's, and not ours alone."""
    options = "ENGINE = MergeTree ORDER BY tuple() SETTINGS min_bytes_for_wide_part = 0"
    for statement in (
        f"CREATE TABLE masques.blocks (number UInt64) {options}",
        "INSERT INTO masques.blocks SELECT number FROM numbers(200000)",
    ):
        assert running.ask_bytes(statement.encode(), WRITER)[0] == 0
    (file,) = (running.folder / "store").rglob("all_1_1_0/number.bin")
    assert from_blocks(file.read_bytes()) == struct.pack("<200000Q", *range(200_000))
    assert running.ask_bytes(b"DROP TABLE masques.blocks SYNC", WRITER)[0] == 0


def test_sqlalchemy_reads_through_it(running: Served) -> None:
    secret = password(side_folder(running.folder), READER)
    engine = sqlalchemy.create_engine(
        f"clickhousedb://{READER}:{secret}@127.0.0.1:{running.address.port}/masques"
    )
    with engine.connect() as connection:
        rows = connection.execute(
            sqlalchemy.text("SELECT name FROM made WHERE number < 2 ORDER BY number")
        )
        assert [row[0] for row in rows] == ["n0", "n1"]
        tables = sqlalchemy.inspect(connection).get_table_names(schema="masques")
    assert {"transactions", "made"} <= set(tables)


def test_the_official_client_of_node_reads_through_it(running: Served) -> None:
    node = shutil.which("node")
    if node is None or not (NODE / "node_modules" / "@clickhouse" / "client").is_dir():
        pytest.skip("there is no node, or no @clickhouse/client in tests/support/node")
    secret = password(side_folder(running.folder), READER)
    done = subprocess.run(
        [node, "-e", NODE_READS, running.address.url, secret],
        cwd=NODE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ['[{"name":"n2","big":"18446744073709551615"}]', "300000"]
