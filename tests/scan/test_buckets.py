"""An archive in a bucket is scanned as one on disk is, whatever the store does meanwhile."""

from __future__ import annotations

import csv
import re
import signal
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from batch_scan.report.reader import open_report
from batch_scan.report.schema import Table
from batch_scan.sandbox.safecomms.server import SafeCommsServer
from tests.corpus_media import tone
from tests.scan.corpus import BAD_HZ, JUDGE
from tests.scan.harness import Place, comparable, job_text
from tests.scan.sandboxed import film, sandbox
from tests.source import stores
from tests.source.disk import Watch, bytes_on_disk
from tests.source.many import many_objects
from tests.source.wire import SLOW_DOWN, Fault, wire_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.scan.corpus import Corpus
    from tests.scan.harness import Ended, Running
    from tests.source.stores import Bucket, StoreServer
    from tests.source.wire import Wire

STORES = ("moto", "nanio", "fake_gcs", "azurite")
TABLES = ("files", "findings", "scores", "requests")
BY_ORDER = ("vendor_request_id", "attempts", "answer")  # the server numbers its answers as they come
BY_PLACE = ("item", "source", "modified_at")
NOT_IN_A_BUCKET = {"link.mp4"}
"""A bucket has no symbolic links, and the likes of FIFOs and files that their owner may not read."""
MOST_KIB = 400 << 10


@pytest.fixture
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket of the server that the test names as its parameter, of moto where it names none."""
    server: StoreServer = request.getfixturevalue(getattr(request, "param", "moto"))
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    return server.make_bucket()


def place_of(directory: Path, server: StoreServer) -> Place:
    directory.mkdir(exist_ok=True)
    return Place(directory, dict(server.env))


def job_over(source: str, vendor: str, server: StoreServer, port: int = 0, keys: str = "") -> str:
    """Return a job over a bucket; `keys` are further lines of its `[source]`, `port` another way to the store."""
    options = server.through(port or server.port)
    table = f'[source.bucket]\nendpoint = "{options.endpoint}"\nanonymous = {str(options.anonymous).lower()}\n'
    text = job_text(source, vendor, table)
    return text.replace('exclude = ["hidden"]\n', f'exclude = ["hidden"]\n{keys}\n')


# ------------------------------------------------------------------------------------------------- the same report


@pytest.mark.parametrize("bucket", STORES, indirect=True)
def test_the_corpus_in_a_bucket_gives_the_report_of_the_directory(
    bucket: Bucket, corpus: Corpus, on_disk: dict[str, Any], tmp_path: Path
) -> None:
    for path in regular_files(corpus.archive):
        bucket.put(f"2026/{path.relative_to(corpus.archive)}", path.read_bytes())
    place = place_of(tmp_path / "machine", bucket.server)
    with SafeCommsServer(judge=JUDGE) as server:
        place.write_job(job_over(f"{bucket.url}/2026/", server.url, bucket.server))
        ended = place.run()
        again = place.run()
    assert ended.code == again.code == 3, ended.stderr
    told = report_of(place, ended, f"{bucket.url}/2026/")
    for table in TABLES:
        assert told[table] == on_disk[table]
    assert again.said["requests"] == again.said["tokens_charged"] == 0
    assert verdicts(place, again) == verdicts(place, ended)
    assert (place.left_behind(), place.children()) == ([], [])


@pytest.fixture(scope="module")
def on_disk(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the directory's report says, table by table, of everything that a bucket can have."""
    place = Place(tmp_path_factory.mktemp("on_disk"))
    with SafeCommsServer(judge=JUDGE) as server:
        place.write_job(job_text(corpus.archive, server.url))
        ended = place.run()
    assert ended.code == 3, ended.stderr
    told = report_of(place, ended, f"{corpus.archive}/")
    assert len(told["files"]) == len(regular_files(corpus.archive))
    return told


