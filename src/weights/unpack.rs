//! Puts the tensors of quantised matrices together, and checks that they fit.

use std::collections::BTreeMap;

use safetensors::Dtype;

use super::Error;
use super::checkpoint::{Checkpoint, Entry};
use super::format::Format;
use super::packed::{Packed, QuantState, Scheme};
use super::quantization::Quantization;

/// The last part of the name of bitsandbytes' `quant_state`, before the type.
const STATE: &str = ".quant_state.bitsandbytes__";
/// Bytes of a `quant_state`, which is a few numbers as JSON.
const MAX_STATE: usize = 1 << 12;

type Entries = BTreeMap<String, Entry>;

impl Checkpoint {
    /// Makes one entry, of the matrix, of the tensors that each quantised matrix stands in.
    pub fn unpack(&mut self, quantization: Quantization) -> Result<(), Error> {
        let before = self.entries.len();
        match quantization {
            Quantization::Awq { group_size } => {
                self.unpack_grouped(Scheme::Awq, false, group_size)?;
            }
            Quantization::Gptq {
                bits,
                is_v1,
                desc_act,
                group_size,
            } => self.unpack_grouped(Scheme::Gptq { bits, is_v1 }, desc_act, group_size)?,
            Quantization::Bitsandbytes => {
                self.unpack_bnb4()?;
                self.unpack_bnb8()?;
            }
        }
        if self.entries.len() == before {
            return wrong("quantization_config", "no tensor is quantised that way");
        }
        Ok(())
    }

    fn names_with(&self, part: &str) -> Vec<String> {
        let names = self.entries.keys().filter(|name| name.contains(part));
        names.cloned().collect()
    }

    /// Takes a matrix whose parts are `parts` into the entries.
    fn put(
        &mut self,
        name: String,
        mut codes: Entry,
        packed: Packed<Entry>,
        shape: [usize; 2],
    ) -> Result<(), Error> {
        // To all others the entry is the matrix; its bytes stay codes until they are read.
        codes.shape = shape.to_vec();
        codes.packed = Some(packed);
        if self.entries.insert(name.clone(), codes).is_some() {
            return wrong(&name, "stands there quantised and as it was");
        }
        Ok(())
    }

    fn unpack_grouped(
        &mut self,
        scheme: Scheme,
        desc_act: bool,
        group_size: Option<u64>,
    ) -> Result<(), Error> {
        // Names are listed first: entries are taken out while the list is walked.
        for codes_name in self.names_with(".qweight") {
            let Some(module) = codes_name.strip_suffix(".qweight") else {
                continue;
            };
            let codes = take(&mut self.entries, &codes_name)?;
            let mut parts = BTreeMap::new();
            for part in ["qzeros", "scales"] {
                parts.insert(part, take(&mut self.entries, &format!("{module}.{part}"))?);
            }
            let groups = format!("{module}.g_idx");
            // Without it the inputs would be taken in their own order, for other numbers.
            if desc_act || self.entries.contains_key(&groups) {
                parts.insert("g_idx", take(&mut self.entries, &groups)?);
            }
            let packed = Packed { scheme, parts };
            let shape = grouped_shape(module, &codes, &packed)?;
            check_groups(module, &packed, shape[1], group_size)?;
            self.put(format!("{module}.weight"), codes, packed, shape)?;
            // AutoGPTQ gives every layer a bias, of zeros where the model has none.
            let bias = format!("{module}.bias");
            if self.is_zero(&bias) {
                self.spare.insert(bias);
            }
        }
        Ok(())
    }

    /// Returns whether a tensor is there and all its bytes are 0.
    fn is_zero(&self, name: &str) -> bool {
        let entry = self.entries.get(name).filter(|entry| entry.fault.is_none());
        entry.is_some_and(|entry| self.bytes(entry).iter().all(|byte| *byte == 0))
    }

