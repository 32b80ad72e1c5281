"""The operator's page: figures, players, statements, the way of a bet, and what may be done about one."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import pytest
from playwright.sync_api import Route, WebSocketRoute, expect

from tests.browser.control_room import (
    Late,
    at_work,
    drawn,
    hired,
    moves_sent,
    played,
    state_of,
    statement,
    value_of,
)
from tests.browser.visitors import PASSWORD, Visit
from tests.server_fixture import OPENING, World, mint

ANSWER_MS = 10_000
"""How long the page waits for an answer (web/operator/live.js)."""

PAGE_BYTES_MAX = 100_000
"""Target of the page's weight before compression."""

NOT_TOLD = "The server could not be told that you log out. Log in and out again to be sure."


def turn_down(route: Route) -> None:
    """Answer as a server that has too much to do with this one."""
    problem = {"code": "RATE_LIMITED", "detail": "too often", "retryable": True}
    route.fulfill(status=429, content_type="application/problem+json", body=json.dumps(problem))


def test_staff_log_in_and_a_wrong_password_is_told(visit: Visit, world: World) -> None:
    page = visit().opens("/operator")
    page.get_by_label("Name", exact=True).fill(hired(world, "operator"))
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert").filter(has_text="not right")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()

    # The cookie is good for whoever comes next: nobody is told that it is not.
    page.route("**/v1/auth/logout", turn_down)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text(NOT_TOLD)).to_be_visible()
    expect(page.get_by_role("heading", name="Now")).to_be_hidden()
    page.unroute("**/v1/auth/logout")
    page.reload()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.get_by_label("Name, wallet number").fill("whom he was looking for")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You have logged out.")).to_be_visible()
    expect(page.get_by_role("heading", name="Now")).to_be_hidden()
    expect(page.get_by_label("Name, wallet number")).to_have_value("")


def test_a_player_is_told_that_this_is_not_for_him(visit: Visit) -> None:
    page = visit().registers().opens("/operator")
    page.route("**/v1/auth/logout", turn_down, times=1)

    for said in (NOT_TOLD, "You have logged out."):
        expect(page.get_by_role("alert").filter(has_text="You are logged in as a player")).to_be_visible()
        expect(page.get_by_role("heading", name="Now")).to_be_hidden()
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_text(said)).to_be_visible()
        page.reload()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()


def test_figures_change_while_bets_come(visit: Visit, world: World) -> None:
    visitor = visit()
    sockets: list[WebSocketRoute] = []

    def keep(route: WebSocketRoute) -> None:
        route.connect_to_server()
        sockets.append(route)

    visitor.context.route_web_socket("**/ws", keep)
    page = at_work(visitor)
    expect(value_of(page, "Bets")).to_have_attribute("aria-label", re.compile("confirmed 0/s now"))
    expect(page.get_by_text("The last minute, up to")).to_be_visible()
    before = page.locator("#as-of").inner_text()

    played(world, world.player()[1], [100, 200, OPENING + 1])

    expect(value_of(page, "Bets")).to_have_attribute(
        "aria-label", re.compile(r"confirmed .*from 0/s to [1-9].*refused .*from 0/s to [\d.]*[1-9]")
    )
    label = re.compile(r"Confirmation latency, the last minute: p50 .*from [\d.]+ ms to [\d.]+ ms; p99")
    expect(value_of(page, "Confirmation latency")).to_have_attribute("aria-label", label)
    refused = page.locator("#refusals li").filter(has_text="INSUFFICIENT_FUNDS")
    expect(refused).to_contain_text("1")
    expect(
        page.get_by_text(re.compile(r"Since the start: \d+ confirmed, 0 asked again, [1-9]"))
    ).to_be_visible()
    expect(page.locator("#as-of")).not_to_have_text(before)
    assert page.locator("#charts path").first.get_attribute("d")

    sockets[-1].close(code=4400, reason="not this protocol")
    expect(page.locator("#connection")).to_have_text("No connection: reload the page")
    expect(page.locator("#live")).to_have_text("No connection: reload the page.")
    expect(page.locator("#now")).to_have_class(re.compile("stale"))


