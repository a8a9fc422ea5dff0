"""Fixtures shared by the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real data: ``GRAM_PPL_DATA``, or ``shared/data`` next to the checkout; skip without it."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("GRAM_PPL_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set GRAM_PPL_DATA to its folder")
    return folder
