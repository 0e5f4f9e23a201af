SELECT toString(now64(3, 'UTC')), toString(today())
