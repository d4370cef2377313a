from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from batch_scan.endpoint.visionular.config import MAX_CONCURRENCY, VisionularConfig
from batch_scan.secret import SecretRef, secrets_of


def table(**given: Any) -> VisionularConfig:
    return VisionularConfig.model_validate(given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"access_token": "VISIONULAR_ACCESS_TOKEN"}),
        ({"auth": "basic"}, {"access_key": "VISIONULAR_ACCESS_KEY", "secret_key": "VISIONULAR_SECRET_KEY"}),
        ({"access_token": {"env": "MINE"}}, {"access_token": "MINE"}),
        (
            {"auth": "basic", "access_key": {"env": "MINE"}},
            {"access_key": "MINE", "secret_key": "VISIONULAR_SECRET_KEY"},
        ),
    ],
)
def test_only_the_secrets_of_the_chosen_authentication_are_looked_for(
    given: dict[str, Any], expected: dict[str, str]
) -> None:
    assert {key: secret.env for key, secret in secrets_of(table(**given))} == expected


def test_a_secret_of_the_other_authentication_is_refused() -> None:
    with pytest.raises(ValidationError, match="does not use access_token"):
        table(auth="basic", access_token=SecretRef(env="X"))


@pytest.mark.parametrize(
    "url",
    ["rtmp://ingest.example.com/live", "rtmps://ingest.example.com:443/live/", "rtmp://127.0.0.1:1935/a/b", ""],
)
def test_an_ingest_url_is_rtmp_and_ends_without_a_slash(url: str) -> None:
    assert table(ingest_url=url).ingest_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    ["http://ingest.example.com/live", "rtmp://", "rtmp://host", "rtmp://host/", "rtmp://user:pw@host/live", "live",
     "rtmp://host/live?key=1", "rtmp://host/live#x", "rtmp://host/li ve", "rtmp://host/live\n", "file:/etc/passwd"],
)  # fmt: skip
def test_anything_else_is_no_ingest_url(url: str) -> None:
    with pytest.raises(ValidationError, match="ingest_url"):
        table(ingest_url=url)


@pytest.mark.parametrize(("wanted_s", "whole"), [(5.0, 5), (2.9, 2), (1.0, 1), (0.2, 1), (60.5, 60)])
def test_the_jobs_interval_is_rounded_to_whole_seconds_never_up_from_one(wanted_s: float, whole: int) -> None:
    assert table().in_job(frame_interval_s=wanted_s).audit_settings["frame_interval"] == whole


def test_an_interval_of_its_own_counts_more_than_the_jobs() -> None:
    assert table(frame_interval=3).in_job(frame_interval_s=10.0).interval_s == 3


def test_what_is_looked_for_is_what_is_named() -> None:
    assert table().audit_settings["models"] == {"nude": 0.6, "weapon": 0.8}
    assert table(models={"weapon": 0.3}).audit_settings["models"] == {"weapon": 0.3}


@pytest.mark.parametrize(
    "given",
    [
        {"models": {}},
        {"models": {"gore": 0.5}},
        {"models": {"nude": 1.5}},
        {"frame_interval": 0},
        {"limit": {"concurrency": MAX_CONCURRENCY + 1}},
        {"min_coverage": 0.0},
        {"auth": "digest"},
    ],
)
def test_what_the_contract_does_not_take_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        table(**given)


def test_two_files_are_played_at_once_unless_more_are_asked_for() -> None:
    assert table().limit.concurrency == 2
    assert table(limit={"concurrency": 8}).limit.concurrency == 8
