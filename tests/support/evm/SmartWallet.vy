# pragma version 0.4.3
# pragma evm-version cancun
# A test wallet: a contract that signs by EIP-1271, for one owner.
#
# Without an owner it is what an account delegates to by EIP-7702: then the account itself signs. It
# takes a signature of 65 bytes, or the same after one word (as wallets with several owners have it).

interface Token:
    def approve(spender: address, amount: uint256) -> bool: nonpayable

VALID: constant(bytes4) = 0x1626ba7e

owner: public(address)


@external
def initialize(owner: address):
    assert self.owner == empty(address), "initialized"
    self.owner = owner


@external
def approve(token: address, spender: address, amount: uint256):
    extcall Token(token).approve(spender, amount)


@external
@view
def isValidSignature(digest: bytes32, signature: Bytes[1024]) -> bytes4:
    if len(signature) != 65 and len(signature) != 97:
        return empty(bytes4)
    start: uint256 = len(signature) - 65
    r: bytes32 = convert(slice(signature, start, 32), bytes32)
    s: bytes32 = convert(slice(signature, start + 32, 32), bytes32)
    v: uint8 = convert(slice(signature, start + 64, 1), uint8)
    signer: address = self.owner
    if signer == empty(address):
        signer = self
    if ecrecover(digest, v, r, s) == signer:
        return VALID
    return empty(bytes4)
