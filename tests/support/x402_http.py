"""A shop that charges over HTTP: the SDK's middleware, a facilitator and a paying client.

Two real servers on loopback, on free ports. Payments without HTTP are in tests/support/x402_evm.py.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import uvicorn
from eth_account import Account
from eth_utils.address import to_checksum_address
from fastapi import FastAPI, Request
from x402 import x402Client, x402FacilitatorSync, x402ResourceServer
from x402.http import FacilitatorConfig, HTTPFacilitatorClient
from x402.http.clients.httpx import wrapHttpxWithPayment
from x402.http.middleware.fastapi import payment_middleware
from x402.mechanisms.evm.exact import register_exact_evm_client, register_exact_evm_server
from x402.schemas import PaymentPayload, PaymentRequirements

from tests.support.anvil import BUYER_KEY, TREASURY
from tests.support.patience import until


def facilitator_app(facilitator: x402FacilitatorSync) -> FastAPI:
    """The facilitator's interface: /supported, /verify, /settle."""
    app = FastAPI()

    @app.get("/supported")
    def supported() -> Any:
        return facilitator.get_supported().model_dump(by_alias=True, exclude_none=True)

    def parts(body: dict[str, Any]) -> tuple[PaymentPayload, PaymentRequirements]:
        return (
            PaymentPayload.model_validate(body["paymentPayload"]),
            PaymentRequirements.model_validate(body["paymentRequirements"]),
        )

    @app.post("/verify")
    def verify(body: dict[str, Any]) -> Any:
        return facilitator.verify(*parts(body)).model_dump(by_alias=True, exclude_none=True)

    @app.post("/settle")
    def settle(body: dict[str, Any]) -> Any:
        return facilitator.settle(*parts(body)).model_dump(by_alias=True, exclude_none=True)

    return app


def shop_app(facilitator_url: str, price: str, noted: Callable[[dict[str, str]], None]) -> FastAPI:
    """A resource server behind the SDK's 402 gate; it notes the headers of each paid request."""
    facilitator = HTTPFacilitatorClient(FacilitatorConfig(url=facilitator_url))
    server = x402ResourceServer(facilitator)
    register_exact_evm_server(server)
    routes: Any = {
        "GET /data": {
            "accepts": {
                "scheme": "exact",
                "payTo": to_checksum_address(TREASURY),
                "price": price,
                "network": "eip155:8453",
            }
        }
    }

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await facilitator.aclose()

    app = FastAPI(lifespan=lifespan)
    gate = payment_middleware(routes, server)

    @app.middleware("http")
    async def paid(request: Request, call_next: Any) -> Any:
        response = await gate(request, call_next)
        if "payment-signature" in request.headers:
            noted(
                {
                    "PAYMENT-SIGNATURE": request.headers["payment-signature"],
                    "PAYMENT-RESPONSE": response.headers.get("payment-response", ""),
                }
            )
        return response

    @app.get("/data")
    def data() -> dict[str, str]:
        return {"weather": "fine"}

    return app


def buy(url: str) -> tuple[int, Any]:
    """A buyer gets a page, paying what is asked; returns status and body."""
    client = x402Client()
    register_exact_evm_client(client, Account.from_key(BUYER_KEY))

    async def get() -> tuple[int, Any]:
        async with wrapHttpxWithPayment(client) as http:
            answer = await http.get(url)
            return answer.status_code, answer.json()

    return asyncio.run(get())


@contextlib.contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serves an app on loopback; it ends with the context."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="on")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started, "the server to start")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
