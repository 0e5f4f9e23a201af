"""`masques doctor`: looks at everything that a run needs, and says what to do."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from masques_pipelines.commands.dagster_home import dagster_home
from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.doctor.around import Surroundings, guarded, look_around, utc_now
from masques_pipelines.doctor.finding import Finding
from masques_pipelines.doctor.inside import look_inside, read_lags, read_sizes, read_stuck
from masques_pipelines.doctor.textfile import write_textfile
from masques_pipelines.sandbox.stand_ins import prepare_sources
from masques_pipelines.settings import Settings, environment


@click.command(short_help="Look at everything that a run needs, and say what to do.")
@click.option("--json", "as_json", is_flag=True, help="One object a line instead of text.")
@click.option(
    "--textfile",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a file for Prometheus' textfile collector too.",
)
@click.pass_context
def doctor(context: click.Context, *, as_json: bool, textfile: Path | None) -> None:
    """Look at settings, systems, versions, clocks, rights, schema, disk, lag, quarantine, daemon.

    Each system is asked once, and nothing is written to any (a sandbox without a world gets one).
    Exits with 1 when something is bad;
    warnings do not count.
    """
    settings = command_settings()
    prepare_sources(settings)
    numbers: dict[str, Any] = {"lags_s": {}, "sizes": {}, "stuck": {}}
    around = Surroundings(settings, dagster_home(environment()), utc_now())
    findings = []
    for finding in (
        *look_around(around),
        *guarded("warehouse", lambda: _inside(settings, numbers)),
    ):
        findings.append(finding)
        click.echo(json.dumps(asdict(finding)) if as_json else finding.line)
    if textfile is not None:
        write_textfile(textfile, findings, **numbers)
    context.exit(1 if any(each.level == "bad" for each in findings) else 0)


def _inside(settings: Settings, numbers: dict[str, Any]) -> Iterator[Finding]:
    with opened_warehouse(settings, "doctor", needs_schema=False) as warehouse:
        is_there = False
        free = None if warehouse.is_server else shutil.disk_usage(settings.home).free
        for finding in look_inside(warehouse, free_bytes=free):
            is_there |= finding.name == "schema" and finding.level == "good"
            yield finding
        if is_there:
            numbers.update(
                lags_s=read_lags(warehouse),
                sizes=read_sizes(warehouse),
                stuck=read_stuck(warehouse),
            )
