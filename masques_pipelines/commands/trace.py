"""`masques trace`: the spans of one trace, as the Collector wrote them."""

import re
from typing import Final

import click

from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.errors import PermanentError
from masques_pipelines.warehouse.sql import sql

_EXISTS: Final = (
    "SELECT count() FROM system.tables WHERE database = 'otel' AND name = 'otel_traces'"
)


@click.command(short_help="Show the spans of a trace.")
@click.argument("trace_id")
def trace(trace_id: str) -> None:
    """Show the spans of TRACE_ID, from the first to the last, out of otel.otel_traces.

    The column trace_id of requests, sessions and transfers names it.
    """
    if not re.fullmatch(r"[0-9a-f]{32}", trace_id):
        raise click.BadParameter("write 32 hexadecimal digits in lower case", param_hint="TRACE_ID")
    with opened_warehouse(command_settings(), "trace", needs_schema=False) as warehouse:
        if not warehouse.scalar(_EXISTS):
            raise PermanentError(
                f"{warehouse.description}: it has no table otel.otel_traces: let the "
                "OpenTelemetry Collector write there, or run `masques demo` for a sandbox that has"
            )
        spans = warehouse.records(sql("otel/trace"), {"trace_id": trace_id})
    if not spans:
        raise PermanentError(f"{trace_id}: otel.otel_traces has no span of this trace")
    for span in spans:
        about = " ".join(f"{name}={value}" for name, value in span["attributes"].items())
        status = "" if span["status"] == "Unset" else f" {span['status']}"
        click.echo(
            f"{span['at']:%Y-%m-%d %H:%M:%S.%f} {span['ms']:>10.3f} ms  {span['service']:<12} "
            f"{span['span']}{status}  {about}"
        )
