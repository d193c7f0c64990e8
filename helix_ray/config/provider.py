"""The section ``provider``: which server answers, and in what it differs from the others that speak OpenAI's chat completions."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from helix_ray.config.base import Section

ProviderName = Literal["groq", "openai", "openrouter", "vllm", "ollama", "llamacpp", "litellm", "compatible"]
StructuredOutput = Literal["json_schema", "structured_outputs", "guided_json", "json_object_schema", "json_object", "none"]
CompletionBound = Literal["max_completion_tokens", "max_tokens"]
Parameter = Literal["temperature", "seed", "reasoning_effort", "service_tier"]

ADDRESSES: Final[dict[str, str | None]] = {
    "groq": "https://api.groq.com/openai/v1",
    "openai": "https://api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "vllm": "http://localhost:8000/v1",
    "ollama": "http://localhost:11434/v1",
    "llamacpp": "http://localhost:8080/v1",
    "litellm": "http://localhost:4000",
    "compatible": None,
}
"""As each provider's own documentation prints it: nothing but the resource is appended."""

HttpAddress = Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
Dollars = Annotated[float, Field(ge=0, le=1e6)]


class Prices(Section):
    """US dollars per million tokens; ``cached`` None: as ``prompt``."""

    prompt: Dollars
    completion: Dollars
    cached: Dollars | None = None


class ProviderConfig(Section):
    name: ProviderName = "groq"
    base_url: HttpAddress | None = None
    api_key_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*_API_KEY$")] | None = None
    prices: Prices | None = None
    structured_output: Literal[StructuredOutput, "auto"] = "auto"
    completion_bound: CompletionBound | None = None
    parameters: list[Parameter] | None = None
    headers: dict[str, str] | None = None
    proxy: Annotated[str, Field(pattern=r"^(environment|none|https?://[^\s]+)$")] = "environment"
    account: str | None = None

    @model_validator(mode="after")
    def _address_and_parts(self) -> ProviderConfig:
        for key, address in (("base_url", self.base_url), ("proxy", self.proxy)):
            if (fault := fault_of(address)) is not None:
                raise ValueError(f"{key}: {fault}")
        if self.account is not None:
            raise ValueError("account: sharing the limits of one account between keys is not built yet; remove the key")
        for name, value in (self.headers or {}).items():
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"headers: the value of '{name}' must be printable ASCII, on one line")
            if not re.fullmatch(r"[A-Za-z0-9-]+", name) or name.lower() in ("authorization", "cookie", "host", "content-length"):
                raise ValueError(
                    f"headers: '{name}' cannot be set here; the key comes from the variable of api_key_env, the rest from HTTP"
                )
        return self


def address_of(name: ProviderName, base_url: str | None) -> str | None:
    """Where the resources lie: below ``base_url``, else at the provider's own address. None: it has none, one must be given.

    Groq's bare host is understood too: that is how its SDK names the address.
    """
    address = base_url or ADDRESSES[name]
    if address is None:
        return None
    address = address.rstrip("/")
    return address + "/openai/v1" if name == "groq" and re.fullmatch("https?://[^/]*", address) else address


def fault_of(address: str | None) -> str | None:
    """Why it is no address that may be stored; None: it is one, or none is given."""
    if address is None or not re.search(r"[@?#]", address):
        return None
    return "must be only scheme, host, port and path; the key comes from the environment, never from an address"


def is_loopback(address: str) -> bool:
    """The server is this machine, so nothing that is sent there leaves it."""
    found = re.match(r"https?://(?:\[(.*?)\]|([^/:]*))", address)
    host = (found[1] or found[2]).lower().rstrip(".") if found else ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
