"""Plans, replays and proofs as people read them, and as JSON documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from croupier.cli.output import Output
from croupier.cli.present import shown_id, shown_money, shown_time
from croupier.inbox.replay.job import Job
from croupier.inbox.replay.plan import Plan, render_moves
from croupier.inbox.replay.reading import REPLAY
from croupier.money import AssetRegistry

MEANING: Final = {
    "applied": "would have an effect",
    "repeat": "were applied before: nothing moves",
    "nothing": "have no effect: nothing moves",
    "refused": "are refused: nothing moves",
    "unmatched": "refer to what nobody knows: nothing moves",
    "failed": "cannot be replayed",
}

WHY: Final = {
    "not_decided": "it could not be decided; run the window again",
    "decided_elsewhere": "it was decided by other traffic after the plan",
    "processed_elsewhere": "it was processed by a worker after the plan",
    "player_went_on": "the player's money moved after the plan",
    "session_went_on": "the session went on after the plan",
    "unexplained": "NOTHING EXPLAINS IT",
}


def tell_plan(output: Output, plan: Plan, registry: AssetRegistry) -> None:
    """What a run would do, in words and tables."""
    window = plan.window
    filters = {
        "provider": window.provider,
        "type": window.type,
        "round": window.round_id,
        "session": None if window.session_id is None else shown_id("ses", window.session_id),
        "player": window.player_id,
        "result": ", ".join(window.results),
    }
    output.facts([
        ("window", f"{shown_time(window.start)} to {shown_time(window.end)}"),
        *((name, value or "") for name, value in filters.items()),
        ("deliveries", _shown_extent(plan)),
        ("providers", _shown_counts(plan.by_provider)),
        ("types", _shown_counts(plan.by_type)),
    ])  # fmt: skip
    output.say("")
    rows = [
        (str(plan.results[result]), meaning, _shown_codes(plan, result))
        for result, meaning in MEANING.items()
        if plan.results[result]
    ]
    output.table(("deliveries", "what would become of them", "why"), rows)
    for cause in sorted(plan.obstacles):
        one = plan.obstacles[cause]
        output.say(f"{one.count} {cause}: {one.detail} ({', '.join(one.examples)})", "yellow")
    output.say("")
    _tell_moves(output, "would move", render_moves(plan.moves), registry)
    output.say(f"{plan.entries} journal entries and {plan.breaks} breaks would be new")


def _shown_extent(plan: Plan) -> str:
    if plan.oldest_at is None:
        return "none"
    return f"{plan.deliveries}, received {shown_time(plan.oldest_at)} to {shown_time(plan.newest_at)}"


def _shown_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _shown_codes(plan: Plan, result: str) -> str:
    codes: Mapping[str, int] = plan.codes.get(result, {})
    return "" if set(codes) <= {"ok"} else _shown_counts(codes)


def _tell_moves(
    output: Output, what: str, money: Mapping[str, Mapping[str, str]], registry: AssetRegistry
) -> None:
    if not money:
        output.say(f"no money {what}")
        return
    names = ("credits", "debits", "net")
    rows = [
        (asset, *(shown_money(registry, moves[name], asset) for name in names))
        for asset, moves in money.items()
    ]
    output.table((what, "to players", "from players", "net"), rows)


def render_job(job: Job) -> dict[str, Any]:
    """A replay with its plan and its proof as a JSON document, without the schema."""
    return {**render_job_line(job), "plan": job.plan, "proof": job.proof}


def render_job_line(job: Job) -> dict[str, Any]:
    """A replay in short, ready for JSON."""
    return {
        "replay": shown_id(REPLAY, job.id),
        "state": job.state,
        "actor": job.actor,
        "reason": job.reason,
        "window": job.plan["window"],
        "deliveries": job.progress.total,
        "done": job.progress.done,
        "results": job.progress.results,
        "proven": None if job.proof is None else job.proof["held"],
        "created_at": shown_time(job.created_at),
        "updated_at": shown_time(job.updated_at),
    }


def tell_job_lines(output: Output, jobs: Iterable[Job]) -> None:
    """One line for each replay."""
    rows = [
        (
            shown_id(REPLAY, job.id),
            job.state,
            f"{job.progress.done} of {job.progress.total}",
            {None: "", True: "held", False: "BROKEN"}[None if job.proof is None else job.proof["held"]],
            shown_time(job.created_at),
            job.actor,
            job.reason,
        )
        for job in jobs
    ]
    output.table(("replay", "state", "done", "proof", "created", "by", "reason"), rows)


def tell_job(output: Output, job: Job, registry: AssetRegistry) -> None:
    """How a replay stands, and its proof once there is one."""
    output.facts([
        ("replay", shown_id(REPLAY, job.id)),
        ("state", job.state),
        ("done", f"{job.progress.done} of {job.progress.total}"),
        ("results", _shown_counts(job.progress.results)),
        ("asked by", f"{job.actor}: {job.reason}"),
    ])  # fmt: skip
    if job.proof is not None:
        output.say("")
        _tell_proof(output, job.proof, registry)
    elif job.state == "cancelled":
        output.say(f"resume it: croupier inbox replay --resume {shown_id(REPLAY, job.id)} --reason …")


def _tell_proof(output: Output, proof: Mapping[str, Any], registry: AssetRegistry) -> None:
    ledger, effects, differences = proof["ledger"], proof["effects"], proof["differences"]
    added = ledger["added"]
    _tell_line(output, ledger["kept"]["held"], "everything that was in the ledger before is there unchanged")
    if ledger["unchanged"]:
        _tell_line(output, True, f"nothing moved: the digest before and after is {ledger['after']['digest']}")
    else:
        output.say(f"        digest before  {ledger['before']['digest']}")
        output.say(f"        digest after   {ledger['after']['digest']}")
        others = "" if ledger["sum"]["judged"] else f", {added['by_others']} by other traffic meanwhile"
        said = f"the ledger grew by {added['by_replay']} entries of this replay{others}, and by nothing else"
        _tell_line(output, ledger["sum"]["held"], said)
    is_foreseen = effects["equal"] or (differences["count"] and not differences["unexplained"])
    said = f"{effects['applied']['deliveries']} effects applied, {effects['planned']['deliveries']} planned"
    _tell_line(output, bool(is_foreseen) and effects["recorded"], said)
    for one in differences["first"]:
        moved = f"planned {one['planned'] or 0}, moved {one['moved'] or 0} {one['asset'] or ''}".rstrip()
        output.say(f"        {one['delivery']} {one['reference'] or ''}: {moved}: {WHY[one['why']]}")
    if differences["count"] > len(differences["first"]):
        output.say(f"        … and {differences['count'] - len(differences['first'])} more")
    doubles = proof["doubles"]
    _tell_line(output, not doubles["count"], f"{doubles['count']} references moved money more than once")
    for double in doubles["first"]:
        output.say(f"        {double}")
    for invariant, verdict in (proof["check"] or {}).items():
        _tell_line(output, verdict == "held", f"{invariant} over the whole ledger: {verdict}")
    output.say("")
    _tell_moves(output, "moved", effects["applied"]["money"], registry)
    output.say(
        "the proof holds" if proof["held"] else "THE PROOF IS BROKEN", "bold" if proof["held"] else "bold red"
    )


def _tell_line(output: Output, is_held: bool, said: str) -> None:
    output.say(f"{'held' if is_held else 'BROKEN':<6}  {said}", "" if is_held else "bold red")
