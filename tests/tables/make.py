"""Tables as the public has them, small and of our own words, and what lmms-eval's own code makes of them.

    python -m venv V && V/bin/pip install -r ../scorers/requirements.txt pyarrow==26.0.1
    V/bin/pip install --no-deps lmms-eval==0.7.3
    V/bin/python make.py

The only writer of this folder's tables and of expected.json: of each row the id by which lmms-eval tells it from others, the prompt, the
options, the group that its score is made over, the answer that its scorer takes as right, and a digest of each picture's pixels. Columns,
their order and their types are those of the data sets that lmms-eval's tasks name: the published files hold other questions.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import sys
import types
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from loguru import logger
from PIL import Image, ImageDraw

# The judge, which is never asked here, wants the packages of many services.
judge = types.ModuleType("lmms_eval.llm_judge")
judge.Request = judge.ServerConfig = lambda *_a, **_k: None  # type: ignore[attr-defined]
judge.get_server = lambda *_a, **_k: None  # type: ignore[attr-defined]
sys.modules["lmms_eval.llm_judge"] = judge
for name in ("lmms_eval.verifiers", "lmms_eval.verifiers.openai"):
    verifier = types.ModuleType(name)
    verifier.VerificationPipeline = verifier.VerifyResult = verifier.OpenAIVerifier = lambda *_a, **_k: None  # type: ignore[attr-defined]
    sys.modules[name] = verifier

from lmms_eval import tasks  # noqa: E402
from lmms_eval.tasks.ai2d import utils as ai2d  # noqa: E402
from lmms_eval.tasks.chartqa import utils as chartqa  # noqa: E402
from lmms_eval.tasks.mathvista import utils as mathvista  # noqa: E402
from lmms_eval.tasks.mme import utils as mme  # noqa: E402
from lmms_eval.tasks.mmstar import utils as mmstar  # noqa: E402
from lmms_eval.tasks.mmvet import utils as mmvet  # noqa: E402
from lmms_eval.tasks.mmvp import utils as mmvp  # noqa: E402
from lmms_eval.tasks.qbench import utils as qbench  # noqa: E402
from lmms_eval.tasks.scienceqa import utils as scienceqa  # noqa: E402

llavaw = importlib.import_module("lmms_eval.tasks.llava-in-the-wild.utils")

HERE = Path(__file__).parent
# The judge that is not there is no news.
logger.remove()
COLOURS = ("crimson", "teal", "gold", "navy", "olive", "plum")


def picture(number: int, kind: str = "PNG") -> bytes:
    """A scene of a few shapes, another for each number."""
    image = Image.new("RGB", (24 + 2 * number, 20 + number), COLOURS[number % 6])
    draw = ImageDraw.Draw(image)
    draw.ellipse((3, 3, 12 + number, 12), fill=COLOURS[(number + 2) % 6])
    draw.rectangle((14, 6, 20, 15), fill=COLOURS[(number + 4) % 6])
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def cell(number: int) -> dict[str, Any]:
    """A picture as the Image feature of Hugging Face stores it."""
    return {"bytes": picture(number), "path": None}


IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TEXTS = pa.list_(pa.string())


def table(name: str, columns: dict[str, pa.DataType], rows: list[tuple[Any, ...]], **options: Any) -> list[dict[str, Any]]:
    """Writes a table with the metadata that the datasets package leaves, and gives its rows."""
    docs = [dict(zip(columns, row, strict=True)) for row in rows]
    features = {k: {"_type": "Image"} if v == IMAGE else {"dtype": str(v), "_type": "Value"} for k, v in columns.items()}
    schema = pa.schema(list(columns.items()), metadata={"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(pa.Table.from_pylist(docs, schema=schema), HERE / f"{name}.parquet", **options)
    return docs


def opened(doc: dict[str, Any]) -> dict[str, Any]:
    """A row as the datasets package gives it: its pictures open."""
    return {k: Image.open(io.BytesIO(v["bytes"])) if isinstance(v, dict) and v.get("bytes") else v for k, v in doc.items()}


def said(path: str) -> dict[str, Any]:
    """What a task says to a model of which it knows nothing."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))
    home = Path(next(iter(tasks.__path__)))
    config = yaml.load((home / path).read_text(), Loader)  # noqa: S506
    while "lmms_eval_specific_kwargs" not in config and "include" in config:
        config = yaml.load((home / Path(path).parent / config["include"]).read_text(), Loader)  # noqa: S506
    own = config["lmms_eval_specific_kwargs"]
    return own.get("default", own)


def digests(visuals: list[Any]) -> list[str]:
    def digest(image: Image.Image) -> str:
        return hashlib.sha256(f"{image.width} {image.height} ".encode() + image.convert("RGB").tobytes()).hexdigest()

    return [digest(image) for image in visuals]


