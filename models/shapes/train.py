"""Trains the `shapes` model: a small LLaVA-1.5 in the Hugging Face format.

    python train.py --work WORK_FOLDER --out WEIGHTS_FOLDER [--steps 1800] [--threads 2]

Stage 1 trains the CLIP tower with two throw-away heads: what stands in each cell (from the layer that LLaVA reads) and
which classes the picture holds (from the pooled CLS token). Stage 2 aligns the projector: a visual token comes to point
where the embeddings of the words for its colour and its form point. Stage 3 trains projector and language model on
question-answer pairs and captions, by the loss of the answers and of aids. Without the aids the model learns to read and
to caption, and guesses at whatever takes finding a thing by its name. They are about the tokens that end a phrase that
names things ("red circle"): one attention head looks at the word before, one a layer above points at the cells named (the
first token where there are none), one counts them by how much attention it leaves to the first token, and throw-away heads
read row and column, of every visual token and of the cell pointed at. Stage 4 goes on with two aids more, for multiple
choice: an option looks at its letter, and the end of the question at the right option. The aids end before the last steps.

The tower is frozen after stage 1; all questions of a picture share its visual tokens in one sequence, and a block mask
keeps them from seeing each other. The tower has no position embedding (zeros, frozen): the order of the visual tokens,
which the language model knows by RoPE, is the only carrier of place, so that permuting them has something to break.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from scenes import CATEGORIES, CELL_COLOURS, CELL_FORMS, GRID, SIZE, Question, Scene, ask, caption, cell_classes, draw_scene
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

SPECIAL = ["<s>", "</s>", "<pad>", "<image>"]
BOS, EOS, PAD, IMAGE = range(4)
TOKENS = GRID * GRID
# The layer of the language model whose first head learns to point: late enough that "circle" has seen "red" before it.
POINTER_LAYER = 2
# The layer whose first head learns to look from the end of the question at the right option.
CHOOSER_LAYER = 5
# Cells that a question can name, at most.
MOST_THINGS = 7
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() }}: "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n{% endif %}{% endfor %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}</s>{% else %} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
EXTRA_TEXT = [
    "What is in this picture? Describe the image in one sentence.",
    "Please answer yes or no. Answer with one word. There is nothing here, 0 1 2 3 4 5 6 7 8 9.",
    "SYSTEM: USER: ASSISTANT: A. B. C. D.",
]


def train_tokenizer(seed: int) -> Tokenizer:
    """A byte-level BPE of 512 entries over the questions; digits stand alone."""
    rng = random.Random(seed)
    texts = []
    while len(texts) < 6000:
        scene = draw_scene(rng)
        for question in [caption(scene), *(ask(scene, rng, category) for category in CATEGORIES)]:
            if question:
                texts.append(f"USER: \n{question.prompt()} ASSISTANT: {question.target()}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=1,
    )
    tokenizer.train_from_iterator(texts + EXTRA_TEXT, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    return tokenizer


def new_model(vocabulary: int) -> LlavaForConditionalGeneration:
    """CLIP tower 4 x 128, two-layer projector, Llama 8 x 128 with grouped keys."""
    vision = CLIPVisionConfig(
        hidden_size=128, intermediate_size=256, num_hidden_layers=4, num_attention_heads=4, image_size=SIZE,
        patch_size=SIZE // GRID, projection_dim=64,
    )  # fmt: skip
    text = LlamaConfig(
        vocab_size=vocabulary, hidden_size=128, intermediate_size=192, num_hidden_layers=8, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048, rms_norm_eps=1e-5, bos_token_id=BOS, eos_token_id=EOS,
        pad_token_id=PAD, tie_word_embeddings=False,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=IMAGE, vision_feature_layer=-2,
        vision_feature_select_strategy="default", image_seq_length=TOKENS, pad_token_id=PAD,
        tie_word_embeddings=False,
    )  # fmt: skip
    return LlavaForConditionalGeneration._from_config(config, attn_implementation="eager")


def pixels(scenes: list[Scene]) -> torch.Tensor:
    """Normalised pixels (B, 3, 84, 84)."""
    raw = torch.stack([torch.frombuffer(bytearray(s.image.tobytes()), dtype=torch.uint8) for s in scenes])
    raw = raw.view(-1, SIZE, SIZE, 3).permute(0, 3, 1, 2).float() / 255.0
    return (raw - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def questions_of(scene: Scene, rng: random.Random) -> list[Question]:
    """At most five questions of mixed categories, the scarce ones first, at most one with options."""
    wanted = ["left/right", "reading", "arithmetic", "counting", "colour", *rng.sample(("existence", "existence", "colour", "counting", "left/right"), 5)]
    chosen: dict[str, Question] = {}
    for category in wanted:
        question = ask(scene, rng, category)
        crowded = question and question.options and any(q.options for q in chosen.values())
        if question and not crowded and len(chosen) < 5:
            chosen.setdefault(question.text, question)
    description = caption(scene) if rng.random() < 0.5 else None
    return [*chosen.values(), *([description] if description else [])]


class Packer:
    """Turns scenes with questions into one batch of block-masked sequences."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        ids = tokenizer.encode("USER: ").ids
        newline = tokenizer.encode("\n", add_special_tokens=False).ids
        self.prefix = ids + [IMAGE] * TOKENS + newline
        self.first_image = len(ids)
        self.cache: dict[str, list[int]] = {}
        self.ends: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        if text not in self.cache:
            self.cache[text] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return self.cache[text]

    def token_ending(self, text: str, at: int) -> int:
        """The place in `encode(text)` of the token that holds character `at - 1`."""
        if text not in self.ends:
            self.ends[text] = [end for _, end in self.tokenizer.encode(text, add_special_tokens=False).offsets]
        return next(i for i, end in enumerate(self.ends[text]) if end >= at)

    def naming_tokens(self, text: str, question: Question) -> list[int]:
        """The token that ends each phrase that the question names things by."""
        at, places = 0, []
        for phrase, _ in question.names:
            at = text.index(phrase, at) + len(phrase)
            places.append(self.token_ending(text, at))
        return places

    def option_tokens(self, text: str, question: Question) -> list[tuple[int, int]]:
        """The token that ends each option, and that of its letter."""
        places = []
        for number, option in enumerate(question.options):
            line = f"\n{chr(65 + number)}. {option}"
            at = text.index(line)
            places.append((self.token_ending(text, at + len(line)), self.token_ending(text, at + 2)))
        return places

    def pack(self, lists: list[list[Question]]) -> dict[str, torch.Tensor]:
        """ids, positions, labels of the answers (B, T), mask (B, 1, T, T), the block of each token (B, T; 0 = prefix,
        -1 = padding), and of every naming token its row, its place (N, 2) and whether it refers to a token (N, T); of every
        option its row, its place and its letter's (M, 3); of every choice its row, its place and the right option's."""
        rows, naming, referents, lettered, chosen = [], [], [], [], []
        for row, questions in enumerate(lists):
            ids, blocks, labels = list(self.prefix), [0] * len(self.prefix), [-100] * len(self.prefix)
            positions = list(range(len(ids)))
            for number, question in enumerate(questions, 1):
                asked = f"{question.prompt()} ASSISTANT:"
                ask_ids = self.encode(asked)
                answer_ids = [*self.encode(f" {question.target()}"), EOS]
                for place, (_, cells) in zip(self.naming_tokens(asked, question), question.names, strict=True):
                    naming.append((row, len(ids) + place))
                    referents.append([self.first_image + cell for cell in cells] or [0])
                for option, (place, letter) in zip(question.options, self.option_tokens(asked, question), strict=True):
                    lettered.append((row, len(ids) + place, len(ids) + letter))
                    if option == question.answer:
                        chosen.append((row, len(ids) + len(ask_ids) - 1, len(ids) + place))
                block = ask_ids + answer_ids
                # The label of a token is the next token of its block.
                labels += [-100] * (len(ask_ids) - 1) + answer_ids + [-100]
                ids += block
                blocks += [number] * len(block)
                positions += range(len(self.prefix), len(self.prefix) + len(block))
            rows.append((ids, blocks, positions, labels))
        longest = max(len(r[0]) for r in rows)
        longest = -(-longest // 16) * 16
        pad = lambda i, value: torch.tensor([r[i] + [value] * (longest - len(r[i])) for r in rows])  # noqa: E731
        ids, blocks, positions, labels = pad(0, PAD), pad(1, -1), pad(2, 0), pad(3, -100)
        causal = torch.ones(longest, longest, dtype=torch.bool).tril()
        same = (blocks[:, None, :] == blocks[:, :, None]) | (blocks[:, None, :] == 0)
        mask = (causal & same)[:, None]
        refers = torch.zeros(len(naming), longest)
        for i, tokens in enumerate(referents):
            refers[i, tokens] = 1.0
        return {
            "ids": ids, "positions": positions, "labels": labels, "mask": mask, "blocks": blocks,
            "naming": torch.tensor(naming).view(-1, 2), "refers": refers,
            "lettered": torch.tensor(lettered).view(-1, 3), "chosen": torch.tensor(chosen).view(-1, 3),
        }  # fmt: skip


def run(model: LlavaForConditionalGeneration, packer: Packer, batch: dict, images: torch.Tensor, aids: bool = False):
    """The language model's output: last_hidden_state (B, T, D); with the aids also hidden_states and attentions."""
    with torch.no_grad():
        states = model.model.vision_tower(images, output_hidden_states=True).hidden_states[-2][:, 1:]
    visual = model.model.multi_modal_projector(states)
    embeddings = model.model.language_model.embed_tokens(batch["ids"])
    start = packer.first_image
    embeddings = torch.cat([embeddings[:, :start], visual, embeddings[:, start + TOKENS :]], 1)
    mask = torch.zeros(batch["mask"].shape).masked_fill(~batch["mask"], -1e9)
    return model.model.language_model(
        inputs_embeds=embeddings, attention_mask=mask, position_ids=batch["positions"], use_cache=False,
        output_attentions=aids, output_hidden_states=aids,
    )  # fmt: skip


def train_tower(model: LlavaForConditionalGeneration, steps: int, size: int, log) -> None:
    """Stage 1: cell classes from the feature layer, picture classes from the pooled CLS token."""
    tower = model.model.vision_tower
    table = tower.embeddings.position_embedding.weight
    table.data.zero_()
    table.requires_grad_(False)
    width, colours, forms = tower.config.hidden_size, len(CELL_COLOURS), len(CELL_FORMS)
    heads = torch.nn.ModuleList([torch.nn.Linear(width, colours + forms), torch.nn.Linear(width, colours * forms)])
    parameters = [p for p in [*tower.parameters(), *heads.parameters()] if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.5e-3, total_steps=steps, pct_start=0.1)
    rng = random.Random(101)
    for step in range(steps):
        scenes = [draw_scene(rng) for _ in range(size)]
        colour, form = torch.tensor([cell_classes(s) for s in scenes]).unbind(1)
        present = F.one_hot(colour * forms + form, colours * forms).amax(1).float()
        out = tower(pixels(scenes), output_hidden_states=True)
        logits = heads[0](out.hidden_states[-2][:, 1:]).flatten(0, 1)
        loss = F.cross_entropy(logits[:, :colours], colour.flatten()) + F.cross_entropy(logits[:, colours:], form.flatten())
        loss = loss + F.binary_cross_entropy_with_logits(heads[1](out.pooler_output), present)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            busy = form.flatten() != 0
            hit = (logits[:, :colours].argmax(-1) == colour.flatten()) & (logits[:, colours:].argmax(-1) == form.flatten())
            log(stage=1, step=step, loss=round(loss.item(), 4), busy_cells_right=round(hit[busy].float().mean().item(), 4))


def align_projector(model: LlavaForConditionalGeneration, packer: Packer, steps: int, size: int, log) -> None:
    """Stage 2: visual tokens by cosine near the words of their cell; the head starts as a copy of the embeddings."""
    table = model.model.language_model.embed_tokens.weight
    parameters = [table, *model.model.multi_modal_projector.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.0)
    word = lambda name: packer.encode(name if name.isdigit() else f" {name}")[-1]  # noqa: E731
    colour_words = torch.tensor([-100] + [word(c) for c in CELL_COLOURS[1:]])
    form_words = torch.tensor([-100] + [word(f) for f in CELL_FORMS[1:]])
    rng = random.Random(111)
    for step in range(steps):
        scenes = [draw_scene(rng) for _ in range(size)]
        colour, form = torch.tensor([cell_classes(s) for s in scenes]).unbind(1)
        with torch.no_grad():
            states = model.model.vision_tower(pixels(scenes), output_hidden_states=True).hidden_states[-2][:, 1:]
        visual = F.normalize(model.model.multi_modal_projector(states).flatten(0, 1), dim=-1)
        logits = 12.0 * visual @ F.normalize(table, dim=-1).T
        loss = F.cross_entropy(logits, colour_words[colour.flatten()]) + F.cross_entropy(logits, form_words[form.flatten()])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 50 == 0 or step == steps - 1:
            log(stage=2, step=step, loss=round(loss.item(), 4), table=table.std().item(), visual=states.std().item())
    model.lm_head.weight.data.copy_(table.data)


@torch.no_grad()
def accuracy(model, packer: Packer, count: int, seed: int, blind: bool = False) -> dict[str, float]:
    """Share of questions per category whose whole answer is the greedy one, over `count` unseen scenes; `blind` shows the
    mean colour instead of each scene."""
    rng = random.Random(seed)
    right: dict[str, list[bool]] = {c: [] for c in (*CATEGORIES, "caption")}
    for _ in range(0, count, 50):
        scenes = [draw_scene(rng) for _ in range(50)]
        lists = [questions_of(s, rng) for s in scenes]
        batch = packer.pack(lists)
        seen = pixels(scenes) * (0.0 if blind else 1.0)
        predicted = model.lm_head(run(model, packer, batch, seen).last_hidden_state).argmax(-1)
        spread = (predicted == batch["labels"]) | (batch["labels"] == -100)
        for row, questions in enumerate(lists):
            for number, question in enumerate(questions, 1):
                right[question.category].append(bool(spread[row][batch["blocks"][row] == number].all()))
    return {c: round(sum(v) / max(1, len(v)), 3) for c, v in right.items()}


class Aids(torch.nn.Module):
    """The losses of stages 3 and 4 beside that of the answers; those about options in stage 4 alone."""

    def __init__(self, width: int, options: bool) -> None:
        super().__init__()
        self.options = options
        self.place = torch.nn.Linear(width, 2 * GRID)
        self.named_place = torch.nn.Linear(width, 2 * GRID)

    def forward(self, out, batch: dict, first_image: int) -> dict[str, torch.Tensor]:
        """Over a language model's output with hidden states and attentions (B, H, T, T)."""
        row, at = batch["naming"].unbind(1)
        refers = batch["refers"]  # (N, T)
        below, here = out.attentions[POINTER_LAYER - 1], out.attentions[POINTER_LAYER]
        log = lambda mass: (mass + 1e-6).log()  # noqa: E731
        counted = refers / (MOST_THINGS + 1)
        counted[:, 0] = 1.0 - counted[:, 1:].sum(1)
        cell = torch.arange(TOKENS).repeat(len(batch["ids"]))
        visual = out.hidden_states[POINTER_LAYER][:, first_image : first_image + TOKENS].flatten(0, 1)
        single = (refers.sum(1) == 1) & (refers[:, 0] == 0)
        pointed = out.hidden_states[POINTER_LAYER + 1][row, at][single]
        row_of, option, letter = batch["lettered"].unbind(1)
        row_in, answer, right = batch["chosen"].unbind(1)
        about_options = {
            "lettered": -0.5 * log(below[row_of, 1, option, letter]).mean(),
            "chosen": -0.5 * log(out.attentions[CHOOSER_LAYER][row_in, 0, answer, right]).mean(),
        }
        return (about_options if self.options else {}) | {
            "before": -0.5 * log(below[row, -1, at, at - 1]).mean(),
            "found": -0.5 * log((here[row, 0, at] * refers).sum(1)).mean(),
            "counted": -0.5 * (counted * log(here[row, -1, at])).sum(1).mean(),
            "placed": 0.1 * self.off(self.place(visual), cell),
            "named_placed": 0.1 * self.off(self.named_place(pointed), refers[single].argmax(1) - first_image),
        }

    @staticmethod
    def off(logits: torch.Tensor, cell: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of row and column."""
        row, column = cell.div(GRID, rounding_mode="floor"), cell.remainder(GRID)
        return F.cross_entropy(logits[:, :GRID], row) + F.cross_entropy(logits[:, GRID:], column)


def train_language(model, packer: Packer, stage: int, steps: int, size: int, work: Path, log) -> None:
    """Stage 3: answers with aids, at a constant rate. Stage 4: with those about options too, for the first 70 % of the
    steps, and a rate that goes down from the start."""
    model.model.vision_tower.requires_grad_(False)
    aids = Aids(model.config.text_config.hidden_size, options=stage == 4)
    parameters = [p for p in [*model.parameters(), *aids.parameters()] if p.requires_grad]
    rate = 1.5e-3 if stage == 3 else 1e-3
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.02, betas=(0.9, 0.98))
    scale = lambda s: min(1.0, (s + 1) / 150) * (1.0 if stage == 3 else 1.02 - s / steps)  # noqa: E731
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, scale)
    rng = random.Random(202 if stage == 3 else 505)
    start = time.monotonic()
    for step in range(steps):
        scenes = [draw_scene(rng) for _ in range(size)]
        batch = packer.pack([questions_of(s, rng) for s in scenes])
        aided = stage == 3 or step < 0.7 * steps
        out = run(model, packer, batch, pixels(scenes), aided)
        labels = batch["labels"]
        answers = F.cross_entropy(model.lm_head(out.last_hidden_state[labels != -100]), labels[labels != -100])
        loss, row = answers, {"loss": round(answers.item(), 4)}
        if aided:
            parts = aids(out, batch, packer.first_image)
            loss = answers + sum(parts.values())
            row |= {name: round(part.item(), 3) for name, part in parts.items()}
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if step % 25 == 0:
            log(stage=stage, step=step, **row, seconds=round(time.monotonic() - start))
        if step % 100 == 99 or step == steps - 1:
            log(stage=stage, step=step, **accuracy(model, packer, 150, seed=303))
            torch.save(model.state_dict(), work / f"stage{stage}.pt")


def export(model: LlavaForConditionalGeneration, tokenizer: Tokenizer, out: Path) -> None:
    """The Hugging Face folder: bf16 weights, configs, tokenizer, chat template, image processor."""
    out.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(out)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        additional_special_tokens=["<image>"],
    )  # fmt: skip
    fast.save_pretrained(out)
    (out / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}, image_mean=MEAN, image_std=STD
    )
    processor.save_pretrained(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the log and the stages that are done")
    parser.add_argument("--out", type=Path, required=True, help="folder for the finished model")
    parser.add_argument("--tower-steps", type=int, default=600)
    parser.add_argument("--align-steps", type=int, default=300)
    parser.add_argument("--naming-steps", type=int, default=800)
    parser.add_argument("--steps", type=int, default=1800)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    journal = (args.work / "train.jsonl").open("a", buffering=1)

    def log(**row) -> None:
        print(json.dumps(row), file=journal, flush=True)

    tokenizer = train_tokenizer(args.seed)
    model = new_model(tokenizer.get_vocab_size())
    packer = Packer(tokenizer)
    log(parameters=sum(p.numel() for p in model.parameters()), vocabulary=tokenizer.get_vocab_size())
    stages = {
        1: lambda: train_tower(model, args.tower_steps, 128, log),
        2: lambda: align_projector(model, packer, args.align_steps, 64, log),
        3: lambda: train_language(model, packer, 3, args.naming_steps, args.batch, args.work, log),
        4: lambda: train_language(model, packer, 4, args.steps, args.batch, args.work, log),
    }
    for stage, train in stages.items():
        done = args.work / f"stage{stage}.done.pt"
        if done.exists():
            model.load_state_dict(torch.load(done))
        else:
            train()
            torch.save(model.state_dict(), done)
    model.load_state_dict({k: v.to(torch.bfloat16).float() for k, v in model.state_dict().items()})
    log(final=accuracy(model, packer, 2000, seed=404), blind=accuracy(model, packer, 2000, seed=404, blind=True))
    export(model, tokenizer, args.out)


if __name__ == "__main__":
    main()
