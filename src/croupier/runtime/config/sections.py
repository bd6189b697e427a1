"""The sections of `croupier.toml` as frozen structs: every key, its bounds, its default and its meaning.

Reading, the environment variables and the reference page all follow from these declarations. A form in words
stands beside each pattern, because nobody should have to read a regular expression in an error.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct, field

from croupier.money import Asset, AssetRegistry
from croupier.play.pack import Category
from croupier.runtime.config.eligibility import Geo, JurisdictionEntry, SelfExclusion
from croupier.runtime.config.forms import (
    SECRET_FIELD,
    Address,
    AssetChoice,
    AssetCode,
    BasisPoints,
    Duration,
    GroupChoice,
    HttpUrl,
    KeyId,
    Label,
    Name,
    PublicId,
    SecretReference,
    Slug,
    TimeOfDay,
    TokenHash,
    seconds_of,
    text_form,
)
from croupier.runtime.config.outbound import Breakers, Retries
from croupier.runtime.config.queues import Inbox, Outbox
from croupier.runtime.config.rollout import Rollout
from croupier.runtime.config.shadows import Shadow
from croupier.runtime.config.timeouts import Timeout
from croupier.runtime.config.wallet import Wallet
from croupier.runtime.database import redact_url

ANY = "*"
"""Stands for every game group or asset in a contract."""

EMBEDDED = "embedded"


class Http(Struct, frozen=True, forbid_unknown_fields=True):
    """Where Croupier listens."""

    public: Annotated[Address, Meta(description="Operator API, provider callbacks, webhooks.")] = (
        "127.0.0.1:8700"
    )
    admin: Annotated[Address, Meta(description="Console and metrics; keep it private.")] = "127.0.0.1:8701"


class Database(Struct, frozen=True, forbid_unknown_fields=True):
    """The PostgreSQL that holds the books.

    After loading, both URLs are usable as they are: never a reference, and only `url` may be "embedded".
    """

    url: Annotated[
        str,
        Meta(
            description='`"embedded"`, a `postgresql://` URL without a password, or a reference (`env:NAME`, '
            "`file:PATH`) to a URL that holds one.",
            extra=SECRET_FIELD,
        ),
    ] = EMBEDDED
    owner_url: Annotated[
        str | None,
        Meta(
            description="Login for migrations, written like `url`; without it migrations use `url`.",
            extra=SECRET_FIELD,
        ),
    ] = None
    data_dir: Annotated[
        str, Meta(min_length=1, description="Folder of the embedded server's data and of generated keys.")
    ] = "./.croupier"

    @property
    def is_embedded(self) -> bool:
        return self.url == EMBEDDED

    @property
    def embedded_folder(self) -> Path:
        """Data folder of the embedded server, to give to `EmbeddedServer`."""
        return Path(self.data_dir) / "postgres"

    @property
    def migration_url(self) -> str:
        """The login that migrates: `owner_url`, else `url`."""
        return self.owner_url or self.url

    def __repr__(self) -> str:
        url = EMBEDDED if self.is_embedded else redact_url(self.url)
        owner = None if self.owner_url is None else redact_url(self.owner_url)
        return f"Database(url={url!r}, owner_url={owner!r}, data_dir={self.data_dir!r})"


class Lanes(Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the machine the money path uses."""

    count: Annotated[
        int,
        Meta(
            ge=1,
            le=64,
            description="Lanes (database connections) of one process; background processes have two at least.",
        ),
    ] = 1
    workers: Annotated[int, Meta(ge=1, le=256, description="Processes of `croupier serve`.")] = 1
    background: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="Background processes of `croupier serve`; 0 leaves the work to `croupier work`.",
        ),
    ] = 1


class AssetEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """An asset beside ISO 4217, or an ISO currency kept finer than the standard."""

    code: Annotated[AssetCode, Meta(description="As it appears in requests; case matters.")]
    exponent: Annotated[int, Meta(ge=0, le=18, description="Decimals of one unit in the ledger.")]


class ProviderKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A key shared with a provider; only its reference is kept here."""

    id: Annotated[KeyId, Meta(description="Unique among all keys of this file.")]
    secret: Annotated[SecretReference, Meta(description="Where the secret is; it never stands in this file.")]
    direction: Annotated[
        Literal["inbound", "outbound", "both"],
        Meta(description="`inbound` verifies the provider's calls, `outbound` signs ours."),
    ]

    @property
    def is_inbound(self) -> bool:
        return self.direction != "outbound"

    @property
    def is_outbound(self) -> bool:
        return self.direction != "inbound"


class Provider(Struct, frozen=True, forbid_unknown_fields=True):
    """A provider account."""

    id: Annotated[Slug, Meta(description="Part of its callback paths; not `operator`, not `croupier`.")]
    adapter: Annotated[
        str,
        text_form(r"[a-z][a-z0-9_]*_v[0-9]+", 'a protocol and its version, such as "croupier_v1"'),
        Meta(description="Which protocol it speaks."),
    ] = "croupier_v1"
    base_url: Annotated[HttpUrl | None, Meta(description="Where its own API is: launch, probe.")] = None
    window_s: Annotated[
        int, Meta(ge=1, le=3600, description="How far the time of a signed call may be off, in seconds.")
    ] = 30
    keys: Annotated[
        tuple[ProviderKey, ...],
        Meta(description="Its first keys; later ones are published with `croupier keys`."),
    ] = ()
    settings: Annotated[
        dict[Name, Label],
        Meta(
            description="What its protocol calls us by, such as `casino_id`; `croupier provider list` names them."
        ),
    ] = {}
    rotate_after: Annotated[Duration, Meta(description="How old a key may get before it is overdue.")] = "90d"
    replaces: Annotated[
        Slug | None,
        Meta(
            description="The account that this one takes over from: its games are opened here for the players that "
            "`croupier flags set rollout` names."
        ),
    ] = None

    @property
    def rotate_after_s(self) -> int:
        """The duration in seconds."""
        return seconds_of(self.rotate_after)


class Game(Struct, frozen=True, forbid_unknown_fields=True):
    """A game of the catalogue."""

    id: Annotated[PublicId, Meta(description="Unique among all games.")]
    provider: Annotated[Slug, Meta(description="The id of a provider above.")]
    name: Annotated[Label, Meta(description="What players see.")]
    group: Annotated[Slug, Meta(description="Contracts and flags name groups.")] = "default"
    category: Annotated[
        Category, Meta(description="What kind of game it is, for the rules that tell kinds apart.")
    ] = "slots"
    version: Annotated[
        Label | None, Meta(description="The version that is certified; kept with every decision.")
    ] = None
    rtp_bps: Annotated[
        BasisPoints | None,
        Meta(description="Theoretical return to the player, in basis points of the stake."),
    ] = None
    assets: Annotated[
        tuple[AssetCode, ...], Meta(description="What it can be played in; default: what a contract covers.")
    ] = ()


class Contract(Struct, frozen=True, forbid_unknown_fields=True):
    """Terms with a provider from an instant on; a session keeps those it started under."""

    provider: Annotated[Slug, Meta(description="The id of a provider above.")]
    starts_at: Annotated[
        datetime,
        Meta(
            description="A date (its `day_start` in `day_zone`) or a date and time with an offset.",
            extra={"form": "a date such as 2026-01-01, or a date and time with its offset"},
        ),
    ] = field(name="from")
    share_bps: Annotated[
        int, Meta(ge=0, le=10_000, description="The provider's share of the result, in basis points.")
    ]
    game_group: Annotated[GroupChoice, Meta(description="Which group of its games, or all.")] = ANY
    asset: Annotated[AssetChoice, Meta(description="Which asset, or all.")] = ANY
    negative: Annotated[
        Literal["carry_over", "reset"], Meta(description="What becomes of a negative month.")
    ] = "carry_over"
    jackpot_source: Annotated[
        Literal["operator", "provider"], Meta(description="Who funds the jackpot and pays its wins.")
    ] = "operator"
    jackpot_pool: Annotated[Slug, Meta(description="The pool's name when the operator funds it.")] = "main"
    promo_source: Annotated[
        Literal["operator", "provider"], Meta(description="Who pays promotional wins.")
    ] = "operator"
    day_zone: Annotated[str, Meta(min_length=1, description="IANA time zone of the contract's day.")] = "UTC"
    day_start: Annotated[TimeOfDay, Meta(description="When the contract's day begins there.")] = "00:00"

    @property
    def id(self) -> str:
        """Stable name: provider, game group, asset and start in UTC, joined by slashes."""
        return f"{self.provider}/{self.game_group}/{self.asset}/{self.starts_at:%Y-%m-%dT%H:%M:%SZ}"

    @property
    def zone(self) -> tzinfo:
        """The zone of `day_zone`; ValueError, KeyError or OSError when there is none (never once loaded)."""
        # UTC needs no time zone database, which small images do not have.
        return UTC if self.day_zone == "UTC" else ZoneInfo(self.day_zone)

    @property
    def effective_pool(self) -> str | None:
        """The operator's pool that contributions go to; None when the provider funds the jackpot."""
        return self.jackpot_pool if self.jackpot_source == "operator" else None


class ApiKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A caller of the operator API or the console: a bearer token or a signature key."""

    id: Annotated[KeyId, Meta(description="Unique among all keys of this file.")]
    role: Annotated[
        Literal["operator", "admin", "support", "finance", "security", "read_only"],
        Meta(description="What it may do."),
    ]
    token_hash: Annotated[
        TokenHash | None, Meta(description="Hash of a bearer token. Give this or `secret`.")
    ] = None
    secret: Annotated[
        SecretReference | None, Meta(description="Native signature key. Give this or `token_hash`.")
    ] = None


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """The named bounds of everything that could grow."""

    body_bytes: Annotated[
        int, Meta(ge=1024, le=16_777_216, description="Largest request body, in bytes.")
    ] = 262_144
    json_depth: Annotated[int, Meta(ge=4, le=256, description="Deepest nesting of a JSON body.")] = 32
    json_keys: Annotated[int, Meta(ge=16, le=100_000, description="Most members of a JSON body.")] = 1000
    batch: Annotated[int, Meta(ge=1, le=4096, description="Most commands in one transaction.")] = 256
    lane_queue: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Most commands waiting in a lane; more answers 503.")
    ] = 4096
    body_timeout_s: Annotated[int, Meta(ge=1, le=300, description="Longest wait for a body, in seconds.")] = (
        10
    )
    request_deadline_s: Annotated[
        int, Meta(ge=1, le=300, description="Longest time for an answer, in seconds.")
    ] = 30
    session_ttl_s: Annotated[
        int, Meta(ge=60, le=2_592_000, description="Life of a session without activity, in seconds.")
    ] = 86_400
    bet_grace_s: Annotated[
        int,
        Meta(
            ge=1,
            le=604_800,
            description="How long a win may wait for its bet before a break opens, in seconds.",
        ),
    ] = 3600
    clock_skew_s: Annotated[
        int,
        Meta(
            ge=1,
            le=300,
            description="Most that a clock may be off the database's, or jump, before timeouts wait, in seconds.",
        ),
    ] = 5
    clock_settle_s: Annotated[
        int,
        Meta(ge=0, le=86_400, description="How long timeouts wait after a clock has jumped, in seconds."),
    ] = 60


class Owner(Struct, frozen=True, forbid_unknown_fields=True):
    """A team that answers for alerts, timeouts and breaks."""

    contacts: Annotated[tuple[Label, ...], Meta(description="How to reach it: mail, pager, channel.")]


class Telemetry(Struct, frozen=True, forbid_unknown_fields=True):
    """What Croupier says about itself."""

    log_format: Annotated[Literal["json", "console"], Meta(description="Form of the log lines.")] = "json"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least that is written.")
    ] = "info"


class Sandbox(Struct, frozen=True, forbid_unknown_fields=True):
    """The provider for trying things out."""

    listen: Annotated[Address, Meta(description="Where `croupier sandbox serve` listens.")] = "127.0.0.1:8702"


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """A whole configuration, read and checked. Paths are absolute; secrets are still references."""

    environment: Annotated[
        Slug,
        Meta(description="Name of the deployment: a label of every metric; keys belong to one environment."),
    ] = "development"
    http: Http = field(default_factory=Http)
    database: Database = field(default_factory=Database)
    lanes: Lanes = field(default_factory=Lanes)
    limits: Limits = field(default_factory=Limits)
    telemetry: Telemetry = field(default_factory=Telemetry)
    sandbox: Sandbox = field(default_factory=Sandbox)
    wallet: Wallet = field(default_factory=Wallet)
    retries: Retries = field(default_factory=Retries)
    breakers: Breakers = field(default_factory=Breakers)
    self_exclusion: SelfExclusion = field(default_factory=SelfExclusion)
    geo: Geo = field(default_factory=Geo)
    rollout: Rollout = field(default_factory=Rollout)
    inbox: Inbox = field(default_factory=Inbox)
    outbox: Outbox = field(default_factory=Outbox)
    assets: tuple[AssetEntry, ...] = ()
    providers: tuple[Provider, ...] = ()
    games: tuple[Game, ...] = ()
    contracts: tuple[Contract, ...] = ()
    jurisdictions: tuple[JurisdictionEntry, ...] = ()
    shadows: tuple[Shadow, ...] = ()
    api_keys: tuple[ApiKey, ...] = ()
    timeouts: dict[str, Timeout] = field(default_factory=dict)
    owners: dict[str, Owner] = field(default_factory=dict)

    def asset_registry(self) -> AssetRegistry:
        """ISO 4217 and the configured assets."""
        return AssetRegistry(Asset(entry.code, entry.exponent) for entry in self.assets)

    def successors(self) -> dict[str, str]:
        """The accounts that take over, by the account they replace."""
        return {one.replaces: one.id for one in self.providers if one.replaces is not None}


def parse_address(text: str) -> tuple[str, int]:
    """Split `host:port` or `[ipv6]:port`; ValueError when the port is no number up to 65535."""
    host, _, port = text.rpartition(":")
    number = int(port)
    if number > 65_535:
        raise ValueError("a port is at most 65535")
    return host.removeprefix("[").removesuffix("]"), number
