"""The rail interface: `fetch(cursor)` returns observations and the next cursor.

A fetch depends on the cursor, the chain and the open settlements, never on this machine's clock:
the same cursor against the same chain gives the same observations.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, Literal, Protocol

from masques_pipelines.errors import PermanentError, TransientError

# The account of a settlement whose payer is not known: no account can have this id.
UNATTRIBUTED: Final = uuid.UUID(int=0)
NO_ID: Final = uuid.UUID(int=0)

# What is known of a payment. Only confirmed ones are money that moved; failed needs positive proof.
#   superseded: another settlement records the same money. off_chain: accepted, and needs no
#   transaction yet. claimable: a voucher, until its deadline. not_followed: a scheme or network
#   that is not read.
Status = Literal[
    "pending",
    "confirmed",
    "failed",
    "unknown",
    "superseded",
    "off_chain",
    "claimable",
    "not_followed",
]
# What an answer in the gate's journal proves, from nothing to much: an intent of a later one
# replaces an intent of an earlier one, never the reverse, in whichever order they are read.
#   refused: without a transaction; unanswered: no answer, or none that can be read; verified: the
#   signature was checked (or the gate itself asks: a challenge); failed: refused, and names a
#   transaction; pending: sent, not decided; success.
Answer = Literal["refused", "unanswered", "verified", "failed", "pending", "success"]
ANSWERS: Final[tuple[Answer, ...]] = (
    "refused",
    "unanswered",
    "verified",
    "failed",
    "pending",
    "success",
)
# Answers whose line may link a settlement to ledger transfers.
LINKING_ANSWERS: Final[frozenset[str]] = frozenset({"pending", "success"})

# Attributes that the revisions use; times are decimal text, seconds since 1970 in UTC.
DEADLINE: Final = "deadline_s"
JOURNAL_AT: Final = "journal_at"
FACILITATOR_SAID: Final = "facilitator_said"
ANSWER: Final = "answer"
# What was signed or asked for at most, where less was charged.
AMOUNT_MAX: Final = "amount_max"
# What a payment by MPP asked for in its method's own unit, where no rail of ours has it.
ASKED: Final = "asked"
# Extensions of x402: the client's own id of a payment, the digests of the signed offer and receipt,
# and when the receipt was signed.
PAYMENT_IDENTIFIER: Final = "payment_identifier"
OFFER: Final = "offer_sha256"
RECEIPT: Final = "receipt_sha256"
RECEIPT_AT: Final = "receipt_at"
# Why nobody looks at an unknown settlement any more; a later observation opens it again.
CLOSED: Final = "closed"
# Id of the settlement that records the money of a superseded one.
SUPERSEDED_BY: Final = "superseded_by"
# A voucher of a payment channel: the channel, what the channel has paid after it in the token's
# smallest unit, and how long the payer has to wait for money that it takes back, in seconds.
CHANNEL: Final = "channel_id"
CHARGED_TOTAL: Final = "charged_total"
WITHDRAW_DELAY: Final = "withdraw_delay_s"
# A payment by Circle Gateway: Gateway's own id of it, what Gateway says of it, the transaction of
# the batch that settled it, and what that changed our balance by, in whole units.
GATEWAY_TRANSFER: Final = "gateway_transfer"
GATEWAY_STATUS: Final = "gateway_status"
BATCH_HASH: Final = "batch_hash"
BATCH_NET: Final = "batch_net"
# One of several payers of a transaction: the settlement that it would be with one payer.
PART_OF: Final = "part_of"
# What a channel paid that no voucher is known of: the first and the last unit of it.
CLAIM_FROM: Final = "claim_from"
CLAIM_TO: Final = "claim_to"
# What an intent may add to a settlement: anything else of a line never becomes an attribute.
INTENT_ATTRIBUTES: Final = frozenset(
    {
        AMOUNT_MAX, ANSWER, ASKED, CHANNEL, CHARGED_TOTAL, DEADLINE, FACILITATOR_SAID,
        GATEWAY_TRANSFER, JOURNAL_AT, OFFER, PAYMENT_IDENTIFIER, RECEIPT, RECEIPT_AT,
        WITHDRAW_DELAY, "event",
        "facilitator_transaction", "memo", "method", "payout_id", "proof", "reference", "resource",
        "scheme",
    }
)  # fmt: skip
# Of an intent, on a settlement that the chain knows: its memo is the chain's own.
ADDED_TO_CHAIN: Final = INTENT_ATTRIBUTES - {"memo"}
# Open settlements that a fetch gets at most.
OPEN_MAX: Final = 1_000

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
        networks: The rail that reads each network, by the network's CAIP-2 id.
    """

    assets: Mapping[tuple[str, str], Asset]
    networks: Mapping[str, str]

    def rail_of(self, network: str) -> str | None:
        """Returns the name of the rail that reads a network, None when no rail does."""
        return self.networks.get(network)

    def network_of(self, rail: str) -> str | None:
        """Returns the first network that a rail reads, None when it reads none."""
        return next((network for network, each in self.networks.items() if each == rail), None)


