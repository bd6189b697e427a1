"""Standard Webhooks: signed, verified, refused, and judged by the library `standardwebhooks`."""

from __future__ import annotations

import datetime
import hmac
import time
from base64 import b64encode
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from croupier_signing import (
    COVERAGES,
    MAX_KEYS,
    Algorithm,
    PrivateKey,
    RefusalReason,
    SignatureRefused,
    SigningKey,
    read_webhook_secret,
    sign_webhook,
    verify_webhook,
)
from croupier_signing.message_algorithms import nobodys_key
from croupier_signing.standard_webhooks import MAX_WEBHOOK_SIGNATURE_BYTES, MAX_WEBHOOK_SIGNATURES

NOW_S = 1_750_000_000
ID = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"
BODY = '{"type":"jackpot.won","data":{"amount":"1250","name":"café"}}'.encode()
SECRET = SigningKey("hook-1", bytes(range(24)))
OTHER = SigningKey("hook-2", bytes(range(24, 48)))
PAIR = PrivateKey("hook-ed", ed25519.Ed25519PrivateKey.generate())


def sent(*keys: SigningKey | PrivateKey, **changed: Any) -> dict[str, Any]:
    """The arguments of a verification of what these keys signed."""
    signatures = [sign_webhook(key, webhook_id=ID, timestamp_s=NOW_S, body=BODY) for key in keys or (SECRET,)]
    signature = " ".join(signatures).encode()
    given = {"webhook_id": ID.encode(), "timestamp": b"%d" % NOW_S, "signature": signature, "body": BODY}
    return given | {"now_s": NOW_S, "window_s": 300} | changed


def refusal_of(*keys: Any, **arguments: Any) -> RefusalReason:
    with pytest.raises(SignatureRefused) as refusal:
        verify_webhook(keys or (SECRET,), **arguments)
    return refusal.value.reason


