"""Rules for what no bundled text model covers: threats, self-harm, drugs, hatred of groups, children, personal data.

Phrases are spoken English in safetype's pattern language, and its engine matches them, so that "k1ll" and "kiiill" are
seen through: a word stands for itself, ``(a|b)`` for either, ``word*`` for every word that starts so, and ``?`` makes a
part optional. Apostrophes part words: "I'll" is ``i ll``.

They are few on purpose. A phrase stands here where hardly anybody says it without meaning it; what is only said in
other words is not found (docs/endpoints/local.md has the figures).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from batch_scan.vocabulary import Category

if TYPE_CHECKING:
    from collections.abc import Iterator

PHRASES_VERSION: Final = 1
"""Raised with every change to this module that changes a score."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A way of saying something, and how sure a match is."""

    id: str
    pattern: str
    category: Category
    score: float


_I_WILL: Final = "(i|ill|im|imma|we|he|they) (ll|will|am|m|re|gonna)? (going|gonna|want|wanna)? (to)?"
_GROUPS: Final = (
    "(jews|muslims|christians|hindus|sikhs|blacks|whites|asians|mexicans|arabs|africans|immigrants|refugees|gypsies|"
    "gays|lesbians|homosexuals|transsexuals|foreigners)"
)
_HARD_DRUGS: Final = "(cocaine|heroin|meth|methamphetamine*|fentanyl|ecstasy|mdma|lsd|ketamine|weed|marijuana|cannabis)"
_WHOSE: Final = "(your|his|her|their)"
_BODY: Final = "(neck|legs|arms|head|throat|face|skull|brains|teeth|bones|heart|tongue)"
_FAMILY: Final = "(kids|children|family|wife|mother)"
_TRADE: Final = (
    "(buy|buying|sell|selling|sold|deal|dealing|deals|smuggle|smuggling|score|cook|cooking) "
    "(some|the|a|your|my|more|pure|cheap|you)? (gram|grams|ounce|bag|kilo|bit)? (of)?"
)
_USE: Final = "(snort|snorting|smoke|smoking|smoked|inject|injecting|shooting|took|take) (some|the|a|my|more)?"
_VERMIN: Final = "(vermin|animals|subhuman*|parasites|rats|cockroaches|filth|scum|monkeys|dogs|pigs)"
_ALL_THE: Final = "(all|the|these|those) (of)? (the|these|those)?"
_CHILDREN: Final = "(child|children|minor|minors|kid|kids|underage*)"
_MINORS: Final = "(child|children|kid|kiddie|kiddy|underage|teen|preteen)"
_PLACES: Final = "(house|home|school|church|mosque|synagogue|temple|office|building|family|hospital|airport|embassy)"

_THREATS: Final = (
    # safetype knows "I will kill you", but not with "gonna" or "want to" in it.
    ("threat.you", f"{_I_WILL} (kill|murder|stab|strangle|behead|slaughter) (you|u|yall)", 0.8),
    ("threat.them", f"{_I_WILL} (kill|murder|stab|shoot|strangle|behead) (him|her|them|everyone|everybody)", 0.6),
    ("threat.part", f"{_I_WILL} (break|cut|rip|slit|smash|blow|beat|bash) (off|out)? {_WHOSE} {_BODY}", 0.8),
    ("threat.slit", f"(slit|cut) {_WHOSE} (throat|throats)", 0.8),
    ("threat.live", f"(i|we) know where (you|your) {_FAMILY}? (live|lives|sleep|sleeps)", 0.7),
    ("threat.dead", "(you|youre|your) (are|re)? (a)? dead (meat|man|woman)", 0.7),
    ("threat.regret", "(you|youll) (ll|will|are|re)? (gonna|going)? (to)? (regret|pay) (for)? (this|that)", 0.5),
    ("threat.back", "watch your back", 0.5),
    ("threat.burn", f"(burn|blow) (down|up)? (your|the|their|this|that|his|her) {_PLACES}", 0.7),
    ("threat.shooting", f"shoot up (your|the|their|this|that|a|my) {_PLACES}", 0.9),
    ("threat.bomb", "(plant|planted|set|build|detonate|put) (a|the|this)? bomb", 0.7),
)
_WEAPONS: Final = (
    ("weapon.bring", "(bring|bringing) (a|my|the) (gun|rifle|pistol|knife) to (school|work|class|church)", 0.8),
)
_SELF_HARM: Final = (
    ("self.myself", "(kill|hang|hurt|cut|harm|shoot|drown) myself", 0.8),
    ("self.die", "(i|just) (just|really)? (want|wanna|wish) (to|i|could|would)? (could|would)? die", 0.6),
    ("self.end", "(end|ending|take|taking) my (own)? life", 0.8),
    ("self.end-it", "end it all", 0.6),
    ("self.better", "better off (if)? (i|you|with)? (were|was|me)? dead", 0.8),
    ("self.suicide", "(commit|committing|attempt|attempting) suicide", 0.6),
    ("self.reason", "(no|any) reason to (live|keep|go) (on)? (living)?", 0.7),
    ("self.wrists", "(cut|cutting|slit|slitting) (my|your|her|his) wrists", 0.8),
    ("self.incite", "(go|should|could|just) (and)? (hang|drown|shoot|kill) (yourself|yourselves)", 0.9),
    ("self.miss", "(nobody|noone|one) (would|will|d|ll) (ever|even)? miss you", 0.7),
)
_DRUGS: Final = (
    # Trade and use flag; the bare word, as in the news, stays below.
    ("drugs.trade", f"{_TRADE} {_HARD_DRUGS}", 0.8),
    ("drugs.use", f"{_USE} {_HARD_DRUGS}", 0.6),
    ("drugs.word", "(cocaine|heroin|methamphetamine*|fentanyl|mdma)", 0.3),
)
_HATE: Final = (
    # safetype has slurs and "should die".
    ("hate.hate", f"(i|we|fucking|they) (fucking|really|just)? hate (all|these|those|the|fucking)? {_GROUPS}", 0.8),
    ("hate.animals", f"{_GROUPS} are (all|just|nothing|like)? (but)? {_VERMIN}", 0.9),
    ("hate.gas", f"(gas|kill|deport|exterminate|shoot|hang) {_ALL_THE} {_GROUPS}", 0.9),
    ("hate.back", "go back to (your|where) (own|you)? (country|jungle|came)", 0.6),
)
_MINOR: Final = (
    ("minor.porn", f"{_MINORS} (porn*|nudes|erotica)", 0.9),
    ("minor.sex", f"(sex|sleep|sleeping) with (a|an|the|this|your|my)? (young|little)? {_CHILDREN}", 0.9),
)

