"""`make screenshots`: both pages, driven as people would, in light and dark, on a phone and on a desk.

    python -m demo.pictures --into docs/pages

Needs Playwright and Chromium: Debian's, or what `playwright install chromium` brings. Bots play meanwhile, so
that what is seen is what happens. Each picture is a PNG of at most 256 colours. Exit status: 0, or 1 with a
line for each picture that came out larger than `BYTES_MAX`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright

from demo.bots import Bell
from demo.company import Company
from demo.evening import Evening
from demo.house import House, Person

BYTES_MAX: Final = 200_000
DEBIANS: Final = Path("/usr/bin/chromium")
LAUNCH: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE_MS: Final = 20_000
HEALTHY_WITHIN_MS: Final = 60_000
"""A small machine with a browser on it may open the circuit once more."""
NEWEST: Final = ".bets li:first-child[data-state={}]"
BOTS: Final = 120


@dataclass(frozen=True)
class Look:
    """In which size and colours a page is seen. Pixels of a phone are drawn doubly fine, as phones do."""

    name: str
    width: int
    height: int
    scheme: Literal["light", "dark"]
    scale: int = 1

    @property
    def is_phone(self) -> bool:
        return self.scale > 1


LOOKS: Final = (
    Look("desk-light", 1280, 900, "light"),
    Look("desk-dark", 1280, 900, "dark"),
    Look("phone-light", 390, 844, "light", 2),
    Look("phone-dark", 390, 844, "dark", 2),
)


class Album:
    """Pictures in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.too_large: list[str] = []

    async def take(self, page: Page, name: str, *, whole: bool = False) -> None:
        """What is seen of the page; `whole`: and what is below it."""
        picture = await page.screenshot(full_page=whole, animations="disabled", caret="hide")
        drawn = Image.open(io.BytesIO(picture)).convert("RGB")
        path = self._folder / f"{name}.png"
        drawn.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
        size = path.stat().st_size
        print(f"  {name:28} {drawn.width} × {drawn.height}, {size / 1000:.0f} KB", flush=True)
        if size > BYTES_MAX:
            self.too_large.append(f"{path}: {size} bytes, more than {BYTES_MAX}")


@contextlib.asynccontextmanager
async def seen(browser: Browser, person: Person, look: Look) -> AsyncIterator[Page]:
    """The person's page, once he has logged in."""
    context = await browser.new_context(
        viewport={"width": look.width, "height": look.height},
        color_scheme=look.scheme,
        device_scale_factor=look.scale,
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="Europe/Paris",
    )
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    await page.goto(person.page)
    await page.get_by_role("textbox", name="Name", exact=True).fill(person.username)
    await page.get_by_role("textbox", name="Password").fill(person.password)
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_role("button", name="Log out").wait_for()
    try:
        yield page
    finally:
        await context.close()


async def view(page: Page, name: str) -> None:
    """One of the views of the player's page."""
    await page.get_by_role("link", name=name, exact=True).click()
    await page.get_by_role("heading", level=1).wait_for()


async def bet(page: Page, stake: str, game: str, selection: str, becomes: str) -> None:
    """Typed in, and seen through until it is shown as that."""
    await page.get_by_label("Stake").fill(stake)
    await page.get_by_label("Game").select_option(game)
    await page.get_by_label("On what").fill(selection)
    await page.get_by_role("button", name="Place bet").click()
    await page.locator(NEWEST.format(becomes)).filter(has_text=selection).wait_for()


async def players_pages(browser: Browser, evening: Evening, album: Album) -> None:
    """The player bets, looks back, sums up, and checks a receipt."""
    for look, stake in zip(LOOKS, ("12.50", "20", "8", "15"), strict=True):
        async with seen(browser, evening.player, look) as page:
            await bet(page, stake, "Roulette", "Red", "confirmed")
            await bet(page, "900", "Derby", "Sea Biscuit", "rejected")
            await bet(page, "5", "Football", "Lyon beat Porto", "confirmed")
            with evening.house.frozen():  # a commit that takes its time: amber until it is there
                await bet(page, "7.50", "Roulette", "Number 17", "pending")
                if look.is_phone:
                    await bring_up(page, "form button.main")
                await album.take(page, f"player-bet-{look.name}")
            await page.locator(NEWEST.format("confirmed")).wait_for()
            if look.name in ("desk-light", "phone-dark"):
                await open_won_bet(page)
                await album.take(page, f"player-history-{look.name}")
            if look.name in ("desk-dark", "phone-light"):
                await view(page, "Statement")
                await page.locator("tr.total").wait_for()
                await album.take(page, f"player-statement-{look.name}")
                await open_won_bet(page)
                await page.locator("ol.way").get_by_role("link", name="Receipt").last.click()
                await page.get_by_role("heading", name="Proven").wait_for()
                await album.take(page, f"player-receipt-{look.name}")


