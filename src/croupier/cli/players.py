"""`croupier player`: whether a player was let play; stop stakes, and let them go on. By the operator API."""

from __future__ import annotations

import json as json_module
from typing import Annotated, Any
from urllib.parse import quote

import typer

from croupier.cli.acting import require_reason
from croupier.cli.api import DEFAULT_TOKEN, ApiRequest, KeyOption, TokenOption, UrlOption, ask_api
from croupier.cli.output import CommandFailed, Output, output_of
from croupier.play.restriction import RestrictionKind

commands = typer.Typer(no_args_is_help=True, help="Stop a player's stakes, and let them go on.")

PlayerArgument = Annotated[str, typer.Argument(metavar="PLAYER", help="The operator's id of the player.")]
WhyOption = Annotated[str, typer.Option("--reason", help="Why; it is kept with the restriction.")]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(commands, name="player")


@commands.command()
def restrict(
    context: typer.Context,
    player: PlayerArgument,
    kind: Annotated[RestrictionKind, typer.Option(help="What it is.")],
    reason: WhyOption,
    until: Annotated[
        str | None, typer.Option(help="When it ends by itself, RFC 3339; default: never.")
    ] = None,
    token: TokenOption = DEFAULT_TOKEN,
    idempotency_key: KeyOption = None,
    url: UrlOption = None,
) -> None:
    """Stop a player's stakes now, on every process, and close the open sessions; credits are never stopped.

    Examples:

      croupier player restrict alice --kind block --reason "chargeback, case 4711"

      croupier player restrict bob --kind self_exclusion --until 2027-06-01T00:00:00Z --reason "asked for it"
    """
    body = {"kind": kind.value, "reason": require_reason(reason), "until": until}
    wanted = ApiRequest(
        "POST", _path(player), json_module.dumps(body), token=token, idempotency_key=idempotency_key, url=url
    )
    _tell(output_of(context), "player.restrict", _ask(context, wanted))


@commands.command()
def restrictions(
    context: typer.Context,
    player: PlayerArgument,
    token: TokenOption = DEFAULT_TOKEN,
    url: UrlOption = None,
) -> None:
    """A player's restrictions, newest first, those that are over included.

    Examples:

      croupier player restrictions alice
    """
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        after = f"&cursor={cursor}" if cursor else ""
        page = _ask(context, ApiRequest("GET", f"{_path(player)}?limit=200{after}", token=token, url=url))
        found += page["restrictions"]
        cursor = page["next_cursor"]
    output = output_of(context)
    if output.is_json:
        output.document("player.restrictions", {"restrictions": found})
        return
    output.table(
        ("restriction", "kind", "placed", "by", "reason", "until", "lifted"),
        [
            [
                *(one[name] for name in ("restriction_id", "kind", "placed_at", "placed_by", "reason")),
                one["until"] or "",
                ""
                if one["lifted_at"] is None
                else f"{one['lifted_at']} by {one['lifted_by']}: {one['lift_reason']}",
            ]
            for one in found
        ],
    )


@commands.command()
def eligibility(
    context: typer.Context,
    player: PlayerArgument,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Most decisions to show.")] = 20,
    token: TokenOption = DEFAULT_TOKEN,
    url: UrlOption = None,
) -> None:
    """Whether a player was let play, newest first: every decision, under which rules, and why not.

    Examples:

      croupier player eligibility alice
    """
    path = f"/v1/players/{quote(player, safe='')}/eligibility?limit={limit}"
    found = _ask(context, ApiRequest("GET", path, token=token, url=url))["decisions"]
    output = output_of(context)
    if output.is_json:
        output.document("player.eligibility", {"decisions": found})
        return
    output.table(
        ("decision", "at", "granted", "rules", "session", "reason", "detail"),
        [
            [
                one["eligibility_id"],
                one["decided_at"],
                "yes" if one["granted"] else "no",
                one["rules"] or "",
                one["session_id"] or "",
                one["reason"],
                one["detail"],
            ]
            for one in found
        ],
    )


@commands.command()
def lift(
    context: typer.Context,
    player: PlayerArgument,
    restriction: Annotated[str, typer.Argument(metavar="RESTRICTION", help="Its rst_ id.")],
    reason: WhyOption,
    token: TokenOption = DEFAULT_TOKEN,
    idempotency_key: KeyOption = None,
    url: UrlOption = None,
) -> None:
    """End one restriction before its time; others of the same player stand.

    Examples:

      croupier player lift alice rst_0197f2c4a5b67c8d9e0f1a2b3c4d5e07 --reason "case 4711 closed"
    """
    path = f"{_path(player)}/{quote(restriction, safe='')}/lift"
    body = json_module.dumps({"reason": require_reason(reason)})
    wanted = ApiRequest("POST", path, body, token=token, idempotency_key=idempotency_key, url=url)
    _tell(output_of(context), "player.lift", _ask(context, wanted))


def _path(player: str) -> str:
    return f"/v1/players/{quote(player, safe='')}/restrictions"


def _ask(context: typer.Context, wanted: ApiRequest) -> Any:
    """The answer's body; raises CommandFailed with the problem's own words."""
    status, answer = ask_api(context, wanted)
    if status >= 300:
        raise CommandFailed(f"{answer['code']}: {answer['detail']}")
    return answer


def _tell(output: Output, name: str, restriction: dict[str, Any]) -> None:
    if output.is_json:
        output.document(name, {"restriction": restriction})
        return
    output.facts([(field, str(value)) for field, value in restriction.items() if value is not None])
