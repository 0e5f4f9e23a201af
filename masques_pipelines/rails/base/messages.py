"""Types what an EVM node answers: strict, so that anything of another shape is one item's failure.

A number is hex text of at most 32 bytes, a hash exactly 32 bytes, an address exactly 20; letters
come in lower case. What is not used is ignored, so a node may answer more.
"""

import re
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from masques_pipelines.rails.protocol import RailUnavailableError

# Times that a block can have: from Bitcoin's first block to the last year of DateTime64(9).
TIME_MIN_S: Final = 1_231_006_505
TIME_MAX_S: Final = 9_214_646_399
# 2**63 blocks: the largest height that the tables hold.
BLOCK_MAX: Final = 2**63 - 1
_LOGS_MAX: Final = 100_000

_QUANTITY: Final = re.compile(r"0[xX][0-9a-fA-F]{1,64}")
_HASH: Final = re.compile(r"0[xX][0-9a-fA-F]{64}")
_ADDRESS: Final = re.compile(r"0[xX][0-9a-fA-F]{40}")
_DATA: Final = re.compile(r"0[xX](?:[0-9a-fA-F]{2})*")

Model = TypeVar("Model", bound=BaseModel)


class ShapeError(Exception):
    """An answer has another shape than the method promises; the text is the place, no value."""


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


def parse(model: type[Model], answer: Any, place: str) -> Model:
    """Returns an answer as a model.

    Args:
        model: What it should be.
        answer: What the node answered.
        place: Method of the call, for the text.

    Raises:
        ShapeError: It is something else; the text names the first place.
    """
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        path = ".".join([place, *(_step(each) for each in first["loc"])])
        raise ShapeError(f"{path}: {first['type']}") from error


def parse_or_none(model: type[Model], answer: Any, place: str) -> Model | None:
    """Returns an answer as a model, None when it is missing, an error, or of another shape."""
    try:
        return parse(model, answer, place)
    except ShapeError:
        return None


def nonsense(description: str, error: ShapeError) -> RailUnavailableError:
    """Returns the error of an answer that the rail cannot do without."""
    return RailUnavailableError(
        f"{description}: answered nonsense: {error}: check that it is an EVM node; the next run "
        "tries again"
    )


def _step(part: int | str) -> str:
    """Returns a step of a path; only names of our own models and positions get here."""
    return str(part)[:40]
