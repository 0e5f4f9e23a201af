-- How many rows came in that the evidence or its weight may follow from; and how many events.
WITH {since:DateTime64(6, 'UTC')} AS since
SELECT
    events + (SELECT count() FROM masques.transactions WHERE ingested_at >= since)
        + (SELECT count() FROM masques.settlements WHERE ingested_at >= since)
        + (SELECT count() FROM masques.masque_sessions WHERE ingested_at >= since)
        + (SELECT count() FROM masques.api_requests WHERE ingested_at >= since)
        + (SELECT count() FROM masques.identities WHERE ingested_at >= since)
        + (SELECT count() FROM masques_ops.payment_links WHERE ingested_at >= since) AS news,
    (SELECT count() FROM masques.reputation_events WHERE ingested_at >= since) AS events
