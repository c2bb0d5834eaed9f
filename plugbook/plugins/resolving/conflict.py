"""Why versions of plugins cannot be used together: the fewest rules that exclude them, told as sentences."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from plugbook.plugins.manifest import Manifest, split
from plugbook.plugins.resolving.formula import Formula, Rule

_PLURAL = {"requires": "require", "needs": "need", "conflicts with": "conflict with"}


def clash(formula: Formula, wishes: Sequence[Rule], circles: Sequence[Rule] = ()) -> list[Rule] | None:
    """The fewest rules that cannot hold together, the wishes among them; None where all can.

    Rules of plugins that no wish leads to are left out: without them the rest holds as well.

    Args:
        formula: the candidates.
        wishes: what is to be there, foremost first.
        circles: rules that forbid circles.
    """
    return formula.core([*wishes, *_rules_near(formula, wishes), *circles])


def exclusion(
    formula: Formula, manifest: Manifest, chosen: Mapping[str, Manifest], circles: Sequence[Rule] = ()
) -> list[Rule]:
    """The fewest rules that exclude a version.

    Those of the manifests alone, if they do; or else with the wish that every plugin chosen is there; or else
    with the wish that those earlier by name are there in no older version.

    Args:
        formula: the candidates.
        manifest: the one in question, none of those chosen and none older.
        chosen: the best set, by name.
        circles: rules that forbid circles.
    """
    used = Rule("used", manifest.name, ([formula.variable_of(manifest)],))
    others = [each for each in chosen.values() if each.name != manifest.name]
    present = [Rule("present", each.name, ([formula.present(each.name)],)) for each in others]
    earlier = [each for each in others if each.name < manifest.name]
    newer = [Rule("newer", str(each), ([formula.as_new_as(each)],)) for each in earlier]
    for wishes in ([used], [used, *present], [used, *present, *newer]):
        core = clash(formula, wishes, circles)
        if core is not None:
            return [rule for rule in core if rule is not used]
    return []


def tell(formula: Formula, rules: Iterable[Rule]) -> str:
    """Rules as sentences; what several versions of a plugin say alike is one sentence."""
    alike: dict[tuple[str, str, str], list[Rule]] = defaultdict(list)
    for rule in rules:
        alike[rule.kind, rule.manifest.name if rule.manifest else "", rule.text].append(rule)
    return "; ".join(_sentence(formula, together) for together in alike.values())


def _rules_near(formula: Formula, wishes: Iterable[Rule]) -> Iterator[Rule]:
    """The rules of the plugins that wishes lead to, the nearest first."""
    waiting = deque(dict.fromkeys(name for wish in wishes for name in formula.names_in(wish)))
    seen = set(waiting)
    while waiting:
        for rule in formula.rules_of(waiting.popleft()):
            yield rule
            for name in formula.leads_to(rule):
                if name not in seen:
                    seen.add(name)
                    waiting.append(name)


def _sentence(formula: Formula, alike: Sequence[Rule]) -> str:
    rule = alike[0]
    match rule.kind:
        case "asked":
            return f"you asked for {rule.text}{_nobody(formula, rule)}"
        case "present":
            return f"{rule.text} is to be there"
        case "newer":
            return f"{rule.text} is preferred to an older one"
        case "cycle":
            return f"{rule.text}: that is a cycle"
        case "conflicts":
            return f"{_said_by(alike, 'conflicts with')} {rule.text}"
        case "requires_host":
            wanted = f"{_said_by(alike, 'requires')} a host of API version {rule.text}"
            return f"{wanted}, and this one has {formula.host_version}"
        case _:
            return f"{_said_by(alike, rule.kind)} {rule.text}{_nobody(formula, rule)}"


def _said_by(alike: Sequence[Rule], verb: str) -> str:
    name, *_ = (rule.manifest.name for rule in alike if rule.manifest)
    versions = [rule.manifest.version for rule in alike if rule.manifest]
    return f"{name} {_listed(versions)} {verb if len(versions) == 1 else _PLURAL[verb]}"


def _nobody(formula: Formula, rule: Rule) -> str:
    """What to add where nothing that is there would do."""
    if any(literal > 0 for clause in rule.clauses for literal in clause):
        return ""
    versions = formula.candidates.get(split(rule.text).name, ()) if rule.kind != "needs" else ()
    there = f": there is only {_listed([each.version for each in versions])}" if versions else ""
    return f", which nobody {'provides' if rule.kind == 'needs' else 'offers'}{there}"


def _listed(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
