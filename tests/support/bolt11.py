"""Encodes invoices, macaroons and journal lines of L402, as a gate would write them.

BOLT 11 with a signature of zeros, so nobody could pay these invoices; macaroons of format 2.
"""

import base64
import json
from pathlib import Path
from typing import Any

from masques_pipelines.rails.journal.l402 import bech32_polymod
from masques_pipelines.settings import Settings

CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def groups(number: int, count: int) -> list[int]:
    return [(number >> (5 * (count - 1 - place))) & 31 for place in range(count)]


def invoice(payment_hash: str, msat: int | None, created_s: int, expiry_s: int = 600) -> str:
    """Returns a BOLT 11 invoice; its amount is written in pico-bitcoin."""
    prefix = "lnbc" if msat is None else f"lnbc{msat * 10}p"
    data = groups(created_s, 7)
    data += [CHARACTERS.index("p"), 1, 20, *groups(int(payment_hash, 16) << 4, 52)]
    data += [CHARACTERS.index("x"), 0, 4, *groups(expiry_s, 4)]
    data += [0] * 104
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    checksum = bech32_polymod(expanded + data + [0] * 6) ^ 1
    return prefix + "1" + "".join(CHARACTERS[each] for each in data + groups(checksum, 6))


def l402_token(payment_hash: str) -> str:
    """Returns a macaroon of format 2: location, identifier, signature."""
    identifier = bytes(2) + bytes.fromhex(payment_hash) + bytes(32)
    body = b"\x02" + b"\x01\x04lsat" + b"\x02\x42" + identifier + b"\x00\x00"
    return base64.b64encode(body + b"\x06\x20" + b"\x11" * 32).decode()


def challenge(payment_hash: str, msat: int, at_s: int) -> dict[str, Any]:
    """Returns the journal line of a 402 answer."""
    text = (
        f'L402 macaroon="{l402_token(payment_hash)}", invoice="{invoice(payment_hash, msat, at_s)}"'
    )
    return {"recorded_at": at_s, "event": "challenge", "headers": {"WWW-Authenticate": text}}


def line_of(settings: Settings, line: dict[str, Any]) -> None:
    """Writes one line to the journal of a landing zone."""
    folder = Path(settings.landing_url) / "settlement_journal"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "gate.ndjson").open("a") as file:
        file.write(json.dumps(line) + "\n")
