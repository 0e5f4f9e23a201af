"""The process that owns an embedded engine and answers for it, until it is told to stop.

`python -m masques_pipelines.warehouse.serve.process FOLDER PORT`, started by keeper.py, which holds
the other end of its standard input: when that ends, so does this.
"""

import asyncio
import functools
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from masques_pipelines.errors import MasquesError
from masques_pipelines.warehouse import embedded
from masques_pipelines.warehouse.serve.address import HOST, READER, WRITER, announced, password
from masques_pipelines.warehouse.serve.app import App
from masques_pipelines.warehouse.serve.engine import READERS, Engine
from masques_pipelines.warehouse.serve.readers import LIMITS
from masques_pipelines.warehouse.serve.wire import MAX_URI_BYTES

# As ClickHouse; too short, and clients see connections that are closed while they ask.
KEEP_ALIVE_S: Final = 30
# Statements that run when it is told to stop are finished within that time, else cut.
GRACE_S: Final = 10
# Beside what the pipeline has, so that readers do not take it.
MEMORY_BYTES: Final = (
    int(embedded.ENGINE_OPTIONS["max_server_memory_usage"]) + READERS * LIMITS["max_memory_usage"]
)
EXIT_FAILED: Final = 1


def serve(folder: Path, port: int) -> None:
    """Opens the engine when it is free, and answers until SIGTERM.

    Args:
        folder: The engine's data.
        port: On loopback; 0, or one that is taken: any free one.

    Raises:
        WarehouseTransientError, WarehousePermanentError: The engine cannot be opened.
    """
    options = {"max_server_memory_usage": str(MEMORY_BYTES)}
    with embedded.owned(folder, options) as (connection, side), _listener(port) as listener:
        files = embedded.inserts_folder(folder)
        engine = Engine(connection, files, embedded.SESSION_SETTINGS)
        passwords = {user: password(side, user) for user in (WRITER, READER)}
        app = App(engine, files, passwords).starlette()
        config = server_config(app)
        with announced(side, listener.getsockname()[1]):
            uvicorn.Server(config).run(sockets=[listener])


def server_config(app: Starlette, protocol: type[asyncio.Protocol] = H11Protocol) -> uvicorn.Config:
    """Returns how the server runs; the protocol is named because of what asyncio does.

    It turns Nagle's algorithm off only where the protocol is named; with it on, every answer waits
    40 ms for the client's delayed acknowledgement.
    """
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        access_log=False,
        log_level="critical",  # a query that fails amid its result is told to its client
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=MAX_URI_BYTES,
    )


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.bind((HOST, 0))
    listener.listen(128)
    return listener


def stop_when_input_ends() -> None:
    """Ends this process when the one that started it is gone, however it went."""

    def watch() -> None:
        # Not through sys.stdin: its lock would be held while the interpreter shuts down.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Serves until SIGTERM or the end of its input; says in one line why it cannot."""
    os.umask(0o077)
    stop_when_input_ends()
    # uvicorn ends itself by the signal that it was sent; asked to stop is not a failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its keeper's
    say = functools.partial(print, file=sys.stderr)
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    sys.argv[:] = ["masques serve"]  # what others are told who wait for the warehouse
    try:
        serve(folder, port)
    except MasquesError as error:
        say(f"masques: {error}")
        sys.exit(EXIT_FAILED)


if __name__ == "__main__":
    main()