@pytest.mark.parametrize("kind", ["objects", "urls", "beside"])
def test_rows_of_a_manifest_give_the_report_of_the_files(
    kind: str, corpus: Corpus, tmp_path: Path, bucket: Bucket
) -> None:
    wanted = rows_for_all(corpus)
    local, remote = Place(tmp_path / "local"), place_of(tmp_path / "remote", bucket.server)
    with SafeCommsServer(judge=JUDGE) as server:
        rows = manifest_of(tmp_path / "local.csv", f"{corpus.archive}/", wanted)
        local.write_job(job_text(rows, server.url).replace("[extract]", f'root = "{corpus.archive}"\n[extract]'))
        expected = local.run()
    with SafeCommsServer(judge=JUDGE) as server, served(corpus.archive) as port:
        at, keys = f"http://127.0.0.1:{port}/", f'allow_hosts = ["127.0.0.1:{port}"]'
        if kind != "urls":
            for path in regular_files(corpus.archive):
                bucket.put(str(path.relative_to(corpus.archive)), path.read_bytes())
            at, keys = f"{bucket.url}/", f'allow_buckets = ["{bucket.url}"]'
        rows = manifest_of(tmp_path / "rows.csv", "" if kind == "beside" else at, wanted)
        bucket.put("rows.csv", rows.read_bytes())
        source = f"{bucket.url}/rows.csv" if kind == "beside" else str(rows)
        remote.write_job(job_over(source, server.url, bucket.server, keys=keys))
        ended = remote.run()
    assert ended.code == expected.code == 3, ended.stderr
    assert ended.said["items"] == len(wanted)
    told, true = report_of(remote, ended, at), report_of(local, expected, f"{corpus.archive}/")
    for table in TABLES:
        assert told[table] == true[table]


def rows_for_all(corpus: Corpus) -> list[str]:
    """Return what rows may name in any place: what is there as a file, what is missing, and what is left out."""
    names = [title.removeprefix("again:") for title in corpus.truth]
    elsewhere = ("../", "/", "https:")
    return [name for name in names if name and not name.startswith(elsewhere) and name not in NOT_IN_A_BUCKET]


def regular_files(archive: Path) -> list[Path]:
    return [path for path in sorted(archive.rglob("*")) if path.is_file() and not path.is_symlink()]


def manifest_of(path: Path, at: str, names: list[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["title", "path"], *([name, at + name] for name in names)])
    return path


@contextmanager
def served(directory: Path) -> Iterator[int]:
    """Serve a directory over plain HTTP; the value is the port."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def report_of(place: Place, ended: Ended, at: str) -> dict[str, list[dict[str, Any]]]:
    """Return the tables without what the place of the archive makes of them.

    Which of two files with the same content is scanned, and which is its duplicate, is a matter of which comes first:
    both go under the name of the group. A file without content is not opened in a bucket, so nothing of it is known.
    """
    files = place.rows("files", ended.run_id)
    names: dict[str, str] = {}
    for row in sorted(files, key=lambda row: str(row["uri"])):
        group = [
            one["uri"] for one in files if one["content_sha256"] == row["content_sha256"] and row["reason"] is None
        ]
        names[row["uri"]] = min(group, default=row["uri"]).removeprefix(at)
    told = {}
    for table in TABLES:
        rows = [dict(row) for row in place.rows(table, ended.run_id)]
        for row in rows:
            row["uri"] = names[row["uri"]]
            if row.get("duplicate_of"):
                row["duplicate_of"] = names[row["duplicate_of"]]
            if row.get("reason") in {"empty", "missing"}:
                row |= {"content_sha256": None, "size_bytes": None, "error": None, "error_type": None}
            told_by_user = dict(row.get("manifest") or {})
            row["manifest"] = {column: _under_one_name(value, names, at) for column, value in told_by_user.items()}
        if table == "files":
            rows = [row for row in rows if row["uri"] not in NOT_IN_A_BUCKET]
        told[table] = comparable(rows, *BY_ORDER, *BY_PLACE)
    return told


def _under_one_name(value: str, names: dict[str, str], at: str) -> str:
    """Return what a row says of its own file, which its twin says of itself, under the name of the group."""
    path = value.removeprefix(at)
    return names.get(f"{at}{path}", path)


def verdicts(place: Place, ended: Ended) -> dict[str, tuple[Any, ...]]:
    rows = place.rows("files", ended.run_id)
    return {row["uri"]: (row["verdict"], row["status"], row["reason"]) for row in rows}


# ------------------------------------------------------------------------------------------------- what goes wrong

KEYS = [f"sound{number}.wav" for number in range(5)]
CUT_AT = 600_000
"""Of the last two."""


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Five sounds, of which the first is bad, by their keys."""
    directory = tmp_path_factory.mktemp("sounds")
    lengths_s = (0.5, 0.6, 0.7, 8.0, 8.5)
    made = [
        tone(directory / key, length_s, hz=440 if at else BAD_HZ)
        for at, (key, length_s) in enumerate(zip(KEYS, lengths_s, strict=True))
    ]
    return {path.name: path.read_bytes() for path in made}


