"""A whole call: its actions in order, all or none, and the operator's stored answer around them."""

from __future__ import annotations

from typing import Final, assert_never
from uuid import UUID

from msgspec import structs

from croupier.errors import IDEMPOTENCY_KEY_REUSED, MALFORMED, TOKEN_EXPIRED, UNKNOWN_PLAYER, CroupierError
from croupier.moneypath.commands import (
    Action,
    Bet,
    Call,
    CancelWithdrawal,
    CloseRound,
    CloseSession,
    ConfirmLaunch,
    Deposit,
    FailLaunch,
    Idempotency,
    IssueToken,
    LiftRestriction,
    NoteUnknown,
    OpenSession,
    ReadBalance,
    RefuseCredit,
    Report,
    Restrict,
    Rollback,
    SpendNonce,
    TellWallet,
    Win,
    Withdrawal,
)
from croupier.moneypath.decide.bet import decide_bet
from croupier.moneypath.decide.binding import find_session
from croupier.moneypath.decide.cash import decide_cancel, decide_deposit, decide_withdrawal
from croupier.moneypath.decide.close_round import decide_close_round
from croupier.moneypath.decide.notice import decide_report, judge_notice
from croupier.moneypath.decide.restriction import decide_lift, decide_restrict
from croupier.moneypath.decide.rollback import decide_rollback
from croupier.moneypath.decide.seat import has_session, require_token
from croupier.moneypath.decide.sessions import (
    decide_close,
    decide_confirm,
    decide_fail,
    decide_issue_token,
    decide_open,
    decide_unknown,
)
from croupier.moneypath.decide.verdict import Sending, Subject, Verdict, finding, refuse, refused_credit
from croupier.moneypath.decide.wallet import Ask, decide_tell, hear_words, take_back, unbooked
from croupier.moneypath.decide.win import decide_win
from croupier.moneypath.facts import Break, Effects, Facts, Stamp, StoredAnswer
from croupier.moneypath.outcomes import APPROVED, OK, Outcome
from croupier.play.session import is_open_for_play
from croupier.wallet.accounts import wallet_of
from croupier.wallet.calls import Booked, CallState

UNDONE: Final = "undone_with_its_call"
OUT_OF_ORDER: Final = "the call rolls back an action of its own that comes later; nothing was applied"

Answer = tuple[Outcome, ...] | CroupierError
"""What a call gets: one outcome for each action, or one error for all of it."""

ROLLED_BACK: Final = "its_call_was_not_taken"
"""Why the operator's wallet is told to undo what it has approved: another action of the same call was not."""


def decide_call(facts: Facts, call: Call, stamp: Stamp) -> Answer | Ask:
    """Decide a call and take its effects into the facts.

    Actions are decided in order. The first that is not approved ends the call: what the earlier ones newly did is
    taken back, and only that action's decline is kept. Repeats inside a call are legal. Where the operator keeps the
    wallet, a call may need its answers first, or have something brought to it.
    """
    if facts.wallet is None:
        return _decide_all(facts, call, stamp)
    hear_words(facts, call, stamp)
    begun = len(facts.applied)
    answer = _decide_all(facts, call, stamp)
    if isinstance(answer, Ask):
        return answer
    is_taken = not isinstance(answer, CroupierError) and all(outcome.is_approved for outcome in answer)
    for known in () if is_taken else unbooked(facts, call):
        # All or none (docs/decisions/0023-the-operators-wallet-is-asked-in-two-turns.md).
        facts.apply(Effects(wallet_calls=take_back(facts, call, known, stamp, because=ROLLED_BACK)))
    return _with_sendings(facts, answer, begun)


def _with_sendings(facts: Facts, answer: Answer, begun: int) -> Answer | Ask:
    """The answer, with the wallet calls that are made now although it does not wait for them."""
    sendings = tuple(
        Sending(made)
        for effects in facts.applied[begun:]
        for made in effects.wallet_calls
        if made.state == CallState.ASKED and made.booked != Booked.AFTER
    )
    if not sendings:
        return answer
    if isinstance(answer, CroupierError):
        return Ask(sendings, error=answer)
    return Ask(sendings, outcomes=answer)


