from __future__ import annotations

import os
from pathlib import Path

import pytest

from batch_scan.errors import UsageError
from batch_scan.source.directory import DirectorySource
from batch_scan.source.manifest import ManifestSource
from batch_scan.source.open import SUFFIXES
from batch_scan.source.options import SourceOptions
from tests.source.opening import opened
from tests.source.rights import without_root_rights


def test_a_directory_is_a_source(tmp_path: Path) -> None:
    assert isinstance(opened(str(tmp_path), SourceOptions()), DirectorySource)


@pytest.mark.parametrize("name", ["m.csv", "m.CSV", "a.b.csv"])
def test_a_manifest_is_a_source(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("uri\n")
    assert isinstance(opened(str(tmp_path / name), SourceOptions()), ManifestSource)


def test_a_relative_path_is_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.csv").write_text("uri\na\n")
    (tmp_path / "a").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    for named in ("m.csv", "./m.csv", f"../{tmp_path.name}/m.csv"):
        source = opened(named, SourceOptions())
        assert source.uri == str(tmp_path / "m.csv")
        (item,) = source.entries()
        assert item.uri == str(tmp_path / "a")  # type: ignore[union-attr]


def test_a_file_uri_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "m ü.csv").write_text("uri\n")
    assert opened(f"file://{tmp_path}/m%20%C3%BC.csv", SourceOptions()).uri == f"{tmp_path}/m ü.csv"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("", "no name"),
        ("a\0b", "cannot be a path"),
        ("none.csv", "there is no file or directory none.csv"),
        ("m.csv/x", "there is no file or directory m.csv/x"),
        ("x" * 300, "File name too long"),
        ("film.mp4", r"must end in \.csv, .*\.parquet\. To scan single files"),
        ("table.parquet.gz", "must end in"),
        ("pipe.csv", "neither a directory nor a file"),
        ("ftp://u:hunter2@bucket/x?sig=hunter2", r"^bucket/x: ftp:// is not supported as a source"),
        ("s3://u:hunter2@bucket/x?sig=hunter2", r"^s3://bucket/x: its URL names no bucket"),
        ("s3://bucket/x?sig=hunter2", r"^s3://bucket/x: its URL holds a signature"),
        ("file://elsewhere/m.csv", "no host"),
        ("bad\nname.csv", "bad name.csv"),
    ],
)
def test_what_cannot_be_a_source_is_an_error_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("m.csv", "film.mp4", "table.parquet.gz"):
        Path(name).write_text("uri\n")
    os.mkfifo("pipe.csv")
    with pytest.raises(UsageError, match=said) as caught:
        opened(uri, SourceOptions())
    assert str(caught.value).isprintable()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.csv.gz", "m.parquet", "directory", "directory/m.csv"])
def test_what_may_not_be_read_is_an_error_that_says_so(public_directory: Path, name: str) -> None:
    (public_directory / "directory").mkdir()
    path = public_directory / name
    if name != "directory":
        path.write_text("uri\n")
        path.chmod(0)
    (public_directory / "directory").chmod(0)
    with without_root_rights(), pytest.raises(UsageError, match="Permission denied") as caught:
        opened(str(path), SourceOptions())
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_suffix_that_is_promised_is_known(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"m{suffix}").touch()
    with pytest.raises(UsageError, match=r"empty|not a readable Parquet file"):
        opened(str(tmp_path / f"m{suffix}"), SourceOptions())


@pytest.mark.parametrize(
    "options",
    [
        SourceOptions(root=Path("/nowhere")),
        SourceOptions(scratch=Path("/nowhere")),
        SourceOptions(allow_hosts=("https://a.test/",)),
        SourceOptions(include=("[",)),
    ],
)
def test_options_that_cannot_be_followed_are_errors_that_name_the_key(tmp_path: Path, options: SourceOptions) -> None:
    (tmp_path / "m.csv").write_text("uri\n")
    with pytest.raises(UsageError, match=r"^source\.(root|scratch|allow_hosts|include): "):
        opened(str(tmp_path / "m.csv"), options)
