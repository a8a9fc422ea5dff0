"""GRAM on Pyro."""
from gram_ppl.types import *
from gram_ppl.types import TaskSpec, State, Batch, Draws
from gram_ppl.model import *
from gram_ppl.infer import *
