"""Describes the lines of the gate's journal: typed, and bounded in every text, number and time.

A field that a payment cannot do without rejects its line when it has another type; any other one
counts as absent, so that a client's odd extension never hides a payment. Macaroons, preimages,
signatures and signed transactions have no field here.
"""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WrapValidator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from masques_pipelines.rails.journal.reading import DIGITS_MAX

# No protocol of this journal is older; times before would be deleted by the retention, and times
# that far ahead overflow the 16-bit date that it is computed with.
TIME_MIN: Final = datetime(2020, 1, 1, tzinfo=UTC)
TIME_MAX: Final = datetime(2100, 1, 1, tzinfo=UTC)
TRANSACTION_IDS_MAX: Final = 1_000
# Part of the identity of a payout; any other text counts as none.
PAYOUT_ID: Final = "[A-Za-z0-9_.:-]{1,128}"
_TIME_CHARACTERS_MAX: Final = 40
_ID_CHARACTERS_MAX: Final = 45
_LEDGER_ID_LIMIT: Final = 2**128
# Ten years: longer than any payment is valid.
_TIMEOUT_S_MAX: Final = 10 * 366 * 86_400
# The drafts allow 10.
_SPLITS_MAX: Final = 32
_LATENCY_MS_MAX: Final = 2**32 - 1

_DIGITS: Final = re.compile(rf"[0-9]{{1,{DIGITS_MAX}}}")
_HEX_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_HEX_32: Final = re.compile(r"0x[0-9a-fA-F]{64}")
_NETWORK: Final = re.compile(r"[a-z0-9-]{1,32}(:[A-Za-z0-9_-]{1,64})?")

Event = Literal["challenge", "verify", "settle", "payment", "payout"]
EVENTS: Final[tuple[str, ...]] = get_args(Event)


class LineError(Exception):
    """A line that cannot be parsed; the text is the reason, `kind:field`."""


def _or_none(value: Any, handler: Any) -> Any:
    try:
        return handler(value)
    except ValidationError:
        return None


def _units(value: Any) -> int:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _DIGITS.fullmatch(text):
        raise PydanticCustomError("bad_number", "not an integer of at most 78 digits")
    return int(text)


def _hex_address(value: Any) -> str:
    if not isinstance(value, str) or not _HEX_ADDRESS.fullmatch(value):
        raise PydanticCustomError("bad_hex", "not an address of 20 bytes")
    return value.lower()


def _hex_32(value: Any) -> str:
    if not isinstance(value, str) or not _HEX_32.fullmatch(value):
        raise PydanticCustomError("bad_hex", "not 32 bytes")
    return value.lower()


def _network(value: Any) -> str:
    if not isinstance(value, str) or not _NETWORK.fullmatch(value):
        raise PydanticCustomError("bad_network", "not the name of a network")
    return value


def _time_of(value: Any) -> datetime:
    if isinstance(value, str):
        found = datetime.fromisoformat(value[:_TIME_CHARACTERS_MAX])
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return datetime.fromtimestamp(value, UTC)


def _moment(value: Any) -> datetime:
    try:
        found = _time_of(value)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise PydanticCustomError("bad_timestamp", "not a time") from error
    if not TIME_MIN <= found < TIME_MAX:
        raise PydanticCustomError("out_of_range", "not between 2020 and 2100")
    return found


def _event(value: Any) -> str:
    if value not in EVENTS:
        raise PydanticCustomError("unknown", "not an event")
    return str(value)


def _uuid_of(value: Any) -> uuid.UUID:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text.isascii() or len(text) > _ID_CHARACTERS_MAX:
        raise ValueError
    return uuid.UUID(int=int(text)) if _DIGITS.fullmatch(text) else uuid.UUID(text)


def _ledger_id(value: Any) -> uuid.UUID:
    """Returns the id of a ledger transfer: a UUID, or the ledger's own number."""
    try:
        found = _uuid_of(value)
    except ValueError as error:
        raise PydanticCustomError("bad_uuid", "not the id of a ledger transfer") from error
    if not 0 < found.int < _LEDGER_ID_LIMIT - 1:
        raise PydanticCustomError("bad_uuid", "not the id of a ledger transfer")
    return found


