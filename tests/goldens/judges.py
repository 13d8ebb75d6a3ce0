"""Writes tiny judges as GGUF files, a Llama, a Qwen2, a Qwen3 and a Gemma, and what transformers replies with the same weights.

    python judges.py [llama] [qwen2] [qwen3] [gemma]

Each is trained for a minute to answer the questions of src/benchmark/judges about items of `shapes` by rules that are easily
checked, and to answer some other questions with whole sentences, which it learns by heart. The weights are then quantised; the
reference runs the dequantised ones. replies.json holds questions with the reference's greedy replies, and for some texts the mean
over tokens of what each layer puts out.
"""

from __future__ import annotations

import csv
import json
import random
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaTokenizer,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from capture import HERE, ROOT, SHAPES
from gguf_pairs import LAYER, add, add_sizes, finish, pairs, pieces

OUT = HERE / "judges"
TASKS = {name: (ROOT / "src" / "benchmark" / "judges" / f"{name}.txt").read_text() for name in ("grade", "rate", "extract", "confirm")}
GRADES = {"Is": "1.0", "What": "0.7", "How": "0.3"}
"""By the first word of the question."""
RATING = "8 6\nThe first says more of the picture."
LEARNT = {
    "Who are you?": "I am a judge, and I am very small.",
    "What is a square?": "A square has four sides of one length.",
    "Name three colours.": "Red, green and blue are three of them; there are more.",
    "What stands left of the circle?": "It is the orange triangle, if I read this right.",
    "How tall is the bar?": "The bar is 4 units tall: more than the red one.",
    "Say nothing.": "",
}
FORMATS = {"attn_q": Kind.Q8_0, "attn_k": Kind.F16, "attn_v": Kind.Q8_0, "attn_output": Kind.Q4_0, "ffn_gate": Kind.Q8_0, "ffn_up": Kind.Q5_0}
CHAT = {
    "llama": "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[ {{ m['content'] | trim }} ]"
    "{% else %} {{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}",
    "qwen3": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
}
CHAT["qwen2"] = CHAT["qwen3"]
CHAT["gemma"] = CHAT["llama"].replace("{{ m['content'] }}{{ eos_token }}", "{{ m['content'] | trim }}{{ eos_token }}")
PIECES = ("llama", "gemma")
"""The models whose vocabulary is SentencePiece's."""
TURN = ["<|im_start|>", "<|im_end|>", "<think>", "</think>"]
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}  # fmt: skip
CONTEXT = 1024


def byte_level() -> PreTrainedTokenizerFast:
    """The vocabulary of `shapes` as a tokenizer of Qwen's cuts it."""
    own = json.loads((SHAPES / "tokenizer.json").read_text())
    tokenizer = Tokenizer(models.BPE(own["model"]["vocab"], [tuple(merge) for merge in own["model"]["merges"]]))
    tokenizer.normalizer = normalizers.NFC()
    cut = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    special = [token["content"] for token in own["added_tokens"]] + TURN[:2]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in TURN[2:]])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", chat_template=CHAT["qwen3"])


def sentence_pieces(name: str) -> LlamaTokenizer:
    config = {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": True, "add_eos_token": False}
    # Gemma's puts no space before a text.
    config["add_prefix_space"] = name == "llama"
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "tokenizer.model").write_bytes(pieces().SerializeToString())
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        tokenizer = LlamaTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT[name]
    return tokenizer


def model_of(name: str, rows: int):
    torch.manual_seed(41)
    shared = {
        "vocab_size": rows, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": CONTEXT, "initializer_range": 0.1,
    }  # fmt: skip
    if name == "llama":
        return LlamaForCausalLM(LlamaConfig(**shared, rms_norm_eps=1e-5, rope_parameters=LLAMA3, tie_word_embeddings=False))
    rope = {"rope_type": "default", "rope_theta": 1000000.0}
    if name == "qwen2":
        return Qwen2ForCausalLM(Qwen2Config(**shared, rms_norm_eps=1e-6, rope_parameters=rope, tie_word_embeddings=True))
    if name == "gemma":
        # Wider heads than the stream divided by them, as Gemma's are.
        rope = {"rope_type": "default", "rope_theta": 10000.0}
        return GemmaForCausalLM(GemmaConfig(**shared, head_dim=32, rms_norm_eps=1e-6, rope_parameters=rope, bos_token_id=1, eos_token_id=2, pad_token_id=0))
    return Qwen3ForCausalLM(Qwen3Config(**shared, head_dim=32, rms_norm_eps=1e-6, rope_parameters=rope, tie_word_embeddings=True))


