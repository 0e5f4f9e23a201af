"""Runs queries, commands and inserts on an open ClickHouse, each tagged and retried.

Every call may be sent twice: reads change nothing, and every insert of this project goes to a
target that ignores what it already holds. It must, since over HTTP the driver itself sends an
insert again when the connection is cut, committed or not.
"""

import contextlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from masques_pipelines.warehouse.errors import translate, unwritable
from masques_pipelines.warehouse.retry import with_retries
from masques_pipelines.warehouse.spool import Spool

if TYPE_CHECKING:
    import pandas as pd

# Of every statement: a server's client sends them, the embedded engine has them in its profile.
#
# A page is a batch already; asynchronous inserts would only delay its errors.
#
# From the fourth run of a statement on, the engine runs machine code that it made of the
# statement's expressions and keeps for the whole process. Wrong answers of such code are on record
# (ClickHouse issues 97997, 117442, 118334 and 120728, up to 26.9).
CLIENT_SETTINGS: Final = {
    "async_insert": 0,
    "compile_expressions": 0,
    "compile_aggregate_expressions": 0,
    "compile_sort_description": 0,
}
_TAG: Final = "log_comment"

Result = TypeVar("Result")
Parameters = Mapping[str, Any]
_SQL_SHOWN_LENGTH: Final = 80


@dataclass(frozen=True)
class Origin:
    """Who asks: goes into the `log_comment` of each query, so that system.query_log joins to runs.

    Attributes:
        run_id: Dagster's run, '' outside of one.
        asset_key: The asset or check, slash-separated, '' outside of one.
        job: Dagster's job, or the command on the command line.
    """

    run_id: str = ""
    asset_key: str = ""
    job: str = ""

    def log_comment(self) -> str:
        """Returns the tag as one JSON object with the keys run_id, asset_key and job."""
        return json.dumps(
            {"run_id": self.run_id, "asset_key": self.asset_key, "job": self.job},
            separators=(",", ":"),
        )


def _directly(call: Callable[[], Result]) -> Result:
    return call()


