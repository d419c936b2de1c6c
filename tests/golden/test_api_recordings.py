"""Every recorded and corrected answer, from the real process through CallResource."""

import json

import pytest

from tests.support.compare import first_difference, plain, same
from tests.support.plugin.ceems import CeemsPlugin, ceems_plugin
from tests.support.recordings import ALL, Recording, Recordings, gathered


@pytest.mark.parametrize("recordings", ALL, ids=lambda recordings: recordings.name)
@pytest.mark.parametrize("prefix", ["", "api/v1/"])
async def test_answers_are_those_recorded(recordings: Recordings, prefix: str) -> None:
    cases = recordings.cases
    async with ceems_plugin(recordings.database) as ceems:
        wrong = await gathered(difference(ceems, case, prefix) for case in cases)
    assert len(cases) >= 40
    assert not wrong, "\n".join(sorted(wrong)[:10])


async def difference(ceems: CeemsPlugin, case: Recording, prefix: str = "") -> str:
    """Ask a recorded question; return how the answer differs, "" if it does not."""
    got = await ceems.resource(case.user, prefix + case.path, case.query)
    body = got.body.decode() if case.path == "health" else json.loads(got.body)
    if got.status != case.status:
        return f"{case}: status {got.status}, wanted {case.status}: {str(body)[:200]}"
    return "" if same(plain(body), plain(case.body)) else f"{case}{first_difference(plain(body), plain(case.body))}"
