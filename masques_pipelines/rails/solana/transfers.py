"""Decodes what a Solana transaction did to our token accounts.

The amount is the difference of the balances, which is exact whatever moved the tokens: transfers
may be made by other programs, may bear fees, and may be several in one transaction. Only the sender
is read from the instructions: the owner of the account that the money came from, not a delegate who
signed for it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.money import whole_units
from masques_pipelines.rails.protocol import PART_OF, Asset, Observation
from masques_pipelines.rails.settlement_ids import solana_transfer
from masques_pipelines.rails.solana.messages import Instruction, TokenBalance, Transaction

LAMPORT_DECIMALS: Final = 9
# Payers of one transaction that are told apart.
PAYERS_MAX: Final = 10
# Attribute of a transaction whose payers are told apart, before it is one settlement for each.
PAYERS: Final = "payers"
_TRANSFERS: Final = ("transfer", "transferChecked", "transferCheckedWithFee")
_UNITS_DIGITS_MAX: Final = 20


@dataclass(frozen=True)
class Account:
    """A token account of the treasury.

    Attributes:
        address: The token account.
        owner: The wallet that it belongs to.
        mint: The token that it holds.
    """

    address: str
    owner: str
    mint: Asset


@dataclass(frozen=True)
class TransactionContext:
    """A transaction's name, its time, and how final its slot is.

    Attributes:
        signature: Its first signature, which names it.
        time_s: Time of its block, seconds since 1970.
        network: CAIP-2 id.
        final_slot: Newest final slot.
        head_slot: Newest confirmed slot.
        finality: The commitment from which on a payment is final.
    """

    signature: str
    time_s: int
    network: str
    final_slot: int
    head_slot: int
    finality: str


def movements(
    transaction: Transaction, accounts: Sequence[Account], context: TransactionContext
) -> list[Observation]:
    """Returns what a transaction added to and took from our token accounts, one for each.

    Where several wallets paid and what each of them did adds up to it, one for each of them.

    What it moved between them is left out, so that the sum is exactly what came from others or went
    to them. The fee is recorded once.
    """
    if transaction.meta.err is not None:
        return []
    made: list[Observation] = []
    for account, units in _legs(transaction, accounts):
        fee = Decimal(0) if made else network_fee(transaction)
        whole = _observation(transaction, accounts, account, units, context, fee)
        made += _by_payer(whole, account)
    return made


def _by_payer(whole: Observation, account: Account) -> list[Observation]:
    """Returns what each of several payers paid, as settlements of their own, or the whole."""
    text = whole.attributes.get(PAYERS, "")
    if not text:
        return [whole]
    kept = {key: value for key, value in whole.attributes.items() if key != PAYERS}
    paid = sorted(each.split(" ") for each in text.split(", "))
    return [
        replace(
            whole,
            settlement_id=solana_transfer(whole.network, whole.tx_hash, account.address, payer),
            payer=payer,
            amount=whole_units(int(units), account.mint.decimals),
            network_fee=whole.network_fee if number == 0 else Decimal(0),
            attributes={**kept, PART_OF: str(whole.settlement_id)},
        )
        for number, (payer, units) in enumerate(paid)
    ]


def is_ambiguous(transaction: Transaction, accounts: Sequence[Account]) -> bool:
    """Returns whether the sides of a payment need a second answer of the node.

    The balances prove the sum and nothing proves who paid it: with one transfer of exactly the sum
    that is plain. Of several, of another sum or of nobody known one answer alone may be wrong.
    """
    if transaction.meta.err is not None:
        return False
    for account, units in _legs(transaction, accounts):
        others, _signers, _count = _others(transaction, accounts, account, units)
        names = list(others)
        if len(names) != 1 or not names[0] or others[names[0]] != abs(units):
            return True
    return False


def is_paid_elsewhere(transaction: Transaction, owner: str, mint: str) -> bool:
    """Returns whether any token account of a wallet changed, of whichever program."""
    changes: dict[int, int] = {}
    for entries, sign in (
        (transaction.meta.preTokenBalances, -1),
        (transaction.meta.postTokenBalances, 1),
    ):
        for each in entries or ():
            if (each.owner, each.mint) == (owner, mint):
                units = sign * int(each.uiTokenAmount.amount)
                changes[each.accountIndex] = changes.get(each.accountIndex, 0) + units
    return any(changes.values())


def network_fee(transaction: Transaction) -> Decimal:
    """Returns the transaction's cost to its first signer, in SOL."""
    return whole_units(transaction.meta.fee, LAMPORT_DECIMALS)


