"""Secrets named on the command line, for signing and checking events at a desk."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from croupier.cli.output import CommandFailed
from croupier.cli.settings import settings_of
from croupier.runtime.config import read_webhook_key
from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier_signing import PrivateKey, PublicKey, SigningKey, read_key


def read_signing_key(ctx: typer.Context, reference: str) -> SigningKey | PrivateKey:
    """The key behind a reference; a relative file counts from the configuration's folder. Raises CommandFailed."""
    material = _read(ctx, reference)
    try:
        return read_webhook_key("given", material)
    except ValueError as error:
        raise CommandFailed(str(error).removeprefix("key given: ")) from None


def read_verifying_key(ctx: typer.Context, reference: str) -> SigningKey | PublicKey:
    """The same for checking; of a key pair either half will do. Raises CommandFailed."""
    material = _read(ctx, reference)
    try:
        key = read_key("given", material)
        if isinstance(key, PublicKey) and key.is_ed25519:
            return key
        signing = read_webhook_key("given", material)
    except ValueError as error:
        raise CommandFailed(str(error).removeprefix("key given: ")) from None
    return signing.public if isinstance(signing, PrivateKey) else signing


def _read(ctx: typer.Context, reference: str) -> bytes:
    path = reference.removeprefix("file:")
    if path != reference:
        config_path = settings_of(ctx).effective_config_path
        folder = Path.cwd() if config_path is None else config_path.absolute().parent
        reference = f"file:{folder / path}"
    try:
        return resolve_secret(reference, env=os.environ)
    except SecretUnavailable as error:
        raise CommandFailed(f"the secret cannot be read: {error.what}; {error.fix}") from None
