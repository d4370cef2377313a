from __future__ import annotations

from batch_scan.report.reasons import MEANINGS
from batch_scan.vocabulary import Reason


def test_every_reason_has_a_meaning_that_fits_its_table() -> None:
    assert set(MEANINGS) == set(Reason)
    assert all(0 < len(meaning.what) <= 50 for meaning in MEANINGS.values())


def test_every_reason_but_the_users_own_choice_says_what_to_do() -> None:
    assert [reason for reason, meaning in MEANINGS.items() if not meaning.mend] == [Reason.EXCLUDED]
