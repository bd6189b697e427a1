"""A tiny gateway that answers like the protocols of other vendors, in memory; every switch is for tests to set."""

import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from croupier.sandbox.wire import Account
from croupier_signing import (
    PrivateKey,
    PublicKey,
    SignatureRefused,
    SigningKey,
    read_form,
    read_key,
    verify_canonical_body,
    verify_canonical_query,
    verify_raw_hmac,
    verify_rsa_body,
    verify_sorted_form,
    verify_static_token,
)
from croupier_signing.pairs import make_rsa_pair

PROTOCOLS = ("softswiss_v2", "hub88_v1", "slotegrator_gis_v1", "swipegames_v1", "evolution_v1")
SECRET = SigningKey("in-1", b"0123456789abcdef0123456789abcdef")
LAUNCH_SECRET = SigningKey("out-1", b"fedcba9876543210fedcba9876543210")
Amount = Decimal


def _pair(name: str) -> tuple[PrivateKey, PublicKey]:
    private, public = (read_key(name, pem) for pem in make_rsa_pair())
    assert isinstance(private, PrivateKey)
    assert isinstance(public, PublicKey)
    return private, public


PRIVATE, PUBLIC = _pair("in-1")
LAUNCH_PRIVATE, LAUNCH_PUBLIC = _pair("out-1")


def account_of(protocol: str, gateway: str = "http://127.0.0.1:1") -> Account:
    """An account of each protocol, named after it."""
    is_pair = protocol == "hub88_v1"
    return Account(
        id=protocol,
        protocol=protocol,
        callback_base=f"{gateway}/providers/{protocol}",
        callback_key=PRIVATE if is_pair else SECRET,
        launch_keys=(LAUNCH_PUBLIC if is_pair else LAUNCH_SECRET,),
    )


class Refused(Exception):
    """What went wrong, in one word that each dialect translates."""


@dataclass
class Ledger:
    """Wallets in main units and references; a bet after its rollback is refused, declines are not kept."""

    opening: Amount = Decimal(1_000)
    wallets: dict[str, Amount] = field(default_factory=dict)
    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    pays_twice: bool = False
    forgets_ids: bool = False

    def move(self, player: str, reference: str, sign: int, amount: Amount, facts: Any) -> dict[str, Any]:
        """A bet (-1) or a win (+1)."""
        known = self.done.get(reference)
        if known is not None:
            if known["facts"] != facts:
                raise Refused("conflict")
            return (
                {**known, "id": f"op-{len(self.done)}-again", "repeat": True} if self.forgets_ids else known
            )
        if reference in self.dead:
            raise Refused("tombstoned")
        balance = self.balance(player) + sign * amount * (2 if self.pays_twice and sign > 0 else 1)
        if balance < 0:
            raise Refused("poor")
        return self._write(player, reference, balance, facts, sign * amount)

    def undo(self, player: str, reference: str, target: str) -> dict[str, Any]:
        """A rollback; `found` is ok, nothing or already."""
        if reference in self.done:
            return self.done[reference]
        known = self.done.get(target)
        if known is None:
            self.dead.add(target)
            return self._write(player, reference, self.balance(player), target, Decimal(0), found="nothing")
        if known.get("undone"):
            return self._write(player, reference, self.balance(player), target, Decimal(0), found="already")
        known["undone"] = True
        return self._write(player, reference, self.balance(player) - known["moved"], target, -known["moved"])

    def balance(self, player: str) -> Amount:
        """What a player has."""
        return self.wallets.setdefault(player, self.opening)

    def _write(
        self, player: str, reference: str, balance: Amount, facts: Any, moved: Amount, found: str = "ok"
    ) -> dict[str, Any]:
        self.wallets[player] = balance
        entry = {
            "id": f"op-{len(self.done)}",
            "balance": balance,
            "facts": facts,
            "moved": moved,
            "found": found,
            "repeat": False,
        }
        self.done[reference] = {**entry, "repeat": True}
        return entry


