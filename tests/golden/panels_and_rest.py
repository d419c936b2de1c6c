"""All that was recorded, asked of a data source through the API and, where a panel can ask it, as a panel query."""

from tests.golden import test_api_recordings as api
from tests.golden import test_frame_recordings as frames
from tests.support.plugin.ceems import CeemsPlugin
from tests.support.recordings import Recordings, gathered


async def differences(ceems: CeemsPlugin, recordings: Recordings) -> list[str]:
    """Say which answers differ, and how."""
    cases = recordings.cases
    assert len(cases) >= 40
    return await gathered(
        [
            *(api.difference(ceems, case) for case in cases),
            *(frames.difference(ceems, case) for case in cases if frames.as_query(case) is not None),
        ]
    )
