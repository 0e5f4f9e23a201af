"""Computes a Solana node: a cluster with one token, from payments and a clock."""

import base64
import bisect
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from masques_pipelines.rails.solana.addresses import (
    TOKEN_PROGRAM,
    associated_token_account,
    decode_base58,
    encode_base58,
)
from masques_pipelines.sandbox.nodes.facts import (
    Clock,
    Genesis,
    Payment,
    Sums,
    digest,
    moves_of,
    number_in,
    numbered,
)
from masques_pipelines.sandbox.nodes.transport import RefusedError, RpcNode

MINT: Final = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
DECIMALS: Final = 6
GENESIS_HASH: Final = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"
MEMO_PROGRAM: Final = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"
BUDGET_PROGRAM: Final = "ComputeBudget111111111111111111111111111111"
# Five slots in two seconds.
SLOTS: Final = 5
SLOTS_S: Final = 2
FINAL_AFTER: Final = 32
SIGNATURE_BYTES: Final = 64

_ON_CHAIN: Final = ("plain", "paid", "failed")
# What the other side of a payment has beside it, before and after; lamports of every account.
_OTHERS_UNITS: Final = 10**12
_LAMPORTS: Final = 10**10
_RENT_LAMPORTS: Final = 2_039_280
_FEE_LAMPORTS: Final = 5_000
# Limit and price of compute units, which x402 puts before the transfer.
_BUDGET: Final = ("JC3gyu", "3GAG5eogvTjV")
_BEHIND: Final = -32016
_SLOT_MISSING: Final = -32004
_PAGE_MAX: Final = 1_000
# Layouts of SPL Token: mint, owner, amount of an account; authority, supply, decimals of a mint.
_ACCOUNT: Final = struct.Struct("<32s32sQI32sBIQQI32s")
_MINT: Final = struct.Struct("<I32sQBBI32s")


@lru_cache(maxsize=4_096)
def signature(seed: int, number: int) -> str:
    """Returns the first signature of a payment's transaction, which names it."""
    return encode_base58(_signature(seed, number))


@lru_cache(maxsize=16)
def facilitator(seed: int) -> str:
    """Returns the wallet that pays the fees of what a gate asked for."""
    return encode_base58(digest(seed, "solana facilitator", 0))


def memo(payment: Payment) -> str:
    """Returns the memo that a gate asks for."""
    return f"order-{payment.number}"


