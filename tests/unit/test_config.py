"""Configuration: what is read, what is refused, and that everything wrong is said at once."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from croupier.providers.registry import find_adapters
from croupier.runtime.config import (
    Config,
    ConfigProblems,
    Contract,
    ContractBook,
    Problem,
    load_config,
    parse_address,
    resolve_keys,
    resolve_wallet_key,
    served_in,
)
from croupier.runtime.config.reference import PAGE, render_configuration_reference

SECRET = "correct-horse-battery-staple"
PROVIDER = '[[providers]]\nid = "acme"\n'


def load(folder: Path, text: str, env: Mapping[str, str] | None = None) -> Config:
    path = folder / "croupier.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, env or {})


def problems_of(folder: Path, text: str, env: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    with pytest.raises(ConfigProblems) as caught:
        load(folder, text, env)
    return caught.value.problems


def only_problem(folder: Path, text: str, env: Mapping[str, str] | None = None) -> Problem:
    problems = problems_of(folder, text, env)
    assert len(problems) == 1, problems
    return problems[0]


def test_without_a_file_everything_has_its_documented_default() -> None:
    config = load_config(None, {})
    assert config.environment == "development"
    assert (config.http.public, config.http.admin) == ("127.0.0.1:8700", "127.0.0.1:8701")
    assert config.database.is_embedded
    assert config.database.data_dir == str(Path.cwd() / ".croupier")
    assert (config.lanes.count, config.lanes.workers) == (1, 1)
    limits = config.limits
    assert (limits.body_bytes, limits.json_depth, limits.json_keys) == (262_144, 32, 1000)
    assert (limits.batch, limits.lane_queue, limits.body_timeout_s) == (256, 4096, 10)
    assert (limits.request_deadline_s, limits.session_ttl_s, limits.bet_grace_s) == (30, 86_400, 3600)
    assert config.sandbox.listen == "127.0.0.1:8702"
    assert config.wallet.mode == "builtin"


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    text = """
        environmnt = "x"
        [http]
        admin = 8701
        [limits]
        batch = true
        [retention]
        [[providers]]
        id = "acme"
        window_s = 0
        [[games]]
        id = "dice"
        provider = "acne"
        name = "Dice"
        [[contracts]]
        provider = "acme"
        from = 2024-01-01
        share_bps = 10001
    """
    found = {problem.where: problem.fix for problem in problems_of(tmp_path, text)}
    assert found == {
        "environmnt": 'did you mean "environment"?',
        "http.admin": 'it must be text as "host:port"',
        "limits.batch": "it must be a whole number from 1 to 4096",
        "retention": "remove it",
        "providers #1.window_s": "it must be a whole number from 1 to 3600",
        "games #1.provider": 'did you mean "acme"?',
        "contracts #1.share_bps": "it must be a whole number from 0 to 10000",
    }


_WALLET = "[wallet]\nmode = 'remote'\nurl = 'https://w.example/w'\nsecret = 'file:/x'\n"
_CHECK = "[self_exclusion]\nurl = 'https://a.example/x'\nsecret = 'file:/x'\n"


def _place(lines: str) -> str:
    return f"[[jurisdictions]]\nproviders = ['*']\ngames = ['*']\n{lines}\n"


@pytest.mark.parametrize(
    ("text", "where", "fix"),
    [
        ("[http]\npubic = 'x'", "http.pubic", 'did you mean "public"?'),
        ("[http]\nzzzzzz = 'x'", "http.zzzzzz", "known here: public, admin"),
        ("[provider]\nid = 'x'", "provider", 'did you mean "providers"?'),
        ("http = 3", "http", "it must be a table"),
        ("[providers]\nid = 'x'", "providers", "it must be an array of tables"),
        ("providers = [3]", "providers #1", "it must be a table"),
        ("[telemetry]\nlog_format = 'xml'", "telemetry.log_format", 'it must be one of "console", "json"'),
        ("[telemetry]\nlog_level = 3", "telemetry.log_level", "it must be one of"),
        ("[[assets]]\ncode = 'ETH'", "assets #1.exponent", "add it: a whole number from 0 to 18"),
        ("[[assets]]\ncode = 'EUR'\nexponent = 1", "assets #1", "use 2 or more"),
        ("[limits]\nbatch = 1.5", "limits.batch", "it must be a whole number from 1 to 4096"),
        ("[limits]\nbatch = '256'", "limits.batch", "it must be a whole number from 1 to 4096"),
        ("[http]\npublic = '127.0.0.1:99999'", "http.public", "use a port from 0 to 65535"),
        ("[http]\npublic = '127.0.0.1:8701'", "http.admin", "use another port"),
        ("[wallet]\nmode = 'remote'\nurl = 'https://w.example'", "wallet.secret", "add secret, a reference to it"),
        ("[wallet]\nmode = 'remote'\nsecret = 'file:/x'", "wallet.url", "add url, the base of its paths"),
        ("[wallet]\nurl = 'https://w.example'", "wallet.url", 'remove it, or write mode = "remote"'),
        ("[wallet]\nsecret = 'file:/x'", "wallet.secret", 'remove it, or write mode = "remote"'),
        ("[wallet]\nmode = 'both'", "wallet.mode", 'it must be one of "builtin", "remote"'),
        (_WALLET + "timeout = '31s'", "wallet.timeout", "make it shorter"),
        (_WALLET + "batch = 257", "wallet.batch", "it must be a whole number from 1 to 256"),
        (_WALLET + "connections = 0", "wallet.connections", "it must be a whole number from 1 to 1024"),
        (_WALLET.replace("/w'", "/w?a=b'"), "wallet.url", "it must be an http:// or https://"),
        ("[telemetry]\notlp_endpoint = 'x'", "telemetry.otlp_endpoint", "remove it"),
        ("[retention]\nrounds = 3", "retention", "remove it"),
        ("[[jurisdictions]]\nid = 'mt'\nproviders = []\ngames = []", "jurisdictions #1.id", 'did you mean "MT"?'),
        ("[[jurisdictions]]\nid = 'XX'\ngames = ['*']", "jurisdictions #1.providers", "add it"),
        (_place("id = 'US-NY'"), "jurisdictions #1.id", 'did you mean "US-NJ"?'),
        (_place("id = 'XX'\nassets = ['EURO']"), "jurisdictions #1.assets #1", 'did you mean "EUR"?'),
        (_place("id = 'XX'\npack = '/nowhere.toml'"), "jurisdictions #1.pack", "repair the file"),
        (_place("id = 'XX'") + _place("id = 'XX'"), "jurisdictions #2.id", "keep one of them"),
        (_place("id = 'SE'"), "jurisdictions #1", "add [self_exclusion] with url and secret"),
        (_CHECK + _place("id = 'CA-ON'"), "jurisdictions #1", "add [geo] with database"),
        ("[self_exclusion]\nurl = 'https://a.example/x'", "self_exclusion.secret", "add secret"),
        ("[self_exclusion]\nsecret = 'env:HOME'", "self_exclusion.url", "add url"),
        ("[self_exclusion]\ntimeout = '31s'", "self_exclusion.timeout", "make it shorter"),
        ("[[providers]]\nid = 'Acme'", "providers #1.id", "it must be 1 to 64 of a-z 0-9 _ -"),
        ("[[providers]]\nid = 'acme\\n'".replace("'", '"'), "providers #1.id", "it must be 1 to 64 of"),
        ("[[providers]]\nid = 'operator'", "providers #1.id", "give the provider another id"),
        ("[[providers]]\nid = 'croupier'", "providers #1.id", "give the provider another id"),
        (PROVIDER + PROVIDER, "providers #2.id", "keep one of them"),
        (PROVIDER + "base_url = 'http://u:p@h/'", "providers #1.base_url", "it must be an http:// or https://"),
        (
            "[timeouts.activ]\nafter = '1h'\nowner = 'ops'\naction = 'close'\n[owners.ops]\ncontacts = []",
            "timeouts.activ",
            'did you mean "active"?',
        ),
        (
            "[timeouts.active]\nafter = '1h'\nowner = 'ops'\naction = 'close'",
            "timeouts.active.owner",
            "add [owners.ops] with its contacts",
        ),
        (
            "[timeouts.active]\nafter = 3600\nowner = 'ops'\naction = 'close'\n[owners.ops]\ncontacts = []",
            "timeouts.active.after",
            'it must be a duration such as "90s", "15m", "24h" or "7d"',
        ),
    ],
)  # fmt: skip
def test_a_wrong_key_says_where_it_is_and_what_would_be_right(
    tmp_path: Path, text: str, where: str, fix: str
) -> None:
    problem = only_problem(tmp_path, text)
    assert problem.where == where
    assert problem.fix.startswith(fix)


def test_a_broken_file_is_one_problem_with_its_line(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, "[http]\npublic = \n")
    assert "line 2" in problem.what


def test_an_absent_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load_config(tmp_path / "none.toml", {})
    assert "croupier init" in caught.value.problems[0].fix


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    env = {
        "CROUPIER_ENVIRONMENT": "staging",
        "CROUPIER_HTTP_PUBLIC": "0.0.0.0:80",
        "CROUPIER_LIMITS_BATCH": "128",
        "CROUPIER_HTTP_ADMIN": "",
    }
    config = load(tmp_path, '[http]\npublic = "127.0.0.1:1"\nadmin = "127.0.0.1:2"', env)
    assert config.environment == "staging"
    assert (config.http.public, config.http.admin) == ("0.0.0.0:80", "127.0.0.1:2")
    assert config.limits.batch == 128


def test_a_wrong_variable_is_named_instead_of_the_key(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, "", {"CROUPIER_LIMITS_BATCH": "many"})
    assert problem.where == "CROUPIER_LIMITS_BATCH"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("CROUPIER_DATABSE_URL", "CROUPIER_DATABASE_URL"),
        ("CROUPIER_HTTP_PUBLC", "CROUPIER_HTTP_PUBLIC"),
        ("CROUPIER_LIMITS_BATCHES", "CROUPIER_LIMITS_BATCH"),
    ],
)
def test_a_misspelt_variable_is_an_error_with_the_nearest_name(
    tmp_path: Path, name: str, nearest: str
) -> None:
    problem = only_problem(tmp_path, "", {name: "1"})
    assert (problem.where, problem.fix) == (name, f'did you mean "{nearest}"?')


@pytest.mark.parametrize(
    "name", ["CROUPIER_TEST_RUN_FOLDER", "CROUPIER_WORKER_DATABASE_URL", "CROUPIER_ACME_SECRET"]
)
def test_variables_of_other_purposes_are_left_alone(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, "", {name: "x"}).environment == "development"


def test_a_variable_that_a_secret_refers_to_is_no_misspelt_override(tmp_path: Path) -> None:
    text = PROVIDER + 'keys = [{id = "k", secret = "env:CROUPIER_HTTP_KEY", direction = "both"}]'
    config = load(tmp_path, text, {"CROUPIER_HTTP_KEY": SECRET})
    assert config.providers[0].keys[0].secret == "env:CROUPIER_HTTP_KEY"


@pytest.mark.parametrize(
    "text",
    [
        PROVIDER + f'keys = [{{id = "k", secret = "{SECRET}", direction = "both"}}]',
        f'[[api_keys]]\nid = "a"\nrole = "admin"\ntoken_hash = "{SECRET}"',
        f'[[api_keys]]\nid = "a"\nrole = "admin"\nsecret = "{SECRET}"',
        f'[database]\nurl = "postgresql://me:{SECRET}@localhost/croupier"',
        f'[database]\nurl = "postgresql://me@localhost/croupier?password={SECRET}"',
        f'[database]\nurl = "{SECRET}"',
        f'[database]\nowner_url = "mysql://me:{SECRET}@localhost/croupier"',
    ],
)
def test_a_secret_written_into_the_file_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    problem = only_problem(tmp_path, text)
    assert SECRET not in str(problem)


@pytest.mark.parametrize("reference", ["aws-sm:casino/studio#key", "vault:secret/casino/studio#key"])
def test_secret_stores_are_named_and_not_asked_when_the_file_is_read(tmp_path: Path, reference: str) -> None:
    text = PROVIDER + f'keys = [{{id = "k", secret = "{reference}", direction = "both"}}]'
    assert load(tmp_path, text).providers[0].keys[0].secret == reference


def test_a_reference_to_a_secret_store_that_is_not_whole_is_a_problem(tmp_path: Path) -> None:
    problem = only_problem(
        tmp_path, PROVIDER + 'keys = [{id = "k", secret = "vault:path#field", direction = "both"}]'
    )
    assert "vault:MOUNT/PATH#FIELD" in problem.fix


def test_how_old_a_key_may_get_is_a_time(tmp_path: Path) -> None:
    assert load(tmp_path, PROVIDER).providers[0].rotate_after_s == 90 * 86_400
    assert load(tmp_path, PROVIDER + 'rotate_after = "36h"').providers[0].rotate_after_s == 36 * 3600
    assert only_problem(tmp_path, PROVIDER + 'rotate_after = "soon"').where == "providers #1.rotate_after"


def test_a_database_url_may_come_with_its_password_from_environment_or_file(tmp_path: Path) -> None:
    url = f"postgresql://me:{SECRET}@localhost/croupier"
    (tmp_path / "url").write_text(url + "\n")
    (tmp_path / "url").chmod(0o600)
    text = '[database]\nurl = "env:THE_URL"\nowner_url = "file:url"'
    config = load(tmp_path, text, {"THE_URL": url})
    assert (config.database.url, config.database.migration_url) == (url, url)
    assert load(tmp_path, "", {"CROUPIER_DATABASE_URL": url}).database.url == url
    assert SECRET not in repr(config)


def test_relative_paths_count_from_the_file(tmp_path: Path) -> None:
    text = PROVIDER + 'keys = [{id = "k", secret = "file:keys/k", direction = "both"}]'
    config = load(tmp_path, text)
    assert config.providers[0].keys[0].secret == f"file:{tmp_path}/keys/k"
    assert config.database.embedded_folder == tmp_path / ".croupier" / "postgres"


def test_keys_become_signing_keys_by_direction(tmp_path: Path) -> None:
    keys = ", ".join(
        f'{{id = "{way}", secret = "env:S", direction = "{way}"}}' for way in ("inbound", "outbound", "both")
    )
    text = PROVIDER + f'keys = [{keys}]\n[[api_keys]]\nid = "cli"\nrole = "admin"\nsecret = "env:S"'
    resolved = resolve_keys(load(tmp_path, text), {"S": SECRET})
    assert [key.id for key in resolved.providers["acme"].inbound] == ["inbound", "both"]
    assert [key.id for key in resolved.providers["acme"].outbound] == ["outbound", "both"]
    assert resolved.api["cli"].secret == SECRET.encode()
    assert SECRET not in repr(resolved)


def test_unusable_secrets_are_all_reported(tmp_path: Path) -> None:
    keys = ", ".join(f'{{id = "{name}", secret = "env:{name}", direction = "both"}}' for name in ("A", "B"))
    config = load(tmp_path, PROVIDER + f"keys = [{keys}]")
    with pytest.raises(ConfigProblems) as caught:
        resolve_keys(config, {"B": "short"})
    assert [problem.where for problem in caught.value.problems] == [
        "providers #1.keys #1.secret",
        "providers #1.keys #2.secret",
    ]


def test_a_key_id_is_unique_over_providers_and_api_keys(tmp_path: Path) -> None:
    text = PROVIDER + (
        'keys = [{id = "k", secret = "env:A", direction = "both"}]\n'
        '[[api_keys]]\nid = "k"\nrole = "operator"\nsecret = "env:B"'
    )
    assert {problem.where for problem in problems_of(tmp_path, text)} == {
        "providers #1.keys #1.id",
        "api_keys #1.id",
    }


def test_the_wallet_and_the_check_have_key_ids_of_their_own(tmp_path: Path) -> None:
    text = _WALLET + "key_id = 'k'\n" + _CHECK + "key_id = 'k'\n"
    assert {problem.where for problem in problems_of(tmp_path, text)} == {
        "wallet.key_id",
        "self_exclusion.key_id",
    }


def test_the_secret_of_the_wallet_is_found_beside_the_file_and_signs(tmp_path: Path) -> None:
    (tmp_path / "w").write_text(SECRET)
    (tmp_path / "w").chmod(0o600)
    config = load(tmp_path, _WALLET.replace("file:/x", "file:w"))
    key = resolve_wallet_key(config, {})
    assert key is not None
    assert (key.id, key.secret) == ("wallet", SECRET.encode())
    assert resolve_wallet_key(load(tmp_path, ""), {}) is None
    (tmp_path / "w").unlink()
    with pytest.raises(ConfigProblems) as caught:
        resolve_wallet_key(config, {})
    assert [problem.where for problem in caught.value.problems] == ["wallet.secret"]


@pytest.mark.parametrize("direction", ["inbound", "both"])
def test_more_inbound_keys_than_a_call_is_tried_with_are_told_of_with_their_place(
    tmp_path: Path, direction: str
) -> None:
    def keys(count: int) -> str:
        inbound = [f'{{id = "k{n}", secret = "env:A", direction = "{direction}"}}' for n in range(count)]
        return f'keys = [{{id = "out", secret = "env:A", direction = "outbound"}}, {", ".join(inbound)}]'

    assert len(load(tmp_path, PROVIDER + keys(8)).providers[0].keys) == 9
    problem = only_problem(tmp_path, PROVIDER + keys(9))
    assert (problem.where, problem.what) == ("providers #1.keys", "9 keys are inbound, and 8 is the most")


@pytest.mark.parametrize("extra", ["", f'\nsecret = "env:A"\ntoken_hash = "sha256:{"0" * 64}"'])
def test_an_api_key_is_a_token_or_a_signature_key(tmp_path: Path, extra: str) -> None:
    problem = only_problem(tmp_path, '[[api_keys]]\nid = "a"\nrole = "operator"' + extra)
    assert "token_hash and secret" in problem.what


def test_configured_assets_join_iso(tmp_path: Path) -> None:
    registry = load(tmp_path, '[[assets]]\ncode = "ETH"\nexponent = 18').asset_registry()
    assert registry.get("ETH").exponent == 18
    assert registry.get("EUR").exponent == 2


def test_durations_are_read_in_seconds(tmp_path: Path) -> None:
    stays = {"created": "90s", "launched": "15m", "active": "24h", "pending_settlement": "7d"}
    text = "[owners.ops]\ncontacts = ['ops@example.com']\n" + "".join(
        f"[timeouts.{state}]\nafter = '{after}'\nowner = 'ops'\naction = 'alert'\n"
        for state, after in stays.items()
    )
    timeouts = load(tmp_path, text).timeouts
    assert [timeout.after_s for timeout in timeouts.values()] == [90, 900, 86_400, 604_800]


@pytest.mark.parametrize(
    ("lines", "start"),
    [
        ("from = 2024-03-31", datetime(2024, 3, 31, tzinfo=UTC)),
        ("from = '2024-03-31'", datetime(2024, 3, 31, tzinfo=UTC)),
        ("from = 2024-03-31T02:00:00+02:00", datetime(2024, 3, 31, tzinfo=UTC)),
        ("from = '2024-03-31T02:00:00+02:00'", datetime(2024, 3, 31, tzinfo=UTC)),
        (
            "from = 2024-01-01\nday_zone = 'Europe/Malta'\nday_start = '06:00'",
            datetime(2024, 1, 1, 5, tzinfo=UTC),
        ),
    ],
)
def test_a_contract_starts_at_an_instant_or_on_its_day(tmp_path: Path, lines: str, start: datetime) -> None:
    contract = load(
        tmp_path, PROVIDER + f"[[contracts]]\nprovider = 'acme'\nshare_bps = 1\n{lines}"
    ).contracts[0]
    assert contract.starts_at == start
    assert contract.id == f"acme/*/*/{start:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ("from = 2024-03-31T00:00:00", "from"),
        ("from = 'soon'", "from"),
        ("from = '2024-02-30'", "from"),
        ("from = 0001-01-01T00:00:00+14:00", "from"),
        ("from = 2024-01-01\nday_zone = 'Mars/Olympus'", "day_zone"),
        ("from = 2024-01-01\nday_zone = '../etc'", "day_zone"),
        ("from = 2024-01-01\nday_start = '24:00'", "day_start"),
        ("from = 2024-01-01\nasset = 'EURO'", "asset"),
        ("from = 2024-01-01\ngame_group = 'slots'", "game_group"),
    ],
)
def test_a_contract_without_usable_terms_is_refused(tmp_path: Path, lines: str, key: str) -> None:
    problem = only_problem(tmp_path, PROVIDER + f"[[contracts]]\nprovider = 'acme'\nshare_bps = 1\n{lines}")
    assert problem.where == f"contracts #1.{key}"


def test_two_contracts_of_one_scope_do_not_start_together(tmp_path: Path) -> None:
    contract = "[[contracts]]\nprovider = 'acme'\nshare_bps = 1\nfrom = 2024-01-01\n"
    assert only_problem(tmp_path, PROVIDER + contract + contract).where == "contracts #2.from"


def contract(share_bps: int, *, group: str = "*", asset: str = "*", year: int = 2024) -> Contract:
    start = datetime(year, 1, 1, tzinfo=UTC)
    return Contract(provider="acme", game_group=group, asset=asset, starts_at=start, share_bps=share_bps)


def share(book: ContractBook, group: str, asset: str, at: datetime) -> int | None:
    found = book.select("acme", group, asset, at)
    return None if found is None else found.share_bps


def test_the_most_specific_contract_applies() -> None:
    book = ContractBook([
        contract(4),
        contract(3, asset="EUR"),
        contract(2, group="slots"),
        contract(1, group="slots", asset="EUR"),
    ])  # fmt: skip
    now = datetime(2025, 6, 1, tzinfo=UTC)
    assert [share(book, group, asset, now) for group in ("slots", "live") for asset in ("EUR", "USD")] == [
        1, 2, 3, 4,
    ]  # fmt: skip
    assert book.select("other", "slots", "EUR", now) is None


def test_the_latest_contract_that_has_begun_applies_from_its_first_instant() -> None:
    book = ContractBook([contract(2024), contract(2026, year=2026), contract(2025, year=2025)])
    new_year = datetime(2025, 1, 1, tzinfo=UTC)
    assert share(book, "g", "EUR", new_year) == 2025
    assert share(book, "g", "EUR", new_year.replace(year=2024, month=12, day=31)) == 2024
    assert share(book, "g", "EUR", new_year.replace(year=2023)) is None


def test_a_specific_contract_that_has_not_begun_leaves_the_general_one_in_force() -> None:
    book = ContractBook([contract(1), contract(2, group="slots", year=2030)])
    assert share(book, "slots", "EUR", datetime(2025, 1, 1, tzinfo=UTC)) == 1


def test_the_pool_is_named_only_when_the_operator_funds_the_jackpot() -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    ours = Contract(provider="acme", starts_at=start, share_bps=1, jackpot_pool="mega")
    theirs = Contract(provider="acme", starts_at=start, share_bps=1, jackpot_source="provider")
    assert (ours.effective_pool, theirs.effective_pool) == ("mega", None)


@pytest.mark.parametrize(
    ("text", "address"), [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:8700", ("::1", 8700))]
)
def test_an_address_is_split_into_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


def test_the_reference_page_is_current() -> None:
    page = Path(__file__).parents[2] / PAGE
    assert page.read_text(encoding="utf-8") == render_configuration_reference(), (
        f"run: python -m croupier.runtime.config.reference > {PAGE}"
    )


def test_an_adapter_that_is_not_there_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, PROVIDER.rstrip() + '\nadapter = "croupier_v2"\n')
    assert problem.where == "providers #1.adapter"
    assert "croupier_v1" in problem.fix


def test_what_a_protocol_calls_us_by_is_asked_for_and_nothing_else(tmp_path: Path) -> None:
    needy = next(
        adapter.manifest
        for adapter in find_adapters().values()
        if any(setting.default is None for setting in adapter.manifest.settings)
    )
    wanted = [setting.name for setting in needy.settings if setting.default is None]
    problems = problems_of(
        tmp_path, PROVIDER.rstrip() + f'\nadapter = "{needy.id}"\nsettings = {{ colour = "red" }}\n'
    )
    assert [problem.where for problem in problems] == [
        "providers #1.settings.colour",
        *["providers #1.settings"] * len(wanted),
    ]


@pytest.mark.parametrize(("assets", "cap"), [("", 500), ("[[assets]]\ncode = 'GBP'\nexponent = 4\n", 50_000)])
def test_a_cap_is_the_same_money_in_a_finer_ledger(tmp_path: Path, assets: str, cap: int) -> None:
    path = tmp_path / "croupier.toml"
    path.write_text(assets + _CHECK + _place("id = 'GB'"))
    pack = served_in(load_config(path, {}))["GB"].pack
    assert pack.stake_cap("slots", "GBP", 30) == cap
