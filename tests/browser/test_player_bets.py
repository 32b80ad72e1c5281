"""A bet in a real browser: from the click to the last word, through whatever happens on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from tests.browser.visitors import Visit, Visitor
from tests.faults.failing_disk import Disk
from tests.server_fixture import World, running

HELD_S = 1.0
"""How long a COMMIT is held back, to see that nothing is green meanwhile."""
ANSWER_MS = 31_000
"""After that a page waits for an answer no more."""
LOOK_MS = 5_000
"""After that it asks again how its bets stand."""
GONE = r"WebSocket connection to .* failed|ERR_CONNECTION_REFUSED"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    """Under the server of this file."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield Disk(tmp_path_factory.mktemp("disk"), monkeypatch)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, disk: Disk) -> Iterator[World]:
    """As everywhere, on a disk that holds back what it is told to."""
    with running(tmp_path_factory.mktemp("world"), players=1) as live:
        yield live


def bets(visitor: Visitor) -> list[tuple[str, int]]:
    """What the books say of his bets: each key and stake."""
    return visitor.world.query(
        "SELECT t.key, -sum(l.amount) FROM transaction_ledger l"
        " JOIN transactions t ON t.id = l.transaction_id"
        " WHERE l.user_id = ? AND t.kind = 'BET' GROUP BY t.id",
        visitor.user_id,
    )


def place(page: Page, stake: str) -> Locator:
    """Place a bet as people do; the newest bet of the list."""
    page.get_by_label("Stake").fill(stake)
    page.get_by_role("button", name="Place bet").click()
    return page.locator("[data-bet]").first


class Line:
    """Between a page and its server. While it `is_cut`, what the server says is lost, and nobody is told."""

    def __init__(self, page: Page) -> None:
        self.is_cut = False
        page.route_web_socket("**/ws", self._connect)

    def _connect(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda frame: None if self.is_cut else socket.send(frame))


def watched(visitor: Visitor) -> Page:
    """His page, which keeps each state that its newest bet shows, from its beginning: see `seen`."""
    watch(visitor)
    page = visitor.opens()
    expect(page.get_by_role("button", name="Place bet")).to_be_visible()
    return page


def watch(visitor: Visitor) -> None:
    visitor.context.add_init_script("""
        globalThis.seen = [];
        const look = () => {
            const now = document.querySelector("[data-bet] .state")?.textContent;
            if (now && now !== globalThis.seen.at(-1)) globalThis.seen.push(now);
        };
        new MutationObserver(look).observe(document, {subtree: true, childList: true, characterData: true});
    """)


def seen(page: Page) -> list[str]:
    shown: list[str] = page.evaluate("globalThis.seen")
    return shown


def test_amber_until_the_commit_is_done_and_green_then(visit: Visit, disk: Disk) -> None:
    visitor = visit().registers(10_000)
    page = watched(visitor)
    disk.becomes("held")
    try:
        bet = place(page, "2.50")
        expect(bet).to_have_attribute("data-state", "pending")
        expect(bet.locator(".state.pending")).to_have_text("Pending")
        until = time.monotonic() + HELD_S
        while (left_s := until - time.monotonic()) > 0:
            page.wait_for_timeout(min(100, left_s * 1000))
            assert seen(page) == ["Pending"]
            assert page.locator("#available").text_content() == "€100.00"
        assert bets(visitor) == []
    finally:
        disk.becomes("well")
    expect(bet).to_have_attribute("data-state", "confirmed")
    expect(bet.locator(".state.green")).to_have_text("Confirmed")
    assert seen(page) == ["Pending", "Confirmed"]
    expect(page.locator("#available")).to_have_text("€97.50")
    assert [stake for _, stake in bets(visitor)] == [250]


def test_a_refusal_is_red_with_its_reason_and_takes_nothing(visit: Visit) -> None:
    visitor = visit().registers(100)
    page = visitor.opens()
    bet = place(page, "1.01")
    expect(bet.locator(".state.red")).to_have_text("Refused")
    expect(bet).to_contain_text("There is not enough available for that.")
    expect(page.locator("#live")).to_contain_text("Refused: €1.01.")
    expect(page.locator("#available")).to_have_text("€1.00")
    assert bets(visitor) == []


