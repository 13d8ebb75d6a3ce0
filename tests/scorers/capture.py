"""The verdicts of lmms-eval's own scoring code on predictions of every kind; the only writer of verdicts.jsonl.

    python -m venv V && V/bin/pip install -r requirements.txt
    V/bin/pip install --no-deps lmms-eval==0.7.3 ms-vlmeval==0.0.20 llava-torch==1.2.2.post1
    V/bin/python capture.py

A line is {"rule", "item", "right", "wrong"}: `item` as a manifest has it, the texts that the tool counts as right and those that it
does not; for mathvista-normal a text is an extracted answer. Or it is {"rule", "item", "prompt"}. ms-vlmeval is VLMEvalKit as its
packagers put it on PyPI, llava-torch is LLaVA. Where VLMEvalKit would draw a letter, and no judge reads the answer, it is wrong here.
"""

from __future__ import annotations

import importlib.util
import json
import random
import runpy
import sys
import tempfile
import types
from importlib.metadata import version
from pathlib import Path

import yaml

# The judge, which is never asked here, wants the packages of many services.
judge = types.ModuleType("lmms_eval.llm_judge")
judge.Request = judge.ServerConfig = lambda *_a, **_k: None
judge.get_server = lambda *_a, **_k: None
sys.modules["lmms_eval.llm_judge"] = judge

from lmms_eval import tasks  # noqa: E402
from lmms_eval.tasks.ai2d import utils as ai2d  # noqa: E402
from lmms_eval.tasks.chartqa import utils as chartqa  # noqa: E402
from lmms_eval.tasks.mathvista import mathvista_evals as mathvista  # noqa: E402
from lmms_eval.tasks.mme import utils as mme  # noqa: E402
from lmms_eval.tasks.mmstar import utils as mmstar  # noqa: E402
from lmms_eval.tasks.mmvp import utils as mmvp  # noqa: E402
from lmms_eval.tasks.qbench import utils as qbench  # noqa: E402
from lmms_eval.tasks.mmvet import utils as mmvet  # noqa: E402
from lmms_eval.tasks.mathvista import utils as mathvista_task  # noqa: E402
from lmms_eval.tasks.scienceqa import utils as scienceqa  # noqa: E402