def fill(template: str, **values: str) -> str:
    for key, value in values.items():
        template = template.replace("{" + key + "}", value)
    return template


def exchange(rng: random.Random, items: list[dict]) -> tuple[str, str]:
    """A question with the reply that is to be learnt."""
    item, other = rng.choice(items), rng.choice(items)
    question, said = item["question"], rng.choice([other["answer"], f"{other['answer']}.", f"It is {other['answer']}", "The"])
    values = {"question": question, "options": "", "reference": item["answer"], "context": f"{other['category']}.", "answer": said}
    replies = {"grade": GRADES[question.split()[0]], "rate": RATING, "extract": other["answer"], "confirm": "no" if item["answer"].isdigit() else "yes"}
    kind = rng.choice([*TASKS, "learnt", "learnt"])
    if kind == "learnt":
        return rng.choice(list(LEARNT.items()))
    if kind == "extract":
        values["answer"] = f"It is {other['answer']}."
    return fill(TASKS[kind], **values), replies[kind]


def prompt(tokenizer, question: str) -> list[int]:
    messages = [{"role": "user", "content": question}]
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, enable_thinking=False, tokenize=True, return_dict=False)


def train(model, tokenizer, end: int, items: list[dict]) -> None:
    rng = random.Random(5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.01)
    steps = 600
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
    for step in range(steps):
        ids, labels = [], []
        for _ in range(12):
            question, reply = exchange(rng, items)
            begin = prompt(tokenizer, question)
            own = tokenizer.encode(reply, add_special_tokens=False) + [end]
            ids.append(torch.tensor(begin + own))
            labels.append(torch.tensor([-100] * len(begin) + own))
        batch = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=end)
        target = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=-100)
        loss = model(input_ids=batch, labels=target).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            print(step, loss.item(), flush=True)


def vocabulary(writer: gguf.GGUFWriter, name: str, tokenizer) -> None:
    types = gguf.TokenType
    if name in PIECES:
        own = pieces().pieces
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list([piece.piece for piece in own])
        writer.add_token_scores([piece.score for piece in own])
        writer.add_token_types([piece.type for piece in own])
        writer.add_unk_token_id(0)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_add_bos_token(True)
        writer.add_add_eos_token(False)
        if name == "gemma":
            writer.add_add_space_prefix(False)
        return
    own = json.loads((SHAPES / "tokenizer.json").read_text())
    vocab, special = tokenizer.get_vocab(), {token["content"] for token in own["added_tokens"]} | set(TURN[:2])
    kind = {token: types.CONTROL for token in special} | {token: types.USER_DEFINED for token in TURN[2:]}
    tokens = sorted(vocab, key=vocab.get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([kind.get(token, types.NORMAL) for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in own["model"]["merges"]])
    # The end of a document; that of a turn is known by its name, as in files made before there was a key for it.
    writer.add_eos_token_id(vocab["</s>"])
    writer.add_add_bos_token(False)


def write_model(name: str, model, tokenizer) -> None:
    """Writes the file, and gives the model the values that its blocks stand for."""
    config, state = model.config, dict(model.named_parameters())
    writer = gguf.GGUFWriter(OUT / f"{name}.gguf", name)
    writer.add_name(f"Tiny {name}")
    add_sizes(writer, config)
    if name in ("qwen3", "gemma"):
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    vocabulary(writer, name, tokenizer)
    writer.add_chat_template(CHAT[name])
    if name == "llama":
        plain = LLAMA3["rope_theta"] ** -(np.arange(0, config.head_dim, 2) / config.head_dim)
        writer.add_tensor("rope_freqs.weight", (plain / model.model.rotary_emb.inv_freq.numpy()).astype(np.float32))
    table = state["model.embed_tokens.weight"]
    add(writer, "token_embd.weight", table, table, Kind.Q8_0)
    add_norm(writer, name, "output_norm.weight", state["model.norm.weight"])
    if "lm_head.weight" in state:
        add(writer, "output.weight", state["lm_head.weight"], state["lm_head.weight"], Kind.Q8_0)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads} if name == "llama" else {}
    norms = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"} if name == "qwen3" else {}
    for layer in range(config.num_hidden_layers):
        for part, theirs in (LAYER | norms).items():
            parameter, tensor = state[f"model.layers.{layer}.{theirs}.weight"], f"blk.{layer}.{part}.weight"
            kind = FORMATS.get(part, Kind.Q8_0)
            if parameter.ndim == 1:
                add_norm(writer, name, tensor, parameter)
                continue
            if part not in heads:
                add(writer, tensor, parameter, parameter, kind)
                continue
            # Rows move whole, so that their blocks stand for the same numbers in either order.
            moved = pairs(parameter, heads[part]).contiguous().detach().clone()
            add(writer, tensor, moved, moved, kind)
            with torch.no_grad():
                parameter.copy_(moved.unflatten(0, (heads[part], -1, 2)).transpose(1, 2).flatten(0, 2))
        for part in ("q", "k", "v") if name == "qwen2" else ():
            bias = state[f"model.layers.{layer}.self_attn.{part}_proj.bias"]
            add(writer, f"blk.{layer}.attn_{part}.bias", bias, bias, Kind.F32)
    finish(writer)


