-- Blame counts by the money at stake alone, and takes praise with it (docs/reputation.md). The packaged
-- model, so that scores can be asked before any run.
INSERT INTO masques_ops.reputation_model_versions (model_version, loaded_at, numbers, lists)
SELECT
    'price-3',
    toDateTime64(2, 6, 'UTC'),
    map('half_life_days', 30., 'window_days', 90., 'share_task_quality', 0.40, 'share_economic', 0.35,
        'share_identity_hygiene', 0.25, 'prior_weight', 10., 'prior_score', 0.5,
        'lower_deviations', 1.645, 'usd_per_event', 0.2, 'weight_praise', 0.25, 'cap_payer', 50.,
        'weight_blame', 0.003, 'cap_blame', 12., 'limit_per_usd', 0.016, 'blame_ruins', 1.,
        'cap_free', 0.03, 'cap_attested', 50., 'weight_free', 0.05, 'standing_usd', 3.,
        'fee_share', 0.05, 'weight_fees', 0.2, 'half_trusted', 0.55, 'trace_hops', 3.,
        'rate_age_max_days', 7., 'linked_most', 20.),
    map('attestors', ['b66f28e4-5f35-5b02-84a3-df8135e0a8ed'], 'seeds', [],
        'platform_account_types', ['treasury', 'platform_fee', 'escrow'],
        'purchase_types', ['masque_session', 'api_call', 'escrow_hold', 'escrow_release'],
        'other_unfunding_types', ['fee', 'refund', 'settlement'])
WHERE (SELECT count() FROM masques_ops.reputation_model_versions WHERE model_version = 'price-3') = 0;
