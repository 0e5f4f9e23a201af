SELECT count() AS rows FROM masques.{table:Identifier}
