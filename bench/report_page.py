#!/usr/bin/env python3
"""Opens a page of `vkseek bench report` in headless Chromium and tries everything on it: as wide as a desk's screen and 400
pixels, light and dark, each heading of each table, each filter, the plots' dots, and printing.

usage: bench/report_page.py REPORT.html [PICTURES]    needs Debian's packages chromium and chromium-driver

Leaves screenshots in the folder PICTURES (default: build/pictures); exits 1 at the first thing that is not as it should be.
"""

import base64
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from harness import ROOT

# What a reader sees: nothing wider than the window, every plot with roofs and dots, every table with rows, all legible.
LOOK = """
const problems = [], wide = document.documentElement.scrollWidth;
const want = (ok, what) => { if (!ok) problems.push(what); };
want(wide <= innerWidth, `page of ${wide} pixels in a window of ${innerWidth}`);
const shown = e => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0 && r.left >= 0 && r.left < innerWidth; };
const linear = v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
const light = css => { const [r, g, b] = css.match(/[\\d.]+/g).map(Number); return .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b); };
const paper = light(getComputedStyle(document.body).backgroundColor);
want(arguments[0] === 'dark' ? paper < .1 : paper > .8, `${arguments[0]}: paper of luminance ${paper}`);
for (const e of document.querySelectorAll('h1,h2,td,th,label,input,p,svg text')) {
  const style = getComputedStyle(e), ink = light(e.closest('svg') ? style.fill : style.color);
  const contrast = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
  want(contrast >= 4, `contrast ${contrast.toFixed(1)} of ${e.tagName} ${e.textContent.slice(0, 40)}`);
}
const sections = [...document.querySelectorAll('section')];
want(sections.length > 0, 'no sections');
for (const s of sections) {
  const svg = s.querySelector('svg'), table = s.querySelector('table'), title = s.querySelector('h2').textContent;
  want(svg || table, `nothing in ${title}`);
  if (svg) want(shown(svg) && svg.querySelectorAll('.roof').length > (svg.querySelector('[data-row]') ? 1 : 0) && [...svg.querySelectorAll('circle.op')].some(shown), `plot of ${title}`);
  if (svg) for (const text of svg.querySelectorAll('text')) want(text.getBoundingClientRect().height >= 8, `letters too small in ${title}`);
  if (table) want(shown(table) && table.tBodies[0].rows.length > 0 && shown(table.tBodies[0].rows[0]), `table of ${title}`);
}
return [...new Set(problems)];
"""

# A column as it stands: numbers, texts, or null where there is nothing.
COLUMN = """
const [table, at] = arguments;
return [...document.getElementById(table).tBodies[0].rows].map(row => { const c = row.cells[at];
  return c.dataset.v !== undefined ? Number(c.dataset.v) : c.textContent === '–' ? null : c.textContent; });
"""
ROWS = """
const rows = [...document.getElementById(arguments[0]).tBodies[0].rows];
return {shown: rows.filter(r => r.getBoundingClientRect().height > 0).map(r => r.textContent.toLowerCase()), all: rows.length,
        dim: document.querySelectorAll('circle.dim[data-row]').length, dots: document.querySelectorAll('circle.op[data-row]').length};
"""


class Browser:
    """A WebDriver session: chromedriver's, over HTTP."""

    def __init__(self):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        port = next(line.split()[-1].rstrip(".") for line in self.driver.stdout if "started successfully on port" in line)
        self.url = f"http://127.0.0.1:{port}/session"
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]}
        made = self.call("", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        self.url += "/" + made["sessionId"]

    def call(self, path, body=None, method="POST"):
        data = None if method == "DELETE" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["value"]

    def run(self, script, *arguments):
        return self.call("/execute/sync", {"script": script, "args": arguments})

    def tool(self, name, **parameters):
        """A command of the DevTools protocol."""
        return self.call("/goog/cdp/execute", {"cmd": name, "params": parameters})

    def find(self, css):
        found = self.call("/elements", {"using": "css selector", "value": css})
        return [next(iter(element.values())) for element in found]

    def click(self, element):
        self.call(f"/element/{element}/click")

    def type(self, element, text):
        self.call(f"/element/{element}/value", {"text": text})

    def close(self):
        self.call("", method="DELETE")
        self.driver.terminate()
        self.driver.wait()


def want(ok, what):
    if not ok:
        sys.exit(f"report page: {what}")


def is_sorted(values, rising):
    known = [v for v in values if v is not None]
    if values[: len(known)] != known:
        return False  # what has no value comes last
    if all(isinstance(v, str) for v in known):
        return True  # in the order of the reader's language
    return known == sorted(known, reverse=not rising)


def try_tables(browser):
    for table in browser.run("return [...document.querySelectorAll('table')].map(t => t.id)"):
        before = browser.run(ROWS, table)
        for at, heading in enumerate(browser.find(f"#{table} th button")):
            columns = []
            for rising in (True, False):
                browser.click(heading)
                columns.append(browser.run(COLUMN, table, at))
                want(is_sorted(columns[-1], rising), f"column {at} of {table} isn't sorted: {columns[-1]}")
            known = [[v for v in column if v is not None] for column in columns]
            want(known[0] == known[1][::-1] or len(set(known[0])) < len(known[0]), f"column {at} of {table}: {columns}")
        (filter_box,) = browser.find(f"input[data-for={table}]")
        word = before["shown"][0].split()[0][:6]
        browser.type(filter_box, word)
        now = browser.run(ROWS, table)
        want(now["shown"] and all(word in row for row in now["shown"]), f"filter {word!r} of {table}: {now['shown']}")
        want(len(now["shown"]) == sum(word in row for row in before["shown"]), f"filter of {table} lost rows")
        if table == "ops":
            want(now["dim"] == 0 or len(now["shown"]) < now["all"], "dots are dim, and nothing is filtered")
        browser.type(filter_box, "no such row")
        now = browser.run(ROWS, table)
        want(not now["shown"], f"filter of {table}: rows that don't match")
        want(table != "ops" or now["dim"] == now["dots"], "dots of rows that the filter hides")
        browser.type(filter_box, "\ue003" * (len(word) + len("no such row")))  # backspace
        now = browser.run(ROWS, table)
        want(len(now["shown"]) == before["all"] and now["dim"] == 0, f"filter of {table}: not all rows came back")


def try_dots(browser):
    said = browser.run("""
        return [...document.querySelectorAll('circle.op')].map(dot => { dot.focus();
          return dot.closest('section').querySelector('.which').textContent === dot.textContent; });""")
    want(all(said), "a dot that has the focus isn't named under the plot")


page = Path(sys.argv[1]).resolve()
pictures = Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / "build/pictures")
pictures.mkdir(parents=True, exist_ok=True)
browser = Browser()
try:
    for width in (1280, 400):
        for scheme in ("light", "dark"):
            browser.tool("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
            browser.tool("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            browser.call("/url", {"url": page.as_uri()})
            problems = browser.run(LOOK, scheme)
            want(not problems, f"{width} pixels, {scheme}: {'; '.join(problems)}")
            size = browser.tool("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": width, "height": min(size["height"], 1500), "scale": 1}
            shot = browser.tool("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
            (pictures / f"{width}-{scheme}.png").write_bytes(base64.b64decode(shot["data"]))
        try_tables(browser)
        try_dots(browser)
    paper = base64.b64decode(browser.tool("Page.printToPDF")["data"])
    want(paper.startswith(b"%PDF"), "printing")
    (pictures / "print.pdf").write_bytes(paper)
finally:
    browser.close()
print(f"{page.name}: in order at 1280 and 400 pixels, light and dark; pictures in {pictures}")
