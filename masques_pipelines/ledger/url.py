"""The parts of MASQUES_LEDGER_URL, and what a kind of source makes of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote

from masques_pipelines.errors import SettingError
from masques_pipelines.ledger.source import LedgerSource

VARIABLE: Final = "MASQUES_LEDGER_URL"


@dataclass(frozen=True)
class LedgerUrl:
    """The parts of a URL. Not urllib's: it refuses a list of addresses with an IPv6 one in it."""

    authority: str
    path: str
    query: str

    def options(self, *, known: tuple[str, ...]) -> dict[str, str]:
        """Returns the options behind the `?`.

        Raises:
            SettingError: One is unknown or there twice, or it is not name=value.
        """
        if not self.query:
            return {}
        try:
            pairs = parse_qsl(self.query, keep_blank_values=True, strict_parsing=True)
        except ValueError as error:
            raise SettingError(
                f"{VARIABLE}: what follows the '?' is not name=value, with '&' between"
            ) from error
        options = dict(pairs)
        listed = ", ".join(known) if known else "none"
        for name in options:
            if name not in known:
                raise SettingError(f"{VARIABLE}: unknown option {name[:60]!r}; known are {listed}")
        if len(options) < len(pairs):
            raise SettingError(f"{VARIABLE}: an option is given twice; known are {listed}")
        return options

    def folder(self, *, of: str, example: str) -> Path:
        """Returns the folder of a URL that has only a path.

        Args:
            of: What is in the folder, for errors.
            example: Such a URL.

        Raises:
            SettingError: It is not an absolute folder, or something else is there too.
        """
        self.options(known=())
        folder = Path(unquote(self.path))
        if self.authority or folder == Path("/") or not folder.is_absolute():
            raise SettingError(
                f"{VARIABLE}: {of} needs an absolute folder with three slashes, as in {example}"
            )
        return folder


@dataclass(frozen=True)
class Kind:
    """A kind of ledger source.

    Attributes:
        example: A URL of this kind, for errors.
        open: Opens what a URL names; raises as open_ledger.
    """

    example: str
    open: Callable[[LedgerUrl], LedgerSource]
