"""How generated tests run: the same cases every time in CI, and a blob to repeat a failure with anywhere."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

REPEATABLE: Final = settings(
    derandomize="CI" in os.environ,
    print_blob=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
"""What every generated test inherits: the profile that `conftest` loads, and the parent of settings of their own."""
