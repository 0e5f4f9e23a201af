"""Types what a Solana node answers: strict and bounded; what is not used is ignored.

Numbers are at most 64 bits, amounts decimal ASCII digits, addresses base58, times inside what the
tables can hold.
"""

import json
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from masques_pipelines.rails.answers import is_time

SERVER: Final = "a Solana node"
_BASE58: Final = "[1-9A-HJ-NP-Za-km-z]"
_INSTRUCTIONS_MAX: Final = 1_000

Slot = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
Address = Annotated[str, StringConstraints(strict=True, pattern=f"^{_BASE58}{{32,44}}$")]
Signature = Annotated[str, StringConstraints(strict=True, pattern=f"^{_BASE58}{{64,88}}$")]
Units = Annotated[str, StringConstraints(strict=True, pattern="^[0-9]{1,20}$")]
Lamports = Annotated[int, Field(strict=True, ge=0, le=2**64 - 1)]
# A transaction's error is a word, or a word with its details.
_ERROR_WORD: Final = "^[A-Za-z]{1,64}$"
TransactionError = (
    Annotated[str, StringConstraints(strict=True, pattern=_ERROR_WORD)]
    | Annotated[
        dict[Annotated[str, StringConstraints(strict=True, pattern=_ERROR_WORD)], Any],
        Field(min_length=1, max_length=1),
    ]
    | None
)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Listed(_Answer):
    """A signature in the list of an address."""

    signature: Signature
    slot: Slot
    err: TransactionError
    blockTime: Any = None  # noqa: N815 - the node's name


class TokenAmount(_Answer):
    """An amount in the smallest unit."""

    amount: Units


class TokenBalance(_Answer):
    """The balance of one token account before or after a transaction."""

    accountIndex: Annotated[int, Field(ge=0, le=255)]  # noqa: N815 - the node's name
    mint: Address
    owner: Address | None = None
    uiTokenAmount: TokenAmount  # noqa: N815 - the node's name


class Instruction(_Answer):
    """An instruction; what a program's parser made of it is checked by who reads it."""

    program: Any = ""
    programId: Any = ""  # noqa: N815 - the node's name
    parsed: Any = None


class Inner(_Answer):
    """The instructions that an instruction made."""

    instructions: list[Instruction] = Field(max_length=_INSTRUCTIONS_MAX)


class Meta(_Answer):
    """The outcome of a transaction."""

    err: TransactionError
    fee: Lamports
    preBalances: list[Lamports] = Field(max_length=256)  # noqa: N815 - the node's name
    postBalances: list[Lamports] = Field(max_length=256)  # noqa: N815 - the node's name
    preTokenBalances: list[TokenBalance] | None = None  # noqa: N815 - the node's name
    postTokenBalances: list[TokenBalance] | None = None  # noqa: N815 - the node's name
    innerInstructions: list[Inner] | None = None  # noqa: N815 - the node's name


class Key(_Answer):
    """An account that a transaction names."""

    pubkey: Address


class Message(_Answer):
    """The body of a transaction."""

    accountKeys: list[Key] = Field(min_length=1, max_length=256)  # noqa: N815 - the node's name
    instructions: list[Instruction] = Field(max_length=_INSTRUCTIONS_MAX)


class Signed(_Answer):
    """A transaction as it was signed."""

    signatures: list[Signature] = Field(min_length=1, max_length=256)
    message: Message


class Transaction(_Answer):
    """A transaction as `jsonParsed`, of any version."""

    slot: Slot
    blockTime: Any = None  # noqa: N815 - the node's name
    meta: Meta
    transaction: Signed


class SignatureStatus(_Answer):
    """What the cluster says about a signature."""

    slot: Slot
    err: TransactionError


class _Context(_Answer):
    slot: Slot


class Statuses(_Answer):
    """The answer of getSignatureStatuses."""

    value: list[Any]


class AccountData(_Answer):
    """An account, with its data in base64."""

    owner: Address
    data: tuple[str, str] = Field(strict=False)


class Accounts(_Answer):
    """The answer of getMultipleAccounts: all of one slot."""

    context: _Context
    value: list[AccountData | None]


SLOT: Final = TypeAdapter(Slot)
TEXT: Final = TypeAdapter(Annotated[str, StringConstraints(strict=True, max_length=100)])
LIST: Final = TypeAdapter(Annotated[list[Any], Field(strict=True, max_length=10_000)])
LISTED: Final = TypeAdapter(Listed)
TRANSACTION: Final = TypeAdapter(Transaction)
STATUS: Final = TypeAdapter(SignatureStatus)
STATUSES: Final = TypeAdapter(Statuses)
ACCOUNTS: Final = TypeAdapter(Accounts)
_SIGNATURE: Final = TypeAdapter(Signature)


def is_signature(text: Any) -> bool:
    """Returns whether a value can be a transaction's signature."""
    try:
        _SIGNATURE.validate_python(text)
    except ValidationError:
        return False
    return True


def time_of(value: Any) -> int | None:
    """Returns a block time, None when it is not known or impossible."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and is_time(value) else None


def short(error: Any) -> str:
    """Returns a transaction's error as one short line; its shape is the node's."""
    try:
        text = json.dumps(error, ensure_ascii=True)
    except (ValueError, TypeError, RecursionError):
        text = type(error).__name__
    return "".join(c for c in text if c not in "'\"{}")[:200]
