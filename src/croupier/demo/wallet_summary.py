"""The summary's part about the operator's wallet: the member `wallet` of the document, and the same for a person."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from croupier.demo.settings import WalletMode
from croupier.demo.wallet_proofs import WalletEvidence
from croupier.demo.wallet_trouble import WalletOutage
from croupier.money import AssetRegistry, render_decimal


def render_wallet(wallet: WalletEvidence) -> dict[str, Any]:
    """The member `wallet`. Amounts are texts of minor units."""
    return {
        "mode": WalletMode.REMOTE.value,
        "calls": dict(sorted(wallet.calls.items())),
        "faults": dict(sorted(wallet.faults.items())),
        "unknown": {"seen": wallet.unknown_seen, "settled": wallet.unknown_settled},
        "overdue": wallet.overdue,
        "asked_when_killed": wallet.asked_when_killed,
        "outage": None if wallet.outage is None else _outage(wallet.outage, wallet.drained),
        "agreement": {
            asset: {"wallet": str(one.wallet), "books": str(one.books)}
            for asset, one in wallet.agreement.items()
        },
        "differences": list(wallet.faults_of_agreement),
        "agrees": wallet.agrees,
    }


def _outage(outage: WalletOutage, drained: int) -> dict[str, Any]:
    return {
        "seconds_away": outage.away_s,
        "breaker_opened_in_s": outage.opened_in_s,
        "queued": len(outage.queued),
        "drained": drained,
        "drained_in_s": outage.drained_in_s,
        "launches_tried": outage.launches_tried,
        "launches_refused": outage.launches_refused,
        "launches_held_back": outage.launches_held_back,
        "debits_refused": outage.debits_refused,
    }


def tell_wallet(wallet: dict[str, Any], assets: AssetRegistry, console: Console) -> None:
    """Print the member for a person."""
    asked = sum(wallet["calls"].values())
    states = ", ".join(f"{calls} {state.replace('_', ' ')}" for state, calls in wallet["calls"].items())
    faults = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in wallet["faults"].items())
    unknown, outage = wallet["unknown"], wallet["outage"]
    console.print(f"{asked} movements were asked of it: {states}")
    console.print(f"it misbehaved: {faults or 'never'}")
    console.print(
        f"{unknown['seen']} outcomes were unknown, {unknown['settled']} of them are settled since; "
        f"{wallet['asked_when_killed']} calls were under way when a worker was killed"
    )
    if outage is not None:
        console.print(
            f"it was away for {outage['seconds_away']:.1f} s and left alone after "
            f"{outage['breaker_opened_in_s']:.1f} s: {outage['launches_refused']} of {outage['launches_tried']} "
            f"launches and {outage['debits_refused']} debits were refused, {outage['queued']} calls were queued"
        )
        console.print(
            f"{outage['drained']} of {outage['queued']} were delivered in order, {outage['drained_in_s']:.1f} s after "
            "it was back"
        )
    console.print(_agreement_table(wallet["agreement"], assets))
    for difference in wallet["differences"][:3]:
        console.print(f"     [red]{difference}[/]")


def _agreement_table(agreement: dict[str, dict[str, str]], assets: AssetRegistry) -> Table:
    table = Table(
        "players have", "in the wallet", "in the books", "", box=None, pad_edge=False, header_style="dim"
    )
    for asset, sides in agreement.items():
        shown = [render_decimal(int(sides[side]), assets.get(asset)) for side in ("wallet", "books")]
        is_same = sides["wallet"] == sides["books"]
        table.add_row(asset, *shown, "[green]agree[/]" if is_same else "[bold red]differ[/]")
    for column in table.columns[1:3]:
        column.justify = "right"
    return table
