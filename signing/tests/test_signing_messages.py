"""HTTP Message Signatures of requests: what is accepted, and everything that is not."""

from __future__ import annotations

import hmac
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from signing_messages import (
    NOW_S,
    REQUEST,
    SECRET,
    field_of,
    refusal_of,
    signed,
    signer_of,
    verifier_of,
    with_field,
    with_headers,
)

from croupier_signing import (
    COVERAGES,
    Algorithm,
    MessageRequest,
    Policy,
    PrivateKey,
    PublicKey,
    RefusalReason,
    SignatureRefused,
    SigningKey,
    sign_message,
    verify_message,
)
from croupier_signing.message_algorithms import nobodys_key, render_signature, signature_fits
from croupier_signing.message_components import component_value
from croupier_signing.message_signatures import MAX_PARAMETER_CHARACTERS
from croupier_signing.structured_fields import MAX_FIELD_BYTES, MAX_ITEMS, MAX_MEMBERS, MAX_PARAMETERS, Item

EVERYTHING = ("@method", "@target-uri", "@query", "content-type", "x-trace", "content-digest")
NONCE_NEEDED = Policy(parameters=("nonce",))


@pytest.mark.parametrize("algorithm", Algorithm)
def test_what_is_signed_verifies_with_every_algorithm(algorithm: Algorithm) -> None:
    request = signed(
        key=signer_of(algorithm), algorithm=algorithm, nonce="n-1", tag="t", expires_s=NOW_S + 5, label="a"
    )
    verified = verify_message([SECRET, verifier_of(algorithm)], request, now_s=NOW_S, policy=NONCE_NEEDED)
    assert (verified.label, verified.key_id, verified.algorithm) == ("a", signer_of(algorithm).id, algorithm)
    assert (verified.created_s, verified.expires_s) == (NOW_S, NOW_S + 5)
    assert (verified.nonce, verified.tag) == ("n-1", "t")
    assert verified.covered == ("@method", "@path", "@query", "content-digest")


def test_only_the_headers_to_add_are_returned() -> None:
    names = [name for name, _ in sign_message(SECRET, REQUEST, created_s=NOW_S)]
    assert names == [b"content-digest", b"signature-input", b"signature"]
    bare = replace(REQUEST, body=b"")
    assert [name for name, _ in sign_message(SECRET, bare, created_s=NOW_S)] == names[1:]
    covered = sign_message(SECRET, bare, created_s=NOW_S, components=("@method", "content-digest"))
    assert [name for name, _ in covered] == names


def _flips(text: bytes) -> list[bytes]:
    return [
        text[:at] + bytes((text[at] ^ 1 << bit,)) + text[at + 1 :]
        for at in range(len(text))
        for bit in range(8)
    ]


def _flipped_requests(request: MessageRequest) -> list[MessageRequest]:
    found = [replace(request, path=path) for path in _flips(request.path)]
    found += [replace(request, query=query) for query in _flips(request.query)]
    found += [replace(request, body=body) for body in _flips(request.body)]
    found += [replace(request, method=flip.decode("latin-1")) for flip in _flips(request.method.encode())]
    for name in (b"content-type", b"content-digest", b"signature-input", b"signature"):
        found += [with_field(request, name, value) for value in _flips(field_of(request, name))]
    return found


def test_every_single_bit_that_is_covered_counts() -> None:
    request = signed(components=(*EVERYTHING[:1], "@path", "@query", "content-type"))
    verify_message([SECRET], request, now_s=NOW_S)
    # The label stands in both fields and is not covered: flipped in one alone it fits no signature.
    for changed in _flipped_requests(request):
        assert refusal_of(changed).reason in (RefusalReason.MALFORMED, RefusalReason.MISMATCH), changed


@pytest.mark.parametrize("algorithm", Algorithm)
def test_every_bit_of_a_signature_counts(algorithm: Algorithm) -> None:
    key = verifier_of(algorithm)
    made = signed(key=signer_of(algorithm), algorithm=algorithm)
    value = field_of(made, b"signature")
    for flip in _flips(value)[::7]:
        assert refusal_of(with_field(made, b"signature", flip), key).reason, flip


