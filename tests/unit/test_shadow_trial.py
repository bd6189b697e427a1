"""One call tried with a candidate: what is the same, what differs, and how it is told (J2)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import structs

from croupier.errors import MALFORMED, UNAVAILABLE, CroupierError
from croupier.moneypath.outcomes import INSUFFICIENT_FUNDS, Outcome
from croupier.providers.adapters.evolution_v1 import ADAPTER as EVOLUTION
from croupier.providers.adapters.softswiss_v2 import ADAPTER as VERSION_2
from croupier.providers.candidates.planted import (
    END_NOT_READ,
    POOR_IS_LIMITED,
    ROLLBACK_OF_ITSELF,
    WIN_CONVERTED_TWICE,
    Planted,
)
from croupier.providers.candidates.softswiss_v3 import ADAPTER as VERSION_3
from croupier.providers.contract import Adapter, Context, Decoded, DecodeRefused, Failure, Reply
from croupier.providers.shadow.tally import Kind
from croupier.providers.shadow.trial import Result
from croupier.providers.verification import Verified
from croupier_signing import SigningKey, sign_raw_hmac
from unit.adapters import evolution_calls, softswiss_v2_calls
from unit.adapters.softswiss_v2_calls import BALANCE, BEEXAR, BODIES, betwin, prize, stake, to_bytes
from unit.shadow_stand import Stand, kinds_of


class Changed:
    """Version 2 with single functions replaced: `unknown attribute` is version 2's own."""

    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    def __getattr__(self, name: str) -> Any:
        return self._changes.get(name) or getattr(VERSION_2, name)


def changed(**changes: Any) -> Adapter:
    candidate: Any = Changed(**changes)
    return candidate  # type: ignore[no-any-return]


@pytest.fixture
def stand() -> Stand:
    return Stand(softswiss_v2_calls.ACCOUNT, VERSION_2)


async def send(stand: Stand, path: str, body: dict[str, Any] | bytes) -> int:
    data = to_bytes(body)
    return await stand.send(path, data, {"x-request-sign": sign_raw_hmac(BEEXAR, data)})


async def found(stand: Stand, path: str, body: dict[str, Any] | bytes, candidate: Adapter) -> set[Kind]:
    await send(stand, path, body)
    return kinds_of(path.removeprefix("/"), stand.try_with(candidate))


def kinds(*planted: Planted) -> set[Kind]:
    return {Kind(one.operation, one.path, one.live, one.candidate) for one in planted}


@pytest.mark.parametrize("path", BODIES)
async def test_the_live_adapter_itself_is_the_same_in_every_operation(stand: Stand, path: str) -> None:
    assert await send(stand, path, BODIES[path]) == 200
    assert stand.try_with(VERSION_2).result is Result.SAME


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/betwin", betwin(stake(amount="1e3")), 400),
        ("/betwin", BODIES["/betwin"] | {"session_id": "no-uuid"}, 400),
        ("/betwin", b"no json", 400),
        ("/finish", BODIES["/betwin"], 400),
    ],
)
async def test_what_both_refuse_for_the_same_reason_is_the_same(
    stand: Stand, path: str, body: dict[str, Any] | bytes, status: int
) -> None:
    assert await send(stand, path, body) == status
    assert stand.try_with(VERSION_2).result is Result.SAME
    assert stand.try_with(VERSION_3).result is Result.SAME


@pytest.mark.parametrize("error", [CroupierError(UNAVAILABLE, "later", retry_after_s=1), ValueError("odd")])
async def test_an_error_behind_the_adapter_is_answered_by_both(stand: Stand, error: Exception) -> None:
    stand.error = error
    assert await send(stand, "/betwin", betwin(stake())) == 500
    assert stand.try_with(VERSION_2).result is Result.SAME


async def test_every_planted_fault_is_told_as_planted(stand: Stand) -> None:
    assert await found(stand, "/betwin", betwin(stake(), prize()), VERSION_3) == kinds(WIN_CONVERTED_TWICE)
    assert await found(stand, "/betwin", betwin(stake(), finished=True), VERSION_3) == kinds(END_NOT_READ)
    assert await found(stand, "/rollback", BODIES["/rollback"], VERSION_3) == kinds(ROLLBACK_OF_ITSELF)
    assert await found(stand, "/finish", BODIES["/finish"], VERSION_3) == set()
    stand.decline = INSUFFICIENT_FUNDS
    assert await found(stand, "/betwin", betwin(stake()), VERSION_3) == kinds(POOR_IS_LIMITED)


