"""The Groq SDK behind the chat seam. The only module that imports groq."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from functools import lru_cache
from typing import Any, Final, Literal

import httpx
import orjson
from groq import APIConnectionError, APIStatusError, AsyncGroq
from groq._models import FinalRequestOptions
from groq._types import Omit, RequestOptions

from helix_ray.backends.chat import ChatReply, HttpReply, TransportFailure
from helix_ray.backends.http_transport import CONNECTION_TIMEOUT_S, AiohttpTransport, Head, proxy_for
from helix_ray.config import Config
from helix_ray.config.provider import ADDRESSES, ProviderName, StructuredOutput, address_of
from helix_ray.environment.logs import Event, event_logger
from helix_ray.environment.secrets import Secret
from helix_ray.errors import ConfigError, MissingSecretError
from helix_ray.providers.dialects import GROQ, Dialect, dialect_of, refuses_form

log = event_logger(__name__)

CHAT: Final = "/chat/completions"
MODELS: Final = "/models"
NO_KEY: Final = "no-key-is-needed-here"
"""What the SDK, which insists on a key, has for a server that needs none; it is not sent."""
_REDACTED: Final = "[key removed]"

_LOST: Final[dict[type[BaseException], tuple[Literal["not_sent", "unknown"], str]]] = {
    httpx.ConnectError: ("not_sent", "connect"),
    httpx.ConnectTimeout: ("not_sent", "connect_timeout"),
    httpx.ReadError: ("unknown", "reset"),
    httpx.RemoteProtocolError: ("unknown", "disconnected"),
    httpx.DecodingError: ("unknown", "unreadable"),
}


class SdkClient(AsyncGroq):
    """The SDK, which builds address and headers of a resource once and not for each request: four fifths of its CPU.

    ``get`` and ``post`` are the SDK's, as are the errors. It retries nothing, and answers with whole `httpx.Response` objects.
    """

    def __init__(self, key: str, base_url: str, transport: AiohttpTransport) -> None:
        client = httpx.AsyncClient(transport=transport, trust_env=False, timeout=None)  # noqa: S113  (see GroqChat._attempt)
        super().__init__(api_key=key, base_url=base_url, max_retries=0, http_client=client)
        self._transport = transport
        self._heads: dict[str, Head] = {}

    @property
    def user_agent(self) -> str:
        return f"{AsyncGroq.__name__}/Python {self._version}"

    async def request(self, cast_to: Any, options: FinalRequestOptions, **_: Any) -> Any:
        """One attempt. Raises APIStatusError for any status but 2xx, APIConnectionError with httpx's error as its cause."""
        head = self._heads.get(options.url)
        if head is None:
            head = self._heads[options.url] = Head(self._build_request(options))
        content = b"" if options.json_data is None else orjson.dumps(options.json_data)
        assert isinstance(options.timeout, httpx.Timeout)
        try:
            response = await self._transport.send(head, content, options.timeout.connect)
        except Exception as error:
            raise APIConnectionError(request=head.request) from error
        if not response.is_success:
            raise self._make_status_error_from_response(response)
        return response


