"""Checkpoints: safetensors weights with their facts as JSON, written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

FORMAT = "gram_ppl-1"


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or does not fit the model."""


def save_checkpoint(path: str | Path, module: nn.Module, **facts: Any) -> Path:
    """Write weights and buffers to ``path`` and the facts beside it as ``<stem>.json``.

    The facts also travel inside the file, which is replaced in one rename: an interrupted write leaves
    the previous checkpoint whole.

    Args:
        path: a ``.safetensors`` path; its folder is created.
        module: whose state_dict to store.
        facts: JSON values: metrics, settings, versions.

    Raises:
        ValueError: when the path has another suffix or a fact is not JSON.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"a checkpoint path ends in .safetensors, got {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    text = _to_json(facts)
    # PyTorch shares storage between tied networks (f_L and f_H of TRM); safetensors wants each tensor once.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file(tensors, temporary, metadata={"format": FORMAT, "facts": text})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    write_text(path.with_suffix(".json"), text)
    return path


def load_checkpoint(path: str | Path, module: nn.Module) -> dict[str, Any]:
    """Load weights and buffers into ``module`` and return the stored facts; the module changes only on success.

    Raises:
        FileNotFoundError: when there is no such file.
        CheckpointError: when the file is truncated, a pickle or another format, or of another architecture.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    tensors, metadata = _read(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a safetensors file but no gram_ppl checkpoint: write one with gp.save_checkpoint"
        )
    _check_architecture(path, tensors, module.state_dict())
    module.load_state_dict(tensors)
    return json.loads(metadata["facts"])


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _to_json(facts: dict[str, Any]) -> str:
    try:
        return json.dumps(facts, indent=2)
    except TypeError as error:
        raise ValueError(f"checkpoint facts must be JSON values: {error}") from error


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except SafetensorError as error:
        kind = _kind(path)
        raise CheckpointError(
            f"{path} is {kind} ({error}): expected a whole safetensors file from gp.save_checkpoint"
        ) from error


def _kind(path: Path) -> str:
    head = path.read_bytes()[:4]
    if head[:2] == b"PK" or head[:1] == b"\x80":
        return "a pickle, which is never loaded"
    return "empty" if not head else "truncated or no safetensors file"


def _check_architecture(path: Path, found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    problems = [f"missing {name}" for name in expected if name not in found]
    problems += [f"unexpected {name}" for name in found if name not in expected]
    problems += [
        f"{name} is {tuple(found[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    if problems:
        listed = "; ".join(problems[:4]) + (f"; and {len(problems) - 4} more" if len(problems) > 4 else "")
        raise CheckpointError(
            f"{path} is of another architecture: {listed}. Build the model with the settings it was saved with"
        )
