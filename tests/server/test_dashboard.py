"""The dashboard in a headless Chromium: what it shows, what it lets whom do, and that it asks nobody else for anything.

MIG_SCREENSHOTS names a folder for pictures of it.
"""
import itertools
import os
import pathlib
import time

import pytest

import browser as chromium
from cli_support import fails_late, fields, free, hold, snapshots, three
from held import held
from serve_support import READ, WRITE, Serve, tokens_file

ROWS = "[...document.querySelectorAll('#migrations tbody tr')].map(r => r.cells[0].innerText)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = chromium.find()
    if not program:
        pytest.skip("no chromium on this machine (Debian: chromium-headless-shell)")
    folder = tmp_path_factory.mktemp("chromium") / "profile"
    folder.mkdir()
    with chromium.Browser(program, str(folder)) as b:
        yield b


@pytest.fixture
def served(project):
    three(project)
    with Serve(project, "--rate-limit", "1000") as s:
        yield s


def show(browser, s, width=1280, height=900, dark=False):
    page = browser.page(width, height, dark)
    page.open(s.url + "/")
    return page


def shown(page):
    page.wait("document.querySelectorAll('#migrations tbody tr').length > 0 && document.querySelectorAll('#snapshots tbody tr').length > 0")


def confirm(page, word):
    page.wait("document.querySelector('#confirm').open")
    page.type(word)
    page.js("document.querySelector('#confirm-yes').click()")


def test_it_shows_states_history_chart_and_snapshots(browser, served):
    p = served.project
    p.mig("up", "--steps", "2")
    p.write("0003_f3", fails_late(transaction="off", description="<img src=x onerror=alert(1)> & fails"))
    p.mig("up", code=3)
    page = show(browser, served)
    shown(page)
    assert page.js(ROWS) == ["failed", "applied", "applied"]
    assert page.js("[...document.querySelectorAll('#totals dd')].map(d => d.innerText)")[:3] == ["2", "0", "1"]
    text = page.js("document.body.innerText")
    assert "<img src=x onerror=alert(1)> & fails" in text and "its data was restored" in text and "Lease: free" in text
    assert page.js("document.querySelectorAll('#chart rect').length") == 3
    assert page.js("[...document.querySelectorAll('#chart rect')].map(r => r.getAttribute('class'))") == ["good", "good", "warn"]
    assert page.js("document.querySelectorAll('#history tbody tr').length") == 3
    assert page.js("document.querySelectorAll('#snapshots tbody tr').length") == len(snapshots(p)) >= 3
    page.js("const f = document.querySelector('#outcome-filter'); f.value = 'restored'; f.dispatchEvent(new Event('change'))")
    page.wait("document.querySelectorAll('#history tbody tr').length === 1")
    assert page.complaints() == []
    assert all(url.startswith(served.url) for url in page.requested()), page.requested()


def test_up_needs_the_typed_name_of_the_database(browser, served):
    p = served.project
    page = show(browser, served)
    shown(page)
    page.js("document.querySelector('#up-button').click()")
    page.wait("document.querySelector('#confirm').open")
    assert page.js("document.activeElement.id") == "confirm-word" and page.js("document.querySelector('#confirm-yes').disabled")
    page.type(p.name[:-1])
    page.key("Enter", 13, "\r")
    assert page.js("document.querySelector('#confirm-yes').disabled") and page.js("document.querySelector('#confirm').open")
    page.key("Escape", 27)
    page.wait("!document.querySelector('#confirm').open")
    time.sleep(0.5)
    assert fields(p) == []
    page.js("document.querySelector('#up-button').click()")
    confirm(page, p.name)
    page.wait(f"JSON.stringify({ROWS}) === '[\"applied\",\"applied\",\"applied\"]'")
    assert fields(p) == ["f1", "f2", "f3"]
    page.js("document.querySelector('#down-button').click()")
    confirm(page, p.name)
    page.wait(f"{ROWS}[0] === 'reverted'")
    assert fields(p) == ["f1", "f2"] and page.complaints() == []


def test_a_snapshot_is_verified_and_restored_from_the_page(browser, served):
    p = served.project
    before = p.digest("users")
    p.mig("up", "--steps", "1")
    page = show(browser, served)
    shown(page)
    page.js("document.querySelector('[data-act=verify]').click()")
    page.wait("document.querySelector('#snapshots .state.good')?.innerText === 'good'")
    page.js("document.querySelector('[data-act=restore]').click()")
    page.wait("document.querySelector('#confirm').open")
    confirm(page, snapshots(p)[0].name.removesuffix(".mig.tar"))
    page.wait("document.querySelector('#runs').innerText.includes('restored: 5 written')")
    assert p.digest("users") == before and page.complaints() == []


