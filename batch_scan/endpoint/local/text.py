"""Judges text: a linear profanity model, safetype's rules in six languages, and our own rules for what these two lack.

Every model's scores stand side by side under its own name; none overrules another, the policy decides. Blocking; runs
in the models' thread. No network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from batch_scan.endpoint.local.models import INSTALL_HINT, digest_of, locate
from batch_scan.endpoint.local.rules import PHRASES, PHRASES_VERSION, masked_words, personal_data
from batch_scan.errors import UsageError
from batch_scan.vocabulary import Category

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from batch_scan.endpoint.local.config import LocalConfig

_PROFANITY: Final = "profanity"
_VECTORIZER: Final = "profanity-vectorizer"
_SAFETYPE: Final = "safetype"
_OWN: Final = "rules"
_PACKS: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("en", "hi-latn"),
    "de": ("de",),
    "es": ("es",),
    "fr": ("fr",),
    "hi": ("hi", "hi-latn"),
    "pt": ("pt",),
}
"""Language -> safetype's rule packs for it: romanised Hindi is common in English, so safetype itself takes both."""
_DEFAULT_LANGUAGE: Final = "en"

_SEVERITY: Final[Mapping[str, float]] = {"low": 0.4, "medium": 0.7, "high": 0.9, "critical": 1.0}
"""safetype's severity word as a factor: "damn" is low, "shit" medium, "fuck" high, a slur critical. A score is this
times the rule's confidence: with the default policy low words are kept, medium ones flagged, high ones removed."""
_CATEGORIES: Final[Mapping[str, Category]] = {
    "profanity": Category.PROFANITY,
    "hate": Category.HATE,
    "harassment": Category.HARASSMENT,
    "sexual": Category.SEXUAL,
}
_LABELS: Final[Mapping[str, Category]] = {"threat": Category.VIOLENCE, "self-harm-incitement": Category.SELF_HARM}
"""safetype files these under harassment."""


@dataclass(frozen=True, slots=True)
class TextScore:
    """What one model said of one text."""

    category: Category
    label: str
    """``model`` or ``model:rule``."""
    score: float
    """Between 0 and 1."""
    model: str
    """Name in the model table, or ``rules``."""
    term: str = ""
    """The words it is about, where the model says which."""


def understands(language: str) -> bool:
    """Return whether any text model knows `language` (an IETF tag; empty = not said, taken for English)."""
    return _base(language) in _PACKS


def text_settings(config: LocalConfig) -> dict[str, Any]:
    """Return what changes the scores of a text, for `Service.settings`. Opens nothing."""
    names = (_PROFANITY, _VECTORIZER, *_pack_files())
    return {
        "models": {name: digest_of(name, config.models.get(name)) for name in names},
        "rules": PHRASES_VERSION,
        "detect_pii": config.detect_pii,
    }


