"""A scan whose report goes to a bucket gives the report of one that goes to a directory, and nobody disturbs it."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from batch_scan.report.layout import part_path
from batch_scan.report.lease import KEY
from batch_scan.report.reader import open_report
from batch_scan.report.schema import Table
from batch_scan.report.store import TOP, publish_bytes
from batch_scan.sandbox.faults import Fault, Kind
from batch_scan.sandbox.safecomms.server import SafeCommsServer
from tests.corpus_media import tone
from tests.report import buckets
from tests.report.buckets import Bucket
from tests.report.clouds import CLOUDS, bucket_of
from tests.scan.corpus import BAD_HZ, JUDGE, stretches
from tests.scan.harness import Place, comparable, job_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.scan.harness import Ended, Running

KILLS = 3
BY_ORDER = ("vendor_request_id", "attempts", "answer")  # the server numbers its answers as they come


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    with buckets.moto() as url:
        yield url


@pytest.fixture
def bucket(
    request: pytest.FixtureRequest, s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bucket]:
    """A bucket of S3, or of the cloud that the test names as its parameter."""
    if hasattr(request, "param"):
        with bucket_of(request.param, tmp_path / "cloud") as found:
            for name, value in found.keys.items():
                monkeypatch.setenv(name, value)
            yield found
        return
    for name, value in buckets.KEYS.items():
        monkeypatch.setenv(name, value)
    found = Bucket(s3_url, f"bucket-{uuid4().hex[:12]}")
    buckets.make_bucket(found.url, found.name)
    yield found


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four films of two pictures, of which two are bad, six sounds of which two are, a duplicate, and a broken file."""
    directory = tmp_path_factory.mktemp("bucket") / "media"
    directory.mkdir()
    for at in range(4):
        second = f"0x{255 - at * 4:02x}0000" if at % 2 else f"0x00{at * 20:02x}90"
        stretches(directory / f"film {at}.mp4", ((f"0x{at * 20:02x}90a0", 1), (second, 1)))
    for at in range(6):
        tone(directory / f"sound {at}.wav", 0.5 + at / 10, hz=BAD_HZ if at % 3 == 0 else 300)
    (directory / "twin.mp4").write_bytes((directory / "film 3.mp4").read_bytes())
    (directory / "broken.mp4").write_bytes(b"\0" * 100)
    return directory


def place_of(directory: Path, bucket: Bucket) -> Place:
    """A machine: a home, and so a ledger, of its own."""
    directory.mkdir(exist_ok=True)
    return Place(directory, dict(bucket.environment))


def rows_of(place: Place, table: str, run_id: str, bucket: Bucket | None) -> list[dict[str, Any]]:
    if bucket is None:
        return place.rows(table, run_id)
    found: list[dict[str, Any]] = open_report(bucket.uri, bucket.options).arrow(Table(table), run_id).to_pylist()
    return found


def report_of(place: Place, ended: Ended, bucket: Bucket | None = None) -> dict[str, Any]:
    tables = ("files", "findings", "scores", "requests")
    return {table: comparable(rows_of(place, table, ended.run_id, bucket), *BY_ORDER) for table in tables}


def kill_sometime(running: Running, server: SafeCommsServer, chance: random.Random) -> None:
    wanted = len(server.calls) + chance.randint(1, 4)
    while len(server.calls) < wanted:
        assert running.process.poll() is None, "the archive is too small for that many kills"
        time.sleep(0.005)
    time.sleep(chance.uniform(0.0, 0.03))  # anywhere between sending, answering and writing down
    running.process.send_signal(signal.SIGKILL)
    assert running.process.wait() == -signal.SIGKILL


