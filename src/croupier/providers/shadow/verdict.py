"""Whether a candidate may take over: enough was compared, and nothing was different. Pure but for the loading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from croupier.providers.shadow.store import Comparison, Day, load_differences, load_tallies
from croupier.providers.shadow.tally import Group, Kind


class Totals(Struct, frozen=True, kw_only=True):
    """The counts of all days. `compared` are the calls that came to a result; `dropped` ones were never tried."""

    same: int = 0
    different: int = 0
    refused: int = 0
    failed: int = 0
    hung: int = 0
    skipped: int = 0
    dropped: int = 0

    @property
    def compared(self) -> int:
        return self.same + self.different + self.refused + self.failed + self.hung


class Verdict(Struct, frozen=True):
    """Green, or everything that stands in the way."""

    reasons: tuple[str, ...]

    @property
    def is_green(self) -> bool:
        return not self.reasons


class ShadowReport(Struct, frozen=True, kw_only=True):
    """A comparison as far as it has come."""

    comparison: Comparison
    days: tuple[Day, ...]
    differences: Mapping[Kind, Group]
    totals: Totals
    verdict: Verdict


def judge_shadow(totals: Totals, *, at_least: int) -> Verdict:
    """Green when so many calls at least were compared and every single one came out the same.

    Dropped calls are no reason against it: they were not looked at, and what was looked at must be enough.
    """
    reasons = []
    if totals.compared < at_least:
        reasons.append(f"{totals.compared} calls were compared, {at_least} are needed")
    for count, what in (
        (totals.different, "came out differently"),
        (totals.refused, "were refused by the candidate"),
        (totals.failed, "made the candidate fail"),
        (totals.hung, "were not done by the deadline"),
    ):
        if count:
            reasons.append(f"{count} calls {what}")
    return Verdict(tuple(reasons))


def add_days(days: Sequence[Day]) -> Totals:
    """The counts of all days together."""
    return Totals(**{name: sum(getattr(day, name) for day in days) for name in Totals.__struct_fields__})


async def shadow_report(connection: Any, comparison: Comparison, *, at_least: int) -> ShadowReport:
    """Everything that is known of a comparison, with its verdict."""
    days = await load_tallies(connection, comparison)
    totals = add_days(days)
    return ShadowReport(
        comparison=comparison,
        days=tuple(days),
        differences=await load_differences(connection, comparison),
        totals=totals,
        verdict=judge_shadow(totals, at_least=at_least),
    )


async def shadow_verdict(connection: Any, comparison: Comparison, *, at_least: int) -> Verdict:
    """Whether the candidate may take over, as a cut-over asks: green, or why not."""
    return judge_shadow(add_days(await load_tallies(connection, comparison)), at_least=at_least)
