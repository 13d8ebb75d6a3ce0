"""Interventions in canonical JSON applied to Hugging Face models, written from the contract and not from the server's code.

`Changes` resolves a list against one input and hands out what the capture script applies: pictures, visual tokens, layers
that run, and edits at hook points. `intervention_cases` lists the cases that the tiny golden sets hold of every kind.
"""

from __future__ import annotations

import base64
import io
import math
import random
from pathlib import Path

import blake3
import numpy as np
import torch
from families import kind_of
from PIL import Image

HERE = Path(__file__).parent


class Draws:
    """The random choices of src/intervention/random.rs: ChaCha8 keyed by BLAKE3."""

    def __init__(self, seed: int, index: int, image: int = 0, sample_key: str = "", point: str = "") -> None:
        key = sample_key.encode()
        material = seed.to_bytes(8, "little") + b"".join(n.to_bytes(4, "little") for n in (index, image, len(key)))
        hasher = blake3.blake3(material + key + point.encode(), derive_key_context="scotoma v1 random choice")
        self.key = np.frombuffer(hasher.digest(), dtype="<u4")
        self.word = 0

    def words(self, start: int, count: int) -> np.ndarray:
        first, last = start // 16, (start + count + 15) // 16
        blocks = np.arange(first, last, dtype=np.uint64)
        state = np.zeros((16, len(blocks)), dtype=np.uint32)
        state[:4] = np.frombuffer(b"expand 32-byte k", dtype="<u4")[:, None]
        state[4:12] = self.key[:, None]
        state[12], state[13] = blocks & 0xFFFFFFFF, blocks >> 32
        x = state.copy()

        def quarter(a: int, b: int, c: int, d: int) -> None:
            for i, j, k, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                x[i] += x[j]
                x[k] ^= x[i]
                x[k] = (x[k] << np.uint32(turn)) | (x[k] >> np.uint32(32 - turn))

        for _ in range(4):
            for column in range(4):
                quarter(column, 4 + column, 8 + column, 12 + column)
            for a, b, c, d in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
                quarter(a, b, c, d)
        x += state
        return x.T.reshape(-1)[start - 16 * first :][:count]

    def u64(self) -> int:
        low, high = self.words(self.word, 2)
        self.word += 2
        return int(low) | int(high) << 32

    def below(self, n: int) -> int:
        while True:
            draw = self.u64()
            if draw < 2**64 - 2**64 % n:
                return draw % n

    def permutation(self, n: int) -> list[int]:
        order = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.below(i + 1)
            order[i], order[j] = order[j], order[i]
        return order

    def subset(self, n: int, count: int) -> list[int]:
        return sorted(self.permutation(n)[:count])

    def unit(self) -> float:
        return (self.u64() >> 11) / 2**53

    def gaussian(self) -> float:
        u, v = self.unit(), self.unit()
        return math.sqrt(-2 * math.log(1 - u)) * math.cos(2 * math.pi * v)

    def noise(self, row: int, count: int, gaussian: bool) -> np.ndarray:
        width = 4 if gaussian else 2
        words = self.words(row * count * width, count * width).astype(np.uint64).reshape(-1, 2)
        units = ((words[:, 0] | words[:, 1] << np.uint64(32)) >> np.uint64(11)).astype(np.float64) / 2**53
        if not gaussian:
            return (2 * units - 1).astype(np.float32)
        u, v = units[0::2], units[1::2]
        return (np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v)).astype(np.float32)


