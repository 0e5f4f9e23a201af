"""A real file system that is small, and a disk that is full."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[None]:
    """Mounts one on a folder; where this user may not, the test is skipped."""
    mount = ("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder))
    if not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield
    finally:
        subprocess.run(("umount", str(folder)), check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Leaves no byte free on the disk of a folder."""
    path = folder / "what-fills-the-disk"
    with path.open("wb", 0) as file:
        while free := shutil.disk_usage(folder).free:
            file.write(bytes(min(free, 1 << 20)))
    try:
        yield
    finally:
        path.unlink()
