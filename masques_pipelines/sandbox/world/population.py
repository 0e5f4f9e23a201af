"""Makes the parties of a world: accounts, identities, wallets, masques with author and price."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from masques_pipelines.rails.solana.addresses import encode_base58
from masques_pipelines.sandbox.nodes.facts import digest
from masques_pipelines.sandbox.world.shape import (
    AUTHOR,
    BY_VOUCHER,
    DAY,
    DIRECT,
    DIRECT_BASE,
    DIRECT_SOLANA,
    ESCROW,
    LEDGERS,
    LIMITED,
    MIGRATED,
    PLATFORM_FEE,
    PREPAID,
    PREPAID_BASE,
    PREPAID_LIGHTNING,
    PREPAID_SOLANA,
    SOL,
    TOKENS,
    TREASURY,
    USD,
    Column,
    Rows,
    Shape,
    ids_at,
    random_ids,
)

# Of a hundred agents: how they pay, by the order of the kinds in shape.py.
_SHARES: Final = (42, 20, 8, 6, 8, 6, 6, 4)
# And the first of them, so that small worlds have each kind on most days.
_FIRST: Final = (
    PREPAID_BASE, BY_VOUCHER, PREPAID_SOLANA, PREPAID_LIGHTNING, MIGRATED, DIRECT_BASE,
    DIRECT_SOLANA, TOKENS,
)  # fmt: skip
# Treasuries, fee accounts, and where balances of an earlier system came from.
_HOUSE: Final = tuple(
    (code, ledger) for code in (TREASURY, PLATFORM_FEE, ESCROW) for ledger in range(len(LEDGERS))
)
_NAMES: Final = (
    "Codesmith", "Chartwright", "Firekeeper", "Lexicographer", "Prism", "Mirror", "Cartographer",
    "Archivist", "Tutor", "Auditor", "Composer", "Gardener",
)  # fmt: skip
_TOPUP_MICRO: Final = 200_000
_AGENCIES: Final = 2


def house_account(code: int, ledger: int) -> int:
    """Returns the place of one of the platform's own accounts."""
    return _HOUSE.index((code, ledger))


