SELECT name, engine FROM system.tables WHERE database = 'masques' ORDER BY name