CHANGES = {
    "method": {"method": "PUT"},
    "method in lower case": {"method": "post"},
    "scheme": {"scheme": "http"},
    "authority": {"authority": "other.example"},
    "path": {"path": REQUEST.path + b"/"},
    "path of other spelling": {"path": REQUEST.path.replace(b"wallets", b"w%61llets")},
    "query": {"query": b""},
    "query in another order": {"query": b"flag&note=a%2fb"},
    "body": {"body": REQUEST.body + b" "},
    "body emptied": {"body": b""},
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_part_that_is_covered_is_a_mismatch(name: str) -> None:
    changed = replace(signed(components=EVERYTHING), **CHANGES[name])  # type: ignore[arg-type]
    assert refusal_of(changed).reason is RefusalReason.MISMATCH


def test_field_that_is_covered_may_not_be_changed_removed_or_repeated() -> None:
    request = signed(components=EVERYTHING)
    for changed in (
        with_field(request, b"content-type", b"text/plain"),
        with_field(request, b"x-trace", None),
        with_headers(request, (b"x-trace", b"three")),
    ):
        assert refusal_of(changed).reason is RefusalReason.MISMATCH


def test_lines_of_one_field_are_covered_as_their_joined_value() -> None:
    joined = with_field(signed(components=EVERYTHING), b"x-trace", b"one, two")
    assert verify_message([SECRET], joined, now_s=NOW_S).key_id == SECRET.id


def test_what_is_not_covered_may_change_and_the_declaration_says_so() -> None:
    changed = replace(
        with_field(signed(), b"content-type", b"text/plain"), scheme="http", authority="x.example"
    )
    verified = verify_message([SECRET], changed, now_s=NOW_S)
    assert not {"content-type", "@scheme", "@authority"} & set(verified.covered)
    assert set(COVERAGES["rfc9421"].uncovered) == {"headers", "scheme", "authority"}


def test_body_or_query_cannot_be_added_to_a_request_signed_without() -> None:
    bare = replace(REQUEST, body=b"", query=b"")
    request = signed(bare, components=("@method", "@path"))
    assert verify_message([SECRET], request, now_s=NOW_S).covered == ("@method", "@path")
    assert "@query is not covered" in refusal_of(replace(request, query=b"a=1")).detail
    assert "content-digest is not covered" in refusal_of(replace(request, body=b"{}")).detail


@pytest.mark.parametrize("whole", ["@target-uri", "@request-target"])
def test_component_that_contains_another_counts_for_it(whole: str) -> None:
    request = signed(components=("@method", whole))
    assert verify_message([SECRET], request, now_s=NOW_S).covered == ("@method", whole, "content-digest")
    authority = Policy(required=("@authority",))
    if whole == "@target-uri":
        assert verify_message([SECRET], request, now_s=NOW_S, policy=authority).key_id == SECRET.id
    else:
        assert refusal_of(request, policy=authority).reason is RefusalReason.MALFORMED


@pytest.mark.parametrize("missing", ["@method", "@path", "@query"])
def test_required_component_that_is_not_covered_is_named(missing: str) -> None:
    names = tuple(name for name in ("@method", "@path", "@query") if name != missing)
    refusal = refusal_of(signed(components=names))
    assert (refusal.reason, refusal.detail) == (RefusalReason.MALFORMED, f"sig1: {missing} is not covered")


def test_required_parameter_and_tag_are_asked_for() -> None:
    assert refusal_of(signed(), policy=NONCE_NEEDED).detail == "sig1: nonce is needed"
    ours = Policy(tag="croupier")
    assert refusal_of(signed(tag="other"), policy=ours).reason is RefusalReason.MALFORMED
    assert verify_message([SECRET], signed(tag="croupier"), now_s=NOW_S, policy=ours).tag == "croupier"


@pytest.mark.parametrize(
    ("now_s", "is_fresh"), [(-31, False), (-30, True), (0, True), (30, True), (31, False)]
)
def test_window_is_closed_on_both_sides(now_s: int, is_fresh: bool) -> None:
    if is_fresh:
        assert verify_message([SECRET], signed(), now_s=NOW_S + now_s).key_id == SECRET.id
    else:
        assert refusal_of(signed(), now_s=NOW_S + now_s).reason is RefusalReason.STALE


def test_expired_signature_is_stale() -> None:
    request = signed(expires_s=NOW_S + 3)
    assert verify_message([SECRET], request, now_s=NOW_S + 3).key_id == SECRET.id
    assert refusal_of(request, now_s=NOW_S + 4).reason is RefusalReason.STALE


def test_wrong_and_stale_is_a_mismatch() -> None:
    assert refusal_of(replace(signed(), path=b"/"), now_s=NOW_S + 999).reason is RefusalReason.MISMATCH


def test_unknown_key_looks_like_a_wrong_signature() -> None:
    other = SigningKey("shared-2", SECRET.secret)
    known, unknown = refusal_of(replace(signed(), path=b"/")), refusal_of(signed(), other)
    assert known.reason is unknown.reason is RefusalReason.MISMATCH
    assert known.detail == unknown.detail == ""
    assert refusal_of(signed(), SigningKey("shared-1", bytes(32))).detail == ""
    with pytest.raises(SignatureRefused, match="mismatch"):
        verify_message([], signed(), now_s=NOW_S)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_the_key_that_stands_for_an_unknown_one_does_the_work_and_verifies_nothing(
    algorithm: Algorithm,
) -> None:
    assert not signature_fits(algorithm, nobodys_key(algorithm), b"x", bytes(256))
    assert not signature_fits(algorithm, nobodys_key(algorithm), b"x", bytes(64))


@pytest.mark.parametrize("algorithm", [Algorithm.HMAC_SHA256, Algorithm.ECDSA_P256_SHA256])
def test_signature_by_that_key_itself_is_refused(algorithm: Algorithm) -> None:
    stand_in = nobodys_key(algorithm)
    if isinstance(stand_in, PublicKey):
        signer: SigningKey | PrivateKey = PrivateKey("nobody", ec.derive_private_key(2, ec.SECP256R1()))
        assert isinstance(signer, PrivateKey)
        assert signer.public.material == stand_in.material
    else:
        signer = stand_in
    request = signed(key=signer, algorithm=algorithm)
    assert refusal_of(request).reason is RefusalReason.MISMATCH


def test_signature_of_another_length_or_kind_of_key_does_not_fit() -> None:
    ecdsa = Algorithm.ECDSA_P256_SHA256
    signature = render_signature(ecdsa, signer_of(ecdsa), b"x")
    assert signature_fits(ecdsa, verifier_of(ecdsa), b"x", signature)
    for other in (signature[:32] + b"\0" + signature[32:], signature[:63], b""):
        assert not signature_fits(ecdsa, verifier_of(ecdsa), b"x", other)
    for algorithm in Algorithm:
        made = render_signature(algorithm, signer_of(algorithm), b"x")
        fitting = {other for other in Algorithm if signature_fits(other, verifier_of(algorithm), b"x", made)}
        assert fitting == {algorithm}


def _forged(key_id: str, secret: bytes, alg: str) -> MessageRequest:
    """A request signed with HMAC under another key's id."""
    digest = field_of(signed(), b"content-digest")
    parameters = f'("@method" "@path" "@query" "content-digest");created={NOW_S};keyid="{key_id}"{alg}'
    base = (
        f'"@method": POST\n"@path": {REQUEST.path.decode()}\n"@query": ?{REQUEST.query.decode()}\n'
        f'"content-digest": {digest.decode()}\n"@signature-params": {parameters}'
    )
    signature = b64encode(hmac.digest(secret, base.encode(), "sha256")).decode()
    return with_headers(
        REQUEST,
        (b"content-digest", digest),
        (b"signature-input", f"sig1={parameters}".encode()),
        (b"signature", f"sig1=:{signature}:".encode()),
    )


@pytest.mark.parametrize("alg", ["", ';alg="hmac-sha256"', ';alg="rsa-pss-sha512"', ';alg="none"'])
def test_public_key_is_never_a_shared_secret(alg: str) -> None:
    assert verify_message([SECRET], _forged(SECRET.id, SECRET.secret, ""), now_s=NOW_S).key_id == SECRET.id, (
        "the forger is able"
    )
    for algorithm in Algorithm:
        key = verifier_of(algorithm)
        if not isinstance(key, PublicKey):
            continue
        pem = key.material.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        der = key.material.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for secret in (pem, pem.strip(), der):
            assert refusal_of(_forged(key.id, secret, alg), key).reason is RefusalReason.MISMATCH


@pytest.mark.parametrize("algorithm", Algorithm)
def test_algorithm_that_the_policy_does_not_allow_is_a_mismatch(algorithm: Algorithm) -> None:
    others = Policy(algorithms=tuple(other for other in Algorithm if other is not algorithm))
    request = signed(key=signer_of(algorithm), algorithm=algorithm)
    assert refusal_of(request, verifier_of(algorithm), policy=others).reason is RefusalReason.MISMATCH


def test_named_algorithm_has_to_agree_and_chooses_between_the_two_of_rsa() -> None:
    rsa, pss, old = signer_of(Algorithm.RSA_PSS_SHA512), Algorithm.RSA_PSS_SHA512, Algorithm.RSA_V1_5_SHA256
    key = verifier_of(pss)
    assert verify_message([key], signed(key=rsa), now_s=NOW_S).algorithm is pss
    assert verify_message([key], signed(key=rsa, algorithm=old), now_s=NOW_S).algorithm is old
    unnamed = with_headers(REQUEST, *_without_alg(sign_message(rsa, REQUEST, created_s=NOW_S, algorithm=old)))
    assert refusal_of(unnamed, key).reason is RefusalReason.MISMATCH, "the parameters are covered"
    lying = _forged(SECRET.id, SECRET.secret, ';alg="ed25519"')
    assert refusal_of(lying).reason is RefusalReason.MISMATCH


def _without_alg(lines: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name, value.replace(b';alg="rsa-v1_5-sha256"', b"")) for name, value in lines)