@pytest.fixture
def filled(bucket: Bucket, sounds: dict[str, bytes]) -> Bucket:
    for key, content in sounds.items():
        bucket.put(f"a/{key}", content)
    return bucket


def always(wanted: str, fault: Fault) -> Callable[[str], Fault | None]:
    return lambda head: fault if wanted in head.partition("\r\n")[0] else None


@contextmanager
def scanning(
    bucket: Bucket, directory: Path, fault: Callable[[str], Fault | None], keys: str = ""
) -> Iterator[tuple[Place, Wire, SafeCommsServer]]:
    """Have a job over a bucket whose line can be disturbed."""
    place = place_of(directory / "machine", bucket.server)
    with SafeCommsServer(judge=JUDGE) as server, wire_to(bucket.server.port, fault) as wire:
        place.write_job(job_over(f"{bucket.url}/a/", server.url, bucket.server, wire.port, keys))
        yield place, wire, server


def told_of(place: Place, ended: Ended) -> dict[str, tuple[Any, ...]]:
    """Return verdict, status and reason by the last part of the key."""
    return {uri.rpartition("/")[2]: said for uri, said in verdicts(place, ended).items()}


GOOD = {key: ("keep" if key != KEYS[0] else "flag", "complete", None) for key in KEYS}


def assert_converges(place: Place, wire: Wire, server: SafeCommsServer, asked: int) -> None:
    """The same command, the store in order again, reports everything and asks nothing twice."""
    wire.fault = lambda _head: None
    ended = place.run()
    assert ended.code == 1, ended.stderr
    assert told_of(place, ended) == GOOD
    assert len(server.calls) == len({seen.digest for seen in server.calls}) == asked
    assert (place.left_behind(), place.children()) == ([], [])


@pytest.mark.parametrize("bucket", STORES, indirect=True)
def test_what_happens_to_objects_after_they_were_listed_shows_in_their_rows(
    filled: Bucket, sounds: dict[str, bytes], tmp_path: Path
) -> None:
    """Of one that is replaced by one of the same length, nothing but its tag tells that what comes now is another's."""
    other = bytes(reversed(sounds["sound3.wav"]))
    happens: dict[str, Callable[[], Fault | None]] = {
        "sound1": lambda: filled.delete("a/sound1.wav"),
        "sound2": lambda: filled.put("a/sound2.wav", sounds["sound1.wav"]),
        "sound3": lambda: Fault(cut_after=CUT_AT, midway=lambda: filled.put("a/sound3.wav", other)),
        "sound4": lambda: Fault(cut_after=CUT_AT),
    }

    def fault(head: str) -> Fault | None:
        named = [name for name in happens if name in head.partition("\r\n")[0]]
        return happens.pop(named[0])() if named else None

    with scanning(filled, tmp_path, fault) as (place, wire, server):
        ended = place.run()
        assert ended.code == 3, ended.stderr
        assert told_of(place, ended) == GOOD | {
            "sound1.wav": ("unknown", "failed", "missing"),
            "sound2.wav": ("unknown", "failed", "changed"),
            "sound3.wav": ("unknown", "failed", "changed"),
        }
        asked = [head.partition("\r\n")[0] for head in wire.requests]
        assert all(sum(name in line for line in asked) >= 2 for name in ("sound3", "sound4")), "both were asked again"
        assert all(start <= CUT_AT for start, _ in wire.ranges())
        for key, content in sounds.items():
            filled.put(f"a/{key}", content)
        assert_converges(place, wire, server, asked=5)