def test_with_a_read_token_nothing_can_be_changed(browser, project):
    three(project)
    project.mig("up", "--steps", "1")
    with Serve(project, "--tokens", tokens_file(project)) as s:
        page = show(browser, s)
        page.wait("!document.querySelector('#token-form').hidden && document.activeElement.id === 'token'")
        page.type("nobody-knows-this-token")
        page.key("Enter", 13, "\r")
        page.wait("document.querySelector('#token-why').innerText.includes('not known')")
        page.type(READ)
        page.key("Enter", 13, "\r")
        shown(page)
        assert page.js("[...document.querySelectorAll('button')].filter(b => b.offsetParent).map(b => b.id)") == ["token-button", "newer", "older"]
        assert "may only read" in page.js("document.querySelector('#who').innerText")
        page.js("document.querySelector('#token-button').click()")
        page.type(WRITE)
        page.key("Enter", 13, "\r")
        page.wait("document.querySelector('#up-button').offsetParent !== null")
        assert page.js("localStorage.length") == 0 and page.js("document.cookie") == ""


def test_a_running_migration_is_seen_live_and_the_holder_of_the_lease(browser, served):
    p = served.project
    p.db.users.insert_many([{"_id": 1000 + i, "pad": "x" * 50} for i in range(12000)])
    p.write("0001_f1", {"up": [{"update": {"collection": "users", "filter": {}, "update": {"$inc": {"k": 1}}}}] * 2, "transaction": "off"})
    page = show(browser, served)
    shown(page)
    with held(p, "--steps", "1") as elsewhere:
        page.wait("!document.querySelector('#running').hidden", 60)
        page.wait("document.querySelector('#running progress[value]') !== null", 60)
        assert "0001_f1" in page.js("document.querySelector('#running').innerText")
        assert f"process {elsewhere.pid}" in page.js("document.querySelector('#lease').innerText")
    assert elsewhere.returncode == 0, elsewhere.err
    page.wait(f"document.querySelector('#running').hidden && {ROWS}[2] === 'applied'", 60)


def test_the_lease_is_released_only_when_typed(browser, served):
    p = served.project
    hold(p)
    page = show(browser, served)
    shown(page)
    assert "far.example" in page.js("document.querySelector('#lease').innerText")
    page.js("document.querySelector('[data-act=release]').click()")
    confirm(page, p.name)
    page.wait("document.querySelector('#lease').innerText.includes('free')")
    assert free(p)


def test_it_says_when_the_server_is_gone(browser, project):
    three(project)
    s = Serve(project)
    page = show(browser, s)
    shown(page)
    s.stop()
    page.wait("document.querySelector('#health').innerText === 'server away'", 30)
    assert not page.js("document.querySelector('#trouble').hidden")


# ---- for everybody -----------------------------------------------------------------------------------------------------

CONTRAST = """(() => {
  const rgb = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
                         return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (n) => { for (; n; n = n.parentElement) { const c = rgb(getComputedStyle(n).backgroundColor); if (c.length === 3 || c[3] > 0.99) return c; } return [255, 255, 255]; };
  const bad = [];
  for (const n of document.querySelectorAll('body *')) {
    if (![...n.childNodes].some((c) => c.nodeType === 3 && c.data.trim()) || !n.getClientRects().length || n.closest('.hidden, .skip, [disabled], svg, option')) continue;
    const a = light(rgb(getComputedStyle(n).color)), b = light(behind(n)), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) bad.push(`${n.tagName}.${n.className} ${ratio.toFixed(2)} ${n.innerText.slice(0, 30)}`);
  }
  return bad; })()"""


@pytest.mark.parametrize("dark, width", list(itertools.product([False, True], [1280, 390])))
def test_it_is_readable_in_both_themes_and_on_a_phone(browser, served, dark, width):
    p = served.project
    p.mig("up", "--steps", "1")
    p.write("0002_f2", fails_late(transaction="off"))
    p.mig("up", code=3)
    page = show(browser, served, width, 900, dark)
    shown(page)
    page.wait("document.querySelectorAll('#chart rect').length === 2")
    assert page.js(CONTRAST) == []
    assert page.js("document.documentElement.scrollWidth") <= width
    assert page.js("getComputedStyle(document.body).backgroundColor") == ("rgb(16, 23, 26)" if dark else "rgb(244, 246, 246)")
    if os.environ.get("MIG_SCREENSHOTS"):
        page.screenshot(pathlib.Path(os.environ["MIG_SCREENSHOTS"]) / f"dashboard-{width}-{'dark' if dark else 'light'}.png")


def test_it_has_landmarks_names_and_an_order_for_the_keyboard(browser, served):
    page = show(browser, served)
    shown(page)
    assert page.js("['header', 'main', 'footer', 'h1', 'html[lang]', 'title'].filter(s => document.querySelectorAll(s).length !== 1)") == []
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    for node in tree:
        role = node.get("role", {}).get("value")
        if role in ("button", "combobox", "searchbox", "textbox", "table", "progressbar", "image", "region") and not node.get("ignored"):
            assert node.get("name", {}).get("value"), node
    headings = page.js("[...document.querySelectorAll('h1, h2, h3')].filter(h => h.getClientRects().length).map(h => h.tagName)")
    assert headings[0] == "H1" and set(headings[1:]) == {"H2"}
    order = []
    for _ in range(8):
        page.key("Tab", 9)
        order.append(page.js("document.activeElement.id || document.activeElement.className"))
    assert order[:5] == ["skip", "state-filter", "plan-button", "up-button", "outcome-filter"], order
    assert page.js("getComputedStyle(document.activeElement).outlineStyle") != "none"
