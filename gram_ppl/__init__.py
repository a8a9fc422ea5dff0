"""GRAM on Pyro."""
