"""The console in a real browser: complete, alive, readable, usable by keyboard, and without any complaint."""

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import Struct

from croupier.console.app import render_grouped
from e2e.processes import (
    CROUPIER,
    Addresses,
    deployment,
    environment,
    free_addresses,
    running,
    wait_for_text,
)

pytestmark = pytest.mark.system

CHROMIUM: Final = "/usr/bin/chromium"
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS: Final = 15_000
LEAST_CONTRAST: Final = 4.5
"""WCAG 2.2, criterion 1.4.3, for text of normal size."""

WATCH_POLICY: Final = """
window.violations = [];
document.addEventListener("securitypolicyviolation", event =>
    window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""

CONTRASTS: Final = """() => {
  const channel = value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const parse = text => {
    const parts = text.match(/[\\d.]+/g).map(Number);
    return { rgb: parts.slice(0, 3), alpha: parts.length > 3 ? parts[3] : 1 };
  };
  const luminance = rgb => {
    const [red, green, blue] = rgb.map(value => channel(value / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const background = element => {
    for (let node = element; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.alpha === 1) return colour.rgb;
      if (colour.alpha > 0) throw new Error("a half transparent background cannot be judged");
    }
    return [255, 255, 255];
  };
  const shown = [...document.body.querySelectorAll("*")].filter(element =>
    element.checkVisibility() && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  return shown.map(element => {
    const ink = luminance(parse(getComputedStyle(element).color).rgb);
    const paper = luminance(background(element));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    return { text: element.textContent.trim().slice(0, 40), tag: element.tagName, ratio };
  });
}"""


class House(Struct, frozen=True):
    """A running deployment without any play: where it is, and the operator's token."""

    addresses: Addresses
    token: str

    def deposit(self, player: str, asset: str, amount: str, reference: str) -> None:
        """Move the first money, as a casino's platform does."""
        request = urllib.request.Request(
            f"http://{self.addresses.public}/v1/wallets/{player}/{asset}/deposits",
            data=json.dumps({"amount": amount, "reference": reference}).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "Idempotency-Key": reference,
            },
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            assert json.load(reply)["status"] == "approved"


class Watched:
    """A page and everything that went wrong on it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.add_init_script(WATCH_POLICY)
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("requestfailed", lambda request: self._note("error", f"{request.url} failed"))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def open(self, address: str) -> None:
        self.page.goto(f"http://{address}/", wait_until="networkidle")

    def wait_for_refresh(self) -> None:
        """Until the page has read its numbers anew."""
        expect(self.page.get_by_role("status")).to_have_text("live", timeout=PATIENCE_MS)

    def require_no_complaint(self) -> None:
        assert self.complaints == []
        assert self.page.evaluate("window.violations") == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # The driver is installed for `make test-system` alone, so this file must load without it.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    addresses = free_addresses()
    with deployment(tmp_path_factory.mktemp("house"), addresses) as config_path:
        token = (config_path.parent / ".croupier/keys/operator.key").read_text().strip()
        yield House(addresses, token)


@pytest.fixture(scope="module")
def after_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The admin address of a demo that has played and keeps its console open."""
    folder, addresses = tmp_path_factory.mktemp("demo"), free_addresses()
    command, log = [str(CROUPIER), "demo", "--players", "8", "--rounds", "5"], folder / "demo.log"
    with running(command, folder, environment(addresses), log) as process:
        wait_for_text(log, "the console is at", process)
        yield addresses.admin


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def watched(browser: Any) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield Watched(context.new_page())
    context.close()


def expect(locator: Any) -> Any:
    """What Playwright asserts about a locator, waiting until it is so."""
    from playwright.sync_api import expect

    return expect(locator)


def amount_of(page: Any, asset: str, account: str) -> Any:
    """Where the page shows what an account holds."""
    return page.locator(f'td[data-asset="{asset}"][data-account="{account}"]')


def test_the_page_of_an_empty_database_says_how_to_begin(
    watched: Watched, tmp_path_factory: pytest.TempPathFactory
) -> None:
    addresses = free_addresses()
    with deployment(tmp_path_factory.mktemp("empty"), addresses):
        watched.open(addresses.admin)
        assert "No money has moved yet" in watched.page.inner_text("main")
        watched.wait_for_refresh()
        assert "No money has moved yet" in watched.page.inner_text("main"), "a refresh keeps the advice"
        watched.page.screenshot(path=tmp_path_factory.mktemp("screens") / "empty.png", full_page=True)
        watched.require_no_complaint()


def test_numbers_change_without_a_reload(watched: Watched, house: House) -> None:
    house.deposit("alice", "USD", "5000", "first")
    watched.open(house.addresses.admin)
    expect(amount_of(watched.page, "USD", "player_wallet")).to_have_text(render_grouped(5000))
    watched.page.evaluate("window.isTheSamePage = true")
    house.deposit("alice", "USD", "1250", "second")
    wallet = amount_of(watched.page, "USD", "player_wallet")
    expect(wallet).to_have_text(render_grouped(6250), timeout=PATIENCE_MS)
    expect(amount_of(watched.page, "USD", "operator_cash")).to_have_text(render_grouped(-6250))
    expect(watched.page.locator("#glance")).to_contain_text("balanced")
    assert watched.page.evaluate("window.isTheSamePage") is True
    watched.require_no_complaint()


def test_an_asset_that_is_new_appears_without_a_reload(watched: Watched, house: House) -> None:
    house.deposit("bob", "EUR", "1", "bob-first")
    watched.open(house.addresses.admin)
    house.deposit("bob", "JPY", "700", "bob-yen")
    expect(amount_of(watched.page, "JPY", "player_wallet")).to_have_text("700", timeout=PATIENCE_MS)
    watched.require_no_complaint()


def test_every_text_is_readable(
    watched: Watched, after_demo: str, scheme: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    watched.page.emulate_media(color_scheme=scheme)
    watched.open(after_demo)
    watched.wait_for_refresh()
    shown = watched.page.evaluate(CONTRASTS)
    assert len(shown) > 50
    assert [one for one in shown if one["ratio"] < LEAST_CONTRAST] == []
    watched.page.screenshot(path=tmp_path_factory.mktemp("screens") / f"demo-{scheme}.png", full_page=True)
    watched.require_no_complaint()


def test_the_two_schemes_differ(watched: Watched, house: House) -> None:
    watched.open(house.addresses.admin)
    papers = []
    for scheme in ("light", "dark"):
        watched.page.emulate_media(color_scheme=scheme)
        papers.append(watched.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert papers[0] != papers[1]


def test_the_demo_is_summed_up(watched: Watched, after_demo: str) -> None:
    watched.open(after_demo)
    said = watched.page.inner_text("main")
    assert "duplicates absorbed" in said
    assert "A provider that was dark for" in said
    for invariant in ("I1", "I2", "I3", "I4", "I5", "I7", "I8", "I10"):
        row = watched.page.locator(".claims dt", has_text=re.compile(f"^{invariant} "))
        expect(row.locator("xpath=following-sibling::dd[1]")).to_have_text("held")
    # A forged call may leave work for finance, which the tiles show; nothing of the demo itself may be broken.
    assert watched.page.locator("#demo .broken").count() == 0
    watched.require_no_complaint()


def test_the_keyboard_reaches_everything_that_can_be_followed(watched: Watched, house: House) -> None:
    watched.open(house.addresses.admin)
    reached = []
    for _ in range(watched.page.locator("a[href], [tabindex='0']").count()):
        watched.page.keyboard.press("Tab")
        reached.append(watched.page.evaluate(FOCUS))
    assert [one["name"] for one in reached] == [
        "numbers as JSON",
        "metrics",
        "accounts",
        "accounts-at-providers",
    ]
    assert all(one["outline"] >= 2 for one in reached), "the outline can be seen"


def test_a_refresh_leaves_the_keyboard_where_it_is(watched: Watched, house: House) -> None:
    house.deposit("carol", "GBP", "1", "carol-first")
    watched.open(house.addresses.admin)
    watched.page.locator("#accounts").focus()
    house.deposit("carol", "GBP", "2", "carol-second")
    expect(amount_of(watched.page, "GBP", "player_wallet")).to_have_text("3", timeout=PATIENCE_MS)
    assert watched.page.evaluate("document.activeElement.id") == "accounts"


FOCUS: Final = """() => {
  const style = getComputedStyle(document.activeElement);
  const outline = style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
  return { name: document.activeElement.id || document.activeElement.textContent, outline };
}"""


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_cut_off(watched: Watched, after_demo: str, width: int) -> None:
    watched.page.set_viewport_size({"width": width, "height": 800})
    watched.open(after_demo)
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_says_when_the_gateway_is_gone(watched: Watched, tmp_path: Path) -> None:
    addresses = free_addresses()
    with deployment(tmp_path, addresses):
        watched.open(addresses.admin)
        watched.wait_for_refresh()
    expect(watched.page.get_by_role("status")).to_contain_text("not live", timeout=PATIENCE_MS)


def test_it_says_how_each_providers_calls_are_proven(watched: Watched, house: House) -> None:
    watched.open(house.addresses.admin)
    row = watched.page.locator("#accounts-at-providers tbody tr").first
    expect(row.locator("th")).to_have_text("sandbox")
    expect(row).to_contain_text("Croupier native protocol")
    expect(row).to_contain_text("every header but Authorization")
    expect(row.locator("code").first).to_have_text("sandbox-in-1")