class TextModels:
    """The loaded text models. Not to be used from two threads at once."""

    def __init__(self, config: LocalConfig) -> None:
        """Check every file's digest, then load it.

        Raises:
            UsageError: a package or file is missing, or a file is not the one it should be.
        """
        self._detect_pii = config.detect_pii
        self._vectorizer = _unpickle(_VECTORIZER, config)
        self._profanity = _unpickle(_PROFANITY, config)
        self._engines = _engines(config)
        self._confidence = {
            rule["id"]: float(rule.get("confidence", 1.0))
            for engine in self._engines.values()
            for rule in engine.get_rules()
        }

    def judge(self, texts: Sequence[str], languages: Sequence[str]) -> list[list[TextScore]]:
        """Score texts.

        Args:
            texts: transcripts, one per utterance.
            languages: the language of each, as an IETF tag; empty = English. One that `understands` denies is judged as
                English, which finds English words in it and nothing else.

        Returns:
            The scores of each text, in its order. English text always has the profanity model's, whatever it is; of a
            rule only the first match in a text counts.
        """
        known = [_base(language) if understands(language) else _DEFAULT_LANGUAGE for language in languages]
        profanity = self._profane(texts)
        return [
            list(self._scores(text, language, probability))
            for text, language, probability in zip(texts, known, profanity, strict=True)
        ]

    def _profane(self, texts: Sequence[str]) -> list[float]:
        if not texts:
            return []
        return [float(row[1]) for row in self._profanity.predict_proba(self._vectorizer.transform(texts))]

    def _scores(self, text: str, language: str, probability: float) -> Iterator[TextScore]:
        if language == _DEFAULT_LANGUAGE:
            yield TextScore(Category.PROFANITY, _PROFANITY, probability, _PROFANITY)
        yield from _first_of_each(self._matches(text, language))
        hits = [*masked_words(text), *(personal_data(text) if self._detect_pii else ())]
        yield from _first_of_each(
            TextScore(hit.category, f"{_OWN}:{hit.label}", hit.score, _OWN, hit.term) for hit in hits
        )

    def _matches(self, text: str, language: str) -> Iterator[TextScore]:
        for match in self._engines[language].moderate(text).matches:
            if match.rule_id in _PHRASE_BY_ID:
                phrase = _PHRASE_BY_ID[match.rule_id]
                yield TextScore(phrase.category, f"{_OWN}:{phrase.id}", phrase.score, _OWN, match.text)
                continue
            # The rule's own confidence: safetype lowers it after "said" and inside quotes, but spoken is spoken.
            score = self._confidence[match.rule_id] * _SEVERITY[match.severity]
            category = _LABELS.get(match.label or "", _CATEGORIES[match.category])
            yield TextScore(category, f"{_SAFETYPE}:{match.rule_id}", round(score, 4), _SAFETYPE, match.text)


_PHRASE_BY_ID: Final = {phrase.id: phrase for phrase in PHRASES}


def _unpickle(name: str, config: LocalConfig) -> Any:
    """Load a scikit-learn object. Unpickling runs what the file says: only after its digest was seen to be right."""
    path = locate(name, config.models.get(name))
    try:
        import joblib  # noqa: PLC0415 - needs the [local] extra

        return joblib.load(path)
    except ImportError as error:
        raise UsageError(f"the text models lack the package {error.name}; {INSTALL_HINT}") from error
    except Exception as error:  # a pickle may raise anything
        raise UsageError(f"model {name}: {path} is no such model ({type(error).__name__}: {error})") from error


def _engines(config: LocalConfig) -> dict[str, Any]:
    """Return safetype's engine for each language, over rule packs whose digests were checked."""
    try:
        from safetype import create_moderation_engine  # noqa: PLC0415 - needs the [local] extra
    except ImportError as error:
        raise UsageError(f"the text models lack the package {error.name}; {INSTALL_HINT}") from error
    packs = {name: _pack(name, config) for name in _pack_files()}
    try:
        return {
            language: create_moderation_engine(
                packs=[packs[f"{_SAFETYPE}-{name}"] for name in names],
                rules=_own_rules() if language == _DEFAULT_LANGUAGE else (),
                policy={category: {"min_severity": "low", "min_confidence": 0.0} for category in _CATEGORIES},
            )
            for language, names in _PACKS.items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"models.{_SAFETYPE}-…: no such rules ({error}); mend [endpoints.local.models]") from error


def _pack(name: str, config: LocalConfig) -> Any:
    path = locate(name, config.models.get(name))
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"model {name}: {path} is no JSON ({error})") from error


def _own_rules() -> list[dict[str, str]]:
    return [{"id": phrase.id, "pattern": phrase.pattern, "category": "custom"} for phrase in PHRASES]


def _pack_files() -> tuple[str, ...]:
    """Return the names of safetype's packs in the model table."""
    return tuple(f"{_SAFETYPE}-{name}" for name in dict.fromkeys(name for names in _PACKS.values() for name in names))


def _base(language: str) -> str:
    """Return the primary subtag of a language tag; English where none is given."""
    return language.replace("_", "-").split("-")[0].lower() or _DEFAULT_LANGUAGE


def _first_of_each(scores: Iterable[TextScore]) -> Iterator[TextScore]:
    seen: set[str] = set()
    for score in scores:
        if score.label not in seen:
            seen.add(score.label)
            yield score
