"""What a player finds out about his money, and what he does with it beside betting."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.visitors import Visit, Visitor, held_back

HEADINGS = {
    "Bet": "Place a bet",
    "History": "History",
    "Statement": "Where did my money go?",
    "Send": "Send money",
    "Receipts": "Receipts",
    "Limits": "Limits",
}
FULL = "() => { Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); }; }"
"""No more can be kept in this browser."""
PLAIN = "delete Crypto.prototype.randomUUID"
"""As where a page comes over plain HTTP from another machine."""
PAGE_BYTES = 100_000
"""What issue 8 asks for, before compression: of all that is loaded to place a bet and see it confirmed."""


def bet(page: Page, stake: str) -> str:
    """Place it and see it confirmed: its id."""
    page.goto("/#bet")
    page.get_by_label("Stake").fill(stake)
    page.get_by_role("button", name="Place bet").click()
    newest = page.locator("[data-bet]").first
    expect(newest).to_have_attribute("data-state", "confirmed")
    return newest.get_attribute("data-bet") or ""


def view(page: Page, name: str) -> Locator:
    """By its link in the navigation."""
    page.get_by_role("navigation").get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", level=1, name=HEADINGS[name], exact=True)).to_be_visible()
    return page.get_by_role("main")


def test_a_bets_way_through_the_ledger(visit: Visit) -> None:
    visitor = visit().registers(10_000)
    page = visitor.opens()
    bet_id = bet(page, "2.50")
    main = view(page, "History")
    expect(main.locator("summary")).to_be_visible()
    news = main.get_by_role("button", name="There is news: show it")
    visitor.operates("POST", f"/v1/bets/{bet_id}/settle", result="won", payout=900)
    expect(news).to_be_visible()
    visitor.is_paid(100)
    expect(page.locator("#available")).to_have_text("€107.50")
    expect(news).to_be_visible()  # though that is none
    news.click()
    expect(main.locator("summary")).to_contain_text("paid €9.00")
    main.locator("summary").click()
    steps = main.locator(".way > li")
    expect(steps).to_have_count(2)
    expect(steps.nth(0)).to_contain_text("Stakes")
    expect(steps.nth(0)).to_contain_text("−€2.50")
    expect(steps.nth(0)).to_contain_text("balance €97.50")
    expect(steps.nth(1)).to_contain_text("+€9.00")
    rows = visitor.world.query(
        "SELECT t.id, b.id, lower(hex(b.hash)) FROM transactions t JOIN blocks b ON b.id = t.block_id"
        " WHERE t.kind IN ('BET', 'WIN', 'SETTLE') AND t.key = ? OR t.id IN (SELECT transaction_id FROM"
        " transaction_ledger WHERE ref_id = ?) ORDER BY t.id",
        bet_id,
        bet_id,
    )
    for step, (transaction_id, block, digest) in zip(steps.all(), rows, strict=True):
        expect(step).to_contain_text(f"Transaction {transaction_id}, sealed in block {block}")
        expect(step).to_contain_text(digest)


def test_where_the_money_went(visit: Visit) -> None:
    visitor = visit().registers(10_000)
    page = visitor.opens()
    first = bet(page, "10")
    bet(page, "5")
    visitor.operates("POST", f"/v1/bets/{first}/settle", result="won", payout=1250)
    main = view(page, "Statement")
    expect(main.locator(".sums tr")).to_have_text(
        [
            re.compile("Balance before.*€0.00"),
            re.compile("Stakes × 2.*−€15.00"),
            re.compile("Winnings × 1.*\\+€12.50"),
            re.compile("Paid in × 1.*\\+€100.00"),
            re.compile("Balance after.*€97.50"),
        ]
    )
    entries = main.get_by_role("region", name="Entries").locator("tbody tr")
    expect(entries).to_have_count(4)
    expect(entries.first).to_contain_text("€97.50")
    visitor.is_paid(100)  # while he looks at it
    expect(main.locator(".sums .total")).to_contain_text("€98.50")
    main.get_by_label("Period").select_option("From the beginning")
    expect(main.locator(".sums .total")).to_contain_text("€98.50")
    held = held_back(page, "**/v1/wallet/entries*")
    for _ in range(5):
        visitor.is_paid(100)
    expect(page.locator("#available")).to_have_text("€103.50")
    while not held:
        page.wait_for_timeout(10)
    assert len(held) == 1
    with page.expect_request("**/v1/wallet/entries*"):
        held[0].continue_()
    while len(held) == 1:
        page.wait_for_timeout(10)
    held[1].continue_()
    expect(main.locator(".sums .total")).to_contain_text("€103.50")
    assert len(held) == 2  # one for all that came while the first was on its way


def test_a_view_that_cannot_be_loaded_is_told_and_the_last_one_lives_on(visit: Visit) -> None:
    visitor = visit().registers(10_000)
    visitor.forgives("ERR_FAILED|Failed to fetch")
    page = visitor.opens("/#constructor")
    page.get_by_label("Stake").fill("1.25")
    page.locator(".skip").press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.route("**/web/player/history.js", lambda route: route.abort())
    page.get_by_role("link", name="History").click()
    alert = page.get_by_role("alert").filter(has_text="This view could not be loaded.")
    expect(alert).to_be_visible()
    expect(page.get_by_role("link", name="Bet", exact=True)).to_have_attribute("aria-current", "page")
    page.get_by_role("button", name="Place bet").click()
    newest = page.locator("[data-bet]")
    expect(newest).to_have_attribute("data-state", "confirmed")
    expect(newest).to_contain_text("€1.25")
    page.unroute("**/web/player/history.js")
    main = view(page, "History")
    expect(main.locator("summary")).to_be_visible()
    expect(alert).to_have_count(0)
    words = "import('/web/shared/words.js').then(({inWords}) => inWords(new Error()))"
    assert page.evaluate(words) == "It did not work."
    other = visitor.context.new_page()
    other.route("**/web/player/limits.js", lambda route: route.abort())
    other.goto("/#limits")  # the first one
    expect(other.get_by_role("alert")).to_contain_text("This view could not be loaded.")
    other.unroute("**/web/player/limits.js")
    view(other, "Limits")


def test_money_to_another_player(visit: Visit) -> None:
    friend = visit("phone").registers()
    there = friend.opens()
    visitor = visit().registers(1_000)
    page = visitor.opens()
    expect(there.locator("#available")).to_have_text("€0.00")
    page.evaluate(PLAIN)
    main = view(page, "Send")
    main.get_by_label("To wallet number").fill(str(friend.user_id))
    main.get_by_label("Amount").fill("3.30")
    main.get_by_role("button", name="Send").click()
    dialog = page.get_by_role("dialog", name="Send it?")
    expect(dialog).to_contain_text(f"€3.30 from your wallet to wallet {friend.user_id}.")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator("#available")).to_have_text("€10.00")
    main.get_by_role("button", name="Send").click()
    page.get_by_role("dialog").get_by_role("button", name="Send").click()
    expect(main.get_by_role("status")).to_contain_text(f"Sent: €3.30 to wallet {friend.user_id}.")
    expect(page.locator("#available")).to_have_text("€6.70")
    expect(there.locator("#available")).to_have_text("€3.30")
    assert page.evaluate("Object.keys(localStorage)") == []
    main.get_by_label("To wallet number").fill("999999999")
    main.get_by_label("Amount").fill("1")
    main.get_by_role("button", name="Send").click()
    page.get_by_role("dialog").get_by_role("button", name="Send").click()
    expect(main.get_by_role("status")).to_have_text("Nothing was sent. There is no such wallet.")
    page.evaluate(FULL)
    main.get_by_role("button", name="Send").click()
    page.get_by_role("dialog").get_by_role("button", name="Send").click()
    expect(main.get_by_role("status")).to_contain_text(
        "Nothing was sent: this browser has no room to keep it"
    )
    view(page, "Bet")
    page.get_by_label("Stake").fill("1")
    page.get_by_role("button", name="Place bet").click()
    refused = page.locator("[data-bet]")
    expect(refused).to_have_attribute("data-state", "rejected")
    expect(refused).to_contain_text("It was never sent. This browser has no room to keep it.")


def test_a_receipt_is_checked_here_saved_and_refused_where_it_was_altered(
    visit: Visit, tmp_path: Path
) -> None:
    visitor = visit().registers(10_000)
    visitor.forgives("ERR_INTERNET_DISCONNECTED")
    page = visitor.opens()
    bet(page, "7.77")
    page.get_by_role("link", name="Receipt", exact=True).click()
    verdict = page.locator("[data-verdict]")
    expect(verdict).to_have_attribute("data-verdict", "proven")
    expect(verdict).to_contain_text("−€7.77")
    spoken = "Proven. These entries are in the signed books, and nobody can change them without breaking"
    expect(page.locator("#live")).to_have_text(f"{spoken} this receipt.")
    expect(page.get_by_role("main").get_by_role("status")).to_have_count(0)  # all of it would be read out
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as a file").click()
    saved = tmp_path / "receipt.json"
    download.value.save_as(saved)
    receipt = json.loads(saved.read_text(encoding="utf-8"))
    assert re.fullmatch(r"receipt-\d+\.json", download.value.suggested_filename)

    visitor.context.set_offline(True)
    receipt["entries"][0]["amount"] = -1
    altered = tmp_path / "altered.json"
    altered.write_text(json.dumps(receipt), encoding="utf-8")
    chosen = page.get_by_label("Check a saved receipt")
    chosen.set_input_files(altered)
    expect(verdict).to_have_attribute("data-verdict", "refused")
    expect(verdict).to_contain_text("an entry is not in the transaction")
    chosen.set_input_files(saved)
    expect(verdict).to_have_attribute("data-verdict", "proven")
    garbage = tmp_path / "garbage.json"
    garbage.write_text("{", encoding="utf-8")
    chosen.set_input_files(garbage)
    expect(verdict).to_have_attribute("data-verdict", "refused")


def test_limits_and_a_break(visit: Visit) -> None:
    visitor = visit().registers(10_000)
    page = visitor.opens()
    page.evaluate(PLAIN)
    main = view(page, "Limits")
    main.get_by_label("Of").select_option("Stakes")
    main.get_by_label("At most").fill("20")
    main.get_by_role("button", name="Set limit").click()
    limits = main.get_by_role("region", name="Your limits")
    expect(limits).to_contain_text("Stakes a day€20.00")
    bet(page, "15")
    page.get_by_label("Stake").fill("5.01")
    page.get_by_role("button", name="Place bet").click()
    expect(page.locator("[data-bet]").first).to_contain_text("A limit stops this")
    view(page, "Limits")
    expect(limits).to_contain_text("€15.00 used")
    main.get_by_role("button", name="Keep me out").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep me out").click()
    expect(limits).to_contain_text("Keeping out until")
    expect(limits).not_to_contain_text("object")
    expect(limits.get_by_text("used")).to_have_count(1)  # of the stakes
    view(page, "Bet")
    page.get_by_label("Stake").fill("0.01")
    page.get_by_role("button", name="Place bet").click()
    expect(page.locator("[data-bet]").first).to_have_attribute("data-state", "rejected")


@pytest.mark.parametrize(("size", "scheme"), [("phone", "dark"), ("desk", "light")])
def test_nobody_is_kept_out(
    visit: Visit, size: Literal["phone", "desk"], scheme: Literal["light", "dark"]
) -> None:
    """Axe finds nothing serious on any view, before or after logging in; nothing is wider than the page."""
    visitor = visit(size, scheme)
    found = {"door": faults_of(visitor, visitor.opens())}
    visitor.registers(10_000)
    page = visitor.opens()
    bet_id = bet(page, "2")
    page.get_by_label("Stake").fill("9999")
    page.get_by_role("button", name="Place bet").click()
    expect(page.locator("[data-state=rejected]")).to_be_visible()
    found["bets"] = faults_of(visitor, page)
    visitor.operates("POST", f"/v1/bets/{bet_id}/settle", result="lost")
    for name in ("History", "Statement", "Send", "Limits"):
        main = view(page, name)
        if name == "History":
            main.locator("summary").click()
            main.get_by_role("link", name="Receipt", exact=True).first.wait_for()
            expect(main.get_by_role("heading", name="Lost")).to_be_visible()
        elif name == "Limits":
            main.get_by_label("At most").fill("20")
            main.get_by_role("button", name="Set limit").click()
            expect(main.get_by_role("progressbar")).to_be_visible()
            main.get_by_role("button", name="Keep me out").click()
            found["dialog"] = faults_of(visitor, page)
            page.keyboard.press("Escape")
        elif name == "Statement":
            expect(main.get_by_role("region", name="Entries")).to_be_visible()
        found[name] = faults_of(visitor, page)
    view(page, "History")
    page.locator("summary").click()
    page.get_by_role("link", name="Receipt", exact=True).first.click()
    expect(page.locator("[data-verdict=proven]")).to_be_visible()
    found["Receipts"] = faults_of(visitor, page)
    assert {name: faults for name, faults in found.items() if faults} == {}


def faults_of(visitor: Visitor, page: Page) -> list[str]:
    expect(page.locator("h1")).to_be_visible()
    faults = visitor.serious_faults(page)
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        faults.append("wider than the window")
    return faults


def test_the_page_is_light(visit: Visit) -> None:
    """What a bet takes; what all other views load, the verifier with them, is less than half of that."""
    visitor = visit().registers(10_000)
    page = visitor.opens()
    bet(page, "1")
    assert "/web/client/solidgreen.js" in visitor.loaded
    assert sum(visitor.loaded.values()) < PAGE_BYTES, visitor.loaded
    for name in ("History", "Statement", "Send", "Receipts", "Limits"):
        view(page, name)
        assert f"/web/player/{name.lower()}.js" in visitor.loaded
    assert sum(visitor.loaded.values()) < 1.4 * PAGE_BYTES, visitor.loaded


def test_amounts_are_exact_in_every_currency(visit: Visit) -> None:
    """As far as the wire goes, 2^53 − 1, and back from what people type."""
    page = visit().opens()
    shown, typed = page.evaluate("""() => import("/web/shared/money.js").then(({shown, typed, typeable}) => [
        [[2 ** 53 - 1, "EUR"], [-5, "EUR"], [0, "USD"], [1234, "JPY"], [1234, "BHD"]]
            .map((each) => shown(...each)),
        [["90071992547409.91", "EUR"], ["12,5", "EUR"], [" 7 ", "JPY"], ["7.5", "JPY"], ["1.234", "BHD"],
            [typeable(7, "BHD"), "BHD"], [typeable(7, "JPY"), "JPY"], ["1 000", "EUR"], ["0.00", "EUR"],
            ["999999999999999", "EUR"]].map((each) => typed(...each)),
    ])""")
    assert shown == ["€90,071,992,547,409.91", "−€0.05", "US$0.00", "JP¥1,234", "BHD\u00a01.234"]
    assert typed == [None, 1250, 7, None, 1234, 7, 7, None, None, None]
