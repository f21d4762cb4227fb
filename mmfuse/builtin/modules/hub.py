"""The model hub, asked once: whether it answers, and whether what a model needs of it lies on this machine already.

Its own client asks again and again, for each model, each network and each fold.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants, get_session, try_to_load_from_cache

SECONDS = 5.0
"""How long an answer is waited for."""
_FILES = ("model.safetensors", "pytorch_model.bin")
"""What timm asks for, in its order, where a model's entry names no file."""


@cache
def trouble() -> str:
    """Return why the hub cannot be asked, in one line; empty where it answers. It is asked once a process."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS)
    except Exception as error:  # the client's errors are of many libraries: any of them means "no answer"
        return f"it does not answer ({type(error).__name__}: {short(error)})"
    return ""


@cache
def failures() -> dict[str, str]:
    """Return {model: why its weights could not be fetched} of this process, so that none is asked for twice."""
    return {}


def failed(name: str, error: Exception) -> str:
    """Keep, and return, why a model's weights could not be fetched; whether the hub still answers is asked anew."""
    trouble.cache_clear()
    text = trouble() or f"{type(error).__name__}: {short(error)}"
    failures()[name] = text
    return text


def cached_file(config: Any) -> Path | None:  # noqa: ANN401  # timm's PretrainedCfg
    """Return where the weights of a model's entry lie on this machine; None where they are to be fetched."""
    if config.hf_hub_id:
        repository, _, revision = config.hf_hub_id.partition("@")
        for name in (config.hf_hub_filename,) if config.hf_hub_filename else _FILES:
            found = try_to_load_from_cache(repository, name, revision=revision or None)
            if isinstance(found, str):
                return Path(found)
        return None
    kept = Path(torch.hub.get_dir()) / "checkpoints" / Path(config.url or "none").name
    return kept if kept.is_file() else None


def short(error: BaseException) -> str:
    """Return an error's first line, cut to a readable length."""
    line = (str(error).strip().splitlines() or [""])[0]
    return line if len(line) <= 200 else line[:200] + " …"
