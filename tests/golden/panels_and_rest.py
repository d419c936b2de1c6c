"""Sends all recorded questions to a data source, through the API and, if possible, as panel queries."""

from tests.golden import test_api_recordings as api
from tests.golden import test_frame_recordings as frames
from tests.support.plugin.ceems import CeemsPlugin
from tests.support.recordings import Recordings, gathered


async def differences(ceems: CeemsPlugin, recordings: Recordings) -> list[str]:
    """Return descriptions of the answers that differ."""
    cases = recordings.cases
    assert len(cases) >= 40
    return await gathered(
        [
            *(api.difference(ceems, case) for case in cases),
            *(frames.difference(ceems, case) for case in cases if frames.as_query(case) is not None),
        ]
    )
