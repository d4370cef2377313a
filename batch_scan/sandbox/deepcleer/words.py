"""What a judge holds against something, in the words of DeepCleer's answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from batch_scan.vocabulary import Category

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.sandbox.judge import Heard, Judge, Opinion

STEP_S: Final = 10.0
"""Length of the stretches that sound is judged in."""
_REJECT: Final = 0.8
_REVIEW: Final = 0.5
_LABELS: Final[Mapping[Category, str]] = {
    Category.SEXUAL: "porn",
    Category.NUDITY: "sexy",
    Category.VIOLENCE: "violence",
    Category.WEAPON: "weapon",
    Category.HATE: "hate",
    Category.HARASSMENT: "abuse",
    Category.SELF_HARM: "suicide",
    Category.DRUGS: "drug",
    Category.PII: "privacy",
    Category.PROFANITY: "profanity",
    Category.SPAM: "ad",
    Category.POLITICAL: "politics",
    Category.MINOR: "minor",
    Category.MUSIC: "sing",
    Category.OTHER: "other",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of sound and what was said in it."""

    start_s: float
    end_s: float
    text: str


def judged(opinions: Sequence[Opinion], source: int) -> dict[str, Any]:
    """Return level, labels and details.

    Args:
        opinions: what is held against it.
        source: `riskSource` of what is found: 1001 words, 1002 a picture.
    """
    worst = max(opinions, key=lambda one: one.score, default=None)
    level = level_of(worst.score) if worst is not None else "PASS"
    raised = worst is not None and level != "PASS"
    label = _LABELS[worst.category] if worst is not None and raised else "normal"
    found = [{"word": one.text, "position": "0,0"} for one in opinions if one.text and level_of(one.score) != "PASS"]
    detail: dict[str, Any] = {"riskSource": source if raised else 1000}
    if found:
        detail["matchedLists"] = [{"name": "sandbox", "words": found}]
    return {
        "riskLevel": level,
        "riskLabel1": label,
        "riskLabel2": "",
        "riskLabel3": "",
        "riskDescription": f"{label}" if raised else "normal",
        "riskDetail": detail,
        "allLabels": [_entry(one) for one in opinions if level_of(one.score) != "PASS"],
    }


def _entry(opinion: Opinion) -> dict[str, Any]:
    label = _LABELS[opinion.category]
    return {
        "riskLabel1": label,
        "riskLabel2": "",
        "riskLabel3": "",
        "riskLevel": level_of(opinion.score),
        "probability": round(opinion.score, 4),
    }


def level_of(score: float) -> str:
    """Return the level of a score."""
    return "REJECT" if score >= _REJECT else "REVIEW" if score >= _REVIEW else "PASS"


def pieces_of(heard: Sequence[Heard], duration_s: float) -> list[Piece]:
    """Cut what was heard into stretches of 10 s."""
    starts = [STEP_S * number for number in range(max(1, -(-int(duration_s * 1000) // int(STEP_S * 1000))))]
    return [
        Piece(start_s, min(start_s + STEP_S, duration_s), _said(heard, start_s, start_s + STEP_S)) for start_s in starts
    ]


def _said(heard: Sequence[Heard], start_s: float, end_s: float) -> str:
    return " ".join(one.text for one in heard if one.start_s < end_s and one.end_s > start_s)


def sound_result(judge: Judge, content: bytes, duration_s: float, *, all_text: bool) -> dict[str, Any]:
    """Return what an answer says of a sound. Raises ValueError where it is none."""
    pieces = pieces_of(judge.speech(content), duration_s)
    stretches = [(piece, judged(judge.words(piece.text) if piece.text else (), 1001)) for piece in pieces]
    ranks = ("PASS", "REVIEW", "REJECT")
    worst = max((told for _, told in stretches), key=lambda told: ranks.index(told["riskLevel"]))
    details = [
        {
            "requestId": f"stretch_{number}",
            "audioStarttime": int(piece.start_s),
            "audioEndtime": round(piece.end_s, 3),
            "audioText": piece.text,
            **told,
        }
        for number, (piece, told) in enumerate(stretches)
        if all_text or told["riskLevel"] != "PASS"
    ]
    return {
        "riskLevel": worst["riskLevel"],
        "riskLabel1": worst["riskLabel1"],
        "riskLabel2": "",
        "riskLabel3": "",
        "audioText": " ".join(piece.text for piece in pieces if piece.text),
        "audioTime": -(-int(duration_s * 1000) // 1000),
        "audioDetail": details,
    }
