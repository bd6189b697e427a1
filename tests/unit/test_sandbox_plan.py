"""The sandbox's plans: repeatable, complete, and clear about what every attack is owed."""

import msgspec
import pytest

from croupier.errors import CATALOGUE
from croupier.sandbox.attacks import Pen, Signed, forge
from croupier.sandbox.plan import (
    EVERYTHING,
    EXPECTED,
    MOST_COPIES,
    PRESETS,
    WELL_BEHAVED,
    Attack,
    Fault,
    Flow,
    Game,
    Move,
    Rates,
    RoundPlan,
    plan_round,
    plan_rounds,
)
from croupier_signing import (
    RefusalReason,
    SignatureRefused,
    SigningKey,
    parse_authorization,
    random_nonce,
    verify_native,
)

ROUNDS = 600
NOW_S = 1_750_000_000
KEY = SigningKey("sandbox-in-1", b"0123456789abcdef0123456789abcdef")
GAMES: tuple[Game, ...] = ("dice", "mines", "crash")
BET = msgspec.json.encode(
    {
        "reference": "r-1-bet",
        "amount": "100",
        "session_id": "ses_1",
        "round_id": "r-1",
        "game_id": "dice",
        "player_id": "p-1",
        "asset": "EUR",
        "occurred_at": "2026-01-01T00:00:00.000Z",
    }
)


def plans(
    rates: Rates, *, seed: str = "7", game: Game = "dice", rounds: int = ROUNDS
) -> tuple[RoundPlan, ...]:
    return plan_rounds(seed, rates, game, first_number=1, rounds=rounds)


def pen() -> Pen:
    return Pen(KEY, "/providers/sandbox/v1", NOW_S, random_nonce())


def reason_of(signed: Signed) -> RefusalReason | None:
    """Why a gateway that checks signatures refuses a request; None if it does not."""
    try:
        verify_native(
            parse_authorization(signed.authorization),
            key=KEY,
            method="POST",
            path=signed.path.encode(),
            query=b"",
            body=signed.body,
            now_s=NOW_S,
        )
    except SignatureRefused as refused:
        return refused.reason
    return None


@pytest.mark.parametrize("game", GAMES)
def test_the_same_seed_gives_the_same_plan(game: Game) -> None:
    assert plans(EVERYTHING, game=game) == plans(EVERYTHING, game=game)
    assert plans(EVERYTHING, game=game) != plans(EVERYTHING, game=game, seed="8")


def test_a_round_is_planned_alike_wherever_its_batch_begins() -> None:
    assert plan_round("7", EVERYTHING, "mines", 40) == plans(EVERYTHING, game="mines", rounds=40)[-1]


@pytest.mark.parametrize("game", GAMES)
def test_misbehaviour_changes_how_a_round_is_told_and_not_what_is_played(game: Game) -> None:
    good, bad = plans(WELL_BEHAVED, game=game), plans(EVERYTHING, game=game)
    assert [plan.choice for plan in good] == [plan.choice for plan in bad]


def test_rates_of_nothing_plan_normal_rounds_only() -> None:
    for plan in plans(WELL_BEHAVED):
        assert plan.flow is Flow.NORMAL
        assert plan.planted == ()
        assert [step.move for step in plan.steps] == [Move.BET, Move.WIN, Move.CLOSE]
        assert all(
            (step.copies, step.delay_ms, step.drops_reply, step.is_awaited) == (1, 0, False, True)
            for step in plan.steps
        )


def test_rates_of_everything_plan_every_flow_fault_and_attack() -> None:
    made = plans(EVERYTHING)
    steps = [step for plan in made for step in plan.steps]
    assert {plan.flow for plan in made} == set(Flow)
    assert {planted.kind for plan in made for planted in plan.planted} == set(Attack)
    assert {step.move for step in steps} == set(Move)
    assert {step.copies for step in steps} == set(range(1, MOST_COPIES + 1))
    assert any(step.delay_ms for step in steps)
    assert any(step.drops_reply for step in steps)
    assert {step.move for step in steps if not step.is_awaited} == {Move.BET}


