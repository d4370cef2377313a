from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from batch_scan.sandbox.faults import Fault, Kind
from batch_scan.sandbox.safecomms.server import SafeCommsServer
from tests.corpus_media import tone
from tests.scan.corpus import JUDGE
from tests.scan.harness import job_text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scan.harness import Place


@pytest.fixture
def media(tmp_path: Path) -> Path:
    (tmp_path / "media").mkdir()
    tone(tmp_path / "media/one.wav", 0.3)
    return tmp_path / "media"


def test_a_second_run_over_the_same_state_is_refused_by_name(media: Path, place: Place) -> None:
    with SafeCommsServer(judge=JUDGE) as server:
        server.faults.at(1, Fault(Kind.DELAY))
        place.write_job(job_text(media, server.url))
        first = place.start()
        server.wait_for_calls(1)
        second = place.run()
        server.release()
        ended = first.wait()
    assert second.code == 2
    assert f"another run is using {place.state} (process {first.process.pid} on " in second.stderr
    assert "Traceback" not in second.stderr
    assert (second.said["run_id"], second.said["items"], second.said["exit_code"]) == (None, 0, 2)
    assert ended.code == 0, ended.stderr
    assert len(list((place.report / "runs").iterdir())) == 1


def test_a_second_run_may_wait_for_the_first(media: Path, place: Place) -> None:
    with SafeCommsServer(judge=JUDGE) as server:
        server.faults.at(1, Fault(Kind.DELAY))
        place.write_job(job_text(media, server.url, "[state]\nwait = 60"))
        first = place.start()
        server.wait_for_calls(1)
        second = place.start()
        place.wait_until(lambda: "lock" in second.open_files())
        server.release()
        assert first.wait().code == second.wait().code == 0
        assert len(server.calls) == 1
    assert len(list((place.report / "runs").iterdir())) == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_waits_for_another_ends_at_once_when_told(
    media: Path, place: Place, number: signal.Signals, code: int
) -> None:
    with SafeCommsServer(judge=JUDGE) as server:
        server.faults.at(1, Fault(Kind.DELAY))
        place.write_job(job_text(media, server.url, '[state]\nwait = "1h"'))
        first = place.start()
        server.wait_for_calls(1)
        second = place.start()
        place.wait_until(lambda: "lock" in second.open_files())
        second.signal(number)
        ended = second.wait(20)
        server.release()
        assert first.wait().code == 0
    assert ended.code == ended.said["exit_code"] == code
    assert "nothing was scanned yet" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_plan_beside_a_run_is_refused_too(media: Path, place: Place) -> None:
    with SafeCommsServer(judge=JUDGE) as server:
        server.faults.at(1, Fault(Kind.DELAY))
        place.write_job(job_text(media, server.url))
        first = place.start()
        server.wait_for_calls(1)
        planned = place.run("plan", place.job)
        reported = place.run("report", place.report)
        server.release()
        assert first.wait().code == 0
    assert planned.code == 2
    assert "another run is using" in planned.stderr
    assert reported.code == 0, "a report can be read while it grows"
