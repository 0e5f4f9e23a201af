-- The balances of each network and asset beside what the settlements say, the differing ones first.
SELECT
    rail, network, node, asset, currency, state, opening_block, opening, added, dropped, came_in,
    went_out, fees, flows, expected, balance, difference, block, read_at, added_addresses,
    dropped_addresses, problem
FROM masques_marts.chain_balances
ORDER BY state != 'differs', rail, network, node, asset
