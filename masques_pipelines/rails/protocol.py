"""The rail interface: `fetch(cursor)` returns observations and the next cursor.

A fetch depends on the cursor, the chain and the open settlements, never on this machine's clock:
the same cursor against the same chain gives the same observations.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, Protocol

from masques_pipelines.errors import PermanentError, TransientError

# The account of a settlement whose payer is not known: no account can have this id.
UNATTRIBUTED: Final = uuid.UUID(int=0)

Status = Literal["pending", "confirmed", "failed", "unknown"]
Direction = Literal["in", "out"]
# Who reported it: the chain decides; an intent (from the gate's journal) only announces.
Source = Literal["intent", "chain"]
Cursor = Mapping[str, Any]


class RailUnavailableError(TransientError):
    """A node could not answer now: down, slow, busy, behind, or its answer made no sense."""


class RailRefusedError(PermanentError):
    """A node refused and will refuse again, or is not the node that it should be."""


@dataclass(frozen=True)
class Asset:
    """A token that counts as money.

    Attributes:
        address: Contract address, lower-case hex; on Solana the mint.
        symbol: The currency in our tables; the contract's own symbol proves nothing.
        decimals: Decimal places of one whole unit.
    """

    address: str
    symbol: str
    decimals: int


@dataclass(frozen=True)
class AssetAllowList:
    """The tokens and networks of all rails, switched on or not.

    Attributes:
        assets: Allowed tokens by (CAIP-2 network, address); EVM addresses in lower case.
        networks: The CAIP-2 network of each rail, by the rail's name.
    """

    assets: Mapping[tuple[str, str], Asset]
    networks: Mapping[str, str]

    def rail_of(self, network: str) -> str | None:
        """Returns the name of the rail that reads a network, None when no rail does."""
        return next((name for name, each in self.networks.items() if each == network), None)


@dataclass(frozen=True)
class Observation:
    """What was seen of one payment at one time.

    Attributes:
        settlement_id: Identity of the payment (settlement_ids.py), the same in every observation.
        source: "chain" decides; "intent" announces.
        rail: Name of the rail.
        network: CAIP-2 id of the chain.
        direction: "in" to the treasury or "out" of it.
        status: pending, confirmed, failed or unknown.
        amount: In whole units of the currency, exact.
        currency: Symbol of the asset, as the allow-list names it.
        timestamp_ns: Time of the fact (block, settle, intent), nanoseconds since 1970.
        asset: Token contract or mint; empty for the rail's own coin.
        to_address: Receiver.
        payer: Sender, where the chain names it.
        payment_ref: Nonce, payment hash or signature.
        protocol: x402, l402, or empty when it is not known.
        tx_hash: Transaction or payment hash.
        block_height: Block number, on Solana the slot.
        block_hash: Hash of that block, where the rail has one.
        confirmations: This block and the blocks on top of it, when it was observed.
        finality: The rail's own word for it; empty while only the journal reported the payment.
        failure_reason: Why the status is failed or unknown.
        network_fee: What the chain charged, in fee_currency.
        fee_currency: Currency of the network fee.
        facilitator_fee: In currency.
        transaction_id: The ledger transfer that the gate's journal names.
        attributes: Everything else; keys are stable, values are text.
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
    """A settlement that is neither confirmed nor failed; its rail looks at it in every fetch.

    Attributes:
        latest: Its latest revision, as an observation.
        deadline_s: When it can no longer succeed, seconds since 1970; None when not known.
    """

    latest: Observation
    deadline_s: int | None

    @property
    def settlement_id(self) -> uuid.UUID:
        """Identity of the payment."""
        return self.latest.settlement_id


# Called by a rail in each fetch: its settlements in the warehouse that are still open.
OpenSettlements = Callable[[], Sequence[OpenSettlement]]


@dataclass(frozen=True)
class Rejected:
    """Something that looks like a payment and cannot be a row; it goes to quarantine.

    Attributes:
        source: Where it came from, precise enough to find it again.
        line_no: Position in the source, from 1.
        reason: `kind:field`.
        raw: The thing as it came, without secrets.
    """

    source: str
    line_no: int
    reason: str
    raw: str


@dataclass(frozen=True)
class FetchResult:
    """The result of one fetch.

    Attributes:
        observations: In the order of the rail.
        cursor: Where the next fetch continues.
        is_caught_up: Whether there is nothing more to fetch now.
        position: Height, slot or index of the cursor, for people and plots.
        behind: Distance to the rail's head, in the same unit.
        rejected: What cannot be a row.
        notes: Counts worth plotting (zero-value transfers skipped …).
    """

    observations: Sequence[Observation]
    cursor: Cursor
    is_caught_up: bool
    position: int
    behind: int
    rejected: Sequence[Rejected] = ()
    notes: Mapping[str, int] = field(default_factory=dict)


class Rail(Protocol):
    """A source of settlements.

    Attributes:
        name: Name of the rail, unique in the catalog.
        network: What the cursor belongs to, together with the name.
        description: The endpoint in messages, without credentials.
    """

    name: str
    network: str
    description: str

    @property
    def calls(self) -> int:
        """Requests made so far."""
        ...

    def fetch(self, cursor: Cursor | None) -> FetchResult:
        """Returns what happened after the cursor; None starts at the beginning.

        Raises:
            RailUnavailableError, RailRefusedError: Nothing was fetched; the cursor stays.
        """
        ...
