"""Reads Lightning: invoices and outgoing payments of an LND node.

A fetch reads new invoices and payments, then those that were open. From an older cursor it gives
the same settlements: an invoice keeps its index for ever.

Invoices are listed in the order in which they were added, so one that is settled later is not
listed again: all open ones stay in the cursor and are read until they are decided. LND answers an
empty page with the index 0, which must not become the cursor.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from masques_pipelines.rails.descriptor import RailContext, RailDescriptor
from masques_pipelines.rails.endpoint import open_endpoint, read_secret
from masques_pipelines.rails.lightning.records import of_invoice, of_payment, payment_hash_of
from masques_pipelines.rails.node import HttpNode
from masques_pipelines.rails.protocol import (
    Cursor,
    FetchResult,
    Observation,
    OpenSettlement,
    OpenSettlements,
    RailRefusedError,
    RailUnavailableError,
)

NAME: Final = "lightning"
CURSOR_VERSION: Final = 1
PAGE: Final = 100
# Pages of new invoices in one fetch; the rest waits for the next fetch.
PAGES_PER_FETCH: Final = 50
OPEN_MAX: Final = 1_000
# LND answers a bad macaroon with HTTP 500 and one of these words.
_REFUSALS: Final = ("macaroon", "permission denied", "verification")
# CAIP-2 ids of the chains under the node: the first 16 bytes of their genesis hashes.
CAIP2: Final[Mapping[str, str]] = {
    "mainnet": "bip122:000000000019d6689c085ae165831e93",
    "testnet": "bip122:000000000933ea01ad0ee984209779ba",
    "signet": "bip122:00000008819873e925422c1ff0f99f7c",
    "regtest": "bip122:0f9188f13cb7b2c71f2a335e3a4fc328",
}


@dataclass
class _Fetch:
    """What one fetch has observed so far."""

    observations: list[Observation] = field(default_factory=list)
    open_invoices: set[str] = field(default_factory=set)
    ids: set[Any] = field(default_factory=set)

    def add(self, made: Iterable[Observation]) -> None:
        for each in made:
            self.observations.append(each)
            self.ids.add(each.settlement_id)


class LightningRail:
    """Payments to and from one node."""

    name = NAME

    def __init__(self, node: HttpNode, chain: str, open_settlements: OpenSettlements) -> None:
        self.network = CAIP2[chain]
        self.description = node.description
        self._node = node
        self._chain = chain
        self._open_settlements = open_settlements
        self._pubkey = ""

    @property
    def calls(self) -> int:
        """Requests made so far."""
        return self._node.calls

    def fetch(self, cursor: Cursor | None) -> FetchResult:
        """Returns the invoices and payments after the cursor, and the open ones that were decided.

        Raises:
            RailUnavailableError: The node is down, busy or locked.
            RailRefusedError: It refuses our macaroon, or is on another network.
        """
        now_s = self._check_node()
        start = cursor or {"added": 0, "paid": 0, "open": [], "in_flight": []}
        seen = _Fetch()
        was_open = set(start["open"])
        added, has_all = self._new_invoices(int(start["added"]), seen)
        open_now = {each.settlement_id: each for each in self._open_settlements()}
        if has_all:
            self._read_open(was_open, list(open_now.values()), seen, now_s)
        else:
            seen.open_invoices |= was_open
        paid, in_flight = self._payments(int(start["paid"]), start["in_flight"], seen)
        return FetchResult(
            observations=seen.observations,
            cursor={
                "v": CURSOR_VERSION,
                "added": added,
                "paid": paid,
                "open": sorted(seen.open_invoices),
                "in_flight": in_flight,
            },
            is_caught_up=has_all,
            position=added,
            behind=0,
            notes={"open_invoices": len(seen.open_invoices), "payments_in_flight": len(in_flight)},
        )

    def _get(self, path: str, **params: Any) -> dict[str, Any]:
        status, answer = self._node.json("GET", path, params=params or None)
        if status == 200 and isinstance(answer, dict):
            return answer
        if status == 404:
            return {}
        message = str(answer.get("message", "")) if isinstance(answer, dict) else ""
        text = f"{self.description}: {path.split('/')[2]}: HTTP {status}"
        if any(word in message.lower() for word in _REFUSALS):
            raise RailRefusedError(
                f"{text}: it refuses the macaroon: give MASQUES_LND_MACAROON_FILE one that may "
                "read invoices, offchain and info"
            )
        raise RailUnavailableError(
            f"{text}: the node may be locked or starting; the next run tries again"
        )

    def _check_node(self) -> int:
        """Returns the node's own time, after checking that it is on the right network."""
        info = self._get("/v1/getinfo")
        chains = [each.get("network") for each in info.get("chains") or ()]
        if self._chain not in chains:
            raise RailRefusedError(
                f"{self.description}: the node is on "
                f"{', '.join(map(str, chains)) or 'no network'}, and MASQUES_LND_NETWORK is "
                f"{self._chain}: give MASQUES_LND_URL a node of that one"
            )
        self._pubkey = str(info.get("identity_pubkey", ""))
        return int(info.get("best_header_timestamp") or 0)

    def _new_invoices(self, added: int, seen: _Fetch) -> tuple[int, bool]:
        """Reads the invoices after an index; returns the newest index and whether that was all."""
        for _ in range(PAGES_PER_FETCH):
            page = self._get(
                "/v1/invoices", index_offset=added, num_max_invoices=PAGE, reversed="false"
            )
            invoices = page.get("invoices") or []
            for invoice in invoices:
                self._invoice(invoice, seen)
            if not invoices:
                return added, True
            added = max(added, *(int(each["add_index"]) for each in invoices))
            if len(invoices) < PAGE:
                return added, True
        return added, False

    def _invoice(
        self, invoice: Mapping[str, Any], seen: _Fetch, announced: OpenSettlement | None = None
    ) -> None:
        seen.add(
            of_invoice(
                invoice,
                network=self.network,
                pubkey=self._pubkey,
                is_announced=announced is not None,
            )
        )
        if invoice["state"] in ("OPEN", "ACCEPTED"):
            seen.open_invoices.add(payment_hash_of(invoice))

    def _read_open(
        self, was_open: set[str], open_now: Sequence[OpenSettlement], seen: _Fetch, now_s: int
    ) -> None:
        """Reads what was open: in one list what still is open, one by one what no longer is."""
        announced = {
            each.latest.payment_ref: each
            for each in sorted(open_now, key=lambda each: each.latest.timestamp_ns)[:OPEN_MAX]
            if each.latest.direction == "in" and each.latest.network == self.network
        }
        wanted = (was_open | set(announced)) - {
            each.payment_ref
            for each in seen.observations
            if each.status in ("confirmed", "failed") and each.direction == "in"
        }
        if not wanted:
            return
        still = self._still_open()
        for payment_hash in sorted(wanted):
            if payment_hash in still:
                self._invoice(still[payment_hash], seen)
                continue
            invoice = self._get(f"/v1/invoice/{payment_hash}")
            known = announced.get(payment_hash)
            if invoice.get("r_hash"):
                self._invoice(invoice, seen, known)
            elif known is not None and known.deadline_s is not None and now_s > known.deadline_s:
                # The node has deleted it: it deletes canceled invoices only, never settled ones.
                seen.add([_expired(known)])

    def _still_open(self) -> dict[str, Mapping[str, Any]]:
        """Returns the invoices that are open or held, by payment hash."""
        found: dict[str, Mapping[str, Any]] = {}
        offset = 0
        while True:
            page = self._get(
                "/v1/invoices",
                pending_only="true",
                index_offset=offset,
                num_max_invoices=PAGE,
                reversed="false",
            )
            invoices = page.get("invoices") or []
            found.update({payment_hash_of(each): each for each in invoices})
            if len(invoices) < PAGE:
                return found
            offset = max(offset + 1, *(int(each["add_index"]) for each in invoices))

    def _payments(self, paid: int, in_flight: Sequence[int], seen: _Fetch) -> tuple[int, list[int]]:
        """Reads the outgoing payments after an index and those that were in flight."""
        found: list[Mapping[str, Any]] = []
        for index in in_flight:
            page = self._payment_page(index - 1, 1)
            found.extend(each for each in page if int(each["payment_index"]) == index)
        while True:
            page = self._payment_page(paid, PAGE)
            found.extend(page)
            if page:
                paid = max(paid, *(int(each["payment_index"]) for each in page))
            if len(page) < PAGE:
                break
        for each in found:
            seen.add(of_payment(each, network=self.network, pubkey=self._pubkey))
        open_states = ("IN_FLIGHT", "INITIATED")
        return paid, sorted(
            {int(each["payment_index"]) for each in found if each["status"] in open_states}
        )

    def _payment_page(self, offset: int, limit: int) -> list[Mapping[str, Any]]:
        page = self._get(
            "/v1/payments",
            include_incomplete="true",
            index_offset=offset,
            max_payments=limit,
            reversed="false",
        )
        return list(page.get("payments") or [])