def lettered(texts: list[str]) -> dict[str, str]:
    return dict(zip("ABCDEFGH", texts, strict=False))


def all_tables() -> dict[str, list[dict[str, Any]]]:
    expected: dict[str, list[dict[str, Any]]] = {}

    def expect(name: str, docs: list[dict[str, Any]], utils: Any, text: Any, visual: Any, told: dict[str, Any], own: Any) -> None:
        rows = []
        for number, doc in enumerate(map(opened, docs)):
            row = {"prompt": text(doc, told), "pictures": digests(visual(doc)), "group": "", "options": []}
            rows.append(row | own(doc, number))
        expected[name] = rows

    pairs = [
        (1, "Is the disc left or right of the box?", "(a) Left (b) Right", "(a)", cell(0)),
        (2, "Is the disc left or right of the box?", "(a) Left (b) Right", "(b)", cell(1)),
        (3, "Can you see the rim of the disc?", "(a) Yes (b) No", "(b)", cell(2)),
        (4, "Can you see the rim of the disc?", "(a) Yes (b) No", "(a)", cell(3)),
    ]
    columns = {"Index": pa.int64(), "Question": pa.string(), "Options": pa.string(), "Correct Answer": pa.string(), "image": IMAGE}

    def of_mmvp(doc: dict[str, Any], _number: int) -> dict[str, Any]:
        found = mmvp.mmvp_process_results(doc, ["A"])["mmvp_pair_accuracy"]
        group = f"pair {found['pair_index']}"
        return {"id": str(doc["Index"]), "group": group, "answer": found["gt"], "options": mmvp._parse_options(doc["Options"])}

    expect("mmvp", table("mmvp", columns, pairs), mmvp, mmvp.mmvp_doc_to_text, mmvp.mmvp_doc_to_visual, said("mmvp/mmvp.yaml"), of_mmvp)

    asked = [
        ("existence/07.png", cell(0), "Is a disc in this picture? Please answer yes or no.", "Yes", "existence"),
        ("existence/07.png", cell(0), "Is a lamp in this picture? Please answer yes or no.", "No", "existence"),
        ("count/11.png", cell(1), "Are there two shapes? Please answer yes or no.", "Yes", "count"),
        ("count/11.png", cell(1), "Are there nine shapes? Please answer yes or no.", "No", "count"),
    ]
    columns = {"question_id": pa.string(), "image": IMAGE, "question": pa.string(), "answer": pa.string(), "category": pa.string()}

    def of_mme(doc: dict[str, Any], number: int) -> dict[str, Any]:
        found = next(iter(mme.mme_process_results(doc, [doc["answer"]]).values()))
        assert found["score"] == 1.0
        return {"id": str(number), "group": found["question_id"], "answer": doc["answer"], "category": found["category"]}

    expect("mme", table("mme", columns, asked), mme, mme.mme_doc_to_text, mme.mme_doc_to_visual, said("mme/mme.yaml"), of_mme)

    numbered = [
        ("What does the disc stand for?", ["the sun", "a seed", "an egg", "a cell"], "0", cell(0)),
        ("Which letter marks the box?", ["C", "A", "D", "B"], "3", cell(1)),
        ("How many parts are drawn?", ["3", "1", "2", "0"], "2", cell(2)),
        ("What would fade first?", ["N/A", "None", "the rim", "nan"], "1", cell(3)),
    ]
    columns = {"question": pa.string(), "options": TEXTS, "answer": pa.string(), "image": IMAGE}

    def of_ai2d(doc: dict[str, Any], number: int) -> dict[str, Any]:
        return {"id": str(number), "answer": ai2d.ai2d_doc_to_target(doc, "mcq"), "options": doc["options"]}

    expect("ai2d", table("ai2d", columns, numbered), ai2d, ai2d.ai2d_doc_to_text, ai2d.ai2d_doc_to_visual, said("ai2d/ai2d.yaml"), of_ai2d)

    sharp = [
        (0, cell(0), "How sharp is the disc?", "sharp", "soft", "N/A", "N/A", 2, 1, "B"),
        (1, cell(1), "Which fault is the worst?", "noise", "blur", "glare", "none of these", 1, 0, "D"),
        (2, cell(2), "Is the light even?", "yes", "no", "in parts", "N/A", 0, 3, "C"),
    ]
    columns = {"id": pa.int64(), "image": IMAGE, "question": pa.string()}
    columns |= {f"option{i}": pa.string() for i in range(4)}
    columns |= {"question_type": pa.int64(), "question_concern": pa.int64(), "correct_choice": pa.string()}

    def of_qbench(doc: dict[str, Any], _number: int) -> dict[str, Any]:
        options = [doc[f"option{i}"] for i in range(4) if doc[f"option{i}"] != "N/A"]
        return {"id": str(doc["id"]), "answer": doc["correct_choice"], "options": options}

    expect("qbench", table("qbench", columns, sharp), qbench, qbench.q_bench_doc_to_text, qbench.q_bench_doc_to_visual, said("qbench/qbench_dev.yaml"), of_qbench)

    about = {"category": "general-vqa", "skills": ["numeric commonsense"], "split": "testmini"}
    maths = [
        ("11", "How many shapes are drawn?", "images/11.jpg", cell(0), ["1", "2", "3"], None, None, "2", "multi_choice", "text", about, "Hint: ..."),
        ("12", "How wide is the box?", "images/12.jpg", cell(1), None, "cm", 1.0, "2.0", "free_form", "float", about, "Hint: ..."),
        ("13", "How many are round?", "images/13.jpg", cell(2), None, None, None, "1", "free_form", "integer", about, "Hint: ..."),
        ("14", "Where are its ends?", "images/14.jpg", cell(3), None, None, None, "[3, 12]", "free_form", "list", about, "Hint: ..."),
        ("15", "Which is the largest?", "images/15.jpg", cell(4), ["disc", "box"], None, None, "disc", "multi_choice", "text", about, "Hint: ..."),
    ]
    columns = {"pid": pa.string(), "question": pa.string(), "image": pa.string(), "decoded_image": IMAGE, "choices": TEXTS}
    columns |= {"unit": pa.string(), "precision": pa.float64(), "answer": pa.string(), "question_type": pa.string(), "answer_type": pa.string()}
    columns |= {"metadata": pa.struct([("category", pa.string()), ("skills", TEXTS), ("split", pa.string())]), "query": pa.string()}

    def of_mathvista(doc: dict[str, Any], _number: int) -> dict[str, Any]:
        found = mathvista.mathvista_process_results(doc, [doc["answer"]])["submission"]
        return {"id": found["question_id"], "answer": found["answer"], "options": found["choices"] or [], "category": found["metadata"]["category"]}

    told = said("mathvista/mathvista_testmini_format.yaml")
    # A list and another codec than snappy.
    docs = table("mathvista", columns, maths, compression="zstd", row_group_size=2)
    expect("mathvista", docs, mathvista, mathvista.mathvista_doc_to_text, mathvista.mathvista_doc_to_visual, told, of_mathvista)

    stars = [
        (i, f"Which shape is {word}?\nOptions: A: disc, B: box, C: both, D: none", cell(i), letter, "math", "geometry", {"source": "ours", "split": "val", "image_path": f"images/{i}.jpg"})
        for i, (word, letter) in enumerate((("round", "A"), ("flat", "B"), ("drawn", "C")))
    ]
    columns = {"index": pa.int64(), "question": pa.string(), "image": IMAGE, "answer": pa.string(), "category": pa.string(), "l2_category": pa.string()}
    columns |= {"meta_info": pa.struct([("source", pa.string()), ("split", pa.string()), ("image_path", pa.string())])}

    def of_mmstar(doc: dict[str, Any], _number: int) -> dict[str, Any]:
        assert mmstar.exact_match(doc["answer"], doc["answer"]) == 1.0
        return {"id": str(doc["index"]), "answer": doc["answer"], "category": doc["category"]}

    docs = table("mmstar", columns, stars, compression="gzip")
    expect("mmstar", docs, mmstar, mmstar.mmstar_doc_to_text, mmstar.mmstar_doc_to_visual, said("mmstar/mmstar.yaml"), of_mmstar)

    vets = [
        ("v1_0", cell(0), "What is left of the box?", "a disc<OR>a ball", "ours", "rec,spat"),
        ("v1_1", cell(1), "What does it say?", "nothing", "ours", "ocr"),
    ]
    columns = {"question_id": pa.string(), "image": IMAGE, "question": pa.string(), "answer": pa.string(), "image_source": pa.string(), "capability": pa.string()}

    def of_mmvet(doc: dict[str, Any], _number: int) -> dict[str, Any]:
        return {"id": doc["question_id"], "answer": doc["answer"], "category": doc["capability"]}

    docs = table("mmvet", columns, vets, compression="brotli")
    expect("mmvet", docs, mmvet, mmvet.doc_to_text, mmvet.mmvet_doc_to_visual, said("mmvet/mmvet.yaml"), of_mmvet)

    wild = [
        (0, "Tell me about the scene.", cell(0), "a disc beside a box", "A disc is beside a box.", "detail", "001.jpg"),
        (1, "Why is it so?", cell(1), "a disc beside a box", "Nobody moved it.", "complex", "002.jpg"),
    ]
    columns = {"question_id": pa.int64(), "question": pa.string(), "image": IMAGE, "caption": pa.string(), "gpt_answer": pa.string(), "category": pa.string(), "image_id": pa.string()}

    def of_llavaw(doc: dict[str, Any], _number: int) -> dict[str, Any]:
        return {"id": str(doc["question_id"]), "answer": doc["gpt_answer"], "category": doc["category"]}

    docs = table("llavaw", columns, wild, compression="lz4")
    expect("llavaw", docs, llavaw, llavaw.llava_doc_to_text, llavaw.llava_doc_to_visual, said("llava-in-the-wild/llava-in-the-wild.yaml"), of_llavaw)

    lessons = [
        (cell(0), "Which is warmer?", ["the disc", "the box"], 1, "Look at the colours.", "closed choice", "grade3", "natural science", "physics", "Heat", "Compare", "Warm things ...", "So ..."),
        (None, "Which word rhymes?", ["fox", "disc", "rim"], 0, "", "closed choice", "grade1", "language science", "writing", "Rhymes", "Match", "", ""),
        (cell(2), "How many sides?", ["4", "3", "0"], 2, "", "closed choice", "grade2", "natural science", "maths", "Shapes", "Count", "", ""),
    ]
    columns = {"image": IMAGE, "question": pa.string(), "choices": TEXTS, "answer": pa.int8(), "hint": pa.string()}
    columns |= {name: pa.string() for name in ("task", "grade", "subject", "topic", "category", "skill", "lecture", "solution")}

    def of_sqa(doc: dict[str, Any], number: int) -> dict[str, Any]:
        return {"id": str(number), "answer": scienceqa.sqa_doc_to_target(doc), "options": doc["choices"], "category": doc["category"]}

    docs = table("sqa", columns, lessons, compression="none", data_page_version="2.0")
    expect("sqa", docs, scienceqa, scienceqa.sqa_doc_to_text, scienceqa.sqa_doc_to_visual, said("scienceqa/scienceqa_img.yaml"), of_sqa)

    charts = [
        ("human_test", "Which bar is the tallest?", "Box", cell(0)),
        ("augmented_test", "What is the value of Disc?", "0.57", cell(1)),
        ("human_test", "Is it more than N/A?", "N/A", cell(2)),
    ]
    columns = {"type": pa.string(), "question": pa.string(), "answer": pa.string(), "image": IMAGE}

    def of_chartqa(doc: dict[str, Any], number: int) -> dict[str, Any]:
        assert chartqa.relaxed_correctness(doc["answer"], doc["answer"])
        return {"id": str(number), "answer": doc["answer"], "category": doc["type"]}

    docs = table("chartqa", columns, charts)
    expect("chartqa", docs, chartqa, chartqa.chartqa_doc_to_text, chartqa.chartqa_doc_to_visual, said("chartqa/chartqa.yaml"), of_chartqa)
    return expected


