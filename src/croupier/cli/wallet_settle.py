"""`croupier wallet settle`: a person says what became of a call that the operator's wallet does not clear up."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
import uvloop

from croupier.cli.acting import ReasonOption, read_actor, require_reason
from croupier.cli.arguments import parse_wallet_call_id
from croupier.cli.output import CommandFailed, Output, output_of
from croupier.cli.present import shown_id, shown_money, shown_time
from croupier.cli.settings import settings_of
from croupier.errors import CroupierError
from croupier.ids import BREAK, JOURNAL, SESSION
from croupier.operator.wallet.by_hand import HandOrder, HandSettled, NotByHand, Said, settle_by_hand
from croupier.runtime.agreement_site import NoRemoteWallet
from croupier.runtime.config import Config
from croupier.runtime.hand_site import open_hand_site
from croupier.telemetry.logs import set_up_logs
from croupier.wallet.calls import CallState

LARGEST: Final = 10**38 - 1
LONGEST_REFERENCE: Final = 128


def settle(
    ctx: typer.Context,
    wallet_call: Annotated[
        str,
        typer.Argument(metavar="WTX_ID", help="The call's reference at the wallet, as its break names it."),
    ],
    said: Annotated[Said, typer.Option("--as", help="What became of it, as the wallet's own books say.")],
    reason: ReasonOption,
    code: Annotated[
        str | None,
        typer.Option(
            help="The contract's code; `ok` of what is approved and `player_blocked` of what is refused."
        ),
    ] = None,
    balance: Annotated[
        int | None,
        typer.Option(
            metavar="UNITS", help="What the player had after it, in minor units; else what is expected."
        ),
    ] = None,
    wallet_reference: Annotated[
        str | None, typer.Option(metavar="REF", help="The wallet's own id of the movement.")
    ] = None,
    is_early: Annotated[
        bool, typer.Option("--before-deadline", help="Although the wallet is still asked by itself.")
    ] = False,
) -> None:
    """Settle a wallet call by hand: say what its books say. It is decided like the wallet's own answer, and only once.

    For a call that is open past its deadline. The amount is the one that was asked. A bet that is approved is booked,
    and its provider gets that answer when it repeats it; one that is refused is declined for ever; one that is not
    applied may be asked again. A credit that is refused is owed to the player (a break); one that is not applied is
    sent again.

    Examples:

      croupier wallet settle wtx_0197f2c4a5b67c8d9e0f1a2b3c4d5e07 --as approved --wallet-reference 88123 --reason "4711"

      croupier wallet settle wtx_0197f2c4a5b67c8d9e0f1a2b3c4d5e07 --as refused --code insufficient_funds --reason "4712"
    """
    output, config = output_of(ctx), settings_of(ctx).read_config()
    set_up_logs(log_format=config.telemetry.log_format, level="warning")
    _require_fitting(said, code, balance, wallet_reference)
    order = HandOrder(
        call_id=parse_wallet_call_id(wallet_call),
        said=said,
        actor=read_actor(),
        reason=require_reason(reason),
        code=code,
        balance=balance,
        wallet_reference=wallet_reference,
        is_early=is_early,
    )
    done = _settle(config, order)
    if output.is_json:
        output.document("wallet.settle", _render(done, order))
    else:
        _tell(output, done, config)
    if _is_other(done, order):
        raise CommandFailed(
            f"{done.call.name} is {done.call.state}: the wallet's own answer came first, and stands; what you said of "
            "it is in the audit log"
        )


def _require_fitting(said: Said, code: str | None, balance: int | None, wallet_reference: str | None) -> None:
    if said is not Said.APPROVED and wallet_reference is not None:
        raise typer.BadParameter("--wallet-reference is of a movement, and only what is approved has one")
    if said is Said.NOT_APPLIED and (code is not None or balance is not None):
        raise typer.BadParameter("what was not applied has neither --code nor --balance")
    if balance is not None and abs(balance) > LARGEST:
        raise typer.BadParameter("--balance has at most 38 digits")
    if wallet_reference is not None and not 1 <= len(wallet_reference) <= LONGEST_REFERENCE:
        raise typer.BadParameter(f"--wallet-reference has 1 to {LONGEST_REFERENCE} characters")


def _settle(config: Config, order: HandOrder) -> HandSettled:
    async def run() -> HandSettled:
        async with open_hand_site(config) as parts:
            return await settle_by_hand(parts, order)

    try:
        return uvloop.run(run())
    except (NoRemoteWallet, NotByHand) as error:
        raise CommandFailed(str(error)) from None
    except CroupierError as error:
        raise CommandFailed(f"it was not decided: {error.detail}; repeat the command") from None


def _is_other(done: HandSettled, order: HandOrder) -> bool:
    """Whether the call came to something else than was said; what is not applied may be sent again at once."""
    final = {CallState.APPROVED, CallState.REFUSED}
    return done.call.state in final and done.call.state != order.said


def _render(done: HandSettled, order: HandOrder) -> dict[str, Any]:
    call = done.call
    return {
        "wallet_call": call.name,
        "said": order.said,
        "state": call.state,
        "code": call.reason,
        "settled_at": shown_time(call.settled_at) or None,
        "operation": call.operation,
        "amount": str(call.amount),
        "moved": None if call.moved is None else str(call.moved),
        "asset": call.asset,
        "balance": None if call.balance is None else str(call.balance),
        "wallet_reference": call.wallet_reference,
        "player_id": call.player_id,
        "session_id": shown_id(SESSION, call.session_id) or None,
        "provider": call.provider,
        "reference": call.reference,
        "decided": done.status,
        "decided_code": done.code,
        "journal_id": shown_id(JOURNAL, done.journal_id) or None,
        "open_breaks": [{"id": shown_id(BREAK, id_), "kind": kind} for id_, kind in done.breaks],
    }


def _tell(output: Output, done: HandSettled, config: Config) -> None:
    call = done.call
    money = shown_money(config.asset_registry(), str(call.amount), call.asset)
    output.say(f"{call.name}: {call.state}", "bold")
    output.say(f"{call.operation} of {money} for {call.provider} {call.reference}, player {call.player_id}")
    if done.journal_id is not None:
        output.say(f"booked as {shown_id(JOURNAL, done.journal_id)}")
    elif done.status is not None:
        output.say(f"its transaction is {done.status} ({done.code}); nothing is booked")
    else:
        output.say("nothing is booked for its transaction")
    if call.state == CallState.UNDONE:
        output.say(
            "the rest of its provider's call was not taken: the background processes take it back at the wallet"
        )
    if call.state == CallState.QUEUED:
        output.say("the background processes send it again, under the same reference")
    for id_, kind in done.breaks:
        output.say(f"still open: {kind}; croupier reconcile resolve {shown_id(BREAK, id_)} --reason …")
