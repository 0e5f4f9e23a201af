# pragma version 0.4.3
# pragma evm-version cancun
# A test contract with the part of Permit2 that x402 uses: permitWitnessTransferFrom.
#
# Written for tests after Permit2's interface. Like the real one it logs nothing itself: all that the
# chain shows of a payment is the token's Transfer. Etched at the real address.

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

interface Token:
    def transferFrom(sender: address, receiver: address, amount: uint256) -> bool: nonpayable

interface Wallet:
    def isValidSignature(digest: bytes32, signature: Bytes[1024]) -> bytes4: view

DOMAIN_TYPEHASH: constant(bytes32) = keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)")
TOKEN_TYPEHASH: constant(bytes32) = keccak256("TokenPermissions(address token,uint256 amount)")
TYPE_STUB: constant(String[120]) = "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,"
VALID: constant(bytes4) = 0x1626ba7e

nonceBitmap: public(HashMap[address, HashMap[uint256, uint256]])


@internal
@view
def _domain() -> bytes32:
    return keccak256(abi_encode(DOMAIN_TYPEHASH, keccak256("Permit2"), chain.id, self))


@external
@view
def DOMAIN_SEPARATOR() -> bytes32:
    return self._domain()


@internal
@view
def _check(owner: address, digest: bytes32, signature: Bytes[1024]):
    if owner.codesize > 0:
        assert staticcall Wallet(owner).isValidSignature(digest, signature) == VALID, "InvalidContractSignature"
        return
    assert len(signature) == 65, "InvalidSignatureLength"
    r: bytes32 = convert(slice(signature, 0, 32), bytes32)
    s: bytes32 = convert(slice(signature, 32, 32), bytes32)
    v: uint8 = convert(slice(signature, 64, 1), uint8)
    assert ecrecover(digest, v, r, s) == owner, "InvalidSigner"


@external
def permitWitnessTransferFrom(permit: PermitTransferFrom, details: SignatureTransferDetails, owner: address, witness: bytes32, witness_type: String[256], signature: Bytes[1024]):
    assert block.timestamp <= permit.deadline, "SignatureExpired"
    assert details.requestedAmount <= permit.permitted.amount, "InvalidAmount"
    place: uint256 = permit.nonce >> 8
    bit: uint256 = 1 << (permit.nonce & 255)
    assert self.nonceBitmap[owner][place] & bit == 0, "InvalidNonce"
    self.nonceBitmap[owner][place] |= bit
    typehash: bytes32 = keccak256(concat(TYPE_STUB, witness_type))
    permitted: bytes32 = keccak256(abi_encode(TOKEN_TYPEHASH, permit.permitted.token, permit.permitted.amount))
    inner: bytes32 = keccak256(abi_encode(typehash, permitted, msg.sender, permit.nonce, permit.deadline, witness))
    self._check(owner, keccak256(concat(0x1901, self._domain(), inner)), signature)
    extcall Token(permit.permitted.token).transferFrom(owner, details.to, details.requestedAmount)
