from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from batch_scan.sandbox.judge import Heard, Opinion
from batch_scan.sandbox.safecomms.contract import CATEGORIES
from batch_scan.sandbox.safecomms.server import DEFAULT_KEY, SafeCommsServer
from batch_scan.sandbox.safecomms.words import by_judge
from batch_scan.vocabulary import Category

if TYPE_CHECKING:
    from collections.abc import Sequence

_JPEG = b"\xff\xd8\xff and so on"
_MP3 = b"ID3 and so on"


class Judge:
    """Holds the same against every picture and every word, and hears the same in every sound."""

    def __init__(self, *opinions: Opinion, heard: Sequence[Heard] = ()) -> None:
        self.opinions = opinions
        self.heard = heard
        self.asked = threading.Event()
        self.may_say = threading.Event()
        self.may_say.set()

    def picture(self, image: bytes) -> Sequence[Opinion]:
        self.asked.set()
        assert self.may_say.wait(20)
        if image != _JPEG:
            raise ValueError("no picture")
        return self.opinions

    def words(self, text: str) -> Sequence[Opinion]:
        return [opinion for opinion in self.opinions if opinion.text in text]

    def speech(self, sound: bytes) -> Sequence[Heard]:
        return self.heard


def _post(server: SafeCommsServer, kind: str, content: bytes, **fields: str) -> httpx.Response:
    headers = {"x-api-key": DEFAULT_KEY}
    url = f"{server.url}/moderation/{kind}/upload"
    return httpx.post(url, headers=headers, files={kind: ("x", content)}, data=fields, timeout=20, trust_env=False)


@pytest.mark.parametrize(
    ("score", "severity"),
    [(0.0, "None"), (0.14, "None"), (0.15, "Low"), (0.44, "Low"), (0.45, "Medium"), (0.74, "Medium"), (0.75, "High")],
)
def test_a_score_is_told_as_the_nearest_severity(score: float, severity: str) -> None:
    told = by_judge(Judge(Opinion(Category.VIOLENCE, score)))(_JPEG, "image")
    assert told["categoryScores"] == dict.fromkeys(CATEGORIES, "None") | {"Violence": severity}
    assert (told["severity"], told["isClean"]) == (severity, severity == "None")


@pytest.mark.parametrize("category", list(Category))
def test_every_category_is_one_of_the_vendors_five_or_none_of_its_business(category: Category) -> None:
    told = by_judge(Judge(Opinion(category, 0.9)))(_JPEG, "image")
    raised = [name for name, severity in told["categoryScores"].items() if severity != "None"]
    silent = {"drugs", "pii", "spam", "political", "minor", "music", "other"}
    assert len(raised) == (0 if category.value in silent else 1)
    assert set(told["categoryScores"]) == set(CATEGORIES)
    assert told["isClean"] == (not raised)


def test_sound_is_judged_by_the_words_in_it_and_the_worst_counts() -> None:
    heard = [Heard(0.5, 1.0, "good day"), Heard(1.5, 2.0, "damn you"), Heard(3.0, 4.0, "damn you idiot")]
    opinions = (Opinion(Category.PROFANITY, 0.5, "damn"), Opinion(Category.HARASSMENT, 0.9, "idiot"))
    told = by_judge(Judge(*opinions, heard=heard))(_MP3, "audio")
    assert told["categoryScores"]["Harassment"] == "High"
    assert [(issue["term"], issue["context"], issue["severity"]) for issue in told["issues"]] == [
        ("damn", "damn you", "Medium"),
        ("damn", "damn you idiot", "Medium"),
        ("idiot", "damn you idiot", "High"),
    ]
    assert told["transcription"]["text"] == "good day damn you damn you idiot"
    assert [part["start"] for part in told["transcription"]["segments"]] == [0.5, 1.5, 3.0]


def test_a_transcription_is_given_to_whom_it_is_asked_by_and_its_times_too() -> None:
    heard = [Heard(0.5, 1.0, "good day")]
    with SafeCommsServer(judge=Judge(heard=heard)) as server:
        asked: list[dict[str, Any]] = [
            _post(server, "audio", _MP3, **fields).json()
            for fields in ({}, {"transcribe": "true"}, {"transcribe": "true", "includeTimestamps": "true"})
        ]
    segments = [{"start": 0.5, "end": 1.0, "text": "good day"}]
    assert "transcription" not in asked[0]
    assert asked[1]["transcription"] == "good day"
    assert asked[2]["transcription"] == {"text": "good day", "segments": segments}


def test_what_the_judge_cannot_decode_is_refused_and_not_charged() -> None:
    with SafeCommsServer(judge=Judge()) as server:
        answer = _post(server, "image", _JPEG + b"?")
        assert (answer.status_code, answer.json()["status"]) == (415, 415)
        assert server.tokens_used == 0


async def test_a_slow_judge_holds_up_nobody_else_and_its_price_is_set_aside() -> None:
    judge = Judge()
    judge.may_say.clear()
    with SafeCommsServer(judge=judge, token_limit=30) as server:
        slow = asyncio.create_task(asyncio.to_thread(_post, server, "image", _JPEG))
        assert await asyncio.to_thread(judge.asked.wait, 20)
        headers = {"x-api-key": DEFAULT_KEY}
        async with httpx.AsyncClient(headers=headers, trust_env=False) as http:
            assert (await http.get(f"{server.url}/usage")).json()["tokensUsed"] == 0
        second = await asyncio.to_thread(_post, server, "image", _JPEG)
        judge.may_say.set()
        assert (second.status_code, (await slow).status_code) == (402, 200)
        assert server.tokens_used == 20
