# pragma version 0.4.3
# pragma evm-version cancun
# A test token with the parts of USDC that payments touch: ERC-20, EIP-3009, EIP-712, EIP-1271.
#
# Written for tests after ERC-20 and EIP-3009. Etched at USDC's real address, so there is no
# constructor: initialize() sets the names, and mint() is open to everyone. The two events of a
# payment come in the order of Circle's contract: AuthorizationUsed, then Transfer.

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    amount: uint256

event Approval:
    owner: indexed(address)
    spender: indexed(address)
    amount: uint256

event AuthorizationUsed:
    authorizer: indexed(address)
    nonce: indexed(bytes32)

event AuthorizationCanceled:
    authorizer: indexed(address)
    nonce: indexed(bytes32)

interface Wallet:
    def isValidSignature(digest: bytes32, signature: Bytes[1024]) -> bytes4: view

VALID: constant(bytes4) = 0x1626ba7e
TRANSFER_TYPEHASH: constant(bytes32) = keccak256("TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)")
RECEIVE_TYPEHASH: constant(bytes32) = keccak256("ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)")
CANCEL_TYPEHASH: constant(bytes32) = keccak256("CancelAuthorization(address authorizer,bytes32 nonce)")
DOMAIN_TYPEHASH: constant(bytes32) = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")

name: public(String[32])
symbol: public(String[32])
version: public(String[8])
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
authorizationState: public(HashMap[address, HashMap[bytes32, bool]])
totalSupply: public(uint256)


@external
def initialize(name: String[32], symbol: String[32], version: String[8]):
    self.name = name
    self.symbol = symbol
    self.version = version


@external
@view
def decimals() -> uint8:
    return 6


@external
def mint(receiver: address, amount: uint256):
    self.totalSupply += amount
    self.balanceOf[receiver] += amount
    log Transfer(sender=empty(address), receiver=receiver, amount=amount)


@internal
def _transfer(sender: address, receiver: address, amount: uint256):
    assert self.balanceOf[sender] >= amount, "ERC20: transfer amount exceeds balance"
    self.balanceOf[sender] -= amount
    self.balanceOf[receiver] += amount
    log Transfer(sender=sender, receiver=receiver, amount=amount)


@external
def transfer(receiver: address, amount: uint256) -> bool:
    self._transfer(msg.sender, receiver, amount)
    return True


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    log Approval(owner=msg.sender, spender=spender, amount=amount)
    return True


@external
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    assert self.allowance[sender][msg.sender] >= amount, "ERC20: transfer amount exceeds allowance"
    self.allowance[sender][msg.sender] -= amount
    self._transfer(sender, receiver, amount)
    return True


@internal
@view
def _domain() -> bytes32:
    return keccak256(abi_encode(DOMAIN_TYPEHASH, keccak256(self.name), keccak256(self.version), chain.id, self))


@external
@view
def DOMAIN_SEPARATOR() -> bytes32:
    return self._domain()


@internal
@view
def _signer(digest: bytes32, v: uint8, r: bytes32, s: bytes32) -> address:
    return ecrecover(keccak256(concat(0x1901, self._domain(), digest)), v, r, s)


@internal
@view
def _is_signed(signer: address, digest: bytes32, signature: Bytes[1024]) -> bool:
    if signer.codesize > 0:
        whole: bytes32 = keccak256(concat(0x1901, self._domain(), digest))
        return staticcall Wallet(signer).isValidSignature(whole, signature) == VALID
    if len(signature) != 65:
        return False
    r: bytes32 = convert(slice(signature, 0, 32), bytes32)
    s: bytes32 = convert(slice(signature, 32, 32), bytes32)
    return self._signer(digest, convert(slice(signature, 64, 1), uint8), r, s) == signer


@internal
def _authorized(typehash: bytes32, sender: address, receiver: address, amount: uint256, valid_after: uint256, valid_before: uint256, nonce: bytes32, signature: Bytes[1024]):
    assert block.timestamp > valid_after, "FiatTokenV2: authorization is not yet valid"
    assert block.timestamp < valid_before, "FiatTokenV2: authorization is expired"
    assert not self.authorizationState[sender][nonce], "FiatTokenV2: authorization is used or canceled"
    digest: bytes32 = keccak256(abi_encode(typehash, sender, receiver, amount, valid_after, valid_before, nonce))
    assert self._is_signed(sender, digest, signature), "FiatTokenV2: invalid signature"
    self.authorizationState[sender][nonce] = True
    log AuthorizationUsed(authorizer=sender, nonce=nonce)
    self._transfer(sender, receiver, amount)


@external
def transferWithAuthorization(sender: address, receiver: address, amount: uint256, valid_after: uint256, valid_before: uint256, nonce: bytes32, v: uint8, r: bytes32, s: bytes32):
    self._authorized(TRANSFER_TYPEHASH, sender, receiver, amount, valid_after, valid_before, nonce, concat(r, s, convert(v, bytes1)))


@external
def transferWithSignature(sender: address, receiver: address, amount: uint256, valid_after: uint256, valid_before: uint256, nonce: bytes32, signature: Bytes[1024]):
    self._authorized(TRANSFER_TYPEHASH, sender, receiver, amount, valid_after, valid_before, nonce, signature)


@external
def receiveWithAuthorization(sender: address, receiver: address, amount: uint256, valid_after: uint256, valid_before: uint256, nonce: bytes32, v: uint8, r: bytes32, s: bytes32):
    assert msg.sender == receiver, "FiatTokenV2: caller must be the payee"
    self._authorized(RECEIVE_TYPEHASH, sender, receiver, amount, valid_after, valid_before, nonce, concat(r, s, convert(v, bytes1)))


@external
def cancelAuthorization(authorizer: address, nonce: bytes32, v: uint8, r: bytes32, s: bytes32):
    assert not self.authorizationState[authorizer][nonce], "FiatTokenV2: authorization is used or canceled"
    digest: bytes32 = keccak256(abi_encode(CANCEL_TYPEHASH, authorizer, nonce))
    assert self._signer(digest, v, r, s) == authorizer, "FiatTokenV2: invalid signature"
    self.authorizationState[authorizer][nonce] = True
    log AuthorizationCanceled(authorizer=authorizer, nonce=nonce)


# The same function with the signature as bytes, which this language cannot name a second time; of
# one length, 97 bytes.
@external
def __default__():
    assert convert(slice(msg.data, 0, 4), bytes4) == 0xcf092995, "unknown function"
    raw_call(self, concat(method_id("transferWithSignature(address,address,uint256,uint256,uint256,bytes32,bytes)"), slice(msg.data, 4, 384)))
