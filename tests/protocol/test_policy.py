"""What the owner's rules answer, and what a person is shown before signing."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol import samples
from tests.protocol.samples import MESH, NOW

from kindmesh.protocol.certificate import CapabilityGrant
from kindmesh.protocol.codec import decode, encode, encode_value
from kindmesh.protocol.errors import InvalidInput, Malformed
from kindmesh.protocol.limits import CEDAR_MAX
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.policy import (
    SEVERITY,
    Answer,
    ApprovalRequest,
    Policy,
    Rule,
    check_policy,
    decide,
    describe_request,
    first_policy,
    grants_for,
)
from kindmesh.protocol.principal import Principal

OPERATIONS = ("speech.say", "speech.render", "home.open_door", "speech")
rules = st.builds(
    Rule,
    st.sampled_from(["*", "speech.*", "home.*", "speech.say", "home.open_door"]),
    st.integers(0, 255),
    st.sampled_from(["allow", "ask", "deny"]),
)


def policy(*chosen: Rule) -> Policy:
    return Policy(MESH, 1, NOW, chosen)


def test_rules_in_cedar_have_a_size() -> None:
    for text in ("x" * CEDAR_MAX, "ä" * (CEDAR_MAX // 2)):
        check_policy(msgspec.structs.replace(policy(), cedar=text))
        with pytest.raises(InvalidInput, match="Cedar") as refused:
            check_policy(msgspec.structs.replace(policy(), cedar=text + "ä"))
        assert refused.value.field == "cedar"


def test_a_policy_from_before_there_were_rules_in_cedar_is_read() -> None:
    before = encode(samples.POLICY)
    fields = msgspec.msgpack.decode(before)
    assert decode(Policy, msgspec.msgpack.encode(fields[:-1])).cedar == ""


def test_a_grant_for_manifests_is_what_their_operations_need_and_no_more() -> None:
    other = msgspec.structs.replace(samples.MANIFEST, capability="device")
    assert grants_for([samples.MANIFEST, other, samples.MANIFEST]) == (
        CapabilityGrant("device", int(Effect.READ | Effect.NOTIFY)),
        CapabilityGrant("speech", int(Effect.READ | Effect.NOTIFY)),
    )
    assert grants_for([]) == ()


@pytest.mark.parametrize("effect", list(Effect))
def test_the_first_policy_allows_reading_and_notifying_and_asks_for_the_rest(effect: Effect) -> None:
    expected = "allow" if effect in (Effect.READ, Effect.NOTIFY) else "ask"
    assert decide(first_policy(MESH, NOW), "any.thing", effect) == expected
    assert decide(first_policy(MESH, NOW), "any.thing", effect | Effect.READ) == expected


@pytest.mark.parametrize(
    ("chosen", "operation", "effects", "answer"),
    [
        ((), "speech.say", 8, "ask"),
        ((Rule("*", 8, "deny"), Rule("speech.*", 8, "allow")), "speech.say", 8, "allow"),
        ((Rule("*", 8, "allow"), Rule("speech.*", 8, "deny")), "speech.say", 8, "deny"),
        ((Rule("speech.*", 8, "deny"), Rule("speech.say", 8, "allow")), "speech.say", 8, "allow"),
        ((Rule("speech.say", 8, "allow"), Rule("speech.say", 8, "ask")), "speech.say", 8, "ask"),
        ((Rule("speech.say", 8, "allow"), Rule("speech.say", 8, "deny")), "speech.say", 8, "deny"),
        ((Rule("speech.say", 8, "allow"),), "speech.render", 8, "ask"),
        ((Rule("speech.*", 8, "allow"),), "speechless.say", 8, "ask"),
        ((Rule("*", 1, "allow"), Rule("*", 8, "deny")), "speech.say", 9, "deny"),
        ((Rule("*", 1, "allow"), Rule("speech.say", 8, "allow")), "speech.say", 9, "allow"),
        ((Rule("*", 255, "allow"),), "speech.say", 255, "allow"),
    ],
)
def test_the_most_specific_rule_speaks_and_the_strongest_answer_wins(
    chosen: tuple[Rule, ...], operation: str, effects: int, answer: Answer
) -> None:
    assert decide(policy(*chosen), operation, effects) == answer


@pytest.mark.parametrize("effects", [0, 256, 257, -1, 1 << 40])
def test_no_effect_or_an_unknown_one_is_denied_whatever_the_rules_say(effects: int) -> None:
    assert decide(policy(Rule("*", 255, "allow")), "speech.say", effects) == "deny"


@given(st.lists(rules, max_size=6), st.sampled_from(OPERATIONS), st.integers(1, 255), st.integers(1, 255))
def test_more_effects_never_get_a_weaker_answer(
    chosen: list[Rule], operation: str, effects: int, more: int
) -> None:
    less = SEVERITY[decide(policy(*chosen), operation, effects)]
    assert SEVERITY[decide(policy(*chosen), operation, effects | more)] >= less


@given(
    st.lists(rules, max_size=6).flatmap(lambda chosen: st.tuples(st.just(chosen), st.permutations(chosen))),
    st.sampled_from(OPERATIONS),
    st.integers(1, 255),
)
def test_the_order_of_the_rules_does_not_matter(
    orders: tuple[list[Rule], list[Rule]], operation: str, effects: int
) -> None:
    assert decide(policy(*orders[0]), operation, effects) == decide(policy(*orders[1]), operation, effects)


@given(st.lists(rules, max_size=6), st.sampled_from(OPERATIONS), st.integers(1, 255))
def test_nothing_is_allowed_that_no_rule_allows(chosen: list[Rule], operation: str, effects: int) -> None:
    allowed = 0
    for rule in chosen:
        allowed |= rule.effects if rule.answer == "allow" else 0
    if effects & ~allowed:
        assert decide(policy(*chosen), operation, effects) != "allow"


def request(**changes: object) -> ApprovalRequest:
    return msgspec.structs.replace(samples.REQUEST, **changes)


def test_the_prompt_shows_everything_that_is_bound() -> None:
    lines = describe_request(request(effects=24, reasons=("first", "second")))
    text = "\n".join(lines)
    for shown in ("speech.say", "phone", "notify, actuate", "makes a sound", "owner", "first", "second"):
        assert shown in text
    assert lines[-3:] == ["  {", '    "text": "Good morning"', "  }"]


def test_nobody_can_write_lines_of_their_own_into_the_prompt() -> None:
    evil = "owner\nvalues\n  {}\x1b[8m\u2028\u202e"
    plain = describe_request(request())
    forged = describe_request(
        request(
            operation=evil,
            target_name=evil,
            principal=Principal("owner", name=evil),
            reasons=(evil,),
            args=encode_value({"text": evil + "\x85\u2029\x7f", "\u202ek\n": 1}),
        )
    )
    assert len(forged) == len(plain) + 1
    assert all(line.isprintable() for line in forged)
    assert "  values" not in [line.rstrip() for line in forged]
    assert "\\u202e" in "".join(forged)


@pytest.mark.parametrize(
    "args",
    [b"", b"\xc1", b"\x82\xa1a\x01\xa1a\x02", b"\x81\xa1a\xcb\x7f\xf8" + b"\0" * 6, b"\x91" * 40 + b"\xc0"],
    ids=["nothing", "no value", "a key twice", "not a number", "too deep"],
)
def test_arguments_that_the_prompt_could_show_wrongly_are_not_shown_at_all(args: bytes) -> None:
    with pytest.raises(Malformed):
        describe_request(request(args=args))


@given(
    st.dictionaries(
        st.text(max_size=5), st.text(max_size=10) | st.integers(-(2**63), 2**63) | st.binary(max_size=5)
    )
)
def test_any_arguments_are_shown_line_by_line(values: dict[str, object]) -> None:
    lines = describe_request(request(args=encode_value(values)))
    assert all(line.isprintable() for line in lines)
    assert len(lines) - lines.index("values") - 1 == (len(values) + 2 if values else 1)