def of_package(package: str, path: str) -> types.ModuleType:
    """A file of a package, without the packages that the rest of it wants."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations is not None
    file = Path(next(iter(spec.submodule_search_locations))) / path
    own = importlib.util.spec_from_file_location(file.stem, file)
    assert own is not None and own.loader is not None
    module = importlib.util.module_from_spec(own)
    own.loader.exec_module(module)
    return module


log = types.ModuleType("vlmeval.smp.log")
log.get_logger = lambda *_a: None  # type: ignore[attr-defined]
sys.modules["vlmeval.smp.log"] = log
can_infer = of_package("vlmeval", "utils/matching_util.py").can_infer

OPTIONS = ["a red square", "the blue circle", "none of these", "3.5 apples"]
HOSTILE = [
    "", " ", "\n\t", "\x00", "\x1c A \x1f", "\u00a0B\u00a0", "Ａ", "Α", "a\u0301", "É.", "ǅ", "ß", "İ A", "🙂", "🙂 B", "A" * 500, "A B C D" * 50,
    "(((((A", ")A(", "A.B.C.D", "[A]", "{B}", "<A>", "`C`", "**D**", "\\A", "'B'", '"C"', "A\r\nB", "no answer", "N/A", "nan", "inf",
    "The answer is", "answer is ", "option", "Option  (b", "the answer is: c", "答案是B", "정답은 C", "答えはDです", "选A", "A或B", "…A…", "\u202eA", "\ufeffA",
]


def letters() -> list[str]:
    texts = list(HOSTILE)
    for letter in "ABCDE":
        for form in (
            "{}", "{}.", "{})", "({})", "{}:", "{} ", " {}\n", "{}. the blue circle", "{}) none", "({}) a red square", "{}: yes",
            "The answer is {}.", "The answer is ({}).", "The answer is {}", "the correct answer is {} because it is so",
            "I choose {}", "Option {}", "option ({}) is right", "My answer is {}, not A.", "It is {}", "It is {}!", "{} is right, B is not",
            "A or {}?", "Not A. Not B. So {}.", "Answer:{}", "Answer: {}\n\nExplanation: A cat.", "**{}**", "[{}]", "{},{}", "{}/A",
            "After some thought I would say that the right one is {} here", "The image shows A man. Best option is {}",
        ):
            texts.append(form.replace("{}", letter))
            texts.append(form.replace("{}", letter.lower()))
    texts += OPTIONS + [o.upper() for o in OPTIONS] + [f"I think that the right answer here is {o}." for o in OPTIONS]
    texts += [f"It can be {a} or {b}, I am not sure." for a in OPTIONS for b in OPTIONS if a != b]
    draw = random.Random(7)
    alphabet = ["A", "B", "C", "D", "a", "b", "(", ")", ".", ":", " ", "\n", ",", "is", "answer", "option", "The", "red", "no", "é"]
    texts += ["".join(draw.choice(alphabet) for _ in range(draw.randint(1, 12))) for _ in range(200)]
    return list(dict.fromkeys(texts))


def words() -> list[str]:
    texts = list(HOSTILE)
    for word in ("yes", "no", "Yes", "No", "YES", "NO", "y", "n", "Y", "N", "yess", "not", "know", "nope", "yeah", "maybe", "none", "eyes"):
        texts += [word, f"{word}.", f" {word} ", f"{word}, it is", f"{word}!", f"The answer is {word}", f'"{word}"', f".{word}", f"{word}\nno", f"{word[0]}.{word[1:]}"]
    draw = random.Random(8)
    texts += ["".join(draw.choice("yesno. ,YNES\n") for _ in range(draw.randint(1, 8))) for _ in range(100)]
    return list(dict.fromkeys(texts))


def numbers() -> list[str]:
    texts = list(HOSTILE)
    for number in (0, 1, 5, 10, 95, 100, 105, 106, -7, 3.5, 0.035, 1e6, 12345.678):
        texts += [str(number), f" {number}", f"{number}%", f"{number}%%", f"{number:e}", f"+{number}", f"{number}.", f"${number}", f"{number} apples", f"{number}\n"]
    texts += ["1_000", "1__0", "_1", "1_", "1,000", "1e400", "-inf", "Infinity", "NaN", "0x10", "1e", ".5", "5.", "%", "-%", "1e5%", "3.500", "٣", "1 000", "--1", "1.5.2"]
    texts += ["Red", "red", "RED", "red ", "Rot", "3.5 apples", "a red square", "Yes"]
    draw = random.Random(9)
    texts += ["".join(draw.choice("0123456789.-+%e_ ") for _ in range(draw.randint(1, 7))) for _ in range(150)]
    return list(dict.fromkeys(texts))


def item(**fields: object) -> dict[str, object]:
    return {"index": "1", "question": "?", **fields}


def by_llava(texts: list[str], answer: int) -> list[bool]:
    """LLaVA's eval_science_qa.py on all texts at once; it is a program, which reads and writes files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ids = [str(i) for i in range(len(texts))]
        (folder / "pid_splits.json").write_text(json.dumps({"test": ids}))
        (folder / "problems.json").write_text(json.dumps({i: {"choices": OPTIONS, "answer": answer} for i in ids}))
        lines = [json.dumps({"question_id": i, "text": t, "prompt": "<image>"}) for i, t in zip(ids, texts, strict=True)]
        (folder / "answers.jsonl").write_text("\n".join(lines))
        spec = importlib.util.find_spec("llava")
        assert spec is not None and spec.submodule_search_locations is not None
        program = Path(next(iter(spec.submodule_search_locations))) / "eval/eval_science_qa.py"
        out = ["--output-file", str(folder / "out.json"), "--output-result", str(folder / "result.json")]
        before, sys.argv = sys.argv, [str(program), "--base-dir", name, "--result-file", str(folder / "answers.jsonl"), *out]
        try:
            runpy.run_path(str(program), run_name="__main__")
        finally:
            sys.argv = before
        right = {row["question_id"] for row in json.loads((folder / "out.json").read_text())["correct"]}
    return [i in right for i in ids]


