//! Reads from `quantization_config` of config.json how the matrices of a checkpoint are quantised.

use serde_json::Value;

/// A way of quantising whose matrices are read, dequantised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantization {
    /// `AutoAWQ`'s GEMM layout: 4 bits, packed along outputs.
    Awq {
        /// Inputs of a group, where config.json says how many.
        group_size: Option<u64>,
    },
    /// The layout of `AutoGPTQ` and `GPTQModel`, packed along inputs.
    Gptq {
        /// Bits of a number: 2, 3, 4 or 8.
        bits: u32,
        /// Set in the first version of the layout, whose zeros stand in the file less one.
        is_v1: bool,
        /// Set where inputs are grouped in an order of their own, which `g_idx` has to say.
        desc_act: bool,
        /// Inputs of a group, where config.json says how many.
        group_size: Option<u64>,
    },
    /// `bitsandbytes`, of 4 or 8 bits; which one each matrix says itself.
    Bitsandbytes,
}

impl Quantization {
    /// Reads config.json; `None` where nothing is quantised. The error says what is not read.
    pub fn of(config: &Value) -> Result<Option<Self>, String> {
        let own = &config["quantization_config"];
        let fields = if own.is_object() {
            own
        } else {
            // transformers writes it into the part that was quantised.
            &config["text_config"]["quantization_config"]
        };
        if !fields.is_object() {
            return Ok(None);
        }
        let found = match method(fields) {
            "bitsandbytes" if is_4bit(fields) || is_8bit(fields) => Some(Self::Bitsandbytes),
            "awq" => awq(fields)?,
            "gptq" => gptq(fields)?,
            _ => None,
        };
        let mend = "load the checkpoint that it was made from (f32, f16 or bf16)";
        let refused = || format!("{} weights are not read; {mend}", describe(fields));
        found.map(Some).ok_or_else(refused)
    }
}

/// Returns the name of the method; bitsandbytes was not named once.
fn method(fields: &Value) -> &str {
    match fields["quant_method"].as_str().unwrap_or_default() {
        "" if is_4bit(fields) || is_8bit(fields) => "bitsandbytes",
        method => method,
    }
}

fn is_4bit(fields: &Value) -> bool {
    fields["load_in_4bit"] == true || fields["_load_in_4bit"] == true
}

fn is_8bit(fields: &Value) -> bool {
    fields["load_in_8bit"] == true || fields["_load_in_8bit"] == true
}

/// Returns the bits of a number, which older files of `AutoAWQ` call `w_bit`.
fn bits(fields: &Value) -> Option<u64> {
    let mut named = ["bits", "w_bit"].into_iter();
    named.find_map(|field| fields[field].as_u64())
}

fn awq(fields: &Value) -> Result<Option<Quantization>, String> {
    if bits(fields) != Some(4) {
        return Ok(None);
    }
    let version = fields["version"].as_str().or(fields["format"].as_str());
    match version.unwrap_or("gemm").to_lowercase().as_str() {
        "gemm" => Ok(Some(Quantization::Awq {
            group_size: group_size(fields)?,
        })),
        version => Err(format!("AWQ of version {version:?}; \"gemm\" is read")),
    }
}

fn gptq(fields: &Value) -> Result<Option<Quantization>, String> {
    let Some(bits @ (2 | 3 | 4 | 8)) = bits(fields) else {
        return Ok(None);
    };
    if fields["pack_dtype"].as_str().is_some_and(|t| t != "int32") {
        return Err("pack_dtype: GPTQ packed into int32 is read".into());
    }
    let named = ["checkpoint_format", "format"].into_iter();
    let mut formats = named.filter_map(|field| fields[field].as_str());
    // AutoGPTQ, which did not name the layout, wrote the first version.
    match formats.next().unwrap_or("gptq") {
        format @ ("gptq" | "gptq_v2") => Ok(Some(Quantization::Gptq {
            bits: bits as u32,
            is_v1: format == "gptq",
            desc_act: fields["desc_act"] == true,
            group_size: group_size(fields)?,
        })),
        format => Err(format!(
            "checkpoint_format {format:?}; \"gptq\" and \"gptq_v2\" are read"
        )),
    }
}

