"""The first configuration of a deployment, for `croupier init DIR`: what the sandbox needs, and keys."""

from __future__ import annotations

import os
from pathlib import Path
from string import Template
from typing import Final

from msgspec import Struct

from croupier.runtime.config.problems import ConfigProblems, Problem
from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier_signing import hash_api_key, random_token

CONFIG_NAME: Final = "croupier.toml"
DATA_FOLDER: Final = ".croupier"
KEYS_FOLDER: Final = f"{DATA_FOLDER}/keys"
KEY_NAMES: Final = ("sandbox-in-1", "sandbox-out-1", "operator", "admin", "self-exclusion")
IGNORED: Final = f"{DATA_FOLDER}/"


class StarterReport(Struct, frozen=True):
    """What was written; the two token files hold the plain bearer tokens of operator API and console."""

    config_path: Path
    gitignore_path: Path
    key_paths: tuple[Path, ...]
    operator_token_path: Path
    admin_token_path: Path


def write_starter(directory: Path) -> StarterReport:
    """Write `croupier.toml`, keys (mode 0600) and `.gitignore`; the folder is made if need be.

    The configuration is written last, so an interrupted run can be repeated and keeps the keys it made.
    Raises ConfigProblems when a configuration is there already or something cannot be written.
    """
    config_path = directory / CONFIG_NAME
    if os.path.lexists(config_path):
        raise _refusal(config_path, "exists already", "edit it, remove it, or choose another folder")
    try:
        return _write_all(directory, config_path)
    except OSError as error:
        where = Path(error.filename or directory)
        raise _refusal(where, f"cannot be written: {error.strerror}", "choose another folder") from None
    except SecretUnavailable as error:
        raise _refusal(directory / KEYS_FOLDER, error.what, error.fix) from None


def _refusal(path: Path, what: str, fix: str) -> ConfigProblems:
    return ConfigProblems([Problem(str(path), what, fix)])


def _write_all(directory: Path, config_path: Path) -> StarterReport:
    keys = directory / KEYS_FOLDER
    keys.mkdir(parents=True, exist_ok=True)
    keys.chmod(0o700)
    paths = {name: keys / f"{name}.key" for name in KEY_NAMES}
    tokens = {name: _make_key(path) for name, path in paths.items()}
    gitignore_path = _ignore_data(directory)
    _write_new(config_path, render_starter(tokens["operator"], tokens["admin"]), mode=0o644)
    return StarterReport(
        config_path=config_path,
        gitignore_path=gitignore_path,
        key_paths=tuple(paths.values()),
        operator_token_path=paths["operator"],
        admin_token_path=paths["admin"],
    )


def _make_key(path: Path) -> str:
    """A fresh token in its own file, or the one an interrupted run left there."""
    if not path.exists():
        _write_new(path, random_token() + "\n", mode=0o600)
    return resolve_secret(f"file:{path}").decode("utf-8", "replace")


def _write_new(path: Path, text: str, *, mode: int) -> None:
    """Write a file nobody has seen yet, whole or not at all, through no link and over nothing."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        os.link(fresh, path)
    finally:
        fresh.unlink()


def _ignore_data(directory: Path) -> Path:
    """Keep keys and data out of version control, adding one line to what is there."""
    path = directory / ".gitignore"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if IGNORED not in before.splitlines():
        separator = "" if not before or before.endswith("\n") else "\n"
        path.write_text(f"{before}{separator}{IGNORED}\n", encoding="utf-8")
    return path


def render_starter(operator_token: str, admin_token: str) -> str:
    """The commented configuration; of the tokens it holds the hashes only."""
    return Template(_STARTER).substitute(
        keys=KEYS_FOLDER,
        operator_hash=hash_api_key(operator_token),
        admin_hash=hash_api_key(admin_token),
    )


_STARTER: Final = """\
# Configuration of Croupier. `croupier doctor` checks it and says how to repair what is wrong; every key is
# described in docs/reference/configuration.md. In the environment, CROUPIER_<SECTION>_<KEY> overrides a key
# of a section in single brackets. Relative paths count from this file's folder. No secret stands here.

# A label of every metric. Give each deployment its own keys.
environment = "development"

[http]
public = "127.0.0.1:8700"   # operator API, provider callbacks, webhooks
admin = "127.0.0.1:8701"    # console and metrics: keep it private

