"""The table of actions: all that a person can do in the TUI, each with its key, its words of help,
and the command that does the same.

The bindings of every view, the palette, the ``:`` line and the help page are made from it. It knows
nothing about how an action is carried out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from textual.binding import Binding

ANYWHERE: Final = "anywhere"


@dataclass(frozen=True, slots=True)
class Action:
    """One row. ``name``: its method is ``action_<name>``. ``where``: the view that has it.
    ``keys``: as Textual writes them. ``twin``: the command line that does the same.
    ``calls``: syscalls that it makes to change something; who may not make them can't do it.
    ``footer``: whether there is room for it in the last line."""

    name: str
    where: str
    keys: str
    title: str
    help: str
    twin: str
    calls: tuple[str, ...] = ()
    footer: bool = False

    @property
    def id(self) -> str:
        """What a keymap file calls it."""
        return f"{self.where}.{self.slug}"

    @property
    def slug(self) -> str:
        """Its name as a word: ``view_processes``. What the ``:`` line calls it."""
        return re.sub(r"\W+", "_", self.name.replace("-", "minus ")).strip("_")

    @property
    def binding(self) -> Binding:
        return Binding(
            self.keys,
            self.name,
            self.title,
            show=self.footer,
            tooltip=self.help,
            id=self.id,
        )


_A: Final = ANYWHERE
_P: Final = "processes"
_G: Final = "agent"
_L: Final = "launch"

ACTIONS: Final = (
    # -- anywhere ------------------------------------------------------------------------------
    Action("view('processes')", _A, "1", "Processes", "What runs, live.", "llmos ps"),
    Action("view('approvals')", _A, "2", "Approvals",
           "What waits for your decision.", "llmos approvals"),
    Action("view('drivers')", _A, "3", "Drivers", "What computes, and its load.", "llmos drivers"),
    Action("view('models')", _A, "4", "Models", "The models that are here or known.",
           "llmos models"),
    Action("view('memory')", _A, "5", "Memory", "What processes remember.", "llmos mem ls"),
    Action("view('files')", _A, "6", "Files", "Their files, with every version.", "llmos fs ls"),
    Action("view('events')", _A, "7", "Events", "What happens, as it happens.",
           "llmos events -f"),
    Action("filter", _A, "slash", "Filter", "Show only the lines that have these words.",
           "llmos ps --filter TEXT", footer=True),
    Action("command", _A, "colon", "Command", "Type an action's name, as :kill or :view drivers.",
           "llmos COMMAND"),
    Action("command_palette", _A, "ctrl+p", "Palette", "Look for an action by its name.",
           "llmos --help", footer=True),
    Action("help", _A, "question_mark,f1", "Help", "What can be done here, and with which key.",
           "llmos COMMAND --help", footer=True),
    Action("theme", _A, "ctrl+t", "Theme", "Choose the colours.", "llmos --theme NAME"),
    Action("screenshot", _A, "ctrl+s", "Screenshot",
           "Keep this screen as an SVG file in LLMOS_HOME/screenshots.",
           "llmos --screenshot FILE"),
    Action("quit", _A, "q,ctrl+q", "Quit", "Leave; asks whether agents should go on running.",
           "llmos down", footer=True),
    # -- processes -----------------------------------------------------------------------------
    Action("open", _P, "enter", "Open", "All about this process, and talk with it.",
           "llmos info PID; llmos logs PID -f", footer=True),
    Action("launch", _P, "n,f2", "New", "Start an agent.", "llmos run MANIFEST --detach",
           ("proc.spawn",), footer=True),
    Action("kill", _P, "x,f9", "Kill", "Send a signal to it, to all that are marked, or to a tree.",
           "llmos kill PID… -s SIGNAL --tree", ("proc.kill",), footer=True),
    Action("hold", _P, "s", "Stop/go on", "Hold it between two tokens, or let it go on.",
           "llmos kill PID… -s STOP", ("proc.kill",), footer=True),
    Action("mark", _P, "space", "Mark", "Mark it; what is done next is done to all marked.",
           "llmos kill PID PID…"),
    Action("unmark", _P, "u", "Unmark", "Mark none.", "llmos kill PID"),
    Action("tree", _P, "t,f5", "Tree", "Children under their parents, or a flat list.",
           "llmos ps --tree", footer=True),
    Action("sort", _P, "o,f6", "Sort", "Choose the column to sort by; a click on it does as well.",
           "llmos ps --sort COLUMN", footer=True),
    Action("reverse", _P, "r", "Reverse", "Turn the order around.",
           "llmos ps --sort COLUMN --reverse"),
    Action("ended", _P, "a", "Ended", "Show those that were collected too.", "llmos ps --all"),
    Action("freeze", _P, "z", "Freeze", "Hold the list still, to read it.", "llmos ps"),
    Action("nice(-1)", _P, "f7,left_square_bracket", "Sooner",
           "Lower its nice value by 1: it comes first.", "llmos nice PID N", ("proc.nice",)),
    Action("nice(1)", _P, "f8,right_square_bracket", "Later",
           "Raise its nice value by 1: others come first.", "llmos nice PID N", ("proc.nice",)),
    # -- one agent -----------------------------------------------------------------------------
    Action("talk", _G, "i,slash", "Talk", "Write to it; Enter sends.", "llmos send PID TEXT",
           ("ipc.send",), footer=True),
    Action("kill", _G, "x,f9", "Kill", "Send a signal to it or to its tree.",
           "llmos kill PID -s SIGNAL --tree", ("proc.kill",), footer=True),
    Action("hold", _G, "s", "Stop/go on", "Hold it between two tokens, or let it go on.",
           "llmos kill PID -s STOP", ("proc.kill",), footer=True),
    Action("checkpoint", _G, "c", "Checkpoint", "Name the conversation as it is now.",
           "llmos ctx checkpoint PID", ("ctx.checkpoint",), footer=True),
    Action("rewind", _G, "b", "Rewind", "Back to a message, or to a checkpoint.",
           "llmos ctx rewind PID MESSAGE; llmos ctx restore PID NAME",
           ("ctx.rewind",), footer=True),
    Action("fork", _G, "f", "Fork", "A child that goes on from here with a text of yours.",
           "llmos fork PID TEXT", ("proc.fork",), footer=True),
    Action("limits", _G, "l", "Limits", "Lower a limit.", "llmos limits PID NAME=VALUE",
           ("proc.limits",)),
    Action("fold", _G, "e", "Fold", "Fold or unfold all tool calls.", "llmos logs PID"),
    Action("next_tab", _G, "right_square_bracket", "Next tab",
           "Conversation, context, budget, rights, family, history.", "llmos info PID"),
    Action("previous_tab", _G, "left_square_bracket", "Previous tab", "The other way round.",
           "llmos info PID"),
    Action("back", _G, "escape", "Back", "To the processes.", "llmos ps", footer=True),
    # -- launch --------------------------------------------------------------------------------
    Action("run", _L, "f5,ctrl+r", "Run", "Start it as it is filled in here.",
           "llmos run MANIFEST TEXT --detach", ("proc.spawn",), footer=True),
    Action("back", _L, "escape", "Back", "Start nothing.", "llmos ps", footer=True),
    # -- the first start -----------------------------------------------------------------------
    Action("skip", "start", "escape,enter", "Processes", "Show what runs, without waiting.",
           "llmos ps", footer=True),
    # -- approvals -----------------------------------------------------------------------------
    Action("decide('once')", "approvals", "y,enter", "Allow once",
           "Let this call go on, with these arguments only.", "llmos approvals approve ID",
           ("cap.decide",), footer=True),
    Action("decide('always')", "approvals", "A", "Allow always",
           "And don't ask this process for this capability again.",
           "llmos approvals approve ID --always", ("cap.decide",)),
    Action("decide('reject')", "approvals", "N,delete", "Reject", "Refuse the call.",
           "llmos approvals reject ID", ("cap.decide",), footer=True),
    Action("history", "approvals", "h", "Settled", "Show those that are settled as well.",
           "llmos approvals list --history 100", footer=True),
    # -- drivers -------------------------------------------------------------------------------
    Action("drain", "drivers", "d", "Drain", "Let it finish and give it nothing new, or undo that.",
           "llmos drivers drain NAME", ("drv.drain",), footer=True),
    # -- models --------------------------------------------------------------------------------
    Action("pull", "models", "p", "Pull", "Bring this model here.", "llmos models pull NAME",
           footer=True),
    # -- memory --------------------------------------------------------------------------------
    Action("search", "memory", "f", "Search", "The rows that have these words, best first.",
           "llmos mem search WORDS", footer=True),
    Action("space", "memory", "o", "Space", "Choose whose memory, and which space of it.",
           "llmos mem ls --pid PID --space SPACE", footer=True),
    Action("forget", "memory", "D,delete", "Forget", "Delete this row.", "llmos mem rm KEY",
           ("mem.delete",), footer=True),
    # -- files ---------------------------------------------------------------------------------
    Action("owner", "files", "o", "Whose", "Choose whose files.", "llmos fs ls --pid PID",
           footer=True),
    Action("up", "files", "backspace", "Up", "The folder around this one.", "llmos fs ls /",
           footer=True),
    Action("history", "files", "h", "Versions", "Every version of this file.",
           "llmos fs history PATH", footer=True),
    Action("restore", "files", "R", "Restore", "Bring this version back, as a new one.",
           "llmos fs restore PATH VERSION", ("fs.restore",), footer=True),
    Action("delete", "files", "D,delete", "Delete", "Delete this file; its versions stay.",
           "llmos fs rm PATH", ("fs.delete",), footer=True),
    # -- events --------------------------------------------------------------------------------
    Action("freeze", "events", "z", "Freeze", "Hold the list still, to read it.", "llmos events",
           footer=True),
    Action("mine", "events", "o", "Of one", "Only the events of one process.",
           "llmos events -f --pid PID", footer=True),
)  # fmt: skip


def of(where: str) -> Iterator[Action]:
    """Those of one view."""
    return (action for action in ACTIONS if action.where == where)


def known(where: str) -> list[Action]:
    """What may be done there: in this view, and in every one."""
    return [*of(where), *of(ANYWHERE)]


def meant(where: str, words: str) -> Action | None:
    """The one that a person means who writes its name there, or the beginning of that."""
    slug, title = "_".join(words.lower().split()), words.lower()
    found = [action for action in known(where) if action.slug == slug] or [
        action
        for action in known(where)
        if action.slug.startswith(slug) or action.title.lower().startswith(title)
    ]
    return found[0] if found else None


def bindings(where: str) -> list[Binding]:
    """As Textual wants them, for a class's ``BINDINGS``."""
    return [action.binding for action in of(where)]


def named(where: str, name: str) -> Action | None:
    """By the view and the method's name, arguments left out."""
    return next((a for a in of(where) if a.name.partition("(")[0] == name), None)
