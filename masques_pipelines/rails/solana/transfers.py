"""Decodes what a Solana transaction did to one of our token accounts.

The amount is the difference of the balances, which is exact whatever moved the tokens: transfers
may be made by other programs, may bear fees, and may be several in one transaction. Only the sender
is read from the instructions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.money import whole_units
from masques_pipelines.rails.protocol import Asset, Observation
from masques_pipelines.rails.settlement_ids import solana_transfer

LAMPORT_DECIMALS: Final = 9
_TRANSFERS: Final = ("transfer", "transferChecked", "transferCheckedWithFee")


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
    """A transaction's name, and how final its slot is.

    Attributes:
        signature: Its first signature, which names it.
        network: CAIP-2 id.
        final_slot: Newest final slot.
        head_slot: Newest confirmed slot.
        finality: The commitment from which on a payment is final.
    """

    signature: str
    network: str
    final_slot: int
    head_slot: int
    finality: str


def movement(
    transaction: Mapping[str, Any], account: Account, context: TransactionContext
) -> Observation | None:
    """Returns what a transaction added to or took from a token account, None when nothing."""
    meta = transaction["meta"]
    keys = [_key(each) for each in transaction["transaction"]["message"]["accountKeys"]]
    if meta["err"] is not None or account.address not in keys:
        return None
    before, after = (_balances(meta[name]) for name in ("preTokenBalances", "postTokenBalances"))
    index = keys.index(account.address)
    units = _units(after, index, account) - _units(before, index, account)
    if units == 0:
        return None
    slot = int(transaction["slot"])
    moved = [each for each in _transfers(transaction) if account.address in _ends(each)]
    payer, receiver = _sides(moved, before, after, account, keys, is_in=units > 0)
    memo = _memo(transaction)
    attributes = {"submitted_by": keys[0], "memo": memo, "token_account": account.address}
    if len(moved) > 1:
        attributes["transfers"] = str(len(moved))
    is_final = slot <= context.final_slot
    return Observation(
        settlement_id=solana_transfer(context.network, context.signature, account.address),
        source="chain",
        rail="solana",
        network=context.network,
        direction="in" if units > 0 else "out",
        status="confirmed" if is_final else "pending",
        amount=whole_units(abs(units), account.mint.decimals),
        currency=account.mint.symbol,
        timestamp_ns=int(transaction["blockTime"] or 0) * 10**9,
        asset=account.mint.address,
        to_address=receiver,
        payer=payer,
        payment_ref=context.signature,
        tx_hash=context.signature,
        block_height=slot,
        confirmations=max(0, context.head_slot - slot + 1),
        finality=context.finality if is_final else "confirmed",
        network_fee=network_fee(transaction),
        fee_currency="SOL",
        attributes={name: value for name, value in attributes.items() if value},
    )


def network_fee(transaction: Mapping[str, Any]) -> Decimal:
    """Returns the transaction's cost to its first signer, in SOL."""
    return whole_units(int(transaction["meta"]["fee"]), LAMPORT_DECIMALS)


def _key(each: Any) -> str:
    return str(each["pubkey"] if isinstance(each, dict) else each)


def _balances(entries: Any) -> dict[int, Mapping[str, Any]]:
    return {int(each["accountIndex"]): each for each in entries or ()}


def _units(balances: Mapping[int, Mapping[str, Any]], index: int, account: Account) -> int:
    """Returns the balance of our account; 0 when it did not exist or had another owner."""
    entry = balances.get(index)
    if entry is None or (entry["mint"], entry["owner"]) != (account.mint.address, account.owner):
        return 0
    return int(entry["uiTokenAmount"]["amount"])


def _instructions(transaction: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yields all instructions, including those made by programs (smart wallets)."""
    yield from transaction["transaction"]["message"]["instructions"]
    for group in transaction["meta"].get("innerInstructions") or ():
        yield from group["instructions"]


def _transfers(transaction: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for each in _instructions(transaction):
        parsed = each.get("parsed")
        if isinstance(parsed, dict) and parsed.get("type") in _TRANSFERS:
            yield parsed["info"]


def _ends(info: Mapping[str, Any]) -> tuple[Any, Any]:
    return info.get("source"), info.get("destination")


def _sides(  # noqa: PLR0913 - the parts of one transaction
    moved: list[Mapping[str, Any]],
    before: Mapping[int, Mapping[str, Any]],
    after: Mapping[int, Mapping[str, Any]],
    account: Account,
    keys: list[str],
    *,
    is_in: bool,
) -> tuple[str, str]:
    """Returns payer and receiver: wallets where the chain names them, else token accounts."""
    owners = {keys[i]: str(e["owner"]) for b in (before, after) for i, e in b.items()}
    for info in moved:
        if is_in and info.get("destination") == account.address:
            payer = info.get("authority") or info.get("multisigAuthority") or info.get("source")
            return str(payer or ""), account.owner
        if not is_in and info.get("source") == account.address:
            destination = str(info.get("destination") or "")
            return account.owner, owners.get(destination, destination)
    return ("", account.owner) if is_in else (account.owner, "")


def _memo(transaction: Mapping[str, Any]) -> str:
    """Returns the memo, which anybody may set: it is shown and proves nothing."""
    for each in _instructions(transaction):
        if each.get("program") == "spl-memo" and isinstance(each.get("parsed"), str):
            return str(each["parsed"])[:256]
    return ""
