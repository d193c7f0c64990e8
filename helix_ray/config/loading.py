"""Finds and reads a configuration: the file, ``--set`` overrides, the strict model; every problem is explained at once.

Each problem names the file, the place (a line, or the override), the dotted key, what was found and what is allowed.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from helix_ray.config.schema import OWN, SHIPPED, Config
from helix_ray.config.yaml import KeyPath, Places, kind_of_value, read_yaml, show
from helix_ray.errors import ConfigError

MAX_BYTES = 256 * 1024
PROMPT = ("analyzer", "prompt")
KIND = ("source", "kind")
PRODUCERS = ("source", "producers")
PRESET = ("source", "mutation", "preset")  # the key that gives the keys beside it their defaults


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration in ``path`` with ``KEY=VALUE`` overrides applied; ConfigError lists every problem found."""
    data, places = _read_file(path)
    return _validate(data, places, str(path), overrides)


def parse_config(data: Mapping[str, Any], source: str, overrides: Sequence[str] = ()) -> Config:
    """A configuration from values already read, for instance a stored run's; ``source`` names them in errors."""
    return _validate(copy.deepcopy(dict(data)), Places(), source, overrides)


def _read_file(path: Path, at: KeyPath = ()) -> tuple[dict[str, Any], Places]:
    """What the file holds; ``at``: the key whose value that is."""
    source = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)  # never more: the path may be a device that has no end
    except FileNotFoundError:
        raise ConfigError(source, ["no such file; configs/ holds examples, configs/demo.yaml explains every key"]) from None
    except (OSError, ValueError) as error:
        raise ConfigError(source, [f"cannot be read: {getattr(error, 'strerror', None) or error}"]) from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(source, [f"larger than {MAX_BYTES} bytes, the most that a configuration may have"])
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8").split("\n")
        where = f"line {len(before)}, column {len(before[-1]) + 1}"
        found = f"byte 0x{raw[error.start]:02x} is not UTF-8, perhaps a letter in Latin-1"
        raise ConfigError(source, [f"{where}: {found}; save the file as UTF-8, and give files names in UTF-8"]) from None
    problems: list[str] = []
    places: Places = {}
    data = read_yaml(text, at, places, problems)
    if not problems and not isinstance(data, dict | None):
        expected = "keys such as 'name:'" if at else "sections such as 'run:' and 'source:'"
        problems.append(f"expected {expected}, found {kind_of_value(data)}")
    if problems:
        raise ConfigError(source, problems)
    return data or {}, places


def _apply(data: dict[str, Any], places: Places, override: str) -> None:
    """Sets one ``section.key=value``; the value is read as YAML."""
    key, separator, text = override.partition("=")
    source = f"--set {override}"
    path = tuple(key.strip().split("."))
    if not separator or not all(path):
        raise ConfigError(source, ["expected KEY=VALUE, for instance --set source.count=500"])
    if not text.isascii() and (lone := re.search("[\udc80-\udcff]", text)) is not None:  # how Python keeps a byte of an argument
        found = f"byte 0x{ord(lone[0]) - 0xDC00:02x} is not UTF-8, perhaps a letter in Latin-1"
        raise ConfigError(ascii(source)[1:-1], [f"character {lone.start() + 1} of the value: {found}; rename the file, or link to it"])
    problems: list[str] = []
    value = read_yaml(text, path, {}, problems)
    if problems:
        raise ConfigError(source, problems)
    *parents, last = path
    target = data
    for parent in parents:
        child = target.setdefault(parent, {})
        if child is None:
            child = target[parent] = {}
        if not isinstance(child, dict):
            raise ConfigError(source, [f"'{parent}' is not a section"])
        target = child
    if path == PRESET:  # what the file says beside it was meant for the file's preset; other overrides stay
        for beside in [key for key in target if not places.get((*path[:-1], key), "").startswith("--set ")]:
            del target[beside]
            places.pop((*path[:-1], beside), None)
    if path == KIND and not places.get(PRODUCERS, "").startswith("--set "):  # each kind has its own number
        target.pop(PRODUCERS[-1], None)
        places.pop(PRODUCERS, None)
    target[last] = value
    for stale in [known for known in places if known[: len(path)] == path]:
        del places[stale]
    places[path] = source


