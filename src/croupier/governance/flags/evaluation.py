"""Flags through the OpenFeature API: a provider that answers from the rules one process holds, never from a database.

Whoever asks sees OpenFeature's client only, so that the rules of another vendor may take this provider's place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NoReturn

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import (
    FlagNotFoundError,
    ProviderNotReadyError,
    TargetingKeyMissingError,
    TypeMismatchError,
)
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
from openfeature.provider import AbstractProvider, Metadata

from croupier.governance.flags.known import FLAGS
from croupier.governance.flags.rules import Rule, Rules, Situation, arrange, explain

NAMES: Final = ("jurisdiction", "game", "game_group", "provider")
"""What an evaluation context may say; its targeting key is the player's id."""


class StoredFlags(AbstractProvider):
    """Answers for boolean flags from the rules it was given last; before the first it is not ready."""

    def __init__(self) -> None:
        super().__init__()
        self._rules: Rules | None = None

    def take(self, rules: Iterable[Rule]) -> None:
        """Answer by these rules from now on."""
        self._rules = arrange(rules)

    def get_metadata(self) -> Metadata:
        """What OpenFeature calls this provider by."""
        return Metadata(name="croupier")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """Whether a flag is on, why, and by which rule.

        Raises OpenFeatureError, which OpenFeature answers with the caller's value: a flag nobody knows, rules not yet
        loaded, or a share of players and no player.
        """
        if self._rules is None:
            raise ProviderNotReadyError("the flags have not been loaded")
        if flag_key not in FLAGS:
            raise FlagNotFoundError(f"no flag is called {flag_key}")
        answer = explain(FLAGS[flag_key], self._rules, _situation_of(evaluation_context))
        if answer.is_on is None:
            raise TargetingKeyMissingError("it is on for a share of players, and no player is named")
        metadata: dict[str, bool | int | float | str] = {}
        if answer.rule is not None:
            metadata = {"rule": str(answer.rule.target), "version": answer.rule.version}
        if answer.position is not None:
            metadata["position"] = answer.position
        return FlagResolutionDetails(
            value=answer.is_on,
            reason=answer.reason,
            variant="on" if answer.is_on else "off",
            flag_metadata=metadata,
        )

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """No flag is a text; raises TypeMismatchError."""
        _refuse(flag_key)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """No flag is a number; raises TypeMismatchError."""
        _refuse(flag_key)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """No flag is a fraction; raises TypeMismatchError."""
        _refuse(flag_key)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """No flag is an object; raises TypeMismatchError."""
        _refuse(flag_key)


def _refuse(flag_key: str) -> NoReturn:
    raise TypeMismatchError(f"{flag_key} is on or off")


def _situation_of(context: EvaluationContext | None) -> Situation:
    if context is None:
        return Situation()
    said = {name: str(context.attributes.get(name) or "") for name in NAMES}
    return Situation(player_id=context.targeting_key or "", **said)
