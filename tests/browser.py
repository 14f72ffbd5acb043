"""Chromium without a screen: a Selenium driver that can also drag, pinch and press keys. No test itself."""

import shutil
import tempfile
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

DRIVER, CHROMIUM = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
MISSING = "" if DRIVER and CHROMIUM else "Chromium and its chromedriver are not installed"
"""Why the tests cannot run here; empty if they can."""

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
KEYS = {
    "ArrowLeft": Keys.ARROW_LEFT,
    "ArrowUp": Keys.ARROW_UP,
    "ArrowRight": Keys.ARROW_RIGHT,
    "ArrowDown": Keys.ARROW_DOWN,
    "Tab": Keys.TAB,
    "Home": Keys.HOME,
    "End": Keys.END,
}
Point = tuple[float, float]
"""A place in the window, in CSS pixels: from the left, from the top."""


class Browser(webdriver.Chrome):
    """A browser with an empty profile; a context manager. Gestures return once their effect is drawn."""

    def __init__(self) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        options = webdriver.ChromeOptions()
        # With both paths given, Selenium does not start its manager, which would search the network for them.
        options.binary_location = str(CHROMIUM)
        service = webdriver.ChromeService(executable_path=str(DRIVER))
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for argument in (*ARGUMENTS, f"--user-data-dir={self._profile.name}"):
            options.add_argument(argument)
        try:
            super().__init__(options=options, service=service)
        except BaseException:
            self._profile.cleanup()
            raise

    def quit(self) -> None:
        """End the browser and its driver, and remove the profile."""
        super().quit()
        self._profile.cleanup()

    def click(self, selector: str) -> None:
        """Click the element that a CSS selector finds."""
        self.find_element(By.CSS_SELECTOR, selector).click()

    def press(self, *names: str) -> None:
        """Press keys one after the other; `Shift+` before a name holds Shift."""
        chain = ActionChains(self, duration=0)
        for name in names:
            shift, _, key = name.rpartition("+") if len(name) > 1 else ("", "", name)
            if shift:
                chain.key_down(Keys.SHIFT)
            chain.send_keys(KEYS.get(key, key))
            if shift:
                chain.key_up(Keys.SHIFT)
        chain.perform()
        self.settle()

    def drag(self, start: Point, end: Point, kind: str = "mouse") -> None:
        """Press at a place, move to another, and release."""
        self._gesture({kind: (start, end)}, kind)

    def pinch(self, centre: Point, before: float, after: float) -> None:
        """Move two fingers, each from `before` to `after` pixels beside a place."""
        x, y = centre
        fingers = {f"finger{side}": ((x + side * before, y), (x + side * after, y)) for side in (-1, 1)}
        self._gesture(fingers, "touch")

    def fingers(self, *paths: tuple[Point, Point]) -> None:
        """Move fingers from a place to another at the same time, in small steps as people do: the page may scroll."""
        for step in range(21):
            places = [[a + (b - a) * step / 20 for a, b in zip(*path, strict=True)] for path in paths]
            kind = "touchMove" if step else "touchStart"
            points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
            self.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        self.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        self.settle()

    def _gesture(self, paths: dict[str, tuple[Point, Point]], kind: str) -> None:
        """Press, move and release several pointers of a kind at the same time."""
        actions = ActionBuilder(self, mouse=PointerInput(kind, next(iter(paths))), duration=50)
        for name, (start, end) in paths.items():
            found = actions.get_device_with(name)
            pointer = found if isinstance(found, PointerInput) else actions.add_pointer_input(kind, name)
            pointer.create_pointer_move(duration=0, x=round(start[0]), y=round(start[1]), origin="viewport")
            pointer.create_pointer_down(button=0)
            pointer.create_pointer_move(duration=50, x=round(end[0]), y=round(end[1]), origin="viewport")
            pointer.create_pointer_up(button=0)
        actions.perform()
        self.settle()

    def wheel(self, place: Point, turn: int) -> None:
        """Turn the wheel at a place."""
        origin = ScrollOrigin.from_viewport(round(place[0]), round(place[1]))
        ActionChains(self, duration=0).scroll_from_origin(origin, 0, turn).perform()
        self.settle()

    def hover(self, place: Point) -> None:
        """Move the mouse to a place."""
        actions = ActionBuilder(self, duration=0)
        actions.pointer_action.move_to_location(round(place[0]), round(place[1]))
        actions.perform()
        self.settle()

    def settle(self) -> None:
        """Wait until the page has drawn its state."""
        self.execute_script(
            "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
        )

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Return the left, top, width and height of an element in the window."""
        box = self.execute_script(
            "const b = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [b.left, b.top, b.width, b.height]",
            selector,
        )
        return tuple(box)

    def resize(self, width: int, height: int) -> None:
        """Give the page a size, in pixels, which may be smaller than the smallest window."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.settle()

    def prefer(self, scheme: str) -> None:
        """Pretend that the system prefers `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.settle()

    def accessible(self) -> list[dict[str, Any]]:
        """Return the nodes that a screen reader sees: Chromium's accessibility tree."""
        return list(self.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"])

    def complaints(self) -> list[str]:
        """Return the console messages since the last call."""
        return [entry["message"] for entry in self.get_log("browser")]  # type: ignore[no-untyped-call]
