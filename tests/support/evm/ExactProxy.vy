# pragma version 0.4.3
# pragma evm-version cancun
# A test contract with the functions and events of x402's proxy for `exact` by Permit2.
#
# Written for tests after the SDK's ABI: the money goes to the signed witness only. Etched at the real
# address.

struct TokenPermissions:
    token: address
    amount: uint256

struct PermitTransferFrom:
    permitted: TokenPermissions
    nonce: uint256
    deadline: uint256

struct SignatureTransferDetails:
    to: address
    requestedAmount: uint256

struct Witness:
    to: address
    validAfter: uint256

interface Permit2:
    def permitWitnessTransferFrom(permit: PermitTransferFrom, details: SignatureTransferDetails, owner: address, witness: bytes32, witness_type: String[256], signature: Bytes[1024]): nonpayable

event Settled:
    pass

PERMIT2: constant(address) = 0x000000000022D473030F116dDEE9F6B43aC78BA3
WITNESS_TYPEHASH: constant(bytes32) = keccak256("Witness(address to,uint256 validAfter)")
WITNESS_TYPE: constant(String[256]) = "Witness witness)TokenPermissions(address token,uint256 amount)Witness(address to,uint256 validAfter)"


@external
def settle(permit: PermitTransferFrom, owner: address, witness: Witness, signature: Bytes[1024]):
    assert block.timestamp >= witness.validAfter, "PaymentTooEarly"

    hashed: bytes32 = keccak256(abi_encode(WITNESS_TYPEHASH, witness.to, witness.validAfter))
    extcall Permit2(PERMIT2).permitWitnessTransferFrom(permit, SignatureTransferDetails(to=witness.to, requestedAmount=permit.permitted.amount), owner, hashed, WITNESS_TYPE, signature)
    log Settled()
