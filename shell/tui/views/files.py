"""The files of processes: a folder, and beside it a file's content or its versions.

It knows the ``fs`` calls, and nothing about what the files are for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.widgets import Input, Static

from llmagentos.abi.calls.fs import FileInfo, HistoryResult, ListResult
from llmagentos.abi.errors import LLMOSError
from shell.terminal import clip, clock, size
from shell.tui.content import MOST_TEXT, lines_of
from shell.tui.kept import KeptView
from shell.tui.reader import Line, Reader
from shell.tui.table import Cell, Column, FixedTable, LiveTable
from shell.tui.versions import Versions, compared
from shell.tui.view import bound
from shell.tui.words import Words

FILES: Final = (
    Column("name", "NAME", 20, grow=True),
    Column("size", "SIZE", 8, right=True),
    Column("version", "VER", 4, right=True),
    Column("labels", "LABELS", 10, 3),
    Column("owner", "OWNER", 5, 2, right=True),
    Column("time", "TIME", 19, 1),
)
_MOST: Final = 2000
"""Files of a folder."""
_WITHIN: Final = 10.0


class FilesView(KeptView):
    NAME = "files"
    BINDINGS: ClassVar[list[BindingType]] = bound("files")
    DEFAULT_CSS = """
    FilesView #path { height: 1; padding: 0 1; color: $text-muted; }
    FilesView .bare #folder { max-height: 1; }
    FilesView.-narrow.versions #left { display: none; }
    FilesView #versions { max-height: 8; margin-bottom: 1; display: none; }
    FilesView.versions #versions { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._path = "/"
        self._came_from = ""
        self._files: dict[str, FileInfo] = {}
        self._folders: list[str] = []
        self._more = False

    def body(self) -> ComposeResult:
        yield Words(id="path")
        with Container(id="halves"):
            with Vertical(id="left"):
                yield FixedTable(*FILES, id="folder")
                yield Words(id="nothing", classes="empty")
            with Vertical(id="right", classes="pane"):
                yield Versions(id="versions")
                yield Reader("enter shows a file here, h its versions", id="content")

    @property
    def table(self) -> LiveTable:
        return self.query_one("#folder", LiveTable)

    @property
    def versions(self) -> Versions:
        return self.query_one("#versions", Versions)

    def focus_body(self) -> None:
        (self.versions if self.versions.all else self.table).focus()

    # -- the folder ----------------------------------------------------------------------------

    async def _load(self) -> None:
        files: dict[str, FileInfo] = {}
        folders: list[str] = []
        after, more = "", True
        while more and len(files) + len(folders) < _MOST:
            told = await self.app.link.call("fs.list", pid=self.pid, path=self._path, after=after)
            page = ListResult.model_validate(told)
            files |= {file.path.rpartition("/")[2]: file for file in page.files}
            folders += page.folders
            after, more = page.last, page.more
        self._files, self._folders, self._more = files, folders, more

    def _clear(self) -> None:
        self._files, self._folders = {}, []

    def _show(self) -> None:
        rows: dict[str, tuple[Cell, ...]] = {
            f"{name}/": (Text(f"{clip(name, 255)}/", "bold"), "", "", "", "", "")
            for name in self._folders
        }
        rows |= {name: _file_cells(name, file) for name, file in self._files.items()}
        seen = self.filtered(rows)
        self.table.show(seen)
        if self._came_from in seen:
            self.table.go_to(self._came_from)
            self._came_from = ""
        self.query_one("#left").set_class(not seen, "bare")
        nothing = self.query_one("#nothing", Static)
        nothing.display = not seen
        empty = "no file has the words of the filter" if rows else "nothing is here"
        nothing.update(self._trouble or empty)
        self._show_place(bool(rows))

    def _show_place(self, there: bool) -> None:
        process = self.app.board.find(self.pid)
        who = f"pid {self.pid} {clip(process.name, 20)}" if process else f"pid {self.pid}"
        parts = [clip(self._path, 300), who]
        if versions := self.versions.all:
            parts[0] = f"{clip(versions[0].path, 300)}: {len(versions)} versions"
        if self._more:
            parts.append(f"and more than these {_MOST}")
        if self._trouble and there:
            parts.append(self._trouble)
        self.query_one("#path", Static).update(" | ".join(parts))

    def _go(self, path: str, came_from: str = "") -> None:
        self._close_versions()
        self._path, self._came_from = path, came_from
        self._files, self._folders, self._more, self._trouble = {}, [], False, ""
        self._ask(anew=True)

    @on(LiveTable.RowSelected, "#folder")
    def _entered(self, event: LiveTable.RowSelected) -> None:
        event.stop()
        key = self.table.key
        if key and key.endswith("/"):
            self._go(self._path.rstrip("/") + "/" + key.rstrip("/"))
        elif file := self._file():
            self._close_versions()
            self._read(lambda: self._whole(file))

    def _file(self) -> FileInfo | None:
        """The one under the cursor, with its path as it is called here."""
        key = self.table.key
        found = self._files.get(key or "")
        if found is None:
            return None
        return found.model_copy(update={"path": f"{self._path.rstrip('/')}/{key}"})

    # -- content -------------------------------------------------------------------------------

    def _read(self, lines: Callable[[], Awaitable[list[Line]]]) -> None:
        async def do() -> None:
            try:
                shown = await lines()
            except LLMOSError as error:
                shown = [(error.message, "")]
            except Exception as error:
                self.app.fault(error)
                return
            self.query_one("#content", Reader).show(shown)

        self.run_worker(do(), exit_on_error=False, exclusive=True, group="content")

    async def _content(self, file: FileInfo) -> bytes:
        if file.deleted:
            return b""
        read = self.app.link.open(
            "fs.read", path=file.path, version=file.version, pid=self.pid, length=MOST_TEXT
        )
        await read.result(_WITHIN)
        return b"".join(read.buffers)

    async def _whole(self, file: FileInfo) -> list[Line]:
        content = await self._content(file)
        title = (f"{file.path}, version {file.version}, {size(file.size)}", "head")
        return [title, *lines_of(content, file.size)]

    # -- versions ------------------------------------------------------------------------------

    def action_history(self) -> None:
        file = self._file()
        if self.versions.all:
            self._close_versions()
        elif file is None:
            self.notify("the versions of which file? Put the cursor on it", severity="warning")
        else:
            pid = self.pid

            async def do() -> None:
                told = await self.app.link.call("fs.history", pid=pid, path=file.path, limit=1000)
                versions = HistoryResult.model_validate(told).versions
                self._open_versions(
                    [version.model_copy(update={"path": file.path}) for version in versions]
                )

            self.app.act(do)

    def _open_versions(self, versions: list[FileInfo]) -> None:
        self.set_class(bool(versions), "versions")
        self.versions.open(versions)
        self.call_after_refresh(self.focus_body)
        self._show_place(there=True)

    def _close_versions(self) -> None:
        if self.versions.all:
            self._open_versions([])
            self.query_one("#content", Reader).show([])

    @on(LiveTable.RowHighlighted, "#versions")
    def _moved(self, event: LiveTable.RowHighlighted) -> None:
        event.stop()
        self._when_rested(self._rested)

    @on(LiveTable.RowSelected, "#versions")
    def _chosen(self, event: LiveTable.RowSelected) -> None:
        event.stop()
        self.query_one("#content", Reader).focus()

    def _rested(self) -> None:
        new, old = self.versions.chosen, self.versions.before
        if new is not None:
            self._read(lambda: compared(new, old, self._content))

    # -- actions -------------------------------------------------------------------------------

    def key_escape(self) -> None:
        closed = self.query_one("#line", Input).has_class("hidden")
        if closed and not self.filter and self.versions.all:
            self._close_versions()
        else:
            super().key_escape()
            self.focus_body()

    def action_up(self) -> None:
        if self.versions.all:
            self._close_versions()
        elif self._path != "/":
            around, _, name = self._path.rpartition("/")
            self._go(around or "/", f"{name}/")

    def action_owner(self) -> None:
        def chosen(pid: int) -> None:
            self._pid = pid
            self._go("/")

        self._ask_whose("Whose files?", chosen)

    def action_restore(self) -> None:
        version = self.versions.chosen
        if version is None:
            self.notify("restore which version? h shows those of the file", severity="warning")
            return
        self._sure(
            "restore",
            f"Bring version {version.version} of {version.path} back?",
            {"path": version.path, "version": version.version},
            "it is at version {version}",
        )

    def action_delete(self) -> None:
        file = self.versions.all[0] if self.versions.all else self._file()
        if file is not None:
            question = f"Delete {file.path}? Its versions stay"
            self._sure("delete", question, {"path": file.path}, "it is deleted")

    def _sure(self, name: str, question: str, args: dict[str, Any], said: str) -> None:
        pid = self.pid

        async def do() -> str:
            told = await self.app.link.call(f"fs.{name}", pid=pid, **args)
            self._close_versions()
            self._ask(anew=True)
            return said.format(version=told["version"])

        self._ask_first(name, question, do)


def _file_cells(name: str, file: FileInfo) -> tuple[Cell, ...]:
    labels = ",".join(file.labels)
    return (
        clip(name, 255), size(file.size), str(file.version), labels, str(file.owner),
        clock(file.time),
    )  # fmt: skip
