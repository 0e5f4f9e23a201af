"""The writers of the warehouse, which a copy of all of it has to wait for."""

from typing import Final

from masques_pipelines.intake.run import LEASE as INTAKE
from masques_pipelines.ledger.transactions import LEASE as LEDGER
from masques_pipelines.rails.run import LEASE as RAILS
from masques_pipelines.reputation.facts import LEASE as REPUTATION
from masques_pipelines.reputation.signals import LEASE as SIGNALS

# In the order in which a run takes them, if it takes several.
WRITERS: Final = (LEDGER, INTAKE, RAILS, SIGNALS, REPUTATION)
