"""One running Go decoder for all tests of a process, since starting one for each test is slow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.go_host import FrameDecoder


@pytest.fixture(scope="session")
def decoder() -> Iterator[FrameDecoder]:
    with FrameDecoder() as running:
        yield running
