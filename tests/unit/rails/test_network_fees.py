"""What a transaction cost its sender, by receipts as nodes of today's networks answer them.

The fields and their order of size are those of op-geth (Ecotone, Isthmus, Jovian), Nitro and Bor;
the sums are the specification's, worked out by hand.
"""

from decimal import Decimal
from typing import Any

import pytest

from masques_pipelines.rails.base.messages import Receipt
from masques_pipelines.rails.base.transfers import JOVIAN_S, network_fee

PLAIN: dict[str, Any] = {
    "type": "0x2",
    "status": "0x1",
    "cumulativeGasUsed": "0x1c3a5f2",
    "logs": [],
    "logsBloom": "0x" + "00" * 256,
    "transactionHash": "0x" + "a1" * 32,
    "transactionIndex": "0x3e",
    "blockHash": "0x" + "b2" * 32,
    "blockNumber": "0x21f4b1c",
    "gasUsed": "0x14f3c",  # 85,820
    "effectiveGasPrice": "0x5b8d80",  # 6,000,000 wei
    "from": "0x" + "c3" * 20,
    "to": "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913",
    "contractAddress": None,
}
GAS, EXECUTION = 85_820, 85_820 * 6_000_000
ECOTONE = {
    **PLAIN,
    "l1BaseFeeScalar": "0x8dd",
    "l1BlobBaseFee": "0x1",
    "l1BlobBaseFeeScalar": "0x101c12",
    "l1Fee": "0x37e11d600",  # 15,000,000,000 wei
    "l1GasPrice": "0x9a7ec80",
    "l1GasUsed": "0x6a4",
}
L1 = 15_000_000_000
ISTHMUS = {**ECOTONE, "operatorFeeScalar": "0x1e8480", "operatorFeeConstant": "0x7"}  # 2,000,000
JOVIAN = {**ISTHMUS, "daFootprintGasScalar": "0x190", "blobGasUsed": "0x3c8c0"}
BEFORE, AFTER = JOVIAN_S - 1, JOVIAN_S


@pytest.mark.parametrize(
    ("receipt", "time_s", "wei"),
    [
        pytest.param(PLAIN, AFTER, EXECUTION, id="Polygon, Avalanche: no L1"),
        pytest.param(
            {**PLAIN, "gasUsedForL1": "0x5208", "l1BlockNumber": "0x15f0a21"},
            AFTER,
            EXECUTION,
            id="Arbitrum: the L1 part is gas that was used",
        ),
        pytest.param(ECOTONE, BEFORE, EXECUTION + L1, id="Ecotone"),
        pytest.param(
            {**ECOTONE, "l1Fee": None}, BEFORE, EXECUTION, id="an L1 fee that is null is none"
        ),
        pytest.param(
            ISTHMUS, BEFORE, EXECUTION + L1 + GAS * 2_000_000 // 10**6 + 7, id="Isthmus"
        ),
        pytest.param(
            {**ISTHMUS, "operatorFeeScalar": "0x1"}, BEFORE, EXECUTION + L1 + 7,
            id="Isthmus rounds down",
        ),
        pytest.param(
            {**ISTHMUS, "operatorFeeScalar": "0x0", "operatorFeeConstant": "0x0"},
            BEFORE,
            EXECUTION + L1,
            id="Isthmus without an operator fee, as on Base",
        ),
        pytest.param(
            JOVIAN, BEFORE, EXECUTION + L1 + GAS * 2_000_000 * 100 + 7,
            id="Jovian on a network that upgraded before Base",
        ),
        pytest.param(
            JOVIAN, AFTER, EXECUTION + L1 + GAS * 2_000_000 * 100 + 7, id="Jovian on Base"
        ),
        pytest.param(
            ISTHMUS, AFTER, EXECUTION + L1 + GAS * 2_000_000 * 100 + 7,
            id="Jovian, from a node that leaves the new field out",
        ),
        pytest.param(
            {**JOVIAN, "operatorFeeScalar": None}, AFTER, EXECUTION + L1 + 7,
            id="a constant without a scalar",
        ),
        pytest.param(
            {**JOVIAN, "operatorFeeConstant": "0x" + "f" * 16}, AFTER,
            EXECUTION + L1 + GAS * 2_000_000 * 100 + 2**64 - 1,
            id="the largest constant is exact",
        ),
        pytest.param(
            {**PLAIN, "effectiveGasPrice": None}, AFTER, 0, id="a free transaction"
        ),
    ],
)  # fmt: skip
def test_a_fee_has_all_parts_that_its_network_charges(
    receipt: dict[str, Any], time_s: int, wei: int
) -> None:
    fee = network_fee(Receipt.model_validate(receipt), time_s)
    assert fee == Decimal(wei).scaleb(-18)
    assert isinstance(fee, Decimal)
