"""One job that asks every endpoint: each leaves its rows, in one vocabulary, at the same seconds, at its own price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batch_scan.vocabulary import Category
from tests.scan.harness import Ended, Place
from tests.scan.sandboxed import INSULT, INSULT_S, RED_S, Sandbox, film, sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

JUDGES = {"safecomms", "stream", "visionular", "deepcleer", "local"}
ASKED = {*JUDGES, "transcribe.deepgram"}
INTERVAL_S = 1.0


def with_all(tables: dict[str, Any]) -> None:
    """Ask the embedded engine too, once a second."""
    tables["endpoints"]["local"] = {}
    tables["extract"] = {"frame_interval": INTERVAL_S}


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Ended, Sandbox]]:
    place = Place(tmp_path_factory.mktemp("every"))
    media = place.directory / "media"
    media.mkdir()
    film(media / "bad.mp4")
    film(media / "good.mkv", clean=True)
    with sandbox() as served:
        place.job.write_bytes(served.write(place.directory, media, with_all).read_bytes())
        yield place, place.run(), served


def test_the_verdicts_are_those_of_the_films(scanned: tuple[Place, Ended, Sandbox]) -> None:
    place, ended, _ = scanned
    files = place.files(ended.run_id)
    assert ended.code == 1, ended.stderr
    told = {name: (row["verdict"], row["status"], row["reason"]) for name, row in files.items()}
    assert told == {"bad.mp4": ("remove", "complete", None), "good.mkv": ("keep", "complete", None)}
    assert {tuple(row["endpoints"]) for row in files.values()} == {tuple(sorted(ASKED))}


def test_each_leaves_its_rows(scanned: tuple[Place, Ended, Sandbox]) -> None:
    place, ended, _ = scanned
    asked = place.rows("requests", ended.run_id)
    assert {row["endpoint"] for row in asked} == ASKED
    assert {row["outcome"] for row in asked} == {"answered"}
    assert {row["endpoint"] for row in place.rows("scores", ended.run_id)} >= JUDGES - {"local"}
    assert {row["endpoint"] for row in place.rows("findings", ended.run_id)} >= JUDGES - {"local"}
    words = place.rows("transcripts", ended.run_id)
    assert {(row["engine"].partition(":")[0], row["text"]) for row in words} >= {("deepgram", INSULT)}


def test_their_labels_are_in_one_vocabulary(scanned: tuple[Place, Ended, Sandbox]) -> None:
    place, ended, _ = scanned
    findings = place.rows("findings", ended.run_id)
    assert {row["category"] for row in findings} <= set(Category)
    seen = {row["endpoint"]: row["category"] for row in findings if row["medium"] in {"frame", "stream"}}
    said = {row["endpoint"]: row["category"] for row in findings if row["medium"] in {"audio", "utterance"}}
    assert {name: seen[name] for name in ("visionular", "safecomms", "deepcleer")} == {
        "visionular": "nudity",
        "safecomms": "sexual",
        "deepcleer": "nudity",
    }
    assert {name: said[name] for name in ("safecomms", "stream", "deepcleer")} == dict.fromkeys(
        ("safecomms", "stream", "deepcleer"), "harassment"
    )


def test_the_same_moment_is_found_at_the_same_seconds(scanned: tuple[Place, Ended, Sandbox]) -> None:
    """To a sample for pictures, to half a second for words; what is played live to 2 s."""
    place, ended, _ = scanned
    findings = [row for row in place.rows("findings", ended.run_id) if row["uri"].endswith("bad.mp4")]
    for row in findings:
        slack_s = 2.0 if row["medium"] == "stream" else 0.0
        if row["medium"] in {"frame", "stream"}:
            assert RED_S[0] - slack_s <= row["start_s"] <= row["end_s"] <= RED_S[1] + slack_s, row
        elif row["medium"] == "utterance":
            assert abs(row["start_s"] - INSULT_S[0]) < 0.5, row
            assert abs(row["end_s"] - INSULT_S[1]) < 0.5, row
        else:
            assert row["start_s"] < INSULT_S[1], row
            assert row["end_s"] > INSULT_S[0], row
    first = {row["endpoint"]: row["start_s"] for row in reversed(findings) if row["medium"] in {"frame", "stream"}}
    assert first["safecomms"] == first["deepcleer"] == RED_S[0]
    assert abs(first["visionular"] - RED_S[0]) <= 2.0


def test_tokens_are_what_each_server_charged(scanned: tuple[Place, Ended, Sandbox]) -> None:
    place, ended, served = scanned
    charged = dict.fromkeys(ASKED, 0)
    for row in place.rows("requests", ended.run_id):
        charged[row["endpoint"]] += row["tokens_charged"]
    assert charged == served.tokens | {"local": 0}
    assert all(tokens > 0 for name, tokens in charged.items() if name != "local")
    assert ended.said["tokens_charged"] == sum(charged.values())


def test_nothing_is_left_open_and_no_key_is_written_anywhere(scanned: tuple[Place, Ended, Sandbox]) -> None:
    place, ended, served = scanned
    assert served.left_open == {}
    keys = [key.encode() for server in served.servers.values() for key in server.secrets.values()]
    written = [path.read_bytes() for path in place.published()] + [ended.stderr.encode(), ended.stdout.encode()]
    assert not any(key in content for key in keys for content in written)


def test_again_it_asks_nobody_and_says_the_same(scanned: tuple[Place, Ended, Sandbox]) -> None:
    place, ended, served = scanned
    before = served.tokens
    again = place.run()
    assert (again.code, again.said["requests"], served.tokens) == (ended.code, 0, before)
    columns = ("verdict", "status", "findings", "top_category", "top_score")
    first, second = (place.files(run.run_id) for run in (ended, again))
    assert {name: [row[column] for column in columns] for name, row in first.items()} == {
        name: [row[column] for column in columns] for name, row in second.items()
    }
