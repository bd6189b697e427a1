"""Write `native.json` anew: `python vectors/generate.py`; the same bytes every time."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from croupier_signing import SCHEME, SigningKey, canonical_request, parse_authorization, sign_native

TARGET = Path(__file__).with_name("native.json")
WINDOW_S = 30
NOW_S = 1_750_000_000
NONCE = "0123456789abcdefABCDEF"
STUDIO = SigningKey("studio-1", bytes(range(32)))
OTHER = SigningKey(
    "other:2026.A_b", b"\xff\x00\n\xc3\xa9 another secret, longer than one block of SHA-256 is: 64 bytes"
)
SHORT = SigningKey("s", b"sixteen bytes ok")
BET = "/providers/studio/v1/bet"

# (name, path, query) in the wire's bytes, one character each.
TARGETS = [
    ("plain path, no query", BET, ""),
    ("empty path becomes a slash", "", ""),
    ("root path", "/", ""),
    ("trailing slash is kept", BET + "/", ""),
    ("doubled slash is kept", "//providers//studio", ""),
    ("dot segments are kept", "/a/./b/../c", ""),
    ("escaped dot segments are decoded and kept", "/a/%2e%2E/c", ""),
    ("unreserved escapes are decoded", "/%41%7a%30%2D%2e%5f%7E", ""),
    ("reserved escapes stay, upper case", "/a%2fb%3f%23%5b%5d%40%21%24%26%27%28%29%2a%2b%2c%3b%3d", ""),
    ("escaped percent is not decoded twice", "/%2541/%25", ""),
    ("escaped NUL and LF stay escaped", "/%00/%0a", ""),
    ("raw reserved bytes stay raw", "/a:b@c!$&'()*+,;=d", ""),
    ("raw bytes that are never escaped here", '/a{b}|\\^`"<>[c]', ""),
    ("plus in a path stays plus", "/a+b%20c", ""),
    ("path in NFC, escaped", "/caf%c3%a9", ""),
    ("path in NFD, escaped", "/cafe%cc%81", ""),
    ("path of four-byte characters, escaped", "/%f0%9f%8e%b0", ""),
    ("escaped bytes that are not UTF-8", "/%ff%c0%af%ed%a0%80", ""),
    ("bare name", "/q", "name"),
    ("name with an empty value equals the bare name", "/q", "name="),
    ("pairs are sorted by name", "/q", "b=1&a=2&C=3"),
    ("repeats are kept and sorted by value", "/q", "a=2&a=10&a=1&a=1"),
    ("names are compared before values", "/q", "a-=1&a=2&a.=3&a=1"),
    ("sorted after normalisation", "/q", "%62=1&a=2&%7e=3&%2f=4"),
    ("equal names in different spelling", "/q", "%61=2&a=1"),
    ("empty parts are dropped", "/q", "&&b=1&&a=2&"),
    ("only separators is an empty line", "/q", "&&&"),
    ("empty name", "/q", "=v&="),
    ("split at the first equals sign", "/q", "a=b=c&token==="),
    ("escaped separators stay escaped", "/q", "a%3db=%26c"),
    ("plus stays plus", "/q", "name=a+b&name=a%20b&name=a%2bb"),
    ("question mark and slash in a query", "/q", "u=/a?b=c"),
    ("query in NFC, escaped", "/q", "name=%C3%A9"),
    ("query in NFD, escaped", "/q", "name=e%CC%81"),
    ("bytewise order, not letter order", "/q", "z=1&%C3%A9=2&Z=3&_=4&1=5"),
]

BODIES: list[tuple[str, dict[str, Any]]] = [
    ("empty body", {"text": ""}),
    ("compact JSON", {"text": '{"amount":"1250","asset":"EUR"}'}),
    ("JSON with other key order", {"text": '{"asset":"EUR","amount":"1250"}'}),
    ("JSON with spaces", {"text": '{"amount": "1250", "asset": "EUR"}'}),
    ("JSON with a newline at the end", {"text": '{"amount":"1250","asset":"EUR"}\n'}),
    ("JSON with CRLF", {"text": '{"amount":"1250",\r\n"asset":"EUR"}'}),
    ("repeated JSON key", {"text": '{"amount":"1250","amount":"1","asset":"EUR"}'}),
    ("number as an integer", {"text": '{"n":100}'}),
    ("number with a fraction", {"text": '{"n":100.0}'}),
    ("number with an exponent", {"text": '{"n":1e2}'}),
    ("number with a signed exponent", {"text": '{"n":1E+2}'}),
    ("negative zero", {"text": '{"n":-0}'}),
    ("number beyond double precision", {"text": '{"n":9007199254740993}'}),
    ("text in NFC", {"text": '{"name":"caf\u00e9"}'}),
    ("text in NFD", {"text": '{"name":"cafe\u0301"}'}),
    ("text escaped", {"text": '{"name":"caf\\u00e9"}'}),
    ("astral character", {"text": '{"name":"\U0001f3b0"}'}),
    ("zero width and right to left", {"text": '{"name":"a\u200bb\u202ec"}'}),
    ("byte order mark", {"text": '\ufeff{"n":1}'}),
    ("a NUL byte", {"base64": "AA=="}),
    ("bytes that are not UTF-8", {"base64": "/8Cv7aCAgA=="}),
    ("256 KiB", {"repeat": "croupier", "times": 32768}),
]


def _body_bytes(body: dict[str, Any]) -> bytes:
    if "base64" in body:
        return base64.b64decode(body["base64"])
    text: str = body["text"] if "text" in body else body["repeat"] * body["times"]
    return text.encode()


def _accepted(
    name: str,
    *,
    key: SigningKey = STUDIO,
    method: str = "POST",
    path: str = BET,
    query: str = "",
    body: dict[str, Any] | None = None,
    timestamp_s: int = NOW_S,
    nonce: str = NONCE,
    now_s: int = NOW_S,
) -> dict[str, Any]:
    body = {"text": '{"amount":"1250"}'} if body is None else body
    raw_path, raw_query, raw_body = path.encode("latin-1"), query.encode("latin-1"), _body_bytes(body)
    header = sign_native(
        key,
        method=method,
        path=raw_path,
        query=raw_query,
        timestamp_s=timestamp_s,
        nonce=nonce,
        body=raw_body,
    )
    canonical = canonical_request(
        method=method, path=raw_path, query=raw_query, timestamp_s=timestamp_s, nonce=nonce, body=raw_body
    )
    request = {"method": method, "path": path, "query": query, "body": body}
    claims = {"key": key.id, "ts": timestamp_s, "nonce": nonce, "sig": parse_authorization(header).signature}
    return {
        "name": name,
        "request": request,
        "authorization": header,
        "now": now_s,
        "expect": "accepted",
        "claims": claims,
        "canonical": canonical.decode("ascii"),
    }


def _refused(
    name: str, reason: str, authorization: str | None, now_s: int = NOW_S, **changed: Any
) -> dict[str, Any]:
    request = {"method": "POST", "path": BET, "query": "", "body": {"text": '{"amount":"1250"}'}} | changed
    return {"name": name, "request": request, "authorization": authorization, "now": now_s, "expect": reason}


def _accepted_cases() -> list[dict[str, Any]]:
    cases = [_accepted(name, method="GET", path=path, query=query) for name, path, query in TARGETS]
    cases += [_accepted(name, body=body) for name, body in BODIES]
    cases += [
        _accepted("method in lower case is signed in upper case", method="post"),
        _accepted("method of token characters", method="M-Search_1"),
        _accepted("shortest nonce", nonce="-_Aa0123456789zZ"),
        _accepted("longest nonce", nonce="n" * 64),
        _accepted("first second of the window", now_s=NOW_S - 30),
        _accepted("last second of the window", now_s=NOW_S + 30),
        _accepted("timestamp zero", timestamp_s=0, now_s=5),
        _accepted("timestamp of twelve digits", timestamp_s=999_999_999_999, now_s=999_999_999_999),
        _accepted("secret of any bytes, longer than a block", key=OTHER),
        _accepted("shortest key id and secret", key=SHORT),
    ]
    rearranged = _accepted("parameters in another order")
    claims = rearranged["claims"]
    rearranged["authorization"] = (
        f'{SCHEME} sig="{claims["sig"]}",nonce="{claims["nonce"]}" ,'
        f'\tts="{claims["ts"]}",  key="{claims["key"]}"'
    )
    return [*cases, rearranged]


def _mismatches(good: str) -> list[dict[str, Any]]:
    def refused(name: str, authorization: str = good, **changed: Any) -> dict[str, Any]:
        return _refused(name, "mismatch", authorization, **changed)

    stale_and_wrong = _refused(
        "wrong signature and stale: says mismatch", "mismatch", good, NOW_S + 999, path="/x"
    )
    return [
        refused("other method", method="PUT"),
        refused("other path", path="/providers/other/v1/bet"),
        refused("trailing slash added", path=BET + "/"),
        refused("query added", query="a=1"),
        refused("body changed", body={"text": '{"amount":"1251"}'}),
        refused("body re-serialised", body={"text": '{"amount": "1250"}'}),
        refused("body emptied", body={"text": ""}),
        refused("other timestamp", good.replace('ts="1750000000"', 'ts="1750000001"')),
        refused("other nonce", good.replace(NONCE, NONCE[::-1])),
        refused("key id of another known key", good.replace("studio-1", "s")),
        refused("unknown key id", good.replace("studio-1", "studio-2")),
        refused("signature of zeros", good[:-44] + "A" * 43 + '"'),
        refused("signature with spare bits set: text differs, bytes agree", _with_spare_bit(good)),
        refused("signature in other letter case", good[:-44] + good[-44:].swapcase()),
        stale_and_wrong,
    ]


def _with_spare_bit(header: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return header[:-2] + alphabet[alphabet.index(header[-2]) | 1] + '"'


def _malformed_headers(good: str) -> list[dict[str, Any]]:
    rest = good.partition(", ")[2]
    headers = {
        "truncated header": good[:-5],
        "other scheme": good.replace("CROUPIER1-", "CROUPIER2-"),
        "scheme in lower case": good.replace("CROUPIER1", "croupier1"),
        "bearer token": "Bearer abcdef",
        "scheme alone": SCHEME,
        "header given twice, joined": f"{good}, {good}",
        "parameter twice": f'{good}, nonce="{NONCE}"',
        "parameter missing": f"{SCHEME} {rest}",
        "unknown parameter": f'{good}, alg="none"',
        "algorithm instead of the key": good.replace("key=", "alg="),
        "parameter name in upper case": good.replace("ts=", "TS="),
        "parameter without quotes": good.replace('"1750000000"', "1750000000"),
        "comma at the end": good + ",",
        "empty part": good.replace(", ts", ", , ts"),
        "CRLF inside": good.replace(", ts", ",\r\n ts"),
        "newline at the end": good + "\n",
        "NUL at the end": good + "\u0000",
        "timestamp with a leading zero": good.replace('ts="1', 'ts="01'),
        "timestamp with a sign": good.replace('ts="1', 'ts="+1'),
        "timestamp negative": good.replace('ts="1', 'ts="-1'),
        "timestamp with a fraction": good.replace('00", nonce', '00.0", nonce'),
        "timestamp in milliseconds": good.replace('00", nonce', '00000", nonce'),
        "timestamp in other digits": good.replace('ts="1', 'ts="\u0661'),
        "timestamp empty": good.replace('ts="1750000000"', 'ts=""'),
        "nonce too short": good.replace(NONCE, "a" * 15),
        "nonce too long": good.replace(NONCE, "a" * 65),
        "nonce with another character": good.replace(NONCE, NONCE + "."),
        "signature padded": good[:-1] + '="',
        "signature of 42 characters": good[:-2] + '"',
        "signature in the standard alphabet": good[:-5] + '+/+/"',
        "signature in hex": good[:-44] + "ab" * 32 + '"',
        "key id empty": good.replace("studio-1", ""),
        "key id too long": good.replace("studio-1", "k" * 65),
        "key id with a slash": good.replace("studio-1", "studio/1"),
        "longer than 1024 bytes": good + " " * 1024,
        "only a space": " ",
    }
    return [_refused(name, "malformed", header) for name, header in headers.items()]


def _malformed_requests(good: str) -> list[dict[str, Any]]:
    def refused(name: str, **changed: Any) -> dict[str, Any]:
        return _refused(name, "malformed", good, **changed)

    return [
        refused("percent at the end of the path", path="/a%"),
        refused("percent and one digit", path="/a%4"),
        refused("percent and no hex digits", path="/%zz"),
        refused("percent, hex, not hex", path="/%4g"),
        refused("percent and a full-width-like byte", path="/%\u00b2\u00b3"),
        refused("raw byte outside ASCII in the path", path="/caf\u00c3\u00a9"),
        refused("raw newline in the path", path="/a\n/b"),
        refused("raw NUL in the path", path="/a\u0000"),
        refused("percent in a name", query="a%=1"),
        refused("percent in a value", query="a=1&b=100%"),
        refused("escape split by an equals sign", query="a%2=0"),
        refused("escape split by an ampersand", query="a=%2&0=1"),
        refused("raw byte outside ASCII in the query", query="a=\u00e9"),
        refused("raw DEL in the query", query="a=\u007f"),
        refused("empty method", method=""),
        refused("method with a space", method="POST "),
        refused("method with a newline", method="POST\n"),
        refused("method outside ASCII", method="POST\u00df"),
    ]


def render_vectors() -> str:
    """The whole vectors file as text: every byte decided by this file and the library."""
    plain = _accepted("")["authorization"]
    refused = [
        _refused("no header", "missing", None),
        _refused("empty header", "missing", ""),
        _refused("one second before the window", "stale", plain, NOW_S - 31),
        _refused("one second after the window", "stale", plain, NOW_S + 31),
        *_malformed_headers(plain),
        *_malformed_requests(plain),
        *_mismatches(plain),
    ]
    document = {
        "schema": "croupier-signing-native-vectors/1",
        "scheme": SCHEME,
        "notes": [
            "path, query and authorization: one character stands for one byte (Latin-1), except that an"
            " authorization with a character above U+00FF is given as text",
            "body: UTF-8 of text, or base64, or UTF-8 of repeat taken times times",
            "key ids not listed under keys are unknown",
            "expect: accepted or the reason class; replayed needs memory and has no vector",
        ],
        "window_s": WINDOW_S,
        "keys": {key.id: {"secret_hex": key.secret.hex()} for key in (STUDIO, OTHER, SHORT)},
        "vectors": _accepted_cases() + refused,
    }
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render_vectors())
