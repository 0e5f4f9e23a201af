"""What a rail is to the rest: fetch(cursor) gives observations and the next cursor.

Here: the types that every rail speaks, and the errors it raises.
Not here: any rail (one file each), and what becomes of observations (revisions.py).
A re-run of a fetch with the same cursor against the same chain gives the same observations.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, Protocol

from masques_pipelines.errors import PermanentError, TransientError

# What no account can have as its id: a settlement that nobody is known to have paid.
UNATTRIBUTED: Final = uuid.UUID(int=0)

Status = Literal["pending", "confirmed", "failed", "unknown"]
Direction = Literal["in", "out"]
# Who says it: the chain decides; an intent (the gate's journal) can only announce.
Source = Literal["intent", "chain"]
Cursor = Mapping[str, Any]


class RailUnavailableError(TransientError):
    """A node could not serve the call now: down, slow, busy, behind, or answering nonsense."""


class RailRefusedError(PermanentError):
    """A node refused and will again, or is not the node it should be."""


@dataclass(frozen=True)
class Asset:
    """A token that counts as money.

    Attributes:
        address: Contract, lower-case hex; on Solana the mint.
        symbol: Our word for it; the contract's own proves nothing.
        decimals: Of one whole unit.
    """

    address: str
    symbol: str
    decimals: int


@dataclass(frozen=True)
class Observation:
    """What was seen of one payment at one time.

    Attributes:
        settlement_id: Identity of the payment (identity.py); the same however often it is seen.
        source: "chain" decides; "intent" announces.
        rail: base, solana or lightning.
        network: CAIP-2 id of the chain.
        direction: in or out, as the treasury sees it.
        status: pending, confirmed, failed or unknown.
        amount: In whole units of the currency, exact.
        currency: Symbol of the asset, by the allow-list of the settings.
        timestamp_ns: Time of the fact (block, settle, intent), nanoseconds since 1970.
        asset: Token contract or mint; empty for the rail's own coin.
        to_address: Who was paid.
        payer: Who paid, by the chain where it says so.
        payment_ref: Nonce, payment hash or signature.
        protocol: x402, l402 or empty when it is not known.
        tx_hash: Transaction or payment hash.
        block_height: Block number, on Solana the slot.
        block_hash: Hash of that block where the rail has one.
        confirmations: Blocks on top and the block itself, at this moment.
        finality: The rail's own word; empty while only the journal speaks.
        failure_reason: Why it failed or is unknown.
        network_fee: What the chain charged, in fee_currency.
        fee_currency: Coin of the network fee.
        facilitator_fee: In currency.
        transaction_id: The ledger transfer, as the gate's journal names it.
        attributes: What else is known; keys are stable, values are text.
    """

    settlement_id: uuid.UUID
    source: Source
    rail: str
    network: str
    direction: Direction
    status: Status
    amount: Decimal
    currency: str
    timestamp_ns: int
    asset: str = ""
    to_address: str = ""
    payer: str = ""
    payment_ref: str = ""
    protocol: str = ""
    tx_hash: str = ""
    block_height: int | None = None
    block_hash: str = ""
    confirmations: int = 0
    finality: str = ""
    failure_reason: str = ""
    network_fee: Decimal = Decimal(0)
    fee_currency: str = ""
    facilitator_fee: Decimal = Decimal(0)
    transaction_id: uuid.UUID | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OpenSettlement:
    """A settlement that is neither confirmed nor failed; its rail looks at it again each time.

    Attributes:
        latest: Its newest revision, as an observation.
        deadline_s: When it can no longer succeed, seconds since 1970; None when nothing says so.
    """

    latest: Observation
    deadline_s: int | None

    @property
    def settlement_id(self) -> uuid.UUID:
        """Identity of the payment."""
        return self.latest.settlement_id


# Asked by a rail at each fetch: what of it is still open (in the warehouse).
OpenSettlements = Callable[[], Sequence[OpenSettlement]]


@dataclass(frozen=True)
class Refused:
    """Something that looks like a payment and cannot be a row; it goes to quarantine.

    Attributes:
        source: Where it came from, enough to find it again.
        line_no: Position there, 1 and up.
        reason: `kind:field`.
        raw: The thing as it came, without secrets.
    """

    source: str
    line_no: int
    reason: str
    raw: str


@dataclass(frozen=True)
class Fetched:
    """One step of a rail.

    Attributes:
        observations: What was seen, in the order of the rail.
        cursor: Where the next fetch goes on.
        is_caught_up: Whether there is nothing more to fetch now.
        position: Height, slot or index that the cursor stands at, for people and plots.
        behind: How far that is from the rail's head, in the same unit.
        refused: What cannot be a row.
        notes: Counts worth plotting (zero-value transfers skipped …).
    """

    observations: Sequence[Observation]
    cursor: Cursor
    is_caught_up: bool
    position: int
    behind: int
    refused: Sequence[Refused] = ()
    notes: Mapping[str, int] = field(default_factory=dict)


class Rail(Protocol):
    """A source of settlements.

    Attributes:
        name: base, solana, lightning or journal.
        network: What the cursor belongs to besides the name.
        description: Names the endpoint in messages, without credentials.
        calls: Requests made so far.
    """

    name: str
    network: str
    description: str

    @property
    def calls(self) -> int:
        """Requests made so far."""
        ...

    def fetch(self, cursor: Cursor | None) -> Fetched:
        """Returns what happened after the cursor; None begins.

        Raises:
            RailUnavailableError, RailRefusedError: Nothing was fetched; the cursor stays.
        """
        ...
