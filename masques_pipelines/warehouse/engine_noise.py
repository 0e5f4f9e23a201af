"""Keeps off stderr what the embedded engine says of a machine without cgroups.

It looks for the memory file of a cgroup each time it is loaded and each time it opens a folder.
Where none is, as in a chroot, it goes on without, but prints a C++ stack trace of 35 lines into
every command's output (chDB 4.4.0), before any setting of its is read.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# Of version 2 and of version 1, as the engine looks for them.
_MEMORY_FILES: Final = ("memory.stat", "memory/memory.stat")
_CGROUPS: Final = Path("/sys/fs/cgroup")
_NOISE: Final = re.compile(
    rb"Cannot use cgroups reader: .*?^ \(version [^\n]*\)\n", re.DOTALL | re.MULTILINE
)
_STDERR: Final = 2


@contextlib.contextmanager
def without_cgroup_noise(cgroups: Path = _CGROUPS) -> Iterator[None]:
    """Holds stderr back while the engine is loaded or opened, and lets all else through after it.

    Where there are cgroups it does nothing.

    Args:
        cgroups: Where the machine has them.
    """
    if any((cgroups / name).exists() for name in _MEMORY_FILES):
        yield
        return
    sys.stderr.flush()
    kept = os.dup(_STDERR)
    try:
        with tempfile.TemporaryFile() as held:
            os.dup2(held.fileno(), _STDERR)
            try:
                yield
            finally:
                sys.stderr.flush()
                os.dup2(kept, _STDERR)
                held.seek(0)
                said = _NOISE.sub(b"", held.read())
                while said:
                    said = said[os.write(_STDERR, said) :]
    finally:
        os.close(kept)