async def open_won_bet(page: Page) -> None:
    """In the history: a bet that was paid, with its way through the ledger."""
    await view(page, "History")
    won = page.locator("details.bet").filter(has_text="paid").first
    await won.locator("summary").click()
    await won.locator("ol.way").wait_for()


async def operators_pages(browser: Browser, evening: Evening, album: Album, minutes: float) -> None:
    """The operator watches, has the books checked, and looks a player up; then a disk stalls."""
    async with contextlib.AsyncExitStack() as stack:
        pages: dict[str, Page] = {}
        for look in LOOKS:
            page = pages[look.name] = await stack.enter_async_context(seen(browser, evening.operator, look))
            if len(pages) == 1:  # the others are told what was found when they come
                await have_checked(page)
        desk = pages["desk-light"]
        await players_pages(browser, evening, album)
        await asyncio.sleep(60 * minutes)  # for the charts to have something to show
        for name, page in pages.items():
            await album.take(page, f"operator-{name}")
        for name, page in pages.items():
            await page.get_by_role("searchbox").fill(evening.player.username[:3])
            await page.locator("#found button").filter(has_text=evening.player.username).click()
            await page.locator("#statement table").wait_for()
            await bring_up(page, "#search-players")
            if name in ("desk-light", "phone-light"):
                await album.take(page, f"operator-player-{name}")
                continue
            await page.locator("#statement table button").filter(has_text="Win").first.click()
            await page.locator("#trail h3").wait_for()
            await bring_up(page, "#trail")
            await album.take(page, f"operator-trail-{name}")
        await desk.get_by_role("button", name="1 in suspense").click()
        await desk.locator("#payouts").get_by_role("button", name="Return").wait_for()
        await bring_up(desk, "#paying")
        await album.take(desk, "operator-payouts-desk-light")
        await bring_up(desk, "body")
        await evening.stall()
        await desk.locator("#breaker-state").get_by_text("Waiting").wait_for(timeout=HEALTHY_WITHIN_MS)
        await desk.locator("#breaker-seconds").get_by_text(re.compile(r"^[12]\d s")).wait_for()
        await album.take(desk, "operator-breaker-desk-light")


async def have_checked(page: Page) -> None:
    """Have the books looked at, and see that all is well."""
    for check in ("Reconcile", "Verify"):
        panel = page.get_by_role("article", name=check)
        await panel.get_by_role("button", name="Run again").click()
        await panel.get_by_text("All rows agree").wait_for()


async def bring_up(page: Page, selector: str) -> None:
    """Scroll until it is right below the bar that stays at the top, if it is not above all."""
    await page.locator(selector).first.evaluate(
        """element => {
            const bar = document.querySelector("header");
            const below = getComputedStyle(bar).position === "sticky" ? bar.offsetHeight + 12 : 0;
            scrollTo(0, element.getBoundingClientRect().top + scrollY - below);
        }"""
    )


async def pictures(house: House, album: Album, minutes: float) -> None:
    """A server, bots, a believable evening, and a browser that looks at it."""
    seats = await asyncio.to_thread(house.build, BOTS)
    company = Company(house, seats)
    try:
        await asyncio.to_thread(house.start)
        async with company.seated(), asyncio.TaskGroup() as playing:
            bell = Bell()
            playing.create_task(company.play(bell))
            evening = await Evening.begun(house, company, seats)
            async with async_playwright() as playwright:
                path = DEBIANS if DEBIANS.exists() else None
                browser = await playwright.chromium.launch(executable_path=path, args=LAUNCH)
                await operators_pages(browser, evening, album, minutes)
                await browser.close()
            bell.close()
    finally:
        await asyncio.to_thread(house.end)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make screenshots", description="Pictures of both pages.")
    parser.add_argument("--into", type=Path, required=True, help="a folder; replaces what has the same name")
    parser.add_argument("--minutes", type=float, default=5, help="of the operator's charts (default 5)")
    options = parser.parse_args(arguments)
    options.into.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="solidgreen-pictures-"))
    album = Album(options.into)
    # Nonces in memory: beside a browser, on a small machine, Redis is late now and then, and the page tells.
    asyncio.run(pictures(House(folder, None, None, rate_login="off"), album, options.minutes))
    shutil.rmtree(folder)
    for line in album.too_large:
        print(line)
    return 1 if album.too_large else 0


if __name__ == "__main__":
    sys.exit(main())
