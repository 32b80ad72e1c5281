"""docs/wallet.md says what the engine does: its diagrams come from `engine/lifecycle.py`, its table of
answers from runs on a real file. `python tests/test_wallet_doc.py` writes them anew.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import pytest

from engine.accounts import first_floors, open_books, open_wallets
from engine.commands import (
    CLEARING_ID_BASE,
    KINDS,
    Deposit,
)
from engine.lifecycle import BETS, BONUSES, FREE_BETS, HOLDS, ArchiveState, ItemState, PayoutState
from engine.limits import NONE, LimitKind
from engine.outcomes import Accepted, Code, LimitTold, Outcome
from engine.store import Asked, Store
from tests.books_open import NOW_US, look
from tests.scenes import POOR, SECOND_US, Scene, Situation, Step
from tests.situations import BONUS_SITUATIONS, CASES, EXAMPLE, SITUATIONS

PAGE: Final = Path(__file__).resolve().parent.parent / "docs/wallet.md"


# -- the run


class Row(NamedTuple):
    """One line of the table."""

    command: str
    words: str
    answer: str
    moved: str
    wallet: str


def run_all(path: Path) -> list[Row]:
    """Play each situation with two fresh wallets, one batch a step."""
    return asyncio.run(_run_all(path))


async def _run_all(path: Path) -> list[Row]:
    store = await Store.open(path, create=True)
    try:
        await _open_the_books(store)
        rows, now_us = [], NOW_US
        for number, situation in enumerate((*SITUATIONS, *BONUS_SITUATIONS), start=1):
            scene = await _set_the_stage(store, path, number, situation.currency, now_us)
            outcomes = [outcome for step in situation.steps if (outcome := await _play(store, scene, step))]
            rows.append(_row(situation, scene, outcomes[-1], path))
            now_us = scene.now_us
        return rows
    finally:
        await store.close()


async def _set_the_stage(store: Store, path: Path, number: int, currency: str, now_us: int) -> Scene:
    """A player and his friend, with 100 each."""
    player, friend = await store.set_up(lambda connection: open_wallets(connection, currency, 2))
    scene = Scene(number, player, friend, _names_of_books(path, currency), currency, now_us)
    ((scene.archive_id,),) = look(path, "SELECT coalesce(max(id), 0) FROM archives")
    for user_id in (player, friend):
        await store.commit([Asked(Deposit(user_id, 100, **scene.named()))], scene.now_us)
    return scene


async def _play(store: Store, scene: Scene, step: Step) -> Outcome | None:
    """One step, in a batch of its own; None if only time has passed."""
    asked = step(scene)
    if asked is None:
        return None
    (outcome,) = await store.commit([asked if isinstance(asked, Asked) else Asked(asked)], scene.now_us)
    if isinstance(outcome, Accepted):
        _remember(scene, outcome)
        if outcome.archive is not None and outcome.archive.state == ArchiveState.COPYING:
            await store.tidy(partial(_keep_a_state, archive_id=outcome.archive.id))
    return outcome


def _keep_a_state(connection: sqlite3.Connection, archive_id: int) -> None:
    """As if it had been copied: else it cannot be carried."""
    connection.execute("INSERT INTO carried VALUES (?, x'00')", (archive_id,))


def _remember(scene: Scene, accepted: Accepted) -> None:
    if accepted.hold is not None:
        scene.hold_id = accepted.hold.id
    if accepted.payout is not None:
        scene.payout_id = accepted.payout.id
        scene.names[CLEARING_ID_BASE + scene.payout_id] = "its clearing account"
    if accepted.bonus is not None:
        scene.bonus_id = accepted.bonus.user_id
        scene.names[scene.bonus_id] = "bonus"
    if accepted.free_bet is not None:
        scene.free_bet_id = accepted.free_bet.id
    if accepted.opened is not None:
        scene.second_id = accepted.opened.user_id
        scene.names[scene.second_id] = "second"


async def _open_the_books(store: Store) -> None:
    for currency in ("EUR", "USD"):
        await store.set_up(partial(open_books, currency=currency))
    house, _, *others = await store.set_up(lambda connection: open_books(connection, POOR))
    await store.refresh_books()
    # Not the cash book: it pays out what the players begin with.
    await store.commit([Asked(each) for each in first_floors([house, *others], 0)], NOW_US)


def _names_of_books(path: Path, currency: str) -> dict[int, str]:
    books = look(path, "SELECT id, kind, currency FROM users WHERE participant_id IS NULL")
    names = {id_: "bonus book" if kind == "bonus" else kind for id_, kind, _ in books}
    return {id_: names[id_] if of == currency else f"{names[id_]} {of}" for id_, _, of in books}


def _row(situation: Situation, scene: Scene, outcome: Outcome, path: Path) -> Row:
    answer, moved = _answer_in_words(outcome, scene), _moved(outcome, scene)
    return Row(situation.command, situation.words, answer, moved, _wallet_in_words(scene, path))


def _answer_in_words(outcome: Outcome, scene: Scene) -> str:
    if not isinstance(outcome, Accepted):
        return f"`{outcome.code.name}`" + (", replayed" if outcome.replayed else "")
    told = [each.state for each in (outcome.bet, outcome.hold, outcome.payout) if each is not None]
    if outcome.limit is not None:
        told.append(_limit_in_words(outcome.limit, scene))
    if outcome.opened is not None:
        is_first = outcome.opened.participant_id == outcome.opened.user_id
        told.append(f"in {outcome.opened.currency}, {'of a new participant' if is_first else 'his'}")
    if outcome.bonus is not None:
        told.append(f"{outcome.bonus.state}, spent {outcome.bonus.spend}")
    if outcome.free_bet is not None:
        told.append(f"free bet {outcome.free_bet.state}")
    if outcome.archive is not None:
        told.append(outcome.archive.state)
    if outcome.floor is not None:
        told.append(_signed(outcome.floor.floor_minor))
    answer = ("replayed" if outcome.replayed else "accepted") + (": " if told else "") + "; ".join(told)
    if outcome.payout is not None:
        answer += "".join(f"; item {number}: `{reason}`" for number, reason in outcome.payout.suspends)
    return answer


def _moved(outcome: Outcome, scene: Scene) -> str:
    entries = outcome.entries if isinstance(outcome, Accepted) else ()
    legs = [f"{scene.names[e.user_id]} {_signed(e.amount_minor)}" for e in entries]
    runs = [(leg, len([*run])) for leg, run in groupby(legs)]
    return ", ".join(leg if count == 1 else f"{count} × {leg}" for leg, count in runs) or "–"


def _wallet_in_words(scene: Scene, path: Path) -> str:
    """What the player has; in the second wallet and in the bonus wallet too, where there are such."""
    words = [_holding_in_words(path, scene.player)]
    if scene.second_id and scene.second_id != scene.player:
        words.append(f"second {_holding_in_words(path, scene.second_id)}")
    if scene.bonus_id:
        words.append(f"bonus {_holding_in_words(path, scene.bonus_id)}")
    return "; ".join(words)


def _holding_in_words(path: Path, user_id: int) -> str:
    ((balance, held, owed),) = look(path, "SELECT balance, held, owed FROM users WHERE id = ?", user_id)
    return f"{balance}" + (f", {held} held" if held else "") + (f", owes {owed}" if owed else "")


def _limit_in_words(told: LimitTold, scene: Scene) -> str:
    if told.kind == LimitKind.EXCLUSION:
        return f"out for {(told.amount - scene.now_us) // SECOND_US} s"
    now, then = ("no limit" if amount == NONE else str(amount) for amount in (told.amount, told.pending))
    hours = (told.pending_from_us - scene.now_us) // (3_600 * SECOND_US)
    return f"{now}; in {hours} h {then}" if told.pending_from_us else now


def _signed(amount_minor: int) -> str:
    return f"{amount_minor:+}".replace("-", "−")


# -- the page


def table_of(rows: Iterable[Row]) -> str:
    lines = [
        "| command | situation | answer | what moves | the wallet then |",
        "| --- | --- | --- | --- | --- |",
    ]
    before = ""
    for row in rows:
        name = "" if row.command == before else f"**{row.command}**"
        lines.append("| " + " | ".join((name, *row[1:])) + " |")
        before = row.command
    return "\n".join(lines)


State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


def diagram_of(moves: Mapping[tuple[State, Event], State], first: str) -> str:
    """A state diagram as GitHub draws it, one arrow for each entry of a table of `lifecycle`."""
    arrows = [
        f"    {before.value} --> {after.value}: {event.value}" for (before, event), after in moves.items()
    ]
    left = {before for before, _ in moves}
    ends = [f"    {after.value} --> [*]" for after in dict.fromkeys(moves.values()) if after not in left]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *arrows, *ends, "```"])


def table_of_the_example() -> str:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_example(Path(folder) / "books.db"))


async def _example(path: Path) -> str:
    store = await Store.open(path, create=True)
    try:
        await _open_the_books(store)
        scene = await _set_the_stage(store, path, 1, "EUR", NOW_US)
        lines = ["| what happens | what moves | the wallet then |", "| --- | --- | --- |"]
        for words, step in EXAMPLE:
            outcome = await _play(store, scene, step)
            moved = "–" if outcome is None else _moved(outcome, scene)
            assert outcome is None or isinstance(outcome, Accepted), words
            lines.append(f"| {words} | {moved} | {_wallet_in_words(scene, path)} |")
        return "\n".join(lines)
    finally:
        await store.close()


def table_of_runs() -> str:
    with tempfile.TemporaryDirectory() as folder:
        return table_of(run_all(Path(folder) / "books.db"))


def diagram_of_payouts() -> str:
    """`lifecycle` lists the states of a payout in their order."""
    collecting, paying, paid = PayoutState
    return _diagram(
        f"[*] --> {collecting}: open",
        f"{collecting} --> {collecting}: add items",
        f"{collecting} --> {paying}: start",
        f"{paying} --> {paying}: pay a chunk",
        f"{paying} --> {paid}: pay the last chunk",
        f"[*] --> {paid}: pay at once",
        f"{paid} --> [*]",
    )


def diagram_of_items() -> str:
    """An item that could not be paid, and how that ends."""
    suspended, paid, returned = ItemState
    return _diagram(
        f"[*] --> {suspended}: its turn comes",
        f"{suspended} --> {paid}: resolve",
        f"{suspended} --> {returned}: resolve, it returns",
        f"{paid} --> [*]",
        f"{returned} --> [*]",
    )


def _diagram(*arrows: str) -> str:
    return "\n".join(["```mermaid", "stateDiagram-v2", *(f"    {arrow}" for arrow in arrows), "```"])


PARTS: Final[dict[str, Callable[[], str]]] = {
    "bets": lambda: diagram_of(BETS, "confirmed: place"),
    "holds": lambda: diagram_of(HOLDS, "open: hold"),
    "bonuses": lambda: diagram_of(BONUSES, "open: grant"),
    "example": table_of_the_example,
    "free bets": lambda: diagram_of(FREE_BETS, "open: grant"),
    "payouts": diagram_of_payouts,
    "items": diagram_of_items,
    "answers": table_of_runs,
}
"""What is generated, by the name in its markers."""


def marked(part: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- generated: {part} -->\n)(.*?)(\n<!-- end: {part} -->)", re.DOTALL)


@pytest.mark.parametrize("part", PARTS)
def test_the_page_says_what_the_engine_does(part: str) -> None:
    found = marked(part).search(PAGE.read_text(encoding="utf-8"))

    assert found is not None
    assert found[2] == PARTS[part](), "write it anew: python tests/test_wallet_doc.py"


def test_every_command_and_every_code_of_the_engine_s_own_is_in_the_table() -> None:
    found = marked("answers").search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    text = found[2]
    told = {code for code in Code if f"`{code.name}`" in text}

    assert {situation.command for situation in (*SITUATIONS, *BONUS_SITUATIONS)} - CASES == {
        "PlaceBet",
        *(kind.__name__ for kind in KINDS),
    }
    assert {*Code} - told == {
        *(Code.UNAUTHORIZED, Code.FORBIDDEN),  # told at the door
        *(Code.OUTCOME_UNKNOWN, Code.INTERNAL, Code.CIRCUIT_OPEN, Code.OVERLOADED, Code.TIMED_OUT),
        Code.RATE_LIMITED,  # takes a thousand refusals
    }


def rewrite() -> None:
    """Put what the engine does now between the markers."""
    text = PAGE.read_text(encoding="utf-8")
    for part, make in PARTS.items():
        made = make()
        text, count = marked(part).subn(lambda found, made=made: found[1] + made + found[3], text)  # type: ignore[misc]
        assert count == 1, part
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    rewrite()
