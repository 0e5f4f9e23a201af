"""The ledger of the settings, and the packaged capture that stands in when none is named.

Here: opening the ledger that MASQUES_LEDGER_URL names, and laying down the packaged capture.
Not here: the kinds of sources (sources/), and what a capture holds (sources/capture.py).
A re-run uses the capture that was laid down before, as it is: a warehouse is bound to one ledger.
"""

import contextlib
import importlib.resources
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from masques_pipelines.ledger.capture_shift import shift_capture
from masques_pipelines.ledger.sources.opening import open_ledger
from masques_pipelines.ledger.sources.protocol import LedgerSource
from masques_pipelines.settings import Settings


@contextlib.contextmanager
def open_settings_ledger(settings: Settings) -> Iterator[LedgerSource]:
    """Opens the ledger of the settings; it closes with the context.

    Raises:
        SettingError: MASQUES_LEDGER_URL is none of the known forms.
        LedgerUnavailableError, LedgerRefusedError: It cannot be opened.
    """
    with open_ledger(ledger_url(settings)) as source:
        yield source


def ledger_url(settings: Settings) -> str:
    """Returns MASQUES_LEDGER_URL, or the URL of the packaged capture, laid down when it is not.

    The packaged capture was taken from a real TigerBeetle server. It is dated to the moment when it
    is laid down: retention and score windows would eat fixed dates.
    """
    if settings.ledger_url is not None:
        return settings.ledger_url
    folder = settings.home / "ledger"
    if not folder.is_dir():
        settings.home.mkdir(parents=True, exist_ok=True)
        packaged = importlib.resources.files("masques_pipelines.ledger") / "packaged_capture"
        with importlib.resources.as_file(packaged) as source:
            shift_capture(Path(source), folder, last_timestamp_ns=time.time_ns())
    return f"capture://{quote(str(folder))}"