TOLD_TWICE = """async () => {
    const {Breaker} = await import("/web/operator/breaker.js");
    const nonces = {status: "degraded", why: "Redis is away"};
    const breaker = {state: "closed", remaining_ms: 0, reason: null};
    const figures = {breaker, nonces, storage_failed: "no disk", stopping: false};
    const [panel, place] = [new Breaker(), document.getElementById("notes")];
    panel.show(figures);
    const notes = [...place.children];
    panel.show(figures);
    return [notes.length, notes.every((note) => note.isConnected)];
}"""


def test_what_was_noted_already_is_not_read_out_each_second(visit: Visit) -> None:
    page = visit().opens("/operator")
    assert page.evaluate(TOLD_TWICE) == [2, True]


def test_a_player_is_found_and_his_bet_followed_into_its_block(visit: Visit, world: World) -> None:
    user_id, token = world.player()
    placed = played(world, token, [*range(100, 120), 777])[-1]
    page = at_work(visit(), "auditor")

    rows = statement(page, user_id)
    balance = OPENING - sum(range(100, 120)) - 777
    expect(rows).to_have_count(15)
    expect(rows.first).to_contain_text("−€7.77")
    expect(rows.first).to_contain_text(f"€{balance // 100}.{balance % 100:02}")
    page.get_by_role("button", name="Older entries").click()
    expect(rows).to_have_count(22)
    expect(rows.last).to_contain_text("+€1,000.00")
    expect(page.get_by_text("That is all.")).to_be_visible()

    rows.first.get_by_role("button", name="Bet").click()
    trail = page.locator("#trail")
    expect(trail.get_by_role("heading")).to_be_focused()
    expect(trail).to_contain_text(placed["bet_id"])
    block = trail.get_by_role("button", name=f"Block {placed['block']}")
    ((sealed_hash, prev_hash),) = world.query(
        "SELECT lower(hex(hash)), lower(hex(prev_hash)) FROM blocks WHERE id = ?", placed["block"]
    )
    expect(trail).to_contain_text(sealed_hash)
    block.click()
    expect(block).to_have_attribute("aria-expanded", "true")
    expect(trail).to_contain_text(prev_hash)


def test_the_id_of_a_bet_leads_to_it_and_nobody_is_said_to_be_nobody(visit: Visit, world: World) -> None:
    _, token = world.player()
    (placed,) = played(world, token, [250])
    page = at_work(visit())

    page.get_by_label("Name, wallet number").fill("nobody at all")
    expect(page.get_by_text("Nobody is called “nobody at all”.")).to_be_visible()
    page.get_by_label("Name, wallet number").fill(placed["bet_id"])
    expect(page.locator("#trail")).to_contain_text(placed["bet_id"])


def test_a_bet_that_was_rolled_back_before_it_came_is_shown_as_that(visit: Visit, world: World) -> None:
    visitor = visit()
    bet_id = str(uuid.uuid4())
    visitor.operates("POST", f"/v1/bets/{bet_id}/rollback")
    page = at_work(visitor)

    page.get_by_label("Name, wallet number").fill(bet_id.upper())
    trail = page.locator("#trail")
    expect(trail).to_contain_text(bet_id)
    expect(trail).to_contain_text("Nobody's")
    expect(trail.get_by_role("listitem")).to_contain_text("Rolled back before it came")
    expect(trail.get_by_role("button", name=re.compile("Settle|Roll back"))).to_have_count(0)


def test_what_was_asked_for_last_is_what_is_shown(visit: Visit, world: World) -> None:
    """However late the answer to an earlier question is, and also where that is an error."""
    user_id, token = world.player()
    first, second = played(world, token, [100, 200])
    other_id, _ = world.player()
    page = at_work(visit())
    rows, trail = statement(page, user_id), page.locator("#trail")

    late = Late(page, f"**/v1/bets/{first['bet_id']}/trail")
    with late.asked():
        rows.nth(1).get_by_role("button", name="Bet").click()
    rows.first.get_by_role("button", name="Bet").click()
    expect(trail).to_contain_text(second["bet_id"])
    with page.expect_response("**/v1/wallet?*"):  # which it looks at next
        late.comes()
    drawn(page)
    expect(trail).to_contain_text(second["bet_id"])

    late = Late(page, "**/v1/blocks/*")
    block = trail.get_by_role("button", name="Block ")
    with late.asked():
        block.click()
    block.click()
    late.comes()
    expect(trail.get_by_text("Signed by")).to_have_count(0)

    late = Late(page, f"**/v1/wallet?user_id={user_id}")
    with late.asked():
        page.get_by_role("button", name="Read again").click()
    expect(statement(page, other_id)).to_have_count(1)
    late.comes()
    expect(page.get_by_role("heading", name=f"Wallet {other_id}")).to_be_visible()

    late = Late(page, "**/v1/players?text=nobody")
    search = page.get_by_label("Name, wallet number")
    with late.asked():
        search.fill("nobody")
    search.fill(str(user_id))
    expect(page.get_by_role("button", name=f"№ {user_id}")).to_be_visible()
    late.comes(turn_down)
    expect(page.get_by_role("button", name=f"№ {user_id}")).to_be_visible()


