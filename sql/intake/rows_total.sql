SELECT count() AS rows FROM {database:Identifier}.{table:Identifier}
