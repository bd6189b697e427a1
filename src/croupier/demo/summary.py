"""The demo's summary: the JSON document of `interfaces.md`, and the same told to a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from croupier.demo.brownout import Brownout
from croupier.demo.inbox import Replayed
from croupier.demo.proofs import HELD, Evidence, Webhooks, judge
from croupier.demo.reading_along import ReadingAlong
from croupier.demo.rollout import Rolled
from croupier.demo.settings import NATIVE, DemoSettings
from croupier.demo.wallet_summary import render_wallet, tell_wallet
from croupier.governance.flags.shares import render_share
from croupier.money import AssetRegistry, render_decimal

ACCOUNT_ORDER: Final = (
    "operator_cash",
    "player_wallet",
    "player_receivable",
    "operator_clearing",
    "provider_payable",
    "operator_revenue",
    "jackpot_pool",
    "promo_expense",
    "suspense",
)


RESULTS: Final = ("applied", "repeat", "nothing", "refused", "unmatched")
"""What a processed webhook comes to."""


def percentile(values: Sequence[int], percent: int) -> int:
    """The value below which `percent` of the sorted values lie; 0 for none."""
    return values[min(len(values) - 1, len(values) * percent // 100)] if values else 0


def merge_counts(reports: Iterable[dict[str, Any]], *path: str) -> Counter[str]:
    """The sum of one group of counters over all batch reports."""
    total: Counter[str] = Counter()
    for report in reports:
        group: Any = report
        for step in path:
            group = group[step]
        total.update(group)
    return total


def build_summary(
    settings: DemoSettings,
    reports: Sequence[dict[str, Any]],
    evidence: Evidence,
    *,
    played_s: float,
    crashes: int,
    console_url: str,
) -> dict[str, Any]:
    """The document; `played_s` is how long play took, in seconds. Amounts are texts of minor units."""
    latencies = sorted(latency for report in reports for latency in report["latencies_us"])
    calls = sum(report["requests"] for report in reports)
    totals = evidence.ledger.totals
    return {
        "seed": settings.seed,
        "players": settings.players,
        "rounds": sum(report["rounds"] for report in reports),
        "money_calls": calls,
        "by_provider": _by_provider(reports, evidence.webhooks),
        "declined": dict(merge_counts(reports, "declined")),
        "flows": dict(merge_counts(reports, "flows")),
        "faults": dict(merge_counts(reports, "faults")),
        "retries": dict(merge_counts(reports, "retries")),
        "crashes": {"worker_killed": crashes},
        "duplicates_absorbed": sum(report["duplicates"]["absorbed"] for report in reports),
        "attacks": {"planted": evidence.planted, "refused": evidence.refused},
        "webhooks": _webhooks(evidence.webhooks),
        "replay": _replay(evidence.replay_of_webhooks, totals.assets),
        "breakers": _breakers(evidence.brownout),
        "rollout": _rollout(evidence.rolled),
        "shadow": _shadow(evidence.reading),
        "eligibility": {"refused": evidence.door.refused, "kept": evidence.door.kept},
        "sessions": evidence.sessions,
        "latency_ms": {"p50": _ms(percentile(latencies, 50)), "p99": _ms(percentile(latencies, 99))},
        "calls_per_second": round(calls / played_s) if played_s > 0 else 0,
        "acknowledged": evidence.acknowledged,
        "ledger": {
            "balanced": evidence.ledger.is_held,
            "clearing": {
                asset: kinds.get("operator_clearing", "0") for asset, kinds in totals.assets.items()
            },
            "assets": totals.assets,
        },
        **({} if evidence.wallet is None else {"wallet": render_wallet(evidence.wallet)}),
        "invariants": judge(evidence),
        "claims": CLAIMS if evidence.wallet is None else REMOTE_CLAIMS,
        "findings": list(evidence.examples),
        "console_url": console_url,
    }


def _webhooks(webhooks: Webhooks) -> dict[str, Any]:
    return {
        "sent": webhooks.sent,
        "accepted": webhooks.accepted,
        "duplicates": webhooks.duplicates,
        "refused": webhooks.refused,
        "processed": {result: webhooks.results.get(result, 0) for result in RESULTS},
        "dead_letters": webhooks.dead,
        "redriven": webhooks.redriven,
        "held_while_dark": webhooks.held,
        "sessions_held_open": webhooks.open_sessions,
        "seconds_dark": webhooks.dark_s,
        "drained_in_s": webhooks.drained_s,
    }


def _replay(replayed: Replayed, assets: Iterable[str]) -> dict[str, Any]:
    return {
        "deliveries": replayed.deliveries,
        "already_applied": replayed.already_applied,
        "failed": replayed.failed,
        "moved": {asset: replayed.moved.get(asset, "0") for asset in assets},
        "double_effects": replayed.double_effects,
        "digest_equal": replayed.digest_equal,
    }


def _breakers(brownout: Brownout) -> dict[str, Any]:
    before_us, meanwhile_us = (
        percentile(sorted(took), 99) for took in (brownout.others_before_us, brownout.others_us)
    )
    return {
        "provider": brownout.provider,
        "failed": brownout.failed,
        "held_back": brownout.held_back,
        "calls_while_open": brownout.calls_while_open,
        "others_opened": brownout.others_opened,
        "others_p99_ms": {"before": _ms(before_us), "meanwhile": _ms(meanwhile_us)},
        "others_p99_ratio": _ratio(meanwhile_us, before_us),
        "recovered_in_s": brownout.recovered_in_s,
        "changes": list(brownout.changes),
    }


def _by_provider(reports: Sequence[dict[str, Any]], webhooks: Webhooks) -> dict[str, dict[str, Any]]:
    """Counts of each provider account, in the order of the first report of each; webhooks are the native one's."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for report in reports:
        grouped.setdefault(report["provider"], []).append(report)
    return {
        provider: {
            "protocol": own[0]["protocol"],
            "calls": sum(report["requests"] for report in own),
            "approved": sum(merge_counts(own, "approved").values()),
            "declined": sum(merge_counts(own, "declined").values()),
            "refused": sum(merge_counts(own, "attacks", "refused").values())
            + (sum(webhooks.refused.values()) if provider == NATIVE.id else 0),
        }
        for provider, own in grouped.items()
    }


