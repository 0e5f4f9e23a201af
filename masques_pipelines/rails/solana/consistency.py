"""Finds what no true answer about a transaction has.

A transaction says most of what it did twice: who it is, in its signatures and in our question; its
accounts, in the keys, in the lamports of each and in the token balances; what moved, before and
after, so that nothing appears or vanishes. An answer that contradicts itself, or the list that it
was found in, is not read at all: without this, one changed place of it would be a payment that
nobody sees.

Sources: the balances of all token accounts that a transaction names are recorded when it names a
token program (Agave, collect_token_balances), the lamports of each account always; an account that
exists has lamports.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from masques_pipelines.rails.solana.addresses import TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from masques_pipelines.rails.solana.messages import Instruction, TokenBalance, Transaction
from masques_pipelines.rails.solana.transfers import Account, instructions

_PROGRAMS: Final = (TOKEN_PROGRAM, TOKEN_2022_PROGRAM)
# Wrapped SOL is made of lamports, which are no token balance.
_NATIVE_MINT: Final = "So11111111111111111111111111111111111111112"
# Instructions of SPL Token that make and destroy no tokens.
_MOVING: Final = frozenset(
    {
        *("transfer", "transferChecked", "approve", "approveChecked", "revoke", "setAuthority"),
        *("initializeAccount", "initializeAccount2", "initializeAccount3", "closeAccount"),
        *("initializeImmutableOwner", "getAccountDataSize", "freezeAccount", "thawAccount"),
    }
)
_CREATING: Final = frozenset(
    {"create", "createIdempotent", "initializeAccount", "initializeAccount2", "initializeAccount3"}
)


@dataclass(frozen=True)
class Expected:
    """What is known of a transaction before it is read.

    Attributes:
        signature: Its name.
        slot: Its slot, as the list or the status says; 0 when neither could be read.
        accounts: Our accounts whose lists have it, None when that is not known any more; empty when
            no list has it.
    """

    signature: str
    slot: int
    accounts: frozenset[str] | None = None


def contradiction(
    transaction: Transaction,
    expected: Expected,
    accounts: Sequence[Account],
    holders: Mapping[str, str],
) -> str:
    """Returns what an answer about a transaction that succeeded contradicts, '' for nothing.

    Args:
        transaction: The answer.
        expected: What is known of it.
        accounts: Our token accounts.
        holders: The wallets that they belong to at the final slot, of those that exist.
    """
    keys = [each.pubkey for each in transaction.transaction.message.accountKeys]
    problem = _of_itself(transaction, expected, keys)
    if problem:
        return problem
    named = [each for each in accounts if each.address in keys]
    is_named = bool(named) if expected.accounts is None else expected.accounts <= set(keys)
    if not is_named:
        return "it does not name our account"
    problems = (_of_account(transaction, each, keys, holders) for each in named)
    added_up = "" if _adds_up(transaction, accounts) else "its token balances do not add up"
    return next(filter(None, problems), added_up)


def _of_itself(transaction: Transaction, expected: Expected, keys: Sequence[str]) -> str:
    """Returns what the parts of an answer contradict of each other and of what is known."""
    meta = transaction.meta
    entries = (meta.preTokenBalances, meta.postTokenBalances)
    places = [[each.accountIndex for each in one or ()] for one in entries]
    checks = {
        "it is another transaction": transaction.transaction.signatures[0] != expected.signature,
        "its slot is another than before": expected.slot not in (0, transaction.slot),
        "it failed, and before it had not": meta.err is not None,
        "it names an account twice": len(set(keys)) != len(keys),
        "its accounts and their lamports are not as many": not len(keys)
        == len(meta.preBalances)
        == len(meta.postBalances),
        "its token balances are not known": None in entries,
        "it has two balances of one account": any(len(set(one)) != len(one) for one in places),
        "its balances are of no account of it": any(
            place >= len(keys) for one in places for place in one
        ),
    }
    return next((problem for problem, is_so in checks.items() if is_so), "")


def _of_account(
    transaction: Transaction, account: Account, keys: Sequence[str], holders: Mapping[str, str]
) -> str:
    """Returns what the balances of one of our accounts contradict."""
    meta, place = transaction.meta, keys.index(account.address)
    before, after = (
        next((each for each in entries or () if each.accountIndex == place), None)
        for entries in (meta.preTokenBalances, meta.postTokenBalances)
    )
    holder = holders.get(account.address)
    owners = {each.owner for each in (before, after) if each} - {None, account.owner}
    mints = {each.mint for each in (before, after) if each} - {account.mint.address}
    lamports = meta.preBalances[place], meta.postBalances[place]
    is_missing = before is None and after is None
    checks = {
        "its balance of our account is of another token": bool(mints),
        # Except of an account that was given away.
        "its balance of our account is of another owner": bool(owners)
        and holder in (None, account.owner),
        "our balance is missing": is_missing
        and holder is not None
        and any(lamports)
        and not set(keys).isdisjoint(_PROGRAMS),
        "our balance before it is missing": before is None
        and after is not None
        and lamports[0] > 0
        and not _is_created(transaction, account.address),
        "our balance after it is missing": after is None and before is not None and lamports[1] > 0,
        "our balance is of an account that is not there": bool(
            (before and not lamports[0]) or (after and not lamports[1])
        ),
    }
    return next((problem for problem, is_so in checks.items() if is_so), "")


def _is_created(transaction: Transaction, address: str) -> bool:
    """Returns whether an instruction creates a token account, at an address that had lamports."""
    return any(
        _type_of(each) in _CREATING
        and isinstance(each.parsed.get("info"), dict)
        and each.parsed["info"].get("account") == address
        for each in instructions(transaction)
    )


def _adds_up(transaction: Transaction, accounts: Sequence[Account]) -> bool:
    """Returns whether as much of each token is there after a transaction as before it.

    Not asked where that may be otherwise: tokens that are made or destroyed, fees that Token-2022
    withholds, instructions that the node does not show or cannot parse.
    """
    if transaction.meta.innerInstructions is None or any(_may_make_tokens(transaction)):
        return True
    sums: dict[str, int] = {each.mint.address: 0 for each in accounts}
    sums.pop(_NATIVE_MINT, None)
    for entries, sign in (
        (transaction.meta.preTokenBalances, -1),
        (transaction.meta.postTokenBalances, 1),
    ):
        for each in entries or ():
            if each.mint in sums:
                sums[each.mint] += sign * _units(each)
    return not any(sums.values())


def _may_make_tokens(transaction: Transaction) -> Iterator[bool]:
    for each in instructions(transaction):
        if each.programId == TOKEN_2022_PROGRAM:
            yield True
        elif each.programId == TOKEN_PROGRAM or each.program == "spl-token":
            yield not _is_moving(each)


def _is_moving(instruction: Instruction) -> bool:
    return _type_of(instruction) in _MOVING


def _type_of(instruction: Instruction) -> str:
    kind = instruction.parsed.get("type") if isinstance(instruction.parsed, dict) else None
    return kind if isinstance(kind, str) else ""


def _units(balance: TokenBalance) -> int:
    return int(balance.uiTokenAmount.amount)
