-- How many signals the pipeline has derived.
SELECT count()
FROM masques.reputation_events
WHERE attributes['source'] = 'pipeline'
