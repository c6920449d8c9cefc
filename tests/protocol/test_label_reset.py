"""The owner's word that a capability counts anew: signed for this alone, and shown with what it means."""

from __future__ import annotations

from typing import get_args

import pytest
from tests.protocol.samples import LABEL_RESET, SIGNING

from kindmesh.protocol.errors import BadSignature
from kindmesh.protocol.label_reset import ORIGINS, describe_label_reset, open_label_reset, sign_label_reset
from kindmesh.protocol.plan_labels import Source


def test_the_signature_is_the_owners() -> None:
    signed = sign_label_reset(LABEL_RESET, SIGNING["owner"])
    assert open_label_reset(signed, SIGNING["owner"].public) == LABEL_RESET
    with pytest.raises(BadSignature):
        open_label_reset(signed, SIGNING["anna"].public)


def test_the_prompt_says_what_it_counts_as_and_what_that_means() -> None:
    lines = describe_label_reset(LABEL_RESET, "kitchen\n")
    assert lines[:3] == ["capability notes", "device     kitchen\\u000a", "counts as  the web"]
    assert any("look through it first" in line for line in lines)


def test_every_source_has_words() -> None:
    assert set(ORIGINS) == set(get_args(Source))
