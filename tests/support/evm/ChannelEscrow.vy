# pragma version 0.4.3
# pragma evm-version cancun
# A test contract with the functions and events of x402's escrow of payment channels
# (batch-settlement).
#
# Written for tests after the SDK's ABI and the events of the deployed contract. A claim moves no
# token: it says how much of a channel is the receiver's; settle() sends the sum of all claims.
# Etched at the real address; deposits come through the collector below it (ChannelCollector).

struct Channel:
    payer: address
    payerAuthorizer: address
    receiver: address
    receiverAuthorizer: address
    token: address
    withdrawDelay: uint40
    salt: bytes32

struct Voucher:
    channel: Channel
    maxClaimableAmount: uint128

struct Claim:
    voucher: Voucher
    signature: Bytes[128]
    totalClaimed: uint128

struct State:
    balance: uint128
    totalClaimed: uint128

struct Withdrawal:
    amount: uint128
    initiatedAt: uint40

struct Sums:
    totalClaimed: uint128
    totalSettled: uint128

interface Token:
    def transfer(receiver: address, amount: uint256) -> bool: nonpayable
    def balanceOf(owner: address) -> uint256: view

interface Collector:
    def collect(payer: address, token: address, amount: uint256, channel: bytes32, data: Bytes[1024]): nonpayable

event ChannelCreated:
    channelId: indexed(bytes32)
    config: Channel

event ChannelClosed:
    channelId: indexed(bytes32)
    config: Channel

event Deposited:
    channelId: indexed(bytes32)
    sender: indexed(address)
    amount: uint128
    newBalance: uint128

event Claimed:
    channelId: indexed(bytes32)
    sender: indexed(address)
    claimAmount: uint128
    newTotalClaimed: uint128

event Settled:
    receiver: indexed(address)
    token: indexed(address)
    sender: indexed(address)
    amount: uint128

event Refunded:
    channelId: indexed(bytes32)
    sender: indexed(address)
    amount: uint128

event WithdrawInitiated:
    channelId: indexed(bytes32)
    amount: uint128
    finalizeAfter: uint40

event WithdrawFinalized:
    channelId: indexed(bytes32)
    sender: indexed(address)
    amount: uint128

DOMAIN_TYPEHASH: constant(bytes32) = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
CHANNEL_TYPEHASH: constant(bytes32) = keccak256("ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)")
VOUCHER_TYPEHASH: constant(bytes32) = keccak256("Voucher(bytes32 channelId,uint128 maxClaimableAmount)")
REFUND_TYPEHASH: constant(bytes32) = keccak256("Refund(bytes32 channelId,uint256 nonce,uint128 amount)")
BATCH_TYPEHASH: constant(bytes32) = keccak256("ClaimBatch(ClaimEntry[] claims)ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)")
ENTRY_TYPEHASH: constant(bytes32) = keccak256("ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)")
CLAIMS_MAX: constant(uint256) = 20

channels: public(HashMap[bytes32, State])
pendingWithdrawals: public(HashMap[bytes32, Withdrawal])
receivers: public(HashMap[address, HashMap[address, Sums]])
refundNonce: public(HashMap[bytes32, uint256])


@internal
@view
def _hashed(inner: bytes32) -> bytes32:
    domain: bytes32 = keccak256(abi_encode(DOMAIN_TYPEHASH, keccak256("x402 Batch Settlement"), keccak256("1"), chain.id, self))
    return keccak256(concat(0x1901, domain, inner))


@internal
@view
def _id(config: Channel) -> bytes32:
    return self._hashed(keccak256(abi_encode(CHANNEL_TYPEHASH, config)))


@internal
@view
def _check(signer: address, digest: bytes32, signature: Bytes[128]):
    assert len(signature) == 65, "InvalidSignature"
    r: bytes32 = convert(slice(signature, 0, 32), bytes32)
    s: bytes32 = convert(slice(signature, 32, 32), bytes32)
    v: uint8 = convert(slice(signature, 64, 1), uint8)
    assert ecrecover(digest, v, r, s) == signer, "InvalidSignature"


@external
@view
def getChannelId(config: Channel) -> bytes32:
    return self._id(config)


@external
def deposit(config: Channel, amount: uint128, collector: address, data: Bytes[1024]):
    assert config.withdrawDelay >= 900 and config.withdrawDelay <= 2592000, "WithdrawDelayOutOfRange"
    assert amount > 0, "ZeroDeposit"
    channel: bytes32 = self._id(config)
    self.channels[channel].balance += amount
    before: uint256 = staticcall Token(config.token).balanceOf(self)
    extcall Collector(collector).collect(config.payer, config.token, convert(amount, uint256), channel, data)
    assert staticcall Token(config.token).balanceOf(self) == before + convert(amount, uint256), "DepositCollectionFailed"
    if self.channels[channel].balance == amount and self.channels[channel].totalClaimed == 0:
        log ChannelCreated(channelId=channel, config=config)
    log Deposited(channelId=channel, sender=msg.sender, amount=amount, newBalance=self.channels[channel].balance)