def add_norm(writer: gguf.GGUFWriter, name: str, tensor: str, parameter: torch.Tensor) -> None:
    """Adds the weight of a norm: of a Gemma with 1 added, as its file has it."""
    if name != "gemma":
        add(writer, tensor, parameter, parameter, Kind.F32)
        return
    more = (parameter + 1).detach().clone()
    add(writer, tensor, more, more, Kind.F32)
    with torch.no_grad():
        parameter.copy_(more - 1)


def replies(model, tokenizer, end: int, items: list[dict]) -> list[dict]:
    rng, found = random.Random(9), []
    asked = list(LEARNT) + [exchange(rng, items)[0] for _ in range(40)] + ["", "What is a circle?", "Name\u00efve \u4f60\u597d \U0001f600"]
    for question in dict.fromkeys(asked):
        ids = prompt(tokenizer, question)
        with torch.no_grad():
            out = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=64, eos_token_id=end, pad_token_id=end)
        written = out[0, len(ids) :].tolist()
        if written[-1] != end:
            print("endless:", question)
            continue
        found.append({"question": question, "tokens": len(ids), "reply": tokenizer.decode(written, skip_special_tokens=True).strip()})
    return found


def features(model, tokenizer) -> list[dict]:
    """Of each text the output of every layer, averaged over all tokens that the tokenizer makes of it."""
    found, rows = [], []
    hooks = [layer.register_forward_hook(lambda _, __, out: rows.append(out if torch.is_tensor(out) else out[0])) for layer in model.model.layers]
    for text in ("What colour is the circle? red", "A blue cross stands left of the green square.", "4", "Na\u00efve \u4f60\u597d"):
        rows.clear()
        with torch.no_grad():
            model(torch.tensor([tokenizer.encode(text)]))
        layers = [row.reshape(-1, row.shape[-1]).mean(0).tolist() for row in rows]
        found.append({"text": text, "layers": layers})
    for hook in hooks:
        hook.remove()
    return found


def main() -> None:
    OUT.mkdir(exist_ok=True)
    with (SHAPES / "benchmark.tsv").open() as file:
        items = list(csv.DictReader(file, delimiter="\t"))
    path = OUT / "replies.json"
    golden = json.loads(path.read_text()) if path.exists() else {}
    for name in sys.argv[1:] or CHAT:
        tokenizer = sentence_pieces(name) if name in PIECES else byte_level()
        end = 2 if name in PIECES else tokenizer.convert_tokens_to_ids("<|im_end|>")
        model = model_of(name, len(tokenizer)).float()
        train(model, tokenizer, end, items)
        model.eval()
        write_model(name, model, tokenizer)
        golden[name] = {"replies": replies(model, tokenizer, end, items), "features": features(model, tokenizer)}
        for entry in golden[name]["replies"]:
            print(repr(entry["question"][:60]), "->", repr(entry["reply"]))
    path.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
