"""The wallets of people, their bonus money and their free bets, followed through history in order. Pure.

Of each bonus wallet and each free bet only what was told last is kept, of a bonus wallet what is in it, and
which wallets were opened: so memory is bounded by their number, and what each transaction says can be held
against the one before it without looking that up. In the end their rows must be what was told last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from engine.checks import BonusRow, Finding, HolderRow
from engine.commands import (
    ExpireBonus,
    ExpireFreeBet,
    GrantBonus,
    GrantFreeBet,
    Keyed,
    OpenWallet,
    RevokeFreeBet,
    Spend,
)
from engine.leg_checks import Leg, Staked, expiry_legs, legs_of, other_legs
from engine.life_checks import (
    NOT_BEFORE,
    NOT_FOLLOWING,
    NOT_SAID,
    NOT_WHERE_TOLD,
    BetFound,
    answer_of,
    is_asked,
    is_refund,
    placed_of,
)
from engine.lifecycle import BONUSES, FREE_BETS, BonusEvent, BonusState, FreeBetEvent, FreeBetState, is_due
from engine.outcomes import Answer, BonusTold, FreeBetTold, Source, WalletTold
from engine.payout_checks import OTHER_TERMS
from engine.records import Bet, Entry, Transaction

NO_BONUS: Final = "it names a bonus wallet that there is not"
NO_FREE_BET: Final = "it names a free bet that there is not"
NO_ROW: Final = "its row is missing"
NO_GRANT: Final = "no transaction has granted it"
OTHER_BET: Final = "it is given back by another bet than the one that used it"
OTHER_SOURCE: Final = "who paid beside its wallet is not who may"
OTHER_WALLET: Final = "it is not the wallet that its transaction has opened"
OVER: Final = "its time had come, or had not yet"

_GRANTS: Final = frozenset({"BONUS", "FREE_BET", "REVOKE"})
_TIME_END_US: Final = 2**63


class FreeBetRow(NamedTuple):
    """A row of `free_bets`."""

    id: int
    user_id: int
    currency: str
    amount_minor: int
    expires_at_us: int
    state: str
    last_transaction_id: int


class _Bonus(NamedTuple):
    """What was told last of a bonus wallet, and by which transaction."""

    transaction_id: int
    state: str
    spend: str
    expires_at_us: int


class _FreeBet(NamedTuple):
    """Likewise of a free bet (0: it was only granted), and the newest bet that used it."""

    transaction_id: int
    state: str
    bet_id: str


class WalletsTold(NamedTuple):
    """What `WalletAudit` keeps of history, so that another run can go on from there."""

    in_bonus: dict[int, int]
    bonuses: dict[int, _Bonus]
    free_bets: dict[int, _FreeBet]
    opened: list[int]


class WalletAudit:
    """What history has told so far of wallets, bonuses and free bets. The rows are those of one snapshot, and
    history is read up to that one.
    """

    def __init__(
        self,
        users: Sequence[HolderRow],
        bonuses: Sequence[BonusRow],
        free_bets: Sequence[FreeBetRow],
        books: Mapping[tuple[str, str], int],
    ) -> None:
        self._users = {row.id: row for row in users}
        self._terms = {row.user_id: row for row in bonuses}
        self._beside = {row.wallet_id: row.user_id for row in bonuses}
        self._free_bets = {row.id: row for row in free_bets}
        self._books = books
        self.in_bonus = {row.id: 0 for row in users if row.kind == "player_bonus"}
        """What is in each bonus wallet, in minor units."""
        self._bonus_told: dict[int, _Bonus] = {}
        self._free_bet_told: dict[int, _FreeBet] = {}
        self._opened: set[int] = set()

    def told(self) -> WalletsTold:
        """What is kept of history so far."""
        return WalletsTold(self.in_bonus, self._bonus_told, self._free_bet_told, sorted(self._opened))

    def recall(self, told: WalletsTold) -> None:
        """Go on where another run stood."""
        self.in_bonus.update(told.in_bonus)
        self._bonus_told, self._free_bet_told = dict(told.bonuses), dict(told.free_bets)
        self._opened = set(told.opened)

    def again(self, transaction: Transaction, entries: Sequence[Entry]) -> Iterator[Finding]:
        """A transaction that was checked by an earlier run: are the rows that it made the same? Only their
        terms: what became of them is held against what was told last, by `check_rows`."""
        said = answer_of(transaction.answer) or Answer()
        if transaction.kind == "WALLET":
            yield from self.opened(transaction)
        elif transaction.kind == "BONUS" and said.bonus is not None:
            yield from self._bonus_terms(transaction, said.bonus, entries)
        elif transaction.kind == "FREE_BET":
            row = self._free_bets.get(transaction.id)
            if row is not None:
                yield from self._free_bet_terms(transaction, row)

    def count(self, entries: Sequence[Entry]) -> None:
        """Note what a transaction has moved, once it is checked."""
        for entry in entries:
            if entry.user_id in self.in_bonus:
                self.in_bonus[entry.user_id] += entry.amount_minor

    def opened(self, transaction: Transaction) -> Iterator[Finding]:
        """A wallet that was opened, by a WALLET transaction."""
        said = answer_of(transaction.answer)
        told = None if said is None else said.opened
        if told is None:
            yield _wrong("participant", transaction, NOT_SAID)
            return
        row = self._users.get(told.user_id)
        is_new = row is not None and row.kind == "player" and row.id not in self._opened
        if row is None or not is_new or told != WalletTold(row.id, row.participant_id or 0, row.currency):
            yield _wrong("participant", transaction, OTHER_WALLET)
            return
        self._opened.add(row.id)
        asked_id = None if row.participant_id == row.id else row.participant_id
        if not is_asked(transaction, OpenWallet(row.currency, asked_id, key="", caller="")):
            yield _wrong("participant", transaction, OTHER_TERMS)

    def granted(self, transaction: Transaction, entries: Sequence[Entry], at_us: int) -> Iterator[Finding]:
        """A transaction that grants or ends a bonus or a free bet (see `is_grant_or_end`). `at_us`: block
        time, by which they expire.
        """
        said = answer_of(transaction.answer) or Answer()
        legs: list[Leg] = []  # a free bet moves nothing until it is used
        if transaction.kind == "BONUS" or (transaction.kind == "EXPIRY" and said.bonus is not None):
            if said.bonus is None or said.bonus.user_id not in self.in_bonus or said.free_bet is not None:
                yield _wrong("bonus", transaction, NO_BONUS)
                return
            legs = self._bonus_legs(transaction, said.bonus, entries, at_us)
            yield from self._bonus_changed(transaction, said.bonus, entries, at_us)
        elif said.free_bet is None:
            yield _wrong("free_bet", transaction, NOT_SAID)
        elif transaction.kind == "FREE_BET":
            yield from self._free_bet_granted(transaction, said.free_bet, at_us)
        else:
            yield from self._free_bet_ended(transaction, said.free_bet, at_us)
        if legs_of(entries) != legs:
            yield other_legs(transaction)

    def placed(self, transaction: Transaction, bet: Bet | None, at_us: int) -> Iterator[Finding]:
        """A bet: who paid beside its wallet."""
        placed = placed_of(transaction.answer)
        if bet is None or placed is None or (placed.source is None and placed.free_bet is None):
            return
        source, told = placed.source, placed.free_bet
        if told is None:
            assert source is not None
            bonus = self._bonus_told.get(source.user_id)
            is_usable = (
                bonus is not None
                and bonus.state == BonusState.OPEN
                and not is_due(bonus.expires_at_us, at_us)
            )
            if not is_usable or self._beside.get(bet.user_id) != source.user_id:
                yield _wrong("bet", transaction, OTHER_SOURCE)
            return
        row = self._free_bets.get(told.id)
        is_usable = (
            row is not None
            and (row.user_id, row.currency, row.amount_minor) == (bet.user_id, bet.currency, bet.stake_minor)
            and not is_due(row.expires_at_us, at_us)
        )
        book_id = self._books.get(("bonus", bet.currency), 0)
        if not is_usable or source != Source(book_id, bet.stake_minor):
            yield _wrong("bet", transaction, OTHER_SOURCE)
        yield from self._moved(transaction, told, FreeBetEvent.USE, transaction.key)

    def became(self, transaction: Transaction, bet_id: str, found: BetFound) -> Iterator[Finding]:
        """What became of a bet: its free bet is given back with it, and used again."""
        placed, said = placed_of(found.placing_answer), answer_of(transaction.answer)
        own = None if placed is None else placed.free_bet
        told = None if said is None else said.free_bet
        moves = own is not None and is_refund(transaction.kind, found)
        if own is not None and transaction.kind == "CASHOUT":
            yield _wrong("bet", transaction, NOT_FOLLOWING)
        if moves != (told is not None) or (own is not None and told is not None and told.id != own.id):
            yield _wrong("free_bet", transaction, NOT_SAID)
        elif told is not None:
            event = FreeBetEvent.USE if transaction.kind == "UNSETTLE" else FreeBetEvent.GIVE_BACK
            yield from self._moved(transaction, told, event, bet_id)

    def staked(self, bet: tuple[int, str, int], found: BetFound) -> Staked:
        """Who paid for a bet, and what is there before the transaction that is being checked. `bet`: its
        player, currency and stake."""
        placed = placed_of(found.placing_answer)
        if placed is None or placed.source is None:
            return Staked(*bet)
        source_id = placed.source.user_id
        bonus = self._bonus_told.get(source_id)
        return Staked(
            *bet,
            source_id=source_id,
            source_minor=placed.source.amount_minor,
            is_free=placed.free_bet is not None,
            has_minor=self.in_bonus.get(source_id, 0),
            is_expired=bonus is not None and bonus.state == BonusState.EXPIRED,
        )

    def check_rows(self) -> Iterator[Finding]:
        """The rows of `bonuses` and `free_bets`, once history is read: they are what was told last."""
        for user_id in sorted(self._terms.keys() | self._bonus_told.keys()):
            row, bonus = self._terms.get(user_id), self._bonus_told.get(user_id)
            shown = None
            if row is not None:
                shown = _Bonus(row.last_transaction_id, row.state, row.spend, row.expires_at_us)
            if shown != bonus:
                yield {"check": "bonus", "user_id": user_id, "why": _why_apart(row, bonus)}
        for id_ in sorted(self._free_bets.keys() | self._free_bet_told.keys()):
            given, told = self._free_bets.get(id_), self._free_bet_told.get(id_)
            is_where_told = (
                given is not None
                and told is not None
                and (given.last_transaction_id, given.state) == (told.transaction_id, told.state)
            )
            if not is_where_told:
                yield {"check": "free_bet", "free_bet": id_, "why": _why_apart(given, told)}

    def _bonus_changed(
        self, transaction: Transaction, told: BonusTold, entries: Sequence[Entry], at_us: int
    ) -> Iterator[Finding]:
        prior = self._bonus_told.get(told.user_id)
        newest = _Bonus(transaction.id, told.state, told.spend, told.expires_at_us)
        self._bonus_told[told.user_id] = newest
        grants = transaction.kind == "BONUS"
        if told.before != (0 if prior is None else prior.transaction_id):
            yield _wrong("bonus", transaction, NOT_BEFORE)
        elif not _follows(prior, newest, grants=grants):
            yield _wrong("bonus", transaction, NOT_FOLLOWING)
        elif is_due(told.expires_at_us, at_us) == grants:
            yield _wrong("bonus", transaction, OVER)
        yield from self._bonus_terms(transaction, told, entries)

    def _bonus_terms(
        self, transaction: Transaction, told: BonusTold, entries: Sequence[Entry]
    ) -> Iterator[Finding]:
        """Whether it was asked for."""
        row, grants = self._terms.get(told.user_id), transaction.kind == "BONUS"
        command: Keyed = ExpireBonus(told.user_id, key="", caller="")
        if grants and row is not None and told.spend in _SPENDS:
            terms = (_given(entries), _SPENDS[told.spend], told.expires_at_us or None)
            command = GrantBonus(row.wallet_id, *terms, key="", caller="")
        if row is not None and not is_asked(transaction, command):
            yield _wrong("bonus", transaction, OTHER_TERMS)

    def _bonus_legs(
        self, transaction: Transaction, told: BonusTold, entries: Sequence[Entry], at_us: int
    ) -> list[Leg]:
        """How much is granted is not told: it is taken from `entries`, and is part of the fingerprint."""
        currency, name = self._users[told.user_id].currency, str(transaction.id)
        book_id = self._books.get(("bonus", currency), 0)
        over = expiry_legs(told.user_id, currency, self.in_bonus[told.user_id], book_id)
        if transaction.kind == "EXPIRY":
            return over
        prior = self._bonus_told.get(told.user_id)
        is_over = prior is not None and is_due(prior.expires_at_us, at_us)
        return [
            *(over if is_over else []),
            (told.user_id, currency, _given(entries), "BONUS", name),
            (book_id, currency, -_given(entries), "BONUS", name),
        ]

    def _free_bet_granted(self, transaction: Transaction, told: FreeBetTold, at_us: int) -> Iterator[Finding]:
        row = self._free_bets.get(transaction.id)
        if row is None:
            yield _wrong("free_bet", transaction, NO_ROW)
            return
        self._free_bet_told[row.id] = _FreeBet(0, told.state, "")
        if told != FreeBetTold(row.id, FreeBetState.OPEN, row.amount_minor):
            yield _wrong("free_bet", transaction, NOT_FOLLOWING)
        others = list(self._free_bet_terms(transaction, row))
        yield from others
        if not others and is_due(row.expires_at_us, at_us):
            yield _wrong("free_bet", transaction, OVER)

    def _free_bet_terms(self, transaction: Transaction, row: FreeBetRow) -> Iterator[Finding]:
        """Whether it was asked for."""
        holder = self._users.get(row.user_id)
        until_us = row.expires_at_us or None
        command = GrantFreeBet(row.user_id, row.amount_minor, until_us, key="", caller="")
        is_own = holder is not None and (holder.kind, holder.currency) == ("player", row.currency)
        if not is_own or not is_asked(transaction, command):
            yield _wrong("free_bet", transaction, OTHER_TERMS)

    def _free_bet_ended(self, transaction: Transaction, told: FreeBetTold, at_us: int) -> Iterator[Finding]:
        is_revoked = transaction.kind == "REVOKE"
        yield from self._moved(
            transaction, told, FreeBetEvent.REVOKE if is_revoked else FreeBetEvent.EXPIRE, ""
        )
        row = self._free_bets.get(told.id)
        if row is None:
            return
        if not is_revoked and not is_due(row.expires_at_us, at_us):
            yield _wrong("free_bet", transaction, OVER)
        command: type[RevokeFreeBet | ExpireFreeBet] = RevokeFreeBet if is_revoked else ExpireFreeBet
        if not is_asked(transaction, command(row.id, key="", caller="")):
            yield _wrong("free_bet", transaction, OTHER_TERMS)

    def _moved(
        self, transaction: Transaction, told: FreeBetTold, event: FreeBetEvent, bet_id: str
    ) -> Iterator[Finding]:
        """One step of a free bet along its table."""
        row, prior = self._free_bets.get(told.id), self._free_bet_told.get(told.id)
        if row is None or prior is None:
            yield _wrong("free_bet", transaction, NO_FREE_BET)
            return
        after = _AFTER.get((prior.state, event))
        if told.before != prior.transaction_id:
            yield _wrong("free_bet", transaction, NOT_BEFORE)
        elif (told.state, told.amount_minor) != (after, row.amount_minor):
            yield _wrong("free_bet", transaction, NOT_FOLLOWING)
        elif event is FreeBetEvent.GIVE_BACK and bet_id != prior.bet_id:
            yield _wrong("free_bet", transaction, OTHER_BET)
        self._free_bet_told[told.id] = _FreeBet(transaction.id, told.state, bet_id)


def is_grant_or_end(transaction: Transaction) -> bool:
    """Whether a transaction grants or ends a bonus or a free bet; an EXPIRY may also be that of a hold."""
    if transaction.kind != "EXPIRY":
        return transaction.kind in _GRANTS
    said = answer_of(transaction.answer) or Answer()
    return said.hold is None and (said.bonus is not None or said.free_bet is not None)


def _given(entries: Sequence[Entry]) -> int:
    """What a grant gives. It comes last, behind what was in the wallet if that had expired."""
    return max(1, entries[-2].amount_minor) if len(entries) > 1 else 1


def _follows(prior: _Bonus | None, newest: _Bonus, *, grants: bool) -> bool:
    """Whether a bonus may become this. Its first grant makes it; an expiry leaves its terms as they were."""
    if newest.spend not in _SPENDS or not 0 <= newest.expires_at_us < _TIME_END_US:
        return False
    if prior is None:
        return grants and newest.state == BonusState.OPEN
    event = BonusEvent.GRANT if grants else BonusEvent.EXPIRE
    keeps = grants or (newest.spend, newest.expires_at_us) == (prior.spend, prior.expires_at_us)
    return keeps and newest.state == _BONUS_AFTER.get((prior.state, event))


def _why_apart(row: object, told: object) -> str:
    return NO_ROW if row is None else NO_GRANT if told is None else NOT_WHERE_TOLD


def _wrong(check: str, transaction: Transaction, why: str) -> Finding:
    return {"check": check, "transaction_id": transaction.id, "why": why}


_SPENDS: Final = {spend.value: spend for spend in Spend}
_BONUS_AFTER: Final = {(state.value, event): after.value for (state, event), after in BONUSES.items()}
_AFTER: Final = {(state.value, event): after.value for (state, event), after in FREE_BETS.items()}
