from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

from batch_scan.endpoint.local import efficientnet
from batch_scan.endpoint.local.checkpoint import read_state_dict
from batch_scan.endpoint.local.models import locate

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GOLDEN = {722: 0.437532, 551: 0.115075, 746: 0.022738, 844: 0.018097, 677: 0.011122}
"""The five likeliest classes (722: ping-pong ball) of `_disc`, by torch 2.13.0 and efficientnet-lite-pytorch 0.1.0."""
_GOLDEN_ARMS = {413: 3.882560e-05, 763: 2.662346e-04, 764: 6.707503e-05}


@pytest.fixture(scope="module")
def weights() -> dict[str, NDArray[Any]]:
    return read_state_dict(locate("weapon"))


def _disc() -> NDArray[np.float32]:
    rows, columns = np.mgrid[0:224, 0:224].astype(np.float32)
    picture = np.stack([rows, columns, (rows + columns) / 2])
    inside = (rows - 112) ** 2 + (columns - 112) ** 2 < 60**2
    picture[:, inside] = np.array([200, 40, 30], np.float32)[:, None]
    return picture


def _run(weights: dict[str, NDArray[Any]], batch: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(
        efficientnet.build(weights).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (probabilities,) = session.run(None, {"image": batch})
    rows: NDArray[np.float32] = probabilities
    return rows


def test_the_graph_gives_the_probabilities_that_torch_gives(weights: dict[str, NDArray[Any]]) -> None:
    (row,) = _run(weights, _disc()[np.newaxis])
    assert row.argsort()[::-1][:5].tolist() == list(_GOLDEN)
    for column, probability in _GOLDEN.items():
        assert row[column] == pytest.approx(probability, abs=2e-5)
    for column, probability in _GOLDEN_ARMS.items():
        assert row[column] == pytest.approx(probability, rel=1e-3)


def test_a_picture_gets_the_same_answer_alone_and_in_a_batch(weights: dict[str, NDArray[Any]]) -> None:
    disc, grey = _disc(), np.full((3, 224, 224), 128, np.float32)
    together = _run(weights, np.stack([grey, disc]))
    assert together[1] == pytest.approx(_run(weights, disc[np.newaxis])[0], abs=1e-6)
    assert together.sum(axis=1) == pytest.approx([1.0, 1.0], abs=1e-5)


def test_the_weights_of_another_net_are_refused(weights: dict[str, NDArray[Any]]) -> None:
    with pytest.raises(KeyError):
        efficientnet.build({name: array for name, array in weights.items() if "_conv_head" not in name})
