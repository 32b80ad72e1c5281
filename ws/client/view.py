"""What a client knows of its own wallet: the balance, and every entry once, in order. Pure.

Both follow one number, `seq`, the id of a ledger entry. A balance counts only if its `seq` is not older than
the one that is known, since the replay of an answer brings an old one. Entries reach a socket as pushes, but
not those that the socket has asked for itself, and none while there is no socket: `prev_seq` shows what is
missing, and `resume` fetches it from the ledger. So does a `seq` in any other message that is newer than the
newest entry.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from msgspec import UNSET

from ws.client.errors import Gap
from ws.wire.fields import Reply
from ws.wire.messages import Balance, BetConfirmed, Resumed, WalletEntry, Welcome

ENTRIES_MAX: Final = 10_000
"""Entries that wait for their reader: as many as one `resume` brings. Beyond, they stay in the ledger until
the reader has caught up."""

RESUME_EVERY_MS: Final = 100
"""From one `resume` to the next. Entries of the own bets are learned by it, and many bets cost one look."""

CHANGES_HELD: Final = frozenset({"CAPTURE", "WITHDRAWAL"})
"""Entries after which what is held may be another, which they do not tell."""


class Funds(NamedTuple):
    """A wallet, in minor units of `currency`. `held` is as it was last told: a hold is not pushed."""

    currency: str
    balance: int
    held: int
    available: int
    seq: int


class Feed:
    """The entries of a wallet after `cursor`, each once, in order. Nothing is followed until `follow`."""

    def __init__(self) -> None:
        self.cursor: int | None = None
        """The newest entry that was handed on; None: nobody reads."""
        self.newest = 0
        """The newest entry that any message has told of."""
        self.may_resume_ms = 0
        self.waiting: deque[WalletEntry | Gap] = deque()
        self._aside: dict[int, WalletEntry] = {}
        self._is_resuming = False
        self._has_come = False
        self._was_full = False
        self._newest_when_asked = 0

    def follow(self, from_seq: int) -> None:
        """Hand on what comes after `from_seq`, from the ledger at first: it may be newer than all that was
        told."""
        self.cursor = from_seq
        self.waiting.clear()
        self.newest = max(self.newest, from_seq + 1)
        self._newest_when_asked = -1  # a `resume` that is under way was asked for another reader

    def unfollow(self) -> None:
        """Nobody reads any more."""
        self.cursor = None
        self.waiting.clear()
        self._aside.clear()

    def saw(self, seq: int) -> None:
        """Some message knows of an entry `seq`."""
        self.newest = max(self.newest, seq)

    def wants_from(self, now_ms: int) -> int | None:
        """From where to `resume` now; None: nothing is missing, or it is under way already."""
        is_behind = self.cursor is not None and self.cursor < self.newest
        if not is_behind or self._is_resuming or now_ms < self.may_resume_ms or self._is_full:
            return None
        return self.cursor

    def wants_ms(self) -> int | None:
        """When `wants_from` may say something, without anything that happens before; None: never."""
        is_behind = self.cursor is not None and self.cursor < self.newest
        return self.may_resume_ms if is_behind and not self._is_resuming and not self._is_full else None

    def asked(self) -> None:
        """A `resume` is on its way."""
        self._is_resuming, self._has_come, self._was_full = True, False, False
        self._newest_when_asked = self.newest

    def dropped(self, now_ms: int) -> None:
        """The `resume` will not be answered, or the socket has gone; what was handed on is right."""
        self._is_resuming = False
        self._aside.clear()
        self.may_resume_ms = now_ms + RESUME_EVERY_MS

    def take(self, entry: WalletEntry) -> None:
        """An entry came, as a push or by `resume`."""
        self.saw(entry.seq)
        if self.cursor is None or entry.seq <= self.cursor:
            return
        if entry.prev_seq <= self.cursor:
            self._hand_on(entry)
        elif self._is_resuming:  # a push that overtook it, or what comes after entries that are archived
            self._aside[entry.seq] = entry

    def resumed(self, told: Resumed, now_ms: int) -> None:
        """All entries of a `resume` have come."""
        self._is_resuming = False
        self.may_resume_ms = now_ms if told.more else now_ms + RESUME_EVERY_MS
        if self.cursor is None:
            return
        self.saw(told.seq)
        aside = [self._aside[seq] for seq in sorted(self._aside) if seq > self.cursor]
        self._aside.clear()
        if told.gap and not self._has_come and not self._is_full:
            upto = aside[0].prev_seq if aside else told.seq
            if upto > self.cursor:
                self.waiting.append(Gap(self.cursor, upto))
                self.cursor, self._has_come = upto, True
        for entry in aside:
            if entry.prev_seq <= self.cursor < entry.seq:
                self._hand_on(entry)
        came_none = not self._has_come and not self._was_full and not told.more
        # What was told of meanwhile may have come too late for this look at the ledger: then look again.
        if came_none and self.newest == self._newest_when_asked:
            self.newest = self.cursor  # there is nothing newer, whoever said so

    def _hand_on(self, entry: WalletEntry) -> None:
        if self._is_full:
            self._was_full = True
            return
        self.cursor, self._has_come = entry.seq, True
        self.waiting.append(entry)

    @property
    def _is_full(self) -> bool:
        return len(self.waiting) >= ENTRIES_MAX


class WalletView:
    """The newest balance, and the feed of entries. `funds` is None for whoever has no wallet."""

    def __init__(self) -> None:
        self.funds: Funds | None = None
        self.feed = Feed()
        self.first_seq = 0
        """Of the first `welcome`: what came after it happened while this client lived."""
        self.is_unsure = False
        """Whether what is held may have changed: ask `balance.get`."""

    def take(self, message: Reply) -> None:
        """A message came on the socket of this wallet."""
        match message:
            case Welcome(currency=str(currency), seq=int(seq)):
                assert message.balance is not UNSET
                assert message.held is not UNSET
                assert message.available is not UNSET
                if self.funds is None:
                    self.first_seq = seq
                self._told(Funds(currency, message.balance, message.held, message.available, seq))
            case Balance():
                self._told(
                    Funds(message.currency, message.balance, message.held, message.available, message.seq)
                )
            case BetConfirmed() if self.funds is not None:
                if message.seq > self.funds.seq:
                    self._told(
                        Funds(
                            self.funds.currency,
                            message.balance,
                            message.held,
                            message.available,
                            message.seq,
                        )
                    )
            case WalletEntry() if self.funds is not None:
                self.feed.take(message)
                if message.seq > self.funds.seq:
                    held, balance = self.funds.held, message.balance
                    self.funds = Funds(self.funds.currency, balance, held, balance - held, message.seq)
                    self.is_unsure = self.is_unsure or message.kind in CHANGES_HELD
            case _:
                pass

    def _told(self, funds: Funds) -> None:
        # Of the same seq the later word counts: a hold changes what is available and posts no entry.
        if self.funds is None or funds.seq >= self.funds.seq:
            self.funds = funds
        self.feed.saw(funds.seq)
