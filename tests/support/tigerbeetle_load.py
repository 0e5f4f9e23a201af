"""Writes a small Masques economy into a TigerBeetle server, for tests.

Here: accounts and transfers with the ledgers and codes of the packaged chart, from a seed: holds,
posts, voids, expiries, linked fees, a closed account, and transfers that the ledger rejects.
Not here: reading (the sources do that), and any server but one that a test started.
A re-run with the same seed writes the same ids and amounts; only the ledger's times differ.
"""

import concurrent.futures
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import tigerbeetle as tb

LEDGERS: Final = (1, 2, 3)  # USD, BTC, SOL
TREASURY, AGENT, AUTHOR, PLATFORM_FEE, ESCROW = 100, 200, 300, 400, 500
DEPOSIT, DON, API_CALL, FEE, REFUND, SETTLEMENT = 1, 2, 3, 4, 5, 6
ESCROW_HOLD, ESCROW_RELEASE, ADJUSTMENT, CLOSE, MIGRATION = 7, 8, 9, 10, 11

SINGLE_PHASE, PENDING, POSTED, VOIDED, EXPIRED = 0, 1, 2, 3, 4

# clients_max of TigerBeetle's configuration.
SESSIONS_MAX: Final = 64
# A development server takes 253 at once.
BATCH_MAX: Final = 200
# Longer than any test: only hold_until_expiry makes holds that expire.
HOLD_TIMEOUT_S: Final = 3600
PER_ROUND: Final = 60
FIRST_DEPOSIT: Final = 1_000_000
# An agent with less gets a deposit before anything else happens, so that a load never ends.
POOR: Final = 1000

_F = tb.TransferFlags
_EVENT_TYPE_OF_FLAG: Final = (
    (_F.PENDING, PENDING),
    (_F.POST_PENDING_TRANSFER, POSTED),
    (_F.VOID_PENDING_TRANSFER, VOIDED),
)


@dataclass(frozen=True)
class Written:
    """A transfer that the ledger took: its time, its id, and the type of its change event."""

    timestamp: int
    transfer_id: int
    event_type: int


@dataclass
class _Book:
    """The accounts of one ledger, and what may still be spent from them."""

    ledger: int
    treasury: int
    platform_fee: int
    escrow: int
    leaver: int
    agents: list[int]
    authors: list[int]
    spendable: dict[int, int] = field(default_factory=dict)
    open_holds: list[tb.Transfer] = field(default_factory=list)


