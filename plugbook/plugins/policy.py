"""What a host does about a plugin that fails: the policies, and how a person writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from plugbook.errors import suggestion

if TYPE_CHECKING:
    from plugbook.events import subscription

_WORDS: Final = ("continue", "restart", "quarantine", "raise")


class Restart(BaseModel):
    """Stop a failing plugin and start it again, as a supervisor does in Erlang/OTP.

    A plugin that has used up its restarts is quarantined. Between stop and start it waits: `backoff_s` the first
    time, and twice as long with each further restart of the period, but never longer than the period.

    Attributes:
        action: ``restart``, which tells this policy from others in JSON.
        intensity: how many restarts a period allows; with 0, the first failure quarantines.
        period_s: how long a restart counts, in seconds.
        backoff_s: the first wait before a start, in seconds; 0 starts at once.
        dependents: whether the plugins that need it restart with it (OTP's ``rest_for_one``), since they may hold
            what it gave them. If not, it restarts alone (``one_for_one``), unless it provides a service at that
            moment, which others would go on using after its end.

    >>> policy = Restart(intensity=5, backoff_s=0.5)
    >>> print(policy, [policy.delay_s(count) for count in (1, 2, 3)])
    restart (5 in 60 s) [0.5, 1.0, 2.0]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["restart"] = "restart"
    intensity: int = Field(3, ge=0)
    period_s: float = Field(60.0, gt=0, allow_inf_nan=False)
    backoff_s: float = Field(0.1, ge=0, allow_inf_nan=False)
    dependents: bool = True

    def delay_s(self, count: int) -> float:
        """How long to wait before restart number `count` of a period, in seconds."""
        doublings = min(count - 1, 64)  # beyond, it is longer than any period
        return min(self.backoff_s * 2.0**doublings, self.period_s)

    def __str__(self) -> str:
        return f"restart ({self.intensity} in {self.period_s:g} s)"


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
        "or Restart(intensity=3, period_s=60) for restarts of another measure."
    )
    raise ValueError(msg)


def _restart(options: Mapping[Any, Any]) -> Restart:
    for name in options:
        if name not in Restart.model_fields:
            msg = f"a restart has no {name!r}.{suggestion(str(name), Restart.model_fields)}"
            raise ValueError(msg)
    try:
        return Restart(**options)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        msg = f"{'.'.join(map(str, first['loc']))} of a restart: {first['msg']}, not {first['input']!r}"
        raise ValueError(msg) from None


Policy = Annotated[Literal["continue", "quarantine", "raise"] | Restart, BeforeValidator(as_policy)]
"""``continue``: the others go on. ``raise``: `publish` raises. ``quarantine``: the first failure sets the plugin
aside until a person lets it out. `Restart`: stop and start it, and quarantine it where that does not help."""


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