@pytest.mark.parametrize("kind", [*Attack, *Fault, *(flow for flow in Flow if flow is not Flow.NORMAL)])
def test_a_rate_of_all_hits_every_round_and_leaves_the_rest_alone(kind: Attack | Fault | Flow) -> None:
    for plan in plans(msgspec.convert({kind.value: 100}, Rates), rounds=20):
        attacks = [planted.kind for planted in plan.planted]
        faults = {
            Fault.DUPLICATE: all(step.copies > 1 for step in plan.steps),
            Fault.DELAY: all(step.delay_ms > 0 for step in plan.steps),
            Fault.DROP_REPLY: all(step.drops_reply for step in plan.steps),
        }
        assert attacks == ([kind] if isinstance(kind, Attack) else [])
        assert plan.flow is (kind if isinstance(kind, Flow) else Flow.NORMAL)
        assert [fault for fault, is_planned in faults.items() if is_planned] == (
            [kind] if isinstance(kind, Fault) else []
        )


def test_rates_come_out_about_as_often_as_they_say() -> None:
    made = plans(Rates(early_rollback=20, stale=30))
    early = sum(plan.flow is Flow.EARLY_ROLLBACK for plan in made)
    stale = sum(len(plan.planted) for plan in made)
    assert 80 <= early <= 160
    assert 140 <= stale <= 220


def test_flows_of_more_than_all_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="101 percent"):
        Rates(early_rollback=60, late_rollback=41)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"stale": 101}, Rates)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"no_such_misbehaviour": 1}, Rates)


def test_crash_never_pays_in_the_step_that_bets() -> None:
    # Whoever bets on crash must not know the result.
    assert Move.BET_WIN not in {
        step.move for plan in plans(Rates(bet_win=100), game="crash", rounds=50) for step in plan.steps
    }


def test_the_presets_are_nothing_and_everything() -> None:
    assert PRESETS == {"none": WELL_BEHAVED, "everything": EVERYTHING}
    assert all(EVERYTHING.of(kind) > 0 for kind in (*Attack, *Fault))


def test_every_attack_names_a_refusal_of_the_catalogue() -> None:
    assert set(EXPECTED) == set(Attack)
    for expected in EXPECTED.values():
        assert CATALOGUE[expected.code].status == expected.status
        assert (expected.reason is not None) == (expected.status == 401)
    assert {expected.reason for expected in EXPECTED.values()} >= {"missing", "mismatch", "replayed", "stale"}
    planted = [planted for plan in plans(EVERYTHING) for planted in plan.planted]
    assert all(one.expected == EXPECTED[one.kind] for one in planted)


@pytest.mark.parametrize("kind", list(Attack))
def test_an_attack_on_the_signature_fails_for_the_reason_it_names_and_others_are_signed_well(
    kind: Attack,
) -> None:
    accepted = pen().sign("/bet", BET)
    attack = forge(kind, accepted, pen(), tag="r-1-attack")
    reason = EXPECTED[kind].reason
    # A replay is told from the original by whoever remembers nonces.
    assert reason_of(attack) == (None if reason in (None, "replayed") else reason)
    assert (attack == accepted) == (kind is Attack.REPLAYED)


def test_only_the_replay_and_the_conflict_use_a_reference_that_exists() -> None:
    for kind in Attack:
        attack = forge(kind, pen().sign("/bet", BET), pen(), tag="r-1-attack")
        is_known = b'"r-1-bet"' in attack.body
        assert is_known == (kind in (Attack.REPLAYED, Attack.CONFLICT))


def test_a_bet_win_is_attacked_as_the_bet_in_it() -> None:
    document = msgspec.json.decode(BET)
    part = {"reference": document.pop("reference"), "amount": document.pop("amount")}
    body = msgspec.json.encode({**document, "bet": part, "win": {"reference": "r-1-win", "amount": "0"}})
    attack = forge(Attack.CONFLICT, pen().sign("/bet-win", body), pen(), tag="r-1-attack")
    assert attack.path.endswith("/bet")
    assert msgspec.json.decode(attack.body) == {**msgspec.json.decode(BET), "amount": "101"}