async def test_a_long_batch_makes_version_3_raise_and_nothing_here_hides_it(stand: Stand) -> None:
    assert await send(stand, "/betwin", betwin(*(stake(f"bet-{n}") for n in range(4)))) == 200
    with pytest.raises(IndexError):
        stand.try_with(VERSION_3)


async def test_amounts_beyond_every_machine_number_travel_exactly(stand: Stand) -> None:
    body = betwin(stake(amount="123456789012345678.000000000000000001"[:40])) | {"currency": "ETH"}
    body["transactions"][0]["amount"] = "1234567890123456789.0123456789"
    assert await send(stand, "/betwin", body) == 200
    assert stand.sample("softswiss_v2").actions[0][1]["amount"] == 12345678901234567890123456789 * 10**8
    assert stand.try_with(VERSION_2).result is Result.SAME


def decode_with(change: Any) -> Any:
    def decode(verified: Verified, context: Context) -> Decoded:
        decoded = VERSION_2.decode(verified, context)
        assert isinstance(decoded, Decoded)
        return change(decoded)  # type: ignore[no-any-return]

    return decode


CHANGES: list[tuple[Any, set[Kind]]] = [
    (lambda d: structs.replace(d, player_id="other"), {Kind("betwin", "player_id", "text", "other text")}),
    (lambda d: structs.replace(d, token_hash="x"), {Kind("betwin", "token_hash", "none", "text")}),
    (
        lambda d: structs.replace(d, actions=(structs.replace(d.actions[0], amount=-356), d.actions[1])),
        {Kind("betwin", "actions[bet].amount", "number", "number with the other sign")},
    ),
    (
        lambda d: structs.replace(d, actions=(structs.replace(d.actions[0], amount=1), d.actions[1])),
        {Kind("betwin", "actions[bet].amount", "number", "other number")},
    ),
    (
        lambda d: structs.replace(d, actions=(structs.replace(d.actions[0], session_id=None), d.actions[1])),
        {Kind("betwin", "actions[bet].session_id", "text", "none")},
    ),
    (
        lambda d: structs.replace(d, actions=(d.actions[0], structs.replace(d.actions[1], kind="promo"))),
        {Kind("betwin", "actions[win].kind", "win", "promo")},
    ),
    (
        lambda d: structs.replace(d, actions=d.actions[::-1]),
        {Kind("betwin", "actions.order", "as sent", "another")},
    ),
    (
        lambda d: structs.replace(d, actions=(*d.actions, d.actions[0])),
        {Kind("betwin", "actions[bet]", "absent", "present")},
    ),
]


@pytest.mark.parametrize(("change", "kinds"), CHANGES)
async def test_a_change_of_any_effect_is_one_kind_of_difference(
    stand: Stand, change: Any, kinds: set[Kind]
) -> None:
    candidate = changed(decode=decode_with(change))
    assert await found(stand, "/betwin", betwin(stake(), prize()), candidate) == kinds


async def test_rules_about_money_are_compared_with_every_call(stand: Stand) -> None:
    manifest = structs.replace(VERSION_2.manifest, undoes_rollbacks=True)
    expected = {Kind("balance", "rules.undoes_rollbacks", "false", "true")}
    assert await found(stand, "/balance", BALANCE, changed(manifest=manifest)) == expected


