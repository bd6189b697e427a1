"""HTTP Message Signatures (RFC 9421) of requests: sign one, and judge one by a policy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .canonical import MAX_TIMESTAMP_S
from .content_digest import CONTENT_DIGEST, check_content_digest, render_content_digest
from .coverage import Coverage
from .keys import PrivateKey, PublicKey, SigningKey
from .message_algorithms import Algorithm, algorithms_of, nobodys_key, render_signature, signature_fits
from .message_components import (
    MessageRequest,
    component_value,
    field_lines,
    parse_component,
    render_component,
)
from .native import WINDOW_S
from .refusal import RefusalReason, SignatureRefused, malformed
from .structured_fields import (
    BareItem,
    InnerList,
    Item,
    parse_dictionary,
    render_inner_list,
    render_item,
)

SIGNATURE: Final = b"signature"
SIGNATURE_INPUT: Final = b"signature-input"
MAX_PARAMETER_CHARACTERS: Final = 256
REQUEST_COMPONENTS: Final = ("@method", "@path", "@query")

_TIMES: Final = ("created", "expires")
_TEXTS: Final = ("keyid", "nonce", "tag", "alg")
COVERAGE: Final = Coverage(
    scheme="rfc9421",
    covered=("method", "path", "query", "body", "timestamp", "nonce"),
    uncovered=("headers", "scheme", "authority"),
)
"""What `Policy()` demands at least (the nonce is covered when there is one); a signature may cover more."""

# A component is covered by itself or by one that contains it.
_WITHIN: Final = {
    "@path": ("@target-uri", "@request-target"),
    "@query": ("@target-uri", "@request-target"),
    "@authority": ("@target-uri",),
    "@scheme": ("@target-uri",),
}


@dataclass(frozen=True, slots=True)
class Policy:
    """What a signature must have to be accepted; window in seconds to both sides, both ends included.

    `required` names components as `VerifiedMessage.covered` does. `@query` is required of requests that have a
    query, `content-digest` of those that have a body; `@target-uri` and `@request-target` count for what they
    contain. `parameters` are required beside created and keyid, such as nonce where replays are refused. `algorithms`
    are the allowed ones. With a `tag`, signatures with another tag are somebody else's.
    """

    required: tuple[str, ...] = (*REQUEST_COMPONENTS, CONTENT_DIGEST)
    parameters: tuple[str, ...] = ()
    window_s: int = WINDOW_S
    algorithms: tuple[Algorithm, ...] = tuple(Algorithm)
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class VerifiedMessage:
    """What a verified signature proves: who signed, when, and exactly which components; nothing else is covered."""

    label: str
    key_id: str
    algorithm: Algorithm
    created_s: int
    expires_s: int | None
    nonce: str | None
    tag: str | None
    covered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MessageClaim:
    """One label of a request: what it claims and the bytes it must have signed; nothing is proven yet."""

    label: str
    key_id: str
    named_algorithm: str | None
    created_s: int
    expires_s: int | None
    nonce: str | None
    tag: str | None
    covered: tuple[str, ...]
    base: bytes
    signature: bytes


def sign_message(
    key: SigningKey | PrivateKey,
    request: MessageRequest,
    *,
    components: tuple[str, ...] = REQUEST_COMPONENTS,
    created_s: int,
    expires_s: int | None = None,
    nonce: str | None = None,
    tag: str | None = None,
    label: str = "sig1",
    algorithm: Algorithm | None = None,
) -> tuple[tuple[bytes, bytes], ...]:
    """The header lines to add to a request: content-digest where it is missing, signature-input, signature.

    A body is always covered. `algorithm` is named in the signature only when it is given; without it, the key's
    best is used. Times in seconds. Raises ValueError for a label, text or algorithm that cannot be written,
    SignatureRefused for a component that the request does not have.
    """
    if request.body and CONTENT_DIGEST not in components:
        components = (*components, CONTENT_DIGEST)
    added: tuple[tuple[bytes, bytes], ...] = ()
    if CONTENT_DIGEST in components and field_lines(request, CONTENT_DIGEST.encode()) is None:
        added = ((CONTENT_DIGEST.encode(), render_content_digest(request.body).encode()),)
        request = _with_headers(request, added)
    parameters: dict[str, BareItem | None] = {
        "created": created_s, "expires": expires_s, "keyid": key.id,
        "alg": None if algorithm is None else algorithm.value, "nonce": nonce, "tag": tag,
    }  # fmt: skip
    inner = InnerList(
        tuple(map(parse_component, components)),
        tuple((name, value) for name, value in parameters.items() if value is not None),
    )
    base = signature_base(request, inner)
    signature = render_signature(algorithm or algorithms_of(key)[0], key, base)
    signed = (
        (SIGNATURE_INPUT, f"{label}={render_inner_list(inner)}".encode()),
        (SIGNATURE, f"{label}={render_item(Item(signature))}".encode()),
    )
    # What the reader would refuse was asked for wrongly, and is better known here than at the receiver.
    try:
        read_claims(_with_headers(request, signed, replacing=True))
    except SignatureRefused as refusal:
        raise ValueError(refusal.detail) from None
    return (*added, *signed)


def signature_base(request: MessageRequest, inner: InnerList) -> bytes:
    """The bytes that are signed (RFC 9421, 2.5); SignatureRefused as in `component_value`, or for a repeat."""
    lines: list[bytes] = []
    seen: set[tuple[object, frozenset[tuple[str, BareItem]]]] = set()
    for component in inner.items:
        identity = component.value, frozenset(component.parameters)
        if identity in seen:
            raise malformed(f"{render_item(component)} is covered twice")
        seen.add(identity)
        lines.append(render_item(component).encode() + b": " + component_value(request, component))
    lines.append(b'"@signature-params": ' + render_inner_list(inner).encode())
    return b"\n".join(lines)


def verify_message(
    keys: Iterable[SigningKey | PublicKey],
    request: MessageRequest,
    *,
    now_s: int,
    policy: Policy = Policy(),
) -> VerifiedMessage:
    """The first signature of the request that satisfies the policy and names a known key, proven.

    Total over any headers. Raises SignatureRefused: missing, malformed (also when no label satisfies the policy,
    decided before any key is looked at), mismatch, then stale. Exactly one signature is judged, also when no key is
    known. The caller spends the nonce, and must not rely on anything outside `covered`.
    """
    claim, key = _choose_claim(plan_candidates(request, policy), keys)
    algorithm = None if key is None else decide_algorithm(key, claim, policy)
    candidate = key
    if candidate is None or algorithm is None:
        key = None
        algorithm = _guess_algorithm(claim, policy)
        candidate = nobodys_key(algorithm)
    digest_refusal = _digest_refusal(claim, request)
    is_genuine = signature_fits(algorithm, candidate, claim.base, claim.signature)
    if not is_genuine or key is None:
        raise SignatureRefused(RefusalReason.MISMATCH)
    if digest_refusal is not None:
        raise digest_refusal
    _check_times(claim, now_s, policy.window_s)
    return VerifiedMessage(
        claim.label, key.id, algorithm, claim.created_s, claim.expires_s, claim.nonce, claim.tag, claim.covered
    )  # fmt: skip


def message_to_sign(request: MessageRequest, lines: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """The bytes signed by what `sign_message` returned as `lines` for this request."""
    claim = read_claims(_with_headers(request, lines, replacing=True))[0]
    if isinstance(claim, SignatureRefused):
        raise claim
    return claim.base


def key_id_of_message(request: MessageRequest) -> str:
    """The key id that the first label names, unproven; SignatureRefused when none can be read."""
    claims = read_claims(request)
    named = [claim.key_id for claim in claims if isinstance(claim, MessageClaim)]
    if not named:
        raise next(claim for claim in claims if isinstance(claim, SignatureRefused))
    return named[0]


def read_claims(request: MessageRequest) -> tuple[MessageClaim | SignatureRefused, ...]:
    """Every label in the order written, or why it alone cannot be judged (a component that is not there).

    Raises SignatureRefused: missing when there is no signature, malformed when the two fields cannot be read.
    """
    fields = field_lines(request, SIGNATURE_INPUT), field_lines(request, SIGNATURE)
    if not fields[0] or not fields[1]:
        raise SignatureRefused(RefusalReason.MISSING, "there is no Signature-Input or no Signature header")
    inputs, signatures = parse_dictionary(fields[0]), parse_dictionary(fields[1])
    if inputs.keys() != signatures.keys():
        raise malformed("Signature-Input and Signature do not have the same labels")
    return tuple(_read_claim(request, label, inputs[label], signatures[label]) for label in inputs)


def plan_candidates(request: MessageRequest, policy: Policy) -> tuple[MessageClaim, ...]:
    """The labels that satisfy the policy, at least one; raises the refusal of the first label otherwise."""
    candidates: list[MessageClaim] = []
    refusals: list[SignatureRefused] = []
    for claim in read_claims(request):
        refusal = claim if isinstance(claim, SignatureRefused) else policy_refusal(claim, request, policy)
        if refusal is not None:
            refusals.append(refusal)
        elif isinstance(claim, MessageClaim):
            candidates.append(claim)
    if not candidates:
        raise refusals[0]
    return tuple(candidates)


def _read_claim(
    request: MessageRequest, label: str, inner: Item | InnerList, signature: Item | InnerList
) -> MessageClaim | SignatureRefused:
    if not isinstance(inner, InnerList):
        raise malformed(f"{label}: Signature-Input is not a list of components")
    if not isinstance(signature, Item) or not isinstance(signature.value, bytes):
        raise malformed(f"{label}: Signature is not written between colons")
    parameters = dict(inner.parameters)
    times = {name: _read_time(name, parameters[name]) for name in _TIMES if name in parameters}
    texts = {name: _read_text(name, parameters[name]) for name in _TEXTS if name in parameters}
    if "created" not in times or "keyid" not in texts:
        return malformed(f"{label}: created and keyid are needed")
    try:
        base = signature_base(request, inner)
    except SignatureRefused as refusal:
        return refusal
    return MessageClaim(
        label=label,
        key_id=texts["keyid"],
        named_algorithm=texts.get("alg"),
        created_s=times["created"],
        expires_s=times.get("expires"),
        nonce=texts.get("nonce"),
        tag=texts.get("tag"),
        covered=tuple(map(render_component, inner.items)),
        base=base,
        signature=signature.value,
    )


def _read_time(name: str, value: BareItem) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TIMESTAMP_S:
        raise malformed(f"{name} is not whole seconds since 1970 of at most 12 digits")
    return value


def _read_text(name: str, value: BareItem) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_PARAMETER_CHARACTERS:
        raise malformed(f"{name} is not a string of 1 to {MAX_PARAMETER_CHARACTERS} characters")
    return value


def policy_refusal(claim: MessageClaim, request: MessageRequest, policy: Policy) -> SignatureRefused | None:
    """What the claim lacks of the policy; None when it has everything. No key is looked at."""
    present = {
        "created": claim.created_s,
        "keyid": claim.key_id,
        "nonce": claim.nonce,
        "expires": claim.expires_s,
        "tag": claim.tag,
        "alg": claim.named_algorithm,
    }
    for name in policy.parameters:
        if present[name] is None:
            return malformed(f"{claim.label}: {name} is needed")
    if policy.tag is not None and claim.tag != policy.tag:
        return malformed(f"{claim.label}: the tag is not {policy.tag}")
    for component in policy.required:
        if _is_needed(component, request) and not _is_covered(component, claim.covered):
            return malformed(f"{claim.label}: {component} is not covered")
    return None


def _is_needed(component: str, request: MessageRequest) -> bool:
    # Neither can be added to a request that was signed without: then it is needed, and not covered.
    match component:
        case "@query":
            return bool(request.query)
        case "content-digest":
            return bool(request.body)
        case _:
            return True


def _is_covered(component: str, covered: tuple[str, ...]) -> bool:
    return any(name in covered for name in (component, *_WITHIN.get(component, ())))


def _choose_claim(
    claims: tuple[MessageClaim, ...], keys: Iterable[SigningKey | PublicKey]
) -> tuple[MessageClaim, SigningKey | PublicKey | None]:
    known = {key.id: key for key in keys}
    for claim in claims:
        if claim.key_id in known:
            return claim, known[claim.key_id]
    return claims[0], None


def decide_algorithm(key: SigningKey | PublicKey, claim: MessageClaim, policy: Policy) -> Algorithm | None:
    """The key's own algorithm that the policy allows, if any; a named one chooses among several and adds none."""
    possible = [algorithm for algorithm in algorithms_of(key) if algorithm in policy.algorithms]
    if claim.named_algorithm is not None:
        possible = [algorithm for algorithm in possible if algorithm.value == claim.named_algorithm]
    return possible[0] if possible else None


