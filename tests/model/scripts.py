"""Generated runs: a few actions that belong together, then the order and company they arrive in."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from msgspec import Struct, structs

from croupier.money import MAX_MINOR
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
    OpenSession,
    Rollback,
    Win,
    WinKind,
    Withdrawal,
)
from model.calls import (
    NOW,
    OPENING,
    OTHER_PLAYER,
    PLAYER,
    POOL,
    PROVIDER,
    bet,
    call,
    cancel,
    close_round,
    close_session,
    confirm,
    deposit,
    fail,
    grant_for,
    rollback,
    sessionless,
    win,
    withdrawal,
)

TOKEN = "WEI18"
AMOUNTS = st.sampled_from([1, 7, 30, 30, 7, 1, 30, 100, 100, 0, 10**20, MAX_MINOR - 1_050])
KINDS = st.sampled_from(
    ["bet", "win", "bet", "win", "bet", "win", "jackpot", "promo", "deposit", "withdrawal"]
)
CHANCE = st.sampled_from([True, True, True, False])
WITHDRAWN = st.sampled_from([30, 71, 100, 1_001, 1_007, 1_030])
CONTRIBUTIONS = st.sampled_from([0, 0, 1, 3])


class Place(Struct, frozen=True):
    """A session that a script plays in."""

    session_id: UUID
    player_id: str
    provider: str
    asset: str
    share_bps: int
    jackpot_pool: str | None
    promo_source: str
    lives: timedelta

    def opening(self) -> OpenSession:
        """The action that opens it."""
        terms = {
            name: getattr(self, name)
            for name in self.__struct_fields__
            if name not in ("session_id", "lives")
        }
        opening = structs.replace(OPENING, expires_at=NOW + self.lives, **terms)
        return OpenSession(session_id=self.session_id, opening=opening, grant=grant_for(self.session_id))


_FOR_LONG, _BRIEFLY = timedelta(hours=8), timedelta(seconds=12)
PLACES = (
    Place(UUID(int=101), PLAYER, PROVIDER, "EUR", 1_000, POOL, "operator", _FOR_LONG),
    Place(UUID(int=102), PLAYER, PROVIDER, TOKEN, 333, POOL, "provider", _FOR_LONG),
    Place(UUID(int=103), OTHER_PLAYER, PROVIDER, "EUR", 9_999, None, "operator", _FOR_LONG),
    Place(UUID(int=104), OTHER_PLAYER, "rival", "EUR", 777, None, "provider", _BRIEFLY),
)
FUNDS = (
    deposit("funds-1", 1_000),
    deposit("funds-2", 10**20 + 1, asset=TOKEN),
    deposit("funds-3", 70, player_id=OTHER_PLAYER),
)


class Script(Struct, frozen=True):
    """Calls in the order they arrive; each comes a second after the one before."""

    calls: tuple[Call, ...]

    def __repr__(self) -> str:
        """One call a line, as a person would tell it."""
        return "\n".join(["Script:", *(f"  {one.provider}: {_told(one)}" for one in self.calls)])


def _told(request: Call) -> str:
    names = (
        "reference",
        "target_reference",
        "session_id",
        "round_id",
        "amount",
        "asset",
        "player_id",
        "kind",
    )
    return " + ".join(
        f"{type(action).__name__}({', '.join(str(getattr(action, name, '-')) for name in names)})"
        for action in request.actions
    )


def prologue(places: tuple[Place, ...]) -> list[Call]:
    """Players with money, and sessions that are open but not launched."""
    actions: list[Action] = [*FUNDS, *(place.opening() for place in places)]
    return [call(action) for action in actions]


@st.composite
def scripts(draw: DrawFn, max_arrivals: int = 24) -> Script:
    """Anything at all: early, late, doubled, contradicted, bundled, before, during and after sessions."""
    places = draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=2, unique=True))
    actions = draw(actions_in(tuple(places)))
    played = [action for action in actions if isinstance(action, Bet | Win | Withdrawal)]
    first = [as_call(action, places=places) for action in played if draw(CHANCE)]
    arrivals = draw(st.lists(_arrival(actions, places), min_size=3, max_size=max_arrivals))
    return Script((*prologue(tuple(places)), *first, *arrivals))


@st.composite
def actions_in(draw: DrawFn, places: tuple[Place, ...]) -> list[Action]:
    """Bets, wins and withdrawals of these sessions, with rollbacks and cancellations of some of them."""
    count = draw(st.integers(2, 6))
    money = [draw(_money(number, draw(st.sampled_from(places)))) for number in range(count)]
    played = [action for action in money if isinstance(action, Bet | Win)]
    actions: list[Action] = [*money]
    if played:
        bets = [action for action in played if isinstance(action, Bet)]
        targets = [*played, *bets, *bets, *bets]
        actions += [draw(_rollback(number, targets)) for number in range(draw(st.integers(1, 5)))]
    closing = [close for place in places for close in _close_rounds(place)]
    actions += draw(st.lists(st.sampled_from(closing), max_size=2, unique=True))
    withdrawn = [action for action in money if isinstance(action, Withdrawal)]
    return actions + [_cancel(action) for action in withdrawn]


@st.composite
def _money(draw: DrawFn, number: int, place: Place) -> Bet | Win | Deposit | Withdrawal:
    who = {"player_id": place.player_id, "asset": place.asset}
    where = {"session_id": place.session_id, "round_id": draw(st.sampled_from(["r1", "r1", "r1", "r2"]))}
    kind, amount = draw(KINDS), draw(AMOUNTS)
    if kind == "deposit":
        return deposit(f"d{number}", amount or 1, **who)
    if kind == "withdrawal":
        return withdrawal(f"o{number}", draw(WITHDRAWN), **who)
    if kind == "bet":
        return bet(f"b{number}", amount, contribution=draw(CONTRIBUTIONS), **who, **where)
    credit = win(f"w{number}", amount, kind=WinKind(kind), close_round=draw(st.booleans()), **who, **where)
    outside = kind != "win" and draw(st.booleans())
    return structs.replace(sessionless(credit), close_round=False) if outside else credit


@st.composite
def _rollback(draw: DrawFn, number: int, targets: list[Bet | Win]) -> Rollback:
    target = draw(st.sampled_from(targets))
    says_more = draw(st.booleans())
    more = {"session_id": target.session_id, "asset": target.asset} if says_more else {}
    return rollback(target.reference, f"rb{number}", player_id=target.player_id, **more)


def _close_rounds(place: Place) -> list[Action]:
    who = {"session_id": place.session_id, "player_id": place.player_id}
    return [close_round(f"c{place.session_id.int}{name}", name, **who) for name in ("r1", "r2")]


def _cancel(withdrawn: Withdrawal) -> CancelWithdrawal:
    return cancel(withdrawn.reference, player_id=withdrawn.player_id, asset=withdrawn.asset)


def _arrival(actions: list[Action], places: list[Place]) -> SearchStrategy[Call]:
    single = st.sampled_from(actions)
    arrivals = [
        *[single.map(lambda action: as_call(action, places=places))] * 6,
        single.map(_contradict).map(lambda action: as_call(action, places=places)),
        *[st.sampled_from(places).flatmap(_life)] * 2,
    ]
    pairs = _pairs(actions)
    if pairs:
        both = st.sampled_from(pairs).map(lambda pair: as_call(*pair, places=places))
        arrivals += [both] * 4
    return st.one_of(arrivals)


def _pairs(actions: list[Action]) -> list[tuple[Bet, Win]]:
    """Bets and wins for one call: known ones, new ones, and wins that no wallet can hold."""
    bets = [action for action in actions if isinstance(action, Bet)]
    wins = [action for action in actions if isinstance(action, Win)]
    bets += [structs.replace(one, reference=f"{one.reference}-new") for one in bets]
    wins += [structs.replace(one, reference=f"{one.reference}-new") for one in wins]
    wins += [structs.replace(one, reference=f"{one.reference}-huge", amount=MAX_MINOR) for one in wins]
    return [(bet, win) for bet in bets for win in wins if bet.session_id == win.session_id]


def _life(place: Place) -> SearchStrategy[Call]:
    moves: list[CloseSession | ConfirmLaunch | FailLaunch] = [
        *[close_session(place.session_id, place.player_id)] * 4,
        confirm(place.session_id, place.player_id),
        fail(place.session_id, place.player_id),
    ]
    return st.sampled_from(moves).map(call)


def _contradict(action: Action) -> Action:
    """The same reference with other content."""
    if isinstance(action, Rollback):
        return structs.replace(action, target_reference=action.target_reference + "-other")
    if isinstance(action, CloseRound):
        return structs.replace(action, round_id="r3")
    if isinstance(action, Bet | Win | Deposit | Withdrawal):
        return structs.replace(action, amount=action.amount + 1)
    return action


def as_call(*actions: Action, places: list[Place]) -> Call:
    """A new request, as the operator or the session's provider would send it."""
    first = actions[0]
    owners = {place.session_id: place.provider for place in places}
    if isinstance(first, Bet | Win | Rollback | CloseRound):
        session = first.session_id or places[0].session_id
        return call(*actions, provider=owners[session])
    return call(*actions)
