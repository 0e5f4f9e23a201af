"""Writes a file so that it is there whole or not at all, also when the writer is killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path, *, age_s: float = 0) -> Iterator[BinaryIO]:
    """Yields a file to write, which takes the place of the path at the end.

    Who has opened or mapped the file of before keeps what it held. While it is written it is hidden
    and ends in `.part`, which no reader of a folder takes.

    Args:
        path: Of the file; its folder is there.
        age_s: How long ago it shall seem to have been written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            if age_s:
                file.flush()
                written_s = os.fstat(file.fileno()).st_mtime - age_s
                os.utime(file.fileno(), (written_s, written_s))
        part.replace(path)
    except BaseException:
        # Half a file on a full disk is what fills it.
        with suppress(OSError):
            part.unlink()
        raise
