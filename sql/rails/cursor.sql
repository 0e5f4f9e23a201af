-- Where a rail goes on; no row before its first run.
SELECT cursor
FROM masques_ops.rail_cursors FINAL
WHERE rail = {rail:String} AND network = {network:String}
