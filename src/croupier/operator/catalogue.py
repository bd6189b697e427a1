"""Games that can be launched, and what this deployment is."""

from __future__ import annotations

from litestar import get

from croupier import __version__
from croupier.errors import MALFORMED, CroupierError
from croupier.operator.admission import facts_of
from croupier.operator.deps import CatalogueGame, OperatorDeps
from croupier.operator.intake import Cursor, Limit, OperatorRequest, OptionalName, asset_of
from croupier.operator.paging import DEFAULT_PAGE, MAX_PAGE, PageRequest, cut
from croupier.operator.views import AssetView, GamePage, GameView, LimitsView, MetaView
from croupier.play.eligibility import Enablement, permits
from croupier.providers.breakers.store import LAUNCH, Endpoint


@get("/v1/games", operation_id="listGames", tags=["catalogue"])
async def list_games(
    request: OperatorRequest,
    asset: OptionalName = None,
    provider: OptionalName = None,
    jurisdiction: OptionalName = None,
    limit: Limit = DEFAULT_PAGE,
    cursor: Cursor = None,
) -> GamePage:
    """The catalogue by game id; with `asset`, the games that may be played in it now; with `jurisdiction`, there."""
    deps = request.exchange.deps
    page = PageRequest(limit, cursor)
    after = page.text_or("")
    code = None if asset is None else asset_of(request.exchange.deps.assets, asset)
    ids = (game_id for game_id in sorted(deps.games) if game_id > after)
    games = (deps.games[game_id] for game_id in ids)
    place = None if jurisdiction is None else _place_of(deps, jurisdiction)
    found = [
        game
        for game in games
        if _is_offered(deps, game, code, provider) and (place is None or _is_enabled(game, code, place))
    ]
    shown, following = cut(found, page, lambda game: game.id)
    return GamePage([_view(deps, game) for game in shown], following)


def _is_offered(deps: OperatorDeps, game: CatalogueGame, asset: str | None, provider: str | None) -> bool:
    if provider is not None and game.provider != provider:
        return False
    if asset is None:
        return True
    is_fit = not game.assets or asset in game.assets
    return is_fit and deps.contracts.select(game.provider, game.group, asset, deps.now()) is not None


def _place_of(deps: OperatorDeps, jurisdiction: str) -> Enablement:
    place = deps.eligibility.served.get(jurisdiction)
    if place is None:
        listed = ", ".join(sorted(deps.eligibility.served)) or "none"
        detail = f"no jurisdiction {jurisdiction} is configured here; configured: {listed}"
        raise CroupierError(MALFORMED, detail, field="jurisdiction")
    return place


def _is_enabled(game: CatalogueGame, asset: str | None, place: Enablement) -> bool:
    return permits(facts_of(game, game.provider), asset, place)


def _view(deps: OperatorDeps, game: CatalogueGame) -> GameView:
    return GameView(
        game_id=game.id,
        name=game.name,
        provider=game.provider,
        group=game.group,
        category=game.category,
        version=game.version,
        rtp_bps=game.rtp_bps,
        assets=list(game.assets),
        jurisdictions=sorted(
            name for name, place in deps.eligibility.served.items() if _is_enabled(game, None, place)
        ),
        available=deps.flags.is_available(
            game, lambda account: deps.breakers.is_open(Endpoint(account, LAUNCH))
        ),
    )


@get("/v1/meta", operation_id="readMeta", tags=["catalogue"])
async def read_meta(request: OperatorRequest) -> MetaView:
    """Versions, providers, assets and limits of this deployment."""
    deps = request.exchange.deps
    limits = deps.limits
    assets = sorted(deps.assets, key=lambda asset: asset.code)
    return MetaView(
        version=__version__,
        api_versions=["v1"],
        environment=deps.environment,
        providers={name: account.adapter for name, (account, _) in sorted(deps.accounts.items())},
        assets=[AssetView(asset.code, asset.exponent) for asset in assets],
        limits=LimitsView(
            body_bytes=limits.body.max_bytes,
            json_depth=limits.json.max_depth,
            json_members=limits.json.max_keys,
            page=MAX_PAGE,
            session_ttl_s=limits.session_ttl_s,
            idempotency_key_ttl_s=limits.answer_ttl_s,
        ),
    )
