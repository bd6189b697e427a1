"""Wins of every kind. A credit is paid whatever the state of session and round; refusing one is finance's business."""

from __future__ import annotations

from typing import Final

from msgspec import structs

from croupier.errors import SESSION_MISMATCH, TARGET_ROLLED_BACK, UNKNOWN_TARGET, CroupierError
from croupier.moneypath.commands import Call, Win, WinKind
from croupier.moneypath.decide.binding import find_session, require_player
from croupier.moneypath.decide.bounds import exceeds_digits
from croupier.moneypath.decide.history import Happening, change_round, record, round_of
from croupier.moneypath.decide.notice import confirm, find_payer, noticed_of, untied
from croupier.moneypath.decide.repeat import decide_known
from croupier.moneypath.decide.seat import find_credit_seat, require_own_token
from croupier.moneypath.decide.verdict import (
    Subject,
    Verdict,
    approved,
    decline,
    entry_for,
    refuse,
    refused_credit,
    render_reference,
)
from croupier.moneypath.decide.wallet import Movement, deliver
from croupier.moneypath.facts import Effects, Entry, Facts, Stamp
from croupier.moneypath.outcomes import ALREADY_PAID, DECLINED, LIMIT_REACHED, TOMBSTONE, TOMBSTONED
from croupier.play.round import Round, RoundChange, RoundState
from croupier.play.session import OPEN_FOR_PLAY, Change, Session, State, is_open_for_play
from croupier.wallet.accounts import Leg, wallet_of
from croupier.wallet.calls import WalletCall
from croupier.wallet.entries import Purse, Terms, plan_jackpot_win, plan_promo_win, plan_win
from croupier.wallet.port import Operation

ACTIONS: Final = {WinKind.WIN: "win", WinKind.JACKPOT: "jackpot_win", WinKind.PROMO: "promo_win"}


def decide_win(facts: Facts, call: Call, win: Win, stamp: Stamp) -> Verdict:
    """Pay a win, once."""
    subject = _subject(win)
    known = decide_known(facts, call, subject, stamp)
    if known is not None:
        noticed = confirm(facts, call, win, subject)
        if noticed is not None:
            return structs.replace(known, effects=Effects(noticed=noticed))
        return _close_all_the_same(facts, call, win, known, stamp)
    session = (
        require_own_token(facts, call) or _judge_target(facts, call, win) or _bind(facts, call, win, stamp)
    )
    if isinstance(session, CroupierError):
        explanation = f"a {subject.action} was refused: {session.kind.code}"
        refused = refused_credit(call, stamp, subject, code=session.kind.code, explanation=explanation)
        return refuse(session, (refused,))
    if session is not None and win.session_id is None:
        win = structs.replace(win, session_id=session.id)
        subject = _subject(win)
    payer = find_payer(facts, call, win, subject)
    if payer is not None and session is not None:
        return _leave_paid(facts, call, win, subject, session, stamp, payer=payer)
    balance = facts.balance(wallet_of(win.player_id, win.asset))
    legs = _legs(call, win, session)
    if exceeds_digits(facts, legs, bucket=call.bucket, session=session):
        explanation = "a balance would exceed 38 digits"
        refused = refused_credit(call, stamp, subject, code=LIMIT_REACHED, explanation=explanation)
        return decline(call, subject, stamp, code=LIMIT_REACHED, balance=balance, breaks=(refused,))
    entry = entry_for(call, subject, legs, stamp, occurred_at=win.occurred_at)
    return _approve(facts, call, win, subject, session, entry, stamp)


def _close_all_the_same(facts: Facts, call: Call, win: Win, known: Verdict, stamp: Stamp) -> Verdict:
    """A win that its rollback overtook pays nothing, yet its round is over as if it had come first (I7)."""
    if not win.close_round or win.round_id is None or known.effects is None or known.effects.claim is None:
        return known
    session = _bind(facts, call, win, stamp)
    if not isinstance(session, Session):
        return known
    round_, change, held = change_round(facts, session, win.round_id, RoundChange(is_close=True), stamp)
    happening = Happening(
        cause="close_round",
        occurred_at=win.occurred_at,
        reference=win.reference,
        code=TOMBSTONED,
        round_id=win.round_id,
        change=Change(rounds_open=held, round=change),
    )
    effects = record(call, session, happening, stamp, round_=round_, breaks=known.effects.breaks)
    return Verdict(outcome=known.outcome, effects=structs.replace(effects, claim=known.effects.claim))


def _leave_paid(
    facts: Facts, call: Call, win: Win, subject: Subject, session: Session, stamp: Stamp, *, payer: str
) -> Verdict:
    """The fact was paid under another reference: nothing moves and a person looks at it.

    A notice's own reference stays free, because its callback may still come and is then a win of its own; a
    callback's is used up, because the notice that paid was the same fact. That notice stands for no other callback.
    """
    balance = facts.balance(wallet_of(win.player_id, win.asset))
    outcome = approved(call, subject, code=ALREADY_PAID, balance=balance, asset=win.asset)
    breaks = (untied(call, subject, stamp, payer=payer),)
    reference, noticed = None, None
    if call.notice is None:
        reference = render_reference(call, subject, outcome, stamp)
        noticed = noticed_of(call, subject, payer=payer, callback=win.reference)
    before = None if win.round_id is None else round_of(facts, session, win.round_id)
    if (
        not win.close_round
        or win.round_id is None
        or (before is not None and before.state != RoundState.OPEN)
    ):
        effects = Effects(reference=reference, breaks=breaks, noticed=noticed)
        return Verdict(outcome=outcome, effects=effects)
    round_, change, held = change_round(facts, session, win.round_id, RoundChange(is_close=True), stamp)
    happening = Happening(
        cause="close_round",
        occurred_at=win.occurred_at,
        reference=win.reference,
        code=ALREADY_PAID,
        round_id=win.round_id,
        change=Change(rounds_open=held, round=change),
    )
    effects = record(call, session, happening, stamp, round_=round_, reference=reference, breaks=breaks)
    return Verdict(outcome=outcome, effects=structs.replace(effects, noticed=noticed))


