"""URLs of captures: `capture:///absolute/folder`."""

from typing import Final

from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.ledger.url import Kind, LedgerUrl

_EXAMPLE: Final = "capture:///absolute/folder"


def _open(url: LedgerUrl) -> LedgerSource:
    return CaptureSource(url.folder(of="a capture", example=_EXAMPLE))


KIND: Final = Kind(example=_EXAMPLE, open=_open)