def test_a_bet_is_settled_once_however_often_the_button_is_clicked(visit: Visit, world: World) -> None:
    user_id, token = world.player()
    (placed,) = played(world, token, [250])
    visitor = visit()
    sent = moves_sent(visitor)
    page = at_work(visitor)
    statement(page, user_id).first.get_by_role("button", name="Bet").click()
    page.get_by_role("button", name="Settle …").click()
    dialog = page.get_by_role("dialog", name="Settle this bet")
    expect(dialog.get_by_role("radio", name="Won")).to_be_focused()
    expect(dialog).to_contain_text("€2.50")
    expect(dialog).to_contain_text(f"№ {user_id}")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name="Settle …")).to_be_focused()

    page.get_by_role("button", name="Settle …").click()
    dialog.get_by_label("Won").check()
    dialog.get_by_role("button", name="Settle").click()
    expect(dialog.get_by_role("alert")).to_have_text("How much is paid out? An amount such as 12.50.")
    dialog.get_by_label("Payout").fill("12,50")
    # Both clicks before any answer can come, however fast the server is.
    dialog.get_by_role("button", name="Settle").evaluate("(button) => { button.click(); button.click(); }")

    expect(dialog).to_be_hidden()
    expect(page.get_by_role("region", name="Statement").locator("tbody tr").first).to_contain_text("+€12.50")
    expect(page.locator("#trail")).to_contain_text("Won")
    expect(page.get_by_role("button", name=re.compile("Settle|Roll back"))).to_have_count(0)
    wins = world.query(
        "SELECT amount FROM transaction_ledger WHERE user_id = ? AND ref_id = ? ORDER BY id",
        user_id, placed["bet_id"],
    )  # fmt: skip
    assert wins == [(-250,), (1250,)]
    assert [each["type"] for each in sent] == ["bet.settle"]


