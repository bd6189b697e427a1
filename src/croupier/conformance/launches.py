"""The provider's address: takes the gateway's launches on the loopback, answers them, and remembers what they said."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from aiohttp import web

from croupier.conformance.reading import Request, Response, Unreadable
from croupier.conformance.speaker import Launch, Speaker

_UNREADABLE: Final = Response(status=400, body=b"{}")


class LaunchReceiver:
    """Listens for all accounts of a run; the first segment of the path says whose launch it is, else the only one's."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._host = host
        self._port = port
        self._speakers: dict[str, Speaker] = {}
        self._launches: dict[tuple[str, str], list[Launch]] = defaultdict(list)
        self._runner: web.AppRunner | None = None
        self.unreadable: list[tuple[str, Request]] = []
        self.questions: list[Request] = []

    async def __aenter__(self) -> LaunchReceiver:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def address(self) -> str:
        """Where it listens."""
        assert self._runner is not None, "use the receiver as a context manager"  # noqa: S101 (narrowing)
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    def base_url(self, account: str) -> str:
        """The address to configure for an account."""
        return f"{self.address}/{account}"

    def speak_for(self, speaker: Speaker) -> None:
        """Answer an account's launches in this protocol from now on."""
        self._speakers[speaker.account.id] = speaker

    def latest(self, account: str, player_id: str) -> Launch | None:
        """The last launch of a player; None if the gateway never asked."""
        launches = self._launches[account, player_id]
        return launches[-1] if launches else None

    async def _take(self, request: web.Request) -> web.Response:
        path, _, query = request.raw_path.encode("latin-1").partition(b"?")
        received = Request(
            method=request.method,
            path=path,
            query=query,
            headers=tuple((name.lower(), value) for name, value in request.raw_headers),
            body=await request.read(),
        )
        speaker = self._speaker_of(path)
        answer = _UNREADABLE if speaker is None else self._answer(speaker, received)
        headers = {name.decode(): value.decode() for name, value in answer.headers}
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    def _speaker_of(self, path: bytes) -> Speaker | None:
        first = path.split(b"/")[1].decode("latin-1")
        if first in self._speakers:
            return self._speakers[first]
        return next(iter(self._speakers.values())) if len(self._speakers) == 1 else None

    def _answer(self, speaker: Speaker, received: Request) -> Response:
        answered = speaker.answer_question(received)
        if answered is not None:
            self.questions.append(received)
            return answered
        try:
            launch = speaker.read_launch(received)
        except Unreadable as error:
            self.unreadable.append((str(error), received))
            return _UNREADABLE
        self._launches[speaker.account.id, launch.player_id].append(launch)
        return speaker.answer_launch(launch)