def test_a_trickle_is_given_up_in_time_and_the_others_are_scanned(filled: Bucket, tmp_path: Path) -> None:
    trickle = always(KEYS[3], Fault(block_bytes=1000, pause_s=0.05))
    with scanning(filled, tmp_path, trickle, "fetch_timeout_s = 2.0") as (place, wire, server):
        ended = place.run(timeout_s=30)
        assert ended.code == 3, ended.stderr
        assert told_of(place, ended) == GOOD | {"sound3.wav": ("unknown", "failed", "fetch_failed")}
        (row,) = [row for row in place.rows("files", ended.run_id) if row["reason"]]
        assert row["error"] == "the object did not arrive within 2 s"
        assert_converges(place, wire, server, asked=5)


def test_a_store_that_is_busy_is_asked_again(filled: Bucket, tmp_path: Path) -> None:
    busy = Fault(answer=SLOW_DOWN)
    answers = iter([busy, None, busy, busy, None])
    with scanning(filled, tmp_path, lambda _head: next(answers, None)) as (place, wire, server):
        ended = place.run()
        assert (ended.code, told_of(place, ended)) == (1, GOOD), ended.stderr
        assert_converges(place, wire, server, asked=5)


def test_a_store_that_stays_busy_costs_one_row(filled: Bucket, tmp_path: Path) -> None:
    busy = always(KEYS[3], Fault(answer=SLOW_DOWN))
    with scanning(filled, tmp_path, busy, "fetch_timeout_s = 4.0") as (place, wire, server):
        ended = place.run()
        assert ended.code == 3, ended.stderr
        assert told_of(place, ended) == GOOD | {"sound3.wav": ("unknown", "failed", "fetch_failed")}
        assert_converges(place, wire, server, asked=5)


