"""Turns a world's payments into the facts that the computed nodes answer from."""

from collections.abc import Iterator
from typing import Final

from masques_pipelines.sandbox.nodes.escrow import channel_id
from masques_pipelines.sandbox.nodes.facts import Kind, Payment
from masques_pipelines.sandbox.parties import BASE_TREASURY, LND_PUBKEY, SOLANA_TREASURY
from masques_pipelines.sandbox.world.population import AGENCY_PARTY, Population
from masques_pipelines.sandbox.world.shape import KINDS, LIGHTNING, RAILS, SECOND, Rows

OURS: Final = (BASE_TREASURY, SOLANA_TREASURY, LND_PUBKEY)
_NAMES: Final[tuple[Kind, ...]] = (
    "plain",
    "paid",
    "failed",
    "canceled",
    "unpaid",
    "held",
    "hidden",
    "voucher",
    "claim",
    "close",
    "ask_back",
    "take_back",
    "sweep",
)
if _NAMES != KINDS:
    raise AssertionError("the kinds of payments differ from those of the nodes")


class Wallets:
    """Names the addresses of parties, each computed once."""

    def __init__(self, people: Population) -> None:
        self._people = people
        self._known: dict[tuple[int, int], str] = {}

    def of(self, rail: int, party: int) -> str:
        """Returns the address of a party on a rail."""
        key = rail, party
        if key not in self._known:
            self._known[key] = self._people.wallet(RAILS[rail], party)
        return self._known[key]

    def channel(self, number: int) -> str:
        """Returns the id of a payment channel, '' for none."""
        return channel_id(self._people.shape.seed, number) if number else ""


def facts(wallets: Wallets, payments: Rows) -> Iterator[Payment]:
    """Yields payments as facts, in their order."""
    for row in payments.tolist():
        t, rail, number, units, party, to, is_out, kind, valid_s, after_s, _, *more = row
        channel, total, deposit = more
        other = "" if rail == LIGHTNING and not is_out else wallets.of(rail, party)
        # An old address of ours, that the settings do not name any more.
        ours = OURS[rail] if to == 0 else wallets.of(rail, AGENCY_PARTY * 2)
        sender, receiver = (ours, other) if is_out else (other, ours)
        yield Payment(
            number=number,
            at_s=-(-t // SECOND),
            units=units,
            sender=sender,
            receiver=receiver,
            kind=_NAMES[kind],
            valid_s=valid_s,
            after_s=after_s,
            channel=wallets.channel(channel),
            total=total,
            deposit=deposit,
        )
