"""What a plugin's class defines: the methods that the host calls, its handlers, its configuration."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Collection, Iterator
from typing import Final

from plugbook.checking.problem import Problem, sentences
from plugbook.checking.source import UNKNOWN, Function, is_generator, literal, own_nodes, signature_of
from plugbook.checking.written import Written, is_topic
from plugbook.errors import TopicError, suggestion
from plugbook.events.subscription import source_problem
from plugbook.events.topics import compile_pattern
from plugbook.plugins.authoring.methods import CALLED, uncalled_remedy
from plugbook.plugins.plugin import on
from plugbook.plugins.reloading.keeping import state_problem

_CODES: Final = {"on_config_change": "listener"}
"""How the codes begin of problems with a method, where they do not with its name."""

_BLOCKING: Final = frozenset(
    {
        "time.sleep",
        "input",
        "os.system",
        "subprocess.run",
        "subprocess.call",
        "subprocess.check_call",
        "subprocess.check_output",
        "urllib.request.urlopen",
        "requests.get",
        "requests.post",
        "requests.put",
        "requests.request",
        "httpx.get",
        "httpx.post",
    }
)
"""Calls that hold up whoever waits on the same loop."""

_OPTIONS: Final = tuple(name for name in inspect.signature(on).parameters if name != "target")


def check_methods(written: Written) -> Iterator[Problem]:
    """What is wrong with the methods of a plugin's class."""
    methods = list(written.methods())
    for method in methods:
        yield from _check_called(written, method)
        for decorator in method.decorator_list:
            yield from _check_on(written, method, decorator)
        yield from _check_blocking(written, method)
    yield from _check_state(written, methods)
    yield from _check_uncalled(written, methods)
    yield from _check_slips(written, methods)
    yield from _check_config(written)


def _check_called(written: Written, method: Function) -> Iterator[Problem]:
    if method.name == "__init__":
        yield from _check_init(written, method)
    elif method.name in CALLED:
        called = CALLED[method.name]
        code, remedy = _CODES.get(method.name, method.name), f"Write def {called.shape}."
        if is_generator(method):
            told = f"{method.name} yields, so calling it would run nothing"
            yield written.source.problem(f"{code}-yields", method, told, remedy)
        elif not method.decorator_list and not _takes(method, called.arity):
            told = f"{method.name} takes {_shown(method)}, but it is called with {called.given}"
            yield written.source.problem(f"{code}-signature", method, told, remedy)


def _check_init(written: Written, method: Function) -> Iterator[Problem]:
    if not _takes(method, 1):
        told = f"__init__ takes {_shown(method)}, but the host makes plugins without arguments"
        remedy = "Give each a default, or read it from self.ctx.config in start."
        yield written.source.problem("init-signature", method, told, remedy)


def _takes(method: Function, count: int) -> bool:
    try:
        signature_of(method).bind(*[None] * count)
    except (TypeError, ValueError):
        return False
    return True


def _shown(method: Function) -> str:
    return f"({ast.unparse(method.args)})"


def _check_state(written: Written, methods: list[Function]) -> Iterator[Problem]:
    """State that is given and not taken, or the other way round; what stands in a base is not known."""
    named = {each.name: each for each in methods if each.name in ("snapshot", "restore")}
    problem = state_problem(named)
    if problem and written.has_plain_bases and not any(each.decorator_list for each in named.values()):
        [method] = named.values()
        yield written.source.problem("state", method, *sentences(f"{problem}."))


# -- handlers -------------------------------------------------------------------------------------


def _check_on(written: Written, method: Function, decorator: ast.expr) -> Iterator[Problem]:
    source = written.source
    if source.is_ours(decorator, "on"):
        told = "@on does not say what to listen to"
        remedy = f"Write @on(OrderPlaced) or @on('order.*') above {method.name}."
        yield source.problem("handler-target", decorator, told, remedy)
        return
    if not (isinstance(decorator, ast.Call) and source.is_ours(decorator.func, "on")):
        return
    yield from _check_target(written, decorator)
    yield from _check_options(written, method, decorator)
    below = method.decorator_list[method.decorator_list.index(decorator) + 1 :]
    wrapper = next(
        (each for each in below if source.full_name(each) in ("staticmethod", "classmethod")), None
    )
    if wrapper is not None:
        told = f"@on decorates a {source.full_name(wrapper)}, and a handler is a method"
        yield source.problem("handler-target", decorator, told, "Put @on directly on a method.")
    if is_generator(method):
        told = f"{method.name} yields, so calling it would run nothing"
        remedy = "Return a value, or publish events instead."
        yield source.problem("handler-yields", method, told, remedy)
    elif len(method.decorator_list) == 1 and not _takes(method, 2):
        told = f"{method.name} takes {_shown(method)}, but a handler is called with one event"
        yield source.problem("handler-signature", method, told, f"Write def {method.name}(self, event).")


def _check_target(written: Written, decorator: ast.Call) -> Iterator[Problem]:
    source = written.source
    given = [*decorator.args, *(each.value for each in decorator.keywords if each.arg == "target")]
    if not given:
        remedy = "Write @on(OrderPlaced) or @on('order.*')."
        yield source.problem("handler-target", decorator, "@on does not say what to listen to", remedy)
        return
    target = literal(given[0])
    if isinstance(target, str):
        try:
            compile_pattern(target)
        except TopicError as error:
            yield source.problem("topic", given[0], *sentences(str(error)))
    elif target is not UNKNOWN:
        told = f"@on cannot listen to {ast.unparse(given[0])}, which is no Event class"
        remedy = "Give an Event class or a topic pattern such as 'order.*'."
        yield source.problem("handler-target", given[0], told, remedy)


