"""Real lines of a gate's journal, and mutations that a client or a broken gate could cause."""

import base64
import copy
import hashlib
import json
import random
import uuid
from collections.abc import Callable
from typing import Any

from masques_pipelines.rails.protocol import Asset, AssetAllowList
from tests.support.bolt11 import challenge, invoice, l402_token
from tests.support.paths import DATA

BASE, USDC = "eip155:8453", "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"
SOLANA = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
LIGHTNING = "bip122:000000000019d6689c085ae165831e93"
KNOWN = AssetAllowList(
    {(BASE, USDC): Asset(USDC, "USDC", 6), (SOLANA, MINT): Asset(MINT, "USDC", 6)},
    {BASE: "base", SOLANA: "solana", LIGHTNING: "lightning"},
)
AT_S = 1_795_168_800
TREASURY = "0x976ea74026e726554db657fa54763abd0c3a0aa9"
WALLET = "9hSR6S7WPtxmTojgo6GG3k4yDPecgJY292j7xrsUGWBu"
TRANSFER = "01a0c585-9507-834d-92e8-2f4abd4609b6"
PREIMAGE = "5e" * 32
HASH = hashlib.sha256(bytes.fromhex(PREIMAGE)).hexdigest()

# Secrets of each form that is found in a gate's logs; none may be stored anywhere.
CANARY_KEY = "sk-live-CANARY-4f7a9c2e1b"
CANARY_HEX = "ca9a47" + "b1" * 29
CANARY_TOKEN = l402_token("c0ffee" * 10 + "c0ff")
CANARIES = (CANARY_KEY, CANARY_HEX, CANARY_TOKEN)
# Fields whose value is text or a hash by their meaning: a secret there cannot be told from it.
FREE_TEXT = ("url", "resource", "memo", "id", "payout_id")
HASHES = ("payment_hash", "payload_sha256", "transaction", "tx_hash", "amount_msat")


def sample(name: str) -> Any:
    return json.loads((DATA / "rails" / name).read_text())


