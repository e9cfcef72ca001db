"""Variables against the roles' argument specs: wrong types, unknown keys, misspelt names.

Ansible checks a spec when its role runs, one role at a time and in the first problem's words; the same
spec is read here for all roles at once. Stricter in one point: a list or dict must be written as one, since
roles use the value as it stands and a comma-separated string would fall apart into letters.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ansible.module_utils.preflight_values import Problem

Spec = Mapping[str, Any]
# Type name -> function that returns the converted value or raises TypeError or ValueError.
Converters = Mapping[str, Callable[[Any], Any]]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTAINERS: dict[str, type] = {"list": list, "dict": dict}
_ARTICLES = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}


def value_problems(path: str, spec: Spec, value: Any, converters: Converters) -> Iterator[Problem]:
    """What is wrong with one value, at any depth, each with its path."""
    kind = spec.get("type", "str")
    shown = "a secret" if spec.get("no_log") else _shown(value)
    if value is None:
        if spec.get("required"):
            yield Problem(path, "is empty", f"set it: {_sentence(spec)}")
        elif spec.get("default") is not None:
            yield Problem(path, "is empty", "set it, or remove the line for its default")
        return
    if kind in _CONTAINERS and not isinstance(value, _CONTAINERS[kind]):
        yield Problem(path, f"{shown} is not a {kind}", f"write it as a YAML {kind}")
        return
    if kind in {"str", "path"} and isinstance(value, (list, dict)):
        yield Problem(path, f"is a {type(value).__name__}", "set it to text")
        return
    if isinstance(value, str) and not spec.get("no_log") and _CONTROL.search(value):
        yield Problem(
            path, f"{shown} holds a line break or another control character", "write it on one line"
        )
        return
    if kind not in _CONTAINERS and kind in converters:
        try:
            value = converters[kind](value)
        except (TypeError, ValueError):
            yield Problem(path, shown, f"set it to {_ARTICLES.get(kind, kind)}")
            return
    choices = spec.get("choices")
    if choices and kind not in _CONTAINERS and value not in choices:
        guess = did_you_mean(str(value), map(str, choices))
        yield Problem(path, f"{shown} is unknown{guess}", f"set it to one of {', '.join(map(str, choices))}")
    if kind == "list":
        yield from _elements(path, spec, value, converters)
    elif kind == "dict" and "options" in spec:
        yield from _options(path, spec["options"], value, converters)


def _elements(path: str, spec: Spec, value: list[Any], converters: Converters) -> Iterator[Problem]:
    element: dict[str, Any] = {"type": spec.get("elements", "raw"), "no_log": spec.get("no_log", False)}
    element.update({key: spec[key] for key in ("options", "choices") if key in spec})
    for index, entry in enumerate(value):
        if entry is None:
            yield Problem(f"{path}[{index}]", "is empty", "write a value or remove the line")
        yield from value_problems(f"{path}[{index}]", element, entry, converters)


def _options(path: str, options: Spec, value: Mapping[str, Any], converters: Converters) -> Iterator[Problem]:
    for key in value:
        if key not in options:
            guess = did_you_mean(str(key), options)
            yield Problem(f"{path}.{key}", f"is not a key of {path}{guess}", f"keys are {', '.join(options)}")
    for key, option in options.items():
        if key in value:
            yield from value_problems(f"{path}.{key}", option, value[key], converters)
        elif option.get("required"):
            yield Problem(f"{path}.{key}", "is missing", f"set it: {_sentence(option)}")


def missing_problem(name: str, spec: Spec) -> Problem:
    """A required variable that no file of the inventory sets."""
    choices = spec.get("choices")
    remedy = f"set it to one of {', '.join(map(str, choices))}" if choices else f"set it: {_sentence(spec)}"
    return Problem(name, "is not set", f"{remedy}, in group_vars of the inventory")


def unknown_variables(names: Iterable[str], known: Mapping[str, set[str]]) -> Iterator[Problem]:
    """Names that carry a role's prefix but are none of its variables; `known` is role -> its variables."""
    for name in sorted(names):
        roles = [role for role in known if name.startswith(f"{role}_")]
        if not roles or any(name in variables for variables in known.values()):
            continue
        role = max(roles, key=len)
        # Names of one role share their beginning: less likeness than this is mere prefix.
        guess = did_you_mean(name, known[role], likeness=0.75)
        yield Problem(name, f"is not a variable of role {role}{guess}", "correct or remove it")


def did_you_mean(name: str, candidates: Iterable[str], likeness: float = 0.6) -> str:
    close = difflib.get_close_matches(name, list(candidates), n=1, cutoff=likeness)
    return f"; did you mean {close[0]}?" if close else ""


def _shown(value: Any) -> str:
    """A scalar as it was written; of anything larger only the type, it may hold secrets."""
    if isinstance(value, (str, int, float, bool)):
        return f"`{value}`" if len(str(value)) <= 60 else f"text of {len(str(value))} characters"
    return f"a {type(value).__name__}"


def _sentence(spec: Spec) -> str:
    """The first sentence of an option's description, without Ansible's markup."""
    description = spec.get("description", "")
    text = description[0] if isinstance(description, list) and description else str(description)
    return re.sub(r"\b[A-Z]\((.*?)\)", r"\1", text.split(". ")[0]).rstrip(".") or "it has no default"
