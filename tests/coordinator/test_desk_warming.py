"""The grammars are read before the first sentence, once, and only where there is a home to speak to."""

from __future__ import annotations

import asyncio

from tests.coordinator.heart_kit import Rig
from tests.coordinator.test_heart import virtual

from kindmesh.capabilities.home.manifest import MANIFEST
from kindmesh.capabilities.home.model import Area, Entity, Home
from kindmesh.coordinator.brain.cortex.intents import official
from kindmesh.coordinator.brain.cortex.terms import Situation
from kindmesh.coordinator.brain.desk.thinking import Thinking
from kindmesh.coordinator.brain.desk.warming import Warming
from kindmesh.protocol.errors import ConfigError
from kindmesh.protocol.messages.hello import Thing

LIGHT = Entity("light.kitchen", "Kitchen light", area="kitchen", state="off")
HOME = Home({}, {"kitchen": Area("kitchen", "Kitchen")}, {LIGHT.id: LIGHT})
GET = next(one for one in MANIFEST.operations if one.name == "home.get")
OPERATIONS = frozenset({"home.control", "home.get"})


async def test_a_sentence_after_it_loads_nothing_more_and_one_meanwhile_waits_for_it() -> None:
    official._grammar.cache_clear()
    thinking, situation = Thinking(), Situation(HOME, 1_795_000_000_000, operations=OPERATIONS)
    warming = Warming(lambda: True, lambda: thinking.warm(Situation(Home(), 1_795_000_000_000)))
    warming.tick()
    await asyncio.sleep(0)
    found = await thinking.understand("turn on the kitchen light", situation)
    assert found.plan is not None
    assert official._grammar.cache_info().misses == 1
    await warming.close()
    await thinking.understand("turn off the kitchen light", situation)
    assert official._grammar.cache_info().misses == 1


async def test_it_begins_when_there_is_a_home_and_only_once() -> None:
    there, begun = [False], 0

    async def warm() -> None:
        nonlocal begun
        begun += 1

    warming = Warming(lambda: there[0], warm)
    for there[0] in (False, False, True, True, False, True):
        warming.tick()
        await asyncio.sleep(0)
    assert begun == 1
    await warming.close()


@virtual("kitchen", "phone")
async def test_a_home_without_anything_in_it_is_no_reason_to_load_a_grammar(rig: Rig) -> None:
    begun = asyncio.Event()

    async def warm() -> None:
        begun.set()

    warming = Warming(rig.heart.devices.names_anything, warm)
    rig.nodes["kitchen"].advertise((GET,))
    await rig.settle()
    warming.tick()
    await rig.settle()
    assert rig.heart.devices.seats(GET.name)
    assert not begun.is_set()
    rig.nodes["phone"].advertise((GET,), things=(Thing(LIGHT.id, (LIGHT.name,)),))
    await rig.settle()
    warming.tick()
    await rig.settle()
    assert begun.is_set()
    await warming.close()


async def test_what_is_not_installed_ends_nothing_and_is_not_tried_at_every_heartbeat() -> None:
    tried = 0

    async def warm() -> None:
        nonlocal tried
        tried += 1
        raise ConfigError("hassil is not installed", hint="pip install 'kindmesh[brain]'")

    warming = Warming(lambda: True, warm)
    for _ in range(3):
        warming.tick()
        await asyncio.sleep(0)
    assert tried == 1
    await warming.close()


async def test_closing_waits_for_nothing_and_needs_no_beginning() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    warming = Warming(lambda: True, never)
    await warming.close()
    warming.tick()
    await asyncio.sleep(0)
    await asyncio.wait_for(warming.close(), 5)
