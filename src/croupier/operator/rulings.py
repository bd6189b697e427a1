"""The book of decisions: refusals and leave to launch again, written as they are made, shown when somebody asks."""

from __future__ import annotations

from typing import Final

import asyncpg
import structlog
from litestar import get
from litestar.params import FromPath
from msgspec import structs

from croupier.errors import UNAVAILABLE, CroupierError
from croupier.operator.intake import Cursor, Limit, OperatorRequest, path_name
from croupier.operator.paging import DEFAULT_PAGE, PageRequest
from croupier.operator.reads import AWAY, READ_TIMEOUT_S
from croupier.operator.views import EligibilityPage
from croupier.play.eligibility import Ruling
from croupier.runtime.statements import load_statements

_log = structlog.get_logger("croupier.operator.rulings")
_KEEP: Final = load_statements("croupier/operator/eligibility.sql")["keep_ruling"].sql


class RulingBook:
    """Writes decisions down, each by itself."""

    def __init__(self, pool: asyncpg.Pool, timeout_s: float = READ_TIMEOUT_S) -> None:
        self._pool = pool
        self._timeout_s = timeout_s

    async def keep(self, ruling: Ruling) -> None:
        """Keep one. Raises CroupierError: unavailable when the database is away."""
        try:
            async with self._pool.acquire(timeout=self._timeout_s) as connection:
                await connection.execute(_KEEP, *structs.astuple(ruling), timeout=self._timeout_s)
        except AWAY as error:
            _log.warning("ruling_not_kept", reason=ruling.reason, error=repr(error))
            detail = "the decision could not be kept; repeat the request"
            raise CroupierError(UNAVAILABLE, detail, retry_after_s=1) from None


@get("/v1/players/{player_id:str}/eligibility", operation_id="listEligibility", tags=["players"])
async def list_eligibility(
    request: OperatorRequest, player_id: FromPath[str], limit: Limit = DEFAULT_PAGE, cursor: Cursor = None
) -> EligibilityPage:
    """Every decision whether this player may open a game, newest first, with what it was made from."""
    player = path_name("player_id", player_id)
    return await request.exchange.deps.reads.load_rulings(player, PageRequest(limit, cursor))
