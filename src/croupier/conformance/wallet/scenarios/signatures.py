"""Who may move money: only the holder of the key, only this request, only now, and only once."""

from __future__ import annotations

import secrets
from typing import Final

from msgspec.structs import replace

from croupier.conformance.wallet import rules
from croupier.conformance.wallet.caller import How, render_json
from croupier.conformance.wallet.orders import Order, debit, render_body
from croupier.conformance.wallet.scenario import scenario
from croupier.conformance.wallet.stage import UNAUTHENTICATED, Stage, told
from croupier.conformance.wallet.verdicts import Failed
from croupier_signing import SigningKey, parse_authorization, random_nonce, render_authorization

WHY = "Whoever can send a request that you accept can move your players' money."
FIX = (
    "Build the seven lines of docs/reference/signature.md from the request as it came, and compare in constant time;"
    " `croupier verify-signature` shows what differs. Answer 401 `unauthenticated` with applied `no`."
)
AHEAD_S: Final = 33
"""Beyond the window also when a second or two pass on the way."""
STALE_S: Final = (31, 45, 300, 86_400)
BASE64: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


async def _expect_refused(stage: Stage, how: How, order: Order, body: bytes | None = None) -> None:
    before = await stage.balance(order.player)
    sent = render_json(render_body(order)) if body is None else body
    stage.expect_error(await stage.ask(order.path, sent, how), UNAUTHENTICATED)
    await stage.expect_balance(order.player, before, "after a request that was not authentic")
    await stage.expect_unheard(order)


@scenario("A request without signature is refused", why=WHY, fix=FIX, rule=rules.SIGNATURE)
async def missing(stage: Stage) -> None:
    """No authorization header at all; every path asks for it."""
    await _expect_refused(stage, How(authorization=""), debit(await stage.player(), 100))
    for path in ("/balance", "/credit", "/rollback", "/status", "/statement"):
        stage.expect_error(await stage.ask(path, {}, How(authorization="")), UNAUTHENTICATED)


@scenario("A signature of another form is refused", why=WHY, fix=FIX, rule=rules.SIGNATURE)
async def malformed(stage: Stage) -> None:
    """Another scheme, a parameter twice, one too few, one too many, nothing but the scheme."""
    order = debit(await stage.player(), 100)
    body = render_json(render_body(order))
    good = _authorization_of(stage, order, body)
    for text in (
        "Bearer abcdefghijklmnop",
        "CROUPIER1-HMAC-SHA256",
        good.replace("CROUPIER1-HMAC-SHA256", "CROUPIER2-HMAC-SHA256"),
        good + ', ts="1"',
        good.rpartition(",")[0],
        good + ', more="1"',
        good.replace('"', ""),
    ):
        await _expect_refused(stage, How(authorization=text), order, body)


@scenario("A signature of another key is refused", why=WHY, fix=FIX, rule=rules.SIGNATURE)
async def wrong_key(stage: Stage) -> None:
    """Our id with another secret, another id with our secret, both others."""
    order, own, other = debit(await stage.player(), 100), stage.caller.key, secrets.token_bytes(32)
    for key in (SigningKey(own.id, other), SigningKey("nobody-1", own.secret), SigningKey("nobody-1", other)):
        await _expect_refused(stage, How(key=key), order)


@scenario("A body that was changed after it was signed is refused", why=WHY, fix=FIX, rule=rules.SIGNED)
async def altered_body(stage: Stage) -> None:
    """Another amount, and one more space."""
    order = debit(await stage.player(), 100)
    body = render_json(render_body(order))
    for altered in (body.replace(b'"100"', b'"101"'), body + b" ", b" " + body):
        await _expect_refused(stage, How(signed_body=body), order, altered)


@scenario("A signature of another path is refused", why=WHY, fix=FIX, rule=rules.SIGNED)
async def altered_path(stage: Stage) -> None:
    """Signed for a credit, sent as a debit."""
    await _expect_refused(stage, How(signed_path="/credit"), debit(await stage.player(), 100))


@scenario("A signature of another method is refused", why=WHY, fix=FIX, rule=rules.SIGNED)
async def altered_method(stage: Stage) -> None:
    """Signed for PUT, sent as POST."""
    await _expect_refused(stage, How(signed_method="PUT"), debit(await stage.player(), 100))


@scenario("A query that was added or changed after signing is refused", why=WHY, fix=FIX, rule=rules.SIGNED)
async def altered_query(stage: Stage) -> None:
    """Signed without, and signed with another."""
    order = debit(await stage.player(), 100)
    await _expect_refused(stage, How(query="dry=1", signed_query=""), order)
    await _expect_refused(stage, How(query="dry=1", signed_query="dry=2"), order)
    await _expect_refused(stage, How(query="", signed_query="dry=1"), order)