def _rollout(rolled: Rolled) -> dict[str, Any]:
    steps = [
        {"share": render_share(one.share_bps), "tried": one.tried, "moved": one.moved} for one in rolled.steps
    ]
    return {"successor": rolled.successor, "steps": steps}


def _shadow(reading: ReadingAlong) -> dict[str, Any]:
    return {
        "provider": reading.provider,
        "candidate": reading.candidate,
        "compared": reading.compared,
        "dropped": reading.dropped,
        "differences": {
            "planted": reading.planted,
            "found": reading.found,
            "missed": list(reading.missed),
            "strays": list(reading.strays),
        },
    }


def _ratio(part: int, whole: int) -> str | None:
    """With two decimals; None when there is nothing to compare with."""
    if not whole:
        return None
    hundredths = (part * 100 + whole // 2) // whole
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def _ms(microseconds: int) -> float:
    return round(microseconds / 1000, 2)


def is_held(summary: dict[str, Any]) -> bool:
    """Whether every invariant held."""
    return all(verdict == HELD for verdict in summary["invariants"].values())


def tell(summary: dict[str, Any], assets: AssetRegistry, console: Console) -> None:
    """Print the summary for a person."""
    console.print()
    console.rule("[bold]What was played")
    console.print(
        f"{summary['players']} players, {summary['rounds']} rounds, {summary['money_calls']} signed requests, "
        f"{summary['calls_per_second']} a second on this machine; "
        f"p50 {summary['latency_ms']['p50']} ms, p99 {summary['latency_ms']['p99']} ms"
    )
    console.print(f"sessions: {_listed(summary['sessions'])}")
    console.print(f"declined: {_listed(summary['declined']) or 'none'}")
    console.print(_provider_table(summary["by_provider"]))
    console.rule("[bold]What was thrown at it")
    console.print(
        f"{summary['duplicates_absorbed']} duplicates absorbed; {_listed(summary['faults'])}; "
        f"workers killed: {summary['crashes']['worker_killed']}"
    )
    console.print(f"order: {_listed(summary['flows'])}")
    console.print(_attack_table(summary["attacks"]))
    console.rule("[bold]What came by webhook")
    _tell_webhooks(summary["webhooks"], summary["replay"], console)
    console.rule("[bold]A provider that opened no games")
    _tell_breakers(summary["breakers"], console)
    _tell_rollout(summary["rollout"], console)
    _tell_shadow(summary["shadow"], console)
    _tell_door(summary["eligibility"], console)
    console.rule("[bold]Where every cent is")
    console.print(_money_table(summary["ledger"]["assets"], assets))
    if "wallet" in summary:
        console.rule("[bold]What the operator's wallet says")
        tell_wallet(summary["wallet"], assets, console)
    console.rule("[bold]Invariants")
    for name, verdict in summary["invariants"].items():
        style = "green" if verdict == HELD else "bold red"
        console.print(f"{name:<4} {REMOTE_CLAIMS[name]:<62} [{style}]{verdict}[/]")
    for finding in summary["findings"]:
        console.print(f"     [red]{finding}[/]")


CLAIMS: Final = {
    "I1": "every entry, and the whole ledger, sums to zero",
    "I2": "at most one effect per reference; repeats get the same answer",
    "I3": "everything that was acknowledged is in the books",
    "I4": "every accepted webhook was applied, refused, is pending or dead",
    "I5": "every history leads to exactly the state that is stored, and nobody plays who may not",
    "I7": "any order of calls and webhooks ends in the same books",
    "I8": "every forged, stale, replayed or tampered request was refused",
    "I10": "every session is final and nothing is undecided",
    "I12": "a sick provider was left alone and no other was touched, nor by a rollout or by who reads along",
}

REMOTE_CLAIMS: Final = dict(
    sorted(
        {**CLAIMS, "I6": "the operator's wallet and the books agree, movement by movement"}.items(),
        key=lambda one: int(one[0][1:]),
    )
)
"""What is claimed where the operator's wallet is the one."""


def _tell_webhooks(webhooks: dict[str, Any], replay: dict[str, Any], console: Console) -> None:
    console.print(
        f"the native provider was dark for {webhooks['seconds_dark']:.1f} s: {webhooks['held_while_dark']} facts and "
        f"{webhooks['sessions_held_open']} sessions waited for its webhooks"
    )
    console.print(
        f"{webhooks['sent']} webhooks sent, {webhooks['accepted']} accepted, {webhooks['duplicates']} duplicates "
        f"absorbed; the storm was worked off {webhooks['drained_in_s']:.1f} s after it began"
    )
    console.print(f"processed: {_listed({name: n for name, n in webhooks['processed'].items() if n})}")
    console.print(
        f"dead letters: {_listed(webhooks['dead_letters']) or 'none'}; {webhooks['redriven']} redriven"
    )
    moved = sum(amount != "0" for amount in replay["moved"].values())
    console.print(
        f"replay of all {replay['deliveries']} deliveries: {replay['already_applied']} were applied already, "
        f"{'nothing moved' if moved == 0 else f'[red]{moved} assets moved[/]'}, "
        f"{replay['double_effects']} double effects, "
        f"ledger digest {'equal' if replay['digest_equal'] else '[red]different[/]'}"
    )


def _tell_breakers(breakers: dict[str, Any], console: Console) -> None:
    console.print(
        f"{breakers['provider']}: {breakers['failed']} launches failed, then {breakers['held_back']} were held back "
        f"and {breakers['calls_while_open']} calls made; meanwhile {breakers['others_opened']} games of another "
        f"provider opened; launched again {breakers['recovered_in_s']:.1f} s after it was mended"
    )
    if breakers["others_p99_ratio"] is not None:
        took = breakers["others_p99_ms"]
        console.print(
            f"     the others' launches: p99 {took['before']} ms before, {took['meanwhile']} ms meanwhile, "
            f"{breakers['others_p99_ratio']} times as long"
        )
    for change in breakers["changes"]:
        console.print(f"     {change}")


def _tell_rollout(rollout: dict[str, Any], console: Console) -> None:
    steps = ", ".join(f"{one['moved']} of {one['tried']} at {one['share']}" for one in rollout["steps"])
    console.print(f"players at {rollout['successor']}, up and back by two rollbacks: {steps}")


def _tell_shadow(shadow: dict[str, Any], console: Console) -> None:
    differences = shadow["differences"]
    console.print(
        f"{shadow['candidate']} read along with {shadow['provider']}: {shadow['compared']} calls compared, "
        f"{differences['found']} kinds of difference found, {differences['planted']} planted"
    )


def _tell_door(eligibility: dict[str, Any], console: Console) -> None:
    console.print(
        f"players who may not play were refused, and {eligibility['kept']} refusals are kept: "
        f"{_listed(eligibility['refused'])}"
    )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(counts.items()))


