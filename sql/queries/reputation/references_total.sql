-- How many events refer to something.
SELECT count()
FROM masques.reputation_events
WHERE reference_type NOT IN ('', 'attestation')
