"""A client of the wallet, on the other side of the wire: docs/clients.md. The server imports none of it."""

from engine.commands import Result
from ws.client.errors import ClientError, Gap, GivenUp, NotAuthenticated, NotPlaced, Refused, Unresolved
from ws.client.journal import FileJournal, MemoryJournal
from ws.client.view import Funds
from ws.client.wallet import Wallet, new_bet_id
from ws.wire.messages import BetConfirmed, BetRejected, BetState, WalletEntry

__all__ = [
    "BetConfirmed",
    "BetRejected",
    "BetState",
    "ClientError",
    "FileJournal",
    "Funds",
    "Gap",
    "GivenUp",
    "MemoryJournal",
    "NotAuthenticated",
    "NotPlaced",
    "Refused",
    "Result",
    "Unresolved",
    "Wallet",
    "WalletEntry",
    "new_bet_id",
]
