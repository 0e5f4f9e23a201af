"""Asks Circle Gateway what became of a payment: `GET /v1/x402/transfers`, as Circle documents it.

What it answers is Gateway's own word. A payment is asked for by Gateway's id, which the answer to
its settle request was, else by its nonce.
"""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from masques_pipelines.rails.answers import item_or_none, nonsense
from masques_pipelines.rails.base.messages import Address, Hash
from masques_pipelines.rails.node import HttpNode
from masques_pipelines.rails.protocol import GATEWAY_TRANSFER, Observation

_PATH: Final = "/v1/x402/transfers"
_SERVER: Final = "the API of Circle Gateway"
_NOT_FOUND: Final = 404
_OK: Final = 200
_AMOUNT_DIGITS: Final = 78
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _units(text: str) -> str:
    if not (text.isascii() and text.isdigit() and len(text) <= _AMOUNT_DIGITS):
        raise ValueError("not a number of units")
    return text


class GatewayTransfer(BaseModel):
    """What Gateway says of one payment."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)

    id: Annotated[str, Field(max_length=36)]
    status: Literal["received", "batched", "confirmed", "completed", "failed"]
    sending_network: Annotated[str, Field(max_length=60)]
    recipient_network: Annotated[str, Field(max_length=60)]
    from_address: Address
    to_address: Address
    amount: Annotated[str, AfterValidator(_units)]
    nonce: Hash
    tx_hash: Hash | None = None


class _Page(BaseModel):
    transfers: list[GatewayTransfer] = Field(max_length=1_000)


class TransferApi:
    """The transfers of Circle Gateway, one request each."""

    def __init__(self, node: HttpNode) -> None:
        self._node = node

    @property
    def calls(self) -> int:
        """Requests made so far."""
        return self._node.calls

    def close(self) -> None:
        """Closes the connections."""
        self._node.close()

    def transfer(self, payment: Observation) -> GatewayTransfer | None:
        """Returns what Gateway says of a payment, None when it knows none.

        Raises:
            RailUnavailableError, RailRefusedError: It does not answer, or not as it should.
        """
        known_id = payment.attributes.get(GATEWAY_TRANSFER, "")
        if _UUID.fullmatch(known_id):
            status, answer = self._node.json("GET", f"{_PATH}/{known_id}")
            if status == _NOT_FOUND:
                return None
            found = item_or_none(GatewayTransfer, answer) if status == _OK else None
            if found is None:
                raise nonsense(self._node.description, f"a transfer (HTTP {status})", _SERVER)
            return found
        asked = {"nonce": payment.payment_ref, "from": payment.payer, "network": payment.network}
        status, answer = self._node.json("GET", _PATH, params=asked)
        page = item_or_none(_Page, answer) if status == _OK else None
        if page is None:
            raise nonsense(self._node.description, f"transfers (HTTP {status})", _SERVER)
        return next((each for each in page.transfers if each.nonce == payment.payment_ref), None)
