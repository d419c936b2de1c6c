"""One page in Chromium: its elements by role and accessible name, mouse and keys, and its complaints."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.browser.chromium import PATIENCE, Chromium

T = TypeVar("T")
_KEYS = {"Enter": ("\r", 13), "Escape": ("", 27), "Backspace": ("", 8), "Tab": ("", 9)}


@dataclass(frozen=True)
class Element:
    """An element of the page; `object_id` is Chromium's id of it."""

    tab: Tab
    object_id: str

    def click(self) -> None:
        """Click the middle of the element with the mouse, when it has stopped moving and nothing covers it."""
        self.tab.call("DOM.scrollIntoViewIfNeeded", objectId=self.object_id)
        x, y = self.tab.until(self._place, "an element that can be clicked")
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.tab.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def ask(self, function: str) -> Any:
        """Call a JavaScript function with the element as `this`; return its JSON result."""
        return self.tab.value(
            self.tab.call(
                "Runtime.callFunctionOn",
                objectId=self.object_id,
                functionDeclaration=function,
                returnByValue=True,
                awaitPromise=True,
            )
        )

    def _place(self) -> tuple[float, float] | None:
        place = self.ask(
            """async function () {
                const middle = (element) => {
                    const { x, y, width, height } = element.getBoundingClientRect();
                    return [x + width / 2, y + height / 2];
                };
                const isOnTop = (element) => {
                    const top = document.elementFromPoint(...middle(element));
                    return top !== null && (element.contains(top) || top.contains(element));
                };
                // The input of a switch is not to be seen: one clicks its label.
                const target = [this, ...(this.labels ?? [])].find(isOnTop);
                if (!target) {
                    return null;
                }
                const [x, y] = middle(target);
                await new Promise(requestAnimationFrame);
                const [laterX, laterY] = middle(target);
                return x === laterX && y === laterY ? [x, y] : null;
            }"""
        )
        return (place[0], place[1]) if place else None


class Tab:
    """A page. `complaints` has its errors and warnings in the console and its uncaught exceptions."""

    def __init__(self, chromium: Chromium, session: str) -> None:
        self._chromium = chromium
        self._session = session
        self.complaints: list[str] = []
        self.refused: list[str] = []
        """Addresses to which the server answered with an error, each with the status."""
        chromium.listen(session, self._on_event)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol to this page."""
        return self._chromium.call(method, self._session, **parameters)

    def open(self, url: str) -> None:
        """Go to an address."""
        failed = self.call("Page.navigate", url=url).get("errorText")
        if failed:
            raise RuntimeError(f"{url}: {failed}")

    def until(self, look: Callable[[], T | None], what: str) -> T:
        """Repeat a look-up until it returns something (not None, False or empty); `what` names it in the error."""
        end = time.monotonic() + PATIENCE
        while not (found := look()):
            if time.monotonic() > end:
                raise AssertionError(f"there is no {what}; the page says: {self.text()[:600]}")
            time.sleep(0.02)
        return found

    def find(self, role: str, name: str) -> Element:
        """Wait for the element with a role and an accessible name, as Chromium reports them to screen readers."""
        found = self.until(lambda: self._named(role, name), f"{role} “{name}”")
        assert len(found) == 1, f"{len(found)} elements are a {role} “{name}”"
        resolved = self.call("DOM.resolveNode", backendNodeId=found[0])
        return Element(self, resolved["object"]["objectId"])

    def has(self, role: str, name: str) -> bool:
        """Return whether an element with a role and an accessible name exists now."""
        return bool(self._named(role, name))

    def evaluate(self, expression: str) -> Any:
        """Evaluate JavaScript; return its JSON result."""
        return self.value(self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True))

    def select(self, expression: str) -> Element | None:
        """Evaluate JavaScript that returns an element or null."""
        result = self.call("Runtime.evaluate", expression=expression)
        self.value(result)
        object_id = result["result"].get("objectId")
        return Element(self, object_id) if object_id else None

    def text(self) -> str:
        """Return all text on the page."""
        return str(self.evaluate("document.body?.innerText ?? ''"))

    def type(self, text: str) -> None:
        """Type into the focused element, key by key."""
        for character in text.replace("\n", "\r"):  # as the key Enter writes it
            self.call("Input.dispatchKeyEvent", type="keyDown", text=character, key=character)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=character)

    def press(self, key: str) -> None:
        """Press a key by its name."""
        text, code = _KEYS[key]
        named = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **named, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def screenshot(self, file: Path) -> None:
        """Write a picture of the page, down to its lowest element."""
        # Options further down in a drop-down are not visible.
        seen = "(one) => !one.parentElement.closest('[aria-label=\"Select options menu\"]')"
        bottom = "(one) => one.getBoundingClientRect().bottom"
        bottoms = f"[...document.body.querySelectorAll('*')].filter({seen}).map({bottom})"
        width, lowest, height = self.evaluate(f"[innerWidth, Math.max(...{bottoms}), innerHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": min(lowest + 16, height), "scale": 1}
        data = self.call("Page.captureScreenshot", clip=clip)["data"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(data))

    @staticmethod
    def value(answer: dict[str, Any]) -> Any:
        """Return the value in the answer of a Runtime command; raises RuntimeError if the script threw."""
        if thrown := answer.get("exceptionDetails"):
            raise RuntimeError(_describe_exception(thrown))
        return answer["result"].get("value")

    def _named(self, role: str, name: str) -> list[int]:
        document = self.call("Runtime.evaluate", expression="document")["result"]["objectId"]
        nodes = self.call("Accessibility.queryAXTree", objectId=document, role=role, accessibleName=name)["nodes"]
        return [node["backendDOMNodeId"] for node in nodes if not node["ignored"]]

    def _on_event(self, name: str, event: dict[str, Any]) -> None:
        match name:
            case "Runtime.exceptionThrown":
                self.complaints.append(_describe_exception(event["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if event["type"] in ("error", "warning", "assert"):
                words = [str(part.get("value", part.get("description", ""))) for part in event["args"]]
                self.complaints.append(f"{event['type']}: {' '.join(words)}")
            # Chromium also writes a line for each refused request; those are in `refused`.
            case "Log.entryAdded" if event["entry"]["level"] in ("error", "warning"):
                if event["entry"]["source"] != "network":
                    self.complaints.append(f"{event['entry']['source']}: {event['entry']['text']}")
            case "Network.responseReceived" if event["response"]["status"] >= 400:
                self.refused.append(f"{event['response']['status']} {event['response']['url']}")
            case "Network.loadingFailed" if not event.get("canceled"):
                self.refused.append(event["errorText"])


def _describe_exception(details: dict[str, Any]) -> str:
    thrown = details.get("exception", {})
    return str(thrown.get("description") or json.dumps(thrown.get("value", details["text"])))


@contextmanager
def new_tab(chromium: Chromium, width: int = 1280, height: int = 2400) -> Iterator[Tab]:
    """Open a page, isolated from others, until the block ends; the size is in CSS pixels.

    It is high enough for a whole editor, so that pictures show all of it.
    """
    context = chromium.call("Target.createBrowserContext")["browserContextId"]
    target = chromium.call(
        "Target.createTarget", url="about:blank", browserContextId=context, width=width, height=height
    )["targetId"]
    session = chromium.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    try:
        yield Tab(chromium, session)
    finally:
        chromium.call("Target.disposeBrowserContext", browserContextId=context)
