"""`croupier provider games` and `croupier provider round`: ask a provider, signed with the account's current key."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from typing import Annotated, assert_never

import typer

from croupier.cli.output import CommandFailed, Output, output_of
from croupier.cli.settings import settings_of
from croupier.errors import CroupierError
from croupier.providers.client import ProviderClient
from croupier.providers.contract import (
    Done,
    GameList,
    ListGames,
    Question,
    QuestionAnswer,
    QuestionRefused,
    QuestionUnanswered,
    RoundAccount,
    ShowRound,
)
from croupier.runtime.accounts import build_accounts
from croupier.runtime.config import Config, resolve_api_keys
from croupier.runtime.open_database import open_database
from croupier.runtime.provider_keys import load_keyring, render_resolved

AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The id of a configured provider.")]


def games(ctx: typer.Context, account: AccountArgument) -> None:
    """The games a provider offers this account, beside those of the configuration.

    Example: croupier provider games acme --json
    """
    config, output = settings_of(ctx).read_config(), output_of(ctx)
    answer = _ask(config, account, ListGames())
    if not isinstance(answer, GameList):
        raise _unanswered(account, answer)
    replaced = [one.replaces for one in config.providers if one.id == account]
    known = {game.id for game in config.games if game.provider in (account, *replaced)}
    if output.is_json:
        offered = [
            {"id": game.id, "title": game.title, "assets": list(game.assets), "configured": game.id in known}
            for game in answer.games
        ]
        output.document("provider.games", {"account": account, "games": offered})
        return
    rows = [
        (game.id, game.title, ", ".join(game.assets), "yes" if game.id in known else "")
        for game in answer.games
    ]
    output.table(("game", "title", "assets", "configured"), rows)


def show_round(
    ctx: typer.Context,
    account: AccountArgument,
    round_id: Annotated[str, typer.Argument(metavar="ROUND", help="The provider's id of the round.")],
    player: Annotated[str | None, typer.Option(help="The player, where the protocol asks for it.")] = None,
    session: Annotated[str | None, typer.Option(help="Our session, where the protocol asks for it.")] = None,
    game: Annotated[str | None, typer.Option(help="The game, where the protocol asks for it.")] = None,
) -> None:
    """What the provider says about one of its rounds.

    Example: croupier provider round acme 4711 --json
    """
    question = ShowRound(round_id=round_id, session_id=session, player_id=player, game_id=game)
    answer = _ask(settings_of(ctx).read_config(), account, question)
    if not isinstance(answer, RoundAccount):
        raise _unanswered(account, answer)
    _show_round(output_of(ctx), account, answer)


def _show_round(output: Output, account: str, told: RoundAccount) -> None:
    if output.is_json:
        body = {
            "account": account,
            "round_id": told.round_id,
            "is_finished": told.is_finished,
            "url": told.url,
            "details": told.details,
        }
        output.document("provider.round", body)
        return
    state = {True: "finished", False: "not finished", None: "not said"}[told.is_finished]
    output.facts(
        (("round", told.round_id), ("state", state), ("page", told.url or ""), ("answer", told.details))
    )


def _ask(config: Config, account: str, question: Question) -> QuestionAnswer:
    if account not in {provider.id for provider in config.providers}:
        known = ", ".join(provider.id for provider in config.providers) or "none"
        raise CommandFailed(f"no provider account is called {account}; configured: {known}")

    async def run() -> QuestionAnswer:
        async with open_database(config) as connection:
            keyring = await load_keyring(connection, config, os.environ)
        accounts = build_accounts(
            config, render_resolved(config, keyring, resolve_api_keys(config, os.environ))
        )
        client = ProviderClient(lambda: datetime.now(UTC))
        try:
            return await client.ask(*accounts[account], question)
        except CroupierError as error:
            raise CommandFailed(error.detail) from error
        finally:
            await client.close()

    return asyncio.run(run())


def _unanswered(account: str, answer: QuestionAnswer) -> CommandFailed:
    match answer:
        case QuestionRefused(reason="not_offered"):
            return CommandFailed(
                f"the protocol of {account} has no such request; see `croupier provider list`"
            )
        case QuestionRefused(reason=reason):
            return CommandFailed(f"{account} refused: {reason}")
        case QuestionUnanswered(reason=reason):
            return CommandFailed(f"nothing usable came back from {account} ({reason}); asking again is safe")
        case GameList() | RoundAccount() | Done():
            return CommandFailed(f"{account} answered something else than was asked")
        case _:
            assert_never(answer)
