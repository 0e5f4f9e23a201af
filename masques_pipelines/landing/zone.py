"""Opens the landing zone and reads its files: a folder or any URL that fsspec knows.

Nothing here writes: files belong to their producers. A reader of one folder lists it
(`listing.list_folder`), asks `FileLog` which files are new, reads (`read_lines`), and records what
it has read after its rows are in their tables.

What is wrong with one file is a FileProblemError, whatever the store raised. The listing decides
whether it is the file or the store: only a zone that cannot be listed either is unavailable.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, cast
from urllib.parse import urlsplit

from masques_pipelines.errors import MasquesError, PermanentError, SettingError, TransientError
from masques_pipelines.landing.chunks import Chunk, FileProblemError
from masques_pipelines.landing.fields import ANY_FIELDS, Fields
from masques_pipelines.landing.formats import read_blocks, read_chunks
from masques_pipelines.landing.local import LEAVES_THE_ZONE, OutsideError, open_inside
from masques_pipelines.settings import Settings

# The folders of the landing zone and their readers. A test holds it against the readers' own names.
EXCHANGE_RATES: Final = "exchange_rates"
SETTLEMENT_JOURNAL: Final = "settlement_journal"
FOLDERS: Final = (
    *("identities", "masque_sessions", "api_requests", "reputation_events", "payment_links"),
    *(EXCHANGE_RATES, SETTLEMENT_JOURNAL),
)

# Why a file as a whole is in quarantine, besides what formats.py finds.
BAD_NAME: Final = "bad_name"
CANNOT_BE_READ: Final = "cannot_be_read"
VANISHED: Final = "vanished"
# Reasons that may pass by themselves: such a file is read again.
RETRIED: Final = (CANNOT_BE_READ, VANISHED)

_EXTRA: Final = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}
# Errors that say nothing about the file that was read when they came.
_OF_THIS_MACHINE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)


class LandingUnavailableError(TransientError):
    """The landing zone cannot be listed for now, or this machine cannot read files for now."""


class LandingMissingError(PermanentError):
    """There is no landing zone where the settings say."""


@dataclass(frozen=True)
class LandingFile:
    """One settled file.

    Attributes:
        folder: The folder of the landing zone that it is for: the table, mostly.
        path: Path below the landing zone, with the folder; valid text, whatever its name is.
        version: Changes when the content does: the store's tag, or size and times.
        bytes: Its size.
        written_s: When it was written, seconds since 1970; 0 when the store does not say.
        stored_path: The path as the store has it, where `path` cannot show it; '' elsewhere.
        problem: Why it must not be opened, as in quarantine; '' when it may be.
    """

    folder: str
    path: str
    version: str
    bytes: int
    written_s: float
    stored_path: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Landing:
    """The landing zone that the settings name.

    Attributes:
        filesystem: The fsspec file system.
        root: Path of the landing zone in it.
        description: Names it in messages, without credentials.
    """

    filesystem: Any
    root: str
    description: str

    @property
    def is_local(self) -> bool:
        """Says whether it is a folder of this machine, and no other kind of store in its place."""
        from fsspec.implementations.local import LocalFileSystem  # noqa: PLC0415 - loaded by now

        return type(self.filesystem) is LocalFileSystem

    @property
    def has_prefixes_only(self) -> bool:
        """Says whether it is an object store, which has no folders of its own."""
        protocol = self.filesystem.protocol
        names = {protocol} if isinstance(protocol, str) else set(protocol)
        return bool(names & {*_EXTRA, "s3a"})

    def open(self, path: str) -> BinaryIO:
        """Opens a file by its path below the zone, for reading; raises whatever the store does."""
        if self.is_local:
            return open_inside(self.root, path)
        return cast("BinaryIO", self.filesystem.open(f"{self.root}/{path}", "rb"))

    def read(self, path: str, start: int, end: int) -> bytes:
        """Returns part of a file; raises whatever the store does."""
        if not self.is_local:
            return bytes(self.filesystem.cat_file(f"{self.root}/{path}", start=start, end=end))
        with open_inside(self.root, path) as file:
            file.seek(start)
            return file.read(max(0, end - start))

    def check(self) -> None:
        """Lists the zone itself, not what is below its folders.

        Raises:
            LandingMissingError: It does not exist.
            LandingUnavailableError: It cannot be listed.
        """
        try:
            self.filesystem.invalidate_cache()
            if self.is_local:
                os.scandir(self.root).close()
            else:
                self.filesystem.ls(self.root, detail=False)
        except (FileNotFoundError, NotADirectoryError) as error:
            if not self._is_empty_prefix():
                raise LandingMissingError(
                    f"{self.description}: there is no landing zone: create that folder or mount "
                    "it, or name another one in MASQUES_LANDING_URL"
                ) from error
        except Exception as error:
            raise self.unavailable("", error) from error

    def unavailable(self, path: str, error: BaseException) -> LandingUnavailableError:
        """Returns the error for a listing that failed."""
        place = f"{self.description}/{path}".rstrip("/")
        return LandingUnavailableError(
            f"{place}: cannot be listed ({why(error)}): the next run tries again; if that lasts, "
            "check MASQUES_LANDING_URL and the rights of this user"
        )

    def _is_empty_prefix(self) -> bool:
        """Says whether it is a prefix of a bucket that exists: those have no folders of their own.

        Raises:
            LandingUnavailableError: The store cannot be reached.
        """
        bucket, _slash, below = self.root.lstrip("/").partition("/")
        if not (self.has_prefixes_only and below):
            return False
        try:
            return bool(self.filesystem.exists(bucket))
        except Exception as error:
            raise self.unavailable("", error) from error


def open_landing(settings: Settings) -> Landing:
    """Returns the landing zone that MASQUES_LANDING_URL names; whether it is there, check() says.

    Raises:
        SettingError: The URL's scheme is unknown, or its package is not installed.
    """
    # It takes longer to load than most commands need.
    import fsspec  # noqa: PLC0415

    url = settings.landing_url
    scheme = urlsplit(url).scheme if "://" in url else ""
    try:
        filesystem, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = _EXTRA.get(scheme, "the file system's package")
        raise SettingError(
            f"MASQUES_LANDING_URL: {scheme}:// needs {package}: "
            "pip install 'masques-pipelines[s3]', [gcs] or [azure]"
        ) from error
    except ValueError as error:
        raise SettingError(
            f"MASQUES_LANDING_URL: there is no file system for {scheme}://: "
            "give a folder, or a URL that fsspec knows"
        ) from error
    root = root.rstrip("/")
    return Landing(filesystem, root, f"{scheme}://{root}" if scheme else root)


def is_absent(landing: Landing, settings: Settings) -> bool:
    """Says whether nobody set up a landing zone: the setting is unset, its default is not there.

    Commands and runs make the default, unless the home cannot be written. The intake needs one. To
    readers of what is optional it is then empty, as to a folder that is missing in a zone; a zone
    that is named and missing is an error for all of them.

    Raises:
        LandingUnavailableError: It cannot be listed.
    """
    if "MASQUES_LANDING_URL" in settings.given:
        return False
    try:
        landing.check()
    except LandingMissingError:
        return True
    return False


def read_lines(
    landing: Landing, file: LandingFile, digest: Any = None, fields: Fields = ANY_FIELDS
) -> Iterator[Chunk]:
    """Yields the lines of a file as chunks of NDJSON.

    Args:
        landing: Where it is.
        file: Which.
        digest: A hashlib object that is fed the bytes of the file as it is stored.
        fields: The fields of the table's rows, of which a header must name the key.

    Raises:
        FileProblemError: It cannot be read (further).
        LandingUnavailableError, LandingMissingError: The zone cannot be listed either.
    """
    try:
        yield from read_chunks(file.path, _blocks(landing, file, digest), fields)
    except MasquesError:
        raise
    except Exception as error:  # of a format's reader
        raise problem_of(landing, file.path, error) from error


def content_sha256(landing: Landing, file: LandingFile) -> str:
    """Returns the SHA-256 of a file's bytes, hex; raises as read_lines."""
    digest = hashlib.sha256()
    for _block in _blocks(landing, file, digest):
        pass
    return digest.hexdigest()


