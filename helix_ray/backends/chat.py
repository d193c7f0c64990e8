"""The seam to a chat API: every ending of a request is a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class ChatReply:
    """A whole HTTP answer, whatever its status. The body is not checked."""

    status: int
    headers: dict[str, str]  # lower-case names
    body: bytes
    latency_s: float


@dataclass(frozen=True, slots=True)
class TransportFailure:
    """No answer. ``not_sent``: the request never left, nothing was billed; ``unknown``: it may have been processed and billed."""

    kind: Literal["not_sent", "unknown"]
    error_kind: str  # connect | connect_timeout | reset | disconnected | deadline | unreadable | transport
    message: str
    latency_s: float = 0.0


class ChatBackend(Protocol):
    """Sends one request at a time and never retries: who waits, and who pays again, is decided above."""

    async def complete(self, payload: dict[str, Any], timeout_s: float) -> ChatReply | TransportFailure:
        """One attempt at a chat completion, over within ``timeout_s`` seconds."""

    async def models(self) -> ChatReply | TransportFailure:
        """The list of models; free of charge."""

    async def aclose(self) -> None:
        """Closes the connections. Safe twice."""
