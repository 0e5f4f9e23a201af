"""Decodes the contracts of Circle Gateway: what it holds for us, and what comes from it and goes.

The wallet contract holds a balance for each depositor. A batch of payments changes balances by one
call, `submitBatch(bytes,bytes)`: it names what each address gains or loses net, and no payment. The
published source of the contracts has no such function yet; the layout is that of the calls on
chains, so it is used where it fits and never needed. A deposit and a withdrawal move our own money.
A withdrawal by attestation mints tokens first; the operator burns the balance later.

Source of the events and of totalBalance: circlefin/evm-gateway-contracts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from masques_pipelines.rails.base.messages import FoundLog, Log, Receipt, Transaction
from masques_pipelines.rails.base.transfers import Transfer, address_of, address_topic

DEPOSITED: Final = "0x4174a9435a04d04d274c76779cad136a41fde6937c56241c09ab9d3c7064a1a9"
WITHDRAWN: Final = "0xb00382203b46c3b6ad0a2d7af0268e334bd9406256a7c7ba8f7fc8bc47f8cde9"
BURNED: Final = "0x12ee2719e7e2dec9f2a0041286b66669153dff0d36719f692b8bbaa4dfe0aa87"
MINTED: Final = "0xbb312ce0cc311b2cb0746e09ccd2f91fdb9e2ac755d2f11c65300eb0d0fffd63"
# The functions totalBalance(address,address) and submitBatch(bytes,bytes).
_TOTAL_BALANCE: Final = "0x1453b987"
_SUBMIT_BATCH: Final = "0xc9486c8b"
_ZERO: Final = "0x" + "0" * 40
_TEST_NETWORKS: Final = frozenset(
    f"eip155:{chain}"
    for chain in (11155111, 43113, 11155420, 421614, 84532, 80002, 1301, 5042002, 31337)
)
# Circle's numbers of networks, by chain id.
_DOMAINS: Final[Mapping[str, int]] = {
    "eip155:1": 0, "eip155:11155111": 0, "eip155:43114": 1, "eip155:43113": 1, "eip155:10": 2,
    "eip155:11155420": 2, "eip155:42161": 3, "eip155:421614": 3, "eip155:8453": 6,
    "eip155:84532": 6, "eip155:137": 7, "eip155:80002": 7, "eip155:130": 10, "eip155:1301": 10,
    "eip155:5042": 26, "eip155:5042002": 26,
}  # fmt: skip
_WORD: Final = 64
_BURNED_WORDS: Final = 7
_MINTED_WORDS: Final = 4
_SIGN_BIT: Final = 1 << 255
# Of a batch before its entries: offset, id, domain, token, wallet, number of entries.
_BATCH_HEAD: Final = 6
_ENTRIES_MAX: Final = 100_000


@dataclass(frozen=True)
class Contracts:
    """The contracts of Circle Gateway on one network; at the same addresses on all of a kind.

    Attributes:
        network: CAIP-2 id.
    """

    network: str

    @property
    def wallet(self) -> str:
        """The wallet contract."""
        if self.network in _TEST_NETWORKS:
            return "0x0077777d7eba4688bdef3e311b846f25870a19b9"
        return "0x77777777dcc4d5a8b6e418fd04d8997ef11000ee"

    @property
    def minter(self) -> str:
        """The minter contract."""
        if self.network in _TEST_NETWORKS:
            return "0x0022222abe238cc2c7bb1f21003f0a260052475b"
        return "0x2222222d7164433c4c09b0b0d809a9b52c04c205"

    @property
    def domain(self) -> int | None:
        """Circle's number of the network, None where it is not known."""
        return _DOMAINS.get(self.network)


@dataclass(frozen=True)
class Mint:
    """Tokens that were minted to us out of our own balance, which is burned later.

    Attributes:
        spec: Identifies the withdrawal, here and in the event that burns the balance.
        token: Token contract.
        depositor: Whose balance it is.
        units: How much.
        block: Block of the transaction.
    """

    spec: str
    token: str
    depositor: str
    units: int
    block: int


@dataclass(frozen=True)
class Burn:
    """What the operator burned of a balance.

    Attributes:
        spec: Identifies the withdrawal.
        token: Token contract.
        depositor: Whose balance it was.
        recipient: Who got it, where it was minted.
        domain: Circle's number of that network.
        units: How much.
        fee: What the operator charged for it, in the token's smallest unit.
    """

    spec: str
    token: str
    depositor: str
    recipient: str
    domain: int
    units: int
    fee: int


def balance_call(
    contracts: Contracts, token: str, depositor: str, block: str
) -> tuple[str, Sequence[Any]]:
    """Returns the call for what the wallet contract holds for an address."""
    data = _TOTAL_BALANCE + address_topic(token)[2:] + address_topic(depositor)[2:]
    return "eth_call", [{"to": contracts.wallet, "data": data}, block]


