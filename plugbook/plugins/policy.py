"""What a host does about a plugin that fails: the policies, and how a person writes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

from pydantic import BeforeValidator

from plugbook.errors import ManifestError, refuses_misspelt, suggestion

if TYPE_CHECKING:
    from plugbook.events import subscription

_WORDS: Final = ("continue", "restart", "quarantine", "raise")


@refuses_misspelt
@dataclass(frozen=True, slots=True)
class Restart:
    """Stop a failing plugin and start it again, as a supervisor does in Erlang/OTP.

    A plugin that has used up its restarts is quarantined. Between stop and start it waits: `backoff` the first
    time, and twice as long with each further restart of the period, but never longer than the period.

    Attributes:
        intensity: how many restarts a period allows; with 0, the first failure quarantines.
        period: how long a restart counts, in seconds.
        backoff: the first wait before a start, in seconds; 0 starts at once.
        dependents: whether the plugins that need it restart with it (OTP's ``rest_for_one``), since they may hold
            what it gave them. If not, it restarts alone (``one_for_one``), unless it provides a service at that
            moment, which others would go on using after its end.
        action: ``restart``, which tells this policy from others in JSON.

    Raises:
        ManifestError: a number is out of its range.

    >>> policy = Restart(intensity=5, backoff=0.5)
    >>> print(policy, [policy.delay_s(count) for count in (1, 2, 3)])
    restart (5 in 60 s) [0.5, 1.0, 2.0]
    """

    intensity: int = 3
    period: float = 60.0
    backoff: float = 0.1
    dependents: bool = True
    action: Literal["restart"] = "restart"

    def __post_init__(self) -> None:
        checks = {
            "intensity": (type(self.intensity) is int and self.intensity >= 0, "a whole number, 0 or more"),
            "period": (_is_finite(self.period) and self.period > 0, "seconds, more than 0"),
            "backoff": (_is_finite(self.backoff) and self.backoff >= 0, "seconds, 0 or more"),
            "dependents": (isinstance(self.dependents, bool), "True or False"),
            "action": (self.action == "restart", "'restart'"),
        }
        for name, (is_right, wanted) in checks.items():
            if not is_right:
                msg = f"{name} of a restart is {getattr(self, name)!r}, and must be {wanted}"
                raise ManifestError(msg, field="policy")

    def delay_s(self, count: int) -> float:
        """How long to wait before restart number `count` of a period, in seconds."""
        doublings = min(count - 1, 64)  # beyond, it is longer than any period
        return min(self.backoff * 2.0**doublings, self.period)

    def __str__(self) -> str:
        return f"restart ({self.intensity} in {self.period:g} s)"


def as_policy(value: object) -> object:
    """What a person wrote as a policy: a word, a `Restart`, or one as JSON.

    >>> as_policy("restart") == as_policy({"action": "restart"}) == Restart()
    True

    Raises:
        ValueError: it is none; says what to write.
    """
    if isinstance(value, Restart) or (value in _WORDS and value != "restart"):
        return value
    if value == "restart":
        return Restart()
    if isinstance(value, Mapping):
        return _restart(value)
    near = suggestion(value, _WORDS, listing=False) if isinstance(value, str) else ""
    msg = (
        f"{value!r} is no policy.{near} Write 'continue', 'restart', 'quarantine' or 'raise', "
        "or Restart(intensity=3, period=60) for restarts of another measure."
    )
    raise ValueError(msg)


def _restart(options: Mapping[Any, Any]) -> Restart:
    known = [field.name for field in fields(Restart)]
    for name in options:
        if name not in known:
            msg = f"a restart has no {name!r}.{suggestion(str(name), known)}"
            raise ValueError(msg)
    return Restart(**options)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


Policy = Annotated[Literal["continue", "quarantine", "raise"] | Restart, BeforeValidator(as_policy)]
"""``continue``: the others go on. ``raise``: `publish` raises. ``quarantine``: the first failure sets the plugin
aside until a person lets it out. `Restart`: stop and start it, and quarantine it where that does not help. A
quarantine outlives its host only where that was given a ``quarantine_file=``."""


def policy_as_json(policy: Policy) -> Any:
    """A policy as a recording has it, in the form that `as_policy` reads.

    >>> policy_as_json("raise"), policy_as_json(Restart())["action"]
    ('raise', 'restart')
    """
    return asdict(policy) if isinstance(policy, Restart) else policy


class Watch(NamedTuple):
    """What becomes of the failures of a plugin while it runs.

    Attributes:
        policy: what a failing handler does where its event is delivered.
        on_call: told of each call that failed, or None.
        on_task: told of each background task that failed: its name, and what it raised; or None.
    """

    policy: subscription.Policy = "continue"
    on_call: subscription.OnFailure | None = None
    on_task: Callable[[str, BaseException], object] | None = None