def _guess_algorithm(claim: MessageClaim, policy: Policy) -> Algorithm:
    named = [algorithm for algorithm in policy.algorithms if algorithm.value == claim.named_algorithm]
    return (*named, *policy.algorithms, Algorithm.HMAC_SHA256)[0]


def _digest_refusal(claim: MessageClaim, request: MessageRequest) -> SignatureRefused | None:
    if CONTENT_DIGEST not in claim.covered:
        return None
    try:
        check_content_digest(field_lines(request, CONTENT_DIGEST.encode()) or b"", request.body)
    except SignatureRefused as refusal:
        return refusal
    return None


def _check_times(claim: MessageClaim, now_s: int, window_s: int) -> None:
    if abs(now_s - claim.created_s) > window_s:
        raise SignatureRefused(
            RefusalReason.STALE, f"created is {now_s - claim.created_s} s before the clock here"
        )
    if claim.expires_s is not None and now_s > claim.expires_s:
        raise SignatureRefused(RefusalReason.STALE, f"it expired {now_s - claim.expires_s} s ago")


def _with_headers(
    request: MessageRequest, added: tuple[tuple[bytes, bytes], ...], *, replacing: bool = False
) -> MessageRequest:
    names = {name for name, _ in added} if replacing else set()
    kept = tuple(line for line in request.headers if line[0] not in names)
    return MessageRequest(
        request.method, request.scheme, request.authority, request.path, request.query,
        (*kept, *added), request.body,
    )  # fmt: skip