@dataclass(frozen=True)
class Population:
    """The parties of a world, which follow from its shape."""

    shape: Shape

    @cached_property
    def _chance(self) -> dict[str, np.random.Generator]:
        names = ("ids", "kinds", "masques", "money")
        return {
            name: np.random.default_rng([self.shape.seed, 0, place])
            for place, name in enumerate(names)
        }

    # Accounts -----------------------------------------------------------------------------------

    @property
    def first_agent(self) -> int:
        """Place of the first agent's account."""
        return len(_HOUSE)

    @property
    def first_author(self) -> int:
        """Place of the first author's first account."""
        return len(_HOUSE) + self.shape.agents

    @property
    def count(self) -> int:
        """Number of accounts."""
        return self.first_author + len(LEDGERS) * self.shape.authors

    def author_account(self, authors: Column, ledgers: Column) -> Column:
        """Returns the places of authors' accounts."""
        return self.first_author + authors * len(LEDGERS) + ledgers

    @cached_property
    def ids(self) -> tuple[Rows, Rows]:
        """Ids of the accounts, and of the identities of agents and authors."""
        chance = self._chance["ids"]
        accounts = ids_at(chance, self.created)
        return accounts, random_ids(chance, self.shape.agents + self.shape.authors)

    @cached_property
    def created(self) -> Column:
        """When each account was created: on the day before the first one."""
        return np.arange(self.count, dtype=np.int64) + self.shape.start_ns - DAY // 2

    @cached_property
    def ledger(self) -> Column:
        """Ledger of each account."""
        house = np.array([ledger for _, ledger in _HOUSE])
        authors = np.tile(np.arange(len(LEDGERS)), self.shape.authors)
        return np.concatenate([house, self.agent_ledger, authors])

    @cached_property
    def code(self) -> Column:
        """Code of each account."""
        codes = np.full(self.count, PREPAID, np.uint16)
        codes[: len(_HOUSE)] = [code for code, _ in _HOUSE]
        codes[self.first_author :] = AUTHOR
        return codes

    @cached_property
    def flags(self) -> Column:
        """Flags of each account: nobody but the platform itself can be overdrawn."""
        return np.where(np.isin(self.code, (PREPAID, AUTHOR)), LIMITED, 0).astype(np.uint16)

    @cached_property
    def owner(self) -> Rows:
        """Identity of each account; the platform's have none."""
        owners = np.zeros(self.count, self.ids[1].dtype)
        agents = self.shape.agents
        owners[self.first_agent : self.first_author] = self.ids[1][:agents]
        owners[self.first_author :] = np.repeat(self.ids[1][agents:], len(LEDGERS))
        return owners

    # Agents -------------------------------------------------------------------------------------

    @cached_property
    def kind(self) -> Column:
        """How each agent pays; each kind has at least two agents, who have the most traffic."""
        shares = np.repeat(np.arange(len(_SHARES)), _SHARES)
        kinds = self._chance["kinds"].choice(shares, self.shape.agents)
        kinds[: 2 * len(_SHARES)] = np.tile(_FIRST, 2)
        return kinds

    @cached_property
    def agent_ledger(self) -> Column:
        """Ledger in which each agent pays."""
        in_btc = np.isin(self.kind, (PREPAID_LIGHTNING, TOKENS))
        return np.where(in_btc, 1, np.where(self.kind == MIGRATED, SOL, USD))

    @cached_property
    def is_prepaid(self) -> Column:
        """Whether an agent pays from an account of its own."""
        return ~np.isin(self.kind, (*DIRECT, TOKENS))

    @cached_property
    def topup(self) -> Column:
        """What each agent deposits at once, in micro-dollars."""
        chance = self._chance["money"]
        return (chance.lognormal(0, 0.7, self.shape.agents) * _TOPUP_MICRO).astype(
            np.int64
        ) + 20_000

    @cached_property
    def agent_weights(self) -> Column:
        """Cumulative share of traffic: a heavy tail."""
        return _heavy_tail(self.shape.agents, 0.9)

    # Masques ------------------------------------------------------------------------------------

    @cached_property
    def masque_weights(self) -> Column:
        """Cumulative share of traffic: a heavy tail."""
        return _heavy_tail(self.shape.masques, 0.8)

    @cached_property
    def masque_author(self) -> Column:
        """The one author of each masque."""
        return self._chance["masques"].integers(0, self.shape.authors, self.shape.masques)

    @cached_property
    def masque_price(self) -> Column:
        """Price of a thousand tokens, in micro-dollars."""
        chance = np.random.default_rng([self.shape.seed, 0, 9])
        return (chance.lognormal(0, 1, self.shape.masques) * 2_000).astype(np.int64) + 200

    def masque_name(self, masque: int) -> str:
        """Returns the name of a masque."""
        turn, place = divmod(masque, len(_NAMES))
        return _NAMES[place] if turn == 0 else f"{_NAMES[place]} {turn + 1}"

    # Wallets ------------------------------------------------------------------------------------

    @cached_property
    def author_rail(self) -> Column:
        """Where authors are paid their dollars: on Base (0) or Solana (1)."""
        return np.arange(self.shape.authors) % 3 % 2

    @cached_property
    def agency(self) -> Column:
        """Which agency is paid for an author, -1 for none; agencies are on Base."""
        places = np.arange(self.shape.authors)
        return np.where(places % 4 == 2, places // 4 % _AGENCIES, -1)

    def wallet(self, rail: str, party: int) -> str:
        """Returns the address of an agent, of an author (-1 - number), or of the house's agency.

        Args:
            rail: Name of the rail.
            party: The agent; -1 - n for author n; -1,000,000 - n for agency n.
        """
        data = digest(self.shape.seed, f"wallet on {rail}", party)
        if rail == "base":
            return "0x" + data.hex()[:40]
        return encode_base58(data) if rail == "solana" else "03" + data.hex()


AGENCY_PARTY: Final = -1_000_000


def _heavy_tail(count: int, power: float) -> Column:
    weights = 1 / np.arange(1, count + 1) ** power
    return np.asarray(np.cumsum(weights) / weights.sum())