class SolanaNode(RpcNode):
    """A node of a cluster, with what Solana's rail asks for: accounts of the treasury only."""

    def __init__(
        self,
        payments: Iterable[Payment],
        clock: Clock,
        genesis: Genesis,
        *,
        treasury: Sequence[str],
        first_slot: int = 0,
    ) -> None:
        """Makes the cluster; later payments than the clock's time are shown when it reaches them.

        Args:
            payments: Facts, in any order.
            clock: The node's time.
            genesis: The first slot; wallets of the treasury have nothing but what it says.
            treasury: Wallets whose token accounts can be asked for.
            first_slot: Number of the first slot.
        """
        super().__init__(clock)
        self._seed, self._genesis_s, self._opening = genesis.seed, genesis.at_s, genesis.opening
        self._first_slot, self._facilitator = first_slot, facilitator(genesis.seed)
        self._blockhash = encode_base58(digest(genesis.seed, "solana blockhash", 0))
        self._payments = sorted(payments, key=lambda each: (each.at_s, each.number))
        self._landed = [each for each in self._payments if each.kind in _ON_CHAIN]
        self._slots = [self.slot_of(each.at_s) for each in self._landed]
        self._places = {each.number: place for place, each in enumerate(self._landed)}
        self._accounts = {each: associated_token_account(each, MINT) for each in treasury}
        self._others: dict[str, str] = {}
        self._owners = {account: owner for owner, account in self._accounts.items()}
        self._named: dict[str, list[int]] = {account: [] for account in self._owners}
        for place, each in enumerate(self._landed):
            for owner in {each.sender, each.receiver} & set(self._accounts):
                self._named[self._accounts[owner]].append(place)
        # By place among all transactions, and by slot for what no transaction shows.
        self._moved = {
            owner: moves_of(self._landed, owner, lambda each: self._places[each.number])
            for owner in self._accounts
        }
        self._by_slot: dict[str, Sums] = {
            owner: moves_of(self._payments, owner, lambda each: self.slot_of(each.at_s))
            for owner in self._accounts
        }

    def slot_of(self, time_s: int) -> int:
        """Returns the first slot that is not before a time."""
        return self._first_slot - (-(time_s - self._genesis_s) * SLOTS // SLOTS_S)

    @property
    def head(self) -> int:
        """The newest confirmed slot."""
        return self._first_slot + (self.clock() - self._genesis_s) * SLOTS // SLOTS_S

    def methods(self) -> Mapping[str, Callable[..., Any]]:
        """Returns what answers each method."""
        return {
            "getGenesisHash": lambda: GENESIS_HASH,
            "getSlot": lambda options=None: self._slot(options),
            "getFirstAvailableBlock": lambda: 0,
            "minimumLedgerSlot": lambda: 0,
            "getBlockTime": self._block_time,
            "getSignaturesForAddress": self._signatures,
            "getSignatureStatuses": self._statuses,
            "getTransaction": self._transaction,
            "getMultipleAccounts": self._multiple_accounts,
        }

    def _slot(self, options: Mapping[str, Any] | None) -> int:
        asked = options or {}
        is_final = asked.get("commitment", "finalized") == "finalized"
        slot = self.head - (FINAL_AFTER if is_final else 0)
        if asked.get("minContextSlot", 0) > slot:
            raise RefusedError(_BEHIND, "Minimum context slot has not been reached")
        return slot

    def _time_of(self, slot: int) -> int:
        return self._genesis_s + (slot - self._first_slot) * SLOTS_S // SLOTS

    def _block_time(self, slot: int) -> int:
        if slot > self.head:
            raise RefusedError(_SLOT_MISSING, f"Block not available for slot {slot}")
        return self._time_of(slot)

    def _with_context(self, value: Any, slot: int) -> dict[str, Any]:
        return {"context": {"apiVersion": "3.0.0", "slot": slot}, "value": value}

    # Lists and statuses -----------------------------------------------------------------------

    def _signatures(
        self, address: str, options: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        asked = options or {}
        # minContextSlot is of the commitment that is asked for.
        newest, named = self._slot(asked), self._named.get(address, [])
        end = bisect.bisect_right(named, newest, key=lambda place: self._slots[place])
        if asked.get("before") is not None:
            before = self._place(asked["before"])
            end = end if before is None else min(end, bisect.bisect_left(named, before))
        start = max(0, end - min(asked.get("limit", _PAGE_MAX), _PAGE_MAX))
        return [self._listed(place) for place in reversed(named[start:end])]

    def _listed(self, place: int) -> dict[str, Any]:
        slot, payment = self._slots[place], self._landed[place]
        return {
            "signature": signature(self._seed, payment.number),
            "slot": slot,
            "err": _error_of(payment),
            "memo": None if payment.kind == "plain" else memo(payment),
            "blockTime": self._time_of(slot),
            "confirmationStatus": self._commitment(slot),
        }

    def _commitment(self, slot: int) -> str:
        return "finalized" if slot <= self.head - FINAL_AFTER else "confirmed"

    def _place(self, name: str) -> int | None:
        """Returns the place of a transaction, None for one that has not landed, or never does."""
        data = decode_base58(name)
        place = self._places.get(number_in(data))
        if place is None or self._slots[place] > self.head:
            return None
        return place if _signature(self._seed, self._landed[place].number) == data else None

    def _statuses(self, names: Sequence[str], _options: Any = None) -> dict[str, Any]:
        return self._with_context([self._status(each) for each in names], self.head)

    def _status(self, name: str) -> dict[str, Any] | None:
        place = self._place(name)
        if place is None:
            return None
        slot, error = self._slots[place], _error_of(self._landed[place])
        commitment = self._commitment(slot)
        return {
            "slot": slot,
            "confirmations": None if commitment == "finalized" else self.head - slot,
            "err": error,
            "status": {"Ok": None} if error is None else {"Err": error},
            "confirmationStatus": commitment,
        }

    # Transactions -----------------------------------------------------------------------------

    def _transaction(self, name: str, _options: Any = None) -> dict[str, Any] | None:
        place = self._place(name)
        if place is None:
            return None
        payment = self._landed[place]
        payer = payment.sender if payment.kind == "plain" else self._facilitator
        signers = list(dict.fromkeys([payer, payment.sender]))
        tokens = [self._account(payment.sender), self._account(payment.receiver)]
        programs = (BUDGET_PROGRAM, TOKEN_PROGRAM, MEMO_PROGRAM)
        keys = [*signers, *dict.fromkeys(tokens), MINT, *programs]
        fee = _FEE_LAMPORTS * len(signers)
        lamports = [_RENT_LAMPORTS if each in tokens else _LAMPORTS for each in keys]
        return {
            "slot": self._slots[place],
            "blockTime": self._time_of(self._slots[place]),
            "version": 0,
            "meta": {
                "err": _error_of(payment),
                "fee": fee,
                "innerInstructions": [],
                "logMessages": [],
                "preBalances": lamports,
                "postBalances": [lamports[0] - fee, *lamports[1:]],
                "preTokenBalances": self._token_balances(place, keys, is_after=False),
                "postTokenBalances": self._token_balances(place, keys, is_after=True),
                "rewards": [],
            },
            "transaction": {
                "signatures": self._signed(name, len(signers)),
                "message": {
                    "accountKeys": [
                        {
                            "pubkey": key,
                            "signer": key in signers,
                            "writable": key in (payer, *tokens),
                            "source": "transaction",
                        }
                        for key in keys
                    ],
                    "instructions": self._instructions(payment, tokens),
                    "recentBlockhash": self._blockhash,
                },
            },
        }

    def _signed(self, name: str, count: int) -> list[str]:
        """Returns one signature for each signer; the first one names the transaction."""
        number = number_in(decode_base58(name))
        others = [
            encode_base58(numbered(self._seed, f"signer {each}", number, SIGNATURE_BYTES))
            for each in range(1, count)
        ]
        return [name, *others]

    def _instructions(self, payment: Payment, tokens: Sequence[str]) -> list[dict[str, Any]]:
        moved = {
            "program": "spl-token",
            "programId": TOKEN_PROGRAM,
            "parsed": {
                "type": "transferChecked",
                "info": {
                    "source": tokens[0],
                    "mint": MINT,
                    "destination": tokens[1],
                    "authority": payment.sender,
                    "tokenAmount": {"amount": str(payment.units), "decimals": DECIMALS},
                },
            },
        }
        if payment.kind == "plain":
            return [moved]
        budget: list[dict[str, Any]] = [
            {"programId": BUDGET_PROGRAM, "accounts": [], "data": each} for each in _BUDGET
        ]
        noted = {"program": "spl-memo", "programId": MEMO_PROGRAM, "parsed": memo(payment)}
        return [*budget, moved, noted]

    def _account(self, wallet: str) -> str:
        """Returns a token account of a wallet: of the treasury the associated one."""
        found = self._accounts.get(wallet) or self._others.get(wallet)
        if found is None:
            found = encode_base58(digest(self._seed, f"token account of {wallet}", 0))
            self._others[wallet] = found
        return found

    def _token_balances(
        self, place: int, keys: Sequence[str], *, is_after: bool
    ) -> list[dict[str, Any]]:
        payment = self._landed[place]
        return [
            {
                "accountIndex": keys.index(self._account(wallet)),
                "mint": MINT,
                "owner": wallet,
                "programId": TOKEN_PROGRAM,
                "uiTokenAmount": {
                    "amount": str(self._units(wallet, place, payment, is_after=is_after)),
                    "decimals": DECIMALS,
                },
            }
            for wallet in dict.fromkeys([payment.sender, payment.receiver])
        ]

    def _units(self, wallet: str, place: int, payment: Payment, *, is_after: bool) -> int:
        """Returns what a wallet has before or after a transaction."""
        if wallet in self._accounts:
            moved = self._moved[wallet].until(place if is_after else place - 1)
            return self._opening.get(wallet, 0) + moved
        has_left = wallet == payment.sender and is_after and payment.kind != "failed"
        has_come = wallet == payment.receiver and is_after and payment.kind != "failed"
        return _OTHERS_UNITS + payment.units * (1 + has_come - has_left)

    # Accounts ---------------------------------------------------------------------------------

    def _multiple_accounts(self, addresses: Sequence[str], options: Any = None) -> dict[str, Any]:
        slot = self._slot(options)
        return self._with_context([self._entry(each, slot) for each in addresses], slot)

    def _entry(self, address: str, slot: int) -> dict[str, Any] | None:
        if address == MINT:
            data = _MINT.pack(0, bytes(32), 10**15, DECIMALS, 1, 0, bytes(32))
        elif address in self._owners:
            owner = self._owners[address]
            units = self._opening.get(owner, 0) + self._by_slot[owner].until(slot)
            keys = decode_base58(MINT), decode_base58(owner)
            data = _ACCOUNT.pack(*keys, units, 0, bytes(32), 1, 0, 0, 0, 0, bytes(32))
        else:
            return None
        return {
            "lamports": _RENT_LAMPORTS,
            "data": [base64.b64encode(data).decode(), "base64"],
            "owner": TOKEN_PROGRAM,
            "executable": False,
            "rentEpoch": 0,
            "space": len(data),
        }


def _signature(seed: int, number: int) -> bytes:
    return numbered(seed, "solana signature", number, SIGNATURE_BYTES)


def _error_of(payment: Payment) -> dict[str, Any] | None:
    """Returns why a transaction failed: its buyer had too few tokens."""
    return {"InstructionError": [2, {"Custom": 1}]} if payment.kind == "failed" else None
