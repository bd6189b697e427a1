"""Wallets: what a player has, deposits, withdrawals, and withdrawals that are taken back."""

from __future__ import annotations

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from croupier.errors import (
    AMOUNT_NOT_REPRESENTABLE,
    MALFORMED,
    UNKNOWN_PLAYER,
    CroupierError,
)
from croupier.money import AmountNotRepresentable, MalformedAmount, parse_minor
from croupier.moneypath.commands import OPERATOR, OPERATOR_CANCEL, CancelWithdrawal, Deposit, Withdrawal
from croupier.moneypath.outcomes import Outcome
from croupier.operator.bodies import CancelBody, CashBody
from croupier.operator.intake import OperatorRequest, asset_of, idempotency_key_of, path_name
from croupier.operator.replay import answer_again
from croupier.operator.views import CashView, WalletView, view_cash


class _Purse(Struct, frozen=True):
    player_id: str
    asset: str


def _purse(request: OperatorRequest, player_id: str, asset: str) -> _Purse:
    code = asset_of(request.exchange.deps.assets, path_name("asset", asset))
    return _Purse(path_name("player_id", player_id), code)


@get("/v1/wallets/{player_id:str}/{asset:str}", operation_id="readWallet", tags=["wallets"])
async def read_wallet(request: OperatorRequest, player_id: FromPath[str], asset: FromPath[str]) -> WalletView:
    """What a player has in one asset, fund by fund, and owes."""
    purse = _purse(request, player_id, asset)
    wallet = await request.exchange.deps.reads.load_wallet(purse.player_id, purse.asset)
    if wallet is None:
        detail = f"no wallet of player {purse.player_id} exists; a deposit or a session makes one"
        raise CroupierError(UNKNOWN_PLAYER, detail, field="player_id")
    return wallet


@post(
    "/v1/wallets/{player_id:str}/{asset:str}/deposits",
    status_code=200,
    operation_id="deposit",
    tags=["wallets"],
)
async def deposit(
    request: OperatorRequest, player_id: FromPath[str], asset: FromPath[str], data: JSONBody[CashBody]
) -> Response[CashView]:
    """Credit a wallet from the cashier; the first deposit makes the wallet."""
    purse = _purse(request, player_id, asset)
    command = Deposit(
        reference=data.reference,
        player_id=purse.player_id,
        asset=purse.asset,
        amount=_amount(data.amount),
        occurred_at=request.exchange.deps.now(),
    )
    return await _decide(request, command)


@post(
    "/v1/wallets/{player_id:str}/{asset:str}/withdrawals",
    status_code=200,
    operation_id="withdraw",
    tags=["wallets"],
)
async def withdraw(
    request: OperatorRequest, player_id: FromPath[str], asset: FromPath[str], data: JSONBody[CashBody]
) -> Response[CashView]:
    """Debit a wallet to the cashier, or decline it for ever under its reference."""
    purse = _purse(request, player_id, asset)
    command = Withdrawal(
        reference=data.reference,
        player_id=purse.player_id,
        asset=purse.asset,
        amount=_amount(data.amount),
        occurred_at=request.exchange.deps.now(),
    )
    return await _decide(request, command)


@post(
    "/v1/wallets/{player_id:str}/{asset:str}/withdrawals/{reference:str}/cancel",
    status_code=200,
    operation_id="cancelWithdrawal",
    tags=["wallets"],
)
async def cancel_withdrawal(
    request: OperatorRequest, player_id: FromPath[str], asset: FromPath[str], reference: FromPath[str]
) -> Response[CashView]:
    """Give a withdrawal back, once. One that never came is declined if it comes after all."""
    if await request.body():
        await request.read(CancelBody)
    purse = _purse(request, player_id, asset)
    command = CancelWithdrawal(
        reference=path_name("reference", reference),
        player_id=purse.player_id,
        asset=purse.asset,
        occurred_at=request.exchange.deps.now(),
    )
    return await _decide(request, command)


def _amount(text: str) -> int:
    """Minor units of a deposit or withdrawal; raises malformed or amount_not_representable."""
    try:
        amount = parse_minor(text)
    except MalformedAmount as error:
        raise CroupierError(MALFORMED, f"amount: {error}", field="amount") from None
    except AmountNotRepresentable as error:
        raise CroupierError(AMOUNT_NOT_REPRESENTABLE, str(error), field="amount") from None
    if amount == 0:
        raise CroupierError(MALFORMED, "amount: it must be more than 0", field="amount")
    return amount


async def _decide(
    request: OperatorRequest, command: Deposit | Withdrawal | CancelWithdrawal
) -> Response[CashView]:
    exchange = request.exchange
    call = exchange.call(
        command.player_id,
        command,
        provider=OPERATOR_CANCEL if isinstance(command, CancelWithdrawal) else OPERATOR,
        idempotency=exchange.idempotency(
            idempotency_key_of(exchange), await request.fingerprint(), _render_answer
        ),
    )
    outcome = await exchange.submit(call)
    if outcome.answer is not None:
        return answer_again(outcome.answer, is_repeat=outcome.is_repeat)
    return Response(view_cash(outcome), status_code=200)


def _render_answer(outcomes: tuple[Outcome, ...]) -> tuple[int, str]:
    return 200, msgspec.json.encode(view_cash(outcomes[0])).decode()
