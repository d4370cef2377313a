from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batch_scan.endpoint.safecomms.config import SafeCommsConfig
from batch_scan.errors import UsageError
from batch_scan.job import FailOn, Job
from batch_scan.jobfile import load_job
from batch_scan.store import is_bucket_url

JOBS = Path(__file__).parent.parent / "jobs"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "job.toml"
    path.write_text(text, encoding="utf-8")
    return path


def load(tmp_path: Path, text: str, flags: dict[tuple[str, ...], Any] | None = None, **environ: str) -> Job:
    return load_job(None, write(tmp_path, text), flags, environ).job


@pytest.mark.parametrize("path", sorted(JOBS.glob("*.toml")), ids=lambda path: path.name)
def test_every_job_file_we_ship_is_valid(path: Path) -> None:
    job = load_job(str(path), None, None, {}).job
    assert job.endpoints
    assert Path(job.source.uri).is_absolute() or is_bucket_url(job.source.uri)


def test_paths_start_at_the_job_file(tmp_path: Path) -> None:
    job = load(tmp_path, '[source]\nuri = "m.csv"\nroot = "media"\n[report]\nuri = "r"\n[endpoints.local]\n')
    assert job.source.uri == str(tmp_path / "m.csv")
    assert job.source.root == tmp_path / "media"
    assert job.report.uri == str(tmp_path / "r")
    assert job.state_dir == tmp_path / "r" / ".state"


def test_paths_on_the_command_line_start_where_it_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs").mkdir()
    write(tmp_path / "jobs", "[endpoints.local]\n")
    job = load_job("m.csv", Path("jobs/job.toml"), {("report", "uri"): "out"}, {}).job
    assert (job.source.uri, job.report.uri) == (str(tmp_path / "m.csv"), str(tmp_path / "out"))


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    text = '[source]\nuri = "m.csv"\n[extract]\nframe_interval = 3\n[endpoints.local]\n'
    assert load(tmp_path, '[source]\nuri = "m.csv"\n').extract.frame_interval == 5
    assert load(tmp_path, text).extract.frame_interval == 3
    assert load(tmp_path, text, BATCH_SCAN_INTERVAL="2").extract.frame_interval == 2
    flags: dict[tuple[str, ...], Any] = {("extract", "frame_interval"): 1.0}
    assert load(tmp_path, text, flags, BATCH_SCAN_INTERVAL="2").extract.frame_interval == 1


def test_the_endpoint_is_chosen_by_the_key_where_none_is_named(tmp_path: Path) -> None:
    without = load_job(str(tmp_path), None, None, {})
    named: dict[tuple[str, ...], Any] = {("endpoints",): ["local"]}
    assert list(without.job.endpoints) == ["local"]
    assert "SAFECOMMS_API_KEY is not set" in without.endpoints_because
    keyed = load_job(str(tmp_path), None, None, {"SAFECOMMS_API_KEY": "k"})
    assert list(keyed.job.endpoints) == ["safecomms"]
    assert isinstance(keyed.job.endpoints["safecomms"], SafeCommsConfig)
    assert list(load_job(str(tmp_path), None, named, {"SAFECOMMS_API_KEY": "k"}).job.endpoints) == ["local"]


