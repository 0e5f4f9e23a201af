# pragma version 0.4.3
# pragma evm-version cancun
# A test contract with the function of x402's collector of deposits by EIP-3009.
#
# Written for tests after the SDK's encoding: the nonce of the authorization is bound to the channel.
# Etched at the real address.

interface Token:
    def receiveWithAuthorization(sender: address, receiver: address, amount: uint256, valid_after: uint256, valid_before: uint256, nonce: bytes32, v: uint8, r: bytes32, s: bytes32): nonpayable
    def transfer(receiver: address, amount: uint256) -> bool: nonpayable


@external
def collect(payer: address, token: address, amount: uint256, channel: bytes32, data: Bytes[1024]):
    assert msg.sender == 0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003, "OnlyEscrow"
    after: uint256 = 0
    before: uint256 = 0
    salt: uint256 = 0
    signature: Bytes[128] = b""
    after, before, salt, signature = abi_decode(data, (uint256, uint256, uint256, Bytes[128]))
    nonce: bytes32 = keccak256(abi_encode(channel, salt))
    r: bytes32 = convert(slice(signature, 0, 32), bytes32)
    s: bytes32 = convert(slice(signature, 32, 32), bytes32)
    v: uint8 = convert(slice(signature, 64, 1), uint8)
    extcall Token(token).receiveWithAuthorization(payer, self, amount, after, before, nonce, v, r, s)
    extcall Token(token).transfer(msg.sender, amount)
