"""Where the process that serves an embedded warehouse listens, and the passwords of its users.

Beside the warehouse's folder, readable by its owner only: `serve.json` names the process, which
holds a lock on it until it ends, however it ends; `pipeline` and `reader` hold the passwords. They
stay when the process ends, so that what was configured once goes on working.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from masques_pipelines.warehouse.errors import unwritable

HOST: Final = "127.0.0.1"
# The pipeline's own processes, and everybody else.
WRITER: Final = "pipeline"
READER: Final = "reader"
_ADDRESS: Final = "serve.json"
_PASSWORDS: Final = "serve.{user}"
_TEXT_LENGTH_MAX: Final = 400


@dataclass(frozen=True)
class Address:
    """A process that serves, or served, a warehouse."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """The address for a person, without a password."""
        return f"http://{HOST}:{self.port}"


@contextlib.contextmanager
def announced(side: Path, port: int) -> Iterator[None]:
    """Says that this process serves the warehouse, until the block or the process ends."""
    try:
        descriptor = os.open(side / _ADDRESS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Who looks whether it is held holds it for a moment.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(Address(port, os.getpid()))).encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
    except OSError as error:
        raise unwritable(side / _ADDRESS, error) from error
    try:
        yield
    finally:
        os.close(descriptor)


def last_address(side: Path) -> Address | None:
    """Returns who served the warehouse last, running or not; None when nobody ever did."""
    return _read(side)[0]


def find_server(side: Path) -> Address | None:
    """Returns who serves the warehouse now; None when nobody does."""
    address, is_held = _read(side)
    return address if is_held else None


def _read(side: Path) -> tuple[Address | None, bool]:
    try:
        descriptor = os.open(side / _ADDRESS, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None, False
    try:
        is_held = False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            is_held = True
        said = json.loads(os.pread(descriptor, _TEXT_LENGTH_MAX, 0))
        return Address(int(said["port"]), int(said["pid"])), is_held
    except (OSError, ValueError, KeyError, TypeError):  # being written just now
        return None, False
    finally:
        os.close(descriptor)


def password_file(side: Path, user: str) -> Path:
    """Returns the file of a user's password."""
    return side / _PASSWORDS.format(user=user)


def password(side: Path, user: str) -> str:
    """Returns the password of a user; it is made when it is first asked for.

    Raises:
        WarehouseTransientError: The file cannot be written or read.
    """
    path = password_file(side, user)
    try:
        if not path.exists():
            # Whole or not at all, and the first of several stays.
            part = path.with_name(f".{path.name}.{os.getpid()}.part")
            made = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(made, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(24) + "\n")
            with contextlib.suppress(FileExistsError):
                os.link(part, path)
            part.unlink()
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise unwritable(path, error) from error
