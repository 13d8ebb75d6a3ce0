//! The part of Python's pickle format that `torch.save` writes, read without executing anything.
//!
//! Knows opcodes and the two functions that rebuild a tensor; a foreign opcode is an error, and any
//! other object counts as opaque. Values live in one arena and name each other by index, so that no
//! nesting of the input recurses here, and every length is checked against the bytes that are left
//! before anything is allocated.
//!
//! The reference is `pickletools` of CPython and `torch/_utils.py`.

use std::collections::HashMap;

/// Bytes of a pickle; a state dict of a thousand tensors has a quarter of a million.
pub(super) const MAX_BYTES: usize = 8 << 20;

/// Values of a pickle, each a byte or more of it and eighty in memory: ten thousand tensors have a
/// quarter of a million.
const MAX_VALUES: usize = 1 << 19;

/// Tensors of a pickle: an honest one takes eight values at least.
const MAX_TENSORS: usize = MAX_VALUES / 8;

/// Dimensions of a tensor; torch computes with no more.
const MAX_DIMENSIONS: usize = 64;

/// Bytes of the name of a tensor, of its storage or of its class.
const MAX_NAME: usize = 512;

/// A tensor as the pickle describes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Described {
    pub(super) name: String,
    /// Name of the storage class or dtype: FloatStorage, float8_e4m3fn.
    pub(super) kind: String,
    /// Name of the storage's file.
    pub(super) key: String,
    /// Counted in elements.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    /// Counted in elements.
    pub(super) strides: Vec<usize>,
}

/// Number of a value in the arena.
type Id = usize;

#[derive(Debug)]
enum Node<'a> {
    Opaque,
    Int(i64),
    Text(&'a str),
    /// Module and name.
    Global(&'a str, &'a str),
    Sequence(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Storage {
        kind: &'a str,
        key: &'a str,
    },
    Tensor(Rebuilt<'a>),
}

/// The arguments that a tensor is rebuilt from. Numbers of values, not copies: any number of
/// tensors may share a shape.
#[derive(Debug, Clone, Copy)]
struct Rebuilt<'a> {
    storage: Id,
    dtype: Option<&'a str>,
    offset: Id,
    shape: Id,
    strides: Id,
}

/// Reads the tensors of the dictionary at the top of a pickle, in its order.
pub(super) fn tensors(bytes: &[u8]) -> Result<Vec<Described>, String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!(
            "its pickle has {} bytes; at most {MAX_BYTES} are read",
            bytes.len()
        ));
    }
    let mut machine = Machine {
        left: bytes,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    let top = machine.run()?;
    machine.describe(top)
}

