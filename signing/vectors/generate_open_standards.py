"""Write `open_standards.json` anew: `python vectors/generate_open_standards.py`; the same bytes every time.

RSA-PSS and ECDSA sign with fresh random numbers, so keys and signatures that the file holds already are kept as long as
they fit; without the file, new test keys are made.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from croupier_signing import (
    Algorithm,
    MessageRequest,
    Policy,
    PrivateKey,
    PublicKey,
    SignatureRefused,
    SigningKey,
    read_key,
    sign_message,
    sign_webhook,
    verify_message,
)
from croupier_signing.message_signatures import plan_candidates

TARGET = Path(__file__).with_name("open_standards.json")
NOW_S = 1_750_000_000
WEBHOOK_ID = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"
WEBHOOK_BODY = (
    '{"type":"jackpot.won","timestamp":"2025-06-15T15:06:40Z","data":{"amount":"1250","name":"caf\u00e9"}}'
)
SECRET = SigningKey("test-secret", bytes(range(32)))
OTHER = SigningKey("test-secret-2", bytes(range(32, 56)))
KEY_IDS = {
    Algorithm.HMAC_SHA256: SECRET.id,
    Algorithm.ED25519: "test-ed25519",
    Algorithm.ECDSA_P256_SHA256: "test-ecdsa-p256",
    Algorithm.RSA_PSS_SHA512: "test-rsa",
    Algorithm.RSA_V1_5_SHA256: "test-rsa",
}
POLICY = Policy()
REQUEST = MessageRequest(
    method="POST",
    scheme="https",
    authority="casino.example",
    path=b"/v1/wallets/w%2F1/EUR/deposits",
    query=b"note=a%2fb+c&flag&caf%C3%A9=%7E*",
    headers=((b"content-type", b"application/json"), (b"x-trace", b"one"), (b"x-trace", b" two\t")),
    body=b'{"amount":"1250","reference":"d-1"}',
)
ALL_COMPONENTS = (
    "@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query",
    '"@query-param";name="note"', '"@query-param";name="caf%C3%A9"', "content-type", "x-trace", "content-digest",
)  # fmt: skip

Document = dict[str, Any]


def _load_previous() -> Document:
    if not TARGET.exists():
        return {"test_keys": {}, "messages": []}
    document: Document = json.loads(TARGET.read_text())
    return document


def _pair(previous: Document, key_id: str) -> PrivateKey:
    known = previous["test_keys"].get(key_id)
    if known is not None:
        key = read_key(key_id, known["test_only_private_pem"].encode())
        if isinstance(key, PrivateKey):
            return key
    match key_id:
        case "test-ed25519":
            return PrivateKey(key_id, ed25519.Ed25519PrivateKey.generate())
        case "test-ecdsa-p256":
            return PrivateKey(key_id, ec.generate_private_key(ec.SECP256R1()))
        case _:
            return PrivateKey(key_id, rsa.generate_private_key(65537, 2048))


def _render_key(key: SigningKey | PrivateKey) -> Document:
    if isinstance(key, SigningKey):
        return {"secret_hex": key.secret.hex()}
    private = key.material.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public.material.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"public_pem": public.decode(), "test_only_private_pem": private.decode()}


class _Messages:
    """Message vectors under construction; signatures that are already published stay as they are."""

    def __init__(self, previous: Document, keys: dict[str, SigningKey | PrivateKey]) -> None:
        self._published = {vector["name"]: vector for vector in previous["messages"]}
        self._keys = keys
        self._verifiers: list[SigningKey | PublicKey] = [
            key.public if isinstance(key, PrivateKey) else key for key in keys.values()
        ]
        self.vectors: list[Document] = []

    def signed(self, name: str, request: MessageRequest = REQUEST, **signing: Any) -> MessageRequest:
        """The request with its signature: the published one of this name while it is right."""
        algorithm = signing.get("algorithm") or Algorithm.HMAC_SHA256
        settings: Document = {"created_s": NOW_S, "nonce": "0123456789abcdef"} | signing
        lines = sign_message(self._keys[KEY_IDS[algorithm]], request, **settings)
        fresh = replace(request, headers=(*request.headers, *lines))
        published = self._published.get(name)
        if published is not None:
            kept = replace(
                fresh, headers=tuple((n.encode(), v.encode()) for n, v in published["request"]["headers"])
            )
            if self._is_right(kept, fresh):
                return kept
        return fresh

    def _is_right(self, kept: MessageRequest, fresh: MessageRequest) -> bool:
        if [line for line in kept.headers if line[0] != b"signature"] != [
            line for line in fresh.headers if line[0] != b"signature"
        ]:
            return False
        try:
            verify_message(self._verifiers, kept, now_s=NOW_S, policy=Policy(required=()))
        except SignatureRefused:
            return False
        return True

    def accept(
        self, name: str, request: MessageRequest = REQUEST, now_s: int = NOW_S, **signing: Any
    ) -> None:
        """A vector that is accepted, with the bytes that were signed."""
        received = self.signed(name, request, **signing)
        verified = verify_message(self._verifiers, received, now_s=now_s, policy=POLICY)
        claim = next(one for one in plan_candidates(received, POLICY) if one.label == verified.label)
        proven = {
            "label": verified.label, "key": verified.key_id, "algorithm": verified.algorithm,
            "created": verified.created_s, "expires": verified.expires_s, "nonce": verified.nonce,
            "tag": verified.tag, "covered": list(verified.covered),
        }  # fmt: skip
        self._add(name, received, now_s, "accepted", verified=proven, base=claim.base.decode("ascii"))

    def refuse(self, name: str, reason: str, request: MessageRequest, now_s: int = NOW_S) -> None:
        """A vector that is refused for this reason."""
        self._add(name, request, now_s, reason)

    def _add(self, name: str, request: MessageRequest, now_s: int, expect: str, **proven: Any) -> None:
        shown = {
            "method": request.method, "scheme": request.scheme, "authority": request.authority,
            "path": request.path.decode("latin-1"), "query": request.query.decode("latin-1"),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers],
            "body": request.body.decode(),
        }  # fmt: skip
        self.vectors.append({"name": name, "request": shown, "now": now_s, "expect": expect, **proven})


def _with_field(request: MessageRequest, name: bytes, value: bytes | None) -> MessageRequest:
    kept = tuple(line for line in request.headers if line[0] != name)
    return replace(request, headers=kept if value is None else (*kept, (name, value)))


def _field(request: MessageRequest, name: bytes) -> bytes:
    return next(value for known, value in request.headers if known == name)


def _add_accepted(messages: _Messages) -> None:
    for algorithm in Algorithm:
        messages.accept(f"every component, {algorithm}", components=ALL_COMPONENTS, algorithm=algorithm)
        messages.accept(f"the usual components, {algorithm}", algorithm=algorithm)
    messages.accept("algorithm not named")
    messages.accept("expires, tag and another label", expires_s=NOW_S + 60, tag="croupier", label="a.b-c*")
    messages.accept("no nonce", nonce=None)
    messages.accept("nonce with a quote and a backslash", nonce='"\\ ;=,:()')
    messages.accept(
        "no body and no query", replace(REQUEST, body=b"", query=b""), components=("@method", "@path")
    )
    messages.accept("empty query covered", replace(REQUEST, query=b""))
    messages.accept("empty path", replace(REQUEST, path=b""), components=("@method", "@target-uri"))
    messages.accept(
        "default port", replace(REQUEST, authority="Casino.example:443"), components=ALL_COMPONENTS
    )
    messages.accept(
        "other port", replace(REQUEST, authority="casino.example:8443"), components=ALL_COMPONENTS
    )
    messages.accept("body in UTF-8", replace(REQUEST, body='{"name":"caf\u00e9 \U0001f3b0"}'.encode()))
    digest = (
        b"content-digest",
        b"sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
    )
    sha512 = replace(REQUEST, headers=(digest,), body=b'{"hello": "world"}')
    messages.accept("SHA-512 of the body", sha512)
    messages.accept("first second of the window", now_s=NOW_S - 30)
    messages.accept("last second of the window", now_s=NOW_S + 30)


def _add_changed(messages: _Messages) -> None:
    good = messages.signed(
        "every component, hmac-sha256", components=ALL_COMPONENTS, algorithm=Algorithm.HMAC_SHA256
    )
    claim = _field(good, b"signature-input")
    changed = {
        "other method": replace(good, method="PUT"),
        "method in lower case": replace(good, method="post"),
        "other scheme": replace(good, scheme="http"),
        "other authority": replace(good, authority="other.example"),
        "path of other spelling": replace(good, path=good.path.replace(b"%2F", b"%2f")),
        "query in another order": replace(good, query=b"flag&note=a%2fb+c&caf%C3%A9=%7E*"),
        "body changed": replace(good, body=good.body.replace(b"1250", b"1251")),
        "body emptied": replace(good, body=b""),
        "covered field changed": _with_field(good, b"content-type", b"text/plain"),
        "covered field removed": _with_field(good, b"x-trace", None),
        "covered parameter of the query removed": replace(good, query=b"flag&caf%C3%A9=%7E*"),
        "digest of another body": _with_field(good, b"content-digest", b"sha-256=:" + b"A" * 43 + b"=:"),
        "other nonce": _with_field(good, b"signature-input", claim.replace(b"abcdef", b"abcdee")),
        "other time": _with_field(
            good, b"signature-input", claim.replace(b"created=1750000000", b"created=1750000001")
        ),
        "unknown key": _with_field(good, b"signature-input", claim.replace(b"test-secret", b"test-nobody")),
        "key of another kind": _with_field(
            good, b"signature-input", claim.replace(b"test-secret", b"test-rsa")
        ),
        "other algorithm": _with_field(good, b"signature-input", claim.replace(b"hmac-sha256", b"ed25519")),
        "signature of zeros": _with_field(good, b"signature", b"sig1=:" + b"A" * 43 + b"=:"),
        "signature too short": _with_field(good, b"signature", b"sig1=:AA==:"),
    }
    for name, request in changed.items():
        messages.refuse(name, "mismatch", request)
    messages.refuse("wrong and stale: says mismatch", "mismatch", changed["other method"], NOW_S + 999)
    usual = messages.signed("the usual components, hmac-sha256", algorithm=Algorithm.HMAC_SHA256)
    messages.refuse("one second before the window", "stale", usual, NOW_S - 31)
    messages.refuse("one second after the window", "stale", usual, NOW_S + 31)
    expiring = messages.signed("expires", expires_s=NOW_S + 5)
    messages.refuse("one second after it expired", "stale", expiring, NOW_S + 6)


def _add_malformed(messages: _Messages) -> None:
    good = messages.signed("the usual components, hmac-sha256", algorithm=Algorithm.HMAC_SHA256)
    claim = _field(good, b"signature-input")
    for field in (b"signature-input", b"signature"):
        messages.refuse(f"no {field.decode()}", "missing", _with_field(good, field, None))
        messages.refuse(f"empty {field.decode()}", "missing", _with_field(good, field, b""))
    inputs = {
        "label twice": claim + b", " + claim,
        "labels differ": claim.replace(b"sig1=", b"sig2="),
        "no list": b"sig1=1;created=1750000000",
        "list not closed": claim.partition(b")")[0],
        "comma at the end": claim + b",",
        "no created": claim.replace(b"created=1750000000;", b""),
        "no keyid": claim.replace(b';keyid="test-secret"', b""),
        "created as a string": claim.replace(b"1750000000", b'"1750000000"'),
        "created with a fraction": claim.replace(b"1750000000", b"1750000000.0"),
        "created in milliseconds": claim.replace(b"1750000000", b"1750000000000"),
        "parameter twice": claim + b';nonce="x"',
        "component twice": claim.replace(b'("@method"', b'("@method" "@method"'),
        "component of a response": claim.replace(b'("@method"', b'("@status" "@method"'),
        "component with a parameter": claim.replace(b'("@method"', b'("@method";req'),
        "component in upper case": claim.replace(b'("@method"', b'("X-Trace" "@method"'),
        "components not separated": claim.replace(b'" "@path', b'""@path'),
        "method not covered": claim.replace(b'"@method" ', b""),
        "path not covered": claim.replace(b'"@path" ', b""),
        "query not covered": claim.replace(b'"@query" ', b""),
        "body not covered": claim.replace(b' "content-digest"', b""),
    }
    for name, value in inputs.items():
        messages.refuse(name, "malformed", _with_field(good, b"signature-input", value))
    for name, value in {
        "signature as a string": b'sig1="AA=="',
        "signature in base64url": b"sig1=:-_==:",
        "signature with spare bits set": b"sig1=:AB==:",
        "signature without its last colon": b"sig1=:AA==",
    }.items():
        messages.refuse(name, "malformed", _with_field(good, b"signature", value))


def _webhook(name: str, expect: str, keys: tuple[SigningKey | PrivateKey, ...], **given: Any) -> Document:
    vector: Document = {
        "name": name, "keys": [key.id for key in keys], "webhook_id": WEBHOOK_ID, "timestamp": str(NOW_S),
        "signature": None, "body": WEBHOOK_BODY, "now": NOW_S, "window_s": 300, "expect": expect,
    }  # fmt: skip
    return vector | given


def _webhooks(pair: PrivateKey) -> list[Document]:
    def sign(*keys: SigningKey | PrivateKey, body: str = WEBHOOK_BODY) -> str:
        return " ".join(
            sign_webhook(key, webhook_id=WEBHOOK_ID, timestamp_s=NOW_S, body=body.encode()) for key in keys
        )

    good, both = sign(SECRET), sign(OTHER, SECRET, pair)
    as_v1 = sign(pair).replace("v1a,", "v1,")
    return [
        _webhook("shared secret", "accepted", (SECRET,), signature=good, key=SECRET.id),
        _webhook("Ed25519", "accepted", (pair,), signature=sign(pair), key=pair.id),
        _webhook(
            "empty body", "accepted", (SECRET,), signature=sign(SECRET, body=""), body="", key=SECRET.id
        ),
        _webhook("several signatures, one key", "accepted", (SECRET,), signature=both, key=SECRET.id),
        _webhook("several signatures, other key", "accepted", (pair,), signature=both, key=pair.id),
        _webhook("unknown version first", "accepted", (SECRET,), signature=f"v9,AAAA {good}", key=SECRET.id),
        _webhook("last second", "accepted", (SECRET,), signature=good, now=NOW_S + 300, key=SECRET.id),
        _webhook("one second late", "stale", (SECRET,), signature=good, now=NOW_S + 301),
        _webhook("one second early", "stale", (SECRET,), signature=good, now=NOW_S - 301),
        _webhook("no signature", "missing", (SECRET,)),
        _webhook("empty signature", "missing", (SECRET,), signature=""),
        _webhook("no id", "missing", (SECRET,), signature=good, webhook_id=None),
        _webhook("no timestamp", "missing", (SECRET,), signature=good, timestamp=None),
        _webhook("full stop in the id", "malformed", (SECRET,), signature=good, webhook_id="msg.1"),
        _webhook("space in the id", "malformed", (SECRET,), signature=good, webhook_id="msg 1"),
        _webhook("timestamp with a leading zero", "malformed", (SECRET,), signature=good, timestamp="01"),
        _webhook("timestamp with a fraction", "malformed", (SECRET,), signature=good, timestamp=f"{NOW_S}.0"),
        _webhook("signature without version", "malformed", (SECRET,), signature=good[3:]),
        _webhook("signature with spare bits set", "malformed", (SECRET,), signature="v1,AB=="),
        _webhook("two spaces", "malformed", (SECRET,), signature=good.replace("v1", " v1")),
        _webhook("too many signatures", "malformed", (SECRET,), signature=" ".join([good] * 17)),
        _webhook("other id", "mismatch", (SECRET,), signature=good, webhook_id=WEBHOOK_ID[::-1]),
        _webhook("other timestamp", "mismatch", (SECRET,), signature=good, timestamp=str(NOW_S + 1)),
        _webhook("other body", "mismatch", (SECRET,), signature=good, body=WEBHOOK_BODY + " "),
        _webhook("other secret", "mismatch", (OTHER,), signature=good),
        _webhook("Ed25519 signature named v1", "mismatch", (pair, SECRET), signature=as_v1),
        _webhook("only an unknown version", "mismatch", (SECRET,), signature="v9,AAAA"),
        _webhook("wrong and stale: says mismatch", "mismatch", (OTHER,), signature=good, now=NOW_S + 999),
    ]


def render_vectors() -> str:
    """The whole vectors file as text."""
    previous = _load_previous()
    pairs = [_pair(previous, key_id) for key_id in ("test-ed25519", "test-ecdsa-p256", "test-rsa")]
    signers: list[SigningKey | PrivateKey] = [SECRET, OTHER, *pairs]
    keys = {key.id: key for key in signers}
    messages = _Messages(previous, keys)
    _add_accepted(messages)
    _add_changed(messages)
    _add_malformed(messages)
    document = {
        "schema": "croupier-signing-open-standards-vectors/1",
        "notes": [
            "test_keys are for these vectors and nothing else: everybody has their private halves",
            "path, query and values of headers: one character stands for one byte (Latin-1); bodies are UTF-8",
            "messages are HTTP Message Signatures (RFC 9421) with Content-Digest (RFC 9530), judged by policy and all"
            " test_keys; @query is required of requests with a query, content-digest of those with a body",
            "webhooks are Standard Webhooks, judged with the keys they list, null being an absent header",
            "expect: accepted or the reason class; base is what was signed",
        ],
        "policy": {
            "required": list(POLICY.required),
            "window_s": POLICY.window_s,
            "algorithms": [algorithm.value for algorithm in POLICY.algorithms],
        },
        "test_keys": {key_id: _render_key(key) for key_id, key in keys.items()},
        "messages": messages.vectors,
        "webhooks": _webhooks(pairs[0]),
    }
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render_vectors())