def test_key_of_another_kind_cannot_sign() -> None:
    with pytest.raises(ValueError, match="cannot be used for ed25519"):
        signed(algorithm=Algorithm.ED25519)


def _two_labels(first: MessageRequest, second: MessageRequest) -> MessageRequest:
    request = REQUEST
    for name in (b"content-digest", b"signature-input", b"signature"):
        values = [field_of(one, name) for one in (first, second)]
        joined = values[:1] if name == b"content-digest" else values
        request = with_headers(request, *((name, value) for value in joined))
    return request


def test_first_label_of_a_known_key_and_enough_coverage_is_the_one_judged() -> None:
    mine, proxys = signed(), signed(label="proxy", key=SigningKey("proxy", bytes(16)))
    for request in (_two_labels(mine, proxys), _two_labels(proxys, mine)):
        assert verify_message([SECRET], request, now_s=NOW_S).label == "sig1"
    thin = signed(label="thin", components=("@method",))
    assert verify_message([SECRET], _two_labels(thin, mine), now_s=NOW_S).label == "sig1"
    wrong = signed(label="wrong", key=SigningKey(SECRET.id, bytes(16)))
    assert refusal_of(_two_labels(wrong, mine)).reason is RefusalReason.MISMATCH, "one signature is judged"


def test_label_whose_components_are_not_understood_does_not_spoil_another() -> None:
    proxy = '("@method" "signature";key="sig1");created=1;keyid="p"'
    request = signed()
    request = with_field(
        request, b"signature-input", f"p={proxy}, ".encode() + field_of(request, b"signature-input")
    )
    request = with_field(request, b"signature", b"p=:AA==:, " + field_of(request, b"signature"))
    assert verify_message([SECRET], request, now_s=NOW_S).label == "sig1"


