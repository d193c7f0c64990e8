"""What a request must satisfy before any limit is looked at, in Groq's order: JSON and parameters, model, sizes."""

from __future__ import annotations

import json
import marshal
from functools import lru_cache
from typing import Any, NamedTuple

from helix_ray.emulator import messages
from helix_ray.emulator.models import DECOMMISSIONED, MODELS, Model
from helix_ray.emulator.tokens import repeated_text_tokens, text_tokens, total_prompt_tokens

DEFAULT_COMPLETION_TOKENS = 1024  # what Groq reserves when the request names no budget
_COMPACT = json.JSONEncoder(separators=(",", ":"))
_ROLES = frozenset({"system", "user", "assistant", "developer", "tool"})
_FORMATS = frozenset({"text", "json_object", "json_schema"})
_SERVICE_TIERS = frozenset({"on_demand", "auto", "flex"})


class Rejection(NamedTuple):
    status: int
    body: bytes
    model: Model | None  # None: refused before a model was known


class AnswerForm(NamedTuple):
    """The answer that a schema describes."""

    packed: bool  # {"reads": [answer, ...]}, else one answer
    work: bool  # a text before each answer


class _Schema(NamedTuple):
    problem: str | None  # why strict mode refuses it
    form: AnswerForm
    compact: str  # as Groq puts it into the prompt


class ChatRequest(NamedTuple):
    """A request that may be admitted. Token counts are whole tokens."""

    model: Model
    service_tier: str  # on_demand | flex | auto
    contents: list[str]  # of the messages
    last_user_message: str
    prompt_tokens: int
    max_completion_tokens: int
    seed: int | None
    effort: str
    show_reasoning: bool
    form: AnswerForm | None  # None: no schema

    @property
    def requested(self) -> int:
        """What admission charges: the prompt and the whole budget, used or not."""
        return self.prompt_tokens + self.max_completion_tokens


def check(body: bytes, emulated_tier: str, spent: bool = False) -> ChatRequest | Rejection:  # noqa: PLR0912  a list of checks
    """``spent``: the organization has reached its spend limit."""
    try:
        payload = json.loads(body)
    except ValueError:
        return _bad("request body is not valid JSON")
    if not isinstance(payload, dict):
        return _bad("request body must be a JSON object")
    name = payload.get("model")
    if not isinstance(name, str):
        return _bad("'model' : property 'model' is missing", "model")
    problem = _message_problem(payload.get("messages")) or _parameter_problem(payload)
    if problem is not None:
        return _bad(*problem)
    model = MODELS.get(name)
    if model is None:
        if name in DECOMMISSIONED:
            return Rejection(400, messages.model_decommissioned(name), None)
        return Rejection(404, messages.model_not_found(name), None)
    effort = payload.get("reasoning_effort") or "medium"
    if effort not in model.efforts:
        allowed = ", ".join(f"`{each}`" for each in sorted(model.efforts))
        return _bad(f"`reasoning_effort` must be one of {allowed} for model `{name}`", "reasoning_effort", model)
    service_tier = payload.get("service_tier") or "on_demand"
    if service_tier == "flex" and emulated_tier == "free":
        return _bad("service_tier `flex` is not available for this organization", "service_tier", model)
    response_format = payload.get("response_format") or {}
    schema_json: str | None = None
    form: AnswerForm | None = None
    if response_format.get("type") == "json_schema":
        broken, form, schema_json = examined(response_format["json_schema"]["schema"])
        if broken is not None and response_format["json_schema"].get("strict") and model.strict_schema:
            return _bad(broken, "response_format", model)
    if spent:
        return Rejection(400, messages.blocked_api_access(), model)
    last_user, message_tokens = _measure(payload["messages"])
    prompt_tokens = total_prompt_tokens(message_tokens, schema_json)
    budget = payload.get("max_completion_tokens") or payload.get("max_tokens") or DEFAULT_COMPLETION_TOKENS
    if budget > model.max_completion_tokens:
        return Rejection(400, messages.completion_too_long(model.max_completion_tokens), model)
    if prompt_tokens + budget > model.context_window:
        return Rejection(400, messages.context_exceeded(), model)
    return ChatRequest(
        model,
        service_tier,
        [message["content"] for message in payload["messages"]],
        last_user,
        prompt_tokens,
        budget,
        payload.get("seed"),
        effort,
        payload.get("include_reasoning") is not False and payload.get("reasoning_format") != "hidden" and effort != "none",
        form,
    )


