"""The actions of a user on the page with an editor: choose, type, read the query, run it and read the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.browser.small_grafana import SmallGrafana
from tests.browser.tab import Tab

ARTIFACTS = Path(__file__).parents[2] / "build" / "artifacts"

_OPTIONS = "[...document.querySelectorAll('[role=option]')]"
_LABEL = "option.querySelector('span').innerText"


@dataclass(frozen=True)
class Result:
    """A table on the page: names of the columns, the first rows as texts, and how many rows there are in all."""

    columns: list[str]
    rows: list[list[str]]
    total: int

    def column(self, name: str) -> list[str]:
        at = self.columns.index(name)
        return [row[at] for row in self.rows]


@dataclass
class Editors:
    """The page in a tab, with a small stand-in for Grafana."""

    tab: Tab
    grafana: SmallGrafana
    window: tuple[datetime, datetime]
    allowed: list[str]
    """Patterns of complaints and refused addresses that a test causes on purpose."""

    def open(self, editor: str, **place: Any) -> None:
        """Open the page of an editor: query, config, variable or annotation.

        `place` may have `app` (where in Grafana), `stored` (the query so far) and `variables` (of the dashboard).
        """
        start, end = (int(moment.timestamp() * 1000) for moment in self.window)
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in place.items()}
        self.tab.open(f"{self.grafana.url}?{urlencode({'editor': editor, 'from': start, 'to': end, **texts})}")

    def click(self, role: str, name: str) -> None:
        self.tab.find(role, name).click()

    def fill(self, name: str, text: str) -> None:
        """Replace the contents of a text field."""
        field = self.tab.find("textbox", name)
        field.click()
        field.ask("function () { this.select(); }")
        self.tab.press("Backspace")
        self.tab.type(text)

    def drop_down(self, name: str) -> None:
        """Open a drop-down and wait for its options."""
        self.click("combobox", name)
        self.tab.until(self.options, f"option in “{name}”")

    def options(self) -> list[str]:
        """Read the labels of the open drop-down, without the option to use the typed text."""
        labels: list[str] = self.tab.evaluate(
            f"{_OPTIONS}.filter((option) => !option.innerText.endsWith('Hit enter to add')).map((option) => {_LABEL})"
        )
        return labels

    def menu_text(self) -> str:
        """Return all text of the open drop-down: groups, labels, descriptions."""
        menu = self.tab.until(
            lambda: self.tab.select("document.querySelector('[aria-label=\"Select options menu\"]')"), "menu"
        )
        return str(menu.ask("function () { return this.innerText; }"))

    def options_become(self, expected: Callable[[list[str]], bool], what: str) -> list[str]:
        """Wait until the open drop-down offers the expected options, and return them."""
        return self.tab.until(lambda: labels if expected(labels := self.options()) else None, what)

    def choose(self, name: str, option: str) -> None:
        """Open a drop-down and choose an option by its label."""
        self.drop_down(name)
        self.take(option)

    def take(self, option: str) -> None:
        """Choose an option of the open drop-down by its label, and close it if it stays open."""
        found = f"{_OPTIONS}.find((option) => {_LABEL} === {json.dumps(option)}) ?? null"
        self.tab.until(lambda: self.tab.select(found), f"option “{option}”").click()

    def close_menu(self) -> None:
        self.tab.press("Escape")
        self.tab.until(lambda: self.tab.evaluate(f"{_OPTIONS}.length === 0"), "closed menu")

    def model(self, name: str = "Query model") -> dict[str, Any]:
        """Read the query (or other stored model) that the page shows."""
        model: dict[str, Any] = json.loads(self.tab.find("region", name).ask("function () { return this.innerText; }"))
        return model

    def model_becomes(self, **expected: Any) -> None:
        """Wait until the query is exactly this, apart from its refId."""
        self.tab.until(
            lambda: {key: value for key, value in self.model().items() if key != "refId"} == expected,
            f"query {expected}",
        )

    def run(self, button: str = "Run query") -> Result:
        """Press the button that runs the query, and wait for the answer."""
        self.click("button", button)
        return self.result()

    def result(self) -> Result:
        read = """function () {
            const texts = (cells) => [...cells].map((cell) => cell.innerText);
            return {
                columns: texts(this.querySelectorAll('th')),
                rows: [...this.querySelectorAll('tbody tr')].map((row) => texts(row.cells)),
                total: Number(this.dataset.rows),
            };
        }"""
        return Result(**self.tab.find("table", "Result").ask(read))

    def links(self) -> list[str]:
        """Return the titles of the links in the first row of the answer."""
        read = "function () { return [...this.rows[1].cells].flatMap(({ title }) => title ? title.split(', ') : []); }"
        titles: list[str] = self.tab.find("table", "Result").ask(read)
        return titles

    def alert(self) -> tuple[str, str]:
        """Wait for a message; return its kind (success, warning, error) and its text."""
        kind, words = self.tab.until(
            lambda: self.tab.evaluate(
                """(() => {
                    const alert = document.querySelector('[data-testid^="data-testid Alert"]');
                    return alert && [alert.dataset.testid.split(' ').at(-1), alert.innerText];
                })()"""
            ),
            "message",
        )
        return kind, words

    def screenshot(self, name: str) -> None:
        """Save a picture of the page as build/artifacts/NAME.png."""
        self.tab.evaluate("document.fonts.ready.then(() => null)")
        self.tab.screenshot(ARTIFACTS / f"{name}.png")

    def unexpected(self) -> list[str]:
        """Return the page's complaints and the server's refusals, except those that the test allows."""
        # The browser's last messages may still be in transit.
        self.tab.evaluate("0")
        said = [*self.tab.complaints, *self.tab.refused]
        return [text for text in said if not any(re.search(pattern, text) for pattern in self.allowed)]
