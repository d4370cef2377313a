from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from batch_scan.digest import digest_file
from batch_scan.endpoint.local import efficientnet
from batch_scan.endpoint.local.checkpoint import read_state_dict
from batch_scan.endpoint.local.config import FrameModel, LocalConfig, ModelOverride
from batch_scan.endpoint.local.endpoint import _loaded, build
from batch_scan.endpoint.local.models import locate
from batch_scan.errors import EndpointError, Failure, UsageError
from batch_scan.vocabulary import Category, Medium
from tests.endpoint.local.drawn import frame, jpeg, request, stripes, target, utterance

if TYPE_CHECKING:
    from pathlib import Path

    from batch_scan.endpoint.interface import Endpoint
    from batch_scan.model import Request, Score

_FRAMES_ONLY = LocalConfig(samples=("frame",))


async def _judge(endpoint: Endpoint, asked: Request) -> list[Score]:
    return endpoint.read(asked, await endpoint.submit(asked))


def _own(path: Path) -> ModelOverride:
    return ModelOverride(path=path, sha256=digest_file(path))


async def test_every_frame_of_a_batch_is_scored_as_it_would_be_alone() -> None:
    endpoint = build(_FRAMES_ONLY)
    await endpoint.open()
    samples = [frame(jpeg(target()), 0.0), frame(jpeg(stripes()), 5.0), frame(jpeg(target(400, 300)), 10.0)]
    together = await _judge(endpoint, request(*samples))
    assert len(together) == 12
    alone = [score for sample in samples for score in await _judge(endpoint, request(sample))]
    assert [score.start_s for score in together] == [score.start_s for score in alone]
    assert [score.score for score in together] == pytest.approx([score.score for score in alone], abs=1e-5)
    assert {score.category for score in together} == {Category.SEXUAL, Category.VIOLENCE, Category.WEAPON}


async def test_answers_name_the_weights_and_cost_nothing() -> None:
    endpoint = build(_FRAMES_ONLY)
    asked = request(frame(jpeg(target())))
    answer = await endpoint.submit(asked)
    assert answer.tokens_charged == endpoint.quote(Medium.FRAME, asked.samples) == 0
    assert json.loads(answer.raw)["models"] == endpoint.settings_for(Medium.FRAME)["models"]


async def test_words_are_judged() -> None:
    scores = await _judge(
        build(LocalConfig()), request(utterance("have a nice day"), utterance("fuck you, bitch", 3.0))
    )
    assert max(score.score for score in scores if score.start_s == 0.0) < 0.5
    worst = max((score for score in scores if score.start_s == 3.0), key=lambda score: score.score)
    assert worst.score > 0.8
    assert worst.text == "fuck you, bitch"


