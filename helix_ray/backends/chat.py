"""The seam to a chat API: every ending of a request is a value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

from helix_ray.providers.dialects import Reading
from helix_ray.providers.readings import ReplyReading, Verdict, unanswered


@dataclass(frozen=True)
class HttpReply:
    """A whole HTTP answer, whatever its status. The body is not checked."""

    status: int
    headers: dict[str, str]  # lower-case names
    body: bytes
    latency_s: float


@dataclass(frozen=True)
class ChatReply(HttpReply):
    """The answer to a request for a completion. Nothing in it is read before `reading` is asked for: it can be kept first."""

    read: Reading  # its provider's

    @cached_property
    def reading(self) -> ReplyReading:
        """What it says in its provider's dialect."""
        return self.read(self.status, self.headers, self.body)

    @property
    def verdict(self) -> Verdict:
        return self.reading.verdict

    @property
    def rate_limited(self) -> bool:
        return self.status == 429


@dataclass(frozen=True, slots=True)
class TransportFailure:
    """No answer. ``not_sent``: the request never left, nothing was billed; ``unknown``: it may have been processed and billed."""

    kind: Literal["not_sent", "unknown"]
    error_kind: str  # connect | connect_timeout | reset | disconnected | deadline | unreadable | transport
    message: str
    latency_s: float = 0.0

    @property
    def verdict(self) -> Verdict:
        return unanswered(self.error_kind, self.message)


class ChatBackend(Protocol):
    """Sends one request at a time and never retries: waiting and paying again are decisions of the caller."""

    async def complete(self, payload: dict[str, Any], timeout_s: float) -> ChatReply | TransportFailure:
        """One attempt at a chat completion, over within ``timeout_s`` seconds."""

    def stored(self, status: int, body: bytes, latency_s: float) -> ChatReply:
        """An answer of this API that was kept. Its headers are gone."""

    async def models(self) -> HttpReply | TransportFailure:
        """The list of models; free of charge."""

    async def aclose(self) -> None:
        """Closes the connections. Safe twice."""