def test_what_is_no_amount_is_not_sent(visit: Visit) -> None:
    page = visit().registers(10_000_000).opens()
    for typed in ("", "0", "-1", "1,000", "1.005", "1e3", "abc"):
        page.get_by_label("Stake").fill(typed)
        page.get_by_role("button", name="Place bet").click()
        expect(page.get_by_role("alert")).to_have_text("Type an amount above zero, such as 2.50.")
        expect(page.get_by_label("Stake")).to_be_focused()
    expect(page.locator("[data-bet]")).to_have_count(0)


def test_a_server_that_is_killed_in_mid_bet_leaves_grey_then_the_truth_and_one_debit(
    visit: Visit, disk: Disk
) -> None:
    visitor = visit().registers(10_000)
    visitor.forgives(GONE)
    page = watched(visitor)
    disk.becomes("held")
    bet = place(page, "4")
    expect(bet).to_have_attribute("data-state", "pending")
    visitor.world.server.kill()
    expect(bet.locator(".state.grey")).to_have_text("Checking…")
    expect(page.locator("#link")).to_have_text("Connecting…")
    disk.becomes("well")
    visitor.world.server.start()
    expect(bet).to_have_attribute("data-state", "confirmed")
    assert seen(page) == ["Pending", "Checking…", "Confirmed"]
    assert bets(visitor) == [(bet.get_attribute("data-bet"), 400)]
    expect(page.locator("#available")).to_have_text("€96.00")
    expect(page.locator("#link")).to_be_empty()


def test_a_reload_in_mid_bet_asks_what_became_of_it_and_bets_once(visit: Visit, disk: Disk) -> None:
    visitor = visit().registers(10_000)
    page = watched(visitor)
    disk.becomes("held")
    try:
        bet = place(page, "3")
        expect(bet).to_have_attribute("data-state", "pending")
        bet_id = bet.get_attribute("data-bet")
        page.reload(wait_until="commit")
        expect(page.locator("#door")).to_contain_text("Connecting…")
        assert page.evaluate("Object.keys(localStorage)") == [f"solidgreen.bet.{bet_id}"]
    finally:
        disk.becomes("well")
    expect(page.locator("[data-bet]")).to_have_attribute("data-state", "confirmed")
    assert page.locator("[data-bet]").get_attribute("data-bet") == bet_id
    assert seen(page) == ["Checking…", "Confirmed"]
    assert bets(visitor) == [(bet_id, 300)]
    assert page.evaluate("Object.keys(localStorage)") == []
    page.reload()
    expect(page.locator("#available")).to_have_text("€97.00")
    assert len(bets(visitor)) == 1


def test_a_transfer_that_was_not_answered_is_asked_again_and_moves_once(visit: Visit, disk: Disk) -> None:
    friend = visit().registers()
    visitor = visit().registers(10_000)
    page = visitor.opens("/#send")
    page.get_by_label("To wallet number").fill(str(friend.user_id))
    page.get_by_label("Amount").fill("6")
    disk.becomes("held")
    try:
        page.get_by_role("button", name="Send").click()
        page.get_by_role("dialog").get_by_role("button", name="Send").click()
        expect(page.get_by_role("main").get_by_role("status")).to_have_text("Sending…")
        page.reload(wait_until="commit")
    finally:
        disk.becomes("well")
    expect(page.get_by_role("heading", name="Not answered yet")).to_be_visible()
    page.get_by_role("button", name="Ask again").click()
    expect(page.get_by_role("main").get_by_role("status")).to_contain_text("Sent: €6.00")
    expect(page.locator("#available")).to_have_text("€94.00")
    expect(page.get_by_role("button", name="Ask again")).to_have_count(0)
    moved = "SELECT amount FROM transaction_ledger WHERE user_id = ? AND amount < 0"
    assert visitor.world.query(moved, visitor.user_id) == [(-600,)]


def send(page: Page, to: int, amount: str) -> Locator:
    """Send money as people do; what is said of it."""
    page.get_by_label("To wallet number").fill(str(to))
    page.get_by_label("Amount").fill(amount)
    page.get_by_role("button", name="Send").click()
    page.get_by_role("dialog").get_by_role("button", name="Send").click()
    return page.get_by_role("main").get_by_role("status")


