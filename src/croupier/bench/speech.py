"""How the load generator speaks: one round's bet, win and close as whole requests, signed when they are sent."""

from __future__ import annotations

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from msgspec import Struct

from croupier.bench.seats import ASSET, GAME, PRIZE, PROVIDER, STAKE, Seat
from croupier.ids import SESSION, render_id
from croupier_signing import SigningKey, sign_native, sign_raw_hmac

NATIVE: Final = "croupier_v1"
SOFTSWISS: Final = "softswiss_v2"


class Target(Struct, frozen=True):
    """Where requests go, and the key that signs them."""

    host: str
    port: int
    provider: str
    key: SigningKey


class Speech(ABC):
    """One protocol. `approved` is in every answer to a call that was approved."""

    approved: bytes
    paths: tuple[str, ...]
    kinds: tuple[str, ...] = ("bet", "win", "close")
    """What each request of a round is."""

    def __init__(self, target: Target) -> None:
        self.key = target.key
        self.targets = [f"{self.prefix(target.provider)}{path}".encode() for path in self.paths]
        fixed = (
            f" HTTP/1.1\r\nhost: {target.host}:{target.port}\r\ncontent-type: application/json\r\n".encode()
        )
        self._heads = [b"POST " + path + fixed for path in self.targets]

    def requests(self, seat: Seat, round_id: str) -> Iterator[bytes]:
        """The requests of one round, each signed when it is asked for."""
        for index, body in enumerate(self.bodies(seat, round_id)):
            yield b"%b%b\r\ncontent-length: %d\r\n\r\n%b" % (
                self._heads[index],
                self.signature(index, body),
                len(body),
                body,
            )

    def prefix(self, provider: str) -> str:
        """What every path begins with."""
        return f"/providers/{provider}"

    @abstractmethod
    def bodies(self, seat: Seat, round_id: str) -> tuple[bytes, ...]:
        """The bodies of one round's bet, win and close."""

    @abstractmethod
    def signature(self, index: int, body: bytes) -> bytes:
        """The header line that signs the body of the request at `index`, without its line end."""


class NativeSpeech(Speech):
    """`croupier_v1`: time and nonce in every signature."""

    approved = b'"status":"approved"'
    paths: tuple[str, ...] = ("/v1/bet", "/v1/win", "/v1/close-round")

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        run = uuid4().hex
        self._nonces = (f"{run}{number:x}" for number in itertools.count())
        self._second = 0
        self._moment = ""

    def bodies(self, seat: Seat, round_id: str) -> tuple[bytes, ...]:
        """References are the round's id with a letter before it."""
        session = render_id(SESSION, seat.session_id)
        common = (
            f'"session_id":"{session}","round_id":"{round_id}","player_id":"{seat.player_id}",'
            f'"occurred_at":"{self.now()[1]}"'
        )
        money = f'"game_id":"{GAME}","asset":"{ASSET}","amount":'
        return (
            f'{{"reference":"b-{round_id}",{common},{money}"{STAKE}"}}'.encode(),
            f'{{"reference":"w-{round_id}",{common},{money}"{PRIZE}"}}'.encode(),
            f'{{"reference":"c-{round_id}",{common},"outcome":{{"face":4}}}}'.encode(),
        )

    def signature(self, index: int, body: bytes) -> bytes:
        """The native `Authorization`."""
        header = sign_native(
            self.key,
            method="POST",
            path=self.targets[index],
            query=b"",
            timestamp_s=self.now()[0],
            nonce=next(self._nonces),
            body=body,
        )
        return b"authorization: " + header.encode()

    def now(self) -> tuple[int, str]:
        """The time in seconds, and as it stands in a body."""
        second = int(time.time())
        if second != self._second:
            self._second, self._moment = second, datetime.fromtimestamp(second, UTC).isoformat()
        return second, self._moment


class SoftswissSpeech(Speech):
    """`softswiss_v2`: an HMAC of the body, decimal texts, bets and wins as batches of one."""

    approved = b'"balance":'
    paths = ("/betwin", "/betwin", "/finish")

    def bodies(self, seat: Seat, round_id: str) -> tuple[bytes, ...]:
        """References are the round's id with a letter before it."""
        common = (
            f'"account_id":"{seat.player_id}","currency":"{ASSET}","round_id":"{round_id}",'
            f'"session_id":"{seat.session_id}"'
        )
        bet, win = (
            f'{{{common},"game_id":"{GAME}","transactions":[{{"id_provider":"{letter}-{round_id}","type":"{kind}",'
            f'"amount":"{minor // 100}.{minor % 100:02d}"}}]}}'.encode()
            for letter, kind, minor in (("b", "bet", STAKE), ("w", "win", PRIZE))
        )
        return bet, win, f"{{{common}}}".encode()

    def signature(self, index: int, body: bytes) -> bytes:
        """`X-REQUEST-SIGN`."""
        return b"x-request-sign: " + sign_raw_hmac(self.key, body).encode()


class WalletSpeech(NativeSpeech):
    """The contract of the operator's wallet: debit for the bet and credit for the win, without a gateway."""

    paths = ("/debit", "/credit")
    kinds = ("bet", "win")

    def prefix(self, provider: str) -> str:
        """Nothing: the wallet knows no providers' paths."""
        return ""

    def bodies(self, seat: Seat, round_id: str) -> tuple[bytes, ...]:
        """References are the round's id as the contract spells them."""
        bet, win = (
            f'{{"reference":"wtx_{letter}{round_id.replace("-", "_")}","player_id":"{seat.player_id}",'
            f'"asset":"{ASSET}","amount":"{amount}","kind":"{kind}","provider":"{PROVIDER}","provider_reference":"{letter}-{round_id}",'
            f'"session_id":"{render_id(SESSION, seat.session_id)}","round_id":"{round_id}","game_id":"{GAME}",'
            f'"occurred_at":"{self.now()[1]}"}}'.encode()
            for letter, kind, amount in (("b", "bet", STAKE), ("w", "win", PRIZE))
        )
        return bet, win


SPEECHES: Final[dict[str, type[Speech]]] = {NATIVE: NativeSpeech, SOFTSWISS: SoftswissSpeech}
"""What the load generator can speak to a gateway, by adapter."""
WALLET: Final = "wallet"
SPOKEN: Final[dict[str, type[Speech]]] = {**SPEECHES, WALLET: WalletSpeech}
"""Everything that it can speak."""
