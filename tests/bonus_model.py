"""Bonus money and free bets once more: each is the list of what happened to it, and the rest follows.

A bonus wallet is known by the wallet that it stands beside. A free bet is open if nothing has happened to it,
or if what happened last gave it back. Amounts are minor units, times microseconds of the block clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.model_answers import MOST, Answer, Known, Request, no, reasons

if TYPE_CHECKING:
    from tests.wallet_model import Wallets

Row = tuple[Any, ...]


class Bonuses:
    """All bonus wallets and free bets of a file."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets
        self._beside: dict[int, int] = {}
        self._happened: dict[int, list[Known]] = {}
        self.free_bets: dict[int, Known] = {}

    # -- bonus money

    def beside(self, user: int) -> int | None:
        """The bonus wallet beside this wallet."""
        return self._beside.get(user)

    def part_of(self, user: int, stake: int) -> int:
        """How much of a stake is paid out of bonus money, by the order in which it is spent."""
        bonus = self._beside.get(user)
        if bonus is None or not self._is_alive(bonus):
            return 0
        own, extra = self._wallets.available(user), self._wallets.available(bonus)
        needed = {"first": stake, "last": max(0, stake - own)}[self.terms(bonus)["spend"]]
        return min(needed, extra)

    def terms(self, bonus: int) -> Known:
        """The terms of all that is in a bonus wallet: those of the newest grant."""
        return [each for each in self._happened[bonus] if each["what"] == "granted"][-1]

    def has_ended(self, user: int) -> bool:
        """Whether this is a bonus wallet that has expired and was granted nothing since."""
        return user in self._happened and [each["what"] for each in self._happened[user]][-1:] == ["expired"]

    def is_shut(self, user: int, *, gets: bool) -> bool:
        """Whether this is a bonus wallet that no transfer may touch, or put anything into."""
        owner = next((each for each, bonus in self._beside.items() if bonus == user), None)
        if owner is None:
            return False
        is_closed = self._wallets.accounts[owner]["status"] != "open"
        is_late = gets and not self._is_alive(user)
        self._wallets.seen["a transfer beside a wallet that is not open"] += is_closed
        self._wallets.seen["a transfer into a bonus whose time has come"] += is_late
        return is_closed or is_late

    def grant(self, ask: Request) -> Answer:
        wallets, user, amount = self._wallets, ask["user"], ask["amount"]
        why = wallets.closed_to(user) | reasons(INVALID_REQUEST=self._is_past(ask["expires_at"]))
        bonus = self._beside.get(user, 0)
        lasting, overdue = self._parts(bonus)
        if "ACCOUNT_NOT_FOUND" not in why:
            book = wallets.book("bonus", wallets.accounts[user]["currency"])
            why |= reasons(
                LIMIT_EXCEEDED=wallets.is_out(user) or lasting + amount > MOST,
                INSUFFICIENT_FUNDS=wallets.available(book) < amount,
            )
        if why:
            wallets.seen["a grant beyond the floor of the bonus book"] += why == {"INSUFFICIENT_FUNDS"}
            return no(why, wallets.shown(user))
        if not bonus:
            account = wallets.accounts[user]
            bonus = self._beside[user] = wallets.new_wallet(
                "player_bonus", account["currency"], account["participant"]
            )
            self._happened[bonus] = []
        wallets.seen["a grant to a bonus that had expired"] += self.has_ended(bonus)
        wallets.seen["a grant before the clock has come"] += overdue > 0
        terms = {"what": "granted", "spend": ask["spend"], "until": ask["expires_at"] or 0}
        given = (bonus, amount, "BONUS", None), (book, -amount, "BONUS", None)
        return self._tell(bonus, terms, *self.forfeit(bonus, overdue), *given)

    def expire(self, ask: Request) -> Answer:
        wallets, bonus = self._wallets, ask["user"]
        if bonus not in self._happened:
            return no({"NOT_FOUND"})
        terms = self.terms(bonus)
        if self.has_ended(bonus) or not self._is_past(terms["until"] or None):
            return no({"INVALID_REQUEST"}, wallets.wallet(bonus))
        return self._tell(bonus, terms | {"what": "expired"}, *self.forfeit(bonus, wallets.balance[bonus]))

    def forfeit(self, bonus: int, amount: int) -> list[tuple[int, int, str, str | None]]:
        """The legs that take bonus money back."""
        book = self._wallets.book("bonus", self._wallets.accounts[bonus]["currency"])
        return [(bonus, -amount, "EXPIRY", str(bonus)), (book, amount, "EXPIRY", str(bonus))]

    # -- free bets

    def offer(self, ask: Request) -> Answer:
        wallets, user = self._wallets, ask["user"]
        why = wallets.closed_to(user) | reasons(
            INVALID_REQUEST=self._is_past(ask["expires_at"]),
            LIMIT_EXCEEDED=user in wallets.accounts and wallets.is_out(user),
        )
        if why:
            return no(why, wallets.shown(user))
        id_, until = wallets.transactions + 1, ask["expires_at"] or 0
        terms = {"user": user, "currency": wallets.accounts[user]["currency"], "amount": ask["amount"]}
        self.free_bets[id_] = {"id": id_, **terms, "until": until, "happened": []}
        return wallets.post(user) | {"free_bet": self.told(id_, 0)}

    def revoke(self, ask: Request) -> Answer:
        return self._end(ask["free"], "revoked")

    def lapse(self, ask: Request) -> Answer:
        return self._end(ask["free"], "expired")

    def pays(self, free: int, user: int, stake: int) -> bool:
        """Whether this free bet is the player's, may be used now and is of this amount."""
        offer = self.free_bets.get(free)
        return offer is not None and (
            (offer["user"], offer["amount"], self.state_of(free), self._is_past(offer["until"] or None))
            == (user, stake, "open", False)
        )

    def state_of(self, free: int) -> str:
        """What has become of a free bet."""
        happened = self.free_bets[free]["happened"]
        last = happened[-1][0] if happened else "open"
        return "open" if last == "given back" else str(last)

    def note(self, free: int, what: str) -> Known:
        """The next transaction does this to a free bet; it as an answer shows it."""
        happened = self.free_bets[free]["happened"]
        before = happened[-1][1] if happened else 0
        happened.append((what, self._wallets.transactions + 1))
        return self.told(free, before)

    def told(self, free: int, before: int) -> Known:
        amount = self.free_bets[free]["amount"]
        return {"id": free, "state": self.state_of(free), "amount": amount, "before": before}

    # -- as the file has them

    def bonus_rows(self) -> list[Row]:
        """user_id, wallet_id, spend, expires_at, state, last_transaction_id."""
        return sorted(
            (
                *(bonus, user, self.terms(bonus)["spend"], self.terms(bonus)["until"]),
                "expired" if self.has_ended(bonus) else "open",
                self._happened[bonus][-1]["transaction"],
            )
            for user, bonus in self._beside.items()
        )

    def free_bet_rows(self) -> list[Row]:
        """id, user_id, currency, amount, expires_at, state, last_transaction_id."""
        return [
            (
                *(id_, each["user"], each["currency"], each["amount"], each["until"]),
                self.state_of(id_),
                each["happened"][-1][1] if each["happened"] else 0,
            )
            for id_, each in self.free_bets.items()
        ]

    # -- how

    def _end(self, free: int, what: str) -> Answer:
        offer = self.free_bets.get(free)
        if offer is None:
            return no({"NOT_FOUND"})
        why = reasons(
            INVALID_REQUEST=what == "expired" and not self._is_past(offer["until"] or None),
            BET_CLOSED=self.state_of(free) != "open",
        )
        if why:
            return no(why, self._wallets.wallet(offer["user"]))
        told = self.note(free, what)
        return self._wallets.post(offer["user"]) | {"free_bet": told}

    def _tell(self, bonus: int, terms: Known, *legs: Any) -> Answer:
        happened = self._happened[bonus]
        before = happened[-1]["transaction"] if happened else 0
        answer = self._wallets.post(bonus, *legs)
        happened.append(terms | {"transaction": answer["transaction"]})
        state = "expired" if self.has_ended(bonus) else "open"
        told = {"user": bonus, "state": state, "spend": terms["spend"], "until": terms["until"]}
        return answer | {"bonus": told | {"before": before}}

    def _parts(self, bonus: int) -> tuple[int, int]:
        """What is in a bonus wallet, if there is one: what may still be spent, and what may not any more."""
        amount = self._wallets.balance[bonus]
        return (amount, 0) if bonus and self._is_alive(bonus) else (0, amount)

    def _is_alive(self, bonus: int) -> bool:
        return not self.has_ended(bonus) and not self._is_past(self.terms(bonus)["until"] or None)

    def _is_past(self, until: int | None) -> bool:
        return until is not None and until <= self._wallets.at
