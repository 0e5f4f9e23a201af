# pragma version 0.4.3
# pragma evm-version cancun
# A test factory of wallets, as ERC-6492 needs one: the address of a wallet is known before it is made.

interface Wallet:
    def initialize(owner: address): nonpayable

template: public(address)


@external
def initialize(template: address):
    self.template = template


@external
def make(owner: address) -> address:
    wallet: address = create_minimal_proxy_to(self.template, salt=convert(owner, bytes32))
    extcall Wallet(wallet).initialize(owner)
    return wallet