def _check_options(written: Written, method: Function, decorator: ast.Call) -> Iterator[Problem]:
    for keyword in decorator.keywords:
        value = literal(keyword.value)
        if keyword.arg is not None and keyword.arg not in (*_OPTIONS, "target"):
            told = f"@on has no option {keyword.arg!r}"
            remedy = suggestion(keyword.arg, _OPTIONS).strip()
            yield written.source.problem("handler-option", keyword, told, remedy)
        elif value is not UNKNOWN and (told := _option_problem(keyword.arg or "", value, method)):
            yield written.source.problem("handler-option", keyword, *sentences(told))


def _option_problem(name: str, value: object, method: Function) -> str:
    if name == "thread" and value is True and isinstance(method, ast.AsyncFunctionDef):
        return "thread=True is for sync handlers; an async one runs on the host's loop. Leave it out."
    if name == "priority" and type(value) is not int:
        return f"priority={value!r} is not a whole number"
    if name == "timeout" and value is not None and not _is_positive(value):
        return f"timeout={value!r} is not a number of seconds above 0"
    if name == "where" and value is not None:
        return f"where={value!r} cannot be called. Give a function of the event."
    return source_problem(value) if name == "source" else ""


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def check_topics(written: Written, known: Collection[str]) -> Iterator[Problem]:
    """Topics that no event here has, where one has a topic that is nearly the same.

    Args:
        written: the plugin.
        known: the topics of the events that its sources define.
    """
    for method in written.methods():
        for decorator in method.decorator_list:
            if (
                isinstance(decorator, ast.Call)
                and written.source.is_ours(decorator.func, "on")
                and decorator.args
            ):
                topic = literal(decorator.args[0])
                if not isinstance(topic, str) or not is_topic(topic) or topic in known:
                    continue
                near = suggestion(topic, known, listing=False).strip()
                if near:
                    told = f"no event here has the topic {topic!r}"
                    yield written.source.problem("unknown-topic", decorator.args[0], told, near, "warning")


# -- what never works, or holds up others ---------------------------------------------------------


def _check_blocking(written: Written, method: Function) -> Iterator[Problem]:
    if not isinstance(method, ast.AsyncFunctionDef):
        return
    for node in own_nodes(method):
        name = written.source.full_name(node.func) if isinstance(node, ast.Call) else ""
        if name in _BLOCKING:
            told = f"{name} in the async {method.name} holds up every other coroutine of the host"
            remedy = (
                "Write await asyncio.sleep(...)."
                if name == "time.sleep"
                else f"Write await asyncio.to_thread({name}, ...)."
            )
            yield written.source.problem("blocking-call", node, told, remedy, "warning")


def _check_uncalled(written: Written, methods: list[Function]) -> Iterator[Problem]:
    used = _used_in(methods)
    for method in methods:
        remedy = uncalled_remedy(method.name)
        if remedy and method.name not in used and not method.decorator_list:
            told = f"nobody calls {method.name}"
            yield written.source.problem("never-called", method, told, f"{remedy}.", "warning")


def _check_slips(written: Written, methods: list[Function]) -> Iterator[Problem]:
    """Names that are a slip away from what the host looks for, which would be passed over without a word."""
    if not written.has_plain_bases or not isinstance(written.node, ast.ClassDef):
        return
    used = _used_in(methods)
    for method in methods:
        meant = next((name for name in CALLED if _is_slip(method.name, name)), "")
        if meant and method.name not in used and not method.decorator_list:
            told, remedy = (
                f"nobody calls {method.name}",
                f"Did you mean {meant!r}? Write def {CALLED[meant].shape}.",
            )
            yield written.source.problem("never-called", method, told, remedy, "warning")
    for node in written.node.body:
        for name in _assigned(node):
            if _is_slip(name, "state_version") and name not in used:
                told = f"nobody reads {name}"
                remedy = "Did you mean 'state_version'?"
                yield written.source.problem("never-read", node, told, remedy, "warning")


def _used_in(methods: list[Function]) -> set[str]:
    return {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for method in methods
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute | ast.Name)
    }


def _assigned(node: ast.stmt) -> Iterator[str]:
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    yield from (target.id for target in targets if isinstance(target, ast.Name))


def _is_slip(name: str, meant: str) -> bool:
    """Whether one letter is wrong, missing, too many, or has changed places with the next.

    More letters at the end make another word, such as `restored` or `healthy`.
    """
    if name.startswith(meant):
        return False
    differ = (at for at, (given, right) in enumerate(zip(name, meant, strict=False)) if given != right)
    at = next(differ, min(len(name), len(meant)))
    rest, wanted = name[at:], meant[at:]
    is_swapped = rest[:2] == wanted[1::-1] and rest[2:] == wanted[2:]
    return is_swapped or rest[1:] in (wanted, wanted[1:]) or rest == wanted[1:]


def _check_config(written: Written) -> Iterator[Problem]:
    body = written.node.body if isinstance(written.node, ast.ClassDef) else []
    for each in body:
        if isinstance(each, ast.ClassDef) and each.name == "Config" and not each.bases:
            told = "Config is a plain class, and options are described by a pydantic model"
            yield written.source.problem("config-model", each, told, "Write class Config(BaseModel).")
