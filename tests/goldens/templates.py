"""Writes templates.json: what transformers makes of the chat templates in templates/ and of twelve conversations.

Run by `python tests/goldens/templates.py` in a venv with requirements.txt. The prompts are those of the processor of tiny-gqa-tied; the
token ids are those of its one-step call, pictures not spread out (checked here against `apply_chat_template(tokenize=True)` with pictures).
"""

import base64
import copy
import datetime
import json
import struct
import sys
from importlib.metadata import version
from pathlib import Path

import transformers.utils.chat_template_utils as chat_template_utils
from PIL import Image
from transformers import AutoProcessor

HERE = Path(__file__).parent
MODEL = HERE / "tiny-gqa-tied" / "model"
TIME = "2024-07-09T08:05:03"
IMAGE = {"type": "image"}


class Fixed(datetime.datetime):
    """The time of `strftime_now`."""

    @classmethod
    def now(cls, tz=None):
        return cls.fromisoformat(TIME)


def text(words):
    return {"type": "text", "text": words}


def message(role, *parts):
    return {"role": role, "content": [text(p) if isinstance(p, str) else p for p in parts]}


CONVERSATIONS = [
    [message("user", IMAGE, "Is there a red circle?")],
    [message("user", "Which shapes are there?")],
    [message("system", "Answer briefly."), message("user", IMAGE, "What is this?")],
    [
        message("user", IMAGE, "What is this?"),
        message("assistant", "A circle."),
        message("user", IMAGE, "And this?"),
    ],
    [message("user", "Before ", IMAGE, " between ", IMAGE, IMAGE, " after.")],
    [message("user", IMAGE, "")],
    [message("system", "Réponds en français."), message("user", IMAGE, "日本語 ist schön — ok? 👍🏽 ΑΣ ﬁ \u2028\u00a0")],
    [message("user", IMAGE, "It's \"quoted\"\n\n\tand {{ braced }} {% if %} \\ # <b>&amp;</b>\n")],
    [message("user", IMAGE, "Continue, please."), message("assistant", "The circle is")],
    [message("user", IMAGE, "</s><s> <|im_end|> [INST] <pad> USER: who?"), message("assistant", "</s>"), message("user", "So?")],
    [
        message("system", "You judge pictures."),
        message("user", "Example one: ", IMAGE),
        message("assistant", "yes"),
        message("user", "Example two: ", IMAGE),
        message("assistant", "no"),
        message("user", IMAGE, "Is there a red circle?"),
    ],
    [
        message("user", "  spaces at the ends  ", IMAGE),
        message("assistant", " one, "),
        message("user", "go on\n"),
        message("assistant", "two, three, "),
    ],
]


def plain(conversation):
    """The same for templates that take plain text: a picture is a line of its own."""
    words = lambda part: "<image>\n" if part["type"] == "image" else part["text"]
    return [{"role": m["role"], "content": "".join(map(words, m["content"]))} for m in conversation]


def rendered(processor, template, conversation, **more):
    continues = conversation[-1]["role"] == "assistant"
    return processor.apply_chat_template(
        copy.deepcopy(conversation),
        chat_template=template,
        add_generation_prompt=not continues,
        continue_final_message=continues,
        **more,
    )


def with_pictures(conversation):
    picture = lambda part: {"type": "image", "image": Image.new("RGB", (28, 28))} if part == IMAGE else part
    return [{"role": m["role"], "content": [picture(p) for p in m["content"]]} for m in conversation]


def token_ids(processor, prompt):
    """As `ProcessorMixin.apply_chat_template` tokenizes: no special tokens where the template has begun with BOS."""
    bos = processor.tokenizer.bos_token
    return processor.tokenizer(prompt, add_special_tokens=not prompt.startswith(bos))["input_ids"]


def check_one_step(processor, template, conversation, ids):
    out = rendered(processor, template, with_pictures(conversation), tokenize=True, return_dict=True)["input_ids"]
    out = out[0] if isinstance(out[0], list) else out
    image = processor.tokenizer.convert_tokens_to_ids("<image>")
    places = ids.count(image)
    each = out.count(image) // max(places, 1)
    spread = [i for token in ids for i in [token] * (each if token == image else 1)]
    assert spread == out, (template, conversation)


def main():
    chat_template_utils.datetime = Fixed
    processor = AutoProcessor.from_pretrained(MODEL)
    config = json.loads((MODEL / "config.json").read_text())
    # Older repositories leave these to the processor's caller.
    processor.patch_size = config["vision_config"]["patch_size"]
    processor.vision_feature_select_strategy = config["vision_feature_select_strategy"]
    processor.num_additional_image_tokens = 1
    cases, checked = {}, 0
    for path in sorted((HERE / "templates").glob("*.jinja")):
        template = path.read_bytes().decode()
        text_only = path.name.startswith("text-")
        found = []
        for conversation in CONVERSATIONS:
            given = plain(conversation) if text_only else conversation
            try:
                prompt = rendered(processor, template, given, tokenize=False)
            except Exception as error:
                found.append({"error": type(error).__name__})
                continue
            ids = token_ids(processor, prompt)
            if not text_only and prompt.count("<image>") == sum(p == IMAGE for m in conversation for p in m["content"]):
                check_one_step(processor, template, conversation, ids)
                checked += 1
            packed = base64.b64encode(struct.pack(f"<{len(ids)}H", *ids)).decode()
            found.append({"text": prompt, "ids": packed})
        cases[path.stem] = {"text_only": text_only, "prompts": found}
    packages = {name: version(name) for name in ["transformers", "tokenizers", "jinja2", "torch", "pillow"]}
    golden = {"provenance": {"packages": packages, "time": TIME, "checked_in_one_step": checked},
              "conversations": CONVERSATIONS, "cases": cases}
    (HERE / "templates.json").write_text(json.dumps(golden, ensure_ascii=False, indent=0) + "\n")
    print(f"{len(cases)} templates, {checked} prompts checked in one step", file=sys.stderr)


if __name__ == "__main__":
    main()
