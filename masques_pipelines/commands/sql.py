"""`masques sql`: queries against the warehouse, shown as ClickHouse shows them."""

import os
import sys

import click

from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.schema.migrations import MigrationError, schema_problem
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.errors import UNKNOWN_NAME_CODES, WarehousePermanentError
from masques_pipelines.warehouse.sql import split_statements
from masques_pipelines.warehouse.statements import changes
from masques_pipelines.warehouse.stream import stream_query


@click.command(short_help="Run a query and show its result.")
@click.argument("query")
@click.option(
    "--format",
    "fmt",
    default="PrettyCompactMonoBlock",
    show_default=True,
    help="Any output format of ClickHouse: CSVWithNames, JSONEachRow, Vertical …",
)
@click.option("--write", "may_write", is_flag=True, help="Also run what changes something.")
def sql(query: str, fmt: str, *, may_write: bool) -> None:
    """Run QUERY (several are split at the semicolons); - reads it from standard input.

    Without --write nothing can be changed: the engine refuses it. Results are shown as they come;
    Ctrl-C ends the query, also on a server.
    """
    settings = command_settings()
    text = sys.stdin.read() if query == "-" else query
    statements = split_statements(text, name="query")
    if not statements:
        raise click.UsageError("the query is empty")
    for statement in statements:
        if not may_write and changes(statement.encode()):
            shown = " ".join(statement.split())[:60]
            raise click.UsageError(f"{shown!r} is not a query: give --write to change something")
    with opened_warehouse(settings, "sql", needs_schema=False) as warehouse:
        try:
            for statement in statements:
                _run(warehouse, statement, fmt, may_write=may_write)
        except WarehousePermanentError as error:
            problem = schema_problem(warehouse) if error.code in UNKNOWN_NAME_CODES else ""
            if problem:
                raise MigrationError(f"{problem}; the query failed: {error}") from error
            raise
        except BrokenPipeError:  # `| head` has seen enough
            # Python would complain about what is left in its buffer when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(warehouse: Warehouse, statement: str, fmt: str, *, may_write: bool) -> None:
    try:
        stream_query(warehouse, statement, fmt=fmt, write=_write, may_write=may_write)
    finally:
        sys.stdout.flush()


def _write(piece: bytes) -> None:
    binary = getattr(sys.stdout, "buffer", None)  # none when something else takes the output
    if binary is None:
        sys.stdout.write(piece.decode("utf-8", "replace"))
    else:
        binary.write(piece)
