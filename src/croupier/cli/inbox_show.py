"""`croupier inbox show`: everything there is about one webhook, accepted or refused."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final
from uuid import UUID

import asyncpg
import typer

from croupier.cli.output import CommandFailed, Output, output_of
from croupier.cli.present import shown_id, shown_money, shown_time
from croupier.cli.reading import read_database
from croupier.cli.settings import settings_of
from croupier.ids import DELIVERY, JOURNAL, SESSION, MalformedId, parse_id, render_id
from croupier.inbox.process import FIRST
from croupier.inbox.replay.reading import REPLAY
from croupier.inbox.search import Story, load_refused_ones, load_stories
from croupier.money import AssetRegistry

SHOWN_OF_SECRET: Final = 8
_SECRET_HEADERS: Final = frozenset({"webhook-signature", "authorization", "proxy-authorization", "cookie"})


def show_delivery(commands: typer.Typer) -> None:
    """Add the command to the group."""
    commands.command("show")(show)


def find_delivery_id(text: str) -> UUID | None:
    """A delivery's id of ours; None when the text is something else."""
    try:
        return parse_id(DELIVERY, text)
    except MalformedId:
        return None


def show(
    ctx: typer.Context,
    id_: Annotated[str, typer.Argument(metavar="ID", help="Our dlv_ id, or the webhook-id of the sender.")],
) -> None:
    """A webhook as it came, how it was proven, what became of it and what moved; or exactly why it was refused.

    Examples:

      croupier inbox show dlv_0197f2c4a5b67c8d9e0f1a2b3c4d5e07

      croupier inbox show msg_2f6c1 --json
    """
    found = find_delivery_id(id_)

    async def load(connection: asyncpg.Connection) -> tuple[list[Story], list[asyncpg.Record]]:
        return await load_stories(connection, found, id_), await load_refused_ones(connection, found, id_)

    stories, refused = read_database(ctx, load)
    if not stories and not refused:
        raise CommandFailed(f"no webhook is known by {id_!r}, and none that was refused and is still kept")
    output = output_of(ctx)
    if output.is_json:
        document = {
            "deliveries": [render_story(story) for story in stories],
            "refused": [render_refused(row) for row in refused],
        }
        output.document("inbox.show", document)
        return
    registry = settings_of(ctx).read_config().asset_registry()
    for story in stories:
        _tell_story(output, story, registry)
    for row in refused:
        _tell_refused(output, row)


def render_story(story: Story) -> dict[str, Any]:
    """A delivery with everything that became of it, ready for JSON; `body` is parsed, `headers` are masked."""
    row = story.delivery
    return {
        "id": shown_id(DELIVERY, row["id"]),
        "provider": row["provider"],
        "delivery_id": row["delivery_id"],
        "type": row["type"],
        "state": story.state,
        "received_at": shown_time(row["received_at"]),
        "occurred_at": shown_time(row["occurred_at"]) or None,
        "player_id": row["player_id"],
        "session_id": shown_id(SESSION, row["session_id"]) or None,
        "round_id": row["provider_round_id"],
        "reference": row["reference"],
        "asset": row["asset"],
        "amount": row["amount"],
        "verified": {
            "as": row["verified_as"],
            "key_id": row["key_id"],
            "signed_at": shown_time(row["signed_at"]),
            "body_digest": row["body_digest"],
        },
        "correlation_id": row["correlation_id"],
        "trace_id": row["trace_id"],
        "queue": None if story.queued is None else _render_queued(story.queued),
        "dead": None if story.dead is None else _render_dead(story.dead),
        "results": [_render_result(result) for result in story.results],
        "path": row["path"],
        "headers": mask_headers(row["headers"]),
        "body": _parsed(row["body"]),
    }


def _render_queued(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "next_attempt_at": shown_time(row["claimable_at"]),
        "leased_until": shown_time(row["leased_until"]) or None,
        "claims": row["fence"],
        "attempts": row["attempts"],
        "waiting": row["is_waiting"],
        "last_error": row["last_error"],
        "last_detail": row["last_detail"],
        "first_failed_at": shown_time(row["first_failed_at"]) or None,
    }


def _render_dead(row: asyncpg.Record) -> dict[str, Any]:
    return {**row, "died_at": shown_time(row["died_at"])}


