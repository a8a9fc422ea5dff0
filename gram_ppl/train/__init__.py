"""Training: deep supervision around SVI, judged by prior rollouts."""

from gram_ppl.train.evaluation import Judge, posterior_rollout
from gram_ppl.train.fit import fit
from gram_ppl.train.run import Run

__all__ = ["Judge", "Run", "fit", "posterior_rollout"]
