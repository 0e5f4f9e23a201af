"""No part of our own secrets is left in a text, however a provider sends it back."""

import base64
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from masques_pipelines.rails.endpoint import own_secrets
from masques_pipelines.rails.node import HttpNode, JsonRpc, RpcError
from masques_pipelines.rails.redaction import Redactor, redactor_of
from masques_pipelines.settings import read_settings

KEY = "cANARY4f7a9c2e1bKEY"
BEARER = "sk-live/CANARY+77aa_Bearer"
MACAROON = bytes(range(3, 120, 2)).hex()
URL = f"https://user:pa55CANARY@rpc.example/v2/{KEY}?token=qCANARYq"
SECRETS = (KEY, BEARER, MACAROON, "pa55CANARY", "qCANARYq")


def ways(secret: str) -> list[str]:
    raw = secret.encode()
    encoded = [
        secret,
        secret.upper(),
        secret.lower(),
        quote(secret, safe=""),
        raw.hex(),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        f"Bearer {secret}",
        f"https://rpc.example/v2/{secret}/x?y={secret}",
    ]
    if secret == MACAROON:
        encoded.append(base64.b64encode(bytes.fromhex(secret)).decode())
    return encoded


@pytest.mark.parametrize("secret", SECRETS)
def test_no_form_of_a_secret_is_left(secret: str) -> None:
    redact = redactor_of(URL, {"Authorization": f"Bearer {BEARER}", "macaroon": MACAROON})
    for form in ways(secret):
        for text in (form, f"key {form} is over its limit", f"{form}{form}", f'"{form}"'):
            left = redact(text)
            assert form not in left
            assert "CANARY" not in left
    # A provider cuts what it echoes.
    if len(secret) > 14:
        assert secret[2:14] not in redact(f"invalid key {secret[1:-1]}…")


def test_other_text_stays() -> None:
    redact = redactor_of(URL, {})
    text = "block range is too large, max is 2000 (0x7d0); see docs of rpc.example, v2"
    assert redact(text) == text
    assert redact("see https://rpc.example/limits?k=1") == "see https://rpc.example/[redacted]"
    assert Redactor()("anything") == "anything"


def test_an_error_of_a_node_has_no_secret() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        said = f"{request.url} with {request.headers['Authorization']} may not"
        return httpx2.Response(200, json={"error": {"code": -32000, "message": said}})

    headers = {"Authorization": f"Bearer {BEARER}"}
    client = httpx2.Client(transport=httpx2.MockTransport(answer), headers=headers)
    node = HttpNode(
        client, URL, "https://rpc.example", sleep=lambda _s: None, redact=redactor_of(URL, headers)
    )
    with pytest.raises(RpcError) as raised:
        JsonRpc(node).call("eth_chainId")
    assert "may not" in str(raised.value)
    for text in (str(raised.value), raised.value.message):
        assert [each for each in SECRETS if each in text] == []


def test_the_last_guard_knows_the_secrets_of_all_rails(tmp_path: Path) -> None:
    macaroon = tmp_path / "macaroon"
    macaroon.write_bytes(bytes.fromhex(MACAROON))
    bearer = tmp_path / "bearer"
    bearer.write_text(BEARER + "\n")
    redact = own_secrets(
        read_settings(
            {
                "MASQUES_HOME": str(tmp_path),
                "MASQUES_BASE_RPC_URL": URL,
                "MASQUES_BASE_TREASURY": "0x" + "ab" * 20,
                "MASQUES_BASE_BEARER_FILE": str(bearer),
                "MASQUES_LND_URL": "https://127.0.0.1:8080",
                "MASQUES_LND_MACAROON_FILE": str(macaroon),
            }
        )
    )
    for secret in SECRETS:
        assert secret not in redact(f"it said {secret}, and {secret}")