def problem_of(landing: Landing, path: str, error: Exception) -> MasquesError:
    """Returns what an exception of the store means: the file's problem, mostly.

    Raises:
        LandingUnavailableError, LandingMissingError: The zone cannot be listed either.
    """
    if isinstance(error, OSError) and error.errno in _OF_THIS_MACHINE:
        return LandingUnavailableError(
            f"{landing.description}/{path}: reading stopped ({why(error)}), which is no fault of "
            "the file: free what this machine is short of; the next run tries again"
        )
    if isinstance(error, OutsideError):
        return FileProblemError(
            LEAVES_THE_ZONE, f"{why(error)}: only files inside it are read; deliver the file itself"
        )
    landing.check()
    if isinstance(error, FileNotFoundError):
        return FileProblemError(
            VANISHED, "it was listed, and gone when it was to be read: deliver it again if need be"
        )
    return FileProblemError(
        CANNOT_BE_READ,
        f"the landing zone can be listed, this file cannot be read ({why(error)}): check its "
        "rights; some more runs try again, then `masques intake quarantine replay` does",
    )


def why(error: BaseException) -> str:
    """Returns what kind of failure it is, without the store's own text, which may hold a secret."""
    return str(getattr(error, "strerror", None) or type(error).__name__)


def _blocks(landing: Landing, file: LandingFile, digest: Any) -> Iterator[bytes]:
    """Yields a file's bytes; what the store raises is told from what a format's reader does."""
    if file.problem:
        raise FileProblemError(
            file.problem, "its name is not valid UTF-8: rename the file, and deliver it again"
        )
    try:
        with landing.open(file.stored_path or file.path) as opened:
            for block in read_blocks(opened):
                if digest is not None:
                    digest.update(block)
                yield block
    except MasquesError:
        raise
    except Exception as error:
        raise problem_of(landing, file.path, error) from error
