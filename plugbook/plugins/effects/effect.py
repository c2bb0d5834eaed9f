"""Declared effects: the calls by which a plugin touches the world, named as such so that a replay need not make them.

A handler that only computes does the same again when its event is replayed. One that asks the world does not, unless
the answer is kept: so a plugin says ``ctx.effect(fetch, url)`` instead of ``fetch(url)``. The call becomes an `input`
record with its arguments and its result, below the call in which it was made; a replay gives the recorded result back
and performs nothing. Other languages give effects a type to get there; here a call says so, its result keeps the type
that the function's annotations give it, and nothing else of the plugin changes.

What is known to be an effect can also be retried, given a time limit, and denied by whoever runs the host.
"""

from __future__ import annotations

import asyncio
import fnmatch
import math
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from plugbook.errors import EffectError, UnknownPluginError, refuses_misspelt, suggestion
from plugbook.events.dispatch.registrations import current_registrar, noted
from plugbook.plugins.effects.performance import Asker, Limits, Performance

if TYPE_CHECKING:
    from plugbook.events.bus import Bus
    from plugbook.plugins.effects.performance import Recall

P = ParamSpec("P")
T = TypeVar("T")

EVERY_PLUGIN: Final = "*"
"""Stands for every plugin in `EffectRules`."""


@refuses_misspelt
@dataclass(frozen=True, slots=True)
class Effects:
    """What whoever runs a host says about the effects of a plugin; it goes before what the plugin's code asks for.

    Attributes:
        retries: how many attempts more there are after one that failed.
        backoff: seconds before the first of them; before each further one it is twice as long, up to a minute.
        timeout: seconds that an attempt may take.
        deny: patterns of what must not be performed, such as ``smtplib.*``. ``*`` stands for any text, dots included,
            for a pattern that denies too much is found out sooner than one that denies too little. What is compared is
            the qualified name of the function, such as ``smtplib.SMTP.send_message``, and the effect's own name.

    ``Host([Billing], effects={"billing": Effects(retries=2, timeout=5.0, deny=["smtplib.*"])})``

    Raises:
        EffectError: a number is none, or below 0, or a pattern is no text.
    """

    retries: int | None = None
    backoff: float | None = None
    timeout: float | None = None
    deny: Collection[str] = ()

    def __post_init__(self) -> None:
        _check_numbers(self.retries, self.backoff, self.timeout)
        patterns: tuple[object, ...] = (self.deny,) if isinstance(self.deny, str) else tuple(self.deny)
        for pattern in patterns:
            if not isinstance(pattern, str):
                msg = f"deny= takes patterns such as 'smtplib.*', and {pattern!r} is no text"
                raise EffectError(msg)
        object.__setattr__(self, "deny", patterns)


