"""Nodes: what a URL may be, what is shown of it, and what providers say of their limits."""

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from masques_pipelines.rails.base.logs import suggested_size
from masques_pipelines.rails.node import open_node
from masques_pipelines.rails.protocol import RailRefusedError


def test_a_url_is_shown_without_its_key() -> None:
    node = open_node("https://me:password@base.example.test:8443/v2/a-secret-key?token=another")
    node.close()
    assert node.description == "https://base.example.test:8443"
    assert "secret" not in repr(node)


@pytest.mark.parametrize("url", ["base.example.test", "ftp://host/", "https://"])
def test_what_is_no_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(RailRefusedError) as raised:
        open_node(url)
    assert url not in str(raised.value)


def test_a_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tls.cert"
    path.write_text("not a certificate")
    with pytest.raises(RailRefusedError, match="cannot be read as a certificate"):
        open_node("https://lnd.example.test:8080", ca_file=path)


@pytest.mark.parametrize(
    ("message", "size"),
    [
        ("eth_getLogs is limited to a 10,000 range", 10_000),
        ("exceed maximum block range: 50000", 50_000),
        ("requested too many blocks from 0 to 9999, maximum is set to 2048", 2048),
        ("Block range is too large, max is 3000 blocks", 3000),
        ("Try with this block range [0x64, 0xc7].", 100),
        ("retry with the range 500-599", 100),
        ("eth_getLogs and eth_newFilter are limited to 500 blocks range", 500),
        ("ranges over 10000 blocks are not supported on freetier", 10_000),
        ("block range too large", None),
        ("backend response too large", None),
    ],
)
def test_what_providers_say_of_their_limits_is_understood(message: str, size: int | None) -> None:
    assert suggested_size(message) == size


def test_no_log_of_a_request_shows_the_key_in_its_url(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx2").setLevel(logging.NOTSET)
    node = open_node("http://127.0.0.1:9/v2/a-secret-key", sleep=lambda _s: None)
    node.close()
    answers: Iterator[httpx2.Response | Exception] = iter(
        [httpx2.Response(429, json={}), httpx2.ConnectError("a-secret-key")]
    )

    def answer(_request: httpx2.Request) -> httpx2.Response:
        found = next(answers, httpx2.Response(200, json={}))
        if isinstance(found, Exception):
            raise found
        return found

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
        node.client = client
        assert node.json("POST", body={}) == (200, {})
    messages = [each.getMessage() for each in caplog.records if each.name.startswith("masques")]
    assert [message.partition("; ")[0] for message in messages] == [
        "http://127.0.0.1:9: HTTP 429",
        "http://127.0.0.1:9: no answer (ConnectError)",
    ]
    assert "a-secret-key" not in caplog.text
