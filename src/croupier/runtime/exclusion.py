"""The operator's self-exclusion check as the configuration describes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from croupier.operator.exclusion import ExclusionCheck, ExclusionSettings
from croupier.runtime.config import Config, resolve_check_key


def build_exclusion_check(
    config: Config, env: Mapping[str, str], now: Callable[[], datetime]
) -> ExclusionCheck | None:
    """The check; None when none is configured. Close it when the process ends. Raises ConfigProblems."""
    check, key = config.self_exclusion, resolve_check_key(config, env)
    if check.url is None or key is None:
        return None
    return ExclusionCheck(ExclusionSettings(url=check.url, key=key, timeout_s=check.timeout_s), now)