def _decide_all(facts: Facts, call: Call, stamp: Stamp) -> Answer | Ask:
    answered = _stored_answer(facts, call)
    if answered is not None:
        return answered
    mark = facts.mark()
    outcomes: list[Outcome] = []
    for action in call.actions:
        verdict = decide_action(facts, call, action, stamp)
        if verdict.asks:
            facts.undo_to(mark)
            assert verdict.effects is not None, "what is asked is written first"  # noqa: S101 (narrowing)
            facts.apply(verdict.effects)
            return Ask(verdict.asks)
        if call.notice is not None:
            verdict = judge_notice(call, action, verdict, stamp)
        if not verdict.is_approved and outcomes:
            facts.undo_to(mark)
            if verdict.effects is not None and verdict.effects.claim is not None:
                # A tombstone's decline stands alone, and may close a round that the undone actions had changed.
                verdict = decide_action(facts, call, action, stamp)
                if verdict.is_approved:
                    # The tombstone was the call's own: what it undoes must not come after.
                    verdict = refuse(CroupierError(MALFORMED, OUT_OF_ORDER, field="target_reference"))
            verdict = _with_untouched_balance(facts, call, verdict)
            verdict = _with_undone_credits(call, verdict, outcomes, stamp)
        if verdict.effects is not None:
            facts.apply(verdict.effects)
        if verdict.error is not None:
            return _with_balance(facts, call, action, verdict.error)
        assert verdict.outcome is not None, "a verdict is an outcome or an error"  # noqa: S101 (narrowing)
        outcomes.append(verdict.outcome)
        if not verdict.is_approved:
            return _with_answer(facts, call, _none_applied(call, outcomes))
    return _with_answer(facts, call, tuple(outcomes))


def decide_action(facts: Facts, call: Call, action: Action, stamp: Stamp) -> Verdict:
    """One action's verdict; its effects are not taken in."""
    match action:
        case Bet():
            return decide_bet(facts, call, action, stamp)
        case Win():
            return decide_win(facts, call, action, stamp)
        case CloseRound():
            return decide_close_round(facts, call, action, stamp)
        case Rollback():
            return decide_rollback(facts, call, action, stamp)
        case ReadBalance():
            return _decide_balance(facts, call, action, stamp)
        case Deposit():
            return decide_deposit(facts, call, action, stamp)
        case Withdrawal():
            return decide_withdrawal(facts, call, action, stamp)
        case CancelWithdrawal():
            return decide_cancel(facts, call, action, stamp)
        case OpenSession():
            return decide_open(facts, call, action, stamp)
        case ConfirmLaunch():
            return decide_confirm(facts, call, action, stamp)
        case FailLaunch():
            return decide_fail(facts, call, action, stamp)
        case NoteUnknown():
            return decide_unknown(facts, call, action, stamp)
        case IssueToken():
            return decide_issue_token(facts, call, action, stamp)
        case CloseSession():
            return decide_close(facts, call, action, stamp)
        case Restrict():
            return decide_restrict(facts, call, action, stamp)
        case LiftRestriction():
            return decide_lift(facts, action, stamp)
        case SpendNonce():
            return Verdict(outcome=Outcome(APPROVED, OK, ""))
        case RefuseCredit():
            return _decide_refused_credit(call, action, stamp)
        case Report():
            return decide_report(call, action, stamp)
        case TellWallet():
            return decide_tell(facts, call, action, stamp)
        case _:
            assert_never(action)


def _decide_balance(facts: Facts, call: Call, action: ReadBalance, stamp: Stamp) -> Verdict:
    """A balance for whoever names a session, has a token of one, or at least knows the player."""
    session_id, asset = action.session_id, action.asset
    if session_id is None and call.token_hash is not None:
        token = require_token(facts, call)
        if isinstance(token, CroupierError):
            return refuse(token)
        session_id = token.session_id
    if session_id is None:
        if not has_session(facts, call, asset):
            # To this provider, a player of others is nobody.
            return refuse(CroupierError(UNKNOWN_PLAYER, "no such player plays here", field="player_id"))
        return _told(facts, action.player_id, asset, None)
    session = find_session(facts, call, session_id, player_id=action.player_id, asset=asset)
    if isinstance(session, CroupierError):
        return refuse(session)
    if action.session_id is None and not is_open_for_play(session, stamp.now):
        return refuse(CroupierError(TOKEN_EXPIRED, "the session of this token is over", field="token"))
    return _told(facts, action.player_id, session.asset, session.id)


def _told(facts: Facts, player_id: str, asset: str | None, session_id: UUID | None) -> Verdict:
    balance = facts.balance(wallet_of(player_id, asset)) if asset is not None else None
    is_expected = facts.is_awaiting(player_id)
    return Verdict(
        outcome=Outcome(
            APPROVED, OK, "", None, balance, asset, session_id=session_id, is_expected=is_expected
        )
    )


