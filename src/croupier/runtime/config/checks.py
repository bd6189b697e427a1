"""Rules between keys and between sections; pure, and quiet about what the reader has reported already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from croupier.events import EVENT_TYPES
from croupier.money import Asset, AssetRegistry, InvalidAsset
from croupier.operator.outbox.settings import NATS
from croupier.play.timeouts import LEGAL_ACTS
from croupier.providers.registry import find_adapters
from croupier.providers.shadow.candidates import candidate_names
from croupier.runtime.config.problems import Problem, render_nearest, render_shown
from croupier.runtime.config.reading import Place, is_readable_instant, render_place
from croupier.runtime.config.sections import ANY, Config, Provider, parse_address
from croupier.runtime.config.timeouts import legal_actions
from croupier.runtime.secrets import SecretUnavailable, check_reference
from croupier_signing import MAX_KEYS

RESERVED_PROVIDERS: Final = frozenset({"operator", "croupier"})
"""References of the operator's own money and of Croupier's are kept under these names."""
MOST_PAUSES: Final = 50
"""Most pauses between attempts at one event."""


def plan_problems(config: Config) -> list[Problem]:
    """Every problem that a single key cannot show."""
    return [problem for check in _CHECKS for problem in check(config)]


def _addresses(config: Config) -> Iterator[Problem]:
    http = config.http
    places = {"http.public": http.public, "http.admin": http.admin, "sandbox.listen": config.sandbox.listen}
    seen: dict[tuple[str, int], str] = {}
    for place, text in places.items():
        try:
            address = parse_address(text)
        except ValueError:
            if text.rpartition(":")[2].isdigit():
                yield Problem(place, f"{render_shown(text)} has no valid port", "use a port from 0 to 65535")
            continue
        if address[1] and address in seen:
            yield Problem(place, f"{text} is taken by {seen[address]}", "use another port")
        seen.setdefault(address, place)


def _wallet(config: Config) -> Iterator[Problem]:
    wallet = config.wallet
    given = {"url": wallet.url, "secret": wallet.secret}
    for key, value in given.items():
        if wallet.is_remote and value is None:
            what = "nobody can be asked" if key == "url" else "the calls must be signed"
            fix = "add url, the base of its paths" if key == "url" else "add secret, a reference to it"
            yield Problem(f"wallet.{key}", what, fix)
        if not wallet.is_remote and value is not None:
            what = "the wallet that is built in is asked by nobody"
            yield Problem(f"wallet.{key}", what, 'remove it, or write mode = "remote"')
    if wallet.timeout_s > config.limits.request_deadline_s:
        what = f"is longer than limits.request_deadline_s ({config.limits.request_deadline_s} s)"
        yield Problem("wallet.timeout", what, "make it shorter: a debit waits for it")


def _assets(config: Config) -> Iterator[Problem]:
    accepted: list[Asset] = []
    for number, entry in enumerate(config.assets):
        try:
            asset = Asset(entry.code, entry.exponent)
        except InvalidAsset:
            continue  # The reader has named the key.
        try:
            AssetRegistry([*accepted, asset])
        except InvalidAsset as error:
            what, _, fix = str(error).partition(": ")
            yield Problem(render_place(("assets", number)), what, fix)
            continue
        accepted.append(asset)


def _providers(config: Config) -> Iterator[Problem]:
    yield from _repeated("providers", [provider.id for provider in config.providers])
    for number, provider in enumerate(config.providers):
        if provider.id in RESERVED_PROVIDERS:
            where = render_place(("providers", number, "id"))
            yield Problem(
                where, f'"{provider.id}" is a name of Croupier\'s own', "give the provider another id"
            )
        yield from _protocol(number, provider)


def _protocol(number: int, provider: Provider) -> Iterator[Problem]:
    adapters = find_adapters()
    yield from _unknown(("providers", number, "adapter"), provider.adapter, set(adapters), "adapter")
    if provider.adapter not in adapters:
        return
    known = {setting.name: setting for setting in adapters[provider.adapter].manifest.settings}
    for name in provider.settings:
        yield from _unknown(
            ("providers", number, "settings", name), name, set(known), f"setting of {provider.adapter}"
        )
    for name, setting in known.items():
        if setting.default is None and name not in provider.settings:
            place = render_place(("providers", number, "settings"))
            yield Problem(
                place, f"{provider.adapter} needs {name}: {setting.description}", f"add settings.{name}"
            )


def _games(config: Config) -> Iterator[Problem]:
    yield from _repeated("games", [game.id for game in config.games])
    known = {provider.id for provider in config.providers}
    for number, game in enumerate(config.games):
        yield from _unknown(("games", number, "provider"), game.provider, known, "provider")


def _game_assets(config: Config) -> Iterator[Problem]:
    known = set(known_assets(config))
    for number, game in enumerate(config.games):
        for position, asset in enumerate(game.assets):
            yield from _unknown(("games", number, "assets", position), asset, known, "asset")


def _self_exclusion(config: Config) -> Iterator[Problem]:
    check = config.self_exclusion
    if check.url is not None and check.secret is None:
        yield Problem(
            "self_exclusion.secret", "the questions must be signed", "add secret, a reference to it"
        )
    if check.url is None and check.secret is not None:
        yield Problem(
            "self_exclusion.url", "there is a secret and nobody to ask", "add url, or remove secret"
        )
    if check.timeout_s > config.limits.request_deadline_s:
        what = f"is longer than limits.request_deadline_s ({config.limits.request_deadline_s} s)"
        yield Problem("self_exclusion.timeout", what, "make it shorter: the launch waits for it")


def _contracts(config: Config) -> Iterator[Problem]:
    names = [c.id if c.provider and is_readable_instant(c.starts_at) else "" for c in config.contracts]
    yield from _repeated("contracts", names, key="from")
    providers = {provider.id for provider in config.providers}
    assets = set(known_assets(config)) | {ANY}
    replaced = {one.id: one.replaces for one in config.providers if one.replaces is not None}
    for number, contract in enumerate(config.contracts):
        place = ("contracts", number)
        yield from _unknown((*place, "provider"), contract.provider, providers, "provider")
        owner = replaced.get(contract.provider, contract.provider)
        groups = {game.group for game in config.games if game.provider == owner} | {ANY}
        yield from _unknown((*place, "game_group"), contract.game_group, groups, "group of its games")
        yield from _unknown((*place, "asset"), contract.asset, assets, "asset")


def _successors(config: Config) -> Iterator[Problem]:
    """An account that takes over has a known account to take over from, alone, and everything that its games need."""
    by_id = {provider.id: provider for provider in config.providers}
    taken: dict[str, str] = {}
    for number, provider in enumerate(config.providers):
        if provider.replaces is None:
            continue
        place: Place = ("providers", number, "replaces")
        yield from _unknown(place, provider.replaces, set(by_id), "provider")
        where = render_place(place)
        old = by_id.get(provider.replaces)
        if old is None:
            continue
        if old.replaces is not None:
            what = "itself" if old is provider else f'"{old.id}", which replaces another account'
            yield Problem(where, f'"{provider.id}" replaces {what}', "replace an account that games name")
        first = taken.setdefault(provider.replaces, provider.id)
        if first != provider.id:
            yield Problem(where, f'"{first}" replaces "{old.id}" already', "keep one of them")
        if provider.base_url is None:
            what = f'"{provider.id}" has no base_url: the guards of a rollout count launches there'
            yield Problem(where, what, "add its base_url")
        yield from _uncovered(config, old.id, provider.id, where)
    for number, game in enumerate(config.games):
        if (found := by_id.get(game.provider)) is not None and found.replaces is not None:
            where = render_place(("games", number, "provider"))
            what = f'"{found.id}" takes over from "{found.replaces}"'
            yield Problem(where, what, f'name "{found.replaces}": flags send players on')


def _uncovered(config: Config, old: str, new: str, where: str) -> Iterator[Problem]:
    """What contracts cover at the account that is replaced, they must cover at its successor."""
    scopes = {(one.provider, one.game_group, one.asset) for one in config.contracts}
    for provider, group, asset in sorted(scopes):
        wider = {(new, one, other) for one in (group, ANY) for other in (asset, ANY)}
        if provider == old and not wider & scopes:
            what = f'no contract of "{new}" covers game group {group} in {asset}, as one of "{old}" does'
            yield Problem(where, what, f'add [[contracts]] with provider = "{new}"')


def known_assets(config: Config) -> tuple[str, ...]:
    """Codes of ISO 4217 and of the configured assets, usable or not."""
    return (*AssetRegistry().codes(), *(entry.code for entry in config.assets))


def _key_ids(config: Config) -> Iterator[Problem]:
    """Unique over all lists: nonces are kept per key id, and a log line names a key by its id alone."""
    places: dict[Place, str] = {
        ("providers", number, "keys", position, "id"): key.id
        for number, provider in enumerate(config.providers)
        for position, key in enumerate(provider.keys)
    }
    places |= {("api_keys", number, "id"): key.id for number, key in enumerate(config.api_keys)}
    if config.wallet.secret is not None:
        places["wallet", "key_id"] = config.wallet.key_id
    if config.self_exclusion.secret is not None:
        places["self_exclusion", "key_id"] = config.self_exclusion.key_id
    counts = Counter(places.values())
    for place, key_id in places.items():
        if key_id and counts[key_id] > 1:
            yield Problem(
                render_place(place), f'"{key_id}" names {counts[key_id]} keys', "make key ids unique"
            )


def _key_counts(config: Config) -> Iterator[Problem]:
    """A call is tried with every inbound key of its provider, and a verifier takes no more than `MAX_KEYS`."""
    for number, provider in enumerate(config.providers):
        count = sum(key.is_inbound for key in provider.keys)
        if count > MAX_KEYS:
            yield Problem(
                render_place(("providers", number, "keys")),
                f"{count} keys are inbound, and {MAX_KEYS} is the most",
                "keep those that the provider signs with",
            )


def _references(config: Config) -> Iterator[Problem]:
    for place, reference in (secret_references(config) | outbox_references(config)).items():
        try:
            check_reference(reference)
        except SecretUnavailable as error:
            if reference.partition(":")[0] in ("env", "file", "aws-sm", "vault"):
                yield Problem(place, error.what, error.fix)


def secret_references(config: Config) -> dict[str, str]:
    """Place → reference of every key's secret."""
    found = {
        render_place(("providers", number, "keys", position, "secret")): key.secret
        for number, provider in enumerate(config.providers)
        for position, key in enumerate(provider.keys)
    }
    given = config.self_exclusion.secret
    found |= {} if given is None else {"self_exclusion.secret": given}
    given = config.wallet.secret
    found |= {} if given is None else {"wallet.secret": given}
    return found | api_key_references(config)


