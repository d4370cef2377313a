from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batch_scan.endpoint.interface import Needs, Quota
from batch_scan.engine.services import Services, build_services, open_askers
from batch_scan.errors import EndpointError, Failure, UsageError
from batch_scan.job import ExtractTable
from batch_scan.jobfile import load_job
from batch_scan.media.interface import AudioSpec
from batch_scan.vocabulary import Reason
from tests.asking_kit import ToyEndpoint, ToyTranscriber, desk_of, ledger_in

if TYPE_CHECKING:
    from pathlib import Path

    from batch_scan.ask import Asker
    from batch_scan.job import Job
    from batch_scan.ledger import Ledger


class Opens(ToyEndpoint):
    """Opens with a quota, or refuses."""

    def __init__(self, name: str, opening: Quota | EndpointError) -> None:
        super().__init__(name=name)
        self._opening = opening

    async def open(self) -> Quota:
        if isinstance(self._opening, EndpointError):
            raise self._opening
        return self._opening


def job_of(tmp_path: Path, text: str) -> Job:
    path = tmp_path / "job.toml"
    path.write_text(f'[source]\nuri = "."\n{text}')
    return load_job(str(path), None, None, {}).job


def askers_of(ledger: Ledger, services: Services) -> dict[str, Asker]:
    return {name: desk_of(ledger, service).asker for name, service in services.by_name.items()}


def test_a_transcriber_is_built_only_where_somebody_judges_words(tmp_path: Path) -> None:
    assert build_services(job_of(tmp_path, "[endpoints.local]\n")).transcriber is not None
    for text in (
        '[endpoints.local]\nsamples = ["frame"]\n',
        "[endpoints.local]\n[extract]\naudio = false\n",
        "[endpoints.safecomms]\n",
    ):
        assert build_services(job_of(tmp_path, text)).transcriber is None


@pytest.mark.parametrize(
    "text",
    [
        '[endpoints.safecomms]\nsamples = ["audio"]\n[extract]\naudio = false\n',
        '[endpoints.local]\nsamples = ["frame"]\n[extract]\nvideo = false\n',
    ],
)
def test_an_endpoint_that_would_get_nothing_is_a_mistake(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="would get nothing to judge"):
        build_services(job_of(tmp_path, text))


def test_an_endpoint_and_a_transcriber_of_one_name_are_told_apart() -> None:
    transcriber = ToyTranscriber()
    services = Services((ToyEndpoint(name=transcriber.name),), transcriber)
    assert set(services.by_name) == {transcriber.name, f"transcribe.{transcriber.name}"}
    assert services.names == (transcriber.name, f"transcribe.{transcriber.name}")


async def test_one_that_refuses_at_the_start_is_stopped_and_the_others_go_on(tmp_path: Path) -> None:
    refusal = EndpointError(Failure.FATAL, "no such key", http_status=401)
    services = Services((Opens("good", Quota(requests_per_minute=60)), Opens("bad", refusal)), None)
    async with ledger_in(tmp_path) as ledger:
        askers = askers_of(ledger, services)
        quotas = await open_askers(services, askers)
    assert list(quotas) == ["good"]
    assert askers["good"].delivery.stopped is None
    stopped = askers["bad"].delivery.stopped
    assert stopped is not None
    assert (stopped.reason, "no such key" in stopped.detail) == (Reason.ENDPOINT_STOPPED, True)


async def test_where_no_endpoint_is_left_there_is_nothing_to_scan_for(tmp_path: Path) -> None:
    refusal = EndpointError(Failure.FATAL, "no such key", http_status=401)
    services = Services((Opens("one", refusal), Opens("two", refusal)), None)
    async with ledger_in(tmp_path) as ledger:
        with pytest.raises(EndpointError, match="no such key"):
            await open_askers(services, askers_of(ledger, services))


async def test_a_form_of_sound_that_two_want_is_made_once(tmp_path: Path) -> None:
    spec = AudioSpec(max_s=60)
    services = Services(tuple(ToyEndpoint(name=name, needs=Needs(audio=spec)) for name in ("a", "b")), None)
    async with ledger_in(tmp_path) as ledger:
        takers = services.takers(askers_of(ledger, services), ExtractTable())
    assert takers.specs == (spec,)
    assert [asker.name for asker in takers.listeners] == ["a", "b"]


@pytest.mark.parametrize(
    ("table", "warned"),
    [
        ('[endpoints.local]\nsamples = ["frame"]\n', ["no endpoint takes sound"]),
        ('[endpoints.safecomms]\nsamples = ["audio"]\n', ["no endpoint takes pictures"]),
        ('[endpoints.safecomms]\nsamples = ["audio"]\n[extract]\nvideo = false\n', []),
        ("[endpoints.local]\n", []),
    ],
)
def test_what_nobody_takes_is_told_before_anything_is_spent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, table: str, warned: list[str]
) -> None:
    (tmp_path / "job.toml").write_text(f'[source]\nuri = "."\n{table}')
    build_services(load_job(str(tmp_path / "job.toml")).job)
    told = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert told == warned
