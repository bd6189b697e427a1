"""`croupier fairness`: recompute a provably fair outcome, without a database or a network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from croupier.cli.arguments import read_input
from croupier.cli.output import EXIT_FAILURE, CommandFailed, output_of
from croupier.settlement.fairness import FairnessVerdict, verify_round

commands = typer.Typer(no_args_is_help=True, help="Recompute provably fair outcomes.")


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(commands, name="fairness")


@commands.callback()
def fairness() -> None:
    """Recompute provably fair outcomes."""


@commands.command()
def verify(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON file; `-` is stdin.")],
) -> None:
    """Check the committed seed, the shown result and the paid win of one round or several.

    FILE holds an object with `outcome` and `fairness`, as providers send them when a round closes, a list of
    such objects, or what `croupier round show --json` prints. Exit code 1 unless every round is proven.

    Examples:

      croupier fairness verify round.json

      croupier round show 88123 --json | croupier fairness verify -
    """
    verdicts = {name: _verify(round_) for name, round_ in read_rounds(read_input(file))}
    is_fair = all(verdict.is_valid for verdict in verdicts.values())
    output = output_of(ctx)
    if output.is_json:
        rounds = [{"round": name, "verdict": verdict} for name, verdict in verdicts.items()]
        output.document("fairness.verify", {"fair": is_fair, "rounds": rounds})
    for name, verdict in verdicts.items():
        word = "fair" if verdict.is_valid else f"NOT PROVEN ({verdict.reason})"
        output.say(f"{name}: {word}: {verdict.detail}", "" if verdict.is_valid else "bold red")
        output.facts([(key, json.dumps(value)) for key, value in verdict.outcome.items()])
    if not is_fair:
        raise typer.Exit(EXIT_FAILURE)


def _verify(round_: Mapping[str, Any]) -> FairnessVerdict:
    outcome, proof = round_.get("outcome"), round_.get("fairness")
    if not isinstance(outcome, Mapping) or not isinstance(proof, Mapping):
        return FairnessVerdict(False, "no_proof", "the round carries no `outcome` and `fairness` objects")
    return verify_round(outcome, proof)


def read_rounds(content: bytes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rounds in a file's bytes with a name for each; raises CommandFailed when there is none."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CommandFailed(f"this is not JSON: {error}") from error
    if isinstance(document, Mapping) and isinstance(document.get("rounds"), list):
        document = document["rounds"]
    rounds = document if isinstance(document, list) else [document]
    if not rounds:
        raise CommandFailed("there is no round in it")
    for number, round_ in enumerate(rounds, 1):
        if not isinstance(round_, Mapping):
            raise CommandFailed(f"round {number} is not an object")
        name = round_.get("provider_round_id") or round_.get("round_id")
        yield f"round {number}" if name is None else f"round {number} ({name})", round_
