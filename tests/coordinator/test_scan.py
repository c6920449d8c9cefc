"""Reading our QR codes from pictures, as people take them: turned, blurred, small, in perspective, beside others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.protocol.samples import INVITATION, LABEL

from kindmesh.coordinator.cli import qr, scan
from kindmesh.protocol.adopt import LABEL_PREFIX, label_to_text
from kindmesh.protocol.enrol import TEXT_PREFIX, invitation_to_text
from kindmesh.protocol.errors import CapabilityMissing, InvalidInput

TEXT, LABEL_TEXT = invitation_to_text(INVITATION), label_to_text(LABEL)


def quiet(_: str) -> None:
    """No progress."""


def drawn(folder: Path, text: str = TEXT) -> Any:
    path = folder / "drawn.png"
    qr.save(text, path)
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)


def turned(image: Any) -> Any:
    size = image.shape[0]
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), 23, 0.7)
    return cv2.warpAffine(image, matrix, (size, size), borderValue=200)


def blurred(image: Any) -> Any:
    return cv2.GaussianBlur(image, (0, 0), 2.0)


def photo(image: Any) -> Any:
    """In perspective on a darker wall, with a shadow across, noise, and JPEG."""
    size = image.shape[0]
    corners = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    seen = np.array([[120, 90], [size + 60, 140], [size + 10, size + 60], [90, size + 110]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, seen)
    out = cv2.warpPerspective(image, matrix, (size + 220, size + 220), borderValue=120).astype(np.float32)
    out *= np.linspace(1.0, 0.55, out.shape[1])[None, :]
    out += np.random.default_rng(7).normal(0, 6, out.shape)
    data = cv2.imencode(".jpg", np.clip(out, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)


def small(image: Any) -> Any:
    return cv2.resize(image, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)


def plain(image: Any) -> Any:
    return image


@pytest.mark.parametrize("change", [plain, turned, blurred, photo, small], ids=lambda change: change.__name__)
def test_our_code_is_read(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    path = tmp_path / "seen.png"
    cv2.imwrite(str(path), change(drawn(tmp_path)))
    assert scan.scan_text(str(path), TEXT_PREFIX, quiet) == TEXT


def beside(folder: Path, *texts: str) -> str:
    images = [drawn(folder, text) for text in texts]
    height = max(image.shape[0] for image in images)
    padded = [
        cv2.copyMakeBorder(one, 0, height - one.shape[0], 0, 40, cv2.BORDER_CONSTANT, value=255)
        for one in images
    ]
    path = folder / "several.png"
    cv2.imwrite(str(path), np.hstack(padded))
    return str(path)


def test_of_several_codes_ours_is_taken_and_two_of_ours_are_too_many(tmp_path: Path) -> None:
    several = beside(tmp_path, "HTTPS://EXAMPLE.ORG", TEXT, LABEL_TEXT)
    assert scan.scan_text(several, TEXT_PREFIX, quiet) == TEXT
    assert scan.scan_text(several, LABEL_PREFIX, quiet) == LABEL_TEXT
    with pytest.raises(InvalidInput, match="2 of our QR codes"):
        scan.scan_text(beside(tmp_path, TEXT, TEXT[:-3] + "AAA"), TEXT_PREFIX, quiet)


def test_a_picture_without_our_code_says_what_is_wrong(tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    cv2.imwrite(str(empty), np.full((200, 200), 255, np.uint8))
    with pytest.raises(InvalidInput, match="no QR code in") as caught:
        scan.scan_text(str(empty), TEXT_PREFIX, quiet)
    assert caught.value.hint
    with pytest.raises(InvalidInput, match="is not an invitation of kindmesh pair"):
        scan.scan_text(beside(tmp_path, LABEL_TEXT), TEXT_PREFIX, quiet)
    with pytest.raises(InvalidInput, match="is not a label"):
        scan.scan_text(beside(tmp_path, TEXT), LABEL_PREFIX, quiet)


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("not a picture")
    for path in (text, tmp_path, tmp_path / "nothing.png"):
        with pytest.raises(InvalidInput):
            scan.scan_text(str(path), TEXT_PREFIX, quiet)


def test_a_missing_library_or_camera_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoCamera:
        def __init__(self, _: int) -> None:
            self.opened = False

        def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
            return self.opened

        def release(self) -> None:
            self.opened = False

    monkeypatch.setattr(cv2, "VideoCapture", NoCamera)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(CapabilityMissing, match="no camera") as caught:
        scan.scan_text(scan.CAMERA, TEXT_PREFIX, quiet)
    assert "--scan FILE" in caught.value.hint
    monkeypatch.setitem(__import__("sys").modules, "zxingcpp", None)
    with pytest.raises(CapabilityMissing) as missing:
        scan.scan_text("x.png", TEXT_PREFIX, quiet)
    assert "kindmesh[pair]" in missing.value.hint


def test_the_camera_is_looked_through_until_it_sees_our_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [np.full((300, 300), 255, np.uint8), drawn(tmp_path, "HTTPS://EXAMPLE.ORG"), drawn(tmp_path)]

    class Camera:
        def __init__(self, _: int) -> None:
            self.released = False

        def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
            return not self.released

        def read(self) -> tuple[bool, Any]:
            return True, frames.pop(0)

        def release(self) -> None:
            self.released = True

    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert scan.scan_text(scan.CAMERA, TEXT_PREFIX, quiet) == TEXT
    assert frames == []
