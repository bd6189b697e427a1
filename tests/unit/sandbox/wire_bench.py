"""What the tests of every wire start from: an account of each protocol, one round, and our names as UUIDs."""

from dataclasses import replace
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec

from croupier.sandbox.calls import Call, Round, Seat
from croupier.sandbox.games import DiceBet, Seeds, play_dice
from croupier.sandbox.replies import Received, Reply
from croupier.sandbox.wire import Account, Stamp, Visit, Wire
from croupier_signing import Key, SigningKey

SECRET = SigningKey("in-1", b"0123456789abcdef0123456789abcdef")
LAUNCH_SECRET = SigningKey("out-1", b"fedcba9876543210fedcba9876543210")
NOW_S = 1_750_000_000
STAMP = Stamp(NOW_S, "A" * 22)
PLAYED = replace(
    play_dice(Seeds("aa", "bb"), DiceBet(5_000, "over"), nonce=1, stake_minor=150), win_minor=297
)
SEAT = Seat("s-1", "p-1", "x-dice", "dice", "EUR")
ROUND = Round(SEAT, "r-1", "t-1", 150, "2026-01-01T00:00:00.000Z", PLAYED)


def account(protocol: str, key: Key = SECRET, launch_key: Key = LAUNCH_SECRET) -> Account:
    """An account named `acct`."""
    base = "http://127.0.0.1:8700/providers/acct"
    return Account("acct", protocol, base, key, (launch_key,))


def uuid_of(name: str) -> str:
    """The UUID that stands for one of our names."""
    return str(uuid5(uuid5(NAMESPACE_URL, "croupier:sandbox"), f"acct/{name}"))


BET, WIN, ROUND_ID = uuid_of("t-1-bet"), uuid_of("t-1-win"), uuid_of("r-1")


def answered(wire: Wire, call: Call, document: Any, status: int = 200) -> Reply:
    """What the wire reads in an answer; a text is sent as it is."""
    body = document.encode() if isinstance(document, str) else msgspec.json.encode(document)
    return wire.read_reply(call, Received(status, body))


def visit(tail: str, body: bytes = b"", *, query: bytes = b"", method: str = "POST", **headers: str) -> Visit:
    """An operator's request; header names have underscores for hyphens."""
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return Visit(method, f"/acct{tail}".encode(), query, tail, named, body, NOW_S)
