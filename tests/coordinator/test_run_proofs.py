"""Which results go with a step as proofs, and which parts of its arguments they are said to prove."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.coordinator.runs_kit import RunRig, call, job_of, plan, virtual
from tests.protocol.samples import IDS, MESH, NOW, SIGNING, time_id

from kindmesh.coordinator.heart.journal import Ending
from kindmesh.coordinator.heart.runs.run_proofs import BYTES_MAX, result_proofs
from kindmesh.coordinator.heart.runs.run_words import Submit
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import Forgotten
from kindmesh.protocol.limits import PROOF_VALUE_MAX
from kindmesh.protocol.plan_labels import Label
from kindmesh.protocol.receipt import Receipt, Use, root_of_fields, shown_field, sign_receipt
from kindmesh.protocol.signed import signed_to_bytes
from kindmesh.protocol.utterance_evidence import ArgumentLabel, ArgumentSource

GIVEN = {"text": "hi", "list": ["a", {"b": "c"}]}


def receipt(value: dict[str, Any]) -> Receipt:
    size, root = root_of_fields(value)
    return Receipt(MESH, IDS["phone"], time_id(43), time_id(42), "device.echo", size, root, NOW)


def ended(value: dict[str, Any]) -> Ending:
    """How a job ended at a device that signs receipts."""
    signed = sign_receipt(receipt(value), SIGNING["phone"])
    return Ending(encode_value(value), receipt=signed_to_bytes(signed))


def wish(*sources: ArgumentSource, path: str = "end", source: Any = "device") -> Submit:
    labels = tuple(ArgumentLabel(one.path, Label(source)) for one in sources)
    return Submit(path, 1, "device.echo", {}, "", 9, 0, labels=labels, sources=sources)


LAST = {"id": "end", "pause": {"for_ms": 3_600_000}, "after": ["read", "each", "items", "below", "asked"]}
BELOW = {"plan": 1, "steps": [call("inner")]}


@virtual("phone")
async def test_a_reference_to_what_a_step_gave_comes_with_the_field_that_it_is_in(rig: RunRig) -> None:
    steps = (
        call("read"),
        call("each", for_each={"over": ["x", "y"], "most": 2}),
        call("items", for_each={"over": {"$from": "read.text"}, "most": 2}, when=False, after=["read"]),
        {"id": "below", "sub": {"plan": BELOW}},
        {"id": "asked", "pause": {"for_ms": 1}},
        LAST,
    )
    run_id = await rig.runs.start(plan(*steps))
    await rig.until(run_id, "end", "pausing")
    live, document = rig.runs.open[run_id], rig.runs.document(run_id)
    jobs: dict[bytes, Any] = {
        job_of(document, "read"): ended(GIVEN),
        job_of(document, "each[1]"): ended(GIVEN),
    }

    def proofs(*sources: ArgumentSource, **more: Any) -> list[tuple[str, tuple[Use, ...]]]:
        found = result_proofs(live, wish(*sources, **more), jobs.get)
        for one in found:
            assert shown_field(one, receipt(GIVEN)) == GIVEN[one.name]
        return [(one.name, one.uses) for one in found]

    # One proof for each field, whatever is used of it.
    parts = (
        ArgumentSource("a", "read", ("text",)), ArgumentSource("b.0", "read", ("list", "1", "b")),
        ArgumentSource("c", "read", ("list",)),
    )  # fmt: skip
    assert proofs(*parts) == [
        ("text", (Use("a"),)), ("list", (Use("b.0", ("1", "b")), Use("c"))),
    ]  # fmt: skip
    assert proofs(ArgumentSource("a", "each", ("1", "text"))) == [("text", (Use("a"),))]
    # What was not given by a job of this run, or not as it is.
    for root, inside in (
        ("read", ()), ("read", ("none",)), ("each", ()), ("each", ("x", "text")), ("each", ("0", "text")),
        ("each", ("7", "text")), ("below", ("text",)), ("asked", ("text",)), ("inputs", ("x",)), ("item", ("x",)),
    ):  # fmt: skip
        assert proofs(ArgumentSource("a", root, inside)) == []
    assert proofs(*parts, source="user") == []
    assert proofs(ArgumentSource("a", "item", ("x",)), path="each[0]") == []
    assert proofs(ArgumentSource("a", "item"), path="gone[0]") == []
    rig.runs.cancel(run_id)


@virtual("phone")
async def test_an_item_of_a_list_that_a_step_gave_is_where_it_is_in_the_list(rig: RunRig) -> None:
    given = {"text": ["a", "b"]}
    over = {"over": {"$from": "read.text"}, "most": 2}
    each = call("each", {"$from": "item"}, for_each=over, after=["end"])
    wait = {"id": "end", "pause": {"for_ms": 3_600_000}, "after": ["read"]}
    run_id = await rig.runs.start(plan(call("read"), wait, each))
    await rig.until(run_id, "end", "pausing")
    live = rig.runs.open[run_id]
    live.machine.items["read"].ref = b"r" * 16
    live.machine.items["each[1]"] = msgspec.structs.replace(
        live.machine.items["read"], path="each[1]", step="each"
    )
    source = ArgumentSource("text", "item")
    (proof,) = result_proofs(live, wish(source, path="each[1]"), {b"r" * 16: ended(given)}.get)
    assert (proof.name, proof.uses) == ("text", (Use("text", ("1",)),))
    del live.machine.items["each[1]"]
    rig.runs.cancel(run_id)


@virtual("phone")
async def test_what_cannot_be_shown_is_left_out_and_the_step_goes_on(rig: RunRig) -> None:
    run_id = await rig.runs.start(
        plan(call("read"), {"id": "end", "pause": {"for_ms": 3_600_000}, "after": ["read"]})
    )
    await rig.until(run_id, "end", "pausing")
    live, job = rig.runs.open[run_id], job_of(rig.runs.document(run_id), "read")
    half = "a" * (PROOF_VALUE_MAX - 100)
    large = dict.fromkeys(("one", "two", "three"), half) | {"huge": "a" * PROOF_VALUE_MAX}
    sources = [ArgumentSource(name, "read", (name,)) for name in large]

    def forgotten(job: bytes) -> Ending | None:
        raise Forgotten("the run was forgotten")

    without = (
        None, Ending(encode_value(GIVEN)), Ending(b"", receipt=b"x"), Ending(encode_value(large), receipt=b"none"),
    )  # fmt: skip
    for ending in without:
        assert result_proofs(live, wish(*sources), dict.fromkeys([job], ending).get) == ()
    assert result_proofs(live, wish(*sources), forgotten) == ()
    found = result_proofs(live, wish(*sources), lambda job: ended(large))
    assert [one.name for one in found] == ["one", "two"]
    assert sum(len(one.value) for one in found) <= BYTES_MAX
    rig.runs.cancel(run_id)