def answering(status: int, body: bytes) -> Any:
    def encode(decoded: Decoded, outcomes: tuple[Outcome, ...], context: Context) -> Reply:
        return Reply(status, body, ())

    return encode


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b'{"balance": "7.00"}', set()),
        (201, b'{"balance": "7.00"}', {Kind("balance", "answer.status", "200", "201")}),
        (200, b'{"balance": 7}', {Kind("balance", "answer.balance", "decimal", "number")}),
        (200, b'{"balance": "8.00"}', {Kind("balance", "answer.balance", "decimal", "other decimal")}),
        (200, b"{}", {Kind("balance", "answer.balance", "decimal", "absent")}),
        (200, b'{"balance": "7.00", "x": []}', {Kind("balance", "answer.x", "absent", "list")}),
        (200, b'{"balance": "7.00", "msg": "for people"}', set()),
        (200, b"7.00 euros", {Kind("balance", "answer.body", "text", "other text")}),
    ],
)
async def test_answers_are_compared_as_documents(
    stand: Stand, status: int, body: bytes, expected: set[Kind]
) -> None:
    assert await found(stand, "/balance", BALANCE, changed(encode=answering(status, body))) == expected


async def test_a_candidate_that_refuses_what_was_taken_and_the_other_way_round(stand: Stand) -> None:
    def refuse(verified: Verified, context: Context) -> Decoded:
        raise DecodeRefused(CroupierError(MALFORMED, "no"), None)

    await send(stand, "/balance", BALANCE)
    trial = stand.try_with(changed(decode=refuse))
    assert trial.result is Result.REFUSED
    assert kinds_of("balance", trial) == {Kind("balance", "decision", "decoded", "malformed")}

    take = decode_with(lambda decoded: decoded)
    await send(stand, "/betwin", BODIES["/betwin"] | {"currency": "XXY"})
    trial = stand.try_with(
        changed(decode=lambda verified, context: take(*softswiss_v2_calls.verified(BALANCE, "/balance")))
    )
    assert trial.result is Result.DIFFERENT
    assert kinds_of("betwin", trial) == {Kind("betwin", "decision", "unknown_asset", "decoded")}

    trial = stand.try_with(changed(decode=refuse))
    assert kinds_of("betwin", trial) == {Kind("betwin", "decision", "unknown_asset", "malformed")}


async def test_a_candidate_that_cannot_verify_the_call_refuses_it(stand: Stand) -> None:
    other = structs.replace(stand.account, inbound_keys={BEEXAR.id: SigningKey(BEEXAR.id, bytes(32))})
    await send(stand, "/balance", BALANCE)
    stand.account = other
    assert stand.try_with(VERSION_2).result is Result.REFUSED


async def test_a_call_whose_key_the_shadow_does_not_have_is_skipped(stand: Stand) -> None:
    await send(stand, "/balance", BALANCE)
    stand.account = structs.replace(stand.account, inbound_keys={})
    assert stand.try_with(VERSION_2).result is Result.SKIPPED


async def test_what_nobody_proved_is_never_handed_over(stand: Stand) -> None:
    assert await stand.send("/balance", to_bytes(BALANCE), {"x-request-sign": "0" * 64}) == 400
    assert await stand.send("/balance", to_bytes(BALANCE), {}) == 400
    assert await send(stand, "/nowhere", BALANCE) == 400
    assert stand.calls == []


async def test_examples_show_ids_and_amounts_and_no_token(stand: Stand) -> None:
    leaky = changed(encode=answering(200, b'{"balance": "8.00", "token": "s3cret-token-of-a-session"}'))
    await send(stand, "/balance", BALANCE)
    text = json.dumps([(one.shown_live, one.shown_candidate) for one in stand.try_with(leaky).differences])
    assert "8.00" in text
    assert "s3cret" not in text


async def test_a_protocol_that_sends_its_key_is_tried_without_the_key_on_the_way() -> None:
    stand = Stand(evolution_calls.ACCOUNT, EVOLUTION)
    query = b"authToken=" + evolution_calls.AUTH.secret
    for path, body in evolution_calls.BODIES.items():
        await stand.send(path, evolution_calls.to_bytes(body), {}, query)
        assert b"static-token" not in stand.sample("evolution_v1").query
        assert stand.try_with(EVOLUTION).result is Result.SAME, path
    assert len(stand.calls) == len(evolution_calls.BODIES)


def test_a_failure_is_told_by_both_in_the_same_way() -> None:
    failure = Failure(
        error=CroupierError(MALFORMED, "x"), correlation_id="c", account=softswiss_v2_calls.ACCOUNT
    )
    assert VERSION_3.encode_failure(failure) == VERSION_2.encode_failure(failure)
