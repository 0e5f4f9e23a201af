"""Reads Lightning: invoices and outgoing payments of an LND node.

A fetch reads new invoices and payments, then what was open. From an older cursor it gives the same
settlements: an invoice keeps its index for ever.

Invoices are listed in the order in which they were added, so one that is settled later is listed
again: the cursor keeps the index of the oldest open one, and every fetch lists from there. What
expires is in those pages and costs no request of its own. Open invoices that are much older keep
their own index in the cursor (at most OLD_OPEN_MAX). LND answers an empty page with the index 0,
which must not become the cursor.

The balances of the node are read before and after its lists, for the check against the chain; with
a difference, or a payment that settled in the same seconds, there is no reading in that fetch.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from masques_pipelines.rail_settings import LIGHTNING_NETWORKS, variable
from masques_pipelines.rails.answers import ShapeError
from masques_pipelines.rails.descriptor import RailContext, RailDescriptor, rejected_from
from masques_pipelines.rails.endpoint import open_endpoint, read_secret
from masques_pipelines.rails.lightning import node as lnd
from masques_pipelines.rails.lightning.cursor import Position, cursor_of, position_of, rewound
from masques_pipelines.rails.lightning.messages import (
    Invoice,
    Payment,
    is_payment_hash,
)
from masques_pipelines.rails.lightning.node import Funds, LndNode, Page
from masques_pipelines.rails.lightning.records import of_invoice, of_payment
from masques_pipelines.rails.node import HttpNode
from masques_pipelines.rails.protocol import (
    OPEN_MAX,
    BalanceReading,
    Cursor,
    FetchResult,
    Finding,
    Found,
    Observation,
    OpenSettlement,
    OpenSettlements,
    RailRefusedError,
    RailUnavailableError,
    Rejected,
)
from masques_pipelines.rails.settlement_ids import lightning_payment

NAME: Final = "lightning"
SETTING: Final = partial(variable, NAME)
# Pages of new invoices, payments or forwards in one fetch; the rest waits for the next fetch.
PAGES_PER_FETCH: Final = 5
# Open invoices that keep their own index in the cursor, so that the pages begin after them.
OLD_OPEN_MAX: Final = 100
# Announced invoices that are looked up singly in one run: those that no list has.
LOOKUPS_MAX: Final = 50
# Announced settlements that one fetch reads, in portions of OPEN_MAX.
ANNOUNCED_PORTIONS_MAX: Final = 20
DAY_S: Final = 86_400
DEADLINE_DAYS_MAX: Final = 30
# Seconds after which a settled payment is in the balance of its channel.
SETTLING_S: Final = 2
# Where a rejected item is found again, as _reject names it.
_PLACE: Final = re.compile(r"/(invoices|payments)/([0-9]{1,18})|/(invoice)/([0-9a-f]{64})")
_OPEN: Final = ("OPEN", "ACCEPTED")
_ENDED: Final = ("SUCCEEDED", "FAILED")
CAIP2: Final = LIGHTNING_NETWORKS


@dataclass
class _Fetch:
    """What one fetch has observed so far."""

    announced: dict[str, OpenSettlement] = field(default_factory=dict)
    outgoing: dict[str, OpenSettlement] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)
    found: set[str] = field(default_factory=set)
    open_now: dict[int, Invoice] = field(default_factory=dict)
    in_flight: set[int] = field(default_factory=set)
    is_one_unread: bool = False
    rejected: list[Rejected] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)


class LightningRail:
    """Payments to and from one node."""

    name = NAME

    def __init__(
        self,
        node: HttpNode,
        chain: str,
        open_settlements: OpenSettlements,
        *,
        name_of_node: str = "",
        setting: Callable[[str], str] = SETTING,
    ) -> None:
        """Makes the rail.

        Args:
            node: The node.
            chain: mainnet, testnet, signet or regtest.
            open_settlements: Called in each fetch.
            name_of_node: What tells it apart from other nodes of the chain that are read, '' for
                the only one.
            setting: Where a person finds a setting, in messages.
        """
        self.network = CAIP2[chain]
        self.description = node.description
        self._node = LndNode(node, setting("credential_file"))
        self._rejected_from = rejected_from(self.network, name_of_node)
        self._has_siblings = bool(name_of_node)
        self._setting = setting
        self._chain = chain
        self._open_settlements = open_settlements
        self._pubkey = ""

    @property
    def calls(self) -> int:
        """Requests made so far."""
        return self._node.calls

    def owns(self, cursor: Cursor) -> bool:
        """Whether a cursor was saved for this node.

        Raises:
            RailUnavailableError: The node is down, busy or locked, or answered nonsense.
        """
        return position_of(cursor).pubkey == self._node.info().identity_pubkey

    def fetch(self, cursor: Cursor | None) -> FetchResult:
        """Returns the invoices and payments after the cursor, and the open ones that were decided.

        Raises:
            RailUnavailableError: The node is down, busy or locked, or answered nonsense.
            RailRefusedError: It refuses our macaroon, or is another node or on another network.
        """
        at = position_of(cursor)
        now_s = self._check_node(at)
        is_whole = not at.is_listing
        funds = self._node.funds() if is_whole else Funds()
        funds_at_s = self._node.answered_at_s
        seen = self._announced(at)
        has_invoices = self._new_invoices(at, seen)
        has_payments = self._payments(at, seen)
        has_forwards = self._forwards(at)
        # After a list of several fetches one more begins: it and the balances are of one time.
        is_caught_up = is_whole and has_invoices and has_payments and has_forwards
        if is_caught_up:
            self._look_up(seen, now_s)
            self._miss_payments(seen, now_s)
        seen.notes |= {"open_invoices": len(seen.open_now), "payments_in_flight": len(at.in_flight)}
        balances: list[BalanceReading] = []
        if is_caught_up:
            balances = self._readings(funds, funds_at_s, at, seen)
        return FetchResult(
            observations=seen.observations,
            cursor=cursor_of(at),
            is_caught_up=is_caught_up,
            position=at.added,
            behind=0,
            rejected=seen.rejected,
            findings=seen.findings,
            read_to_ns=now_s * 10**9 if is_caught_up and now_s else None,
            balances=balances,
            notes=seen.notes,
        )

    def replay(self, rejected: Sequence[Rejected], cursor: Cursor | None) -> Found:
        """Reads the invoices and payments again that were rejected and have an index or a hash.

        Raises:
            RailUnavailableError, RailRefusedError: as `fetch`.
        """
        at = position_of(cursor)
        self._check_node(at)
        seen = self._announced(at)
        unread = [each for each in rejected if not self._read_again(each, seen)]
        return Found(observations=seen.observations, rejected=[*unread, *seen.rejected])

    def _read_again(self, rejected: Rejected, seen: _Fetch) -> bool:
        """Reads one item by its index or hash; returns whether it was found and has ended."""
        match = _PLACE.fullmatch(rejected.source.removeprefix(self._rejected_from))
        if match is None:
            return False
        kind, name = filter(None, match.groups())
        if kind == "invoice":
            invoice = self._node.invoice(name)
            if not isinstance(invoice, Invoice):
                return False
            self._invoice(invoice, seen)
            return True
        index = int(name)
        if kind == "invoices":
            invoices = self._node.invoices(index - 1, limit=1).readable
            same = [each for each in invoices if each.add_index == index]
            for each in same:
                self._invoice(each, seen)
            return bool(same)
        payments = self._node.payments(index - 1, 1).readable
        # One in flight would have to be in the cursor, which a replay leaves alone.
        ended = [each for each in payments if each.payment_index == index and each.status in _ENDED]
        self._outgoing(ended, "", seen)
        return bool(ended)

    def _check_node(self, at: Position) -> int:
        """Returns the node's own time, after checking that it is the right node."""
        info = self._node.info()
        chains = [each.network for each in info.chains or ()]
        if self._chain not in chains:
            raise RailRefusedError(
                f"{self.description}: the node is on {', '.join(chains) or 'no network'}, and "
                f"{self._setting('network')} is {self._chain}: give {self._setting('url')} a node "
                "of that one"
            )
        self._pubkey = info.identity_pubkey
        if not at.pubkey and self._node.info().identity_pubkey != self._pubkey:
            raise RailUnavailableError(
                f"{self.description}: it says of itself that it is two nodes: several answer under "
                f"this address; give {self._setting('url')} the address of one"
            )
        if at.pubkey and at.pubkey != self._pubkey:
            raise RailRefusedError(
                f"{self.description}: the node is {self._pubkey[:20]}… and was {at.pubkey[:20]}… "
                f"before: its indexes are others: give {self._setting('url')} the node of before"
            )
        at.pubkey = self._pubkey
        return self._node.answered_at_s or info.best_header_timestamp

    def _announced(self, at: Position) -> _Fetch:
        """Reads the settlements that are still open; those past the limit have their turn later."""
        seen = _Fetch()
        after = at.after
        for _ in range(ANNOUNCED_PORTIONS_MAX):
            portion = self._open_settlements(after=after, limit=OPEN_MAX)
            fresh = [each for each in portion if each.latest.payment_ref not in seen.announced]
            for each in portion:
                if self._may_be_ours(each.latest):
                    side = seen.announced if each.latest.direction == "in" else seen.outgoing
                    side[each.latest.payment_ref] = each
            if len(portion) < OPEN_MAX or not fresh:
                at.after = ""
                return seen
            after = str(portion[-1].settlement_id)
        at.after = after
        return seen

    def _may_be_ours(self, known: Observation) -> bool:
        """Whether this node may decide a settlement: none that another node of the chain has."""
        node = known.to_address if known.direction == "in" else known.payer
        is_anothers = self._has_siblings and known.finality and node not in ("", self._pubkey)
        return known.network == self.network and not is_anothers

    def _new_invoices(self, at: Position, seen: _Fetch) -> bool:
        """Reads what is open, and all from the oldest open one on; returns whether that was all."""
        if not at.is_listing:
            at.open_now = self._pending(seen)
            self._old_open(at, seen)
            at.listed = min(at.low, at.added)
        pages = 0
        while pages < PAGES_PER_FETCH:
            page = self._node.invoices(at.listed)
            self._invoices(page, f"/invoices after {at.listed}", seen)
            is_full = len(page.items) >= lnd.PAGE
            if is_full and page.last <= at.listed:
                raise RailUnavailableError(
                    f"{self.description}: answered nonsense: invoices: add_index (not after "
                    f"{at.listed}): check that it is an LND node; the next run tries again"
                )
            at.listed = page.last
            # Pages that were read before do not count: the list after that of a back-fill has to
            # come to its end in one fetch, however many invoices are open.
            pages += page.last > at.added
            if not is_full:
                break
        else:
            at.is_listing = True
            at.open_now = sorted({*at.open_now, *seen.open_now})
            return False
        at.is_listing = False
        at.added = max(at.added, at.listed)
        still = sorted({*at.open_now, *seen.open_now})
        at.old_open = still[:OLD_OPEN_MAX]
        at.low = still[OLD_OPEN_MAX] - 1 if len(still) > OLD_OPEN_MAX else at.added
        at.open_now = []
        return True

    def _pending(self, seen: _Fetch) -> list[int]:
        """Observes all invoices that are open or held now, and returns their indices."""
        offset, indices = 0, []
        while True:
            page = self._node.invoices(offset, is_pending=True)
            self._invoices(page, f"/invoices pending after {offset}", seen)
            indices += [each.add_index for each in page.readable]
            if len(page.items) < lnd.PAGE or page.last <= offset:
                return indices
            offset = page.last

    def _old_open(self, at: Position, seen: _Fetch) -> None:
        """Reads, in pages, the invoices that were open long ago and are not any more."""
        ended = sorted(set(at.old_open) - set(at.open_now))
        while ended:
            page = self._node.invoices(ended[0] - 1)
            self._invoices(page, f"/invoices after {ended[0] - 1}", seen)
            reached = max(ended[0], page.last)  # one that was deleted is in no page
            ended = [each for each in ended if each > reached]

    def _invoices(self, page: Page[Invoice], place: str, seen: _Fetch) -> None:
        for number, each in enumerate(page.items):
            if isinstance(each, ShapeError):
                self._reject(seen, _place_of(each, "invoices") or f"{place}/{number}", each)
            else:
                self._invoice(each, seen)

    def _invoice(self, invoice: Invoice, seen: _Fetch) -> None:
        seen.found.add(invoice.r_hash)
        if invoice.state in _OPEN:
            seen.open_now[invoice.add_index] = invoice
        else:
            seen.open_now.pop(invoice.add_index, None)
        known = seen.announced.get(invoice.r_hash)
        if known is not None and invoice.state == "OPEN" and known.latest.status == "unknown":
            # An answer named no state that there is: the next one does.
            seen.observations.append(_waits_again(known.latest))
        try:
            seen.observations += of_invoice(
                invoice,
                network=self.network,
                pubkey=self._pubkey,
                is_announced=known is not None,
            )
        except ShapeError as error:
            self._reject(seen, f"/invoices/{invoice.add_index}", error)

    def _reject(self, seen: _Fetch, place: str, error: ShapeError) -> None:
        raw = json.dumps({"place": place, "problem": str(error)[:200]})
        seen.rejected.append(Rejected(f"{self._rejected_from}{place}", 1, "unreadable:item", raw))
        seen.findings.append(
            Finding(
                lightning_payment(f"{self._pubkey}{place}"),
                "unreadable",
                f"{place}: {str(error)[:200]}: its payment is not recorded",
                NAME,
            )
        )

    def _look_up(self, seen: _Fetch, now_s: int) -> None:
        """Resolves announced invoices that no list has, once they have expired."""
        looked_up = 0
        for payment_hash, known in sorted(seen.announced.items()):
            if payment_hash in seen.found or now_s <= self._deadline_s(known):
                continue
            if not is_payment_hash(payment_hash):
                seen.observations.append(known.closed("not_a_payment_hash"))
                continue
            if looked_up == LOOKUPS_MAX:
                break
            looked_up += 1
            invoice = self._node.invoice(payment_hash)
            if isinstance(invoice, Invoice):
                self._invoice(invoice, seen)
            elif isinstance(invoice, ShapeError):
                self._reject(seen, f"/invoice/{payment_hash}", invoice)
                seen.observations.append(known.closed("unreadable"))
            else:
                # LND deletes canceled invoices only, and never knew one of another node.
                seen.observations.append(known.closed("invoice_not_found"))

    def _payments(self, at: Position, seen: _Fetch) -> bool:
        """Reads the outgoing payments after an index and those that were in flight."""
        for index in list(at.in_flight):
            self._in_flight(index, seen)
        has_all = False
        for _ in range(PAGES_PER_FETCH):
            page = self._node.payments(at.paid, lnd.PAGE)
            self._outgoing(page.items, f"/payments after {at.paid}", seen)
            has_all = len(page.items) < lnd.PAGE or page.last <= at.paid
            at.paid = page.last
            if has_all:
                break
        at.in_flight = sorted(seen.in_flight)
        return has_all

    def _in_flight(self, index: int, seen: _Fetch) -> None:
        """Reads a payment that was in flight; one that two answers lack was deleted."""
        for limit in (1, 2):
            page = self._node.payments(index - 1, limit)
            found = [each for each in page.readable if each.payment_index == index]
            if found:
                self._outgoing(found, f"/payments after {index - 1}", seen)
                return
            if len(page.readable) < len(page.items):
                self._outgoing(page.items[:1], f"/payments after {index - 1}", seen)
                seen.in_flight.add(index)  # the next run asks again
                seen.is_one_unread = True
                return

    def _outgoing(self, page: Sequence[Payment | ShapeError], place: str, seen: _Fetch) -> None:
        for number, each in enumerate(page):
            try:
                if isinstance(each, ShapeError):
                    raise each
                made = of_payment(each, network=self.network, pubkey=self._pubkey)
            except ShapeError as error:
                if isinstance(each, Payment):
                    error.item = str(each.payment_index)
                self._reject(seen, _place_of(error, "payments") or f"{place}/{number}", error)
                continue
            seen.found.add(f"{each.payment_hash}|out")
            seen.observations.append(made)
            if each.status not in _ENDED:
                seen.in_flight.add(each.payment_index)

    def _miss_payments(self, seen: _Fetch, now_s: int) -> None:
        """Closes outgoing payments that the node does not have: deleted, or never sent."""
        for payment_hash, known in sorted(seen.outgoing.items()):
            if f"{payment_hash}|out" in seen.found:
                continue
            if known.latest.finality and seen.is_one_unread:
                continue  # which one is not known
            if known.latest.finality:
                # In flight, and every one in flight was read just now.
                seen.observations.append(known.closed("payment_deleted"))
            elif now_s > self._deadline_s(known):
                seen.observations.append(known.closed("payment_not_found"))

    def _forwards(self, at: Position) -> bool:
        """Adds up the fees of forwarded payments; returns whether those are all."""
        for _ in range(PAGES_PER_FETCH):
            try:
                count, fees_msat, following = self._node.forwards(at.forwarded)
            except RailRefusedError:
                return True  # the balance is not known without them: see LndNode.funds
            at.forward_fees_msat += fees_msat
            is_end = count < lnd.PAGE or following <= at.forwarded
            at.forwarded = following
            if is_end:
                return True
        return False

    def _readings(
        self, before: Funds, at_s: int | None, at: Position, seen: _Fetch
    ) -> list[BalanceReading]:
        """Returns the balances; none when something moved while they and the lists were read."""
        after = self._node.funds()
        if at_s is None or after != before:
            seen.notes["balance_moved"] = 1
            return []
        from_ns = (at_s - SETTLING_S) * 10**9
        if any(
            each.status == "confirmed" and each.timestamp_ns >= from_ns
            for each in seen.observations
        ):
            seen.notes["balance_moved"] = 1
            return []
        flowed = {**before.flowed, "forward_fees": at.forward_fees_msat} if before.held else {}
        # Just before that second: what settles within it is in the next reading.
        funds = replace(before, flowed=flowed)
        return funds.readings(self._pubkey, at_s * 10**9 - 1, "")

    def _deadline_s(self, known: OpenSettlement) -> int:
        """Returns when an announcement is looked up; its own deadline comes from a client.

        Another node of the chain may have it: that one has a day more to say so.
        """
        announced_s = known.latest.timestamp_ns // 10**9
        deadline_s = known.deadline_s if known.deadline_s is not None else announced_s + DAY_S
        own_s = min(deadline_s, announced_s + DEADLINE_DAYS_MAX * DAY_S)
        return own_s + DAY_S * self._has_siblings


def _waits_again(latest: Observation) -> Observation:
    """Returns a payment whose state could not be read as one that nobody has paid yet."""
    return replace(latest, source="chain", status="pending", failure_reason="")


def _place_of(error: ShapeError, kind: str) -> str:
    """Returns where an item is found again, '' when its index could not be read."""
    return f"/{kind}/{error.item}" if error.item else ""


@contextlib.contextmanager
def _open(context: RailContext) -> Iterator[LightningRail]:
    configured = context.configured
    headers = {}
    if configured.credential_file is not None:
        macaroon = read_secret(configured.credential_file, configured.place("credential_file"))
        headers["Grpc-Metadata-macaroon"] = macaroon.hex()
    with open_endpoint(configured, headers=headers) as node:
        yield LightningRail(
            *(node, configured.network, context.open_settlements),
            name_of_node=configured.node,
            setting=configured.place,
        )


DESCRIPTOR: Final = RailDescriptor(
    name=NAME,
    unit="invoice index",
    open=_open,
    network=lambda configured: CAIP2.get(configured.network, ""),
    position=lambda cursor: int(cursor["added"]),
    rewind=rewound,
    owns=LightningRail.owns,
    knows_expiry=True,
    normalize_payer=str,
)
