"""The section of timeouts: how long a session may stay in a state, whose it is, and what is done then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from croupier.play.session import State
from croupier.play.timeouts import DEFAULT_POLICY, LEGAL_ACTS, Act, Policy, Rule
from croupier.runtime.config.forms import Duration, Name, seconds_of


class Timeout(Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to a session that stays in a state for too long; a state without a section keeps the built-in rule.

    Built in: `created` 5m, cancel, platform; `launched` 1h, cancel, product; `active` 24h without use, close, product;
    `pending_settlement` 24h, reconcile, finance. An expired session (`limits.session_ttl_s`) is due at once.
    """

    after: Annotated[Duration, Meta(description="How long is too long.")]
    owner: Annotated[Name, Meta(description="A team of `[owners.<team>]`.")]
    action: Annotated[
        Name,
        Meta(
            description="`cancel` or `probe` (created), `cancel` (launched), `close` (active), `reconcile` "
            "(pending_settlement), or `alert` in any state. None moves a player's money."
        ),
    ]

    @property
    def after_s(self) -> int:
        """The duration in seconds."""
        return seconds_of(self.after)


def timeout_policy(timeouts: Mapping[str, Timeout]) -> Policy:
    """The built-in rules with those of the configuration, which was checked."""
    given = {
        State(name): Rule(timeout.after_s, timeout.owner, Act(timeout.action))
        for name, timeout in timeouts.items()
    }
    return Policy({**DEFAULT_POLICY.rules, **given})


def legal_actions(state: str) -> tuple[str, ...]:
    """What may be done in a state, in the order of the documentation; nothing in a final state."""
    legal = LEGAL_ACTS.get(State(state), frozenset())
    return tuple(act.value for act in Act if act in legal)
