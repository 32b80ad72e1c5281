"""The wallet once more, written differently: dictionaries, strings and integers, and nothing of the engine's.

It keeps what happened and derives the rest: what a player owes is what the receivable book has lent him, what
is held is what is left of his holds, a bet's state is the last thing that happened to it. A request is a
dictionary that says what to `do`; all reasons against it are collected, in any order, and the one that stands
first in `PRECEDENCE` is the answer. Amounts are minor units, times microseconds.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from limit_model import Limits
from model_answers import MOST, Answer, Known, Request, Why, again, again_if_same, no, reasons, yes
from payout_model import Payouts

Leg = tuple[int, int, str, str | None]
"""Who gets how much, under what name and reference; None: the transaction itself."""

STAYS_REFUSED = {
    "ACCOUNT_BLOCKED",
    "CURRENCY_MISMATCH",
    "BET_ROLLED_BACK",
    "LIMIT_EXCEEDED",
    "INSUFFICIENT_FUNDS",
}
"""DESIGN, `refusals`: a bet that was told so is told so for ever."""

KEPT = ("receivable", "clearing", "suspense")
"""Books whose balance means something, so that no transfer may name them."""

SENT_BEFORE, SENT_AFTER = -80_000_000, 10_000_000
ENDINGS = ("won", "lost", "void")


class Wallets:
    """All accounts of a file, and what has happened to them since they were empty."""

    def __init__(self, accounts: dict[int, dict[str, Any]], items_at_once: int) -> None:
        """`accounts`: by id, with `kind`, `currency` and `floor`. `items_at_once`: see `Payouts`."""
        self.accounts = {id_: {**account, "status": "open"} for id_, account in accounts.items()}
        self.ledger: list[tuple[int, int, str, str, int]] = []  # user, amount, name, reference, transaction
        self.balance: Counter[int] = Counter()
        self.newest: Counter[int] = Counter()  # entry of a user
        self.transactions = 0
        self.bets: dict[str, Known] = {}
        self.holds: dict[int, Known] = {}
        self.limits = Limits()
        self.payouts = Payouts(self, items_at_once)
        self.buried: dict[str, Answer] = {}
        self.refused: dict[str, tuple[Known, str, list[int]]] = {}
        self.answers: dict[tuple[str, str], tuple[Known, Answer]] = {}
        self.now = self.at = self._sealed_at = self._sealed = 0

    def begin_batch(self, now: int) -> None:
        """The wall clock says `now`. Block time, `at`, never runs back behind a batch that stands."""
        if self.transactions > self._sealed:
            self._sealed_at, self._sealed = self.at, self.transactions
        self.now, self.at = now, max(now, self._sealed_at)

    def ask(self, request: Request, objection: str | None = None) -> Answer:
        """The answer, after which the wallets are what it says."""
        if request["do"] == "place":
            return self._place(request, objection)
        terms = {name: value for name, value in request.items() if name not in ("key", "caller")}
        name = f"{request['caller']}:{request['do']}", request["key"]
        if name in self.answers:
            return again_if_same(terms, *self.answers[name])
        if objection is not None:
            return no({objection})
        kind, _, step = request["do"].partition(".")
        do = getattr(self.payouts, step) if kind == "payout" else getattr(self, f"_{kind}")
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

    def wallet(self, user: int) -> list[int]:
        """Newest entry, balance, held, available."""
        return [self.newest[user], self.balance[user], self.held(user), self.available(user)]

    # -- bets

    def _place(self, ask: Request, objection: str | None) -> Answer:
        user, bet_id, stake = ask["user"], ask["bet_id"], ask["stake"]
        account = self.accounts.get(user, {"kind": "nobody", "currency": None, "status": "open"})
        currency = ask["currency"] or account["currency"]
        terms = {"user": user, "stake": stake, "currency": currency}
        if bet_id in self.bets:
            return again_if_same(terms, self.bets[bet_id]["terms"], self.bets[bet_id]["answer"])
        if bet_id in self.refused:
            first_terms, code, shown = self.refused[bet_id]
            return again_if_same(terms, first_terms, no({code}, shown))
        is_player = account["kind"] == "player"
        if bet_id in self.buried:  # a known id is answered first, whatever else there is
            why = {"BET_ROLLED_BACK" if is_player else "ACCOUNT_NOT_FOUND"}
        else:
            why = reasons(
                STALE_REQUEST=not SENT_BEFORE <= ask["sent_at"] - self.now <= SENT_AFTER,
                ACCOUNT_NOT_FOUND=not is_player,
                ACCOUNT_BLOCKED=account["status"] != "open",
                CURRENCY_MISMATCH=currency != account["currency"],
                LIMIT_EXCEEDED=self.limits.stop_bet(user, self.at, stake),
                INSUFFICIENT_FUNDS=is_player and self.available(user) < stake,
            )
            why |= {objection} if objection else set()
        if why:
            refusal = no(why)
            if refusal["code"] in STAYS_REFUSED:
                refusal["wallet"] = self.wallet(user)
                if not objection:
                    self.refused[bet_id] = terms, refusal["code"], [0, *self.wallet(user)[1:]]
            return refusal
        house = self.book("house", currency)
        self.limits.note(user, self.at, "staked", stake)
        answer = self.post(user, (user, -stake, "BET", bet_id), (house, stake, "BET", bet_id))
        self.bets[bet_id] = {**terms, "terms": terms, "answer": answer, "happened": []}
        return answer

    def _settle(self, ask: Request) -> Answer:
        result, payout = ask["result"], ask["payout"]
        bet, why = self._live(ask["bet_id"])
        left = bet["stake"] - state_of(bet)["cashed"] if bet else 0
        is_live = bet is not None and state_of(bet)["state"] == "confirmed"
        is_wrong_void = result == "void" and is_live and payout not in (None, left)
        why |= reasons(INVALID_REQUEST=(result == "won" and payout is None) or is_wrong_void)
        pays = left if result == "void" else payout or 0
        return self._end(why, bet, result, pays, left)

    def _cashout(self, ask: Request) -> Answer:
        bet, why = self._live(ask["bet_id"])
        if bet and state_of(bet)["state"] == "confirmed":
            why |= reasons(INVALID_REQUEST=ask["stake"] > bet["stake"] - state_of(bet)["cashed"])
        return self._end(why, bet, "cashed_out", ask["payout"], ask["stake"])

    def _rollback(self, ask: Request) -> Answer:
        bet_id = ask["bet_id"]
        if bet_id in self.buried:
            return again(self.buried[bet_id])
        bet, why = self._live(bet_id)
        if bet is None:
            self.transactions += 2  # the rollback itself, and what takes the bet's place
            told = {**_told(bet_id, "rolled_back"), "stake": ask["stake"] or 0}
            self.buried[bet_id] = {**yes(), "transaction": self.transactions - 1, "bet": told}
            return self.buried[bet_id]
        mismatch = reasons(
            NOT_FOUND=ask["user"] not in (None, bet["user"]),
            IDEMPOTENCY_CONFLICT=ask["stake"] not in (None, bet["stake"]),
            CURRENCY_MISMATCH=ask["currency"] not in (None, bet["currency"]),
        )
        told = state_of(bet)
        if told["state"] == "rolled_back" and not mismatch:
            return again(bet["happened"][-1]["answer"])
        why |= mismatch | reasons(BET_CLOSED=told["cashed"] > 0)
        return self._end(why, bet, "rolled_back", bet["stake"], bet["stake"])

    def _unsettle(self, ask: Request) -> Answer:
        bet, _ = self._live(ask["bet_id"])
        if bet is None:
            return no({"BET_ROLLED_BACK" if ask["bet_id"] in self.buried else "NOT_FOUND"})
        user, bet_id, told = bet["user"], ask["bet_id"], state_of(bet)
        back = told["settled"]
        taken = min(back, self.available(user))
        receivable, house = self.book("receivable", bet["currency"]), self.book("house", bet["currency"])
        why = reasons(
            BET_ROLLED_BACK=told["state"] == "rolled_back",
            BET_CLOSED=told["state"] in ("confirmed", "cashed_out"),
            INSUFFICIENT_FUNDS=self.available(receivable) < back - taken,
        )
        if why:
            return no(why, self.wallet(user))
        self.limits.note(user, self.at, "returned", -taken)
        answer = self.post(
            user,
            (user, -taken, "UNSETTLE", bet_id),
            (receivable, taken - back, "RECEIVABLE", str(user)),
            (house, back, "UNSETTLE", bet_id),
        )
        return _happened(answer, bet, bet_id, "unsettled", -back, bet["stake"] - told["cashed"])

    def _live(self, bet_id: str) -> tuple[Known | None, Why]:
        """The bet, and what stands against doing anything to it."""
        if bet_id not in self.bets:
            return None, {"BET_ROLLED_BACK" if bet_id in self.buried else "NOT_FOUND"}
        bet = self.bets[bet_id]
        bet["bet_id"] = bet_id
        state = state_of(bet)["state"]
        return bet, reasons(
            ACCOUNT_BLOCKED=self.accounts[bet["user"]]["status"] == "closed",
            BET_ROLLED_BACK=state == "rolled_back",
            BET_CLOSED=state not in ("confirmed", "rolled_back"),
        )

    def _end(self, why: Why, bet: Known | None, what: str, pays: int, stake: int) -> Answer:
        """The house pays for `stake` of a bet; of winnings, what the player owes is kept back."""
        if bet is None:
            return no(why)
        user, bet_id = bet["user"], bet["bet_id"]
        house, receivable = self.book("house", bet["currency"]), self.book("receivable", bet["currency"])
        kept = 0 if what in ("void", "rolled_back") else min(pays, self.owed(user))
        why |= reasons(
            LIMIT_EXCEEDED=max(self.balance[user] - kept, state_of(bet)["total"]) + pays > MOST,
            INSUFFICIENT_FUNDS=self.available(house) < pays,
        )
        if why:
            return no(why, self.wallet(user))
        self.limits.note(user, self.at, "returned", pays - kept)
        name = {"void": "REFUND", "cashed_out": "CASHOUT", "rolled_back": "ROLLBACK"}.get(what, "WIN")
        answer = self.post(
            user,
            (user, pays - kept, name, bet_id),
            (receivable, kept, "RECEIVABLE", str(user)),
            (house, -pays, name, bet_id),
        )
        return _happened(answer, bet, bet_id, what, 0 if what == "rolled_back" else pays, stake)

    # -- money in, out and across

    def _deposit(self, ask: Request) -> Answer:
        user, amount = ask["user"], ask["amount"]
        why = self._closed_to(user)
        if why:
            return no(why, self._shown(user))
        cash = self.book("cash", self.accounts[user]["currency"])
        why = reasons(
            LIMIT_EXCEEDED=self.balance[user] + amount > MOST
            or self.limits.stop_deposit(user, self.at, amount),
            INSUFFICIENT_FUNDS=self.available(cash) < amount,
        )
        if why:
            return no(why, self.wallet(user))
        self.limits.note(user, self.at, "deposited", amount)
        return self.post(user, (user, amount, "DEPOSIT", None), (cash, -amount, "DEPOSIT", None))

    def _withdraw(self, ask: Request) -> Answer:
        user, amount = ask["user"], ask["amount"]
        why = self._closed_to(user)
        if not why:
            why = reasons(INSUFFICIENT_FUNDS=self.available(user) < amount)
        if why:
            return no(why, self._shown(user))
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
        players = [user for user, account in known.items() if account["kind"] == "player"]
        is_kept = any(account["kind"] in KEPT for account in known.values())
        is_odd = len(legs) < 2 or net.total() != 0 or any(not amount for _, amount, _ in legs)
        why = reasons(
            INVALID_REQUEST=is_odd or is_kept,
            ACCOUNT_NOT_FOUND=len(known) < len(net),
            ACCOUNT_BLOCKED=any(account["status"] != "open" for account in known.values()),
            CURRENCY_MISMATCH=len({account["currency"] for account in known.values()}) > 1,
            LIMIT_EXCEEDED=any(
                user in players and amount > 0 and self.balance[user] + more > MOST
                for user, amount, more in after
            ),
            INSUFFICIENT_FUNDS=any(
                user in known and amount < 0 and self.available(user) + more < 0
                for user, amount, more in after
            ),
        )
        if why:
            return no(why)
        first = players[0] if players else None
        return self.post(first, *((user, amount, name, None) for user, amount, name in legs))

    def _status(self, ask: Request) -> Answer:
        user, status = ask["user"], ask["status"]
        why = self._closed_to(user) & {"ACCOUNT_NOT_FOUND"}
        if status == "closed":
            why |= reasons(LIMIT_EXCEEDED=self.balance[user] != 0 or self.owed(user) != 0)
        if why:
            return no(why, self._shown(user))
        self.accounts[user]["status"] = status
        return self.post(user)

    # -- what a player allows himself

    def _limit(self, ask: Request) -> Answer:
        user = ask["user"]
        why = self._closed_to(user) & {"ACCOUNT_NOT_FOUND"}
        if why:
            return no(why)
        told = self.limits.ask(user, self.at, ask["kind"], ask["period"], ask["amount"])
        return self.post(user) | {"limit": told}

    def _exclude(self, ask: Request) -> Answer:
        user, until, now = ask["user"], ask["until"], self.limits.out_until(ask["user"])
        why = self._closed_to(user) & {"ACCOUNT_NOT_FOUND"}
        why |= reasons(INVALID_REQUEST=until <= self.at, LIMIT_EXCEEDED=now > self.at and now > until)
        if why:
            return no(why, self._shown(user))
        return self.post(user) | {"limit": self.limits.exclude(user, until)}

    # -- money set aside

    def _hold(self, ask: Request) -> Answer:
        user, amount, until = ask["user"], ask["amount"], ask["expires_at"]
        why = self._closed_to(user) | reasons(INVALID_REQUEST=until is not None and until <= self.at)
        if user in self.accounts:
            why |= reasons(INSUFFICIENT_FUNDS=self.available(user) < amount)
        return no(why, self._shown(user)) if why else self._set_aside(user, amount, "hold", until or 0)

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

    def _closed_to(self, user: int) -> Why:
        account = self.accounts.get(user, {"kind": "nobody", "status": "open"})
        is_player = account["kind"] == "player"
        return reasons(ACCOUNT_NOT_FOUND=not is_player, ACCOUNT_BLOCKED=account["status"] != "open")

    def _shown(self, user: int) -> list[int] | None:
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


def state_of(bet: Known) -> Known:
    """What has become of a bet: its state, and what was paid, settled and cashed out of it."""
    happened = bet["happened"]
    state = happened[-1]["what"] if happened else "confirmed"
    cashed = sum(each["stake"] for each in happened if each["what"] == "cashed_out")
    settled = happened[-1]["paid"] if state in ENDINGS else 0
    if state == "unsettled" or (state == "cashed_out" and cashed < bet["stake"]):
        state = "confirmed"
    return {
        "state": state,
        "total": sum(each["paid"] for each in happened),
        "settled": settled,
        "cashed": cashed,
        "last": happened[-1]["answer"]["transaction"] if happened else 0,
    }


def left_of(hold: Known) -> int:
    """What of a hold is still set aside."""
    left: int = hold["amount"] - sum(amount for _, amount, _ in hold["happened"])
    return left


def hold_state_of(hold: Known) -> str:
    """What has become of a hold."""
    return "open" if left_of(hold) else str(hold["happened"][-1][0])


def _happened(answer: Answer, bet: Known, bet_id: str, what: str, paid: int, stake: int) -> Answer:
    before = state_of(bet)["last"]
    bet["happened"].append({"what": what, "paid": paid, "stake": stake, "answer": answer})
    now = state_of(bet)
    del now["last"]
    answer["bet"] = _told(bet_id, "") | now | {"stake": stake, "payout": abs(paid), "before": before}
    return answer


def _told(bet_id: str, state: str) -> Known:
    nothing = dict.fromkeys(("stake", "payout", "total", "settled", "cashed", "before"), 0)
    return {"bet_id": bet_id, "state": state, **nothing}
