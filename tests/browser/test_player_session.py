"""Coming, staying and going: tokens that end, log-ins that end, and tabs that are told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from harness.process import Server, seed
from tests.browser.visitors import PASSWORD, Visit
from tests.server_fixture import World, mint


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server whose access tokens live for two seconds: a page sees many of them end."""
    db = tmp_path_factory.mktemp("world") / "wallet.db"
    (player,) = seed(db, 1)
    with Server(db, module="tests.broken.short_lived") as server:
        yield World(server, [player], 0)


def is_in(page: Page) -> None:
    expect(page.get_by_role("heading", name="Place a bet")).to_be_visible()


def is_out(page: Page, why: str) -> None:
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    expect(page.locator("#door")).to_contain_text(why)
    expect(page.locator("#home")).to_be_hidden()
    assert "€" not in page.locator("#main").inner_text()


def test_a_token_that_ends_is_followed_by_another_without_a_word(visit: Visit) -> None:
    visitor = visit().registers(10_000)
    page = visitor.context.new_page()
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto("/")
    is_in(page)
    first = len(sockets)
    with page.expect_websocket():  # the server has closed the one before
        pass
    assert len(sockets) > first
    page.get_by_label("Stake").fill("1")
    page.get_by_role("button", name="Place bet").click()
    expect(page.locator("[data-bet] .state.green")).to_have_text("Confirmed")
    assert all("token" not in url for url in sockets)


def test_a_log_in_that_has_ended_asks_to_log_in_again(visit: Visit) -> None:
    visitor = visit().registers()
    page = visitor.opens()
    is_in(page)
    tokens = visitor.context.request.post("/v1/auth/refresh", data={}).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert visitor.context.request.post("/v1/auth/logout", data={}, headers=bearer).status == 204
    is_out(page, "Your log-in has ended.")
    page.get_by_label("Name").fill(visitor.name)
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Log in").click()
    is_in(page)


def test_logging_out_is_heard_by_other_tabs_and_leaves_no_cookie(visit: Visit) -> None:
    """The other tab knows why before its socket is closed, also where the server's answer takes its time."""
    visitor = visit().registers()
    one, other = visitor.opens(), visitor.opens()
    is_in(other)
    is_in(one)
    cookies = f"{visitor.world.server.http}/v1/auth"
    assert [each["httpOnly"] for each in visitor.context.cookies(cookies)] == [True]
    held: list[tuple[Route, APIResponse]] = []
    one.route("**/v1/auth/logout", lambda route: held.append((route, route.fetch())))
    one.get_by_role("button", name="Log out").click()
    is_out(other, "You have logged out in another tab.")
    while not held:
        one.wait_for_timeout(10)
    ((route, answer),) = held
    route.fulfill(response=answer)
    is_out(one, "You have logged out.")
    assert visitor.context.cookies(cookies) == []
    other.reload()
    expect(other.get_by_role("button", name="Log in")).to_be_visible()


def test_a_log_out_that_the_server_did_not_hear_of_says_so(visit: Visit) -> None:
    """Each token of this server is about to end, so that a page has to ask for another before it logs out."""
    visitor = visit().registers(10_000)
    visitor.forgives("ERR_FAILED")
    one, other = visitor.opens(), visitor.opens("/#send")
    other.get_by_label("To wallet number").fill("999999999")
    other.get_by_label("Amount").fill("1")
    other.get_by_role("button", name="Send").click()
    expect(other.get_by_role("dialog")).to_be_visible()
    is_in(one)
    one.route("**/v1/auth/refresh", lambda route: route.abort())
    one.get_by_role("button", name="Log out").click()
    is_out(one, "The server could not be told that you log out. Log in and out again to be sure.")
    expect(other.get_by_role("dialog")).to_have_count(0)  # it would stand above the form to log in
    is_out(other, "You have logged out in another tab.")


def test_whoever_is_not_welcomed_sees_that_and_can_log_out(visit: Visit) -> None:
    """The server takes the log-in, and no socket."""
    visitor = visit().registers(10_000)
    one, other = visitor.context.new_page(), visitor.context.new_page()
    for page in (one, other):
        page.route_web_socket("**/ws", lambda socket: socket.close(code=1013))
        page.goto("/")
        expect(page.locator("#door").get_by_role("status")).to_have_text("Connecting…")
    one.get_by_role("button", name="Log out").click()
    is_out(one, "You have logged out.")
    is_out(other, "You have logged out in another tab.")


def test_whoever_waits_for_another_token_waits_for_the_same(visit: Visit) -> None:
    visitor = visit()
    page = visitor.opens()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()  # here nothing else asks for tokens
    visitor.registers()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.evaluate("""async () => {
        const {Session} = await import("/web/shared/session.js");
        const session = await Session.resumed();
        await Promise.all([session.renewed(), session.renewed(), session.renewed()]);
    }""")
    assert asked.count("refresh") == 2


def test_a_wrong_password_and_a_name_that_is_taken_are_told(visit: Visit) -> None:
    visitor = visit().registers()
    visitor.context.clear_cookies()
    page = visitor.opens()
    page.get_by_label("Name").fill(visitor.name)
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("The name or the password is not right.")
    page.get_by_role("button", name="Register as a new player").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("That name is taken.")


def test_staff_find_no_wallet_here(visit: Visit) -> None:
    visitor = visit()
    visitor.context.request.post(
        "/v1/admin/staff",
        data={"username": "anna", "password": PASSWORD, "role": "auditor"},
        headers={"Authorization": f"Bearer {mint(1, 'admin')}"},
    )
    page = visitor.logs_in("anna").opens()
    expect(page.locator("#door")).to_contain_text("You are logged in as auditor: the operator's page.")
    page.get_by_role("button", name="Log out").click()
    is_out(page, "You have logged out.")


def test_no_script_finds_a_secret(visit: Visit) -> None:
    """Neither token is in a storage, a cookie that scripts read, or the address."""
    page = visit().registers().opens()
    is_in(page)
    found = page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"
    )
    assert "eyJ" not in found  # how each JWT begins
    assert found.startswith('[{},{},"",')
