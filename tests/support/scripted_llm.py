"""A chat backend that answers from a script, without a network."""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

from helix_ray.backends.chat import ChatReply, HttpReply, TransportFailure
from helix_ray.providers.groq.replies import read_reply

Reply = ChatReply | TransportFailure
Answer = Callable[[dict[str, Any]], Reply]
Call = tuple[int, str, str]

LATENCY_S = 0.1


class ScriptedLLM:
    """Gives the scripted replies in order, then ``otherwise`` for every request; records what it was asked.

    While `hold` is called and until `release`, requests hang: they can be observed in flight, run into their deadline, or be
    cancelled.
    """

    def __init__(self, script: Iterable[Reply | Answer] = (), otherwise: Answer | None = None) -> None:
        self._script = list(script)
        self._otherwise = otherwise or completion
        self._open = asyncio.Event()
        self._open.set()
        self._asked = asyncio.Event()
        self.payloads: list[dict[str, Any]] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self.closed = False

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def until_asked(self, times: int) -> None:
        """Returns when this many requests have come in, in all."""
        while len(self.payloads) < times:
            self._asked.clear()
            await self._asked.wait()

    async def complete(self, payload: dict[str, Any], timeout_s: float) -> Reply:
        self.payloads.append(payload)
        self._asked.set()
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            async with asyncio.timeout(timeout_s):
                await self._open.wait()
        except TimeoutError:
            return TransportFailure("unknown", "deadline", f"no whole answer within {timeout_s:g} s", timeout_s)
        finally:
            self.in_flight -= 1
        step = self._script.pop(0) if self._script else self._otherwise
        return step(payload) if callable(step) else step

    def stored(self, status: int, body: bytes, latency_s: float) -> ChatReply:
        return chat_reply(status, {}, body, latency_s)

    async def models(self) -> HttpReply:
        return HttpReply(200, {"content-type": "application/json"}, b'{"object":"list","data":[]}', LATENCY_S)

    async def aclose(self) -> None:
        self.closed = True


def chat_reply(status: int, headers: dict[str, str], body: bytes, latency_s: float = LATENCY_S) -> ChatReply:
    """A reply as a backend of Groq's dialect reads it."""
    return ChatReply(status, headers, body, latency_s, read_reply)


def prompted_ids(payload: dict[str, Any]) -> list[str]:
    """The opaque ids in a request's last user message, in their order."""
    text: str = payload["messages"][-1]["content"]
    return [line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: ")]


def is_packed(payload: dict[str, Any]) -> bool:
    """The request wants a list of answers."""
    return "reads" in payload["response_format"]["json_schema"]["schema"]["properties"]


def answer_text(answers: Iterable[tuple[str, Iterable[Call]]], packed: bool) -> str:
    """(id, calls) as the JSON that a model answers; not packed: the first of them."""
    items = [
        {"id": name, "calls": [{"pos": pos, "ref": ref, "alt": alt, "confidence": 0.9} for pos, ref, alt in calls]}
        for name, calls in answers
    ]
    return json.dumps({"reads": items} if packed else items[0])


def completion(
    payload: dict[str, Any],
    calls: Iterable[Call] = (),
    *,
    content: str | None = None,
    finish_reason: str = "stop",
    prompt_tokens: int = 700,
    completion_tokens: int = 60,
    headers: dict[str, str] | None = None,
) -> ChatReply:
    """A whole answer in the provider's form: ``calls`` for every read asked about. ``content`` replaces the JSON made of them."""
    if content is None:
        every = tuple(calls)
        content = answer_text([(name, every) for name in prompted_ids(payload)], is_packed(payload))
    body = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "model": payload["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
        "system_fingerprint": "fp_scripted",
        "service_tier": "on_demand",
        "x_groq": {"id": "req_scripted"},
    }
    return chat_reply(200, {"content-type": "application/json", **(headers or {})}, json.dumps(body).encode(), LATENCY_S)


def api_error(status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None) -> ChatReply:
    """An error in the provider's form."""
    body = {"error": {"message": message, "type": "invalid_request_error", "code": code}}
    return chat_reply(status, {"content-type": "application/json", **(headers or {})}, json.dumps(body).encode(), LATENCY_S)