PHRASES: Final = tuple(
    Phrase(id_, pattern, category, score)
    for category, phrases in (
        (Category.VIOLENCE, _THREATS),
        (Category.WEAPON, _WEAPONS),
        (Category.SELF_HARM, _SELF_HARM),
        (Category.DRUGS, _DRUGS),
        (Category.HATE, _HATE),
        (Category.MINOR, _MINOR),
    )
    for id_, pattern, score in phrases
)
"""Every phrase."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Words that a rule found."""

    label: str
    category: Category
    score: float
    term: str


_MASKED: Final = re.compile(r"(?<![\w*])(?:[a-z]+\*{2,}[a-z]*|[a-z]+\*[a-z]+|\*{3,}[a-z]*)(?![\w*])", re.IGNORECASE)
"""A word with stars in it, as transcribers write what they will not write: f***, f**king, s*it, ****."""
_BLEEPED: Final = re.compile(
    r"[\[(](?:bleep(?:s|ed|ing)?|expletive|censored|profanity|swearing)[^\])]{0,20}[\])]", re.IGNORECASE
)
_MASKED_SCORE: Final = 0.6
"""Certain to be an expletive, not which."""

_EMAIL: Final = re.compile(
    r"(?<![\w.])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{2,63}){1,3}(?!\w)"
    r"|\b\w{2,64} at \w{2,63} dot (?:com|org|net|edu|gov|io|co|uk|de|fr)\b",
    re.IGNORECASE,
)
"""Whisper writes an address as it is spoken."""
_PHONE: Final = re.compile(
    r"(?<![\d.-])(?:\+?1[ .-]{1,2})?\(?[2-9]\d{2}\)?[ .-]{1,2}\d{3}[ .-]{1,2}\d{4}(?![\d-])"
    r"|(?<![\d+])\+[1-9](?:[ .-]?\d){8,13}(?!\d)"
)
_SSN: Final = re.compile(r"(?<![\d-])(?!000|666|9)\d{3}[ -](?!00)\d{2}[ -](?!0000)\d{4}(?![\d-])")
_CARD: Final = re.compile(r"(?<!\d)\d(?:[ ,.-]{0,2}\d){12,18}(?!\d)")


def masked_words(text: str) -> Iterator[Hit]:
    """Yield expletives that a transcriber starred out or bleeped."""
    for pattern in (_MASKED, _BLEEPED):
        for match in pattern.finditer(text):
            yield Hit("masked", Category.PROFANITY, _MASKED_SCORE, match[0])


def personal_data(text: str) -> Iterator[Hit]:
    """Yield e-mail addresses, telephone, social security and payment card numbers; cards by their check digit."""
    for match in _EMAIL.finditer(text):
        yield Hit("pii.email", Category.PII, 0.8, match[0])
    for match in _PHONE.finditer(text):
        yield Hit("pii.phone", Category.PII, 0.6, match[0])
    for match in _SSN.finditer(text):
        yield Hit("pii.ssn", Category.PII, 0.8, match[0])
    for match in _CARD.finditer(text):
        if has_check_digit(match[0]):
            yield Hit("pii.card", Category.PII, 0.9, match[0])


def has_check_digit(number: str) -> bool:
    """Return whether the digits in `number` end in their Luhn check digit (ISO/IEC 7812-1)."""
    digits = [int(char) for char in number if char.isascii() and char.isdigit()]
    doubled = [digit if place % 2 == 0 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(reversed(digits))]
    return any(digits) and sum(doubled) % 10 == 0
