"""Whatever ends a run, and when: the same command finishes it as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from batch_scan.sandbox.faults import hang
from batch_scan.sandbox.safecomms.server import SafeCommsServer
from tests.corpus_media import tone
from tests.scan.corpus import BAD_HZ, JUDGE, stretches
from tests.scan.harness import Ended, Place, Running, comparable, job_text

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 12
CONCURRENCY = 3
_GRACE_S = 5.0
_ENDS_WITHIN_S = _GRACE_S + 5.0


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve films of three pictures and ten sounds: 46 requests, and one duplicate."""
    directory = tmp_path_factory.mktemp("kill") / "media"
    directory.mkdir()
    for at in range(12):
        red = f"0x{255 - at * 4:02x}0000" if at % 4 == 0 else f"0x0000{255 - at * 4:02x}"
        stretches(directory / f"film {at:02}.mp4", ((f"0x{at * 20:02x}90a0", 1), (red, 1), (f"0x90{at * 20:02x}60", 1)))
    for at in range(10):
        tone(directory / f"sound {at}.wav", 0.5 + at / 10, hz=BAD_HZ if at % 5 == 0 else 300)
    (directory / "twin.mp4").write_bytes((directory / "film 03.mp4").read_bytes())
    return directory


@pytest.fixture(scope="module")
def undisturbed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int, Ended]:
    """What an undisturbed run reports, what it was charged, and how it ended."""
    place = Place(tmp_path_factory.mktemp("undisturbed"))
    with SafeCommsServer(judge=JUDGE) as server:
        place.write_job(job_text(archive, server.url))
        ended = place.run()
        return report_of(place, ended.run_id), server.tokens_used, ended


def report_of(place: Place, run_id: str) -> dict[str, Any]:
    tables = {table: comparable(place.rows(table, run_id)) for table in ("files", "findings", "scores")}
    asked = ("vendor_request_id", "attempts", "answer")  # the server numbers its answers as they come
    return tables | {"requests": comparable(place.rows("requests", run_id), *asked)}


def kill_sometime(running: Running, server: SafeCommsServer, chance: random.Random) -> bool:
    """SIGKILL it once it has made up to four more calls; False where it ended before."""
    wanted = len(server.calls) + chance.randint(1, 4)
    while len(server.calls) < wanted:
        if running.process.poll() is not None:
            return False
        time.sleep(0.005)
    time.sleep(chance.uniform(0.0, 0.03))  # anywhere between sending, answering and writing down
    running.process.send_signal(signal.SIGKILL)
    return running.process.wait() == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_a_dozen_times_reports_what_an_undisturbed_one_does(
    archive: Path, place: Place, undisturbed: tuple[dict[str, Any], int, Ended]
) -> None:
    report, tokens, ended = undisturbed
    chance = random.Random(4)
    with SafeCommsServer(judge=JUDGE, delay_s=0.03) as server:
        place.write_job(job_text(archive, server.url, limit=f"concurrency = {CONCURRENCY}"))
        kills = 0
        for _ in range(KILLS):
            kills += kill_sometime(place.start(), server, chance)
        last = place.run()
        asked_twice = len(server.calls) - len({seen.digest for seen in server.calls})
        charged = server.tokens_used
    assert kills >= KILLS * 2 // 3, "the archive is too small for that many kills"
    assert last.code == ended.code == 1, last.stderr
    assert [path.name for path in (place.report / "runs").iterdir()] == [f"run_id={last.run_id}"]
    assert asked_twice <= kills * CONCURRENCY
    assert charged <= tokens + asked_twice * 50
    assert report_of(place, last.run_id) == report
    assert sum(row["tokens_charged"] for row in place.rows("requests", last.run_id)) == tokens
    assert place.children() == []
    assert place.left_behind() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_seconds_and_the_same_command_goes_on(
    archive: Path, place: Place, undisturbed: tuple[dict[str, Any], int, Ended], number: signal.Signals
) -> None:
    with SafeCommsServer(judge=JUDGE, delay_s=0.05) as server:
        place.write_job(job_text(archive, server.url))
        running = place.start()
        server.wait_for_calls(8)
        running.signal(number)
        stopped = running.wait(_ENDS_WITHIN_S)
        assert stopped.code == stopped.said["exit_code"] == 128 + number
        assert (place.children(), place.left_behind()) == ([], [])
        assert 0 < len(server.calls) < undisturbed[2].said["requests"]
        assert len(server.answered) == len(server.calls), "what was in flight was waited for"
        ended = place.run()
        assert server.tokens_used == undisturbed[1], "nothing was paid twice"
    assert ended.run_id == stopped.run_id
    assert ended.code == undisturbed[2].code
    assert report_of(place, ended.run_id) == undisturbed[0]
    assert "may have been charged" not in ended.stderr


