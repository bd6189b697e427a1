"""The delivery of events as a configuration describes it, its secrets resolved once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from croupier.operator.outbox.settings import Endpoint, JetStream
from croupier.operator.outbox.settings import Outbox as Consumers
from croupier.runtime.config.checks import outbox_references
from croupier.runtime.config.problems import ConfigProblems, Problem
from croupier.runtime.config.queues import OutboxEndpoint
from croupier.runtime.config.sections import Config
from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier_signing import PrivateKey, SigningKey, read_key, read_webhook_secret

_WHSEC = b"whsec_"


def resolve_outbox(config: Config, env: Mapping[str, str]) -> Consumers:
    """Endpoints and NATS with every secret read; raises ConfigProblems with all that cannot be used."""
    if problems := list(find_unusable_outbox(config, env)):
        raise ConfigProblems(problems)
    outbox = config.outbox
    return Consumers(
        endpoints=tuple(_endpoint(endpoint, env) for endpoint in outbox.endpoints),
        jetstream=_jetstream(config, env),
        schedule_s=outbox.schedule_s,
        disable_after_s=outbox.disable_after_s,
        keep_s=outbox.keep_s,
    )


def read_webhook_key(key_id: str, material: bytes) -> SigningKey | PrivateKey:
    """What signs events, from its stored bytes: a `whsec_` text, another shared secret, or an Ed25519 private PEM key.

    Raises ValueError, without any of the bytes.
    """
    if material.startswith(_WHSEC):
        return SigningKey(key_id, read_webhook_secret(material.decode("ascii", "replace")))
    key = read_key(key_id, material)
    if isinstance(key, SigningKey) or (isinstance(key, PrivateKey) and key.public.is_ed25519):
        return key
    raise ValueError(f"key {key_id}: events are signed with a shared secret or an Ed25519 private key")


def find_unusable_outbox(config: Config, env: Mapping[str, str]) -> Iterator[Problem]:
    """A problem for each secret that nothing can be signed with, and for NATS without its library."""
    for place, reference in outbox_references(config).items():
        try:
            material = resolve_secret(reference, env=env)
            if place.startswith("outbox.endpoints"):
                read_webhook_key("any", material)
            elif b":" not in material:
                raise ValueError("is not USER:PASSWORD")
        except SecretUnavailable as error:
            yield Problem(place, error.what, error.fix)
        except ValueError as error:
            what = str(error).removeprefix("key any: ")
            yield Problem(place, what, "docs/how-to/receive-events.md says what a secret looks like")
    if config.outbox.nats_url is not None and find_spec("nats") is None:
        yield Problem("outbox.nats_url", "needs the extra nats", "pip install 'croupier[nats]'")


def _endpoint(endpoint: OutboxEndpoint, env: Mapping[str, str]) -> Endpoint:
    return Endpoint(
        id=endpoint.id,
        url=endpoint.url,
        keys=tuple(
            read_webhook_key(f"{endpoint.id[:60]}-{number}", resolve_secret(secret, env=env))
            for number, secret in enumerate(endpoint.secrets, 1)
        ),
        types=tuple(dict.fromkeys(endpoint.events)),
        timeout_s=endpoint.timeout_s,
        allow_private=endpoint.allow_private,
    )


def _jetstream(config: Config, env: Mapping[str, str]) -> JetStream | None:
    outbox = config.outbox
    if outbox.nats_url is None:
        return None
    user, password = None, None
    if outbox.nats_credentials is not None:
        login = resolve_secret(outbox.nats_credentials, env=env).decode("utf-8", "replace")
        user, _, password = login.partition(":")
    return JetStream(
        url=outbox.nats_url,
        stream=outbox.nats_stream,
        subject=outbox.nats_subject,
        user=user,
        password=password,
    )
