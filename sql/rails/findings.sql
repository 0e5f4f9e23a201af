-- Contradictions between the chain and other reports of one payment.
SELECT rail, network, kind, detail, settlement_id
FROM masques_ops.settlement_findings FINAL
ORDER BY rail, network, kind, detail
