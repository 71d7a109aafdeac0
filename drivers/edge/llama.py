"""A Llama-like model, run over the pool: any number of sequences, of any lengths, in one forward.

It takes the weights out of transformers' model, with those that read the same input put together
(query, key and value; gate and up), and computes what transformers would. All new tokens of a step,
whosever they are, lie one after the other in one batch; only attention tells them apart. It knows
nothing about sequences, nor about how a token is chosen.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from typing import Any, Final, Literal

import torch
from torch.nn.functional import silu

from drivers.edge.attention import Step
from drivers.edge.blocks import BLOCK
from drivers.edge.int8 import Int8Linear, Rows, rounded
from drivers.edge.linear import Linear
from drivers.edge.pool import Shape
from drivers.edge.smoothing import Smoothing

_KNOWN: Final = frozenset(
    {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}
)
_FORMAT: Final = 2
"""Grows when the same weights come to give other keys and values here."""
_SAMPLE: Final = 4096
_STATIC_ROPE: Final = frozenset({"default", "linear", "llama3", "yarn"})

Activations = Literal["float", "int8"]


def fits(model: Any) -> bool:
    """Is this transformers model one of those that are computed here?"""
    config = model.config
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    kinds = getattr(config, "layer_types", None)
    whole = all(kind == "full_attention" for kind in kinds or ())
    if kinds is None:
        whole = getattr(config, "sliding_window", None) is None
    return (
        type(model).__name__ in _KNOWN
        and config.hidden_act == "silu"
        and rope in _STATIC_ROPE
        and whole
    )


class Llama:
    """``model``: a transformers model that ``fits``; it is not needed any more afterwards.
    ``int8``: in bf16, a row or two are multiplied with weights of 8 bits. ``activations``: int8,
    and all rows are, and rounded for it; what is not multiplied with weights is fp32 then, but for
    attention."""

    def __init__(
        self, model: Any, *, int8: bool = True, activations: Activations = "float"
    ) -> None:
        config, base = model.config, model.model
        self._fingerprint = _fingerprint(model, f"{int8} {BLOCK} {_FORMAT} {activations}")
        # A copy, since the model's own may be a part of a file that is mapped as a whole.
        self._embedding = base.embed_tokens.weight.detach().clone()
        made = _Whole(model) if activations == "int8" else _Float(int8=int8)
        self._hidden = made.dtype or self._embedding.dtype
        self._layers = [_Layer(layer, made) for layer in base.layers]
        self._norm, self._head = made.after(base.norm, (model.lm_head, 1.0))
        self._rotary = base.rotary_emb
        self._size = int(base.layers[0].self_attn.head_dim)
        self._heads = int(config.num_attention_heads)
        self._kv_heads = int(config.num_key_value_heads)

    @property
    def shape(self) -> Shape:
        return Shape(len(self._layers), self._kv_heads, self._size)

    @property
    def dtype(self) -> torch.dtype:
        return self._embedding.dtype

    @property
    def device(self) -> torch.device:
        return self._embedding.device

    @property
    def fingerprint(self) -> str:
        """The same for two models only if they compute the same keys and values."""
        return self._fingerprint

    def shallow(self) -> Llama:
        """The same with its first layer only: a step takes as much memory for one as for all."""
        one = copy.copy(self)
        one._layers = self._layers[:1]
        return one

    @torch.inference_mode()
    def forward(
        self, tokens: torch.Tensor, positions: torch.Tensor, step: Step, wanted: torch.Tensor
    ) -> torch.Tensor:
        """``tokens`` and their ``positions``: [tokens] each, in the order of ``step``. The logits
        after those in the places ``wanted``: [wanted, vocabulary]."""
        hidden = self._embedding[tokens].to(self._hidden)
        cosines, sines = self._rotary(hidden[None], positions[None])
        cosines, half = cosines[0][:, None], self._size // 2
        # Of a number and the one half a head further on, the first is turned the other way.
        sines = torch.cat([-sines[0][:, None, :half], sines[0][:, None, half:]], dim=-1)
        heads, both = self._heads, self._heads + self._kv_heads
        for number, layer in enumerate(self._layers):
            parts = layer.qkv(layer.before_attention(hidden))
            parts = parts.view(len(tokens), both + self._kv_heads, self._size)
            if layer.query_norm is not None and layer.key_norm is not None:
                parts[:, :heads] = layer.query_norm(parts[:, :heads])
                parts[:, heads:both] = layer.key_norm(parts[:, heads:both])
            turned = parts[:, :both]
            other = turned.roll(half, dims=-1)
            turned.mul_(cosines).addcmul_(other, sines)
            parts = parts.to(self.dtype)
            read = step.attend(number, parts[:, :heads], parts[:, heads:])
            hidden = layer.out(read, add=hidden)
            gate, up = layer.gate_up(layer.before_mlp(hidden)).chunk(2, dim=-1)
            hidden = layer.down(silu(gate).mul_(up), add=hidden)
        return self._head(self._norm(hidden[wanted]))


class _Norm:
    """Without a ``weight``, where that is in the product that follows."""

    def __init__(self, module: Any, weight: torch.Tensor | None = None) -> None:
        # A copy, for the same reason as that of the embedding.
        self.weight = weight.detach().clone() if weight is not None else None
        epsilon = float(module.variance_epsilon)
        self.epsilon = torch.tensor(epsilon, device=module.weight.device)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float()
        normed = (wide * self._factor(wide)).to(x.dtype)
        return normed if self.weight is None else self.weight * normed

    def _factor(self, wide: torch.Tensor) -> torch.Tensor:
        # By hand, since torch's own takes longer for a few rows on a CPU.
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        return torch.addcmul(self.epsilon, length, length, value=1 / wide.shape[-1]).rsqrt_()


class _RoundingNorm(_Norm):
    """A norm multiplies a row by one number, and so does what a row was rounded by: so it is
    rounded as it came, but for the ``weight``, and the norm is in its scale."""

    def __init__(self, module: Any, weight: torch.Tensor) -> None:
        super().__init__(module)
        self._before = weight.detach()

    def __call__(self, x: torch.Tensor) -> Rows:  # type: ignore[override]
        whole, scale = rounded(x * self._before)
        return Rows(whole, self._factor(x).mul_(scale))


_Part = tuple[Any, float | torch.Tensor]
"""A linear layer of transformers, and what its output is multiplied by: one number, or [out]."""


class _Float:
    """Makes norms and products of the numbers that the model has."""

    dtype: torch.dtype | None = None

    def __init__(self, *, int8: bool) -> None:
        self._int8 = int8

    def after(self, norm: Any, *parts: _Part) -> tuple[Any, Any]:
        """The norm, and one product for all of these, with the norm's weight in it."""
        weights = [_folded(_weight(part), norm) for part in parts]
        return _Norm(norm), Linear(weights, _biases(parts), int8=self._int8)

    def inner(self, up: Any, down: Any) -> tuple[_Part, Any]:
        """What comes before the product ``down``, and that."""
        return (up, 1.0), self.plain(down)

    def plain(self, module: Any) -> Any:
        return Linear([module.weight], _biases([(module, 1.0)]), int8=self._int8)


