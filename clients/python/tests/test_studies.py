"""Sweeps over anything, patching grids, means, what notebooks show, and the five tasks."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import fakes
import matplotlib as mpl
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image, ImageDraw

import scotoma
from scotoma import AsyncClient, Client, ScotomaError, hooks, paint, show, studies, tokens
from scotoma.v1 import inference_service_pb2 as pb
from scotoma.v1.intervention_pb2 import Intervention

mpl.use("Agg")

QUESTION = "Is there a red circle?"
WORDS = [" yes", " no"]
RESID = hooks.blocks[2].hook_resid_post


@pytest.fixture
def blue() -> Image.Image:
    image = Image.new("RGB", (84, 84), (235, 235, 235))
    ImageDraw.Draw(image).ellipse((16, 30, 26, 40), fill=(40, 80, 200))
    return image


@pytest.fixture
def client(server: str) -> Any:  # noqa: ANN401
    with Client(server) as client:
        yield client


def test_axes_of_numbers_are_the_grid_of_the_server(client: Client, png: bytes) -> None:
    prune = scotoma.prune_tokens(1, keep_share=1)
    short = client.sweep(QUESTION, png, continuations=WORDS, grid=prune, axes={"keep_share": np.linspace(0, 1, 3)})
    path = "interventions[0].prune_tokens.keep_share"
    long = client.sweep(QUESTION, png, continuations=WORDS, grid=[prune], axes={path: [0, 0.5, 1]})
    tables = [own.to_pandas() for own in (short, long)]
    assert list(tables[0].logprob_difference) == list(tables[1].logprob_difference)
    assert list(tables[0].keep_share) == [0, 0.5, 1]
    alone = client.score(QUESTION, WORDS, png, interventions=[scotoma.prune_tokens(1, keep_share=0.5)])
    assert tables[0].logprobs[1] == [score.logprob for score in alone.scores]
    assert "<svg" in short._repr_html_()
    assert repr(short) == "<Sweep 3 of 3 variants>"
    assert short.plot(x="rows_computed").get_xlabel() == "rows_computed"
    with pytest.raises(ValueError, match="'flop' is not known"):
        short.plot(x="flop")


def test_axes_over_anything(client: Client, png: bytes, blue: Image.Image) -> None:
    ablate = scotoma.ablate(hooks.blocks[:].mlp_out)
    axes: dict[str, Any] = {
        "image": {"red": png, "blue": blue},
        "ablate.target.layers[0]": [1, 6],
        "question": [QUESTION, "Is there a blue circle?"],
        "target.tokens": [tokens.visual, tokens.last],
    }
    with pytest.raises(ValueError, match=r"'targt[.]tokens' is not known"):
        client.sweep(QUESTION, grid=ablate, axes={"targt.tokens": [tokens.visual]})
    table = client.sweep("", continuations=WORDS, grid=ablate, axes=axes, concurrency=2).to_pandas()
    assert len(table) == 16
    assert list(table.columns[1:5]) == list(axes)
    # Every row is the request of its own that its labels say.
    for number in (0, 6, 13):
        row = table.iloc[number]
        change = scotoma.ablate(hooks.blocks[:].mlp_out, layers=int(row.iloc[2]), tokens=row["target.tokens"])
        picture: Any = {"red": png, "blue": blue}[row.image]
        alone = client.score(row.question, WORDS, picture, interventions=[change])
        assert row.logprobs == [score.logprob for score in alone.scores]
    named = {"none": [], "permuted": [scotoma.permute_tokens(1)]}
    table = client.sweep(QUESTION, png, variants=named, max_tokens=2).to_pandas()
    assert list(table.variant) == ["none", "permuted"]
    (place,) = [list(own.places) for own in client.sweep(QUESTION, png, variants={"none": []}, max_tokens=1)]
    assert place == [0]
    warm = {"temperature": [0, 2.0], "interventions": [[], scotoma.permute_tokens(1)]}
    table = client.sweep(QUESTION, png, axes=warm, seed=3, max_tokens=2).to_pandas()
    assert list(table.interventions) == ["none", "permute_tokens"] * 2
    assert list(table.temperature) == [0, 0, 2, 2]
    vectors = {"vector": {"zero": np.zeros(128), "one": np.ones(128)}}
    table = client.sweep(QUESTION, png, grid=scotoma.steer(RESID, [1]), axes=vectors, continuations=WORDS).to_pandas()
    assert table.logprob[0] != table.logprob[1]
    names = {"projector": ["default"], "fill": ["black", "mean"]}
    grid = [scotoma.swap_projector("x"), scotoma.occlude_random(0.5, 1)]
    table = client.sweep(QUESTION, png, grid=grid, axes={"name": names["projector"], "fill": names["fill"]}).to_pandas()
    assert list(table.fill) == ["black", "mean"]
    assert not any(table.error)


def test_axes_that_cannot_be_are_refused(client: Client, png: bytes) -> None:
    two = [scotoma.drop_layers([1]), scotoma.drop_layers([2])]
    for axes, grid, says in (
        ({"layers[0]": [1]}, two, r"more than one field.*interventions\[1\].drop_layers.layers"),
        ({"nonsense": [1]}, two, "'nonsense' is not known"),
        ({"layers[0]": []}, two[:1], "no values"),
        ({"layers[4]": ["a"]}, two[:1], "beyond the end"),
    ):
        with pytest.raises(ValueError, match=says):
            client.sweep(QUESTION, png, grid=grid, axes=axes)
    with pytest.raises(TypeError, match="a list of values"):
        client.sweep(QUESTION, png, axes={"question": QUESTION})
    with pytest.raises(ValueError, match="axes say them already"):
        client.sweep(QUESTION, png, variants=[[]], axes={"question": [QUESTION]})
    with pytest.raises(ScotomaError, match="nonesuch"):
        client.sweep(QUESTION, png, axes={"model": ["nonesuch", "shapes"]})
    late = client.sweep(QUESTION, png, axes={"model": ["shapes", "nonesuch"]}, max_tokens=1)
    with pytest.raises(ScotomaError, match="nonesuch"):
        late.finish()


async def test_asyncio_sweeps_over_anything(server: str, png: bytes, blue: Image.Image) -> None:
    async with AsyncClient(server) as client:
        sweep = await client.sweep(QUESTION, axes={"image": [png, blue]}, continuations=WORDS)
        assert [result.scored.best async for result in sweep] == [0, 1]
        assert sweep.finished.variants == 2
        mean = await client.mean_activation([png, blue], RESID.at(tokens.last), QUESTION)
        assert mean.shape == (128,)
        groups = {"picture": tokens.visual, "last": tokens.last}
        grid = await client.patching_grid(png, blue, *WORDS, text=QUESTION, positions=groups)
        assert grid.values.shape == (8, 2)


def test_a_patching_grid_is_patched_requests(client: Client, png: bytes, blue: Image.Image) -> None:
    groups = {"picture": tokens.visual, "question": tokens.question, "last": tokens.last}
    grid = client.patching_grid(png, blue, *WORDS, text=QUESTION, positions=groups)
    assert grid.layers == list(range(8))
    assert grid.clean > 0 > grid.corrupted
    # The picture's tokens carry the answer into the first layer, the last token out of the last one.
    assert grid.effect[0, 0] == pytest.approx(1)
    assert np.allclose(grid.effect[0, 1:], 0, atol=1e-3)
    assert grid.effect[7, 2] == pytest.approx(1, abs=0.05)
    (kept,) = client.capture(QUESTION, hooks.blocks[3].resid_pre.at(tokens.last), png)
    change = scotoma.patch(hooks.blocks[3].resid_pre, kept, tokens=tokens.last, steps=0)
    scores = client.score(QUESTION, WORDS, blue, interventions=[change]).scores
    assert grid.values[3, 2] == pytest.approx(scores[0].logprob - scores[1].logprob, abs=1e-5)
    each = client.patching_grid(
        (QUESTION, png), scotoma.blank_image(), " yes", positions=tokens[[0, 6]], hook=hooks.blocks[1:3].resid_pre
    )
    assert each.values.shape == (2, 2)
    assert each.metric == "log P(' yes')"
    assert grid.to_pandas().shape == (8, 3)
    assert "data:image/png" in grid._repr_html_()
    assert "layer" in grid.plot().get_ylabel()
    assert "at layer" in repr(grid)
    words = client.patching_grid(png, blue, *WORDS, text=QUESTION, positions="words", direction="noise")
    assert "circle?" in "".join(words.positions)
    heads = client.patching_grid(
        png, blue, " yes", text=QUESTION, hook=hooks.blocks[5].attn.z, positions=groups, each_head=True,
        metric="probability", progress=True,
    )  # fmt: skip
    assert heads.layers == [f"5.{head}" for head in range(4)]
    assert heads.metric == "P(' yes')"
    with pytest.raises(ScotomaError, match="tokens"):
        client.patching_grid(png, ("Is there a small red circle?", blue), " yes", text=QUESTION)
    for options, says in (
        ({"metric": "logprob_difference"}, "say other=, too"),
        ({"metric": "logprob", "other": " no"}, "other: 'logprob' is of one answer"),
        ({"positions": "wordz"}, "wordz.*did you mean words"),
        ({"positions": {}}, "positions: empty"),
        ({"metric": "prob"}, "did you mean logprob"),
        ({"hook": hooks.blocks[5].attn.z.at("last")}, "said by positions"),
        ({"direction": "noisy"}, "denoise, noise are valid"),
        ({"via": "mlps"}, "say receiver"),
        ({"receiver": hooks.blocks[5].hook_resid_pre, "via": "mlp"}, "residual, mlps are valid"),
    ):
        with pytest.raises(ValueError, match=says):
            client.patching_grid(png, blue, " yes", text=QUESTION, **options)
    with pytest.raises(ValueError, match="needs a question"):
        client.patching_grid(png, blue, " yes")
    with pytest.raises(ValueError, match="corrupted: empty"):
        client.patching_grid(png, [], " yes", text=QUESTION)


def test_a_path_ends_at_its_receiver(client: Client, png: bytes, blue: Image.Image) -> None:
    arrives = hooks.blocks[4].hook_resid_pre.at(tokens.last)
    asked: dict[str, Any] = {"text": QUESTION, "positions": {"last": tokens.last, "picture": tokens.visual}}
    paths = client.patching_grid(png, blue, *WORDS, receiver=arrives, **asked)
    # What is not held goes to the receiver alone: from the last token itself, and from no other one past attention.
    assert paths.effect[4:].tolist() == [[0, 0]] * 4
    assert np.allclose(paths.effect[:4, 1], 0, atol=1e-6)
    whole = client.patching_grid(png, blue, *WORDS, **asked)
    stream = client.trace(png, blue, *WORDS, receiver=arrives, via="mlps", **asked)
    assert "16" in f"{stream.started.cells}"
    cells = list(stream)
    assert stream.finished.cells == len(cells) == 16
    assert (stream.baseline.clean, stream.baseline.corrupted) == (whole.clean, whole.corrupted)
    assert stream.grid().clean == whole.clean


def test_cells_of_a_trace_find_their_places(png: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[pb.TraceRequest] = []

    def trace(_: Any, request: pb.TraceRequest, context: Any) -> Any:  # noqa: ANN401
        asked.append(request)
        axes = [pb.TracePosition(label="picture"), pb.TracePosition(tokens=[7, 8])]
        yield pb.TraceResponse(started=pb.TraceStarted(cells=4, points=["p"], layers=[1, 3], positions=axes))
        yield pb.TraceResponse(baseline=pb.TraceBaseline(clean=2, corrupted=-2))
        yield pb.TraceResponse(cell=pb.TraceCell(layer=1, position=1, value=2))
        yield pb.TraceResponse(cell=pb.TraceCell(layer=0, position=0, value=0))
        yield pb.TraceResponse(cell=pb.TraceCell(layer=0, position=1, error=pb.SweepError(message="no")))
        yield pb.TraceResponse(finished=pb.TraceFinished(cells=3))

    monkeypatch.setattr(fakes.Fake, "Trace", trace)
    with fakes.fake() as server, Client(server.address) as client:
        change = scotoma.blank_image()
        groups = {"picture": tokens.visual, "last": tokens.last}
        found = client.patching_grid(
            (QUESTION, png), change, " yes", positions=groups, model="m", sample_key="k",
            receiver=hooks.blocks[2].attn.q.at("last"), via="mlps",
        )  # fmt: skip
    assert (found.layers, found.positions) == ([1, 3], ["picture", "7, 8"])
    assert np.array_equal(found.effect, [[0.5, np.nan], [np.nan, 1]], equal_nan=True)
    (request,) = asked
    assert (request.model, request.sample_key, request.metric.logprob) == ("m", "k", " yes")
    assert request.clean.prompt == request.corrupted.prompt
    assert list(request.corrupted.interventions) == [change]
    assert [p.group.label for p in request.grid.positions] == ["picture", "last"]
    assert request.path.receiver == hooks.blocks[2].attn.q.at("last")
    assert request.path.via == pb.TRACE_VIA_MLPS
    assert list(request.grid.points) == ["language_model.blocks.{l}.hook_resid_pre"]


def test_names_of_traces_are_those_of_the_contract() -> None:
    for names, own in ((studies.Direction, pb.TraceDirection), (studies.Via, pb.TraceVia)):
        found = [name.split("_")[-1].lower() for name in own.keys()]  # noqa: SIM118 (an enum is no dict)
        assert ["unspecified", *get_args(names)] == found
    assert list(get_args(studies.Measure)) == [own.name for own in pb.Metric.DESCRIPTOR.oneofs_by_name["kind"].fields]
    with pytest.raises(ValueError, match="metric: 'logprobs' is not known"):
        studies.metric(" yes", None, "logprobs")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"path.via: 'mlp'; residual, mlps are valid"):
        studies.path_of(hooks.blocks[2].attn.q, "mlp")
    with Client("127.0.0.1:1") as client, pytest.raises(ValueError, match="direction: 'back'; denoise, noise are"):
        client.patching_grid(("a", b""), ("b", b""), " yes", direction="back")  # type: ignore[arg-type]


def test_a_mean_is_that_of_captures(client: Client, png: bytes, blue: Image.Image) -> None:
    hook = hooks.blocks[1:3].resid_post.at(tokens.visual)
    items: list[Any] = [(QUESTION, png), (QUESTION, blue)]
    mean = client.mean_activation(iter(items), hook, progress=True)
    own = [[a.array.mean(0) for a in client.capture(QUESTION, hook, picture)] for picture in (png, blue)]
    assert mean.shape == (2, 128)
    assert np.allclose(mean, np.mean(own, axis=0), atol=1e-5)
    heads = client.mean_activation([scotoma.sample("1", QUESTION, png)], hooks.blocks[0].attn.z)
    assert heads.shape == (4, 32)
    with pytest.raises(ValueError, match="items: none"):
        client.mean_activation([], hook)


def test_notebooks_show_pictures(client: Client, png: bytes) -> None:
    (seen,) = client.capture(QUESTION, hooks.blocks[3].attn.pattern.at("last", steps=0), png, reduction="received")
    assert seen.matrix().shape == (6, 6)
    assert repr(seen) == "<Activation language_model.blocks.3.attn.hook_pattern: (36,) float32>"
    assert "data:image/png" in seen._repr_html_()
    preview = client.preview(png)
    assert seen.over(preview).size == (336, 336)
    assert repr(preview) == "<Preview 84 x 84, 6 x 6 patches>"
    assert seen.plot().get_title().endswith("hook_pattern")
    (lens,) = client.capture(QUESTION, hooks.blocks[7].resid_post.at("last"), png, reduction="top_tokens", top=2)
    assert "yes" in lens._repr_html_()
    assert lens._repr_png_() is None
    answer = client.generate(QUESTION, png)
    assert "finish()" in repr(answer)
    finished = answer.finish()
    assert repr(answer).startswith("<Answer ' yes', 2 tokens")
    assert "title=" in answer._repr_html_()
    scored = client.score(QUESTION, WORDS, png, interventions=[scotoma.permute_tokens(1)])
    (swept,) = client.sweep(QUESTION, png, variants=[[]], max_tokens=1)
    shown: dict[type, Any] = {}
    shell = SimpleNamespace(display_formatter=SimpleNamespace(formatters={"text/html": shown}))
    assert show.SHOWN.keys() == {pb.Finished, pb.ScoreResponse, pb.SweepResult, Intervention}
    for message in (finished, scored, swept, scotoma.permute_tokens(1)):
        html = show.SHOWN[type(message)](message)
        assert "<" in html
        assert "<script" not in html
    assert shell.display_formatter.formatters["text/html"] is shown
    run = client.evaluate("shapes", [scotoma.sample("1", QUESTION, png, answer="yes")])
    run.finish()
    assert "accuracy" in run._repr_html_()
    assert "accuracy 1" in repr(run)
    with pytest.raises(ValueError, match="say"):
        client.capture(QUESTION, pb.CaptureTarget(target=RESID.at()), png, reduction="mean")


def test_a_notebook_that_runs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[type, Any] = {}
    formatter = SimpleNamespace(for_type=told.__setitem__)
    shell = SimpleNamespace(display_formatter=SimpleNamespace(formatters={"text/html": formatter}))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert show.register()
    assert told == show.SHOWN


def test_pictures_are_drawn_without_other_packages(tmp_path: Path) -> None:
    values = np.array([[1.0, -2.0], [0.0, np.nan]])
    (tmp_path / "map.png").write_bytes(paint.heat_map(values, side=2))
    drawn = np.asarray(Image.open(tmp_path / "map.png"))
    assert drawn.shape == (2, 2, 3)
    assert drawn[1, 0].tolist() == [247, 247, 247]
    assert drawn[1, 1].tolist() == [200, 200, 200]
    assert drawn[0, 1, 2] > drawn[0, 1, 0]
    assert "&lt;b&gt;" in paint.table([{"a": "<b>"}])
    assert "49 more rows" in paint.table([{"a": n} for n in range(99)])


def test_five_tasks_in_thirty_lines(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = ROOT / "clients/python/examples/five_tasks.py"
    code = re.sub(r'^""".*?"""', "", script.read_text(), flags=re.DOTALL)
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= 30
    table = ROOT / "models/shapes/benchmark.tsv"
    monkeypatch.setattr(sys, "argv", [str(script), str(table), str(tmp_path), server])
    found = runpy.run_path(str(script))
    pictures = {path.stem for path in tmp_path.glob("*.png")}
    assert pictures == {"table1", "figure8", "sinks", "patching", "pruning", "steering"}
    assert found["accuracy"].original > found["accuracy"].permuted
    steered = found["steered"].to_pandas().logprob_difference
    assert steered.is_monotonic_increasing, "from no to yes"
    assert "original" in capsys.readouterr().out
