"""A Llama-like model, run over the pool: any number of sequences, of any lengths, in one forward.

It takes the weights out of transformers' model, with those that read the same input put together
(query, key and value; gate and up), and computes what transformers would. All new tokens of a step,
whosever they are, lie one after the other in one batch; only attention tells them apart. It knows
nothing about sequences, nor about how a token is chosen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal

import torch
from torch.nn.functional import silu

from drivers.edge.attention import Step
from drivers.edge.blocks import BLOCK
from drivers.edge.int8 import Int8Linear, Rows, rounded
from drivers.edge.linear import Linear
from drivers.edge.pool import Shape

_KNOWN: Final = frozenset(
    {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}
)
_FORMAT: Final = 1
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
        self._embedding = base.embed_tokens.weight.detach()
        rounding = activations == "int8"
        self._hidden = torch.float32 if rounding else self._embedding.dtype
        norm = _RoundingNorm if rounding else _Norm
        product: _Product = Int8Linear if rounding else partial(Linear, int8=int8)
        self._layers = [_Layer(layer, norm, product) for layer in base.layers]
        self._norm = norm(base.norm)
        self._head = product([_folded(model.lm_head.weight, base.norm)])
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
        self.weight = weight.detach() if weight is not None else None
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
    rounded as it came, and the norm is in its scale."""

    def __call__(self, x: torch.Tensor) -> Rows:  # type: ignore[override]
        whole, scale = rounded(x)
        return Rows(whole, self._factor(x).mul_(scale))


_Product = Callable[..., Any]
"""Makes what multiplies with some weights."""


class _Layer:
    """``norm``: the kind of norm before a ``product``."""

    def __init__(self, layer: Any, norm: type[_Norm], product: _Product) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        before, after = layer.input_layernorm, layer.post_attention_layernorm
        self.before_attention = norm(before)
        self.before_mlp = norm(after)
        scale = float(attention.scaling)
        self.query_norm = self.key_norm = None
        if hasattr(attention, "q_norm"):
            self.query_norm = _Norm(attention.q_norm, attention.q_norm.weight * scale)
            self.key_norm = _Norm(attention.k_norm, attention.k_norm.weight)
            scale = 1.0
        # Queries are scaled here, for all products with keys to come.
        queries = (attention.q_proj, scale)
        keys, values = (attention.k_proj, 1.0), (attention.v_proj, 1.0)
        self.qkv = _together(product, before, queries, keys, values)
        self.out = _together(product, None, (attention.o_proj, 1.0))
        self.gate_up = _together(product, after, (mlp.gate_proj, 1.0), (mlp.up_proj, 1.0))
        self.down = _together(product, None, (mlp.down_proj, 1.0))


def _fingerprint(model: Any, how: str) -> str:
    """Of its configuration, some of each of its weights, and ``how`` they are used."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{how} {model.dtype} {model.config.to_json_string()}".encode())
    for name, weight in model.state_dict().items():
        some = weight.detach().flatten()[:: max(1, weight.numel() // _SAMPLE)]
        digest.update(name.encode() + some.float().cpu().numpy().tobytes())
    return digest.hexdigest()


def _together(product: _Product, norm: Any, *modules: tuple[Any, float]) -> Any:
    """One product for all of these, each times a number; the weight of the ``norm`` before them is
    in it."""
    weights = [_folded(module.weight, norm) * scale for module, scale in modules]
    biases = [module.bias * scale for module, scale in modules if module.bias is not None]
    return product(weights, biases or None)


def _folded(weight: torch.Tensor, norm: Any) -> torch.Tensor:
    """A matrix that has the weight of the norm before it in itself."""
    if norm is None:
        return weight.detach()
    return (weight.detach().float() * norm.weight.detach().float()).to(weight.dtype)