@dataclass(frozen=True)
class Observation:
    """What was seen of one payment at one time.

    Attributes:
        settlement_id: Identity of the payment (settlement_ids.py), the same in every observation.
        source: "chain" decides; "intent" announces.
        rail: Name of the rail.
        network: CAIP-2 id of the chain.
        direction: "in" to the treasury or "out" of it.
        status: See Status. An intent is pending, unknown, off_chain, claimable or not_followed.
        amount: In whole units of the currency, exact.
        currency: Symbol of the asset, as the allow-list names it.
        timestamp_ns: Time of the fact (block, settle, intent), nanoseconds since 1970.
        asset: Token contract or mint; empty for the rail's own coin.
        to_address: Receiver.
        payer: Sender, where the chain names it.
        payment_ref: Nonce, payment hash or signature.
        protocol: x402, l402, mpp, or empty when it is not known.
        tx_hash: Transaction or payment hash.
        block_height: Block number, on Solana the slot.
        block_hash: Hash of that block, where the rail has one.
        confirmations: This block and the blocks on top of it, when it was observed.
        finality: The rail's own word for it; empty while only the journal reported the payment.
        failure_reason: Why the status is failed or unknown.
        network_fee: What the chain charged, in fee_currency.
        fee_currency: Currency of the network fee.
        facilitator_fee: In currency.
        transaction_ids: The ledger transfers that a line of the journal names; a claim, and a
            link only when it is proved (revisions.py, attribution.py). Empty on the chain's own.
        attributes: Everything else; keys are stable, values are text.
        payers_id: Of an intent: the settlement of this payer alone, where the transaction turns out
            to have several; the zero UUID where a transaction has one.
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
    transaction_ids: tuple[uuid.UUID, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    payers_id: uuid.UUID = NO_ID

    @property
    def answer_rank(self) -> int:
        """How much the answer of an intent proves: its index in ANSWERS, -1 without any."""
        answer = self.attributes.get(ANSWER, "")
        return ANSWERS.index(answer) if answer in ANSWERS else -1


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

    def closed(self, reason: str, **changes: Any) -> Observation:
        """Returns it as closed without proof of anything; what is seen later opens it again."""
        return replace(
            self.latest,
            source="chain",
            status="unknown",
            failure_reason=reason,
            confirmations=0,
            attributes={**self.latest.attributes, CLOSED: reason},
            **changes,
        )


class OpenSettlements(Protocol):
    """Called by a rail in each fetch: its settlements in the warehouse that are still open."""

    def __call__(self, *, after: str = "", limit: int = OPEN_MAX) -> Sequence[OpenSettlement]:
        """Returns open settlements by id (as text), from the one after `after` around the circle.

        A rail that keeps the last id it decided in its cursor looks at each of them in turn,
        however many stay open.
        """
        ...


# Called by a rail that reads blocks again: its settlements that are recorded as confirmed in blocks
# from the first to the second. What the chain no longer has is open again.
RecordedSettlements = Callable[[int, int], Sequence[OpenSettlement]]


def nothing_recorded(_first: int, _last: int) -> Sequence[OpenSettlement]:
    """Returns nothing: for a rail whose cursor is not moved back."""
    return ()


@dataclass(frozen=True)
class ChannelClaim:
    """What one transaction claimed of a payment channel: final, and of no token transfer.

    Attributes:
        channel_id: The channel, 32 bytes of hex.
        total: What the channel has paid since its beginning, with this claim; smallest unit.
        units: How much of it this transaction claimed.
        tx_hash: The transaction.
        block_height: Its block.
        block_hash: Hash of that block.
        time_ns: Time of that block.
        submitted_by: Who sent the transaction.
        network_fee: Its cost, in whole units, on its first claim; 0 on the others.
        is_gone: The chain that is read again does not have it any more.
    """

    channel_id: str
    total: int
    units: int
    tx_hash: str
    block_height: int
    block_hash: str
    time_ns: int
    submitted_by: str = ""
    network_fee: Decimal = Decimal(0)
    is_gone: bool = False


@dataclass(frozen=True)
class ChannelState:
    """What the contract says of one payment channel, in whole units.

    Attributes:
        channel_id: The channel.
        payer: Whose money it holds.
        to_address: Who may claim it.
        asset: Token contract.
        currency: Symbol of the token.
        balance: What was deposited, less what the payer took back; claims do not change it.
        claimed: What was claimed of it.
        claimed_units: The same in the token's smallest unit.
        withdrawing: What the payer has asked back, 0 for nothing.
        claim_until_s: When the payer can take that, seconds since 1970; None for nothing.
        withdraw_delay_s: How long the payer has to wait, from when it asks.
        block: Block that all but the withdrawal is of: the newest final one.
        read_at_ns: Time of that block.
    """

    channel_id: str
    payer: str
    to_address: str
    asset: str
    currency: str
    balance: Decimal
    claimed: Decimal
    claimed_units: int
    withdrawing: Decimal
    claim_until_s: int | None
    withdraw_delay_s: int
    block: int
    read_at_ns: int


@dataclass(frozen=True)
class FollowedChannel:
    """A payment channel that a fetch reads the events of.

    Attributes:
        channel_id: The channel.
        search_from_ns: Its events since then are read too, whatever was read before: a voucher of
            it is new, or a claim of it was missed; None when nothing is missing.
    """

    channel_id: str
    search_from_ns: int | None


class Channels(Protocol):
    """What is recorded of payments that settle later, on one rail and network.

    By a payment channel, or in a batch of Circle Gateway.
    """

    def followed(self, first: int, last: int) -> Sequence[FollowedChannel]:
        """Returns channels with money to claim, and those with claims in blocks first…last."""
        ...

    def settled_to(self, channel_ids: Sequence[str]) -> Mapping[str, int]:
        """Returns up to which unit everything of channels is settled, at the end of a claim.

        The newest voucher of a channel is always above it.
        """
        ...

    def settlements(self, above: Mapping[str, int]) -> Sequence[Observation]:
        """Returns the latest revisions of vouchers and claims above a unit of each channel."""
        ...

    def claims(self, above: Mapping[str, int]) -> Sequence[ChannelClaim]:
        """Returns the claims that are recorded above a unit of each channel."""
        ...

    def deferred(
        self, *, after: str, limit: int, closed_since_s: int | None
    ) -> Sequence[OpenSettlement]:
        """Returns payments by Circle Gateway that no batch has settled, by id around a circle.

        Args:
            after: The last one that was looked at.
            limit: How many at most.
            closed_since_s: Also those whose deadline passed since then without a batch; None for
                none of them.
        """
        ...

    def in_batches(self, hashes: Sequence[str]) -> Sequence[Observation]:
        """Returns the payments by Circle Gateway that batches are recorded to have settled."""
        ...


class NoChannels:
    """Payments that settle later, of a rail that has none."""

    def followed(self, _first: int, _last: int) -> Sequence[FollowedChannel]:
        """Returns none."""
        return ()

    def settled_to(self, _channel_ids: Sequence[str]) -> Mapping[str, int]:
        """Returns none."""
        return {}

    def settlements(self, _above: Mapping[str, int]) -> Sequence[Observation]:
        """Returns none."""
        return ()

    def claims(self, _above: Mapping[str, int]) -> Sequence[ChannelClaim]:
        """Returns none."""
        return ()

    def deferred(
        self, *, after: str, limit: int, closed_since_s: int | None
    ) -> Sequence[OpenSettlement]:
        """Returns none."""
        del after, limit, closed_since_s
        return ()

    def in_batches(self, _hashes: Sequence[str]) -> Sequence[Observation]:
        """Returns none."""
        return ()


NO_CHANNELS: Final = NoChannels()


@dataclass(frozen=True)
class Rejected:
    """Something that looks like a payment and cannot be a row; it goes to quarantine.

    Its source begins with the rail's network (the journal's with its folder), so that
    `masques rails replay` finds the rail that reads it again.

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

    @property
    def key(self) -> tuple[str, int]:
        """What identifies it in quarantine."""
        return self.source, self.line_no