    fn unpack_bnb4(&mut self) -> Result<(), Error> {
        for state_name in self.names_with(STATE) {
            let Some((name, kind)) = state_name.split_once(STATE) else {
                continue;
            };
            if !["nf4", "fp4"].contains(&kind) {
                return wrong(
                    name,
                    &format!("quant_state of {kind}; nf4 and fp4 are read"),
                );
            }
            let state = take(&mut self.entries, &state_name)?;
            check(name, "quant_state", &state, &[Dtype::U8])?;
            let bytes = self.bytes(&state);
            if bytes.len() > MAX_STATE {
                let reason = format!("quant_state of {} bytes; at most {MAX_STATE}", bytes.len());
                return wrong(name, &reason);
            }
            let read: Result<QuantState, _> = serde_json::from_slice(bytes);
            let read = read.or_else(|e| wrong(name, &format!("quant_state: {e}")))?;
            let sizes = read
                .sizes()
                .or_else(|e| wrong(name, &format!("quant_state: {e}")))?;
            let [out, input] = read.shape[..] else {
                let reason = format!("quant_state: shape {:?} is no matrix", read.shape);
                return wrong(name, &reason);
            };
            let codes = take(&mut self.entries, name)?;
            let mut parts = BTreeMap::new();
            let mut names = vec!["absmax", "quant_map"];
            if sizes.nested.is_some() {
                names.extend(["nested_absmax", "nested_quant_map"]);
            }
            for part in names {
                parts.insert(part, take(&mut self.entries, &format!("{name}.{part}"))?);
            }
            // Whatever is no tensor is in the digest with it.
            parts.insert("quant_state", state);
            let packed = Packed {
                scheme: Scheme::Bnb4(sizes),
                parts,
            };
            check_bnb4(name, &codes, &packed, (out, input))?;
            self.put(name.to_owned(), codes, packed, [out, input])?;
        }
        Ok(())
    }

    fn unpack_bnb8(&mut self) -> Result<(), Error> {
        for scales_name in self.names_with(".SCB") {
            let Some(module) = scales_name.strip_suffix(".SCB") else {
                continue;
            };
            let name = format!("{module}.weight");
            let scales = take(&mut self.entries, &scales_name)?;
            let codes = take(&mut self.entries, &name)?;
            check(&name, "weight", &codes, &[Dtype::I8])?;
            check(&name, "SCB", &scales, &[Dtype::F32])?;
            if let Some(format) = self.entries.remove(&format!("{module}.weight_format"))
                && self.bytes(&format).iter().any(|byte| *byte != 0)
            {
                return wrong(&name, "weight_format: only 0, row by row, is read");
            }
            let [out, input] = codes.shape[..] else {
                return wrong(&name, &format!("shape {:?} is no matrix", codes.shape));
            };
            count(&name, "SCB", &scales, out)?;
            let packed = Packed {
                scheme: Scheme::Bnb8,
                parts: BTreeMap::from([("SCB", scales)]),
            };
            self.put(name, codes, packed, [out, input])?;
        }
        Ok(())
    }
}

/// Returns the shape `(out, input)` of a matrix in groups, whose tensors fit.
fn grouped_shape(module: &str, codes: &Entry, packed: &Packed<Entry>) -> Result<[usize; 2], Error> {
    let (zeros, scales) = (&packed.parts["qzeros"], &packed.parts["scales"]);
    check(module, "qweight", codes, &[Dtype::I32])?;
    check(module, "qzeros", zeros, &[Dtype::I32])?;
    check(module, "scales", scales, &FLOATS)?;
    let ([rows, columns], [groups, out], [zero_rows, zero_words]) = (
        matrix(module, codes)?,
        matrix(module, scales)?,
        matrix(module, zeros)?,
    );
    let (input, bits) = match packed.scheme {
        Scheme::Gptq { bits, .. } => (rows.saturating_mul(32) / bits as usize, bits as usize),
        _ => (rows, 4),
    };
    // A tensor without columns may have any number of rows.
    let fits = match packed.scheme {
        Scheme::Gptq { .. } => {
            let whole = rows.checked_mul(32).is_some_and(|b| b.is_multiple_of(bits));
            columns == out && whole
        }
        _ => columns.checked_mul(8) == Some(out),
    };
    let words = out.checked_mul(bits).filter(|bits| bits.is_multiple_of(32));
    let zeros_fit = zero_rows == groups && words.map(|bits| bits / 32) == Some(zero_words);
    let listed = packed.parts.get("g_idx");
    let groups_fit = groups > 0 && (listed.is_some() || input.is_multiple_of(groups));
    if !(fits && zeros_fit && groups_fit) {
        let (codes, zeros, scales) = (&codes.shape, &zeros.shape, &scales.shape);
        let reason = format!(
            "qweight {codes:?}, qzeros {zeros:?} and scales {scales:?} do not fit {bits} bits"
        );
        return wrong(module, &reason);
    }
    if let Some(listed) = listed {
        check(module, "g_idx", listed, &[Dtype::I32])?;
        count(module, "g_idx", listed, input)?;
    }
    Ok([out, input])
}

