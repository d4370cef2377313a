from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch_scan.digest import digest_bytes
from batch_scan.model import Item, Refused
from batch_scan.source.options import SourceOptions
from batch_scan.vocabulary import Reason, Status
from tests.source.contract import Case, SourceContract, only_item, only_refused, reasons
from tests.source.loopback import respond, serving
from tests.source.opening import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from batch_scan.source.interface import Source


def _write_csv(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("uri", "title"), *rows])


def _write_csv_gz(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    with gzip.open(path, "wt", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("uri", "title"), *rows])


def _write_tsv(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, dialect="excel-tab").writerows([("uri", "title"), *rows])


def _write_jsonl(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    path.write_text("\n".join(json.dumps({"uri": uri, "title": title}) for uri, title in rows), encoding="utf-8")


def _write_parquet(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    pq.write_table(pa.table({"uri": [uri for uri, _ in rows], "title": [title for _, title in rows]}), path)


_WRITERS: dict[str, Callable[[Path, Sequence[tuple[str, str]]], None]] = {
    "m.csv": _write_csv,
    "m.CSV.gz": _write_csv_gz,
    "m.tsv": _write_tsv,
    "m.jsonl": _write_jsonl,
    "m.parquet": _write_parquet,
}


def _source(directory: Path, *uris: str, **options: Any) -> Source:
    """Return the source of a manifest in `directory` that names these."""
    directory.mkdir(exist_ok=True)
    _write_jsonl(directory / "m.jsonl", [(uri, "t") for uri in uris])
    return opened(str(directory / "m.jsonl"), SourceOptions(**options))


@pytest.mark.parametrize("name", list(_WRITERS))
class TestLocalRows(SourceContract):
    @pytest.fixture
    def case(self, tmp_path: Path, name: str) -> Case:
        root, scratch = tmp_path / "archive", tmp_path / "scratch"
        scratch.mkdir()
        (root / "d").mkdir(parents=True)
        for file in ("a.mp4", "d/b:c.mp4", "-c.mp4", "d/e f%20ü.mp4", "x.txt"):
            (root / file).write_bytes(file.encode())
        (root / "empty.mp4").touch()
        (root / "link.mp4").symlink_to("a.mp4")
        (root / "out").symlink_to(tmp_path)
        os.mkfifo(root / "pipe.mp4")
        rows = [
            ("a.mp4", "first"),
            ("a.mp4", "the same again"),
            (f"file://{root}/d/e%20f%2520%C3%BC.mp4", ""),
            (f"{root}/d/b:c.mp4", "007"),
            ("./-c.mp4", "NA"),
            ("d/../x.txt", ""),
            ("../scratch", ""),
            ("/etc/passwd", ""),
            ("out/archive.mp4", ""),
            ("none.mp4", ""),
            ("d", ""),
            ("pipe.mp4", ""),
            ("link.mp4", ""),
            ("empty.mp4", ""),
            (" ", ""),
            ("ftp://host/key.mp4", ""),
            ("gopher://host/x", ""),
            ("file://elsewhere/x", ""),
            ("https://media.example.org/a.mp4", ""),
            ("https://u:hunter2@[bad/a.mp4", ""),
        ]
        _WRITERS[name](root / name, rows)
        source = opened(str(root / name), SourceOptions(exclude=("*.txt",), scratch=scratch))
        contents = [b"a.mp4", b"a.mp4", "d/e f%20ü.mp4".encode(), b"d/b:c.mp4", b"-c.mp4"]
        refused = [
            Reason.EXCLUDED,
            *[Reason.OUTSIDE_ROOT] * 3,
            Reason.MISSING,
            *[Reason.SPECIAL_FILE] * 3,
            Reason.EMPTY,
            *[Reason.BAD_ROW] * 4,
            Reason.HOST_REFUSED,
            Reason.BAD_ROW,
        ]
        return Case(source, contents, refused, scratch)

    def test_other_columns_are_carried_as_they_stand(self, case: Case) -> None:
        items = [entry for entry in case.source.entries() if isinstance(entry, Item)]
        assert [item.manifest for item in items] == [
            {"title": title} for title in ("first", "the same again", "", "007", "NA")
        ]

    def test_no_secret_of_a_row_is_shown(self, case: Case) -> None:
        for entry in case.source.entries():
            if isinstance(entry, Refused):
                assert "hunter2" not in f"{entry.item.uri} {entry.item.identity} {entry.shortfall.detail}"


class TestHttpRows(SourceContract):
    @pytest.fixture
    async def case(self, tmp_path: Path) -> AsyncIterator[Case]:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        handlers = {"/a.mp4": respond(200, b"one"), "/b.mp4?token=hunter2": respond(200, b"two" * 100_000)}
        async with serving(handlers) as server:
            rows = [
                f"http://{server.netloc}/a.mp4",
                f"HTTP://{server.netloc}/b.mp4?token=hunter2#t=1",
                "http://x.test/",
            ]
            options: dict[str, Any] = {"allow_hosts": (server.netloc,), "scratch": scratch}
            source = _source(tmp_path / "archive", *rows, **options)
            yield Case(source, [b"one", b"two" * 100_000], [Reason.HOST_REFUSED], scratch)

    def test_nothing_cheap_is_known_of_them(self, case: Case) -> None:
        assert {case.source.stat(entry) for entry in case.source.entries() if isinstance(entry, Item)} == {None}


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ("https://u:hunter2@media.test/a%20b.mp4", "https://media.test/a%20b.mp4"),
        ("https://media.test/a.mp4?X-Signature=hunter2&x=1#hunter2", "https://media.test/a.mp4?…"),
        ("https://MEDIA.test:443/ü", "https://media.test/%C3%BC"),
    ],
)
def test_a_url_is_shown_without_its_secrets_and_kept_with_them(tmp_path: Path, row: str, shown: str) -> None:
    item = only_item(_source(tmp_path, row, allow_hosts=("media.test",)))
    assert item.uri == shown
    assert item.identity == f"0:{shown}"
    assert ("hunter2" in item.locator) == ("hunter2" in row)
    assert "#" not in item.locator


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ("ftp://key:hunter2@bucket/a@2x.mp4?sig=hunter2", "ftp://bucket/a@2x.mp4?…"),
        ("weird://host", "weird://host"),
    ],
)
def test_what_is_not_supported_is_shown_without_its_secrets(tmp_path: Path, row: str, shown: str) -> None:
    refused = only_refused(_source(tmp_path, row))
    assert refused.item.uri == shown
    assert "is not supported" in refused.shortfall.detail


