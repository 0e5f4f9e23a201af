SELECT count() FROM masques.settlements
