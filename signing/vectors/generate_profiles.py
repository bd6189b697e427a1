"""Write `profiles.json` anew: `python vectors/generate_profiles.py`; the same bytes every time."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from profile_inputs import (
    BAD_FORMS,
    BAD_QUERIES,
    BAD_VALUES,
    BODIES,
    BODY,
    CHANGED_BODY,
    DOCUMENTS,
    FORMS,
    HEADERS,
    KEY,
    OLD,
    OTHER,
    QUERIES,
    RSA_OLD_PAIR,
    RSA_PAIR,
    TEST_RSA_KEY,
    TEST_RSA_OLD_KEY,
    VALUES,
)

from croupier_signing import (
    Key,
    SigningKey,
    build_query,
    canonical_query,
    canonicalise,
    join_sorted_values,
    read_form,
    sign_body_digest,
    sign_canonical_body,
    sign_canonical_query,
    sign_raw_hmac,
    sign_rsa_body,
    sign_sorted_form,
    sign_sorted_values,
)

TARGET = Path(__file__).with_name("profiles.json")


def _bytes_of(body: dict[str, str]) -> bytes:
    return base64.b64decode(body["base64"]) if "base64" in body else body["text"].encode()


def _case(profile: str, name: str, request: dict[str, Any], **judged: Any) -> dict[str, Any]:
    """One vector; `keys` are those tried, `expect` the id of the one that matches or the reason of the refusal."""
    return {"profile": profile, "name": f"{profile}: {name}", "request": request, **judged}


def _signed(
    profile: str,
    name: str,
    request: dict[str, Any],
    message: bytes,
    sign: Callable[[Any], str],
    keys: Iterable[Key] = (KEY,),
) -> dict[str, Any]:
    tried = list(keys)
    signer = tried[-1]
    accepted = {"keys": [key.id for key in tried], "signature": sign(signer), "expect": signer.id}
    return _case(profile, name, request, signed=base64.b64encode(message).decode(), **accepted)


def _changed(good: dict[str, Any], name: str, reason: str, **changed: Any) -> dict[str, Any]:
    """The accepted vector with something changed: a member of the vector, or else of its request."""
    kept = {key: value for key, value in good.items() if key not in ("name", "signed", "request")}
    outer = {key: value for key, value in changed.items() if key in kept}
    request = good["request"] | {key: value for key, value in changed.items() if key not in kept}
    return {"name": f"{good['profile']}: {name}", "request": request, **kept, **outer, "expect": reason}


def _bad_signatures(good: dict[str, Any], other_length: str) -> list[dict[str, Any]]:
    """What every scheme refuses, whatever it signs."""
    signature = str(good["signature"])
    first = "b" if signature[0] != "b" else "c"
    changed = {
        "no signature": (None, "missing"),
        "empty signature": ("", "missing"),
        "first letter changed": (first + signature[1:], "mismatch"),
        "truncated": (signature[:-4], "malformed"),
        "one letter too many": (signature + "0", "malformed"),
        "space before": (" " + signature[1:], "malformed"),
        "newline at the end": (signature + "\n", "malformed"),
        "byte outside ASCII": ("\u00e9" + signature[1:], "malformed"),
        "of another length": (other_length, "malformed"),
    }
    cases = [_changed(good, name, reason, signature=text) for name, (text, reason) in changed.items()]
    return [*cases, _changed(good, "no keys to try", "mismatch", keys=[])]


def _raw_hmac(
    name: str, body: dict[str, str], keys: Iterable[Key] = (KEY,), **options: str
) -> dict[str, Any]:
    raw = _bytes_of(body)
    request = {"body": body, "digest": "sha256", "encoding": "hex"} | options
    return _signed("raw_hmac", name, request, raw, lambda key: sign_raw_hmac(key, raw, **options), keys)


def _raw_hmac_cases() -> list[dict[str, Any]]:
    cases = [_raw_hmac(name, body) for name, body in BODIES.items()]
    forms = [(digest, encoding) for digest in ("sha256", "sha512") for encoding in ("hex", "HEX", "base64")]
    cases += [_raw_hmac(f"{d} {e}", BODY, digest=d, encoding=e) for d, e in forms]
    good = _raw_hmac("two keys, the new one signed", BODY, (OLD, KEY))
    upper, based = _raw_hmac("", BODY, encoding="HEX"), _raw_hmac("", BODY, encoding="base64")
    return [
        *cases,
        good,
        _raw_hmac("two keys, the old one signed", BODY, (KEY, OLD)),
        *_bad_signatures(good, "ab" * 16),
        _changed(good, "key of somebody else", "mismatch", keys=[OTHER.id]),
        _changed(good, "body changed", "mismatch", body=CHANGED_BODY),
        _changed(good, "body written again with spaces", "mismatch", body=BODIES["JSON with spaces"]),
        _changed(good, "keys in another order", "mismatch", body=BODIES["JSON with other key order"]),
        _changed(good, "number in another form", "mismatch", body=BODIES["number without trailing zero"]),
        _changed(good, "body emptied", "mismatch", body=BODIES["empty body"]),
        _changed(good, "upper case where lower is written", "malformed", signature=upper["signature"]),
        _changed(upper, "lower case where upper is written", "malformed", signature=good["signature"]),
        _changed(good, "base64 where hex is written", "malformed", signature=based["signature"]),
        _changed(based, "base64 without padding", "malformed", signature=based["signature"].rstrip("=")),
        _changed(based, "base64 of the URL alphabet", "malformed", signature="-_" + based["signature"][2:]),
        _changed(based, "base64 with spare bits", "mismatch", signature=_with_spare_bit(based["signature"])),
        _changed(good, "SHA-512 where SHA-256 is used", "malformed", digest="sha512"),
    ]


def _with_spare_bit(text: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    letters = text.rstrip("=")
    last = alphabet[alphabet.index(letters[-1]) | 1]
    return letters[:-1] + last + text[len(letters) :]


def _rsa_body(name: str, body: dict[str, str], keys: Iterable[Key] = (RSA_PAIR,)) -> dict[str, Any]:
    raw = _bytes_of(body)
    return _signed("rsa_body", name, {"body": body}, raw, lambda key: sign_rsa_body(key, raw), keys)


def _rsa_cases() -> list[dict[str, Any]]:
    names = ("empty body", "compact JSON", "JSON with spaces", "text in NFD", "bytes that are not UTF-8")
    good = _rsa_body("two keys, the new one signed", BODY, (RSA_OLD_PAIR, RSA_PAIR))
    signature = good["signature"]
    return [
        *[_rsa_body(name, BODIES[name]) for name in names],
        good,
        _rsa_body("two keys, the old one signed", BODY, (RSA_PAIR, RSA_OLD_PAIR)),
        *_bad_signatures(good, base64.b64encode(bytes(255)).decode()),
        _changed(good, "key of somebody else", "mismatch", keys=[RSA_OLD_PAIR.id]),
        _changed(good, "body changed", "mismatch", body=CHANGED_BODY),
        _changed(good, "body emptied", "mismatch", body=BODIES["empty body"]),
        _changed(good, "signature of zeros", "mismatch", signature=base64.b64encode(bytes(256)).decode()),
        _changed(good, "without padding", "malformed", signature=signature.rstrip("=")),
        _changed(good, "with spare bits", "malformed", signature=_with_spare_bit(signature)),
        _changed(good, "padded twice", "malformed", signature=signature + "=="),
        _changed(good, "in hex", "mismatch", signature=base64.b64decode(signature).hex()),
        _changed(good, "longer than any key", "malformed", signature=base64.b64encode(bytes(1025)).decode()),
    ]


def _form(name: str, form: str, keys: Iterable[Key] = (KEY,)) -> dict[str, Any]:
    fields = read_form(form.encode("latin-1"))
    message = build_query(fields, HEADERS).encode()
    request = {"form": form, "headers": HEADERS}
    return _signed(
        "sorted_form", name, request, message, lambda key: sign_sorted_form(key, fields, HEADERS), keys
    )


def _form_cases() -> list[dict[str, Any]]:
    good = _form("two keys, the old one signed", FORMS["nested array"], (KEY, OLD))
    plain = _form("", "action=bet&amount=1.0000&note=a+b")
    moved = (
        FORMS["nested array"].replace("5B0%5D", "5B9%5D").replace("5B1%5D", "5B0%5D").replace("5B9", "5B1")
    )
    return [
        *[_form(name, form) for name, form in FORMS.items()],
        good,
        *_bad_signatures(plain, "ab" * 32),
        _changed(plain, "upper case", "malformed", signature=plain["signature"].upper()),
        _changed(plain, "key of somebody else", "mismatch", keys=[OTHER.id]),
        _changed(plain, "amount changed", "mismatch", form="action=bet&amount=9.0000&note=a+b"),
        _changed(plain, "amount in another form", "mismatch", form="action=bet&amount=1.00&note=a+b"),
        _changed(plain, "field added", "mismatch", form="action=bet&amount=1.0000&note=a+b&tip=1"),
        _changed(plain, "field left out", "mismatch", form="action=bet&amount=1.0000"),
        _changed(plain, "plus instead of a space", "mismatch", form="action=bet&amount=1.0000&note=a%2Bb"),
        _changed(plain, "other timestamp", "mismatch", headers=HEADERS | {"X-Timestamp": "1750000001"}),
        _changed(plain, "other nonce", "mismatch", headers=HEADERS | {"X-Nonce": "f" * 32}),
        _changed(plain, "other merchant", "mismatch", headers=HEADERS | {"X-Merchant-Id": "b7c6a5d4e3f3"}),
        _changed(plain, "header name in lower case", "mismatch", headers=_lower_names(HEADERS)),
        _changed(good, "nested elements exchanged", "mismatch", form=moved),
        *[_changed(plain, name, "malformed", form=form) for name, form in BAD_FORMS.items()],
    ]


def _lower_names(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _canonical_body(name: str, body: dict[str, str], keys: Iterable[Key] = (KEY,)) -> dict[str, Any]:
    raw = _bytes_of(body)
    return _signed(
        "canonical_body", name, {"body": body}, raw, lambda key: sign_canonical_body(key, raw), keys
    )


def _canonical_query(name: str, query: str, keys: Iterable[Key] = (KEY,)) -> dict[str, Any]:
    raw = query.encode("latin-1")
    request = {"query": query}
    return _signed(
        "canonical_query",
        name,
        request,
        canonical_query(raw),
        lambda key: sign_canonical_query(key, raw),
        keys,
    )


def _canonical_cases() -> list[dict[str, Any]]:
    body = _canonical_body("two keys, the old one signed", {"text": '{"a":1.5}'}, (KEY, OLD))
    query = _canonical_query("two keys, the old one signed", "b=1&a=2", (KEY, OLD))
    return [
        *[
            _canonical_body(name, {"text": canonicalise(json.loads(text)).decode()})
            for name, text in DOCUMENTS.items()
        ],
        _canonical_body("empty body", BODIES["empty body"]),
        body,
        *_bad_signatures(body, "ab" * 20),
        _changed(body, "key of somebody else", "mismatch", keys=[OTHER.id]),
        _changed(body, "same value, not canonical", "mismatch", body={"text": '{"a": 1.50}'}),
        *[_canonical_query(name, text) for name, text in QUERIES.items()],
        query,
        _changed(query, "order of the parameters does not matter", OLD.id, query="a=2&b=1"),
        *_bad_signatures(query, "ab" * 20),
        _changed(query, "key of somebody else", "mismatch", keys=[OTHER.id]),
        _changed(query, "value changed", "mismatch", query="b=1&a=3"),
        _changed(query, "name changed", "mismatch", query="b=1&A=2"),
        _changed(query, "parameter added", "mismatch", query="b=1&a=2&c="),
        _changed(query, "query removed", "mismatch", query=""),
        *[_changed(query, name, "malformed", query=text) for name, text in BAD_QUERIES.items()],
    ]


def _values(name: str, query: str, options: dict[str, Any], keys: Iterable[Key] = (KEY,)) -> dict[str, Any]:
    fields = read_form(query.encode("latin-1"))
    request = {"query": query, "leave_out": [], "order_as": {}} | options
    message = join_sorted_values(fields, **options)
    return _signed(
        "sorted_values", name, request, message, lambda key: sign_sorted_values(key, fields, **options), keys
    )


def _values_cases() -> list[dict[str, Any]]:
    query, options = VALUES["nogsgameid sorts as gameid"]
    good = _values("two keys, the old one signed", query, options, (KEY, OLD))
    return [
        *[_values(name, text, rules) for name, (text, rules) in VALUES.items()],
        good,
        _changed(good, "left-out parameter changed: the signature does not see it", OLD.id, query=query[8:]),
        *_bad_signatures(good, "ab" * 20),
        _changed(good, "key of somebody else", "mismatch", keys=[OTHER.id]),
        _changed(good, "value changed", "mismatch", query=query.replace("80102", "80103")),
        _changed(good, "other rules", "mismatch", leave_out=[]),
        *[
            _changed(good, name, "malformed", query=text, **rules)
            for name, (text, rules) in BAD_VALUES.items()
        ],
    ]


def _digest(
    name: str, body: dict[str, str], keys: Iterable[SigningKey] = (KEY,), **options: str
) -> dict[str, Any]:
    raw = _bytes_of(body)
    request = {"body": body, "digest": "sha256", "order": "body_key"} | options
    secret = list(keys)[-1].secret
    message = secret + raw if request["order"] == "key_body" else raw + secret
    return _signed(
        "body_digest", name, request, message, lambda key: sign_body_digest(key, raw, **options), keys
    )


def _digest_cases() -> list[dict[str, Any]]:
    forms = [(digest, order) for digest in ("md5", "sha1", "sha256") for order in ("body_key", "key_body")]
    good = _digest("two keys, the old one signed", BODY, (KEY, OLD))
    return [
        *[_digest(f"{d} {o}", BODY, digest=d, order=o) for d, o in forms],
        _digest("empty body", BODIES["empty body"]),
        _digest("bytes that are not UTF-8", BODIES["bytes that are not UTF-8"], digest="md5"),
        good,
        *_bad_signatures(good, "ab" * 16),
        _changed(good, "key of somebody else", "mismatch", keys=[OTHER.id]),
        _changed(good, "body changed", "mismatch", body=CHANGED_BODY),
        _changed(good, "upper case", "malformed", signature=good["signature"].upper()),
        _changed(good, "key on the other side", "mismatch", order="key_body"),
    ]


def _token_cases() -> list[dict[str, Any]]:
    token = KEY.secret.decode()
    good = _case("static_token", "the token", {}, keys=[KEY.id], signature=token, expect=KEY.id)
    any_bytes = {"keys": [KEY.id, OLD.id], "signature": OLD.secret.decode("latin-1"), "expect": OLD.id}
    changed = {
        "no token": (None, "missing"),
        "empty token": ("", "missing"),
        "letter case": (token.upper(), "mismatch"),
        "truncated": (token[:-1], "mismatch"),
        "one letter too many": (token + "x", "mismatch"),
        "newline at the end": (token + "\n", "mismatch"),
        "with a scheme word": ("Bearer " + token, "mismatch"),
        "longest": ("x" * 1024, "mismatch"),
        "too long": ("x" * 1025, "malformed"),
    }
    return [
        good,
        _case("static_token", "two keys, the old one presented", {}, **any_bytes),
        *[_changed(good, name, reason, signature=text) for name, (text, reason) in changed.items()],
        _changed(good, "key of somebody else", "mismatch", keys=[OTHER.id]),
        _changed(good, "no keys to try", "mismatch", keys=[]),
    ]


def _documents() -> list[dict[str, str]]:
    return [
        {"name": name, "json": text, "canonical": canonicalise(json.loads(text)).decode()}
        for name, text in DOCUMENTS.items()
    ]


def _published_keys() -> dict[str, dict[str, str]]:
    shared = {key.id: {"secret_hex": key.secret.hex()} for key in (KEY, OLD, OTHER)}
    pairs = {
        "pair-1": {"test_private_key_pem": TEST_RSA_KEY.decode()},
        "pair-0": {"test_private_key_pem": TEST_RSA_OLD_KEY.decode()},
    }
    return shared | pairs


def render_vectors() -> str:
    """The whole vectors file as text: every byte decided by this file and the library."""
    document = {
        "schema": "croupier-signing-profile-vectors/1",
        "notes": [
            "every key here is a test key, made for these vectors and published with them",
            "signature, form and query: one character stands for one byte (Latin-1)",
            "body: UTF-8 of text, or base64; signed: base64 of the bytes that were signed, the secret of body_digest"
            " among them",
            "keys: ids of the keys that are tried, in order; expect: the id of the key that matches, or the reason"
            " class of the refusal",
            "canonical_json: a JSON text and its RFC 8785 form",
        ],
        "keys": _published_keys(),
        "canonical_json": _documents(),
        "vectors": [
            *_raw_hmac_cases(),
            *_rsa_cases(),
            *_form_cases(),
            *_canonical_cases(),
            *_values_cases(),
            *_digest_cases(),
            *_token_cases(),
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render_vectors())
