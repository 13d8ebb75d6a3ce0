"""Linear probes: what each layer knows, the control, the weights as vectors, the command."""

from __future__ import annotations

import importlib
import io
import random
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from conftest import BINARY, ROOT

from scotoma import Client, hooks, steer, tokens

pytest.importorskip("sklearn", reason="pip install scotoma[probe]")
from scotoma import probe

mpl.use("Agg")
RESID = "language_model.blocks.{l}.hook_resid_post"


@pytest.fixture(scope="module")
def scenes() -> list[tuple[str, bytes, str]]:
    """Questions about the colour of one thing: the question, the picture, the colour."""
    sys.path.insert(0, str(ROOT / "models/shapes"))
    drawn = importlib.import_module("scenes")
    found = []
    for seed in range(600_000, 601_000):
        scene = drawn.draw_scene(random.Random(seed))
        question = drawn.ask(scene, random.Random(seed), "colour")
        if question is not None and not question.options and not scene.bars:
            out = io.BytesIO()
            scene.image.save(out, "PNG")
            found.append((question.prompt(), out.getvalue(), question.answer))
    return found[:150]


def test_the_answer_is_known_behind_the_layer_that_looks(
    server: str, scenes: list[tuple[str, bytes, str]], tmp_path: Path
) -> None:
    with Client(server) as client:
        rows = client.activations([own[:2] for own in scenes], hooks.blocks[:].hook_resid_post.at(tokens.last))
        assert list(rows) == [RESID.format(l=layer) for layer in range(8)]
        assert rows[RESID.format(l=0)].shape == (150, 128)
        found = probe.fit(rows, [own[2] for own in scenes])
        accuracy = [own.accuracy for own in found]
        # Block 5 reads the colour (docs/reading.md); before it the last token knows which colours the picture has.
        assert max(accuracy[:4]) < 0.75
        assert min(accuracy[5:]) > 0.9
        assert all(own.control < 0.4 for own in found)
        assert all(own.interval[0] < own.accuracy < own.interval[1] or own.accuracy == 1 for own in found)
        found.save(tmp_path / "probe.npz")
        kept = probe.Probes.load(tmp_path / "probe.npz")
        assert list(kept.rows()) == list(found.rows())
        assert kept.labels == sorted({own[2] for own in scenes})
        point = RESID.format(l=6)
        turned = 0
        for place, (question, picture, colour) in enumerate(scenes[:30]):
            other = random.Random(place).choice([label for label in kept.labels if label != colour])
            change = steer(point, kept.vector(point, other, colour), 2, tokens=tokens.last, steps=0)
            answer = client.generate(question, picture, interventions=[change], max_tokens=4).finish().text
            turned += answer.strip() == other
        assert turned >= 20
    axes = kept.plot()
    assert axes.get_xlabel() == "layer"
    with pytest.raises(ValueError, match="'pink'; there are 'blue'"):
        kept.vector(point, "pink")
    with pytest.raises(KeyError, match="nowhere: no such point; there are language_model"):
        kept.vector("nowhere", "blue")


def test_probes_are_those_of_scikit_learn_and_hold_groups_out_together() -> None:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 60)
    rows = random.normal(size=(120, 4)) * [1, 10, 1, 1] + labels[:, None] * [2, 0, 0, 0]
    found = probe.fit({"a": rows, "b": random.normal(size=(120, 2, 2))}, labels.tolist())
    scaled = (rows - rows.mean(0)) / rows.std(0)
    model = LogisticRegression(max_iter=2000).fit(scaled, labels)
    own: probe.Probe = found["a"]
    logits = rows @ own.weights.T + own.bias
    assert logits[:, 1] - logits[:, 0] == pytest.approx(model.decision_function(scaled), abs=1e-6)
    assert own.accuracy > 0.75
    assert found.majority == 0.5
    assert found["b"].weights.shape == (2, 4)
    assert own.interval == pytest.approx(probe.wilson(own.accuracy, 120))
    assert probe.wilson(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    # What only the items of a group have in common is not learned: labels are theirs, and rows say which group it is.
    groups = np.arange(120) // 6
    told = random.normal(size=(20, 8))[groups] + 0.01 * random.normal(size=(120, 8))
    mixed = (random.permutation(20) % 2)[groups]
    alone, together = (probe.fit({"a": told}, mixed.tolist(), groups=own)["a"] for own in (None, groups.tolist()))
    assert together.accuracy < alone.accuracy - 0.1
    assert together.interval[1] - together.interval[0] > alone.interval[1] - alone.interval[0]


def test_what_no_probe_can_be_fitted_to_is_refused() -> None:
    rows = np.zeros((6, 3))
    with pytest.raises(ValueError, match="6 rows and 5 labels"):
        probe.fit({"a": rows}, [1, 1, 1, 2, 2])
    with pytest.raises(ValueError, match="all are the same"):
        probe.fit({"a": rows}, [1] * 6)
    with pytest.raises(ValueError, match="a label has 2 groups"):
        probe.fit({"a": rows}, [1, 1, 1, 1, 2, 2])
    with pytest.raises(ValueError, match="at least 2"):
        probe.fit({"a": rows}, [1, 1, 1, 2, 2, 2], folds=1)
    with pytest.raises(ValueError, match="not finite"):
        probe.fit({"a": np.full((6, 3), np.nan)}, [1, 1, 1, 2, 2, 2])


def test_the_command_probes_a_benchmark(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCOTOMA_BINARY", BINARY)
    asked = ["shapes", "--server", server, "--label", "category", "--limit", "120", "--folds", "3"]
    assert probe.main([*asked, "--csv", "probe.csv", "--plot", "probe.png"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("120 questions, ")
    assert (tmp_path / "probe.png").read_bytes()[:4] == b"\x89PNG"
    assert len((tmp_path / "probe.csv").read_text().splitlines()) == 9
    # Questions say their category.
    assert probe.Probes.load("probe.npz")[-1].accuracy > 0.9
    assert probe.main([*asked, "--only", "category=smell"]) == 1
    assert "no question is left" in capsys.readouterr().err
    assert probe.main([*asked, "--only", "smell=1"]) == 1
    assert "smell: no such column; there are id, answer" in capsys.readouterr().err
    assert probe.main([*asked, "--model", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err
    # Before anything is asked of a server.
    assert probe.main([*asked[:1], "--server", "nowhere:1", "--only", "category=colour", "--label", "category"]) == 1
    assert "all are the same" in capsys.readouterr().err
