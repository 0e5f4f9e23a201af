"""Payments by Circle Gateway on a chain in memory, and what its API says of them."""

import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from masques_pipelines.rails.protocol import (
    ANSWER,
    DEADLINE,
    FACILITATOR_SAID,
    GATEWAY_TRANSFER,
    JOURNAL_AT,
    Observation,
)
from masques_pipelines.rails.settlement_ids import gateway_transfer
from tests.support.anvil import TREASURY, USDC
from tests.support.plain_evm import PlainEvm, digest


@dataclass
class GatewayWorld:
    """Accepted payments of one buyer."""

    chain: PlainEvm
    network: str
    buyer: str
    transfers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def accepted(self, *names: str, without_id: str = "") -> list[Observation]:
        """Accepts payments; returns what the journal announces of them."""
        return [self._accept(name, names_id=name != without_id) for name in names]

    def _accept(self, name: str, *, names_id: bool) -> Observation:
        nonce, number = digest(name), str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        units, at_s = 600 + len(self.transfers), self.chain.time_s(3)
        self.transfers[name] = {
            "id": number, "status": "received", "sendingNetwork": self.network, "nonce": nonce,
            "recipientNetwork": self.network, "fromAddress": self.buyer, "toAddress": TREASURY,
            "amount": str(units), "txHash": None,
        }  # fmt: skip
        attributes = {
            ANSWER: "success", FACILITATOR_SAID: "success", DEADLINE: "4000000000",
            JOURNAL_AT: f"{at_s}#1", **({GATEWAY_TRANSFER: number} if names_id else {}),
        }  # fmt: skip
        return Observation(
            settlement_id=gateway_transfer(self.network, self.buyer, nonce), source="intent",
            rail="base", network=self.network, direction="in", status="off_chain",
            amount=Decimal(units).scaleb(-6), currency="USDC", timestamp_ns=at_s * 10**9,
            asset=USDC, to_address=TREASURY, payer=self.buyer, payment_ref=nonce, protocol="x402",
            attributes=attributes,
        )  # fmt: skip

    def settles(self, block: int, *names: str) -> None:
        """Settles payments in one batch."""
        units = sum(int(self.transfers[name]["amount"]) for name in names)
        tx = self.chain.settle(block, {TREASURY: units, self.buyer: -units})
        for name in names:
            self.transfers[name] |= {"status": "completed", "txHash": tx}

    def answer(self, method: str, asked: Any) -> Any:
        """Answers for the chain and for the API, whose methods are paths."""
        if not method.startswith("/"):
            return self.chain.answer(method, asked)
        known = self.transfers.values()
        if asked:
            return {"transfers": [each for each in known if each["nonce"] == asked["nonce"]]}
        wanted = method.rpartition("/")[2]
        return next(each for each in known if each["id"] == wanted)
