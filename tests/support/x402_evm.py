# ruff: noqa: PLC0415 - loading the SDK takes eight seconds of a core
"""Buyers and a facilitator on a test chain: the official x402 SDK, and the journal of its messages.

Signs payments, settles them through the SDK or by hand, and writes the gate's journal.

The SDK is loaded when a payment is made: it takes eight seconds of a core, and every process of the
tests loads this module.
"""

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.anvil import BUYER_KEY, FACILITATOR_KEY, TREASURY, USDC, Anvil, word

if TYPE_CHECKING:
    from x402 import x402FacilitatorSync
    from x402.mechanisms.evm import FacilitatorWeb3Signer
    from x402.schemas import PaymentPayload, PaymentRequirements

NETWORK = "eip155:8453"
RESOURCE = "https://api.example.test/data"


# The addresses of the keys.
BUYER = "0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc"
FACILITATOR = "0xa0ee7a142d267c1f36714e4a8f75612f20a79720"


@dataclass
class Payments:
    """What a buyer, a facilitator and a gate do on one chain."""

    chain: Anvil
    journal: Path
    network: str = NETWORK
    token: str = USDC
    settle_timeout_s: float = 5.0
    lines: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        from eth_account import Account
        from x402 import x402ClientSync
        from x402.mechanisms.evm.exact import register_exact_evm_client

        addresses = [Account.from_key(key).address for key in (BUYER_KEY, FACILITATOR_KEY)]
        assert [str(address).lower() for address in addresses] == [BUYER, FACILITATOR]
        self._signers: list[FacilitatorWeb3Signer] = []
        self._client = x402ClientSync()
        self._client.set_spend_controls(False)
        register_exact_evm_client(self._client, Account.from_key(BUYER_KEY))
        self.facilitator = self.new_facilitator()

    def close(self) -> None:
        """Closes what the SDK's web3 client leaves open."""
        for signer in self._signers:
            # The SDK has no way to end its connections; a leaked one fails the tests.
            provider: Any = signer._w3.provider  # noqa: SLF001
            for _, session in provider._request_session_manager.session_cache.items():  # noqa: PERF102, SLF001 - no plain dictionary
                session.close()

    def new_facilitator(self) -> "x402FacilitatorSync":
        """A facilitator that has just started: the SDK keeps its nonce in the process."""
        from x402 import x402FacilitatorSync
        from x402.mechanisms.evm import FacilitatorWeb3Signer
        from x402.mechanisms.evm.exact import register_exact_evm_facilitator

        signer = FacilitatorWeb3Signer(
            FACILITATOR_KEY, self.chain.url, confirmation_timeout_seconds=self.settle_timeout_s
        )
        self._signers.append(signer)
        facilitator = x402FacilitatorSync()
        register_exact_evm_facilitator(facilitator, signer, networks=self.network)
        return facilitator

    def sign(self, units: int, *, valid_s: int = 60, pay_to: str = TREASURY) -> "PaymentPayload":
        from x402.schemas import PaymentPayload, PaymentRequired, ResourceInfo

        required = PaymentRequired(
            x402_version=2,
            resource=ResourceInfo(url=RESOURCE, mime_type="application/json"),
            accepts=[requirements(units, valid_s, pay_to, at=(self.network, self.token))],
        )
        payload = self._client.create_payment_payload(required)
        assert isinstance(payload, PaymentPayload)
        return payload

    def settle(
        self,
        payload: "PaymentPayload",
        *,
        note: bool = True,
        transaction_id: str | None = None,
        charged: int | None = None,
    ) -> dict[str, Any]:
        """Settles through the SDK's facilitator and writes what it said to the journal.

        Args:
            payload: What the buyer signed.
            note: Whether the journal has a line of it.
            transaction_id: The ledger transfer that the line names.
            charged: What the gate charges of a payment of `upto`; all of it without.
        """
        asked = payload.accepted
        if charged is not None:
            asked = asked.model_copy(update={"amount": str(charged)})
        answer = self.facilitator.settle(payload, asked).model_dump(by_alias=True, mode="json")
        if note:
            self.note("settle", payload, answer, asked=asked, transaction_id=transaction_id)
        return dict(answer)

    def send(self, payload: "PaymentPayload", **more: Any) -> str:
        """Sends the buyer's authorization as any facilitator would, without the SDK."""
        signed = payload.payload["authorization"]
        signature = payload.payload["signature"].removeprefix("0x")
        data = "0xe3ee160e" + word(signed["from"]) + word(signed["to"])
        data += "".join(word(int(signed[n])) for n in ("value", "validAfter", "validBefore"))
        data += signed["nonce"].removeprefix("0x")
        data += word(int(signature[128:], 16)) + signature[:128]
        return self.chain.send(FACILITATOR, self.token, data, **more)

    def cancel(self, payload: "PaymentPayload") -> str:
        """Cancels an authorization in the buyer's name (EIP-3009 cancelAuthorization)."""
        from eth_account import Account

        nonce = payload.payload["authorization"]["nonce"]
        domain = {
            "name": "USD Coin",
            "version": "2",
            "chainId": 8453,
            "verifyingContract": USDC,
        }
        types = {
            "CancelAuthorization": [
                {"name": "authorizer", "type": "address"},
                {"name": "nonce", "type": "bytes32"},
            ]
        }
        message = {"authorizer": BUYER, "nonce": bytes.fromhex(nonce.removeprefix("0x"))}
        signed = Account.sign_typed_data(BUYER_KEY, domain, types, message)
        data = "0x5a049a70" + word(BUYER) + nonce.removeprefix("0x")
        data += word(signed.v) + f"{signed.r:064x}{signed.s:064x}"
        return self.chain.send(FACILITATOR, self.token, data)

    def note(
        self,
        event: str,
        payload: "PaymentPayload",
        answer: dict[str, Any] | None,
        *,
        asked: "PaymentRequirements | None" = None,
        transaction_id: str | None = None,
    ) -> dict[str, Any]:
        """Writes one line of the gate's journal."""
        line = self.line_of(event, payload, answer, asked=asked, transaction_id=transaction_id)
        self.write(line)
        return line

    def line_of(
        self,
        event: str,
        payload: "PaymentPayload",
        answer: dict[str, Any] | None,
        *,
        asked: "PaymentRequirements | None" = None,
        transaction_id: str | None = None,
    ) -> dict[str, Any]:
        """Returns one line of the gate's journal."""
        required = asked or payload.accepted
        return {
            "recorded_at": datetime.now(UTC).isoformat(),
            "event": event,
            "request": {
                "x402Version": 2,
                "paymentPayload": payload.model_dump(by_alias=True, mode="json"),
                "paymentRequirements": required.model_dump(by_alias=True, mode="json"),
            },
            "response": answer,
            "transaction_id": transaction_id,
        }

    def write(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        with self.journal.open("a") as file:
            file.write(json.dumps(line) + "\n")
        time.sleep(0.001)  # two lines never have the same time


def requirements(
    units: int,
    valid_s: int = 60,
    pay_to: str = TREASURY,
    at: tuple[str, str] = (NETWORK, USDC),
) -> "PaymentRequirements":
    """Returns what a gate asks for; `at` is the network and the token."""
    from eth_utils.address import to_checksum_address
    from x402.schemas import PaymentRequirements

    return PaymentRequirements(
        scheme="exact",
        network=at[0],
        asset=to_checksum_address(at[1]),
        amount=str(units),
        pay_to=to_checksum_address(pay_to),
        max_timeout_seconds=valid_s,
        extra={"name": "USD Coin", "version": "2"},
    )
