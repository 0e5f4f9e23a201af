"""Keeps rows in a temporary file until they are sent: many rows need no memory meanwhile."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Final

from masques_pipelines.warehouse.errors import unwritable

_SUFFIX: Final = ".rows"


def is_held_spool(path: Path) -> bool:
    """Says whether a living process keeps rows in that file."""
    if not path.name.endswith(_SUFFIX):
        return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # gone meanwhile
        return False
    return False


class Spool:
    """Rows in a format of the engine, one after the other, in a file that goes with this object.

    Attributes:
        size: Bytes so far.
    """

    def __init__(self, folder: Path | None) -> None:
        """Makes an empty file.

        Args:
            folder: Where the embedded engine can read it; None for a file without a name.

        Raises:
            WarehouseTransientError: It cannot be written, here or below.
        """
        self._folder = folder or Path(tempfile.gettempdir())
        self.size = 0
        try:
            self._file: IO[bytes] = (
                tempfile.NamedTemporaryFile(dir=folder, suffix=_SUFFIX)  # noqa: SIM115 - closed by close()
                if folder
                else tempfile.TemporaryFile()  # noqa: SIM115
            )
            # Until it is closed or the process ends: a file whose lock is free is left over.
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX)
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def __enter__(self) -> "Spool":
        """Returns itself; the file is removed at the end of the block."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Removes the file."""
        self.close()

    def write(self, row: Iterable[bytes | memoryview]) -> None:
        """Adds a row, in pieces that follow one another."""
        try:
            for piece in row:
                self._file.write(piece)
                self.size += len(piece)
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def read(self, offset: int, size: int) -> bytes:
        """Returns bytes that were written."""
        self._flush()
        return os.pread(self._file.fileno(), size, offset)

    def path(self) -> str:
        """Returns where all that was written can be read now."""
        self._flush()
        return str(self._file.name)

    def close(self) -> None:
        """Removes the file."""
        with contextlib.suppress(OSError):  # nobody wants what a full disk did not take
            self._file.close()

    def _flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            raise unwritable(self._folder, error) from error