def test_a_signal_does_not_wait_for_a_vendor_that_hangs(
    archive: Path, place: Place, undisturbed: tuple[dict[str, Any], int, Ended]
) -> None:
    with SafeCommsServer(judge=JUDGE) as server:
        server.faults.when(lambda seen: seen.number > 5, hang())
        place.write_job(job_text(archive, server.url, limit="concurrency = 2"))
        running = place.start()
        server.wait_for_calls(7)
        running.signal(signal.SIGTERM)
        stopped = running.wait(_ENDS_WITHIN_S)
        assert stopped.code == 143
        assert "2 requests were in flight at the stop" in stopped.stderr
        assert (place.children(), place.left_behind()) == ([], [])
        server.faults.clear()
        ended = place.run()
    assert "2 requests were in flight" in ended.stderr
    assert ended.run_id == stopped.run_id
    assert report_of(place, ended.run_id) == undisturbed[0]


def test_a_second_signal_does_not_wait_for_what_is_in_flight(
    archive: Path, place: Place, undisturbed: tuple[dict[str, Any], int, Ended]
) -> None:
    with SafeCommsServer(judge=JUDGE) as server:
        server.faults.when(lambda seen: seen.number > 5, hang())
        place.write_job(job_text(archive, server.url, limit="concurrency = 2"))
        running = place.start()
        server.wait_for_calls(7)
        running.signal(signal.SIGINT)
        place.wait_until(lambda: "finishing what is in flight" in running.stderr.read_text())
        running.signal(signal.SIGINT)
        stopped = running.wait(_ENDS_WITHIN_S)
        assert stopped.code == stopped.said["exit_code"] == 130
        assert "SIGINT again: ending without waiting" in stopped.stderr
        server.faults.clear()
        ended = place.run()
    assert (place.children(), place.left_behind()) == ([], [])
    assert "2 requests were in flight when this run was killed" in ended.stderr
    assert [path.name for path in (place.report / "runs").iterdir()] == [f"run_id={ended.run_id}"]
    assert report_of(place, ended.run_id) == undisturbed[0]


def test_a_signal_does_not_wait_until_a_huge_file_is_read(place: Place, tmp_path: Path) -> None:
    """Reading tens of gigabytes for their digest takes longer than anybody waits."""
    (tmp_path / "media").mkdir()
    with (tmp_path / "media/huge.mp4").open("wb") as file:
        os.truncate(file.fileno(), 200 << 30)
    with SafeCommsServer(judge=JUDGE) as server:
        place.write_job(job_text(tmp_path / "media", server.url))
        running = place.start()
        place.wait_until(lambda: "huge.mp4" in running.open_files())
        running.signal(signal.SIGINT)
        assert running.wait(_ENDS_WITHIN_S).code == 130


def test_a_signal_in_a_flood_of_known_files_ends_it(place: Place, tmp_path: Path) -> None:
    tone(tmp_path / "one.wav", 0.3)
    rows = tmp_path / "manifest.csv"
    rows.write_text("path\n" + "one.wav\n" * 60_000)
    with SafeCommsServer(judge=JUDGE) as server:
        place.write_job(job_text(rows, server.url))
        running = place.start()
        server.wait_for_calls(1)
        place.wait_until(lambda: len(list(place.report.glob("files/*/part-*"))) > 1)
        running.signal(signal.SIGINT)
        stopped = running.wait(_ENDS_WITHIN_S)
        assert stopped.code == 130
        done = stopped.said["items"]
        assert 0 < done < 60_000
        ended = place.run(timeout_s=300)
    assert ended.run_id == stopped.run_id
    assert ended.said["items"] == 60_000
    items = [row["item"] for row in place.rows("files", ended.run_id)]
    assert len(items) == len(set(items)) == 60_000
