"""A bet in a real browser: from the click to the last word, through whatever happens on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.visitors import Visit, Visitor
from tests.faults.failing_disk import Disk
from tests.server_fixture import World, running

HELD_S = 1.0
"""How long a COMMIT is held back, to see that nothing is green meanwhile."""
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


def watched(visitor: Visitor) -> Page:
    """His page, which keeps each state that its newest bet shows, from its beginning: see `seen`."""
    visitor.context.add_init_script("""
        globalThis.seen = [];
        const look = () => {
            const now = document.querySelector("[data-bet] .state")?.textContent;
            if (now && now !== globalThis.seen.at(-1)) globalThis.seen.push(now);
        };
        new MutationObserver(look).observe(document, {subtree: true, childList: true, characterData: true});
    """)
    page = visitor.opens()
    expect(page.get_by_role("button", name="Place bet")).to_be_visible()
    return page


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