@internal
def _claim(claim: Claim):
    channel: bytes32 = self._id(claim.voucher.channel)
    if claim.totalClaimed <= self.channels[channel].totalClaimed:
        return
    assert claim.totalClaimed <= claim.voucher.maxClaimableAmount, "ClaimExceedsCeiling"
    assert claim.totalClaimed <= self.channels[channel].balance, "ClaimExceedsBalance"
    digest: bytes32 = self._hashed(keccak256(abi_encode(VOUCHER_TYPEHASH, channel, claim.voucher.maxClaimableAmount)))
    signer: address = claim.voucher.channel.payerAuthorizer
    if signer == empty(address):
        signer = claim.voucher.channel.payer
    self._check(signer, digest, claim.signature)
    more: uint128 = claim.totalClaimed - self.channels[channel].totalClaimed
    self.channels[channel].totalClaimed = claim.totalClaimed
    self.receivers[claim.voucher.channel.receiver][claim.voucher.channel.token].totalClaimed += more
    log Claimed(channelId=channel, sender=msg.sender, claimAmount=more, newTotalClaimed=claim.totalClaimed)


@external
def claimWithSignature(claims: DynArray[Claim, CLAIMS_MAX], signature: Bytes[128]):
    assert len(claims) > 0, "EmptyBatch"
    authorizer: address = claims[0].voucher.channel.receiverAuthorizer
    hashes: DynArray[bytes32, CLAIMS_MAX] = []
    for each: Claim in claims:
        assert each.voucher.channel.receiverAuthorizer == authorizer, "NotReceiverAuthorizer"
        hashes.append(keccak256(abi_encode(ENTRY_TYPEHASH, self._id(each.voucher.channel), each.voucher.maxClaimableAmount, each.totalClaimed)))
    packed: Bytes[704] = abi_encode(hashes)
    root: bytes32 = keccak256(slice(packed, 64, 32 * len(hashes)))
    self._check(authorizer, self._hashed(keccak256(abi_encode(BATCH_TYPEHASH, root))), signature)
    for each: Claim in claims:
        self._claim(each)


@external
def settle(receiver: address, token: address):
    sums: Sums = self.receivers[receiver][token]
    amount: uint128 = sums.totalClaimed - sums.totalSettled
    if amount == 0:
        return
    self.receivers[receiver][token].totalSettled = sums.totalClaimed
    extcall Token(token).transfer(receiver, convert(amount, uint256))
    log Settled(receiver=receiver, token=token, sender=msg.sender, amount=amount)


@external
def initiateWithdraw(config: Channel, amount: uint128):
    assert msg.sender == config.payer or msg.sender == config.payerAuthorizer, "InvalidChannel"
    assert amount > 0, "NothingToWithdraw"
    channel: bytes32 = self._id(config)
    assert self.pendingWithdrawals[channel].initiatedAt == 0, "WithdrawalAlreadyPending"
    state: State = self.channels[channel]
    assert amount <= state.balance - state.totalClaimed, "WithdrawAmountExceedsAvailable"
    now: uint40 = convert(block.timestamp, uint40)
    self.pendingWithdrawals[channel] = Withdrawal(amount=amount, initiatedAt=now)
    log WithdrawInitiated(channelId=channel, amount=amount, finalizeAfter=now + config.withdrawDelay)


@external
def finalizeWithdraw(config: Channel):
    assert msg.sender == config.payer or msg.sender == config.payerAuthorizer, "NotAuthorizedToFinalizeWithdraw"
    channel: bytes32 = self._id(config)
    pending: Withdrawal = self.pendingWithdrawals[channel]
    assert pending.initiatedAt != 0, "WithdrawalNotPending"
    assert block.timestamp >= convert(pending.initiatedAt, uint256) + convert(config.withdrawDelay, uint256), "WithdrawDelayNotElapsed"
    state: State = self.channels[channel]
    amount: uint128 = min(pending.amount, state.balance - state.totalClaimed)
    self.pendingWithdrawals[channel] = empty(Withdrawal)
    self.channels[channel].balance = state.balance - amount
    log WithdrawFinalized(channelId=channel, sender=msg.sender, amount=amount)
    if state.balance == amount and state.totalClaimed == 0:
        log ChannelClosed(channelId=channel, config=config)
    if amount > 0:
        extcall Token(config.token).transfer(config.payer, convert(amount, uint256))


@external
def refundWithSignature(config: Channel, amount: uint128, nonce: uint256, signature: Bytes[128]):
    channel: bytes32 = self._id(config)
    assert nonce == self.refundNonce[channel], "InvalidRefundNonce"
    self._check(config.receiverAuthorizer, self._hashed(keccak256(abi_encode(REFUND_TYPEHASH, channel, nonce, amount))), signature)
    assert amount > 0, "ZeroRefund"
    self.refundNonce[channel] += 1
    state: State = self.channels[channel]
    refunded: uint128 = min(amount, state.balance - state.totalClaimed)
    if refunded == 0:
        return
    self.channels[channel].balance = state.balance - refunded
    pending: Withdrawal = self.pendingWithdrawals[channel]
    if pending.initiatedAt != 0:
        if refunded >= pending.amount:
            self.pendingWithdrawals[channel] = empty(Withdrawal)
        else:
            self.pendingWithdrawals[channel].amount = pending.amount - refunded
    log Refunded(channelId=channel, sender=msg.sender, amount=refunded)
    if state.balance == refunded and state.totalClaimed == 0:
        log ChannelClosed(channelId=channel, config=config)
    extcall Token(config.token).transfer(config.payer, convert(refunded, uint256))


@external
def multicall(calls: DynArray[Bytes[4096], 4]) -> DynArray[Bytes[32], 4]:
    results: DynArray[Bytes[32], 4] = []
    for each: Bytes[4096] in calls:
        raw_call(self, each, is_delegate_call=True)
        results.append(b"")
    return results