class LedgerLoad:
    """A writer with a session of its own on a server that a test started.

    Args:
        address: The server's ip:port.
        cluster_id: The cluster's number.
        seed: Decides ids, parties and amounts; two loads on one server need two seeds.
        agents: Agents per ledger.
    """

    def __init__(self, address: str, cluster_id: int, *, seed: int, agents: int = 6) -> None:
        self.written: list[Written] = []
        self.rejected = 0
        self.account_ids: list[int] = []
        self._random = random.Random(seed)
        self._next_id = (seed + 1) << 64
        self._client = tb.ClientSync(cluster_id=cluster_id, replica_addresses=address)
        self._books = [self._open_book(ledger, agents) for ledger in LEDGERS]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the session."""
        self._client.close()

    def accounts(self) -> list[tb.Account]:
        """Returns the accounts as the ledger has them now, in the order of their creation."""
        found: list[tb.Account] = []
        for start in range(0, len(self.account_ids), BATCH_MAX):
            found += self._client.lookup_accounts(self.account_ids[start : start + BATCH_MAX])
        return found

    def transfer_times(self) -> list[int]:
        """Returns the times of all transfers written, ascending: their change events' times."""
        return sorted(written.timestamp for written in self.written)

    def open_unused_accounts(self, count: int) -> None:
        """Opens agents without any transfer: no change event will ever show them."""
        ids = [self._take_id() for _ in range(count)]
        self._create_accounts([self._account(id_, 1, AGENT) for id_ in ids])

    def play(self, rounds: int) -> None:
        """Writes that many batches of business of every kind, about PER_ROUND transfers each."""
        for _ in range(rounds):
            batch: list[tb.Transfer] = []
            while len(batch) < PER_ROUND:
                batch += self._some_business()
            self._write(batch)
        self._write_rejected()

    def hold_until_expiry(self, count: int, *, timeout_s: int = 1) -> None:
        """Writes holds that nobody resolves: the ledger lets go of each after timeout_s."""
        book = self._books[0]
        batch = [self._deposit(book, 10 * count)]  # pays for exactly these holds
        agent = batch[0].credit_account_id
        batch += [
            self._transfer(book, agent, book.escrow, 10, DON, flags=_F.PENDING, timeout=timeout_s)
            for _ in range(count)
        ]
        for start in range(0, len(batch), BATCH_MAX):
            self._write(batch[start : start + BATCH_MAX])

    def close_an_account(self) -> None:
        """Closes an account of each ledger by a pending transfer of nothing."""
        self._write(
            [
                self._transfer(
                    book,
                    book.leaver,
                    book.treasury,
                    0,
                    CLOSE,
                    flags=_F.PENDING | _F.CLOSING_DEBIT,
                )
                for book in self._books
            ]
        )

    def _open_book(self, ledger: int, agents: int) -> _Book:
        house = [self._take_id() for _ in range(4)]
        people = [self._take_id() for _ in range(agents)]
        authors = [self._take_id() for _ in range(2)]
        codes = [TREASURY, PLATFORM_FEE, ESCROW, AGENT, *[AGENT] * agents, *[AUTHOR] * 2]
        ids = [*house, *people, *authors]
        self._create_accounts(
            [self._account(id_, ledger, code) for id_, code in zip(ids, codes, strict=True)]
        )
        treasury, platform_fee, escrow, leaver = house
        book = _Book(ledger, treasury, platform_fee, escrow, leaver, people, authors)
        book.spendable = dict.fromkeys(people, FIRST_DEPOSIT)
        self._write([self._deposit(book, FIRST_DEPOSIT, agent=agent) for agent in people])
        return book

    def _account(self, id_: int, ledger: int, code: int) -> tb.Account:
        is_agent = code == AGENT
        flags = tb.AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS if is_agent else 0
        return tb.Account(
            id=id_,
            user_data_128=self._random.getrandbits(128) if is_agent else 0,
            ledger=ledger,
            code=code,
            flags=tb.AccountFlags(flags),
        )

    def _create_accounts(self, accounts: list[tb.Account]) -> None:
        for start in range(0, len(accounts), BATCH_MAX):
            batch = accounts[start : start + BATCH_MAX]
            for result in self._client.create_accounts(batch):
                if result.status != tb.CreateAccountStatus.CREATED:
                    raise RuntimeError(f"the ledger refused an account: {result.status.name}")
        self.account_ids += [account.id for account in accounts]

    def _some_business(self) -> list[tb.Transfer]:
        book = self._random.choice(self._books)
        poorest = min(book.agents, key=book.spendable.__getitem__)
        if book.spendable[poorest] < POOR:
            return [self._deposit_to_spend(book, poorest)]
        kinds: tuple[Callable[[_Book], list[tb.Transfer]], ...] = (
            self._don,
            self._don,
            self._doff,
            self._doff,
            self._api_call_with_fee,
            self._single,
        )
        return self._random.choice(kinds)(book)

    def _don(self, book: _Book) -> list[tb.Transfer]:
        agent, amount = self._spend(book)
        code, target = self._random.choice(
            ((DON, self._random.choice(book.authors)), (ESCROW_RELEASE, book.escrow))
        )
        hold = self._transfer(
            book, agent, target, amount, code, flags=_F.PENDING, timeout=HOLD_TIMEOUT_S
        )
        book.open_holds.append(hold)
        return [hold]

    def _doff(self, book: _Book) -> list[tb.Transfer]:
        """Posts all or part of a hold, or voids it; some leave the hold's user data as it is."""
        if not book.open_holds:
            return self._don(book)
        hold = book.open_holds.pop(self._random.randrange(len(book.open_holds)))
        post, void = _F.POST_PENDING_TRANSFER, _F.VOID_PENDING_TRANSFER
        flags, amount = self._random.choice(
            ((post, hold.amount), (post, hold.amount // 2), (post, 0), (void, 0))
        )
        doff = self._transfer(
            book, hold.debit_account_id, hold.credit_account_id, amount, hold.code, flags=flags
        )
        doff.pending_id = hold.id
        if self._random.random() < 0.3:
            doff.user_data_128 = doff.user_data_64 = doff.user_data_32 = 0
        return [doff]

    def _api_call_with_fee(self, book: _Book) -> list[tb.Transfer]:
        agent, amount = self._spend(book, parts=2)
        author = self._random.choice(book.authors)
        return [
            self._transfer(book, agent, author, amount, API_CALL, flags=_F.LINKED),
            self._transfer(book, agent, book.platform_fee, amount // 20, FEE),
        ]

    def _single(self, book: _Book) -> list[tb.Transfer]:
        code = self._random.choice(
            (DEPOSIT, REFUND, SETTLEMENT, ESCROW_HOLD, ADJUSTMENT, MIGRATION)
        )
        if code == DEPOSIT:
            return [self._deposit_to_spend(book, self._random.choice(book.agents))]
        agent, amount = self._spend(book)
        target = book.escrow if code == ESCROW_HOLD else book.treasury
        return [self._transfer(book, agent, target, amount, code)]

    def _deposit_to_spend(self, book: _Book, agent: int) -> tb.Transfer:
        deposit = self._deposit(book, self._random.randint(POOR, 10**9), agent=agent)
        book.spendable[agent] += deposit.amount
        return deposit

    def _deposit(self, book: _Book, amount: int, *, agent: int | None = None) -> tb.Transfer:
        agent = agent or self._random.choice(book.agents)
        return self._transfer(book, book.treasury, agent, amount, DEPOSIT)

    def _spend(self, book: _Book, *, parts: int = 1) -> tuple[int, int]:
        """Returns an agent and an amount that it can pay `parts` times."""
        agent = self._random.choice(book.agents)
        amount = self._random.randint(1, book.spendable[agent] // (4 * parts))
        book.spendable[agent] -= amount * parts
        return agent, amount

    def _transfer(
        self,
        book: _Book,
        debit: int,
        credit: int,
        amount: int,
        code: int,
        *,
        flags: tb.TransferFlags = _F.NONE,
        timeout: int = 0,
    ) -> tb.Transfer:
        resource_type = {DON: 1, API_CALL: 3, DEPOSIT: 4, SETTLEMENT: 5}.get(code, 2)
        return tb.Transfer(
            id=self._take_id(),
            debit_account_id=debit,
            credit_account_id=credit,
            amount=amount,
            user_data_128=self._random.getrandbits(128) | 1,
            user_data_64=self._random.getrandbits(64) | 1,
            user_data_32=resource_type << 24 | self._random.randint(1, 99),
            timeout=timeout,
            ledger=book.ledger,
            code=code,
            flags=flags,
        )

    def _write_rejected(self) -> None:
        """Sends a transfer that no credit covers: the ledger leaves no event of it."""
        book = self._books[0]
        transfer = self._transfer(book, book.agents[0], book.treasury, 2**100, ADJUSTMENT)
        (result,) = self._client.create_transfers([transfer])
        if result.status != tb.CreateTransferStatus.EXCEEDS_CREDITS:
            raise RuntimeError(f"the ledger should have refused: {result.status.name}")
        self.rejected += 1

    def _write(self, batch: list[tb.Transfer]) -> None:
        results = self._client.create_transfers(batch)
        for transfer, result in zip(batch, results, strict=True):
            if result.status != tb.CreateTransferStatus.CREATED:
                raise RuntimeError(f"the ledger refused a transfer: {result.status.name}")
            event_type = next(
                (kind for flag, kind in _EVENT_TYPE_OF_FLAG if flag in transfer.flags), SINGLE_PHASE
            )
            self.written.append(Written(result.timestamp, transfer.id, event_type))

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id


def crowd_out_older_sessions(address: str, cluster_id: int) -> None:
    """Registers as many new sessions as a cluster keeps: those that were there before are evicted.

    All at once, since each registration takes about 0.6 s.
    """

    def register() -> None:
        with tb.ClientSync(cluster_id=cluster_id, replica_addresses=address) as client:
            client.lookup_accounts([1])

    with concurrent.futures.ThreadPoolExecutor(SESSIONS_MAX) as pool:
        for done in [pool.submit(register) for _ in range(SESSIONS_MAX)]:
            done.result()
