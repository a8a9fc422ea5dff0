"""The generative model: codec, backbone, noise, and their composition."""

from gram_ppl.model.backbone import Flat, Hierarchical
from gram_ppl.model.gram import GRAM, Rollout
from gram_ppl.model.noise import Gaussian, LazyNormal

__all__ = ["GRAM", "Flat", "Gaussian", "Hierarchical", "LazyNormal", "Rollout"]
