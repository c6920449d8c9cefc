"""Coming back, and the public papers: what is refused, by whom it is made, and that nobody becomes more than it was."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.protocol import samples
from tests.protocol.samples import CERTIFICATES, CURVE, IDS, MESH, NOW, PAPERS, SIGNED, SIGNING

from kindmesh.protocol.certificate import CapabilityGrant, Certificate, sign_certificate
from kindmesh.protocol.codec import encode
from kindmesh.protocol.enrol import EnrolGranted
from kindmesh.protocol.errors import (
    CertificateRefused,
    EnrolmentRefused,
    KindmeshError,
    Malformed,
    UnsupportedVersion,
)
from kindmesh.protocol.papers import PAPERS_MAX, read_papers
from kindmesh.protocol.readmit import check_readmitted, decode_readmit, widens

PHONE, DESK = CERTIFICATES["phone"], CERTIFICATES["desk"]


def granted(*, coordinator: Any = SIGNED["desk"], **changes: Any) -> EnrolGranted:
    anew = msgspec.structs.replace(PHONE, **{"serial": PHONE.serial + 1, **changes})
    return msgspec.structs.replace(
        samples.ENROL_GRANTED,
        certificate=sign_certificate(anew, SIGNING["issuer"]),
        coordinator=coordinator,
    )


def test_papers_for_the_same_device_with_the_same_rights_are_taken() -> None:
    check_readmitted(granted(), PHONE, DESK)
    check_readmitted(granted(capabilities=PHONE.capabilities[:1]), PHONE, DESK)


@pytest.mark.parametrize(
    ("papers", "error"),
    [
        (granted(serial=PHONE.serial), CertificateRefused),
        (granted(capabilities=(CapabilityGrant("robot", 1),)), CertificateRefused),
        (granted(capabilities=(CapabilityGrant("device", 255),)), CertificateRefused),
        (granted(roles=("node", "coordinator")), CertificateRefused),
        (granted(curve_pub=CURVE["desk"].public), EnrolmentRefused),
        (granted(subject=IDS["desk"], ed_pub=SIGNING["desk"].public), EnrolmentRefused),
        (granted(coordinator=SIGNED["phone"]), EnrolmentRefused),
        (
            msgspec.structs.replace(granted(), certificate=sign_certificate(PHONE, SIGNING["stranger"])),
            CertificateRefused,
        ),
    ],
    ids=[
        "older",
        "another capability",
        "more effects",
        "more roles",
        "key",
        "device",
        "coordinator",
        "issuer",
    ],
)
def test_papers_that_do_not_fit_the_device_of_before_are_refused(
    papers: EnrolGranted, error: type[KindmeshError]
) -> None:
    with pytest.raises(error):
        check_readmitted(papers, PHONE, DESK)


def test_narrower_is_not_wider() -> None:
    before = (CapabilityGrant("speech", 9), CapabilityGrant("speech", 2))

    def after(*grants: CapabilityGrant) -> Certificate:
        return msgspec.structs.replace(PHONE, capabilities=grants)

    assert not widens(before, after())
    assert not widens(before, after(CapabilityGrant("speech", 11)))
    assert widens(before, after(CapabilityGrant("speech", 4)))
    assert widens(before, after(CapabilityGrant("vision", 0)))


def test_only_messages_of_coming_back_are_decoded() -> None:
    for message in samples.READMIT_MESSAGES:
        assert decode_readmit(encode(message)) == message
    with pytest.raises(Malformed):
        decode_readmit(encode(samples.ENROL_HELLO))


# ----------------------------------------------------------------------------------------------------------- papers


def test_papers_open_to_the_anchors_and_the_coordinators() -> None:
    read = read_papers(encode(PAPERS), MESH)
    assert read.papers == PAPERS
    assert read.anchors.version == NOW
    assert read.coordinators == ((DESK, SIGNED["desk"]),)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"version": 2}, UnsupportedVersion),
        ({"coordinators": (SIGNED["phone"],)}, CertificateRefused),
        ({"coordinators": (sign_certificate(DESK, SIGNING["stranger"]),)}, CertificateRefused),
        (
            {
                "coordinators": (
                    sign_certificate(msgspec.structs.replace(DESK, kind="skin"), SIGNING["issuer"]),
                )
            },
            CertificateRefused,
        ),
    ],
    ids=["version", "a node", "another issuer", "no device"],
)
def test_papers_that_name_the_wrong_ones_are_refused(
    changes: dict[str, Any], error: type[KindmeshError]
) -> None:
    with pytest.raises(error):
        read_papers(encode(msgspec.structs.replace(PAPERS, **changes)), MESH)


def test_papers_of_another_mesh_or_of_no_form_are_refused() -> None:
    with pytest.raises(CertificateRefused):
        read_papers(encode(PAPERS), IDS["stranger"])
    for data in (b"", b"\xc1", encode(PAPERS)[:-1], bytes(PAPERS_MAX + 1)):
        with pytest.raises(Malformed):
            read_papers(data, MESH)
