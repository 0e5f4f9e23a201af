# ruff: noqa: PLC0415 - loading the SDK takes eight seconds of a core
"""Payment channels by the official SDK: a buyer, a shop and a facilitator of batch-settlement.

The SDK's client, server, channel manager and facilitator are real, and so are ABIs and addresses.
The contracts are our own (tests/support/evm), with the same functions and events.
"""

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.support.anvil import BUYER_KEY, OTHER_KEY, TREASURY, USDC, Anvil
from tests.support.x402_evm import BUYER, NETWORK, RESOURCE, Payments, requirements
from tests.support.x402_today import MULTICALL

if TYPE_CHECKING:
    from x402.schemas import PaymentPayload

ESCROW: Final = "0x4020074e9df2ce1dee5a9c1b5c3f541d02a10003"
COLLECTOR: Final = "0x4020806089470a89826cb9fb1f4059150b550004"
DELAY_S: Final = 900


@dataclass
class ChannelShop:
    """One buyer's channel to the treasury.

    Attributes:
        payments: Chain, journal and facilitator.
        salt: Tells the channels of the buyer apart.
    """

    payments: Payments
    salt: int = 0
    channel_id: str = field(init=False, default="")

    def __post_init__(self) -> None:
        from eth_account import Account
        from x402 import x402ClientSync, x402FacilitatorSync, x402ResourceServerSync
        from x402.mechanisms.evm import FacilitatorWeb3Signer
        from x402.mechanisms.evm.batch_settlement.authorizer_signer import LocalAuthorizerSigner
        from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme as Client
        from x402.mechanisms.evm.batch_settlement.client.config import (
            BatchSettlementDepositPolicy,
            BatchSettlementEvmSchemeOptions,
        )
        from x402.mechanisms.evm.batch_settlement.facilitator import (
            BatchSettlementEvmFacilitator,
        )
        from x402.mechanisms.evm.batch_settlement.server import (
            BatchSettlementEvmScheme,
            BatchSettlementEvmSchemeServerConfig,
        )

        for contract, address in (
            ("ChannelEscrow", ESCROW), ("ChannelCollector", COLLECTOR), ("Multicall", MULTICALL),
        ):  # fmt: skip
            self.chain.place(contract, address)
        (signer, *_) = self.payments._signers  # noqa: SLF001 - closed with the others
        assert isinstance(signer, FacilitatorWeb3Signer)
        self.authorizer = LocalAuthorizerSigner(Account.from_key(OTHER_KEY))
        self.facilitator = x402FacilitatorSync()
        self.facilitator.register([NETWORK], BatchSettlementEvmFacilitator(signer))
        self.scheme = BatchSettlementEvmScheme(
            TREASURY,
            BatchSettlementEvmSchemeServerConfig(
                receiver_authorizer_signer=self.authorizer, withdraw_delay=DELAY_S
            ),
        )
        self.server = x402ResourceServerSync(self.facilitator)
        scheme: Any = self.scheme  # the SDK's protocol has narrower types than its classes
        self.server.register(NETWORK, scheme)
        self.server.initialize()
        options = BatchSettlementEvmSchemeOptions(
            salt=f"0x{self.salt:064x}",
            deposit_policy=BatchSettlementDepositPolicy(deposit_multiplier=10),
        )
        self.buyer = Client(Account.from_key(BUYER_KEY), options)
        self.client = x402ClientSync()
        self.client.set_spend_controls(False)
        self.client.register("eip155:*", self.buyer)
        self.manager = self.scheme.create_channel_manager_sync(self.facilitator, NETWORK)

    @property
    def chain(self) -> Anvil:
        return self.payments.chain

    def asked(self, units: int) -> Any:
        base = requirements(units, pay_to=TREASURY, valid_s=3_600)
        extra = {
            **(base.extra or {}),
            "receiverAuthorizer": self.authorizer.address,
            "withdrawDelay": DELAY_S,
        }
        return base.model_copy(update={"scheme": "batch-settlement", "extra": extra})

    def pay(
        self, units: int, number: int, *, charged: int | None = None, note: bool = True
    ) -> dict[str, Any]:
        """Pays for one request by voucher, with a deposit first; returns its line of the journal.

        Args:
            units: What is asked for at most.
            number: Of the ledger transfer that the line names.
            charged: What the shop charges; all of it without.
            note: Whether the journal has a line of it.
        """
        from x402.schemas import (
            PaymentPayload,
            PaymentRequired,
            PaymentResponseContext,
            ResourceInfo,
        )

        asked = self.asked(units)
        required = PaymentRequired(
            x402_version=2,
            resource=ResourceInfo(url=RESOURCE, mime_type="application/json"),
            accepts=[asked],
        )
        payload = self.client.create_payment_payload(required)
        assert isinstance(payload, PaymentPayload)
        verified = self.server.verify_payment(payload, asked)
        assert verified.is_valid, verified
        final = asked.model_copy(update={"amount": str(units if charged is None else charged)})
        answer = self.server.settle_payment(payload, final)
        assert answer.success, answer
        context = PaymentResponseContext(
            payment_payload=payload, requirements=asked, settle_response=answer
        )
        self.buyer.scheme_hooks.on_payment_response(context)
        self.channel_id = payload.payload["voucher"]["channelId"].lower()
        return self.line(payload, answer.model_dump(by_alias=True, mode="json"), number, note=note)

    def line(
        self, payload: "PaymentPayload", answer: dict[str, Any], number: int, *, note: bool
    ) -> dict[str, Any]:
        transfer = str(uuid.UUID(int=number))
        if note:
            return self.payments.note("settle", payload, answer, transaction_id=transfer)
        return self.payments.line_of("settle", payload, answer, transaction_id=transfer)

    def claim(self) -> str:
        """Claims all vouchers of the shop; no token moves."""
        (done,) = self.manager.claim()
        return str(done.transaction)

    def sweep(self) -> str:
        """Sends what was claimed to the treasury."""
        return str(self.manager.settle().transaction)

    def refund(self) -> str:
        """Claims what is charged, and sends the rest of the deposit back to the buyer."""
        (done,) = self.manager.refund()
        return str(done.transaction)

    def start_withdrawal(self, units: int) -> str:
        """Lets the buyer ask for money back."""
        return self._send("initiateWithdraw", units)

    def end_withdrawal(self) -> str:
        """Lets the buyer take it, once the delay is over."""
        return self._send("finalizeWithdraw")

    def _send(self, function: str, *more: int) -> str:
        from eth_abi.abi import encode
        from eth_utils.crypto import keccak
        from x402.mechanisms.evm.batch_settlement.facilitator.utils import (
            to_contract_channel_config,
        )

        config = "(address,address,address,address,address,uint40,bytes32)"
        types = [config, *("uint128" for _ in more)]
        selector = keccak(text=f"{function}({','.join(types)})")[:4]
        channel = to_contract_channel_config(self.buyer.build_channel_config(self.asked(1)))
        data = selector + encode(types, [channel, *more])
        tx = self.chain.send(BUYER, ESCROW, "0x" + data.hex())
        assert int(self.chain.receipt(tx)["status"], 16) == 1, function
        return tx


def escrow_holds(chain: Anvil) -> int:
    """Returns the tokens of the escrow contract."""
    call = {"to": USDC, "data": "0x70a08231" + ESCROW[2:].rjust(64, "0")}
    return int(chain.rpc("eth_call", call), 16)