def test_example_of_the_specification_is_reproduced() -> None:
    key = SigningKey("example", read_webhook_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    body = b'{"test": 2432232314}'
    signature = sign_webhook(
        key, webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp_s=1614265330, body=body
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("body", [BODY, b"", b"{}", "\U0001f3b0".encode()])
def test_the_library_verifies_what_we_sign(body: bytes) -> None:
    now_s = int(time.time())
    signature = sign_webhook(SECRET, webhook_id=ID, timestamp_s=now_s, body=body)
    headers = {"webhook-id": ID, "webhook-timestamp": str(now_s), "webhook-signature": signature}
    Webhook(SECRET.secret).verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET.secret).verify(body + b" ", headers, json_parse=False)


@pytest.mark.parametrize("body", [BODY, b"", b"{}", "\U0001f3b0".encode()])
def test_we_verify_what_the_library_signs(body: bytes) -> None:
    moment = datetime.datetime.fromtimestamp(NOW_S, datetime.UTC)
    signature = Webhook(SECRET.secret).sign(msg_id=ID, timestamp=moment, data=body.decode())
    parts = verify_webhook([SECRET], **sent(signature=signature.encode(), body=body))
    assert (parts.key_id, parts.webhook_id, parts.timestamp_s) == (SECRET.id, ID, NOW_S)
    assert refusal_of(**sent(signature=signature.encode(), body=body + b" ")) is RefusalReason.MISMATCH


def test_ed25519_is_exactly_the_signature_of_id_time_and_body() -> None:
    assert isinstance(PAIR.material, ed25519.Ed25519PrivateKey)
    message = f"{ID}.{NOW_S}.".encode() + BODY
    expected = "v1a," + b64encode(PAIR.material.sign(message)).decode()
    assert sign_webhook(PAIR, webhook_id=ID, timestamp_s=NOW_S, body=BODY) == expected
    assert verify_webhook([PAIR.public], **sent(signature=expected.encode())).key_id == "hook-ed"
    with pytest.raises(InvalidSignature):
        PAIR.material.public_key().verify(PAIR.material.sign(message), message + b" ")
    assert refusal_of(PAIR.public, **sent(PAIR, body=BODY + b" ")) is RefusalReason.MISMATCH


def test_one_of_several_signatures_by_one_of_several_keys_is_enough() -> None:
    given = sent(OTHER, SECRET, PAIR)
    assert verify_webhook([SECRET], **given).key_id == "hook-1"
    assert verify_webhook([PAIR.public], **given).key_id == "hook-ed"
    assert verify_webhook([SigningKey("x", bytes(16)), OTHER], **given).key_id == "hook-2"
    assert verify_webhook([SECRET, OTHER], **given).key_id == "hook-1", "keys count in their own order"
    unknown = given | {"signature": b"v2,AAAA v1b,AA== " + given["signature"]}
    assert verify_webhook([SECRET], **unknown).key_id == "hook-1"


def test_signature_of_one_version_is_never_taken_for_the_other() -> None:
    as_v1 = sent(PAIR)["signature"].replace(b"v1a,", b"v1,")
    as_v1a = sent()["signature"].replace(b"v1,", b"v1a,")
    for signature in (as_v1, as_v1a):
        assert refusal_of(SECRET, PAIR.public, **sent(signature=signature)) is RefusalReason.MISMATCH
    public = PAIR.public.material.public_bytes_raw()  # type: ignore[union-attr]
    forged = hmac.digest(public, f"{ID}.{NOW_S}.".encode() + BODY, "sha256")
    for version in (b"v1,", b"v1a,"):
        arguments = sent(signature=version + b64encode(forged))
        assert refusal_of(PAIR.public, **arguments) is RefusalReason.MISMATCH


@pytest.mark.parametrize(("late_s", "is_fresh"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_window_is_closed_on_both_sides(late_s: int, is_fresh: bool) -> None:
    given = sent(now_s=NOW_S + late_s)
    if is_fresh:
        assert verify_webhook([SECRET], **given).timestamp_s == NOW_S
    else:
        assert refusal_of(**given) is RefusalReason.STALE
        assert refusal_of(OTHER, **given) is RefusalReason.MISMATCH, "only a holder learns about the clock"


@pytest.mark.parametrize("name", ["webhook_id", "timestamp", "signature"])
@pytest.mark.parametrize("value", [None, b""])
def test_absent_header_is_missing(name: str, value: bytes | None) -> None:
    assert refusal_of(**sent(**{name: value})) is RefusalReason.MISSING


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook_id", b"msg.1"),
        ("webhook_id", b"msg 1"),
        ("webhook_id", b"m" * 257),
        ("webhook_id", b"msg\n"),
        ("webhook_id", b"\xff"),
        ("timestamp", b"01750000000"),
        ("timestamp", b"+1750000000"),
        ("timestamp", b"1750000000.0"),
        ("timestamp", b"1750000000000"),
        ("timestamp", b"1750000000\n"),
        ("timestamp", "١".encode()),
        ("signature", b"v1"),
        ("signature", b"v1,"),
        ("signature", b"v1,AA"),
        ("signature", b"v1,AB=="),
        ("signature", b"v1,-_=="),
        ("signature", b"v1,AA==,v1,AA=="),
        ("signature", b" v1,AA=="),
        ("signature", b"v1,AA==  v1,AA=="),
        ("signature", b"sha256=AA=="),
        ("signature", b" ".join([b"v1,AA=="] * (MAX_WEBHOOK_SIGNATURES + 1))),
        ("signature", b"v9," + b"A" * MAX_WEBHOOK_SIGNATURE_BYTES),
    ],
)
def test_header_out_of_form_is_malformed(name: str, value: bytes) -> None:
    assert refusal_of(**sent(**{name: value})) is RefusalReason.MALFORMED


def test_every_single_bit_counts() -> None:
    given = sent()
    for name in ("webhook_id", "timestamp", "signature", "body"):
        for at in range(len(given[name])):
            for bit in range(8):
                flipped = bytearray(given[name])
                flipped[at] ^= 1 << bit
                assert refusal_of(**given | {name: bytes(flipped)}) in (
                    RefusalReason.MALFORMED,
                    RefusalReason.MISMATCH,
                )


def test_full_stop_moves_nothing_between_id_time_and_body() -> None:
    moved = {"webhook_id": f"{ID}.{NOW_S}".encode(), "timestamp": b"1", "body": b"x"}
    assert refusal_of(**sent(**moved)) is RefusalReason.MALFORMED
    with pytest.raises(ValueError, match="webhook id"):
        sign_webhook(SECRET, webhook_id="a.1", timestamp_s=NOW_S, body=BODY)


def test_only_signatures_of_unknown_versions_are_a_mismatch() -> None:
    assert refusal_of(**sent(signature=b"v2,AA==")) is RefusalReason.MISMATCH


def test_without_keys_nothing_is_accepted_not_even_by_the_key_that_stands_for_an_unknown_one() -> None:
    stand_in = nobodys_key(Algorithm.HMAC_SHA256)
    assert isinstance(stand_in, SigningKey)
    for arguments in (sent(), sent(stand_in)):
        with pytest.raises(SignatureRefused, match="mismatch"):
            verify_webhook([], **arguments)


def test_wrong_kinds_and_too_many_keys_are_mistakes_of_the_program() -> None:
    curve = PrivateKey("ec", ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(TypeError, match="shared secrets and Ed25519"):
        sign_webhook(curve, webhook_id=ID, timestamp_s=NOW_S, body=BODY)
    for wrong in (curve.public, PAIR):
        with pytest.raises(TypeError):
            verify_webhook([wrong], **sent(signature=None))  # type: ignore[list-item]
    with pytest.raises(ValueError, match="at most"):
        verify_webhook([SECRET] * (MAX_KEYS + 1), **sent())
    with pytest.raises(ValueError, match="timestamp"):
        sign_webhook(SECRET, webhook_id=ID, timestamp_s=-1, body=BODY)


def test_secret_is_read_with_and_without_padding() -> None:
    for secret in (bytes(range(24)), bytes(range(25)), bytes(range(64))):
        text = "whsec_" + b64encode(secret).decode()
        assert read_webhook_secret(text) == read_webhook_secret(text.rstrip("=")) == secret


@pytest.mark.parametrize(
    "text", ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_A", "whsec_a b", "whsec_-_"]
)
def test_text_that_is_no_secret_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="whsec_ and base64") as refusal:
        read_webhook_secret(text)
    assert "MfKQ" not in str(refusal.value)


def test_declaration_leaves_out_where_the_webhook_was_sent() -> None:
    assert {"method", "path", "query", "headers"} == set(COVERAGES["standard_webhooks"].uncovered)


@given(*[st.one_of(st.none(), st.binary(max_size=60), st.sampled_from([b"v1,AA==", b"1", b"a"]))] * 3)
def test_any_headers_are_judged(
    webhook_id: bytes | None, timestamp: bytes | None, signature: bytes | None
) -> None:
    refusal_of(**sent(webhook_id=webhook_id, timestamp=timestamp, signature=signature))
