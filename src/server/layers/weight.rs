//! Weighs a message as it comes: what it takes once it is decoded, which may be a hundred times its
//! bytes. Two bytes make an empty message, and those of an intervention in memory are hundreds.
//!
//! Knows protobuf's encoding and the contract's descriptor; nothing is decoded here.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::Type;

use crate::api::v1;

/// Bytes of a message in memory, about; a test holds the contract's against it.
const MESSAGE: u64 = 512;
/// Bytes of a text or a list in memory beside its own.
const TEXT: u64 = 32;
/// Bytes in memory of a number of which one byte may have come.
const NUMBER: u64 = 8;

/// Messages inside one another; prost reads no more.
const DEPTH: usize = 101;

/// The content of a field with a length.
#[derive(Debug, Clone, Copy)]
enum Content {
    /// A message of that number.
    Message(usize),
    /// Numbers, packed; so many bytes in memory for each that comes.
    Numbers(u64),
}

/// Knows the messages of the contract by their fields.
#[derive(Debug)]
pub(super) struct Contract {
    methods: HashMap<String, usize>,
    /// Fields by number; texts and bytes are left out.
    messages: Vec<HashMap<u64, Content>>,
}

impl Contract {
    /// Reads the descriptor that is compiled in.
    pub(super) fn read() -> Arc<Self> {
        // It decodes, since it was made with the code that reads it.
        let files = FileDescriptorSet::decode(v1::DESCRIPTOR).unwrap_or_default();
        let mut found = HashMap::new();
        for file in &files.file {
            for message in &file.message_type {
                collect(&mut found, &format!(".{}", file.package()), message);
            }
        }
        let numbers: HashMap<&str, usize> = found.keys().map(String::as_str).zip(0..).collect();
        let mut methods = HashMap::new();
        for file in &files.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    if let Some(&input) = numbers.get(method.input_type()) {
                        methods.insert(path, input);
                    }
                }
            }
        }
        // In the order of `found.keys()` above: the number of a message is its place here.
        let messages = found.values().map(|message| {
            let fields = message.field.iter();
            let fields = fields.filter_map(|f| Some((f.number() as u64, content(f, &numbers)?)));
            fields.collect()
        });
        Arc::new(Self {
            methods,
            messages: messages.collect(),
        })
    }
}

/// Says what a field weighs beside its bytes; texts and bytes weigh nothing more.
fn content(
    field: &prost_types::FieldDescriptorProto,
    numbers: &HashMap<&str, usize>,
) -> Option<Content> {
    match field.r#type() {
        Type::Message => numbers
            .get(field.type_name())
            .copied()
            .map(Content::Message),
        Type::String | Type::Bytes => None,
        // These take as many bytes in memory as on the wire.
        Type::Float
        | Type::Fixed32
        | Type::Sfixed32
        | Type::Double
        | Type::Fixed64
        | Type::Sfixed64 => Some(Content::Numbers(1)),
        _ => Some(Content::Numbers(NUMBER)),
    }
}

/// Collects a message and those that are declared in it, by their full names.
fn collect<'a>(
    found: &mut HashMap<String, &'a prost_types::DescriptorProto>,
    within: &str,
    message: &'a prost_types::DescriptorProto,
) {
    let name = format!("{within}.{}", message.name());
    for nested in &message.nested_type {
        collect(found, &name, nested);
    }
    found.insert(name, message);
}

/// Weighs one message.
#[derive(Debug)]
pub(super) struct Scale {
    contract: Arc<Contract>,
    /// The messages that are open, each with the place of its end.
    open: Vec<(usize, u64)>,
    place: u64,
    next: Next,
    weight: u64,
}

/// The part of a message that the next byte belongs to.
#[derive(Debug, Clone, Copy)]
enum Next {
    Tag(Varint),
    Number,
    Length(Varint, Option<Content>),
    /// So many bytes that say nothing.
    Bytes(u64),
    /// Nothing any more: what came is no message, as its decoder will find.
    Nothing,
}

/// A number of seven bits a byte that has come in part.
#[derive(Debug, Clone, Copy, Default)]
struct Varint {
    value: u64,
    bits: u32,
}

impl Varint {
    const ZERO: Self = Self { value: 0, bits: 0 };

    /// Takes a byte; returns the number with the last one.
    fn take(&mut self, byte: u8) -> Option<u64> {
        // Bits beyond 64 fall off; no decoder takes a number of more than ten bytes.
        self.value |= u64::from(byte & 0x7f).checked_shl(self.bits).unwrap_or(0);
        self.bits += 7;
        (byte < 0x80).then_some(self.value)
    }
}

impl Scale {
    /// Prepares to weigh a message of `length` bytes, of the type that the method at `path` takes.
    pub(super) fn new(contract: &Arc<Contract>, path: &str, length: u64) -> Self {
        let root = contract.methods.get(path).copied();
        Self {
            contract: contract.clone(),
            open: root.map(|root| (root, length)).into_iter().collect(),
            place: 0,
            next: root.map_or(Next::Nothing, |_| Next::Tag(Varint::ZERO)),
            weight: 0,
        }
    }