class EffectRules(MutableMapping[str, Effects]):
    """What a host says about effects, by plugin name; ``"*"`` stands for every plugin. It counts from the next effect on.

    Those of a bundle hold for its members, too: they go before those of ``"*"``, and a member's own before them.

    >>> from plugbook import Effects, Host, Plugin
    >>> class Billing(Plugin):
    ...     pass
    >>> host = Host([Billing])
    >>> host.effects["billing"] = Effects(timeout=5.0, deny=["smtplib.*"])
    >>> host.effects
    {'billing': Effects(retries=None, backoff=None, timeout=5.0, deny=('smtplib.*',))}
    >>> host.close()

    Args:
        bus: where changes are recorded.
        plugins: the names of the plugins there are, asked whenever something is set.
        bundles: the names of the bundles that a plugin is in, the nearest first.

    Attributes:
        recall: what answers instead of the world, during a replay.
        time_ns, monotonic_ns: what `ctx.clock` reads.
        sleep, sleep_async: how to wait before the next attempt; a test gives its own.
    """

    def __init__(
        self,
        bus: Bus,
        plugins: Callable[[], Iterable[str]],
        bundles: Callable[[str], tuple[str, ...]] = lambda _plugin: (),
    ) -> None:
        self._bus = bus
        self._plugins = plugins
        self._bundles = bundles
        self._by_plugin: dict[str, Effects] = {}
        self.recall: Recall | None = None
        self.time_ns: Callable[[], int] = time.time_ns
        self.monotonic_ns: Callable[[], int] = time.monotonic_ns
        self.sleep: Callable[[float], object] = time.sleep
        self.sleep_async: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep

    def limits(self, plugin: str, asked: Mapping[str, Any]) -> Limits:
        """How an effect is performed: as the host says, or else as the code asks, or else as effects are."""
        chosen = dict(asked)
        for rules in self._of(plugin):
            said = {"retries": rules.retries, "backoff": rules.backoff, "timeout": rules.timeout}
            chosen |= {option: value for option, value in said.items() if value is not None}
        return Limits(**chosen)

    def denied_by(self, plugin: str, names: Iterable[str]) -> str | None:
        """The pattern that denies an effect of one of these names, or None."""
        patterns = [pattern for rules in self._of(plugin) for pattern in rules.deny]
        found = (each for each in patterns for name in names if fnmatch.fnmatchcase(name, each))
        return next(found, None)

    def _of(self, plugin: str) -> list[Effects]:
        """The rules for a plugin; those of its own last, for they go before the others."""
        if not self._by_plugin:
            return []
        names = (EVERY_PLUGIN, *reversed(self._bundles(plugin)), plugin)
        return [self._by_plugin[each] for each in names if each in self._by_plugin]

    def __setitem__(self, plugin: str, rules: Effects) -> None:
        known = [EVERY_PLUGIN, *self._plugins()]
        if plugin not in known:
            msg = f"there are rules for the effects of {plugin!r}, but no such plugin.{suggestion(str(plugin), known)}"
            raise UnknownPluginError(msg, name=str(plugin), known=known)
        if not isinstance(rules, Effects):
            msg = f"the rules for the effects of {plugin!r} are {rules!r}. Write them as Effects(retries=2, timeout=5.0)."
            raise EffectError(msg)
        self._set(plugin, rules)

    def __delitem__(self, plugin: str) -> None:
        if plugin not in self._by_plugin:
            raise KeyError(plugin)
        self._set(plugin, None)

    def _set(self, plugin: str, rules: Effects | None) -> None:
        """Set or drop rules; a notebook is told, so that its cell can take it back."""

        def look(every: EffectRules) -> Effects | None:
            return every._by_plugin.get(plugin)

        def put(every: EffectRules, rules: Effects | None, reason: str) -> None:
            every._put(plugin, rules, reason)

        registrar = current_registrar.get() if self._bus.cause() is None else None
        with noted(self, registrar, "effect rules", f"of {plugin}", look, put):
            self._put(plugin, rules)

    def _put(self, plugin: str, rules: Effects | None, reason: str = "") -> None:
        if rules is None:
            self._by_plugin.pop(plugin, None)
        else:
            self._by_plugin[plugin] = rules
        if self._bus.recorder is not None:
            told = None if rules is None else asdict(rules)
            self._bus.recorder.put(
                "change", "effects", plugin=plugin.strip(EVERY_PLUGIN), reason=reason, payload=told
            )

    def __getitem__(self, plugin: str) -> Effects:
        return self._by_plugin[plugin]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_plugin)

    def __len__(self) -> int:
        return len(self._by_plugin)

    def __repr__(self) -> str:
        return repr(self._by_plugin)


