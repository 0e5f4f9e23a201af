SELECT
    (SELECT uniqExact(identity_id) FROM masques_ops.identity_versions) AS written,
    (SELECT count() FROM masques.identities FINAL) AS there
