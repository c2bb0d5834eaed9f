"""What a plugin says of itself: its class keywords, each checked where it stands, and all of them together."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from packaging.specifiers import SpecifierSet

from plugbook.checking.problem import Problem, sentences
from plugbook.checking.source import UNKNOWN, literal
from plugbook.errors import ManifestError
from plugbook.plugins.manifest import Manifest, make_manifest, split
from plugbook.plugins.plugin import check_keywords

if TYPE_CHECKING:
    from plugbook.checking.written import Written

_OF_BUILDERS = ("config", "members")
_OF_BUNDLES = ("members",)


def check_manifest(written: Written) -> Iterator[Problem]:
    """What is wrong with what a plugin says of itself."""
    wrong = list(_wrong_keywords(written))
    yield from wrong
    if not wrong:
        problem = _whole(written)
        if problem is not None:
            yield problem


def manifest_of(written: Written) -> Manifest | None:
    """What a plugin says of itself literally; None where it cannot be."""
    fields = {name: value for name, value in written.fields().items() if name in Manifest.model_fields}
    try:
        return make_manifest(fields | {"entry_point": written.attribute})
    except ManifestError:
        return None


def check_host_version(manifest: Manifest, api_version: str) -> Problem | None:
    """Whether a plugin takes a host of that API version."""
    wanted = manifest.requires_host
    if not wanted or SpecifierSet(wanted).contains(api_version, prereleases=True):
        return None
    return Problem(
        "host-version",
        f"it takes hosts of API version {wanted}, and is checked for {api_version}",
        "Widen requires_host, or say the version of the application that it is for: --api-version.",
        plugin=manifest.name,
    )


def check_relations(manifest: Manifest, others: Mapping[str, Manifest]) -> Iterator[Problem]:
    """Plugins that are named as capabilities, and capabilities as plugins, among the plugins that are known.

    Args:
        manifest: of the plugin that is checked.
        others: the manifests of those that are known, by name.
    """
    provided = {name: each.name for each in others.values() for name in each.capabilities()}
    for text in manifest.requires:
        name = split(text).name
        if name not in others and name in provided:
            told = (
                f"it requires {name!r}, which is no plugin, but a capability that {provided[name]!r} provides"
            )
            yield _mixed_up(manifest, told, f"Write needs=[{text!r}] instead of requires.")
    for text in manifest.needs:
        name = split(text).name
        if name in others and name not in provided:
            told = f"it needs {name!r}, which no plugin here provides: that is the name of a plugin"
            yield _mixed_up(manifest, told, f"Write requires=[{text!r}] instead of needs.")


def _mixed_up(manifest: Manifest, message: str, remedy: str) -> Problem:
    return Problem("needs-or-requires", message, remedy, "warning", plugin=manifest.name)


def _wrong_keywords(written: Written) -> Iterator[Problem]:
    for keyword in written.keywords:
        name = keyword.arg or ""
        if name == "members" and _may_have_members(written):
            continue
        code = "unknown-keyword" if name not in Manifest.model_fields else f"manifest-{name}"
        for node, told in _keyword_problems(written, keyword, name):
            yield written.source.problem(code, node, *sentences(told))
    if not written.is_class or not any(each.arg == "name" for each in written.keywords):
        told = _field_problem("name", written.name)
        if told:
            yield written.source.problem("manifest-name", written.node, *sentences(told))


def _keyword_problems(
    written: Written, keyword: ast.keyword, name: str
) -> Iterator[tuple[ast.keyword | ast.expr, str]]:
    """What is wrong with a class keyword; with the items of a list, each of them where it stands."""
    told = _keyword_problem(written, name, literal(keyword.value))
    if not told:
        return
    items = keyword.value.elts if isinstance(keyword.value, ast.List | ast.Tuple) else ()
    wrong: list[tuple[ast.keyword | ast.expr, str]] = [
        (item, each) for item in items if (each := _keyword_problem(written, name, [literal(item)]))
    ]
    yield from wrong or [(keyword, told)]


def _keyword_problem(written: Written, name: str, value: Any) -> str:
    if not written.is_class and name in _OF_BUILDERS:
        return ""
    if not written.has_plain_bases and name not in Manifest.model_fields:
        return ""
    try:
        check_keywords([name], "")
    except ManifestError as error:
        return str(error).removeprefix(": ")
    return _field_problem(name, value) if name in Manifest.model_fields and value is not UNKNOWN else ""


def _field_problem(name: str, value: Any) -> str:
    try:
        make_manifest({"name": "a-name-of-its-own", name: value}, where="it")
    except ManifestError as error:
        return re.sub(rf"^it: ({name}(\.\d+)*: )?", "", str(error))
    return ""


def _whole(written: Written) -> Problem | None:
    fields = {name: value for name, value in written.fields().items() if name in Manifest.model_fields}
    try:
        make_manifest(fields, where="it")
    except ManifestError as error:
        message, remedy = sentences(str(error).removeprefix("it: "))
        return written.source.problem("manifest", written.node, message, remedy)
    return None


def _may_have_members(written: Written) -> bool:
    bases = written.node.bases if isinstance(written.node, ast.ClassDef) else []
    return not any(written.source.is_ours(base, "Plugin") for base in bases)
