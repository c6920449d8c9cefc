"""Manifests: which are refused, and that inputs are accepted exactly when their JSON Schema accepts them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.protocol import samples
from tests.protocol.samples import IDS, MANIFEST, MESH, NOW, SIGNING, STREAMING

from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import InvalidInput, Malformed, SourceMismatch, UnknownCritical
from kindmesh.protocol.limits import STREAM_BYTES_MAX
from kindmesh.protocol.manifest import (
    EFFECT_WORDS,
    HARMLESS,
    Effect,
    Field,
    Manifest,
    Operation,
    artifacts_in,
    check_fields,
    check_manifest,
    effect_names,
    parse_effects,
    to_json_schema,
)
from kindmesh.protocol.messages.hello import Advert, Offer, open_advert, sign_advert
from kindmesh.protocol.stream_spec import StreamMedia, StreamSpec

RENDER = MANIFEST.operations[0]
LETTER = {"artifact": "0123456789abcdef" * 4, "size_bytes": 8, "media_type": "text/plain"}
OTHER = {"artifact": "f" * 64}

# ---------------------------------------------------------------------------------------------------------- effects


@given(st.integers(0, 255))
def test_effects_have_names_and_come_back_from_them(effects: int) -> None:
    assert parse_effects(effect_names(effects)) == effects


def test_every_effect_has_words_and_an_unknown_one_is_refused() -> None:
    assert set(EFFECT_WORDS) == set(Effect)
    assert HARMLESS == Effect.READ | Effect.NOTIFY
    with pytest.raises(InvalidInput, match="'fly'") as caught:
        parse_effects(["read", "fly"])
    assert "spend" in caught.value.hint


# -------------------------------------------------------------------------------------------------------- manifests


def operation(**changes: object) -> Manifest:
    """The sample, its first operation changed."""
    return msgspec.structs.replace(
        MANIFEST, operations=(msgspec.structs.replace(RENDER, **changes), *MANIFEST.operations[1:])
    )


def with_field(field: Field) -> Manifest:
    return operation(input=(Field("text", "text"), field))


def test_the_sample_is_a_good_manifest_and_finds_its_operations() -> None:
    check_manifest(MANIFEST)
    assert MANIFEST.operation("speech.render") is RENDER
    assert MANIFEST.operation("speech.sing") is None


@pytest.mark.parametrize(
    "manifest",
    [
        msgspec.structs.replace(MANIFEST, capability="Speech"),
        msgspec.structs.replace(MANIFEST, capability=""),
        msgspec.structs.replace(MANIFEST, operations=(RENDER, RENDER)),
        operation(name="render"),
        operation(name="vision.render"),
        operation(name="speech."),
        operation(name="speech.render.again"),
        operation(name="speech.Render"),
        operation(effects=0),
        operation(effects=256),
        operation(effects=-1),
        operation(session_call=True, effects=int(Effect.NOTIFY)),
        operation(session_call=True, effects=int(Effect.READ | Effect.SENSE)),
        operation(stream=StreamSpec("both", StreamMedia("bytes"), None)),
        operation(stream=StreamSpec("out", None, StreamMedia("text"), 0)),
        operation(stream=StreamSpec("out", None, StreamMedia("text"), 1_000, 0)),
        operation(stream=StreamSpec("out", None, StreamMedia("text"), 1_000, STREAM_BYTES_MAX + 1)),
        operation(stream=StreamSpec("in", StreamMedia("audio", "s16le"), None)),
        operation(stream=StreamSpec("in", StreamMedia("audio", "mp3", 16_000, 1), None)),
        operation(stream=StreamSpec("out", None, StreamMedia("text")), session_call=True),
        operation(input=(Field("text", "text"), Field("text", "integer"))),
        operation(output=(Field("no name", "text"),)),
        with_field(Field("size", "integer", choices=("1", "2"))),
        with_field(Field("marks", "list", choices=("a",))),
        with_field(Field("size", "integer", minimum=2, maximum=1)),
        with_field(Field("size", "integer", default=encode_value(3))),
        with_field(Field("size", "integer", required=False, default=encode_value("3"))),
        with_field(Field("size", "integer", required=False, maximum=2, default=encode_value(3))),
        with_field(Field("size", "text", required=False, choices=("a",), default=encode_value("b"))),
        with_field(Field("size", "integer", required=False, default=b"\xc1")),
        with_field(Field("size", "number", required=False, default=b"\xcb\x7f\xf8" + b"\0" * 6)),
    ],
)
def test_a_manifest_that_breaks_the_rules_is_malformed(manifest: Manifest) -> None:
    with pytest.raises(Malformed):
        check_manifest(manifest)


def test_an_operation_may_stream_either_way() -> None:
    check_manifest(STREAMING)
    check_manifest(operation(stream=StreamSpec("out", None, StreamMedia("video", "jpeg"))))


def test_a_session_call_that_only_reads_is_fine() -> None:
    check_manifest(operation(session_call=True))


def test_critical_extensions_of_manifests_and_operations_are_refused() -> None:
    for manifest in (msgspec.structs.replace(MANIFEST, ext={"!new": b""}), operation(ext={"!new": b""})):
        with pytest.raises(UnknownCritical, match="new"):
            check_manifest(manifest)


def _advert(device: bytes, *offers: Offer) -> Advert:
    return Advert(MESH, device, 1, 1, NOW, offers)


def test_an_advert_is_opened_with_its_manifests_checked() -> None:
    assert open_advert(samples.SIGNED_ADVERT, SIGNING["phone"].public) == samples.ADVERT
    broken = _advert(IDS["phone"], Offer(operation(effects=0), True))
    with pytest.raises(Malformed):
        open_advert(sign_advert(broken, SIGNING["phone"]), SIGNING["phone"].public)


def test_a_device_cannot_speak_of_anothers_offers() -> None:
    forged = sign_advert(_advert(IDS["desk"], Offer(MANIFEST, True)), SIGNING["phone"])
    with pytest.raises(SourceMismatch):
        open_advert(forged, SIGNING["phone"].public)


def test_a_capability_is_offered_once() -> None:
    twice = _advert(IDS["phone"], Offer(MANIFEST, True), Offer(MANIFEST, False))
    with pytest.raises(Malformed, match="twice"):
        open_advert(sign_advert(twice, SIGNING["phone"]), SIGNING["phone"].public)


# ----------------------------------------------------------------------------------------------------------- inputs

FIELDS = RENDER.input


def test_all_fields_pass_as_they_are_and_defaults_are_filled_in() -> None:
    given_all = {
        "text": "Hello",
        "voice": "de",
        "rate": 80,
        "gain": 0.5,
        "loud": False,
        "image": LETTER,
        "raw": b"1234",
        "marks": [1, 2, 3],
        "extra": {"a": [None]},
    }
    assert check_fields(FIELDS, given_all) == given_all
    assert check_fields(FIELDS, {"text": ""}) == {"text": "", "voice": "en"}
    assert check_fields(FIELDS, {"text": "", "gain": 1}) == {"text": "", "voice": "en", "gain": 1}
    assert check_fields((), {}) == {}


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({}, "text", "text (What to say) is missing"),
        ({"text": "a", "txet": 1}, "txet", "no value called 'txet'"),
        ({"text": 5}, "text", "should be text"),
        ({"text": b"bytes"}, "text", "should be text"),
        ({"text": None}, "text", "should be text"),
        ({"text": "x" * 21}, "text", "longer than 20"),
        ({"text": "a", "voice": "fr"}, "voice", "not one of en, de"),
        ({"text": "a", "rate": 79}, "rate", "below 80"),
        ({"text": "a", "rate": 401}, "rate", "above 400"),
        ({"text": "a", "rate": 100.0}, "rate", "a whole number"),
        ({"text": "a", "rate": True}, "rate", "a whole number"),
        ({"text": "a", "rate": 10**400}, "rate", "above 400"),
        ({"text": "a", "gain": 10**400}, "gain", "above 1.5"),
        ({"text": "a", "gain": False}, "gain", "a number"),
        ({"text": "a", "gain": -0.1}, "gain", "below 0"),
        ({"text": "a", "gain": float("nan")}, "gain", "finite"),
        ({"text": "a", "gain": float("inf")}, "gain", "finite"),
        ({"text": "a", "loud": 1}, "loud", "true or false"),
        ({"text": "a", "image": "letter.jpg"}, "image", "a file"),
        ({"text": "a", "image": {}}, "image", "does not name a file"),
        ({"text": "a", "image": {"artifact": "F" * 64}}, "image", "does not name a file"),
        ({"text": "a", "image": {"artifact": "f" * 64 + "\n"}}, "image", "does not name a file"),
        ({"text": "a", "image": {"artifact": int("1" * 64)}}, "image", "does not name a file"),
        ({"text": "a", "image": {**OTHER, "size_bytes": -1}}, "image", "wrong size"),
        ({"text": "a", "image": {**OTHER, "size_bytes": True}}, "image", "wrong size"),
        ({"text": "a", "image": {**OTHER, "size_bytes": "8"}}, "image", "wrong size"),
        ({"text": "a", "image": {**OTHER, "media_type": 8}}, "image", "media type"),
        ({"text": "a", "raw": "text"}, "raw", "should be bytes"),
        ({"text": "a", "raw": b"12345"}, "raw", "longer than 4"),
        ({"text": "a", "marks": []}, "marks", "fewer than 1"),
        ({"text": "a", "marks": [1, 2, 3, 4]}, "marks", "more than 3"),
        ({"text": "a", "marks": [1, "2"]}, "marks", "a whole number"),
        ({"text": "a", "marks": (1, 2)}, "marks", "a list"),
        ({"text": "a", "extra": []}, "extra", "an object"),
        ({"text": "a", 5: 1}, "5", "no value called '5'"),
    ],
    ids=str,
)
def test_a_wrong_value_is_named_with_what_it_should_be(
    values: dict[Any, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_fields(FIELDS, values)
    assert caught.value.field == field
    assert words in str(caught.value)


@pytest.mark.parametrize("values", [None, [], "text", 5, b""], ids=repr)
def test_arguments_that_are_no_map_are_refused(values: object) -> None:
    with pytest.raises(InvalidInput, match="named values"):
        check_fields(FIELDS, values)


def test_a_hint_says_what_could_be_given() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_fields((), {"a": 1})
    assert caught.value.hint == "It takes: nothing."
    with pytest.raises(InvalidInput) as caught:
        check_fields((Field("page", "integer"),), {})
    assert str(caught.value) == "page is missing"
    assert "page=" in caught.value.hint


def test_a_list_of_numbers_holds_finite_numbers_only() -> None:
    fields = (Field("levels", "list", items="number"),)
    assert check_fields(fields, {"levels": [1, 0.5]}) == {"levels": [1, 0.5]}
    assert check_fields(fields, {"levels": []}) == {"levels": []}
    with pytest.raises(InvalidInput, match="finite"):
        check_fields(fields, {"levels": [1, float("nan")]})


def test_artifacts_are_found_once_each_wherever_fields_may_name_them() -> None:
    fields = (
        Field("image", "artifact", required=False),
        Field("pages", "list", items="artifact", required=False),
        Field("words", "list", required=False),
        # A manifest may say this; a text stays a text.
        Field("note", "text", items="artifact", required=False),
    )
    values = {"image": LETTER, "pages": [OTHER, LETTER, OTHER], "words": ["a"], "note": "artifact"}
    checked = check_fields(fields, values)
    assert artifacts_in(fields, checked) == [LETTER["artifact"], OTHER["artifact"]]
    assert artifacts_in(fields, {}) == []


# ------------------------------------------------------------------------------------------------------ JSON Schema


def test_the_schema_says_all_that_a_field_says() -> None:
    schema = to_json_schema(FIELDS)
    assert schema["required"] == ["text"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["text"] == {"type": "string", "title": "What to say", "maxLength": 20}
    assert schema["properties"]["voice"] == {
        "type": "string",
        "maxLength": 4096,
        "enum": ["en", "de"],
        "default": "en",
    }
    assert schema["properties"]["rate"] == {"type": "integer", "minimum": 80, "maximum": 400}
    assert schema["properties"]["marks"] == {
        "type": "array",
        "items": {"type": "integer"},
        "minItems": 1,
        "maxItems": 3,
    }
    assert schema["properties"]["raw"]["maxLength"] == 8
    assert to_json_schema((Field("size", "number"), Field("any", "list"))) == {
        "type": "object",
        "properties": {"size": {"type": "number"}, "any": {"type": "array", "items": {"type": "string"}}},
        "required": ["size", "any"],
        "additionalProperties": False,
    }


def accepts(schema: dict[str, Any], value: Any) -> bool:
    """JSON Schema 2020-12, as far as our schemas use it; an unknown keyword is a KeyError."""
    checks: dict[str, Callable[[Any], bool]] = {
        "type": lambda want: _is(want, value),
        "title": lambda _: True,
        "default": lambda _: True,
        "enum": lambda want: value in want,
        "minimum": lambda want: value >= want,
        "maximum": lambda want: value <= want,
        "maxLength": lambda want: len(value) <= want,
        "minItems": lambda want: len(value) >= want,
        "maxItems": lambda want: len(value) <= want,
        "pattern": lambda want: re.search(want.replace("$", r"\Z"), value) is not None,
        "items": lambda want: all(accepts(want, item) for item in value),
        "required": lambda want: all(name in value for name in want),
        "properties": lambda want: all(accepts(want[name], value[name]) for name in want if name in value),
        "additionalProperties": lambda _: set(value) <= set(schema["properties"]),
    }
    ordered = ["type", *(keyword for keyword in schema if keyword != "type")]
    return all(checks[keyword](schema[keyword]) for keyword in ordered)


def _is(want: str, value: Any) -> bool:
    if isinstance(value, bool):
        return want == "boolean"
    kinds: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (),
        "array": (list,),
        "object": (dict,),
    }
    return isinstance(value, kinds[want])


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, -2.5, 2.5])
    | st.sampled_from(["", "a", "bb", "en", "f" * 64, "F" * 64, "f" * 63]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries(
            {}, optional={"artifact": inner, "size_bytes": inner, "media_type": inner, "other": inner}
        )
    ),
    max_leaves=5,
)
json_types: st.SearchStrategy[Any] = st.sampled_from(
    ["text", "integer", "number", "boolean", "artifact", "list", "object"]
)
bounds = st.none() | st.integers(0, 2)


@st.composite
def fields(draw: st.DrawFn) -> Field:
    kind: Any = draw(json_types)
    low, high = draw(bounds), draw(bounds)
    if low is not None and high is not None:
        low, high = min(low, high), max(low, high)
    return Field(
        draw(st.sampled_from(["a", "b", "c"])),
        kind,
        required=draw(st.booleans()),
        minimum=low,
        maximum=high,
        max_length=draw(st.sampled_from([0, 1, 64, 4096])),
        choices=("a", "en") if kind == "text" and draw(st.booleans()) else (),
        items=draw(json_types),
    )


@settings(max_examples=500)
@given(
    st.lists(fields(), max_size=3, unique_by=lambda field: field.name),
    st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), json_values, max_size=3),
)
def test_values_are_accepted_exactly_when_the_schema_accepts_them(
    chosen: list[Field], values: dict[str, Any]
) -> None:
    takes = tuple(chosen)
    check_manifest(Manifest("x", "1", "", (Operation("x.y", "", takes, (), 1, True),)))
    try:
        checked = check_fields(takes, values)
    except InvalidInput:
        assert not accepts(to_json_schema(takes), values)
        return
    assert accepts(to_json_schema(takes), values)
    assert checked == values


@given(
    st.lists(fields(), max_size=3, unique_by=lambda field: field.name), json_values | st.binary(max_size=9)
)
def test_any_value_at_all_is_checked_or_invalid_input(chosen: list[Field], values: object) -> None:
    takes = tuple(chosen)
    try:
        artifacts_in(takes, check_fields(takes, values))
    except InvalidInput:
        return
