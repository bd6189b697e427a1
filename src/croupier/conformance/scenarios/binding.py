"""Key, session, player, asset and game must belong together; what is unknown moves nothing."""

from __future__ import annotations

from uuid import uuid4

from msgspec.structs import replace

from croupier.conformance import steps
from croupier.conformance.reading import Cause
from croupier.conformance.scenario import scenario
from croupier.conformance.speaker import Traits
from croupier.conformance.stage import COUNTRY, NotPlayable, Stage
from croupier.providers.manifest import Capability, Manifest


def _names_player(_: Manifest, traits: Traits) -> str:
    return "" if traits.names_player else "its calls do not name the player: the session does"


def _names_session(_: Manifest, traits: Traits) -> str:
    return "" if traits.names_session else "its calls do not name the session: a token stands for it"


def _names_both(manifest: Manifest, traits: Traits) -> str:
    return _names_player(manifest, traits) or _names_session(manifest, traits)


def _names_asset(_: Manifest, traits: Traits) -> str:
    return "" if traits.names_asset else "its calls do not name the asset: the session does"


def _names_game(manifest: Manifest, traits: Traits) -> str:
    if not traits.names_game:
        return "its calls do not name the game: the session does"
    return "the manifest lets the game change" if manifest.game_may_change else ""


def _game_may_change(manifest: Manifest, traits: Traits) -> str:
    if not traits.names_game:
        return "its calls do not name the game: the session does"
    return "" if manifest.game_may_change else "the manifest binds a session to its game"


@scenario(Capability.BET, claim="A bet in a session that nobody opened is refused.", fit=_names_session)
async def unknown_session(stage: Stage) -> None:
    """A session id never given out, in the right form and in none."""
    seat = await stage.seat(10_000)
    other = uuid4()
    shaped = f"{seat.session.rpartition('_')[0]}_{other.hex}" if "_" in seat.session else str(other)
    await stage.refused(steps.bet(replace(seat, session=shaped), 100), Cause.SESSION)
    nobody = steps.bet(replace(seat, session="nobody"), 100)
    await stage.refused(nobody, Cause.SESSION, Cause.MALFORMED)
    await stage.wallet_is(seat, 10_000)


@scenario(Capability.BET, claim="One player's session takes no bet of another player.", fit=_names_both)
async def session_of_another_player(stage: Stage) -> None:
    """A bet that names one player and another's session."""
    seat, other = await stage.seat(10_000), await stage.seat(10_000)
    await stage.refused(steps.bet(replace(seat, session=other.session), 100), Cause.SESSION, Cause.PLAYER)
    await stage.wallet_is(seat, 10_000)
    await stage.wallet_is(other, 10_000)


@scenario(
    Capability.BET,
    claim="A session at another provider account takes no bet of this one.",
    fit=_names_session,
)
async def session_of_another_account(stage: Stage) -> None:
    """The same player, a session elsewhere."""
    if stage.target.foreign_game is None:
        raise NotPlayable("this run has no second provider account")
    seat = await stage.seat(10_000)
    game = stage.target.foreign_game
    elsewhere = await stage.operator.open_session(seat.player_id, game, seat.asset, COUNTRY)
    told = elsewhere["session_id"]
    session = told if "_" in seat.session else _as_uuid(told)
    await stage.refused(steps.bet(replace(seat, session=session), 100), Cause.SESSION)
    await stage.wallet_is(seat, 10_000)


def _as_uuid(session_id: str) -> str:
    digits = session_id.rpartition("_")[2]
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


@scenario(Capability.BET, claim="A bet of a player that nobody knows is refused.", fit=_names_player)
async def unknown_player(stage: Stage) -> None:
    """A name never used."""
    seat = await stage.seat(10_000)
    stranger = replace(seat, player_id=f"{stage.target.prefix}-nobody-{steps.fresh()[:8]}")
    await stage.refused(steps.bet(stranger, 100), Cause.PLAYER, Cause.SESSION)
    await stage.wallet_is(seat, 10_000)


@scenario(Capability.BET, claim="A bet in another asset than the session's is refused.", fit=_names_asset)
async def another_asset(stage: Stage) -> None:
    """Money in two assets, a session in one."""
    seat = await stage.seat(10_000)
    other = next(asset for asset in (*stage.target.assets, "USD") if asset != seat.asset)
    await stage.operator.deposit(seat.player_id, other, 10_000)
    wrong = replace(seat, asset=other, exponent=stage.target.assets.get(other, 2))
    await stage.refused(steps.bet(wrong, 100), Cause.ASSET, Cause.SESSION, Cause.SESSION_OVER)
    await stage.wallet_is(seat, 10_000)
    await stage.wallet_is(wrong, 10_000)


@scenario(Capability.BET, claim="A bet in a currency that does not exist is refused.", fit=_names_asset)
async def unknown_asset(stage: Stage) -> None:
    """Three letters that are no currency."""
    seat = await stage.seat(10_000)
    await stage.refused(steps.bet(replace(seat, asset="QQQ"), 100), Cause.ASSET)
    await stage.wallet_is(seat, 10_000)


@scenario(
    Capability.BET, claim="A session takes no bet in another game than it was opened for.", fit=_names_game
)
async def another_game(stage: Stage) -> None:
    """A bet in a game that does not exist, and in one that does."""
    seat = await stage.seat(10_000)
    for game in ("no-such-game", *stage.target.games[1:2]):
        await stage.refused(
            steps.bet(replace(seat, game_id=game), 100), Cause.GAME, Cause.SESSION_OVER, Cause.SESSION
        )
    await stage.wallet_is(seat, 10_000)


@scenario(
    Capability.BET,
    claim="Where the manifest lets the game change, a bet in another game is taken.",
    fit=_game_may_change,
)
async def game_changes_within_a_session(stage: Stage) -> None:
    """A bet in the game of the launch, one in another."""
    if len(stage.target.games) < 2:
        raise NotPlayable("this run has only one game at the account")
    seat = await stage.seat(10_000)
    await stage.approved(steps.bet(seat, 100), 9_900)
    await stage.approved(steps.bet(replace(seat, game_id=stage.target.games[1]), 100), 9_800)
    await stage.wallet_is(seat, 9_800)


@scenario(
    Capability.BALANCE, claim="The balance of a player that nobody knows is refused.", fit=_names_player
)
async def balance_of_an_unknown_player(stage: Stage) -> None:
    """A name never used."""
    seat = await stage.seat(10_000)
    stranger = replace(seat, player_id=f"{stage.target.prefix}-nobody-{steps.fresh()[:8]}")
    await stage.refused(steps.balance(stranger), Cause.PLAYER, Cause.SESSION)
