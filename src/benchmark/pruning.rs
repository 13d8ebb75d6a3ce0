//! Published ways of pruning visual tokens, by name: each is a list of interventions for a model.
//!
//! docs/pruning.md has the formula and the source of each, and says where a paper leaves one open.

use serde_json::{Value, json};

/// A way of pruning.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Names it.
    pub name: &'static str,
    /// Says in a line what it does.
    pub about: &'static str,
    /// The share of the visual tokens that its paper starts from.
    pub kept: f64,
    /// Set where it draws, so that it takes a seed.
    draws: bool,
    make: fn(Ask) -> Vec<Value>,
}

/// Says what a policy is asked for.
#[derive(Debug, Clone, Copy)]
struct Ask {
    /// The share that stays.
    kept: f64,
    seed: u64,
    layers: Layers,
}

/// Counts the layers of a model that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers {
    /// Counts those of the language model.
    pub language_model: usize,
    /// Counts those of the vision tower.
    pub vision_tower: usize,
}

impl Layers {
    /// Counts so many.
    pub const fn of(language_model: usize, vision_tower: usize) -> Self {
        Self {
            language_model,
            vision_tower,
        }
    }
}

/// Every policy.
pub const POLICIES: &[Policy] = &[
    Policy {
        name: "fastv",
        about: "after the second layer, those that the last token attends to most",
        kept: 0.5,
        draws: false,
        // Layers count from 0: this is FastV's K = 2.
        make: |ask| vec![after(1, ask.kept, &json!({}))],
    },
    Policy {
        name: "random",
        about: "at random, before the language model",
        kept: 0.5,
        draws: true,
        make: at_random,
    },
    Policy {
        name: "random-layer2",
        about: "at random, after the second layer: the control of FastV",
        kept: 0.5,
        draws: true,
        make: |ask| {
            vec![after(
                1,
                ask.kept,
                &json!({"randomSeed": ask.seed.to_string()}),
            )]
        },
    },
    Policy {
        name: "cls-attention",
        about: "those that the tower's class token attends to most, in the layer that is read \
                (FasterVLM)",
        kept: 0.25,
        draws: false,
        // LLaVA reads the last layer but one, which is the last that runs.
        make: |ask| vec![select(&class_attention(ask.kept, ask.layers))],
    },
    Policy {
        name: "cls-attention-last-block",
        about: "the same in the tower's very last block, as pictures of DINO have it",
        kept: 0.25,
        draws: false,
        // The tower's own attention, which is that of its very last block.
        make: |ask| vec![select(&json!({"salient": {"share": ask.kept}}))],
    },
    Policy {
        name: "visionzip",
        about: "54 of 64 by the class token, the others merged into 10 of 64 by their keys",
        // 64 of 576 tokens.
        kept: 1.0 / 9.0,
        draws: false,
        make: |ask| vec![zip(ask, "VALUE_MEAN")],
    },
    Policy {
        name: "visionzip-sum",
        about: "the same, each merged token the sum of its seed and the mean of the others",
        kept: 1.0 / 9.0,
        draws: false,
        make: |ask| vec![zip(ask, "VALUE_SEED_PLUS_MEAN")],
    },
    Policy {
        name: "sparsevlm",
        about: "in three stages, those that the question attends to most; KEPT on average",
        // 192 of 576 tokens.
        kept: 1.0 / 3.0,
        draws: false,
        make: sparse,
    },
    Policy {
        name: "pyramiddrop",
        about: "at the end of each quarter of the layers KEPT of those left, by the last token",
        kept: 0.5,
        draws: false,
        make: |ask| pyramid(ask, &json!({})),
    },
    Policy {
        name: "pyramiddrop-question",
        about: "the same by all tokens of the question",
        kept: 0.5,
        draws: false,
        make: |ask| pyramid(ask, &question()),
    },
];

/// Parses `POLICY`, `POLICY:KEPT` or, of those that draw, `POLICY:KEPT:SEED`, and returns the
/// interventions in canonical JSON.
pub fn pruning(text: &str, layers: Layers) -> Result<Vec<Value>, String> {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default();
    let Some(policy) = POLICIES.iter().find(|policy| policy.name == name) else {
        let names: Vec<&str> = POLICIES.iter().map(|policy| policy.name).collect();
        return Err(format!(
            "no way of pruning {name:?}; there are {}",
            names.join(", ")
        ));
    };
    let kept = match parts.next() {
        // NaN is in no range.
        Some(kept) => kept.parse().ok().filter(|kept| (0.0..=1.0).contains(kept)),
        None => Some(policy.kept),
    };
    let kept = kept.ok_or_else(|| format!("{text:?}: KEPT is a share, 0 to 1"))?;
    let seed = match parts.next() {
        Some(seed) if policy.draws => seed
            .parse()
            .map_err(|_| format!("{text:?}: SEED is a number"))?,
        Some(_) => return Err(format!("{text:?}: {name} draws nothing, and takes no seed")),
        None => 0,
    };
    if parts.next().is_some() {
        return Err(format!("{text:?}: POLICY:KEPT:SEED is all there is"));
    }
    // Two layers are what most of them need: one to look in, and one that is spared.
    if layers.language_model < 2 || layers.vision_tower < 1 {
        return Err(format!("{text:?}: the model has too few layers"));
    }
    Ok((policy.make)(Ask { kept, seed, layers }))
}

