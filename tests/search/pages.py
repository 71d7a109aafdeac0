"""Pages to search in: 2,000 of Python's own, as they are on any machine that runs this.

A page is what ``help()`` shows first of a public module, class, function or method of the standard
library: its docstring, cut to a thousand characters. Which pages is a matter of names only. It
knows nothing about searching.
"""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

PAGES: Final = 2000
LENGTH: Final = 1000
_LEAST: Final = 40
"""Characters of a page that says anything."""

_MODULES: Final = """
    builtins os os.path shutil pathlib glob fnmatch tempfile filecmp stat fileinput linecache
    string re difflib textwrap unicodedata struct codecs datetime calendar collections
    collections.abc heapq bisect array weakref types copy pprint reprlib enum graphlib numbers
    math cmath decimal fractions random statistics itertools functools operator pickle copyreg
    shelve marshal dbm sqlite3 zlib gzip bz2 lzma zipfile tarfile csv configparser tomllib netrc
    plistlib hashlib hmac secrets io time argparse getopt logging logging.config
    logging.handlers getpass platform errno threading multiprocessing multiprocessing.pool
    concurrent.futures subprocess sched queue contextvars asyncio socket ssl select selectors
    signal mmap email email.message email.utils json mailbox mimetypes base64 binascii quopri
    html html.parser xml.etree.ElementTree xml.sax.saxutils webbrowser wsgiref urllib.request
    urllib.parse urllib.error urllib.robotparser http http.client http.server http.cookies
    http.cookiejar ftplib poplib imaplib smtplib uuid socketserver xmlrpc.client ipaddress wave
    colorsys gettext locale cmd shlex pydoc doctest unittest unittest.mock bdb faulthandler pdb
    timeit trace tracemalloc zipapp sys sysconfig warnings dataclasses contextlib abc atexit
    traceback gc inspect site code codeop zipimport pkgutil modulefinder runpy importlib ast
    symtable token keyword tokenize tabnanny pyclbr py_compile compileall dis pickletools
"""


def pages(count: int = PAGES) -> dict[str, str]:
    """By qualified name. All modules, then their functions and classes, then methods: as many as
    are wanted, each kind evenly from all modules."""
    kinds: list[list[list[tuple[str, str]]]] = [[], [], []]
    for name in _MODULES.split():
        for kind, found in zip(kinds, _of(name), strict=True):
            kind.append(found)
    chosen: dict[str, str] = {}
    texts: set[str] = set()
    for kind in kinds:
        for name, text in _in_turns(kind):
            if len(chosen) == count:
                return chosen
            # What is inherited is there once.
            if name not in chosen and text not in texts:
                chosen[name] = text
                texts.add(text)
    return chosen


def _in_turns(lists: list[list[tuple[str, str]]]) -> Iterator[tuple[str, str]]:
    for place in range(max(map(len, lists))):
        for one in lists:
            if place < len(one):
                yield one[place]


def _of(name: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]], list[tuple[str, str]]]:
    """The page of a module, those of what it defines, and those of methods."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module(name)
    prefix = "" if name == "builtins" else f"{name}."
    top, inner = [], []
    for thing, value in _public(module):
        top += _page(f"{prefix}{thing}", value)
        if inspect.isclass(value):
            for method, one in _public(value):
                inner += _page(f"{prefix}{thing}.{method}", one)
    return _page(name, module), top, inner


def _public(owner: Any) -> Iterator[tuple[str, Any]]:
    """What it defines, by name."""
    inside = isinstance(owner, ModuleType)
    named = set(getattr(owner, "__all__", ())) if inside else set()
    for name, value in sorted(vars(owner).items()):
        if name.startswith("_") or (named and name not in named):
            continue
        plain = value.__func__ if isinstance(value, staticmethod | classmethod) else value
        described = (
            inspect.isroutine(plain) or inspect.isclass(plain) or inspect.isdatadescriptor(plain)
        )
        if described and (not inside or not inspect.isclass(plain) or _at_home(plain, owner)):
            yield name, plain


def _at_home(value: type, module: ModuleType) -> bool:
    """Whether a class is this module's own, or of the C module behind it."""
    home = value.__module__.lstrip("_").partition(".")[0]
    return home in (module.__name__.partition(".")[0], "builtins", "io", "pydatetime", "pydecimal")


def _page(name: str, value: Any) -> list[tuple[str, str]]:
    said = getattr(value, "__doc__", None)
    text = inspect.cleandoc(said) if isinstance(said, str) else ""
    return [(name, text[:LENGTH])] if len(text) >= _LEAST else []
