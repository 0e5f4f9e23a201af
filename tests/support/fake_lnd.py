"""Fakes the REST interface of LND over loopback HTTP: no node can be installed for the tests.

Invoices and payments are kept in memory in LND's JSON (snake_case, 64-bit numbers as text, bytes in
base64, enums by name), paged as LND pages them; a test changes their states. The shapes follow
lightning.proto of LND 0.21 through grpc-gateway's JSON (UseProtoNames, EmitUnpopulated).
"""

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PUBKEY = "02" + "ab" * 32
MACAROON = b"\x02\x01\x03lnd-test-macaroon"


def payment_hash(name: str) -> str:
    """Returns the hash of the payment that a test calls by a name."""
    return hashlib.sha256(preimage(name)).hexdigest()


def preimage(name: str) -> bytes:
    return hashlib.sha256(b"preimage of " + name.encode()).digest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass
class FakeLnd:
    """What the node knows."""

    now_s: int
    network: str = "mainnet"
    pubkey: str = PUBKEY
    invoices: dict[int, dict[str, Any]] = field(default_factory=dict)
    payments: dict[int, dict[str, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    url: str = ""
    fails: list[tuple[int, bytes]] = field(default_factory=list)
    settled: int = 0
    # Moved behind everybody's back, in millisatoshi.
    extra_msat: int = 0
    forwards: list[int] = field(default_factory=list)
    transactions: list[dict[str, Any]] = field(default_factory=list)
    closed_channels: int = 0

    @property
    def date(self) -> str:
        return formatdate(self.now_s, usegmt=True)

    @property
    def local_msat(self) -> int:
        """What the channels hold of ours: payments, forwards and whatever a test adds."""
        sets = [s for each in self.invoices.values() for s in each["amp_invoice_state"].values()]
        came = sum(int(each["amt_paid_msat"]) for each in self.invoices.values())
        came += sum(int(each["amt_paid_msat"]) for each in sets if each["state"] == "SETTLED")
        went = sum(
            int(each["value_msat"]) + int(each["fee_msat"])
            for each in self.payments.values()
            if each["status"] == "SUCCEEDED"
        )
        return 10**12 + came - went + sum(self.forwards) + self.extra_msat

    @property
    def wallet_sat(self) -> int:
        return 5_000_000 + sum(int(each["amount"]) for each in self.transactions)

    def add(self, name: str, msat: int, *, expiry_s: int = 600, is_amp: bool = False) -> str:
        index = max(self.invoices, default=0) + 1
        self.invoices[index] = {
            "memo": "L402",
            "r_preimage": b64(preimage(name)),
            "r_hash": b64(bytes.fromhex(payment_hash(name))),
            "value": str(msat // 1000),
            "value_msat": str(msat),
            "settled": False,
            "creation_date": str(self.now_s),
            "settle_date": "0",
            "payment_request": "",
            "description_hash": "",
            "expiry": str(expiry_s),
            "fallback_addr": "",
            "cltv_expiry": "80",
            "route_hints": [],
            "private": False,
            "add_index": str(index),
            "settle_index": "0",
            "amt_paid": "0",
            "amt_paid_sat": "0",
            "amt_paid_msat": "0",
            "state": "OPEN",
            "htlcs": [],
            "features": {},
            "is_keysend": False,
            "payment_addr": b64(hashlib.sha256(name.encode()).digest()),
            "is_amp": is_amp,
            "amp_invoice_state": {},
            "is_blinded": False,
        }
        return payment_hash(name)

    def of(self, name: str) -> dict[str, Any]:
        wanted = b64(bytes.fromhex(payment_hash(name)))
        return next(each for each in self.invoices.values() if each["r_hash"] == wanted)

    def hold(self, name: str, *parts_msat: int) -> None:
        """Parts of a payment arrive and are held."""
        invoice = self.of(name)
        for msat in parts_msat:
            number = len(invoice["htlcs"])
            invoice["htlcs"].append(
                {
                    "chan_id": str(1000 + number),
                    "htlc_index": str(number),
                    "amt_msat": str(msat),
                    "accept_height": 900_000,
                    "accept_time": str(self.now_s),
                    "resolve_time": "0",
                    "expiry_height": 900_080,
                    "state": "ACCEPTED",
                    "custom_records": {},
                    "mpp_total_amt_msat": str(sum(parts_msat)),
                    "custom_channel_data": "",
                }
            )
        invoice["state"] = "ACCEPTED"

    def settle(self, name: str) -> None:
        invoice = self.of(name)
        self.settled += 1
        paid = sum(int(each["amt_msat"]) for each in invoice["htlcs"])
        for each in invoice["htlcs"]:
            each.update(state="SETTLED", resolve_time=str(self.now_s))
        invoice.update(
            state="SETTLED",
            settled=True,
            settle_date=str(self.now_s),
            settle_index=str(self.settled),
            amt_paid=str(paid),
            amt_paid_sat=str(paid // 1000),
            amt_paid_msat=str(paid),
        )

    def cancel(self, name: str) -> None:
        invoice = self.of(name)
        for each in invoice["htlcs"]:
            each.update(state="CANCELED", resolve_time=str(self.now_s))
        invoice["state"] = "CANCELED"

    def delete(self, name: str) -> None:
        self.invoices.pop(int(self.of(name)["add_index"]))

    def pay_set(self, name: str, set_id: str, msat: int, state: str = "SETTLED") -> None:
        """One set of parts of an AMP invoice, which stays open for more."""
        self.of(name)["amp_invoice_state"][set_id] = {
            "state": state,
            "settle_index": "1" if state == "SETTLED" else "0",
            "settle_time": str(self.now_s) if state == "SETTLED" else "0",
            "amt_paid_msat": str(msat),
        }

    def pay(self, name: str, msat: int, status: str = "IN_FLIGHT", **more: Any) -> str:
        index = max(self.payments, default=0) + 1
        hops = [{"pub_key": "03" + "cd" * 32}, {"pub_key": "03" + "ef" * 32}]
        self.payments[index] = {
            "payment_hash": payment_hash(name),
            "value": str(msat // 1000),
            "creation_date": str(self.now_s),
            "fee": "0",
            "payment_preimage": preimage(name).hex(),
            "value_sat": str(msat // 1000),
            "value_msat": str(msat),
            "payment_request": "",
            "status": status,
            "fee_sat": "0",
            "fee_msat": "0",
            "creation_time_ns": str(self.now_s * 10**9),
            "htlcs": [{"attempt_id": "1", "status": status, "route": {"hops": hops}}],
            "payment_index": str(index),
            "failure_reason": "FAILURE_REASON_NONE",
            **more,
        }
        return payment_hash(name)

    def answer_any(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if path == "/v1/switch":
            return 200, self._forwards(query)
        if path.startswith(("/v1/balance", "/v1/channels", "/v1/transactions")):
            return 200, self._funds(path)
        return self.answer(path, query)

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if path == "/v1/getinfo":
            return 200, {
                "identity_pubkey": self.pubkey,
                "chains": [{"chain": "bitcoin", "network": self.network}],
                "best_header_timestamp": str(self.now_s),
            }
        if path == "/v1/invoices":
            chosen = [
                each
                for index, each in sorted(self.invoices.items())
                if index > int(query.get("index_offset", "0"))
                and (query.get("pending_only") != "true" or each["state"] in ("OPEN", "ACCEPTED"))
            ][: int(query.get("num_max_invoices", "100"))]
            return 200, {
                "invoices": chosen,
                # The trap: an empty page says 0.
                "last_index_offset": chosen[-1]["add_index"] if chosen else "0",
                "first_index_offset": chosen[0]["add_index"] if chosen else "0",
            }
        if path.startswith("/v1/invoice/"):
            wanted = b64(bytes.fromhex(path.rsplit("/", 1)[1]))
            for each in self.invoices.values():
                if each["r_hash"] == wanted:
                    return 200, each
            return 404, {"code": 5, "message": "unable to locate invoice", "details": []}
        if path == "/v1/payments":
            complete = query.get("include_incomplete") != "true"
            chosen = [
                each
                for index, each in sorted(self.payments.items())
                if index > int(query.get("index_offset", "0"))
                and not (complete and each["status"] != "SUCCEEDED")
            ][: int(query.get("max_payments", "100"))]
            return 200, {
                "payments": chosen,
                "first_index_offset": chosen[0]["payment_index"] if chosen else "0",
                "last_index_offset": chosen[-1]["payment_index"] if chosen else "0",
                "total_num_payments": "0",
            }
        return 404, {"code": 5, "message": "Not Found", "details": []}

    def _funds(self, path: str) -> Any:
        return {
            "/v1/balance/channels": {
                "local_balance": {
                    "sat": str(self.local_msat // 1000),
                    "msat": str(self.local_msat),
                },
                "remote_balance": {"sat": "0", "msat": "0"},
                "unsettled_local_balance": {"sat": "0", "msat": "0"},
                "pending_open_local_balance": {"sat": "0", "msat": "0"},
            },
            "/v1/balance/blockchain": {
                "total_balance": str(self.wallet_sat),
                "confirmed_balance": str(self.wallet_sat),
                "reserved_balance_anchor_chan": "10000",
            },
            "/v1/channels": {"channels": [{"initiator": False, "commit_fee": "2810"}]},
            "/v1/channels/pending": {"total_limbo_balance": "0"},
            "/v1/channels/closed": {"channels": [{}] * self.closed_channels},
            "/v1/transactions": {"transactions": self.transactions},
        }[path]

    def _forwards(self, asked: dict[str, str]) -> Any:
        start = int(asked.get("index_offset", "0"))
        chosen = self.forwards[start : start + int(asked.get("num_max_events", "100"))]
        return {
            "forwarding_events": [{"fee_msat": str(each)} for each in chosen],
            "last_offset_index": start + len(chosen),
        }


@contextlib.contextmanager
def running_lnd(now_s: int) -> Iterator[FakeLnd]:
    """Serves a node on loopback; it ends with the context."""
    node = FakeLnd(now_s)

    class Handler(BaseHTTPRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(timestamp if timestamp is not None else node.now_s)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer({name: str(value) for name, value in body.items()})

        def do_GET(self) -> None:
            self._answer(None)

        def _answer(self, body: dict[str, str] | None) -> None:
            parts = urlsplit(self.path)
            node.requests.append(self.path)
            if node.fails:
                status, content = node.fails.pop(0)
                self._send(status, content)
                return
            if self.headers.get("Grpc-Metadata-macaroon") != MACAROON.hex():
                text = "verification failed: signature mismatch after caveat verification"
                self._send(500, json.dumps({"code": 2, "message": text, "details": []}).encode())
                return
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            query |= body or {}
            status, answer = node.answer_any(parts.path, query)
            self._send(status, json.dumps(answer).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    node.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield node
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
