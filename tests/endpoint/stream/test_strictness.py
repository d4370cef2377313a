"""What stands at Stream against a rule of the job: never laxer, and whatever it likes about the rest."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_scan.endpoint.stream.labels import ACTION_SCORES
from batch_scan.endpoint.stream.strictness import holds

REMOVE: dict[str, Any] = {"label": "INSULT", "action": "remove"}
IMAGE: dict[str, Any] = {"label": "Explicit", "action": "remove", "min_confidence": 60.0}
GRADED: dict[str, Any] = {"label": "INSULT", "severity_rules": [{"severity": "high", "action": "remove"}]}
LIST: dict[str, Any] = {"name": "slurs", "action": "flag"}


def severities(**actions: str) -> list[dict[str, str]]:
    return [{"severity": severity, "action": action} for severity, action in actions.items()]


HELD: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "as it was written": (REMOVE, [REMOVE]),
    "in other letters": (REMOVE, [{"label": "insult", "action": "REMOVE"}]),
    "beside others": (REMOVE, [{"label": "THREAT", "action": "keep"}, REMOVE]),
    "twice": (REMOVE, [REMOVE, REMOVE]),
    "with what the vendor adds": (REMOVE, [{**REMOVE, "id": 7, "severity_rules": [], "min_confidence": None}]),
    "with severities that say the same": (REMOVE, [{**REMOVE, "severity_rules": severities(LOW="remove")}]),
    "severities one by one": (
        GRADED,
        [{"label": "INSULT", "action": "", "severity_rules": severities(critical="flag", HIGH="Remove")}],
    ),
    "with all that is below": (IMAGE, [{**IMAGE, "subclassifications": {"a": True}}]),
    "from a lower confidence on": (IMAGE, [{**IMAGE, "min_confidence": 40}]),
    "a list": (LIST, [{**LIST, "team": ""}]),
}
LAXER: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "nothing": (REMOVE, []),
    "another label": (REMOVE, [{"label": "THREAT", "action": "remove"}]),
    "a lesser action": (REMOVE, [{"label": "INSULT", "action": "flag"}]),
    "no action": (REMOVE, [{"label": "INSULT"}]),
    "taken back by a severity": (REMOVE, [{**REMOVE, "severity_rules": severities(low="keep")}]),
    "taken back by a second rule": (REMOVE, [REMOVE, {"label": "insult", "action": "keep"}]),
    "one severity missing": (GRADED, [{"label": "INSULT", "severity_rules": severities(low="remove")}]),
    "one severity twice": (
        GRADED,
        [{"label": "INSULT", "severity_rules": [*severities(high="remove"), *severities(high="keep")]}],
    ),
    "switched off alone": (REMOVE, [{**REMOVE, "enabled": False}]),
    "from a higher confidence on": (IMAGE, [{**IMAGE, "min_confidence": 90}]),
    "from a confidence on at all": ({"label": "Explicit", "action": "remove"}, [IMAGE]),
    "from nobody knows what on": (IMAGE, [{**IMAGE, "min_confidence": "60"}]),
    "for a part of the label": (IMAGE, [{**IMAGE, "subclassifications": {"a": True, "b": False}}]),
    "for named parts of the label": (IMAGE, [{**IMAGE, "subclassifications": ["a"]}]),
    "for one team": (LIST, [{**LIST, "team": "red"}]),
}


@pytest.mark.parametrize("name", HELD)
def test_a_rule_that_comes_to_the_same_or_more_is_held(name: str) -> None:
    wanted, there = HELD[name]
    assert holds({"rules": there}, wanted, [wanted])


@pytest.mark.parametrize("name", LAXER)
def test_a_laxer_rule_is_not_the_jobs(name: str) -> None:
    wanted, there = LAXER[name]
    assert not holds({"rules": there}, wanted, [wanted])


def test_severities_of_the_whole_section_may_not_ask_for_less() -> None:
    section = {"rules": [REMOVE], "severity_rules": severities(low="remove", critical="remove")}
    assert holds(section, REMOVE, [REMOVE])
    assert not holds({**section, "severity_rules": severities(low="flag")}, REMOVE, [REMOVE])


def test_two_rules_of_the_job_for_one_label_are_both_held() -> None:
    both = [REMOVE, GRADED]
    assert all(holds({"rules": both}, rule, both) for rule in both)
    assert not holds({"rules": [GRADED]}, REMOVE, both)


ACTIONS = st.sampled_from(sorted(ACTION_SCORES))
SEVERITIES = st.lists(st.fixed_dictionaries({"severity": st.sampled_from(["low", "high"]), "action": ACTIONS}))
RULES = st.lists(
    st.fixed_dictionaries(
        {"label": st.sampled_from(["INSULT", "THREAT"])}, optional={"action": ACTIONS, "severity_rules": SEVERITIES}
    )
)


@given(RULES)
def test_what_was_pushed_is_held(rules: list[dict[str, Any]]) -> None:
    assert all(holds({"rules": rules}, rule, rules) for rule in rules)


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_nonsense_holds_nothing(nonsense: Any) -> None:
    assert not holds({"rules": nonsense, "severity_rules": nonsense}, REMOVE, [REMOVE])
