from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_scan.digest import digest_file
from batch_scan.endpoint.local.config import LocalConfig, ModelOverride
from batch_scan.endpoint.local.models import locate
from batch_scan.endpoint.local.text import TextModels, TextScore, text_settings, understands
from batch_scan.errors import UsageError
from batch_scan.vocabulary import Category

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def models() -> TextModels:
    return TextModels(LocalConfig())


def _judge(models: TextModels, text: str, language: str = "en") -> list[TextScore]:
    (scores,) = models.judge([text], [language])
    return scores


def _worst(scores: list[TextScore], category: Category) -> TextScore:
    return max((score for score in scores if score.category is category), key=lambda score: score.score)


@pytest.mark.parametrize(
    ("text", "category", "least"),
    [
        ("What the fuck is wrong with you?", Category.PROFANITY, 0.9),
        ("You piece of sh1t.", Category.PROFANITY, 0.7),
        ("You are a worthless idiot.", Category.HARASSMENT, 0.5),
        ("He called me a faggot.", Category.HATE, 0.9),
        ("The jews are vermin.", Category.HATE, 0.9),
        ("Send me nudes.", Category.SEXUAL, 0.5),
        ("I'm gonna kill you.", Category.VIOLENCE, 0.8),
        ("I'll break your neck.", Category.VIOLENCE, 0.8),
        ("I know where you live.", Category.VIOLENCE, 0.7),
        ("He will bring a gun to school.", Category.WEAPON, 0.8),
        ("I want to kill myself.", Category.SELF_HARM, 0.8),
        ("You should just kill yourself.", Category.SELF_HARM, 0.9),
        ("He was selling cocaine.", Category.DRUGS, 0.8),
        ("They share child porn.", Category.MINOR, 0.9),
        ("f*** this", Category.PROFANITY, 0.6),
    ],
)
def test_what_is_said_outright_is_found_in_its_category(
    models: TextModels, text: str, category: Category, least: float
) -> None:
    assert _worst(_judge(models, text), category).score >= least


@pytest.mark.parametrize(
    "text",
    [
        "Please press one for sales, or two for support.",
        "You are next in line.",
        "Shiitake mushrooms from Scunthorpe.",
        "I could murder a cup of tea.",
        "The Jews and the Muslims of the town built the bridge together.",
        "Heroin was mentioned in the report.",
        "",
    ],
)
def test_harmless_sentences_stay_below_every_default_threshold(models: TextModels, text: str) -> None:
    assert max(score.score for score in _judge(models, text)) < 0.5


@pytest.mark.parametrize("text", ["The cock crowed at dawn.", "Dick Van Dyke was a great actor."])
def test_known_false_alarms_come_from_the_profanity_model_alone(models: TextModels, text: str) -> None:
    assert [(score.model, score.score > 0.9) for score in _judge(models, text)] == [("profanity", True)]


def test_said_or_quoted_words_count_in_full(models: TextModels) -> None:
    said, quoted = _judge(models, "he said faggot again"), _judge(models, 'he wrote "faggot" on it')
    assert _worst(said, Category.HATE).score == _worst(quoted, Category.HATE).score == 0.9


def test_one_bad_word_in_a_long_harmless_text_is_still_found(models: TextModels) -> None:
    text = "we had dinner and talked about the garden and the weather " * 30 + "and then he said fuck"
    scores = _judge(models, text)
    assert next(score for score in scores if score.model == "profanity").score < 0.5
    assert _worst(scores, Category.PROFANITY).score == 0.9


def test_models_stand_side_by_side_under_their_own_names(models: TextModels) -> None:
    scores = _judge(models, "I will break your neck, you fucking idiot")
    assert {score.model for score in scores} == {"profanity", "safetype", "rules"}
    assert {"profanity", "safetype:en.profanity.fuck", "rules:threat.part"} <= {score.label for score in scores}
    assert next(score for score in scores if score.label == "rules:threat.part").term == "I will break your neck"


