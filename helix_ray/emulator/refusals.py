"""Refusals of good requests, on purpose: each with the status, the words and the headers that a client would be sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import ceil
from typing import NamedTuple

from helix_ray.config.faults import REFUSALS
from helix_ray.emulator import messages
from helix_ray.emulator.buckets import BucketSet, Refused
from helix_ray.emulator.checks import ChatRequest
from helix_ray.emulator.injector import Injected
from helix_ray.emulator.prompt import parse_pairs
from helix_ray.emulator.windows import WINDOW_S

OVERLOADED_WAIT_S = 2
_PAGE = "<!DOCTYPE html>\n<html>\n<head><title>{0}</title></head>\n<body>\n<center><h1>{0}</h1></center>\n</body>\n</html>\n"


class Refusal(NamedTuple):
    status: int
    body: bytes
    head: messages.Headers = messages.JSON_HEAD
    retry_after_s: int | None = None
    limit: Refused | None = None  # that is said to be used up, or too small


def refusal(injected: Injected, request: ChatRequest, buckets: BucketSet) -> Refusal | None:
    """None: this fault is no refusal."""
    if injected.name not in REFUSALS:
        return None
    if injected.name.startswith("limit_"):
        return _limited(injected, request, buckets)
    if injected.name == "too_large":
        return _too_large(request)
    if injected.name == "overloaded_wait":
        wait_s = OVERLOADED_WAIT_S if injected.seconds is None else ceil(injected.seconds)
        return _overloaded(request)._replace(retry_after_s=wait_s)
    return _OTHERS[injected.name](request)


def _limited(injected: Injected, request: ChatRequest, buckets: BucketSet) -> Refusal:
    """As if this bucket were full to the brim, or so much above it that the law tells the client to wait ``seconds``."""
    kind = injected.name.removeprefix("limit_").upper()
    requested = {"R": 1, "T": request.requested, "I": request.prompt_tokens, "O": request.max_completion_tokens}[kind[0]]
    limit = _limit(kind, buckets)
    over = requested if injected.seconds is None else ceil(limit * injected.seconds / WINDOW_S[kind])
    refused = Refused(kind, limit, max(0, limit + over - requested), requested)
    body, retry_after_s = messages.rate_limited(refused, request.model.id, request.service_tier)
    return Refusal(429, body, retry_after_s=retry_after_s, limit=refused)


def _limit(kind: str, buckets: BucketSet) -> int:
    """Where the tier has no such limit, one is named that could never bind."""
    limits = {bucket.kind: bucket.limit for bucket in buckets.buckets}
    tokens = limits["TPM"]
    return limits.get(kind, {"RPM": limits["RPD"], "TPD": tokens * 1440}.get(kind, tokens))


def _too_large(request: ChatRequest) -> Refusal:
    """As if the limit were one token too small."""
    requested = request.requested
    body = messages.too_large("TPM", requested - 1, requested, request.model.id, request.service_tier)
    return Refusal(413, body, limit=Refused("TPM", requested - 1, 0, requested))


def _overloaded(request: ChatRequest) -> Refusal:
    return Refusal(503, messages.over_capacity(request.model.id))


def _not_generated(request: ChatRequest) -> Refusal:
    """Of all errors the one that looks most like an answer: it holds what the model wrote."""
    pairs = parse_pairs(request.last_user_message)
    error = {
        "message": "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details.",
        "type": "invalid_request_error",
        "code": "json_validate_failed",
        "failed_generation": f'{{"id":"{pairs[0].opaque_id}","calls":[{{"pos":1,"ref":"A","alt":"C"' if pairs else "",
    }
    return Refusal(400, json.dumps({"error": error}, separators=(",", ":")).encode())


def _error(status: int, message: str, type_: str = "invalid_request_error", code: str | None = None, param: str | None = None) -> _Maker:
    made = Refusal(status, messages.error_body(message, type_, code, param))
    return lambda request: made


def _page(status: int, title: str) -> _Maker:
    made = Refusal(status, _PAGE.format(title).encode(), messages.HTML_HEAD)
    return lambda request: made


_Maker = Callable[[ChatRequest], Refusal]
_OTHERS: dict[str, _Maker] = {
    "capacity": lambda request: Refusal(498, messages.capacity_exceeded(request.model.id)),
    "internal": lambda request: Refusal(500, messages.internal_error()),
    "bad_gateway": _page(502, "502 Bad Gateway"),
    "overloaded": _overloaded,
    "request_timeout": _error(408, "Request Timeout"),
    "conflict": _error(409, "Conflict"),
    "cancelled": _error(499, "Request cancelled"),
    "json_validate_failed": _not_generated,
    "bad_parameter": _error(400, "'temperature' : value is not supported with this model", param="temperature"),
    "unprocessable": _error(422, "The request was well-formed and could not be followed. Please verify it and try again."),
    "dependency": _error(424, "A dependency of this request failed."),
    "unauthorized": lambda request: Refusal(401, messages.invalid_key()),
    "forbidden": _error(403, "This project may not use this model.", "permissions_error", "model_permission_blocked_project"),
    "forbidden_html": _page(403, "403 Forbidden"),
    "model_gone": lambda request: Refusal(404, messages.model_not_found(request.model.id)),
    "decommissioned": lambda request: Refusal(400, messages.model_decommissioned(request.model.id)),
    "spend_limit": lambda request: Refusal(400, messages.blocked_api_access()),
}
