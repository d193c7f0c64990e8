"""What each provider takes, and how it is read. A dialect is a value; configuration may replace each of its parts.

Inside the pipeline a request has Groq's form, in which every parameter has a place; `Dialect.body` makes of it what the provider takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from helix_ray.config.provider import CompletionBound, Parameter, ProviderConfig, ProviderName, StructuredOutput
from helix_ray.providers.groq.replies import read_reply
from helix_ray.providers.readings import ReplyReading

Reading = Callable[[int, Mapping[str, str], bytes], ReplyReading]
"""Status, headers with lower-case names, body."""

PARAMETERS: Final[tuple[Parameter, ...]] = ("temperature", "seed", "reasoning_effort", "service_tier")
"""Of a request; a provider may refuse those that it does not know."""

_REFUSING: Final = (400, 404, 415, 422, 500, 501)
_FORM_WORDS: Final = (b"response_format", b"json_schema", b"json_object", b"structured", b"guided", b"grammar")


@dataclass(frozen=True, slots=True)
class Dialect:
    name: ProviderName
    title: str  # for people
    key: str | None  # the environment variable of its key; None: it has none
    needs_key: bool = True  # False: a key is sent where there is one
    forms: tuple[StructuredOutput, ...] = ("json_schema",)  # of structured output; the first that is not refused is used
    completion_bound: CompletionBound = "max_completion_tokens"
    parameters: tuple[Parameter, ...] = PARAMETERS
    headers: Mapping[str, str] = field(default_factory=dict)
    priced: bool = False  # prices.json holds its prices
    read_reply: Reading = read_reply  # limits, waits, errors, usage

    def body(self, request: dict[str, Any], form: StructuredOutput) -> dict[str, Any]:
        """``request``, which has Groq's form, as this provider takes it."""
        dropped = {*PARAMETERS}.difference(self.parameters)
        body = {name: value for name, value in request.items() if name not in dropped}
        if self.completion_bound != "max_completion_tokens" and "max_completion_tokens" in body:
            body[self.completion_bound] = body.pop("max_completion_tokens")
        if form != "json_schema" and "response_format" in body:
            schema = body.pop("response_format")["json_schema"]["schema"]
            body |= _FORMS[form](schema)
        return body


_FORMS: Final[dict[StructuredOutput, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "structured_outputs": lambda schema: {"structured_outputs": {"json": schema}},
    "guided_json": lambda schema: {"guided_json": schema},
    "json_object_schema": lambda schema: {"response_format": {"type": "json_object", "schema": schema}},
    "json_object": lambda _: {"response_format": {"type": "json_object"}},
    "none": lambda _: {},
}

_ANY_FORM: Final[tuple[StructuredOutput, ...]] = ("json_schema", "json_object", "none")
_ALSO_INSIDE: Final[tuple[StructuredOutput, ...]] = ("json_schema", "json_object_schema", "json_object", "none")
_PLAIN: Final[tuple[Parameter, ...]] = ("temperature", "seed")

_server = partial(Dialect, needs_key=False, forms=_ANY_FORM, completion_bound="max_tokens", parameters=_PLAIN)  # one's own

GROQ: Final = Dialect("groq", "Groq", "GROQ_API_KEY", priced=True)
DIALECTS: Final[dict[ProviderName, Dialect]] = {
    dialect.name: dialect
    for dialect in (
        GROQ,
        Dialect("openai", "OpenAI", "OPENAI_API_KEY", forms=("json_schema", "json_object"), parameters=_PLAIN),
        _server("openrouter", "OpenRouter", "OPENROUTER_API_KEY", needs_key=True),
        _server("vllm", "vLLM", "VLLM_API_KEY", forms=("json_schema", "structured_outputs", "guided_json", "json_object", "none")),
        _server("ollama", "Ollama", "OLLAMA_API_KEY", parameters=(*_PLAIN, "reasoning_effort")),
        _server("llamacpp", "llama.cpp", "LLAMA_API_KEY", forms=_ALSO_INSIDE),
        _server("litellm", "LiteLLM", "LITELLM_API_KEY"),
        _server("compatible", "a compatible server", None, forms=_ALSO_INSIDE),
    )
}


def dialect_of(config: ProviderConfig) -> Dialect:
    """The provider's dialect with the parts that the configuration replaces. A key's variable that it names must be set."""
    dialect = DIALECTS[config.name]
    return replace(
        dialect,
        key=config.api_key_env or dialect.key,
        needs_key=dialect.needs_key or config.api_key_env is not None,
        forms=dialect.forms if config.structured_output == "auto" else (config.structured_output,),
        completion_bound=config.completion_bound or dialect.completion_bound,
        parameters=dialect.parameters if config.parameters is None else tuple(config.parameters),
        headers={**dialect.headers, **(config.headers or {})},
    )


def refuses_form(status: int, body: bytes) -> bool:
    """The request was refused for its form of structured output, and nothing else is known to be wrong with it."""
    return status in _REFUSING and any(word in body for word in _FORM_WORDS)
