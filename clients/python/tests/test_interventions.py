"""Helpers, selectors and targets, without a server but where it says so."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

import scotoma
from scotoma import Client, hooks, layers, steps, target, tokens
from scotoma.arrays import data_type
from scotoma.build import RANGES
from scotoma.interventions import HELPERS
from scotoma.selectors import POINTS
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1 import intervention_pb2 as iv

RESID = hooks.blocks[2].hook_resid_post
# The point of the autoencoder that is beside the embedded model.
FEATURES = hooks.blocks[1].hook_resid_post
ORDER = list(range(36))
ROW = np.ones(128)
PNG = scotoma.pictures.png(Image.new("RGB", (84, 84), "red"))

# At least one of each kind, and together every field of every kind.
EXAMPLES: list[iv.Intervention] = [
    scotoma.permute_tokens(7),
    scotoma.permute_tokens(order=ORDER),
    scotoma.permute_tokens(1, scope="within_blocks", blocks=2),
    scotoma.occlude_random(0.5, 7, fill="noise", fill_seed=3, grid=6),
    scotoma.occlude_random(0.5, 7, fill="blur", blur_sigma=2),
    scotoma.occlude_salient(share=0.5, weights=np.ones((6, 6))),
    scotoma.occlude_non_salient(0.5, head=1),
    scotoma.occlude_cells(range(3)),
    scotoma.drop_layers(layers[2:4]),
    scotoma.swap_projector("default"),
    scotoma.swap_projector(random_seed=7),
    scotoma.swap_projector(identity=True),
    scotoma.blank_image("white"),
    scotoma.blank_image(rgb=(1, 2, 3)),
    scotoma.shuffle_patches(3, 1),
    scotoma.shuffle_patches(2, order=[3, 2, 1, 0]),
    scotoma.select_tokens(tokens.block(6, 1) | tokens.block(6, 2), "pool", positions="compact"),
    scotoma.select_tokens(tokens.block(6, 1) | tokens.block(6, 2), "merge", merge=4),
    scotoma.replace_tokens(tokens[:9], "mean"),
    scotoma.replace_tokens(tokens[:9], noise=3),
    scotoma.replace_tokens(tokens[:9], donor=PNG),
    scotoma.repeat_layers(2, 3, 2, stack="language_model"),
    scotoma.exit_early(6, stack="language_model"),
    scotoma.add_noise(RESID, 0.1, "keskar", seed=1, random_scale=True, tokens=tokens.visual),
    scotoma.steer(RESID, ROW, 2, tokens=tokens.last, steps=steps[0]),
    scotoma.project_out(RESID, np.eye(128)[:2]),
    scotoma.scale(hooks.blocks[2].attn.z, 0.5, heads=[0], dimensions=range(4)),
    scotoma.clamp_norm(RESID, 1),
    scotoma.ablate(RESID, "mean", tokens=tokens.visual),
    scotoma.patch(RESID, ROW.astype(np.float16), tokens=tokens[3:5]),
    scotoma.patch(RESID, "0" * 64, tokens=tokens.last),
    scotoma.knock_out_attention(
        tokens.last, tokens.visual, layers=range(2), heads=0, steps=steps[0:], stack="language_model"
    ),
    scotoma.prune_tokens(2, 0.5),
    scotoma.prune_tokens(2, keep_count=9, received_from=tokens.question),
    scotoma.prune_tokens(2, 0.5, random_seed=1),
    scotoma.prune_tokens(2, 0.5, class_attention=True),
    scotoma.set_feature(FEATURES, 120, sae="shapes", clamp=25, tokens=tokens.visual),
    scotoma.set_feature(FEATURES, [120, 7], scale=2),
    scotoma.set_feature(FEATURES, 120, add=1),
    scotoma.set_feature(FEATURES, 120, ablate=True),
]


def test_every_kind_of_the_contract_has_a_helper_for_every_field() -> None:
    kinds = {field.name: field.message_type for field in iv.Intervention.DESCRIPTOR.fields}
    assert HELPERS.keys() == kinds.keys(), "each kind has a function in interventions.py that makes it"
    said: dict[str, set[str]] = {name: set() for name in kinds}
    for example in EXAMPLES:
        kind = example.WhichOneof("kind")
        assert kind
        said[kind] |= {field.name for field, _ in getattr(example, kind).ListFields()}
    for kind, message in kinds.items():
        assert message
        assert said[kind] == {field.name for field in message.fields}, f"EXAMPLES say every field of {kind}"
    every = [scotoma.__dict__.get(made.__name__) for own in HELPERS.values() for made in own]
    assert all(made is not None and made.__name__ in scotoma.__all__ for made in every)


def test_the_conformance_case_has_every_kind_for_every_language() -> None:
    cases = json.loads((ROOT / "tests/conformance/cases.json").read_text())
    (expected,) = [case["expect"] for case in cases if case.get("do") == "helpers"]
    assert expected.keys() == {field.json_name for field in iv.Intervention.DESCRIPTOR.fields}


def test_sets_ranges_and_points_are_those_of_the_contract() -> None:
    for name, number in iv.Tokens.Named.items():
        if number:
            own = getattr(tokens, {"class": "class_"}.get(name := name.removeprefix("NAMED_").lower(), name))
            sets = own.message().any_of
            assert [s.named for s in sets] == ([] if name == "all" else [number])
    ways = {"named", "indices", "image", "tile", "blocks", "random", "salient", "measured", "turn"}
    assert ways == {field.name for field in iv.Tokens.DESCRIPTOR.fields}
    messages = {**iv.DESCRIPTOR.message_types_by_name, "Sampling": pb.Sampling.DESCRIPTOR}
    for path in RANGES:
        message, field = path.split(".")
        assert field in messages[message].fields_by_name, path


def test_the_server_takes_what_helpers_make(server: str, png: bytes) -> None:
    refused = {}
    with Client(server) as client:
        assert {point.name for point in client.list_hook_points()} <= POINTS
        handle = client.upload_image(png)
        for example in EXAMPLES:
            try:
                client.score("Is there a red circle?", [" yes"], handle, interventions=[example])
            except scotoma.ScotomaError as error:
                refused[scotoma.to_json(example)[:60]] = error.message
        assert len(refused) == 1, refused
        assert "0000" in next(iter(refused.values())), "no such kept activation"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.WhichOneof("kind"))
def test_canonical_json_reads_as_it_was_written(example: iv.Intervention) -> None:
    ((name, fields),) = json.loads(scotoma.to_json(example)).items()
    assert scotoma.intervention(name, **fields) == example


@pytest.mark.parametrize(
    ("build", "kind", "says"),
    [
        (lambda: scotoma.intervention("exit_earl"), ValueError, "did you mean exit_early"),
        (lambda: scotoma.intervention("exit_early", layr=1), ValueError, "stack, layer|layer, stack"),
        (lambda: scotoma.exit_early(layr=1), TypeError, "did you mean layer"),  # type: ignore[call-arg]
        (lambda: scotoma.steer(RESID, ROW, token="last"), TypeError, "did you mean tokens"),  # type: ignore[call-arg]
        (lambda: scotoma.steer(RESID, "abc"), TypeError, "real numbers are needed"),
        (lambda: scotoma.steer(RESID, np.ones((1, 2, 3))), ValueError, r"shape \(1, 2, 3\)"),
        (lambda: scotoma.steer(RESID, [math.nan]), ValueError, "not finite"),
        (lambda: scotoma.steer(RESID, [1e39]), ValueError, "not finite"),
        (lambda: scotoma.steer(RESID, ROW, 1e7), ValueError, r"steer.scale: 1e\+07 is not in -1e\+06 to 1e\+06"),
        (lambda: scotoma.steer(hooks.blocks[2], ROW), ValueError, "not a hook point yet; .*hook_resid_post"),
        (lambda: scotoma.steer("language_model.blocks.2.hook_resid_pos", ROW), ValueError, "hook_resid_post or"),
        (lambda: scotoma.steer(RESID, ROW, layers=3), ValueError, "layers: said twice"),
        (lambda: scotoma.clamp_norm(RESID, 0), ValueError, "0 is not above 0"),
        (lambda: scotoma.select_tokens(tokens.visual, "kep"), ValueError, "keep, remove, pool, merge are valid"),  # type: ignore[arg-type]
        (lambda: scotoma.drop_layers([-1]), ValueError, r"drop_layers.layers\[0\]: -1 is not in 0 to 4294967295"),
        (lambda: scotoma.drop_layers("12"), TypeError, "a list is needed"),  # type: ignore[arg-type]
        (lambda: scotoma.drop_layers([1.5]), TypeError, "whole number"),  # type: ignore[list-item]
        (lambda: scotoma.exit_early(True), TypeError, "whole number"),
        (lambda: scotoma.repeat_layers(3, 2), ValueError, "below first"),
        (lambda: scotoma.prune_tokens(2, 1.5), ValueError, "keep_share: 1.5 is not in 0 to 1"),
        (lambda: scotoma.prune_tokens(2, 1, random_seed=1, class_attention=True), ValueError, "not both"),
        (lambda: scotoma.replace_tokens("visual", "zero", noise=1), ValueError, "one of constant, noise"),
        (lambda: scotoma.replace_tokens("pictures", "zero"), ValueError, "visual are"),
        (lambda: scotoma.permute_tokens(1, order=[0]), ValueError, "seed or an order"),
        (lambda: scotoma.occlude_salient(), ValueError, "mass"),
        (lambda: scotoma.swap_projector("a", identity=True), ValueError, "one of"),
        (lambda: layers[3:], ValueError, "needs an end"),
        (lambda: steps[::2], ValueError, "needs an end|one after the other"),
        (lambda: steps[0:5:2], ValueError, "one after the other"),
        (lambda: hooks.blocks[0].attn.hook_patern, AttributeError, "hook_pattern"),
        (lambda: hooks.hook_embed[0], AttributeError, "language_model"),
        (lambda: hooks.projector.hook_out[0], TypeError, "no layers"),
        (lambda: tokens.salient(0.5) & tokens.turn(1), ValueError, "no selector says this"),
        (lambda: tokens.last & tokens.text, ValueError, "no selector says this"),
        (lambda: tokens.random(0.5) & tokens.random(0.5), ValueError, "no selector says this"),
        (lambda: tokens.block(2, 4), ValueError, "blocks 0 to 3"),
        (lambda: tokens.random(2), ValueError, "not in 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused(build: Callable[[], Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        build()


def test_selectors_compose_as_sets() -> None:
    few, many = tokens[1, 2], tokens[2:5]
    cases = [
        (tokens.visual & tokens.block(2, 3), tokens.block(2, 3)),
        (tokens.block(2, 1, 3) & tokens.block(2, 3), tokens.block(2, 3)),
        (tokens.block(2, [1, 3]) - tokens.block(2, 3), tokens.block(2, 1)),
        (tokens.visual - tokens.block(2, 3), ~(tokens.text | tokens.generated | tokens.block(2, 3))),
        (tokens.text & ~tokens.question, ~(tokens.visual | tokens.generated | tokens.question)),
        (tokens.text & tokens.visual, ~tokens.all),
        (tokens.question & tokens.user, tokens.question),
        (tokens.question & tokens.system, ~tokens.all),
        (tokens.visual | tokens.random(0.5, 1), tokens.visual),
        (tokens.last & tokens.generated, tokens.generated),
        (few & many, tokens[2]),
        (few - many, tokens[1]),
        (~few & ~many, ~(few | many)),
        (~few | many, ~tokens[1]),
        (tokens.all - few, ~few),
        (tokens.all & few, few),
        (tokens.all | few, tokens.all),
        (~~few, few),
    ]
    for made, wanted in cases:
        assert made == wanted, f"{made} is not {wanted}"
        assert hash(made) == hash(wanted)
    assert repr(~(tokens.text | tokens.block(2, 3))) == "~(tokens.text | tokens.block(2, 3))"


def test_differences_pick_what_they_say(server: str, png: bytes) -> None:
    """A difference is said by what is in none of the other parts: the server finds the same tokens in it."""
    block = tokens.block(2, 3)
    asked = [tokens.visual, block, tokens.visual - block]
    with Client(server) as client:
        for hook in (
            hooks.language_model.hook_embed,
            hooks.projector.hook_tokens,
            hooks.vision_tower.blocks[0].resid_pre,
        ):
            targets = [pb.CaptureTarget(target=hook.at(s, steps=0)) for s in asked]
            visual, own, rest = (set(a.tokens) for a in client.capture("Is there?", targets, png))
            # The class token of the tower is among its patches.
            assert rest == visual - own


def test_targets_are_written_as_they_read() -> None:
    made = hooks.blocks[3:5].attn.hook_pattern.at(tokens.last, heads=0, steps=range(1, 3))
    assert made.point == "language_model.blocks.{l}.attn.hook_pattern"
    assert (list(made.layers), list(made.heads)) == ([3, 4], [0])
    assert (made.steps.first, made.steps.last) == (1, 2)
    assert hooks.vision_tower.blocks[:].resid_pre.at() == target("vision_tower.blocks.{l}.hook_resid_pre")
    assert "hook_resid_post" in dir(hooks.blocks[0])
    assert repr(hooks.blocks[1, 2].ln1.hook_normalized) == "hooks.language_model.blocks[1, 2].ln1.hook_normalized"
    assert layers[3:8] == (3, 4, 5, 6, 7)
    assert steps[2:] == iv.Steps(first=2)


class Tensor(SimpleNamespace):
    """As a torch tensor on another device, that needs its gradient."""

    def detach(self) -> Tensor:
        return Tensor(dtype=self.dtype, array=self.array)

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> Any:  # noqa: ANN401
        return self.array


def test_arrays_and_tensors_stand_for_numbers() -> None:
    row = np.arange(4, dtype=np.float32)
    wanted = scotoma.steer(RESID, [0, 1, 2, 3])
    for own in (row, row.astype(np.int64), row.astype(np.float16), Tensor(dtype="torch.float32", array=row), row[::1]):
        assert scotoma.steer(RESID, own) == wanted
    assert scotoma.steer(RESID, row.reshape(2, 2)) == wanted, "heads end to end"
    assert scotoma.project_out(RESID, [row, row]) == scotoma.project_out(RESID, np.stack([row, row]))
    strided = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]
    made = scotoma.patch(RESID, strided).patch.values
    assert np.array_equal(np.frombuffer(made.data, "<f4").reshape(made.shape), strided)
    assert scotoma.patch(RESID, row.astype(">f4")) == scotoma.patch(RESID, row)
    assert scotoma.patch(RESID, row.astype(np.float64)).patch.values.dtype == iv.DATA_TYPE_F32
    names = ["f16", "float16", np.float16, np.dtype("float16"), "DATA_TYPE_F16", iv.DATA_TYPE_F16]
    assert {data_type(own) for own in names} == {iv.DATA_TYPE_F16}
    with pytest.raises(ValueError, match="f32, bf16 and f16"):
        data_type("f8")


def test_torch_is_taken() -> None:
    torch = pytest.importorskip("torch")
    row = torch.arange(4.0, requires_grad=True)
    assert scotoma.steer(RESID, row) == scotoma.steer(RESID, [0, 1, 2, 3])
    half = scotoma.patch(RESID, row.bfloat16()).patch.values
    assert (half.dtype, list(half.shape)) == (iv.DATA_TYPE_BF16, [1, 4])
    bits = np.frombuffer(half.data, "<u2").astype(np.uint32) << 16
    assert bits.view(np.float32).tolist() == [0, 1, 2, 3]
    assert scotoma.steer(RESID, row.bfloat16()) == scotoma.steer(RESID, row)
    assert data_type(torch.bfloat16) == iv.DATA_TYPE_BF16


def test_sampling_goes_by_its_common_names(server: str, png: bytes) -> None:
    question = "Describe the picture."
    with Client(server) as client:
        named = client.generate(question, png, temperature=2, top_p=0.9, seed=5, max_tokens=8).finish()
        sampling = pb.Sampling(temperature=2, top_p=0.9, seed=5)
        assert client.generate(question, png, sampling=sampling, max_tokens=8).finish().text == named.text
        whole = client.generate(question, png, max_tokens=8).finish().text
        assert client.generate(question, png, stop=whole[4:7], max_tokens=8).finish().text == whole[:4]
        for options, kind, says in (
            ({"max_new_tokens": 3}, TypeError, "'max_new_tokens' is called 'max_tokens' here"),
            ({"temprature": 3}, TypeError, "temperature"),
            ({"temperature": 200}, ValueError, "sampling.temperature: 200 is not in 0 to 100"),
            ({"temperature": 1, "sampling": sampling}, TypeError, "say it in sampling"),
        ):
            with pytest.raises(kind, match=says):
                client.generate(question, png, **options)
        asked = [scotoma.sample("1", question, png, answer="red")]
        run = client.evaluate("shapes", asked, temperature=2, seed=5, max_tokens=4)
        assert run.started.header.sampling == pb.Sampling(temperature=2, seed=5)
        with pytest.raises(TypeError, match="temperature"):
            client.score(question, ["a"], png, temperature=1)  # type: ignore[call-arg]