/// Fails where config.json names groups of another size than the scales are of.
fn check_groups(
    module: &str,
    packed: &Packed<Entry>,
    input: usize,
    group_size: Option<u64>,
) -> Result<(), Error> {
    let groups = packed.parts["scales"].shape[0];
    match group_size {
        Some(size) if (input as u64).div_ceil(size) != groups as u64 => {
            let reason = format!(
                "{groups} groups of {input} inputs, where quantization_config has group_size {size}"
            );
            wrong(module, &reason)
        }
        _ => Ok(()),
    }
}

fn check_bnb4(
    name: &str,
    codes: &Entry,
    packed: &Packed<Entry>,
    (out, input): (usize, usize),
) -> Result<(), Error> {
    let Scheme::Bnb4(sizes) = packed.scheme else {
        return Ok(());
    };
    let numbers = out.checked_mul(input).filter(|n| *n > 0);
    // Codes may stand in tensors of any type, so that they are spread as other weights are.
    // Two numbers a byte.
    let Some(numbers) = numbers.filter(|n| n.div_ceil(2) == codes.size()) else {
        let reason = format!("{} bytes for a matrix of {out} by {input}", codes.size());
        return wrong(name, &reason);
    };
    if let Some(fault) = &codes.fault {
        return wrong(name, fault);
    }
    let parts = &packed.parts;
    let blocks = numbers.div_ceil(sizes.block);
    count(name, "absmax", &parts["absmax"], blocks)?;
    check(name, "quant_map", &parts["quant_map"], &FLOATS)?;
    count(name, "quant_map", &parts["quant_map"], 16)?;
    let Some((block, _)) = sizes.nested else {
        return check(name, "absmax", &parts["absmax"], &FLOATS);
    };
    check(name, "absmax", &parts["absmax"], &[Dtype::U8])?;
    let (scales, map) = (&parts["nested_absmax"], &parts["nested_quant_map"]);
    check(name, "nested_absmax", scales, &FLOATS)?;
    count(name, "nested_absmax", scales, blocks.div_ceil(block))?;
    check(name, "nested_quant_map", map, &FLOATS)?;
    count(name, "nested_quant_map", map, 256)
}

const FLOATS: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::BF16];

fn take(entries: &mut Entries, name: &str) -> Result<Entry, Error> {
    let missing = || Error::Missing(name.to_owned());
    entries.remove(name).ok_or_else(missing)
}

fn wrong<T>(name: &str, reason: &str) -> Result<T, Error> {
    Err(Error::Values {
        name: name.to_owned(),
        reason: reason.to_owned(),
    })
}

/// Fails on a part of another type, or whose bytes cannot be read.
fn check(name: &str, part: &str, entry: &Entry, types: &[Dtype]) -> Result<(), Error> {
    if let Some(fault) = &entry.fault {
        return wrong(name, &format!("{part}: {fault}"));
    }
    if matches!(entry.format, Format::Float(dtype) if types.contains(&dtype)) {
        return Ok(());
    }
    let valid: Vec<String> = types.iter().map(ToString::to_string).collect();
    let reason = format!(
        "{part} is of {}; {} is read",
        entry.format,
        valid.join(", ")
    );
    wrong(name, &reason)
}

fn matrix(name: &str, entry: &Entry) -> Result<[usize; 2], Error> {
    match entry.shape[..] {
        [rows, columns] => Ok([rows, columns]),
        _ => wrong(name, &format!("shape {:?} is no matrix", entry.shape)),
    }
}

/// Fails on a part of another number of values.
fn count(name: &str, part: &str, entry: &Entry, expected: usize) -> Result<(), Error> {
    let found: usize = entry.shape.iter().product();
    if found == expected {
        return Ok(());
    }
    wrong(name, &format!("{part} has {found} values, not {expected}"))
}