class _Whole:
    """Makes norms that round what they give, and products of whole numbers."""

    dtype: torch.dtype | None = torch.float32

    def __init__(self, model: Any) -> None:
        layers = model.model.layers
        asked = [one for layer in layers for one in (layer.self_attn.q_proj, layer.mlp.gate_proj)]
        asked += [layer.mlp.down_proj for layer in layers]
        self._smoothing = Smoothing(model, [*asked, model.lm_head])

    def after(self, norm: Any, *parts: _Part) -> tuple[Any, Any]:
        weights = torch.cat([_weight(part).float() for part in parts])
        smooth = self._smoothing.of(parts[0][0], weights)
        return _RoundingNorm(norm, norm.weight / smooth), Int8Linear(
            [weights * smooth], _biases(parts)
        )

    def inner(self, up: Any, down: Any) -> tuple[_Part, Any]:
        smooth = self._smoothing.of(down, down.weight.detach())
        product = Int8Linear([down.weight.detach() * smooth], _biases([(down, 1.0)]))
        return (up, 1 / smooth), product

    def plain(self, module: Any) -> Any:
        return Int8Linear([module.weight], _biases([(module, 1.0)]))


class _Layer:
    def __init__(self, layer: Any, made: _Float | _Whole) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        scale = float(attention.scaling)
        self.query_norm = self.key_norm = None
        if hasattr(attention, "q_norm"):
            self.query_norm = _Norm(attention.q_norm, attention.q_norm.weight * scale)
            self.key_norm = _Norm(attention.k_norm, attention.k_norm.weight)
            scale = 1.0
        # Queries are scaled here, for all products with keys to come.
        queries = (attention.q_proj, scale)
        keys, values = (attention.k_proj, 1.0), (attention.v_proj, 1.0)
        before, after = layer.input_layernorm, layer.post_attention_layernorm
        self.before_attention, self.qkv = made.after(before, queries, keys, values)
        self.out = made.plain(attention.o_proj)
        up, self.down = made.inner(mlp.up_proj, mlp.down_proj)
        self.before_mlp, self.gate_up = made.after(after, (mlp.gate_proj, 1.0), up)


def _fingerprint(model: Any, how: str) -> str:
    """Of its configuration, some of each of its weights, and ``how`` they are used."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{how} {model.dtype} {model.config.to_json_string()}".encode())
    for name, weight in model.state_dict().items():
        some = weight.detach().flatten()[:: max(1, weight.numel() // _SAMPLE)]
        digest.update(name.encode() + some.float().cpu().numpy().tobytes())
    return digest.hexdigest()


def _weight(part: _Part) -> torch.Tensor:
    module, factor = part
    weight: torch.Tensor = module.weight.detach()
    return weight * (factor[:, None] if isinstance(factor, torch.Tensor) else factor)


def _biases(parts: Sequence[_Part]) -> list[torch.Tensor] | None:
    """None, if there are none."""
    return [
        module.bias.detach() * factor for module, factor in parts if module.bias is not None
    ] or None


def _folded(weight: torch.Tensor, norm: Any) -> torch.Tensor:
    """A matrix that has the weight of the norm before it in itself."""
    return (weight.float() * norm.weight.detach().float()).to(weight.dtype)
