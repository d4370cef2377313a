"""The embedded models asked in a loop, one picture or chunk of sound after the other on one thread.

python -m benchmarks.bare_models FILE INTERVAL [--unasked]
python -m benchmarks.bare_models FILE --speech [--unasked]
"""

from __future__ import annotations

import argparse
import subprocess

from batch_scan.digest import digest_bytes
from batch_scan.endpoint.local.config import LocalConfig
from batch_scan.endpoint.local.images import FrameModels
from batch_scan.endpoint.local.models import locate
from batch_scan.media.program import ffmpeg_exe
from batch_scan.transcribe.config import LocalTranscriberConfig
from batch_scan.transcribe.join import SAMPLE_RATE_HZ
from batch_scan.transcribe.speech import Listener, SpeechOptions
from benchmarks.bare import pictures

_SAMPLE_BYTES = 2


def main() -> None:
    """Take pictures or sound out, load the models, and ask them unless told not to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("interval", type=float, nargs="?", default=10.7)
    parser.add_argument("--speech", action="store_true")
    parser.add_argument("--unasked", action="store_true")
    options = parser.parse_args()
    if options.speech:
        _listen(options.file, is_asked=not options.unasked)
    else:
        _look(options.file, options.interval, is_asked=not options.unasked)


def _look(path: str, interval_s: float, *, is_asked: bool) -> None:
    jpegs = [picture.jpeg for picture in pictures(path, interval_s=interval_s)]
    models = FrameModels(LocalConfig())
    for jpeg in jpegs if is_asked else ():
        models.judge([jpeg])


def _listen(path: str, *, is_asked: bool) -> None:
    """Listen to chunks as long as the transcriber takes them in a scan."""
    words = ("-nostdin", "-v", "error", "-i", path, "-vn", "-ac", "1", "-ar", str(SAMPLE_RATE_HZ), "-f", "s16le", "-")
    sound = subprocess.run([ffmpeg_exe(), *words], check=True, stdout=subprocess.PIPE).stdout
    listener = Listener(locate("tiny.en").parent, at_once=1)
    size = int(LocalTranscriberConfig().max_chunk_s * SAMPLE_RATE_HZ) * _SAMPLE_BYTES
    chunks = {digest_bytes(sound[at : at + size]): sound[at : at + size] for at in range(0, len(sound), size)}
    for chunk in chunks.values() if is_asked else ():
        listener.listen(chunk, SpeechOptions("bare", {}), lambda: False)


if __name__ == "__main__":
    main()
