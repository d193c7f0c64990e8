"""YAML by rules that do not guess.

As it comes, YAML would let the last of two equal keys win, expand aliases without bound, read ``on`` as yes, ``010`` as
eight and ``1e3`` as text. Here each of these is a problem with its line, and so are tags and nesting deeper than 20.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

MAX_DEPTH = 20

KeyPath = tuple[str, ...]
Places = dict[KeyPath, str]
"""Where each key was given: ``line 7`` of the file, or ``--set source.count=0``."""

_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
_PLAIN_SCALARS = ("str", "int", "float", "bool", "null")


def read_yaml(text: str, path: KeyPath, places: Places, problems: list[str]) -> Any:
    """The value that ``text`` holds; every rule broken on the way goes to ``problems``."""
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:  # before anything walks the tree by recursion
                problems.append(f"{_line(event)}: nested deeper than {MAX_DEPTH} levels")
                return None
            if isinstance(event, yaml.AliasEvent):
                problems.append(f"{_line(event)}: aliases (*{event.anchor}) are not allowed; write the value out")
            elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
                problems.append(f"{_line(event)}: tags ({event.tag}) are not allowed; write the plain value")
        if problems:
            return None
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        what = getattr(error, "problem", None) or " ".join(str(error).split())
        problems.append(f"{where}not valid YAML: {what}")
        return None
    return None if node is None else _plain(node, path, places, problems)


def _line(marked: Any) -> str:
    return f"line {marked.start_mark.line + 1}"


def _plain(node: yaml.Node, path: KeyPath, places: Places, problems: list[str]) -> Any:
    """A YAML node as plain Python values, noting the place of each key."""
    places[path] = _line(node)
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                problems.append(f"{_line(key_node)}: a key must be one plain word")
                continue
            key = str(key_node.value)
            if key == "<<":
                problems.append(f"{_line(key_node)}: merge keys (<<) are not allowed; write the keys out")
                continue
            if key in result:
                problems.append(f"{_line(key_node)}: key '{show((*path, key))}' stands here a second time; keep one")
            result[key] = _plain(value_node, (*path, key), places, problems)
            places[*path, key] = _line(key_node)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, str(index)), places, problems) for index, item in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node, path, problems)


def _scalar(node: yaml.ScalarNode, path: KeyPath, problems: list[str]) -> Any:
    """YAML 1.1 surprises (``on``, ``010``, ``1:30``, dates) are refused; ``1e3`` is the number that it looks like."""
    text, kind = str(node.value), node.tag.rpartition(":")[2]
    where = f"{_line(node)}: {show(path)}"
    if kind not in _PLAIN_SCALARS:
        problems.append(f"{where}: '{text}' is read by YAML as {kind}; put quotes around it")
        return None
    if kind == "str" and node.style is None and _EXPONENT.fullmatch(text):
        return float(text)
    if kind == "bool" and text.lower() not in ("true", "false"):
        problems.append(f"{where}: '{text}' would be read as a yes or no; write true, false, or put quotes around it")
        return None
    digits = text.lstrip("+-")
    if kind in ("int", "float") and (":" in text or (digits[0] == "0" and digits[1:2] not in ("", "."))):
        problems.append(f"{where}: '{text}' would be read in another base than ten; write a plain number or put quotes around it")
        return None
    try:
        return yaml.SafeLoader("").construct_object(node)
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        problems.append(f"{where}: a number of {len(text)} characters is too long")
        return None


def show(path: KeyPath) -> str:
    """The dotted key; whatever cannot be printed on one line is escaped."""
    text = ".".join(path)
    return text if text.isprintable() else ascii(text)[1:-1]


def kind_of_value(value: Any) -> str:
    names = {str: "text", int: "number", float: "number", bool: "yes/no", type(None): "nothing", dict: "a section", list: "a list"}
    return names[type(value)]