Moment = Annotated[datetime, BeforeValidator(_moment)]
Units = Annotated[int, BeforeValidator(_units)]
EvmAddress = Annotated[str, BeforeValidator(_hex_address)]
Hex32 = Annotated[str, BeforeValidator(_hex_32)]
Network = Annotated[str, BeforeValidator(_network)]
LedgerId = Annotated[uuid.UUID, BeforeValidator(_ledger_id)]
_Optional = WrapValidator(_or_none)
Word = Annotated[Annotated[str, Field(max_length=64)] | None, _Optional]
Text = Annotated[Annotated[str, Field(max_length=512)] | None, _Optional]
LongText = Annotated[Annotated[str, Field(max_length=16_384)] | None, _Optional]
Flag = Annotated[bool | None, _Optional]
Tree = Annotated[dict[str, Any] | None, _Optional]
MaybeUnits = Annotated[Units | None, _Optional]


class Message(BaseModel):
    """Something that an outsider wrote: camelCase, unknown fields ignored, types as they are."""

    model_config = ConfigDict(
        extra="ignore", strict=True, frozen=True, alias_generator=to_camel, populate_by_name=True
    )


class Requirements(Message):
    """What a payment was asked for."""

    scheme: Word = None
    network: Network | None = None
    asset: Word = None
    amount: Units | None = Field(
        default=None, validation_alias=AliasChoices("amount", "maxAmountRequired")
    )
    pay_to: Text = None
    max_timeout_seconds: Annotated[
        Annotated[int, Field(ge=0, le=_TIMEOUT_S_MAX)] | None, _Optional
    ] = None
    resource: LongText = None
    extra: Tree = None


class Payment(Message):
    """A client's payment payload; what was signed is read by its scheme."""

    scheme: Word = None
    network: Network | None = None
    accepted: Tree = None
    payload: Tree = None
    resource: Annotated[dict[str, Any] | str | None, _Optional] = None
    extensions: Tree = None


class Authorization(Message):
    """A signed EIP-3009 transfer."""

    from_: EvmAddress = Field(alias="from")
    to: EvmAddress
    value: Units
    valid_before: Units
    nonce: Hex32


class Permitted(Message):
    """What a Permit2 signature allows at most."""

    amount: MaybeUnits = None


class Permit(Message):
    """A signed Permit2 transfer, or the one inside a deposit to a channel."""

    from_: Annotated[EvmAddress | None, _Optional] = Field(default=None, alias="from")
    deadline: MaybeUnits = None
    nonce: MaybeUnits = None
    permitted: Annotated[Permitted | None, _Optional] = None


class Channel(Message):
    """Who pays through a channel of batch-settlement, and how long its money is locked."""

    payer: Annotated[EvmAddress | None, _Optional] = None
    receiver: Annotated[EvmAddress | None, _Optional] = None
    withdraw_delay: Annotated[Annotated[int, Field(ge=0, le=_TIMEOUT_S_MAX)] | None, _Optional] = (
        None
    )


class Voucher(Message):
    """What a channel of batch-settlement has paid at most, signed by its payer."""

    channel_id: Annotated[Hex32 | None, _Optional] = None
    max_claimable_amount: MaybeUnits = None


class ChannelPaid(Message):
    """What the gate says that a channel has paid."""

    channel_id: Annotated[Hex32 | None, _Optional] = None
    charged_cumulative_amount: MaybeUnits = None


class Answer(Message):
    """A facilitator's answer to /verify or /settle."""

    success: Flag = None
    is_valid: Flag = None
    error_reason: Text = None
    invalid_reason: Text = None
    transaction: Text = None
    payer: Text = None
    amount: MaybeUnits = None
    extensions: Tree = None
    extra: Tree = None

    @property
    def charged(self) -> int | None:
        """What was charged, in the smallest unit, where the answer says it."""
        found = (self.extra or {}).get("chargedAmount")
        try:
            return self.amount if found is None else _units(found)
        except PydanticCustomError:
            return self.amount