def test_while_a_transfer_is_not_answered_nothing_else_is_sent_and_nobody_forgets_it(visit: Visit) -> None:
    friend = visit().registers()
    visitor = visit().registers(10_000)
    first, name = visitor.user_id, visitor.name
    page = visitor.context.new_page()
    page.clock.install()
    line = Line(page)
    page.goto("/#send")
    expect(page.get_by_role("heading", name="Send money")).to_be_visible()
    line.is_cut = True
    said = send(page, friend.user_id, "6")
    expect(said).to_have_text("Sending…")
    page.clock.fast_forward(ANSWER_MS)
    expect(said).to_contain_text("There is no answer yet.")
    line.is_cut = False
    expect(page.get_by_label("Amount")).to_have_value("")
    expect(send(page, friend.user_id, "6")).to_contain_text("an earlier transfer is not answered yet")

    visitor.registers(1_000)  # somebody else, in the same browser
    page.reload()
    expect(page.locator("#available")).to_have_text("€10.00")
    expect(page.get_by_role("button", name="Ask again")).to_have_count(0)
    expect(send(page, friend.user_id, "1")).to_contain_text("Sent: €1.00")

    visitor.logs_in(name)
    page.reload()
    other = visitor.opens("/#send")
    expect(other.get_by_role("button", name="Ask again")).to_be_visible()
    page.get_by_role("button", name="Ask again").click()
    expect(said).to_contain_text("Sent: €6.00")
    expect(other.get_by_role("button", name="Ask again")).to_have_count(0)
    expect(page.locator("#available")).to_have_text("€94.00")
    moved = "SELECT amount FROM transaction_ledger WHERE user_id = ? AND amount < 0"
    assert visitor.world.query(moved, first) == [(-600,)]
    assert page.evaluate("Object.keys(localStorage)") == []


