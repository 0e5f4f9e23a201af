"""What MASQUES_LEDGER_URL means, and what each bad one is told."""

from pathlib import Path
from urllib.parse import quote

import pytest

from masques_pipelines.errors import SettingError
from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.connect import open_ledger
from masques_pipelines.ledger.source import LedgerRefusedError, LedgerUnavailableError
from tests.support.captures import accounts_at, events_at, write_folder
from tests.support.tigerbeetle_server import free_port

FORMS = (
    "known are tigerbeetle, capture, sandbox, as in "
    "tigerbeetle://10.0.0.1:3000,10.0.0.2:3000/?cluster_id=7 or capture:///absolute/folder "
    "or sandbox:///absolute/folder"
)
AS_IN = "tigerbeetle://10.0.0.1:3000,10.0.0.2:3000/?cluster_id=7"


def test_a_capture_is_opened_by_its_folder(small_capture: Path) -> None:
    with open_ledger(f"capture://{small_capture}") as source:
        assert isinstance(source, CaptureSource)
        assert source.cluster_id == 1


def test_a_folders_name_may_hold_anything_when_it_is_quoted(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "a?b#c 100%", events=events_at(10), accounts=accounts_at(1))
    url = f"capture://{quote(str(folder))}"

    with open_ledger(url) as source:
        assert source.description == url
        assert source.change_events(0).data == events_at(10).tobytes()


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerRefusedError, match=f"^{tmp_path}/none: there is no such folder"):
        open_ledger(f"capture://{tmp_path}/none")


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", f"it has no scheme; {FORMS}"),
        ("/srv/capture", f"it has no scheme; {FORMS}"),
        ("localhost:3000", f"it has no scheme; {FORMS}"),
        # The most likely mistake: the warehouse's URL. Its password must not be shown.
        ("http://user:secret@host", f"the scheme 'http' is not known; {FORMS}"),
        ("TIGERBEETLE://10.0.0.1", f"the scheme 'TIGERBEETLE' is not known; {FORMS}"),
        ("sandboxes:///srv", f"the scheme 'sandboxes' is not known; {FORMS}"),
        (
            "tigerbeetle://10.0.0.1:3000/",
            f"cluster_id is missing; write it as in {AS_IN}",
        ),
        (
            "tigerbeetle://10.0.0.1:3000/?cluster_id=seven",
            "cluster_id: 'seven' is not a valid cluster id, a number from 0 to 2^128 - 1",
        ),
        (
            # int() would read it as 10.
            "tigerbeetle://10.0.0.1:3000/?cluster_id=1_0",
            "cluster_id: '1_0' is not a valid cluster id, a number from 0 to 2^128 - 1",
        ),
        (
            f"tigerbeetle://10.0.0.1:3000/?cluster_id={2**128}",
            f"cluster_id: '{2**128}' is not a valid cluster id, a number from 0 to 2^128 - 1",
        ),
        (
            "tigerbeetle://10.0.0.1:3000/?cluster_id=",
            "cluster_id: '' is not a valid cluster id, a number from 0 to 2^128 - 1",
        ),
        (
            "tigerbeetle://10.0.0.1:3000/?cluster_id=7&cluster_id=8",
            "an option is given twice; known are cluster_id, timeout_s, open_timeout_s",
        ),
        (
            "tigerbeetle://10.0.0.1:3000/?cluster=7",
            "unknown option 'cluster'; known are cluster_id, timeout_s, open_timeout_s",
        ),
        (
            "tigerbeetle://10.0.0.1:3000/?7",
            "what follows the '?' is not name=value, with '&' between",
        ),
        (
            "tigerbeetle://10.0.0.1:3000/?cluster_id=7&timeout_s=0.9",
            "timeout_s is '0.9', not a number of seconds from 1 to 3600",
        ),
        (
            # float() would take it, and wait for ever.
            "tigerbeetle://10.0.0.1:3000/?cluster_id=7&open_timeout_s=inf",
            "open_timeout_s is 'inf', not a number of seconds from 1 to 3600",
        ),
        (
            "tigerbeetle:///?cluster_id=7",
            "it has 0 addresses; a cluster has 1 to 6, one for each replica",
        ),
        (
            f"tigerbeetle://{','.join(['10.0.0.1'] * 7)}/?cluster_id=7",
            "it has 7 addresses; a cluster has 1 to 6, one for each replica",
        ),
        (
            "tigerbeetle://user:secret@10.0.0.1/?cluster_id=7",
            "remove the user and password before '@': TigerBeetle has none",
        ),
        (
            "tigerbeetle://10.0.0.1:3000,/?cluster_id=7",
            "address 2 of 2: '' is not a host name; write host:port, with commas between addresses",
        ),
        (
            "tigerbeetle://10.0.0.1:70000/?cluster_id=7",
            (
                "address 1 of 1: port '70000' is not a number from 1 to 65535; "
                "write host:port, with commas between addresses"
            ),
        ),
        (
            "tigerbeetle://10.0.0.1:3000/data?cluster_id=7",
            f"remove the path '/data': a cluster has none, as in {AS_IN}",
        ),
        (
            "tigerbeetle://10.0.0.1:3000/?cluster_id=7#x",
            "remove the '#' and what follows it (in a path, write %23)",
        ),
        (
            # A relative folder: its first part reads as a host.
            "capture://captures/small",
            (
                "a capture needs an absolute folder with three slashes, as in "
                "capture:///absolute/folder"
            ),
        ),
        (
            "capture:///",
            (
                "a capture needs an absolute folder with three slashes, as in "
                "capture:///absolute/folder"
            ),
        ),
        ("capture:///srv/small?cluster_id=7", "unknown option 'cluster_id'; known are none"),
    ],
)
def test_a_url_that_cannot_be_used_is_one_line_about_the_variable(url: str, text: str) -> None:
    with pytest.raises(SettingError) as raised:
        open_ledger(url)

    assert str(raised.value) == f"MASQUES_LEDGER_URL: {text}"


def test_the_urls_parts_reach_the_cluster_that_is_asked() -> None:
    # Nothing listens there: the error tells what was asked, where, and for how long.
    first, second = free_port(), free_port()

    with pytest.raises(LedgerUnavailableError) as raised:
        open_ledger(f"tigerbeetle://localhost:{first},[::1]:{second}?cluster_id=7&open_timeout_s=1")

    assert str(raised.value) == (
        f"no TigerBeetle of cluster 7 at localhost:{first},[::1]:{second} answered a greeting "
        f"within 1 s: it is unreachable (localhost:{first} refuses connections, [::1]:{second} "
        "refuses connections): check the addresses, and that the server runs"
    )
