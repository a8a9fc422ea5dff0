"""Inference: the objective, its optimiser, handlers, sampling in width, checkpoints."""

from gram_ppl.infer.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from gram_ppl.infer.draw import draw
from gram_ppl.infer.elbo import StepInfo, TruncatedELBO
from gram_ppl.infer.handlers import share
from gram_ppl.infer.schedule import Linear
from gram_ppl.infer.svi import SVI

__all__ = [
    "SVI",
    "CheckpointError",
    "Linear",
    "StepInfo",
    "TruncatedELBO",
    "draw",
    "load_checkpoint",
    "save_checkpoint",
    "share",
]
