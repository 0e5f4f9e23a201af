"""The campaign of changed answers, small: see tests/campaigns/answers.py for the large one."""

import pytest

from tests.campaigns import answers
from tests.campaigns.answer_worlds import RAILS
from tests.support.campaign import rounds, seeded


@pytest.mark.parametrize("rail", RAILS)
def test_no_changed_answer_ends_a_run_or_is_believed(rail: str) -> None:
    outcome = answers.run(rail, size=rounds(100), seed=seeded().randrange(10**6))
    assert outcome.faults == {}
    assert outcome.healed > outcome.runs * 0.9
    assert outcome.ends["as the truth"] < outcome.runs  # something was changed
