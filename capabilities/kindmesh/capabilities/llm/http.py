"""HTTP to a provider of language models, for all clients alike. The only module that imports `httpx2`.

What leaves is what we mean to send: requests go to the configured address and nowhere else (no redirects, no proxies
and no credentials from the environment), once (no retries), with a handful of headers. Whatever an SDK adds to tell
its maker about this machine is taken off, and the key is put on here, at the very last moment, so that no SDK ever
has it. What comes back is bounded, and not compressed, since a bound on compressed bytes is none. Errors say what
happened in our own words: what a provider writes into its errors may repeat the key, or the question.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import urlsplit

import httpx2

from kindmesh.capabilities.llm.config import Timeouts
from kindmesh.capabilities.llm.keys import Key
from kindmesh.capabilities.llm.model import NotCharged
from kindmesh.protocol.errors import ModelUnavailable

RESPONSE_MAX: Final = 16_777_216
"""Bytes of one answer, as they come."""
SENT: Final = frozenset(
    {
        "accept",
        "anthropic-version",
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
    }
)
"""Headers that may leave; `accept-encoding`, `user-agent` and the key's are set here."""
TRANSPORT_ERRORS: Final = (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL)
"""All that `httpx2` raises when something goes wrong on the way."""
_NEVER_SENT: Final = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.UnsupportedProtocol,
)
_RETRY_MAX_MS: Final = 3_600_000
_WORD: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")

for _name in ("anthropic", "httpcore2", "httpx2", "openai"):
    # At a finer level they write down whole requests; the environment can ask them to.
    logging.getLogger(_name).setLevel(logging.WARNING)


class _Bounded(httpx2.AsyncByteStream):
    """Ends a body that is too large."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._body:
            size += len(piece)
            if size > RESPONSE_MAX:
                raise httpx2.ReadError("more than an answer can be")
            yield piece

    async def aclose(self) -> None:
        await self._body.aclose()


class _Strict(httpx2.AsyncBaseTransport):
    """See the module."""

    def __init__(self, url: str, header: str, scheme: str, key: Key) -> None:
        self._inner = httpx2.AsyncHTTPTransport(trust_env=False, retries=0)
        self._where = _origin(httpx2.URL(url))
        self._header, self._scheme, self._key = header, scheme, key

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if _origin(request.url) != self._where:
            raise httpx2.UnsupportedProtocol("not the address that was configured")
        for name in set(request.headers) - SENT:
            del request.headers[name]
        request.headers["accept-encoding"] = "identity"
        request.headers["user-agent"] = "kindmesh"
        if self._key.text():
            request.headers[self._header] = self._scheme + self._key.text()
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.DecodingError("compressed, though it was not asked for")
        if not isinstance(response.stream, httpx2.AsyncByteStream):
            raise httpx2.ReadError("no body that can be read")
        response.stream = _Bounded(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def http_client(
    url: str, timeouts: Timeouts, key: Key, *, header: str, scheme: str = ""
) -> httpx2.AsyncClient:
    """A client for one provider; the key goes into `header`, after `scheme`.

    The read timeout is a little above what `engine` waits, so that it is `engine` that says how long it was.
    """
    patience = max(timeouts.first_s, timeouts.silence_s) + 5
    return httpx2.AsyncClient(
        base_url=url,
        transport=_Strict(url, header, scheme, key),
        timeout=httpx2.Timeout(patience, connect=timeouts.connect_s, pool=timeouts.connect_s),
        follow_redirects=False,
        trust_env=False,
    )


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def refused(status: int, headers: Mapping[str, str], what: object = "") -> NotCharged:
    """The error for a status that is no success; `what`: the provider's word for it, which is shown if it is one."""
    word = f" ({what})" if isinstance(what, str) and _WORD.fullmatch(what) else ""
    if 300 <= status < 400:
        return NotCharged(
            "the provider sends requests elsewhere, which is not followed", hint="Correct its url."
        )
    if status in (401, 403):
        return NotCharged(
            f"the provider refuses the key{word}", hint="kindmesh llm test shows it; is the key right?"
        )
    if status == 402:
        return NotCharged(f"the provider wants to be paid first{word}", hint="Look at your account there.")
    if status == 404:
        return NotCharged(
            f"the provider knows no such model or address{word}", hint="kindmesh llm list shows both."
        )
    if status in (408, 409, 425, 429) or status >= 500:
        busy = "has had too many requests" if status == 429 else f"is in trouble (status {status})"
        return NotCharged(f"the provider {busy}{word}", retry_ms=retry_after(headers))
    return NotCharged(f"the provider does not take this request (status {status}){word}")


def retry_after(headers: Mapping[str, str]) -> int:
    """When it may be asked again, in ms; 0 where it does not say (dates are not read: clocks differ)."""
    for name, factor in (("retry-after-ms", 1), ("retry-after", 1_000)):
        try:
            wanted = float(headers.get(name, ""))
        except ValueError:
            continue
        if 0 < wanted * factor <= _RETRY_MAX_MS:
            return int(wanted * factor)
    return 0


def lost(error: BaseException | None, url: str) -> ModelUnavailable:
    """The error for what went wrong on the way, before or while the answer came."""
    host = urlsplit(url).hostname or "the provider"
    if isinstance(error, _NEVER_SENT):
        return NotCharged(f"{host} cannot be reached", hint="Is it running, and the url right?")
    if isinstance(error, httpx2.TimeoutException):
        return ModelUnavailable(f"{host} fell silent")
    return ModelUnavailable(f"the connection to {host} broke off")


__all__ = ["RESPONSE_MAX", "SENT", "TRANSPORT_ERRORS", "http_client", "lost", "refused", "retry_after"]