def cut(cell: int, pixels: int, side: int) -> slice:
    return slice(cell * pixels // side, (cell + 1) * pixels // side)


def blurred(area: np.ndarray, sigma: float) -> np.ndarray:
    """(H, W, 3) under a Gaussian cut off at three standard deviations, edges repeated."""
    radius = math.ceil(3 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    values = area.astype(np.float64)
    for axis in (1, 0):
        padding = [(radius, radius) if a == axis else (0, 0) for a in range(3)]
        padded = np.pad(values, padding, mode="edge")
        values = sum(
            weight * np.take(padded, np.arange(k, k + area.shape[axis]), axis) for k, weight in enumerate(kernel)
        ) / kernel.sum()
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


class Changes:
    """A list of interventions (canonical JSON) against one picture and prompt."""

    def __init__(self, listed: list[dict], config, question: list[bool]) -> None:
        self.listed = [next(iter(i.items())) for i in listed]
        self.config = config
        vision = config.vision_config
        side, patch = (v[0] if isinstance(v, (list, tuple)) else v for v in (vision.image_size, vision.patch_size))
        self.patches = side // patch, side // patch
        """Rows and columns of a view in the tower."""
        self.places: list[tuple[int, int, int, int, int] | None] = []
        """By visual token of the one picture: its view (0 the base view, then the tiles), its row and column in the grid of all
        tiles or of the base view, and the rows and columns of that; None for what ends a row. Empty: as `patches` has it."""
        self.question = question
        """By token of the prompt, pictures not spread out: whether the user wrote it."""
        self.visual: list[bool] = []
        self.asked: list[bool] = []
        self.measured: dict[str, torch.Tensor] = {}
        """Values at the hook points of the model without interventions, where a selector or a merge needs them."""
        self.plain: Changes | None = None
        """The changes of that run, which are none: what its tokens are."""
        self.view = 0
        """The view whose rows change."""
        self.gone: dict[int, list[int]] = {}
        """By layer: positions that leave after it."""

    def named(self, *names: str) -> list[tuple[int, str, dict]]:
        return [(i, name, body) for i, (name, body) in enumerate(self.listed) if name in names]

    # Pictures.

    def pictures(
        self, areas: list[np.ndarray], exact: list[np.ndarray], mean: list[float], std: list[float], image: int
    ) -> None:
        """Changes (H, W, 3) uint8 areas in place: the base view, then the part of the canvas that shows the picture. `exact` (bool)
        is as large, and true where the mean itself stands, which is zero after normalisation and no 8-bit value."""
        for index, name, body in self.named("blankImage", "shufflePatches", "occludePatches"):
            if name == "blankImage":
                colour = self.mean_colour(mean) if body.get("colour") == "COLOUR_MEAN" else [0, 0, 0]
                colour = [255] * 3 if body.get("colour") == "COLOUR_WHITE" else colour
                if "rgb" in body:
                    colour = [body["rgb"].get(c, 0) for c in ("red", "green", "blue")]
                for area, own in zip(areas, exact, strict=True):
                    area[:] = colour
                    own[:] = body.get("colour") == "COLOUR_MEAN"
            elif name == "shufflePatches":
                side = body["grid"]
                order = body.get("order", {}).get("indices") or Draws(int(body["seed"]), index, image).permutation(side**2)
                for area in [*areas, *exact]:
                    old = area.copy()
                    for to, source in enumerate(order):
                        (rows, columns), (y, x) = (
                            (cut(cell // side, area.shape[0], side), cut(cell % side, area.shape[1], side))
                            for cell in (to, source)
                        )
                        part = old[y, x]
                        height, width = rows.stop - rows.start, columns.stop - columns.start
                        ys = np.minimum(np.arange(height), part.shape[0] - 1)
                        xs = np.minimum(np.arange(width), part.shape[1] - 1)
                        area[rows, columns] = part[ys][:, xs]
            else:
                self.occlude(index, body, areas, exact, mean, std, image)

    @staticmethod
    def mean_colour(mean: list[float]) -> list[int]:
        """The nearest colour."""
        return [round(np.float32(m) / (1 / 255)) for m in mean]

    def occlude(self, index: int, body: dict, areas: list[np.ndarray], exact: list[np.ndarray], mean, std, image: int) -> None:
        high, wide = (body["grid"],) * 2 if body.get("grid") else self.patches
        cells = body.get("indices", {}).get("indices", [])
        if "random" in body:
            count = math.floor(body["random"]["ratio"] * high * wide + 0.5)
            cells = Draws(int(body["random"]["seed"]), index, image).subset(high * wide, count)
        if "salient" in body:
            weights = body["salient"]["weights"]["weights"]
            order = sorted(range(len(weights)), key=lambda c: -weights[c])
            cells = sorted(order[: math.floor(body["salient"]["share"] * len(weights) + 0.5)])
        fill = body.get("fill", "FILL_BLACK")
        draws = Draws(int(body.get("fillSeed", 0)), index, image)
        sigma = body.get("blurSigma") or areas[0].shape[0] / 16
        soft = [blurred(area, sigma) if fill == "FILL_BLUR" else None for area in areas]
        for cell in cells:
            for area, own, blur in zip(areas, exact, soft, strict=True):
                rows, columns = cut(cell // wide, area.shape[0], high), cut(cell % wide, area.shape[1], wide)
                if fill == "FILL_BLUR":
                    area[rows, columns] = blur[rows, columns]
                elif fill == "FILL_NOISE":
                    shape = area[rows, columns].shape
                    drawn = np.array([draws.gaussian() for _ in range(int(np.prod(shape)))]).reshape(shape)
                    values = (np.float32(mean).astype(float) + np.float32(std).astype(float) * drawn) / (1 / 255)
                    area[rows, columns] = np.clip(np.floor(np.abs(values) + 0.5) * np.sign(values), 0, 255)
                else:
                    area[rows, columns] = self.mean_colour(mean) if fill == "FILL_MEAN" else 0
                own[rows, columns] = fill == "FILL_MEAN"

    # Visual tokens of one picture.

    def tokens(self, rows: torch.Tensor, image: int, donor_of) -> torch.Tensor:
        """Changes a picture's visual tokens; remembers in `offsets` and `extent` where they stand."""
        self.offsets, self.extent = list(range(len(rows))), len(rows)
        for index, name, body in enumerate_named(self.listed):
            if name == "permuteTokens":
                order = body.get("order", {}).get("indices") or self.drawn_order(body, Draws(int(body["seed"]), index, image), len(rows))
                rows = rows[torch.tensor(order)]
            elif name == "selectTokens":
                rows = self.select(body, rows)
            elif name == "replaceTokens":
                chosen = [i for i, c in enumerate(self.pick(body.get("tokens", {}), len(rows))) if c]
                rows = rows.clone()
                if "donor" in body:
                    rows[chosen] = donor_of(base64.b64decode(body["donor"]["data"]))[chosen]
                elif "noise" in body:
                    draws = Draws(int(body["noise"]["seed"]), index, image)
                    drawn = np.stack([draws.noise(row, rows.shape[1], True) for row in chosen])
                    deviation = rows.var(0, correction=0).sqrt()
                    rows[chosen] = rows.mean(0) + deviation * torch.from_numpy(drawn)
                elif body.get("constant") == "CONSTANT_MEAN":
                    rows[chosen] = rows.mean(0)
                else:
                    rows[chosen] = 0
            elif body.get("target", {}).get("point") == "projector.hook_tokens":
                rows = self.operate(index, name, body, rows, "projector.hook_tokens", list(range(len(rows))), len(rows))
        return rows

    def drawn_order(self, body: dict, draws: Draws, count: int) -> list[int]:
        """Group by group, what ends a row stays."""
        if not self.places:
            return draws.permutation(count)
        side, scope = body.get("blocks", 0), body.get("scope", "SCOPE_ALL").removeprefix("SCOPE_")
        groups: dict[tuple[int, int], list[int]] = {}
        for i, place in enumerate(self.places):
            if place:
                view, *where = place
                group = {"ALL": (0, 0), "WITHIN_TILES": (view, 0)}.get(scope) or (min(view, 1), self.block(side, *where))
                groups.setdefault(group, []).append(i)
        order = list(range(count))
        for _, members in sorted(groups.items()):
            for to, source in zip(members, draws.permutation(len(members)), strict=True):
                order[to] = members[source]
        return order

    @staticmethod
    def block(side: int, row: int, column: int, high: int, wide: int) -> int:
        """The block of a `side` x `side` partition that holds a place."""
        down, along = (
            next(c for c in range(side) if at in range(*cut(c, of, side).indices(of))) for at, of in ((row, high), (column, wide))
        )
        return down * side + along

    def select(self, body: dict, rows: torch.Tensor) -> torch.Tensor:
        mode = body.get("mode", "MODE_KEEP")
        if mode == "MODE_MERGE":
            kept, rows = self.merge(body, rows)
        elif mode == "MODE_POOL":
            sets = [[i for i, c in enumerate(self.pick({"anyOf": [s]}, len(rows))) if c] for s in body["tokens"]["anyOf"]]
            groups = sorted(s for s in sets if s)
            kept, rows = [g[0] for g in groups], torch.stack([rows[g].mean(0) for g in groups])
        else:
            chosen = self.pick(body.get("tokens", {}), len(rows))
            kept = [i for i, c in enumerate(chosen) if c == (mode == "MODE_KEEP")]
            rows = rows[kept]
        self.offsets = [self.offsets[i] for i in kept]
        if body.get("positions") == "POSITIONS_COMPACT":
            self.offsets, self.extent = list(range(len(kept))), len(kept)
        return rows

    def merge(self, body: dict, rows: torch.Tensor) -> tuple[list[int], torch.Tensor]:
        chosen, how = self.pick(body.get("tokens", {}), len(rows)), body["merge"]
        if how.get("similarity") == "SIMILARITY_TOKENS":
            compared = self.measured["projector.hook_tokens"].double()
        else:
            layers = {int(n.split(".")[2]) for n in self.measured if n.startswith("vision_tower.blocks.")}
            keys = self.measured[f"vision_tower.blocks.{max(layers)}.attn.hook_k"][0].double().mean(1)
            compared = keys[1:] if self.has_class() else keys
        # A class token among the visual ones has no key, and is left out.
        extra = len(rows) - len(compared)
        compared = [None] * extra + list(compared)
        others = [i for i, c in enumerate(chosen) if not c and compared[i] is not None]
        count = how["count"] if "count" in how else math.floor(how["share"] * len(rows) + 0.5)
        seeds = others[:: len(others) // count][:count]
        groups = {seed: [] for seed in seeds}
        for i in others:
            if i not in groups:
                likeness = [float(torch.nn.functional.cosine_similarity(compared[i], compared[s], dim=0)) for s in seeds]
                groups[seeds[int(np.argmax(likeness))]].append(i)
        kept, values = [], []
        for i, c in enumerate(chosen):
            joined = groups.get(i, [])
            if not c and i not in groups:
                continue
            kept.append(i)
            if how.get("value") == "VALUE_SEED_PLUS_MEAN":
                values.append(rows[i] + (rows[joined].mean(0) if joined else 0))
            else:
                values.append(rows[[i, *joined]].mean(0))
        return kept, torch.stack(values)

    # Tokens.

    def measured_rows(self, one: dict, count: int, kind: str) -> list[int]:
        """The rows that a number chooses which was measured of the model without interventions."""
        point, measure = one["point"], one.get("measure", "MEASURE_NORM").removeprefix("MEASURE_")
        stack = point.split(".")[0]
        values, looks = self.measured[point].double(), "prompt" if stack == "language_model" else "tower"
        values = values if stack == "projector" else values[self.view if kind == "tower" else 0]
        if "head" in one:
            values = values[one["head"]][None] if measure == "ATTENTION_RECEIVED" else values[:, one["head"]]
        if measure == "ATTENTION_RECEIVED":
            looking = {"anyOf": [{"named": one.get("looking", "NAMED_ALL")}]}
            rows = [i for i, c in enumerate(self.plain.pick(looking, values.shape[-2], looks)) if c]
            numbers = values[:, rows].mean((0, 1))
        elif measure == "SIMILARITY":
            vector = torch.tensor(one["vector"], dtype=torch.float64)
            numbers = torch.nn.functional.cosine_similarity(values.flatten(1), vector[None], dim=1)
        else:
            numbers = values.flatten(1).norm(dim=1) if measure == "NORM" else values.flatten(1).abs().amax(1)
        numbers = numbers.tolist()
        if kind == "picture" and stack == "language_model":
            numbers = [n for n, v in zip(numbers, self.plain.visual, strict=True) if v]
        elif kind == "picture" and stack == "vision_tower" and self.has_class():
            numbers = [None] * (count + 1 - len(numbers)) + numbers[1:]
        elif kind == "prompt" and stack != "language_model":
            patches = numbers[1:] if stack == "vision_tower" and self.has_class() else numbers
            own = iter([None] * (sum(self.visual) - len(patches)) + patches)
            numbers = [next(own) if v else None for v in self.visual]
        among, sign = one.get("among", "NAMED_ALL"), -1 if one.get("lowest") else 1
        able = [
            i for i, n in enumerate(numbers) if n is not None and self.holds({"named": among}, i, count, kind)
        ]
        able.sort(key=lambda i: -sign * numbers[i])
        if "count" in one:
            return able[: one["count"]]
        if "share" in one:
            return able[: math.floor(one["share"] * len(able) + 0.5)]
        bound = one["atLeast"] if "atLeast" in one else one["timesMedian"] * float(np.median([numbers[i] for i in able]))
        return [i for i in able if sign * numbers[i] >= sign * bound]

    def pick(self, selector: dict, count: int, kind: str = "picture") -> list[bool]:
        """Of `count` rows of a picture, of a view (`tower`) or of the language model's input (`prompt`) those that are chosen."""
        sets = selector.get("anyOf", [])
        chosen = [not sets] * count
        for one in sets:
            rows = self.measured_rows(one["measured"], count, kind) if "measured" in one else None
            for i in range(count):
                chosen[i] |= self.holds(one, i, count, kind) if rows is None else i in rows
        return [c != selector.get("complement", False) for c in chosen]

    def holds(self, one: dict, i: int, count: int, kind: str) -> bool:
        prompt = len(self.visual)
        in_prompt = kind == "prompt" and i < prompt
        if "indices" in one:
            return i in one["indices"]["indices"]
        if "blocks" in one:
            high, wide = self.patches
            if kind == "picture" and self.places:
                if not self.places[i]:
                    return False
                _, down, along, high, wide = self.places[i]
            else:
                class_first = kind == "tower" and self.has_class()
                patch = i - (1 if class_first or (kind == "picture" and count == high * wide + 1) else 0)
                if not 0 <= patch < high * wide:
                    return False
                down, along = patch // wide, patch % wide
            return self.block(one["blocks"]["grid"], down, along, high, wide) in one["blocks"]["indices"]
        if "tile" in one:
            return bool(self.places[i]) and self.places[i][0] == 1 + one["tile"]
        name = one["named"].removeprefix("NAMED_")
        return {
            "ALL": lambda: True,
            "VISUAL": lambda: kind == "picture" or (in_prompt and self.visual[i]),
            "TEXT": lambda: in_prompt and not self.visual[i],
            "QUESTION": lambda: in_prompt and self.asked[i],
            "LAST": lambda: kind == "prompt" and i >= prompt - 1,
            "GENERATED": lambda: kind == "prompt" and i >= prompt,
            "NEWLINE": lambda: not self.places[i],
            "BASE_VIEW": lambda: bool(self.places[i]) and self.places[i][0] == 0,
            "CLASS": lambda: kind == "tower" and i == 0 and self.has_class(),
        }[name]()

    def has_class(self) -> bool:
        return self.config.vision_config.model_type in ("clip_vision_model", "internvl_vision")

    # Layers.

    def path(self, stack: str, layers: int) -> list[int]:
        path = list(range(layers))
        for _, name, body in self.named("dropLayers", "repeatLayers", "exitEarly"):
            if body.get("stack", "STACK_LANGUAGE_MODEL") != stack:
                continue
            if name == "dropLayers":
                path = [layer for layer in path if layer not in body.get("layers", [])]
            elif name == "exitEarly":
                path = path[: len(path) - path[::-1].index(body.get("layer", 0))]
            else:
                first = path.index(body.get("first", 0))
                last = len(path) - 1 - path[::-1].index(body.get("last", 0))
                path = path[: last + 1] + path[first : last + 1] * body.get("times", 0) + path[last + 1 :]
        return path

    # Hook points.

    def at(self, point: str, rows: torch.Tensor, view: int = 0, per_view: int = 0) -> torch.Tensor:
        """Changes the rows (R, ...) at a hook point; `per_view` rows a view in the tower."""
        parts = point.split(".")
        general = ".".join("{l}" if part.isdigit() else part for part in parts)
        layer = next((int(part) for part in parts if part.isdigit()), None)
        kind = "prompt" if parts[0] == "language_model" else "tower"
        for index, name, body in enumerate_named(self.listed):
            target = body.get("target")
            if not target or target["point"] not in (point, general) or point == "projector.hook_tokens":
                continue
            if target["point"] == general and target.get("layers") and layer not in target["layers"]:
                continue
            self.view = view
            chosen = self.chosen(target.get("tokens", {}), target.get("steps", {}), len(rows), kind)
            if chosen:
                # In full precision wherever the model runs.
                old = rows.float().cpu()
                rows = self.operate(index, name, body, old, point, chosen, per_view or len(self.visual), view).to(rows)
        return rows

    def chosen(self, tokens: dict, steps: dict, count: int, kind: str) -> list[int]:
        first, last = steps.get("first", 0), steps.get("last", 2**32)
        step = lambda i: max(0, i - len(self.visual) + 1) if kind == "prompt" else 0  # noqa: E731
        picked = self.pick(tokens, count, kind)
        return [i for i in range(count) if picked[i] and first <= step(i) <= last]

    def operate(
        self, index: int, name: str, body: dict, rows: torch.Tensor, point: str, chosen: list[int], per_view: int, view: int = 0
    ) -> torch.Tensor:
        target = body["target"]
        if point == "projector.hook_tokens":
            chosen = [i for i, c in enumerate(self.pick(target.get("tokens", {}), len(rows))) if c]
        prompt = len(self.visual) if point.startswith("language_model") else len(rows)
        attention = point.endswith(("scores", "pattern"))
        if attention and name in ("addNoise", "steer", "projectOut"):
            chosen = [i for i in chosen if i < prompt]
        if (name == "ablate" and body.get("value") == "CONSTANT_MEAN") or (name == "patch" and body["values"]["shape"][0] > 1):
            chosen = [i for i in chosen if i < prompt]
        old = rows[chosen]
        masked = torch.isinf(old)
        # At attention scores and patterns noise is as wide as the prompt.
        width = prompt if attention else old.shape[-1]
        if name == "scale":
            new = old * body.get("factor", 0.0)
        elif name == "ablate":
            new = old.mean(0, keepdim=True).expand_as(old) if body.get("value") == "CONSTANT_MEAN" else torch.zeros_like(old)
        elif name == "steer":
            vector = torch.tensor(body["vector"])
            new = old + body["scale"] * (vector if old.dim() == 2 or len(vector) == old.shape[-1] else vector.view(old.shape[1:]))
        elif name == "projectOut":
            basis, _ = torch.linalg.qr(torch.tensor([d["values"] for d in body["directions"]], dtype=torch.float64).T)
            new = (old.double() - (old.double() @ basis) @ basis.T).float()
        elif name == "clampNorm":
            norm = old.double().norm(dim=-1, keepdim=True)
            new = torch.where(norm > body["maxNorm"], old.double() * (body["maxNorm"] / norm), old.double()).float()
        elif name == "patch":
            values = np.frombuffer(base64.b64decode(body["values"]["data"]), dtype="<f4")
            new = torch.from_numpy(values.copy()).view(-1, *old.shape[1:]).expand_as(old)
        elif name == "addNoise":
            new = self.noisy(index, body, old, point, [view * per_view + i for i in chosen], width)
        else:
            raise ValueError(name)
        new = torch.where(masked, old, new)
        within = torch.ones_like(old, dtype=torch.bool)
        if target.get("heads"):
            heads = torch.zeros(old.shape[1], dtype=torch.bool)
            heads[target["heads"]] = True
            within &= heads[:, None]
        if target.get("dimensions"):
            dimensions = torch.zeros(old.shape[-1], dtype=torch.bool)
            dimensions[target["dimensions"]] = True
            within &= dimensions
        rows = rows.clone()
        rows[chosen] = torch.where(within, new, old)
        return rows

    @staticmethod
    def noisy(index: int, body: dict, old: torch.Tensor, point: str, numbers_of: list[int], width: int) -> torch.Tensor:
        geometry = body.get("geometry", "GEOMETRY_GAUSSIAN").removeprefix("GEOMETRY_")
        seed, scale = int(body["seed"]), body.get("scale", 0.0)
        if body.get("randomScale"):
            scale *= abs(2 * Draws(seed, index).unit() - 1)
        draws = Draws(seed, index, point=point)
        numbers = int(np.prod(old.shape[1:-1])) * width
        drawn = np.stack([draws.noise(row, numbers, geometry == "GAUSSIAN") for row in numbers_of])
        u = torch.from_numpy(drawn).view(*old.shape[:-1], width)
        u = torch.nn.functional.pad(u, (0, old.shape[-1] - width))
        z = {
            "LITERAL": lambda: old.abs() + scale * u,
            "ABS_SCALED": lambda: scale * old.abs() * u,
            "KESKAR": lambda: scale * (old.abs() + 1) * u,
            "ADDITIVE": lambda: scale * u,
            "GAUSSIAN": lambda: scale * u,
        }[geometry]()
        return old + z

    # Attention.

    def hidden(self, stack: str, layer: int, heads: int, queries: int, keys: int) -> torch.Tensor | None:
        """(H, T, S): which keys are hidden from which queries; None where none are."""
        kind = "prompt" if stack == "STACK_LANGUAGE_MODEL" else "tower"
        found = None
        for _, _, body in self.named("knockOutAttention"):
            if body.get("stack", "STACK_LANGUAGE_MODEL") != stack or (body.get("layers") and layer not in body["layers"]):
                continue
            rows = self.chosen(body.get("from", {}), body.get("steps", {}), queries, kind)
            columns = self.chosen(body.get("to", {}), {}, keys, kind)
            mask = torch.zeros(heads, queries, keys, dtype=torch.bool)
            chosen = torch.tensor(body.get("heads") or range(heads))
            mask[chosen[:, None, None], torch.tensor(rows)[:, None], torch.tensor(columns)] = True
            found = mask if found is None else found | mask
        return found

    def prune(self, layer: int, pattern: torch.Tensor) -> None:
        """Notes who leaves after `layer`, whose pattern (H, T, S) this is."""
        visual = [i for i, v in enumerate(self.visual[:-1]) if v]
        for index, _, body in self.named("pruneTokens"):
            if body.get("layer", 0) != layer:
                continue
            here = [v for v in visual if not any(v in g for k, g in self.gone.items() if k < layer)]
            keep = body["keepCount"] if "keepCount" in body else math.floor(body["keepShare"] * len(here) + 0.5)
            if "randomSeed" in body:
                order = [visual[i] for i in Draws(int(body["randomSeed"]), index).permutation(len(visual))]
                order = [v for v in order if v in here]
            else:
                asked = body.get("receivedFrom") or {"anyOf": [{"named": "NAMED_LAST"}]}
                rows = self.chosen(asked, {"last": 0}, len(self.visual), "prompt")
                score = pattern[:, rows].mean((0, 1))
                order = sorted(here, key=lambda v: (-float(score[v]), v))
            self.gone[layer] = order[keep:]

    def left_before(self, layer: int) -> list[int]:
        return sorted(p for k, gone in self.gone.items() if k < layer for p in gone)


def enumerate_named(listed: list[tuple[str, dict]]) -> list[tuple[int, str, dict]]:
    return [(i, name, body) for i, (name, body) in enumerate(listed)]


def donor_picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def intervention_cases(model, tokens: int, prompt: int) -> dict[str, list[dict]]:
    """One case for each intervention (several for those with several forms), and five random compositions of four. `tokens`
    visual tokens stand in a prompt of `prompt`."""
    rng = random.Random(3)
    text, vision = model.config.text_config, model.config.vision_config
    tiled = not kind_of(model.config) and model.config.model_type not in ("llava", "vipllava")
    heads = text.num_attention_heads
    head = getattr(text, "head_dim", None) or text.hidden_size // heads
    vector = lambda n: [round(rng.uniform(-1, 1), 3) for _ in range(n)]  # noqa: E731
    named = lambda *names: {"anyOf": [{"named": f"NAMED_{n}"} for n in names]}  # noqa: E731
    indices = lambda *chosen: {"anyOf": [{"indices": {"indices": list(chosen)}}]}  # noqa: E731
    some = indices(*sorted(rng.sample(range(tokens), tokens // 3)))
    blocks = {"anyOf": [{"blocks": {"grid": 2, "indices": [0, 3]}}]} if not tiled else some
    resid = "language_model.blocks.{l}.hook_resid_pre"
    at = lambda point, **rest: {"point": point, **rest}  # noqa: E731
    values = np.float32([vector(text.hidden_size) for _ in range(3)])
    packed = {"shape": list(values.shape), "data": base64.b64encode(values.tobytes()).decode()}
    donor = io.BytesIO()
    Image.open(HERE / "pictures" / "wide.png").convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(donor, "PNG")
    noise = lambda target, geometry, scale, seed, **rest: {  # noqa: E731
        "addNoise": {"target": target, "geometry": f"GEOMETRY_{geometry}", "scale": scale, "seed": str(seed), **rest}
    }
    keep = {"selectTokens": {"tokens": blocks}}
    one = {
        "blank": {"blankImage": {"colour": "COLOUR_WHITE"}},
        "blank-rgb": {"blankImage": {"rgb": {"red": 200, "blue": 30}}},
        "shuffle": {"shufflePatches": {"grid": 3, "seed": "7"}},
        "occlude-random": {"occludePatches": {"random": {"ratio": 0.4, "seed": "5"}, "grid": 5, "fill": "FILL_MEAN"}},
        "occlude-blur": {"occludePatches": {"indices": {"indices": [0, 3, 5]}, "grid": 3, "fill": "FILL_BLUR"}},
        "occlude-noise": {"occludePatches": {"indices": {"indices": [1, 6]}, "fill": "FILL_NOISE", "fillSeed": "9"}},
        "occlude-weights": {
            "occludePatches": {"salient": {"share": 0.25, "weights": {"weights": [(7 * i) % 16 for i in range(16)]}}, "grid": 4}
        },
        "permute-seed": {"permuteTokens": {"order": {"indices": rng.sample(range(tokens), tokens)}}},
        "select": keep,
        "select-compact": {
            "selectTokens": {"tokens": some, "mode": "MODE_REMOVE", "positions": "POSITIONS_COMPACT"}
        },
        "select-pool": {
            "selectTokens": {"tokens": {"anyOf": some["anyOf"] + indices(0, 1, 2)["anyOf"]}, "mode": "MODE_POOL"}
        },
        "replace-zero": {"replaceTokens": {"tokens": blocks, "constant": "CONSTANT_ZERO"}},
        "replace-mean": {"replaceTokens": {"tokens": some, "constant": "CONSTANT_MEAN"}},
        "replace-noise": {"replaceTokens": {"tokens": some, "noise": {"seed": "4"}}},
        "replace-donor": {
            "replaceTokens": {"tokens": blocks, "donor": {"data": base64.b64encode(donor.getvalue()).decode()}}
        },
        "repeat": {"repeatLayers": {"first": 0, "last": 1, "times": 2}},
        "repeat-tower": {"repeatLayers": {"stack": "STACK_VISION_TOWER", "first": 0, "last": 0, "times": 1}},
        "exit": {"exitEarly": {"layer": 1}},
        "exit-tower": {"exitEarly": {"stack": "STACK_VISION_TOWER", "layer": 0}},
        "noise-literal": noise(at(resid, layers=[1], tokens=named("VISUAL")), "LITERAL", 0.5, 1, randomScale=True),
        "noise-abs": noise(at(resid, tokens=named("TEXT")), "ABS_SCALED", 0.5, 2),
        "noise-keskar": noise(at("language_model.blocks.0.hook_mlp_out", steps={"last": 0}), "KESKAR", 0.3, 3),
        "noise-additive": noise(at("vision_tower.blocks.{l}.hook_resid_pre"), "ADDITIVE", 0.2, 2**63 + 4),
        "noise-gaussian": noise(at("language_model.blocks.1.attn.hook_v", heads=[1]), "GAUSSIAN", 0.5, 5),
        "noise-tokens": noise(at("projector.hook_tokens", tokens=some), "GAUSSIAN", 0.4, 6),
        "noise-scores": noise(at("language_model.blocks.0.attn.hook_attn_scores"), "GAUSSIAN", 0.7, 8),
        "steer": {"steer": {"target": at(resid, layers=[1]), "vector": vector(text.hidden_size), "scale": 2.0}},
        "steer-head": {
            "steer": {
                "target": at("language_model.blocks.{l}.attn.hook_z", tokens=named("LAST")), "vector": vector(head), "scale": -1.5
            }
        },
        "project": {
            "projectOut": {"target": at(resid), "directions": [{"values": vector(text.hidden_size)} for _ in range(2)]}
        },
        "project-tower": {
            "projectOut": {
                "target": at("vision_tower.blocks.0.hook_attn_out"), "directions": [{"values": vector(vision.hidden_size)}]
            }
        },
        "scale": {"scale": {"target": at("language_model.blocks.{l}.hook_attn_out", tokens=named("QUESTION")), "factor": 0.5}},
        "scale-pattern": {"scale": {"target": at("language_model.blocks.1.attn.hook_pattern", heads=[0, 3]), "factor": 0.3}},
        "ablate": {"ablate": {"target": at("language_model.blocks.1.attn.hook_z", heads=[0, 2], steps={"first": 1})}},
        "ablate-mean": {"ablate": {"target": at("language_model.blocks.1.hook_mlp_out"), "value": "CONSTANT_MEAN"}},
        "ablate-dimensions": {"ablate": {"target": at("projector.hook_out", dimensions=[0, 5, 9])}},
        "patch": {"patch": {"target": at(resid, layers=[2], tokens=indices(1, 4, prompt - 1)), "values": packed}},
        "knock-out": {
            "knockOutAttention": {"layers": [0, 2], "from": named("QUESTION", "LAST", "GENERATED"), "to": named("VISUAL")}
        },
        "knock-out-all": {"knockOutAttention": {"layers": [1], "heads": [1], "from": named("TEXT")}},
        "knock-out-tower": {"knockOutAttention": {"stack": "STACK_VISION_TOWER", "from": indices(0, 3), "to": indices(1, 2, 5)}},
        "clamp-norm": {"clampNorm": {"target": at(resid), "maxNorm": 20.0}},
        "clamp-norm-tower": {"clampNorm": {"target": at("vision_tower.blocks.{l}.hook_mlp_out"), "maxNorm": 3.6}},
        "clamp-norm-heads": {"clampNorm": {"target": at("language_model.blocks.{l}.attn.hook_z", heads=[1, 2]), "maxNorm": 2.5}},
        "prune": {"pruneTokens": {"layer": 0, "keepShare": 0.5}},
        "prune-all-look": {"pruneTokens": {"layer": 1, "keepCount": 3, "receivedFrom": named("TEXT")}},
        "prune-random": {"pruneTokens": {"layer": 0, "keepCount": 5, "randomSeed": "11"}},
    }  # fmt: skip
    own = random.Random(5)
    by = lambda point, **rest: {"anyOf": [{"measured": {"point": point, **rest}}]}  # noqa: E731
    like = [round(own.uniform(-1, 1), 3) for _ in range(text.hidden_size)]
    one |= {
        "measured-norm": {"ablate": {"target": at(resid, layers=[2], tokens=by("language_model.blocks.1.hook_resid_post", count=3))}},
        "measured-lowest": {
            "scale": {
                "target": at("language_model.blocks.1.hook_attn_out",
                             tokens=by("language_model.blocks.0.hook_mlp_out", share=0.4, lowest=True, among="NAMED_VISUAL")),
                "factor": 3.0,
            }
        },
        "measured-received": {
            "knockOutAttention": {
                "to": by("language_model.blocks.0.attn.hook_pattern", measure="MEASURE_ATTENTION_RECEIVED", count=2, looking="NAMED_TEXT"),
                "layers": [1, 2],
            }
        },
        "measured-similarity": {
            "replaceTokens": {
                "tokens": by("projector.hook_tokens", measure="MEASURE_SIMILARITY", vector=like, atLeast=0.0),
                "constant": "CONSTANT_ZERO",
            }
        },
        "measured-value": {
            "scale": {
                "target": at(resid, layers=[1], tokens=by("language_model.blocks.0.attn.hook_k", measure="MEASURE_LARGEST_VALUE",
                                                          timesMedian=1.05, head=1)),
                "factor": 0.0,
            }
        },
        "merge-tokens": {
            "selectTokens": {
                "tokens": indices(1, 5, 6), "mode": "MODE_MERGE",
                "merge": {"share": 0.25, "similarity": "SIMILARITY_TOKENS", "value": "VALUE_SEED_PLUS_MEAN"},
            }
        },
    }  # fmt: skip
    if model.config.model_type == "llava" and not kind_of(model.config):
        looked = by("vision_tower.blocks.1.attn.hook_pattern", measure="MEASURE_ATTENTION_RECEIVED", count=4, looking="NAMED_CLASS")
        one |= {
            "measured-tower": {
                "scale": {
                    "target": at("vision_tower.blocks.{l}.hook_resid_pre", layers=[1],
                                 tokens=by("vision_tower.blocks.0.hook_resid_post", share=0.2)),
                    "factor": 0.1,
                }
            },
            "merge-keys": {
                "selectTokens": {
                    "tokens": looked, "mode": "MODE_MERGE", "positions": "POSITIONS_COMPACT", "merge": {"count": 3},
                }
            },
        }  # fmt: skip
    listed = {name: [change] for name, change in one.items()}
    # What fits together: numbers that count visual tokens stand for those before any selection, so selections are left out.
    pool = [n for n in one if not n.startswith(("select", "patch", "exit", "prune", "replace", "permute", "noise-scores", "clamp", "measured", "merge"))]
    for i in range(5):
        listed[f"composed-{i}"] = [one[n] for n in rng.sample(pool, 4 - (i == 0))] + ([keep] if i == 0 else [])
    return listed
