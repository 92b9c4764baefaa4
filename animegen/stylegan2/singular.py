"""Training in the basis of singular vectors: a network keeps its kinds of features and learns how strong each one is.

Source: Robb et al. 2020, arXiv 2010.11943, section 3: of weights W = U diag(s) V^T, only s changes.
"""

from __future__ import annotations

import torch
from torch import nn


class SingularBasis:
    """Brings the convolutions of a network back to the singular vectors that they have now, whatever is learned."""

    def __init__(self, network: nn.Module) -> None:
        self._known = []
        for weight in network.parameters():
            if weight.ndim == 4 and weight.requires_grad:
                begun = weight.detach().flatten(1).clone()
                left, _, right = torch.linalg.svd(begun, full_matrices=False)
                self._known.append((weight, begun, left, right))

    @torch.no_grad()
    def project(self) -> None:
        """Take away from the weights what is no change of their singular values."""
        for weight, begun, left, right in self._known:
            change = torch.einsum("ok,oi,ki->k", left, weight.flatten(1) - begun, right)
            weight.copy_((begun + (left * change) @ right).view_as(weight))
