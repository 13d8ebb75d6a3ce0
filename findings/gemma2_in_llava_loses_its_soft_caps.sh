#!/usr/bin/env bash
# transformers 5.17.0 (torch 2.15.0, CPU): a LLaVA over Gemma 2 is computed without Gemma 2's soft caps, and nothing says so.
#
# Gemma 2 bounds its attention scores (attn_logit_softcapping) and its logits (final_logit_softcapping). Seen with a tiny random
# LlavaForConditionalGeneration whose text_config is a Gemma2Config with both:
#   1. Its logits are the unbounded lm_head output: larger than final_logit_softcapping, where Gemma2ForCausalLM of the same weights
#      stays below. The greedy token is the same, log-probabilities and everything drawn from them are not.
#   2. By default it attends by "sdpa", which takes no soft cap, so attention scores are unbounded too; only
#      attn_implementation="eager" applies attn_logit_softcapping. The logits of the two differ by far more than rounding.
#      The same holds for a plain Gemma2ForCausalLM.
#
# Exits with 0 while this is so, with 1 once one of the two has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "torch==2.15.0" "transformers==5.17.0"
"$folder/venv/bin/python" - <<'PY'
import sys

import torch
from transformers import CLIPVisionConfig, Gemma2Config, Gemma2ForCausalLM, LlavaConfig, LlavaForConditionalGeneration

CAP = 3.0
vision = CLIPVisionConfig(
    hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
)
text = Gemma2Config(
    vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    head_dim=8, query_pre_attn_scalar=1, attn_logit_softcapping=1.0, final_logit_softcapping=CAP, initializer_range=0.5,
    tie_word_embeddings=False,
)
torch.manual_seed(1)
llava = LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=text, image_token_index=63)).eval()
alone = Gemma2ForCausalLM(text).eval()
alone.model.load_state_dict(llava.model.language_model.state_dict())
alone.lm_head.load_state_dict(llava.lm_head.state_dict())
ids = torch.arange(1, 21)[None]


@torch.no_grad()
def logits(model, attention):
    model.set_attn_implementation(attention)
    return model(input_ids=ids).logits


default = llava.config._attn_implementation
within, bounded = logits(llava, "eager").abs().max().item(), logits(alone, "eager").abs().max().item()
apart = (logits(llava, "sdpa") - logits(llava, "eager")).abs().max().item()
apart_alone = (logits(alone, "sdpa") - logits(alone, "eager")).abs().max().item()
print(f"final cap {CAP}: largest logit in LLaVA {within:.2f}, in Gemma2ForCausalLM {bounded:.2f}")
print(f"default attention {default}: off eager by {apart:.3f} in LLaVA, by {apart_alone:.3f} in Gemma2ForCausalLM")
still = within > CAP and bounded <= CAP and default == "sdpa" and apart > 1e-2 and apart_alone > 1e-3
sys.exit(0 if still else 1)
PY
