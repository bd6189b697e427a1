"""The part of `croupier doctor` that looks at the rotation of keys, where the database can be asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from croupier.governance.keyring import load_key_states
from croupier.governance.keys import Direction, KeyFacts, find_signer
from croupier.runtime.config import Config, Provider
from croupier.runtime.database import connect_app
from croupier.runtime.doctor_database import UNREACHABLE, find_running_url
from croupier.runtime.finding import Finding

CHECK = "keys"


async def examine_keys(config: Config) -> list[Finding]:
    """What of the configured providers' keys needs a person; nothing when the database cannot be asked now."""
    url = find_running_url(config.database)
    if url is None:
        return []
    try:
        connection = await connect_app(url, application_name="croupier-doctor")
        try:
            keys = await load_key_states(connection)
        finally:
            await connection.close()
    except UNREACHABLE:
        return []  # The findings about the database say why.
    return judge_keys(config, keys, datetime.now(UTC))


def judge_keys(config: Config, keys: Sequence[KeyFacts], now: datetime) -> list[Finding]:
    """Findings about keys as they stand."""
    wrong = [finding for provider in config.providers for finding in _judge_provider(provider, keys, now)]
    return wrong or [Finding.ok(CHECK, f"{sum(not key.is_revoked for key in keys)} in use, none is overdue")]


def _judge_provider(provider: Provider, keys: Sequence[KeyFacts], now: datetime) -> Iterator[Finding]:
    own = [key for key in keys if key.provider == provider.id]
    living = [key for key in own if not key.is_revoked]
    revoked = {key.key_id for key in own if key.is_revoked}
    for named in provider.keys:
        if named.id in revoked:
            detail = f"{named.id} of the configuration file is revoked, and stays revoked"
            yield Finding.warn(CHECK, detail, f"remove it from the keys of provider {provider.id}")
    for key in living:
        if key.is_overdue(now):
            detail = f"{key.key_id} of provider {provider.id} was due on {key.due_at:%Y-%m-%d}"
            yield Finding.warn(CHECK, detail, "rotate it: docs/how-to/rotate-a-key.md")
    if own and not any(Direction.INBOUND in key.direction.parts for key in living):
        fix = f"run `croupier keys publish {provider.id} …`"
        yield Finding.fail(CHECK, f"provider {provider.id} has no key left that verifies its calls", fix)
    if own and provider.base_url is not None and find_signer(living) is None:
        fix = "publish an outbound key with `croupier keys publish` and promote it"
        yield Finding.fail(CHECK, f"provider {provider.id} has no key that signs our calls", fix)