def test_naming_an_endpoint_keeps_its_table(tmp_path: Path) -> None:
    text = '[source]\nuri = "x"\n[endpoints.local]\n[endpoints.safecomms]\nbase_url = "https://example.org"\n'
    job = load(tmp_path, text, {("endpoints",): ["safecomms"]})
    assert list(job.endpoints) == ["safecomms"]
    assert job.endpoints["safecomms"].model_dump()["base_url"].startswith("https://example.org")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[extract]\nframe_intervall = 3\n",
            ["job.toml", "[extract] frame_intervall", "did you mean 'frame_interval'"],
        ),
        ("[extractt]\n", ["extractt", "did you mean 'extract'"]),
        ("[extract]\nframe_interval = 0\n", ["[extract] frame_interval", "greater than 0"]),
        ("[extract]\nframe_interval = nan\n", ["[extract] frame_interval"]),
        ("[extract]\nframe_mode = 'roughly'\n", ["[extract] frame_mode", "exact"]),
        ("[endpoints.safecom]\n", ["[endpoints.safecom]", "did you mean 'safecomms'"]),
        ("[endpoints.safecomms]\naudio = { transcibe = true }\n", ["[endpoints.safecomms.audio] transcibe"]),
        ("[endpoints.safecomms]\napi_key = 'plain'\n", ["[endpoints.safecomms] api_key"]),
        (
            "[endpoints.safecomms]\napi_key = { env = 'A', file = 'b' }\n",
            ["[endpoints.safecomms] api_key", "exactly one"],
        ),
        ("[transcribe]\nengine = 'nobody'\n", ["nobody", "local"]),
        ("[policy.categories]\nweapons = { flag = 0.5 }\n", ["weapons"]),
        ("[policy]\ndefault = { flag = 0.9, remove = 0.5 }\n", ["remove (0.5) is below flag (0.9)"]),
        ("[run]\nmax_time = 'soon'\n", ["[run] max_time", "6h"]),
        ("[extract]\naudio = false\nvideo = false\n", ["nothing would be examined"]),
        ("not toml", ["not valid TOML", "line 1"]),
        ("[run]\nlimit = true\n", ["[run] limit", "true and false belong to switches"]),
        ("[run]\nmax_time = true\n", ["[run] max_time", "true and false belong to switches"]),
        ('[report]\nuri = "a\\u0000b"\n', ["[report] uri", "NUL"]),
        ("[budget]\ntokens = -1\n", ["[budget] tokens"]),
    ],
)
def test_a_bad_job_file_names_the_place_and_the_mend(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text, {("source", "uri"): "x"})
    for word in words:
        assert word in str(caught.value)


def test_what_may_be_a_secret_is_never_repeated(tmp_path: Path) -> None:
    for text in ("api_key = 'sc-live-SECRET'", "base_url = 'https://me:SECRET@host.example'", "base_url = 'SECRET'"):
        with pytest.raises(UsageError) as caught:
            load(tmp_path, f'[source]\nuri = "x"\n[endpoints.safecomms]\n{text}\n')
        assert "SECRET" not in str(caught.value)
        assert "[endpoints.safecomms]" in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "environ"),
    [
        ({("endpoints",): [""]}, {}),
        ({("endpoints",): ["safecomms", " "]}, {}),
        ({("report", "uri"): ""}, {}),
        ({}, {"BATCH_SCAN_ENDPOINT": " "}),
        ({}, {"BATCH_SCAN_STATE": " "}),
    ],
)
def test_nothing_is_never_taken_for_the_default(
    tmp_path: Path, flags: dict[tuple[str, ...], Any], environ: dict[str, str]
) -> None:
    with pytest.raises(UsageError, match="name"):
        load(tmp_path, '[source]\nuri = "x"\n[endpoints.local]\n', flags, **environ)
    with pytest.raises(UsageError, match="SOURCE"):
        load_job("", write(tmp_path, '[source]\nuri = "x"\n'), None, {})


@pytest.mark.parametrize(
    ("flags", "environ", "begins"),
    [
        ({}, {"BATCH_SCAN_INTERVAL": "abc"}, "BATCH_SCAN_INTERVAL: [extract] frame_interval: "),
        ({("extract", "frame_interval"): 0.0}, {}, "the command line: [extract] frame_interval: "),
        (
            {("extract", "frame_interval"): 0.0},
            {"BATCH_SCAN_INTERVAL": "3"},
            "the command line: [extract] frame_interval: ",
        ),
        ({}, {"BATCH_SCAN_ENDPOINT": "locl"}, "BATCH_SCAN_ENDPOINT: [endpoints.locl] is not known"),
        ({}, {"BATCH_SCAN_MAX_TIME": "soon"}, "BATCH_SCAN_MAX_TIME: [run] max_time: "),
        ({}, {"BATCH_SCAN_STATE": " "}, "BATCH_SCAN_STATE gives nothing for the state directory"),
        ({}, {"BATCH_SCAN_WORKERS": "-1"}, "BATCH_SCAN_WORKERS: [run] workers: "),
    ],
)
def test_a_wrong_value_is_blamed_on_where_it_comes_from(
    tmp_path: Path, flags: dict[tuple[str, ...], Any], environ: dict[str, str], begins: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, '[source]\nuri = "x"\n[extract]\nframe_interval = 3\n[endpoints.local]\n', flags, **environ)
    assert str(caught.value).startswith(begins)


