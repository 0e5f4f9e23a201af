"""Types what an LND node answers: strict and bounded; what is not used is ignored.

LND's REST gives 64-bit numbers as text, bytes in base64 and enums by name.
"""

import base64
import binascii
import hashlib
import re
from typing import Annotated, Any, ClassVar, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    model_validator,
)

from masques_pipelines.rails.answers import nonsense

SERVER: Final = "an LND node"
# More than all bitcoin there will be, in millisatoshi.
MSAT_MAX: Final = 21 * 10**17
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")
_HEX_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")


def _number(value: Any) -> int:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("not a number")


def _hash_of_bytes(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 88:
        raise ValueError("not 32 bytes in base64")
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not 32 bytes in base64") from None
    if len(data) != 32:
        raise ValueError("not 32 bytes in base64")
    return data.hex()


def _bytes_of(value: Any) -> bytes:
    """Returns the bytes of base64 text, none when it is anything else."""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        return b""


def is_payment_hash(text: Any) -> bool:
    """Returns whether a text is 32 bytes of hex."""
    return isinstance(text, str) and _HEX_HASH.fullmatch(text) is not None


def _hex_hash(value: Any) -> str:
    if not is_payment_hash(value):
        raise ValueError("not 32 bytes in hex")
    return str(value).lower()


Number = Annotated[int, BeforeValidator(_number), Field(ge=-(2**63), le=2**63 - 1)]
Index = Annotated[int, BeforeValidator(_number), Field(ge=0, le=2**63 - 1)]
Msat = Annotated[int, BeforeValidator(_number), Field(ge=0, le=MSAT_MAX)]
Word = Annotated[str, Field(strict=True, max_length=40, pattern=r"^[A-Za-z_]*$")]
Pubkey = Annotated[str, Field(strict=True, pattern=r"^0[23][0-9a-fA-F]{64}$")]
PaymentHash = Annotated[str, BeforeValidator(_hash_of_bytes)]
HexHash = Annotated[str, BeforeValidator(_hex_hash)]
Hex = Annotated[str, Field(strict=True, max_length=200, pattern=r"^[0-9a-fA-F]*$")]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Part(_Answer):
    """A part (HTLC) of an incoming payment."""

    state: Word
    amt_msat: Msat
    accept_time: Index = 0
    resolve_time: Index = 0


class AmpSet(_Answer):
    """A set of parts of an AMP invoice."""

    state: Word
    amt_paid_msat: Msat
    settle_time: Index = 0


class Invoice(_Answer):
    """An invoice of the node; a settled one has the preimage of its hash, which is not kept."""

    INDEX: ClassVar = "add_index"

    r_hash: PaymentHash
    add_index: Index
    state: Word
    creation_date: Index
    expiry: Index = 0
    value_msat: Msat = 0
    amt_paid_msat: Msat = 0
    settle_date: Index = 0
    htlcs: list[Part] | None = Field(default=None, max_length=10_000)
    is_amp: bool = False
    amp_invoice_state: dict[str, AmpSet] | None = None

    @property
    def index(self) -> int:
        """Its place among the invoices."""
        return self.add_index

    @model_validator(mode="before")
    @classmethod
    def _is_proved(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("is_amp") or value.get("amp_invoice_state"):
            return value  # each set of parts has its own
        if value.get("state") == "SETTLED" and value.get("r_preimage"):
            preimage, digest = (_bytes_of(value.get(name)) for name in ("r_preimage", "r_hash"))
            if hashlib.sha256(preimage).digest() != digest:
                raise ValueError("not the hash of its preimage")
        return value

    @model_validator(mode="after")
    def _adds_up(self) -> "Invoice":
        if self.amp_invoice_state and not self.is_amp:
            raise ValueError("sets of parts of an invoice that has none")
        settled = [each.amt_msat for each in self.htlcs or () if each.state == "SETTLED"]
        if self.state == "SETTLED" and settled and sum(settled) != self.amt_paid_msat:
            raise ValueError("its parts are not its amount")
        return self


class Hop(_Answer):
    """A hop of a route."""

    pub_key: Hex = ""


class Route(_Answer):
    """The way of an attempt."""

    hops: list[Hop] | None = None


class Attempt(_Answer):
    """An attempt of an outgoing payment."""

    status: Word
    route: Route | None = None
    resolve_time_ns: Index = 0


class Payment(_Answer):
    """An outgoing payment; one that succeeded has the preimage of its hash, which is not kept."""

    INDEX: ClassVar = "payment_index"

    payment_hash: HexHash
    payment_index: Index
    status: Word
    value_msat: Msat
    value_sat: Msat | None = None
    fee_msat: Msat = 0
    fee_sat: Msat | None = None
    creation_time_ns: Index = 0
    creation_date: Index = 0
    failure_reason: Word | None = None
    htlcs: list[Attempt] | None = Field(default=None, max_length=10_000)

    @property
    def index(self) -> int:
        """Its place among the payments."""
        return self.payment_index

    @model_validator(mode="before")
    @classmethod
    def _is_proved(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("status") == "SUCCEEDED":
            preimage = value.get("payment_preimage")
            if isinstance(preimage, str) and _HEX_HASH.fullmatch(preimage):
                digest = hashlib.sha256(bytes.fromhex(preimage)).hexdigest()
                if digest != str(value.get("payment_hash")).lower():
                    raise ValueError("not the hash of its preimage")
        return value

    @model_validator(mode="after")
    def _adds_up(self) -> "Payment":
        for msat, sat in ((self.value_msat, self.value_sat), (self.fee_msat, self.fee_sat)):
            if sat is not None and msat // 1_000 != sat:
                raise ValueError("two amounts that are not the same")
        return self


class Offset(_Answer):
    """The end of a page; 0 when the node does not say, and of an empty page."""

    last_index_offset: Index = 0


class Chain(_Answer):
    """The chain under the node."""

    network: Word = ""


class Info(_Answer):
    """What the node says of itself."""

    identity_pubkey: Pubkey
    chains: list[Chain] | None = None
    best_header_timestamp: Index = 0


class Amount(_Answer):
    """An amount in both units."""

    msat: Msat = 0


class ChannelBalance(_Answer):
    """What the node has in its channels."""

    local_balance: Amount
    unsettled_local_balance: Amount = Amount()
    pending_open_local_balance: Amount = Amount()


class WalletBalance(_Answer):
    """What the node has on the chain, in satoshi."""

    total_balance: Annotated[int, BeforeValidator(_number), Field(ge=0, le=MSAT_MAX // 1000)]
    reserved_balance_anchor_chan: Msat = 0


class Channel(_Answer):
    """A channel."""

    initiator: bool = False
    commit_fee: Msat = 0


class Channels(_Answer):
    """The open channels."""

    channels: list[Channel] | None = None


class PendingChannels(_Answer):
    """The channels that are being opened or closed."""

    total_limbo_balance: Msat = 0


class ClosedChannels(_Answer):
    """The channels that are closed."""

    channels: list[Any] | None = None


class OnChain(_Answer):
    """A transaction of the wallet."""

    amount: Annotated[int, BeforeValidator(_number), Field(ge=-MSAT_MAX, le=MSAT_MAX)]
    total_fees: Msat = 0
    label: str = ""


class OnChains(_Answer):
    """The transactions of the wallet."""

    transactions: list[OnChain] | None = None


class Forward(_Answer):
    """A payment of others that was forwarded."""

    fee_msat: Msat


class Forwards(_Answer):
    """A page of forwarded payments."""

    forwarding_events: list[Forward] | None = None
    last_offset_index: Index = 0


INDEX: Final = TypeAdapter(Index)


def items_of(answer: Any, name: str, *, method: str, node: str) -> list[Any]:
    """Returns the list under a name of an answer, without checking its items."""
    found = answer.get(name) if isinstance(answer, dict) else answer
    if found is None:
        return []
    if not isinstance(found, list):
        raise nonsense(node, f"{method}: {name} (not a list)", SERVER)
    return found
