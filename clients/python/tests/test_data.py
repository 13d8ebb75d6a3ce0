from __future__ import annotations

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
    first, second = data.parquet(tmp_path / "rows.parquet", {"id": "qid"})
    assert (first.id, first.question, first.answer, list(first.options)) == ("7", "Which?", "B", ["x", "y"])
    assert (first.images[0].data, dict(first.fields)) == (picture("red"), {"unit": "m"})
    assert (second.id, second.answer, len(second.images), dict(second.fields)) == ("8", "3", 0, {})
    out = tmp_path / "rows.jsonl"
    assert data.main([str(tmp_path / "rows.parquet"), str(out), "--column", "id=qid"]) == 0
    assert "2 items" in capsys.readouterr().out
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert written[0]["index"] == "7"
    assert written[0]["options"] == ["x", "y"]
    assert "image" not in written[1]
    assert data.main([str(tmp_path / "rows.parquet"), str(out), "--column", "id=nothing"]) == 1
    assert "no column 'nothing'" in capsys.readouterr().err


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
