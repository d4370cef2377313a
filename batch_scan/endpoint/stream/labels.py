"""Stream's words in the product's vocabulary: which category a label is, which number an action stands for. Pure.

Only labels that the vendor's own pages show are mapped; a policy may hold any others (its owner invents them), and
those are `other`, with the word kept in `vendor_label`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_scan.vocabulary import Category

if TYPE_CHECKING:
    from collections.abc import Mapping

KEEP = "keep"
"""The one action that says clean."""

ACTION_SCORES: Mapping[str, float] = {
    KEEP: 0.0,
    "flag": 0.6,
    "mask": 0.6,
    "mask_flag": 0.6,
    "bounce_flag": 0.6,
    "bounce": 0.7,
    "shadow": 0.7,
    "bounce_remove": 0.9,
    "remove": 0.9,
}
"""Which number a recommended action stands for; the vendor gives words only. `action_scores` in the job changes it."""

_CATEGORIES: Mapping[str, Category] = {
    # text: the pages on getting started, on policies, on the text engines
    "insult": Category.HARASSMENT,
    "harassment": Category.HARASSMENT,
    "bullying": Category.HARASSMENT,
    "threat": Category.VIOLENCE,
    "terrorism": Category.VIOLENCE,
    "hate": Category.HATE,
    "hatespeech": Category.HATE,
    "sexualharassment": Category.SEXUAL,
    "selfharm": Category.SELF_HARM,
    "childsafety": Category.MINOR,
    "pii": Category.PII,
    "scam": Category.SPAM,
    "spam": Category.SPAM,
    # pictures: the page on the image engine
    "explicit": Category.SEXUAL,
    "nonexplicitnudity": Category.NUDITY,
    "swimwearunderwear": Category.NUDITY,
    "violence": Category.VIOLENCE,
    "visuallydisturbing": Category.VIOLENCE,
    "drugstobacco": Category.DRUGS,
    "alcohol": Category.DRUGS,
    "hatesymbols": Category.HATE,
    "rudegestures": Category.PROFANITY,
}
"""By the label's letters alone, in lower case."""
_PROFANITY_LISTS = "profanity"
"""Block lists whose name begins so, such as `profanity_en`, hold swear words; what others hold is their owner's."""


def category_of(label: str) -> Category:
    """Return the category of a label or of a block list's name, `other` where it is not known."""
    letters = "".join(char for char in label.casefold() if char.isalpha())
    if letters.startswith(_PROFANITY_LISTS):
        return Category.PROFANITY
    return _CATEGORIES.get(letters, Category.OTHER)
