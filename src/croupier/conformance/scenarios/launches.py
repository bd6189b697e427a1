"""Opening a session at the provider, and what else the gateway asks of it."""

from __future__ import annotations

from croupier.conformance import steps
from croupier.conformance.scenario import scenario
from croupier.conformance.stage import NotPlayable, ScenarioFailed, Stage
from croupier.providers.contract import (
    Done,
    EndSession,
    GameList,
    ListGames,
    Question,
    QuestionAnswer,
    RoundAccount,
    ShowRound,
)
from croupier.providers.manifest import Capability


@scenario(
    Capability.LAUNCH,
    claim="A launch reaches the provider signed and names the player, the game, the asset and the session.",
)
async def launch_reaches_the_provider(stage: Stage) -> None:
    """Open a session and look at what arrived."""
    seat = await stage.seat()
    launch = stage.launches.latest(stage.speaker.account.id, seat.player_id)
    if launch is None:
        raise ScenarioFailed(f"no launch came: {[said for said, _ in stage.launches.unreadable]}")
    stage.require(not launch.finding, f"the launch is not as the protocol says: {launch.finding}")
    stage.require(launch.asset == seat.asset, f"the launch is in {launch.asset}")
    stage.require(launch.game_id == seat.game_id, f"the launch is for game {launch.game_id}")
    has_token = launch.token is not None
    stage.require(
        has_token == stage.target.manifest.session_token, "the launch and the manifest disagree on a token"
    )
    session = await stage.operator.session(seat.session_id)
    stage.require(session["state"] == "launched", f"the session is {session['state']}")
    stage.require(bool(session["launch_url"]), "the operator gets no launch URL")


async def _ask(stage: Stage, question: Question) -> QuestionAnswer:
    if stage.target.ask is None:
        raise NotPlayable("this run cannot put questions to the provider")
    return await stage.target.ask(question)


@scenario(Capability.GAME_LIST, claim="The provider's games can be listed.")
async def games_are_listed(stage: Stage) -> None:
    """Ask for the games."""
    answer = await _ask(stage, ListGames())
    stage.require(isinstance(answer, GameList), f"the games were not read: {answer}")
    if isinstance(answer, GameList):
        ids = {game.id for game in answer.games}
        stage.require(stage.target.games[0] in ids, f"the provider's game is not among {sorted(ids)}")


@scenario(Capability.ROUND_DETAILS, Capability.BET, claim="The provider's account of a round can be read.")
async def round_is_told(stage: Stage) -> None:
    """Ask about a played round."""
    seat = await stage.seat()
    bet = steps.bet(seat, 100)
    await stage.approved(bet)
    question = ShowRound(
        round_id=bet.round_id, session_id=seat.session_id, player_id=seat.player_id, game_id=seat.game_id
    )
    answer = await _ask(stage, question)
    stage.require(isinstance(answer, RoundAccount), f"the round was not read: {answer}")


@scenario(Capability.SESSION_CLOSE, claim="The provider is told that a session is over.")
async def session_is_ended_at_the_provider(stage: Stage) -> None:
    """Tell the provider."""
    seat = await stage.seat()
    answer = await _ask(stage, EndSession(session_id=seat.session_id, player_id=seat.player_id))
    stage.require(isinstance(answer, Done), f"the provider did not take it: {answer}")
