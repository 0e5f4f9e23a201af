"""Runs `masques serve`'s process on a folder, as its keeper does."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from masques_pipelines.warehouse.embedded import side_folder
from masques_pipelines.warehouse.serve.address import Address, find_server
from masques_pipelines.warehouse.serve.keeper import keep_served
from tests.support.paths import ROOT
from tests.support.patience import until


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Address]:
    """One process; its end is not looked after."""
    process = subprocess.Popen(
        [sys.executable, "-m", "masques_pipelines.warehouse.serve.process", str(folder), "0"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield _found(folder, process.pid)
    finally:
        process.terminate()
        process.communicate(timeout=60)


@contextlib.contextmanager
def kept(folder: Path) -> Iterator[Address]:
    """A process that is started again when it is killed."""
    is_over = threading.Event()
    keeper = threading.Thread(
        target=keep_served,
        args=(folder,),
        kwargs={"port": 0, "is_over": is_over.is_set, "ready": lambda _: None},
        daemon=True,
    )
    keeper.start()
    try:
        yield _found(folder)
    finally:
        is_over.set()
        keeper.join(60)


def _found(folder: Path, pid: int | None = None) -> Address:
    found: list[Address] = []

    def is_there() -> bool:
        address = find_server(side_folder(folder))
        if address is not None and pid in {None, address.pid}:
            found.append(address)
        return bool(found)

    until(is_there, "the process to serve")
    return found[0]
