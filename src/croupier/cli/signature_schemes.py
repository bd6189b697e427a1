"""The schemes that `croupier sign` and `croupier verify-signature` speak, each as the same two questions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never
from uuid import uuid4

from croupier_signing import (
    WEBHOOK_WINDOW_S,
    WINDOW_S,
    Finding,
    Key,
    MessageRequest,
    Policy,
    PrivateKey,
    PublicKey,
    SignatureRefused,
    SigningKey,
    canonical_request,
    explain_message,
    explain_native,
    explain_webhook,
    key_id_of_message,
    message_to_sign,
    parse_authorization,
    random_nonce,
    sign_message,
    sign_native,
    sign_webhook,
    webhook_message,
)

Lines = tuple[tuple[bytes, bytes], ...]

AUTHORIZATION: Final = b"authorization"
WEBHOOK_FIELDS: Final = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")


class Scheme(StrEnum):
    """How a request is signed."""

    NATIVE = "native"
    RFC9421 = "rfc9421"
    STANDARD_WEBHOOKS = "standard-webhooks"

    @property
    def window_s(self) -> int:
        return WEBHOOK_WINDOW_S if self is Scheme.STANDARD_WEBHOOKS else WINDOW_S


class WrongKeyKind(Exception):
    """The scheme cannot use a key of this kind."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a signature says beside the request; `unique` is the nonce, or the webhook's id; seconds."""

    timestamp_s: int
    unique: str | None
    components: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Signed:
    """The header lines to add and the bytes that were signed."""

    lines: Lines
    canonical: bytes


def sign_request(scheme: Scheme, key: Key, request: MessageRequest, choices: Choices) -> Signed:
    """A request signed; raises SignatureRefused, ValueError or WrongKeyKind for what cannot be signed."""
    match scheme:
        case Scheme.NATIVE:
            return _sign_native(_secret(key), request, choices)
        case Scheme.RFC9421:
            lines = sign_message(
                _signer(key),
                request,
                components=choices.components,
                created_s=choices.timestamp_s,
                nonce=choices.unique or random_nonce(),
            )
            return Signed(lines, message_to_sign(request, lines))
        case Scheme.STANDARD_WEBHOOKS:
            return _sign_webhook(_signer(key), request, choices)
        case _:
            assert_never(scheme)


def explain_request(
    scheme: Scheme, key: Key | None, request: MessageRequest, *, now_s: int, window_s: int
) -> list[Finding]:
    """Everything wrong with a signed request, empty when it is good; seconds. Raises WrongKeyKind."""
    match scheme:
        case Scheme.NATIVE:
            return explain_native(
                _value(request.headers, AUTHORIZATION),
                key=None if key is None else _secret(key),
                method=request.method,
                path=request.path,
                query=request.query,
                body=request.body,
                now_s=now_s,
                window_s=window_s,
            )
        case Scheme.RFC9421:
            policy = Policy(window_s=window_s)
            return explain_message(request, key=_verifier(key), now_s=now_s, policy=policy)
        case Scheme.STANDARD_WEBHOOKS:
            webhook_id, timestamp, signature = (_value(request.headers, name) for name in WEBHOOK_FIELDS)
            try:
                return explain_webhook(
                    _verifier(key),
                    webhook_id=webhook_id,
                    timestamp=timestamp,
                    signature=signature,
                    body=request.body,
                    now_s=now_s,
                    window_s=window_s,
                )
            except TypeError as error:
                raise WrongKeyKind(str(error)) from error
        case _:
            assert_never(scheme)


def named_key(scheme: Scheme, request: MessageRequest) -> str | None:
    """The id of the key that the headers name; a webhook names none."""
    try:
        match scheme:
            case Scheme.NATIVE:
                return parse_authorization(_value(request.headers, AUTHORIZATION)).key_id
            case Scheme.RFC9421:
                return key_id_of_message(request)
            case Scheme.STANDARD_WEBHOOKS:
                return None
            case _:
                assert_never(scheme)
    except SignatureRefused:
        return None


def _sign_native(key: SigningKey, request: MessageRequest, choices: Choices) -> Signed:
    nonce = choices.unique or random_nonce()
    header = sign_native(
        key,
        method=request.method,
        path=request.path,
        query=request.query,
        timestamp_s=choices.timestamp_s,
        nonce=nonce,
        body=request.body,
    )
    canonical = canonical_request(
        method=request.method,
        path=request.path,
        query=request.query,
        timestamp_s=choices.timestamp_s,
        nonce=nonce,
        body=request.body,
    )
    return Signed(((AUTHORIZATION, header.encode()),), canonical)


def _sign_webhook(key: SigningKey | PrivateKey, request: MessageRequest, choices: Choices) -> Signed:
    webhook_id = choices.unique or f"msg_{uuid4().hex}"
    try:
        signature = sign_webhook(
            key, webhook_id=webhook_id, timestamp_s=choices.timestamp_s, body=request.body
        )
    except TypeError as error:
        raise WrongKeyKind(str(error)) from error
    values = webhook_id.encode(), b"%d" % choices.timestamp_s, signature.encode()
    lines = tuple(zip(WEBHOOK_FIELDS, values, strict=True))
    return Signed(lines, webhook_message(values[0], values[1], request.body))


def _value(headers: Lines, name: bytes) -> bytes | None:
    return next((value for known, value in headers if known == name), None)


def _secret(key: Key) -> SigningKey:
    if not isinstance(key, SigningKey):
        raise WrongKeyKind(f"key {key.id}: the native scheme takes a shared secret")
    return key


def _signer(key: Key) -> SigningKey | PrivateKey:
    if isinstance(key, PublicKey):
        raise WrongKeyKind(f"key {key.id}: a public key cannot sign; name the private half")
    return key


def _verifier(key: Key | None) -> SigningKey | PublicKey | None:
    return key.public if isinstance(key, PrivateKey) else key