    /// Reads on, and returns what the message weighs so far beside its bytes.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> u64 {
        while let [first, ..] = bytes {
            let count = match self.next {
                Next::Nothing => break,
                Next::Bytes(left) => left.min(bytes.len() as u64),
                Next::Tag(_) | Next::Number | Next::Length(..) => 1,
            };
            self.place += count;
            self.next = match self.next {
                Next::Bytes(left) if left > count => Next::Bytes(left - count),
                Next::Tag(varint) => self.tag(varint, *first),
                Next::Length(varint, content) => self.length(varint, content, *first),
                Next::Number if *first >= 0x80 => Next::Number,
                Next::Number | Next::Bytes(_) => self.field(),
                Next::Nothing => break,
            };
            bytes = &bytes[count as usize..];
        }
        self.weight
    }

    /// Closes the messages that end here, and goes on with the next field.
    fn field(&mut self) -> Next {
        while self.open.last().is_some_and(|(_, end)| *end <= self.place) {
            self.open.pop();
        }
        Next::Tag(Varint::ZERO)
    }

    fn tag(&mut self, mut varint: Varint, byte: u8) -> Next {
        let Some(tag) = varint.take(byte) else {
            return Next::Tag(varint);
        };
        // The low three bits are the wire type, the others the number of the field.
        match tag & 7 {
            0 => Next::Number,
            1 => Next::Bytes(8),
            5 => Next::Bytes(4),
            2 => {
                // Of the innermost message that is open; fields that it does not have weigh
                // as texts.
                let fields = self.open.last().map(|(of, _)| &self.contract.messages[*of]);
                let content = fields.and_then(|fields| fields.get(&(tag >> 3)).copied());
                Next::Length(Varint::ZERO, content)
            }
            // Groups, which no message of the contract has; their fields count as the message's.
            3 | 4 => self.field(),
            _ => Next::Nothing,
        }
    }

    fn length(&mut self, mut varint: Varint, content: Option<Content>, byte: u8) -> Next {
        let Some(length) = varint.take(byte) else {
            return Next::Length(varint, content);
        };
        let end = self.place.saturating_add(length);
        // It would end behind its message, which no decoder takes.
        if self.open.last().is_none_or(|(_, of_all)| end > *of_all) {
            return Next::Nothing;
        }
        match content {
            Some(Content::Message(of)) => {
                self.weight += MESSAGE;
                if self.open.len() >= DEPTH {
                    return Next::Nothing;
                }
                self.open.push((of, end));
                self.field()
            }
            Some(Content::Numbers(each)) => {
                self.weight += TEXT + each * length;
                self.bytes(length)
            }
            None => {
                self.weight += TEXT;
                self.bytes(length)
            }
        }
    }

    fn bytes(&mut self, count: u64) -> Next {
        if count == 0 {
            self.field()
        } else {
            Next::Bytes(count)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/scotoma.v1.InferenceService/Generate";

    fn weight(message: &v1::GenerateRequest, chunk: usize) -> u64 {
        let bytes = message.encode_to_vec();
        let mut scale = Scale::new(&Contract::read(), PATH, bytes.len() as u64);
        let parts = bytes.chunks(chunk).map(|part| scale.read(part));
        parts.last().unwrap_or(0)
    }

    #[test]
    fn what_is_small_on_the_wire_and_large_in_memory() {
        let many = v1::GenerateRequest {
            interventions: vec![v1::Intervention::default(); 1000],
            ..Default::default()
        };
        let parts = vec![v1::ChatPart::default(); 500];
        let nested = v1::GenerateRequest {
            prompt: Some(v1::Prompt {
                messages: vec![v1::ChatMessage { role: 1, parts }; 2],
                ..Default::default()
            }),
            ..Default::default()
        };
        let picture = v1::Image {
            source: Some(v1::image::Source::Data(vec![0x0a; 1 << 20])),
        };
        let plain = v1::GenerateRequest {
            prompt: Some(v1::Prompt {
                text: "\n".repeat(10_000),
                images: vec![picture],
                ..Default::default()
            }),
            ..Default::default()
        };
        for chunk in [1, 7, usize::MAX] {
            assert_eq!(weight(&many, chunk), 1000 * MESSAGE);
            assert_eq!(weight(&nested, chunk), 1003 * MESSAGE);
            assert!(weight(&plain, chunk) < 3 * MESSAGE, "bytes are no messages");
        }
    }

    #[test]
    fn what_is_no_message_is_left_to_its_decoder() {
        for bytes in [
            &[0xff; 40][..],
            &[0x0a, 0x7f, 1],
            &[0x0f],
            &[0x13, 0x0a, 0x00],
        ] {
            let mut scale = Scale::new(&Contract::read(), PATH, bytes.len() as u64);
            assert!(scale.read(bytes) < 2 * MESSAGE);
        }
    }

    #[test]
    fn no_message_that_is_repeated_is_larger_than_it_is_said_to_be() {
        let sizes = [
            size_of::<v1::Intervention>(),
            size_of::<v1::ChatMessage>(),
            size_of::<v1::ChatPart>(),
            size_of::<v1::SweepVariant>(),
            size_of::<v1::SweepAxis>(),
            size_of::<v1::CaptureTarget>(),
            size_of::<v1::Tokens>(),
            size_of::<v1::Image>(),
        ];
        assert!(
            sizes.iter().all(|size| *size as u64 <= MESSAGE),
            "{sizes:?}"
        );
    }
}
