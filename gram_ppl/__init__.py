"""gram_ppl: recursive reasoning networks as probabilistic programs on Pyro.

Source: *Generative Recursive Reasoning*, arXiv 2605.19376.
"""

from gram_ppl import baselines, nn, tasks
from gram_ppl.diagnostics import (
    accuracy,
    overall,
    plots,
    prior_posterior_gap,
    save_netcdf,
    summary,
    to_datatree,
    to_inference_data,
    uniformity,
)
from gram_ppl.infer import (
    SVI,
    CheckpointError,
    Linear,
    StepInfo,
    TruncatedELBO,
    draw,
    load_checkpoint,
    save_checkpoint,
    share,
)
from gram_ppl.model import (
    GRAM,
    Decoder,
    Encoder,
    Flat,
    Gaussian,
    Greedy,
    Hierarchical,
    LazyDelta,
    LazyNormal,
    LinearDecoder,
    MeanOnly,
    NoiseOnly,
    PairEncoder,
    Rollout,
    presets,
    standard_normal,
)
from gram_ppl.select import majority_vote
from gram_ppl.train import Judge, Run, fit
from gram_ppl.types import BLANK, Batch, Draws, State, TaskSpec

__version__ = "0.1.0"

__all__ = [
    # the model
    "GRAM",
    "Hierarchical",
    "Flat",
    "Gaussian",
    "NoiseOnly",
    "MeanOnly",
    "LazyNormal",
    "LazyDelta",
    "Encoder",
    "PairEncoder",
    "Decoder",
    "LinearDecoder",
    "Greedy",
    "standard_normal",
    "Rollout",
    "presets",
    "BLANK",
    "nn",
    "baselines",
    # inference
    "TruncatedELBO",
    "Linear",
    "StepInfo",
    "SVI",
    "share",
    "draw",
    "save_checkpoint",
    "load_checkpoint",
    "CheckpointError",
    # training
    "fit",
    "Judge",
    "Run",
    # judging
    "majority_vote",
    "to_datatree",
    "to_inference_data",
    "save_netcdf",
    "summary",
    "overall",
    "accuracy",
    "uniformity",
    "prior_posterior_gap",
    "plots",
    # data
    "tasks",
    "TaskSpec",
    "Batch",
    "State",
    "Draws",
]