class GroqChat:
    """A provider behind the Groq SDK: Groq, or a server of another dialect at ``base_url``.

    ``connections`` bounds the sockets; the caller bounds its requests in flight below that. ``api_key`` None: none is sent.
    ``proxy``: as ``provider.proxy``. The SDK neither retries (it would do so blindly and pay twice) nor builds models of the answers
    (a third of its CPU). The environment variables that it would read (GROQ_BASE_URL, GROQ_CUSTOM_HEADERS) change nothing: what the
    configuration says is what happens. The key appears in no message; an answer is changed only by one that cannot be a word of it.

    Where the dialect has several forms of structured output, one request is sent at a time until an answer has shown which of them
    the server takes; those that waited for it go side by side then. A refused request is sent again with the next form within its
    own time; it is not billed.
    """

    def __init__(
        self, api_key: str | None, base_url: str | None, connections: int, dialect: Dialect = GROQ, proxy: str = "environment"
    ) -> None:
        if api_key is None and dialect.needs_key:
            raise MissingSecretError(f"{dialect.title} wants a key, and none was given; set {dialect.key}")
        if api_key is not None and (not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key):
            raise MissingSecretError(
                f"{dialect.key} is not a key: it must be printable ASCII without blanks; copy it again from the console"
            )
        self._key = api_key or NO_KEY
        self._key_bytes = self._key.encode()
        # no word of an answer, which a key of a server that needs none can be
        self._unmistakable = len(self._key) >= 16 and self._key.lower() != self._key.upper() and any(map(str.isdigit, self._key))
        self.base_url = checked_base_url(dialect.name, base_url)
        self._dialect = dialect
        self._forms = list(dialect.forms)  # that the server has not refused; the first is used
        self._asking = asyncio.Lock()
        self._client = SdkClient(self._key, self.base_url, AiohttpTransport(connections, proxy_for(self.base_url, proxy)))
        headers: dict[str, Any] = {"Accept-Encoding": "identity", **dialect.headers}  # to inflate 2 kB costs more than it saves
        if api_key is None:
            headers["Authorization"] = Omit()
        self._client._custom_headers = headers  # set here: the constructor would add GROQ_CUSTOM_HEADERS

    def __repr__(self) -> str:
        return f"GroqChat({self.base_url})"

    @property
    def form(self) -> StructuredOutput:
        """Of structured output, that the next request has."""
        return self._forms[0]

    async def complete(self, payload: dict[str, Any], timeout_s: float) -> ChatReply | TransportFailure:
        if len(self._forms) == 1:
            return await self._complete(payload, timeout_s)
        started = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                await self._asking.acquire()
        except TimeoutError:
            return TransportFailure("not_sent", "connect_timeout", "the first request is not answered yet", time.monotonic() - started)
        try:
            while len(self._forms) > 1:
                reply = await self._complete(payload, max(0.1, started + timeout_s - time.monotonic()))
                if isinstance(reply, ChatReply) and refuses_form(reply.status, reply.body):
                    log.info(Event.FORM_REFUSED, form=self._forms.pop(0), status=reply.status, next=self.form)
                    continue
                if isinstance(reply, ChatReply) and 200 <= reply.status < 300:
                    self._forms = self._forms[:1]
                return reply
        finally:
            self._asking.release()
        return await self._complete(payload, max(0.1, started + timeout_s - time.monotonic()))

    async def _complete(self, payload: dict[str, Any], timeout_s: float) -> ChatReply | TransportFailure:
        options: RequestOptions = {"timeout": _connecting(timeout_s)}
        body = self._dialect.body(payload, self.form)
        reply = await self._attempt(self._client.post(CHAT, body=body, cast_to=httpx.Response, options=options), timeout_s)
        if isinstance(reply, TransportFailure):
            return reply
        return ChatReply(reply.status, reply.headers, reply.body, reply.latency_s, self._dialect.read_reply)

    def stored(self, status: int, body: bytes, latency_s: float) -> ChatReply:
        return ChatReply(status, {}, body, latency_s, self._dialect.read_reply)

    async def models(self, timeout_s: float = 20.0) -> HttpReply | TransportFailure:
        options: RequestOptions = {"timeout": _connecting(timeout_s)}
        return await self._attempt(self._client.get(MODELS, cast_to=httpx.Response, options=options), timeout_s)

    async def knock(self, timeout_s: float) -> HttpReply | TransportFailure:
        """An empty request for a completion, which a server that takes such requests refuses; free of charge."""
        return await self._complete({}, timeout_s)

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


def open_chat(config: Config, key: Secret | None, connections: int, emulator_url: str | None = None) -> GroqChat:
    """The API that answers a run: its provider, or the emulator at ``emulator_url``, which speaks as Groq does."""
    shown = None if key is None else key.reveal()
    if config.analyzer.backend.asks_provider:
        return GroqChat(shown, config.provider_url, connections, dialect_of(config.provider), config.provider.proxy)
    return GroqChat(shown, emulator_url, connections)


@lru_cache(maxsize=64)
def _connecting(timeout_s: float) -> httpx.Timeout:
    """At most half of an attempt's time for a connection: what has not connected by then was not sent, and costs nothing."""
    return httpx.Timeout(None, connect=min(CONNECTION_TIMEOUT_S, timeout_s / 2))


def checked_base_url(name: ProviderName, base_url: str | None) -> str:
    """The address to which nothing but the resource is appended."""
    text = address_of(name, base_url)
    if text is None:
        raise ConfigError("provider.base_url", [f"{name} has no address of its own; name the one that its documentation prints"])
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ConfigError("provider.base_url", [f"'{text}' is not an address: {error}"]) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError("provider.base_url", [f"'{text}' is not an address such as {ADDRESSES[GROQ.name]}"])
    return text