def _subject(win: Win) -> Subject:
    return Subject(
        action=ACTIONS[win.kind],
        reference=win.reference,
        player_id=win.player_id,
        target_reference=win.target_reference,
        asset=win.asset,
        amount=win.amount,
        session_id=win.session_id,
        provider_round_id=win.round_id,
        game_id=win.game_id,
    )


def _judge_target(facts: Facts, call: Call, win: Win) -> CroupierError | None:
    """Whether the bet that must stand behind this win does; None when it does, or when the protocol does not ask."""
    if not win.needs_target or win.target_reference is None:
        return None
    bet = facts.references.get((call.provider, win.target_reference))
    if bet is not None and (bet.status == TOMBSTONE or bet.rolled_back_by is not None):
        return CroupierError(
            TARGET_ROLLED_BACK, "the bet of this win was rolled back", field="target_reference"
        )
    if bet is None or bet.status == DECLINED:
        return CroupierError(UNKNOWN_TARGET, "the bet of this win was never taken", field="target_reference")
    if bet.player_id != win.player_id or bet.asset != win.asset:
        return CroupierError(
            SESSION_MISMATCH, "the bet of this win is another player's or asset's", field="target_reference"
        )
    return None


def _bind(facts: Facts, call: Call, win: Win, stamp: Stamp) -> Session | CroupierError | None:
    session_id, game_id = win.session_id, None if call.rules.game_may_change else win.game_id
    if session_id is None and win.contract is not None:
        return require_player(facts, win.player_id)
    if session_id is None:
        seat = require_player(facts, win.player_id) or find_credit_seat(
            facts, call, stamp, asset=win.asset, round_id=win.round_id, target=win.target_reference
        )
        if isinstance(seat, CroupierError):
            return seat
        session_id, game_id = seat, None
    return find_session(facts, call, session_id, player_id=win.player_id, asset=win.asset, game_id=game_id)


def _legs(call: Call, win: Win, session: Session | None) -> tuple[Leg, ...]:
    purse = Purse(win.player_id, win.asset, call.provider, win.session_id)
    if win.kind is WinKind.WIN:
        return plan_win(purse, win.amount)
    contract = session or win.contract
    assert contract is not None, "a win without session carries its contract"  # noqa: S101 (narrowing)
    terms = Terms(contract.jackpot_pool, contract.promo_source)
    plan = plan_jackpot_win if win.kind is WinKind.JACKPOT else plan_promo_win
    return plan(purse, win.amount, terms)


def _approve(
    facts: Facts,
    call: Call,
    win: Win,
    subject: Subject,
    session: Session | None,
    entry: Entry | None,
    stamp: Stamp,
) -> Verdict:
    outcome = approved(
        call,
        subject,
        journal_id=None if entry is None else entry.id,
        balance=facts.balance(wallet_of(win.player_id, win.asset)) + win.amount,
        asset=win.asset,
        moved=win.amount,
    )
    reference = render_reference(call, subject, outcome, stamp)
    delivered = () if entry is None else _deliver(facts, call, win, subject, stamp)
    if session is None:
        entries = () if entry is None else (entry,)
        effects = Effects(reference=reference, entries=entries, wallet_calls=delivered)
        return Verdict(outcome=outcome, effects=effects)
    happening, round_ = _happening(facts, win, session, entry, stamp)
    effects = record(call, session, happening, stamp, round_=round_, reference=reference, entry=entry)
    if delivered:
        effects = structs.replace(effects, wallet_calls=delivered)
    if call.notice is not None:
        effects = structs.replace(effects, noticed=noticed_of(call, subject))
    return Verdict(outcome=outcome, effects=effects)


def _deliver(facts: Facts, call: Call, win: Win, subject: Subject, stamp: Stamp) -> tuple[WalletCall, ...]:
    movement = Movement(operation=Operation.CREDIT, amount=win.amount, kind=subject.action)
    return tuple(
        structs.replace(made, occurred_at=win.occurred_at)
        for made in deliver(facts, call, subject, movement, stamp)
    )


def _happening(
    facts: Facts, win: Win, session: Session, entry: Entry | None, stamp: Stamp
) -> tuple[Happening, Round | None]:
    from_clearing = win.amount if win.kind is WinKind.WIN else 0
    round_, round_change, held = None, None, 0
    is_late = not is_open_for_play(session, stamp.now)
    if win.round_id is not None:
        before = round_of(facts, session, win.round_id)
        is_late = is_late or (before is not None and before.state != RoundState.OPEN)
        change = RoundChange(won=from_clearing, bet_due_at=stamp.bet_due_at, is_close=win.close_round)
        round_, round_change, held = change_round(facts, session, win.round_id, change, stamp)
    happening = Happening(
        cause=ACTIONS[win.kind],
        occurred_at=win.occurred_at,
        reference=win.reference,
        code="late_money" if is_late else "ok",
        round_id=win.round_id,
        to_state=State.ACTIVE.value if session.state in OPEN_FOR_PLAY else None,
        journal_ids=() if entry is None else (entry.id,),
        change=Change(won=from_clearing, rounds_open=held, round=round_change),
    )
    return happening, round_
