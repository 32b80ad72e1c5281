"""Coming in, on a page of the player."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.visitors import Visit


def test_a_new_player_registers_and_is_known_after_a_reload(visit: Visit) -> None:
    visitor = visit()
    page = visitor.opens("/")
    page.get_by_role("button", name="Register as a new player").click()
    page.get_by_label("Name").fill("alice")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.get_by_role("heading", name="Place a bet")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Place a bet")).to_be_visible()
    assert page.evaluate("[{...localStorage}, {...sessionStorage}]") == [{}, {}]
