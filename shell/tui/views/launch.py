"""Starting an agent: choose a manifest, fill in what is special, see the command line that does
the same, run it.

The form is made from the schema. It knows nothing about what an order means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import ClassVar, Final, get_args

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.fuzzy import Matcher
from textual.widget import Widget
from textual.widgets import Button, Checkbox, Input, Label, OptionList, Select, Static, TextArea
from textual.widgets.option_list import Option

from llmagentos.abi.manifest import Manifest, Place
from llmagentos.abi.process import Limits
from shell.terminal import printable
from shell.tui.order import SAMPLING, Listed, Order, manifests
from shell.tui.view import View, bound
from shell.tui.words import Words

_PLACES: Final[tuple[str, ...]] = get_args(Place)
_SOON: Final = 0.1
"""Seconds."""


class LaunchView(View):
    NAME = "launch"
    FILTERED = False
    BINDINGS: ClassVar[list[BindingType]] = bound("launch")
    DEFAULT_CSS = """
    LaunchView #left { width: 30%; min-width: 24; max-width: 48; border-right: solid $panel; }
    LaunchView #found { height: 1fr; border: none; background: $background; }
    LaunchView #form { width: 1fr; padding: 0 1; }
    LaunchView #form > Horizontal { height: 1; }
    LaunchView #form Label { width: 20; color: $text-muted; }
    LaunchView #form Input { width: 1fr; border: none; height: 1; padding: 0 1; }
    LaunchView #search { border: none; height: 1; padding: 0 1; margin: 0 0 1 0; }
    LaunchView #text { height: 5; border: round $panel; padding: 0; }
    LaunchView #text:focus { border: round $primary; }
    LaunchView Checkbox { border: none; padding: 0 1; height: 1; background: transparent; }
    LaunchView #about { height: auto; max-height: 3; color: $text-muted; padding: 0 0 1 0; }
    LaunchView #preview {
        height: auto; max-height: 4; padding: 0 1; background: $boost; color: $accent;
    }
    LaunchView #prefer { width: 24; }
    LaunchView #go { width: auto; margin: 1 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._all: list[Listed] = []
        self._shown: list[Listed] = []
        self._chosen: Listed | None = None
        self._due = False

    def body(self) -> Iterable[Widget]:
        with Horizontal():
            with Vertical(id="left"):
                yield Input(placeholder="find a manifest", id="search")
                yield OptionList(id="found", markup=False, compact=True)
            with VerticalScroll(id="form", can_focus=False):
                yield Words(id="about")
                yield TextArea(id="text", compact=True, placeholder="what it is told")
                yield from self._row("name", "name", "the manifest's")
                yield from self._row("model", "model", "the manifest's")
                for name in SAMPLING:
                    yield from self._row(f"sampling-{name}", name, "the manifest's")
                for name, about in Limits.model_fields.items():
                    yield from self._row(f"limit-{name}", name, about.description or "no limit")
                with Horizontal():
                    yield Label("may run on")
                    for place in _PLACES:
                        yield Checkbox(place, True, id=f"place-{place}", compact=True)
                with Horizontal():
                    yield Label("rather on")
                    yield Select(
                        [(place, place) for place in _PLACES],
                        prompt="the manifest's", id="prefer", compact=True,
                    )  # fmt: skip
                yield Button("Run it", variant="primary", id="go", compact=True)
        yield Words(id="preview")

    @staticmethod
    def _row(id: str, label: str, hint: str) -> Iterable[Widget]:
        with Horizontal():
            yield Label(label.replace("_", " "))
            yield Input(placeholder=hint, id=id, compact=True)

    async def _load(self) -> None:
        self._all = await asyncio.to_thread(manifests, self.app.link.home)
        self._find("")

    def on_mount(self) -> None:
        super().on_mount()
        self.run_worker(self._load(), exit_on_error=False)

    def focus_body(self) -> None:
        self.set_focus(self.query_one("#search"))

    # -- choosing ------------------------------------------------------------------------------

    def _find(self, words: str) -> None:
        """Those whose name or description has these letters in this order, the best first."""
        self._shown = self._all
        if words:
            matcher = Matcher(words)
            scores = [
                (max(2 * matcher.match(one.name), matcher.match(one.description)), one)
                for one in self._all
            ]
            scores.sort(key=lambda scored: -scored[0])
            self._shown = [one for score, one in scores if score > 0]
        found = self.query_one("#found", OptionList)
        found.clear_options()
        found.add_options(
            [
                Option(
                    f"{one.name}\n  {printable(one.description)[:200]}", disabled=bool(one.problem)
                )
                for one in self._shown
            ]
        )
        if self._shown:
            found.highlighted = 0
            self._choose(self._shown[0])

    def _choose(self, listed: Listed) -> None:
        self._chosen = listed
        manifest = listed.manifest
        self.query_one("#about", Static).update(printable(listed.description))
        if manifest is not None:
            self._hint(manifest)
        self._preview()

    def _hint(self, manifest: Manifest) -> None:
        """What holds if nothing is filled in."""
        spec = manifest.spec
        self.query_one("#name", Input).placeholder = manifest.metadata.name
        self.query_one("#model", Input).placeholder = ", ".join(spec.models)
        for name in SAMPLING:
            value = getattr(spec.sampling, name)
            self.query_one(f"#sampling-{name}", Input).placeholder = f"{value:g}"
        for name, about in Limits.model_fields.items():
            value = getattr(spec.limits, name)
            said = "no limit" if value is None else f"{value:.12g}"
            hint = f"{said}: {about.description}" if about.description else said
            self.query_one(f"#limit-{name}", Input).placeholder = hint
        for place in _PLACES:
            self.query_one(f"#place-{place}", Checkbox).value = place in spec.placement.allow

    @on(Input.Changed, "#search")
    def _searched(self, event: Input.Changed) -> None:
        event.stop()
        self._find(event.value.strip())

    @on(Input.Submitted, "#search")
    def _taken(self, event: Input.Submitted) -> None:
        event.stop()
        self.set_focus(self.query_one("#text"))

    @on(OptionList.OptionHighlighted, "#found")
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if 0 <= event.option_index < len(self._shown):
            self._choose(self._shown[event.option_index])

    @on(OptionList.OptionSelected, "#found")
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.set_focus(self.query_one("#text"))

    def on_key(self, event) -> None:  # type: ignore[no-untyped-def]
        """Up and down move in the list while its name is typed."""
        if event.key in ("up", "down") and self.query_one("#search").has_focus:
            found = self.query_one("#found", OptionList)
            found.action_cursor_down() if event.key == "down" else found.action_cursor_up()
            event.stop()

    # -- the order -----------------------------------------------------------------------------

    def order(self) -> Order | None:
        """As it is filled in."""
        listed = self._chosen
        if listed is None or listed.manifest is None:
            return None

        def value(id: str) -> str:
            return self.query_one(f"#{id}", Input).value.strip()

        allowed = tuple(p for p in _PLACES if self.query_one(f"#place-{p}", Checkbox).value)
        prefer = self.query_one("#prefer", Select).value
        return Order(
            listed.name,
            self.query_one("#text", TextArea).text.strip(),
            value("name"),
            value("model"),
            {name: value(f"limit-{name}") for name in Limits.model_fields},
            {name: value(f"sampling-{name}") for name in SAMPLING},
            () if set(allowed) == set(listed.manifest.spec.placement.allow) else allowed,
            prefer if isinstance(prefer, str) else "",
        )

    @on(Input.Changed)
    @on(TextArea.Changed)
    @on(Checkbox.Changed)
    @on(Select.Changed)
    def _changed(self) -> None:
        """Soon, not at once: somebody may be typing."""
        if not self._due:
            self._due = True
            self.set_timer(_SOON, self._preview)

    def _preview(self) -> None:
        self._due = False
        order = self.order()
        self.query_one("#preview", Static).update(printable(order.command()) if order else "")

    @on(Button.Pressed, "#go")
    def action_run(self) -> None:
        self.app.act(self._spawn)

    async def _spawn(self) -> str | None:
        order = self.order()
        if order is None:
            return None
        spawned = await self.app.link.call("proc.spawn", **order.arguments())
        self.app.open_agent(spawned["pid"])
        told = "\n".join(spawned.get("notices", []))
        return f"{spawned['name']} is process {spawned['pid']}\n{told}".strip()

    def action_back(self) -> None:
        if not self.leave():
            self.app.pop_screen()
