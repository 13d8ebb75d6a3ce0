"""Trains small SentencePiece models and records what transformers makes of them: tests/zoo/tokenizers.

    python make_tokenizers.py

Each case is a folder with tokenizer.model and what stands beside it; `ids.json` has for each text of `TEXTS` the ids that the
class named in the case gives, with special tokens. Versions: requirements.txt.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
import transformers
from transformers import GemmaTokenizer, LlamaTokenizer
from transformers.tokenization_utils_tokenizers import TokenizersBackend

HERE = Path(__file__).parent / "tokenizers"
WORDS = """what which where is are the a an of in on under beside behind picture image red green blue small large circle square triangle
table chair window street people person standing sitting holding wearing answer question yes no left right top bottom how many
describe explain letter option following according shown visible colour number three twelve naïve café über straße год мир привет
東京 日本語 質問 画像 你好 世界 안녕 세계 שלום مرحبا नमस्ते""".split()
PIECES = ["Hello world", "USER: What is it?\nASSISTANT:", " leading", "  two", "trailing ", "a  b   c", "12345", "3.14159", "1,000,000",
          "é", "e\u0301", "中文", "😀", "👩‍👩‍👧", "\n", "\n\n", "\t", "\r\n", "<s>", "</s>", "<unk>", "<pad>", "<image>", "<s>x</s>", "</s>\n", "<s> x",
          "▁", "▁x ▁", "ﬁ ½ ①", "ABC", "\u00a0", "\u200b", "\ufeff", "\u0000", "don't", "__init__", "x=y+z;", "{\"a\": 1}", "<0x41>", "<start_of_turn>user\n",
          "<end_of_turn>", "ﷺ", "Ω", "🇩🇪", "", " ", "   "]  # fmt: skip


def texts() -> list[str]:
    draw = random.Random(7)
    found = list(PIECES)
    for _ in range(260):
        parts = [draw.choice(PIECES if draw.random() < 0.35 else WORDS) for _ in range(draw.randint(2, 9))]
        found.append("".join(part + draw.choice(["", " ", " ", "  ", "\n", ", "]) for part in parts))
    return found


def corpus(path: Path) -> None:
    draw = random.Random(3)
    lines = [" ".join(draw.choice(WORDS) for _ in range(draw.randint(3, 12))) + draw.choice([".", "?", "!", ""]) for _ in range(4000)]
    path.write_text("\n".join(lines) + "\n")


def train(name: str, **options) -> Path:
    folder = HERE / "trained"
    folder.mkdir(parents=True, exist_ok=True)
    corpus(folder / "corpus.txt")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"), model_prefix=str(folder / name), minloglevel=2, num_threads=1, hard_vocab_limit=False, **options
    )
    path = folder / f"{name}.model"
    # The trainer writes down where it ran.
    model = sentencepiece_model_pb2.ModelProto.FromString(path.read_bytes())
    del model.trainer_spec.input[:]
    model.trainer_spec.ClearField("model_prefix")
    path.write_bytes(model.SerializeToString())
    return path


def added(content: str, **changes) -> dict:
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True} | changes


def main() -> None:
    transformers.logging.set_verbosity_error()
    shutil.rmtree(HERE, ignore_errors=True)
    identity = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False, "split_digits": True}
    plain = train("plain", vocab_size=600, model_type="bpe", byte_fallback=True, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, **identity)
    symbols = ["<start_of_turn>", "<end_of_turn>", "<image>", "\n\n"]
    gemma = train("gemma", vocab_size=600, model_type="bpe", byte_fallback=True, pad_id=0, eos_id=1, bos_id=2, unk_id=3,
                  pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>", user_defined_symbols=symbols, **identity)  # fmt: skip
    without = train("without", vocab_size=400, model_type="bpe", byte_fallback=False, **identity)
    unigram = train("unigram", vocab_size=500, model_type="unigram", byte_fallback=True)
    llama = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False}
    said = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    size = sentencepiece.SentencePieceProcessor(model_file=str(plain)).get_piece_size()
    cases = {
        "llama-bare": (plain, LlamaTokenizer, {}),
        "vicuna": (plain, LlamaTokenizer, {"tokenizer_config.json": llama | {"legacy": False} | {k: added(v) | {"__type": "AddedToken"} for k, v in said.items()},
                                           "special_tokens_map.json": {"pad_token": "<unk>", "bos_token": added("<s>")}}),
        "llama-legacy": (plain, LlamaTokenizer, {"tokenizer_config.json": llama | {"legacy": True}, "added_tokens.json": {"<pad>": size, "<image>": size + 1}}),
        "llama-added": (plain, LlamaTokenizer, {"tokenizer_config.json": llama | said | {
            "add_eos_token": True, "pad_token": "<pad>", "additional_special_tokens": ["<end_of_turn>"],
            "added_tokens_decoder": {"0": added("<unk>"), "1": added("<s>"), "2": added("</s>"),
                                     str(size): added("<image>", special=False, normalized=True, lstrip=True), str(size + 1): added("<pad>", rstrip=True)}}}),
        "llama-no-prefix": (plain, LlamaTokenizer, {"tokenizer_config.json": llama | {"add_prefix_space": False}}),
        "llama-symbols": (gemma, LlamaTokenizer, {"tokenizer_config.json": llama | {"bos_token": "<bos>", "eos_token": "<eos>"}}),
        "llama-without-bytes": (without, LlamaTokenizer, {"tokenizer_config.json": llama}),
        "gemma": (gemma, GemmaTokenizer, {"tokenizer_config.json": {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True}}),
        "unigram": (unigram, TokenizersBackend, {"tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": True}}),
    }  # fmt: skip
    out = {"versions": {m.__name__: m.__version__ for m in (transformers, sentencepiece)}, "texts": texts(), "cases": {}}
    for name, (model, kind, beside) in cases.items():
        folder = HERE / "case"
        folder.mkdir()
        shutil.copy(model, folder / "tokenizer.model")
        for file, content in beside.items():
            (folder / file).write_text(json.dumps(content))
        tokenizer = kind.from_pretrained(folder)
        out["cases"][name] = {"model": f"{model.stem}.model", "beside": beside, "ids": [tokenizer(t).input_ids for t in out["texts"]],
                              "decoded": [tokenizer.decode(tokenizer(t, add_special_tokens=False).input_ids, skip_special_tokens=True) for t in out["texts"][:60]]}  # fmt: skip
        shutil.rmtree(folder)
    for file in (HERE / "trained").glob("*.model"):
        file.rename(HERE / file.name)
    shutil.rmtree(HERE / "trained")
    (HERE / "ids.json").write_text(json.dumps(out, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