def test_an_answer_that_was_lost_is_asked_for_again_and_nothing_is_done_twice(
    visit: Visit, world: World
) -> None:
    user_id, token = world.player()
    (placed,) = played(world, token, [250])
    visitor = visit()
    asked: list[Any] = []

    def lose_the_first_answer(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def pass_on(frame: str | bytes) -> None:
            asked.extend([json.loads(frame)] if "bet.rollback" in str(frame) else [])
            server.send(frame)

        route.on_message(pass_on)
        server.on_message(
            lambda frame: None if "bet.rolled_back" in str(frame) and len(asked) == 1 else route.send(frame)
        )

    visitor.context.route_web_socket("**/ws", lose_the_first_answer)
    visitor.context.clock.install()
    page = at_work(visitor)
    statement(page, user_id).first.get_by_role("button", name="Bet").click()
    page.get_by_role("button", name="Roll back …").click()
    dialog = page.get_by_role("dialog", name="Roll this bet back")
    dialog.get_by_role("button", name="Roll back").click()
    expect(dialog.get_by_role("button", name="Cancel")).to_be_disabled()
    page.clock.fast_forward(ANSWER_MS)
    expect(dialog.get_by_role("alert")).to_contain_text("It is not known whether that was done.")
    dialog.get_by_role("button", name="Ask again").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#trail")).to_contain_text("Rolled back")
    one, other = asked
    assert one | {"id": ""} == other | {"id": ""}
    assert world.query("SELECT count(*) FROM transaction_ledger WHERE ref_id = ?", placed["bet_id"]) == [(4,)]


def test_a_bet_is_rolled_back_and_a_refusal_is_told(visit: Visit, world: World) -> None:
    player, visitor = visit().registers(balance=10_000), visit()
    token = mint(player.user_id)
    (placed,) = played(world, token, [250])
    page = at_work(visitor)
    page.get_by_label("Name, wallet number").fill(player.name)
    page.get_by_role("button", name=player.name).click()
    entries = page.get_by_role("region", name="Statement").locator("tbody tr")
    entries.first.get_by_role("button", name="Bet").click()
    page.get_by_role("button", name="Roll back …").click()
    dialog = page.get_by_role("dialog", name="Roll this bet back")
    expect(dialog).to_contain_text("The stake goes back to the player")
    dialog.get_by_role("button", name="Roll back").click()
    expect(page.locator("#trail")).to_contain_text("Rolled back")
    expect(page.get_by_role("button", name=re.compile("Settle|Roll back"))).to_have_count(0)
    expect(entries.first).to_contain_text("+€2.50")
    expect(page.get_by_role("heading", name=player.name)).to_be_visible()

    cashed, other = played(world, token, [400, 300])
    visitor.operates("POST", f"/v1/bets/{cashed['bet_id']}/cashout", stake=100, payout=90)
    page.get_by_label("Name, wallet number").fill(cashed["bet_id"])
    expect(page.locator("#trail")).to_contain_text("Cash-out")
    expect(page.get_by_role("button", name="Settle …")).to_be_visible()
    expect(page.get_by_role("button", name="Roll back …")).to_have_count(0)
    page.get_by_label("Name, wallet number").fill(other["bet_id"])
    expect(page.locator("#trail")).to_contain_text(other["bet_id"])
    page.get_by_role("button", name="Settle …").click()
    visitor.operates("POST", f"/v1/bets/{other['bet_id']}/rollback")  # a colleague was faster
    dialog = page.get_by_role("dialog", name="Settle this bet")
    dialog.get_by_label("Lost").check()
    dialog.get_by_role("button", name="Settle").click()
    expect(dialog.get_by_role("alert")).to_have_text("The house has cancelled this bet.")
    dialog.get_by_role("button", name="Cancel").click()
    assert state_of(world, placed) == "rolled_back"


def test_an_auditor_sees_nothing_that_moves_money_and_a_forged_click_is_refused(
    visit: Visit, world: World
) -> None:
    """The page is made to believe that he is an operator; the server is not."""
    user_id, token = world.player()
    (placed,) = played(world, token, [250])
    page = at_work(visit(), "auditor")
    statement(page, user_id).first.get_by_role("button", name="Bet").click()
    expect(page.locator("#trail")).to_contain_text(placed["bet_id"])
    expect(page.get_by_role("button", name=re.compile("Settle|Roll back|Try again|Return"))).to_have_count(0)

    def forge(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=json.dumps(answer.json() | {"role": "operator"}))

    page.route("**/v1/auth/refresh", forge)
    page.reload()
    statement(page, user_id).first.get_by_role("button", name="Bet").click()
    page.get_by_role("button", name="Roll back …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Roll back").click()
    expect(dialog.get_by_role("alert")).to_have_text("You may not do that.")
    assert state_of(world, placed) == "confirmed"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(visit: Visit, world: World, scheme: str) -> None:
    user_id, token = world.player()
    played(world, token, [250, OPENING])
    visitor = visit("phone" if scheme == "dark" else "desk", scheme)
    page = visitor.opens("/operator")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    assert visitor.serious_faults(page) == []
    page = at_work(visitor)
    statement(page, user_id).first.get_by_role("button", name="Bet").click()
    page.get_by_role("button", name="Block ").click()
    assert visitor.serious_faults(page) == []
    page.get_by_role("button", name="Settle …").click()
    page.get_by_label("Won").check()
    assert visitor.serious_faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is cut off"


def test_the_page_is_light(visit: Visit) -> None:
    visitor = visit()
    at_work(visitor)
    assert set(visitor.loaded) >= {"/operator", "/web/operator/main.js", "/web/client/pauses.js"}
    assert sum(visitor.loaded.values()) < PAGE_BYTES_MAX, visitor.loaded
