"""Draws a letter and photographs it: the sample that ships with Kindmesh, and as many others as a test asks for.

No camera, no downloaded picture and no system font is involved: the page is set in the font inside the Pillow
wheel, then goes through the things that happen to a letter held under a kitchen lamp. In order: paper texture,
a soft curl, perspective onto a table, light that falls off and a shadow, a slightly unsharp lens, sensor noise,
JPEG. Every step draws from one seeded generator, so the same `Conditions` give the same picture.

Run `python -m kindmesh.capabilities.vision.make_sample` to write `samples/letter.jpg` and `samples/letter.txt`
again; `--seed`, `--tilt` and the rest make other photographs.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["LETTER", "Conditions", "jpeg_bytes", "photograph", "set_page", "write_sample"]

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

LETTER = """\
Dear friend,

The apples on my tree are ripe at last, and there are far more than one kitchen can eat. I have left a basket \
of 12 beside your door.

On Sunday at half past three I am baking a cake. Please come if you feel like company. Bring nothing but \
your good appetite.

If your knee still hurts, ring me and I will carry a slice over.

Warm wishes,
Your neighbour, next door
"""


@dataclass(frozen=True, slots=True)
class Conditions:
    """How the photograph is taken. Lengths are pixels, angles degrees, `noise` is grey levels (standard deviation).

    `perspective` and `curl` are fractions of the page size (0..0.1); `darkest` is how much light is left in the
    darkest corner (0..1]; `quality` is the JPEG quality.
    """

    seed: int = 7
    font_px: int = 40
    page_width: int = 1240
    tilt_degrees: float = 2.2
    perspective: float = 0.035
    curl: float = 0.004
    darkest: float = 0.55
    blur: float = 0.8
    noise: float = 5.0
    quality: int = 78


def set_page(text: str, conditions: Conditions) -> Pixels:
    """Typeset `text` (blank lines part paragraphs) on white paper; returns grey pixels, height x width."""
    font = ImageFont.load_default(size=conditions.font_px)
    width = conditions.page_width
    margin = int(width * 0.11)
    leading = int(conditions.font_px * 1.5)
    rows: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        for line in paragraph.split("\n"):
            rows.extend(_wrapped(line, font, width - 2 * margin))
        rows.append("")
    page = Image.new("L", (width, 2 * margin + leading * len(rows)), 255)
    pen = ImageDraw.Draw(page)
    for number, row in enumerate(rows):
        pen.text((margin, margin + number * leading), row, fill=28, font=font)
    return np.asarray(page, dtype=np.uint8)


def _wrapped(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    rows = [""]
    for word in line.split():
        longer = f"{rows[-1]} {word}".strip()
        if rows[-1] and font.getlength(longer) > width:
            rows.append(word)
        else:
            rows[-1] = longer
    return rows


def _soft_noise(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Floats:
    """Smooth noise in about -1..1 whose blotches are `scale` pixels across."""
    small = rng.standard_normal((max(2, int(shape[0] / scale)), max(2, int(shape[1] / scale))))
    return np.asarray(
        cv2.resize(small.astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC), dtype=np.float32
    )


def _paper(page: Pixels, rng: np.random.Generator) -> Floats:
    """Warm paper with fibres and stains under the ink; float RGB 0..255."""
    shape = (page.shape[0], page.shape[1])
    grain = (
        1.6 * _soft_noise(rng, shape, 2.5)
        + 2.0 * _soft_noise(rng, shape, 60)
        + 2.0 * _soft_noise(rng, shape, 300)
    )
    white = np.array([243, 239, 226], dtype=np.float32) + grain[..., None]
    ink_colour = np.array([34, 38, 70], dtype=np.float32)
    ink = (255.0 - page.astype(np.float32))[..., None] / 227.0
    ink *= (1.0 + 0.08 * _soft_noise(rng, shape, 40))[..., None]
    ink = np.clip(ink, 0.0, 1.0)
    return np.asarray(white * (1.0 - ink) + ink_colour * ink, dtype=np.float32)


def _curl(sheet: Floats, amount: float, rng: np.random.Generator) -> Floats:
    """Bend the sheet as paper that was folded into an envelope: lines rise and fall a little."""
    height, width = sheet.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    phase = float(rng.uniform(0.0, np.pi))
    y += np.float32(amount * width) * np.sin(np.float32(2.2 * np.pi / width) * x + np.float32(phase))
    x += np.float32(amount * width * 0.5) * np.sin(np.float32(2.0 * np.pi / height) * y)
    return np.asarray(
        cv2.remap(sheet, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32
    )


def _table(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """A wooden table: brown with a grain that runs across."""
    wood = 10.0 * _soft_noise(rng, shape, 90)
    stripes = np.repeat(rng.standard_normal((shape[0], 1)).astype(np.float32), shape[1], axis=1)
    wood += 5.0 * np.asarray(cv2.GaussianBlur(stripes, (0, 0), 3.0), dtype=np.float32)
    return np.asarray(np.array([112, 82, 56], dtype=np.float32) + wood[..., None], dtype=np.float32)


def _lay_down(sheet: Floats, conditions: Conditions, rng: np.random.Generator) -> Floats:
    """Lay the sheet on the table, turned and seen from one side."""
    height, width = sheet.shape[:2]
    border = int(width * 0.06)
    frame = (height + 2 * border, width + 2 * border)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    angle = np.deg2rad(conditions.tilt_degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([width / 2, height / 2])
    shift = rng.uniform(-1.0, 1.0, size=(4, 2)) * conditions.perspective * width * 0.4
    shift += np.array([[1, 0], [-1, 0], [0, 0], [0, 0]]) * conditions.perspective * width
    placed = (corners - middle) @ turn.T + middle + shift + border
    placed += np.array(frame[::-1]) / 2 - placed.mean(axis=0)
    excess = np.abs(placed - np.array(frame[::-1]) / 2).max(axis=0) / (np.array(frame[::-1]) / 2)
    placed = (placed - np.array(frame[::-1]) / 2) / max(1.0, float(excess.max()) * 1.02) + np.array(
        frame[::-1]
    ) / 2
    matrix = cv2.getPerspectiveTransform(corners, placed.astype(np.float32))
    size = frame[::-1]
    seen = np.asarray(cv2.warpPerspective(sheet, matrix, size, flags=cv2.INTER_AREA), dtype=np.float32)
    mask = np.asarray(
        cv2.warpPerspective(np.ones((height, width), np.float32), matrix, size), dtype=np.float32
    )
    shade = np.asarray(cv2.GaussianBlur(np.roll(mask, (9, 7), (0, 1)), (0, 0), 9.0), dtype=np.float32)
    ground = _table(frame, rng) * (1.0 - 0.5 * shade)[..., None]
    return np.asarray(seen * mask[..., None] + ground * (1.0 - mask)[..., None], dtype=np.float32)


def _light(scene: Floats, darkest: float, rng: np.random.Generator) -> Floats:
    """A warm lamp on one side, and the soft shadow of whoever holds the camera."""
    height, width = scene.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    lamp_x, lamp_y = float(rng.uniform(-0.2, 0.3)) * width, float(rng.uniform(-0.2, 0.3)) * height
    distance = np.hypot(x - np.float32(lamp_x), y - np.float32(lamp_y))
    fall = 1.0 - (1.0 - darkest) * (distance / distance.max()) ** 1.3
    edge = float(rng.uniform(0.55, 0.8))
    shadow = 1.0 / (1.0 + np.exp(-(x / width + 0.35 * y / height - edge * 1.2) * 14.0))
    light = fall * (1.0 - 0.16 * shadow)
    warm = np.array([1.0, 0.97, 0.9], dtype=np.float32)
    return np.asarray(scene * light[..., None] * warm, dtype=np.float32)


def photograph(text: str, conditions: Conditions | None = None) -> Pixels:
    """The photograph of a letter saying `text`: RGB pixels, height x width x 3."""
    how = conditions or Conditions()
    rng = np.random.default_rng(how.seed)
    sheet = _curl(_paper(set_page(text, how), rng), how.curl, rng)
    scene = _light(_lay_down(sheet, how, rng), how.darkest, rng)
    if how.blur > 0:
        scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), how.blur), dtype=np.float32)
    shot = rng.standard_normal(scene.shape[:2]).astype(np.float32)[..., None]
    colour = rng.standard_normal(scene.shape).astype(np.float32)
    scene = scene + how.noise * (0.8 * shot + 0.4 * colour) * np.sqrt(np.clip(scene, 8.0, 255.0) / 160.0)
    return np.asarray(np.clip(scene, 0.0, 255.0), dtype=np.uint8)


def jpeg_bytes(pixels: Pixels, quality: int = 78) -> bytes:
    """`pixels` (RGB) as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
    return buffer.getvalue()


