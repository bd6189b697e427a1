"""Ids, times and money as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from croupier.ids import render_id
from croupier.money import AssetRegistry, render_decimal


def shown_id(prefix: str, value: UUID | None) -> str:
    """An id with its prefix; nothing for none."""
    return "" if value is None else render_id(prefix, value)


def shown_time(value: datetime | None) -> str:
    """RFC 3339 in UTC to the millisecond; nothing for none."""
    return "" if value is None else f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"


def shown_money(registry: AssetRegistry, minor: str | None, asset: str | None) -> str:
    """Minor units in whole units of their asset (`12.50 EUR`); as they are when the asset is unknown."""
    if minor is None:
        return ""
    if asset is None or asset not in registry:
        return f"{minor} minor units of {asset or 'no asset'}"
    return f"{render_decimal(int(minor), registry.get(asset))} {asset}"


def shown_age(age: timedelta) -> str:
    """How long something has lasted, in its largest whole unit (`3 h`)."""
    seconds = max(0, int(age.total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