def _legs(transaction: Transaction, accounts: Sequence[Account]) -> Iterator[tuple[Account, int]]:
    """Yields our accounts that changed and by how much, without what moved between them."""
    before = _balances(transaction.meta.preTokenBalances)
    after = _balances(transaction.meta.postTokenBalances)
    keys = [each.pubkey for each in transaction.transaction.message.accountKeys]
    changed: dict[str, list[tuple[Account, int]]] = {}
    for account in sorted(accounts, key=lambda each: each.address):
        if account.address in keys:
            index = keys.index(account.address)
            units = _units(after, index, account) - _units(before, index, account)
            changed.setdefault(account.mint.address, []).append((account, units))
    for of_mint in changed.values():
        rest = sum(units for _, units in of_mint)
        for account, units in of_mint:
            if rest * units > 0:
                part = min(rest, units) if rest > 0 else max(rest, units)
                rest -= part
                yield account, part


def _observation(  # noqa: PLR0913, PLR0917 - the parts of one transaction
    transaction: Transaction,
    accounts: Sequence[Account],
    account: Account,
    units: int,
    context: TransactionContext,
    fee: Decimal,
) -> Observation:
    submitted_by = transaction.transaction.message.accountKeys[0].pubkey
    attributes = {
        "submitted_by": submitted_by,
        "memo": _memo(transaction),
        "token_account": account.address,
        **_sides(transaction, accounts, account, units),
    }
    payer, receiver = attributes.pop("payer"), attributes.pop("receiver")
    is_final = transaction.slot <= context.final_slot
    return Observation(
        settlement_id=solana_transfer(context.network, context.signature, account.address),
        source="chain",
        rail="solana",
        network=context.network,
        direction="in" if units > 0 else "out",
        status="confirmed" if is_final else "pending",
        amount=whole_units(abs(units), account.mint.decimals),
        currency=account.mint.symbol,
        timestamp_ns=context.time_s * 10**9,
        asset=account.mint.address,
        to_address=receiver,
        payer=payer,
        payment_ref=context.signature,
        tx_hash=context.signature,
        block_height=transaction.slot,
        confirmations=max(0, context.head_slot - transaction.slot + 1),
        finality=context.finality if is_final else "confirmed",
        network_fee=fee,
        fee_currency="SOL",
        attributes={name: value for name, value in attributes.items() if value},
    )


def _balances(entries: Sequence[TokenBalance] | None) -> dict[int, TokenBalance]:
    return {each.accountIndex: each for each in entries or ()}


def _units(balances: Mapping[int, TokenBalance], index: int, account: Account) -> int:
    """Returns the balance of our account; 0 when it did not exist or had another owner."""
    entry = balances.get(index)
    if entry is None or entry.owner not in (None, account.owner):
        return 0
    return int(entry.uiTokenAmount.amount)


def instructions(transaction: Transaction) -> Iterator[Instruction]:
    """Yields all instructions, including those made by programs (smart wallets)."""
    yield from transaction.transaction.message.instructions
    for group in transaction.meta.innerInstructions or ():
        yield from group.instructions


def _transfers(transaction: Transaction) -> Iterator[Mapping[str, Any]]:
    for each in instructions(transaction):
        if isinstance(each.parsed, dict) and each.parsed.get("type") in _TRANSFERS:
            info = each.parsed.get("info")
            if isinstance(info, dict):
                yield info