def test_a_run_killed_again_and_again_reports_what_one_to_a_directory_does(
    archive: Path, tmp_path: Path, bucket: Bucket
) -> None:
    local = Place(tmp_path / "local")
    with SafeCommsServer(judge=JUDGE) as server:
        local.write_job(job_text(archive, server.url))
        expected, tokens = local.run(), server.tokens_used
    place, chance = place_of(tmp_path / "machine", bucket), random.Random(7)
    with SafeCommsServer(judge=JUDGE, delay_s=0.05) as server:
        place.write_job(job_text(archive, server.url, f'[report]\nuri = "{bucket.uri}"', limit="concurrency = 2"))
        for _ in range(KILLS):
            kill_sometime(place.start(), server, chance)
        last = place.run()
    assert last.code == expected.code == 3, last.stderr
    assert f"the ledger lies in {place.directory}/.local/state/batch-scan/" in last.stderr
    assert "continuing the unfinished run" in last.stderr
    assert (last.said["report"], last.said["items"]) == (bucket.uri, 12)
    assert report_of(place, last, bucket) == report_of(local, expected)
    assert sum(row["tokens_charged"] for row in rows_of(place, "requests", last.run_id, bucket)) == tokens
    assert open_report(bucket.uri, bucket.options).run_ids() == [last.run_id]
    kept = {str(key) for key in bucket.place().keys(TOP / "evidence")}
    assert (
        kept == {row["evidence"] for row in rows_of(place, "findings", last.run_id, bucket) if row["evidence"]} != set()
    )
    assert (place.children(), place.left_behind()) == ([], [])

    told, told_locally = (one.run("report", uri).stdout for one, uri in ((place, bucket.uri), (local, local.report)))
    assert told.count("\n") == told_locally.count("\n")
    assert f"Report: {bucket.uri}" in told
    again = place.run()
    assert (again.code, again.said["requests"]) == (3, 0), "what was answered is not asked again"


@pytest.mark.parametrize("bucket", CLOUDS, indirect=True)
def test_a_report_at_another_cloud_survives_a_kill_and_refuses_a_second_machine(
    archive: Path, tmp_path: Path, bucket: Bucket
) -> None:
    local, second = Place(tmp_path / "local"), place_of(tmp_path / "second", bucket)
    with SafeCommsServer(judge=JUDGE) as server:
        local.write_job(job_text(archive, server.url))
        expected, tokens = local.run(), server.tokens_used
    place, report = place_of(tmp_path / "machine", bucket), f'[report]\nuri = "{bucket.uri}"'
    with SafeCommsServer(judge=JUDGE, delay_s=0.05) as server:
        for one in (place, second):
            one.write_job(job_text(archive, server.url, report, limit="concurrency = 2"))
        kill_sometime(place.start(), server, random.Random(7))
        refused = second.run()
        last = place.run()
    assert refused.code == 2
    assert f"another run is using {bucket.uri} (process " in refused.stderr
    assert last.code == expected.code == 3, last.stderr
    assert "continuing the unfinished run" in last.stderr
    assert report_of(place, last, bucket) == report_of(local, expected)
    assert sum(row["tokens_charged"] for row in rows_of(place, "requests", last.run_id, bucket)) == tokens
    assert (place.children(), place.left_behind()) == ([], [])


def test_a_second_machine_is_refused_by_name_and_may_go_when_the_first_has_ended(
    archive: Path, tmp_path: Path, bucket: Bucket
) -> None:
    first, second = place_of(tmp_path / "first", bucket), place_of(tmp_path / "second", bucket)
    with SafeCommsServer(judge=JUDGE) as server:
        server.faults.at(1, Fault(Kind.DELAY))
        for place in (first, second):
            place.write_job(job_text(archive, server.url, f'[report]\nuri = "{bucket.uri}"', limit="concurrency = 1"))
        running = first.start()
        server.wait_for_calls(1)
        reported = second.run("report", bucket.uri)
        before = len(server.requests)
        refused = second.run()
        assert len(server.requests) == before, "nothing is asked, not even what is left"
        server.release()
        ended = running.wait()
        then = second.run()
    assert (reported.code, refused.code) == (0, 2), reported.stderr
    assert "has not ended" in reported.stdout
    assert f"another run is using {bucket.uri} (process {running.process.pid} on " in refused.stderr
    assert f"run {ended.run_id}, since" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (refused.said["run_id"], refused.said["items"]) == (None, 0)
    assert (ended.code, then.code) == (3, 3), ended.stderr
    assert open_report(bucket.uri, bucket.options).run_ids() == [ended.run_id, then.run_id]
    assert part_path(TOP, Table.RUNS, then.run_id, 0) in bucket.place().keys(TOP)