def test_duplicate_label_is_malformed() -> None:
    assert refusal_of(_two_labels(signed(), signed())).detail == "sig1 is given twice"


def test_labels_of_both_fields_have_to_be_the_same() -> None:
    more = field_of(signed(), b"signature") + b", sig2=:AA==:"
    for value in (b"sig2=:AA==:", more):
        assert refusal_of(with_field(signed(), b"signature", value)).reason is RefusalReason.MALFORMED


@pytest.mark.parametrize("name", [b"signature-input", b"signature"])
@pytest.mark.parametrize("value", [None, b"", b" "])
def test_absent_or_empty_field_is_missing(name: bytes, value: bytes | None) -> None:
    assert refusal_of(with_field(signed(), name, value)).reason is RefusalReason.MISSING


COVERED = '("@method" "@path" "@query" "content-digest")'
BAD_INPUTS = {
    "no list": f'sig1=;created={NOW_S};keyid="shared-1"',
    "no created": f'sig1={COVERED};keyid="shared-1"',
    "no keyid": f"sig1={COVERED};created={NOW_S}",
    "created as a string": f'sig1={COVERED};created="{NOW_S}";keyid="shared-1"',
    "created as a boolean": f'sig1={COVERED};created;keyid="shared-1"',
    "created with a fraction": f'sig1={COVERED};created={NOW_S}.0;keyid="shared-1"',
    "created before 1970": f'sig1={COVERED};created=-1;keyid="shared-1"',
    "created of 13 digits": f'sig1={COVERED};created={NOW_S}000;keyid="shared-1"',
    "created twice": f'sig1={COVERED};created={NOW_S};created={NOW_S};keyid="shared-1"',
    "keyid as a token": f"sig1={COVERED};created={NOW_S};keyid=shared-1",
    "keyid empty": f'sig1={COVERED};created={NOW_S};keyid=""',
    "nonce as bytes": f'sig1={COVERED};created={NOW_S};keyid="shared-1";nonce=:AAAA:',
    "nonce too long": f'sig1={COVERED};created={NOW_S};keyid="shared-1";nonce="{"n" * 257}"',
    "component twice": f'sig1=("@method" "@method");created={NOW_S};keyid="shared-1"',
    "component as a token": f'sig1=(method);created={NOW_S};keyid="shared-1"',
    "component in upper case": f'sig1=("Content-Type");created={NOW_S};keyid="shared-1"',
    "component of a response": f'sig1=("@status");created={NOW_S};keyid="shared-1"',
    "component of signature-params": f'sig1=("@signature-params");created={NOW_S};keyid="shared-1"',
    "component with a parameter": f'sig1=("@method";req);created={NOW_S};keyid="shared-1"',
    "too many components": "sig1=("
    + "".join(f'"x-{at}" ' for at in range(MAX_ITEMS + 1))
    + f');created={NOW_S};keyid="shared-1"',
    "too many parameters": f'sig1={COVERED};created={NOW_S};keyid="shared-1"'
    + "".join(f";p{at}" for at in range(MAX_PARAMETERS)),
    "too many labels": ", ".join(f"s{at}=()" for at in range(MAX_MEMBERS + 1)),
    "too long": "sig1=(" + " " * MAX_FIELD_BYTES + f'"@method");created={NOW_S};keyid="shared-1"',
    "comma at the end": f'sig1={COVERED};created={NOW_S};keyid="shared-1",',
    "components not separated": f'sig1=("@method""@path");created={NOW_S};keyid="shared-1"',
    "list not closed": 'sig1=("@method"',
    "text after": f'sig1={COVERED};created={NOW_S};keyid="shared-1" x',
    "bytes above ASCII": f'sig1={COVERED};created={NOW_S};keyid="shared-é"',
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_input_out_of_form_is_malformed(name: str) -> None:
    request = with_field(signed(), b"signature-input", BAD_INPUTS[name].encode())
    assert refusal_of(request).reason is RefusalReason.MALFORMED


@pytest.mark.parametrize(
    "value",
    ["", "1", '"AA=="', "(:AA==:)", ":AA:", ":AA==", ":AB==:", ":A A=:", ":-_==:", ":AA==:;", ":AA==: x"],
)
def test_signature_out_of_form_is_malformed(value: str) -> None:
    request = with_field(signed(), b"signature", f"sig1={value}".encode())
    assert refusal_of(request).reason is RefusalReason.MALFORMED


QUERY_PARAMETERS = [
    (b"a=1&b=2", "b", b"2"),
    (b"a=b+c", "a", b"b%20c"),
    (b"param=value&foo=bar&baz=batman&qux=", "qux", b""),
    # The example of RFC 9421, 2.2.8.
    (b"var=this%20is%20a%20big%0Amultiline%20value", "var", b"this%20is%20a%20big%0Amultiline%20value"),
    (b"bar=with+plus+whitespace", "bar", b"with%20plus%20whitespace"),
    (b"fa%C3%A7ade%22%3A%20=something", "fa%C3%A7ade%22%3A%20", b"something"),
    (b"a=~*-._", "a", b"%7E*-._"),
]


@pytest.mark.parametrize(("query", "name", "value"), QUERY_PARAMETERS)
def test_query_parameter_is_covered_by_name(query: bytes, name: str, value: bytes) -> None:
    component = Item("@query-param", (("name", name),))
    assert component_value(replace(REQUEST, query=query), component) == value
    written = f'"@query-param";name="{name}"'
    request = signed(replace(REQUEST, query=query), components=("@method", "@path", written))
    policy = Policy(required=(written,))
    assert written in verify_message([SECRET], request, now_s=NOW_S, policy=policy).covered
    assert refusal_of(replace(request, query=b"")).reason is RefusalReason.MISMATCH
    assert (
        refusal_of(replace(request, query=query + b"&" + query), policy=policy).reason
        is RefusalReason.MALFORMED
    )


@pytest.mark.parametrize(
    "options",
    [
        {"label": "Sig"},
        {"label": ""},
        {"label": "a b"},
        {"nonce": "n" * (MAX_PARAMETER_CHARACTERS + 1)},
        {"nonce": ""},
        {"nonce": "é"},
        {"created_s": -1},
        {"components": ("@method", "@method")},
        {"components": ("x-absent",)},
        {"components": ("X-Trace",)},
        {"components": ("@nothing",)},
        {"components": ("é",)},
    ],
)
def test_what_no_receiver_could_read_is_not_signed(options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, SignatureRefused)):
        signed(**options)


