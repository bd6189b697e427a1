"""The admin listener's application: `/`, `/live.json`, `/summary.json`, `/metrics`, `/healthz`. Read-only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any, Final

import asyncpg
import msgspec
import structlog
from jinja2 import Environment, PackageLoader, select_autoescape
from msgspec import Struct

from croupier import __version__
from croupier.console.live import load_live
from croupier.play.session import FINAL

_log = structlog.get_logger("croupier.console")
_ASSETS: Final = {
    "console.css": b"text/css; charset=utf-8",
    "console.js": b"text/javascript; charset=utf-8",
    "icon.svg": b"image/svg+xml",
}
_SECURITY: Final = (
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


class ProviderLine(Struct, frozen=True):
    """A provider account as the page shows it: its protocol, how its calls are signed, what that leaves uncovered."""

    id: str
    protocol: str
    signing: str
    uncovered: tuple[str, ...]


class Console:
    """Live counters for whoever can reach the admin listener; `summary` is shown when a demo has set it."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        environment: str,
        metrics: Callable[[], bytes],
        providers: tuple[ProviderLine, ...] = (),
    ) -> None:
        self._pool = pool
        self._providers = providers
        self._environment = environment
        self._metrics = metrics
        self.summary: dict[str, Any] | None = None
        templates = Environment(
            loader=PackageLoader("croupier.console", "assets"), autoescape=select_autoescape()
        )
        templates.filters |= {"grouped": render_grouped, "words": render_words}
        self._page = templates.get_template("overview.html.jinja")
        self._routes: dict[str, Callable[[], Awaitable[tuple[bytes, bytes]]]] = {
            "/": self._overview,
            "/live.json": self._live,
            "/summary.json": self._summary,
            "/metrics": self._exposition,
            "/healthz": self._health,
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request; a database that is away is said, not hidden."""
        route = self._routes.get(scope["path"])
        if scope["method"] not in ("GET", "HEAD"):
            await _send(send, 405, b"text/plain", b"this listener only reads")
        elif route is not None:
            try:
                media_type, body = await route()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                _log.warning("console_read_failed", error=repr(error))
                await _send(send, 503, b"text/plain", b"the database is away; this page comes back with it")
            else:
                await _send(send, 200, media_type, body)
        else:
            await _send_asset(send, scope["path"])

    async def _overview(self) -> tuple[bytes, bytes]:
        live = await load_live(self._pool)
        page = self._page.render(
            environment=self._environment,
            version=__version__,
            live=live,
            kinds=sorted({kind for kinds in live["money"].values() for kind in kinds}),
            is_balanced=all(total == "0" for total in live["imbalance"].values()),
            open_sessions=sum(n for state, n in live["sessions"].items() if state not in FINAL),
            summary=self.summary,
            providers=self._providers,
        )
        return b"text/html; charset=utf-8", page.encode()

    async def _live(self) -> tuple[bytes, bytes]:
        return b"application/json", msgspec.json.encode(await load_live(self._pool))

    async def _summary(self) -> tuple[bytes, bytes]:
        return b"application/json", msgspec.json.encode(self.summary)

    async def _exposition(self) -> tuple[bytes, bytes]:
        return b"text/plain; version=0.0.4; charset=utf-8", self._metrics()

    async def _health(self) -> tuple[bytes, bytes]:
        return b"text/plain", b"ok"


def render_grouped(number: int | str) -> str:
    """A whole number in groups of three digits, kept on one line."""
    return f"{int(number):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def render_words(name: str) -> str:
    """A name of the books as people write it."""
    return name.replace("_", " ")


async def _send_asset(send: Any, path: str) -> None:
    name = path.removeprefix("/assets/")
    if name not in _ASSETS:
        await _send(send, 404, b"text/plain", b"there is nothing here; the console is at /")
        return
    body = resources.files("croupier.console").joinpath("assets", name).read_bytes()
    await _send(send, 200, _ASSETS[name], body)


async def _send(send: Any, status: int, media_type: bytes, body: bytes) -> None:
    headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(body)), *_SECURITY]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
