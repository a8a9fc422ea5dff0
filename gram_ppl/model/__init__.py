"""The generative model: codec, backbone, noise, and their composition."""

from gram_ppl.model import presets
from gram_ppl.model.backbone import Flat, Hierarchical
from gram_ppl.model.codec import Decoder, Encoder, Greedy, LinearDecoder
from gram_ppl.model.gram import GRAM, Rollout, standard_normal
from gram_ppl.model.guidance import LazyDelta, LazyNormal
from gram_ppl.model.noise import Gaussian, MeanOnly, NoiseOnly
from gram_ppl.model.pairs import PairEncoder

__all__ = [
    "GRAM",
    "Decoder",
    "Encoder",
    "Flat",
    "Gaussian",
    "Greedy",
    "Hierarchical",
    "LazyDelta",
    "LazyNormal",
    "LinearDecoder",
    "MeanOnly",
    "NoiseOnly",
    "PairEncoder",
    "Rollout",
    "presets",
    "standard_normal",
]