def test_a_rule_counts_once_per_text(models: TextModels) -> None:
    labels = [score.label for score in _judge(models, "fuck fuck fuck f*** f***")]
    assert sorted(labels) == sorted(set(labels))


def test_every_text_has_its_own_scores_in_order(models: TextModels) -> None:
    texts = ["hello there", "fuck you", "good night"]
    together = models.judge(texts, ["en"] * 3)
    assert together == [_judge(models, text) for text in texts]
    assert models.judge([], []) == []


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("du verdammtes Arschloch", "de-DE"),
        ("eres un hijo de puta", "es"),
        ("espèce de connard", "fr"),
        ("vai se foder", "pt_BR"),
    ],
)
def test_other_languages_are_judged_by_their_own_rules(models: TextModels, text: str, language: str) -> None:
    scores = _judge(models, text, language)
    assert {score.model for score in scores} == {"safetype"}
    assert max(score.score for score in scores) >= 0.5


def test_which_languages_are_understood_is_said() -> None:
    assert all(understands(language) for language in ("", "en", "EN-us", "de", "es-MX", "fr", "hi", "pt_BR"))
    assert not any(understands(language) for language in ("fi", "zh-Hant", "xx"))


def test_personal_data_is_looked_for_on_request_only(models: TextModels) -> None:
    text = "my card is 4111 1111 1111 1111"
    assert all(score.category is not Category.PII for score in _judge(models, text))
    (score,) = [one for one in _judge(TextModels(LocalConfig(detect_pii=True)), text) if one.category is Category.PII]
    assert (score.label, score.score) == ("rules:pii.card", 0.9)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=300), st.sampled_from(["", "en", "de", "xx"]))
def test_any_text_at_all_gets_scores_between_0_and_1(models: TextModels, text: str, language: str) -> None:
    scores = _judge(models, text, language)
    assert all(0 <= score.score <= 1 and score.label for score in scores)


# -------------------------------------------------------------------------------------------------------- the files


def test_settings_name_every_file_by_its_digest_and_what_changes_scores() -> None:
    plain = text_settings(LocalConfig())
    assert json.dumps(plain)
    assert {"profanity", "profanity-vectorizer", "safetype-en"} <= set(plain["models"])
    assert text_settings(LocalConfig(threads=3)) == plain
    assert text_settings(LocalConfig(detect_pii=True)) != plain


def _own(path: Path) -> dict[str, Any]:
    return {"path": path, "sha256": digest_file(path)}


def _config(name: str, path: Path) -> LocalConfig:
    return LocalConfig(models={name: ModelOverride(**_own(path))})


class _Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def test_a_pickle_that_is_not_the_known_one_is_never_opened(tmp_path: Path) -> None:
    bomb, crater = tmp_path / "model.joblib", tmp_path / "crater"
    bomb.write_bytes(pickle.dumps(_Bomb(crater)))
    config = LocalConfig(models={"profanity": ModelOverride(path=bomb, sha256="0" * 64)})
    with pytest.raises(UsageError, match="not the file it should be"):
        TextModels(config)
    assert not crater.exists()


@pytest.mark.parametrize("name", ["profanity", "profanity-vectorizer", "safetype-en"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b'{"rules": [{"id": 1}]}'])
def test_a_file_of_ones_own_that_is_no_model_is_an_error_of_use(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / "own"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"no such|no JSON"):
        TextModels(_config(name, path))


def test_rules_of_ones_own_take_the_place_of_the_bundled_ones(tmp_path: Path) -> None:
    pack = json.loads(locate("safetype-en").read_text(encoding="utf-8"))
    pack["rules"] = [{"id": "own.widget", "pattern": "widget*", "category": "profanity", "severity": "high"}]
    path = tmp_path / "own.json"
    path.write_text(json.dumps(pack), encoding="utf-8")
    scores = _judge(TextModels(_config("safetype-en", path)), "those widgets and fuck")
    assert [score.label for score in scores] == ["profanity", "safetype:own.widget"]
