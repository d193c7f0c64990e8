"""What Groq publishes: the kinds of limit, its models and prices, the limits of each tier, the words of errors and headers.

Prices, windows and speeds are those of Groq's models page and of live ``GET /models`` bodies in autumn 2026. Bodies and
headers follow published ones to the last digit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from helix_ray.config.emulator import EmulatorConfig

WINDOW_S = {"RPM": 60, "RPD": 86_400, "TPM": 60, "TPD": 86_400, "ITPM": 60, "OTPM": 60}
"""Seconds of each kind's window, in the order in which the limits are checked."""

# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

_GPT_OSS_EFFORTS = frozenset({"low", "medium", "high"})
_QWEN_EFFORTS = frozenset({"none", "default", "low", "medium", "high"})
_dollars = lru_cache(Decimal)


@dataclass(frozen=True, slots=True)
class Model:
    """One served model. Prices are US dollars per token as decimal strings, speeds tokens per second."""

    id: str
    owned_by: str
    created: int  # Unix seconds
    context_window: int
    max_completion_tokens: int
    prompt_usd: str
    completion_usd: str
    cached_usd: str | None  # None: the live body names no price for cached input
    completion_tokens_per_s: float
    developer_tpm: int
    efforts: frozenset[str]
    strict_schema: bool  # constrained decoding is offered

    def bill(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> Decimal:
        """US dollars for one answered request, not rounded. ``cached_tokens``: those of the prompt that the cache supplied.
        Without a published price for them they cost as much as other prompt tokens.
        """
        bill = (prompt_tokens - cached_tokens) * _dollars(self.prompt_usd) + completion_tokens * _dollars(self.completion_usd)
        return bill + cached_tokens * _dollars(self.cached_usd or self.prompt_usd) if cached_tokens else bill

    def wire(self) -> dict[str, object]:
        """The object that ``GET /models`` returns for this model."""
        pricing = {"prompt": self.prompt_usd, "completion": self.completion_usd, "image": "0", "request": "0"}
        if self.cached_usd is not None:
            pricing["input_cache_read"] = self.cached_usd
        return {
            "id": self.id, "object": "model", "created": self.created, "owned_by": self.owned_by, "active": True,
            "context_window": self.context_window, "public_apps": None, "max_completion_tokens": self.max_completion_tokens,
            "context_length": self.context_window, "max_output_length": self.max_completion_tokens,
            "input_modalities": ["text"], "output_modalities": ["text"], "pricing": pricing,
        }  # fmt: skip


MODELS: dict[str, Model] = {
    model.id: model
    for model in (
        Model("openai/gpt-oss-20b", "OpenAI", 1754407957, 131072, 65536,
              "0.000000075", "0.0000003", "0.0000000375", 1000, 250_000, _GPT_OSS_EFFORTS, True),
        Model("openai/gpt-oss-120b", "OpenAI", 1754408224, 131072, 65536,
              "0.00000015", "0.0000006", "0.000000075", 470, 250_000, _GPT_OSS_EFFORTS, True),
        Model("openai/gpt-oss-safeguard-20b", "OpenAI", 1761708789, 131072, 65536,
              "0.000000075", "0.0000003", "0.0000000375", 1000, 150_000, _GPT_OSS_EFFORTS, False),
        Model("qwen/qwen3.8-27b", "Alibaba Cloud", 1786984846, 131042, 16384,
              "0.0000008", "0.000004", None, 450, 250_000, _QWEN_EFFORTS, False),
    )
}  # fmt: skip

DECOMMISSIONED = frozenset({
    "llama3-8b-8192", "llama3-70b-8192", "gemma2-9b-it", "moonshotai/kimi-k2-instruct", "moonshotai/kimi-k2-instruct-0905",
    "meta-llama/llama-4-maverick-17b-128e-instruct", "meta-llama/llama-4-scout-17b-16e-instruct", "qwen/qwen3-32b", "qwen/qwen3.6-27b",
    "llama-3.1-8b-instant", "llama-3.3-70b-versatile", "groq/compound", "groq/compound-mini",
})  # fmt: skip


def models_body() -> bytes:
    """The body of ``GET /models``."""
    return json.dumps({"object": "list", "data": [model.wire() for model in MODELS.values()]}, separators=(",", ":")).encode()


FLEX_FACTOR = 10  # flex processing has ten times the on-demand limits


class Limit(NamedTuple):
    kind: str  # a key of WINDOW_S
    amount: int
    enforced: bool  # False: shown in headers only


def limits_of(config: EmulatorConfig, model: Model, service_tier: str) -> list[Limit]:
    """The limits of one model in the order in which they are checked; kinds without a limit are absent.

    ``free`` is the published table (30 / 1K / 8K / 200K). ``developer`` has the published 1K RPM and the model's TPM; its
    RPD is not published, 500,000 is this emulator's choice, and it has no TPD. ``unlimited`` enforces nothing, but since
    Groq always sends the six headers, it shows large figures for RPD and TPM. No tier has ITPM or OTPM: some organizations do.
    A configured limit replaces the tier's; ``unlimited`` lifts configured limits too.
    """
    tiers: dict[str, dict[str, int]] = {
        "free": {"RPM": 30, "RPD": 1_000, "TPM": 8_000, "TPD": 200_000},
        "developer": {"RPM": 1_000, "RPD": 500_000, "TPM": model.developer_tpm},
        "unlimited": {"RPD": 1_000_000_000, "TPM": 1_000_000_000},
    }
    configured = {
        "RPM": config.requests_per_minute,
        "RPD": config.requests_per_day,
        "TPM": config.tokens_per_minute,
        "TPD": config.tokens_per_day,
        "ITPM": config.input_tokens_per_minute,
        "OTPM": config.output_tokens_per_minute,
    }
    factor = FLEX_FACTOR if service_tier == "flex" else 1
    unlimited = config.tier == "unlimited"
    amounts = {kind: tiers[config.tier].get(kind) if unlimited or own is None else own for kind, own in configured.items()}
    return [Limit(kind, amount * factor, not unlimited) for kind, amount in amounts.items() if amount is not None]


# ── words of errors and headers ──────────────────────────────────────────────────────────────────────────────────────────

ORGANIZATION = "org_01helixemulator00000000000"
UPGRADE = "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing"
NS = 1_000_000_000

Headers = list[tuple[bytes, bytes]]

_ALWAYS: Headers = [
    (b"cache-control", b"private, max-age=0, no-store, no-cache, must-revalidate"),
    (b"vary", b"Origin"),
    (b"server", b"helix-emulator"),
]
JSON_HEAD: Headers = [(b"content-type", b"application/json"), *_ALWAYS]
HTML_HEAD: Headers = [(b"content-type", b"text/html; charset=UTF-8"), *_ALWAYS]


class Reply(NamedTuple):
    status: int
    headers: Headers
    body: bytes
    head: Headers = JSON_HEAD


class Refused(NamedTuple):
    """A request that does not fit into a limit now, in the whole numbers that the 429 body shows."""

    kind: str
    limit: int
    used: int
    requested: int
    wait_s: float | None = None  # None: what the refill needs


def go_duration(ns: int) -> str:
    """Nanoseconds as Go's ``time.Duration.String()`` writes them: ``0s``, ``577.5ms``, ``2m59.56s``, ``1h0m0s``."""
    if ns == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if ns < size * 1_000:
            return _fraction(ns, size) + unit
    minutes, rest = divmod(ns, 60 * NS)
    hours, minutes = divmod(minutes, 60)
    text = _fraction(rest, NS) + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _fraction(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    return f"{whole}.{rest:0{len(str(unit)) - 1}d}".rstrip("0") if rest else str(whole)


def wait_ns(refused: Refused) -> int:
    """How long until the refused request would fit."""
    if refused.wait_s is not None:
        return int(refused.wait_s * 1e9)
    # This order of the operations has the rounding of published messages (``2.662499999s``, ``3m7.055999999s``).
    over = refused.used + refused.requested - refused.limit
    return int(over / refused.limit * WINDOW_S[refused.kind] * 1e9)


def error_body(message: str, type_: str = "invalid_request_error", code: str | None = None, param: str | None = None) -> bytes:
    error = {"message": message, "type": type_, "param": param, "code": code}
    given = {key: value for key, value in error.items() if value is not None}
    return json.dumps({"error": given}, separators=(",", ":"), ensure_ascii=False).encode()


INVALID_KEY = error_body("Invalid API Key", code="invalid_api_key")
INTERNAL_ERROR = error_body("Internal Server Error", "internal_server_error")
CONTEXT_EXCEEDED = error_body("Please reduce the length of the messages or completion.", code="context_length_exceeded", param="messages")
# Groq publishes the code, not the words.
BLOCKED_API_ACCESS = error_body(
    "API access is blocked: the organization has reached its spend limit for this month.", code="blocked_api_access"
)


def model_not_found(model: str) -> bytes:
    return error_body(f"The model `{model}` does not exist or you do not have access to it.", code="model_not_found")


def model_decommissioned(model: str) -> bytes:
    return error_body(
        f"The model `{model}` has been decommissioned and is no longer supported. Please refer to "
        "https://console.groq.com/docs/deprecations for a recommendation on which model to use instead.",
        code="model_decommissioned",
    )


def capacity_exceeded(model: str) -> bytes:
    """The body of a 498. Groq publishes the status and the code, not the words."""
    return error_body(f"The flex tier has no capacity left for model `{model}`.", "capacity_exceeded", "capacity_exceeded")


def over_capacity(model: str) -> bytes:
    """The body of a 503."""
    return error_body(
        f"{model} is currently over capacity. Please try again and back off exponentially. "
        "Visit https://groqstatus.com to see if there is an active incident.",
        "internal_server_error",
    )


def completion_too_long(limit: int) -> bytes:
    return error_body(
        f"`max_completion_tokens` must be less than or equal to `{limit}`, the maximum value for `max_completion_tokens` "
        "is less than the `context_window` for this model",
        param="max_completion_tokens",
    )


def unknown_url(method: str, path: str) -> bytes:
    return error_body(
        f"Unknown request URL: {method} {path}. Please check the URL for typos, or see the docs at https://console.groq.com/docs/",
        code="unknown_url",
    )
