"""The verdicts of lmms-eval's own scoring code on predictions of every kind; the only writer of verdicts.jsonl.

    python -m venv V && V/bin/pip install -r requirements.txt && V/bin/pip install --no-deps lmms-eval==0.7.3
    V/bin/python capture.py

A line is {"rule", "item", "right", "wrong"}: `item` as a manifest has it, the texts that the tool counts as right and those that it
does not; for mathvista-normal a text is an extracted answer. VLMEvalKit is on no package registry, so its rules are not captured.
"""

from __future__ import annotations

import json
import random
import sys
import types
from importlib.metadata import version
from pathlib import Path

# The judge, which is never asked here, wants the packages of many services.
judge = types.ModuleType("lmms_eval.llm_judge")
judge.Request = judge.ServerConfig = lambda *_a, **_k: None
judge.get_server = lambda *_a, **_k: None
sys.modules["lmms_eval.llm_judge"] = judge

from lmms_eval.tasks.ai2d import utils as ai2d  # noqa: E402
from lmms_eval.tasks.chartqa import utils as chartqa  # noqa: E402
from lmms_eval.tasks.mathvista import mathvista_evals as mathvista  # noqa: E402
from lmms_eval.tasks.mme import utils as mme  # noqa: E402
from lmms_eval.tasks.mmstar import utils as mmstar  # noqa: E402
from lmms_eval.tasks.mmvp import utils as mmvp  # noqa: E402
from lmms_eval.tasks.qbench import utils as qbench  # noqa: E402
from lmms_eval.tasks.scienceqa import utils as scienceqa  # noqa: E402

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
    rows = cases()
    out = Path(__file__).parent / "verdicts.jsonl"
    with out.open("w") as file:
        file.write(json.dumps({"tool": "lmms-eval", "version": version("lmms-eval")}) + "\n")
        file.writelines(json.dumps(row) + "\n" for row in rows)
    counts: dict[str, int] = {}
    for row in rows:
        counts[str(row["rule"])] = counts.get(str(row["rule"]), 0) + len(row["right"]) + len(row["wrong"])
    print(counts)


if __name__ == "__main__":
    main()
