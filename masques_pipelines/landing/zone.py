"""Lists and reads the files of the landing zone: a folder or any URL that fsspec knows.

Nothing here writes: files belong to their producers. A reader of one folder lists what is ready
(`settled_files`), asks `FileLog` which of it is new, reads (`read_lines`), and records what it has
read after its rows are in their tables.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final, cast
from urllib.parse import urlsplit

from masques_pipelines.errors import SettingError, TransientError
from masques_pipelines.landing.chunks import Chunk, FileProblemError
from masques_pipelines.landing.fields import Fields
from masques_pipelines.landing.formats import format_of, read_blocks, read_chunks
from masques_pipelines.settings import Settings

# A file that was written less than this ago may still grow, if its producer does not rename.
SETTLE_S: Final = 2.0
_UNFINISHED: Final = (".tmp", ".part")
_EXTRA: Final = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}


class LandingUnavailableError(TransientError):
    """The landing zone cannot be listed, or a file in it cannot be read, for now."""


@dataclass(frozen=True)
class LandingFile:
    """One settled file.

    Attributes:
        folder: The folder of the landing zone that it is in: the table, mostly.
        path: Path below the landing zone, with the folder.
        version: Changes when the content does: the store's tag, or size and time of writing.
        bytes: Its size.
        written_s: When it was written, seconds since 1970; 0 when the store does not say.
    """

    folder: str
    path: str
    version: str
    bytes: int
    written_s: float


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

    def open(self, file: LandingFile) -> BinaryIO:
        """Opens a file for reading.

        Raises:
            LandingUnavailableError: It is gone, or the store cannot be reached.
        """
        try:
            return cast("BinaryIO", self.filesystem.open(f"{self.root}/{file.path}", "rb"))
        except (OSError, ValueError) as error:
            raise LandingUnavailableError(
                f"{self.description}/{file.path}: cannot be opened ({_why(error)}): "
                "the next run tries again"
            ) from error


def open_landing(settings: Settings) -> Landing:
    """Returns the landing zone that MASQUES_LANDING_URL names.

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


def settled_files(
    landing: Landing, folder: str, *, settle_s: float = SETTLE_S
) -> list[LandingFile]:
    """Returns the files of one folder that are ready to be read, in the order of their paths.

    Names that begin with a dot or an underscore, or end with .tmp or .part, and names of other
    formats are passed over.

    Raises:
        LandingUnavailableError: The store cannot be reached.
    """
    base = f"{landing.root}/{folder}"
    try:
        landing.filesystem.invalidate_cache()
        if not landing.filesystem.isdir(base):
            return []
        found = landing.filesystem.find(base, detail=True)
    except (OSError, ValueError) as error:
        raise LandingUnavailableError(
            f"{landing.description}/{folder}: cannot be listed ({_why(error)}): "
            "the next run tries again"
        ) from error
    newest_s = time.time() - settle_s
    files = []
    for path, details in sorted(found.items()):
        below = path[path.index(base) + len(base) + 1 :] if base in path else path
        if not _is_finished(below):
            continue
        file = _landing_file(folder, f"{folder}/{below}", details)
        if file.written_s <= newest_s:
            files.append(file)
    return files


def read_lines(
    landing: Landing, file: LandingFile, digest: Any = None, fields: Fields | None = None
) -> Iterator[Chunk]:
    """Yields the lines of a file as chunks of NDJSON.

    Args:
        landing: Where it is.
        file: Which.
        digest: A hashlib object that is fed the bytes of the file as it is stored.
        fields: What is known of the rows' fields.

    Raises:
        FileProblemError: It cannot be read (further).
        LandingUnavailableError: The store cannot be reached.
    """
    with landing.open(file) as opened:
        try:
            yield from read_chunks(file.path, _digested(opened, digest), fields)
        except FileProblemError:
            raise
        except OSError as error:
            raise LandingUnavailableError(
                f"{landing.description}/{file.path}: reading stopped ({_why(error)}): "
                "the next run tries again"
            ) from error


def content_sha256(landing: Landing, file: LandingFile) -> str:
    """Returns the SHA-256 of a file's bytes, hex."""
    digest = hashlib.sha256()
    with landing.open(file) as opened:
        for _block in _digested(opened, digest):
            pass
    return digest.hexdigest()


def _digested(opened: BinaryIO, digest: Any) -> Iterator[bytes]:
    for block in read_blocks(opened):
        if digest is not None:
            digest.update(block)
        yield block


def _is_finished(path: str) -> bool:
    parts = path.split("/")
    if any(part.startswith((".", "_")) for part in parts) or path.endswith(_UNFINISHED):
        return False
    return format_of(path) is not None


def _landing_file(folder: str, path: str, details: dict[str, Any]) -> LandingFile:
    size = int(details.get("size") or 0)
    written = details.get("mtime") or details.get("LastModified") or details.get("last_modified")
    written = written or details.get("updated") or details.get("created") or 0
    written_s = _seconds(written)
    tag = details.get("ETag") or details.get("etag")
    version = str(tag).strip('"') if tag else f"{size}-{round(written_s * 1e6)}"
    return LandingFile(folder, path, version, size, written_s)


def _seconds(written: Any) -> float:
    if isinstance(written, datetime):
        return (written if written.tzinfo else written.replace(tzinfo=UTC)).timestamp()
    if isinstance(written, str):
        return datetime.fromisoformat(written).timestamp()
    return float(written)


def _why(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)