fn question() -> Value {
    json!({"receivedFrom": {"anyOf": [{"named": "NAMED_QUESTION"}]}})
}

/// Returns a prune to a share of what is there.
fn after(layer: usize, kept: f64, ranking: &Value) -> Value {
    let mut prune = json!({"layer": layer, "keepShare": kept});
    // Both are objects, made here.
    if let (Value::Object(prune), Value::Object(ranking)) = (&mut prune, ranking) {
        prune.extend(ranking.clone());
    }
    json!({"pruneTokens": prune})
}

fn at_random(ask: Ask) -> Vec<Value> {
    let set = json!({"random": {"ratio": ask.kept, "seed": ask.seed.to_string()}});
    vec![select(&set)]
}

/// Keeps a set before the language model, which counts positions as if the others were never there.
fn select(set: &Value) -> Value {
    json!({"selectTokens": {"tokens": {"anyOf": [set]}, "positions": "POSITIONS_COMPACT"}})
}

/// Selects by the attention of the last layer whose output is read.
fn class_attention(kept: f64, layers: Layers) -> Value {
    let last = layers.vision_tower - 1;
    json!({"measured": {
        "point": format!("vision_tower.blocks.{last}.attn.hook_pattern"),
        "measure": "MEASURE_ATTENTION_RECEIVED", "share": kept,
    }})
}

fn zip(ask: Ask, value: &str) -> Value {
    // Dominant and contextual tokens are 54 and 10, 108 and 20, or 162 and 30 of 576.
    // Shares of all tokens, which add up to KEPT.
    let (dominant, contextual) = (ask.kept * 54.0 / 64.0, ask.kept * 10.0 / 64.0);
    json!({"selectTokens": {
        "tokens": {"anyOf": [class_attention(dominant, ask.layers)]},
        "mode": "MODE_MERGE", "positions": "POSITIONS_COMPACT",
        "merge": {"share": contextual, "value": value},
    }})
}

fn sparse(ask: Ask) -> Vec<Value> {
    // After layers 2, 6 and 15 of 32, 300, 200 and 110 of 576 stay, where 192 do on average.
    let stages = [(2, 300.0), (6, 200.0), (15, 110.0)];
    let mut left = 1.0;
    let mut list = Vec::new();
    let mut last = None;
    for (layer, count) in stages {
        // At the same depth in a model of another length.
        let layer = layer * ask.layers.language_model / 32;
        // A stage cannot keep what the one before has dropped.
        let share = (ask.kept * count / 192.0).min(left);
        // In a short model stages may fall on one layer: the later one counts.
        if last == Some(layer) {
            list.pop();
        } else {
            last = Some(layer);
        }
        list.push((layer, share));
        left = share;
    }
    let mut before = 1.0;
    let mut prunes = Vec::new();
    for (layer, share) in list {
        // A share of what the stage before has left.
        let kept = if before > 0.0 { share / before } else { 0.0 };
        prunes.push(after(layer, kept.min(1.0), &question()));
        before = share;
    }
    prunes
}

fn pyramid(ask: Ask, ranking: &Value) -> Vec<Value> {
    let mut ends: Vec<usize> = (1..4)
        .map(|stage| stage * ask.layers.language_model / 4)
        .collect();
    // A model of fewer than four layers has quarters that end before its first.
    ends.retain(|end| *end > 0);
    ends.dedup();
    let stages = ends
        .into_iter()
        // Behind the last layer of each quarter.
        .map(|end| after(end - 1, ask.kept, ranking));
    stages.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLAVA: Layers = Layers {
        language_model: 32,
        vision_tower: 23,
    };

    #[test]
    fn policies_are_what_the_vectors_say() {
        let text = include_str!("../../tests/vectors/pruning.json");
        let vectors: Vec<Value> = serde_json::from_str(text).unwrap();
        let mut named = Vec::new();
        for vector in &vectors {
            let layers = Layers {
                language_model: vector["language_model"].as_u64().unwrap() as usize,
                vision_tower: vector["vision_tower"].as_u64().unwrap() as usize,
            };
            let policy = vector["policy"].as_str().unwrap();
            let list = Value::from(pruning(policy, layers).unwrap());
            assert_eq!(list, vector["interventions"], "{policy}");
            named.push(policy.split(':').next().unwrap());
        }
        assert!(POLICIES.iter().all(|policy| named.contains(&policy.name)));
    }

    #[test]
    fn sparse_keeps_what_its_paper_does() {
        let list = pruning("sparsevlm:0.3333333333333333", LLAVA).unwrap();
        let mut left = 576.0_f64;
        let mut counts = Vec::new();
        for prune in &list {
            left = (left * prune["pruneTokens"]["keepShare"].as_f64().unwrap()).round();
            counts.push(left);
        }
        assert_eq!(counts, [300.0, 200.0, 110.0]);
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for (text, why) in [
            ("slowv", "there are fastv"),
            ("fastv:2", "a share, 0 to 1"),
            ("fastv:", "a share, 0 to 1"),
            ("fastv:0.5:1", "takes no seed"),
            ("random:0.5:x", "SEED is a number"),
            ("random:0.5:1:2", "all there is"),
        ] {
            assert!(pruning(text, LLAVA).unwrap_err().contains(why), "{text}");
        }
    }
}
