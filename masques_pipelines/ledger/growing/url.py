"""URLs of growing ledgers: `sandbox:///absolute/folder`, as the sandbox gives them."""

from typing import Final

from masques_pipelines.ledger.growing.source import GrowingSource
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.ledger.url import Kind, LedgerUrl

_EXAMPLE: Final = "sandbox:///absolute/folder"


def _open(url: LedgerUrl) -> LedgerSource:
    return GrowingSource(url.folder(of="a sandbox", example=_EXAMPLE))


KIND: Final = Kind(example=_EXAMPLE, open=_open)
