"""A real TigerBeetle server on loopback, for tests.

Here: finding the binary, one server with its data file, and stopping, killing and restarting it.
Not here: any client (tigerbeetle_load.py writes; the ledger sources read).
A re-run formats a new data file; a server ends with its context, and its 1.1 GB file with it.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.support.patience import moment_s

BINARY_VARIABLE: Final = "TIGERBEETLE_BIN"
OLD_BINARY_VARIABLE: Final = "TIGERBEETLE_OLD_BIN"
CLUSTER_ID: Final = 7

# A start reads 1 GB of journal: about 6 s on two idle cores, more when they are busy.


def binary_or_skip() -> Path:
    """Returns the server's binary, or skips the test that asks for it."""
    named = os.environ.get(BINARY_VARIABLE) or shutil.which("tigerbeetle")
    if not named:
        pytest.skip(f"no TigerBeetle server: set {BINARY_VARIABLE}, or put tigerbeetle on PATH")
    return _existing(named, BINARY_VARIABLE)


def old_binary_or_skip() -> Path:
    """Returns the binary of a server older than the pinned client, or skips the test."""
    named = os.environ.get(OLD_BINARY_VARIABLE)
    if not named:
        pytest.skip(f"no older TigerBeetle server: set {OLD_BINARY_VARIABLE}")
    return _existing(named, OLD_BINARY_VARIABLE)


def _existing(named: str, variable: str) -> Path:
    path = Path(named)
    if not path.is_file():  # a variable that is set and wrong is a mistake, not a reason to skip
        raise FileNotFoundError(f"{variable}: {path} is not a file")
    return path


def free_port() -> int:
    """Returns a loopback port on which nothing listens right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass
class TigerBeetleServer:
    """One replica of one cluster, on a port that stays the same over restarts.

    Attributes:
        binary: The server's executable.
        folder: Where its data file and its log are.
        cluster_id: The cluster's number.
        development: Small caches, 32 KiB requests and 1016 change events a page at most.
        host: The loopback address that it listens on.
        port: The port that it listens on.
        cache_grid: Memory of a server that is no development one; its own default is 1 GiB.
    """

    binary: Path
    folder: Path
    cluster_id: int = CLUSTER_ID
    development: bool = True
    host: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    cache_grid: str = "256MiB"
    _process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """The address as the TigerBeetle client takes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as MASQUES_LEDGER_URL takes it."""
        return f"tigerbeetle://{self.address}/?cluster_id={self.cluster_id}"

    @property
    def data_file(self) -> Path:
        return self.folder / "0_0.tigerbeetle"

    @property
    def log(self) -> Path:
        return self.folder / "tigerbeetle.log"

    def format(self) -> None:
        """Makes the empty data file."""
        command = [str(self.binary), "format", f"--cluster={self.cluster_id}"]
        command += ["--replica=0", "--replica-count=1", *self._development_flag()]
        done = subprocess.run(
            [*command, str(self.data_file)], capture_output=True, check=False, text=True
        )
        if done.returncode:
            raise RuntimeError(f"tigerbeetle format failed: {done.stderr[-2000:]}")

    def start(self) -> None:
        """Starts the server on its data file and returns when it takes connections."""
        command = [str(self.binary), "start", f"--addresses={self.address}"]
        command += self._development_flag()
        if not self.development:
            command.append(f"--cache-grid={self.cache_grid}")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(self.data_file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_until_it_listens()

    def stop(self) -> None:
        """Ends the server in order; stopping a stopped one does nothing."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the server at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freezes the server: it holds its connections and answers nothing."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a frozen server go on."""
        self._running().send_signal(signal.SIGCONT)

    def _development_flag(self) -> list[str]:
        return ["--development"] if self.development else []

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process

    def _end(self, by: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)  # a frozen process would not see SIGTERM
        process.send_signal(by)
        try:
            process.wait(moment_s())
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(moment_s())

    def _wait_until_it_listens(self) -> None:
        process = self._running()
        deadline_s = time.monotonic() + moment_s()
        while time.monotonic() < deadline_s:
            if process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                socket.create_connection((self.host, self.port), timeout=1).close()
                return
            time.sleep(0.02)
        self.kill()
        tail = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise RuntimeError(f"the TigerBeetle server did not start: {tail}")


@contextlib.contextmanager
def running_server(
    folder: Path,
    *,
    binary: Path,
    cluster_id: int = CLUSTER_ID,
    development: bool = True,
    host: str = "127.0.0.1",
    cache_grid: str = "256MiB",
) -> Iterator[TigerBeetleServer]:
    """Runs a new, empty cluster of one replica; its files are removed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    server = TigerBeetleServer(
        binary=binary,
        folder=folder,
        cluster_id=cluster_id,
        development=development,
        host=host,
        cache_grid=cache_grid,
    )
    try:
        server.format()
        server.start()
        yield server
    finally:
        server.stop()
        server.data_file.unlink(missing_ok=True)