def encoded(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def real_lines() -> list[dict[str, Any]]:
    """One line of each kind that a gate writes."""
    two, one = (sample(f"x402_v{v}_facilitator_settle_http.json") for v in (2, 1))
    solana = {
        "request": {"paymentPayload": sample("sol_x402_payment_payload.json")},
        "response": sample("sol_x402_settle_response_success.json"),
    }
    payload = two["request"]["paymentPayload"]
    l402 = challenge(HASH, 21_000, AT_S)
    lines = [
        {"event": "settle", **two, "transaction_id": TRANSFER, "latency_ms": 21.5},
        {"event": "settle", **one, "transaction_ids": [TRANSFER, "7"]},
        {"event": "verify", "request": two["request"], "response": {"isValid": True}},
        {"event": "settle", **two, "response": sample("x402_v2_settle_response_pending.json")},
        {"event": "settle", "request": two["request"], "response": None},
        {
            "headers": {
                "payment-signature": encoded(payload),
                "payment-response": encoded(two["response"]),
                "authorization": f"Bearer {CANARY_KEY}",
            }
        },
        {"event": "settle", **solana},
        l402,
        {"headers": {"authorization": f"L402 {l402_token(HASH)}:{PREIMAGE}"}},
        {"protocol": "L402", "event": "payment", "payment_hash": HASH, "amount_msat": 21_000},
        {"protocol": "L402", "event": "challenge", "invoice": invoice(HASH, 1_000, AT_S)},
        {"event": "settle", "request": {"paymentPayload": permitted("upto")},
         "response": {"success": True, "transaction": "0x" + "2" * 64, "amount": "1858"}},
        {"event": "settle", "request": {"paymentPayload": voucher()},
         "response": {"success": True, "transaction": "", "extra": {"chargedAmount": "700"}}},
        {"event": "settle", "request": {"paymentPayload": voucher()},
         "response": {"success": True, "transaction": "", "amount": "", "extra": {
             "chargedAmount": "700", "channelState": {
                 "channelId": "0x" + "7" * 64, "chargedCumulativeAmount": "89500",
                 "balance": "100000", "totalClaimed": "0", "refundNonce": "0"}}}},
        {"event": "settle", "request": {"paymentPayload": deposit()},
         "response": {"success": True, "transaction": "0x" + "4" * 64, "extra": {
             "chargedAmount": "700", "channelState": {"chargedCumulativeAmount": "700"}}}},
        {"event": "settle", "request": {"paymentPayload": gateway(payload)},
         "response": {"success": True, "transaction": TRANSFER, "network": BASE}},
        {"headers": {"payment-receipt": encoded({"status": "success", "reference": "0x1"})}},
        *(mpp(method) for method in ("evm", "solana", "lightning", "tempo")),
        {"event": "settle",
         "request": {"paymentPayload": {**payload, "extensions": signed_terms()}},
         "response": {**two["response"], "extensions": signed_terms()}},
        {"headers": {"payment-required": encoded({"x402Version": 2, "accepts": []})}},
        {"event": "payout", "network": BASE, "asset": USDC, "amount": "5", "to": TREASURY,
         "payout_id": "p-1", "transaction": "0x" + "3" * 64, "transaction_ids": [TRANSFER]},
        {"event": "payout", "network": "lightning", "amount_msat": "5", "payment_hash": HASH},
    ]  # fmt: skip
    return [{"recorded_at": AT_S, **line} for line in lines]


def permitted(scheme: str) -> dict[str, Any]:
    """Returns a payload that pays by Permit2."""
    return {
        "x402Version": 2,
        "payload": {
            "permit2Authorization": {
                "from": "0xAb" + "0" * 38,
                "deadline": "1795409999",
                "nonce": str(2**255 + 7),
                "permitted": {"token": USDC, "amount": "20000"},
            },
            "signature": "0x" + CANARY_HEX,
        },
        "accepted": accepted(scheme),
    }


def voucher() -> dict[str, Any]:
    """Returns a payload of batch-settlement."""
    return {
        "x402Version": 2,
        "payload": {
            "type": "voucher",
            "channelConfig": {
                "payer": "0xAb" + "0" * 38,
                "receiver": TREASURY,
                "token": USDC,
                "withdrawDelay": 86_400,
                "salt": "0x" + "0" * 64,
            },
            "voucher": {
                "channelId": "0x" + "7" * 64,
                "maxClaimableAmount": "90000",
                "signature": "0x" + CANARY_HEX,
            },
        },
        "accepted": accepted("batch-settlement"),
    }


def deposit() -> dict[str, Any]:
    """Returns a payload that brings a deposit with its first voucher."""
    found = voucher()
    authorization = {"validAfter": "0", "validBefore": "1795409999", "salt": "0x" + "5" * 64}
    signed = {"erc3009Authorization": {**authorization, "signature": "0x" + CANARY_HEX}}
    found["payload"] |= {"type": "deposit", "deposit": {"amount": "7000", "authorization": signed}}
    return found


MPP_DETAILS: dict[str, dict[str, Any]] = {
    "evm": {"chainId": 8453, "splits": [{"recipient": WALLET, "amount": "500"}]},
    "solana": {"network": "mainnet-beta"},
    "lightning": {"invoice": invoice(HASH, 21_000, AT_S), "paymentHash": HASH},
    "tempo": {"chainId": 4217},
}
MPP_TERMS: dict[str, tuple[str, str, str]] = {
    "evm": (USDC, TREASURY, "0x" + "6" * 64),
    "solana": (MINT, WALLET, "5" * 86 + "zz"),
    "lightning": ("sat", "", HASH),
    "tempo": ("0x20c0" + "0" * 36, TREASURY, "0x" + "9" * 64),
}


def mpp(method: str, **more: Any) -> dict[str, Any]:
    """Returns a request that was paid by MPP: the credential with its challenge, the receipt."""
    currency, recipient, reference = MPP_TERMS[method]
    asked = {
        "amount": "20500" if method == "evm" else "21",
        "currency": currency,
        "recipient": recipient,
        "methodDetails": MPP_DETAILS[method],
    }
    challenge_id = "kM9xPqWvT2nJrHsY4aDfEb"
    repeated = {
        "id": challenge_id,
        "realm": "api.example.test",
        "method": method,
        "intent": "charge",
        "request": encoded(asked),
    }
    proof = {
        "challenge": repeated,
        "payload": {"preimage": PREIMAGE} if method == "lightning" else {"signature": CANARY_HEX},
        "source": "did:pkh:eip155:8453:0xAb" + "0" * 38,
    }
    receipt = {
        "method": method,
        "challengeId": challenge_id,
        "reference": reference,
        "status": "success",
        "timestamp": "2026-11-20T12:00:00Z",
        **more,
    }
    return {
        "headers": {
            "Authorization": f"Payment {encoded(proof)}", "Payment-Receipt": encoded(receipt),
        },
        "transaction_id": TRANSFER,
    }  # fmt: skip


def signed_terms() -> dict[str, Any]:
    """Returns the extensions of a gate that signs its offers and receipts."""
    signed = {"format": "jws", "signature": f"e30.{encoded(accepted('exact'))}.{CANARY_HEX}"}
    info = {"version": 1, "offers": [signed, {**signed, "payload": {}}], "receipt": signed}
    return {"offer-receipt": {"info": info}, "payment-identifier": {"info": {"id": "pay_1"}}}


def gateway(payload: dict[str, Any]) -> dict[str, Any]:
    """Returns a payload for Circle Gateway: exact by its scheme, and not settled on its own."""
    return {**payload, "accepted": {**accepted("exact"), "extra": {"name": "GatewayWalletBatched"}}}


def accepted(scheme: str) -> dict[str, Any]:
    return {
        "scheme": scheme, "network": BASE, "asset": USDC, "amount": "20000",
        "payTo": TREASURY, "maxTimeoutSeconds": 60,
    }  # fmt: skip


def deep(brackets: int) -> Any:
    found: Any = 1
    for _ in range(brackets):
        found = [found]
    return found


NASTY: tuple[Any, ...] = (
    None, True, False, [], {}, "", "²", "٣", "9" * 5_000, int("9" * 79), -1, 0, 1, 1e308,
    float("inf"), float("nan"), "abc", "1e400", [1], {"a": [{}]}, "http://[::1", "\ud800", "\udc00",
    "\0", "0x", "pending", "0xabc", "0x" + "zz" * 32, "../../v1/getinfo", "x" * 100_000, 10**18,
    "9999-12-31T23:59:59Z", "0001-01-01", 1e18, -1e18, deep(40), "L402", "lnbc1", "a:b", ",", ":",
    "exact", "upto", "batch-settlement", "payout", "challenge", "solana", SOLANA, BASE, "=" * 50,
)  # fmt: skip


class Mutator:
    """Mutations with a seed: the same seed gives the same lines."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines = real_lines()

    def line(self) -> str:
        """Returns one mutated line."""
        record = copy.deepcopy(self.random.choice(self.lines))
        record["recorded_at"] = AT_S + self.random.randrange(86_400 * 300)
        self._own_payment(record)
        for _ in range(self.random.choice((0, 1, 1, 1, 2, 3, 6))):
            if record:
                self._change(record)
        text = json.dumps(record, ensure_ascii=self.random.random() < 0.5)
        return self._damaged(text).replace("\n", " ")

    def _own_payment(self, record: dict[str, Any]) -> None:
        signed = ((record.get("request") or {}).get("paymentPayload") or {}).get("payload")
        if isinstance(signed, dict) and isinstance(signed.get("authorization"), dict):
            signed["authorization"]["nonce"] = f"0x{self.random.getrandbits(256):064x}"

    def _change(self, record: dict[str, Any]) -> None:
        holder, key = self.random.choice(list(_places(record)))
        operation = self.random.choice((self._replace, self._drop, self._secret, self._nest))
        operation(holder, key)

    def _replace(self, holder: Any, key: Any) -> None:
        value = holder[key]
        if isinstance(value, str) and self.random.random() < 0.3 and value:
            place = self.random.randrange(len(value))
            value = value[:place] + self.random.choice("²\0'\"%x9,: =") + value[place + 1 :]
            holder[key] = value
        else:
            holder[key] = copy.deepcopy(self.random.choice(NASTY))

    def _drop(self, holder: Any, key: Any) -> None:
        del holder[key]

    def _secret(self, holder: Any, key: Any) -> None:
        if key not in FREE_TEXT:
            holder[key] = CANARY_KEY if key in HASHES else self.random.choice(CANARIES)
        if isinstance(holder, dict) and self.random.random() < 0.3:
            holder[self.random.choice(CANARIES)] = self.random.choice(CANARIES)

    def _nest(self, holder: Any, key: Any) -> None:
        wrap: Callable[[Any], Any] = self.random.choice((lambda v: [v], lambda v: {"a": v}, str))
        holder[key] = wrap(holder[key])

    def _damaged(self, text: str) -> str:
        chance = self.random.random()
        if chance < 0.02:
            return text[: self.random.randrange(1, len(text))]
        if chance < 0.03:
            return "[" * 20_000 + text
        if chance < 0.05:
            place = self.random.randrange(len(text))
            return text[:place] + self.random.choice('{}[]",:\\\0é') + text[place:]
        return text


def _places(value: Any) -> Any:
    """Yields (holder, key) of each place in a tree."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list) and value[key]:
            yield from _places(value[key])


def other_line(number: int) -> str:
    """Returns a line that is good and a payment of its own."""
    return json.dumps(challenge(f"{uuid.uuid5(uuid.NAMESPACE_DNS, str(number)).int:064x}", 1, AT_S))
