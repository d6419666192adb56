"""One training loop for all models of the zoo: seeded, logged, with checkpoints.

A step depends only on ``(seed, step)`` and the state after the step before. So a run that was
interrupted and resumed ends with the same weights as one that was not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from components.files import file_aside

WORK = Path(".eidolon/zoo")

LossFn = Callable[[int, torch.Generator], Tensor]


def rate(step: int, steps: int, warmup: int = 200, decay: float = 0.3) -> float:
    """Warm-up, plateau, then linear decay to zero over the last ``decay`` of ``steps``."""
    tail = int(steps * (1 - decay))
    rising = min(1.0, (step + 1) / warmup)
    return rising if step < tail else rising * max(0.0, (steps - step) / max(1, steps - tail))


def train(
    name: str,
    model: nn.Module,
    loss: LossFn,
    *,
    steps: int,
    lr: float,
    weight_decay: float = 0.01,
    ema: float = 0.0,
    seed: int = 0,
    every: int = 250,
    report: Callable[[int], dict[str, float]] | None = None,
) -> dict[str, Tensor]:
    """Train ``model`` in place for ``steps`` steps and return its (averaged) weights.

    ``loss(step, generator)`` draws its own batch. With ``ema`` > 0 an exponential moving average of
    the weights is returned instead of the last ones. Logs to ``.eidolon/zoo/NAME.jsonl``.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    checkpoint, log = WORK / f"{name}.safetensors", WORK / f"{name}.jsonl"
    named = {k: p for k, p in model.named_parameters() if p.requires_grad}
    optimiser = torch.optim.AdamW(
        named.values(), lr=lr, weight_decay=weight_decay, betas=(0.9, 0.98)
    )
    average = {k: p.detach().clone() for k, p in named.items()}
    start = _resume(checkpoint, named, average, optimiser) if checkpoint.exists() else 0
    began, running = time.perf_counter(), 0.0
    for step in range(start, steps):
        for group in optimiser.param_groups:
            group["lr"] = lr * rate(step, steps)
        value = loss(step, torch.Generator().manual_seed(seed * 1_000_003 + step))
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(named.values(), 1.0)
        optimiser.step()
        keep = min(ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for key, parameter in named.items():
                average[key].lerp_(parameter, 1 - keep)
        running += (float(value.detach()) - running) / min(step - start + 1, 100)
        if (step + 1) % every == 0 or step + 1 == steps:
            _save(checkpoint, step + 1, named, average, optimiser)
            line = {
                "step": step + 1,
                "loss": round(running, 5),
                "seconds_per_step": round((time.perf_counter() - began) / (step + 1 - start), 4),
            }
            if report is not None and ((step + 1) % (4 * every) == 0 or step + 1 == steps):
                line |= report(step + 1)
            with log.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(name, line, flush=True)
    return average


def _save(
    path: Path,
    step: int,
    named: dict[str, nn.Parameter],
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
) -> None:
    tensors = {f"model.{k}": p.detach() for k, p in named.items()}
    tensors |= {f"average.{k}": p for k, p in average.items()}
    for key, parameter in named.items():
        state = optimiser.state[parameter]
        tensors |= {
            f"{slot}.{key}": state[slot] for slot in ("exp_avg", "exp_avg_sq") if slot in state
        }
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with file_aside(path) as aside:
        save_file(whole, aside, metadata={"step": str(step)})


def _resume(
    path: Path,
    named: dict[str, nn.Parameter],
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
) -> int:
    with safe_open(path, framework="pt") as file:
        step = int(file.metadata()["step"])
        stored = set(file.keys())
        with torch.no_grad():
            for key, parameter in named.items():
                parameter.copy_(file.get_tensor(f"model.{key}"))
                average[key].copy_(file.get_tensor(f"average.{key}"))
                if f"exp_avg.{key}" in stored:
                    optimiser.state[parameter] = {
                        "step": torch.tensor(float(step)),
                        "exp_avg": file.get_tensor(f"exp_avg.{key}"),
                        "exp_avg_sq": file.get_tensor(f"exp_avg_sq.{key}"),
                    }
    print(f"resuming at step {step}", flush=True)
    return step
