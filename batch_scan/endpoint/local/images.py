"""The models that look at pictures. Blocks; called from the models' threads (`worker.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, assert_never

import numpy as np
import onnxruntime

from batch_scan.endpoint.local import efficientnet, pictures
from batch_scan.endpoint.local.answers import OUTPUTS, UndecodableError
from batch_scan.endpoint.local.checkpoint import CheckpointError, read_state_dict
from batch_scan.endpoint.local.config import FrameModel
from batch_scan.endpoint.local.models import locate
from batch_scan.errors import UsageError
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

    from batch_scan.endpoint.local.config import LocalConfig

_SIDE: Final = pictures.SIDE_PX
_SHAPES: Final = {
    FrameModel.SEXUAL: ((_SIDE, _SIDE, 3), 2),
    FrameModel.SAFETY: ((3, _SIDE, _SIDE), 3),
    FrameModel.WEAPON: ((3, _SIDE, _SIDE), efficientnet.CLASSES),
}
"""What goes in for one picture, and how many numbers come out: a model of the user's own must have the same."""


class FrameModels:
    """The chosen models over frames, each net on the thread of who asks; any number of threads may ask at once.

    Frames side by side use every core and need some 20 MB each. A batch within one net was measured to be slower (68 ms
    per frame at 16 against 45 ms at 1, one core) and to hold 53 MB per frame; threads within one net mostly waited.
    """

    def __init__(self, config: LocalConfig) -> None:
        """Verify and load. Raises UsageError for a model file that is missing, wrong or of another shape."""
        self._sessions = {model: _load(model, config) for model in config.frame_models}

    def judge(self, jpegs: Sequence[bytes]) -> list[dict[str, dict[str, float]]]:
        """Return `look` of each, one after the other. Raises UndecodableError; nothing is said of the others then."""
        return [self.look(index, jpeg) for index, jpeg in enumerate(jpegs)]

    def look(self, index: int, jpeg: bytes) -> dict[str, dict[str, float]]:
        """Return each model's outputs for a JPEG by name (`answers.OUTPUTS`).

        Raises:
            UndecodableError: it cannot be decoded; carries `index`.
        """
        try:
            picture = pictures.decode(jpeg)
        except pictures.PictureError as error:
            raise UndecodableError(index, clean_text(str(error))) from error
        centred = pictures.centre(picture)
        return {model.value: self._ask(model, _prepare(model, picture, centred)) for model in self._sessions}

    def _ask(self, model: FrameModel, pixels: NDArray[np.float32]) -> dict[str, float]:
        session = self._sessions[model]
        ((row,),) = session.run(None, {session.get_inputs()[0].name: pixels[np.newaxis]})
        return {name: float(row[column]) for name, column in OUTPUTS[model].items()}


def _prepare(model: FrameModel, picture: Image, centred: Image) -> NDArray[np.float32]:
    match model:
        case FrameModel.SEXUAL:
            return pictures.for_open_nsfw(centred)
        case FrameModel.SAFETY:
            return pictures.for_safety(picture)
        case FrameModel.WEAPON:
            return pictures.for_efficientnet(centred)
        case _:
            assert_never(model)


def _load(model: FrameModel, config: LocalConfig) -> Any:
    """Return the model's session, its shape checked. Raises UsageError."""
    path = locate(model.value, config.models.get(model.value))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(_graph(model, path), options, providers=["CPUExecutionProvider"])
        _try_out(session, *_SHAPES[model])
    except Exception as error:  # every library here has its own way to say that a file is not such a model
        raise UsageError(f"model {model}: {path} is no such model ({clean_text(str(error), 200)})") from error
    return session


def _graph(model: FrameModel, path: Path) -> str | bytes:
    if model is not FrameModel.WEAPON:
        return str(path)
    try:
        weights = read_state_dict(path)
    except CheckpointError:
        if path.suffix == ".onnx":
            return str(path)
        raise
    graph: bytes = efficientnet.build(weights).SerializeToString()
    return graph


def _try_out(session: Any, picture: tuple[int, ...], columns: int) -> None:
    """Ask about a black picture, so that a model that cannot answer is found at the start. Raises anything."""
    (rows,) = session.run(None, {session.get_inputs()[0].name: np.zeros((1, *picture), dtype=np.float32)})
    if rows.shape != (1, columns) or not np.isfinite(rows).all():
        raise ValueError(f"it does not give {columns} numbers for a picture")