def _expired(known: OpenSettlement) -> Observation:
    deadline_s = known.deadline_s or 0
    return replace(
        known.latest,
        source="chain",
        status="failed",
        failure_reason="invoice_expired",
        finality="canceled",
        timestamp_ns=deadline_s * 10**9,
    )


@contextlib.contextmanager
def _open(context: RailContext) -> Iterator[LightningRail]:
    configured = context.settings.lightning
    headers = {}
    if configured.credential_file is not None:
        macaroon = read_secret(configured.credential_file, "MASQUES_LND_MACAROON_FILE")
        headers["Grpc-Metadata-macaroon"] = macaroon.hex()
    with open_endpoint(configured, headers=headers) as node:
        yield LightningRail(node, configured.network, context.open_settlements)


def _rewind(cursor: Cursor, position: int) -> Cursor:
    return {**cursor, "added": position, "paid": 0}


DESCRIPTOR: Final = RailDescriptor(
    name=NAME,
    unit="invoice index",
    open=_open,
    network=lambda settings: CAIP2[settings.lightning.network],
    position=lambda cursor: int(cursor["added"]),
    endpoint_variable="MASQUES_LND_URL",
    endpoint=lambda settings: settings.lightning.url,
    rewind=_rewind,
    knows_expiry=True,
    normalize_payer=str,
)