@scenario("Time, nonce and signature of a header cannot be changed", why=WHY, fix=FIX, rule=rules.SIGNATURE)
async def altered_header(stage: Stage) -> None:
    """Each replaced by another of the right form; the last by another spelling of the same bytes."""
    order = debit(await stage.player(), 100)
    body = render_json(render_body(order))
    parts = parse_authorization(_authorization_of(stage, order, body))
    respelled = BASE64[BASE64.index(parts.signature[-1]) ^ 1]
    for key_id, timestamp_s, nonce, signature in (
        (parts.key_id, parts.timestamp_s + 1, parts.nonce, parts.signature),
        (parts.key_id, parts.timestamp_s, random_nonce(), parts.signature),
        (parts.key_id, parts.timestamp_s, parts.nonce, "A" * 43),
        (parts.key_id, parts.timestamp_s, parts.nonce, parts.signature[:-1] + respelled),
    ):
        altered = render_authorization(type(parts)(key_id, timestamp_s, nonce, signature))
        await _expect_refused(stage, How(authorization=altered), order, body)


def _authorization_of(stage: Stage, order: Order, body: bytes) -> str:
    """A good one for this body, which is never sent as it is."""
    head = stage.caller.make_message(order.path, body).split(b"\r\n\r\n")[0]
    lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return lines[b"authorization"].decode("latin-1")


@scenario(
    "A signature that is older than 30 s is refused",
    why="Croupier takes `not_found` as final because an old request can no longer be accepted. If it can, it moves"
    " money after the provider was told that it did not.",
    fix="Refuse when `|now - ts| > 30`, by the clock of the server; keep that clock synchronised.",
    rule=rules.SIGNATURE,
)
async def stale(stage: Stage) -> None:
    """31 s, and much more."""
    player = await stage.player()
    for age_s in STALE_S:
        await _expect_refused(stage, How(shift_s=-age_s), debit(player, 100))


@scenario(
    "A signature from the future is refused",
    why="Signed ahead, a request could be kept and sent when nobody expects it.",
    fix="Refuse when `|now - ts| > 30`, in both directions.",
    rule=rules.SIGNATURE,
)
async def future(stage: Stage) -> None:
    """33 s, and much more."""
    player = await stage.player()
    for ahead_s in (AHEAD_S, 300, 86_400):
        await _expect_refused(stage, How(shift_s=ahead_s), debit(player, 100))


@scenario(
    "A signature within 30 s is accepted",
    why="Clocks differ, and a request may wait on its way.",
    fix="Accept `|now - ts| <= 30`. If this fails and nothing else, compare the clocks of both machines.",
    rule=rules.SIGNATURE,
)
async def within_the_window(stage: Stage) -> None:
    """29 s behind and ahead."""
    player = await stage.player()
    before = await stage.balance(player)
    for shift_s in (-29, 29):
        order = debit(player, 10)
        exchange = await stage.move(order, How(shift_s=shift_s))
        if exchange.status != 200:
            raise Failed(f"200 for a time {abs(shift_s)} s off", told(exchange), exchange)
        stage.expect_approved(exchange, order)
    await stage.expect_balance(player, before - 20, "after two debits within the window")


@scenario(
    "A request that is sent again as it is, is refused",
    why="Whoever records a request could send it again. A repeat of Croupier's has a nonce of its own.",
    fix="Keep nonces for a minute, in a place that all your servers share, and insert before you trust.",
    rule=rules.SIGNATURE,
)
async def replayed(stage: Stage) -> None:
    """The same bytes twice more, and on other connections."""
    player = await stage.player()
    before = await stage.balance(player)
    order = debit(player, 100)
    message = stage.caller.make_message(order.path, render_body(order))
    first = stage.require(await stage.caller.exchange(order.path, message))
    stage.expect_approved(first, order)
    stage.books.note(order, first.get)
    for is_fresh in (False, True, True):
        again = await stage.caller.exchange(order.path, message, is_fresh=is_fresh)
        stage.expect_error(stage.require(again), UNAUTHENTICATED)
    await stage.expect_balance(player, before - 100, "after three replays")


@scenario(
    "A nonce that was used is refused in any other request",
    why="A nonce is spent once for all paths.",
    fix="Keep nonces by key, not by path or body.",
    rule=rules.SIGNATURE,
)
async def nonce_used_elsewhere(stage: Stage) -> None:
    """Used for a balance, then for a debit that is signed with it."""
    player = await stage.player()
    nonce = random_nonce()
    about = {"player_id": player.id, "asset": player.asset}
    stage.expect(await stage.ask("/balance", about, How(nonce=nonce)), status="approved")
    order = debit(player, 100)
    await _expect_refused(stage, How(nonce=nonce), order)
    await _expect_refused(stage, How(nonce=nonce, shift_s=5), order)


@scenario(
    "The signature is judged before the body is read",
    why="What nobody has signed must not reach your parser, and must not learn what you know.",
    fix="Verify over the raw bytes first; parse afterwards.",
    rule=rules.SIGNATURE,
)
async def before_the_body(stage: Stage) -> None:
    """No JSON, and a movement that exists, each with a signature of a stranger."""
    player = await stage.player()
    order = debit(player, 100)
    await stage.approve(order)
    how = How(key=SigningKey(stage.caller.key.id, secrets.token_bytes(32)))
    for body in (b"{", b"", render_json(render_body(replace(order, amount=1)))):
        stage.expect_error(await stage.ask(order.path, body, how), UNAUTHENTICATED)
