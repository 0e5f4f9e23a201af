"""Computes an LND node behind its REST interface, from payments and a clock.

The shapes follow lightning.proto of LND 0.21 through grpc-gateway's JSON: 64-bit numbers as text,
bytes in base64, enums by name.
"""

import base64
import bisect
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import httpx2

from masques_pipelines.sandbox.nodes.facts import MOVING, Clock, Genesis, Payment, Sums, digest
from masques_pipelines.sandbox.nodes.transport import respond

NETWORK: Final = "mainnet"
OPENING_MSAT: Final = 2 * 10**9
WALLET_SAT: Final = 5_000_000
RESERVE_SAT: Final = 10_000
# Seconds after which parts that arrived are canceled.
CANCELED_AFTER_S: Final = 30

_MSAT: Final = 1_000
_FEE_MSAT: Final = (28, 10_000)
_HIDDEN: Final = "hidden"
_UNSENT: Final = ("unpaid", "canceled")
_NEVER: Final = 2**62
_NOT_FOUND: Final = {"code": 5, "message": "Not Found", "details": []}
_PAGE: Final = 100
Answer = tuple[int, Any]


def preimage(seed: int, number: int) -> bytes:
    """Returns what the payer of an invoice learns."""
    return digest(seed, "lightning preimage", number)


def payment_hash(seed: int, number: int) -> str:
    """Returns the hash that names a payment, hex."""
    return hashlib.sha256(preimage(seed, number)).hexdigest()


def fee_msat(payment: Payment) -> int:
    """Returns what the route of a payment of ours cost."""
    times, per = _FEE_MSAT
    return payment.units * times // per


