"""The sandbox's plans: repeatable, complete, and clear about what every attack is owed."""

import msgspec
import pytest

from croupier.errors import CATALOGUE
from croupier.sandbox.attacks import forge
from croupier.sandbox.calls import Round, Seat
from croupier.sandbox.plan import (
    AFTER_BET,
    EVERY_MOVE,
    EVERYTHING,
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
    in_turn,
    plan_round,
    plan_rounds,
)
from croupier.sandbox.protocols.native import OWED, NativeWire
from croupier.sandbox.wire import Account, Signed, Stamp
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
WIRE = NativeWire(Account("sandbox", "croupier_v1", "http://127.0.0.1:1/providers/sandbox", KEY, (KEY,)))
SEAT = Seat("ses_1", "p-1", "dice", "dice", "EUR")
ROUND = Round(SEAT, "r-1", "r-1", 100, "2026-01-01T00:00:00.000Z")
BET = WIRE.render_call(ROUND, Move.BET)


def plans(
    rates: Rates, *, seed: str = "7", game: Game = "dice", rounds: int = ROUNDS
) -> tuple[RoundPlan, ...]:
    return plan_rounds(seed, rates, game, first_number=1, rounds=rounds)


def stamp() -> Stamp:
    return Stamp(NOW_S, random_nonce())


def attack_of(kind: Attack, accepted: Signed) -> Signed:
    return forge(kind, WIRE, ROUND, accepted, stamp(), tag="r-1-attack")


def reason_of(signed: Signed) -> RefusalReason | None:
    """Why a gateway that checks signatures refuses a request; None if it does not."""
    try:
        verify_native(
            parse_authorization(signed.header("Authorization")),
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
    assert {kind for plan in made for kind in plan.planted} == set(Attack)
    assert {step.move for step in steps} == set(Move) - {Move.ROLLBACK_SETTLED}
    assert {step.copies for step in steps} == set(range(1, MOST_COPIES + 1))
    assert any(step.delay_ms for step in steps)
    assert any(step.drops_reply for step in steps)
    assert {step.move for step in steps if not step.is_awaited} == {Move.BET}


@pytest.mark.parametrize("kind", [*Attack, *Fault, *(flow for flow in Flow if flow is not Flow.NORMAL)])
def test_a_rate_of_all_hits_every_round_and_leaves_the_rest_alone(kind: Attack | Fault | Flow) -> None:
    for plan in plans(msgspec.convert({kind.value: 100}, Rates), rounds=20):
        attacks = list(plan.planted)
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


def test_what_webhooks_tell_changes_no_call_of_a_round() -> None:
    told = msgspec.structs.replace(EVERYTHING, jackpot=0, echo=0)
    for quiet, loud in zip(plans(told), plans(EVERYTHING), strict=True):
        called = [
            msgspec.structs.replace(step, is_echoed=False)
            for step in loud.steps
            if step.move is not Move.JACKPOT
        ]
        assert (quiet.flow, quiet.planted, list(quiet.steps)) == (loud.flow, loud.planted, called)
        assert (quiet.feeds_jackpot, loud.feeds_jackpot) == (False, True)


def test_what_follows_a_bet_is_echoed_as_often_as_asked_and_a_bet_or_win_never() -> None:
    rates = Rates(late_rollback=30, echo=100)
    for step in (step for plan in plans(rates, rounds=50) for step in plan.steps):
        assert step.is_echoed == (step.move in AFTER_BET)


def test_a_jackpot_is_won_in_rounds_that_stand_and_lets_a_win_overtake_its_bet() -> None:
    rates = Rates(early_rollback=20, late_rollback=20, win_before_bet=20, jackpot=100)
    for plan in plans(rates):
        moves = [step.move for step in plan.steps]
        stands = plan.flow not in (Flow.EARLY_ROLLBACK, Flow.LATE_ROLLBACK)
        assert moves.count(Move.JACKPOT) == stands
        assert Move.JACKPOT not in moves[:2]
    ends = {plan.steps[-1].move for plan in plans(Rates(jackpot=100))}
    assert ends == {Move.JACKPOT, Move.CLOSE}


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


def test_a_protocol_without_a_flow_plays_normally_and_plans_only_attacks_it_has() -> None:
    rates = Rates(bet_win=100, stale=100, conflict=100)
    few = {Flow.NORMAL: EVERY_MOVE[Flow.NORMAL]}
    plan = plan_round("7", rates, "dice", 1, choreography=few, attacks={Attack.STALE})
    assert (plan.flow, plan.planted) == (Flow.NORMAL, (Attack.STALE,))


def test_rounds_take_turns_between_the_scores_of_a_flow() -> None:
    scores = {Flow.NORMAL: (in_turn(Move.BET), in_turn(Move.BET, Move.WIN))}
    made = [plan_round("7", WELL_BEHAVED, "dice", number, choreography=scores) for number in (1, 2, 3)]
    assert [len(plan.steps) for plan in made] == [2, 1, 2]


def test_every_attack_names_a_refusal_of_the_catalogue() -> None:
    assert set(OWED) == set(Attack)
    for (expected,) in OWED.values():
        assert expected.code is not None
        assert CATALOGUE[expected.code].status == expected.status
        assert (expected.reason is not None) == (expected.status == 401)
    reasons = {expected.reason for (expected,) in OWED.values()}
    assert reasons >= {"missing", "mismatch", "replayed", "stale"}


@pytest.mark.parametrize("kind", list(Attack))
def test_an_attack_on_the_signature_fails_for_the_reason_it_names_and_others_are_signed_well(
    kind: Attack,
) -> None:
    accepted = WIRE.sign(BET, stamp())
    attack = attack_of(kind, accepted)
    reason = OWED[kind][0].reason
    # A replay is told from the original by whoever remembers nonces.
    assert reason_of(attack) == (None if reason in (None, "replayed") else reason)
    assert (attack == accepted) == (kind is Attack.REPLAYED)


def test_only_the_replay_and_the_conflict_use_a_reference_that_exists() -> None:
    for kind in Attack:
        is_known = b'"r-1-bet"' in attack_of(kind, WIRE.sign(BET, stamp())).body
        assert is_known == (kind in (Attack.REPLAYED, Attack.CONFLICT))


def test_a_conflict_and_a_fraction_differ_from_the_bet_in_its_amount_only() -> None:
    accepted, bet = WIRE.sign(BET, stamp()), msgspec.json.decode(BET.body)
    assert msgspec.json.decode(attack_of(Attack.CONFLICT, accepted).body) == {**bet, "amount": "101"}
    fraction = msgspec.json.decode(attack_of(Attack.FLOAT_AMOUNT, accepted).body)
    assert fraction == {**bet, "reference": "r-1-attack-bet", "amount": 100.5}
    assert attack_of(Attack.CONFLICT, accepted).path.endswith("/bet")