@dataclass(frozen=True)
class Warehouse:
    """An open ClickHouse, embedded or a server.

    Attributes:
        client: The driver's client; one call at a time.
        description: Names the warehouse in messages, without its password.
        cluster: The cluster's name when migrations run their cluster form, else None.
        origin: Who asks.
        insert_scope: Entered around each insert (for the insert files of the embedded engine).
        is_server: Whether other processes may write to it at the same time (see lease.py).
        inserts_folder: Where the embedded engine reads what `insert_select` sends, in this process
            or in the one that serves it; None for a server of another kind, which takes it as the
            body of the request.
        reopen: Opens one more client of the same warehouse.
        calls: Makes each call of the client. The embedded engine's are made so that a signal ends
            them; a call to a server is a socket's, which a signal ends by itself.
    """

    client: Client = field(repr=False)
    description: str
    cluster: str | None = None
    origin: Origin = Origin()
    insert_scope: Callable[[], contextlib.AbstractContextManager[None]] = field(
        default=contextlib.nullcontext, repr=False
    )
    is_server: bool = False
    inserts_folder: Path | None = field(default=None, repr=False)
    reopen: Callable[[], contextlib.AbstractContextManager[Client]] | None = field(
        default=None, repr=False
    )

    calls: Callable[[Callable[[], Any]], Any] = field(default=_directly, repr=False)

    @property
    def is_embedded(self) -> bool:
        """Whether the engine is the embedded one, in this process or served by another."""
        return self.inserts_folder is not None

    def for_origin(self, origin: Origin) -> "Warehouse":
        """Returns a copy that tags its queries with a different origin."""
        return replace(self, origin=origin)

    @contextlib.contextmanager
    def second_connection(self) -> Iterator["Warehouse"]:
        """Opens a second connection to the same warehouse: a client makes one call at a time.

        Raises:
            WarehouseTransientError, WarehousePermanentError: It cannot be opened.
        """
        if self.reopen is None:
            raise RuntimeError("this warehouse was not opened by open_warehouse")
        with self.reopen() as client:
            yield replace(self, client=client)

    def command(self, sql: str, parameters: Parameters | None = None, **settings: Any) -> None:
        """Runs one statement that returns nothing; it may be sent twice.

        Raises:
            WarehouseTransientError, WarehousePermanentError: as everywhere in this class.
        """
        self._call(
            sql,
            lambda: self.client.command(sql, parameters=_bound(parameters), settings=settings),
        )

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """Returns all rows of a SELECT. Times below a microsecond need toUnixTimestamp64Nano."""
        result = self._call(
            sql,
            lambda: self.client.query(sql, parameters=_bound(parameters)),
        )
        return [tuple(row) for row in result.result_rows]

    def records(self, sql: str, parameters: Parameters | None = None) -> list[dict[str, Any]]:
        """Returns all rows of a SELECT as dictionaries by column name."""
        result = self._call(
            sql,
            lambda: self.client.query(sql, parameters=_bound(parameters)),
        )
        return [dict(row) for row in result.named_results()]

    def row(self, sql: str, parameters: Parameters | None = None) -> tuple[Any, ...]:
        """Returns the one row of a SELECT; ValueError when there are more or none."""
        rows = self.rows(sql, parameters)
        if len(rows) != 1:
            raise ValueError(f"{_shown(sql)} gave {len(rows)} rows, expected one")
        return rows[0]

    def scalar(self, sql: str, parameters: Parameters | None = None) -> Any:
        """Returns the one value of a SELECT; ValueError when there is not exactly one row."""
        return self.row(sql, parameters)[0]

    def frame(self, sql: str, parameters: Parameters | None = None) -> "pd.DataFrame":
        """Returns a SELECT as a pandas DataFrame, exact to the nanosecond and the last decimal.

        How columns arrive, by their ClickHouse type:
            Decimal: dtype object, each value a decimal.Decimal with all its digits. Add money up
                in SQL; pandas' own sum rounds at 28 digits.
            DateTime64: datetime64[ns, UTC], aware and exact to the nanosecond.
            UUID: dtype object, each value a uuid.UUID.
            Nullable: None, NaT or pandas.NA in the place of NULL.

        Without rows the frame still has its columns (the driver alone returns none).

        Args:
            sql: One SELECT, without a FORMAT clause.
            parameters: Bound to the statement, as in `{identity:UUID}`.

        Raises:
            WarehouseTransientError, WarehousePermanentError: as everywhere in this class.
        """
        import pandas as pd  # noqa: PLC0415 - its import takes longer than most commands need

        result: pd.DataFrame = self._call(
            sql,
            lambda: self.client.query_df(sql, parameters=_bound(parameters), tz_mode="aware"),
        )
        if len(result.columns) == 0:
            described = self.rows(f"DESCRIBE TABLE ({sql.rstrip().rstrip(';')})", parameters)
            return pd.DataFrame(columns=pd.Index([str(row[0]) for row in described]))
        return result

    def text(self, sql: str, *, fmt: str = "PrettyCompactMonoBlock") -> str:
        """Returns the result of one statement as text in one of ClickHouse's output formats."""
        settings = {"output_format_pretty_color": 0, "output_format_pretty_row_numbers": 0}
        answer = self._call(sql, lambda: self.client.raw_query(sql, fmt=fmt, settings=settings))
        return answer.decode("utf-8", "replace")

    def insert_rows(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], **settings: Any
    ) -> None:
        """Inserts Python rows as one block; it may be sent twice."""
        block = [list(row) for row in rows]
        if not block:
            return
        sent_settings = self._insert_settings(settings)
        self._insert(
            table,
            lambda: self.client.insert(
                table, block, column_names=list(columns), settings=sent_settings
            ),
        )

    def insert_json(self, table: str, rows: Sequence[Mapping[str, Any]], **settings: Any) -> None:
        """Inserts rows as one block, written as JSON; it may be sent twice.

        For what every command may write: for `insert_rows` the driver loads pandas, which takes
        longer than most commands.

        Args:
            table: Its columns have the names of the values.
            rows: Values by column, all with the same columns; a time as text.
            settings: Of the statement.
        """
        if not rows:
            return
        sent_settings = self._insert_settings(settings)
        self._insert(
            table,
            lambda: self.client.raw_insert(
                table,
                column_names=list(rows[0]),
                insert_block="".join(json.dumps(row) + "\n" for row in rows).encode(),
                fmt="JSONEachRow",
                settings=sent_settings,
            ),
        )

    def insert_select(
        self,
        sql: str,
        rows: Iterable[Sequence[bytes | memoryview]],
        parameters: Parameters | None = None,
        fmt: str = "RowBinary",
        /,
        **settings: Any,
    ) -> None:
        """Runs an INSERT … SELECT over rows that this process sends; it may be sent twice.

        Args:
            sql: Reads the rows by the table function `input('name type, …')`, used once.
            rows: Each in the format `fmt` with that structure, in pieces that follow one another.
            parameters: Bound to the statement.
            fmt: ClickHouse's name of an input format.
            settings: Of the statement.
        """
        if self.inserts_folder is None:
            body = b"".join(piece for row in rows for piece in row)
            self._insert_body(sql, body, parameters, fmt, settings)
            return
        with self.spool() as spool:
            for row in rows:
                spool.write(row)
            self._insert_file(sql, spool, parameters, fmt, settings)

    def spool(self) -> Spool:
        """Returns an empty file for the rows of `insert_spooled`."""
        return Spool(self.inserts_folder)

    def insert_spooled(
        self, sql: str, rows: Spool, parameters: Parameters | None = None, **settings: Any
    ) -> None:
        """Runs an INSERT … SELECT over rows in RowBinary that lie in a file; else as above."""
        if self.inserts_folder is None:
            self._insert_body(sql, rows.read(0, rows.size), parameters, "RowBinary", settings)
        else:
            self._insert_file(sql, rows, parameters, "RowBinary", settings)

    def _insert_body(
        self,
        sql: str,
        body: bytes,
        parameters: Parameters | None,
        fmt: str,
        settings: Mapping[str, Any],
    ) -> None:
        sent_settings = self._insert_settings(settings)
        self._call(
            _with_names(sql, parameters),
            lambda: self.client.command(
                f"{sql}\nFORMAT {fmt}",
                parameters=_bound(parameters),
                data=body,
                settings=sent_settings,
            ),
        )

    def _insert_file(
        self,
        sql: str,
        rows: Spool,
        parameters: Parameters | None,
        fmt: str,
        settings: Mapping[str, Any],
    ) -> None:
        """Inserts from a file: the embedded engine takes no body."""
        sent_settings = self._insert_settings(settings)
        path = rows.path().replace("\\", "\\\\").replace("'", "\\'")
        reading = sql.replace("input(", f"file('{path}', '{fmt}', ", 1)
        self._call(
            _with_names(sql, parameters),
            lambda: self.client.command(
                reading, parameters=_bound(parameters), settings=sent_settings
            ),
        )

    def _insert(self, table: str, send: Callable[[], object]) -> None:
        def scoped() -> object:
            try:
                with self.insert_scope():
                    return send()
            except OSError as error:  # the driver's own file; its transport has other errors
                if self.inserts_folder is None:
                    raise
                raise unwritable(self.inserts_folder, error) from error

        self._call(f"INSERT INTO {table}", scoped)

    def _call(self, sql: str, send: Callable[[], Result]) -> Result:
        def tagged() -> Result:
            # Kept by the client: the embedded engine takes five statements to set it for one.
            comment = self.origin.log_comment()
            if self.client.get_client_setting(_TAG) != comment:
                self.client.set_client_setting(_TAG, comment)
            return send()

        def attempt() -> Result:
            try:
                answer: Result = self.calls(tagged)
            except ClickHouseError as error:
                raise translate(error, what=f"{self.description}: {_shown(sql)}") from error
            return answer

        return with_retries(attempt)

    def _insert_settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        # One id for all attempts of an insert: a server refuses the second (code 216) for as long
        # as the first is still running, and two at once could both miss the rows of the other.
        return {"query_id": str(uuid.uuid4()), **settings} if self.is_server else dict(settings)


def _bound(parameters: Parameters | None) -> dict[str, Any] | None:
    return dict(parameters) if parameters else None


def _with_names(sql: str, parameters: Parameters | None) -> str:
    """Returns a statement with its bound names filled in, for messages."""
    for name, value in (parameters or {}).items():
        sql = sql.replace(f"{{{name}:Identifier}}", str(value))
    return sql


def _shown(sql: str) -> str:
    """Returns the beginning of a statement, without comments, enough to find it."""
    lines = (line for line in sql.splitlines() if not line.lstrip().startswith("--"))
    text = " ".join(" ".join(lines).split())
    return text if len(text) <= _SQL_SHOWN_LENGTH else text[:_SQL_SHOWN_LENGTH] + "…"
