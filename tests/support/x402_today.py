# ruff: noqa: PLC0415 - loading the SDK takes eight seconds of a core
"""Buyers of today: Permit2, `upto` and smart wallets, signed and settled by the official SDK.

The SDK's client, facilitator, ABIs and addresses are real. It ships no bytecode: the contracts are
our own (tests/support/evm), with the same functions and events.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.support.anvil import BUYER_KEY, TREASURY, USDC, Anvil, word
from tests.support.x402_evm import BUYER, NETWORK, RESOURCE, Payments, requirements

if TYPE_CHECKING:
    from x402.schemas import PaymentPayload

PERMIT2: Final = "0x000000000022d473030f116ddee9f6b43ac78ba3"
EXACT_PROXY: Final = "0x402085c248eea27d92e8b30b2c58ed07f9e20001"
UPTO_PROXY: Final = "0x4020a4f3b7b90cca423b9fabcc0ce57c6c240002"
MULTICALL: Final = "0xca11bde05977b3631167028862be2a173976ca11"
TEMPLATE: Final = "0x7e" + "3a" * 19
FACTORY: Final = "0xfac7" + "0f" * 18
DELEGATED: Final = "0xef0100"
_APPROVE: Final = "0x095ea7b3"
_MAKE: Final = "0x1060930d"
_INITIALIZE: Final = "0xc4d66de8"
_WALLET_APPROVE: Final = "0xe1f21c67"
_MAGIC: Final = bytes.fromhex("6492" * 16)
MOST: Final = 2**200


@dataclass
class WalletSigner:
    """Signs as a smart wallet whose owner is the buyer.

    Attributes:
        address: Of the wallet, with a checksum.
        is_deployed: Otherwise its signatures say how to make it (ERC-6492).
    """

    address: str
    is_deployed: bool

    def sign_typed_data(self, domain: Any, types: Any, primary_type: str, message: Any) -> bytes:
        from eth_abi.abi import encode
        from eth_account import Account
        from x402.mechanisms.evm.signers import EthAccountSigner

        owner = EthAccountSigner(Account.from_key(BUYER_KEY))
        signature = bytes(32) + owner.sign_typed_data(domain, types, primary_type, message)
        if self.is_deployed:
            return signature
        make = bytes.fromhex(_MAKE.removeprefix("0x") + word(BUYER))
        return encode(["address", "bytes", "bytes"], [FACTORY, make, signature]) + _MAGIC


@dataclass
class TodaysPayments:
    """Signs payments of today's schemes, beside the ones of Payments, whose facilitator it extends.

    Attributes:
        payments: Chain, journal and facilitator.
    """

    payments: Payments

    def __post_init__(self) -> None:
        from x402 import x402FacilitatorSync
        from x402.mechanisms.evm import FacilitatorWeb3Signer
        from x402.mechanisms.evm.exact import register_exact_evm_facilitator
        from x402.mechanisms.evm.upto import UptoEvmFacilitatorScheme

        self.place_contracts()
        facilitator = x402FacilitatorSync()
        (signer, *_) = self.payments._signers  # noqa: SLF001 - closed with the others
        assert isinstance(signer, FacilitatorWeb3Signer)
        factories = [FACTORY]
        register_exact_evm_facilitator(
            facilitator, signer, networks=NETWORK, eip6492_allowed_factories=factories
        )
        facilitator.register([NETWORK], UptoEvmFacilitatorScheme(signer))
        self.payments.facilitator = facilitator
        self.facilitator_address = signer.get_addresses()[0]

    @property
    def chain(self) -> Anvil:
        return self.payments.chain

    def place_contracts(self) -> None:
        """Puts the contracts where the SDK expects them, and lets the buyer pay by Permit2."""
        for contract, address in (
            ("Permit2", PERMIT2), ("ExactProxy", EXACT_PROXY), ("UptoProxy", UPTO_PROXY),
            ("Multicall", MULTICALL), ("SmartWallet", TEMPLATE), ("WalletFactory", FACTORY),
        ):  # fmt: skip
            self.chain.place(contract, address)
        self.chain.send(self.chain.accounts[0], FACTORY, _INITIALIZE + word(TEMPLATE))
        self.chain.send(BUYER, USDC, _APPROVE + word(PERMIT2) + word(MOST))

    def wallet(self, *, is_deployed: bool) -> WalletSigner:
        """Returns the buyer's smart wallet, whose address is known before it is there."""
        from eth_utils.address import to_checksum_address

        call = {"to": FACTORY, "data": _MAKE + word(BUYER)}
        address = "0x" + self.chain.rpc("eth_call", call)[-40:]
        if is_deployed:
            self.chain.send(self.chain.accounts[0], FACTORY, _MAKE + word(BUYER))
            allow = _WALLET_APPROVE + word(USDC) + word(PERMIT2) + word(MOST)
            self.chain.send(BUYER, address, allow)
        return WalletSigner(to_checksum_address(address), is_deployed)

    def delegate(self) -> None:
        """Makes the buyer's account one that runs a wallet's code (EIP-7702)."""
        self.chain.rpc("anvil_setCode", BUYER, DELEGATED + TEMPLATE.removeprefix("0x"))

    def sign(
        self,
        units: int,
        *,
        scheme: str = "exact",
        by_permit2: bool = False,
        signer: WalletSigner | None = None,
        extensions: dict[str, Any] | None = None,
    ) -> "PaymentPayload":
        from eth_account import Account
        from x402 import x402ClientSync
        from x402.mechanisms.evm.exact import register_exact_evm_client
        from x402.mechanisms.evm.upto import UptoEvmClientScheme
        from x402.schemas import PaymentPayload, PaymentRequired, ResourceInfo

        asked = requirements(units, pay_to=TREASURY)
        extra = dict(asked.extra or {})
        if by_permit2 or scheme == "upto":
            extra["assetTransferMethod"] = "permit2"
        if scheme == "upto":
            extra["facilitatorAddress"] = self.facilitator_address
        required = PaymentRequired(
            x402_version=2,
            resource=ResourceInfo(url=RESOURCE, mime_type="application/json"),
            accepts=[asked.model_copy(update={"scheme": scheme, "extra": extra})],
            extensions=extensions,
        )
        client = x402ClientSync()
        client.set_spend_controls(False)
        account: Any = signer or Account.from_key(BUYER_KEY)
        register_exact_evm_client(client, account)
        client.register("eip155:*", UptoEvmClientScheme(account))
        payload = client.create_payment_payload(required)
        assert isinstance(payload, PaymentPayload)
        return payload
