"""What the draws achieve: coverage of the solutions, intervals, the prior/posterior gap, tables and pictures.

Everything here takes draws or the tree made of them, never a model.
"""

from gram_ppl.diagnostics import plots
from gram_ppl.diagnostics.accuracy import accuracy
from gram_ppl.diagnostics.coverage import (
    answer_entropy,
    cell_entropy,
    coverage,
    coverage_curve,
    distinct_answers,
    distinct_valid,
    effective_number,
    ideal_coverage,
)
from gram_ppl.diagnostics.datatree import from_datatree, save_netcdf, to_datatree, to_inference_data
from gram_ppl.diagnostics.gap import Gap, prior_posterior_gap
from gram_ppl.diagnostics.interval import Interval, clustered_wilson, mean_interval, wilson
from gram_ppl.diagnostics.summary import overall, summary
from gram_ppl.diagnostics.uniformity import Uniformity, uniformity

__all__ = [
    "Gap",
    "Interval",
    "Uniformity",
    "accuracy",
    "answer_entropy",
    "cell_entropy",
    "clustered_wilson",
    "coverage",
    "coverage_curve",
    "distinct_answers",
    "distinct_valid",
    "effective_number",
    "from_datatree",
    "ideal_coverage",
    "mean_interval",
    "overall",
    "plots",
    "prior_posterior_gap",
    "save_netcdf",
    "summary",
    "to_datatree",
    "to_inference_data",
    "uniformity",
    "wilson",
]
