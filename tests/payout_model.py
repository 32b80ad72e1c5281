"""Mass payouts once more: a payout is a list of items, each with its fate or none yet; the rest follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.model_answers import MOST, Answer, Known, Request, Why, no, reasons, yes

if TYPE_CHECKING:
    from tests.wallet_model import Leg, Wallets

CLEARING = 4_503_599_627_370_496
"""2^52: the clearing account of payout 7 is this and 7."""


class Payouts:
    """All payouts of a file. At most `at_once` items are paid in one transaction."""

    def __init__(self, wallets: Wallets, at_once: int) -> None:
        self._wallets = wallets
        self._at_once = at_once
        self.known: dict[int, Known] = {}

    def pay(self, ask: Request) -> Answer:
        items, currency = ask["items"], ask["currency"]
        total = sum(amount for _, amount in items)
        why = self._house_refuses(currency, total)
        why |= reasons(INVALID_REQUEST=not 0 < len(items) <= self._at_once)
        if why:
            return no(why)
        payout = self._new(ask)
        payout["items"] = [*items]
        payout["is_started"] = True
        return self._pay_next(payout, self._wallets.book("house", currency))

    def open(self, ask: Request) -> Answer:
        why = self._house_refuses(ask["currency"], 0)
        return no(why) if why else self._tell(self._new(ask), 0)

    def add(self, ask: Request) -> Answer:
        payout, items = self.known.get(ask["payout"]), ask["items"]
        if payout is None:
            return no({"NOT_FOUND"})
        why = reasons(
            PAYOUT_CLOSED=payout["is_started"],
            INVALID_REQUEST=not payout["is_started"] and ask["first"] != len(payout["items"]),
            LIMIT_EXCEEDED=total_of(payout) + sum(amount for _, amount in items) > MOST,
        )
        if why:
            return no(why)
        payout["items"] += items
        return self._tell(payout)

    def start(self, ask: Request) -> Answer:
        payout = self.known.get(ask["payout"])
        if payout is None:
            return no({"NOT_FOUND"})
        collected = len(payout["items"]), total_of(payout)
        is_other = collected != (ask["count"], ask["total"]) or not payout["items"]
        why = self._house_refuses(payout["currency"], total_of(payout))
        why |= reasons(
            PAYOUT_CLOSED=payout["is_started"], INVALID_REQUEST=is_other and not payout["is_started"]
        )
        if why:
            return no(why)
        payout["is_started"] = True
        wallets, clearing = self._wallets, CLEARING + payout["id"]
        wallets.accounts[clearing] = {
            **{"kind": "clearing", "currency": payout["currency"], "floor": 0, "status": "open"},
            "participant": None,
        }
        name, total = str(payout["id"]), total_of(payout)
        house = wallets.book("house", payout["currency"])
        return self._tell(payout, None, (house, -total, "PAYOUT", name), (clearing, total, "PAYOUT", name))

    def chunk(self, ask: Request) -> Answer:
        payout = self.known.get(ask["payout"])
        if payout is None:
            return no({"NOT_FOUND"})
        if state_of_payout(payout) != "paying" or ask["first"] != len(payout["fates"]):
            return no({"PAYOUT_CLOSED"})
        return self._pay_next(payout, CLEARING + payout["id"])

    def resolve(self, ask: Request) -> Answer:
        payout, number = self.known.get(ask["payout"]), ask["number"]
        fate = dict(enumerate(payout["fates"])).get(number) if payout else None
        if payout is None or fate is None or fate["reason"] is None:
            return no({"NOT_FOUND"})
        user, amount = payout["items"][number]
        why = reasons(PAYOUT_CLOSED=fate["state"] != "suspended")
        why |= set() if ask["returns"] else self._unpayable(user, amount, payout["currency"])
        if why:
            return no(why)
        fate["state"] = "returned" if ask["returns"] else "paid"
        fate["last"] = self._wallets.transactions + 1
        name = f"{payout['id']}:{number}"
        legs: list[Leg] = [(self._wallets.book("suspense", payout["currency"]), -amount, "SUSPENSE", name)]
        if ask["returns"]:
            legs += [(self._wallets.book("house", payout["currency"]), amount, "SUSPENSE", name)]
        else:
            legs += self._credit(payout, user, amount, self._wallets.owed(user))
        return self._tell(payout, None, *legs)

    # -- how

    def _pay_next(self, payout: Known, source: int) -> Answer:
        """Pay the next items. Somebody may win twice: what he has by then is counted along."""
        wallets, currency, name = self._wallets, payout["currency"], str(payout["id"])
        first = len(payout["fates"])
        items = payout["items"][first : first + self._at_once]
        legs: list[Leg] = [(source, -sum(amount for _, amount in items), "PAYOUT", name)]
        suspends = []
        for number, (user, amount) in enumerate(items, first):
            paid = sum(part for who, part, *_ in legs[1:] if who == user)
            why = self._unpayable(user, amount + paid, currency)
            if why:
                reason = no(why)["code"]
                suspends.append((number, reason))
                payout["fates"].append({"reason": reason, "state": "suspended", "last": 0})
                legs.append((wallets.book("suspense", currency), amount, "SUSPENSE", f"{name}:{number}"))
            else:
                payout["fates"].append({"reason": None})
                back = sum(part for _, part, *why_ in legs if why_ == ["RECEIVABLE", str(user)])
                legs += self._credit(payout, user, amount, wallets.owed(user) - back)
        return self._tell(payout, None, *legs, suspends=tuple(suspends))

    def _credit(self, payout: Known, user: int, amount: int, owed: int) -> list[Leg]:
        wallets, kept = self._wallets, min(amount, owed)
        wallets.limits.note(user, wallets.at, "returned", amount - kept)
        receivable = wallets.book("receivable", payout["currency"])
        return [
            (user, amount - kept, "PAYOUT", str(payout["id"])),
            (receivable, kept, "RECEIVABLE", str(user)),
        ]

    def _unpayable(self, user: int, amount: int, currency: str) -> Why:
        account = self._wallets.accounts.get(user, {"kind": "nobody", "status": "open", "currency": currency})
        return reasons(
            ACCOUNT_NOT_FOUND=account["kind"] != "player",
            ACCOUNT_BLOCKED=account["status"] != "open",
            CURRENCY_MISMATCH=account["currency"] != currency,
            LIMIT_EXCEEDED=self._wallets.balance[user] + max(0, amount - self._wallets.owed(user)) > MOST,
        )

    def _house_refuses(self, currency: str, total: int) -> Why:
        if currency not in {account["currency"] for account in self._wallets.accounts.values()}:
            return {"CURRENCY_MISMATCH"}
        house = self._wallets.book("house", currency)
        return reasons(
            LIMIT_EXCEEDED=total > MOST,
            INSUFFICIENT_FUNDS=total > 0 and self._wallets.available(house) < total,
        )

    def _new(self, ask: Request) -> Known:
        id_ = self._wallets.transactions + 1
        known = {name: ask[name] for name in ("currency", "caller")}
        payout = {"id": id_, **known, "is_started": False, "items": [], "fates": [], "happened": []}
        self.known[id_] = payout
        return payout

    def _tell(self, payout: Known, before: int | None = None, *legs: Leg, suspends: Any = ()) -> Answer:
        """Move the money; the answer to it. `before` is 0 where the payout is new."""
        happened = payout["happened"]
        if before is None:
            before = happened[-1] if happened else 0
            happened.append(self._wallets.transactions + 1)
        answer = self._wallets.post(None, *legs)
        told = {"id": payout["id"], **payout_row(payout), "suspends": suspends, "before": before}
        return yes() | answer | {"payout": told}


def total_of(payout: Known) -> int:
    return sum(amount for _, amount in payout["items"])


def state_of_payout(payout: Known) -> str:
    """Where it stands."""
    if not payout["is_started"]:
        return "collecting"
    return "paid" if len(payout["fates"]) == len(payout["items"]) else "paying"


def payout_row(payout: Known) -> Known:
    """What is to be seen of it."""
    return {
        "state": state_of_payout(payout),
        "items": len(payout["items"]),
        "total": total_of(payout),
        "done": len(payout["fates"]),
        "suspended": sum(fate.get("state") == "suspended" for fate in payout["fates"]),
    }
