"""Reading a QR code from a picture or a camera: the only module that uses zxing-cpp, and OpenCV outside of vision.

`scan_text` finds the one code that begins with a wanted prefix. A picture is tried as it is, then larger, sharpened and
with more contrast, because photos of screens are rarely good. `camera` is the first camera of this machine (OpenCV), on
a phone under Termux the photo program of Termux:API. Both libraries are imported when something is scanned.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from kindmesh.protocol.errors import CapabilityMissing, InvalidInput

HINT: Final = "On this device: pip install 'kindmesh[pair]'. Without it: type the text below the QR code."
CAMERA: Final = "camera"
CAMERA_S: Final = 60.0
PICTURE_MAX: Final = 64 << 20
PHOTOS_MAX: Final = 20
PHOTO_S: Final = 20.0


def scan_text(source: str, prefix: str, progress: Callable[[str], None]) -> str:
    """The text of the QR code in the picture `source`, or seen by the `camera`, that begins with `prefix`.

    Raises:
        CapabilityMissing: a library or a camera is missing. InvalidInput: no picture, no code, or more than one.
    """
    zxing, cv2 = _libraries()
    if source == CAMERA:
        return _one(_camera(zxing, cv2, prefix, progress), prefix, "the camera's picture")
    path = Path(source)
    image = _picture(cv2, path)
    found: set[str] = set()
    for tried in _variants(cv2, image):
        found |= _read(zxing, tried)
        if any(text.startswith(prefix) for text in found):
            break
    return _one(found, prefix, str(path))


def _libraries() -> tuple[Any, Any]:
    try:
        import cv2
        import zxingcpp
    except ImportError as error:
        raise CapabilityMissing(
            "reading QR codes needs libraries that are not installed here", hint=HINT
        ) from error
    return zxingcpp, cv2


def _picture(cv2: Any, path: Path) -> Any:
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{path} cannot be read", field="scan", hint="Is this the picture's name?"
        ) from error
    image = (
        cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() and 0 < size <= PICTURE_MAX else None
    )
    if image is None:
        raise InvalidInput(
            f"{path} is not a picture that can be read", field="scan", hint="Use a PNG or JPEG."
        )
    return image


def _variants(cv2: Any, image: Any) -> Iterator[Any]:
    yield image
    large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    yield large
    yield cv2.addWeighted(large, 2.5, cv2.GaussianBlur(large, (0, 0), 5), -1.5, 0)
    yield cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8)).apply(image)
    yield cv2.threshold(image, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1]


def _read(zxing: Any, image: Any) -> set[str]:
    return {str(found.text) for found in zxing.read_barcodes(image) if found.valid}


def _one(found: set[str], prefix: str, where: str) -> str:
    ours = sorted(text for text in found if text.upper().startswith(prefix))
    if len(ours) > 1:
        raise InvalidInput(
            f"there are {len(ours)} of our QR codes in {where}", field="scan", hint="Show one only."
        )
    if ours:
        return ours[0]
    if found:
        kind = "an invitation of kindmesh pair" if prefix.startswith("KM") else "a label of kindmesh label"
        raise InvalidInput(f"the QR code in {where} is not {kind}", field="scan")
    hint = "Hold the camera straight and near, with light; or type the text below the code."
    raise InvalidInput(f"there is no QR code in {where}", field="scan", hint=hint)


def _camera(zxing: Any, cv2: Any, prefix: str, progress: Callable[[str], None]) -> set[str]:
    """What the camera saw, as soon as one of ours is among it."""
    found: set[str] = set()
    end = time.monotonic() + CAMERA_S
    for image in _photos(cv2) if shutil.which("termux-camera-photo") else _frames(cv2):
        progress(f"Hold the QR code before the camera ({max(0, int(end - time.monotonic()))} s left) ...")
        found |= _read(zxing, image)
        if any(text.startswith(prefix) for text in found) or time.monotonic() > end:
            break
    return found


def _frames(cv2: Any) -> Iterator[Any]:
    camera = cv2.VideoCapture(0)
    try:
        if not camera.isOpened():
            hint = "Is it plugged in, and may you use it (group video)? A picture works too: --scan FILE."
            raise CapabilityMissing("there is no camera that can be used here", hint=hint)
        while True:
            done, frame = camera.read()
            if not done:
                raise CapabilityMissing(
                    "the camera gives no picture", hint="A picture works too: --scan FILE."
                )
            yield frame
    finally:
        camera.release()


def _photos(cv2: Any) -> Iterator[Any]:
    program = shutil.which("termux-camera-photo") or ""
    with tempfile.TemporaryDirectory(prefix="kindmesh-") as folder:
        photo = Path(folder) / "photo.jpg"
        for _ in range(PHOTOS_MAX):
            try:
                subprocess.run(
                    [program, "-c", "0", str(photo)], check=True, capture_output=True, timeout=PHOTO_S
                )
            except (OSError, subprocess.SubprocessError) as error:
                hint = "Install Termux:API and allow it the camera. A picture works too: --scan FILE."
                raise CapabilityMissing("the phone's camera could not be used", hint=hint) from error
            yield _picture(cv2, photo)


__all__ = ["CAMERA", "scan_text"]