def test_what_is_wrong_in_a_table_that_the_environment_chose_is_blamed_on_the_job_file(tmp_path: Path) -> None:
    text = '[source]\nuri = "x"\n[endpoints.safecomms]\nbase_url = "http://example.org"\n'
    with pytest.raises(UsageError, match=r"job\.toml: \[endpoints\.safecomms\] base_url"):
        load(tmp_path, text, BATCH_SCAN_ENDPOINT="safecomms")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BATCH_SCAN_INTERVL", "BATCH_SCAN_INTERVAL"),
        ("BATCH_SCAN_ENDPOINTS", "BATCH_SCAN_ENDPOINT"),
        ("batch_scan_report", "BATCH_SCAN_REPORT"),
        ("BATCH_SCAN_MAXTIME", "BATCH_SCAN_MAX_TIME"),
        ("BATCH_SCAN_FMPEG", "BATCH_SCAN_FFMPEG"),
    ],
)
def test_a_variable_that_nearly_has_the_name_of_another_is_told(
    tmp_path: Path, name: str, meant: str, caplog: pytest.LogCaptureFixture
) -> None:
    load(tmp_path, '[source]\nuri = "x"\n[endpoints.local]\n', None, **{name: "s3cr3t"})
    (said,) = caplog.messages
    assert said == f"{name} in the environment is not read; did you mean {meant}?"


def test_variables_that_are_read_or_are_like_no_other_are_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = '[source]\nuri = "x"\n[endpoints.safecomms]\napi_key = { env = "BATCH_SCAN_REPORTS" }\n'
    names = ("BATCH_SCAN_REPORTS", "BATCH_SCAN_CALLBACK_PATH", "BATCH_SCAN_FFMPEG", "BATCH_SCAN_ALLOW_NETWORK_STATE")
    load(tmp_path, text, None, **dict.fromkeys(names, "x"), BATCH_SCAN_LOG_FORMAT="json", INTERVAL="3")
    assert caplog.messages == []


def test_a_home_directory_in_the_environment_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    job = load(tmp_path, '[source]\nuri = "x"\n', BATCH_SCAN_REPORT="~/reports")
    assert job.report.uri == str(tmp_path / "reports")


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, '[source]\nuri = "x"\n[extract]\nframe_interval = 0\nframe_sizes = 1\n')
    assert len(str(caught.value).splitlines()) == 2


def test_a_job_without_a_source_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to scan"):
        load(tmp_path, "[endpoints.local]\n")


def test_a_missing_job_file_is_named() -> None:
    with pytest.raises(UsageError, match=r"/nowhere/job\.toml: no such job file"):
        load_job("/nowhere/job.toml", None, None, {})


def test_the_fingerprint_names_what_is_judged_not_how_it_runs(tmp_path: Path) -> None:
    text = '[source]\nuri = "x"\n[endpoints.safecomms]\n'
    same = '[run]\nworkers = 3\nfail_on = "never"\n[budget]\ntokens = 5\n'
    first = load(tmp_path, text).fingerprint
    assert load(tmp_path, text + same).fingerprint == first
    assert (
        load(tmp_path, text + 'limit = { concurrency = 2 }\nbase_url = "https://other.example"\n').fingerprint == first
    )
    assert load(tmp_path, text + "[extract]\nframe_interval = 1\n").fingerprint != first
    assert load(tmp_path, text + "[policy]\ndefault = { flag = 0.4 }\n").fingerprint != first
    assert load(tmp_path, text + "image = { enable_ocr = true }\n").fingerprint != first
    assert load(tmp_path, text + "[run]\nlimit = 2\n").fingerprint != first


def test_words_for_lengths_of_time(tmp_path: Path) -> None:
    job = load(tmp_path, '[source]\nuri = "x"\n[run]\nmax_time = "1h30m"\nfail_on = "remove"\n')
    assert job.run.max_time == 5400
    assert job.run.fail_on is FailOn.REMOVE
