"""Chromium without a screen, driven by chromedriver's WebDriver protocol (W3C, "WebDriver", 2018). No test itself."""

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

DRIVER, CHROMIUM = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
MISSING = "" if DRIVER and CHROMIUM else "there is no chromium with its chromedriver on this machine"
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key under which WebDriver hands over an element."""

KEYS = {
    "ArrowLeft": "\ue012",
    "ArrowUp": "\ue013",
    "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
    "Tab": "\ue004",
    "Home": "\ue011",
    "End": "\ue010",
    "Shift": "\ue008",
}


class Browser:
    """A browser of its own, with a fresh profile; a context manager."""

    def __enter__(self) -> "Browser":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._profile = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        self._driver = subprocess.Popen(
            [str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._base = f"http://127.0.0.1:{port}"
        try:
            self._wait()
            options = {"binary": CHROMIUM, "args": [*ARGUMENTS, f"--user-data-dir={self._profile.name}"]}
            wanted = {"goog:loggingPrefs": {"browser": "ALL"}, "goog:chromeOptions": options}
            session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
            self._base += f"/session/{session}"
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        try:
            self._call("DELETE", "")
        finally:
            self._end()

    def _end(self) -> None:
        self._driver.terminate()
        self._driver.wait()
        self._profile.cleanup()

    def _wait(self) -> None:
        for _ in range(200):
            try:
                self._call("GET", "/status")
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("chromedriver does not answer")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, page: Path) -> None:
        """Open a file, and wait until it is loaded."""
        self.visit(page.resolve().as_uri())

    def visit(self, address: str) -> None:
        """Open an address, and wait until it is loaded."""
        self._call("POST", "/url", {"url": address})

    def run(self, script: str, *arguments: object) -> Any:
        """What a function body returns; where that is a promise, what it promises."""
        return self._call("POST", "/execute/sync", {"script": script, "args": arguments})

    def find(self, selector: str) -> str:
        """An element, by a CSS selector."""
        return str(self._call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT])

    def click(self, selector: str) -> None:
        """Click an element."""
        self._call("POST", f"/element/{self.find(selector)}/click", {})

    def keys(self, *names: str) -> None:
        """Press keys, one after the other, on what has the focus; `Shift+` before a name holds Shift."""
        actions = []
        for name in names:
            held, _, key = name.rpartition("+") if len(name) > 1 else ("", "", name)
            value, shift = KEYS.get(key, key), [KEYS["Shift"]] if held else []
            actions += [{"type": "keyDown", "value": v} for v in (*shift, value)]
            actions += [{"type": "keyUp", "value": v} for v in (value, *shift)]
        self._act({"type": "key", "id": "keyboard", "actions": actions})

    def drag(self, start: tuple[float, float], end: tuple[float, float], kind: str = "mouse") -> None:
        """Press at a place of the window, move, and let go."""
        self._act(_pointer(kind, kind, start, end))

    def pinch(self, centre: tuple[float, float], before: float, after: float) -> None:
        """Two fingers, `before` and then `after` pixels to both sides of a place."""
        (x, y) = centre
        self._act(
            *(_pointer(f"finger{side}", "touch", (x + side * before, y), (x + side * after, y)) for side in (-1, 1))
        )

    def wheel(self, place: tuple[float, float], turn: int) -> None:
        """Turn the wheel at a place."""
        x, y = map(round, place)
        scroll = {"type": "scroll", "x": x, "y": y, "deltaX": 0, "deltaY": turn, "origin": "viewport", "duration": 0}
        self._act({"type": "wheel", "id": "wheel", "actions": [scroll]})

    def hover(self, place: tuple[float, float]) -> None:
        """Move the mouse to a place."""
        move = _move(place)
        self._act({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": [move]})

    def _act(self, *sources: dict[str, Any]) -> None:
        self._call("POST", "/actions", {"actions": sources})
        self.settle()

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.run("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width and height of an element, in the window."""
        box = self.run(
            "const b = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [b.left, b.top, b.width, b.height]",
            selector,
        )
        return tuple(box)

    def resize(self, width: int, height: int) -> None:
        """Give the page a size, in pixels."""
        self._devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        self.settle()

    def prefer(self, scheme: str) -> None:
        """Ask pages for light or dark."""
        self._devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.settle()

    def screenshot(self, target: Path) -> None:
        """The window as a PNG."""
        target.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def accessible(self) -> list[dict[str, Any]]:
        """What a screen reader is told: Chromium's tree of accessible nodes."""
        return list(self._devtools("Accessibility.getFullAXTree")["nodes"])

    def complaints(self) -> list[str]:
        """What the console said since it was asked last."""
        return [entry["message"] for entry in self._call("POST", "/se/log", {"type": "browser"})]

    def _devtools(self, command: str, **parameters: object) -> Any:
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})


def _move(place: tuple[float, float], duration: int = 0) -> dict[str, Any]:
    x, y = map(round, place)
    return {"type": "pointerMove", "duration": duration, "x": x, "y": y, "origin": "viewport"}


def _pointer(name: str, kind: str, start: tuple[float, float], end: tuple[float, float]) -> dict[str, Any]:
    actions = [
        _move(start),
        {"type": "pointerDown", "button": 0},
        _move(end, 50),
        {"type": "pointerUp", "button": 0},
    ]
    return {"type": "pointer", "id": name, "parameters": {"pointerType": kind}, "actions": actions}