def _provider_table(providers: dict[str, dict[str, Any]]) -> Table:
    columns = ("calls", "approved", "declined", "refused")
    table = Table("provider", "protocol", *columns, box=None, pad_edge=False, header_style="dim")
    for name, counts in sorted(providers.items()):
        table.add_row(name, counts["protocol"], *(str(counts[column]) for column in columns))
    for column in table.columns[2:]:
        column.justify = "right"
    return table


def _attack_table(attacks: dict[str, dict[str, int]]) -> Table:
    table = Table("attack", "planted", "refused as owed", box=None, pad_edge=False, header_style="dim")
    for kind, planted in sorted(attacks["planted"].items()):
        table.add_row(kind.replace("_", " "), str(planted), str(attacks["refused"].get(kind, 0)))
    return table


def _money_table(totals: dict[str, dict[str, str]], assets: AssetRegistry) -> Table:
    table = Table("account", *(totals), box=None, pad_edge=False, header_style="dim")
    for kind in ACCOUNT_ORDER:
        if any(kind in kinds for kinds in totals.values()):
            cells = [_shown(kinds.get(kind, "0"), asset, assets) for asset, kinds in totals.items()]
            table.add_row(kind.replace("_", " "), *cells)
    sums = [sum(int(amount) for amount in kinds.values()) for kinds in totals.values()]
    table.add_row("[bold]sum[/]", *(f"[bold]{total}[/]" for total in sums))
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _shown(amount: str, asset: str, assets: AssetRegistry) -> str:
    return render_decimal(int(amount), assets.get(asset))
