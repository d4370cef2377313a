from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from batch_scan.errors import SecretError, UsageError
from batch_scan.jobfile import load_job
from batch_scan.secret import Secret, SecretRef

KEY = "sk-live-4711"
PYTHON = sys.executable


def command(code: str) -> SecretRef:
    return SecretRef(command=f"'{PYTHON}' -c \"{code}\"")


def test_a_secret_is_never_shown_but_on_request() -> None:
    secret = Secret(KEY)
    shown = (str(secret), repr(secret), f"{secret}", f"{secret!r:>20}", format(secret), repr([secret]), ascii(secret))
    assert not any(KEY in text for text in shown)
    assert secret.reveal() == KEY


def test_a_secret_is_taken_out_of_text() -> None:
    assert Secret(KEY).redact(f"no {KEY}, and {KEY} again") == "no [redacted], and [redacted] again"
    assert Secret("").redact("text") == "text"


def test_a_secret_is_read_from_the_environment_a_file_or_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_PLACE", f" {KEY}\n")
    (tmp_path / "key").write_text(f"{KEY}\n")
    places = [SecretRef(env="MY_PLACE"), SecretRef(file=tmp_path / "key"), command(f"print('{KEY}')")]
    assert [place.resolve().reveal() for place in places] == [KEY] * 3


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (SecretRef(env="NOWHERE"), "environment variable NOWHERE is empty or not set"),
        (SecretRef(file=Path("/nowhere/key")), "file /nowhere/key cannot be read (FileNotFoundError)"),
        (command("pass"), "the output of the configured command is empty"),
        (command(f"import sys; print('{KEY}'); sys.exit('{KEY}')"), "cannot be read (CalledProcessError)"),
        (command(f"print('{KEY}'); print('{KEY}')"), "more than one line"),
        (SecretRef(command="no-such-program-here"), "cannot be read (FileNotFoundError)"),
        (SecretRef(command="'"), "cannot be read (ValueError)"),
    ],
)
def test_a_secret_that_cannot_be_read_names_its_place_and_not_its_content(reference: SecretRef, words: str) -> None:
    with pytest.raises(SecretError) as caught:
        reference.resolve()
    assert words in str(caught.value)
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_is_not_text_is_not_a_secret(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SecretError, match="UnicodeDecodeError"):
        SecretRef(file=tmp_path / "key").resolve()


@pytest.mark.parametrize("given", [{}, {"env": "A", "file": "b"}, {"env": "A", "file": "b", "command": "c"}])
def test_a_secret_is_given_in_exactly_one_way(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exactly one"):
        SecretRef.model_validate(given)


@pytest.mark.parametrize("value", [f'"{KEY}"', f'["{KEY}"]', f'{{ value = "{KEY}" }}', f'{{ env = ["{KEY}"] }}'])
def test_a_key_that_stands_in_the_job_file_itself_is_refused_and_not_repeated(tmp_path: Path, value: str) -> None:
    job = tmp_path / "job.toml"
    job.write_text(f'[source]\nuri = "x"\n[endpoints.safecomms]\napi_key = {value}\n')
    with pytest.raises(UsageError) as caught:
        load_job(str(job), None, None, {})
    assert "[endpoints.safecomms" in str(caught.value)
    assert "api_key" in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_job_can_be_written_down_without_its_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFECOMMS_API_KEY", KEY)
    job = load_job(str(tmp_path), None, None, {"SAFECOMMS_API_KEY": KEY}).job
    assert list(job.endpoints) == ["safecomms"]
    assert not any(KEY in text for text in (repr(job), str(job), job.model_dump_json(), str(job.model_dump())))


def test_copies_of_a_secret_are_secrets() -> None:
    secret = Secret(KEY)
    assert KEY not in repr(copy.deepcopy(secret))
    assert KEY not in repr(pickle.loads(pickle.dumps(secret)))  # noqa: S301 - our own
