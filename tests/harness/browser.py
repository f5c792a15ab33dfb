"""A headless Chromium, driven through its debugging pipe: no package, no port.

    with Browser(path, folder) as b:  page = b.page(width, height, dark=True);  page.open(url);  page.wait("js expression")
"""
import base64
import json
import os
import shutil
import subprocess
import time


def find():
    for name in ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if shutil.which(name):
            return shutil.which(name)
    return None


class Browser:
    def __init__(self, program, folder):
        to_child, self.write_end = os.pipe()
        self.read_end, from_child = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4.
        launch = ["bash", "-c", f'exec "$@" 3<&{to_child} 4>&{from_child}', "bash", program, "--headless=new", "--no-sandbox",
                  "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync", "--ignore-certificate-errors", "--remote-debugging-pipe",
                  f"--user-data-dir={folder}", "about:blank"]
        self.log = open(os.path.join(folder, "..", "browser.log"), "wb")
        self.process = subprocess.Popen(launch, pass_fds=(to_child, from_child), stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)
        os.close(to_child)
        os.close(from_child)
        self.number, self.buffer, self.events = 0, b"", []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=20)
        os.close(self.write_end)
        os.close(self.read_end)
        self.log.close()

    def _message(self):
        while b"\0" not in self.buffer:
            piece = os.read(self.read_end, 1 << 20)
            assert piece, "the browser ended"
            self.buffer += piece
        one, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(one)

    def call(self, method, session=None, **params):
        self.number += 1
        number, message = self.number, {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def page(self, width, height, dark=False):
        return Page(self, width, height, dark)


class Page:
    def __init__(self, browser, width, height, dark):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def js(self, expression):
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, expression, seconds=30):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if self.js(expression):
                    return
            except AssertionError as e:  # the page is being replaced
                if "context" not in str(e).lower():
                    raise
            time.sleep(0.1)
        raise AssertionError(f"never true: {expression}\n{self.js('document.body.innerText')}")

    def type(self, text):
        self.call("Input.insertText", text=text)

    def key(self, name, code=0, text=""):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, text=text if kind == "keyDown" else "")

    def screenshot(self, path):
        height = self.js("Math.ceil(document.documentElement.scrollHeight)")
        width = self.js("window.innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    def complaints(self):
        """What the page's console and the security policy said."""
        self.js("1")
        found = []
        for e in self.browser.events:
            if e.get("sessionId") != self.session:
                continue
            if e["method"] == "Runtime.exceptionThrown":
                found.append(str(e["params"]["exceptionDetails"]))
            if e["method"] == "Log.entryAdded" and e["params"]["entry"]["level"] in ("error", "warning"):
                found.append(e["params"]["entry"]["text"] + " " + e["params"]["entry"].get("url", ""))
            if e["method"] == "Runtime.consoleAPICalled" and e["params"]["type"] in ("error", "warning"):
                found.append(str(e["params"]["args"]))
        return found

    def requested(self):
        """Every URL that was asked for."""
        return [e["params"]["request"]["url"] for e in self.browser.events
                if e.get("sessionId") == self.session and e["method"] == "Network.requestWillBeSent"]
