from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.errors import UsageError
from batch_scan.sandbox.exchange import Seen
from batch_scan.sandbox.misdeeds import WORDS, Misdeed, instruct, parse_misdeeds
from batch_scan.sandbox.safecomms.server import DEFAULT_KEY, SafeCommsServer

_SERVERS = ("safecomms", "stream", "deepgram")
_DOCS = Path(__file__).parents[2] / "docs" / "sandbox.md"


def _seen(number: int) -> Seen:
    return Seen(number, "POST", "/moderation/image", 0.0, {})


def _faults(text: str, requests: int, seed: int = 0) -> list[bool]:
    server = SafeCommsServer()
    instruct(server, parse_misdeeds(text, _SERVERS), seed)
    return [server.faults.take(number, _seen(number)) is not None for number in range(1, requests + 1)]


def test_each_part_names_a_server_a_word_and_when() -> None:
    assert parse_misdeeds("safecomms:429@3, stream:500%10,deepgram:hang%0.5,stream:cut", _SERVERS) == [
        Misdeed("safecomms", "429", number=3),
        Misdeed("stream", "500", share=0.1),
        Misdeed("deepgram", "hang", share=0.005),
        Misdeed("stream", "cut"),
    ]
    assert parse_misdeeds("", _SERVERS) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("safecomms", "'safecomms' is not SERVER:WORD"),
        ("safecomms:429@", "is not SERVER:WORD"),
        ("safecomms:429@3%5", "is not SERVER:WORD"),
        ("safecomms:429@0", "numbered from 1"),
        ("safecomms:429%0", "above 0 and at most 100"),
        ("safecomms:429%101", "above 0 and at most 100"),
        ("visionular:429", "no server 'visionular' is started; there are: safecomms, stream, deepgram"),
        ("safecomms:explode", "does not know how to 'explode'; there are: hang, stall"),
        ("safecomms:200", "or a status from 400 to 599"),
        ("safecomms:499", "or a status from 400 to 599"),
        ("safecomms:٤٢٩", "does not know how to"),
    ],
)
def test_what_is_not_understood_is_an_error_of_use_that_names_what_is(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        parse_misdeeds(text, _SERVERS)


@given(st.text(max_size=40))
def test_no_text_is_more_than_an_error_of_use(text: str) -> None:
    try:
        misdeeds = parse_misdeeds(text, _SERVERS)
    except UsageError:
        return
    assert all(misdeed.server in _SERVERS for misdeed in misdeeds)


def test_a_number_is_one_request_and_a_bare_word_every_one() -> None:
    assert _faults("safecomms:429@3", 5) == [False, False, True, False, False]
    assert _faults("safecomms:hang", 3) == [True] * 3
    assert _faults("stream:hang", 3) == [False] * 3


def test_percents_fall_on_about_so_many_and_by_the_seed_on_the_same_ones() -> None:
    drawn = _faults("safecomms:500%10", 2000)
    assert 150 <= sum(drawn) <= 250
    assert drawn == _faults("safecomms:500%10", 2000)
    assert drawn != _faults("safecomms:500%10", 2000, seed=1)
    assert all(_faults("safecomms:500%100", 100))


def test_two_misdeeds_in_percent_do_not_fall_on_the_same_requests_alone() -> None:
    both = _faults("safecomms:500%10,safecomms:502%10", 2000)
    assert sum(both) > sum(_faults("safecomms:500%10", 2000)) + 100


def test_a_status_is_said_in_the_vendors_own_way() -> None:
    with SafeCommsServer() as server:
        instruct(server, parse_misdeeds("safecomms:402@1", _SERVERS), 0)
        answer = httpx.post(
            f"{server.url}/moderation/image/upload", headers={"x-api-key": DEFAULT_KEY}, trust_env=False
        )
    assert answer.status_code == 402
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "Payment Required"


def test_the_page_names_every_word_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z]+)` \| (.*) \|$", _DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert dict(rows) == {name: word.meaning for name, word in WORDS.items()}