async def test_a_frame_that_cannot_be_decoded_is_refused_with_its_place() -> None:
    data = jpeg(target())
    asked = request(frame(data, 1.0), frame(data[: len(data) // 2], 42.5))
    with pytest.raises(EndpointError, match=r"frame at 42\.500 s cannot be decoded") as caught:
        await build(_FRAMES_ONLY).submit(asked)
    assert caught.value.failure is Failure.REFUSED


async def test_a_language_that_no_model_knows_is_refused_never_clean() -> None:
    with pytest.raises(EndpointError, match="fi") as caught:
        await build(LocalConfig()).submit(request(utterance("hello"), utterance("hyvää päivää", 3.0, "fi")))
    assert caught.value.failure is Failure.REFUSED


async def test_text_that_is_no_text_is_refused() -> None:
    broken = frame(b"\xff\xfe\xfa")
    asked = request(type(broken)(Medium.UTTERANCE, 0.0, 1.0, broken.digest, "text/plain", broken.data))
    with pytest.raises(EndpointError, match="utf-8"):
        await build(LocalConfig()).submit(asked)


async def test_a_sample_without_its_content_is_refused_never_clean() -> None:
    with pytest.raises(EndpointError, match="without its content"):
        await build(_FRAMES_ONLY).submit(request(frame(None)))


@pytest.mark.parametrize("kind", ["frame", "utterance"])
async def test_a_kind_that_the_job_leaves_out_is_not_asked_for_and_not_judged(kind: str) -> None:
    other, samples = ("utterance", frame(jpeg(target()))) if kind == "frame" else ("frame", utterance("hello"))
    endpoint = build(LocalConfig.model_validate({"samples": [other]}))
    assert getattr(endpoint.needs, kind) is None
    assert getattr(endpoint.needs, other) is not None
    with pytest.raises(EndpointError, match="not among"):
        await endpoint.submit(request(samples))


async def test_the_event_loop_goes_on_while_models_work() -> None:
    endpoint = build(_FRAMES_ONLY)
    await endpoint.open()
    submitted = asyncio.ensure_future(endpoint.submit(request(*[frame(jpeg(target()))] * 8)))
    turns = 0
    while not submitted.done():
        await asyncio.sleep(0.002)
        turns += 1
    assert turns > 5


async def test_models_are_loaded_once_for_all_endpoints_of_a_process() -> None:
    await asyncio.gather(*(build(_FRAMES_ONLY).open() for _ in range(3)))
    models = dict(_loaded)
    await build(LocalConfig.model_validate({"samples": ["frame"], "limit": {"concurrency": 5}})).open()
    assert {key: id(value) for key, value in _loaded.items()} == {key: id(value) for key, value in models.items()}


async def test_only_the_chosen_models_look() -> None:
    endpoint = build(LocalConfig(samples=("frame",), frame_models=(FrameModel.WEAPON,)))
    (score,) = await _judge(endpoint, request(frame(jpeg(target()))))
    assert score.category is Category.WEAPON
    assert set(endpoint.settings_for(Medium.FRAME)["models"]) == {"weapon"}


def test_what_changes_no_answer_changes_no_setting() -> None:
    other = LocalConfig.model_validate({"threads": 1, "limit": {"concurrency": 9}, "samples": ["frame"]})
    assert build(other).settings == build(LocalConfig()).settings


def test_another_choice_for_words_makes_no_picture_looked_at_again() -> None:
    plain, other = build(LocalConfig()), build(LocalConfig.model_validate({"detect_pii": True}))
    assert other.settings_for(Medium.FRAME) == plain.settings_for(Medium.FRAME)
    assert other.settings_for(Medium.UTTERANCE) != plain.settings_for(Medium.UTTERANCE)


async def test_a_model_of_ones_own_takes_the_place_of_the_bundled_one(tmp_path: Path) -> None:
    # The bundled net in the other form that is taken: the same answers, under another digest.
    path = tmp_path / "own.onnx"
    path.write_bytes(efficientnet.build(read_state_dict(locate("weapon"))).SerializeToString())
    own = build(LocalConfig(samples=("frame",), frame_models=(FrameModel.WEAPON,), models={"weapon": _own(path)}))
    asked = request(frame(jpeg(target())))
    (score,) = await _judge(own, asked)
    assert own.settings_for(Medium.FRAME)["models"] == {"weapon": digest_file(path)}
    bundled = await _judge(build(_FRAMES_ONLY), asked)
    assert score.score == pytest.approx(bundled[-1].score, abs=1e-5)


@pytest.mark.parametrize("name", ["sexual", "weapon"])
async def test_a_model_of_another_shape_is_refused_before_anything_is_judged(tmp_path: Path, name: str) -> None:
    path = tmp_path / "own.onnx"
    shutil.copy(locate("safety"), path)
    with pytest.raises(UsageError, match=rf"model {name}: .*own\.onnx is no such model"):
        await build(LocalConfig(samples=("frame",), models={name: _own(path)})).open()


@pytest.mark.parametrize("content", [b"", b"nonsense", np.random.default_rng(1).bytes(4096)])
async def test_a_file_that_is_no_model_is_refused_before_anything_is_judged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.onnx"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="no such model"):
        await build(LocalConfig(samples=("frame",), models={"safety": _own(path)})).open()


async def test_a_wrong_hash_is_an_error_of_use_before_anything_is_judged(tmp_path: Path) -> None:
    path = tmp_path / "own.onnx"
    path.write_bytes(b"other weights")
    override = ModelOverride(path=path, sha256="0" * 64)
    with pytest.raises(UsageError, match="expected SHA-256"):
        await build(LocalConfig(samples=("frame",), models={"safety": override})).open()
