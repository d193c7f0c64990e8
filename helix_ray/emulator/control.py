"""The control plane: what the emulator saw, and changes while it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from pydantic import ValidationError

from helix_ray.config.emulator import EmulatorConfig
from helix_ray.emulator import messages
from helix_ray.emulator.chat import Chat, Reply
from helix_ray.emulator.journal import Journal

FIXED = ("tier", "seed", "error_rates")
"""Keys that no change may name: answers already given depend on them."""
CHANGEABLE = tuple(name for name in EmulatorConfig.model_fields if name not in FIXED)
_MAX_PAGE = 10_000


class Control:
    """``/_ctl/summary``, ``/_ctl/ledger``, ``/_ctl/reads`` and ``POST /_ctl/set``."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._journals: dict[str, Journal[Any]] = {"/_ctl/ledger": chat.ledger.entries, "/_ctl/reads": chat.ledger.reads}

    def get(self, path: str, query: bytes) -> Reply:
        if path == "/_ctl/summary":
            return _reply(self._chat.summary())
        journal = self._journals.get(path)
        if journal is None:
            return Reply(404, [], messages.unknown_url("GET", path))
        asked = parse_qs(query.decode("latin-1"))
        offset, limit = asked.get("offset", ["0"])[0], asked.get("limit", ["1000"])[0]
        if not (offset.isdecimal() and limit.isdecimal()):
            return Reply(400, [], messages.error_body("offset and limit must be whole numbers"))
        return _reply(journal.page(int(offset), min(int(limit), _MAX_PAGE)))

    def set(self, body: bytes) -> Reply:
        """Changes the keys named, all of them or, with a 400 that names every problem, none."""
        try:
            given = json.loads(body)
        except ValueError:
            return Reply(400, [], messages.error_body("the body is not valid JSON"))
        if not isinstance(given, dict) or not given:
            return Reply(400, [], messages.error_body(f"expected a JSON object with some of the keys {', '.join(CHANGEABLE)}"))
        outcome = changed(self._chat.config, given)
        if isinstance(outcome, list):
            return Reply(400, [], messages.error_body("; ".join(outcome)))
        self._chat.change(outcome, given)
        return _reply({"changed": outcome.model_dump(mode="json", include=set(given))})


def changed(config: EmulatorConfig, given: Mapping[str, Any]) -> EmulatorConfig | list[str]:
    """The configuration with the given keys replaced, in sections only those that are named; or what is wrong with them."""
    problems = [f"{key}: cannot be changed while the emulator runs" for key in given if key in FIXED]
    unknown = [key for key in given if key not in EmulatorConfig.model_fields]
    problems += [f"{key}: unknown key; allowed: {', '.join(CHANGEABLE)}" for key in unknown]
    values = config.model_dump(mode="json")
    for key, value in given.items():
        section = values.get(key)
        values[key] = {**section, **value} if isinstance(section, dict) and isinstance(value, dict) else value
    try:
        made = EmulatorConfig.model_validate_json(json.dumps({key: value for key, value in values.items() if key not in unknown}))
    except ValidationError as error:
        return problems + [_explained(problem) for problem in error.errors(include_url=False)]
    return problems or made


def _explained(problem: Any) -> str:
    key, found = ".".join(map(str, problem["loc"])), json.dumps(problem["input"], default=str)
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    return f"{key}: {problem['msg'][:1].lower()}{problem['msg'][1:]}; found {found[:100]}"


def _reply(value: object) -> Reply:
    return Reply(200, [], json.dumps(value, separators=(",", ":")).encode())
