-- Where the references lead that this run looks at.
INSERT INTO masques_ops.reputation_touched_links
SELECT reference_key, kind, id, transaction_id, payer_id, payee_id, status
FROM masques_ops.reputation_links_now
