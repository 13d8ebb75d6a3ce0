//! Chat templates: prompts and token ids as transformers makes them, where they are looked for, and
//! what a crafted one may cost.
#![allow(clippy::type_complexity, reason = "tests")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scotoma::model::{
    Chat, ChatTemplate, Error, Message, MessagePart, Rendered, Role, Source, Text,
};
use serde_json::{Value, json};

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

const MODEL: &str = "tiny-gqa-tied/model";

/// The tokenizer of the tiny model, and the id of its pictures.
fn text() -> (Text, u32) {
    let text = Text::load(&Source::Folder(goldens().join(MODEL))).unwrap();
    let image = text.token_id("<image>").unwrap();
    (text, image)
}

fn message(value: &Value) -> Message {
    let role = match value["role"].as_str().unwrap() {
        "system" => Role::System,
        "user" => Role::User,
        _ => Role::Assistant,
    };
    let part = |part: &Value| match part["text"].as_str() {
        Some(text) => MessagePart::Text(text.into()),
        None => MessagePart::Image,
    };
    Message {
        role,
        parts: value["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(part)
            .collect(),
    }
}

fn asks(words: &str) -> [Message; 1] {
    [Message {
        role: Role::User,
        parts: vec![MessagePart::Image, MessagePart::Text(words.into())],
    }]
}

#[test]
fn prompts_and_token_ids_are_those_of_transformers() {
    let json = std::fs::read_to_string(goldens().join("templates.json")).unwrap();
    let golden: Value = serde_json::from_str(&json).unwrap();
    let conversations: Vec<Vec<Message>> = golden["conversations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c.as_array().unwrap().iter().map(message).collect())
        .collect();
    let time = golden["provenance"]["time"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let source = Source::Folder(goldens().join(MODEL));
    let (text, image) = text();
    let (mut compared, mut refused) = (0, 0);
    let mut failures = Vec::new();
    for (name, case) in golden["cases"].as_object().unwrap() {
        let file = ChatTemplate::File(goldens().join(format!("templates/{name}.jinja")));
        let chat = match Chat::load(&source, Some(&file), &text, image) {
            Ok(chat) => chat.unwrap(),
            Err(e) => {
                failures.push(format!("{name}: {e}"));
                continue;
            }
        };
        assert_eq!(chat.is_text_only(), case["text_only"], "{name}");
        for (i, (messages, expected)) in conversations
            .iter()
            .zip(case["prompts"].as_array().unwrap())
            .enumerate()
        {
            let found = chat.render(messages, Some(time));
            match (found, expected["text"].as_str()) {
                (Err(_), None) => refused += 1,
                (Ok(found), Some(expected_text)) => {
                    let ids = text.encode_prompt(&found).unwrap();
                    let packed: Vec<u8> = ids
                        .iter()
                        .flat_map(|id| (*id as u16).to_le_bytes())
                        .collect();
                    if found.text != expected_text
                        || STANDARD.encode(packed) != expected["ids"].as_str().unwrap()
                    {
                        failures.push(format!(
                            "{name}, {i}:\n  {:?}\n  {expected_text:?}",
                            found.text
                        ));
                    }
                    compared += 1;
                }
                (found, expected) => {
                    failures.push(format!("{name}, {i}: {found:?} for {expected:?}"));
                }
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {compared}:\n{}",
        failures.len(),
        failures.join("\n")
    );
    println!("{compared} prompts are the same, {refused} are refused by both");
    assert!(compared > 450 && refused > 0, "{compared} {refused}");
}

#[test]
fn words_are_found_whatever_a_template_does_with_them() {
    let source = Source::Folder(goldens().join(MODEL));
    let (text, image) = text();
    let turn = |role, words: &str| Message {
        role,
        parts: vec![MessagePart::Text(words.into())],
    };
    let pictured = Message {
        role: Role::User,
        parts: vec![MessagePart::Text("a".into()), MessagePart::Image],
    };
    // The same words in several turns, one of them within what the template writes.
    let messages = [
        turn(Role::System, "a"),
        pictured,
        turn(Role::Assistant, " a "),
        turn(Role::User, "a\n"),
        turn(Role::Assistant, "a "),
    ];
    for name in [
        "mistral-alternation",
        "llama31-date-tools",
        "qwen-chatml-tools",
        "next-vicuna",
        "last-message",
    ] {
        let file = ChatTemplate::File(goldens().join(format!("templates/{name}.jinja")));
        let chat = Chat::load(&source, Some(&file), &text, image)
            .unwrap()
            .unwrap();
        let found = chat.render(&messages, None).unwrap();
        let mut seen: Vec<usize> = found.words.iter().map(|(message, _)| *message).collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4], "{name}: {:?}", found.text);
        for (message, place) in &found.words {
            assert_eq!(
                &found.text[place.clone()],
                "a",
                "{name}: {message} in {:?}",
                found.text
            );
        }
        assert_eq!(found.images, [1]);
        assert!(
            found
                .words
                .iter()
                .any(|(m, place)| *m == 4 && place.end >= found.text.trim_end().len()),
            "{name}"
        );
    }
}

/// A folder with the tiny model's tokenizer and other files.
fn folder(files: &[(&str, Value)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(goldens().join(MODEL).join(name), folder.path().join(name)).unwrap();
    }
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = content
            .as_str()
            .map_or_else(|| content.to_string(), str::to_owned);
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn load(files: &[(&str, Value)]) -> Result<Option<Chat>, Error> {
    let folder = folder(files);
    let (text, image) = text();
    Chat::load(&Source::Folder(folder.path().into()), None, &text, image)
}

/// A template that says where it stood.
fn place(name: &str) -> Value {
    json!(format!(
        "{{{{ '{name} ' }}}}{{% for m in messages %}}{{% for p in m.content %}}{{{{ p.text or '<image>' }}}}{{% endfor %}}{{% endfor %}}"
    ))
}

fn tokenizer_config(more: Value) -> Value {
    let json =
        std::fs::read_to_string(goldens().join(MODEL).join("tokenizer_config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&json).unwrap();
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    config
}

#[test]
fn templates_are_looked_for_where_transformers_looks_and_in_its_order() {
    let jinja = ("chat_template.jinja", place("J"));
    let legacy = ("chat_template.json", json!({ "chat_template": place("L") }));
    let processor = (
        "processor_config.json",
        json!({ "chat_template": place("P") }),
    );
    let named = (
        "processor_config.json",
        json!({ "chat_template": { "default": place("PD"), "x": place("PX") } }),
    );
    let own = (
        "tokenizer_config.json",
        tokenizer_config(json!({ "chat_template": place("C") })),
    );
    let list = json!({ "chat_template": [{ "name": "x", "template": place("CX") }, { "name": "default", "template": place("CD") }] });
    let list = ("tokenizer_config.json", tokenizer_config(list));
    let nameless = json!({ "chat_template": [{ "name": "x", "template": place("CX") }] });
    let nameless = ("tokenizer_config.json", tokenizer_config(nameless));
    let default = ("additional_chat_templates/default.jinja", place("AD"));
    let more = ("additional_chat_templates/x.jinja", place("AX"));
    // As AutoProcessor of transformers 5.17 has it; where it has none, as AutoTokenizer has it.
    let cases: &[(&[&(&str, Value)], Option<&str>)] = &[
        (&[], None),
        (&[&jinja], Some("J")),
        (&[&legacy], Some("L")),
        (&[&own], Some("C")),
        (&[&list], Some("CD")),
        (&[&nameless], None),
        (&[&processor], Some("P")),
        (&[&named], Some("PD")),
        (&[&jinja, &legacy], Some("L")),
        (&[&jinja, &processor], Some("P")),
        (&[&legacy, &processor], Some("P")),
        (&[&jinja, &own], Some("J")),
        (&[&legacy, &own], Some("L")),
        (&[&processor, &own], Some("P")),
        (&[&default], Some("AD")),
        (&[&more], None),
        (&[&more, &jinja], Some("J")),
        (&[&default, &jinja], Some("J")),
        (&[&more, &own], None),
    ];
    for (files, expected) in cases {
        let files: Vec<(&str, Value)> = files.iter().map(|f| (*f).clone()).collect();
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        let chat = load(&files).unwrap();
        let found = chat.map(|chat| chat.render(&asks("?"), None).unwrap().text);
        let found = found.as_deref().map(|text| text.split(' ').next().unwrap());
        assert_eq!(found, *expected, "{names:?}");
    }
    let both = load(&[legacy, more]).unwrap_err().to_string();
    assert!(
        both.contains("chat_template.json") && both.contains("additional_chat_templates"),
        "{both}"
    );
}

#[test]
fn special_tokens_are_those_of_transformers_and_bos_stands_once() {
    let template = json!(
        "{{ bos_token }}|{{ eos_token }}|{{ pad_token }}|{{ unk_token }}|{{ foo_token }}|{% for m in messages %}{% for p in m.content %}{{ p.text or '<image>' }}{% endfor %}{% endfor %}"
    );
    let begins = |config: Value, map: Option<Value>| {
        let mut files = vec![
            ("chat_template.jinja", template.clone()),
            ("tokenizer_config.json", tokenizer_config(config)),
        ];
        files.extend(map.map(|map| ("special_tokens_map.json", map)));
        let found = load(&files)
            .unwrap()
            .unwrap()
            .render(&asks("?"), None)
            .unwrap();
        (
            found.text.split("|<image>").next().unwrap().to_owned(),
            found.begun,
        )
    };
    let map = json!({ "bos_token": "<B>", "eos_token": { "content": "<E>" }, "foo_token": "<f>" });
    assert_eq!(begins(json!({}), None), ("<s>|</s>|<pad>||".into(), true));
    // Null is not there, and prints nothing.
    assert_eq!(
        begins(json!({ "bos_token": null, "eos_token": null }), None),
        ("||<pad>||".into(), false)
    );
    assert_eq!(
        begins(json!({}), Some(map.clone())),
        ("<B>|<E>|<pad>||<f>".into(), true)
    );
    assert_eq!(
        begins(json!({ "added_tokens_decoder": {} }), Some(map)),
        ("<s>|</s>|<pad>||".into(), true)
    );
    assert_eq!(
        begins(
            json!({ "extra_special_tokens": { "foo_token": "<g>" } }),
            None
        )
        .0,
        "<s>|</s>|<pad>||<g>"
    );
    let (text, _) = text();
    let bos = text.token_id("<s>").unwrap();
    let written = Rendered {
        text: "<s>Is there".into(),
        begun: true,
        ..Rendered::default()
    };
    let ids = text.encode_prompt(&written).unwrap();
    assert_eq!(ids.iter().filter(|id| **id == bos).count(), 1);
    assert_eq!(
        text.encode("Is there").unwrap(),
        ids,
        "as the tokenizer adds it"
    );
}

#[test]
fn a_template_that_fails_or_places_no_picture_is_an_error_that_names_file_and_line() {
    let fails = |template: &str| {
        load(&[("chat_template.jinja", json!(template))])
            .unwrap_err()
            .to_string()
    };
    for (template, line, words) in [
        ("{% for m in messages %}\n\n{% nope %}", 3, "nope"),
        ("a\n{{ 'x' | sparkle }}", 2, "sparkle"),
        ("a\n\n{{ messages[0].content.nope.deeper }}", 3, "nope"),
        ("{{ messages[0]['content'] }\n", 1, "}"),
        (
            "\n{{ raise_exception('not for pictures') }}",
            2,
            "not for pictures",
        ),
        ("{% if true %}\nonly words\n", 2, "endif"),
        ("words without a picture", 1, "picture"),
        ("{% block b %}{% endblock %}", 1, "block"),
        ("\n{{ 5 | pprint }}", 2, "pprint"),
    ] {
        let message = fails(template);
        assert!(
            message.contains("chat_template.jinja") && message.contains(&format!("line {line}")),
            "{message}"
        );
        assert!(message.contains(words), "{template}: {message}");
    }
    let json = load(&[(
        "chat_template.json",
        json!({ "chat_template": "{% nope %}" }),
    )])
    .unwrap_err()
    .to_string();
    assert!(
        json.contains("chat_template.json") && json.contains("chat_template, line 1"),
        "{json}"
    );
}

#[test]
fn a_crafted_template_costs_neither_gigabytes_nor_minutes() {
    let crafted = [
        "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{{ 'x' * 10 ** 9 }}",
        "{{ [0] * 10 ** 9 }}",
        "{% for i in range(10 ** 9) %}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ '%0999999999d' % 5 }}{{ '%.999999999f' % 0.1 }}",
        "{{ '{:999999999}'.format('a') }}",
        "{{ 'a'.center(999999999) }}",
        "{{ 'a' | center(999999999) }}",
        "{{ 'a'.zfill(999999999) }}{{ 'a'.ljust(999999999) }}",
        "{{ ('a\n' * 99999) | indent(99999) }}",
        "{{ ('a' * 99999).replace('a', 'b' * 99999) }}",
        "{{ (['a'] * 9999) | join('b' * 99999) }}",
        "{{ ('b' * 99999).join(['a'] * 9999) }}",
        "{{ [1] | batch(999999999, 0) | list }}{{ [1] | slice(999999999) | list }}",
        "{{ {'a': 1} | tojson(indent=999999999) }}{{ ([[[[1]]]] * 999) | tojson(indent=99999) }}",
        "{{ '\t' .expandtabs(999999999) }}",
        "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=1) %}{% for i in range(99999) %}{% set ns.x = namespace(x=ns.x) %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(x) %}{{ m(x ~ x) }}{{ m(x) }}{% endmacro %}{{ m('ab') }}",
        "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}aaaaaaaaaaaaaaaaaaaaaaaaaaaa{% endfor %}{% endfor %}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ ('a' * 9999999) in ('a' * 9999999) and ('a' * 9999999) | sort | list | length }}",
        "{{ range(99999) | map('string') | map('center', 99999) | list }}",
        "{{ (range(99999) | list) + (range(99999) | list) in [range(99999) | list] * 99999 }}",
        "{{ ('é' * 9999999).upper().lower().title().swapcase() | list | unique | list }}",
        "{{ strftime_now('%c' * 99999) }}",
        "{% for i in range(99999) %}what stands here is no more than plain text{% endfor %}<image> Which shapes are there?",
    ];
    for template in crafted {
        let start = Instant::now();
        let message = load(&[("chat_template.jinja", json!(template))])
            .unwrap_err()
            .to_string();
        assert!(
            start.elapsed().as_secs() < 20,
            "{template}: {:?}",
            start.elapsed()
        );
        assert!(message.len() < 2000, "{template}: {}", message.len());
    }
    let deep = [
        format!("{{{{ {}1{} }}}}", "(".repeat(9999), ")".repeat(9999)),
        format!("{{{{ {}1{} }}}}", "[".repeat(9999), "]".repeat(9999)),
        format!("{{{{ {}1 }}}}", "-".repeat(9999)),
        format!("{{{{ {}1 }}}}", "not ".repeat(99_999)),
        format!("{{{{ 1{} }}}}", " + 1".repeat(9999)),
        format!("{{{{ 'a'{} }}}}", "|upper".repeat(9999)),
        format!("{{{{ a{} }}}}", ".a".repeat(9999)),
        format!(
            "{}{}",
            "{% if true %}".repeat(9999),
            "{% endif %}".repeat(9999)
        ),
        format!("{{{{ {}1 }}}}", "1 if 1 else ".repeat(9999)),
        "{{".repeat(9999),
        "{#".repeat(99_999),
        "a".repeat(2 << 20),
    ];
    for template in deep {
        let message = load(&[("chat_template.jinja", json!(template))])
            .unwrap_err()
            .to_string();
        assert!(message.contains("chat_template.jinja"), "{message}");
    }
}

/// Returns why a template is refused.
fn refusal(template: &str) -> String {
    let loaded = load(&[("chat_template.jinja", json!(template))]);
    loaded.unwrap_err().to_string()
}

#[test]
fn rows_in_brackets_count_together_also_where_they_are_never_run() {
    // Each row by itself is allowed, and so are the brackets.
    for row in [".a", "|d", "**a", "*a", "+a", " or a", " if a"] {
        let mut nested = "a".to_owned();
        for _ in 0..3 {
            nested = format!("({nested}{})", row.repeat(300));
        }
        let message = refusal(&format!("{{% if false %}}{{{{ {nested} }}}}{{% endif %}}"));
        assert!(
            message.contains("more than 600 operators, subscripts, filters and blocks"),
            "{row}: {message}"
        );
    }
    // What stands side by side is no deeper for it.
    let rows = vec![format!("a{}", ".a".repeat(300)); 9];
    let beside = format!("[{0}] + [{0}]", rows.join(", "));
    let filters = "{% filter upper|lower %}{% endfilter %}".repeat(900);
    let message = refusal(&format!(
        "{{% if false %}}{{{{ {beside} }}}}{filters}{{% endif %}}"
    ));
    assert!(message.contains("picture"), "{message}");
}

#[test]
fn the_work_of_names_and_of_shared_values_is_limited() {
    let names = (0..20_000).map(|i| format!("{{% set v{i} = 0 %}}"));
    let names = names.collect::<Vec<_>>().concat();
    let turns = "{% for i in range(20000) %}{{ v19999 }}{% endfor %}";
    let attributes = (0..20_000).map(|i| format!("{{% set ns.v{i} = 0 %}}"));
    let attributes = attributes.collect::<Vec<_>>().concat();
    let read = "{% for i in range(20000) %}{{ ns.v19999 }}{% endfor %}";
    let parameters: Vec<String> = (0..20_000).map(|i| format!("v{i}=0")).collect();
    let parameters = parameters.join(", ");
    for template in [
        names + turns,
        format!("{{% set ns = namespace() %}}{attributes}{read}"),
        format!("{{% macro m({parameters}) %}}{{% endmacro %}}{{{{ m({parameters}) }}}}"),
        // One tuple, many times over.
        "{% set ns = namespace(t=(1, 1)) %}{% for i in range(50) %}\
         {% set ns.t = (ns.t, ns.t) %}{% endfor %}{{ ns.t in {} }}"
            .into(),
    ] {
        let (start, message) = (Instant::now(), refusal(&template));
        assert!(message.contains("more work than"), "{message}");
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }
    let itself = refusal("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}");
    assert!(itself.contains("inside one another"), "{itself}");
    // A missing name of megabytes is not written out each time, nor the items of loops counted.
    let loops = "{% for x in [loop, loop] %}".repeat(40);
    let ends = "{% break %}{% endfor %}".repeat(41);
    for template in [
        "{% set t = 'a' * 8000000 %}\
         {% for i in range(9999) %}{% set x = 1[t] is defined %}{% endfor %}"
            .into(),
        format!("{{% for x in [1, 1] %}}{loops}{ends}"),
    ] {
        let (start, message) = (Instant::now(), refusal(&template));
        assert!(message.contains("picture"), "{message}");
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }
    let long = refusal(&format!("{{{{ {} }}}}", "a".repeat(1001)));
    assert!(
        long.contains("a name of 1001 bytes; at most 1000"),
        "{long}"
    );
}

#[test]
fn numbers_are_compared_by_what_they_are_as_in_python() {
    let template = "<image>{{ [2 ** 53 + 1 == 2.0 ** 53, 2 ** 53 == 2.0 ** 53, \
        2 ** 53 + 1 > 2.0 ** 53, 2.0 ** 53 < 2 ** 53 + 1, 9223372036854775807 < 2.0 ** 63, \
        -9223372036854775807 > -(2.0 ** 63), 1 < 1.5, -1 > -1.5, 1 == 1.0, \
        1 ** (2 ** 33), (-1) ** (2 ** 33 + 1), 0 ** (2 ** 40)] }}\
        {% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}";
    let chat = load(&[("chat_template.jinja", json!(template))]);
    let chat = chat.unwrap().unwrap();
    let found = chat.render(&asks("what"), None).unwrap().text;
    let expected = "[False, True, True, True, True, True, True, True, True, 1, -1, 0]";
    assert!(found.contains(expected), "{found}");
}

#[test]
fn built_in_conversations_place_a_picture_and_continue() {
    let source = Source::Folder(goldens().join(MODEL));
    let (text, image) = text();
    let render = |name: &str, messages: &[Message]| {
        let chosen = name.parse::<ChatTemplate>().unwrap();
        let chat = Chat::load(&source, Some(&chosen), &text, image)
            .unwrap()
            .unwrap();
        assert_eq!(chat.origin(), name);
        chat.render(messages, None).unwrap().text
    };
    let turn = |role, words: &str| Message {
        role,
        parts: vec![MessagePart::Text(words.into())],
    };
    let several = || {
        let [first] = asks("One?");
        [
            first,
            turn(Role::Assistant, "Yes."),
            turn(Role::User, "Two?"),
        ]
    };
    let human = "A chat between a curious human and an artificial intelligence assistant. \
        The assistant gives helpful, detailed, and polite answers to the human's questions.";
    // As `get_prompt` of the original repositories writes them.
    let expected = [
        ("llava_v1", format!("{human} USER: <image>\nOne? ASSISTANT: Yes.</s>USER: Two? ASSISTANT:")),
        ("llava_v0", format!("{human}###Human: <image>\nOne?###Assistant: Yes.###Human: Two?###Assistant:")),
        ("plain", "<image>\nOne?\nYes.\nTwo?\n".into()),
        ("mistral_instruct", "[INST] <image>\nOne? [/INST] Yes. </s>[INST] Two? [/INST]".into()),
        (
            "chatml_direct",
            "<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n<image>\nOne?<|im_end|><|im_start|>assistant\nYes.\
             <|im_end|><|im_start|>user\nTwo?<|im_end|><|im_start|>assistant\n"
                .into(),
        ),
        (
            "qwen_1_5",
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<image>\nOne?<|im_end|>\n\
             <|im_start|>assistant\nYes.<|im_end|>\n<|im_start|>user\nTwo?<|im_end|>\n<|im_start|>assistant\n"
                .into(),
        ),
        ("llava-1.5", "USER: <image>\nOne? ASSISTANT: Yes. USER: Two? ASSISTANT:".into()),
    ];
    for (name, expected) in expected {
        assert_eq!(render(name, &several()), expected, "{name}");
    }
    let vicuna = render(
        "vicuna_v1",
        &[
            turn(Role::System, "Be brief."),
            turn(Role::User, "Two?"),
            turn(Role::Assistant, "It is"),
        ],
    );
    assert_eq!(vicuna, "Be brief. USER: Two? ASSISTANT: It is");
    let llama = render("llava_llama_2", &several());
    assert!(
        llama.starts_with("[INST] <<SYS>>\nYou are a helpful language and vision assistant."),
        "{llama}"
    );
    assert!(
        llama.ends_with("\n<</SYS>>\n\n<image>\nOne? [/INST] Yes. </s><s>[INST] Two? [/INST]"),
        "{llama}"
    );
    let unknown = "nonesuch".parse::<ChatTemplate>().unwrap_err();
    assert!(
        unknown.contains("vicuna_v1") && unknown.contains("qwen_1_5"),
        "{unknown}"
    );
}

mod requests {
    use scotoma::model::Source;
    use scotoma::server::{ModelSpec, ServerConfig};
    use scotoma_client::v1::tokens::{Named, Set};
    use scotoma_client::v1::{
        ChatMessage, Intervention, LoadModelRequest, Prompt, Scale, Target, TokenSelector, Tokens,
    };
    use scotoma_client::v1::{intervention::Kind, load_model_response::Event};
    use scotoma_client::{
        Finished, GenerateRequest, ScoreRequest, VerifyRequest, assistant, image, messages, prompt,
        system, user,
    };

    use super::goldens;
    use crate::common::{Running, picture};

    fn question() -> ChatMessage {
        user([image(picture()).into(), "Is there a red circle?".into()])
    }

    fn few_shot() -> Prompt {
        messages([
            system("Answer briefly."),
            question(),
            assistant("no"),
            question(),
        ])
    }

    async fn answer(
        client: &mut scotoma_client::Client,
        request: GenerateRequest,
    ) -> Result<Finished, scotoma_client::Error> {
        client
            .generate(GenerateRequest {
                max_tokens: 2,
                ..request
            })
            .await?
            .finish()
            .await
    }

    fn asked(prompt: Prompt) -> GenerateRequest {
        GenerateRequest {
            prompt: Some(prompt),
            ..Default::default()
        }
    }

    /// Halves the tokens of a set in front of the first layer.
    fn scaled(set: Set) -> GenerateRequest {
        let tokens = TokenSelector {
            any_of: vec![Tokens { set: Some(set) }],
            complement: false,
        };
        let point = "language_model.blocks.0.hook_resid_pre".into();
        let target = Target {
            point,
            tokens: Some(tokens),
            ..Default::default()
        };
        let kind = Kind::Scale(Scale {
            target: Some(target),
            factor: 0.5,
        });
        GenerateRequest {
            interventions: vec![Intervention { kind: Some(kind) }],
            ..asked(few_shot())
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn conversations_are_asked_recorded_and_verified() {
        let running = Running::start(ServerConfig::shapes()).await;
        let mut client = running.client().await;
        let info = client.get_model("").await.unwrap().chat_template.unwrap();
        assert!(
            info.origin.ends_with("chat_template.jinja") && !info.text_only,
            "{info:?}"
        );
        let finished = answer(&mut client, asked(few_shot())).await.unwrap();
        let record = finished.provenance.unwrap();
        let expected = "SYSTEM: Answer briefly. USER: <image>\nIs there a red circle? ASSISTANT: no</s>USER: <image>\nIs there a red circle? ASSISTANT:";
        assert_eq!(record.prompt_text, expected);
        assert_eq!(record.image_digests.len(), 2);
        assert!(
            !record.request.contains("\"data\""),
            "pictures are recorded by their hashes"
        );
        let request = VerifyRequest {
            provenance: Some(record),
            images: vec![image(picture())],
        };
        let verified = client.verify(request).await.unwrap();
        assert!(verified.agrees, "{:?}", verified.differences);
        // One message is the same as one text.
        let one = answer(&mut client, asked(messages([question()])))
            .await
            .unwrap()
            .provenance
            .unwrap();
        let text = answer(
            &mut client,
            asked(prompt("Is there a red circle?", [picture()])),
        )
        .await
        .unwrap()
        .provenance
        .unwrap();
        assert_eq!(
            (one.prompt_text, one.output_digest),
            (text.prompt_text, text.output_digest)
        );
        let continued = messages([question(), assistant("The answer is ")]);
        let continued = answer(&mut client, asked(continued))
            .await
            .unwrap()
            .provenance
            .unwrap();
        assert!(
            continued.prompt_text.ends_with("ASSISTANT: The answer is "),
            "{}",
            continued.prompt_text
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn selectors_know_turns_and_roles() {
        let running = Running::start(ServerConfig::shapes()).await;
        let mut client = running.client().await;
        let mut indices = Vec::new();
        let named = |named: Named| Set::Named(named.into());
        let sets = [
            Set::Turn(0),
            Set::Turn(1),
            Set::Turn(2),
            Set::Turn(3),
            named(Named::User),
            named(Named::Assistant),
            named(Named::Question),
            named(Named::Visual),
            named(Named::System),
        ];
        for set in sets {
            let record = answer(&mut client, scaled(set))
                .await
                .unwrap()
                .provenance
                .unwrap();
            indices.push(record.plan[0].resolutions[0].indices.clone());
        }
        let [
            system,
            first,
            example,
            second,
            users,
            assistants,
            question,
            visual,
            rules,
        ] = &indices[..]
        else {
            panic!()
        };
        let ends = |a: &[u32], b: &[u32]| a.last().unwrap() < b.first().unwrap();
        assert!(
            ends(system, first) && ends(first, example) && ends(example, second),
            "{indices:?}"
        );
        assert!(system.iter().all(|i| rules.contains(i)));
        assert_eq!(assistants, example);
        assert!(question.iter().all(|i| second.contains(i)) && question.len() < second.len());
        let union: std::collections::BTreeSet<u32> = users.iter().chain(visual).copied().collect();
        let both: std::collections::BTreeSet<u32> = first.iter().chain(second).copied().collect();
        assert_eq!(union, both, "words and pictures of the user's turns");
        let error = answer(&mut client, scaled(Set::Turn(4))).await.unwrap_err();
        assert!(error.to_string().contains("4 is not below 4"), "{error}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_wrong_with_a_conversation_is_said_with_its_place() {
        let running = Running::start(ServerConfig::shapes()).await;
        let mut client = running.client().await;
        let both = Prompt {
            text: "What?".into(),
            ..few_shot()
        };
        let marker = messages([user(["<image> What?".into()])]);
        let unset = messages([ChatMessage {
            role: 0,
            ..question()
        }]);
        let empty = messages([user([])]);
        let nothing = messages([question(), assistant(" ")]);
        for (prompt, field) in [
            (both, "prompt.messages"),
            (
                Prompt {
                    raw: true,
                    ..few_shot()
                },
                "prompt.messages",
            ),
            (marker, "prompt.messages[0].parts[0].text"),
            (unset, "prompt.messages[0].role"),
            (empty, "prompt.messages[0].parts"),
        ] {
            let error = answer(&mut client, asked(prompt)).await.unwrap_err();
            assert!(error.to_string().contains(&format!("{field}: ")), "{error}");
        }
        assert!(
            answer(&mut client, asked(nothing)).await.is_ok(),
            "nothing yet of an answer is its beginning"
        );
    }

    /// A picture's own token in a user's words would be a picture that nobody sent.
    #[tokio::test(flavor = "multi_thread")]
    async fn words_with_a_models_own_marker_are_refused() {
        let own = [
            ("tiny-pixtral", "[IMG]"),
            ("tiny-internvl", "<IMG_CONTEXT>"),
            ("tiny-gqa-tied", "<image>"),
        ];
        let models = own.map(|(set, _)| ModelSpec::new(set, crate::common::source(set)));
        let config = ServerConfig {
            models: models.into(),
            ..ServerConfig::shapes()
        };
        let running = Running::start(config).await;
        let mut client = running.client().await;
        for (model, marker) in own {
            let words = format!("What does {marker} mean?");
            let of = |prompt| GenerateRequest {
                model: model.into(),
                ..asked(prompt)
            };
            let raw = Prompt {
                raw: true,
                ..prompt(&words, [])
            };
            let parts = [
                scotoma_client::image(picture()).into(),
                words.as_str().into(),
            ];
            for (asked, field) in [
                (prompt(&words, []), "prompt.text"),
                (raw, "prompt.text"),
                (messages([user(parts)]), "prompt.messages[0].parts[1].text"),
            ] {
                let error = answer(&mut client, of(asked))
                    .await
                    .unwrap_err()
                    .to_string();
                assert!(
                    error.contains(&format!("{field}: ")) && error.contains(marker),
                    "{model}: {error}"
                );
            }
            let request = ScoreRequest {
                model: model.into(),
                prompt: Some(prompt("What is it?", [picture()])),
                continuations: vec!["red".into(), marker.into()],
                ..Default::default()
            };
            let error = client.score(request).await.unwrap_err().to_string();
            assert!(
                error.contains("continuations[1]: ") && error.contains(marker),
                "{model}: {error}"
            );
            // The marker of prompts places a picture in all of them.
            let placed = prompt("<image> What is it?", [picture()]);
            assert!(answer(&mut client, of(placed)).await.is_ok(), "{model}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_model_without_a_template_takes_raw_prompts_until_it_is_given_one() {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(goldens().join(super::MODEL)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "chat_template.jinja" {
                std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
            }
        }
        let spec = ModelSpec::new("bare", Source::Folder(folder.path().into()));
        let config = ServerConfig {
            models: vec![spec],
            allow_load: true,
            ..ServerConfig::shapes()
        };
        let running = Running::start(config).await;
        let mut client = running.client().await;
        assert!(client.get_model("").await.unwrap().chat_template.is_none());
        let error = answer(&mut client, asked(prompt("What is this?", [picture()])))
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("--chat-template")
                && error.to_string().contains("vicuna_v1"),
            "{error}"
        );
        let raw = Prompt {
            raw: true,
            ..prompt("<image> What is this?", [picture()])
        };
        answer(&mut client, asked(raw)).await.unwrap();
        let load = |name: &str, template: &str| LoadModelRequest {
            name: name.into(),
            place: folder.path().display().to_string(),
            chat_template: template.into(),
            ..Default::default()
        };
        let mut events = client
            .load_model(load("given", "mistral_instruct"))
            .await
            .unwrap();
        let mut info = None;
        while let Some(event) = events.message().await.unwrap() {
            if let Some(Event::Model(model)) = event.event {
                info = model.chat_template;
            }
        }
        let info = info.unwrap();
        assert!(
            info.origin == "mistral_instruct" && info.text_only,
            "{info:?}"
        );
        let request = GenerateRequest {
            model: "given".into(),
            ..asked(prompt("What is this?", [picture()]))
        };
        let record = answer(&mut client, request)
            .await
            .unwrap()
            .provenance
            .unwrap();
        assert_eq!(record.prompt_text, "[INST] <image>\nWhat is this? [/INST]");
        // What the template refuses is said in its words.
        let twice = messages([question(), question()]);
        let error = answer(
            &mut client,
            GenerateRequest {
                model: "given".into(),
                ..asked(twice)
            },
        )
        .await
        .unwrap_err();
        assert!(error.to_string().contains("alternate"), "{error}");
        let unknown = client
            .load_model(load("other", "nonesuch"))
            .await
            .unwrap_err();
        assert!(unknown.to_string().contains("chat_template"), "{unknown}");
    }
}
