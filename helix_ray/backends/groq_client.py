"""The Groq SDK behind the chat seam. The only module that imports groq."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from functools import cache
from typing import Any, Final, Literal

import httpx
from groq import APIConnectionError, APIStatusError, AsyncGroq
from groq._types import RequestOptions

from helix_ray.backends.chat import ChatReply, HttpReply, TransportFailure
from helix_ray.backends.http_transport import CONNECTION_TIMEOUT_S, AiohttpTransport
from helix_ray.environment.logs import Event, event_logger
from helix_ray.errors import ConfigError, MissingSecretError
from helix_ray.providers.groq.replies import read_reply

log = event_logger(__name__)

DEFAULT_BASE_URL: Final = "https://api.groq.com"
_API: Final = "/openai/v1"
_REDACTED: Final = "[key removed]"

_LOST: Final[dict[type[BaseException], tuple[Literal["not_sent", "unknown"], str]]] = {
    httpx.ConnectError: ("not_sent", "connect"),
    httpx.ConnectTimeout: ("not_sent", "connect_timeout"),
    httpx.ReadError: ("unknown", "reset"),
    httpx.RemoteProtocolError: ("unknown", "disconnected"),
    httpx.DecodingError: ("unknown", "unreadable"),
}


class GroqChat:
    """Groq, or a server that speaks its protocol at ``base_url``.

    ``connections`` bounds the sockets; the caller bounds its requests in flight below that. The SDK neither retries
    (it would do so blindly and pay twice) nor builds models of the answers (a third of its CPU). The environment variables
    that the SDK would read (GROQ_BASE_URL, GROQ_CUSTOM_HEADERS, proxies) change nothing: what the configuration says is what
    happens. The key appears in no message; an answer is changed only by one that cannot be a word of it.
    """

    def __init__(self, api_key: str, base_url: str | None, connections: int) -> None:
        if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise MissingSecretError("GROQ_API_KEY is not a key: it must be printable ASCII without blanks; copy it again from the console")
        self._key = api_key
        self._key_bytes = api_key.encode()
        # no word of an answer, which a key of a server that needs none can be
        self._unmistakable = len(api_key) >= 16 and api_key.lower() != api_key.upper() and any(map(str.isdigit, api_key))
        self._base_url = checked_base_url(base_url or DEFAULT_BASE_URL)
        self._client = AsyncGroq(
            api_key=api_key,
            base_url=self._base_url,
            max_retries=0,
            default_headers={"Accept-Encoding": "identity"},  # answers are 1 to 2 kB: inflating costs more than it saves
            http_client=httpx.AsyncClient(transport=AiohttpTransport(connections), trust_env=False, timeout=None),  # noqa: S113  (see _attempt)
        )
        self._client._custom_headers = {"Accept-Encoding": "identity"}  # the constructor adds GROQ_CUSTOM_HEADERS to them

    def __repr__(self) -> str:
        return f"GroqChat({self._base_url})"

    async def complete(self, payload: dict[str, Any], timeout_s: float) -> ChatReply | TransportFailure:
        options: RequestOptions = {"timeout": _connecting(timeout_s)}
        call = self._client.post(f"{_API}/chat/completions", body=payload, cast_to=httpx.Response, options=options)
        reply = await self._attempt(call, timeout_s)
        if isinstance(reply, TransportFailure):
            return reply
        return ChatReply(reply.status, reply.headers, reply.body, reply.latency_s, read_reply)

    def stored(self, status: int, body: bytes, latency_s: float) -> ChatReply:
        return ChatReply(status, {}, body, latency_s, read_reply)

    async def models(self, timeout_s: float = 20.0) -> HttpReply | TransportFailure:
        options: RequestOptions = {"timeout": _connecting(timeout_s)}
        return await self._attempt(self._client.get(f"{_API}/models", cast_to=httpx.Response, options=options), timeout_s)

    async def aclose(self) -> None:
        await self._client.close()

    async def _attempt(self, call: Awaitable[httpx.Response], timeout_s: float) -> HttpReply | TransportFailure:
        started = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                response = await call
        except TimeoutError as error:
            log.debug(Event.ERROR_HANDLED, what="a request has no answer", exc_info=error)
            message = f"no whole answer within {timeout_s:g} s"
            return TransportFailure("unknown", "deadline", message, time.monotonic() - started)
        except APIStatusError as error:
            response = error.response
        except APIConnectionError as error:
            log.debug(Event.ERROR_HANDLED, what="a request has no answer", exc_info=error)
            return self._failure(error.__cause__ or error, time.monotonic() - started)
        body = response.content
        if self._key_bytes in body and (self._unmistakable or not response.is_success):  # an error page may quote the request
            body = body.replace(self._key_bytes, _REDACTED.encode())
        headers = {name.decode("latin-1").lower(): self._masked(value.decode("latin-1")) for name, value in response.headers.raw}
        return HttpReply(response.status_code, headers, body, time.monotonic() - started)

    def _failure(self, cause: BaseException, latency_s: float) -> TransportFailure:
        """Anything that is not known to have happened before sending counts as maybe processed."""
        kind, error_kind = _LOST.get(type(cause), ("unknown", "transport"))
        message = self._masked(str(cause) or type(cause).__name__)[:300]
        return TransportFailure(kind, error_kind, message, latency_s)

    def _masked(self, text: str) -> str:
        return text.replace(self._key, _REDACTED)


@cache
def _connecting(timeout_s: float) -> httpx.Timeout:
    """At most half of an attempt's time for a connection: what has not connected by then was not sent, and costs nothing."""
    return httpx.Timeout(None, connect=min(CONNECTION_TIMEOUT_S, timeout_s / 2))


def checked_base_url(text: str) -> str:
    """Scheme and host, without the path that the SDK appends itself."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ConfigError("analyzer.base_url", [f"'{text}' is not an address: {error}"]) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError("analyzer.base_url", [f"'{text}' is not an address such as {DEFAULT_BASE_URL}"])
    return text.rstrip("/").removesuffix(_API)