def test_a_wrong_secret_and_a_missing_bucket_are_named_before_anything_starts(
    nanio: StoreServer, sounds: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in nanio.env.items():
        monkeypatch.setenv(name, value)
    bucket = nanio.make_bucket()
    rows = manifest_of(tmp_path / "rows.csv", f"{bucket.url}/a/", KEYS)
    wrong = {**nanio.env, "AWS_SECRET_ACCESS_KEY": "never-to-be-seen-5a1d"}
    elsewhere = {**nanio.env, "AWS_METADATA_ENDPOINT": f"http://127.0.0.1:{stores.free_port()}"}
    without = {name: value for name, value in elsewhere.items() if "ACCESS_KEY" not in name}
    cases = {
        "refuses the credentials": (wrong, f"{bucket.url}/a/"),
        "the store refuses the credentials": (wrong, str(rows)),
        "there is no such bucket": (nanio.env, "s3://no-such-bucket/a/"),
        "no credentials were found": (without, f"{bucket.url}/a/"),
        "there is no object below": (nanio.env, f"{bucket.url}/b/"),
    }
    for key, content in sounds.items():
        bucket.put(f"a/{key}", content)
    place = place_of(tmp_path / "machine", nanio)
    with SafeCommsServer(judge=JUDGE) as server:
        for says, (environment, source) in cases.items():
            place.environment = dict(environment)
            place.write_job(job_over(source, server.url, nanio))
            ended = place.run()
            assert (ended.code, ended.said["run_id"]) == (2, None), ended.stderr
            assert says in ended.stderr
            assert "Traceback" not in ended.stderr
            assert not any(secret in ended.stderr for secret in (wrong["AWS_SECRET_ACCESS_KEY"], stores.SECRET_KEY))
            assert not place.report.exists()
        assert server.requests == []
        place.environment = dict(nanio.env)
        place.write_job(job_over(f"{bucket.url}/a/", server.url, nanio))
        ended = place.run()
    assert (ended.code, told_of(place, ended)) == (1, GOOD), ended.stderr


# ------------------------------------------------------------------------------------------------- the scratch


def test_what_a_killed_run_was_fetching_is_gone_after_the_next_start(filled: Bucket, tmp_path: Path) -> None:
    held = always(".wav", Fault(block_bytes=50_000, pause_s=0.3))
    with scanning(filled, tmp_path, held) as (place, wire, server):
        running = place.start()
        place.wait_until(lambda: bytes_on_disk(place.tmp) > 0)
        kill(running)
        assert bytes_on_disk(place.tmp) > 0
        assert_converges(place, wire, server, asked=5)


def kill(running: Running) -> None:
    running.signal(signal.SIGKILL)
    assert running.process.wait() == -signal.SIGKILL


def test_a_manifest_that_trickles_does_not_hold_up_who_interrupts(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("a/m.csv", b"uri\n" + b"a.wav\n" * 100_000)
    place = Place(tmp_path, environment=dict(bucket.server.env))
    trickle = Fault(block_bytes=1000, pause_s=0.5)
    arrived = threading.Event()

    def fault(head: str) -> Fault | None:
        if not head.startswith("GET "):
            return None
        arrived.set()
        return trickle

    with SafeCommsServer(judge=JUDGE) as server, wire_to(bucket.server.port, fault) as wire:
        place.write_job(job_over(f"{bucket.url}/a/m.csv", server.url, bucket.server, wire.port))
        running = place.start()
        assert arrived.wait(30)
        running.signal(signal.SIGINT)
        ended = running.wait(20)
    assert ended.code == 130, ended.stderr
    assert "nothing was scanned yet" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (bytes_on_disk(place.tmp), place.left_behind()) == (0, [])


@pytest.mark.parametrize("when", ["opening", "scanning"])
@pytest.mark.parametrize("store", ["refuses", "hangs"])
def test_a_store_that_does_not_answer_for_its_objects_does_not_hold_up_who_interrupts(
    bucket: Bucket, tmp_path: Path, when: str, store: str
) -> None:
    for number in range(40):
        bucket.put(f"a/{number}.wav", b"no sound at all")
    rows = tmp_path / "rows.csv"
    rows.write_text("\n".join(["uri", *(f"{bucket.url}/a/{number}.wav" for number in range(40))]) + "\n")
    place = Place(tmp_path, environment=dict(bucket.server.env))
    arrived, over = threading.Event(), threading.Event()

    def disturb(head: str) -> Fault | None:
        if not head.startswith("HEAD ") or (when == "scanning" and "/a/0.wav" in head):
            return None
        arrived.set()
        if store == "hangs":
            over.wait()
        return Fault(answer=SLOW_DOWN)

    with SafeCommsServer(judge=JUDGE) as server, wire_to(bucket.server.port, disturb) as wire:
        place.write_job(job_over(str(rows), server.url, bucket.server, wire.port))
        running = place.start()
        assert arrived.wait(30)
        running.signal(signal.SIGINT)
        try:
            ended = running.wait(10)
        finally:
            over.set()
    assert ended.code == 130, ended.stderr
    assert "Traceback" not in ended.stderr
    assert place.left_behind() == []


def test_a_manifest_that_trickles_does_not_hold_up_who_interrupts_a_plan(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("a/m.csv", b"uri\n" + b"a.wav\n" * 100_000)
    place = Place(tmp_path, environment=dict(bucket.server.env))
    arrived = threading.Event()

    def trickle(head: str) -> Fault | None:
        if not head.startswith("GET "):
            return None
        arrived.set()
        return Fault(block_bytes=1000, pause_s=0.5)

    with SafeCommsServer(judge=JUDGE) as server, wire_to(bucket.server.port, trickle) as wire:
        place.write_job(job_over(f"{bucket.url}/a/m.csv", server.url, bucket.server, wire.port))
        running = place.start("plan", place.job)
        assert arrived.wait(30)
        running.signal(signal.SIGINT)
        ended = running.wait(10)
    assert ended.code == 130, ended.stderr
    assert "Traceback" not in ended.stderr
    assert (bytes_on_disk(place.tmp), place.left_behind()) == (0, [])


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Ten recordings of some 300 kB, and one that is larger than what the scratch may hold."""
    directory = tmp_path_factory.mktemp("recordings")
    made = [tone(directory / f"{at}.wav", 3 + at / 100, hz=300 + at) for at in range(10)]
    made.append(tone(directory / "huge.wav", 12, hz=200))
    return {path.name: path.read_bytes() for path in made}


def test_an_archive_larger_than_the_scratch_never_exceeds_it(
    recordings: dict[str, bytes], bucket: Bucket, tmp_path: Path
) -> None:
    limit = 1_000_000
    assert sum(map(len, recordings.values())) > 3 * limit
    assert len(recordings["huge.wav"]) > limit
    for key, content in recordings.items():
        bucket.put(f"a/{key}", content)
    slow = always(".wav", Fault(block_bytes=100_000, pause_s=0.05))  # so that many are under way at once
    with scanning(bucket, tmp_path, slow, f"scratch_bytes = {limit}") as (place, wire, server):
        with Watch(place.tmp, pause_s=0.002) as watch:
            ended = place.run()
        assert ended.code == 3, ended.stderr
        assert 0 < watch.most_bytes <= limit
        told = told_of(place, ended)
        assert told.pop("huge.wav") == ("unknown", "failed", "too_large")
        assert set(told.values()) == {("keep", "complete", None)}
        assert len(told) == len(server.calls) == 10
        (row,) = [row for row in place.rows("files", ended.run_id) if row["reason"]]
        assert "raise source.scratch_bytes to have it" in row["error"]
        asked = len(wire.ranges())
        planned = place.run("plan", place.job)
        assert "too_large, such as: the file has" in planned.stdout + planned.stderr
        assert f"more than the {limit} that all fetched ones" in planned.stdout + planned.stderr
        again = place.run()
        assert (again.code, told_of(place, again)["huge.wav"]) == (3, ("unknown", "failed", "too_large"))
        assert len(wire.ranges()) == asked, "what is known is not fetched, what is too large neither"
    assert place.left_behind() == []


# ------------------------------------------------------------------------------------------------- what is listed


def test_a_report_below_the_source_is_not_scanned(filled: Bucket, tmp_path: Path) -> None:
    place = place_of(tmp_path / "machine", filled.server)
    reports = f"{filled.url}/a/reports"
    there = f'[report]\nuri = "{reports}"\n[report.bucket]\nendpoint = "{filled.server.endpoint}"\n'
    filled.put("a/reports-of-others/5.wav", b"not of this tool, and so scanned")
    with SafeCommsServer(judge=JUDGE) as server:
        place.write_job(job_over(f"{filled.url}/a/", server.url, filled.server) + there)
        first, again = place.run(), place.run()
    for ended in (first, again):
        assert ended.code == 3, ended.stderr
        assert ended.said["items"] == len(KEYS) + 1
        rows = open_report(reports, filled.server.options).arrow(Table.FILES, ended.run_id).to_pylist()
        assert [row["uri"] for row in rows if row["reason"]] == [f"{filled.url}/a/reports-of-others/5.wav"]


def test_a_key_that_nobody_can_ask_for_costs_its_own_row_alone(filled: Bucket, tmp_path: Path) -> None:
    filled.put_exactly("a/sound2//odd.wav", b"x")
    with scanning(filled, tmp_path, lambda _head: None) as (place, _, server):
        ended = place.run()
        assert ended.code == 3, ended.stderr
        assert told_of(place, ended) == GOOD | {"odd.wav": ("unknown", "failed", "bad_row")}
        again = place.run()
        assert told_of(place, again) == told_of(place, ended)
        assert len(server.calls) == len(KEYS)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_known_archive_is_gone_through_without_fetching(sounds: dict[str, bytes], tmp_path: Path) -> None:
    """A tenth of a bucket of two hundred thousand objects; `python -m benchmarks.known` goes through more."""
    objects = 20_000
    fetched: list[int] = []
    place = Place(tmp_path)
    contents = [sounds[key] for key in KEYS[:3]]
    with SafeCommsServer(judge=JUDGE) as server, many_objects(objects, contents, fetched) as endpoint:
        table = f'[source.bucket]\nendpoint = "{endpoint}"\nanonymous = true\n'
        place.write_job(job_text("s3://archive/media", server.url, table))
        first = place.run(timeout_s=400)
        assert (first.code, first.said["items"], first.said["complete"]) == (1, objects, objects), first.stderr
        assert sorted(fetched) == list(range(objects))
        fetched.clear()
        again = place.run()
        assert len(server.calls) == 3
    assert (again.code, again.said["items"], again.said["complete"]) == (1, objects, objects), again.stderr
    assert fetched == []
    assert again.said["flag"] == first.said["flag"] > 0
    assert again.cpu_s < 24, "two minutes for a hundred thousand"
    assert max(first.peak_kib, again.peak_kib) < MOST_KIB


# ------------------------------------------------------------------------------------------------- who pulls


def test_who_pulls_gets_a_signed_url_and_nobody_else_sees_it(bucket: Bucket, tmp_path: Path) -> None:
    """moto takes any signature, so that it is there is looked at where the vendor asks for the object."""
    bucket.put("a/bad.mp4", film(tmp_path / "bad.mp4").read_bytes())
    bucket.put("a/good.mp4", film(tmp_path / "good.mp4", clean=True).read_bytes())
    place = place_of(tmp_path / "machine", bucket.server)
    with sandbox(names=("deepcleer",)) as served, wire_to(bucket.server.port) as wire:

        def with_streams(tables: dict[str, Any]) -> None:
            tables["endpoints"]["deepcleer"]["mode"] = "stream"
            tables["source"] |= {"sign_urls": "15m", "bucket": {"endpoint": f"http://127.0.0.1:{wire.port}"}}

        written = served.write(place.directory, Path("s3:/") / bucket.name / "a", with_streams)
        place.write_job(written.read_text().replace(f"s3:/{bucket.name}", f"s3://{bucket.name}"))
        ended = place.run("--job", place.job, "--log-format", "json")
        assert ended.code == 1, ended.stderr
        told = {name: row["verdict"] for name, row in place.files(ended.run_id).items()}
        assert told == {"bad.mp4": "remove", "good.mp4": "keep"}
        signed = [head for head in wire.requests if "X-Amz-Signature=" in head.partition("\r\n")[0]]
        assert {"bad.mp4", "good.mp4"} == {name for name in told for head in signed if name in head}
        assert served.left_open == {}
    signatures = {re.findall("X-Amz-Signature=([0-9a-f]+)", head)[0].encode() for head in signed}
    kept = [path.read_bytes() for path in place.published()]
    kept += [str(pq.ParquetFile(path).read().to_pylist()).encode() for path in place.report.rglob("part-*.parquet")]
    kept += [ended.stdout.encode(), ended.stderr.encode()]
    for word in (*signatures, b"X-Amz-", stores.ACCESS_KEY.encode(), stores.SECRET_KEY.encode()):
        assert not any(word in content for content in kept), word
