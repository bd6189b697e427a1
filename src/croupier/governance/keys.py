"""The rotation of a key as rules: what each step asks, what it changes, and what a person does next.

published → current → retiring → revoked. An inbound key verifies in every state but the last; of the outbound keys
the current one signs. Pure: facts and the time come as arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from croupier_signing import MAX_KEYS

UNUSED_FOR: Final = timedelta(hours=24)
UNUSABLE_FOR: Final = timedelta(seconds=30)
"""How long a process's report that it cannot read a secret counts; it reports again every few seconds."""


class Direction(StrEnum):
    """`inbound` verifies the provider's calls, `outbound` signs ours."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    BOTH = "both"

    @property
    def parts(self) -> tuple[Direction, ...]:
        """The single directions this one stands for."""
        return (Direction.INBOUND, Direction.OUTBOUND) if self is Direction.BOTH else (self,)


class KeyState(StrEnum):
    """Where a key stands in its rotation."""

    PUBLISHED = "published"
    CURRENT = "current"
    RETIRING = "retiring"
    REVOKED = "revoked"


class KeyFacts(Struct, frozen=True, kw_only=True):
    """One key with what running processes have told about it. `secret` is a reference; times are in UTC."""

    key_id: str
    provider: str
    direction: Direction
    secret: str
    state: KeyState
    published_at: datetime
    promoted_at: datetime | None
    revoked_at: datetime | None
    due_at: datetime
    last_seen_ok: datetime | None = None
    last_seen_refused: datetime | None = None
    ok: int = 0
    refused: int = 0
    last_loaded: datetime | None = None
    last_unusable: datetime | None = None
    unusable_because: str | None = None

    @property
    def is_revoked(self) -> bool:
        return self.state is KeyState.REVOKED

    @property
    def is_verifying(self) -> bool:
        """Whether the key counts among those that a call of its provider is tried with."""
        return not self.is_revoked and Direction.INBOUND in self.direction.parts

    def is_overdue(self, now: datetime) -> bool:
        """Whether the key should have been replaced by now; a revoked one is due no more."""
        return not self.is_revoked and self.due_at <= now


class Change(Struct, frozen=True):
    """One key's move from a state to another; `before` is None for a key that was not there."""

    key_id: str
    before: KeyState | None
    after: KeyState


class Step(Struct, frozen=True):
    """A step that may be taken: every key afterwards, what moved, and what follows in words."""

    keys: tuple[KeyFacts, ...]
    changes: tuple[Change, ...]
    follows: tuple[str, ...]


