"""`masques sql`: one query against the warehouse, shown as ClickHouse shows it."""

import sys

import click

from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.schema.migrations import MigrationError, schema_problem
from masques_pipelines.warehouse.errors import UNKNOWN_NAME_CODES, WarehousePermanentError
from masques_pipelines.warehouse.sql import split_statements


@click.command(short_help="Run a query and show its result.")
@click.argument("query")
@click.option(
    "--format",
    "fmt",
    default="PrettyCompactMonoBlock",
    show_default=True,
    help="Any output format of ClickHouse: CSVWithNames, JSONEachRow, Vertical …",
)
def sql(query: str, fmt: str) -> None:
    """Run QUERY (several are split at the semicolons); - reads it from standard input."""
    settings = command_settings()
    text = sys.stdin.read() if query == "-" else query
    statements = split_statements(text, name="query")
    if not statements:
        raise click.UsageError("the query is empty")
    with opened_warehouse(settings, "sql", needs_schema=False) as warehouse:
        try:
            for statement in statements:
                click.echo(warehouse.text(statement, fmt=fmt), nl=False)
        except WarehousePermanentError as error:
            problem = schema_problem(warehouse) if error.code in UNKNOWN_NAME_CODES else ""
            if problem:
                raise MigrationError(f"{problem}; the query failed: {error}") from error
            raise