def others() -> None:
    """Files of which lmms-eval has no task: pictures beside the table, and pages in encodings that are less usual."""
    for number in range(3):
        (HERE / f"scene{number}.png").write_bytes(picture(number))
    columns = {"question": pa.string(), "options": TEXTS, "answer": pa.string(), "image": IMAGE}
    paths = [(f"Which is it, {i}?", ["disc", "box"], "AB"[i % 2], {"bytes": None, "path": f"scene{i}.png"}) for i in range(3)]
    table("paths", columns, paths)
    columns = {"id": pa.string(), "question": pa.string(), "image_1": IMAGE, "image_2": IMAGE, "answer": pa.string(), "score": pa.float32()}
    two = [(f"row {i}", "Are they the same?", cell(i), cell(i + 1), "No", 1.0 + i) for i in range(40)]
    encodings = {"id": "DELTA_BYTE_ARRAY", "question": "DELTA_LENGTH_BYTE_ARRAY", "score": "BYTE_STREAM_SPLIT"}
    table("encodings", columns, two, use_dictionary=False, column_encoding=encodings, row_group_size=16, data_page_version="2.0")


def main() -> None:
    expected = all_tables()
    others()
    made = {tool: version(tool) for tool in ("lmms-eval", "pyarrow", "pillow")}
    text = json.dumps({"made by": made, "tables": expected}, indent=1, ensure_ascii=False)
    (HERE / "expected.json").write_text(text + "\n", encoding="utf-8")
    print({name: len(rows) for name, rows in expected.items()}, sum(f.stat().st_size for f in HERE.iterdir()), "bytes")


if __name__ == "__main__":
    main()
