"""Asks a Solana node: slots, times, lists of signatures, transactions, balances.

Every answer is checked. What the rail cannot do without raises RailUnavailableError; what is wrong
with one item is that item's result.
"""

import base64
import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from masques_pipelines.rails.answers import ShapeError, item_of, nonsense, read_answer
from masques_pipelines.rails.node import JsonRpc, RpcError
from masques_pipelines.rails.protocol import RailUnavailableError
from masques_pipelines.rails.solana import messages
from masques_pipelines.rails.solana.addresses import encode_base58
from masques_pipelines.rails.solana.messages import (
    AccountData,
    Accounts,
    Listed,
    SignatureStatus,
    Transaction,
)

STATUSES_PER_CALL: Final = 256
ACCOUNTS_PER_CALL: Final = 100
# Slots beside one without a time that are asked for theirs: most skipped slots come in fours.
NEIGHBOURS: Final = 4
# A slot takes 0.4 s; a time further from that of the slot before it is not believed.
SLOT_S_MAX: Final = 30
# Single transactions of one fetch that may go unanswered before the node is said to be down.
UNANSWERED_MAX: Final = 3
_TRANSACTION_OPTIONS: Final = {
    "encoding": "jsonParsed",
    # All versions: one that is not read would stop nothing, and would be missing.
    "maxSupportedTransactionVersion": 255,
    "commitment": "confirmed",
}
# Layout of the SPL Token program's accounts, the same in Token-2022: mint, owner and amount.
_ACCOUNT_BYTES: Final = struct.Struct("<32s32sQ")
_DECIMALS_OFFSET: Final = 44
_MINT_BYTES_MIN: Final = 82


@dataclass(frozen=True)
class Unreadable:
    """A transaction that the node has and that cannot be read, now or ever.

    Attributes:
        reason: `kind:field`, for the quarantine.
        problem: What is wrong, without anything that the node said.
    """

    reason: str
    problem: str


