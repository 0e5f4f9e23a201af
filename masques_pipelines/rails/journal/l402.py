"""Parses Lightning invoices (BOLT 11) and the identifiers of L402 macaroons.

Both are bearer secrets: only hash, amount and times leave this module.

Sources: BOLT 11 (invoice), BIP 173 (bech32); L402: the macaroon's identifier is a version of two
bytes, the payment hash and a token id of 32 bytes each.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Final

_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_PREFIX: Final = re.compile(
    r"^ln(?P<network>bcrt|bc|tbs|tb)(?:(?P<number>[0-9]{1,19})(?P<unit>[munp]?))?$"
)
# Millisatoshi of one unit, as a fraction: a bitcoin has 10^11, a pico-bitcoin a tenth.
_MSAT: Final = {"": (10**11, 1), "m": (10**8, 1), "u": (10**5, 1), "n": (100, 1), "p": (1, 10)}
_SIGNATURE_GROUPS: Final = 104
_CHECKSUM_GROUPS: Final = 6
_TIME_GROUPS: Final = 7
_EXPIRY_DEFAULT_S: Final = 3600
_HASH_GROUPS: Final = 52
# 50 bits of seconds: an invoice may name any number of groups.
_EXPIRY_GROUPS_MAX: Final = 10
_IDENTIFIER_LENGTH: Final = 66
# An invoice has some hundred characters, a macaroon with its caveats some more.
_INVOICE_CHARACTERS_MAX: Final = 4_096
_TOKEN_CHARACTERS_MAX: Final = 16_384
_HASH_BYTES: Final = 32
_HEX_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Invoice:
    """The fields of a Lightning invoice that are used.

    Attributes:
        payment_hash: Hex, lower case.
        amount_msat: What it asks for; None leaves the amount to the payer.
        created_s: When it was made, seconds since 1970.
        expires_s: When it can no longer be paid.
    """

    payment_hash: str
    amount_msat: int | None
    created_s: int
    expires_s: int


def read_invoice(text: str) -> Invoice:
    """Parses a BOLT 11 invoice.

    Raises:
        ValueError: It is not valid; the text names the fault and never the invoice.
    """
    if len(text) > _INVOICE_CHARACTERS_MAX:
        raise ValueError("the invoice is too long")
    text = text.strip().lower().removeprefix("lightning:")
    prefix, _, data_text = text.rpartition("1")
    match = _PREFIX.match(prefix)
    if match is None or any(character not in _BECH32 for character in data_text):
        raise ValueError("the invoice has no BOLT 11 prefix")
    data = [_BECH32.index(character) for character in data_text]
    if not _checksum_holds(prefix, data):
        raise ValueError("the invoice's checksum does not hold")
    fields = data[: -_CHECKSUM_GROUPS - _SIGNATURE_GROUPS]
    created_s = _number(fields[:_TIME_GROUPS])
    tags = _tags(fields[_TIME_GROUPS:])
    if len(tags.get("p", [])) != _HASH_GROUPS:
        raise ValueError("the invoice names no payment hash")
    if len(tags.get("x", [])) > _EXPIRY_GROUPS_MAX:
        raise ValueError("the invoice's expiry is out of range")
    return Invoice(
        payment_hash=f"{_number(tags['p']) >> 4:064x}",  # 260 bits, the last 4 are padding
        amount_msat=_amount_msat(match),
        created_s=created_s,
        expires_s=created_s + (_number(tags["x"]) if "x" in tags else _EXPIRY_DEFAULT_S),
    )


def hash_in_macaroon(token: str) -> str:
    """Returns the payment hash that a macaroon is bound to, hex.

    Args:
        token: The macaroon in base64, plain or for URLs.

    Raises:
        ValueError: It is not an L402 macaroon; the text never shows it.
    """
    identifier = _identifier(_base64(token))
    if len(identifier) != _IDENTIFIER_LENGTH:
        raise ValueError("the macaroon's identifier is not one of L402")
    return identifier[2:34].hex()


def hash_of_preimage(text: str) -> str:
    """Returns the payment hash that a preimage proves, hex; written in hex or (LSAT) in base64.

    Raises:
        ValueError: It is not a preimage of 32 bytes; the text never shows it.
    """
    try:
        preimage = bytes.fromhex(text.strip())
    except ValueError:
        preimage = _base64(text)
    if len(preimage) != _HASH_BYTES:
        raise ValueError("the preimage does not have 32 bytes")
    return hashlib.sha256(preimage).hexdigest()


def payment_hash_of(text: str) -> str:
    """Returns a payment hash in hex, lower case; LND's own JSON has it in base64.

    Raises:
        ValueError: It is not 32 bytes in either.
    """
    found = text.strip()
    if _HEX_HASH.fullmatch(found.lower()):
        return found.lower()
    try:
        data = _base64(found)
    except ValueError as error:
        raise ValueError("the payment hash is neither hex nor base64") from error
    if len(data) != _HASH_BYTES:
        raise ValueError("the payment hash does not have 32 bytes")
    return data.hex()


def _amount_msat(match: re.Match[str]) -> int | None:
    if match["number"] is None:
        return None
    times, per = _MSAT[match["unit"]]
    whole, rest = divmod(int(match["number"]) * times, per)
    if rest:
        raise ValueError("the invoice asks for a part of a millisatoshi")
    return whole


def _tags(groups: list[int]) -> dict[str, list[int]]:
    """Returns the tagged fields by letter, the first of each."""
    tags: dict[str, list[int]] = {}
    position = 0
    while position + 3 <= len(groups):
        length = groups[position + 1] * 32 + groups[position + 2]
        value = groups[position + 3 : position + 3 + length]
        if len(value) == length:
            tags.setdefault(_BECH32[groups[position]], value)
        position += 3 + length
    return tags


def _number(groups: list[int]) -> int:
    number = 0
    for group in groups:
        number = number * 32 + group
    return number


def _checksum_holds(prefix: str, data: list[int]) -> bool:
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix] + data
    return bech32_polymod(expanded) == 1


def bech32_polymod(values: list[int]) -> int:
    """Returns the checksum polynomial of BIP 173 over groups of 5 bits."""
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for position, generator in enumerate(_BECH32_GENERATOR):
            checksum ^= generator if (top >> position) & 1 else 0
    return checksum


def _base64(text: str) -> bytes:
    if len(text) > _TOKEN_CHARACTERS_MAX:
        raise ValueError("the token is too long")
    plain = text.strip().replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError as error:  # binascii.Error, and what is not ASCII
        raise ValueError("the token is not base64") from error


def _identifier(macaroon: bytes) -> bytes:
    """Returns the identifier of a macaroon in libmacaroons' format 2 (binary) or 1 (text)."""
    if macaroon[:1] == b"\x02":
        return _identifier_2(macaroon)
    position = 0
    while position + 4 <= len(macaroon):
        try:
            length = int(macaroon[position : position + 4], 16)
        except ValueError:
            break
        name, _, value = macaroon[position + 4 : position + length].partition(b" ")
        if name == b"identifier":
            return value.removesuffix(b"\n")
        position += max(length, 5)
    raise ValueError("the token is not a macaroon")


def _identifier_2(macaroon: bytes) -> bytes:
    position = 1
    while position < len(macaroon) and macaroon[position] != 0:  # 0 ends the section
        kind, position = _varint(macaroon, position)
        length, position = _varint(macaroon, position)
        if kind == 2:
            return macaroon[position : position + length]
        position += length
    raise ValueError("the macaroon has no identifier")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while position < len(data):
        byte = data[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return number, position
    raise ValueError("the macaroon is cut off")
