"""Types what an EVM node answers: strict, so that anything of another shape is one item's failure.

A number is hex text of at most 32 bytes, a hash exactly 32 bytes, an address exactly 20; letters
come in lower case. What is not used is ignored, so a node may answer more.
"""

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from masques_pipelines.rails.answers import TIME_MAX_S, TIME_MIN_S, ShapeError

SERVER: Final = "an EVM node"
# 2**63 blocks: the largest height that the tables hold.
BLOCK_MAX: Final = 2**63 - 1
_LOGS_MAX: Final = 100_000

_QUANTITY: Final = re.compile(r"0[xX][0-9a-fA-F]{1,64}")
_HASH: Final = re.compile(r"0[xX][0-9a-fA-F]{64}")
_ADDRESS: Final = re.compile(r"0[xX][0-9a-fA-F]{40}")
_DATA: Final = re.compile(r"0[xX](?:[0-9a-fA-F]{2})*")


def is_hash(text: Any) -> bool:
    """Returns whether a value is 32 bytes of hex, as a transaction's hash is."""
    return isinstance(text, str) and _HASH.fullmatch(text) is not None


def is_address(text: Any) -> bool:
    """Returns whether a value is 20 bytes of hex."""
    return isinstance(text, str) and _ADDRESS.fullmatch(text) is not None


def quantity(value: Any) -> int:
    """Returns a number that is hex text.

    Raises:
        ValueError: It is anything else.
    """
    if not isinstance(value, str) or _QUANTITY.fullmatch(value) is None:
        raise ValueError("not a number in hex")
    return int(value, 16)


def word(value: Any, place: str) -> int:
    """Returns a number of exactly 32 bytes, as a contract answers and logs it.

    Raises:
        ShapeError: It is anything else.
    """
    if not is_hash(value):
        raise ShapeError(f"{place}: not 32 bytes")
    return int(value, 16)


def _matching(pattern: re.Pattern[str], kind: str) -> BeforeValidator:
    def check(value: Any) -> str:
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise ValueError(f"not {kind}")
        return value.lower()

    return BeforeValidator(check)


Quantity = Annotated[int, BeforeValidator(quantity)]
BlockNumber = Annotated[int, BeforeValidator(quantity), Field(le=BLOCK_MAX)]
Hash = Annotated[str, _matching(_HASH, "32 bytes")]
Address = Annotated[str, _matching(_ADDRESS, "20 bytes")]
Data = Annotated[str, _matching(_DATA, "bytes")]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class Header(_Answer):
    """A block without its transactions."""

    number: BlockNumber
    hash: Hash
    timestamp: Annotated[int, BeforeValidator(quantity), Field(ge=TIME_MIN_S, le=TIME_MAX_S)]


class Log(_Answer):
    """An event of a receipt; its data is checked by who reads it."""

    address: Address
    topics: tuple[Hash, ...] = Field(max_length=4)
    data: Data = "0x"
    log_index: Quantity | None = None


class FoundLog(Log):
    """An event that a search found, with its place."""

    block_number: BlockNumber
    block_hash: Hash
    transaction_hash: Hash
    removed: bool = False


def _consecutive(logs: tuple[Log, ...]) -> tuple[Log, ...]:
    """Checks that no log of a receipt is missing or doubled; a node may not number them."""
    numbers = [each.log_index for each in logs if each.log_index is not None]
    if numbers and numbers != list(range(numbers[0], numbers[0] + len(logs))):
        raise ValueError("not one after the other")
    return logs


class Receipt(_Answer):
    """A receipt, with the fee fields of an OP-stack chain where it has them."""

    transaction_hash: Hash
    block_hash: Hash
    block_number: BlockNumber
    status: Annotated[int, BeforeValidator(quantity), Field(le=1)]
    sender: Address = Field(alias="from")
    gas_used: Quantity
    effective_gas_price: Quantity | None = None
    l1_fee: Quantity | None = None
    operator_fee_scalar: Quantity | None = None
    operator_fee_constant: Quantity | None = None
    da_footprint_gas_scalar: Quantity | None = None
    logs: Annotated[tuple[Log, ...], AfterValidator(_consecutive)] = Field(max_length=_LOGS_MAX)


class Transaction(_Answer):
    """What a transaction calls."""

    hash: Hash
    input: Data
    to: Address | None = None
