"""An order for a new agent, as it is filled in: what ``proc.spawn`` is given, and the command line
that says the same.

Also which manifests there are to choose from. It knows nothing about screens.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from llmagentos.abi.errors import EINVAL
from llmagentos.abi.manifest import Manifest, Sampling
from llmagentos.home import Home
from shell import image
from shell.session import limits_from

SAMPLING: Final = ("max_tokens", "temperature")
"""What ``llmos run`` has options for."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A manifest to choose. ``problem``: why it can't be used; "" if it can."""

    name: str
    file: Path
    manifest: Manifest | None = None
    problem: str = ""

    @property
    def description(self) -> str:
        return self.problem or (self.manifest.metadata.description if self.manifest else "")


def manifests(home: Home) -> list[Listed]:
    """Those that go by a name: the user's own first, then those that ship."""
    found: dict[str, Listed] = {}
    for folder in (home.manifests, image.shipped_manifests()):
        for file in sorted(folder.glob("*.yaml")):
            listed = _listed(file)
            found.setdefault(listed.name, listed)
    return sorted(found.values(), key=lambda one: (bool(one.problem), one.name))


def _listed(file: Path) -> Listed:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        return Listed(file.stem, file, problem=f"it can't be used: {where}: {first['msg']}")
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        words = " ".join(str(error).split())[:200]
        return Listed(file.stem, file, problem=f"it can't be read: {words}")
    return Listed(manifest.metadata.name, file, manifest)


@dataclass(frozen=True, slots=True)
class Order:
    """``limits`` and ``sampling``: what was filled in, as text. ``places``: empty for those of the
    manifest."""

    manifest: str
    text: str = ""
    name: str = ""
    model: str = ""
    limits: Mapping[str, str] = field(default_factory=dict)
    sampling: Mapping[str, str] = field(default_factory=dict)
    places: tuple[str, ...] = ()
    prefer: str = ""

    def arguments(self) -> dict[str, Any]:
        """Of ``proc.spawn``. Raises ``EINVAL`` for what can't be."""
        given: dict[str, Any] = {
            "manifest": self.manifest,
            "text": self.text or None,
            "name": self.name or None,
            "model": self.model or None,
            "limits": limits_from(tuple(_pairs(self.limits))),
            "sampling": self._sampling(),
        }
        if self.places or self.prefer:
            chosen = {"allow": list(self.places) or None, "prefer": self.prefer or None}
            given["placement"] = {k: v for k, v in chosen.items() if v is not None}
        return {name: value for name, value in given.items() if value is not None}

    def command(self) -> str:
        """The same for a shell."""
        words = ["llmos", "run", self.manifest]
        if self.text:
            words.append(self.text)
        for option, value in (("--name", self.name), ("--model", self.model)):
            if value:
                words += [option, value]
        for name, value in _given(self.sampling):
            words += [f"--{name.replace('_', '-')}", value]
        for pair in _pairs(self.limits):
            words += ["--limit", pair]
        for place in self.places:
            words += ["--place", place]
        if self.prefer:
            words += ["--prefer", self.prefer]
        return shlex.join([*words, "--detach"])

    def _sampling(self) -> dict[str, Any] | None:
        given: dict[str, Any] = {}
        for name, value in _given(self.sampling):
            try:
                given[name] = float(value) if name == "temperature" else int(value)
                Sampling.model_validate(given)
            except ValidationError as error:
                problem = error.errors(include_url=False)[0]["msg"].lower()
                raise EINVAL(f"{name}={value} is not right: {problem}") from None
            except ValueError:
                raise EINVAL(f"{name}={value} is not a number") from None
        return given or None


def _given(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((name, value.strip()) for name, value in values.items() if value.strip())


def _pairs(values: Mapping[str, str]) -> Iterable[str]:
    return [f"{name}={value}" for name, value in _given(values)]
