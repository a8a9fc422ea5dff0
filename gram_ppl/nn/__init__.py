"""Networks: every one maps ``(*, L, D)`` to ``(*, L, D)`` for any leading shape."""

from gram_ppl.nn.attention import Attention
from gram_ppl.nn.block import Block, MixerFactory, Stack
from gram_ppl.nn.mixer import TokenMixer
from gram_ppl.nn.mlp import SwiGLU
from gram_ppl.nn.norm import RMSNorm

__all__ = ["Attention", "Block", "MixerFactory", "RMSNorm", "Stack", "SwiGLU", "TokenMixer"]