@pytest.mark.slow
def test_a_run_whose_lease_is_taken_from_it_stops_saves_its_state_and_goes_on_later(
    archive: Path, tmp_path: Path, bucket: Bucket
) -> None:
    place = place_of(tmp_path / "machine", bucket)
    with SafeCommsServer(judge=JUDGE) as server:
        server.faults.at(3, Fault(Kind.DELAY))
        place.write_job(job_text(archive, server.url, f'[report]\nuri = "{bucket.uri}"', limit="concurrency = 1"))
        running = place.start()
        server.wait_for_calls(3)
        publish_bytes(bucket.place(), KEY, b"{}")  # it is renewed once a minute
        stopped = running.wait(90)
        server.release()
        assert stopped.code == stopped.said["exit_code"] == 3, stopped.stderr
        assert f"the lease of {bucket.uri} was lost to another process; stopping" in stopped.stderr
        bucket.place().delete(KEY)
        ended = place.run()
    assert ended.run_id == stopped.run_id
    assert ended.said["items"] == 12


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_releases_the_lease_and_saves_the_state(
    archive: Path, tmp_path: Path, bucket: Bucket, number: signal.Signals, code: int
) -> None:
    first, second = place_of(tmp_path / "first", bucket), place_of(tmp_path / "second", bucket)
    with SafeCommsServer(judge=JUDGE, delay_s=0.05) as server:
        for place in (first, second):
            place.write_job(job_text(archive, server.url, f'[report]\nuri = "{bucket.uri}"'))
        running = first.start()
        server.wait_for_calls(4)
        running.signal(number)
        stopped = running.wait(20)
        assert stopped.code == code, stopped.stderr
        other = second.run()
        assert other.code == 3, other.stderr
        ended = first.run()
    assert ended.run_id == stopped.run_id != other.run_id
    assert ended.said["items"] == 12


def test_a_bucket_that_throttles_is_waited_for(archive: Path, tmp_path: Path, bucket: Bucket) -> None:
    with buckets.Line(bucket.url) as line, SafeCommsServer(judge=JUDGE) as server:
        line.refuse = lambda asked: asked.method == "PUT" and asked.number % 3 != 0
        place = Place(tmp_path / "machine", {**bucket.environment, "AWS_ENDPOINT_URL": line.url})
        place.write_job(job_text(archive, server.url, f'[report]\nuri = "{bucket.uri}"'))
        ended = place.run()
    assert ended.code == 3, ended.stderr
    assert len(open_report(bucket.uri, bucket.options).files()) == 12


def test_what_is_wrong_with_the_bucket_is_said_before_anything_is_asked(
    archive: Path, tmp_path: Path, bucket: Bucket
) -> None:
    (tmp_path / "data" / "archive").mkdir(parents=True)
    with buckets.nanio(tmp_path / "data") as nanio, SafeCommsServer(judge=JUDGE) as server:
        own = {**buckets.KEYS, "AWS_ENDPOINT_URL": nanio}
        keyless = {"AWS_ENDPOINT_URL": nanio, "AWS_METADATA_ENDPOINT": f"http://127.0.0.1:{buckets.free_port()}"}
        cases = {
            "no such bucket": (bucket.environment, "s3://no-such-bucket/reports"),
            "the store refuses the credentials": ({**own, "AWS_SECRET_ACCESS_KEY": "wrong"}, "s3://archive/reports"),
            "no credentials were found": (keyless, "s3://archive/reports"),
            "does not heed conditional writes": (own, "s3://archive/reports"),
        }
        for at, (says, (environment, uri)) in enumerate(cases.items()):
            place = Place(tmp_path / str(at), dict(environment))
            place.write_job(job_text(archive, server.url, f'[report]\nuri = "{uri}"'))
            ended = place.run()
            assert (ended.code, ended.said["run_id"]) == (2, None), ended.stderr
            assert says in ended.stderr
            assert "Traceback" not in ended.stderr
            assert buckets.KEYS["AWS_SECRET_ACCESS_KEY"] not in ended.stderr
        assert server.requests == []
        place.write_job(job_text(archive, server.url, f'[report]\nuri = "{uri}"\nlease = false'))
        assert place.run().code == 3, "whoever sees to it himself may go without a lease"


def test_other_things_in_the_bucket_are_left_alone(archive: Path, tmp_path: Path, bucket: Bucket) -> None:
    publish_bytes(bucket.place(), TOP / "holiday.mp4", b"")
    place = place_of(tmp_path / "machine", bucket)
    with SafeCommsServer(judge=JUDGE) as server:
        place.write_job(job_text(archive, server.url, f'[report]\nuri = "{bucket.uri}"'))
        ended = place.run()
        assert server.requests == []
    assert ended.code == 2
    assert "holds other things ('holiday.mp4'); choose an empty prefix or one with a report" in ended.stderr
    assert not bucket.place().exists(KEY)
