"""DeepCleer's labels to categories. Pure.

The contract names the types that are searched for and no list of labels; labels seen with the vendor are words such as
``politics``, in up to three levels (``riskLabel1`` to ``riskLabel3``) from wide to narrow. The narrowest that is known
decides. What is not known is `other`, and kept in `vendor_label`.

| label, or word of `type` | category |
|---|---|
| politics, political, polity, audiopolitical, leader | `political` |
| porn, erotic, eroticism, sexual, moan, adult | `sexual` |
| nudity, nude, sexy | `nudity` |
| violence, violent, violation, terror, terrorism, blood, gore | `violence` |
| weapon, gun, knife | `weapon` |
| abuse, dirty, insult | `harassment` |
| hate, discrimination | `hate` |
| profanity | `profanity` |
| drug, drugs | `drugs` |
| suicide, selfharm | `self_harm` |
| privacy, pii | `pii` |
| minor, child | `minor` |
| ad, ads, advert, advertising, adlaw, spam, qrcode | `spam` |
| sing, song, anthem, anthen, music, copyrightsongs, banedaudio | `music` |
| ban (drugs, gambling, weapons and more in one word), and any other | `other` |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from batch_scan.endpoint.deepcleer.fields import letters
from batch_scan.vocabulary import Category

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WORDS: Final[Mapping[Category, str]] = {
    Category.POLITICAL: "politics political polity audiopolitical leader",
    Category.SEXUAL: "porn erotic eroticism sexual moan adult",
    Category.NUDITY: "nudity nude sexy",
    Category.VIOLENCE: "violence violent violation terror terrorism blood gore",
    Category.WEAPON: "weapon gun knife",
    Category.HARASSMENT: "abuse dirty insult",
    Category.HATE: "hate discrimination",
    Category.PROFANITY: "profanity",
    Category.DRUGS: "drug drugs",
    Category.SELF_HARM: "suicide selfharm",
    Category.PII: "privacy pii",
    Category.MINOR: "minor child",
    Category.SPAM: "ad ads advert advertising adlaw spam qrcode",
    Category.MUSIC: "sing song anthem anthen music copyrightsongs banedaudio",
}
_CATEGORIES: Final = {word: category for category, words in _WORDS.items() for word in words.split()}


def category_of(labels: Sequence[str]) -> Category:
    """Return the category of labels, given from wide to narrow."""
    known = (_CATEGORIES[word] for label in reversed(labels) if (word := letters(label)) in _CATEGORIES)
    return next(known, Category.OTHER)
