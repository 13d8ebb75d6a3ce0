//! Changes to valid inputs.

use serde_json::{Value, json};

/// SplitMix64: small, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Draws a number below `end`, or 0 where there is none.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Words that parsers treat specially, in every format that is fuzzed.
const WORDS: [&[u8]; 24] = [
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\x80",
    b"-1",
    b"0",
    b"1e308",
    b"NaN",
    b"18446744073709551616",
    b"9007199254740993",
    b"null",
    b"[]",
    b"{}",
    b"\"\"",
    b"{{",
    b"%}",
    b"{% for i in range(99999) %}",
    b"{% endfor %}",
    b" * 99999",
    b"[0]",
    b"..",
    b"\xf0\x9f\x98\x80",
    b"\xc3",
    b"'",
];

/// Applies one to eight changes to `seed`; `other` is a second valid input to splice from.
pub fn mutated(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    // Changed byte by byte most JSON is none any more, and its reader alone is tried.
    if random.below(2) == 0
        && let Ok(mut json) = serde_json::from_slice::<Value>(seed)
    {
        let other = serde_json::from_slice(other).unwrap_or(Value::Null);
        for _ in 0..=random.below(4) {
            change_json(&mut json, &other, random);
        }
        return json.to_string().into_bytes();
    }
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(8) {
        change(&mut bytes, other, random);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    // Headers hold what sizes are computed from, so half of the changes fall there.
    let reach = if random.below(2) == 0 {
        bytes.len().min(512)
    } else {
        bytes.len()
    };
    let at = random.below(reach);
    let end = (at + 1 + random.below(16)).min(bytes.len());
    match random.below(9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.next() as u8,
        2 => bytes.truncate(at),
        3 if at < end => drop(bytes.drain(at..end)),
        4 if at < end => {
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        5 => {
            let word = random.pick(&WORDS);
            bytes.splice(at..at, word.iter().copied());
        }
        6 => {
            let word = random.pick(&WORDS);
            let end = (at + word.len()).min(bytes.len());
            bytes.splice(at..end, word.iter().copied());
        }
        7 => change_number(bytes, at, random),
        8 if !other.is_empty() => {
            let from = random.below(other.len());
            let to = (from + 1 + random.below(64)).min(other.len());
            let end = (at + to - from).min(bytes.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        _ => {}
    }
}

/// Replaces a value somewhere in `json`: by another kind, or by one of `other`; or takes it away, or
/// repeats it.
fn change_json(json: &mut Value, other: &Value, random: &mut Random) {
    match json {
        Value::Array(list) if !list.is_empty() && random.below(6) > 0 => {
            let at = random.below(list.len());
            match random.below(8) {
                0 => drop(list.remove(at)),
                1 => list.insert(at, list[at].clone()),
                _ => change_json(&mut list[at], other, random),
            }
        }
        Value::Object(fields) if !fields.is_empty() && random.below(6) > 0 => {
            let at = random.below(fields.len());
            let name = fields.keys().nth(at).cloned().unwrap_or_default();
            match random.below(8) {
                0 => drop(fields.remove(&name)),
                1 => {
                    let value = part_of(other, random).clone();
                    fields.insert(name, value);
                }
                _ => change_json(&mut fields[&name], other, random),
            }
        }
        value => *value = odd_value(random),
    }
}

/// Picks a value somewhere in `json`.
fn part_of<'a>(json: &'a Value, random: &mut Random) -> &'a Value {
    match json {
        Value::Array(list) if !list.is_empty() && random.below(3) > 0 => {
            part_of(&list[random.below(list.len())], random)
        }
        Value::Object(fields) if !fields.is_empty() && random.below(3) > 0 => {
            let at = random.below(fields.len());
            fields
                .values()
                .nth(at)
                .map_or(json, |own| part_of(own, random))
        }
        _ => json,
    }
}

fn odd_value(random: &mut Random) -> Value {
    let small = random.below(9);
    match random.below(20) {
        0 => json!(0),
        1 => json!(-1),
        2 => json!(u64::MAX),
        3 => json!(i64::MIN),
        4 => json!(u32::MAX),
        5 => json!(9_007_199_254_740_993_u64),
        6 => json!(1e308),
        7 => json!(-1e-320),
        8 => json!(0.5),
        9 => json!(1.0),
        10 => Value::Null,
        11 => json!(true),
        12 => json!([]),
        13 => json!({}),
        14 => json!(""),
        15 => json!("NaN"),
        16 => json!(u64::MAX.to_string()),
        17 => json!(vec![small; small]),
        18 => json!(small.to_string()),
        _ => json!(small),
    }
}

/// Replaces the next run of digits, which keeps a text well formed more often than other changes.
fn change_number(bytes: &mut Vec<u8>, at: usize, random: &mut Random) {
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit) else {
        return;
    };
    let start = at + start;
    let count = bytes[start..]
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count();
    let number = match random.below(6) {
        0 => "0".into(),
        1 => "-1".into(),
        2 => u64::MAX.to_string(),
        3 => u32::MAX.to_string(),
        4 => "0.5".into(),
        _ => (random.next() >> random.below(64)).to_string(),
    };
    bytes.splice(start..start + count, number.into_bytes());
}
