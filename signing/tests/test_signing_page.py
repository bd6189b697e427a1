"""The pages for integrators say exactly what the library does: their examples are run."""

from __future__ import annotations

import re
import shutil
import subprocess
import time

import pytest
from signing_plain import SIGNING, plain_canonical, plain_signature

from croupier_signing import (
    RefusalReason,
    SigningKey,
    canonical_request,
    normalise_path,
    normalise_query,
    parse_authorization,
    sign_native,
    verify_native,
)

PAGE = (SIGNING.parent / "docs" / "reference" / "signature.md").read_text()
NOW_S = 1_750_000_000


def block(language: str) -> str:
    found: list[str] = re.findall(rf"^```{language}\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, language
    return found[0]


SECRET_HEX = block("hex")
KEY = SigningKey("studio-1", bytes.fromhex(SECRET_HEX))


def example_request() -> tuple[str, str, str, bytes]:
    head, _, body = block("http").partition("\n\n")
    method, target, _ = head.splitlines()[0].split(" ")
    path, _, query = target.partition("?")
    assert f"Content-Length: {len(body.encode())}" in head.splitlines()
    return method, path, query, body.encode()


def test_canonical_string_on_the_page_is_the_one_signed() -> None:
    method, path, query, body = example_request()
    nonce = parse_authorization(block("authorization")).nonce
    plain = plain_canonical(method=method, path=path, query=query, ts=NOW_S, nonce=nonce, body=body)
    assert block("canonical").encode() == plain
    assert plain == canonical_request(
        method=method, path=path.encode(), query=query.encode(), timestamp_s=NOW_S, nonce=nonce, body=body
    )


def test_header_on_the_page_is_exactly_what_the_signer_writes() -> None:
    method, path, query, body = example_request()
    parts = parse_authorization(block("authorization"))
    header = sign_native(
        KEY,
        method=method,
        path=path.encode(),
        query=query.encode(),
        timestamp_s=NOW_S,
        nonce=parts.nonce,
        body=body,
    )
    assert header == block("authorization")
    assert plain_signature(KEY.secret, block("canonical").encode()) == parts.signature


def test_normalisation_table_on_the_page_is_true() -> None:
    table = PAGE.partition("| sent | signed |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(.+)` \| `(.+)` \|$", table, re.MULTILINE)
    assert len(rows) == len(table.splitlines()) == 5
    for sent, signed in rows:
        normalise = normalise_path if sent.startswith("/") else normalise_query
        assert normalise(sent.encode()) == signed.encode()


def test_page_lists_every_reason_once() -> None:
    table = PAGE.partition("| reason | meaning | what to do |\n|---|---|---|\n")[2].partition("\n\n")[0]
    reasons = re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE)
    assert sorted(reasons) == sorted(RefusalReason)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the shell example needs openssl")
def test_shell_example_sends_a_request_that_verifies() -> None:
    # A function of the same name stands in for curl and prints its arguments.
    script = "curl() { printf '%s\\n' \"$@\"; }\nset -eu\n" + block("sh")
    settings = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "CROUPIER_URL": "http://127.0.0.1:8700",
        "KEY_ID": KEY.id,
        "SECRET_HEX": SECRET_HEX,
    }
    result = subprocess.run(
        ["sh", "-c", script], env=settings, capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 0, result.stderr
    arguments = result.stdout.splitlines()
    url, body = arguments[1], arguments[arguments.index("--data-binary") + 1]
    header = next(argument for argument in arguments if argument.startswith("Authorization: "))
    verify_native(
        parse_authorization(header.removeprefix("Authorization: ")),
        key=KEY,
        method="POST",
        path=url.removeprefix(settings["CROUPIER_URL"]).encode(),
        query=b"",
        body=body.encode(),
        now_s=int(time.time()),
    )


def test_python_example_of_the_readme_runs() -> None:
    example = re.findall(
        r"^```python\n(.*?)^```$", (SIGNING / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert len(example) == 1
    names: dict[str, object] = {}
    exec(example[0], names)
    assert names["parts"] == parse_authorization(str(names["header"]))
