"""A request: the checks before any limit, in Groq's order (JSON and parameters, model, sizes), its tokens, and its reads.

The reads stand in the last user message, those of a packed request one blank line apart, in any layout of docs/prompts.md.
Lengths and indices are checked too: a prompt that miscounts its bases would mislead a real model as well.
"""

from __future__ import annotations

import json
import marshal
import re
from collections.abc import Callable
from functools import lru_cache
from math import ceil
from typing import Any, NamedTuple

from helix_ray.emulator import published
from helix_ray.emulator.published import DECOMMISSIONED, MODELS, Model

DEFAULT_COMPLETION_TOKENS = 1024  # what Groq reserves when the request names no budget
_COMPACT = json.JSONEncoder(separators=(",", ":"))
_ROLES = frozenset({"system", "user", "assistant", "developer", "tool"})
_FORMATS = frozenset({"text", "json_object", "json_schema"})
_SERVICE_TIERS = ("on_demand", "auto", "flex")
_PARAMETERS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (  # each where it is given: what is allowed, else the problem
    ("max_completion_tokens", lambda value: type(value) is int and value >= 1, "value must be an integer of at least 1"),
    ("max_tokens", lambda value: type(value) is int and value >= 1, "value must be an integer of at least 1"),
    ("temperature", lambda value: type(value) in (int, float) and 0 <= value <= 2, "value must be a number from 0 to 2"),
    ("n", lambda value: bool(value == 1), "number must be at most 1"),
    ("stream", lambda value: not value, "this emulator does not stream"),
    ("seed", lambda value: type(value) is int, "value must be an integer"),
    ("service_tier", lambda value: value in _SERVICE_TIERS, "value is not available for this organization"),
)


class Rejection(NamedTuple):
    status: int
    body: bytes
    model: Model | None  # None: refused before a model was known


class AnswerForm(NamedTuple):
    """The answer that a schema describes."""

    packed: bool  # {"reads": [answer, ...]}, else one answer
    work: bool  # a text before each answer
    excerpts: bool = False  # calls without positions


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
    """Check a request's body. ``spent``: the organization has reached its spend limit."""
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
            return Rejection(400, published.model_decommissioned(name), None)
        return Rejection(404, published.model_not_found(name), None)
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
        return Rejection(400, published.BLOCKED_API_ACCESS, model)
    last_user, message_tokens = _measure(payload["messages"])
    prompt_tokens = total_prompt_tokens(message_tokens, schema_json)
    budget = payload.get("max_completion_tokens") or payload.get("max_tokens") or DEFAULT_COMPLETION_TOKENS
    if budget > model.max_completion_tokens:
        return Rejection(400, published.completion_too_long(model.max_completion_tokens), model)
    if prompt_tokens + budget > model.context_window:
        return Rejection(400, published.CONTEXT_EXCEEDED, model)
    contents = [message["content"] for message in payload["messages"]]
    shown = payload.get("include_reasoning") is not False and payload.get("reasoning_format") != "hidden" and effort != "none"
    return ChatRequest(model, service_tier, contents, last_user, prompt_tokens, budget, payload.get("seed"), effort, shown, form)


def _bad(message: str, param: str | None = None, model: Model | None = None) -> Rejection:
    return Rejection(400, published.error_body(message, param=param), model)


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
    for key, allowed, problem in _PARAMETERS:
        value = payload.get(key)
        if value is not None and not allowed(value):
            return f"'{key}' : {problem}", key
    form = payload.get("response_format")
    if form is None:
        return None
    if not isinstance(form, dict) or form.get("type") not in _FORMATS:
        return "'response_format' : type must be one of text, json_object, json_schema", "response_format"
    described = form.get("json_schema")
    named = isinstance(described, dict) and isinstance(described.get("name"), str) and isinstance(described.get("schema"), dict)
    if form["type"] == "json_schema" and not named:
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
    # Schemas repeat, and this is the cheapest key to them (in version 2 equal ones have equal bytes).
    schema = marshal.loads(marshalled)  # noqa: S302  made by `examined`
    return _Schema(_strict_schema_problem(schema), _form(schema), _COMPACT.encode(schema))


