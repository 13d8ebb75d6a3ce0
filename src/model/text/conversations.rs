//! The conversation templates of the original LLaVA repositories, by the names that they have in
//! `llava/conversation.py` of LLaVA and LLaVA-NeXT.
//!
//! A style is a template here; a name gives it a system prompt, roles and separators.

/// A conversation template of the original repository.
#[derive(Debug)]
pub(super) struct Conversation {
    /// Name in `conv_templates`; others that mean the same follow.
    pub(super) names: &'static [&'static str],
    /// Jinja.
    pub(super) source: &'static str,
    /// Variables that the template reads beside the messages.
    pub(super) variables: &'static [(&'static str, &'static str)],
}

const TWO: &str = include_str!("conversations/two.jinja");
const SINGLE: &str = include_str!("conversations/single.jinja");
const MARKED: &str = include_str!("conversations/marked.jinja");
const LLAMA_2: &str = include_str!("conversations/llama_2.jinja");
const LLAMA_3: &str = include_str!("conversations/llama_3.jinja");
const PLAIN: &str = include_str!("conversations/plain.jinja");
const LLAVA_1_5: &str = include_str!("conversations/llava_1_5.jinja");

const CURIOUS_HUMAN: &str = "A chat between a curious human and an \
     artificial intelligence assistant. \
    The assistant gives helpful, detailed, and polite answers to the human's questions.";
const CURIOUS_USER: &str = "A chat between a curious user and an \
     artificial intelligence assistant. \
    The assistant gives helpful, detailed, and polite answers to the user's questions.";
const VISION: &str = "You are a helpful language and vision assistant. \
    You are able to understand the visual content that the user provides, \
    and assist the user with a variety of tasks using natural language.";
const LLAMA_2_SYSTEM: &str = "You are a helpful, respectful and honest assistant. \
     Always answer as helpfully as possible, \
    while being safe.  Your answers should not include any harmful, unethical, racist, sexist, \
     toxic, dangerous, or illegal content. \
    Please ensure that your responses are socially unbiased and positive in nature.\n\n\
     If a question does not make any sense, or is \
    not factually coherent, explain why instead of answering something not correct. \
     If you don't know the answer to a question, \
    please don't share false information.";

/// User, assistant, separator, and what ends the assistant's turn.
const VICUNA: [(&str, &str); 4] = [
    ("user", "USER"),
    ("assistant", "ASSISTANT"),
    ("separator", " "),
    ("end", "</s>"),
];

macro_rules! vicuna {
    ($system:expr) => {
        &[
            ("system", $system),
            VICUNA[0],
            VICUNA[1],
            VICUNA[2],
            VICUNA[3],
        ]
    };
}

macro_rules! mpt {
    ($system:expr) => {
        &[
            ("system", $system),
            ("opening", "<|im_start|>system\n"),
            ("user", "<|im_start|>user\n"),
            ("assistant", "<|im_start|>assistant\n"),
            ("separator", "<|im_end|>"),
        ]
    };
}

/// All of them.
pub(super) const CONVERSATIONS: &[Conversation] = &[
    Conversation {
        names: &["vicuna_v1", "v1"],
        source: TWO,
        variables: vicuna!(CURIOUS_USER),
    },
    Conversation {
        names: &["llava_v1"],
        source: TWO,
        variables: vicuna!(CURIOUS_HUMAN),
    },
    Conversation {
        names: &["llava_v0"],
        source: SINGLE,
        variables: &[
            ("system", CURIOUS_HUMAN),
            ("user", "Human"),
            ("assistant", "Assistant"),
            ("separator", "###"),
        ],
    },
    Conversation {
        names: &["plain", "v0_plain"],
        source: PLAIN,
        variables: &[("separator", "\n")],
    },
    Conversation {
        names: &["llama_2"],
        source: LLAMA_2,
        variables: &[
            ("system", LLAMA_2_SYSTEM),
            // The original's `SeparatorStyle.LLAMA_2` puts it before every turn of the user.
            ("separator", "<s>"),
            ("end", "</s>"),
        ],
    },
    Conversation {
        names: &["llava_llama_2"],
        source: LLAMA_2,
        variables: &[("system", VISION), ("separator", "<s>"), ("end", "</s>")],
    },
    Conversation {
        names: &["llava_llama_2_simple"],
        source: LLAMA_2,
        variables: &[
            (
                "system",
                "Answer the questions about the visual content that the user provides.",
            ),
            ("separator", "<s>"),
            ("end", "</s>"),
        ],
    },
    Conversation {
        names: &["mistral_instruct", "llava_mistral_instruct"],
        source: LLAMA_2,
        // Mistral's [INST] without a system prompt, and without `<s>` between turns.
        variables: &[("system", ""), ("separator", ""), ("end", "</s>")],
    },
    Conversation {
        names: &["llava_llama_3"],
        source: LLAMA_3,
        variables: &[("system", VISION)],
    },
    Conversation {
        names: &["chatml_direct", "mistral_direct"],
        source: MARKED,
        variables: mpt!("Answer the questions."),
    },
    Conversation {
        names: &["mpt"],
        source: MARKED,
        variables: mpt!(
            "A conversation between a user and an LLM-based AI assistant. \
             The assistant gives helpful and honest answers."
        ),
    },
    Conversation {
        names: &["mistral_orca"],
        source: MARKED,
        variables: mpt!(
            "You are MistralOrca, a large language model trained by Alignment Lab AI. \
            Write out your reasoning step-by-step to be sure you get the right answers!"
        ),
    },
    Conversation {
        names: &["mistral_zephyr"],
        source: MARKED,
        variables: &[
            ("system", "You are a helpful AI assistant."),
            ("opening", "<|system|>\n"),
            ("user", "<|user|>\n"),
            ("assistant", "<|assistant|>\n"),
            ("separator", "</s>"),
        ],
    },
    Conversation {
        names: &["qwen_1_5", "qwen_2"],
        source: MARKED,
        variables: &[
            ("system", "You are a helpful assistant."),
            ("opening", "<|im_start|>system\n"),
            ("user", "<|im_start|>user\n"),
            ("assistant", "<|im_start|>assistant\n"),
            ("separator", "<|im_end|>\n"),
        ],
    },
    Conversation {
        names: &["gemma_instruct"],
        source: MARKED,
        variables: &[
            ("system", ""),
            ("opening", ""),
            ("user", "<start_of_turn>user\n"),
            ("assistant", "<start_of_turn>model\n"),
            ("separator", "<end_of_turn>\n"),
        ],
    },
    Conversation {
        names: &["llava-1.5"],
        source: LLAVA_1_5,
        variables: &[],
    },
];

/// Finds the conversation of that name.
pub(super) fn find(name: &str) -> Option<&'static Conversation> {
    CONVERSATIONS.iter().find(|c| c.names.contains(&name))
}

/// Lists all names, for errors and help.
pub(super) fn names() -> String {
    CONVERSATIONS
        .iter()
        .flat_map(|c| c.names)
        .copied()
        .collect::<Vec<_>>()
        .join(", ")
}
