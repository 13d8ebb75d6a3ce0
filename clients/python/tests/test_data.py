from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from scotoma import Client, data, sample
from scotoma.v1 import benchmark_service_pb2 as bench
from scotoma.v1.intervention_pb2 import Intervention


def picture(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    for name in ("red", "light_blue"):
        (tmp_path / "classes" / name).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "classes" / name / f"{i}.png").write_bytes(picture(name.removeprefix("light_")))
    (tmp_path / "classes" / "red" / "notes.txt").write_text("no picture")
    return tmp_path / "classes"


def test_a_folder_of_classes_is_a_classification(classes: Path, server: str) -> None:
    samples = list(data.folder(classes))
    assert [s.id for s in samples][:2] == ["light_blue/0.png", "light_blue/1.png"]
    assert len(samples) == 6
    assert {tuple(s.options) for s in samples} == {("light blue", "red")}
    assert [s.answer for s in samples] == ["light blue"] * 3 + ["red"] * 3
    with Client(server) as client:
        end = client.evaluate("classification", samples, answering=bench.ANSWERING_OPTION_TEXTS).finish()
    assert (end.results, end.failed) == (6, 0)
    with pytest.raises(ValueError, match="no folders"):
        list(data.folder(classes / "red"))


def test_parquet_becomes_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {
            "qid": 7,
            "query": "Which?",
            "image": {"bytes": picture("red"), "path": None},
            "choices": ["x", "y"],
            "answer": 1,
            "unit": "m",
        },
        {"qid": 8, "query": "How?", "image": None, "choices": None, "answer": 3, "unit": None},
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    first, second = (json.loads(row.json) for row in data.parquet(tmp_path / "rows.parquet", {"id": "qid"}))
    assert (first["index"], first["query"], first["answer"], first["choices"]) == (7, "Which?", 1, ["x", "y"])
    assert base64.b64decode(first["image"]["bytes"].removeprefix("data:;base64,")) == picture("red")
    assert second == {"index": 8, "query": "How?", "image": None, "choices": None, "answer": 3, "unit": None}
    out = tmp_path / "rows.jsonl"
    assert data.main([str(tmp_path / "rows.parquet"), str(out), "--column", "id=qid"]) == 0
    assert "2 items" in capsys.readouterr().out
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert written == [first, second]
    assert data.main([str(tmp_path / "rows.parquet"), str(out), "--column", "id=nothing"]) == 1
    assert "no column 'nothing'" in capsys.readouterr().err


TABLES = Path(__file__).parents[3] / "tests" / "tables"


@pytest.mark.parametrize("name", ["mmvp", "mme", "ai2d", "qbench", "mathvista", "paths"])
def test_a_table_and_its_manifest_are_the_same_questions(name: str, tmp_path: Path, server: str) -> None:
    table, manifest = TABLES / f"{name}.parquet", tmp_path / f"{name}.jsonl"
    assert data.main([str(table), str(manifest)]) == 0
    rule = "custom" if name == "paths" else name
    seen = []
    with Client(server) as client:
        for questions in (table, data.parquet(table), manifest):
            run = client.evaluate(rule, questions, max_tokens=4)
            results = sorted((r.id, r.group, r.text, r.answer, r.verdict, r.record_digest) for r in run)
            assert run.finished.failed == 0
            seen.append(results)
    assert seen[0]
    assert seen[0] == seen[1] == seen[2]


def test_columns_are_what_is_said_and_what_is_wrong_is_a_result(tmp_path: Path, server: str) -> None:
    row = {"question": "Which?", "scene": {"bytes": picture("red"), "path": None}, "options": ["x", "y"], "gold": "y"}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "own.parquet")
    with Client(server) as client:
        (wrong,) = client.evaluate("custom", tmp_path / "own.parquet")
        assert "row 1: gold: it looks like an answer" in wrong.error.message
        (wrong,) = client.evaluate("custom", tmp_path / "own.parquet", columns={"answer": "gold"})
        assert "row 1: scene: it looks like a picture" in wrong.error.message
        columns = {"image": "scene", "answer": "gold"}
        (result,) = client.evaluate("custom", tmp_path / "own.parquet", columns=columns)
        assert (result.id, result.HasField("error")) == ("0", False)


def test_other_pictures_are_shown_by_name(server: str) -> None:
    own = sample(
        "1", "Is it red?", picture("red"), substitutes={"other": picture("blue")}, options=["yes", "no"], answer="A"
    )
    other: dict[str, list[Intervention] | bench.EvaluateVariant] = {
        "original": [],
        "other": bench.EvaluateVariant(pictures="other"),
    }
    with Client(server) as client:
        run = client.evaluate("shapes", [own], variants=other)
        results = {result.variant: result for result in run}
    assert set(results) == {"original", "other"}
    assert results["original"].record_digest != results["other"].record_digest
    assert run.finished.failed == 0
