"""One call tried with a candidate: verified, decoded and answered as it would be, and compared. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from croupier.errors import UNKNOWN_SESSION, CroupierError
from croupier.moneypath.outcomes import Outcome
from croupier.providers.contract import (
    Adapter,
    Context,
    Decoded,
    DecodeRefused,
    Failure,
    Operation,
    ProviderAccount,
    Reply,
    Seat,
    Unseated,
)
from croupier.providers.shadow.compare import (
    Difference,
    Pairing,
    difference,
    find_answer_differences,
    find_differences,
    pair_actions,
)
from croupier.providers.shadow.sample import Sample, error_of, raw_of, render_actions
from croupier.providers.strict_json import JsonLimits
from croupier.providers.verification import RawRequest

DECODED: Final = "decoded"


class Result(StrEnum):
    """What came of one call in the shadow.

    `refused`: the candidate turns away what the live adapter took. `failed`: it raised, or its process ended.
    `hung`: it was not done by its deadline. `skipped`: the shadow lacks the key that proved the call.
    """

    SAME = "same"
    DIFFERENT = "different"
    REFUSED = "refused"
    FAILED = "failed"
    HUNG = "hung"
    SKIPPED = "skipped"


class Trial(Struct, frozen=True):
    """A result, and where the candidate differs from the live adapter."""

    result: Result
    differences: tuple[Difference, ...] = ()


class Bench(Struct, frozen=True, kw_only=True):
    """What calls are tried with: the candidate, the account as it sees it, the live adapter's rules and bounds."""

    candidate: Adapter
    live: Adapter
    account: ProviderAccount
    limits: JsonLimits


def try_call(sample: Sample, bench: Bench, token: bytes | None) -> Trial:
    """What the candidate makes of a call. Raises whatever the candidate raises besides CroupierError."""
    candidate, account = bench.candidate, bench.account
    if sample.key_id not in account.inbound_keys:
        return Trial(Result.SKIPPED)
    raw = raw_of(sample, token=token)
    operation, echo = None, None
    try:
        operation = candidate.operation(raw.method, _below(raw.path))
        verified = candidate.verify(raw, account, raw.received_at)
        context = Context(
            operation=operation,
            account=account,
            limits=bench.limits,
            fresh_token=sample.fresh_token,
        )
        decoded = candidate.decode(verified, context)
        if isinstance(decoded, Unseated):
            echo = decoded.echo
            decoded = decoded.complete(_seat(sample, decoded))
    except CroupierError as refused:
        if isinstance(refused, DecodeRefused) and refused.echo is not None:
            echo = refused.echo
        return _judge_refusal(sample, bench, refused, _failure(sample, bench, refused, operation, raw, echo))
    if sample.player_id is None:
        live = "refused" if sample.fault is None else sample.fault.code
        return Trial(Result.DIFFERENT, (difference("decision", live, DECODED),))
    return _judge_decoded(sample, bench, decoded, context, raw)


def _below(path: bytes) -> bytes:
    """The path below `/providers/{provider}`."""
    parts = path.split(b"/", 3)
    return b"/" + (parts[3] if len(parts) == 4 else b"")


def _seat(sample: Sample, unseated: Unseated) -> Seat:
    """Whose session it is: as it was looked up, or as the live adapter read it."""
    if sample.seat is not None:
        return sample.seat
    for _, members in sample.actions:
        if sample.player_id is not None and isinstance(members.get("asset"), str):
            given = {name: members.get(name) for name in ("asset", "session_id", "game_id")}
            return msgspec.convert({"player_id": sample.player_id} | given, Seat)
    error = CroupierError(UNKNOWN_SESSION, "no session has this id", field="session_id")
    raise DecodeRefused(error, unseated.salvage, unseated.echo)


def _judge_refusal(sample: Sample, bench: Bench, refused: CroupierError, failure: Failure) -> Trial:
    code = refused.kind.code
    if sample.player_id is not None:
        return Trial(Result.REFUSED, (difference("decision", DECODED, code),))
    if sample.fault is not None and sample.fault.code != code:
        return Trial(Result.DIFFERENT, (difference("decision", sample.fault.code, code),))
    return _same_unless(_answer_differences(sample, bench.candidate.encode_failure(failure)))


def _judge_decoded(
    sample: Sample, bench: Bench, decoded: Decoded, context: Context, raw: RawRequest
) -> Trial:
    pairing = pair_actions(sample.actions, render_actions(decoded.actions))
    found = [
        *find_differences("player_id", sample.player_id, decoded.player_id),
        *find_differences("token_hash", sample.token_hash, decoded.token_hash),
        *find_differences("rules", _rules(bench.live), _rules(bench.candidate)),
        *pairing.differences,
    ]
    if sample.fault is not None:
        error = error_of(sample.fault)
        failure = _failure(sample, bench, error, decoded.operation, raw, decoded.echo)
        found += _answer_differences(sample, bench.candidate.encode_failure(failure))
    elif (outcomes := _outcomes(sample, pairing)) is not None:
        found += _answer_differences(sample, bench.candidate.encode(decoded, outcomes, context))
    return _same_unless(tuple(found))


def _outcomes(sample: Sample, pairing: Pairing) -> tuple[Outcome, ...] | None:
    """The live outcome of each of the candidate's actions; None when one of them was never decided."""
    if pairing.order is None or len(sample.outcomes) != len(sample.actions):
        return None
    return tuple(sample.outcomes[number] for number in pairing.order)


def _rules(adapter: Adapter) -> Any:
    """How decisions about the protocol's money differ; they are the manifest's and no call's."""
    return msgspec.to_builtins(adapter.manifest.rules)


def _answer_differences(sample: Sample, reply: Reply) -> tuple[Difference, ...]:
    return find_answer_differences((sample.status, sample.answer), (reply.status, reply.body))


def _same_unless(differences: tuple[Difference, ...]) -> Trial:
    return Trial(Result.DIFFERENT, differences) if differences else Trial(Result.SAME)


def _failure(
    sample: Sample,
    bench: Bench,
    error: CroupierError,
    operation: Operation | None,
    raw: RawRequest,
    echo: Any,
) -> Failure:
    return Failure(
        error=error,
        correlation_id=sample.correlation_id,
        account=bench.account,
        operation=operation,
        raw=raw,
        echo=echo,
    )
