"""What the demo's players bet on, how much, and how long they think. Chance is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final


@dataclass(frozen=True)
class Selection:
    """Something to bet on. `odds_milli`: what a won bet pays, stake included, in thousandths of the stake;
    `chance`: of winning, such that the house keeps a few per cent."""

    game: str
    name: str
    odds_milli: int
    chance: float


SELECTIONS: Final = (
    Selection("Roulette", "Red", 2_000, 18 / 37),
    Selection("Roulette", "Black", 2_000, 18 / 37),
    Selection("Roulette", "Number 17", 36_000, 1 / 37),
    Selection("Blackjack", "Table 3", 2_000, 0.48),
    Selection("Football", "Lyon beat Porto", 2_450, 0.39),
    Selection("Football", "Ajax and Celtic draw", 3_400, 0.28),
    Selection("Derby", "Sea Biscuit", 6_500, 0.15),
)


@dataclass(frozen=True)
class Character:
    """How somebody plays. Money in minor units; `thinks_s` is the median pause between two bets."""

    balance: int
    stakes: tuple[int, ...]
    thinks_s: float

    def stake(self, rng: Random) -> int:
        """Of the next bet."""
        return rng.choice(self.stakes)

    def pause_s(self, rng: Random) -> float:
        """Before the next bet: mostly near the median, now and then much longer, as people's are."""
        return self.thinks_s * rng.lognormvariate(0, 0.6)


CAREFUL: Final = Character(100_000, (100, 200, 500), 3.0)
KEEN: Final = Character(250_000, (500, 1_000, 2_000, 5_000), 1.2)
BROKE: Final = Character(1_000, (200, 500, 1_000), 4.0)
"""Soon bets what he does not have."""


def character(number: int) -> Character:
    """Of the player with that number: of twelve, eight are careful, three are keen, and one is broke."""
    return (*[CAREFUL] * 8, *[KEEN] * 3, BROKE)[number % 12]


def payout(stake: int, selection: Selection, rng: Random) -> int:
    """What a bet pays, in minor units: 0 if it is lost. Fractions of a minor unit stay with the house."""
    return stake * selection.odds_milli // 1000 if rng.random() < selection.chance else 0