class SolanaNode:
    """One node, or a provider's many behind one address."""

    def __init__(self, rpc: JsonRpc) -> None:
        self.description = rpc.node.description
        self._rpc = rpc
        self._times: dict[int, int | None] = {}

    @property
    def calls(self) -> int:
        """Requests made so far."""
        return self._rpc.node.calls

    def genesis(self) -> str:
        """Returns the hash of the first block, which names the cluster."""
        return str(self._answer(messages.TEXT, "getGenesisHash"))

    def slot(self, commitment: str, at_least: int | None = None) -> int:
        """Returns the newest slot of a commitment; never an answer of a backend that is behind."""
        options: dict[str, Any] = {"commitment": commitment}
        if at_least is not None:
            options["minContextSlot"] = at_least
        slot = int(self._answer(messages.SLOT, "getSlot", options))
        if at_least is not None and slot < at_least:
            raise RailUnavailableError(
                f"{self.description}: its {commitment} slot is {slot}, and another answer of it "
                f"was of {at_least}: its backends are not in step; the next run tries again"
            )
        return slot

    def first_available(self) -> int | None:
        """Returns the oldest slot that the node can answer for, None when it does not say."""
        for method in ("getFirstAvailableBlock", "minimumLedgerSlot"):
            try:
                return int(self._answer(messages.SLOT, method))
            except RpcError:
                continue
        return None

    def time_at(self, slot: int) -> int | None:
        """Returns the time of a slot's block, None when it has none or the node does not know."""
        self._ask_times([slot])
        return self._times[slot]

    def time_near(self, slot: int) -> int | None:
        """Returns the time of a slot's block, else of the nearest slot before or after it."""
        for distance in range(NEIGHBOURS + 1):
            for near in {slot - distance, slot + distance}:
                if near >= 0 and (found := self.time_at(near)) is not None:
                    return found
        return None

    def time_before(self, slot: int) -> int | None:
        """Returns the time of the newest slot up to one that has a time.

        Slots before it are asked in the same request: with a time that does not fit theirs none is
        known.
        """
        for start in (slot, slot - NEIGHBOURS):
            near = range(start, max(-1, start - NEIGHBOURS), -1)
            self._ask_times(near)
            known = [(each, time_s) for each in near if (time_s := self._times[each]) is not None]
            if known:
                newest, newest_s = known[0]
                is_sound = all(
                    0 <= newest_s - time_s <= SLOT_S_MAX * (newest - each) for each, time_s in known
                )
                return newest_s if is_sound else None
        return None

    def _ask_times(self, slots: Sequence[int]) -> None:
        unknown = [each for each in slots if each not in self._times]
        for slot, answer in zip(
            unknown, self._rpc.many([("getBlockTime", (each,)) for each in unknown]), strict=True
        ):
            # An error is a skipped slot, or one that the node has cleaned up.
            self._times[slot] = messages.time_of(answer)

    def signatures(
        self, address: str, *, limit: int, at_least: int, before: str | None
    ) -> list[Listed | ShapeError]:
        """Returns a page of an account's signatures, newest first.

        Args:
            address: The account.
            limit: Length of the page.
            at_least: Slot that the backend must have reached.
            before: Signature that the page comes after.
        """
        options = {"limit": limit, "commitment": "confirmed", "minContextSlot": at_least}
        if before is not None:
            options["before"] = before
        page = self._answer(messages.LIST, "getSignaturesForAddress", address, options)
        return [_listed(each) for each in page]

    def transactions(self, signatures: Sequence[str]) -> list[Transaction | Unreadable | None]:
        """Returns transactions in order; None where the node does not have one (yet)."""
        calls = [("getTransaction", (each, _TRANSACTION_OPTIONS)) for each in signatures]
        try:
            answers: list[Any] = self._rpc.many(calls)
        except RailUnavailableError:
            answers = self._one_by_one(calls)
        return [_transaction(each) for each in answers]

    def transaction(self, signature: str) -> Transaction | Unreadable | None:
        """Returns one transaction."""
        return self.transactions([signature])[0]

    def statuses(self, signatures: Sequence[str]) -> dict[str, SignatureStatus]:
        """Returns what the cluster says about signatures; one that it does not know is missing."""
        found: dict[str, SignatureStatus] = {}
        for start in range(0, len(signatures), STATUSES_PER_CALL):
            chunk = list(signatures[start : start + STATUSES_PER_CALL])
            for signature, status in zip(chunk, self._statuses(chunk), strict=True):
                checked = item_of(messages.STATUS, status) if status is not None else None
                if isinstance(checked, SignatureStatus):
                    found[signature] = checked
        return found

    def balances(
        self, accounts: Sequence[str], commitment: str
    ) -> tuple[int, dict[str, tuple[str, str, int]]]:
        """Returns the slot and, by account, mint, owner and units; missing where there is none."""
        slot, entries = self._accounts(accounts, commitment)
        found = {}
        for address, entry in entries.items():
            data = _bytes_of(entry)
            if len(data) >= _ACCOUNT_BYTES.size:
                mint, owner, units = _ACCOUNT_BYTES.unpack_from(data)
                found[address] = (encode_base58(mint), encode_base58(owner), units)
        return slot, found

    def mints(self, addresses: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Returns program and decimals of mints; missing where there is no such account."""
        _, entries = self._accounts(addresses, "confirmed")
        return {
            address: (entry.owner, _bytes_of(entry)[_DECIMALS_OFFSET])
            for address, entry in entries.items()
            if len(_bytes_of(entry)) >= _MINT_BYTES_MIN
        }

    def _accounts(
        self, addresses: Sequence[str], commitment: str
    ) -> tuple[int, dict[str, AccountData]]:
        slots: set[int] = set()
        found: dict[str, AccountData] = {}
        for start in range(0, len(addresses), ACCOUNTS_PER_CALL):
            chunk = list(addresses[start : start + ACCOUNTS_PER_CALL])
            options = {"encoding": "base64", "commitment": commitment}
            answer: Accounts = self._answer(
                messages.ACCOUNTS, "getMultipleAccounts", chunk, options
            )
            if len(answer.value) != len(chunk):
                problem = "getMultipleAccounts: value (length)"
                raise nonsense(self.description, problem, messages.SERVER)
            slots.add(answer.context.slot)
            found |= {a: each for a, each in zip(chunk, answer.value, strict=True) if each}
        # Of different slots there is no common one: 0 is before everything.
        return (slots.pop() if len(slots) == 1 else 0), found

    def _answer(self, kind: Any, method: str, *params: Any) -> Any:
        answer = self._rpc.call(method, *params)
        return read_answer(
            kind, answer, method=method, node=self.description, server=messages.SERVER
        )

    def _one_by_one(self, calls: Sequence[tuple[str, Any]]) -> list[Any]:
        """Asks singly, so that one transaction that makes the node fail keeps no other waiting."""
        answers: list[Any] = []
        unanswered = 0
        for method, params in calls:
            try:
                answers.append(self._rpc.call(method, *params))
            except RpcError as error:
                answers.append(error)
            except RailUnavailableError:
                unanswered += 1
                if unanswered > UNANSWERED_MAX or len(calls) == unanswered:
                    raise
                answers.append(None)
        return answers

    def _statuses(self, signatures: list[str]) -> list[Any]:
        options = {"searchTransactionHistory": True}
        try:
            answer = self._answer(messages.STATUSES, "getSignatureStatuses", signatures, options)
        except RpcError:
            if len(signatures) == 1:  # this one is the problem
                return [None]
            return [self._statuses([each])[0] for each in signatures]
        if len(answer.value) != len(signatures):
            problem = "getSignatureStatuses: value (length)"
            raise nonsense(self.description, problem, messages.SERVER)
        return list(answer.value)


def _listed(value: Any) -> Listed | ShapeError:
    """Returns an entry of a list; one of another shape may say whose it is."""
    found: Listed | ShapeError = item_of(messages.LISTED, value)
    if isinstance(found, ShapeError) and isinstance(value, dict):
        signature = value.get("signature")
        if messages.is_signature(signature):
            found.item = str(signature)
    return found


def _transaction(answer: Any) -> Transaction | Unreadable | None:
    if answer is None:
        return None
    if isinstance(answer, RpcError):
        return Unreadable("refused:transaction", f"the node refuses it (code {answer.code})")
    found = item_of(messages.TRANSACTION, answer)
    if isinstance(found, ShapeError):
        return Unreadable("unreadable:transaction", f"its shape is another: {found}")
    return found if isinstance(found, Transaction) else None


def _bytes_of(entry: AccountData) -> bytes:
    try:
        return base64.b64decode(entry.data[0], validate=True)
    except (binascii.Error, ValueError):
        return b""