def _with_balance(facts: Facts, call: Call, action: Action, error: CroupierError) -> CroupierError:
    """The error, with the wallet's balance when the action names an asset the player has."""
    asset = getattr(action, "asset", None)
    key = wallet_of(call.player_id, asset) if asset is not None else None
    if key is not None and key in facts.balances:
        error.balance = (facts.balance(key), key.asset)
    return error


def _decide_refused_credit(call: Call, action: RefuseCredit, stamp: Stamp) -> Verdict:
    about = Subject(action="refused_credit", reference=action.reference, player_id=action.player_id)
    found = finding(
        call,
        stamp,
        kind="refused_credit",
        subject=f"{action.reference}:{action.code}",
        explanation=f"{action.detail} (amount as sent: {action.amount_text})",
        about=about,
    )
    return Verdict(outcome=Outcome(APPROVED, OK, action.reference), effects=Effects(breaks=(found,)))


def _with_untouched_balance(facts: Facts, call: Call, verdict: Verdict) -> Verdict:
    """A decline that stops a call tells the balance as it is now that the earlier actions are taken back."""
    outcome, effects = verdict.outcome, verdict.effects
    if outcome is None or outcome.asset is None or effects is None:
        return verdict
    balance = facts.balance(wallet_of(call.player_id, outcome.asset))
    kept, claim = effects.reference, effects.claim
    return Verdict(
        outcome=structs.replace(outcome, balance=balance),
        effects=structs.replace(
            effects,
            reference=None if kept is None else structs.replace(kept, balance=balance),
            claim=None if claim is None else structs.replace(claim, balance=balance),
        ),
    )


def _with_undone_credits(call: Call, verdict: Verdict, outcomes: list[Outcome], stamp: Stamp) -> Verdict:
    """Credits that were approved and are taken back with the call: a player may be owed them, so finance is told."""
    code = verdict.outcome.code if verdict.outcome is not None else UNDONE
    lost = tuple(
        _lost_credit(call, action, code, stamp)
        for action, outcome in zip(call.actions, outcomes, strict=False)
        if isinstance(action, Win | Rollback) and outcome.journal_id is not None and not outcome.is_repeat
    )
    if not lost:
        return verdict
    effects = verdict.effects or Effects()
    return structs.replace(verdict, effects=structs.replace(effects, breaks=(*effects.breaks, *lost)))


def _lost_credit(call: Call, action: Win | Rollback, code: str, stamp: Stamp) -> Break:
    about = Subject(
        action="refused_credit",
        reference=action.reference,
        player_id=action.player_id,
        asset=action.asset,
        amount=action.amount,
        session_id=action.session_id,
        provider_round_id=action.round_id,
    )
    explanation = f"it was taken back with its call, whose next action was not approved ({code})"
    return refused_credit(call, stamp, about, code=UNDONE, explanation=explanation)


def _none_applied(call: Call, outcomes: list[Outcome]) -> tuple[Outcome, ...]:
    """Every action of a call that did not happen gets the decline that stopped it, under its own reference."""
    stopped = outcomes[-1]
    if len(call.actions) == 1:
        return (stopped,)
    shared = []
    for position, action in enumerate(call.actions):
        reference = getattr(action, "reference", None) or ""
        own = outcomes[position] if position < len(outcomes) else None
        is_own = own is stopped or (own is not None and own.is_repeat)
        shared.append(own if is_own and own is not None else structs.replace(stopped, reference=reference))
    return tuple(shared)


def _stored_answer(facts: Facts, call: Call) -> Answer | None:
    wanted = call.idempotency
    if wanted is None:
        return None
    stored = facts.answers.get((wanted.api_key_id, wanted.key))
    if stored is None:
        return None
    if stored.fingerprint != wanted.fingerprint:
        detail = "this Idempotency-Key was used for a request with other content; use a new key"
        return CroupierError(IDEMPOTENCY_KEY_REUSED, detail, field="Idempotency-Key")
    is_repeat = stored.request_id != call.request_id
    return (Outcome(APPROVED, OK, "", is_repeat=is_repeat, answer=(stored.status, stored.body)),)


def _with_answer(facts: Facts, call: Call, outcomes: tuple[Outcome, ...]) -> Answer:
    if call.idempotency is not None:
        facts.apply(Effects(answer=_render_answer(call, call.idempotency, outcomes)))
    return outcomes


def _render_answer(call: Call, wanted: Idempotency, outcomes: tuple[Outcome, ...]) -> StoredAnswer:
    status, body = wanted.render(outcomes)
    return StoredAnswer(
        wanted.bucket,
        wanted.api_key_id,
        wanted.key,
        wanted.fingerprint,
        status,
        body,
        wanted.expires_at,
        call.request_id,
    )
