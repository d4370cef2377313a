"""Stream's answers to scores. Pure, so that stored answers can be read again.

What is kept of one request (`Answer.raw`) is made here, of every check that it took:

    {"samples": 3,
     "checks": [{"about": [0, 1, 2], "entity_id": "bs-…", "reply": {…}},
                {"about": [0], "entity_id": "bs-…", "reply": {…}, "final": {"by": "review_queue", "item": {…}}}, …]}

`about` are positions of samples in the request, `reply` is what `check` answered, `final` what was learned later where
the reply was not final: the item of the review queue, or what the webhook `told`.

| the checks say | is |
|---|---|
| one check, `keep` | clean |
| one check over several samples, anything else | each sample by the check of it alone |
| … and every one of those `keep` | the verdict of all together, over each of them |
| `keep`, but its item or a rule that was triggered names another action | that action |
| an action that is known | `action_scores`, unclean; one score for each label |
| an action that is not known | what `flag` stands for, unclean, the word in `severity` |
| neither reply nor what came later is final; no action; an item about other content | no answer: `EndpointError` |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch_scan.endpoint.answer_json import dump_json, parse_json
from batch_scan.endpoint.stream.labels import ACTION_SCORES, KEEP, category_of
from batch_scan.errors import EndpointError, Failure
from batch_scan.model import Score
from batch_scan.untrusted import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from batch_scan.model import Request, Sample

FINAL = frozenset({"complete", "completed"})
"""What the pages, and the vendor's specification, call a check that is done."""
_LABEL_CHARS = 100
_CONTEXT_CHARS = 1000
_MAX_LABELS = 100
"""Labels of one item that become scores of their own; what is beyond is one score that says how many."""


@dataclass(slots=True)
class Check:
    """One check as it was made, and what is known of how it ended."""

    about: tuple[int, ...]
    entity_id: str
    reply: Any
    final: Mapping[str, Any] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the reply says that the check goes on: a status that is there and is not final."""
        status = self.reply.get("status") if isinstance(self.reply, dict) else None
        return isinstance(status, str) and not is_final(status)

    @property
    def as_json(self) -> dict[str, Any]:
        """What is kept of it."""
        kept: dict[str, Any] = {"about": list(self.about), "entity_id": self.entity_id, "reply": self.reply}
        return kept if self.final is None else {**kept, "final": self.final}


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a check came to."""

    action: str
    item: Mapping[str, Any]
    """The item of the review queue; empty where there is none."""
    rules: tuple[str, ...] = ()
    """Names of rules that were triggered."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing is held against the content."""
        return is_keep(self.action)


def is_final(status: Any) -> bool:
    """Whether a status says that a check is done."""
    return isinstance(status, str) and status.strip().casefold() in FINAL


def is_keep(action: str) -> bool:
    """Whether a recommended action says clean."""
    return action.strip().casefold() == KEEP


def dump_checks(samples: int, checks: Sequence[Check]) -> str:
    """Return what is kept of the checks of one request."""
    return dump_json({"samples": samples, "checks": [check.as_json for check in checks]})


def ruling_of(check: Check) -> Ruling:
    """Return what a check came to. Raises EndpointError (`REFUSED`) where that cannot be told."""
    reply = check.reply
    if not isinstance(reply, dict):
        raise unrecognised("the reply is not an object")
    item = _item(reply.get("item"), check.entity_id)
    action = reply.get("recommended_action")
    if is_final(reply.get("status")):
        action = _action(action)
    elif not isinstance(check.final, dict):
        raise unrecognised("the check was not final")
    else:
        later, item = _later(check.final, check.entity_id, item)
        # A late `keep` does not take back what was held against the content before.
        action = action if is_keep(later) and isinstance(action, str) and action.strip() else later
    if is_keep(action):
        action = next(_held_against(reply), action)
    return Ruling(action, item, tuple(_rule_names(reply)))


