"""Base58, associated token accounts and the curve check against solders, Solana's own library."""

import random

import pytest
from solders.pubkey import Pubkey
from solders.token.associated import get_associated_token_address

from masques_pipelines.rails.solana.addresses import (
    associated_token_account,
    decode_base58,
    encode_base58,
    is_address,
    is_on_curve,
)

FIELD = 2**255 - 19
RANDOM = random.Random(11)
KEYS = [RANDOM.randbytes(32) for _ in range(200)]
# Zeros in front, the smallest and largest numbers, and the field's edges with either sign bit.
EDGES = [
    bytes(32),
    bytes(31) + b"\x01",
    b"\x01" + bytes(31),
    b"\xff" * 32,
    bytes(30) + b"\xff\xff",
    *((y + sign).to_bytes(32, "little") for y in (1, 2, FIELD - 1) for sign in (0, 2**255)),
]


@pytest.mark.parametrize("data", [*EDGES, *KEYS], ids=bytes.hex)
def test_base58_and_the_curve_agree_with_solders(data: bytes) -> None:
    key = Pubkey.from_bytes(data)
    assert encode_base58(data) == str(key)
    assert decode_base58(str(key)) == data
    assert is_address(str(key))
    assert is_on_curve(data) == key.is_on_curve()


@pytest.mark.parametrize("text", ["", "0" * 44, "O" * 44, "1" * 31, "1" * 33, "z" * 45, "I", "l"])
def test_what_solders_rejects_is_not_an_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Pubkey.from_string(text)
    assert not is_address(text)


@pytest.mark.parametrize("number", range(0, len(KEYS), 2))
def test_associated_token_accounts_agree_with_solders(number: int) -> None:
    owner, mint = (Pubkey.from_bytes(key) for key in KEYS[number : number + 2])
    assert associated_token_account(str(owner), str(mint)) == str(
        get_associated_token_address(owner, mint)
    )
