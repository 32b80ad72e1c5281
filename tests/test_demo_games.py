"""Players of the demo are believable: the house keeps a little, most are careful, some are broke."""

from __future__ import annotations

from random import Random
from statistics import median

import pytest

from demo.games import BROKE, CAREFUL, KEEN, SELECTIONS, Character, Selection, character, payout


@pytest.mark.parametrize("selection", SELECTIONS, ids=lambda each: each.name)
def test_the_house_keeps_a_few_per_cent(selection: Selection) -> None:
    assert 0.85 < selection.odds_milli / 1000 * selection.chance < 0.99


def test_a_won_bet_pays_its_odds_and_nothing_is_rounded_up() -> None:
    sure, hopeless = Selection("g", "s", 2_450, 1.0), Selection("g", "s", 2_450, 0.0)
    assert payout(101, sure, Random(1)) == 247
    assert payout(101, hopeless, Random(1)) == 0


def test_of_twelve_players_one_is_broke() -> None:
    twelve = [character(number) for number in range(12)]
    assert [twelve.count(kind) for kind in (CAREFUL, KEEN, BROKE)] == [8, 3, 1]
    assert [character(number + 12) for number in range(12)] == twelve


@pytest.mark.parametrize("kind", [CAREFUL, KEEN, BROKE])
def test_people_think_before_they_bet(kind: Character) -> None:
    rng = Random(7)
    pauses = [kind.pause_s(rng) for _ in range(1000)]
    assert min(pauses) > 0
    assert median(pauses) == pytest.approx(kind.thinks_s, rel=0.1)
    assert {kind.stake(rng) for _ in range(100)} == set(kind.stakes)