/// Returns the inputs of a group; `None` where a matrix has one, or nothing is said.
fn group_size(fields: &Value) -> Result<Option<u64>, String> {
    let named = ["group_size", "q_group_size"];
    let mut given = named
        .iter()
        .map(|name| &fields[name])
        .filter(|v| !v.is_null());
    match given.next() {
        None => Ok(None),
        // -1 is one group of all inputs.
        Some(size) if size.as_i64() == Some(-1) => Ok(None),
        Some(size) => match size.as_u64().filter(|size| *size > 0) {
            Some(size) => Ok(Some(size)),
            None => Err(format!("group_size {size}; a whole number above 0, or -1")),
        },
    }
}

/// Says what was quantised, as `bitsandbytes` or `fp8 8-bit`.
fn describe(fields: &Value) -> String {
    let bits = bits(fields).map_or_else(String::new, |bits| format!(" {bits}-bit"));
    match method(fields) {
        "" => "quantised".into(),
        "compressed-tensors" => match fields["format"].as_str() {
            Some(format) => format!("compressed-tensors ({format})"),
            None => "compressed-tensors".into(),
        },
        name @ ("awq" | "gptq") => format!("{}{bits}", name.to_uppercase()),
        name => format!("{name}{bits}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn configurations_are_told_apart() {
        let gptq = |bits, is_v1, desc_act, group_size| Quantization::Gptq {
            bits,
            is_v1,
            desc_act,
            group_size,
        };
        for (fields, expected) in [
            (
                json!({"load_in_4bit": true, "bnb_4bit_quant_type": "nf4"}),
                Quantization::Bitsandbytes,
            ),
            (
                json!({"quant_method": "bitsandbytes", "_load_in_8bit": true}),
                Quantization::Bitsandbytes,
            ),
            (
                json!({"quant_method": "awq", "bits": 4, "version": "GEMM"}),
                Quantization::Awq { group_size: None },
            ),
            (
                json!({"quant_method": "gptq", "bits": 3, "desc_act": true, "group_size": 128}),
                gptq(3, true, true, Some(128)),
            ),
            (
                json!({"quant_method": "gptq", "bits": 8, "checkpoint_format": "gptq_v2",
                    "group_size": -1}),
                gptq(8, false, false, None),
            ),
        ] {
            for config in [
                json!({"quantization_config": fields}),
                json!({"text_config": {"quantization_config": fields}}),
            ] {
                assert_eq!(Quantization::of(&config), Ok(Some(expected)));
            }
        }
        let none = json!({"quantization_config": null});
        assert_eq!(Quantization::of(&none), Ok(None));
    }

    #[test]
    fn others_are_named() {
        for (fields, says) in [
            (
                json!({"quant_method": "awq", "bits": 8}),
                "AWQ 8-bit weights",
            ),
            (
                json!({"quant_method": "awq", "bits": 4, "version": "gemv"}),
                "AWQ of version \"gemv\"",
            ),
            (
                json!({"quant_method": "gptq", "bits": 5}),
                "GPTQ 5-bit weights",
            ),
            (
                json!({"quant_method": "awq", "bits": 4, "group_size": 0}),
                "group_size 0; a whole number above 0, or -1",
            ),
            (
                json!({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"}),
                "checkpoint_format \"marlin\"",
            ),
            (
                json!({"quant_method": "compressed-tensors", "format": "float-quantized"}),
                "compressed-tensors (float-quantized) weights",
            ),
            (json!({"quant_method": "fp8"}), "fp8 weights"),
            (
                json!({"quant_method": "bitsandbytes"}),
                "bitsandbytes weights",
            ),
        ] {
            let error = Quantization::of(&json!({"quantization_config": fields})).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
    }
}