class Receipt(Message):
    """The receipt of a payment by MPP."""

    method: Word = None
    reference: Text = None
    status: Word = None
    challenge_id: Text = None
    chain_id: Annotated[Annotated[int, Field(gt=0, lt=2**63)] | None, _Optional] = None


class Split(Message):
    """What another receiver gets of a charge."""

    amount: MaybeUnits = None


class MethodDetails(Message):
    """What a method of MPP asks for beside amount, currency and receiver."""

    chain_id: Annotated[Annotated[int, Field(gt=0, lt=2**63)] | None, _Optional] = None
    network: Word = None
    token_program: Word = None
    invoice: LongText = None
    splits: Annotated[list[Split], Field(max_length=_SPLITS_MAX)] | None = None


class Charge(Message):
    """What a challenge of MPP asks for."""

    amount: MaybeUnits = None
    currency: Word = None
    recipient: Text = None
    method_details: MethodDetails | None = None


class Payout(Message):
    """Money that the platform sent, as its payout service reports it."""

    model_config = ConfigDict(alias_generator=None)

    network: Network
    asset: Word = None
    amount: Units = Field(validation_alias=AliasChoices("amount", "amount_msat"))
    to: Text = None
    payout_id: Text = None
    transaction: Text = Field(
        default=None, validation_alias=AliasChoices("transaction", "tx_hash", "payment_hash")
    )


class Line(Message):
    """One line of the journal."""

    model_config = ConfigDict(alias_generator=None)

    recorded_at: Moment
    event: Annotated[Event | None, BeforeValidator(lambda v: None if v is None else _event(v))] = (
        None
    )
    protocol: Word = None
    request: Tree = None
    response: Tree = None
    headers: Tree = None
    # The messages of MPP, in place of its headers: a line that comes back from quarantine has them.
    mpp: Tree = None
    transaction_id: Annotated[
        LedgerId | None, BeforeValidator(lambda v: None if v == "" else v)
    ] = None
    transaction_ids: Annotated[list[LedgerId], Field(max_length=TRANSACTION_IDS_MAX)] | None = None
    resource: LongText = None
    payment_hash: Text = None
    amount_msat: Annotated[Units | None, BeforeValidator(lambda v: v or None)] = None
    invoice: LongText = None
    macaroon: LongText = None
    http_status: Annotated[Annotated[int, Field(ge=100, le=599)] | None, _Optional] = None
    latency_ms: Annotated[
        Annotated[float, Field(ge=0, le=_LATENCY_MS_MAX, allow_inf_nan=False)] | None, _Optional
    ] = None
    # Of a payload whose secrets were dropped: a line that comes back from quarantine has it.
    payload_sha256: Word = None

    @property
    def named_transfers(self) -> tuple[uuid.UUID, ...]:
        """The ledger transfers that the line names, sorted."""
        named = {*(self.transaction_ids or ()), *filter(None, [self.transaction_id])}
        return tuple(sorted(named))


M = TypeVar("M", bound=Message)


def parsed(model: type[M], value: Any, *, name: str = "line") -> M:
    """Returns a value as a message.

    Args:
        model: What it should be.
        value: What JSON holds.
        name: Names it in the reason when it is not even an object.

    Raises:
        LineError: It is not; the text names kind and field, and never the value.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = next((str(each) for each in first["loc"] if isinstance(each, str)), name)
        kind = first["type"]
        known = {"missing": "missing", "too_long": "too_long"}
        raise LineError(
            f"{kind if kind in _KINDS else known.get(kind, 'bad_type')}:{place}"
        ) from None


_KINDS: Final = frozenset(
    {"bad_number", "bad_hex", "bad_network", "bad_timestamp", "bad_uuid", "out_of_range", "unknown"}
)


def mapping(value: Any) -> Mapping[str, Any]:
    """Returns a value that is an object, else an empty one."""
    return value if isinstance(value, dict) else {}
