"""The rules of each step of a rotation (B5): what is asked, what changes, what is said to come next."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from msgspec.structs import replace

from croupier.governance.keyring import Unusable, assemble_keyring
from croupier.governance.keys import (
    Change,
    Direction,
    KeyFacts,
    KeyState,
    Step,
    StepRefused,
    decide_adopt,
    decide_promote,
    decide_publish,
    decide_revoke,
    find_signer,
)
from croupier.runtime.accounts import ADAPTERS
from croupier.runtime.key_uses import KeyCount, KeyUses
from croupier.runtime.provider_keys import find_misfit
from croupier_signing import MAX_KEYS, Key, PrivateKey, SigningKey, sign_raw_hmac, verify_raw_hmac

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SECRET = b"sixteen-bytes-or-more"


def key(key_id: str, direction: str = "inbound", state: str = "current", **facts: Any) -> KeyFacts:
    """A key that was published ten days ago."""
    long_ago = NOW - 10 * DAY
    return KeyFacts(**{
        "key_id": key_id,
        "provider": "studio",
        "direction": Direction(direction),
        "secret": f"env:{key_id.upper()}",
        "state": KeyState(state),
        "published_at": long_ago,
        "promoted_at": long_ago if state in ("current", "retiring") else None,
        "revoked_at": long_ago if state == "revoked" else None,
        "due_at": NOW + 80 * DAY,
        **facts,
    })  # fmt: skip


def states(step: Step) -> dict[str, str]:
    return {one.key_id: one.state.value for one in step.keys}


def publish(keys: Sequence[KeyFacts], new: KeyFacts, **facts: Any) -> Step:
    wanted = {"reserved": frozenset[str](), "can_sign": True, "can_verify": True, **facts}
    return decide_publish(keys, new, **wanted)


def revoke(
    keys: Sequence[KeyFacts], key_id: str, *, force: bool = False, unused_for: timedelta = DAY
) -> Step:
    return decide_revoke(keys, key_id, NOW, unused_for=unused_for, is_forced=force)


def why_not(step: Any, *arguments: Any, **facts: Any) -> str:
    with pytest.raises(StepRefused) as refused:
        step(*arguments, **facts)
    assert refused.value.fix
    return refused.value.what


def test_a_published_key_stands_beside_the_others() -> None:
    step = publish([key("old")], key("new", state="published"))
    assert states(step) == {"old": "current", "new": "published"}
    assert step.changes == (Change("new", None, KeyState.PUBLISHED),)
    assert "calls signed with new are accepted now" in step.follows[0]


@pytest.mark.parametrize("state", [state.value for state in KeyState])
def test_a_known_id_is_never_published_again(state: str) -> None:
    told = why_not(publish, [key("old", state=state)], key("old", state="published"))
    assert ("can never come back" in told) == (state == "revoked")


def test_an_id_of_the_operator_api_is_refused() -> None:
    told = why_not(publish, [], key("lobby", state="published"), reserved=frozenset({"lobby"}))
    assert "another key lobby" in told


@pytest.mark.parametrize(
    ("direction", "halves", "what"),
    [
        ("outbound", {"can_sign": False}, "cannot sign"),
        ("both", {"can_sign": False}, "cannot sign"),
        ("inbound", {"can_verify": False}, "does not verify"),
        ("both", {"can_verify": False}, "does not verify"),
    ],
)
def test_a_key_pairs_wrong_half_is_refused(direction: str, halves: dict[str, bool], what: str) -> None:
    assert what in why_not(publish, [], key("new", direction, "published"), **halves)


@pytest.mark.parametrize("direction", ["inbound", "both"])
def test_one_inbound_key_more_than_a_call_is_tried_with_is_refused(direction: str) -> None:
    keys = [key(f"in-{number}") for number in range(MAX_KEYS)]
    new = key("new", direction, "published")
    told = why_not(publish, keys, new)
    assert told == f"studio has {MAX_KEYS} inbound keys that are not revoked, and {MAX_KEYS} is the most"
    assert why_not(decide_adopt, keys, new, NOW) == told
    for makes_room in (key("in-0", state="revoked"), key("in-0", "outbound"), key("in-0", provider="other")):
        assert states(publish([makes_room, *keys[1:]], new))["new"] == "published"


def test_an_outbound_key_needs_no_room_among_the_inbound_ones() -> None:
    keys = [key(f"in-{number}") for number in range(MAX_KEYS)]
    assert states(publish(keys, key("new", "outbound", "published")))["new"] == "published"


def test_an_inbound_key_is_promoted_only_after_it_was_seen_verifying() -> None:
    keys = [key("old"), key("new", state="published")]
    assert "has been verified yet" in why_not(decide_promote, keys, "new", NOW)
    seen = [keys[0], replace(keys[1], last_seen_ok=NOW)]
    step = decide_promote(seen, "new", NOW)
    assert states(step) == {"old": "retiring", "new": "current"}
    assert step.changes[0].key_id == "new"
    assert "calls signed with old are still accepted" in step.follows


def test_an_outbound_key_is_promoted_only_after_a_process_has_read_it() -> None:
    keys = [key("old", "outbound"), key("new", "outbound", "published")]
    assert "no running process has read" in why_not(decide_promote, keys, "new", NOW)
    step = decide_promote([keys[0], replace(keys[1], last_loaded=NOW)], "new", NOW)
    signer = find_signer(step.keys)
    assert signer is not None
    assert signer.key_id == "new"


def test_a_key_that_a_running_process_cannot_read_is_not_promoted() -> None:
    facts: dict[str, Any] = {
        "last_seen_ok": NOW,
        "unusable_because": "the environment variable NEW is not set",
    }
    failing = key("new", state="published", last_unusable=NOW - timedelta(seconds=10), **facts)
    assert "NEW is not set" in why_not(decide_promote, [failing], "new", NOW)
    mended = replace(failing, last_unusable=NOW - timedelta(minutes=1))
    assert states(decide_promote([mended], "new", NOW)) == {"new": "current"}


@pytest.mark.parametrize("state", ["current", "revoked"])
def test_what_is_current_or_revoked_is_not_promoted(state: str) -> None:
    assert f"is {state}" in why_not(decide_promote, [key("old", state=state, last_seen_ok=NOW)], "old", NOW)


def test_a_retiring_key_may_be_promoted_again() -> None:
    later = NOW - DAY
    keys = [key("old", state="retiring", last_seen_ok=NOW), key("new", promoted_at=later)]
    assert states(decide_promote(keys, "old", NOW)) == {"old": "current", "new": "retiring"}


def test_a_key_for_both_directions_retires_when_both_have_a_later_one() -> None:
    keys = [key("shared", "both"), key("in", state="published", last_seen_ok=NOW)]
    keys.append(key("out", "outbound", "published", last_loaded=NOW))
    first = decide_promote(keys, "in", NOW)
    assert states(first)["shared"] == "current", "it signs still"
    signer = find_signer(first.keys)
    assert signer is not None
    assert signer.key_id == "shared"
    second = decide_promote(first.keys, "out", NOW + DAY)
    assert states(second) == {"shared": "retiring", "in": "current", "out": "current"}


def test_other_providers_keys_are_left_alone() -> None:
    keys = [key("theirs", provider="other"), key("new", state="published", last_seen_ok=NOW)]
    assert states(decide_promote(keys, "new", NOW))["theirs"] == "current"


def test_the_current_key_is_revoked_only_by_force() -> None:
    keys = [key("only", last_seen_ok=NOW - timedelta(minutes=5))]
    assert "is the current one" in why_not(revoke, keys, "only")
    step = revoke(keys, "only", force=True)
    assert states(step) == {"only": "revoked"}
    assert "studio has no key left that verifies: every call is refused with 401" in step.follows


@pytest.mark.parametrize(("hours", "is_allowed"), [(23, False), (25, True)])
def test_a_retiring_key_is_revoked_when_it_was_unused_for_the_stated_time(
    hours: int, is_allowed: bool
) -> None:
    keys = [key("new"), key("old", state="retiring", last_seen_ok=NOW - timedelta(hours=hours))]
    if is_allowed:
        assert states(revoke(keys, "old")) == {"new": "current", "old": "revoked"}
        return
    assert why_not(revoke, keys, "old") == "key old was used 23 h ago, which is less than 24 h"
    assert states(revoke(keys, "old", unused_for=timedelta(hours=22)))["old"] == "revoked"
    assert states(revoke(keys, "old", force=True))["old"] == "revoked"


def test_a_key_that_was_not_watched_for_the_stated_time_is_not_called_unused() -> None:
    young = key("old", state="retiring", published_at=NOW - timedelta(hours=3))
    assert "has been watched for 3 h only" in why_not(revoke, [key("new"), young], "old")


def test_a_mistaken_publication_is_taken_back_at_once() -> None:
    keys = [key("old"), key("typo", state="published", published_at=NOW)]
    assert states(revoke(keys, "typo"))["typo"] == "revoked"


def test_after_the_signer_is_revoked_the_one_before_it_signs_again() -> None:
    keys = [key("old", "outbound", "retiring"), key("new", "outbound", promoted_at=NOW - DAY)]
    step = revoke(keys, "new", force=True)
    assert step.follows == ("our calls to studio are signed with old again",)
    last = revoke(step.keys, "old", force=True)
    assert "nothing signs our calls to studio: launches are answered 503" in last.follows


def test_a_step_about_an_unknown_or_revoked_key_is_refused() -> None:
    assert why_not(revoke, [], "gone") == "no key has the id gone"
    assert why_not(decide_promote, [], "gone", NOW) == "no key has the id gone"
    assert "revoked already" in why_not(revoke, [key("old", state="revoked")], "old", force=True)


def test_keys_of_the_file_are_current_where_there_is_none_yet() -> None:
    keys: tuple[KeyFacts, ...] = ()
    wanted = [("in-1", "inbound"), ("in-2", "inbound"), ("out-1", "outbound"), ("both-1", "both")]
    for name, direction in wanted:
        keys = decide_adopt(keys, key(name, direction, "published"), NOW).keys
    assert {one.key_id: one.state.value for one in keys} == {
        "in-1": "current",
        "in-2": "published",
        "out-1": "current",
        "both-1": "published",
    }


def test_a_keyring_holds_what_is_not_revoked_and_readable_the_current_ones_first() -> None:
    facts = [
        key("retiring", state="retiring"),
        key("published", state="published"),
        key("current"),
        key("revoked", state="revoked"),
        key("unreadable"),
        key("out", "outbound"),
    ]
    held = {one.key_id: SigningKey(one.key_id, SECRET) for one in facts if one.key_id != "unreadable"}
    keyring = assemble_keyring(facts, held, [Unusable("unreadable", "studio", "it is not set")])
    assert [one.id for one in keyring.of("studio").inbound] == ["current", "published", "retiring"]
    assert keyring.of("studio").outbound == held["out"]
    assert keyring.of("nobody").inbound == ()


def test_of_too_many_inbound_keys_the_current_and_the_newest_are_handed_out_and_the_rest_is_logged() -> None:
    facts = [key("current")]
    facts += [
        key(f"in-{number}", state="published", published_at=NOW - number * timedelta(hours=1))
        for number in range(MAX_KEYS + 1)
    ]
    held = {one.key_id: SigningKey(one.key_id, SECRET) for one in facts}
    with structlog.testing.capture_logs() as logs:
        inbound = assemble_keyring(facts, held).of("studio").inbound
    assert [one.id for one in inbound] == ["current", *(f"in-{number}" for number in range(MAX_KEYS - 1))]
    assert [(one["event"], one["provider"], one["key_ids"]) for one in logs] == [
        ("inbound_keys_left_out", "studio", [f"in-{MAX_KEYS - 1}", f"in-{MAX_KEYS}"])
    ]
    shared = [one for one in inbound if isinstance(one, SigningKey)]
    signature = sign_raw_hmac(held["current"], b"body").encode()
    assert verify_raw_hmac(shared, b"body", signature) == "current", "the verifier takes so many"


def test_a_signer_that_cannot_be_read_here_leaves_the_one_before_it() -> None:
    facts = [key("old", "outbound", "retiring"), key("new", "outbound", promoted_at=NOW)]
    held = {"old": SigningKey("old", SECRET)}
    assert assemble_keyring(facts, held).of("studio").outbound == held["old"]


def test_no_keyring_shows_a_secret() -> None:
    keyring = assemble_keyring([key("only")], {"only": SigningKey("only", SECRET)})
    assert SECRET.decode() not in repr(keyring)


@pytest.mark.parametrize(
    ("protocol", "direction", "half", "fits"),
    [
        ("croupier_v1", "inbound", "secret", True),
        ("croupier_v1", "inbound", "public", True),
        ("croupier_v1", "outbound", "secret", True),
        ("croupier_v1", "outbound", "private", False),
        ("croupier_v1", "both", "public", False),
        # A public key that the verifier would ignore looks usable and gets every call 401.
        ("softswiss_v2", "inbound", "public", False),
        ("softswiss_v2", "inbound", "secret", True),
        ("slotegrator_gis_v1", "inbound", "public", False),
        ("swipegames_v1", "inbound", "public", False),
        ("evolution_v1", "inbound", "public", False),
        ("croupier_v1", "inbound", "public of Ed25519", True),
        ("hub88_v1", "inbound", "public of Ed25519", False),
        ("hub88_v1", "outbound", "private of Ed25519", False),
        ("hub88_v1", "inbound", "public", True),
        ("hub88_v1", "inbound", "secret", False),
        ("hub88_v1", "outbound", "private", True),
        ("hub88_v1", "outbound", "secret", False),
        ("hub88_v1", "both", "private", False),
    ],
)
def test_a_protocol_says_which_kind_of_key_it_can_use(
    protocol: str, direction: str, half: str, fits: bool
) -> None:
    material = PrivateKey("pair", rsa.generate_private_key(65537, 2048))
    other = PrivateKey("pair", ed25519.Ed25519PrivateKey.generate())
    halves: dict[str, Key] = {
        "secret": SigningKey("pair", SECRET),
        "public": material.public,
        "private": material,
        "public of Ed25519": other.public,
        "private of Ed25519": other,
    }
    told = find_misfit(ADAPTERS[protocol].manifest, Direction(direction), halves[half])
    assert (told is None) == fits
    assert fits or f"{protocol} wants another kind of" in str(told)


def test_uses_are_added_up_and_taken_once() -> None:
    told: list[KeyCount] = []
    uses = KeyUses(told.append)
    for _ in range(3):
        uses.note("studio", "a", "verified", NOW)
    uses.note("studio", "a", "refused", NOW + DAY)
    (use,) = uses.take()
    assert (use.ok, use.refused, use.last_seen_ok, use.last_seen_refused) == (3, 1, NOW, NOW + DAY)
    assert {(one.result, one.count) for one in told} == {("verified", 3), ("refused", 1)}
    assert uses.take() == []