def prompts() -> list[dict[str, object]]:
    """What each task of lmms-eval says to a model of which it knows nothing."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))
    home = Path(next(iter(tasks.__path__)))

    def said(path: str) -> dict[str, object]:
        config = yaml.load((home / path).read_text(), Loader)  # noqa: S506
        while "lmms_eval_specific_kwargs" not in config and "include" in config:
            config = yaml.load((home / Path(path).parent / config["include"]).read_text(), Loader)  # noqa: S506
        own = config["lmms_eval_specific_kwargs"]
        return own.get("default", own)

    question, lettered = "What is it?", dict(zip("ABCD", OPTIONS, strict=True))
    choice = item(question=question, **lettered, answer="A")
    named = {f"option{i}": option for i, option in enumerate(OPTIONS)}
    problem = {"question": question, "choices": OPTIONS, "question_type": "multi_choice", "answer_type": "text"}
    rows = [
        ("mmvp/lmms-eval", item(question=question, A="x", B="y", answer="A"), mmvp.mmvp_doc_to_text({"Question": question, "Options": "(a) x (b) y"}, said("mmvp/mmvp.yaml"))),
        ("qbench/lmms-eval", choice, qbench.q_bench_doc_to_text({"question": question, **named}, said("qbench/qbench_dev.yaml"))),
        ("mme/lmms-eval", item(question=f"{question} Please answer yes or no.", answer="Yes"), mme.mme_doc_to_text({"question": f"{question} Please answer yes or no."}, said("mme/mme.yaml"))),
        ("mmstar/lmms-eval", item(question=f"{question}\nOptions: A: x, B: y", answer="A"), mmstar.mmstar_doc_to_text({"question": f"{question}\nOptions: A: x, B: y"}, said("mmstar/mmstar.yaml"))),
        ("mmvet/lmms-eval", item(question=question, answer="x"), mmvet.doc_to_text({"question": question}, said("mmvet/mmvet.yaml"))),
        ("chartqa/lmms-eval", item(question=question, answer="1"), chartqa.chartqa_doc_to_text({"question": question}, said("chartqa/chartqa.yaml"))),
        ("ai2d/lmms-eval", choice, ai2d.ai2d_doc_to_text({"question": question, "options": OPTIONS}, said("ai2d/ai2d.yaml"))),
        ("mathvista/lmms-eval", item(question=question, **lettered, answer=OPTIONS[0]), mathvista_task.mathvista_doc_to_text(problem, said("mathvista/mathvista_testmini_format.yaml"))),
    ]
    for hint in ("", "Look."):
        doc = {"hint": hint, "question": question, "choices": OPTIONS}
        rows.append(("sqa/lmms-eval", item(question=question, hint=hint, **lettered, answer="A"), scienceqa.sqa_doc_to_text(doc, said("scienceqa/scienceqa_img.yaml"))))
    for kind, precision in (("integer", 0), ("float", 1), ("float", 2), ("list", 0)):
        for unit in ("", "metres"):
            doc = {"question": question, "choices": None, "question_type": "free_form", "answer_type": kind, "precision": precision, "unit": unit}
            about = item(question=question, answer="1", answer_type=kind, precision=str(precision), unit=unit)
            rows.append(("mathvista/lmms-eval", about, mathvista_task.mathvista_doc_to_text(doc, said("mathvista/mathvista_testmini_format.yaml"))))
    return [{"rule": rule, "item": about, "prompt": prompt} for rule, about, prompt in rows]


def cases() -> list[dict[str, object]]:
    rows: dict[str, dict[str, object]] = {}

    def add(rule: str, about: dict[str, object], text: str, right: bool) -> None:
        row = rows.setdefault(rule + json.dumps(about), {"rule": rule, "item": about, "right": [], "wrong": []})
        row["right" if right else "wrong"].append(text)

    lettered = [(letter, dict(zip("ABCD", OPTIONS, strict=True))) for letter in "AB"]
    for text in letters():
        for answer, options in lettered:
            about = item(**options, answer=answer)
            pair = {"Question": "?", "Options": "(a) x (b) y", "Correct Answer": f"({answer.lower()})", "Index": 1}
            add("mmvp/lmms-eval", item(A="x", B="y", answer=answer), text, mmvp.mmvp_process_results(pair, [text])["mmvp_accuracy"]["is_correct"])
            add("mmstar/lmms-eval", about, text, mmstar.exact_match(text, answer))
            doc = {"choices": OPTIONS, "answer": "ABCD".index(answer)}
            add("sqa/lmms-eval", about, text, scienceqa.sqa_process_results(doc, [text])["exact_match"])
            read = ai2d.MultiChoiceRegexFilter().apply([[text]], [None])[0]
            from lmms_eval.api.metrics import exact_match_hf_evaluate

            found = exact_match_hf_evaluate([read], [answer], ignore_case=True, ignore_punctuation=True)["exact_match"]
            add("ai2d/lmms-eval", about, text, found == 1.0)
            all_choices, words_of = list("ABCD"), dict(zip("ABCD", OPTIONS, strict=True))
            # Where it finds nothing it draws, which is never right here.
            choice, qbench.random.choice = qbench.random.choice, lambda _letters: "-"
            parsed = qbench.parse_multi_choice_response(text, all_choices, words_of)
            qbench.random.choice = choice
            add("qbench/lmms-eval", about, text, parsed == answer)
            inferred = can_infer(text, dict(options)) == answer
            for benchmark in ("qbench", "mmstar", "sqa", "ai2d"):
                add(f"{benchmark}/vlmevalkit", about, text, inferred)
            pair = dict(zip("AB", OPTIONS, strict=False))
            add("mmvp/vlmevalkit", item(**pair, answer=answer), text, can_infer(text, dict(pair)) == answer)
    for answer, options in lettered:
        texts = letters() + [f"{letter}. {o}" for letter in "ABCDE" for o in OPTIONS]
        tails = ("", " Yes.", "\n", "!", "x", " The answer is B.", " the answer is B.", "\nThe answer is C")
        texts += [f"{head}The answer is {letter}{end}{tail}" for letter in "ABE" for head in ("", "So: ") for end in ".," for tail in tails]
        for text, right in zip(texts, by_llava(texts, "AB".index(answer)), strict=True):
            add("sqa/llava", item(**options, answer=answer), text, right)
    for text in words():
        for answer in ("Yes", "No"):
            doc = {"answer": answer, "category": "count", "question_id": "1"}
            score = mme.mme_process_results(doc, [text])["mme_perception_score"]["score"]
            add("mme/lmms-eval", item(answer=answer, category="count"), text, score == 1.0)
    for text in numbers():
        for answer in ("100", "3.5", "Red", "0", "10%"):
            add("chartqa/lmms-eval", item(answer=answer), text, chartqa.relaxed_correctness(text, answer))
    evaluator = mathvista.MathVistaEvaluator()
    kinds = [("integer", "100", 0), ("float", "3.5", 1), ("float", "0.04", 2), ("list", "[1, 2]", 0)]
    for text in numbers():
        for kind, answer, precision in kinds:
            found = evaluator.normalize_extracted_answer(text, [], "free_form", kind, precision)
            about = item(answer=answer, answer_type=kind, precision=str(precision))
            add("mathvista-normal", about, text, evaluator.safe_equal(found, answer))
    for text in letters():
        found = evaluator.normalize_extracted_answer(text, OPTIONS, "multi_choice", "text", 0)
        add("mathvista-normal", item(options=OPTIONS, answer=OPTIONS[1]), text, evaluator.safe_equal(found, OPTIONS[1]))
    return list(rows.values())


def main() -> None:
    asked, rows = prompts(), cases()
    out = Path(__file__).parent / "verdicts.jsonl"
    with out.open("w") as file:
        file.write(json.dumps({tool: version(tool) for tool in ("lmms-eval", "ms-vlmeval", "llava-torch")}) + "\n")
        file.writelines(json.dumps(row) + "\n" for row in [*asked, *rows])
    counts: dict[str, int] = {}
    for row in rows:
        counts[str(row["rule"])] = counts.get(str(row["rule"]), 0) + len(row["right"]) + len(row["wrong"])
    print(counts)


if __name__ == "__main__":
    main()
