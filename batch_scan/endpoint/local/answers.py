"""What the embedded engine's answers look like, and what they mean. Pure; needs nothing of the `[local]` extra.

    {"models": {"sexual": "<sha256>", …}, "frames": [{"sexual": {"nsfw": 0.01}, "safety": {…}, …}, …]}
    {"settings": {…}, "utterances": [{"text": "…", "scores": [{"category": "profanity", "score": 0.9, …}, …]}, …]}

One entry per sample, in the request's order. Every model's numbers are kept, the harmless ones too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from batch_scan.endpoint.answer_json import dump_json, parse_json
from batch_scan.endpoint.local.config import FrameModel
from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Score
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Category, Medium

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.endpoint.local.text import TextScore
    from batch_scan.model import Answer, Request, Sample

PREPROCESSING: Final = 1
"""Raised whenever `pictures.py` would give a model other pixels for the same JPEG."""
_DIGITS: Final = 6
_TEXT_CHARS: Final = 4000
"""More than anybody says in one breath."""


class UndecodableError(ValueError):
    """One picture of a batch cannot be decoded; `index` says which."""

    def __init__(self, index: int, detail: str) -> None:
        super().__init__(detail)
        self.index = index


@dataclass(frozen=True, slots=True)
class Judgement:
    """One score that is made of a model's outputs: their sum, so that a gun is a gun whatever it is called."""

    category: Category
    label: str
    outputs: tuple[str, ...]


OUTPUTS: Final[Mapping[FrameModel, Mapping[str, int]]] = {
    FrameModel.SEXUAL: {"nsfw": 1},
    FrameModel.SAFETY: {"NSFL": 0, "NSFW": 1, "SFW": 2},
    FrameModel.WEAPON: {"assault rifle": 413, "revolver": 763, "rifle": 764},
}
"""Which of a model's outputs are kept, by the model's own word, and their columns. For `weapon` they are ImageNet's."""

JUDGEMENTS: Final[Mapping[FrameModel, tuple[Judgement, ...]]] = {
    FrameModel.SEXUAL: (Judgement(Category.SEXUAL, "porn", ("nsfw",)),),
    FrameModel.SAFETY: (
        Judgement(Category.SEXUAL, "nsfw", ("NSFW",)),
        Judgement(Category.VIOLENCE, "gore", ("NSFL",)),
    ),
    FrameModel.WEAPON: (
        Judgement(Category.WEAPON, "assault rifle + revolver + rifle", ("assault rifle", "revolver", "rifle")),
    ),
}


def write_frames(models: Mapping[str, str], frames: Sequence[Mapping[str, Mapping[str, float]]]) -> str:
    """Return the answer for frames as JSON. Raises ValueError for a number that is none (a broken model)."""
    rounded = [
        {
            model: {output: round(value, _DIGITS) for output, value in outputs.items()}
            for model, outputs in frame.items()
        }
        for frame in frames
    ]
    return dump_json({"models": dict(models), "frames": rounded})


def write_utterances(settings: Mapping[str, Any], texts: Sequence[str], scores: Sequence[Sequence[TextScore]]) -> str:
    """Return the answer for utterances as JSON. Raises ValueError for a number that is none."""
    utterances = [
        {
            "text": text,
            "scores": [
                {
                    "category": score.category.value,
                    "label": score.label,
                    "score": round(score.score, _DIGITS),
                    "model": score.model,
                    "term": score.term,
                }
                for score in own
            ],
        }
        for text, own in zip(texts, scores, strict=True)
    ]
    return dump_json({"settings": dict(settings), "utterances": utterances})


def read_scores(request: Request, answer: Answer) -> list[Score]:
    """Make scores of an answer that `write_frames` or `write_utterances` made.

    Raises:
        EndpointError: `REFUSED` where it does not say everything of every sample.
    """
    is_frames = request.medium is Medium.FRAME
    try:
        entries = parse_json(answer.raw)["frames" if is_frames else "utterances"]
        read = _frame_scores if is_frames else _utterance_scores
        return [
            score
            for sample, entry in zip(request.samples, entries, strict=True)
            for score in read(request, sample, entry)
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        detail = f"an answer of the embedded engine cannot be read ({type(error).__name__}: {error})"
        raise EndpointError(Failure.REFUSED, clean_text(detail)) from error


def _frame_scores(request: Request, sample: Sample, entry: Mapping[str, Mapping[str, float]]) -> list[Score]:
    if not entry:
        raise ValueError("no model looked at a frame")
    return [
        _score(
            request,
            sample,
            judgement.category,
            judgement.label,
            sum(_number(outputs[name]) for name in judgement.outputs),
        )
        for model, outputs in entry.items()
        for judgement in JUDGEMENTS[FrameModel(model)]
    ]


def _utterance_scores(request: Request, sample: Sample, entry: Mapping[str, Any]) -> list[Score]:
    text = str(entry["text"])
    return [
        _score(
            request,
            sample,
            Category(own["category"]),
            str(own["label"]),
            _number(own["score"]),
            text=text,
            context=str(own["term"]),
        )
        for own in entry["scores"]
    ]


def _number(value: Any) -> float:
    """Return a probability; what is none must not pass for a small one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r:.20} is no probability")
    return float(value)


def _score(
    request: Request, sample: Sample, category: Category, label: str, value: float, *, text: str = "", context: str = ""
) -> Score:
    return Score(
        endpoint=request.endpoint,
        medium=sample.medium,
        start_s=sample.start_s,
        end_s=sample.end_s,
        category=category,
        vendor_label=clean_text(label),
        score=min(value, 1.0),
        text=clean_text(text, _TEXT_CHARS),
        context=clean_text(context),
        request_id=request.request_id,
        sample_digest=sample.digest,
    )
