"""The house's own books over the socket: the message, the command that it becomes, the reply. Pure."""

from __future__ import annotations

from engine.commands import Keyed, SetFloor
from engine.outcomes import Accepted, FloorTold
from ws.wire.fields import Floor, Reply, UserId
from ws.wire.operators import Move


class BookFloor(Move, tag="book.floor"):
    """`floor`: how far below zero the book may go from now on."""

    user_id: UserId
    floor: Floor

    def to_command(self, caller: str) -> Keyed:
        return SetFloor(self.user_id, self.floor, key=self.key, caller=caller)


class BookChanged(Reply, tag="book.changed"):
    id: str
    user_id: int
    floor: int
    transaction_id: int
    block: int
    replayed: bool


def book_changed(request_id: str, accepted: Accepted, told: FloorTold) -> BookChanged:
    """What a command has made of a book."""
    return BookChanged(
        request_id,
        told.user_id,
        told.floor_minor,
        accepted.transaction_id,
        accepted.block_id,
        accepted.replayed,
    )
