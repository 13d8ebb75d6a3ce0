"""Five tasks of a researcher, each with its picture: five_tasks.py TABLE.tsv FOLDER [ADDRESS]."""

import base64
import sys
from itertools import islice

import numpy as np
import pandas as pd

from scotoma import Client, add_noise, hooks, permute_tokens, plot_matrix, prune_tokens, rows, steer, tokens

table, folder, *address = sys.argv[1:]
client = Client(*address)
items = pd.read_csv(table, sep="\t").query("category == 'existence'")
asked = [(q, base64.b64decode(p)) for q, p in zip(items.question, items.image, strict=True)]
yes, no = ([own for own, answer in zip(asked, items.answer, strict=True) if answer == said] for said in ("yes", "no"))
(question, picture), words = yes[0], [" yes", " no"]
# Table 1: permuted visual tokens. Figure 8: how much each group of them matters.
noise = {str(i): [add_noise(hooks.projector.hook_tokens, 4, tokens=tokens.block(3, i), seed=1)] for i in range(9)}
run = client.evaluate(
    "shapes", islice(rows(table), 24), variants={"original": [], "permuted": [permute_tokens(1)], **noise}
)
accuracy = run.to_pandas().groupby("variant", sort=False).right.mean()
print(accuracy[["original", "permuted"]], run.plot().figure.savefig(f"{folder}/table1.png"))
drop = accuracy.original - accuracy[list(noise)].to_numpy().reshape(3, 3)
plot_matrix(drop, title="importance").figure.savefig(f"{folder}/figure8.png")
# Attention sinks: what every token receives, by layer.
captured = client.capture(question, hooks.blocks[:].attn.hook_pattern, picture)
plot_matrix(np.stack([own.array.mean((0, 1)) for own in captured])).figure.savefig(f"{folder}/sinks.png")
# Patching: where the model reads the answer from.
client.patching_grid(yes[0], (question, no[0][1]), *words).plot().figure.savefig(f"{folder}/patching.png")
# Pruning: how few visual tokens are enough.
shares = {"layer": range(1, 7), "keep_share": np.linspace(0, 1, 9)}
pruned = client.sweep(question, picture, continuations=words, grid=prune_tokens(1, 1), axes=shares)
pruned.plot().figure.savefig(f"{folder}/pruning.png")
# Steering by a difference of means.
last = hooks.blocks[4].hook_resid_post.at(tokens.last)
towards = client.mean_activation(yes[:12], last) - client.mean_activation(no[:12], last)
steered = client.sweep(*no[0], continuations=words, grid=steer(last, towards), axes={"scale": np.linspace(-2, 2, 9)})
steered.plot().figure.savefig(f"{folder}/steering.png")
