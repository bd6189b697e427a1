"""The operator's self-exclusion check, asked over HTTP before a game is opened. No answer means no launch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final

import aiohttp
import msgspec
from msgspec import Meta, Struct
from yarl import URL

from croupier import __version__
from croupier.play.eligibility import Standing, Unanswered
from croupier_signing import SigningKey, random_nonce, sign_native

ANSWER_BYTES: Final = 16_384
"""Most of an answer that is read; a longer one is no answer."""
CONNECTIONS: Final = 32


class ExclusionQuestion(Struct, frozen=True, kw_only=True):
    """The body that is sent. `register` is the public register the operator must look the player up in."""

    player_id: str
    jurisdiction: str
    register: str
    correlation_id: str


class ExclusionAnswer(Struct, frozen=True, kw_only=True):
    """The body that must come back: 200 and JSON. Members that are not listed are ignored.

    `player_id` is the one that was asked about, `reference` the operator's own name for this look-up. `age` in whole
    years decides which stake cap applies where there are several; without it the lowest does.
    """

    status: Annotated[str, Meta(pattern=r"^(clear|excluded)\Z")]
    player_id: str
    reference: Annotated[str, Meta(min_length=1, max_length=128)]
    age: Annotated[int, Meta(ge=0, le=150)] | None = None


_READ: Final = msgspec.json.Decoder(ExclusionAnswer, strict=True)


class ExclusionSettings(Struct, frozen=True, kw_only=True):
    """Where the check is, what signs the questions (native signature), and how long an answer may take."""

    url: str
    key: SigningKey
    timeout_s: float


class ExclusionCheck:
    """The connections to the operator's check; close it at the end."""

    def __init__(self, settings: ExclusionSettings, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, question: ExclusionQuestion) -> Standing | Unanswered:
        """Ask once, within the deadline. Whatever is not plainly an answer is none."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await self._ask(question)
        except TimeoutError:
            return Unanswered("timeout")
        except aiohttp.ClientConnectorError:
            return Unanswered("unreachable")
        except (aiohttp.ClientError, OSError, ValueError):
            return Unanswered("broken_reply")

    async def _ask(self, question: ExclusionQuestion) -> Standing | Unanswered:
        body = msgspec.json.encode(question)
        url = URL(self._settings.url)
        headers = {
            "authorization": self._sign(url, body),
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": f"croupier/{__version__}",
            "x-correlation-id": question.correlation_id,
        }
        async with self._pool().post(url, data=body, headers=headers, allow_redirects=False) as response:
            if response.status != 200:
                return Unanswered(f"status_{response.status}")
            read = await _read(response.content)
        return Unanswered("too_long") if read is None else _understand(read, question)

    def _sign(self, url: URL, body: bytes) -> str:
        return sign_native(
            self._settings.key,
            method="POST",
            path=url.raw_path.encode(),
            query=url.raw_query_string.encode(),
            timestamp_s=int(self._now().timestamp()),
            nonce=random_nonce(),
            body=body,
        )

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session

    async def close(self) -> None:
        """Give every connection back."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _read(content: aiohttp.StreamReader) -> bytes | None:
    """The whole body; None when it is longer than allowed."""
    body = b""
    while chunk := await content.read(ANSWER_BYTES + 1 - len(body)):
        body += chunk
        if len(body) > ANSWER_BYTES:
            return None
    return body


def _understand(body: bytes, question: ExclusionQuestion) -> Standing | Unanswered:
    try:
        answer = _READ.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Unanswered("malformed")
    if answer.player_id != question.player_id:
        return Unanswered("other_player")
    return Standing(is_excluded=answer.status == "excluded", reference=answer.reference, age=answer.age)
