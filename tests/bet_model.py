"""Bets once more: each is the list of what happened to it and what its second payer got; the rest follows.

Who paid a part of a stake gets that part of all that the bet has paid by then, rounded down, less what he has
got already; and he gives back what he got. Amounts are minor units, times microseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model_answers import MOST, Answer, Known, Request, Why, again, again_if_same, no, reasons, yes

if TYPE_CHECKING:
    from tests.wallet_model import Leg, Wallets

STAYS_REFUSED = {
    "ACCOUNT_BLOCKED",
    "CURRENCY_MISMATCH",
    "BET_ROLLED_BACK",
    "LIMIT_EXCEEDED",
    "INSUFFICIENT_FUNDS",
}
"""DESIGN, `refusals`: a bet that was told so is told so for ever."""

SENT_BEFORE, SENT_AFTER = -80_000_000, 10_000_000
ENDINGS = ("won", "lost", "void")
GIVEN_BACK = ("void", "rolled_back")


class Bets:
    """All bets of a file, those that were refused, and those that were rolled back before they came."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets
        self.known: dict[str, Known] = {}
        self.buried: dict[str, Answer] = {}
        self.refused: dict[str, tuple[Known, str, list[int]]] = {}

    def place(self, ask: Request, objection: str | None) -> Answer:
        wallets, user, bet_id, stake = self._wallets, ask["user"], ask["bet_id"], ask["stake"]
        account = wallets.accounts.get(user, {"kind": "nobody", "currency": None, "status": "open"})
        currency = ask["currency"] or account["currency"]
        free = ask["free"]
        terms = {"user": user, "stake": stake, "currency": currency, "free": free}
        if bet_id in self.known:
            return again_if_same(terms, self.known[bet_id]["terms"], self.known[bet_id]["answer"])
        if bet_id in self.refused:
            first_terms, code, shown = self.refused[bet_id]
            return again_if_same(terms, first_terms, no({code}, shown))
        is_player = account["kind"] == "player"
        if bet_id in self.buried:  # a known id is answered first, whatever else there is
            why = {"BET_ROLLED_BACK" if is_player else "ACCOUNT_NOT_FOUND"}
        else:
            pays = self._own_part(user, stake, free) if is_player else 0
            is_stopped = is_player and wallets.limits.stop_bet(user, wallets.at, pays)
            why = reasons(
                STALE_REQUEST=not SENT_BEFORE <= ask["sent_at"] - wallets.now <= SENT_AFTER,
                ACCOUNT_NOT_FOUND=not is_player,
                ACCOUNT_BLOCKED=account["status"] != "open",
                CURRENCY_MISMATCH=currency != account["currency"],
                LIMIT_EXCEEDED=is_stopped or (is_player and wallets.is_out(user)),
                INSUFFICIENT_FUNDS=is_player and not self._can_pay(user, stake, free),
            )
            why |= {objection} if objection else set()
        if why:
            refusal = no(why)
            is_elsewhere = is_player and user != account["participant"] and wallets.is_out(user)
            wallets.seen["a bet of a further wallet: excluded"] += is_elsewhere
            if refusal["code"] in STAYS_REFUSED:
                refusal["wallet"] = wallets.wallet(user)
                if not objection:
                    self.refused[bet_id] = terms, refusal["code"], [0, *wallets.wallet(user)[1:]]
                    is_new = wallets.is_new(user)
                    wallets.seen["a wallet opened, and a bet of it refused, in one batch"] += is_new
            return refusal
        house, beside = wallets.book("house", currency), wallets.bonuses.beside(user)
        payer = wallets.book("bonus", currency) if free is not None else beside
        wallets.limits.note(user, wallets.at, "staked", pays)
        pays_nothing = wallets.limits.is_limited(user) and not pays
        wallets.seen["a limited player stakes nothing of his own"] += pays_nothing
        if free is not None:  # the file says so; the answer shows the wallet and who paid
            wallets.bonuses.note(free, "used")
        source = (payer, stake - pays) if payer and pays < stake else None
        answer = wallets.post(
            user,
            (user, -pays, "BET", bet_id),
            *([(payer, pays - stake, "BET", bet_id)] if payer else []),
            (house, stake, "BET", bet_id),
        ) | {"source": source}
        self.known[bet_id] = {**terms, "source": source, "terms": terms, "answer": answer, "happened": []}
        return answer

    def settle(self, ask: Request) -> Answer:
        result, payout = ask["result"], ask["payout"]
        bet, why = self._live(ask["bet_id"])
        left = bet["stake"] - state_of(bet)["cashed"] if bet else 0
        is_live = bet is not None and state_of(bet)["state"] == "confirmed"
        is_wrong_void = result == "void" and is_live and payout not in (None, left)
        why |= reasons(INVALID_REQUEST=(result == "won" and payout is None) or is_wrong_void)
        pays = left if result == "void" else payout or 0
        return self._end(why, bet, result, pays, left)

    def cashout(self, ask: Request) -> Answer:
        bet, why = self._live(ask["bet_id"])
        if bet:
            why |= reasons(BET_CLOSED=bet["free"] is not None)
        if bet and state_of(bet)["state"] == "confirmed":
            why |= reasons(INVALID_REQUEST=ask["stake"] > bet["stake"] - state_of(bet)["cashed"])
        return self._end(why, bet, "cashed_out", ask["payout"], ask["stake"])

    def rollback(self, ask: Request) -> Answer:
        bet_id, wallets = ask["bet_id"], self._wallets
        if bet_id in self.buried:
            return again(self.buried[bet_id])
        bet, why = self._live(bet_id)
        if bet is None:
            wallets.transactions += 2  # the rollback itself, and what takes the bet's place
            told = {**_told(bet_id, "rolled_back"), "stake": ask["stake"] or 0}
            self.buried[bet_id] = {**yes(), "transaction": wallets.transactions - 1, "bet": told}
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

    def unsettle(self, ask: Request) -> Answer:
        wallets, seen = self._wallets, self._wallets.seen
        bet, _ = self._live(ask["bet_id"])
        if bet is None:
            return no({"BET_ROLLED_BACK" if ask["bet_id"] in self.buried else "NOT_FOUND"})
        user, bet_id, told, free = bet["user"], ask["bet_id"], state_of(bet), bet["free"]
        if told["state"] not in ENDINGS:
            is_undone = told["state"] == "rolled_back"
            return no({"BET_ROLLED_BACK" if is_undone else "BET_CLOSED"}, wallets.wallet(user))
        back, others = told["settled"], bet["happened"][-1]["others"]
        uses_again = free is not None and told["state"] == "void"
        legs: list[Leg] = []
        for who, part in self._payees(bet, back, others):
            # What a book gives back it has, or it is not given: only players owe.
            gives = part if uses_again else min(part, wallets.available(who))
            legs += [(who, -gives, "UNSETTLE", bet_id), self._instead(who, part - gives)]
        is_gone = uses_again and wallets.bonuses.state_of(free) != "open"
        why = reasons(BET_CLOSED=is_gone, INSUFFICIENT_FUNDS=wallets.is_overdrawn_by(legs))
        seen["a void free bet unsettled: used elsewhere"] += is_gone
        if why:
            return no(why, wallets.wallet(user))
        short = {name: who for _, amount, name, who in legs if amount and name != "UNSETTLE"}
        is_spent = "RECEIVABLE" in short and short["RECEIVABLE"] != str(user)
        seen["of two wallets, unsettled: the bonus was spent"] += is_spent
        seen["of an expired bonus: unsettled"] += "EXPIRY" in short
        seen["a void free bet unsettled: used again"] += uses_again
        gave = sum(-amount for who, amount, *_ in legs if who == user)
        wallets.limits.note(user, wallets.at, "returned", -gave)
        legs.append((wallets.book("house", bet["currency"]), back, "UNSETTLE", bet_id))
        used = wallets.bonuses.note(free, "used") if uses_again else None
        answer = wallets.post(user, *legs) | {"free_bet": used}
        return _happened(answer, bet, "unsettled", -back, bet["stake"] - told["cashed"], -others)

    # -- how

    def _own_part(self, user: int, stake: int, free: int | None) -> int:
        """What of a stake the wallet pays itself."""
        return 0 if free is not None else stake - self._wallets.bonuses.part_of(user, stake)

    def _can_pay(self, user: int, stake: int, free: int | None) -> bool:
        wallets = self._wallets
        if free is None:
            return wallets.available(user) >= self._own_part(user, stake, free)
        book = wallets.book("bonus", wallets.accounts[user]["currency"])
        return wallets.bonuses.pays(free, user, stake) and wallets.available(book) >= stake

    def _others(self, bet: Known, what: str, amount: int) -> int:
        """What of this amount goes to who paid beside the wallet."""
        if bet["source"] is None:
            return 0
        if bet["free"] is not None:
            return amount if what in GIVEN_BACK else 0
        of_all = (state_of(bet)["total"] + amount) * bet["source"][1] // bet["stake"]
        part: int = of_all - sum(each["others"] for each in bet["happened"])
        is_apart = part != amount * bet["source"][1] // bet["stake"]
        self._wallets.seen["a share that earlier ones have rounded"] += is_apart
        return part

    def _payees(self, bet: Known, amount: int, others: int) -> list[tuple[int, int]]:
        """Who gets or gives back how much, if so much of it is of who paid beside the wallet."""
        return [(bet["user"], amount - others), *([(bet["source"][0], others)] if others else [])]

    def _instead(self, who: int, missing: int) -> Leg:
        """Which book gives what somebody has not got: what went into an expired bonus is in the bonus book;
        anybody else owes it."""
        currency = self._wallets.accounts[who]["currency"]
        has_ended = self._wallets.bonuses.has_ended(who)
        kind, name = ("bonus", "EXPIRY") if has_ended else ("receivable", "RECEIVABLE")
        return self._wallets.book(kind, currency), -missing, name, str(who)

    def _live(self, bet_id: str) -> tuple[Known | None, Why]:
        """The bet, and what stands against doing anything to it."""
        if bet_id not in self.known:
            return None, {"BET_ROLLED_BACK" if bet_id in self.buried else "NOT_FOUND"}
        bet = self.known[bet_id]
        bet["bet_id"] = bet_id
        state = state_of(bet)["state"]
        return bet, reasons(
            ACCOUNT_BLOCKED=self._wallets.accounts[bet["user"]]["status"] == "closed",
            BET_ROLLED_BACK=state == "rolled_back",
            BET_CLOSED=state not in ("confirmed", "rolled_back"),
        )

    def _end(self, why: Why, bet: Known | None, what: str, pays: int, stake: int) -> Answer:
        """The house pays for `stake` of a bet; of winnings, what the player owes is kept back."""
        if bet is None:
            return no(why)
        wallets, user, bet_id = self._wallets, bet["user"], bet["bet_id"]
        house, receivable = (wallets.book(kind, bet["currency"]) for kind in ("house", "receivable"))
        is_given_back, free = what in GIVEN_BACK, bet["free"]
        if free is not None and not is_given_back:
            pays = max(0, pays - bet["stake"])
        others = self._others(bet, what, pays)
        shares = self._payees(bet, pays, others)
        kept = [0 if is_given_back else min(part, wallets.owed(who)) for who, part in shares]
        is_beyond = any(
            wallets.accounts[who]["participant"] and wallets.balance[who] + part - back > MOST
            for (who, part), back in zip(shares, kept, strict=True)
        )
        why |= reasons(
            LIMIT_EXCEEDED=is_beyond or state_of(bet)["total"] + pays > MOST,
            INSUFFICIENT_FUNDS=wallets.available(house) < pays,
        )
        if why:
            return no(why, wallets.wallet(user))
        wallets.limits.note(user, wallets.at, "returned", pays - others - kept[0])
        name = {"void": "REFUND", "cashed_out": "CASHOUT", "rolled_back": "ROLLBACK"}.get(what, "WIN")
        legs: list[Leg] = []
        for (who, part), back in zip(shares, kept, strict=True):
            legs += [(who, part - back, name, bet_id), (receivable, back, "RECEIVABLE", str(who))]
        legs.append((house, -pays, name, bet_id))
        for (who, part), back in zip(shares, kept, strict=True):
            if wallets.bonuses.has_ended(who):
                legs += wallets.bonuses.forfeit(who, part - back)
                wallets.seen[f"of an expired bonus: {what}"] += part > back
        if bet["source"]:
            is_whole = bet["source"][1] == bet["stake"]
            paid_by = "a free bet" if free is not None else "a bonus" if is_whole else "two wallets"
            wallets.seen[f"{paid_by}: {what}"] += 1
            wallets.seen["a bonus pays back what it owes"] += sum(kept[1:]) > 0
        given = wallets.bonuses.note(free, "given back") if free is not None and is_given_back else None
        answer = wallets.post(user, *legs) | {"free_bet": given}
        return _happened(answer, bet, what, 0 if what == "rolled_back" else pays, stake, others)


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


def _happened(answer: Answer, bet: Known, what: str, paid: int, stake: int, others: int) -> Answer:
    before = state_of(bet)["last"]
    bet["happened"].append({"what": what, "paid": paid, "stake": stake, "others": others, "answer": answer})
    now = state_of(bet)
    del now["last"]
    told = {"stake": stake, "payout": abs(paid), "before": before}
    answer["bet"] = _told(bet["bet_id"], "") | now | told
    return answer


def _told(bet_id: str, state: str) -> Known:
    nothing = dict.fromkeys(("stake", "payout", "total", "settled", "cashed", "before"), 0)
    return {"bet_id": bet_id, "state": state, **nothing}