class Effect:
    """``ctx.effect``: performs a call that touches the world, or in a replay gives back what it gave when recorded.

    A sync function is called at once; a coroutine function gives a coroutine to await. Arguments are recorded by the
    names of the parameters, so that the names that a recording redacts are hidden, and so are pydantic's secret types;
    a result that is a secret should be a ``SecretStr``. What the function returns is given back as what its return
    annotation says, or without one as plain JSON data; what it raises is raised again. An effect inside an effect is
    recorded below it; a replay gives the outer one back.

    >>> from plugbook import Event, Host, Plugin, on
    >>> class Asked(Event):
    ...     currency: str
    >>> def rate(currency: str) -> float:
    ...     return {"USD": 1.25}[currency]  # from some service
    >>> class Rates(Plugin):
    ...     @on(Asked)
    ...     def look(self, event: Asked) -> float:
    ...         return self.ctx.effect(rate, event.currency)
    >>> with Host([Rates]) as host:
    ...     _ = host.start()
    ...     report = host.publish(Asked(currency="USD"))
    ...     [record] = host.recording.select(kinds="input")
    >>> report.calls[0].result, record.name, record.payload["arguments"], record.result
    (1.25, 'rate', {'currency': 'USD'}, 1.25)
    """

    def __init__(
        self, asker: Asker, name: str | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        self._asker = asker
        self._name = name
        self._options = options or {}

    def __call__(self, f: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``f(*args, **kwargs)``, which touches the world; with a coroutine function, await what this returns.

        Raises:
            EffectError: `f` is no function, or gives a coroutine without being a coroutine function.
            EffectDeniedError: the host does not allow it.
            EffectTimeoutError: it took longer than it may.
            EffectReplayError: in a replay, the recording has nothing to give back for it.
            RecordedError: in a replay, it raised an error whose type is not at hand.
        """
        if not callable(f):
            msg = f"ctx.effect takes a function and its arguments, not {f!r}. Write ctx.effect(fetch, url), not ctx.effect(fetch(url))."
            raise EffectError(msg)
        asker = self._asker
        function = asker.functions.of(f)
        limits = asker.rules.limits(asker.plugin, self._options)
        performance: Performance[T] = Performance(asker, f, args, kwargs, function, self._name, limits)
        if function.is_async:
            return performance.run_async()  # type: ignore[return-value]  # T is a coroutine
        return performance.run()

    @refuses_misspelt
    def using(
        self,
        *,
        name: str | None = None,
        retries: int | None = None,
        backoff: float | None = None,
        timeout: float | None = None,
        retry_on: type[Exception] | tuple[type[Exception], ...] | None = None,
    ) -> Effect:
        """The same with options, which stand apart so that none of them is taken for an argument of the function.

        ``ctx.effect.using(retries=3, timeout=2.0)(fetch, url)``

        Args:
            name: what it is called in the recording; by default as the function is, such as ``SMTP.send_message``.
            retries: how many attempts more there are after one that failed.
            backoff: seconds before the first of them; before each further one it is twice as long, up to a minute.
            timeout: seconds that an attempt may take. A sync function then runs on a thread of its own, which goes on
                when it is given up.
            retry_on: the errors after which it is tried again; all where left out.

        Raises:
            EffectError: an option cannot be.
        """
        _check_numbers(retries, backoff, timeout)
        kinds = retry_on if isinstance(retry_on, tuple) or retry_on is None else (retry_on,)
        if kinds is not None and not all(map(_is_error, kinds)):
            msg = f"retry_on= takes exceptions such as ConnectionError, not {retry_on!r}"
            raise EffectError(msg)
        given = {"retries": retries, "backoff": backoff, "timeout": timeout, "retry_on": kinds}
        more = {option: value for option, value in given.items() if value is not None}
        return Effect(self._asker, name or self._name, {**self._options, **more})

    def __repr__(self) -> str:
        options = ", ".join(f"{option}={value!r}" for option, value in self._options.items())
        return f"<effects of {self._asker.plugin}{': ' * bool(options)}{options}>"


def _check_numbers(retries: object, backoff: object, timeout: object) -> None:
    if retries is not None and (type(retries) is not int or retries < 0):
        msg = f"retries must be a whole number from 0, not {retries!r}"
        raise EffectError(msg)
    if backoff is not None and not _is_number(backoff):
        msg = f"backoff must be a number of seconds from 0, not {backoff!r}"
        raise EffectError(msg)
    if timeout is not None and not (_is_number(timeout) and timeout):
        msg = f"timeout must be a number of seconds above 0, not {timeout!r}"
        raise EffectError(msg)


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    )
