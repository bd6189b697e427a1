"""A deployment for each crash test: its own folder, ports and database, ended whatever happens."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from crash_site import CrashSite


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[CrashSite]:
    made = CrashSite(tmp_path)
    try:
        yield made
    finally:
        await made.close()
