"""`masques serve`: one process owns the embedded warehouse, and many ask it."""

import click

from masques_pipelines.commands.beside import WITH_PARENT, parent_is_gone
from masques_pipelines.commands.settings import command_settings
from masques_pipelines.errors import SettingError
from masques_pipelines.sandbox.stand_ins import prepare
from masques_pipelines.warehouse.connect import embedded_folder
from masques_pipelines.warehouse.embedded import side_folder
from masques_pipelines.warehouse.serve.address import READER, Address, find_server, password_file


@click.command(short_help="Serve the embedded warehouse on loopback: many ask while runs write.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="On 127.0.0.1. Without it the one of before, or any free one.",
)
@click.option(WITH_PARENT, is_flag=True, hidden=True)
def serve(*, port: int, with_parent: bool) -> None:
    """Answer ClickHouse's HTTP protocol for the embedded warehouse, until Ctrl-C.

    Other commands and runs find it by themselves. Everybody else is the user `reader`, whose
    password stands in the file that is printed.
    """
    from masques_pipelines.warehouse.serve import keeper  # noqa: PLC0415 - only for this command

    settings = command_settings()
    prepare(settings)
    folder = embedded_folder(settings)
    if folder is None:
        raise SettingError(
            "MASQUES_CLICKHOUSE_URL: it names a ClickHouse server, which serves by itself; "
            "`masques serve` is for the embedded warehouse"
        )
    side = side_folder(folder)
    served = find_server(side)
    if served is not None:
        raise SettingError(
            f"MASQUES_HOME: {folder} is served already by process {served.pid} at {served.url}: "
            "use that, or stop it first"
        )

    def ready(address: Address) -> None:
        click.echo(f"served     {address.url}")
        click.echo(f"user       {READER}, password in {password_file(side, READER)}")

    is_over = parent_is_gone(with_parent=with_parent)
    keeper.keep_served(folder, port=port, is_over=is_over, ready=ready)
