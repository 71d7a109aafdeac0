"""A Llama-like model, run over the pool: any number of sequences, of any lengths, in one forward.

It takes the weights out of transformers' model, with those that read the same input put together
(query, key and value; gate and up), and computes what transformers would. All new tokens of a step,
whosever they are, lie one after the other in one batch; only attention tells them apart. It knows
nothing about sequences, nor about how a token is chosen.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.nn.functional import silu

from drivers.edge.attention import Step
from drivers.edge.blocks import BLOCK
from drivers.edge.linear import Linear
from drivers.edge.pool import Shape

_KNOWN: Final = frozenset(
    {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}
)
_STATIC_ROPE: Final = frozenset({"default", "linear", "llama3", "yarn"})


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
    """``model``: a transformers model that ``fits``; it is not needed any more afterwards."""

    def __init__(self, model: Any) -> None:
        config, base = model.config, model.model
        self._embedding = base.embed_tokens.weight.detach()
        self._layers = [_Layer(layer) for layer in base.layers]
        self._norm = _Norm(base.norm)
        self._head = Linear([model.lm_head.weight])
        self._rotary = base.rotary_emb
        attention = base.layers[0].self_attn
        self._size = int(attention.head_dim)
        self._heads = int(config.num_attention_heads)
        self._kv_heads = int(config.num_key_value_heads)
        self._scale = float(attention.scaling)

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
        digest = hashlib.blake2b(f"{self.shape} {self.dtype} {BLOCK}".encode(), digest_size=16)
        norms = [layer.before_attention.weight for layer in self._layers]
        for part in (self._embedding[::97], *norms):
            digest.update(part.contiguous().cpu().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    @torch.inference_mode()
    def forward(
        self, tokens: torch.Tensor, positions: torch.Tensor, step: Step, wanted: torch.Tensor
    ) -> torch.Tensor:
        """``tokens`` and their ``positions``: [tokens] each, in the order of ``step``. The logits
        after those in the places ``wanted``: [wanted, vocabulary]."""
        hidden = self._embedding[tokens]
        cosines, sines = self._rotary(hidden[None], positions[None])
        cosines, sines = cosines[0][:, None], sines[0][:, None]
        both = self._heads + self._kv_heads
        for number, layer in enumerate(self._layers):
            parts = layer.qkv(layer.before_attention(hidden))
            parts = parts.view(len(tokens), both + self._kv_heads, self._size)
            turned, values = parts[:, :both], parts[:, both:]
            if layer.query_norm is not None and layer.key_norm is not None:
                queries = layer.query_norm(turned[:, : self._heads])
                keys = layer.key_norm(turned[:, self._heads :])
                turned = torch.cat([queries, keys], dim=1)
            turned = turned * cosines + _half_turned(turned) * sines
            queries, keys = turned[:, : self._heads], turned[:, self._heads :]
            read = step.attend(number, queries, keys, values, self._scale)
            hidden = hidden + layer.out(read)
            gate, up = layer.gate_up(layer.before_mlp(hidden)).chunk(2, dim=-1)
            hidden = hidden + layer.down(silu(gate) * up)
        return self._head(self._norm(hidden[wanted]))


@dataclass(slots=True)
class _Norm:
    weight: torch.Tensor
    epsilon: float

    def __init__(self, module: Any) -> None:
        self.weight = module.weight.detach()
        self.epsilon = float(module.variance_epsilon)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        # By hand, since torch's own takes three times as long for a few rows on a CPU.
        wide = x.float()
        scale = wide.square().mean(-1, keepdim=True).add_(self.epsilon).rsqrt_()
        return self.weight * (wide * scale).to(x.dtype)


class _Layer:
    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.before_attention = _Norm(layer.input_layernorm)
        self.before_mlp = _Norm(layer.post_attention_layernorm)
        self.query_norm = _Norm(attention.q_norm) if hasattr(attention, "q_norm") else None
        self.key_norm = _Norm(attention.k_norm) if hasattr(attention, "k_norm") else None
        self.qkv = _together(attention.q_proj, attention.k_proj, attention.v_proj)
        self.out = _together(attention.o_proj)
        self.gate_up = _together(mlp.gate_proj, mlp.up_proj)
        self.down = _together(mlp.down_proj)


def _together(*modules: Any) -> Linear:
    biases = [module.bias for module in modules if module.bias is not None]
    return Linear([module.weight for module in modules], biases or None)


def _half_turned(x: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)
