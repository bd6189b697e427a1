"""Two libraries that know nothing of this one agree with it: http-message-signatures and http_sf."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass, field, replace
from typing import Any

import http_sf
import pytest
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    InvalidSignature,
    MappingKeyResolver,
    algorithms,
)
from hypothesis import given
from hypothesis import strategies as st
from signing_messages import REQUEST, signer_of, verifier_of, with_headers

from croupier_signing import (
    Algorithm,
    MessageRequest,
    Policy,
    PublicKey,
    SignatureRefused,
    SigningKey,
    sign_message,
    verify_message,
)
from croupier_signing.structured_fields import (
    InnerList,
    Item,
    Token,
    parse_dictionary,
    render_inner_list,
    render_item,
)

THEIRS = {
    Algorithm.HMAC_SHA256: algorithms.HMAC_SHA256,
    Algorithm.ED25519: algorithms.ED25519,
    Algorithm.ECDSA_P256_SHA256: algorithms.ECDSA_P256_SHA256,
    Algorithm.RSA_PSS_SHA512: algorithms.RSA_PSS_SHA512,
    Algorithm.RSA_V1_5_SHA256: algorithms.RSA_V1_5_SHA256,
}
COMPONENTS = (
    "@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query",
    '"@query-param";name="note"', '"@query-param";name="flag"', "content-type", "x-trace",
)  # fmt: skip


@dataclass
class TheirRequest:
    """What the library wants a request to look like."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


def theirs(request: MessageRequest) -> TheirRequest:
    query = f"?{request.query.decode()}" if request.query else ""
    url = f"{request.scheme}://{request.authority}{request.path.decode()}{query}"
    headers: dict[str, str] = {}
    for name, value in request.headers:
        text = value.decode().strip(" \t")
        known = headers.get(name.decode())
        headers[name.decode()] = text if known is None else f"{known}, {text}"
    return TheirRequest(request.method, url, headers)


def ours(request: TheirRequest, like: MessageRequest) -> MessageRequest:
    headers = tuple((name.lower().encode(), value.encode()) for name, value in request.headers.items())
    return replace(like, headers=headers)


def resolver(algorithm: Algorithm) -> MappingKeyResolver:
    signer, verifier = signer_of(algorithm), verifier_of(algorithm)
    private: Any = signer.secret if isinstance(signer, SigningKey) else signer.material
    public: Any = verifier.secret if isinstance(verifier, SigningKey) else verifier.material
    return MappingKeyResolver(public_keys={signer.id: public}, private_keys={signer.id: private})


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("algorithm", Algorithm)
def test_the_library_verifies_what_we_sign(algorithm: Algorithm, is_named: bool) -> None:
    lines = sign_message(
        signer_of(algorithm),
        REQUEST,
        components=COMPONENTS,
        created_s=int(time.time()),
        expires_s=int(time.time()) + 60,
        nonce='a "nonce" \\',
        tag="t",
        label="ours",
        algorithm=algorithm if is_named or algorithm is Algorithm.RSA_V1_5_SHA256 else None,
    )
    request = theirs(with_headers(REQUEST, *lines))
    verifier = HTTPMessageVerifier(signature_algorithm=THEIRS[algorithm], key_resolver=resolver(algorithm))
    (result,) = verifier.verify(request, body=REQUEST.body, expect_tag="t", require_components=COMPONENTS)
    assert (result.label, result.nonce) == ("ours", 'a "nonce" \\')
    request.headers["content-type"] = "text/plain"
    with pytest.raises(InvalidSignature):
        verifier.verify(request, body=REQUEST.body)


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("algorithm", Algorithm)
def test_we_verify_what_the_library_signs(algorithm: Algorithm, is_named: bool) -> None:
    request = theirs(REQUEST)
    now_s = int(time.time())
    signer = HTTPMessageSigner(signature_algorithm=THEIRS[algorithm], key_resolver=resolver(algorithm))
    signer.sign(
        request,
        key_id=signer_of(algorithm).id,
        created=datetime.datetime.fromtimestamp(now_s, datetime.UTC),
        expires=datetime.datetime.fromtimestamp(now_s + 60, datetime.UTC),
        nonce='a "nonce" \\',
        tag="t",
        label="theirs",
        include_alg=is_named,
        covered_component_ids=COMPONENTS,
        body=REQUEST.body,
    )
    policy = Policy(parameters=("nonce", "expires", "tag"), algorithms=(algorithm,), tag="t")
    received = ours(request, REQUEST)
    verified = verify_message([verifier_of(algorithm)], received, now_s=now_s, policy=policy)
    assert (verified.label, verified.nonce, verified.algorithm) == ("theirs", 'a "nonce" \\', algorithm)
    assert verified.covered == (*COMPONENTS, "content-digest")
    with pytest.raises(SignatureRefused):
        verify_message([verifier_of(algorithm)], replace(received, method="PUT"), now_s=now_s, policy=policy)


def test_keys_of_the_oracle_tests_are_of_every_kind() -> None:
    kinds = {type(verifier_of(algorithm)) for algorithm in Algorithm}
    assert kinds == {SigningKey, PublicKey}
    assert THEIRS.keys() == set(Algorithm)


PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
KEYS = st.from_regex(r"[a-z*][a-z0-9_\-.*]{0,8}", fullmatch=True)
TOKENS = st.from_regex(r"[A-Za-z*][!#$%&'*+\-.^_`|~:/0-9A-Za-z]{0,8}", fullmatch=True).map(Token)
BARE = st.one_of(
    PRINTABLE, st.integers(-(10**15) + 1, 10**15 - 1), st.binary(max_size=12), st.booleans(), TOKENS
)
PARAMETERS = st.dictionaries(KEYS, BARE, max_size=4).map(lambda found: tuple(found.items()))
ITEMS = st.builds(Item, BARE, PARAMETERS)
MEMBERS = st.one_of(ITEMS, st.builds(InnerList, st.lists(ITEMS, max_size=4).map(tuple), PARAMETERS))


def _plain(value: object) -> object:
    return value.text if isinstance(value, Token) else value


def _their_reading(member: Item | InnerList) -> object:
    parameters = {name: _plain(value) for name, value in member.parameters}
    if isinstance(member, Item):
        return _plain(member.value), parameters
    return [_their_reading(item) for item in member.items], parameters


def _without_types(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_types(one) for one in value]
    if isinstance(value, tuple):
        return tuple(_without_types(one) for one in value)
    if isinstance(value, dict):
        return {name: _without_types(one) for name, one in value.items()}
    return str(value) if isinstance(value, http_sf.Token) else value


@given(st.dictionaries(KEYS, MEMBERS, min_size=1, max_size=4))
def test_fields_are_read_and_written_as_the_library_does(members: dict[str, Item | InnerList]) -> None:
    field = ", ".join(
        f"{key}={render_item(member) if isinstance(member, Item) else render_inner_list(member)}"
        for key, member in members.items()
    )
    assert parse_dictionary(field.encode()) == members
    parsed = http_sf.parse(field.encode(), tltype="dictionary")
    assert _without_types(parsed) == {key: _their_reading(member) for key, member in members.items()}


@given(st.one_of(st.binary(max_size=40), st.text('ab1=(); ,":?*\\AQ-.\t', max_size=30).map(str.encode)))
def test_what_we_read_the_library_reads_too(field: bytes) -> None:
    try:
        members = parse_dictionary(field)
    except SignatureRefused:
        return
    parsed = http_sf.parse(field, tltype="dictionary")
    assert _without_types(parsed) == {key: _their_reading(member) for key, member in members.items()}