def _render_result(row: asyncpg.Record) -> dict[str, Any]:
    return {
        **row,
        "replay": None if row["replay"] == FIRST else render_id(REPLAY, row["replay"]),
        "journal_id": shown_id(JOURNAL, row["journal_id"]) or None,
        "finished_at": shown_time(row["finished_at"]),
    }


def render_refused(row: asyncpg.Record) -> dict[str, Any]:
    """A refused webhook ready for JSON."""
    document = {**row, "id": shown_id(DELIVERY, row["id"]), "received_at": shown_time(row["received_at"])}
    if "headers" in document:
        document["headers"] = mask_headers(document["headers"])
    return document


def mask_headers(text: str) -> list[list[str]]:
    """Stored headers as pairs; of what signs or opens something only the beginning is shown."""
    return [[name, _masked(value) if name in _SECRET_HEADERS else value] for name, value in json.loads(text)]


def _masked(value: str) -> str:
    shown = (part if part.endswith("***") else part[:SHOWN_OF_SECRET] + "***" for part in value.split(" "))
    return " ".join(shown)


def _parsed(body: bytes) -> Any:
    """The body as JSON; as text when it is none, which only a fault of ours could have let in."""
    try:
        return json.loads(body, parse_float=str)
    except ValueError:
        return body.decode("utf-8", "replace")


def _tell_story(output: Output, story: Story, registry: AssetRegistry) -> None:
    document = render_story(story)
    row = story.delivery
    output.say(f"{document['id']}  {document['state']}", "bold")
    names = ("provider", "delivery_id", "type", "player_id", "session_id", "round_id", "reference")
    output.facts([(name, str(document[name] or "")) for name in names])
    output.facts(
        [
            ("amount", shown_money(registry, row["amount"], row["asset"])),
            ("received", document["received_at"]),
            (
                "verified",
                f"{row['verified_as']} with key {row['key_id']}, signed {shown_time(row['signed_at'])}",
            ),
            ("body sha256", row["body_digest"]),
            ("correlation", row["correlation_id"]),
            ("trace", row["trace_id"] or ""),
        ]
    )
    _tell_place(output, document)
    for result in document["results"]:
        output.say(_result_line(result, registry))
    output.say("headers", "bold")
    output.facts([(name, value) for name, value in document["headers"]])
    output.say("body", "bold")
    output.say(json.dumps(document["body"], indent=2, ensure_ascii=False))


def _tell_place(output: Output, document: dict[str, Any]) -> None:
    if (queued := document["queue"]) is not None:
        output.facts(
            [
                ("failed attempts", str(queued["attempts"])),
                ("next attempt", queued["next_attempt_at"]),
                ("in hand until", queued["leased_until"] or ""),
                (
                    "last error",
                    f"{queued['last_error']}: {queued['last_detail']}" if queued["last_error"] else "",
                ),
            ]
        )
    if (dead := document["dead"]) is not None:
        output.say(
            f"dead since {dead['died_at']} after {dead['attempts']} attempts: {dead['cause']}: {dead['detail']}"
        )


def _result_line(result: dict[str, Any], registry: AssetRegistry) -> str:
    parts = [result["finished_at"], result["result"], result["code"]]
    if result["moved"] is not None:
        parts.append(f"moved {shown_money(registry, result['moved'], result['asset'])}")
    if result["journal_id"] is not None:
        parts.append(result["journal_id"])
    if result["replay"] is not None:
        parts.append(f"in {result['replay']}")
    if result["detail"] is not None:
        parts.append(result["detail"])
    return "  ".join(parts)


def _tell_refused(output: Output, row: asyncpg.Record) -> None:
    document = render_refused(row)
    output.say(f"{document['id']}  refused with {row['status']} {row['code']}", "bold")
    size = "not read" if row["body_bytes"] is None else f"{row['body_bytes']} bytes"
    output.facts(
        [
            ("provider", row["provider"]),
            ("webhook-id", row["delivery_id"] or "none that can be read"),
            ("received", document["received_at"]),
            ("reason", row["reason"] or ""),
            ("what was wrong", row["detail"]),
            ("path", row["path"]),
            ("body", size),
            ("body sha256", row["body_digest"] or ""),
        ]
    )
    output.facts([(name, value) for name, value in document["headers"]])
    if row["body_excerpt"]:
        output.say(row["body_excerpt"])