def api_key_references(config: Config) -> dict[str, str]:
    """Place → reference of every native key of the operator API."""
    return {
        render_place(("api_keys", number, "secret")): key.secret
        for number, key in enumerate(config.api_keys)
        if key.secret is not None
    }


def outbox_references(config: Config) -> dict[str, str]:
    """Place → reference of every secret that events are signed with, and of the login at NATS."""
    found = {
        render_place(("outbox", "endpoints", number, "secrets", position)): secret
        for number, endpoint in enumerate(config.outbox.endpoints)
        for position, secret in enumerate(endpoint.secrets)
    }
    login = config.outbox.nats_credentials
    return found if login is None else found | {"outbox.nats_credentials": login}


def _outbox(config: Config) -> Iterator[Problem]:
    outbox = config.outbox
    yield from _repeated("outbox.endpoints", [endpoint.id for endpoint in outbox.endpoints])
    for number, endpoint in enumerate(outbox.endpoints):
        place: Place = ("outbox", "endpoints", number)
        if endpoint.id == NATS:
            what = f'"{NATS}" stands for the NATS server'
            yield Problem(render_place((*place, "id")), what, "give the endpoint another id")
        if not 1 <= len(endpoint.secrets) <= MAX_KEYS:
            yield Problem(
                render_place((*place, "secrets")),
                f"{len(endpoint.secrets)} secrets are named",
                f"name one, two while it is replaced, and {MAX_KEYS} at most",
            )
        for position, type_ in enumerate(endpoint.events):
            yield from _unknown((*place, "events", position), type_, {*EVENT_TYPES, ANY}, "event type")
    if outbox.nats_credentials is not None and outbox.nats_url is None:
        yield Problem("outbox.nats_credentials", "there is no nats_url", "add it, or remove the login")
    if len(outbox.schedule) > MOST_PAUSES:
        what = f"{len(outbox.schedule)} pauses are named"
        yield Problem("outbox.schedule", what, f"name {MOST_PAUSES} at most")


