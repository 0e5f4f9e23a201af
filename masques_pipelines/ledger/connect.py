"""Opens the ledger that MASQUES_LEDGER_URL names.

KINDS is the one list of the kinds of sources. A new kind is a folder beside tigerbeetle/,
capture/ and growing/ with a `KIND` in its url.py, and one entry here.
"""

from typing import Final

from masques_pipelines.errors import SettingError
from masques_pipelines.ledger.capture import url as capture
from masques_pipelines.ledger.growing import url as growing
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.ledger.tigerbeetle import url as tigerbeetle
from masques_pipelines.ledger.url import VARIABLE, Kind, LedgerUrl

KINDS: Final[dict[str, Kind]] = {
    "tigerbeetle": tigerbeetle.KIND,
    "capture": capture.KIND,
    "sandbox": growing.KIND,
}


def is_live(url: str | None) -> bool:
    """Returns whether a URL names a server, whose clock runs."""
    return bool(url) and str(url).partition("://")[0] == "tigerbeetle"


def open_ledger(url: str) -> LedgerSource:
    """Opens a ledger for reading; close it, or use it as a context manager.

    Args:
        url: `tigerbeetle://host:port,…/?cluster_id=7`, with one address per replica in the
            cluster's order (port 3001 when left out), and optional `timeout_s` (one page) and
            `open_timeout_s` (the first answer); `capture:///absolute/folder`; or, as the sandbox
            gives it, `sandbox:///absolute/folder`.

    Raises:
        SettingError: The URL cannot be used; the text says which part.
        LedgerUnavailableError: No ledger answers there.
        LedgerRefusedError: The ledger or the capture refuses this reader.
        PageError: A file of the capture does not have the expected layout.
    """
    scheme, separator, rest = url.partition("://")
    kind = KINDS.get(scheme)
    # The text of an unknown URL is never shown: it may hold a password.
    if not separator or kind is None:
        shown = f"the scheme {scheme!r} is not known" if separator else "it has no scheme"
        examples = " or ".join(known.example for known in KINDS.values())
        raise SettingError(f"{VARIABLE}: {shown}; known are {', '.join(KINDS)}, as in {examples}")
    if "#" in rest:
        raise SettingError(f"{VARIABLE}: remove the '#' and what follows it (in a path, write %23)")
    before_query, _, query = rest.partition("?")
    authority, slash, path = before_query.partition("/")
    return kind.open(LedgerUrl(authority=authority, path=slash + path, query=query))