def _form(schema: dict[str, Any]) -> AnswerForm:
    properties = _properties(schema)
    packed = "reads" in properties
    one = _properties(_items(properties["reads"])) if packed else properties
    return AnswerForm(packed, "work" in one, "read" in _properties(_items(one.get("calls"))))


def _items(schema: Any) -> Any:
    return schema.get("items") if isinstance(schema, dict) else None


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


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

# A deterministic estimate, not a real tokenizer. The constants are measurements with the gpt-oss tokenizer (o200k_harmony):
# tokens per base for each way of printing a sequence, about 4 characters a token in other prompt text, about 2 in dense answer
# JSON (one call object of 48 characters is 25 tokens), and 118 tokens that every structured-output request carries beside its
# messages and schema.
FIXED_TOKENS = 118
CHARS_PER_TOKEN = 4
ANSWER_CHARS_PER_TOKEN = 2

_PER_BASE = {"indexed": 0.728, "interleaved": 0.85, "spaced": 1.0, "grouped": 0.531, "bare": 0.518, "aligned": 0.53}
_NO_BASES = b"0123456789: -\nreadf"
_RUN = re.compile(
    r"(?=[0-9rACGTN-])(?:"  # what any run starts with: elsewhere no alternative is tried
    r"(?P<indexed>\d+:[ACGTN]{1,10}(?: \d+:[ACGTN]{1,10})*(?![ACGTN]))"
    r"|(?P<interleaved>\bre(?:f|ad) \d+:[ACGTN]{1,10}(?:\nre(?:f|ad) \d+:[ACGTN]{1,10})*(?![ACGTN]))"
    r"|(?P<spaced>\b[ACGTN](?: [ACGTN]){11,}\b)"
    r"|(?P<grouped>\b[ACGTN]{10}(?: [ACGTN]{10})*(?: [ACGTN]{1,10})\b)"
    r"|(?P<bare>(?<![ACGTN-])[ACGTN]{12,}(?![ACGTN-]))"
    r"|(?P<aligned>[ACGTN-]{12,}))"
)


def text_tokens(text: str) -> float:
    """Tokens of one message, as a fraction: the caller rounds the sum."""
    tokens = 0.0
    other = len(text)
    for run in _RUN.finditer(text):
        shown, kind = run[0], run.lastgroup
        assert kind is not None
        other -= len(shown)
        tokens += _PER_BASE[kind] * len(shown.encode().translate(None, _NO_BASES))
        if kind == "aligned":
            tokens += shown.count("-")  # one a gap
    return tokens + other / CHARS_PER_TOKEN


# Instructions repeat from request to request; reads do not.
repeated_text_tokens = lru_cache(maxsize=256)(text_tokens)


def answer_tokens(content: str) -> int:
    return ceil(len(content) / ANSWER_CHARS_PER_TOKEN)


def total_prompt_tokens(message_tokens: float, schema_json: str | None) -> int:
    """Tokens of a whole request: messages, the schema that Groq injects into the prompt, and the fixed part."""
    schema = 0 if schema_json is None else len(schema_json) / CHARS_PER_TOKEN
    return ceil(FIXED_TOKENS + schema + message_tokens)


# ── reads in the prompt ──────────────────────────────────────────────────────────────────────────────────────────────────

_ID = r"(?m)^id: (?P<id>\S{1,200})[ \t]*\n"
_SIZES = r"\((?P<ref_size>\d{1,6}) and (?P<read_size>\d{1,6}) bases\):\n"
_INDEX_CHARACTERS = b"0123456789: "
_AS_N = bytes.maketrans(b"ACGT", b"NNNN")


class Pair(NamedTuple):
    opaque_id: str
    ref: str
    read: str


class _Layout(NamedTuple):
    block: re.Pattern[str]  # one read
    headings: int  # lines ending in "bases):" in one block
    sequences: Callable[[re.Match[str]], tuple[str, str] | None]  # window and read; None: not printed as the layout says


