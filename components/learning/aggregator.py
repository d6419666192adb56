"""The aggregator: the attention network that turns K imagined pictures into one aggregated
embedding, and the fusion weight λ.

Khan et al., "Category-level Text-to-Image Retrieval Improved", BMVC 2025 (arXiv 2509.00177).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from components.errors import EidolonError
from components.index.blocks import blocks
from components.vectors import Array

LAYERS = 2
HEADS = 1
DROPOUT = 0.1
_WIDEST = 2**14  # the largest plausible feature dimension
_AT_ONCE = 2**23  # numbers of imagined pictures that are aggregated at a time
_PROBE = "self_attn.layers.0.out_proj.weight"
_TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.MultiheadAttention):
        dim, weight = module.embed_dim, module.in_proj_weight
        with torch.no_grad():
            weight[dim : 2 * dim] = weight[:dim]  # the keys' projection starts as the queries'
        nn.init.trunc_normal_(module.out_proj.weight, std=0.02)
        nn.init.zeros_(module.out_proj.bias)


class _Layers(nn.Module):
    """Holds the attention layers, so that they have the published names in the state dict."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        # copies: in the authors' code, too, all layers start with the same input projection
        first = nn.MultiheadAttention(dim, HEADS, dropout=DROPOUT, batch_first=True)
        self.layers = nn.ModuleList(deepcopy(first) for _ in range(LAYERS))


class Aggregator(nn.Module):
    """Turns the features of K imagined pictures into one aggregated embedding.

    A CLS token starts as the mean of the K features. In each of two layers it attends to itself and
    to the features, and the layer's output replaces it. There is no residual, LayerNorm or MLP. The
    result is the CLS token, scaled to length one. λ is the sigmoid of one learned scalar.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.lamda = nn.Parameter(torch.zeros(1))
        self.self_attn = _Layers(dim)
        self.apply(_initialise)

    @property
    def trainable_fusion_weight(self) -> Tensor:
        """λ in (0, 1), shape (1,), for training."""
        return torch.sigmoid(self.lamda)

    @property
    def fusion_weight(self) -> float:
        """λ as a number, for scoring, with six decimals."""
        return round(float(self.trainable_fusion_weight.detach()), 6)

    @torch.no_grad()
    def start_at_mean(self) -> None:
        """Set the value and output projections to the identity, so that attention averages.

        This is not in the paper. With the published initialisation, the network must first learn to
        pass features through at all. A few hundred categories are too few for that.
        """
        for module in self.modules():
            if isinstance(module, nn.MultiheadAttention):
                identity = torch.eye(self.dim)
                module.in_proj_weight[2 * self.dim :] = identity
                module.out_proj.weight.copy_(identity)

    def forward(self, features: Tensor, accepted: Tensor | None = None) -> Tensor:
        """The aggregated embedding of each row of ``features`` (B, K, d): (B, d), of length one.

        ``accepted`` (B, K) is bool: features where it is false are ignored. A row without an
        accepted feature gives zeros, and its score is by text alone.
        """
        if accepted is None:
            accepted = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
        kept = accepted.unsqueeze(-1).to(features.dtype)
        count = kept.sum(1)
        cls = (features * kept).sum(1, keepdim=True) / count.clamp(min=1).unsqueeze(1)
        ignored = torch.cat([torch.zeros_like(accepted[:, :1]), ~accepted], dim=1)
        for layer in self.self_attn.layers:
            tokens = torch.cat([cls, features], dim=1)
            cls, _ = layer(cls, tokens, tokens, key_padding_mask=ignored, need_weights=False)
        return normalize(cls.squeeze(1), dim=-1) * (count > 0)

    @torch.inference_mode()
    def shares(self, features: Tensor) -> Tensor:
        """The share of each of the K ``features`` (K, d) in the attention: (K,), which sums to 1.

        The CLS token of a layer attends to itself and to the features, and its own part goes back
        to those of the layer before, down to the mean of the features. This is the attention
        rollout of Abnar and Zuidema (ACL 2020), without residuals, which this network has not.
        """
        cls = features.mean(0, keepdim=True)
        share = torch.full((len(features),), 1 / len(features))
        for layer in self.self_attn.layers:
            tokens = torch.cat([cls, features])[None]
            moved, weights = layer(cls[None], tokens, tokens, need_weights=True)
            own, others = weights[0, 0, 0], weights[0, 0, 1:]
            cls, share = moved[0], own * share + others
        return share

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Aggregator:
        """The network with the weights ``state``, in float32 and evaluation mode.

        Raises :class:`ValueError` when a name, a shape, a type or a number does not fit. Its text
        continues a sentence about the file.
        """
        model = cls(dimension({name: tuple(tensor.shape) for name, tensor in state.items()}))
        for name, tensor in state.items():
            if tensor.dtype not in _TYPES:
                raise ValueError(f"holds {name} of type {tensor.dtype}")
            if not tensor.float().isfinite().all():
                raise ValueError(f"holds numbers in {name} that are not finite")
        model.load_state_dict(state)
        return model.eval()

    def save(self, path: Path) -> None:
        """Write the weights as safetensors."""
        save_file({k: v.contiguous() for k, v in self.state_dict().items()}, path)

    @classmethod
    def load(cls, path: Path) -> Aggregator:
        """Read what :meth:`save` wrote.

        Raises :class:`EidolonError` when the file is missing or damaged, or its weights do not fit.
        """
        remedy = "train or import it again"
        try:
            return cls.from_state(load_file(path))
        except (OSError, SafetensorError) as error:
            first = str(error).strip().splitlines()[0]
            raise EidolonError(f"{path} holds no aggregator ({first}): {remedy}") from None
        except ValueError as error:
            raise EidolonError(f"{path} holds no aggregator (it {error}): {remedy}") from None


class Pictured(Protocol):
    """C categories with K imagined pictures each: features, or queries."""

    @property
    def imagined(self) -> Array: ...  # (C, K, d_vision)

    @property
    def accepted(self) -> npt.NDArray[np.bool_]: ...  # (C, K)


def aggregate(model: Aggregator, categories: Pictured) -> Array:
    """The aggregated embedding of each category: (C, d_vision), zero without accepted pictures."""
    model.eval()
    count, many, dim = categories.imagined.shape
    found = np.empty((count, dim), dtype=np.float32)
    with torch.inference_mode():
        for rows in blocks(count, many * dim, _AT_ONCE):
            # copies, because what is mapped from a file is read-only, which tensors cannot be
            pictures, mask = categories.imagined[rows].copy(), categories.accepted[rows].copy()
            given = (torch.from_numpy(array).to(model.lamda.device) for array in (pictures, mask))
            found[rows] = model(*given).cpu().numpy()
    return found


def dimension(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """The feature dimension of an aggregator, from the names and shapes of its weights.

    Allocates no memory for weights. Raises :class:`ValueError` when a name or a shape does not fit.
    """
    dim, *_ = shapes.get(_PROBE) or (0,)
    if not 0 < dim <= _WIDEST:
        raise ValueError(f"lacks {_PROBE} of a usual size")
    with torch.device("meta"):
        expected = {n: tuple(t.shape) for n, t in Aggregator(dim).state_dict().items()}
    if odd := sorted(expected.keys() ^ shapes.keys()):
        raise ValueError(f"{'lacks' if odd[0] in expected else 'also holds'} {odd[0][:80]!a}")
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise ValueError(f"holds {name} of shape {shapes[name]}, not {shape}")
    return dim