struct Machine<'a> {
    left: &'a [u8],
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// Runs to STOP and returns the value on top.
    fn run(&mut self) -> Result<Id, String> {
        loop {
            if self.nodes.len() > MAX_VALUES {
                return Err(format!("its pickle has more than {MAX_VALUES} values"));
            }
            // An opcode makes one value at most, so that one look before each is enough.
            let [op] = *self.array::<1>()?;
            if op == b'.' {
                return self.pop();
            }
            self.step(op)?;
        }
    }

    fn step(&mut self, op: u8) -> Result<(), String> {
        match op {
            // PROTO and FRAME.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            // MARK, which is kept as a height, so that no value on the stack is one.
            b'(' => self.marks.push(self.stack.len()),
            // POP; and BUILD, which sets attributes (a state dict's _metadata) that describe no
            // tensor.
            b'0' | b'b' => drop(self.pop()?),
            b'1' => drop(self.above_mark()?),
            b'2' => self.stack.push(self.top()?),
            // NONE, booleans and floats, which describe no tensor.
            b'N' | 0x88 | 0x89 => self.push(Node::Opaque),
            b'G' => self.float()?,
            b'J' => self.int()?,
            // BININT1 and BININT2 have no sign, unlike BININT above.
            b'K' => self.unsigned(1)?,
            b'M' => self.unsigned(2)?,
            0x8a => self.long()?,
            // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8: names of tensors and keys of storages.
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            // Bytes, and Python 2's strings. No tensor is named by them: torch writes the archive
            // by default since 1.6, and the last torch for Python 2 is 1.4.
            b'U' | b'C' => self.opaque_bytes(1)?,
            b'T' | b'B' => self.opaque_bytes(4)?,
            0x8e | 0x96 => self.opaque_bytes(8)?,
            b'c' => self.global()?,
            0x93 => self.stack_global()?,
            // EMPTY_TUPLE, EMPTY_LIST and EMPTY_SET.
            b')' | b']' | 0x8f => self.push(Node::Sequence(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            // Tuples, lists and frozen sets are alike: only their items matter.
            b't' | b'l' | 0x91 => self.list()?,
            b'd' => self.dict()?,
            0x85..=0x87 => self.tuple(usize::from(op - 0x84))?,
            b'a' => self.append_one()?,
            b'e' | 0x90 => {
                let items = self.above_mark()?;
                self.append(items)?;
            }
            b's' => self.insert_one()?,
            b'u' => {
                let items = self.above_mark()?;
                self.insert(pairs(&items)?)?;
            }
            // BINPERSID: storages are files of the archive, and the pickle names each by such an
            // id.
            b'Q' => self.persistent()?,
            b'R' | 0x81 => self.call()?,
            b'q' => self.remember(1)?,
            b'r' => self.remember(4)?,
            0x94 => self.memoize()?,
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            _ => return Err(format!("opcode {op:#04x}, which torch.save does not write")),
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, left) = self
            .left
            .split_at_checked(count)
            .ok_or("the pickle is cut off")?;
        self.left = left;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], String> {
        let (taken, left) = self
            .left
            .split_first_chunk::<N>()
            .ok_or("the pickle is cut off")?;
        self.left = left;
        Ok(taken)
    }

    /// Takes a little-endian number of `width` bytes.
    fn length(&mut self, width: usize) -> Result<usize, String> {
        let number = self
            .take(width)?
            .iter()
            .rev()
            .fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        usize::try_from(number).map_err(|_| "the pickle is cut off".into())
    }

    /// Takes the text up to a line's end.
    fn line(&mut self) -> Result<&'a str, String> {
        let end = self
            .left
            .iter()
            .position(|b| *b == b'\n')
            .ok_or("the pickle is cut off")?;
        let line = self.take(end)?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|e| e.to_string())
    }

    fn text(&mut self, width: usize) -> Result<(), String> {
        let length = self.length(width)?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|e| e.to_string())?;
        self.push(Node::Text(text));
        Ok(())
    }

    fn opaque_bytes(&mut self, width: usize) -> Result<(), String> {
        let length = self.length(width)?;
        self.take(length)?;
        self.push(Node::Opaque);
        Ok(())
    }

    /// Runs BINFLOAT, which describes no tensor.
    fn float(&mut self) -> Result<(), String> {
        self.take(8)?;
        self.push(Node::Opaque);
        Ok(())
    }

    /// Runs BININT.
    fn int(&mut self) -> Result<(), String> {
        let value = i32::from_le_bytes(*self.array()?);
        self.push(Node::Int(value.into()));
        Ok(())
    }

    fn unsigned(&mut self, width: usize) -> Result<(), String> {
        let value = self.length(width)?;
        self.push(Node::Int(value as i64));
        Ok(())
    }

    /// Runs LONG1; a number beyond 64 bits is no size of anything.
    fn long(&mut self) -> Result<(), String> {
        let length = self.length(1)?;
        let bytes = self.take(length)?;
        let node = if length <= 8 {
            // Two's complement in as few bytes as hold it: the sign is spread over the rest.
            let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
            let mut whole = if negative { [0xff; 8] } else { [0; 8] };
            whole[..length].copy_from_slice(bytes);
            Node::Int(i64::from_le_bytes(whole))
        } else {
            Node::Opaque
        };
        self.push(node);
        Ok(())
    }

    /// Runs GLOBAL.
    fn global(&mut self) -> Result<(), String> {
        let (module, name) = (self.line()?, self.line()?);
        self.push(Node::Global(module, name));
        Ok(())
    }

    /// Runs STACK_GLOBAL, the GLOBAL of protocol 4: its names are texts on the stack.
    fn stack_global(&mut self) -> Result<(), String> {
        let (name, module) = (self.pop()?, self.pop()?);
        match (&self.nodes[module], &self.nodes[name]) {
            (Node::Text(module), Node::Text(name)) => self.push(Node::Global(module, name)),
            _ => return Err("STACK_GLOBAL without names".into()),
        }
        Ok(())
    }

    fn list(&mut self) -> Result<(), String> {
        let items = self.above_mark()?;
        self.push(Node::Sequence(items));
        Ok(())
    }

    fn dict(&mut self) -> Result<(), String> {
        let items = self.above_mark()?;
        self.push(Node::Dict(pairs(&items)?));
        Ok(())
    }

    /// Runs TUPLE1 to TUPLE3.
    fn tuple(&mut self, count: usize) -> Result<(), String> {
        let start = self.stack.len().checked_sub(count);
        let start = start.ok_or("too few values for a tuple")?;
        let items = self.stack.split_off(start);
        self.push(Node::Sequence(items));
        Ok(())
    }

    fn push(&mut self, node: Node<'a>) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.stack.pop().ok_or_else(|| "the stack is empty".into())
    }

    fn top(&self) -> Result<Id, String> {
        self.stack
            .last()
            .copied()
            .ok_or_else(|| "the stack is empty".into())
    }

    /// Takes the values above the last mark.
    fn above_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self
            .marks
            .pop()
            // POP may have taken values from below it.
            .filter(|mark| *mark <= self.stack.len())
            .ok_or("no mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn append_one(&mut self) -> Result<(), String> {
        let item = self.pop()?;
        self.append(vec![item])
    }

    fn insert_one(&mut self) -> Result<(), String> {
        let (value, key) = (self.pop()?, self.pop()?);
        self.insert(vec![(key, value)])
    }

    fn append(&mut self, new: Vec<Id>) -> Result<(), String> {
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::Sequence(items) => items.extend(new),
            // Items of an object that nobody looks at.
            Node::Opaque => {}
            _ => return Err("APPEND to what is no list".into()),
        }
        Ok(())
    }

    fn insert(&mut self, new: Vec<(Id, Id)>) -> Result<(), String> {
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::Dict(items) => items.extend(new),
            Node::Opaque => {}
            _ => return Err("SETITEM on what is no dictionary".into()),
        }
        Ok(())
    }

    fn remember(&mut self, width: usize) -> Result<(), String> {
        let (at, top) = (self.length(width)? as u32, self.top()?);
        self.memo.insert(at, top);
        Ok(())
    }

    /// Runs MEMOIZE, which counts by itself: the next number is how many there are.
    fn memoize(&mut self) -> Result<(), String> {
        let (at, top) = (self.memo.len() as u32, self.top()?);
        self.memo.insert(at, top);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> Result<(), String> {
        let at = self.length(width)? as u32;
        let id = *self
            .memo
            .get(&at)
            .ok_or("a value that was not remembered")?;
        self.stack.push(id);
        Ok(())
    }

    /// Reads `("storage", class, key, device, elements)`.
    fn persistent(&mut self) -> Result<(), String> {
        let id = self.pop()?;
        let node = match self.sequence(id).unwrap_or_default() {
            [word, class, key, ..] => {
                match (&self.nodes[*word], &self.nodes[*class], &self.nodes[*key]) {
                    (Node::Text("storage"), Node::Global(_, kind), Node::Text(key)) => {
                        Node::Storage { kind, key }
                    }
                    _ => Node::Opaque,
                }
            }
            _ => Node::Opaque,
        };
        self.push(node);
        Ok(())
    }

    /// Runs REDUCE and NEWOBJ: a tensor, an ordered dictionary, or an object that is passed over.
    fn call(&mut self) -> Result<(), String> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let arguments = self.sequence(arguments).unwrap_or_default();
        let node = match self.nodes[function] {
            // A state dict is one; its items follow by SETITEMS.
            Node::Global("collections", "OrderedDict") => Node::Dict(Vec::new()),
            Node::Global("torch._utils", "_rebuild_tensor_v2") => tensor(arguments, None)?,
            Node::Global("torch._utils", "_rebuild_tensor_v3") => {
                let dtype = arguments.get(6).map(|id| &self.nodes[*id]);
                let Some(Node::Global("torch", dtype)) = dtype else {
                    return Err("a tensor without a dtype".into());
                };
                tensor(arguments, Some(dtype))?
            }
            Node::Global("torch._utils", "_rebuild_parameter") => {
                // Parameter(data, requires_grad, hooks) is its data.
                let data = *arguments.first().ok_or("a parameter without data")?;
                self.stack.push(data);
                return Ok(());
            }
            _ => Node::Opaque,
        };
        self.push(node);
        Ok(())
    }

    /// Reads the sizes of a tensor.
    fn sizes(&self, id: Id) -> Result<Vec<usize>, String> {
        let sizes = self.sequence(id).unwrap_or_default();
        if sizes.len() > MAX_DIMENSIONS {
            return Err(format!(
                "a tensor of {} dimensions; at most {MAX_DIMENSIONS} are read",
                sizes.len()
            ));
        }
        sizes.iter().map(|&id| self.size(id)).collect()
    }

    fn size(&self, id: Id) -> Result<usize, String> {
        match self.nodes[id] {
            Node::Int(n) => usize::try_from(n).map_err(|_| format!("a tensor of size {n}")),
            _ => Err("a tensor whose size is no number".into()),
        }
    }

    fn sequence(&self, id: Id) -> Option<&[Id]> {
        match &self.nodes[id] {
            Node::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// Reads the tensors of the dictionary `top`; other entries are skipped.
    fn describe(&self, top: Id) -> Result<Vec<Described>, String> {
        let Node::Dict(items) = &self.nodes[top] else {
            return Err("no dictionary of tensors".into());
        };
        let mut found = Vec::new();
        for (name, value) in items {
            let (Node::Text(name), Node::Tensor(tensor)) =
                (&self.nodes[*name], &self.nodes[*value])
            else {
                continue;
            };
            if found.len() == MAX_TENSORS {
                return Err(format!("its pickle has more than {MAX_TENSORS} tensors"));
            }
            found.push(self.described(name, *tensor)?);
        }
        Ok(found)
    }

    /// Copies what describes a tensor.
    fn described(&self, name: &str, tensor: Rebuilt<'_>) -> Result<Described, String> {
        let Node::Storage { kind, key } = self.nodes[tensor.storage] else {
            return Err(format!("tensor {name} has no storage"));
        };
        // `_rebuild_tensor_v3` names a dtype since its storage is of untyped bytes; before it the
        // storage's class says the type.
        let kind = tensor.dtype.unwrap_or(kind);
        // Every tensor may have the same name, storage and shape, and each gets copies.
        let mut names = [name, kind, key].into_iter().map(str::len);
        if let Some(bytes) = names.find(|&bytes| bytes > MAX_NAME) {
            return Err(format!(
                "a tensor with a name of {bytes} bytes; at most {MAX_NAME} are read"
            ));
        }
        let (shape, strides) = (self.sizes(tensor.shape)?, self.sizes(tensor.strides)?);
        if shape.len() != strides.len() {
            return Err("a tensor with more sizes than strides".into());
        }
        Ok(Described {
            name: name.to_owned(),
            kind: kind.to_owned(),
            key: key.to_owned(),
            offset: self.size(tensor.offset)?,
            shape,
            strides,
        })
    }
}

/// Makes a tensor of `(storage, offset, size, strides, ...)`.
fn tensor<'a>(arguments: &[Id], dtype: Option<&'a str>) -> Result<Node<'a>, String> {
    let &[storage, offset, shape, strides, ..] = arguments else {
        return Err("a tensor without a size".into());
    };
    Ok(Node::Tensor(Rebuilt {
        storage,
        dtype,
        offset,
        shape,
        strides,
    }))
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, String> {
    let (pairs, []) = items.as_chunks::<2>() else {
        return Err("a key without a value".into());
    };
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

#[cfg(test)]
mod tests {
    use super::{MAX_NAME, MAX_TENSORS, MAX_VALUES, tensors};

    /// A pickle of a dictionary; `items` follow its mark. Remembered as 0 and 1 are a tensor of
    /// `name` and `dimensions`, and its name.
    fn of_tensor(name: &str, dimensions: usize, items: &[u8]) -> Vec<u8> {
        let text = |text: &str| {
            let length = (text.len() as u32).to_le_bytes();
            [&b"X"[..], &length, text.as_bytes()].concat()
        };
        let sizes = [&b"("[..], &b"K\x01".repeat(dimensions), b"t"].concat();
        [
            &b"\x80\x02"[..],
            &text(name),
            b"q\x010ctorch._utils\n_rebuild_tensor_v2\n((",
            &text("storage"),
            b"ctorch\nFloatStorage\n",
            &text("0"),
            b"tQK\x00",
            &sizes,
            b"q\x02h\x02tRq\x000}(",
            items,
            b"u.",
        ]
        .concat()
    }

    #[test]
    fn what_tensors_share_is_bounded_before_it_is_copied() {
        let one = tensors(&of_tensor("a", 64, b"h\x01h\x00")).unwrap();
        assert_eq!((one.len(), &*one[0].name), (1, "a"));
        assert_eq!(
            (&one[0].shape, &one[0].strides),
            (&vec![1; 64], &vec![1; 64])
        );
        let error = tensors(&of_tensor("a", 65, b"h\x01h\x00")).unwrap_err();
        assert_eq!(error, "a tensor of 65 dimensions; at most 64 are read");
        let long = "a".repeat(MAX_NAME + 1);
        let error = tensors(&of_tensor(&long, 1, b"h\x01h\x00")).unwrap_err();
        assert_eq!(
            error,
            "a tensor with a name of 513 bytes; at most 512 are read"
        );
        let many = b"h\x01h\x00".repeat(MAX_TENSORS + 1);
        let error = tensors(&of_tensor("a", 1, &many)).unwrap_err();
        assert_eq!(error, "its pickle has more than 65536 tensors");
    }

    #[test]
    fn lengths_are_checked_before_anything_is_allocated() {
        for length in [u32::MAX, 1 << 30] {
            let mut pickle = b"\x80\x02X".to_vec();
            pickle.extend(length.to_le_bytes());
            assert_eq!(tensors(&pickle).unwrap_err(), "the pickle is cut off");
        }
        let long = [&b"\x80\x02\x8d"[..], &u64::MAX.to_le_bytes()].concat();
        assert_eq!(tensors(&long).unwrap_err(), "the pickle is cut off");
    }

    #[test]
    fn nesting_is_not_recursion() {
        let mut pickle = b"\x80\x02}X\x01\x00\x00\x00a)".to_vec();
        pickle.resize(pickle.len() + (1 << 18), 0x85);
        pickle.extend(b"s.");
        assert_eq!(tensors(&pickle), Ok(Vec::new()));
    }

    #[test]
    fn values_are_counted() {
        let pickle = vec![b'}'; MAX_VALUES + 2];
        assert!(tensors(&pickle).unwrap_err().contains("more than"));
    }

    #[test]
    fn shared_values_do_not_multiply() {
        // x = (x, x), thirty times.
        let mut pickle = b"\x80\x02}X\x01\x00\x00\x00a)".to_vec();
        pickle.extend([b'2', 0x86].repeat(30));
        pickle.extend(b"s.");
        assert_eq!(tensors(&pickle), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_state_dict() {
        for (pickle, says) in [
            (&b"\x80\x02N."[..], "no dictionary"),
            (b"\x80\x02\xff.", "opcode 0xff"),
            (b".", "stack is empty"),
            (b"}N", "cut off"),
            (b"}(Nu.", "a key without a value"),
            (b"}h\x07.", "not remembered"),
            (b"t.", "no mark"),
        ] {
            let error = tensors(pickle).unwrap_err();
            assert!(error.contains(says), "{pickle:?}: {error}");
        }
    }
}