class LndNode(httpx2.BaseTransport):
    """A node, with what Lightning's rail asks for: incoming payments are invoices."""

    def __init__(
        self,
        payments: Iterable[Payment],
        clock: Clock,
        genesis: Genesis,
        *,
        pubkey: str,
    ) -> None:
        """Makes the node; later payments than the clock's time are shown when it reaches them.

        Args:
            payments: Facts, in any order; those that the node sends are its outgoing payments.
            clock: The node's time.
            genesis: What was in its channels before the first payment.
            pubkey: Public key of the node.
        """
        self.clock = clock
        self.requests = 0
        self._seed, self._pubkey = genesis.seed, pubkey
        self._opening_msat = genesis.opening.get(pubkey, OPENING_MSAT)
        ordered = sorted(payments, key=lambda each: (each.at_s, each.number))
        # Indices begin at 1; a hidden payment has one that no list shows.
        self._invoices = [each for each in ordered if each.sender != pubkey]
        self._sent = [
            each for each in ordered if each.sender == pubkey and each.kind not in _UNSENT
        ]
        self._added_s = [each.at_s for each in self._invoices]
        self._sent_s = [each.at_s for each in self._sent]
        ends = [(place, _ends_s(each)) for place, each in enumerate(self._invoices)]
        self._never = [place for place, end_s in ends if end_s == _NEVER]
        # No invoice is open for longer, but those that never end.
        lives = (end_s - self._added_s[place] for place, end_s in ends if end_s < _NEVER)
        self._life_s = max(lives, default=0)
        self._came = Sums(
            (each.at_s + each.after_s, each.units) for each in self._invoices if _is_moving(each)
        )
        self._started = Sums((each.at_s, each.units + fee_msat(each)) for each in self._sent)
        self._ended = Sums((_ends_s(each), each.units + fee_msat(each)) for each in self._sent)
        self._left = Sums(
            (_ends_s(each), each.units + fee_msat(each)) for each in self._sent if _is_moving(each)
        )
        self._by_hash: dict[str, int] = {}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answers one request, with the time of its clock."""
        self.requests += 1
        asked = dict(request.url.params)
        if request.content:
            asked |= {name: str(value) for name, value in json.loads(request.content).items()}
        now_s = self.clock()
        return respond(*self._answer(request.url.path, asked, now_s), now_s)

    def _answer(self, path: str, asked: Mapping[str, str], now_s: int) -> Answer:
        if path.startswith("/v1/invoice/"):
            return self._invoice_of(path.removeprefix("/v1/invoice/"), now_s)
        paths: dict[str, Callable[[], Any]] = {
            "/v1/getinfo": lambda: self._info(now_s),
            "/v1/invoices": lambda: self._invoice_page(asked, now_s),
            "/v1/payments": lambda: self._payment_page(asked, now_s),
            "/v1/switch": lambda: _forwards(asked),
            "/v1/balance/channels": lambda: self._channel_balance(now_s),
            "/v1/balance/blockchain": _wallet_balance,
            "/v1/channels": lambda: {"channels": [{"initiator": False, "commit_fee": "2810"}]},
            "/v1/channels/pending": lambda: {"total_limbo_balance": "0"},
            "/v1/channels/closed": lambda: {"channels": []},
            "/v1/transactions": lambda: {"transactions": []},
        }
        return (200, paths[path]()) if path in paths else (404, _NOT_FOUND)

    def _info(self, now_s: int) -> dict[str, Any]:
        return {
            "identity_pubkey": self._pubkey,
            "alias": "sandbox",
            "chains": [{"chain": "bitcoin", "network": NETWORK}],
            "best_header_timestamp": str(now_s),
            "synced_to_chain": True,
        }

    # Invoices ---------------------------------------------------------------------------------

    def _invoice_page(self, asked: Mapping[str, str], now_s: int) -> dict[str, Any]:
        after, count = _page_of(asked, "num_max_invoices")
        end = bisect.bisect_right(self._added_s, now_s)
        places: Iterable[int] = range(min(after, end), end)
        if asked.get("pending_only") == "true":
            places = (each for each in self._unended(now_s, end) if each >= after)
        chosen: list[dict[str, Any]] = []
        for place in places:
            if len(chosen) == count:
                break
            if self._invoices[place].kind != _HIDDEN:
                chosen.append(self._invoice(place, now_s))
        return {
            "invoices": chosen,
            # LND says 0 of an empty page.
            "first_index_offset": chosen[0]["add_index"] if chosen else "0",
            "last_index_offset": chosen[-1]["add_index"] if chosen else "0",
        }

    def _unended(self, now_s: int, end: int) -> list[int]:
        """Returns the places of the invoices that are open or held."""
        start = bisect.bisect_left(self._added_s, now_s - self._life_s)
        old = self._never[: bisect.bisect_left(self._never, min(start, end))]
        return old + [each for each in range(start, end) if _ends_s(self._invoices[each]) > now_s]

    def _invoice_of(self, hash_text: str, now_s: int) -> Answer:
        if not self._by_hash:
            self._by_hash = {
                payment_hash(self._seed, each.number): place
                for place, each in enumerate(self._invoices)
                if each.kind != _HIDDEN
            }
        place = self._by_hash.get(hash_text.lower())
        if place is None or self._added_s[place] > now_s:
            return 404, {"code": 5, "message": "unable to locate invoice", "details": []}
        return 200, self._invoice(place, now_s)

    def _invoice(self, place: int, now_s: int) -> dict[str, Any]:
        invoice = self._invoices[place]
        state = _state(invoice, now_s)
        is_settled = state == "SETTLED"
        paid = invoice.units if is_settled else 0
        secret, hashed = preimage(self._seed, invoice.number), self._hash(invoice)
        return {
            "memo": "L402",
            "r_preimage": _b64(secret) if is_settled else "",
            "r_hash": _b64(bytes.fromhex(hashed)),
            "value": str(invoice.units // _MSAT),
            "value_msat": str(invoice.units),
            "settled": is_settled,
            "creation_date": str(invoice.at_s),
            "settle_date": str(invoice.at_s + invoice.after_s) if is_settled else "0",
            "expiry": str(invoice.valid_s),
            "cltv_expiry": "80",
            "add_index": str(place + 1),
            "settle_index": str(place + 1) if is_settled else "0",
            "amt_paid": str(paid),
            "amt_paid_sat": str(paid // _MSAT),
            "amt_paid_msat": str(paid),
            "state": state,
            "htlcs": _parts(invoice, state, now_s),
            "is_keysend": False,
            "is_amp": False,
            "amp_invoice_state": {},
        }

    def _hash(self, payment: Payment) -> str:
        return payment_hash(self._seed, payment.number)

    # Payments ---------------------------------------------------------------------------------

    def _payment_page(self, asked: Mapping[str, str], now_s: int) -> dict[str, Any]:
        after, count = _page_of(asked, "max_payments")
        end = bisect.bisect_right(self._sent_s, now_s)
        is_all = asked.get("include_incomplete") == "true"
        chosen: list[dict[str, Any]] = []
        for place in range(min(after, end), end):
            if len(chosen) == count:
                break
            made = self._payment(place, now_s)
            if self._sent[place].kind != _HIDDEN and (is_all or made["status"] == "SUCCEEDED"):
                chosen.append(made)
        return {
            "payments": chosen,
            "first_index_offset": chosen[0]["payment_index"] if chosen else "0",
            "last_index_offset": chosen[-1]["payment_index"] if chosen else "0",
            "total_num_payments": "0",
        }

    def _payment(self, place: int, now_s: int) -> dict[str, Any]:
        payment = self._sent[place]
        ends_s = _ends_s(payment)
        status = "IN_FLIGHT"
        if ends_s <= now_s:
            status = "SUCCEEDED" if _is_moving(payment) else "FAILED"
        is_paid = status == "SUCCEEDED"
        fee = fee_msat(payment) if is_paid else 0
        secret = preimage(self._seed, payment.number).hex()
        attempt = {
            "attempt_id": str(place + 1),
            "status": status,
            "route": {"hops": [{"pub_key": payment.receiver}]},
            "attempt_time_ns": str(payment.at_s * 10**9),
            "resolve_time_ns": str(ends_s * 10**9) if status != "IN_FLIGHT" else "0",
        }
        return {
            "payment_hash": self._hash(payment),
            "payment_preimage": secret if is_paid else "0" * 64,
            "payment_index": str(place + 1),
            "creation_date": str(payment.at_s),
            "creation_time_ns": str(payment.at_s * 10**9),
            "value_sat": str(payment.units // _MSAT),
            "value_msat": str(payment.units),
            "fee_sat": str(fee // _MSAT),
            "fee_msat": str(fee),
            "status": status,
            "failure_reason": "FAILURE_REASON_NO_ROUTE"
            if status == "FAILED"
            else "FAILURE_REASON_NONE",
            "htlcs": [attempt],
        }

    # Balances ---------------------------------------------------------------------------------

    def _channel_balance(self, now_s: int) -> dict[str, Any]:
        in_flight = self._started.until(now_s) - self._ended.until(now_s)
        local = self._opening_msat + self._came.until(now_s) - self._left.until(now_s) - in_flight
        return {
            "local_balance": _amount(local),
            "remote_balance": _amount(0),
            "unsettled_local_balance": _amount(in_flight),
            "pending_open_local_balance": _amount(0),
        }


def _is_moving(payment: Payment) -> bool:
    return payment.kind in MOVING


def _ends_s(payment: Payment) -> int:
    """Returns when a payment is decided: an invoice settled, canceled or expired."""
    if payment.kind == "held":
        return _NEVER
    if payment.kind in _UNSENT:
        return payment.at_s + payment.valid_s
    if payment.kind == "failed":
        return payment.at_s + payment.after_s + CANCELED_AFTER_S
    return payment.at_s + payment.after_s


def _state(invoice: Payment, now_s: int) -> str:
    if now_s >= _ends_s(invoice):
        return "SETTLED" if _is_moving(invoice) else "CANCELED"
    has_parts = invoice.kind in ("held", "failed")
    return "ACCEPTED" if has_parts and now_s >= invoice.at_s + invoice.after_s else "OPEN"


def _parts(invoice: Payment, state: str, now_s: int) -> list[dict[str, Any]]:
    """Returns the parts that have arrived."""
    arrives_s = invoice.at_s + invoice.after_s
    if invoice.kind in _UNSENT or now_s < arrives_s:
        return []
    size, rest = divmod(invoice.units, invoice.parts)
    resolved_s = 0 if state == "ACCEPTED" else _ends_s(invoice)
    return [
        {
            "chan_id": str(1_000 + number),
            "htlc_index": str(number),
            "amt_msat": str(size + (rest if number == 0 else 0)),
            "accept_time": str(arrives_s),
            "resolve_time": str(resolved_s),
            "state": state,
            "mpp_total_amt_msat": str(invoice.units),
        }
        for number in range(invoice.parts)
    ]


def _page_of(asked: Mapping[str, str], size: str) -> tuple[int, int]:
    """Returns the index that a page comes after, and how many items it has at most."""
    return max(0, int(asked.get("index_offset", "0"))), int(asked.get(size, _PAGE))


def _forwards(asked: Mapping[str, str]) -> dict[str, Any]:
    return {"forwarding_events": [], "last_offset_index": int(asked.get("index_offset", "0"))}


def _wallet_balance() -> dict[str, str]:
    return {
        "total_balance": str(WALLET_SAT),
        "confirmed_balance": str(WALLET_SAT),
        "reserved_balance_anchor_chan": str(RESERVE_SAT),
    }


def _amount(msat: int) -> dict[str, str]:
    return {"sat": str(msat // _MSAT), "msat": str(msat)}


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