def _sides(
    transaction: Transaction, accounts: Sequence[Account], account: Account, units: int
) -> dict[str, str]:
    """Returns payer and receiver: wallets where the chain names them, else token accounts.

    Several payers in one transaction are nobody: the sum cannot be attributed to one of them,
    unless the transfers add up to what came.
    """
    is_in = units > 0
    others, signers, count = _others(transaction, accounts, account, units)
    other = next(iter(others)) if len(others) == 1 else ""
    delegate = next(iter(signers)) if len(signers) == 1 else ""
    return {
        "payer": other if is_in else account.owner,
        "receiver": account.owner if is_in else other,
        "delegate": delegate if is_in and delegate != other and len(others) == 1 else "",
        "parties": str(len(others)) if len(others) > 1 else "",
        PAYERS: _told_apart(others, units) if is_in else "",
        "transfers": str(count) if count > 1 else "",
    }


def _others(
    transaction: Transaction, accounts: Sequence[Account], account: Account, units: int
) -> tuple[dict[str, int | None], dict[str, None], int]:
    """Returns the other sides with what each moved, who signed for it, and how many transfers."""
    is_in = units > 0
    near, far = ("destination", "source") if is_in else ("source", "destination")
    ours = {each.address for each in accounts}
    owners = _owners(transaction, account.mint.address)
    others: dict[str, int | None] = {}
    signers: dict[str, None] = {}
    count = 0
    for info in _transfers(transaction):
        if info.get(near) != account.address:
            continue
        count += 1
        other = _text(info.get(far))
        if other and other not in ours:
            # One that cannot be a side of this transfer is somebody, and nobody knows who.
            owner = owners.get(other, "")
            paid, before = _amount(info), others.get(owner, 0)
            others[owner] = None if paid is None or before is None else before + paid
            signers[_text(info.get("authority")) or _text(info.get("multisigAuthority"))] = None
    return others, signers, count


def _told_apart(paid: Mapping[str, int | None], units: int) -> str:
    """Returns what each of several payers paid, '' where that is not the whole sum.

    A transfer fee of the token, or a program that moves it otherwise, makes the sums differ.
    """
    known = [(name, each) for name, each in paid.items() if name and each is not None]
    is_whole = len(known) == len(paid) and sum(each for _, each in known) == units
    if not is_whole or not 1 < len(known) <= PAYERS_MAX:
        return ""
    return ", ".join(f"{name} {each}" for name, each in known)


def _amount(info: Mapping[str, Any]) -> int | None:
    """Returns what a transfer moved, in the smallest unit; None when it does not say."""
    checked = info.get("tokenAmount")
    text = checked.get("amount") if isinstance(checked, dict) else info.get("amount")
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else None


def _owners(transaction: Transaction, mint: str) -> dict[str, str]:
    """Returns the token accounts that a transaction names, with their wallets.

    One that is there neither before nor after it has no balance and stands for itself; where the
    chain names no wallet, or two, nobody is known. One of another token, or of none, cannot be a
    side of a transfer of this one, and is missing.
    """
    keys = [each.pubkey for each in transaction.transaction.message.accountKeys]
    meta = transaction.meta
    entries = [*(meta.postTokenBalances or ()), *(meta.preTokenBalances or ())]
    wallets: dict[str, set[str]] = {}
    others: set[str] = set()
    for each in entries:
        if each.accountIndex < len(keys):
            address = keys[each.accountIndex]
            if each.mint != mint:
                others.add(address)
            else:
                wallets.setdefault(address, set()).add(each.owner or "")
    found = {key: each.pop() if len(each) == 1 else "" for key, each in wallets.items()}
    lamports = zip(keys, meta.preBalances, meta.postBalances, strict=False)
    passing = {key: key for key, *held in lamports if not any(held)}
    return {key: name for key, name in {**passing, **found}.items() if key not in others}


def _memo(transaction: Transaction) -> str:
    """Returns the memo, which anybody may set: it is shown and proves nothing."""
    for each in instructions(transaction):
        if each.program == "spl-memo" and isinstance(each.parsed, str):
            return each.parsed.encode(errors="replace").decode()[:256]
    return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= 44 else ""
