"""Non-recursive families to compare a GRAM with: trained on the same tasks, judged by the same draws."""

from gram_ppl.baselines.autoregressive import Autoregressive
from gram_ppl.baselines.base import Baseline
from gram_ppl.baselines.direct import Direct
from gram_ppl.baselines.fit import fit

__all__ = ["Autoregressive", "Baseline", "Direct", "fit"]