@dataclass
class ForeignGateway:
    """All five protocols under `/providers/{protocol}`."""

    address: str = ""
    ledger: Ledger = field(default_factory=Ledger)
    sessions: dict[str, dict[str, str]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    lost_paths: set[str] = field(default_factory=set)
    down_paths: set[str] = field(default_factory=set)
    rotates_sids: bool = True
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    _nonces: set[str] = field(default_factory=set)
    _stored: dict[str, bytes] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One callback."""
        body, protocol = await request.read(), request.match_info["protocol"]
        tail = "/" + request.match_info["tail"]
        self.seen[tail] += 1
        self.bodies.append((tail, body))
        if tail in self.down_paths:
            return web.json_response({"code": "overloaded"}, status=503)
        dialect: Callable[[web.Request, str, bytes], web.Response] = getattr(self, f"_{protocol}")
        reply = dialect(request, tail, body)
        if tail in self.lost_paths and request.transport is not None:
            request.transport.abort()
        return reply

    # Beexar

    def _softswiss_v2(self, request: web.Request, tail: str, body: bytes) -> web.Response:
        try:
            _verify(lambda sign: verify_raw_hmac([SECRET], body, sign), request, "X-REQUEST-SIGN")
            asked = _read(body)
            player = asked["account_id"]
            if asked.get("game_id", "").startswith("not-"):
                raise Refused("game")
            if tail in ("/balance", "/finish"):
                return web.json_response({"balance": str(self.ledger.balance(player))})
            done = [self._softswiss_action(tail, player, asked, one) for one in asked["transactions"]]
            return web.json_response(
                {"balance": str(done[-1]["balance"]), "round_id": "op-round", "transactions": [
                    {"id_provider": one["id_provider"], "bonus_amount": "0.00",
                     "id": "" if entry["found"] != "ok" else entry["id"]}
                    for one, entry in zip(asked["transactions"], done, strict=True)]}
            )  # fmt: skip
        except Refused as refused:
            code = {"signature": "403", "poor": "100", "tombstoned": "409"}.get(str(refused), "400")
            meta = {"api_code": code, "api_message": str(refused)}
            if code == "100":
                meta["balance"] = str(self.ledger.balance(player))
            return web.json_response({"code": "invalid_argument", "msg": "", "meta": meta}, status=400)

    def _softswiss_action(
        self, tail: str, player: str, asked: dict[str, Any], one: dict[str, Any]
    ) -> dict[str, Any]:
        if tail == "/rollback":
            _need(asked, "round_id_provider")
            return self.ledger.undo(player, one["id_provider"], one["original_id_provider"])
        _need(asked, "round_id")
        amount = one["amount"]
        if not isinstance(amount, str) or not re.fullmatch(r"\d+(\.\d{1,16})?", amount):
            raise Refused("malformed")
        sign = {"bet": -1, "win": 1}[one["type"]]
        return self.ledger.move(player, one["id_provider"], sign, Decimal(amount), one)

    # Hub88

    def _hub88_v1(self, request: web.Request, tail: str, body: bytes) -> web.Response:
        asked: dict[str, Any] = {}
        try:
            _verify(lambda sign: verify_rsa_body([PUBLIC], body, sign), request, "X-Hub88-Signature")
            asked = _read(body)
            kept = self._stored.get(asked["request_uuid"])
            if kept is None:
                kept = json.dumps(self._hub88_done(tail, asked)).encode()
                if tail.startswith("/transaction"):
                    self._stored[asked["request_uuid"]] = kept
            return web.Response(body=kept, content_type="application/json")
        except Refused as refused:
            words = {"signature": "INVALID_SIGNATURE", "poor": "NOT_ENOUGH_MONEY", "malformed": "WRONG_SYNTAX",
                     "tombstoned": "TRANSACTION_ROLLED_BACK", "conflict": "DUPLICATE_TRANSACTION",
                     "unknown": "TRANSACTION_DOES_NOT_EXIST"}  # fmt: skip
            error = {
                "status": f"RS_ERROR_{words[str(refused)]}",
                "request_uuid": asked.get("request_uuid", ""),
            }
            if str(refused) == "poor":
                error["balance"] = int(self.ledger.balance(asked["user"]) * 100_000)
            return web.json_response(error)

    def _hub88_done(self, tail: str, asked: dict[str, Any]) -> dict[str, Any]:
        player = asked["user"]
        known = {"status": "RS_OK", "request_uuid": asked["request_uuid"], "user": player}
        if tail.startswith("/user"):
            return {**known, "balance": int(self.ledger.balance(player) * 100_000)}
        if tail != "/transaction/bet":
            _need(asked, "reference_transaction_uuid")
        if tail == "/transaction/rollback":
            done = self.ledger.undo(player, asked["transaction_uuid"], asked["reference_transaction_uuid"])
        else:
            if not isinstance(asked["amount"], int):
                raise Refused("malformed")
            if tail == "/transaction/win" and asked["reference_transaction_uuid"] not in self.ledger.done:
                raise Refused("unknown")
            facts = {name: asked[name] for name in ("amount", "round", "currency")}
            sign = -1 if tail == "/transaction/bet" else 1
            amount = Decimal(asked["amount"]) / 100_000
            done = self.ledger.move(player, asked["transaction_uuid"], sign, amount, facts)
        return {**known, "currency": "EUR", "balance": int(done["balance"] * 100_000)}

    # Swipe Games

    def _swipegames_v1(self, request: web.Request, tail: str, body: bytes) -> web.Response:
        try:
            if tail == "/balance":
                query = request.raw_path.partition("?")[2].encode()
                _verify(lambda sign: verify_canonical_query([SECRET], query, sign), request, "X-REQUEST-SIGN")
                player = self.sessions[request.query["sessionID"]]["player"]
                return web.json_response({"balance": str(self.ledger.balance(player))})
            _verify(lambda sign: verify_canonical_body([SECRET], body, sign), request, "X-REQUEST-SIGN")
            asked = _read(body)
            player, amount = self.sessions[asked["sessionID"]]["player"], asked["amount"]
            if not isinstance(amount, str):
                raise Refused("malformed")
            if tail == "/refund":
                done = self.ledger.undo(player, asked["txID"], asked["origTxID"])
            else:
                sign = -1 if tail == "/bet" else 1
                done = self.ledger.move(player, asked["txID"], sign, Decimal(amount), (tail, asked))
            balance = self.ledger.balance(player)
            return web.json_response({"balance": str(balance), "txID": done["id"]})
        except Refused as refused:
            code = {"code": "insufficient_funds"} if str(refused) == "poor" else {}
            status = 401 if str(refused) == "signature" else 400
            return web.json_response({"message": "no", **code}, status=status)

    # Slotegrator GIS

    def _slotegrator_gis_v1(self, request: web.Request, tail: str, body: bytes) -> web.Response:
        try:
            asked = self._gis_form(request, body)
            player, action = asked["player_id"], asked["action"]
            if asked.get("game_uuid", "").startswith("not-"):
                raise Refused("game")
            if action == "balance":
                return _numbered({"balance": self.ledger.balance(player)})
            reference = asked["transaction_id"]
            more: dict[str, Any] = {}
            if action == "refund":
                done = self.ledger.undo(player, reference, asked["bet_transaction_id"])
            elif action == "rollback":
                target = asked["rollback_transactions[0][transaction_id]"]
                done = self.ledger.undo(player, reference, target)
                more = {"rollback_transactions": [target]}
            else:
                done = self._gis_move(player, reference, action, asked)
            answer = {"balance": self.ledger.balance(player), "transaction_id": done["id"], **more}
            return _numbered(answer)
        except (Refused, SignatureRefused) as refused:
            code = "INSUFFICIENT_FUNDS" if str(refused) == "poor" else "INTERNAL_ERROR"
            return web.json_response({"error_code": code, "error_description": ""})

    def _gis_form(self, request: web.Request, body: bytes) -> dict[str, str]:
        fields = read_form(body)
        headers = {name: request.headers[name] for name in ("X-Merchant-Id", "X-Timestamp", "X-Nonce")}
        _verify(lambda sign: verify_sorted_form([SECRET], fields, headers, sign), request, "X-Sign")
        if abs(time.time() - int(headers["X-Timestamp"])) > 30 or headers["X-Nonce"] in self._nonces:
            raise Refused("signature")
        self._nonces.add(headers["X-Nonce"])
        return dict(fields)

    def _gis_move(self, player: str, reference: str, action: str, asked: dict[str, str]) -> dict[str, Any]:
        if not re.fullmatch(r"\d+\.\d{4}", asked["amount"]):
            raise Refused("malformed")
        facts = (action, asked["amount"])
        return self.ledger.move(
            player, reference, -1 if action == "bet" else 1, Decimal(asked["amount"]), facts
        )

    # Evolution

    def _evolution_v1(self, request: web.Request, tail: str, body: bytes) -> web.Response:
        token = dict(parse_qsl(request.query_string)).get("authToken")
        try:
            verify_static_token([SECRET], None if token is None else token.encode())
        except SignatureRefused:
            return web.json_response({"status": "INVALID_TOKEN_ID"}, status=401)
        try:
            asked = _read(body)
        except Refused:
            return web.json_response({"status": "INVALID_PARAMETER"})
        known = {"uuid": asked["uuid"], "bonus": 0}
        session = self.sessions.get(asked["sid"])
        if session is None:
            return web.json_response({"status": "INVALID_SID", **known})
        if tail == "/check":
            return web.json_response({"status": "OK", "sid": self._rotate(asked["sid"]), **known})
        player = asked["userId"]
        status = "OK" if tail == "/balance" else self._evolution_status(tail, player, asked)
        return _numbered({"status": status, "balance": f"{self.ledger.balance(player):.6f}", **known})

    def _rotate(self, sid: str) -> str:
        if not self.rotates_sids:
            return sid
        self.sessions[f"{sid}-new"] = self.sessions.pop(sid)
        return f"{sid}-new"

    def _evolution_status(self, tail: str, player: str, asked: dict[str, Any]) -> str:
        one = asked["transaction"]
        if not isinstance(one["amount"], Decimal):
            return "INVALID_PARAMETER"
        bet = self.ledger.done.get(one["refId"])
        if tail == "/debit":
            return self._debit(player, one)
        if bet is None:
            self.ledger.dead.add(one["refId"])
            return "BET_DOES_NOT_EXIST"
        if bet.get("undone") or bet.get("settled"):
            return "BET_ALREADY_SETTLED"
        if tail == "/cancel":
            self.ledger.undo(player, f"cancel-{one['id']}", one["refId"])
            return "OK"
        bet["settled"] = True
        self.ledger.move(player, one["id"], 1, one["amount"], one)
        return "OK"

    def _debit(self, player: str, one: dict[str, Any]) -> str:
        try:
            done = self.ledger.move(player, one["id"], -1, one["amount"], one)
        except Refused as refused:
            words = {"poor": "INSUFFICIENT_FUNDS", "tombstoned": "FINAL_ERROR_ACTION_FAILED"}
            return words.get(str(refused), "INVALID_PARAMETER")
        return "BET_ALREADY_EXIST" if done["repeat"] else "OK"


def _verify(check: Callable[[bytes | None], object], request: web.Request, header: str) -> None:
    sign = request.headers.get(header)
    try:
        check(None if sign is None else sign.encode())
    except SignatureRefused:
        raise Refused("signature") from None


def _need(asked: dict[str, Any], name: str) -> None:
    if name not in asked:
        raise Refused("malformed")


def _read(body: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise Refused("malformed")
        return dict(pairs)

    document: dict[str, Any] = json.loads(body, object_pairs_hook=once, parse_float=Decimal)
    return document


def _numbered(answer: dict[str, Any]) -> web.Response:
    """A reply whose balance is a JSON number as it is written."""
    balance = str(answer["balance"])
    text = json.dumps({**answer, "balance": "@"}).replace('"@"', balance)
    return web.Response(text=text, content_type="application/json")


@asynccontextmanager
async def foreign_gateway() -> AsyncIterator[ForeignGateway]:
    """The gateway on a free loopback port, until the context ends."""
    gateway = ForeignGateway()
    application = web.Application()
    application.router.add_route("*", "/providers/{protocol}/{tail:.*}", gateway.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    gateway.address = f"http://{host}:{port}"
    try:
        yield gateway
    finally:
        await runner.cleanup()
