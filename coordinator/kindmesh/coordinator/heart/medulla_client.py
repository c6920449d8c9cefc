"""How the Heart asks Medulla: without waiting, one callback for each answer.

`Reviewer` is all that the Heart needs of Medulla; `MedullaReviewer` is the real one, over Medulla's socket. Requests
of one turn of the loop leave together. Whatever goes wrong is handed to the callback as an error: no answer is never a
yes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeAlias

from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.brain.medulla.messages import Advertised, PermitRequest, Verdict
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.signed import Signed

OnVerdict: TypeAlias = Callable[[Verdict | KindmeshError], None]


class Reviewer(Protocol):
    """Who says what may be done."""

    def ask(self, request: PermitRequest, done: OnVerdict) -> None:
        """Have one step judged; `done` is called once, not before this returns."""

    async def approve(self, approval: Signed, epoch: int = 0) -> Verdict:
        """Pass on a person's signed answer.

        Raises:
            KindmeshError: it was refused, or Medulla is not there.
        """

    async def advertise(self, advert: Signed) -> Advertised:
        """Pass on what a device says it offers, before anything is asked about that device.

        Raises:
            KindmeshError: it was refused, or Medulla is not there.
        """


class MedullaReviewer:
    """See the module. `client` may be shared with others."""

    def __init__(self, client: MedullaClient) -> None:
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def ask(self, request: PermitRequest, done: OnVerdict) -> None:
        """See `Reviewer`."""
        if self._client.connected:
            self._client.permit_soon(request, partial(self._answered, done))
            return
        task = asyncio.get_running_loop().create_task(self._ask(request, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, request: PermitRequest, done: OnVerdict) -> None:
        try:
            verdict = await self._client.permit(request)
        except KindmeshError as error:
            done(error)
        else:
            done(verdict)

    def _answered(self, done: OnVerdict, verdict: Verdict | KindmeshError) -> None:
        if not self._closed:
            done(verdict)

    async def approve(self, approval: Signed, epoch: int = 0) -> Verdict:
        """See `Reviewer`."""
        return await self._client.approve(approval, epoch)

    async def advertise(self, advert: Signed) -> Advertised:
        """See `Reviewer`."""
        return await self._client.advertise(advert)

    async def close(self) -> None:
        """Give up on what was not answered; no callback is called any more."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


__all__ = ["MedullaReviewer", "OnVerdict", "Reviewer"]
