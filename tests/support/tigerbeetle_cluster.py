"""A TigerBeetle cluster of three replicas on loopback, for tests.

Here: formatting, starting, killing and recovering single replicas, and putting back older files.
Not here: one replica alone (tigerbeetle_server.py), clients (tigerbeetle_load.py).
A re-run formats new data files; replicas end with the context, and their files with them.
"""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.patience import moment_s
from tests.support.tigerbeetle_server import CLUSTER_ID, free_port

REPLICAS: Final = 3


class TigerBeetleCluster:
    """Replicas 0 to 2 of one cluster, on ports that stay the same."""

    def __init__(self, folder: Path, *, binary: Path, cluster_id: int = CLUSTER_ID) -> None:
        self.cluster_id = cluster_id
        self._binary = binary
        self._folder = folder
        self._ports = [free_port() for _ in range(REPLICAS)]
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def addresses(self) -> str:
        """The addresses as the TigerBeetle client takes them."""
        return ",".join(f"127.0.0.1:{port}" for port in self._ports)

    @property
    def url(self) -> str:
        """The addresses as MASQUES_LEDGER_URL takes them."""
        return f"tigerbeetle://{self.addresses}/?cluster_id={self.cluster_id}&open_timeout_s=20"

    def format(self) -> None:
        for replica in range(REPLICAS):
            self._run("format", replica)

    def start(self, *replicas: int) -> None:
        """Starts these replicas, or all."""
        for replica in replicas or range(REPLICAS):
            with (self._folder / f"{replica}.log").open("ab") as log:
                self._running[replica] = subprocess.Popen(
                    [
                        str(self._binary),
                        "start",
                        f"--addresses={self.addresses}",
                        "--development",
                        str(self._file(replica)),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )

    def kill(self, *replicas: int) -> None:
        """Ends these replicas, or all, as a power cut would."""
        for replica in replicas or tuple(self._running):
            process = self._running.pop(replica, None)
            if process is not None:
                process.kill()
                process.wait(moment_s())

    def recover(self, replica: int) -> None:
        """Loses a replica's file and makes a new one, which fills itself from the others."""
        self._file(replica).unlink()
        self._run("recover", replica)

    def keep(self, folder: Path) -> None:
        """Copies the files of all replicas, none of which runs."""
        folder.mkdir()
        for replica in range(REPLICAS):
            shutil.copy(self._file(replica), folder)

    def put_back(self, folder: Path) -> None:
        """Puts kept files back, as the restoring of a backup does."""
        for replica in range(REPLICAS):
            shutil.copy(folder / self._file(replica).name, self._file(replica))

    def _file(self, replica: int) -> Path:
        return self._folder / f"{self.cluster_id}_{replica}.tigerbeetle"

    def _run(self, verb: str, replica: int) -> None:
        command = [str(self._binary), verb, f"--cluster={self.cluster_id}"]
        command += [f"--replica={replica}", f"--replica-count={REPLICAS}", "--development"]
        if verb == "recover":
            command.append(f"--addresses={self.addresses}")
        done = subprocess.run(
            [*command, str(self._file(replica))], capture_output=True, check=False, text=True
        )
        if done.returncode:
            raise RuntimeError(f"tigerbeetle {verb} failed: {done.stderr[-2000:]}")


@contextlib.contextmanager
def running_cluster(
    folder: Path, *, binary: Path, cluster_id: int = CLUSTER_ID
) -> Iterator[TigerBeetleCluster]:
    """Runs a new, empty cluster; its replicas and files are gone at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = TigerBeetleCluster(folder, binary=binary, cluster_id=cluster_id)
    try:
        cluster.format()
        cluster.start()
        yield cluster
    finally:
        cluster.kill()
        for file in folder.glob("*.tigerbeetle"):
            file.unlink()
