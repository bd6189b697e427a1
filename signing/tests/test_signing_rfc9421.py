"""RFC 9421 Appendix B and RFC 9530 Appendices B and D, verified and where possible reproduced."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import replace

import pytest
from signing_rfc9421 import (
    B24_BASE,
    B24_SIGNATURE,
    BODY,
    CLIENT_CERT,
    CREATED_S,
    ED25519_PRIVATE_PEM,
    P256,
    PROXY_INPUT,
    PROXY_SIGNATURE,
    RFC_KEYS,
    RFC_REQUEST,
    RFC_SIGNATURES,
    SHARED_SECRET,
)

from croupier_signing import (
    Algorithm,
    MessageRequest,
    Policy,
    PrivateKey,
    RefusalReason,
    SignatureRefused,
    check_content_digest,
    read_key,
    render_content_digest,
    sign_message,
    verify_message,
)
from croupier_signing.message_algorithms import signature_fits

NOTHING_REQUIRED = Policy(required=())
DIGESTS = [
    (b'{"hello": "world"}\n', "sha-256", "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"),
    (b"", "sha-256", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"),
    (
        b'{"hello": "world"}\n',
        "sha-512",
        "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:",
    ),
    (
        BODY,
        "sha-512",
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
    ),
]


def signed(label: str, request: MessageRequest = RFC_REQUEST) -> MessageRequest:
    claim, signature = RFC_SIGNATURES[label]
    fields = (
        (b"signature-input", f"{label}={claim}".encode()),
        (b"signature", f"{label}={signature}".encode()),
    )
    return replace(request, headers=(*request.headers, *fields))


@pytest.mark.parametrize("label", RFC_SIGNATURES)
def test_signature_of_the_rfc_is_verified(label: str) -> None:
    verified = verify_message(RFC_KEYS, signed(label), now_s=CREATED_S, policy=NOTHING_REQUIRED)
    assert verified.label == label
    assert verified.key_id in RFC_SIGNATURES[label][0]


# B.2.1 covers nothing, so it fits every request.
@pytest.mark.parametrize("label", sorted(RFC_SIGNATURES.keys() - {"sig-b21"}))
def test_signature_of_the_rfc_does_not_fit_another_request(label: str) -> None:
    changed = replace(
        RFC_REQUEST, authority="example.org", query=b"param=Value&Pet=cat", headers=RFC_REQUEST.headers[3:]
    )
    with pytest.raises(SignatureRefused) as refusal:
        verify_message(RFC_KEYS, signed(label, changed), now_s=CREATED_S, policy=NOTHING_REQUIRED)
    assert refusal.value.reason is RefusalReason.MISMATCH


def test_what_the_rfc_warns_of_is_refused_by_the_usual_policy() -> None:
    with pytest.raises(SignatureRefused, match="@method is not covered"):
        verify_message(RFC_KEYS, signed("sig-b21"), now_s=CREATED_S)


def test_full_coverage_of_the_rfc_satisfies_the_usual_policy() -> None:
    verified = verify_message(RFC_KEYS, signed("sig-b23"), now_s=CREATED_S)
    assert verified.algorithm is Algorithm.RSA_PSS_SHA512
    assert verified.covered[1:4] == ("@method", "@path", "@query")


def test_deterministic_signatures_of_the_rfc_are_reproduced() -> None:
    ed25519 = read_key("test-key-ed25519", ED25519_PRIVATE_PEM)
    assert isinstance(ed25519, PrivateKey)
    # B.2.6 leaves the body uncovered, which the signer here never does; without a body the base is the same.
    bare = replace(RFC_REQUEST, body=b"")
    of_ed25519 = ("date", "@method", "@path", "@authority", "content-type", "content-length")
    of_secret = ("date", "@authority", "content-type")
    for label, key, names in (("sig-b26", ed25519, of_ed25519), ("sig-b25", SHARED_SECRET, of_secret)):
        made = dict(sign_message(key, bare, components=names, created_s=CREATED_S, label=label))
        claim, signature = RFC_SIGNATURES[label]
        assert made == {
            b"signature-input": f"{label}={claim}".encode(),
            b"signature": f"{label}={signature}".encode(),
        }


def test_ecdsa_signature_of_the_rfc_response_is_verified() -> None:
    assert signature_fits(Algorithm.ECDSA_P256_SHA256, P256, B24_BASE, B24_SIGNATURE)
    assert not signature_fits(Algorithm.ECDSA_P256_SHA256, P256, B24_BASE + b" ", B24_SIGNATURE)


def test_ecdsa_signature_of_the_rfc_proxy_is_verified() -> None:
    request = MessageRequest(
        method="POST",
        scheme="https",
        authority="service.internal.example",
        path=b"/foo",
        query=b"param=Value&Pet=dog",
        headers=(
            (b"client-cert", CLIENT_CERT),
            (b"signature-input", PROXY_INPUT),
            (b"signature", PROXY_SIGNATURE),
        ),
        body=b"",
    )
    verified = verify_message(RFC_KEYS, request, now_s=CREATED_S)
    assert (verified.key_id, verified.algorithm) == (P256.id, Algorithm.ECDSA_P256_SHA256)


@pytest.mark.parametrize(("body", "algorithm", "field"), DIGESTS)
def test_digests_of_rfc_9530_are_made_and_accepted(body: bytes, algorithm: str, field: str) -> None:
    assert render_content_digest(body, algorithm) == field
    check_content_digest(field.encode(), body)
    with pytest.raises(SignatureRefused) as refusal:
        check_content_digest(field.encode(), body + b" ")
    assert refusal.value.reason is RefusalReason.MISMATCH


def test_every_known_digest_has_to_fit_and_an_unknown_one_is_passed_over() -> None:
    good = render_content_digest(b"x").encode()
    check_content_digest(good + b", " + render_content_digest(b"x", "sha-512").encode(), b"x")
    check_content_digest(b"md5=:AAAA:, " + good, b"x")
    with pytest.raises(SignatureRefused, match="mismatch"):
        check_content_digest(good + b", " + render_content_digest(b"y", "sha-512").encode(), b"x")


@pytest.mark.parametrize(
    "field",
    [
        b"",
        b"md5=:AAAA:",
        b"sha-256",
        b"sha-256=1",
        b"sha-256=()",
        b'sha-256="x"',
        b"sha-256=:" + b64encode(hashlib.sha256(b"x").digest()),
        b"sha-256=:" + b64encode(hashlib.sha256(b"x").digest())[:-1] + b":",
    ],
)
def test_digest_field_that_proves_nothing_is_refused(field: bytes) -> None:
    with pytest.raises(SignatureRefused) as refusal:
        check_content_digest(field, b"x")
    assert refusal.value.reason is RefusalReason.MALFORMED
