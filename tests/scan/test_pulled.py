"""Whole scans in which services pull files from their URL: what they hear, what of it is kept, and what nobody sees."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow.parquet as pq
import pytest

from batch_scan.sandbox.safecomms.server import SafeCommsServer
from tests.corpus_media import make
from tests.endpoint.pulled import MediaHost
from tests.scan.harness import Place, job_text
from tests.scan.sandboxed import CHAT_HZ, INSULT_HZ, film, sandbox, scripted_judge
from tests.source import stores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.scan.harness import Ended
    from tests.source.stores import Bucket, StoreServer

TOKEN = "hunter2hunter2"
QUERY = f"?X-Amz-Expires=900&X-Amz-Signature={TOKEN}"
HEARD = ("audio_s_planned", "audio_s_answered")


def sound_of(path: Path, hz: float, seconds: float = 3.0, *args: str) -> bytes:
    return make(path, "-f", "lavfi", "-i", f"sine=f={hz:g}:d={seconds}", *args).read_bytes()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return sound_of(tmp_path_factory.mktemp("good") / "a.wav", CHAT_HZ)


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """As long as the good one, to the byte."""
    return sound_of(tmp_path_factory.mktemp("bad") / "a.wav", INSULT_HZ)


@pytest.fixture
def host() -> Iterator[MediaHost]:
    with MediaHost() as host:
        yield host


def job_over_rows(
    directory: Path, server: SafeCommsServer, host: MediaHost, rows: list[str], endpoint: str = ""
) -> str:
    (directory / "rows.csv").write_text("\n".join(["uri", *rows, ""]))
    text = job_text(directory / "rows.csv", server.url, endpoint=f'send = "url"\n{endpoint}')
    return text.replace("[extract]", f'allow_hosts = ["{host.url.removeprefix("http://")}"]\n[extract]')


def assert_secret(place: Place, ended: Ended, *words: str) -> None:
    """None of the words is anywhere in what was written or said."""
    kept = [path.read_bytes() for path in place.published()]
    kept += [str(pq.ParquetFile(path).read().to_pylist()).encode() for path in place.report.rglob("part-*.parquet")]
    kept += [ended.stdout.encode(), ended.stderr.encode()]
    for word in words:
        assert not any(word.encode() in content for content in kept), word


def told_of(place: Place, ended: Ended) -> dict[str, tuple[Any, ...]]:
    rows = place.files(ended.run_id)
    return {name.partition("?")[0]: (row["verdict"], row["status"], row["reason"]) for name, row in rows.items()}


def media_of(place: Place, ended: Ended) -> dict[str, set[str]]:
    """Return what kinds of samples were asked about, by file."""
    media: dict[str, set[str]] = {}
    for row in place.rows("requests", ended.run_id):
        media.setdefault(row["uri"].rpartition("/")[2].partition("?")[0], set()).add(row["medium"])
    return media


# -------------------------------------------------------------------------------------------------------- http(s) rows


def test_what_lies_under_a_url_is_pulled_and_all_else_goes_as_bytes(
    place: Place, host: MediaHost, good: bytes, bad: bytes
) -> None:
    """A film's sound comes in chunks: nobody knows what SafeComms makes of a film. Its pictures come as frames."""
    rows = [host.put(name, content, QUERY) for name, content in (("good.wav", good), ("bad.wav", bad))]
    rows.append(host.put("film.mp4", film(place.directory / "film.mp4").read_bytes(), QUERY))
    rows.append(host.put("two.mka", two_tracks(place.directory / "two.mka"), QUERY))
    (place.directory / "local.wav").write_bytes(sound_of(place.directory / "l.wav", INSULT_HZ, 2.0))
    rows.append("local.wav")
    with SafeCommsServer(judge=scripted_judge()) as server:
        place.write_job(job_over_rows(place.directory, server, host, rows))
        ended = place.run("--job", place.job, "--log-format", "json")
        assert ended.code == 1, ended.stderr
        assert told_of(place, ended) == {
            "good.wav": ("keep", "complete", None),
            "bad.wav": ("remove", "complete", None),
            "film.mp4": ("remove", "complete", None),
            "two.mka": ("remove", "complete", None),
            "local.wav": ("remove", "complete", None),
        }
        assert media_of(place, ended) == {
            "good.wav": {"stream"},
            "bad.wav": {"stream"},
            "film.mp4": {"audio", "frame"},
            "two.mka": {"audio"},
            "local.wav": {"audio"},
        }
        assert ended.said["tokens_charged"] == server.tokens_used
        files = place.files(ended.run_id)
        heard = {name.partition("?")[0]: tuple(round(row[key], 1) for key in HEARD) for name, row in files.items()}
        assert heard["good.wav"] == heard["bad.wav"] == (3.0, 3.0)
        assert heard["film.mp4"][0] == heard["film.mp4"][1] > 11
        again = place.run()
        assert told_of(place, again) == told_of(place, ended)
        assert again.said["requests"] == again.said["tokens_charged"] == 0
    assert_secret(place, ended, TOKEN, "X-Amz-")
    assert (place.left_behind(), place.children()) == ([], [])


