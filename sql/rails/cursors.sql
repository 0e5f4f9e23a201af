-- Where each rail goes on.
SELECT rail, network, position, saved_at
FROM masques_ops.rail_cursors FINAL
ORDER BY rail, network
