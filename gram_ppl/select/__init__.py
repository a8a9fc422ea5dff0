"""Selectors: choose one answer per puzzle from the draws."""

from gram_ppl.select.vote import Vote, majority_vote, multiplicity

__all__ = ["Vote", "majority_vote", "multiplicity"]