def test_path_and_authority_that_no_signature_can_cover_are_refused() -> None:
    request = signed(components=("@method", "@target-uri"))
    for changed in (
        replace(request, path=b"/\xff"),
        replace(request, path=b"/a\nb"),
        replace(request, authority="caf\u00e9"),
        replace(request, authority="\ud800"),
        replace(request, method="G T"),
    ):
        assert refusal_of(changed).reason is RefusalReason.MALFORMED
    accept = signed(
        with_headers(REQUEST, (b"accept", b"a")), components=("@method", "@path", "@query", "accept")
    )
    for value in (b"a\x00", b"a\nb", b"\xe9"):
        assert refusal_of(with_field(accept, b"accept", value)).reason is RefusalReason.MALFORMED


def test_default_port_and_letter_case_of_the_authority_do_not_count() -> None:
    request = signed(components=("@method", "@path", "@query", "@authority"))
    assert (
        verify_message([SECRET], replace(request, authority="CASINO.example:443"), now_s=NOW_S).key_id
        == SECRET.id
    )
    assert refusal_of(replace(request, authority="casino.example:80")).reason is RefusalReason.MISMATCH


WORDS = st.sampled_from(
    [b"sig1", b"=", b"(", b")", b'"@method"', b'"@path"', b" ", b";", b"created", b"1750000000", b"keyid",
     b'"shared-1"', b":", b"AA==", b",", b"?1", b"\t", b"\\", b"\xff", b"*", b"-", b"."]
)  # fmt: skip
FIELDS = st.one_of(st.binary(max_size=200), st.lists(WORDS, max_size=30).map(b"".join))


@given(claim=FIELDS, signature=FIELDS, digest=FIELDS)
def test_any_bytes_are_judged_and_never_accepted(claim: bytes, signature: bytes, digest: bytes) -> None:
    request = with_headers(
        REQUEST, (b"signature-input", claim), (b"signature", signature), (b"content-digest", digest)
    )
    assert refusal_of(request, policy=Policy(required=())).reason


@given(
    path=st.binary(max_size=30),
    query=st.binary(max_size=30),
    method=st.text(max_size=8),
    host=st.text(max_size=8),
)
def test_any_target_is_judged(path: bytes, query: bytes, method: str, host: str) -> None:
    request = signed(components=("@method", "@target-uri", "@authority", "@query", "@scheme"))
    refusal_of(replace(request, path=b"x" + path, query=query, method=method, authority=host))