def burn_search(
    contracts: Contracts, tokens: Sequence[str], depositors: Sequence[str]
) -> dict[str, Any]:
    """Returns the query of eth_getLogs for what was burned of our balances."""
    topics = [[BURNED], list(map(address_topic, tokens)), list(map(address_topic, depositors))]
    return {"address": [contracts.wallet], "topics": topics}


def own_move(receipt: Receipt, moved: Transfer, contracts: Contracts) -> str:
    """Returns how a transfer moves our own money to or from Gateway, '' when it does not.

    Returns:
        "deposited", "withdrawn", or "minted": the last by an attestation for this network.
    """
    if moved.receiver == contracts.wallet:
        return "deposited" if _has(receipt, contracts, DEPOSITED, moved, moved.sender) else ""
    if moved.sender == contracts.wallet:
        return "withdrawn" if _has(receipt, contracts, WITHDRAWN, moved, moved.receiver) else ""
    return "minted" if mint_of(receipt, moved, contracts) is not None else ""


def mint_of(receipt: Receipt, moved: Transfer, contracts: Contracts) -> Mint | None:
    """Returns the withdrawal that minted a transfer out of the receiver's own balance here."""
    if moved.sender != _ZERO:
        return None
    subject = (MINTED, address_topic(moved.asset.address), address_topic(moved.receiver))
    for log in receipt.logs:
        words = _words(log, _MINTED_WORDS)
        if log.address != contracts.minter or log.topics[:3] != subject or len(log.topics) < 4:
            continue
        domain, depositor, _signer, units = words or (None, 0, 0, 0)
        is_own = depositor == int(address_topic(moved.receiver), 16)
        if domain is not None and domain == contracts.domain and is_own and units == moved.units:
            return Mint(
                spec=log.topics[3],
                token=moved.asset.address,
                depositor=moved.receiver,
                units=moved.units,
                block=receipt.block_number,
            )
    return None


def burn_of(log: Log | FoundLog, contracts: Contracts) -> Burn | None:
    """Returns what an event burned of a balance, None when it is another event."""
    words = _words(log, _BURNED_WORDS)
    if log.address != contracts.wallet or len(log.topics) != 4 or log.topics[0] != BURNED:
        return None
    if words is None:
        return None
    return Burn(
        spec=log.topics[3],
        token=address_of(log.topics[1]),
        depositor=address_of(log.topics[2]),
        recipient=address_of(f"{words[1]:064x}"),
        domain=words[0],
        units=words[3],
        fee=words[4],
    )


def net_of_batch(
    transaction: Transaction, token: str, address: str, contracts: Contracts
) -> int | None:
    """Returns what a batch changed the balance of an address by, None when the call says nothing.

    An address that the call does not name gains and loses nothing.
    """
    data = transaction.input.removeprefix(_SUBMIT_BATCH)
    if transaction.to != contracts.wallet or len(data) == len(transaction.input):
        return None
    words = [data[start : start + _WORD] for start in range(0, len(data), _WORD)]
    try:
        # The first argument: the place of its length among all words, then its own words.
        place = int(words[0], 16) // 32
        size = int(words[place], 16) // 32
        batch = words[place + 1 : place + 1 + size]
        numbers = [int(each, 16) for each in batch]
        head, entries = numbers[:_BATCH_HEAD], numbers[_BATCH_HEAD:]
        _offset, _id, _domain, of_token, of_wallet, count = head
    except (ValueError, IndexError):
        return None
    is_ours = of_wallet == int(contracts.wallet, 16) and of_token == int(token, 16)
    if not is_ours or count > _ENTRIES_MAX or len(entries) < 2 * count:
        return None
    wanted = int(address, 16)
    pairs = zip(entries[: 2 * count : 2], entries[1 : 2 * count : 2], strict=True)
    return sum(_signed(change) for who, change in pairs if who == wanted)


def _signed(number: int) -> int:
    return number - 2 * _SIGN_BIT if number & _SIGN_BIT else number


def _words(log: Log, count: int) -> tuple[int, ...] | None:
    text = log.data[2:]
    if len(text) != count * _WORD:
        return None
    return tuple(int(text[start : start + _WORD], 16) for start in range(0, len(text), _WORD))


def _has(receipt: Receipt, contracts: Contracts, topic: str, moved: Transfer, owner: str) -> bool:
    """Returns whether the wallet contract books a transfer for its owner, with the same amount."""
    subject = (topic, address_topic(moved.asset.address), address_topic(owner))
    return any(
        log.address == contracts.wallet and log.topics[:3] == subject and log.data == moved.data
        for log in receipt.logs
    )
