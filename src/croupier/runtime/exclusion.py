"""The operator's self-exclusion check as the configuration describes it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from croupier.operator.exclusion import ExclusionCheck, ExclusionSettings
from croupier.runtime.config import Config, ResolvedKeys


def build_exclusion_check(
    config: Config, keys: ResolvedKeys, now: Callable[[], datetime]
) -> ExclusionCheck | None:
    """The check; None when none is configured. Close it when the process ends."""
    check = config.self_exclusion
    if check.url is None or keys.self_exclusion is None:
        return None
    settings = ExclusionSettings(url=check.url, key=keys.self_exclusion, timeout_s=check.timeout_s)
    return ExclusionCheck(settings, now)