def test_a_transfer_that_was_never_asked_again_stays_kept(visit: Visit) -> None:
    """The client has given up before it could."""
    visitor = visit().registers(10_000)
    kept = f"solidgreen.transfer.{visitor.user_id}.k1"
    transfer = '{"key": "k1", "to": 999, "amount": 5}'
    script = f"if (location.protocol === 'http:') localStorage.setItem('{kept}', '{transfer}')"
    visitor.context.add_init_script(script)
    page = visitor.context.new_page()
    sockets: list[WebSocketRoute] = []

    def connect(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        if len(sockets) == 1:
            socket.connect_to_server()

    page.route_web_socket("**/ws", connect)
    page.goto("/#send")
    expect(page.get_by_role("button", name="Ask again")).to_be_visible()
    sockets[0].close(code=1001)
    expect(page.locator("#link")).to_have_text("Connecting…")
    page.get_by_role("button", name="Ask again").click()
    expect(page.get_by_role("main").get_by_role("status")).to_have_text("Sending…")
    while len(sockets) == 1:
        page.wait_for_timeout(10)
    sockets[1].close(code=1009)  # after which there is no point in connecting again
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    assert page.evaluate("Object.keys(localStorage)") == [kept]


def test_a_bet_of_which_another_tab_has_heard_is_not_called_refused(visit: Visit) -> None:
    visitor = visit().registers(10_000)
    watch(visitor)
    page = visitor.context.new_page()
    page.clock.install()
    line = Line(page)
    page.goto("/")
    expect(page.get_by_role("button", name="Place bet")).to_be_visible()
    line.is_cut = True
    bet = place(page, "4")
    expect(bet).to_have_attribute("data-state", "pending")
    bet_id = bet.get_attribute("data-bet")
    other = visitor.opens()
    expect(other.locator(f"[data-bet='{bet_id}']")).to_have_attribute("data-state", "confirmed")
    assert other.evaluate("Object.keys(localStorage)") == []
    line.is_cut = False
    page.clock.fast_forward(ANSWER_MS)
    expect(bet).to_have_attribute("data-state", "confirmed")
    assert "Refused" not in seen(page)
    visitor.operates("POST", f"/v1/bets/{bet_id}/settle", result="lost")
    page.clock.fast_forward(LOOK_MS)  # it is not pushed
    expect(bet.locator(".state")).to_have_text("Lost")

    line.is_cut = True
    bet_id = place(page, "3").get_attribute("data-bet")
    expect(other.locator(f"[data-bet='{bet_id}']")).to_have_attribute("data-state", "confirmed")
    visitor.operates("POST", f"/v1/bets/{bet_id}/settle", result="lost")
    line.is_cut = False
    page.reload()
    expect(page.locator(f"[data-bet='{bet_id}'] .state")).to_have_text("Lost")
    assert seen(page) == ["Checking…", "Lost"]  # and never what it was when it began


def test_a_socket_that_closes_late_says_nothing_of_the_next_one(visit: Visit) -> None:
    visitor = visit().registers(10_000)
    visitor.context.add_init_script("""
        globalThis.sockets = [];
        globalThis.WebSocket = class extends WebSocket {
            constructor(...how) { super(...how); globalThis.sockets.push(this); }
        };
    """)
    page = visitor.opens()
    expect(page.get_by_role("button", name="Place bet")).to_be_visible()
    with page.expect_websocket():
        page.evaluate("sockets[0].onclose({code: 1006, reason: ''})")  # the client gives it up
    expect(page.locator("#link")).to_be_empty()
    link = page.evaluate("""new Promise((resolve) => {
        sockets[0].addEventListener("close", () => resolve(document.querySelector("#link").textContent));
        sockets[0].close();
    })""")
    assert link == ""


def test_a_double_click_is_one_bet_and_what_is_focused_stays(visit: Visit) -> None:
    visitor = visit().registers(10_000)
    page = visitor.opens()
    page.get_by_label("Stake").fill("2")
    page.get_by_role("button", name="Place bet").dblclick()
    expect(page.locator("[data-state=confirmed]")).to_have_count(1)
    receipt = page.locator("[data-bet]").get_by_role("link", name="Receipt")
    receipt.focus()
    page.evaluate("receipt => { globalThis.receipt = receipt; }", receipt.element_handle())
    page.get_by_label("Stake").evaluate("it => { it.value = '3'; it.form.requestSubmit(); }")  # at once
    expect(page.locator("[data-state=confirmed]")).to_have_count(2)
    assert page.evaluate("document.activeElement === receipt")
    assert [stake for _, stake in bets(visitor)] == [200, 300]


def test_two_tabs_agree(visit: Visit) -> None:
    visitor = visit().registers(10_000)
    one, other = visitor.opens(), visitor.opens()
    expect(other.get_by_role("button", name="Place bet")).to_be_visible()
    bet = place(one, "5")
    expect(bet).to_have_attribute("data-state", "confirmed")
    bet_id = bet.get_attribute("data-bet")
    there = other.locator(f"[data-bet='{bet_id}']")
    expect(there).to_have_attribute("data-state", "confirmed")
    for page in (one, other):
        expect(page.locator("#available")).to_have_text("€95.00")
    expect(one.locator("#live")).to_have_text("Confirmed: €5.00.")
    other.evaluate("new Promise(requestAnimationFrame)")  # which is when it would be said
    expect(other.locator("#live")).to_be_empty()
    visitor.operates("POST", f"/v1/bets/{bet_id}/settle", result="won", payout=800)
    for page in (one, other):
        expect(page.locator("#available")).to_have_text("€103.00")
        expect(page.locator(f"[data-bet='{bet_id}']")).to_have_attribute("data-state", "won")


def test_a_bet_with_the_keyboard_only(visit: Visit) -> None:
    page = visit().registers(10_000).opens()
    expect(page.get_by_role("button", name="Place bet")).to_be_visible()

    def reach(name: str) -> None:
        for _ in range(30):
            page.keyboard.press("Tab")
            focused = page.locator(":focus")
            if focused.evaluate("it => it.labels?.[0]?.textContent ?? it.textContent") == name:
                assert (
                    focused.evaluate("it => getComputedStyle(it).outlineStyle") == "solid" or name == "Stake"
                )
                return
        raise AssertionError(f"no way to {name}")

    reach("Stake")
    page.keyboard.type("1,50")
    reach("On what")
    page.keyboard.type("Black")
    reach("Place bet")
    page.keyboard.press("Enter")
    expect(page.locator("[data-bet] .state.green")).to_have_text("Confirmed")
    expect(page.locator("[data-bet]")).to_contain_text("Roulette · Black")


def test_the_books_are_sound_after_all_that(world: World) -> None:
    world.assert_sound()
