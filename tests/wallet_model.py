"""The wallet once more, written differently: dictionaries, strings and integers, and nothing of the engine's.

It keeps what happened and derives the rest: what a player owes is what the receivable book has lent him, what
is held is what is left of his holds, a bet's state is the last thing that happened to it. A request is a
dictionary that says what to `do`; all reasons against it are collected, in any order, and the one that stands
first in `PRECEDENCE` is the answer. Amounts are minor units, times microseconds.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.bet_model import Bets
from tests.bonus_model import Bonuses
from tests.limit_model import Limits
from tests.model_answers import MOST, Answer, Known, Request, Why, again_if_same, no, reasons, yes
from tests.payout_model import CLEARING, Payouts

Leg = tuple[int, int, str, str | None]
"""Who gets how much, under what name and reference; None: the transaction itself."""

KEPT = ("receivable", "clearing", "suspense")
"""Books whose balance means something, so that no transfer may name them."""

BONUS_BOOKS = 2_251_799_813_685_248
"""2^51: the bonus book of the currency whose house is 1 is this and 1."""

OF_A_BET = ("settle", "unsettle", "rollback", "cashout")


class Wallets:
    """All accounts of a file, and what has happened to them since they were empty."""

    def __init__(self, accounts: dict[int, dict[str, Any]], items_at_once: int) -> None:
        """`accounts`: by id, with `kind`, `currency` and `floor`. `items_at_once`: see `Payouts`."""
        self.accounts = {
            id_: {**account, "status": "open", "participant": id_ if account["kind"] == "player" else None}
            for id_, account in accounts.items()
        }
        self.ledger: list[tuple[int, int, str, str, int]] = []  # user, amount, name, reference, transaction
        self.balance: Counter[int] = Counter()
        self.newest: Counter[int] = Counter()  # entry of a user
        self.transactions = 0
        self.bets = Bets(self)
        self.holds: dict[int, Known] = {}
        self.limits = Limits()
        self.bonuses = Bonuses(self)
        self.seen: Counter[str] = Counter()
        """What a run is worth little without: how often it came about."""
        self.payouts = Payouts(self, items_at_once)
        self.answers: dict[tuple[str, str], tuple[Known, Answer]] = {}
        self._opened_now: set[int] = set()
        self.now = self.at = self._sealed_at = self._sealed = 0

    def begin_batch(self, now: int) -> None:
        """The wall clock says `now`. Block time, `at`, never runs back behind a batch that stands."""
        if self.transactions > self._sealed:
            self._sealed_at, self._sealed = self.at, self.transactions
        self._opened_now.clear()
        self.now, self.at = now, max(now, self._sealed_at)

    def ask(self, request: Request, objection: str | None = None) -> Answer:
        """The answer, after which the wallets are what it says."""
        if request["do"] == "place":
            return self.bets.place(request, objection)
        terms = {name: value for name, value in request.items() if name not in ("key", "caller")}
        name = f"{request['caller']}:{request['do']}", request["key"]
        if name in self.answers:
            return again_if_same(terms, *self.answers[name])
        if objection is not None:
            return no({objection})
        kind, _, step = request["do"].partition(".")
        homes = {"payout": self.payouts, "bonus": self.bonuses, **dict.fromkeys(OF_A_BET, self.bets)}
        do = getattr(homes[kind], step or kind) if kind in homes else getattr(self, f"_{kind}")
        answer: Answer = do(request)
        if answer["code"] is None and not answer["replayed"]:
            self.answers[name] = terms, answer
        return answer

    # -- what is derived

    def held(self, user: int) -> int:
        return sum(left_of(hold) for hold in self.holds.values() if hold["user"] == user)

    def owed(self, user: int) -> int:
        return -sum(amount for _, amount, *why, _ in self.ledger if why == ["RECEIVABLE", str(user)])

    def available(self, user: int) -> int:
        floor: int = self.accounts[user]["floor"]
        return self.balance[user] - self.held(user) - floor

    def is_overdrawn_by(self, legs: list[Leg]) -> bool:
        """Whether all of them together would take somebody beyond his floor."""
        net: Counter[int] = Counter()
        for user, amount, *_ in legs:
            net[user] += amount
        return any(amount < 0 and self.available(user) + amount < 0 for user, amount in net.items())

    def is_new(self, user: int) -> bool:
        """Whether this wallet was opened in the batch that is being decided."""
        return user in self._opened_now

    def is_out(self, user: int) -> bool:
        """Whether he who owns this wallet keeps himself out of all of his."""
        return self.at < self.limits.out_until(self.accounts[user]["participant"] or user)

    def wallet(self, user: int) -> list[int]:
        """Newest entry, balance, held, available."""
        return [self.newest[user], self.balance[user], self.held(user), self.available(user)]

    # -- money in, out and across

    def _deposit(self, ask: Request) -> Answer:
        user, amount = ask["user"], ask["amount"]
        why = self.closed_to(user)
        if why:
            return no(why, self.shown(user))
        cash = self.book("cash", self.accounts[user]["currency"])
        why = reasons(
            LIMIT_EXCEEDED=self.balance[user] + amount > MOST
            or self.is_out(user)
            or self.limits.stop_deposit(user, self.at, amount),
            INSUFFICIENT_FUNDS=self.available(cash) < amount,
        )
        if why:
            return no(why, self.wallet(user))
        self.limits.note(user, self.at, "deposited", amount)
        return self.post(user, (user, amount, "DEPOSIT", None), (cash, -amount, "DEPOSIT", None))

    def _withdraw(self, ask: Request) -> Answer:
        user, amount = ask["user"], ask["amount"]
        why = self.closed_to(user)
        if not why:
            why = reasons(INSUFFICIENT_FUNDS=self.available(user) < amount)
        if why:
            return no(why, self.shown(user))
        if ask["for_approval"]:
            return self._set_aside(user, amount, "withdrawal", 0)
        cash = self.book("cash", self.accounts[user]["currency"])
        return self.post(user, (user, -amount, "WITHDRAWAL", None), (cash, amount, "WITHDRAWAL", None))

    def _transfer(self, ask: Request) -> Answer:
        legs = ask["legs"]
        net: Counter[int] = Counter()
        after = []  # each leg: what it moves, and what its account then has more than before
        for user, amount, _ in legs:
            net[user] += amount
            after.append((user, amount, net[user]))
        known = {user: self.accounts[user] for user in net if user in self.accounts}
        players = [user for user, account in known.items() if account["participant"]]
        gifts = {
            user: net[user]
            for user in players
            if net[user] > 0
            and any(
                net[other] < 0 and known[other]["participant"] != known[user]["participant"]
                for other in players
            )
        }
        is_kept = any(account["kind"] in KEPT for account in known.values())
        is_odd = len(legs) < 2 or net.total() != 0 or any(not amount for _, amount, _ in legs)
        why = reasons(
            INVALID_REQUEST=is_odd or is_kept,
            ACCOUNT_NOT_FOUND=len(known) < len(net),
            ACCOUNT_BLOCKED=any(account["status"] != "open" for account in known.values())
            or any(self.bonuses.is_shut(user, gets=amount > 0) for user, amount, _ in legs),
            CURRENCY_MISMATCH=len({account["currency"] for account in known.values()}) > 1,
            LIMIT_EXCEEDED=any(
                user in players and amount > 0 and self.balance[user] + more > MOST
                for user, amount, more in after
            )
            or any(
                self.is_out(user) or self.limits.stop_deposit(user, self.at, amount)
                for user, amount in gifts.items()
            ),
            INSUFFICIENT_FUNDS=any(
                user in known and amount < 0 and self.available(user) + more < 0
                for user, amount, more in after
            ),
        )
        if why:
            return no(why)
        for user, amount in gifts.items():
            self.limits.note(user, self.at, "deposited", amount)
            self.seen["a gift that a limit counts"] += self.limits.is_limited(user)
        alone = players[0] if len(players) == 1 and known[players[0]]["kind"] == "player" else None
        return self.post(alone, *((user, amount, name, None) for user, amount, name in legs))

    def _status(self, ask: Request) -> Answer:
        user, status = ask["user"], ask["status"]
        why = self.closed_to(user) & {"ACCOUNT_NOT_FOUND"}
        if status == "closed":
            rest = self.balance[user], self.owed(user), self.balance[self.bonuses.beside(user) or 0]
            why |= reasons(LIMIT_EXCEEDED=any(rest))
        if why:
            return no(why, self.shown(user))
        bonus = self.bonuses.beside(user)
        self.seen["a wallet closed whose bonus owes"] += (
            status == "closed" and bonus is not None and self.owed(bonus) > 0
        )
        self.accounts[user]["status"] = status
        return self.post(user)

    def _wallet(self, ask: Request) -> Answer:
        currency, participant = ask["currency"], ask["participant"]
        whose = {account["participant"] for account in self.accounts.values()} - {None}
        why = reasons(
            ACCOUNT_NOT_FOUND=participant is not None and participant not in whose,
            CURRENCY_MISMATCH=currency not in {account["currency"] for account in self.accounts.values()},
        )
        if why:
            return no(why)
        id_ = self.new_wallet("player", currency, participant)
        told = {"user": id_, "participant": participant or id_, "currency": currency}
        return self.post(id_) | {"opened": told}

    def _floor(self, ask: Request) -> Answer:
        book, floor = ask["user"], ask["floor"]
        if self.accounts.get(book, {}).get("participant", 1) or book >= CLEARING:
            return no({"ACCOUNT_NOT_FOUND"})
        if self.balance[book] < floor:
            return no({"INSUFFICIENT_FUNDS"})
        self.accounts[book]["floor"] = floor
        return self.post(None) | {"floor": {"user": book, "floor": floor}}

    def new_wallet(self, kind: str, currency: str, participant: int | None) -> int:
        """An empty one, of the next number; of somebody new if that is None."""
        id_ = 1 + max(known for known in self.accounts if known < BONUS_BOOKS)
        self.accounts[id_] = {"kind": kind, "currency": currency, "floor": 0, "status": "open"}
        self.accounts[id_]["participant"] = participant or id_
        self._opened_now.add(id_)
        return id_

    # -- what a player allows himself

    def _limit(self, ask: Request) -> Answer:
        user = ask["user"]
        why = self.closed_to(user) & {"ACCOUNT_NOT_FOUND"}
        if why:
            return no(why)
        told = self.limits.ask(user, self.at, ask["kind"], ask["period"], ask["amount"])
        return self.post(user) | {"limit": told}

    def _exclude(self, ask: Request) -> Answer:
        user, until = ask["user"], ask["until"]
        why = self.closed_to(user) & {"ACCOUNT_NOT_FOUND"} | reasons(INVALID_REQUEST=until <= self.at)
        person = self.accounts.get(user, {}).get("participant") or user
        if user in self.accounts:
            why |= reasons(LIMIT_EXCEEDED=self.is_out(user) and self.limits.out_until(person) > until)
        if why:
            return no(why, self.shown(person))
        return self.post(person) | {"limit": self.limits.exclude(person, until)}

    # -- money set aside

    def _hold(self, ask: Request) -> Answer:
        user, amount, until = ask["user"], ask["amount"], ask["expires_at"]
        why = self.closed_to(user) | reasons(INVALID_REQUEST=until is not None and until <= self.at)
        if user in self.accounts:
            why |= reasons(INSUFFICIENT_FUNDS=self.available(user) < amount)
        return no(why, self.shown(user)) if why else self._set_aside(user, amount, "hold", until or 0)

    def _set_aside(self, user: int, amount: int, purpose: str, until: int) -> Answer:
        id_ = self.transactions + 1
        self.holds[id_] = {"user": user, "purpose": purpose, "amount": amount, "until": until, "happened": []}
        return self.post(user) | {"hold": {"id": id_, "state": "open", "left": amount, "before": 0}}

    def _capture(self, ask: Request) -> Answer:
        return self._take_off(ask["hold"], "captured", ask["amount"])

    def _release(self, ask: Request) -> Answer:
        return self._take_off(ask["hold"], "released")

    def _expire(self, ask: Request) -> Answer:
        return self._take_off(ask["hold"], "expired")

    def _take_off(self, id_: int, what: str, part: int | None = None) -> Answer:
        hold = self.holds.get(id_)
        if hold is None:
            return no({"NOT_FOUND"})
        user, left = hold["user"], left_of(hold)
        amount = left if part is None else part
        is_due = 0 < hold["until"] <= self.at
        why = reasons(
            INVALID_REQUEST=what == "expired" and not is_due,
            HOLD_CLOSED=not left or (what == "captured" and is_due),
            INSUFFICIENT_FUNDS=amount > left,
        )
        if why:
            return no(why, self.wallet(user))
        before = hold["happened"][-1][2] if hold["happened"] else 0
        hold["happened"].append((what, amount, self.transactions + 1))
        kind, name = {"hold": ("house", "CAPTURE"), "withdrawal": ("cash", "WITHDRAWAL")}[hold["purpose"]]
        book = self.book(kind, self.accounts[user]["currency"])
        legs = [(user, -amount, name, str(id_)), (book, amount, name, str(id_))] if what == "captured" else []
        told = {"id": id_, "state": hold_state_of(hold), "left": left - amount, "before": before}
        return self.post(user, *legs) | {"hold": told}

    # -- the books

    def book(self, kind: str, currency: str) -> int:
        wanted = {"kind": kind, "currency": currency}.items()
        (book,) = (id_ for id_, account in self.accounts.items() if wanted <= account.items())
        return book

    def closed_to(self, user: int) -> Why:
        account = self.accounts.get(user, {"kind": "nobody", "status": "open"})
        is_player = account["kind"] == "player"
        return reasons(ACCOUNT_NOT_FOUND=not is_player, ACCOUNT_BLOCKED=account["status"] != "open")

    def shown(self, user: int) -> list[int] | None:
        return self.wallet(user) if user in self.accounts else None

    def post(self, shown: int | None, *legs: Leg) -> Answer:
        """Move the money, which is there; a reference of None is the transaction itself."""
        self.transactions += 1
        moved = []
        for user, amount, name, reference in legs:
            if amount:
                moved.append((user, amount, name, reference or str(self.transactions)))
                self.ledger.append((*moved[-1], self.transactions))
                self.balance[user] += amount
                self.newest[user] = len(self.ledger)
        wallet = None if shown is None else self.wallet(shown)
        return {**yes(), "transaction": self.transactions, "wallet": wallet, "moved": moved}


def left_of(hold: Known) -> int:
    """What of a hold is still set aside."""
    left: int = hold["amount"] - sum(amount for _, amount, _ in hold["happened"])
    return left


def hold_state_of(hold: Known) -> str:
    """What has become of a hold."""
    return "open" if left_of(hold) else str(hold["happened"][-1][0])