class StepRefused(Exception):
    """A precondition does not hold: `what` says which, `fix` what would make it hold."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}; {fix}")
        self.what = what
        self.fix = fix


def find_signer(keys: Sequence[KeyFacts], usable: frozenset[str] | None = None) -> KeyFacts | None:
    """The key that signs our calls: the last promoted of the current ones, else of the retiring ones.

    `usable` are the ids whose secrets can be read here; None when every one counts.
    """
    signing = [
        key
        for key in keys
        if Direction.OUTBOUND in key.direction.parts
        and key.state in (KeyState.CURRENT, KeyState.RETIRING)
        and (usable is None or key.key_id in usable)
    ]
    return max(signing, key=lambda key: (key.state is KeyState.CURRENT, _promotion(key)), default=None)


def _promotion(key: KeyFacts) -> tuple[datetime, str]:
    return key.promoted_at or key.published_at, key.key_id


def decide_adopt(keys: Sequence[KeyFacts], new: KeyFacts, now: datetime) -> Step:
    """Take over a key of the configuration file: current where a direction has no current key, else published.

    Raises StepRefused when the provider has as many inbound keys as a call is tried with.
    """
    _require_room(keys, new)
    served = {
        part
        for key in _of_provider(keys, new)
        if key.state is KeyState.CURRENT
        for part in key.direction.parts
    }
    is_first = not served.issuperset(new.direction.parts)
    state = KeyState.CURRENT if is_first else KeyState.PUBLISHED
    adopted = replace(new, state=state, published_at=now, promoted_at=now if is_first else None)
    return Step((*keys, adopted), (Change(new.key_id, None, state),), ())


def decide_publish(
    keys: Sequence[KeyFacts], new: KeyFacts, *, reserved: frozenset[str], can_sign: bool, can_verify: bool
) -> Step:
    """Add a key beside those in use; raises StepRefused.

    `reserved` are ids that other keys of the configuration have; `can_sign` and `can_verify` say which halves the
    secret holds.
    """
    for key in keys:
        if key.key_id == new.key_id:
            state = "is revoked and can never come back" if key.is_revoked else f"is {key.state} already"
            raise StepRefused(f"key {new.key_id} of {key.provider} {state}", "choose another id")
    if new.key_id in reserved:
        raise StepRefused(f"the configuration file has another key {new.key_id}", "choose another id")
    _require_halves(new, can_sign=can_sign, can_verify=can_verify)
    _require_room(keys, new)
    published = replace(new, state=KeyState.PUBLISHED)
    return Step((*keys, published), (Change(new.key_id, None, KeyState.PUBLISHED),), _after_publish(new))


def _require_halves(new: KeyFacts, *, can_sign: bool, can_verify: bool) -> None:
    if Direction.OUTBOUND in new.direction.parts and not can_sign:
        raise StepRefused(
            "a public key cannot sign our calls", "publish the private half as outbound, or this as inbound"
        )
    if Direction.INBOUND in new.direction.parts and not can_verify:
        raise StepRefused(
            "a private key does not verify a provider's calls",
            "publish the provider's public half as inbound",
        )


def _require_room(keys: Sequence[KeyFacts], new: KeyFacts) -> None:
    """A verifier refuses more keys than `MAX_KEYS`, whoever made the call: one too many would end every call."""
    if not new.is_verifying:
        return
    count = sum(key.is_verifying for key in _of_provider(keys, new))
    if count >= MAX_KEYS:
        raise StepRefused(
            f"{new.provider} has {count} inbound keys that are not revoked, and {MAX_KEYS} is the most",
            "revoke one that is out of use, see `croupier keys list`",
        )


def _after_publish(new: KeyFacts) -> tuple[str, ...]:
    lines = []
    if Direction.INBOUND in new.direction.parts:
        lines.append(f"calls signed with {new.key_id} are accepted now, beside those of the keys before it")
        lines.append(f"next: let {new.provider} sign with it; when `keys list` shows it seen, promote it")
    if Direction.OUTBOUND in new.direction.parts:
        lines.append(f"our calls are still signed with the key before {new.key_id}")
        lines.append(f"next: when {new.provider} accepts it, promote it")
    return tuple(lines)


def decide_promote(keys: Sequence[KeyFacts], key_id: str, now: datetime) -> Step:
    """Make a key the one to use; those it replaces begin to retire. Raises StepRefused."""
    key = _find(keys, key_id)
    if key.state in (KeyState.CURRENT, KeyState.REVOKED):
        what = "can never come back" if key.is_revoked else "there is nothing to promote"
        raise StepRefused(f"key {key_id} is {key.state}: {what}", "see `croupier keys list`")
    _require_usable(key, now)
    if Direction.INBOUND in key.direction.parts and key.last_seen_ok is None:
        raise StepRefused(
            f"no call signed with {key_id} has been verified yet",
            f"let {key.provider} send one, then promote",
        )
    if Direction.OUTBOUND in key.direction.parts and key.last_loaded is None:
        raise StepRefused(
            f"no running process has read the secret of {key_id} yet", "start `croupier serve`, then promote"
        )
    promoted = replace(key, state=KeyState.CURRENT, promoted_at=now)
    after = [promoted if one.key_id == key_id else one for one in keys]
    after = [_retired(one, promoted, after) for one in after]
    changes = sorted(_changes(keys, after), key=lambda change: change.key_id != key_id)
    return Step(tuple(after), tuple(changes), _after_promote(promoted, changes, after))


def _require_usable(key: KeyFacts, now: datetime) -> None:
    if key.last_unusable is not None and key.last_unusable > now - UNUSABLE_FOR:
        raise StepRefused(
            f"a running process cannot use {key.key_id}: {key.unusable_because}",
            "make its secret readable everywhere; processes look again every few seconds",
        )


def _retired(key: KeyFacts, promoted: KeyFacts, keys: Sequence[KeyFacts]) -> KeyFacts:
    """A current key retires when every direction it serves has a key that was promoted later."""
    if key.provider != promoted.provider or key.state is not KeyState.CURRENT or key is promoted:
        return key
    later = {
        part
        for one in keys
        if one.provider == key.provider
        and one.state is KeyState.CURRENT
        and _promotion(one) > _promotion(key)
        for part in one.direction.parts
    }
    return replace(key, state=KeyState.RETIRING) if later.issuperset(key.direction.parts) else key


def _changes(before: Sequence[KeyFacts], after: Sequence[KeyFacts]) -> tuple[Change, ...]:
    return tuple(
        Change(new.key_id, old.state, new.state)
        for old, new in zip(before, after, strict=True)
        if old.state is not new.state
    )


def _after_promote(
    promoted: KeyFacts, changes: Sequence[Change], after: Sequence[KeyFacts]
) -> tuple[str, ...]:
    lines = []
    if Direction.OUTBOUND in promoted.direction.parts:
        lines.append(f"our calls to {promoted.provider} are signed with {promoted.key_id} within two seconds")
    for key_id in (change.key_id for change in changes if change.after is KeyState.RETIRING):
        if Direction.INBOUND in _find(after, key_id).direction.parts:
            lines.append(f"calls signed with {key_id} are still accepted")
        lines.append(f"next: watch the error rate in `keys list`, then revoke {key_id}")
    return tuple(lines)


def decide_revoke(
    keys: Sequence[KeyFacts], key_id: str, now: datetime, *, unused_for: timedelta, is_forced: bool
) -> Step:
    """End a key for ever; raises StepRefused unless it is out of use or the step is forced."""
    key = _find(keys, key_id)
    if key.is_revoked:
        raise StepRefused(f"key {key_id} is revoked already", "see `croupier keys list`")
    if not is_forced:
        _require_out_of_use(key, now, unused_for)
    revoked = replace(key, state=KeyState.REVOKED, revoked_at=now)
    after = tuple(revoked if one.key_id == key_id else one for one in keys)
    return Step(after, (Change(key_id, key.state, KeyState.REVOKED),), tuple(_after_revoke(key, keys, after)))


def _require_out_of_use(key: KeyFacts, now: datetime, unused_for: timedelta) -> None:
    if key.state is KeyState.CURRENT:
        raise StepRefused(
            f"key {key.key_id} is the current one",
            "promote another key first, or give --force in an emergency",
        )
    if key.state is KeyState.PUBLISHED and key.last_seen_ok is None:
        return
    quiet_since = key.last_seen_ok or key.published_at
    if quiet_since > now - unused_for:
        told = f"was used {_ago(now - quiet_since)} ago"
        if key.last_seen_ok is None:
            told = f"has been watched for {_ago(now - quiet_since)} only"
        raise StepRefused(
            f"key {key.key_id} {told}, which is less than {_ago(unused_for)}",
            "wait, name a shorter time with --unused-for, or give --force in an emergency",
        )


def _after_revoke(key: KeyFacts, before: Sequence[KeyFacts], after: Sequence[KeyFacts]) -> Iterator[str]:
    left = [one for one in _of_provider(after, key) if not one.is_revoked]
    if Direction.INBOUND in key.direction.parts:
        yield f"calls signed with {key.key_id} are refused within two seconds"
        if not any(one.is_verifying for one in left):
            yield f"{key.provider} has no key left that verifies: every call is refused with 401"
            yield f"next: `croupier keys publish {key.provider} …` with a new key"
    was, now_signs = (find_signer(list(_of_provider(keys, key))) for keys in (before, after))
    if was is not None and was.key_id == key.key_id:
        if now_signs is None:
            yield f"nothing signs our calls to {key.provider}: launches are answered 503"
            yield f"next: publish and promote an outbound key of {key.provider}"
        else:
            yield f"our calls to {key.provider} are signed with {now_signs.key_id} again"


def _of_provider(keys: Sequence[KeyFacts], like: KeyFacts) -> Iterator[KeyFacts]:
    return (key for key in keys if key.provider == like.provider)


def _find(keys: Sequence[KeyFacts], key_id: str) -> KeyFacts:
    for key in keys:
        if key.key_id == key_id:
            return key
    raise StepRefused(f"no key has the id {key_id}", "see `croupier keys list`")


def _ago(span: timedelta) -> str:
    """A span as people say it: the largest whole unit of days, hours, minutes, seconds."""
    seconds = max(0, int(span.total_seconds()))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
