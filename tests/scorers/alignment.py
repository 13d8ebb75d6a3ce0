"""Mutual nearest neighbours as Huh et al. 2024 define them, by torch, on fixed features; the only writer of alignment.json.

    V/bin/python alignment.py        in the environment of capture.py
"""

from __future__ import annotations

import json
from pathlib import Path

import torch


def prepared(x: torch.Tensor, clamp: float) -> torch.Tensor:
    if clamp < 1:
        most = x.flatten().abs().sort().values[int(clamp * x.numel())]
        x = x.clamp(-most, most)
    return torch.nn.functional.normalize(x, p=2, dim=-1)


def mutual_knn(a: torch.Tensor, b: torch.Tensor, k: int) -> float:
    def nearest(x: torch.Tensor) -> list[set[int]]:
        likeness = x @ x.T
        likeness.fill_diagonal_(-torch.inf)
        return [set(row) for row in likeness.topk(k).indices.tolist()]

    shared = [len(one & other) / k for one, other in zip(nearest(a), nearest(b), strict=True)]
    return sum(shared) / len(shared)


def main() -> None:
    torch.manual_seed(18)
    a = torch.randn(48, 6)
    a[3] *= 9
    b = torch.cat([a[:, :3] + 0.5 * torch.randn(48, 3), torch.randn(48, 2)], dim=1)
    scores = [
        {"k": k, "clamp": clamp, "score": mutual_knn(prepared(a.double(), clamp), prepared(b.double(), clamp), k)}
        for k in (1, 5, 10)
        for clamp in (0.95, 1.0)
    ]
    out = {"a": a.tolist(), "b": b.tolist(), "scores": scores}
    (Path(__file__).parent / "alignment.json").write_text(json.dumps(out))
    print(scores)


if __name__ == "__main__":
    main()