@dataclass(frozen=True)
class Finding:
    """A contradiction, for a person to look at.

    Attributes:
        settlement_id: The payment.
        kind: facts_disagree, intent_disagrees, facilitator_contradicted, changed_after_final,
            claims_disagree, claim_disagrees, or a kind of a rail's own.
        detail: What was recorded and what is observed now, without secrets.
        rail: Rail of the payment.
        network: CAIP-2 id of its chain; '' for that of the rail that found it.
        revision: The revision that was written because of it, 0 when none was.
    """

    settlement_id: uuid.UUID
    kind: str
    detail: str
    rail: str
    revision: int = 0
    network: str = ""


@dataclass(frozen=True)
class BalanceReading:
    """One line of what the node says that we have, at one final block.

    All lines of one rail and asset at one block belong together: the check adds them up. The first
    complete reading is the opening balance; money that is neither a settlement nor here is lost.

    Attributes:
        asset: As Observation.asset has it.
        address: Address or token account; on Lightning the public key of the node.
        currency: As Observation.currency has it.
        balance: In whole units; None when the node no longer has the state.
        block: Block or slot; 0 on a rail without blocks, whose settlements are counted by time.
        read_at_ns: Time of the block, or of the node's answer: a settlement of that rail is in the
            balance exactly when its time is not later.
        finality: The rail's own word.
        block_hash: Hash of the block, where the rail has one.
        line: "balance", or a line of the node: channels, wallet, commit_fee, forward_fees …
        is_flow: Whether the line counts what ever moved beside the settlements (added up since the
            beginning, negative when it left), rather than money that is there.
        problem: Why the balance is None, in one line.
    """

    asset: str
    address: str
    currency: str
    balance: Decimal | None
    block: int
    read_at_ns: int
    finality: str
    block_hash: str = ""
    line: str = "balance"
    is_flow: bool = False
    problem: str = ""


