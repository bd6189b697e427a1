"""Slotegrator's GIS: forms, HMAC-SHA1 over the sorted fields and three headers, one address, two error codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal
from urllib.parse import parse_qsl, urlencode

from msgspec.structs import replace

from croupier.sandbox.calls import Call, Item, Round, Seat
from croupier.sandbox.plan import Attack, Choreography, Flow, Move, in_turn, overtaken
from croupier.sandbox.protocols.amounts import (
    NotRepresentable,
    NumberText,
    read_decimal,
    read_json,
    write_decimal,
)
from croupier.sandbox.protocols.foreign import ForeignWire, is_passing, senseless, swap_once
from croupier.sandbox.protocols.keys import require_keys, require_secret
from croupier.sandbox.replies import Balance, Expected, Meaning, Received, Reply
from croupier.sandbox.wire import Account, Door, Launch, LaunchMalformed, NonceMemory, Signed, Stamp, Visit
from croupier_signing import (
    Key,
    RefusalReason,
    SignatureRefused,
    SigningKey,
    read_form,
    sign_sorted_form,
    verify_sorted_form,
)

SIGN_HEADER: Final = "X-Sign"
SIGNED_HEADERS: Final = ("X-Merchant-Id", "X-Timestamp", "X-Nonce")
FORM_TYPE: Final = ("Content-Type", "application/x-www-form-urlencoded")
PLACES: Final = 4
NONCE_DIGITS: Final = 32
LAUNCH_WINDOW_S: Final = 60
"""The vendor states no window."""

_REFUSED: Final = (Expected(200, "INTERNAL_ERROR"),)
# What a bad signature is answered with is not published.
_UNTRUSTED: Final = (*_REFUSED, Expected(400, None), Expected(401, None), Expected(403, None))
# An earlier copy of the same bytes may have been decided, so an operator may also leave it open.
_MAYBE_DECIDED: Final = (*_UNTRUSTED, Expected(500, None))
_NEEDED: Final = ("session_id", "player_id", "game_uuid", "currency")


class SlotegratorWire(ForeignWire):
    """Source of every rule: public client libraries of the vendor's aggregator, which agree with each other."""

    protocol = "slotegrator_gis_v1"
    sign_header = SIGN_HEADER
    codes_that_say_nothing = frozenset({"INTERNAL_ERROR"})
    zero_wins: ClassVar[Literal["always", "planned", "never"]] = "always"
    choreography: ClassVar[Choreography] = {
        Flow.NORMAL: (in_turn(Move.BET, Move.WIN),),
        Flow.EARLY_ROLLBACK: (in_turn(Move.ROLLBACK_BET, Move.BET),),
        Flow.LATE_ROLLBACK: (
            in_turn(Move.BET, Move.WIN, Move.ROLLBACK_WIN, Move.ROLLBACK_BET, Move.ROLLBACK_AGAIN),
        ),
        Flow.WIN_BEFORE_BET: (overtaken(Move.BET, Move.WIN),),
        Flow.CLOSE_BEFORE_WIN: (in_turn(Move.BET, Move.CLOSE, Move.WIN),),
    }
    doors: ClassVar[Mapping[tuple[str, str], Door]] = {
        ("POST", "/games/init"): "launch",
        ("GET", "/games"): "games",
    }
    attacks: ClassVar[Mapping[Attack, tuple[Expected, ...]]] = {
        Attack.UNSIGNED: _UNTRUSTED,
        Attack.FORGED_KEY: _UNTRUSTED,
        Attack.TAMPERED_BODY: _UNTRUSTED,
        Attack.TAMPERED_AMOUNT: _UNTRUSTED,
        Attack.REPLAYED: _MAYBE_DECIDED,
        Attack.STALE: _MAYBE_DECIDED,
        Attack.DUPLICATE_KEY: _UNTRUSTED,
        Attack.CONFLICT: _REFUSED,
        Attack.WRONG_GAME: _REFUSED,
        Attack.FLOAT_AMOUNT: _REFUSED,
    }

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._key = require_secret(account, account.callback_key)
        self._launch_keys = require_keys(account, SigningKey)
        self._nonces = NonceMemory()
        self._merchant_id = account.id

    def read_launch(self, visit: Visit) -> Launch:
        """Verified over the form; the merchant's id is the one that callbacks name from then on."""
        fields = dict(self._verify(visit, visit.body))
        missing = [name for name in _NEEDED if not fields.get(name)]
        if missing:
            raise LaunchMalformed(f"missing: {', '.join(missing)}")
        self._merchant_id = visit.headers["x-merchant-id"]
        return Launch(*(fields[name] for name in _NEEDED))

    def _verify(self, visit: Visit, form: bytes) -> tuple[tuple[str, str], ...]:
        headers = {name: visit.headers.get(name.lower(), "") for name in SIGNED_HEADERS}
        fields = read_form(form)
        verify_sorted_form(self._launch_keys, fields, headers, visit.header(SIGN_HEADER))
        stamp = headers["X-Timestamp"]
        if not stamp.isascii() or not stamp.isdigit() or abs(visit.now_s - int(stamp)) > LAUNCH_WINDOW_S:
            raise SignatureRefused(RefusalReason.STALE)
        nonce = (headers["X-Merchant-Id"], headers["X-Nonce"])
        self._nonces.spend(nonce, now_s=visit.now_s, keep_s=2 * LAUNCH_WINDOW_S)
        return fields

    def render_launched(self, launch: Launch, address: str, path: str) -> Any:
        """The address of the page."""
        return {"url": address + path}

    def render_refusal(self, status: int, code: str, detail: str) -> tuple[int, Any]:
        """Errors of launches have an HTTP status, and say it again."""
        return status, {"name": code, "message": detail, "code": 0, "status": status}

    def admit_games(self, visit: Visit) -> None:
        """Signed over the query."""
        self._verify(visit, visit.query)

    def render_games(self, games: Mapping[str, str]) -> Any:
        """A page of items."""
        return {"items": [{"uuid": game, "name": name} for game, name in games.items()]}

    def render_balance(self, seat: Seat) -> Call:
        """`action=balance`."""
        fields = {
            "action": "balance",
            "player_id": seat.player_id,
            "currency": seat.asset,
            "session_id": seat.token,
        }
        return Call(None, "/", urlencode(fields).encode(), (), seat, "")

    def render_call(self, round_: Round, move: Move) -> Call:
        """One action; the counter of attempts joins it when it is signed."""
        items = self.items_of(round_, move)
        (item,) = items
        fields = {
            "action": _action(item),
            "currency": round_.seat.asset,
            "game_uuid": round_.seat.game_id,
            "player_id": round_.seat.player_id,
            "transaction_id": item.reference,
            "session_id": round_.seat.token,
            "round_id": round_.round_id,
            **self._details(round_, item),
        }
        body = urlencode(fields).encode()
        return Call(move, "/", body, items, round_.seat, round_.round_id, ends_round=move is not Move.BET)

    def _details(self, round_: Round, item: Item) -> dict[str, str]:
        amount = write_decimal(item.amount_minor, self.exponent_of(round_.seat.asset), places=PLACES)
        match _action(item):
            case "bet":
                return {"amount": amount, "type": "bet", "finished": "0"}
            case "win":
                return {"amount": amount, "type": "win", "finished": "1"}
            case "refund":
                return {
                    "amount": amount,
                    "bet_transaction_id": item.target_reference or "",
                    "finished": "1",
                }
            case _:
                undone = {
                    "action": "win",
                    "amount": amount,
                    "transaction_id": item.target_reference or "",
                    "type": "win",
                }
                return {
                    "type": "rollback",
                    "provider_round_id": round_.round_id,
                    **{f"rollback_transactions[0][{name}]": value for name, value in undone.items()},
                }

    def sign(self, call: Call, stamp: Stamp, *, key: Key | None = None) -> Signed:
        """Over fields, merchant, time and nonce; each attempt counts itself in the body."""
        signer = self._key if key is None else require_secret(self.account, key)
        counter = f"&casino_request_retry_count={stamp.attempt}" if call.items else ""
        body = call.body + counter.encode()
        headers = {
            "X-Merchant-Id": self._merchant_id,
            "X-Timestamp": str(stamp.timestamp_s),
            "X-Nonce": stamp.nonce.encode().hex()[:NONCE_DIGITS],
        }
        # As PHP reads it: of a name given twice the last value counts.
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
        signature = sign_sorted_form(signer, tuple(fields.items()), headers)
        return Signed(f"{self.prefix}/", (FORM_TYPE, *headers.items(), (SIGN_HEADER, signature)), body)

    def spoil(self, kind: Attack, call: Call) -> Call:
        """A field given twice, or an amount with an exponent."""
        if kind is Attack.DUPLICATE_KEY:
            return replace(call, body=b"amount=0.0000&" + call.body)
        exponent = self.exponent_of(call.seat.asset)
        amount = b"amount=" + write_decimal(call.items[0].amount_minor, exponent, places=PLACES).encode()
        return swap_once(call, amount, amount + b"e0")

    def read_reply(self, call: Call, received: Received) -> Reply:
        """200 is done or one of two errors; anything else says nothing."""
        if received.status != 200:
            is_final = not is_passing(received.status) and call.move in (Move.BET, None)
            meaning = Meaning.REFUSED if is_final else Meaning.REPEAT
            return Reply(
                received=received,
                meaning=meaning,
                code=f"http_{received.status}",
                is_to_undo=call.move is Move.BET,
            )
        try:
            document = read_json(received.body)
        except ValueError as error:
            return senseless(received, str(error))
        if not isinstance(document, dict):
            return senseless(received, "it is no object")
        if "error_code" in document:
            return self._read_error(call, received, str(document["error_code"]))
        return self._read_done(call, received, document)

    def _read_error(self, call: Call, received: Received, code: str) -> Reply:
        """Whatever is not a lack of money is one code: a bet is refunded then, all else repeated."""
        findings = () if code in ("INSUFFICIENT_FUNDS", "INTERNAL_ERROR") else (f"there is no error {code}",)
        if code == "INSUFFICIENT_FUNDS" and call.move is Move.BET:
            declined = self.decline(call, "insufficient_funds", None)
            return Reply(received=received, meaning=Meaning.DECIDED, decisions=declined, code=code)
        meaning = Meaning.REFUSED if call.move in (Move.BET, None) else Meaning.REPEAT
        return Reply(
            received=received,
            meaning=meaning,
            code=code,
            is_to_undo=call.move is Move.BET,
            findings=findings,
        )

    def _read_done(self, call: Call, received: Received, document: dict[str, Any]) -> Reply:
        told, operator_id = document.get("balance"), document.get("transaction_id", "")
        if not isinstance(told, NumberText) or not isinstance(operator_id, str):
            return senseless(received, "balance is no number, or transaction_id is no text")
        try:
            minor = read_decimal(str(told), self.exponent_of(call.seat.asset))
        except NotRepresentable as error:
            return senseless(received, str(error))
        balance: Balance = self.balance_of(call, minor)
        return Reply(
            received=received,
            meaning=Meaning.DECIDED,
            decisions=self.approve(call, balance, operator_ids=(operator_id,)),
            findings=_findings(call, document),
            balance=balance,
        )


def _action(item: Item) -> str:
    """What GIS calls it: the end of a round is a win of nothing, and only wins are rolled back."""
    return {"close": "win", "rollback_bet": "refund", "rollback_win": "rollback"}.get(
        item.action, item.action
    )


def _findings(call: Call, document: dict[str, Any]) -> tuple[str, ...]:
    if not call.items:
        return ()
    found = [] if document.get("transaction_id") else ["the answer has no transaction_id"]
    item = call.items[0]
    if _action(item) == "rollback" and document.get("rollback_transactions") != [item.target_reference]:
        found.append("the answer does not list the transaction that was rolled back")
    return tuple(found)