def test_a_bad_row_is_named_by_its_place_in_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("uri,id\na,1,2\n")
    refused = only_refused(opened(str(tmp_path / "m.csv"), SourceOptions()))
    assert refused.item.uri == f"{tmp_path}/m.csv#line=2"
    assert refused.status is Status.FAILED
    assert refused.shortfall.reason is Reason.BAD_ROW
    assert refused.shortfall.detail.startswith("line 2 of the manifest: it has 3 fields")


def test_the_other_columns_of_a_row_without_a_file_are_carried(tmp_path: Path) -> None:
    assert only_refused(_source(tmp_path, "")).item.manifest == {"title": "t"}


@pytest.mark.parametrize("uri", ["a\0b", "\ud800", "file:///a%00b"])
def test_what_cannot_be_a_path_is_a_bad_row(tmp_path: Path, uri: str) -> None:
    assert only_refused(_source(tmp_path, uri)).shortfall.reason is Reason.BAD_ROW


def test_a_name_with_undecodable_bytes_can_be_named_by_file_uri(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.mp4")).write_bytes(b"x")
    item = only_item(_source(tmp_path, f"file://{tmp_path}/%ff.mp4"))
    assert item.uri == f"{tmp_path}/\\xff.mp4"
    assert item.locator.endswith("\udcff.mp4")


def test_rows_are_confined_to_the_root_that_the_user_names(tmp_path: Path) -> None:
    for directory in ("lists", "archive", "archive-old"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "a").write_bytes(b"x")
    rows = ["a", "../archive/a", f"{tmp_path}/archive/a", "../archive-old/a"]
    source = _source(tmp_path / "lists", *rows, root=tmp_path / "archive")
    assert reasons(source) == [Reason.OUTSIDE_ROOT, None, None, Reason.OUTSIDE_ROOT]
    refused = next(entry for entry in source.entries() if isinstance(entry, Refused))
    assert str(tmp_path / "archive") in refused.shortfall.detail


def test_patterns_match_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for name in ("a.mp4", "d/a.mp4"):
        (tmp_path / name).write_bytes(b"x")
    rows = ["a.mp4", "d/a.mp4", "d/../a.mp4", "https://media.test/d/b.mp4", "https://media.test/b.mp4"]
    source = _source(tmp_path, *rows, include=("d/*.mp4",), allow_hosts=("media.test",))
    assert reasons(source) == [Reason.EXCLUDED, None, Reason.EXCLUDED, None, Reason.EXCLUDED]


def test_a_path_is_shown_as_named_and_opened_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    item = only_item(_source(tmp_path, "./link//a"))
    assert item.uri == str(tmp_path / "link" / "a")
    assert item.locator == str(tmp_path.resolve() / "real" / "a")


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    source = _source(tmp_path, "a")
    assert source.sha256 == digest_bytes((tmp_path / "m.jsonl").read_bytes())
    assert source.uri == str(tmp_path / "m.jsonl")


def test_a_manifest_cut_while_it_is_read_ends_with_a_refused_row(tmp_path: Path) -> None:
    path = tmp_path / "m.csv.gz"
    _write_csv_gz(path, [(f"{n}", os.urandom(99).hex()) for n in range(2000)])
    source = opened(str(path), SourceOptions())
    path.write_bytes(path.read_bytes()[:50_000])
    *_, last = source.entries()
    assert isinstance(last, Refused)
    assert "changed while it was read" in last.shortfall.detail


def test_a_manifest_that_vanished_is_a_refused_row(tmp_path: Path) -> None:
    source = _source(tmp_path, "a", "b")
    (tmp_path / "m.jsonl").unlink()
    assert "changed while it was read" in only_refused(source).shortfall.detail


_WALK = """
import asyncio, sys
from batch_scan.source.open import open_source
from batch_scan.source.options import SourceOptions

for entry in asyncio.run(open_source(sys.argv[1], SourceOptions())).entries():
    last = entry
with open("/proc/self/status") as status:
    print(last.index + 1, next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.parquet"])
def test_many_rows_take_no_more_memory_than_few(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")

    def peak_kib(rows: int) -> int:
        _WRITERS[name](tmp_path / name, [("a.mp4", f"title {n}") for n in range(rows)])
        child = subprocess.run(
            [sys.executable, "-c", _WALK, tmp_path / name], check=True, capture_output=True, text=True
        )
        walked, peak = map(int, child.stdout.split())
        assert walked == rows
        return peak

    # Holding the entries would take some 100 MiB more.
    assert peak_kib(200_000) < peak_kib(20_000) + 40 * 1024