def parse_pairs(text: str) -> list[Pair]:
    """The reads in the order in which they stand; empty unless all that looks like a read is one, in one format."""
    layout = _INTERLEAVED if "\nreference and read (" in text else _ALIGNED if "\naligned reference and read (" in text else _APART
    pairs: list[Pair] = []
    end = 0
    for found in layout.block.finditer(text):
        sequences = layout.sequences(found)
        if sequences is None or not all(sequences) or (pairs and text[end : found.start()] != "\n\n"):
            return []
        if [len(sequence) for sequence in sequences] != [int(found["ref_size"]), int(found["read_size"])]:
            return []
        pairs.append(Pair(found["id"], *sequences))
        end = found.end()
    if text.count(" bases):\n") != layout.headings * len(pairs):
        return []
    return pairs if len(pairs) < 2 or len({pair.opaque_id for pair in pairs}) == len(pairs) else []


def _apart(found: re.Match[str]) -> tuple[str, str] | None:
    ref_line, read_line = found["ref"].encode(), found["read"].encode()
    ref, read = ref_line.translate(None, _INDEX_CHARACTERS).decode(), read_line.translate(None, _INDEX_CHARACTERS).decode()
    shapes = (ref_line.translate(_AS_N), read_line.translate(_AS_N))
    ref_ways, read_ways = _ways(len(ref)), _ways(len(read))
    alike = shapes in zip(ref_ways, read_ways, strict=True)
    return (ref, read) if alike or shapes == (ref_ways[1], read_ways[0]) else None  # indexed beside bare


@lru_cache(maxsize=256)
def _ways(size: int) -> tuple[bytes, ...]:
    """The ways of printing a sequence of ``size`` bases, every base as N: bare, indexed, grouped, spaced."""
    groups = ["N" * min(10, size - start) for start in range(0, size, 10)]
    indexed = [f"{10 * number + 1}:{group}" for number, group in enumerate(groups)]
    return tuple(way.encode() for way in ("N" * size, " ".join(indexed), " ".join(groups), " ".join("N" * size)))


def _interleaved(found: re.Match[str]) -> tuple[str, str] | None:
    lines = found["lines"].split("\n")
    ref, read = ("".join([line.partition(":")[2] for line in lines if line.startswith(name)]) for name in ("ref", "read"))
    return (ref, read) if found["lines"].encode().translate(_AS_N) == _alternating(len(ref), len(read)) else None


@lru_cache(maxsize=256)
def _alternating(ref_size: int, read_size: int) -> bytes:
    """The alternating lines, every base as N."""
    lines = [
        f"{name} {start + 1}:{'N' * min(10, size - start)}"
        for start in range(0, max(ref_size, read_size), 10)
        for name, size in (("ref", ref_size), ("read", read_size))
        if start < size
    ]
    return "\n".join(lines).encode()


def _aligned(found: re.Match[str]) -> tuple[str, str] | None:
    ref, read = found["ref"], found["read"]
    if len(ref) != len(read) or ("-", "-") in zip(ref, read, strict=True):
        return None
    return ref.replace("-", ""), read.replace("-", "")


_REF = r"reference \((?P<ref_size>\d{1,6}) bases\):\n(?P<ref>[0-9:ACGTN ]+)\n"
_READ = r"read \((?P<read_size>\d{1,6}) bases\):\n(?P<read>[0-9:ACGTN ]+)$"
_LINES = r"(?P<lines>(?:ref|read) \d+:[ACGTN]+(?:\n(?:ref|read) \d+:[ACGTN]+)*)$"
_APART = _Layout(re.compile(_ID + _REF + _READ), 2, _apart)
_INTERLEAVED = _Layout(re.compile(_ID + "reference and read " + _SIZES + _LINES), 1, _interleaved)
_ALIGNED = _Layout(re.compile(_ID + "aligned reference and read " + _SIZES + r"(?P<ref>[ACGTN-]+)\n(?P<read>[ACGTN-]+)$"), 1, _aligned)
