"""The operator's page: what the checks of the books have found, and payouts whose items are in suspense."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from harness.process import Server, seed
from tests.browser.control_room import Late, at_work
from tests.browser.visitors import Visit, Visitor
from tests.server_fixture import OPENING, World, running

PROCESS_MS = 30_000
"""A check is a process of its own, which first has to be started: seconds, on a busy machine."""

PAYOUTS_SHOWN = 10
"""On a page of them (web/operator/payouts.js)."""

ITEMS_TOLD = 1000
"""Of what is in suspense, by one answer (ws/asking/lookups.py)."""


def panel(page: Page, name: str) -> Locator:
    """Of one of the checks."""
    return page.get_by_role("article", name=name)


SEE_THE_BARS = """() => {
    window.barsSeen = [];
    for (const bar of document.querySelectorAll("#checks progress")) {
        const look = () => { if (!bar.hidden) barsSeen.push(bar.ariaLabel.split(":")[0]); };
        new MutationObserver(look).observe(bar, {attributeFilter: ["hidden"]});
    }
}"""


@pytest.mark.parametrize("name", ["Reconcile", "Verify"])
def test_a_check_is_run_again_and_finds_that_all_is_well(visit: Visit, world: World, name: str) -> None:
    auditor = visit()
    page = at_work(auditor, "auditor")
    check = panel(page, name)
    expect(check).to_contain_text("Not looked yet")

    page.evaluate(SEE_THE_BARS)
    check.get_by_role("button", name="Run again").click()
    expect(check).to_contain_text("All rows agree", timeout=PROCESS_MS)
    assert page.evaluate("barsSeen") == [name]
    expect(check.get_by_role("progressbar")).to_be_hidden()
    expect(check).to_contain_text(f"auditor {auditor.name}")
    ((block, hash_),) = world.query("SELECT id, lower(hex(hash)) FROM blocks ORDER BY id DESC LIMIT 1")
    expect(check).to_contain_text(f"Block {block}")
    expect(check).to_contain_text(hash_)
    expect(check.get_by_role("button", name="Run again")).to_be_enabled()
    other = at_work(visit())
    expect(panel(other, name)).to_contain_text("All rows agree")


@pytest.fixture
def tampered(tmp_path: Path) -> Iterator[World]:
    """A server of a file in which somebody has given himself money."""
    db = tmp_path / "wallet.db"
    players = seed(db, 2, OPENING)
    with contextlib.closing(sqlite3.connect(db)) as connection:
        connection.execute("UPDATE users SET balance = balance + 4200 WHERE id = ?", (players[0]["id"],))
        connection.commit()
    with Server(db) as server:
        yield World(server, players, 0)


class TestTampered:
    @pytest.fixture
    def world(self, tampered: World) -> World:
        return tampered

    def test_a_verdict_shows_the_rows_that_differ(self, visit: Visit, world: World) -> None:
        page = at_work(visit())
        check = panel(page, "Reconcile")
        check.get_by_role("button", name="Run again").click()
        expect(check).to_contain_text("Rows differ: ", timeout=PROCESS_MS)
        row = check.get_by_role("listitem").filter(has_text=str(world.players[0]["id"])).first
        expect(row).to_contain_text(str(OPENING + 4200))
        expect(row).to_contain_text(str(OPENING))


# -- payouts


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("books"), players=12) as live:
        yield live


def payout(visitor: Visitor, world: World) -> tuple[int, int]:
    """Whose second and third item are in suspense, their wallet being blocked: its id, and who was paid."""
    user_id, _ = world.player()
    items = [{"user_id": user, "amount": amount} for user, amount in (
        (user_id, 1000), (world.blocked_id, 1500), (world.blocked_id, 700)
    )]  # fmt: skip
    made = visitor.operates("POST", "/v1/payouts", currency="EUR", items=items)
    return made["payout_id"], user_id


def test_what_is_in_suspense_is_paid_or_given_back(visit: Visit, world: World) -> None:
    visitor = visit()
    payout_id, _ = payout(visitor, world)
    page = at_work(visitor)
    row = page.locator("#payouts > ul > li").filter(has_text=f"Payout {payout_id}")
    expect(row).to_contain_text("Not all paid")
    expect(row).to_contain_text("3 of 3 items, €32.00")
    row.get_by_role("button", name="2 in suspense").click()
    item = row.get_by_role("listitem").filter(has_text="Item 1")
    expect(item).to_contain_text("The wallet is blocked.")

    item.get_by_role("button", name="Try again …").click()
    dialog = page.get_by_role("dialog", name="Pay this now")
    expect(dialog).to_contain_text("€15.00")
    expect(dialog).to_contain_text(f"№ {world.blocked_id}")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    dialog.get_by_role("button", name="Pay").click()
    expect(dialog.get_by_role("alert")).to_have_text("The wallet is blocked.")
    visitor.operates("PUT", f"/v1/wallets/{world.blocked_id}/status", status="open")
    dialog.get_by_role("button", name="Pay").click()
    expect(item).to_contain_text("Paid")
    expect(row.get_by_role("button", name="1 in suspense")).to_be_focused()

    item = row.get_by_role("listitem").filter(has_text="Item 2")
    item.get_by_role("button", name="Return …").click()
    page.get_by_role("dialog", name="Return this to the house").get_by_role("button", name="Return").click()
    expect(item).to_contain_text("Returned")
    expect(row).to_contain_text("Paid")
    expect(row).not_to_contain_text("Not all paid")
    paid = world.query(
        "SELECT amount FROM transaction_ledger WHERE user_id = ? AND ref_type = 'PAYOUT'", world.blocked_id
    )
    assert paid == [(1500,)]
    visitor.operates("PUT", f"/v1/wallets/{world.blocked_id}/status", status="blocked")


def test_a_payout_that_is_made_meanwhile_appears_and_an_auditor_only_looks(
    visit: Visit, world: World
) -> None:
    visitor = visit()
    before, _ = payout(visitor, world)
    page = at_work(visitor, "auditor")
    rows = page.locator("#payouts > ul > li")
    known = rows.filter(has_text=f"Payout {before}").get_by_role("button", name="2 in suspense")
    known.focus()
    payout_id, _ = payout(visitor, world)
    row = rows.filter(has_text=f"Payout {payout_id}")
    expect(row).to_be_visible(timeout=10_000)
    expect(rows.first).to_contain_text(f"Payout {payout_id}")
    expect(known).to_be_focused()
    row.get_by_role("button", name="2 in suspense").click()
    expect(row.get_by_role("listitem")).to_have_count(2)
    expect(row.get_by_role("button", name="Try again")).to_have_count(0)


def test_older_payouts_and_more_items_than_are_told_at_once_are_seen(visit: Visit, world: World) -> None:
    visitor = visit()
    user_id, _ = world.player()
    oldest, *_ = made = [
        visitor.operates("POST", "/v1/payouts", currency="EUR", items=[{"user_id": user_id, "amount": 5}])
        for _ in range(PAYOUTS_SHOWN)
    ]
    large = visitor.operates("POST", "/v1/payouts/open", currency="EUR")["payout_id"]
    item = {"user_id": world.blocked_id, "amount": 3}
    for first, some in ((0, ITEMS_TOLD), (ITEMS_TOLD, 1)):
        visitor.operates("POST", f"/v1/payouts/{large}/items", first=first, items=[item] * some)
    visitor.operates("POST", f"/v1/payouts/{large}/start", items=ITEMS_TOLD + 1, total=3 * (ITEMS_TOLD + 1))
    page = at_work(visitor)

    rows = page.locator("#payouts > ul > li")
    expect(rows).to_have_count(PAYOUTS_SHOWN)
    expect(rows.last).to_contain_text(f"Payout {made[1]['payout_id']}")
    page.get_by_role("button", name="Older payouts").click()
    expect(rows.filter(has_text=f"Payout {oldest['payout_id']}")).to_be_visible()
    titles = page.locator("#payouts b").filter(has_text="Payout").all_inner_texts()
    ids = [int(title.removeprefix("Payout ")) for title in titles]
    assert ids == sorted(ids, reverse=True)

    row = rows.filter(has_text=f"Payout {large}")
    opener = row.get_by_role("button", name="1,001 in suspense")
    opener.click()
    items = row.locator(".suspense > li")
    expect(items).to_have_count(ITEMS_TOLD)
    row.get_by_role("button", name="More items").click()
    expect(items).to_have_count(1)
    expect(items).to_contain_text(f"Item {ITEMS_TOLD},")
    expect(opener).to_be_focused()
    items.get_by_role("button", name="Return …").click()
    page.get_by_role("dialog").get_by_role("button", name="Return").click()
    expect(items).to_contain_text("Returned")

    late = Late(page, f"**/v1/payouts/{large}?*")
    opener = row.get_by_role("button", name="1,000 in suspense")
    opener.click()
    with late.asked():
        opener.click()
    opener.click()
    late.comes()
    expect(items).to_have_count(0)
