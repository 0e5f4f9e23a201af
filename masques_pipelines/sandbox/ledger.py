"""The ledger of the settings, and the packaged capture that stands in when none is named.

Here: opening the ledger that MASQUES_LEDGER_URL names, and laying down the packaged capture.
Not here: the kinds of sources (sources/), and what a capture holds (sources/capture.py).
A re-run uses the capture that was laid down before, as it is: a warehouse is bound to one ledger.
"""

import importlib.resources
import time
from pathlib import Path
from urllib.parse import quote

from masques_pipelines.sandbox.capture_shift import shift_capture
from masques_pipelines.settings import Settings


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
        packaged = importlib.resources.files("masques_pipelines.sandbox") / "data" / "capture"
        with importlib.resources.as_file(packaged) as source:
            shift_capture(Path(source), folder, last_timestamp_ns=time.time_ns())
    return f"capture://{quote(str(folder))}"
