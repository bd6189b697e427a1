"""The scheme read literally, byte by byte: slow, obvious, sharing no code with the library."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

SIGNING = Path(__file__).parents[1]
VECTORS = SIGNING / "vectors" / "native.json"
UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


def load_document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(VECTORS.read_text())
    return document


def body_of(vector: dict[str, Any]) -> bytes:
    body = vector["request"]["body"]
    if "base64" in body:
        return base64.b64decode(body["base64"])
    text: str = body["text"] if "text" in body else body["repeat"] * body["times"]
    return text.encode()


def plain_normalise(text: str) -> str:
    out = ""
    at = 0
    while at < len(text):
        if text[at] == "%":
            char = chr(int(text[at + 1 : at + 3], 16))
            out += char if char in UNRESERVED else text[at : at + 3].upper()
            at += 3
        else:
            out += text[at]
            at += 1
    return out


def plain_query(query: str) -> str:
    pairs: list[tuple[bytes, bytes]] = []
    for part in query.split("&"):
        if part == "":
            continue
        name, value = part.split("=", 1) if "=" in part else (part, "")
        pairs.append((plain_normalise(name).encode("latin-1"), plain_normalise(value).encode("latin-1")))
    return "&".join(f"{name.decode('latin-1')}={value.decode('latin-1')}" for name, value in sorted(pairs))


def plain_canonical(*, method: str, path: str, query: str, ts: int, nonce: str, body: bytes) -> bytes:
    path_line = plain_normalise(path) if path else "/"
    digest = hashlib.new("sha256", body).hexdigest()
    lines = ["CROUPIER1-HMAC-SHA256", method.upper(), path_line, plain_query(query), str(ts), nonce, digest]
    return "\n".join(lines).encode("latin-1")


def plain_signature(secret: bytes, canonical: bytes) -> str:
    """HMAC written out as RFC 2104 defines it, so that the library's HMAC is checked too."""
    block = (hashlib.sha256(secret).digest() if len(secret) > 64 else secret).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + canonical).digest()
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()
    assert hmac.new(secret, canonical, "sha256").digest() == outer
    return base64.b64encode(outer).decode().translate(str.maketrans("+/", "-_", "="))