def write_sample(folder: Path, text: str, conditions: Conditions) -> tuple[Path, Path]:
    """Write `letter.jpg` and `letter.txt` (what it says) into `folder`; returns both paths."""
    picture, truth = folder / "letter.jpg", folder / "letter.txt"
    picture.write_bytes(jpeg_bytes(photograph(text, conditions), conditions.quality))
    truth.write_text(text, encoding="utf-8")
    return picture, truth


def main() -> None:
    """The command line of the generator."""
    usual = Conditions()
    parser = argparse.ArgumentParser(description="Draw and photograph a letter.")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "samples")
    parser.add_argument(
        "--text", type=Path, default=None, help="a text file to photograph instead of the sample"
    )
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--tilt", type=float, default=usual.tilt_degrees)
    parser.add_argument("--font-px", type=int, default=usual.font_px)
    parser.add_argument("--noise", type=float, default=usual.noise)
    chosen = parser.parse_args()
    conditions = Conditions(
        seed=chosen.seed, tilt_degrees=chosen.tilt, font_px=chosen.font_px, noise=chosen.noise
    )
    text = chosen.text.read_text(encoding="utf-8") if chosen.text else LETTER
    chosen.folder.mkdir(parents=True, exist_ok=True)
    picture, _ = write_sample(chosen.folder, text, conditions)
    print(f"{picture} ({picture.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
