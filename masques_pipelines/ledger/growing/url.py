"""URLs of growing ledgers: `sandbox:///absolute/folder`, as the sandbox gives them."""

from pathlib import Path
from typing import Final
from urllib.parse import unquote

from masques_pipelines.errors import SettingError
from masques_pipelines.ledger.growing.source import GrowingSource
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.ledger.url import VARIABLE, Kind, LedgerUrl

_EXAMPLE: Final = "sandbox:///absolute/folder"


def _open(url: LedgerUrl) -> LedgerSource:
    url.options(known=())
    folder = Path(unquote(url.path))
    if url.authority or folder == Path("/") or not folder.is_absolute():
        raise SettingError(
            f"{VARIABLE}: a sandbox needs an absolute folder with three slashes, as in {_EXAMPLE}"
        )
    return GrowingSource(folder)


KIND: Final = Kind(example=_EXAMPLE, open=_open)
