"""Decodes Solana addresses (base58) and derives associated token accounts.

Sources: the associated token account is the program-derived address of (owner, token program,
mint); such an address is a SHA-256 that is not a point of the curve ed25519 (RFC 8032, 5.1.3).
Sixty lines instead of the solders package (35 MB); a test compares the two.
"""

import hashlib
from typing import Final

TOKEN_PROGRAM: Final = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"  # noqa: S105 - an address
TOKEN_2022_PROGRAM: Final = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"  # noqa: S105 - an address
ASSOCIATED_TOKEN_PROGRAM: Final = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"  # noqa: S105 - an address

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_FIELD: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _FIELD) % _FIELD
ADDRESS_LENGTH: Final = 32
# A signature has 88 characters at most.
TEXT_MAX: Final = 128


def decode_base58(text: str) -> bytes:
    """Returns the bytes of base58 text; ValueError when it is not base58."""
    if len(text) > TEXT_MAX:
        raise ValueError("too long")
    number = 0
    for character in text:
        number = number * 58 + _ALPHABET.index(character)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def encode_base58(data: bytes) -> str:
    """Returns bytes as base58 text."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = _ALPHABET[rest] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def is_address(text: str) -> bool:
    """Returns whether a text is the base58 of 32 bytes."""
    try:
        return len(decode_base58(text)) == ADDRESS_LENGTH
    except ValueError:
        return False


def associated_token_account(owner: str, mint: str, token_program: str = TOKEN_PROGRAM) -> str:
    """Returns the token account that holds a wallet's tokens of one mint.

    Args:
        owner: The wallet.
        mint: The token.
        token_program: The program that owns the mint: SPL Token or Token-2022.
    """
    seeds = decode_base58(owner) + decode_base58(token_program) + decode_base58(mint)
    program = decode_base58(ASSOCIATED_TOKEN_PROGRAM)
    for bump in range(255, -1, -1):
        digest = hashlib.sha256(seeds + bytes([bump]) + program + b"ProgramDerivedAddress").digest()
        if not is_on_curve(digest):
            return encode_base58(digest)
    raise ValueError(f"{owner}: there is no program-derived address for mint {mint}")


def is_on_curve(data: bytes) -> bool:
    """Returns whether 32 bytes are the compressed form of a point of ed25519."""
    y = (int.from_bytes(data, "little") & (2**255 - 1)) % _FIELD
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _FIELD) % _FIELD
    return x_squared == 0 or pow(x_squared, (_FIELD - 1) // 2, _FIELD) == 1
