"""Where the Hydra configuration of the programs lives."""

from __future__ import annotations

from pathlib import Path


def config_path() -> Path:
    """Return the folder of Hydra configs: ``gram_ppl/configs`` of a wheel, else ``configs/`` of the checkout.

    Raises:
        FileNotFoundError: when neither exists.

    >>> config_path().name
    'configs'
    """
    package = Path(__file__).resolve().parent
    # A wheel first: beside an installed package, "configs" could be anyone's.
    candidates = (package / "configs", package.parent / "configs")
    for folder in candidates:
        if folder.is_dir():
            return folder
    tried = " or ".join(str(folder) for folder in candidates)
    raise FileNotFoundError(f"expected Hydra configs in {tried}, found neither; reinstall gram-ppl or restore configs/")
