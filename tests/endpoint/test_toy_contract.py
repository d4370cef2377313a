"""The contract suite against an endpoint that does nothing but keep it: the shortest one there can be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from batch_scan.digest import digest_bytes
from batch_scan.endpoint.config import ServiceConfig
from batch_scan.endpoint.interface import BatchLimits, Endpoint, Needs, Quota
from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Answer, Digest, Sample, Score
from batch_scan.untrusted import clean_text
from batch_scan.vocabulary import Category, Medium
from tests.endpoint.contract import EndpointContract, Harness, Told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_scan.model import Request

CATEGORIES = {"rude": Category.HARASSMENT}
SCORES = {"fine": 0.0, "bad": 0.9}


class Judged(BaseModel):
    """The toy vendor's answer."""

    model_config = ConfigDict(strict=True)
    about: str
    verdict: str
    label: str = Field(default="", max_length=100)


class Toy(Endpoint):
    """Charges a token a sample, one sample at a time, and keeps its books."""

    name = "toy"
    config = ServiceConfig()

    def __init__(self, books: list[int]) -> None:
        self._books = books

    @property
    def needs(self) -> Needs:
        return Needs(frame=BatchLimits(), utterance=BatchLimits())

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"adapter": 1}

    async def open(self) -> Quota:
        return Quota()

    async def close(self) -> Quota | None:
        return None

    def operation(self, medium: Medium) -> str:
        return f"judge {medium}"

    def quote(self, medium: Medium, samples: Sequence[Sample]) -> int:
        return len(samples)

    async def submit(self, request: Request) -> Answer:
        self._books.append(request.tokens_max)
        (sample,) = request.samples
        return Answer(Judged(about=sample.digest, verdict="bad", label="rude").model_dump_json(), request.tokens_max)

    def read(self, request: Request, answer: Answer) -> list[Score]:
        (sample,) = request.samples
        try:
            judged = Judged.model_validate_json(answer.raw)
        except ValidationError as error:
            raise EndpointError(Failure.REFUSED, f"no answer ({error.error_count()} errors)") from None
        if judged.about != sample.digest:
            raise EndpointError(Failure.REFUSED, "the answer is about something else")
        score = Score(
            endpoint=self.name,
            medium=sample.medium,
            start_s=sample.start_s,
            end_s=sample.end_s,
            category=CATEGORIES.get(judged.label, Category.OTHER),
            vendor_label=clean_text(judged.label),
            score=SCORES.get(judged.verdict, 0.5),
            severity=clean_text(judged.verdict),
            unclean=judged.verdict != "fine",
            request_id=request.request_id,
            sample_digest=sample.digest,
        )
        return [score]


class ToyHarness(Harness):
    def __init__(self) -> None:
        self.books: list[int] = []

    def endpoint(self) -> Toy:
        return Toy(self.books)

    def sample(self, medium: Medium, number: int = 0) -> Sample:
        data = f"{medium} {number}".encode()
        return Sample(medium, 5.0 * number, 5.0 * number, Digest(digest_bytes(data)), "text/plain", data)

    def raw(self, told: Told, medium: Medium) -> str:
        judged = {"about": self.sample(medium).digest, "verdict": "bad", "label": "rude"}
        change: dict[Told, dict[str, str]] = {
            Told.CLEAN: {"verdict": "fine", "label": ""},
            Told.UNKNOWN_LABEL: {"label": self.unknown_label},
            Told.UNKNOWN_WORD: {"verdict": "ghastly"},
            Told.SOMEBODY_ELSES: {"about": self.sample(medium, 7).digest, "verdict": "fine"},
        }
        judged |= change.get(told, {})
        if told is Told.NO_VERDICT:
            del judged["verdict"]
        return json.dumps(judged)

    def tokens_charged(self) -> int:
        return sum(self.books)


class TestToy(EndpointContract):
    @pytest.fixture
    def harness(self) -> ToyHarness:
        return ToyHarness()


class ForgetfulHarness(ToyHarness):
    """Its endpoint takes any answer for one about the sample that was asked about."""

    def endpoint(self) -> Toy:
        class Forgetful(Toy):
            def read(self, request: Request, answer: Answer) -> list[Score]:
                told = json.loads(answer.raw) | {"about": request.samples[0].digest}
                return super().read(request, Answer(json.dumps(told), 0))

        return Forgetful(self.books)


def test_the_suite_finds_an_endpoint_that_does_not_look_whom_an_answer_is_about() -> None:
    with pytest.raises(pytest.fail.Exception):
        TestToy().test_an_answer_about_something_else_is_no_answer(ForgetfulHarness())