EventKind = Literal["challenge", "verify", "settle", "payout"]


@dataclass(frozen=True)
class JournalEvent:
    """One line of the gate's journal as a fact; nothing in it is a secret or unbounded.

    Attributes:
        event_id: uuid5 of the line: the same wherever the line is read.
        time_ns: Time of the line, nanoseconds since 1970.
        kind: challenge, verify, settle or payout.
        outcome: A word of Answer, or "asked" for a challenge.
        source: File of the journal.
        line_no: Line of that file, from 1.
        protocol: x402, l402, mpp, or empty.
        scheme: Scheme of the payment; "other" when it is not a known one.
        network: CAIP-2 id; "other" when it is not a known one.
        settlement_id: The settlement that the line announces; the zero UUID for none.
        reference: Nonce, payment hash, transaction or payout id.
        error_reason: Reason of the answer when it is a known word; "other", or empty.
        latency_ms: Time that the answer took; None when the line does not say.
        transaction_ids: Ledger transfers that the line names, whatever the answer.
    """

    event_id: uuid.UUID
    time_ns: int
    kind: EventKind
    outcome: str
    source: str
    line_no: int
    protocol: str = ""
    scheme: str = ""
    network: str = ""
    settlement_id: uuid.UUID = NO_ID
    reference: str = ""
    error_reason: str = ""
    latency_ms: int | None = None
    transaction_ids: tuple[uuid.UUID, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a rail found: in a fetch, or in what was rejected before and is read again.

    Attributes:
        observations: In the order of the rail.
        rejected: What cannot be a row.
        findings: Contradictions that the rail itself sees.
        events: Lines of the journal as facts.
    """

    observations: Sequence[Observation]
    rejected: Sequence[Rejected] = ()
    findings: Sequence[Finding] = ()
    events: Sequence[JournalEvent] = ()


@dataclass(frozen=True, kw_only=True)
class FetchResult(Found):
    """The result of one fetch.

    Attributes:
        cursor: Where the next fetch continues.
        is_caught_up: Whether there is nothing more to fetch now.
        position: Height, slot or index of the cursor, for people and plots.
        behind: Distance to the rail's head, in the same unit.
        read_to_ns: Block time of the newest block that was read to its finality (of LND the time
            of the answer), never this machine's clock; None when this fetch does not know it.
        balances: What the node says that we have, at the block that the fetch ends at.
        claims: What was claimed of payment channels, and what is not any more.
        channels: Payment channels, as the contract says at the block that the fetch ends at.
        notes: Counts worth plotting (zero-value transfers skipped …).
    """

    cursor: Cursor
    is_caught_up: bool
    position: int
    behind: int
    read_to_ns: int | None = None
    balances: Sequence[BalanceReading] = ()
    claims: Sequence[ChannelClaim] = ()
    channels: Sequence[ChannelState] = ()
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

    def replay(self, rejected: Sequence[Rejected], cursor: Cursor | None) -> Found:
        """Reads again, as `fetch` does, what was rejected before the cursor.

        What is still rejected, or cannot be found any more, is rejected in the result under its
        source and line; everything else is settled.

        Raises:
            RailUnavailableError, RailRefusedError: Nothing was read.
        """
        ...