def two_tracks(path: Path) -> bytes:
    """A chat, and beside it an insult."""
    inputs = [word for hz in (CHAT_HZ, INSULT_HZ) for word in ("-f", "lavfi", "-i", f"sine=f={hz:g}:d=3")]
    return make(path, *inputs, "-map", "0", "-map", "1", "-c:a", "flac").read_bytes()


def test_a_host_that_tells_no_versions_has_its_files_judged_by_their_bytes(
    place: Place, host: MediaHost, bad: bytes
) -> None:
    host.tags = False
    with SafeCommsServer(judge=scripted_judge()) as server:
        place.write_job(job_over_rows(place.directory, server, host, [host.put("bad.wav", bad)]))
        ended = place.run()
        assert (ended.code, told_of(place, ended)) == (1, {"bad.wav": ("remove", "complete", None)}), ended.stderr
        assert media_of(place, ended) == {"bad.wav": {"audio"}}


def test_a_file_that_is_damaged_is_not_complete_though_the_vendor_calls_it_clean(
    place: Place, host: MediaHost, good: bytes
) -> None:
    """The head of a WAV file still tells the whole length, and so does the vendor that believes it."""
    with SafeCommsServer(judge=scripted_judge()) as server:
        server.judge = lambda _content, _operation: {
            "isClean": True,
            "severity": "None",
            "metadata": {"Duration": "00:00:03.0000000"},
        }
        row = host.put("cut.wav", good[: len(good) // 2])
        place.write_job(job_over_rows(place.directory, server, host, [row]))
        ended = place.run()
        assert ended.code == 3, ended.stderr
        assert told_of(place, ended) == {"cut.wav": ("unknown", "partial", "damaged")}


def test_a_url_that_the_vendor_skips_is_never_clean(place: Place, host: MediaHost, good: bytes) -> None:
    with SafeCommsServer(judge=scripted_judge(), pulls_from_loopback=False, private_is_skipped=True) as server:
        place.write_job(job_over_rows(place.directory, server, host, [host.put("good.wav", good, QUERY)]))
        ended = place.run()
        assert ended.code == 3, ended.stderr
        assert told_of(place, ended) == {"good.wav": ("unknown", "failed", "unrecognised_answer")}
        assert len(server.calls) == 1
        (row,) = place.files(ended.run_id).values()
        assert tuple(round(row[key], 1) for key in HEARD) == (3.0, 0.0)
        server.pulls_from_loopback = True
        again = place.run()
        assert (again.code, told_of(place, again)) == (0, {"good.wav": ("keep", "complete", None)}), again.stderr


def test_a_vendor_that_repeats_the_url_and_where_it_led_gives_nothing_away(
    place: Place, host: MediaHost, good: bytes
) -> None:
    other = "another-signature"
    rows = [host.put(name, good + b"\0" * at, QUERY) for at, name in enumerate(("loop.wav", "said.wav"))]

    def repeats(content: bytes, operation: str) -> dict[str, Any]:
        told = f"{rows[1]} led to https://cdn.example.com/x?sig={other}"
        return {"isClean": True, "reason": told, rows[1]: TOKEN, "metadata": {"Duration": "0:03", "Source": rows[1]}}

    def loops(url: str) -> None:
        if "loop" in url:  # it was fetched by us, and leads in a circle for the vendor
            host.redirects["loop.wav"] = f"{host.url}/loop.wav?sig={other}"

    with SafeCommsServer(judge=repeats) as server:
        server.before_pull = loops
        place.write_job(job_over_rows(place.directory, server, host, rows))
        ended = place.run("--job", place.job, "--log-format", "json")
        assert ended.code == 3, ended.stderr
        assert told_of(place, ended) == {
            "loop.wav": ("unknown", "failed", "sample_refused"),
            "said.wav": ("keep", "complete", None),
        }
        (row,) = [row for row in place.rows("files", ended.run_id) if row["reason"]]
        assert "more than 3 redirects" in row["error"]
    assert_secret(place, ended, TOKEN, other, "X-Amz-")


def test_a_row_that_is_replaced_while_the_vendor_pulls_it_is_changed_and_scanned_again(
    place: Place, host: MediaHost, good: bytes, bad: bytes
) -> None:
    row = host.put("a.wav", bad, QUERY)
    with SafeCommsServer(judge=scripted_judge()) as server:
        server.before_pull = lambda _url: host.put("a.wav", good)
        place.write_job(job_over_rows(place.directory, server, host, [row]))
        ended = place.run()
        assert ended.code == 3, ended.stderr
        assert told_of(place, ended) == {"a.wav": ("unknown", "failed", "changed")}
        (asked,) = place.rows("requests", ended.run_id)
        assert (asked["outcome"], asked["tokens_charged"]) == ("failed", server.tokens_used)
        host.put("a.wav", bad)
        server.before_pull = lambda _url: None
        again = place.run()
        assert (again.code, told_of(place, again)) == (1, {"a.wav": ("remove", "complete", None)}), again.stderr
        assert len(server.calls) == 2


# ------------------------------------------------------------------------------------------------------------- buckets


@pytest.fixture
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket of the server that the test names as its parameter, of nanio where it names none."""
    server: StoreServer = request.getfixturevalue(getattr(request, "param", "nanio"))
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    return server.make_bucket()


def place_over(bucket: Bucket, directory: Path, vendor: str, sign_urls: str = "15m") -> Place:
    """Return a place with a job over the bucket that lets SafeComms pull."""
    directory.mkdir()
    place = Place(directory, dict(bucket.server.env))
    table = f'[source.bucket]\nendpoint = "{bucket.server.endpoint}"\n'
    text = job_text(f"{bucket.url}/a/", vendor, table, endpoint='send = "url"')
    place.write_job(text.replace("[extract]", f'sign_urls = "{sign_urls}"\n[extract]'))
    return place


@pytest.mark.parametrize("bucket", ["moto", "nanio", "azurite"], indirect=True)
def test_an_object_that_is_replaced_while_the_vendor_pulls_it_is_changed_and_scanned_again(
    bucket: Bucket, tmp_path: Path, good: bytes, bad: bytes
) -> None:
    bucket.put("a/one.wav", bad)
    bucket.put("a/two.wav", bad + b"\0")
    with SafeCommsServer(judge=scripted_judge()) as server:
        place = place_over(bucket, tmp_path / "machine", server.url)
        server.before_pull = lambda url: bucket.put("a/one.wav", good) if "one.wav" in url else None
        ended = place.run()
        assert ended.code == 3, ended.stderr
        two = ("remove", "complete", None)
        assert told_of(place, ended) == {"one.wav": ("unknown", "failed", "changed"), "two.wav": two}
        bucket.put("a/one.wav", bad)
        server.before_pull = lambda _url: None
        again = place.run()
        assert (again.code, told_of(place, again)) == (1, {"one.wav": two, "two.wav": two}), again.stderr
        assert len(server.calls) == 3, "what was heard of another content stands for nothing"


def test_a_signature_that_expired_before_the_vendor_came_costs_a_row_and_the_next_run_has_it(
    bucket: Bucket, tmp_path: Path, bad: bytes
) -> None:
    bucket.put("a/bad.wav", bad)
    signed: list[str] = []

    def comes_late(url: str) -> None:
        signed.append(url)
        give_up_at_s = time.monotonic() + 30
        while httpx.get(url, trust_env=False).status_code == httpx.codes.OK:
            assert time.monotonic() < give_up_at_s, "it never expired"

    with SafeCommsServer(judge=scripted_judge()) as server:
        place = place_over(bucket, tmp_path / "machine", server.url, sign_urls="1s")
        server.before_pull = comes_late
        ended = place.run()
        assert ended.code == 3, ended.stderr
        assert told_of(place, ended) == {"bad.wav": ("unknown", "failed", "sample_refused")}
        (row,) = place.files(ended.run_id).values()
        assert "HTTP 403" in row["error"]
        assert_secret(place, ended, signed[0].partition("?")[2], "X-Amz-", stores.ACCESS_KEY)
        server.before_pull = lambda _url: None
        place.write_job(place.job.read_text().replace('sign_urls = "1s"', 'sign_urls = "15m"'))
        again = place.run()
        assert (again.code, told_of(place, again)) == (1, {"bad.wav": ("remove", "complete", None)}), again.stderr
        assert len(server.answered) == 1


def test_two_who_pull_hear_the_same_object_under_a_signature_that_the_store_checks(
    bucket: Bucket, tmp_path: Path, good: bytes, bad: bytes
) -> None:
    for key, content in (("good.wav", good), ("bad.wav", bad), ("film.mp4", film(tmp_path / "f.mp4").read_bytes())):
        bucket.put(f"a/{key}", content)
    place = Place(tmp_path / "machine", dict(bucket.server.env))
    with sandbox(names=("safecomms", "deepcleer")) as served:

        def pulling(tables: dict[str, Any]) -> None:
            tables["endpoints"]["safecomms"]["send"] = "url"
            tables["endpoints"]["deepcleer"]["mode"] = "stream"
            tables["source"] |= {
                "uri": f"{bucket.url}/a/",
                "sign_urls": "15m",
                "bucket": {"endpoint": bucket.server.endpoint},
            }

        place.write_job(served.write(place.directory, Path("a"), pulling).read_text())
        ended = place.run("--job", place.job, "--log-format", "json")
        assert ended.code == 1, ended.stderr
        removed = ("remove", "complete", None)
        assert told_of(place, ended) == {
            "good.wav": ("keep", "complete", None),
            "bad.wav": removed,
            "film.mp4": removed,
        }
        asked = {
            (row["uri"].rpartition("/")[2], row["endpoint"], row["medium"])
            for row in place.rows("requests", ended.run_id)
        }
        assert asked == {
            *(
                (name, endpoint, "stream")
                for name in ("good.wav", "bad.wav")
                for endpoint in ("safecomms", "deepcleer")
            ),
            ("film.mp4", "deepcleer", "stream"),
            ("film.mp4", "safecomms", "audio"),
            *(("film.mp4", endpoint, "frame") for endpoint in ("safecomms", "deepcleer")),
        }
        for row in place.files(ended.run_id).values():
            assert row["audio_s_planned"] == row["audio_s_answered"] >= 3.0
        assert served.left_open == {}
        assert ended.said["tokens_charged"] == sum(served.tokens.values())
        again = place.run("--job", place.job)
        assert (told_of(place, again), again.said["requests"]) == (told_of(place, ended), 0)
    assert_secret(place, ended, "X-Amz-", stores.ACCESS_KEY, stores.SECRET_KEY)