def _api_keys(config: Config) -> Iterator[Problem]:
    for number, key in enumerate(config.api_keys):
        if (key.token_hash is None) == (key.secret is None):
            amount = "neither" if key.secret is None else "both"
            yield Problem(
                render_place(("api_keys", number)),
                f'"{key.id}" has {amount} of token_hash and secret',
                "give token_hash for a bearer token, or secret for a native signature key",
            )


def _shadows(config: Config) -> Iterator[Problem]:
    """One candidate reads along with an account at a time: two would share its share of the machine."""
    yield from _repeated("shadows", [shadow.provider for shadow in config.shadows], key="provider")
    live = {provider.id: provider.adapter for provider in config.providers}
    for number, shadow in enumerate(config.shadows):
        place: Place = ("shadows", number)
        yield from _unknown((*place, "provider"), shadow.provider, set(live), "provider")
        yield from _unknown((*place, "adapter"), shadow.adapter, set(candidate_names()), "candidate")
        if shadow.adapter and shadow.adapter == live.get(shadow.provider):
            where = render_place((*place, "adapter"))
            what = f"{shadow.provider} speaks {shadow.adapter} already"
            yield Problem(where, what, "name the version that is to take over")


def _timeouts(config: Config) -> Iterator[Problem]:
    states = {state.value for state in LEGAL_ACTS}
    for state, timeout in config.timeouts.items():
        yield from _unknown(("timeouts", state), state, states, "unfinished session state")
        legal = legal_actions(state) if state in states else ()
        if legal and timeout.action and timeout.action not in legal:
            yield Problem(
                f"timeouts.{state}.action",
                f"{render_shown(timeout.action)} is nothing that is done in {state}",
                render_nearest(timeout.action, legal, otherwise=f"write one of: {', '.join(legal)}"),
            )
        if timeout.owner and timeout.owner not in config.owners:
            advice = render_nearest(
                timeout.owner, config.owners, otherwise=f"add [owners.{timeout.owner}] with its contacts"
            )
            yield Problem(
                f"timeouts.{state}.owner", f"no team is called {render_shown(timeout.owner)}", advice
            )


def _repeated(section: str, names: Iterable[str], *, key: str = "id") -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for number, name in enumerate(names):
        first = seen.setdefault(name, number)
        if name and first != number:
            where = render_place((section, number, key))
            yield Problem(where, f"{render_shown(name)} is there already (#{first + 1})", "keep one of them")


def _unknown(place: Place, name: str, known: set[str], noun: str) -> Iterator[Problem]:
    """Quiet about an empty name: the reader has reported it as missing."""
    if name and name not in known:
        listed = ", ".join(sorted(known - {ANY})[:8]) or "none"
        advice = render_nearest(name, sorted(known), otherwise=f"known: {listed}")
        yield Problem(render_place(place), f"no {noun} is called {render_shown(name)}", advice)


_CHECKS: Final[tuple[Callable[[Config], Iterator[Problem]], ...]] = (
    _addresses,
    _wallet,
    _assets,
    _providers,
    _games,
    _game_assets,
    _self_exclusion,
    _contracts,
    _successors,
    _key_ids,
    _key_counts,
    _references,
    _api_keys,
    _outbox,
    _shadows,
    _timeouts,
)
