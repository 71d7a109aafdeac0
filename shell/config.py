"""The configuration of a home: ``config.yaml``, which services ``llmos up`` runs.

Every field may be left out. It knows nothing about how services are run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, Final, Literal

import yaml
from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from llmagentos.abi.cards import Price
from llmagentos.abi.errors import EINVAL, EIO
from llmagentos.abi.keys import TcpAddress
from llmagentos.abi.manifest import DEFAULT_MODEL
from llmagentos.abi.model import Model, ModelName, Name
from llmagentos.home import Home
from shell import image
from shell.cloud import CloudFields
from shell.mcp import McpFields
from shell.service import Program, secret_variables

_LARGEST: Final = 256 * 1024
_TAKEN: Final = "name_taken"
_OWN: Final = {"name", "endpoint", "api", "zone", "key", "key-env", "key-keyring", "connect"}
"""Options that would go round what is checked here."""
EMBEDDING_MODEL: Final = "all-minilm-l6-v2"
"""Of a driver that embeds, unless it says another."""
RESERVED: Final = ("kernel", "supervisor", "shell")
"""Names that no driver may have."""


class DriverConfig(CloudFields, McpFields):
    """One driver. ``model`` defaults to the system's default model; those of tools have none, and
    an endpoint ``models``."""

    name: Name
    kind: Literal[
        "edge", "openvino", "embedding", "cloud", "scripted", "clock", "mcp", "sandbox"
    ] = "edge"
    model: ModelName | None = None
    slots: int | None = Field(None, ge=1, le=4096)
    dtype: Literal["auto", "float32", "bfloat16"] | None = None
    activations: Literal["float", "int8"] | None = None
    threads: int | None = Field(None, ge=1, le=1024)
    labels: list[Name] | None = Field(
        None,
        description="labels that it may see; default: private for edge, embedding and sandbox",
    )
    options: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="further options of its program, by their long names"
    )

    @model_validator(mode="after")
    def _only_engines_compute(self) -> DriverConfig:
        if self.kind != "edge" and self.dtype:
            raise ValueError(f"a {self.kind} driver has no dtype")
        if self.kind != "edge" and self.activations:
            raise ValueError(f"{self.kind} drivers have no setting activations; see options")
        if not self.computes and self.threads:
            raise ValueError(f"a {self.kind} driver has no threads")
        if self.offers_tools and self.model:
            raise ValueError(f"a {self.kind} driver has no model")
        if taken := sorted(_OWN & set(self.options)):
            raise ValueError(f"options: {taken[0]} has a field of its own, or none")
        if self.kind == "cloud":
            if self.model:
                raise ValueError("a cloud driver has models, not a model")
            self.check_endpoint()
        else:
            self.check_no_endpoint(self.kind)
        if self.kind == "mcp":
            self.check_server()
        else:
            self.check_no_server(self.kind)
        return self

    @property
    def computes(self) -> bool:
        return self.kind in ("edge", "openvino", "embedding")

    @property
    def offers_tools(self) -> bool:
        return self.kind in ("clock", "mcp", "sandbox")

    @property
    def sees(self) -> list[str]:
        """The labels that it may see. Our own engine on this device, and a sandbox without a
        network, may see what must not leave it: else nobody could."""
        if self.labels is not None:
            return self.labels
        return ["private"] if self.kind in ("edge", "embedding", "scripted", "sandbox") else []

    def _usual(self, default_model: str) -> str:
        return EMBEDDING_MODEL if self.kind == "embedding" else default_model

    @property
    def secrets(self) -> frozenset[str]:
        """The variables of the environment that hold its keys, which nobody else is to see."""
        return secret_variables([self.key, self.token], self.env)

    def program(self, default_model: str, prices: Mapping[str, Price]) -> Program:
        named = self.kind != "cloud" and not self.offers_tools
        options = {
            "--name": self.name,
            "--model": self.model or self._usual(default_model) if named else None,
            "--slots": self.slots,
            "--dtype": self.dtype,
            "--activations": self.activations,
            "--threads": self.threads,
        }
        words = [str(w) for pair in options.items() if pair[1] is not None for w in pair]
        words += self.endpoint_options(prices) + self.server_options()
        for label in self.sees:
            words += ["--label", label]
        for option, value in self.options.items():
            words += [f"--{option}"] if value is True else [f"--{option}={value}"]
        return Program(self.name, image.command(f"drivers.{self.kind}", *words))


def _usual_drivers() -> list[DriverConfig]:
    """A local model; and one that embeds, where that is installed: what is remembered is found by
    its meaning then. It loads when it is first needed."""
    embeds = all(find_spec(name) is not None for name in ("onnxruntime", "tokenizers"))
    drivers = [DriverConfig(name="edge")]
    return [*drivers, DriverConfig(name="embedding", kind="embedding")] if embeds else drivers


class Config(Model):
    """All. ``default_model``, ``durability``, ``policy`` and ``listen`` are the kernel's: see
    ``plan``."""

    default_model: ModelName = DEFAULT_MODEL
    drivers: list[DriverConfig] = Field(default_factory=_usual_drivers)
    durability: Literal["normal", "full"] = Field(
        "normal", description="full: what was acknowledged survives a power cut too"
    )
    policy: Literal["fair", "fifo", "rr", "priority", "deadline"] = Field(
        "fair", description="in which order LLM calls get their slots"
    )
    listen: TcpAddress | None = Field(
        None, description="where nodes come in, with the keys of llmos keys: tcp://0.0.0.0:7667"
    )
    hosts: int = Field(1, ge=0, le=64, description="agent hosts")
    prices: dict[ModelName, Price] = Field(
        default_factory=dict, description="of models in the cloud, for a million tokens"
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Config:
        taken = {*RESERVED, *self.host_names}
        for index, driver in enumerate(self.drivers):
            if driver.name in taken:
                raise PydanticCustomError(
                    _TAKEN, "the name {name} is taken", {"name": driver.name, "index": index}
                )
            taken.add(driver.name)
        return self

    @property
    def host_names(self) -> list[str]:
        return ["host", *(f"host-{n}" for n in range(2, self.hosts + 1))][: self.hosts]

    def programs(self) -> Sequence[Program]:
        """Drivers first: they take longest to be ready."""
        all_secrets = frozenset[str]().union(*(driver.secrets for driver in self.drivers))
        drivers = [
            replace(
                driver.program(self.default_model, self.prices),
                withheld=all_secrets - driver.secrets,
            )
            for driver in self.drivers
        ]
        hosts = [
            Program(name, image.command("agents", "--name", name), withheld=all_secrets)
            for name in self.host_names
        ]
        return [*drivers, *hosts]


def load(home: Home) -> Config:
    """The configuration of this home; without a file, the defaults. Raises ``EINVAL``."""
    try:
        raw = home.config.read_bytes()
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise EIO(f"{home.config} can't be read: {error.strerror}") from None
    if len(raw) > _LARGEST:
        raise EINVAL(f"{home.config} has {len(raw):,} bytes; the most is {_LARGEST:,}")
    try:
        text = raw.decode("utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise EINVAL(
            f"{home.config} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8"
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or "it can't be parsed"
        raise EINVAL(
            f"{home.config}{where} is not YAML: {what}", hint="mend it, or delete the file"
        ) from None
    if document is None:
        return Config()
    if not isinstance(document, dict):
        raise EINVAL(
            f"{home.config} line 1: it must be a map of settings",
            hint="the settings are: " + ", ".join(Config.model_fields),
        )
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        raise _told(home, error, tree) from None


def _told(home: Home, invalid: ValidationError, tree: yaml.Node | None) -> EINVAL:
    """The first mistake, with its file, line and field, and what would be right."""
    first = invalid.errors(include_url=False)[0]
    # Names are compared by the whole configuration, which knows whose name it was.
    taken = first["type"] == _TAKEN
    path = ("drivers", first["ctx"]["index"], "name") if taken else first["loc"]
    field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    field = field.lstrip(".") or "the settings"
    shape = DriverConfig if path[:1] == ("drivers",) and len(path) > 2 else Config
    remedy = {
        "extra_forbidden": "the fields here are: " + ", ".join(shape.model_fields),
        "missing": f"add {path[-1] if path else 'it'}",
        _TAKEN: "choose another name: each driver has its own, and kernel, supervisor, shell and "
        "the names of agent hosts are the system's",
    }.get(first["type"], f"mend {field}, or leave it out for its default")
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        said = "there is no such field"
    return EINVAL(
        f"{home.config} line {_line(tree, path)}: {field}: {said[:1].lower()}{said[1:]}",
        hint=remedy,
        detail={"field": field},
    )


def _line(node: yaml.Node | None, path: Sequence[Any]) -> int:
    """The line of the field, or of the nearest thing around it that is in the file."""
    if node is None:
        return 1
    line: int = node.start_mark.line + 1
    if not path:
        return line
    step = path[0]
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return _line(node.value[step], path[1:])
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return _line(value, path[1:]) if path[1:] else key.start_mark.line + 1
    return line