def _bad(message: str, param: str | None = None, model: Model | None = None) -> Rejection:
    return Rejection(400, messages.error_body(message, param=param), model)


def _message_problem(value: Any) -> tuple[str, str] | None:
    if not isinstance(value, list) or not value:
        return "'messages' : minimum number of items is 1", "messages"
    for index, message in enumerate(value):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            return f"'messages.{index}' : discriminator property 'role' has invalid value", "messages"
        if not isinstance(message.get("content"), str):
            return f"'messages.{index}.content' : value must be a string", "messages"
    return None


def _parameter_problem(payload: dict[str, Any]) -> tuple[str, str] | None:
    for key in ("max_completion_tokens", "max_tokens"):
        budget = payload.get(key)
        if budget is not None and (type(budget) is not int or budget < 1):
            return f"'{key}' : value must be an integer of at least 1", key
    temperature = payload.get("temperature")
    if temperature is not None and not (type(temperature) in (int, float) and 0 <= temperature <= 2):
        return "'temperature' : value must be a number from 0 to 2", "temperature"
    if payload.get("n") not in (None, 1):
        return "'n' : number must be at most 1", "n"
    if payload.get("stream"):
        return "'stream' : this emulator does not stream", "stream"
    if payload.get("seed") is not None and type(payload["seed"]) is not int:
        return "'seed' : value must be an integer", "seed"
    if payload.get("service_tier") not in (None, *_SERVICE_TIERS):
        return "'service_tier' : value is not available for this organization", "service_tier"
    form = payload.get("response_format")
    if form is not None:
        if not isinstance(form, dict) or form.get("type") not in _FORMATS:
            return "'response_format' : type must be one of text, json_object, json_schema", "response_format"
        if form["type"] == "json_schema":
            described = form.get("json_schema")
            if (
                not isinstance(described, dict)
                or not isinstance(described.get("name"), str)
                or not isinstance(described.get("schema"), dict)
            ):
                return "'response_format.json_schema' : properties 'name' and 'schema' are required", "response_format"
    return None


def _measure(conversation: list[dict[str, Any]]) -> tuple[str, float]:
    """The last user message, and the tokens of all messages."""
    last_user, tokens = "", 0.0
    for message in conversation:
        content = message["content"]
        if message["role"] == "user":
            last_user = content
            tokens += text_tokens(content)
        else:
            tokens += repeated_text_tokens(content)
    return last_user, tokens


def examined(schema: dict[str, Any]) -> _Schema:
    """What a schema from a request's JSON asks for."""
    return _examined(marshal.dumps(schema, 2))


@lru_cache(maxsize=64)
def _examined(marshalled: bytes) -> _Schema:
    """Schemas repeat from request to request, and their marshalled form is the cheapest key to tell them by (in version 2 equal
    ones have equal bytes).
    """
    schema = marshal.loads(marshalled)  # noqa: S302  made by `examined`
    return _Schema(_strict_schema_problem(schema), _form(schema), _COMPACT.encode(schema))


def _form(schema: dict[str, Any]) -> AnswerForm:
    properties = _properties(schema)
    if "reads" not in properties:
        return AnswerForm(False, "work" in properties)
    reads = properties["reads"]
    return AnswerForm(True, isinstance(reads, dict) and "work" in _properties(reads.get("items")))


def _properties(schema: Any) -> dict[str, Any]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return properties if isinstance(properties, dict) else {}


def _strict_schema_problem(schema: dict[str, Any]) -> str | None:
    """Strict mode's rules: every property required and no others allowed, on every object."""
    pending: list[Any] = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            properties = node.get("properties")
            if node.get("type") == "object" and node.get("additionalProperties") is not False:
                return "invalid JSON schema for response_format: `additionalProperties:false` must be set on every object"
            if isinstance(properties, dict) and set(node.get("required", [])) != set(properties):
                return (
                    "invalid JSON schema for response_format: `required` is required to be supplied and to be an array including every key"
                )
            pending.extend(properties.values() if isinstance(properties, dict) else [])
            pending.extend(value for key, value in node.items() if key not in ("properties", "required", "enum"))
    return None