def _later(final: Mapping[str, Any], entity_id: str, item: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    item = _item(final.get("item"), entity_id) or item
    told = final.get("told")
    if told is not None:
        if not isinstance(told, dict) or told.get("entity_id") != entity_id:
            raise unrecognised("the webhook was about other content")
        return _action(told.get("recommended_action")), item
    if not is_final(item.get("status")):
        raise unrecognised("the item of the review queue was not final")
    return _action(item.get("recommended_action")), item


def unrecognised(why: str) -> EndpointError:
    """Return the error for an answer that does not say what it should."""
    return EndpointError(Failure.REFUSED, f"unrecognised answer: {why}", maybe_charged=True)


def read_checks(
    endpoint: str, request: Request, raw: str, action_scores: Mapping[str, float], entity_of: Mapping[str, str]
) -> list[Score]:
    """Return the scores that the checks of a request give to its samples; none for a clean one.

    Args:
        endpoint: its name.
        request: what was asked; a sample without a digest stands in for one that nobody asks about now.
        raw: what was kept.
        action_scores: which number an action stands for.
        entity_of: what content is called at the vendor, by digest.

    Raises EndpointError (`REFUSED`) where a sample's verdict cannot be told.
    """
    checks = _checks(raw, len(request.samples))
    whole, alone = checks[0], {check.about[0]: check for check in checks[1:] if len(check.about) == 1}
    everyone = tuple(range(len(request.samples)))
    if whole.about != everyone:
        raise unrecognised("its first check is not about everything that was asked")
    _check_names(request, alone if len(everyone) > 1 else {0: whole}, entity_of)
    ruling = ruling_of(whole)
    if ruling.is_clean:
        return []
    rulings = dict.fromkeys(everyone, ruling)
    if len(everyone) > 1:
        if set(alone) != set(everyone):
            raise unrecognised("not every text of an unclean check was checked alone")
        own = {at: ruling_of(alone[at]) for at in everyone}
        rulings = own if any(not one.is_clean for one in own.values()) else rulings
    reader = _Reader(endpoint, request, action_scores)
    return [score for at, sample in enumerate(request.samples) for score in reader.scores(sample, rulings[at])]


def _checks(raw: str, samples: int) -> list[Check]:
    try:
        kept = parse_json(raw)
    except ValueError:
        raise unrecognised("it is not JSON") from None
    if not isinstance(kept, dict) or not isinstance(kept.get("checks"), list) or not kept["checks"]:
        raise unrecognised("it holds no checks")
    if kept.get("samples") != samples:
        raise unrecognised("it is about another number of samples")
    return [_check(one) for one in kept["checks"]]


def _check(kept: Any) -> Check:
    if not isinstance(kept, dict) or not isinstance(kept.get("entity_id"), str):
        raise unrecognised("a check does not say what it was about")
    about = kept.get("about")
    if not isinstance(about, list) or not about or not all(type(at) is int for at in about):
        raise unrecognised("a check does not say what it was about")
    return Check(tuple(about), kept["entity_id"], kept.get("reply"), kept.get("final"))


def _check_names(request: Request, alone: Mapping[int, Check], entity_of: Mapping[str, str]) -> None:
    for at, check in alone.items():
        digest = request.samples[at].digest if 0 <= at < len(request.samples) else ""
        if digest and check.entity_id != entity_of[digest]:
            raise unrecognised("a check was about other content")


def _item(item: Any, entity_id: str) -> Mapping[str, Any]:
    if item is None:
        return {}
    if not isinstance(item, dict):
        raise unrecognised("its item is not an object")
    if item.get("entity_id", entity_id) != entity_id:
        raise unrecognised("its item is about other content")
    return item


def _action(action: Any) -> str:
    if not isinstance(action, str) or not action.strip():
        raise unrecognised("recommended_action is missing")
    return action


def _held_against(reply: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a reply holds against the content beside its own recommended action."""
    item = reply.get("item")
    action = item.get("recommended_action") if isinstance(item, dict) else None
    if isinstance(action, str) and action.strip() and not is_keep(action):
        yield action
    for rule in _rules(reply):
        actions = rule.get("actions")
        for told in actions if isinstance(actions, list) else ():
            word = told.strip().casefold() if isinstance(told, str) else ""
            if word in ACTION_SCORES and word != KEEP:  # others, such as a webhook's, judge nothing
                yield word


def _rule_names(reply: Mapping[str, Any]) -> Iterator[str]:
    for rule in _rules(reply):
        name = rule.get("rule_name")
        if isinstance(name, str) and name.strip():
            yield name


def _rules(reply: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    rules = reply.get("triggered_rules")
    for rule in rules if isinstance(rules, list) else ():
        if isinstance(rule, dict):
            yield rule


class _Reader:
    """Makes scores of rulings, for one request."""

    def __init__(self, endpoint: str, request: Request, action_scores: Mapping[str, float]) -> None:
        self._endpoint = endpoint
        self._request = request
        self._action_scores = action_scores

    def scores(self, sample: Sample, ruling: Ruling) -> Iterator[Score]:
        """Yield a score for each label of a ruling; for one without labels, one that names its action."""
        if ruling.is_clean:
            return
        context = _context(ruling.item)
        labels = list(dict.fromkeys([*_labels(ruling.item)])) or list(dict.fromkeys(ruling.rules)) or [ruling.action]
        for label in labels[:_MAX_LABELS]:
            yield self._score(sample, ruling.action, label, context)
        if len(labels) > _MAX_LABELS:
            more = f"{len(labels) - _MAX_LABELS} more labels than are read"
            yield self._score(sample, ruling.action, "labels", more)

    def _score(self, sample: Sample, action: str, label: str, context: str) -> Score:
        number = self._action_scores.get(action.strip().casefold(), self._action_scores["flag"])
        return Score(
            endpoint=self._endpoint,
            medium=sample.medium,
            start_s=sample.start_s,
            end_s=sample.end_s,
            category=category_of(label),
            vendor_label=clean_text(label, _LABEL_CHARS),
            score=number,
            severity=clean_text(action, _LABEL_CHARS),
            unclean=True,
            context=context,
            request_id=self._request.request_id,
            sample_digest=sample.digest,
        )


def _labels(item: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an item's flags call the harm; a flag that names none by its type."""
    flags = item.get("flags")
    for flag in flags if isinstance(flags, list) else ():
        if not isinstance(flag, dict):
            yield "flags"
            continue
        labels = flag.get("labels")
        named = (
            [label for label in labels if isinstance(label, str) and label.strip()] if isinstance(labels, list) else []
        )
        kind = flag.get("type")
        yield from named or [kind if isinstance(kind, str) and kind.strip() else "flags"]


def _context(item: Mapping[str, Any]) -> str:
    """Return what an item says of how grave the harm is, and why, for a person."""
    flags = item.get("flags")
    reasons = [flag.get("reason") for flag in flags if isinstance(flag, dict)] if isinstance(flags, list) else []
    severity, confidence = item.get("ai_text_severity"), item.get("confidence_score")
    said = [f"severity {severity}"] if isinstance(severity, str) and severity.strip() else []
    if isinstance(confidence, int | float) and not isinstance(confidence, bool):
        said.append(f"confidence {confidence:g}")
    said += dict.fromkeys(reason for reason in reasons if isinstance(reason, str) and reason.strip())
    return clean_text("; ".join(said), _CONTEXT_CHARS)
