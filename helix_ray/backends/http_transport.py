"""The HTTP transport under the Groq SDK: aiohttp, with errors that say whether a request left.

The SDK's default transport (httpcore) spends 8 ms of CPU a request at 64 requests in flight, since its pool scans all its
connections for each; aiohttp stays near 1 ms at 256. The ready-made bridge ``httpx_aiohttp`` calls a refused connection, a
reset and a vanished server all "connect timeout": a caller that pays per request must tell "never sent" from "maybe billed".
"""

from __future__ import annotations

import asyncio
import os
import ssl
import zlib
from collections.abc import Mapping
from contextlib import suppress
from functools import cache

import aiohttp
import httpx
from multidict import CIMultiDict
from yarl import URL

from helix_ray.config.provider import is_loopback
from helix_ray.errors import ConfigError

CONNECTION_TIMEOUT_S = 10.0
"""For all of it: a free place in the pool, the address, TCP and TLS. A request without its own takes this."""

SOCKET_TIMEOUT_S = 5.0
"""For TCP with one address, so that another of the host's may be tried."""

CLOSE_TIMEOUT_S = 2.0
"""A peer that takes no more bytes would let a connection linger until they are flushed."""

KEEPALIVE_S = 55.0
"""Below the 60 s at which servers commonly close; the SDK's default of 5 s would mean a TLS handshake a request at slow pace."""

MAX_BODY_BYTES = 4 * 1024 * 1024


class Head:
    """Method, address and headers of ``request``, in aiohttp's types; of its body nothing."""

    def __init__(self, request: httpx.Request) -> None:
        self.request = request
        self.url = URL(str(request.url), encoded=True)
        self.headers = CIMultiDict((name, value) for name, value in request.headers.items() if name != "content-length")


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx requests through one aiohttp session and reads each answer whole, up to ``MAX_BODY_BYTES``.

    Raises httpx's ConnectError, ConnectTimeout (nothing was sent), ReadError, RemoteProtocolError, DecodingError (something
    was). There is no read timeout: a server that drips bytes resets it for ever, so the caller sets one deadline for all.
    """

    def __init__(self, connections: int, proxy: str | None = None) -> None:
        """``proxy``: the address that all requests go through."""
        self._connections = connections
        named = None if proxy is None else URL(proxy)
        self._proxy = named and named.with_user(None)  # no error may show its password
        login = None if named is None or named.user is None else aiohttp.encode_basic_auth(named.user, named.password or "")
        self._proxy_headers = {"Proxy-Authorization": login} if login else None
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.send(Head(request), request.content, request.extensions.get("timeout", {}).get("connect"))

    async def send(self, head: Head, content: bytes, connect_s: float | None) -> httpx.Response:
        """One request. ``connect_s``: for a connection; None: the usual time."""
        session = self._session or self._open()
        try:
            answer = await session.request(
                head.request.method,
                head.url,
                headers=head.headers,
                data=content or None,
                allow_redirects=False,  # a redirect must not carry the key elsewhere
                proxy=self._proxy,
                proxy_headers=self._proxy_headers,
                timeout=_timeout(connect_s or CONNECTION_TIMEOUT_S),
            )
            try:
                body = await _read(answer)
            finally:
                answer.release()
        except aiohttp.ConnectionTimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time") from error
        except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError) as error:
            raise httpx.ConnectError(f"no connection through the proxy {self._proxy} (provider.proxy): {_reason(error)}") from error
        except aiohttp.ClientSSLError as error:
            raise httpx.ConnectError(f"TLS: {_reason(error)}; {trusted_authorities()}") from error
        except aiohttp.ClientConnectorError as error:
            raise httpx.ConnectError(f"cannot connect: {_reason(error)}") from error
        except aiohttp.ServerDisconnectedError as error:
            raise httpx.RemoteProtocolError("the server closed the connection before it answered") from error
        except (aiohttp.ClientOSError, aiohttp.ClientPayloadError, ConnectionError) as error:
            raise httpx.ReadError(f"the connection broke: {_reason(error)}") from error
        except aiohttp.ClientError as error:
            raise httpx.RemoteProtocolError(f"not an HTTP answer: {_reason(error)}") from error
        encoding = answer.headers.get("Content-Encoding", "identity").lower()
        dropped = {b"set-cookie"}  # httpx would send it back
        if encoding != "identity":
            body = _inflate(body, encoding)
            dropped |= {b"content-encoding", b"content-length"}
        headers = [item for item in answer.raw_headers if item[0].lower() not in dropped]
        return httpx.Response(answer.status, headers=headers, content=body, request=head.request)

    def _open(self) -> aiohttp.ClientSession:
        """Opened at the first request, since it belongs to the loop that runs then."""
        connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEEPALIVE_S, ssl=ssl.create_default_context())
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,  # no .netrc, and no proxy but the one that was chosen
        )
        return self._session

    async def aclose(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await session.close()


def proxy_for(base_url: str, setting: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """The proxy between this machine and ``base_url``: by ``setting``, which is provider.proxy. None: there is none.

    ``environment``: HTTPS_PROXY or HTTP_PROXY, by the address's scheme, unless NO_PROXY names its host. Loopback is asked directly.
    """
    if setting == "none" or is_loopback(base_url):
        return None
    if setting != "environment":
        return setting
    url = httpx.URL(base_url)
    named = {name.lower(): value for name, value in environ.items() if value and name.lower().endswith("_proxy")}
    for excluded in (part.strip().lower() for part in named.get("no_proxy", "").split(",")):
        host = excluded.lstrip("*").lstrip(".")
        if excluded == "*" or (host and (url.host == host or url.host.endswith(f".{host}"))):
            return None
    found = named.get(f"{url.scheme}_proxy") or named.get("all_proxy")
    if found is None or found.startswith(("http://", "https://")):
        return found
    if "://" not in found:
        return f"http://{found}"
    raise ConfigError("provider.proxy", [f"only proxies of http are used, and the environment names one of {found.partition(':')[0]}"])


def trusted_authorities(environ: Mapping[str, str] = os.environ) -> str:
    """Whom TLS trusts, and how to make it trust others."""
    named = environ.get("SSL_CERT_FILE")
    what = "a server or a proxy with an authority of its own needs its certificate there"
    return f"SSL_CERT_FILE is {named}; {what}" if named else f"SSL_CERT_FILE is not set, so the system's authorities hold; {what}"


@cache
def _timeout(connect_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect_s, sock_connect=min(SOCKET_TIMEOUT_S, connect_s))


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The body; DecodingError past the limit, with the connection closed: what else comes is of no use."""
    if (answer.content_length or 0) <= MAX_BODY_BYTES and answer.content_length is not None:
        return await answer.read()
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            answer.close()
            raise httpx.DecodingError(f"the body is larger than {MAX_BODY_BYTES} bytes")
    return b"".join(chunks)


def _inflate(body: bytes, encoding: str) -> bytes:
    """We ask for plain bodies; a server that compresses all the same is read if it uses gzip or deflate."""
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise httpx.DecodingError(f"the body is encoded as {encoding[:40]!r}, which was not asked for")
    try:
        plain = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise httpx.DecodingError(f"the body is not valid {encoding}") from error
    if len(plain) > MAX_BODY_BYTES:
        raise httpx.DecodingError(f"the body is larger than {MAX_BODY_BYTES} bytes")
    return plain


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
