"""The page about the open standards says exactly what the library does."""

from __future__ import annotations

import re

from signing_plain import SIGNING

from croupier_signing import (
    COVERAGES,
    WEBHOOK_WINDOW_S,
    WINDOW_S,
    MessageRequest,
    Policy,
    SigningKey,
    message_to_sign,
    sign_message,
    verify_message,
)
from croupier_signing.standard_webhooks import MAX_WEBHOOK_SIGNATURE_BYTES, MAX_WEBHOOK_SIGNATURES
from croupier_signing.structured_fields import MAX_FIELD_BYTES, MAX_ITEMS, MAX_MEMBERS, MAX_PARAMETERS

PAGE = (SIGNING.parent / "docs" / "reference" / "signature.md").read_text()
README = (SIGNING / "README.md").read_text()
NOW_S = 1_750_000_000


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def example() -> tuple[SigningKey, MessageRequest]:
    """Key and request of the worked example."""
    (secret, key_id) = re.findall(r"With secret `([0-9a-f]+)` \(hex\), key id `(\S+)`", PAGE)[0]
    head, _, body = block("message-request").partition("\n\n")
    first, *lines = head.splitlines()
    method, path, _ = first.split(" ")
    headers = tuple(
        (name.lower().encode(), value.encode()) for name, value in (line.split(": ") for line in lines)
    )
    request = MessageRequest(method, "https", "casino.example", path.encode(), b"", headers, body.encode())
    return SigningKey(key_id, bytes.fromhex(secret)), request


def test_example_on_the_page_is_what_the_library_writes_and_accepts() -> None:
    key, request = example()
    components = ("@method", "@path", "idempotency-key", "content-digest")
    lines = sign_message(key, request, components=components, created_s=NOW_S, nonce="f3Zk0m9Q-tR7_xWb")
    shown = "\n".join(f"{name.decode().title()}: {value.decode()}" for name, value in lines)
    assert shown == block("message-headers")
    assert message_to_sign(request, lines).decode() == block("message-base")
    signed = MessageRequest(
        request.method, "http", "", request.path, b"", (*request.headers, *lines), request.body
    )
    assert verify_message([key], signed, now_s=NOW_S).covered == components


def test_bounds_on_the_page_are_the_ones_in_force() -> None:
    text = " ".join(PAGE.split())
    assert (
        f"each at most {MAX_FIELD_BYTES} bytes, with at most {MAX_MEMBERS} labels, {MAX_ITEMS} components"
        in text
    )
    assert f"and {MAX_PARAMETERS} parameters" in text
    assert f"at most {MAX_WEBHOOK_SIGNATURES} signatures in {MAX_WEBHOOK_SIGNATURE_BYTES} bytes" in text
    assert f"±{WEBHOOK_WINDOW_S} s unless" in text
    assert WINDOW_S == 30


def test_what_the_page_asks_for_is_the_usual_policy() -> None:
    table = PAGE.partition("| needed | why |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [re.findall(r'`"?([@a-z-]+)"?`', row)[0] for row in table.splitlines()]
    assert rows == [*Policy().required, "created", "keyid", "nonce"]


def test_gaps_in_the_table_of_the_readme_are_the_declared_ones() -> None:
    for name in ("rfc9421", "standard_webhooks"):
        (gaps,) = re.findall(rf"^\| `{name}` \| .+ \| .+ \| (.+) \| no \|$", README, re.MULTILINE)
        assert gaps == ", ".join(COVERAGES[name].uncovered)