[database]
# "embedded" starts a PostgreSQL of its own in data_dir. For a server of yours put the URL, password included,
# into CROUPIER_DATABASE_URL, or name it here: url = "env:NAME" or url = "file:PATH".
url = "embedded"
data_dir = "./.croupier"

[lanes]
count = 1     # database connections of the money path, for each process
workers = 1   # processes of `croupier serve`

[telemetry]
log_format = "console"   # "json" for machines
log_level = "info"

[sandbox]
listen = "127.0.0.1:8702"

# ISO 4217 currencies are built in. Others, and currencies kept finer than the standard, are listed.
[[assets]]
code = "ETH"
exponent = 18

[[assets]]
code = "EUR"
exponent = 2

# A provider calls /providers/<id>/… and signs with an inbound key; Croupier signs with an outbound key.
# Two keys of one direction may overlap while you rotate them.
[[providers]]
id = "sandbox"
adapter = "croupier_v1"
base_url = "http://127.0.0.1:8702"
window_s = 30
keys = [
    { id = "sandbox-in-1", secret = "file:$keys/sandbox-in-1.key", direction = "inbound" },
    { id = "sandbox-out-1", secret = "file:$keys/sandbox-out-1.key", direction = "outbound" },
]

# The catalogue. `category` and `rtp_bps` (theoretical return, in basis points) are what jurisdictions ask about.
[[games]]
id = "dice"
provider = "sandbox"
name = "Dice"
category = "instant"
rtp_bps = 9900

[[games]]
id = "mines"
provider = "sandbox"
name = "Mines"
category = "instant"
rtp_bps = 9900

[[games]]
id = "crash"
provider = "sandbox"
name = "Crash"
group = "crash"
category = "instant"
rtp_bps = 9900

# Whom you may serve, and with what. A player of any other country is refused; `croupier jurisdiction list` shows the
# packs that come with Croupier, `croupier jurisdiction show MT` the rules of one with their sources.
[[jurisdictions]]
id = "MT"
providers = ["*"]
games = ["*"]

# Your service that knows who is excluded from play. It is asked before every launch, and no answer means no launch.
# Here the sandbox stands in for it; docs/how-to/decide-who-may-play.md says what yours must answer.
[self_exclusion]
url = "http://127.0.0.1:8702/self-exclusion"
secret = "file:$keys/self-exclusion.key"

# Terms by provider, game group and asset; the most specific that has begun applies, then the latest.
# The provider's share is in basis points: 1200 is 12 %.
[[contracts]]
provider = "sandbox"
from = 2025-01-01
share_bps = 1200
negative = "carry_over"
jackpot_source = "operator"
jackpot_pool = "main"
promo_source = "operator"
day_zone = "UTC"
day_start = "00:00"

[[contracts]]
provider = "sandbox"
game_group = "crash"
from = 2025-01-01
share_bps = 1000

# Where events (money moved, sessions and rounds over, breaks opened …) are sent, signed as Standard Webhooks; see
# docs/how-to/receive-events.md. `croupier events listen` receives them at your desk.
# [[outbox.endpoints]]
# id = "platform"
# url = "https://platform.example.com/croupier-events"
# secrets = ["file:$keys/events-1.key"]   # two of them while one is replaced
# events = ["*"]                          # or ["money.moved", "break.opened"]

# Callers of the operator API and of the console. Their tokens are in $keys/operator.key and
# $keys/admin.key; only hashes are kept here.
[[api_keys]]
id = "operator"
role = "operator"
token_hash = "$operator_hash"

[[api_keys]]
id = "admin"
role = "admin"
token_hash = "$admin_hash"

# Who answers for what.
[owners.platform]
contacts = ["platform@example.com"]

[owners.product]
contacts = ["product@example.com"]

[owners.finance]
contacts = ["finance@example.com"]

# How long a session may stay in a state, whose it is then, and what is done; see docs/how-to/give-states-a-time.md.
# Opened, and the provider has not confirmed; the deadline of a launch whose outcome is unknown.
[timeouts.created]
after = "5m"
owner = "platform"
action = "cancel"

# Launched and never played.
[timeouts.launched]
after = "1h"
owner = "product"
action = "cancel"

# Played, and not used for so long.
[timeouts.active]
after = "24h"
owner = "product"
action = "close"

# Closed, with rounds that the provider has not closed.
[timeouts.pending_settlement]
after = "24h"
owner = "finance"
action = "reconcile"
"""
