"""Placement: who is able, who is best, and why; always the same answer for the same facts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.coordinator.heart.placement import Candidate, Need, choose, explain, rank

A, B, C = b"A" * 20, b"B" * 20, b"C" * 20
NEED = Need("speech.render")


def device(device: bytes = A, name: str = "phone", **facts: Any) -> Candidate:
    return msgspec.structs.replace(Candidate(device, name, limit=4), **facts)


def test_the_only_able_device_is_taken() -> None:
    choice = choose([device(), device(B, "kitchen", here=False)], NEED)
    assert (choice.device, choice.why) == (A, "the only device that can now")


@pytest.mark.parametrize(
    ("better", "word"),
    [
        ({"fit": 1.0}, "made for it"),
        ({"latency_ms": 10.0}, "faster"),
        ({"load": 0.0}, "less to do"),
        ({"temperature_c": 30.0}, "cooler"),
        ({"rtt_ms": 1.0}, "better link"),
    ],
)
def test_each_part_alone_decides_and_is_named(better: dict[str, Any], word: str) -> None:
    choice = choose([device(), device(B, "kitchen", **better)], NEED)
    assert choice.device == B
    assert word in choice.why


@pytest.mark.parametrize(
    ("worse", "word"),
    [
        ({"in_flight": 2}, "more room"),
        ({"battery": 0.1}, "more power"),
        ({"temperature_c": 90.0}, "cooler"),
        ({"load": 3.0}, "less to do"),
        ({"loss": 0.5}, "better link"),
    ],
)
def test_a_device_that_is_worse_off_is_spared(worse: dict[str, Any], word: str) -> None:
    choice = choose([device(**worse), device(B, "kitchen")], NEED)
    assert choice.device == B
    assert word in choice.why


def test_a_charging_device_counts_as_powered() -> None:
    choice = choose([device(battery=0.1, charging=True), device(B, "kitchen", battery=0.9)], NEED)
    assert choice.device == A


def test_the_device_that_has_the_files_is_preferred() -> None:
    need = Need("vision.read_text", size_bytes=1000, held={B: 1000})
    assert "files" in choose([device(), device(B, "kitchen")], need).why


def test_a_device_that_just_failed_is_taken_only_when_there_is_no_other() -> None:
    need = Need("speech.render", avoid=A)
    choice = choose([device(fit=0.5), device(B, "kitchen")], need)
    assert (choice.device, choice.why) == (B, "best of 2: it is not the one that just failed")
    assert choose([device(), device(B, "kitchen", ready=False)], need).device == A


def test_equals_are_decided_by_id_whatever_the_order() -> None:
    same = [device(C, "tv"), device(B, "kitchen"), device(A)]
    choice = choose(same, NEED)
    assert choice == choose(same[::-1], NEED)
    assert (choice.device, choice.why) == (A, "best of 3: it was here first")


def test_who_was_asked_for_gets_it() -> None:
    assert choose([device(), device(B, "kitchen")], Need("a.b", target=B)).why == "it was asked for"


@pytest.mark.parametrize(
    ("facts", "why", "passing", "busy"),
    [
        ({"offered": False}, "does not offer speech.render", False, False),
        ({"ready": False}, "not installed", False, False),
        ({"ready": False, "resting": True}, "rests there, because it kept failing", True, False),
        ({"granted": False}, "did not grant", False, False),
        ({"here": False}, "gone", True, False),
        ({"here": False, "silent_ms": 65_000}, "gone, last heard 65 s ago", True, False),
        ({"here": False, "silent_ms": 650_000}, "last heard 10 min ago", True, False),
        ({"here": False, "silent_ms": 36_000_000}, "last heard 10 h ago", True, False),
        ({"certified": False}, "certificate has ended", True, False),
        ({"in_flight": 3}, "busy with 3 of these", True, True),
        ({"in_flight": 1, "limit": 1}, "busy with 1 of these", True, True),
        ({"total": 9, "room": 9.0}, "busy with 9 jobs", True, True),
    ],
)
def test_why_not_is_said_and_whether_waiting_helps(
    facts: dict[str, Any], why: str, passing: bool, busy: bool
) -> None:
    choice = choose([device(**facts)], NEED)
    assert choice.device == b""
    assert why in choice.why
    assert (choice.passing, choice.busy) == (passing, busy)
    verdict = rank([device(**facts)], NEED)[0]
    assert (verdict.why_not in choice.why, verdict.passing, verdict.busy) == (True, passing, busy)


def test_an_emergency_takes_the_last_place_and_goes_where_others_are_refused() -> None:
    crowded = device(in_flight=3, total=9, room=9.0)
    assert choose([crowded], Need("speech.say", emergency=True)).device == A
    assert choose([device(in_flight=4)], Need("speech.say", emergency=True)).device == b""


def test_nobody_is_explained_device_by_device_with_the_install_hint() -> None:
    hint = "pip install 'kindmesh[speech]'"
    choice = choose([device(here=False), device(B, "kitchen", ready=False, hint=hint)], NEED)
    assert choice.why == "kitchen: something it needs is not installed there; phone: gone"
    assert choice.hint == hint
    assert choose([], NEED).why == "no device offers it"


def test_a_target_that_cannot_is_the_only_one_spoken_of() -> None:
    need = Need("a.b", target=B)
    assert choose([device(), device(B, "kitchen", here=False)], need).why == "kitchen: gone"
    assert (
        choose([device()], need).why
        == "the device that was asked for does not offer it, or was not granted it when it was paired"
    )


def test_explain_shows_the_sums_and_the_reasons() -> None:
    hint = "pip install it"
    need = Need("speech.render", avoid=B)
    found = [device(C, "tv", ready=False, hint=hint), device(B, "kitchen", fit=1.0), device(here=True)]
    lines = explain(rank([*found, device(b"D" * 20, "hall", here=False)], need))
    assert lines[0].startswith("phone: ")
    assert "again -6 x 1.00" in lines[1]
    assert lines[2] == "tv: no, something it needs is not installed there. pip install it"
    assert lines[3] == "hall: no, gone"


optional = st.none() | st.floats(0, 100)


@given(
    st.lists(
        st.builds(
            Candidate,
            device=st.binary(min_size=1, max_size=1),
            name=st.just("x"),
            here=st.booleans(),
            fit=st.floats(0, 1),
            latency_ms=optional,
            load=optional,
            battery=st.none() | st.floats(0, 1),
            temperature_c=optional,
            in_flight=st.integers(0, 5),
            limit=st.integers(1, 5),
        ),
        max_size=5,
        unique_by=lambda candidate: candidate.device,
    ),
    st.binary(max_size=1),
)
def test_choice_and_ranking_agree(candidates: list[Candidate], avoid: bytes) -> None:
    need = Need("a.b", avoid=avoid)
    choice = choose(candidates, need)
    ranked = rank(candidates, need)
    able = [verdict for verdict in ranked if not verdict.why_not]
    assert choice.device == (able[0].device if able else b"")
    assert len(ranked) == len(candidates)
    assert all(abs(sum(part.weight * part.value for part in v.parts) - v.score) < 1e-9 for v in able)


def test_an_alert_goes_to_a_device_whose_certificate_has_ended() -> None:
    lapsed = [device(certified=False, harmless=True)]
    assert choose(lapsed, Need("speech.say", emergency=True)).device == A
    assert choose(lapsed, Need("speech.say")).device == b""
    assert choose([device(certified=False)], Need("robot.move", emergency=True)).device == b""


@pytest.mark.parametrize("reason", ["draining", "breaker"])
def test_a_device_to_be_spared_gets_an_emergency_only_when_there_is_no_other(reason: str) -> None:
    spared = msgspec.structs.replace(device(), **{reason: "it is being switched off"})
    choice = choose([spared], NEED)
    assert (choice.device, choice.passing, choice.busy) == (b"", True, False)
    assert "being switched off" in choice.why
    urgent = Need("speech.render", emergency=True)
    assert choose([spared], urgent).device == A
    assert choose([spared, device(B, "kitchen", fit=0.0)], urgent).device == B
    (verdict,) = rank([spared], urgent)
    assert verdict.parts[-1].weight == -6.0