def _validate(data: dict[str, Any], places: Places, source: str, overrides: Sequence[str]) -> Config:
    for override in overrides:
        _apply(data, places, override)
    _read_prompt(data, places)
    try:
        return Config.model_validate(_filled(_whole_numbers(data), Config))
    except ValidationError as error:
        raise ConfigError(source, list(_explain(error, places))) from None


def _read_prompt(data: dict[str, Any], places: Places) -> None:
    """Puts the prompt of a file in the place of its name, which is relative to the working directory as every path is."""
    section = data.get("analyzer")
    name = section.get("prompt") if isinstance(section, dict) else None
    if isinstance(section, dict) and isinstance(name, str) and name.endswith((".yaml", ".yml")):
        section["prompt"], inside = _read_file(Path(name), PROMPT)
        places |= {key: f"{name}: {place}" for key, place in inside.items()}


def _filled(data: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """A section with nothing under it, every key commented out, is a section of defaults."""
    sections = _sections(model)
    fillable = {key: value or {} for key, value in data.items() if key in sections and isinstance(value, dict | None)}
    return data | {key: _filled(value, sections[key]) for key, value in fillable.items()}


def _sections(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    fields = ((name, field.annotation) for name, field in model.model_fields.items())
    return {name: kind for name, kind in fields if isinstance(kind, type) and issubclass(kind, BaseModel)}


def _whole_numbers(value: Any) -> Any:
    """``1e3`` is a float to Python; where it is whole, an integer key may have it."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _placed(path: KeyPath, message: str, places: Places) -> str:
    """``message`` behind the place of its key, of what was written under it, or of the nearest section around it."""
    if path and path not in places:
        path = next((known for known in places if known[: len(path)] == path), path)
    while path and path not in places:
        path = path[:-1]
    return f"{places[path]}: {message}" if path else message


def _explain(error: ValidationError, places: Places) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        path = tuple(str(part) for part in problem["loc"] if part not in ("[key]", SHIPPED, OWN))
        text, found = problem["msg"].removeprefix("Value error, "), _found(problem["input"])
        if problem["type"] == "extra_forbidden":
            message = f"{show(path)}: unknown key{_nearest(path)}"
        elif problem["type"] == "value_error":
            inner, _, rest = text.partition(": ")  # a model's own message starts with the key that it blames
            path = (*path, *inner.split("."))
            message = f"{show(path)}: {rest}"
        elif problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
            message = f"{show(path)}: expected a section{_keys_of(path)}; found {found}"
        elif problem["loc"][-1:] == ("[key]",):
            message = f"{show(path)}: unknown key;{text.removeprefix('Input')}"
        else:
            message = f"{show(path)}: {text[0].lower()}{text[1:]}; found {found}"
        yield _placed(path, message, places)


def _found(value: Any) -> str:
    if isinstance(value, dict | list):
        return kind_of_value(value)
    shown = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return kind_of_value(value) if value is None else f"{kind_of_value(value)} {shown if len(shown) <= 100 else shown[:100] + '…'}"


def _model_at(path: KeyPath) -> type[BaseModel] | None:
    model: type[BaseModel] | None = Config
    for part in path:
        model = _sections(model).get(part) if model else None
    return model


def _keys_of(path: KeyPath) -> str:
    """The keys that a section, or a mapping with fixed keys, may hold; empty where any key goes."""
    if model := _model_at(path):
        return f" with keys {', '.join(model.model_fields)}"
    parent = _model_at(path[:-1])
    annotation = parent.model_fields[path[-1]].annotation if parent and path[-1] in parent.model_fields else None
    mappings = [kind for kind in (annotation, *get_args(annotation)) if get_origin(kind) is dict]  # a mapping, or null
    literal = get_args(get_args(mappings[0])[0]) if mappings else ()
    return f" with keys {', '.join(literal)}" if literal else ""


def _nearest(path: KeyPath) -> str:
    model = _model_at(path[:-1])
    if model is None:
        return ""
    known = list(model.model_fields)
    close = difflib.get_close_matches(path[-1], known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known keys here: {', '.join(known)}"
