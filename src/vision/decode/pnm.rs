//! PPM, PGM and PBM, plain or raw, of any largest value.
//!
//! Values are scaled to 255 and rounded half to even, as Python rounds; grey of more than 255
//! levels is scaled to 65535 and then clipped at 255, as Pillow's mode `I` becomes RGB.

use super::budget::{Budget, damaged};
use super::colour;
use crate::vision::{Error, Rgb};

/// The longest number of a header.
const MOST_DIGITS: usize = 10;

pub(super) fn decode(bytes: &[u8], budget: Budget) -> Result<Rgb, Error> {
    let kind = bytes.get(1).copied().unwrap_or(0);
    // Pillow takes the magic number up to a space, with no comment in between.
    if !bytes.get(2).is_some_and(|b| is_space(*b)) {
        return Err(Error::Format);
    }
    let mut rest = &bytes[3..];
    let (width, height) = (number(&mut rest)?, number(&mut rest)?);
    budget.check(width, height)?;
    let bitmap = matches!(kind, b'1' | b'4');
    let largest = if bitmap { 1 } else { number(&mut rest)? };
    if !(1..=65535).contains(&largest) {
        return Err(damaged(format!(
            "the largest value is {largest}; 1 to 65535 are valid"
        )));
    }
    let channels = if matches!(kind, b'3' | b'6') { 3 } else { 1 };
    let (width, height) = (width as usize, height as usize);
    // Bounded by the budget: `check` has seen to width and height.
    let count = width * height * channels;
    let values: Vec<u32> = match kind {
        // Plain values take a byte each at least: no list has more of them than the file has bytes.
        b'1' => bits(rest, count)?,
        b'2' | b'3' => plain(rest, count, largest)?,
        b'4' => {
            let rows = first(rest, width.div_ceil(8) * height)?;
            let rows = colour::unpacked(rows, width, 1).into_iter();
            // In a bitmap 1 is black.
            rows.map(|v| 1 - u32::from(v)).collect()
        }
        _ if largest < 256 => {
            let values = first(rest, count)?.iter();
            values.map(|&v| u32::from(v)).collect()
        }
        _ => {
            let pairs = first(rest, 2 * count)?.chunks_exact(2);
            pairs
                .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
                .collect()
        }
    };
    let deep = channels == 1 && largest > 255;
    let top = if deep { 65535 } else { 255 };
    let levels: Vec<u8> = values
        .iter()
        .map(|&v| scaled(v, largest, top).min(255) as u8)
        .collect();
    let data = if channels == 3 {
        levels
    } else {
        colour::grey(&levels)
    };
    Ok(Rgb {
        width,
        height,
        data,
    })
}

/// Returns the first `count` bytes, which have to be there.
fn first(bytes: &[u8], count: usize) -> Result<&[u8], Error> {
    let found = bytes.get(..count);
    found.ok_or_else(|| damaged("image file is truncated"))
}

/// Scales `value` from `largest` to `top`, with Python's order of operations and rounding, to no
/// more than `top`.
fn scaled(value: u32, largest: u32, top: u32) -> u32 {
    if largest == top {
        return value.min(top);
    }
    let exact = f64::from(value) / f64::from(largest) * f64::from(top);
    (exact.round_ties_even() as u32).min(top)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Reads the next number of a header and the one space that ends it.
fn number(rest: &mut &[u8]) -> Result<u32, Error> {
    let mut digits = Vec::new();
    while digits.len() <= MOST_DIGITS {
        let Some((&byte, tail)) = rest.split_first() else {
            break;
        };
        *rest = tail;
        if byte == b'#' {
            let end = rest
                .iter()
                .position(|b| matches!(b, b'\r' | b'\n'))
                .map_or(rest.len(), |at| at + 1);
            *rest = &rest[end..];
        } else if !is_space(byte) {
            digits.push(byte);
        } else if !digits.is_empty() {
            break;
        }
    }
    let text = String::from_utf8_lossy(&digits);
    text.parse()
        .map_err(|_| damaged(format!("{text:?} in the header is no number")))
}

/// Removes comments from plain data.
fn words(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut comment = false;
    for &byte in data {
        match (comment, byte) {
            (true, b'\r' | b'\n') => comment = false,
            (false, b'#') => comment = true,
            (false, _) => out.push(byte),
            _ => {}
        }
    }
    out
}

fn plain(data: &[u8], count: usize, largest: u32) -> Result<Vec<u32>, Error> {
    let text = words(data);
    let values = text
        .split(|b| is_space(*b))
        .filter(|w| !w.is_empty())
        .take(count);
    let values: Vec<u32> = values
        .map(|word| plain_number(word, largest))
        .collect::<Result<_, _>>()?;
    if values.len() == count {
        Ok(values)
    } else {
        Err(damaged("image file is truncated"))
    }
}

fn plain_number(word: &[u8], largest: u32) -> Result<u32, Error> {
    let word = String::from_utf8_lossy(word);
    match word.parse::<u32>() {
        Ok(value) if value <= largest && word.len() <= MOST_DIGITS => Ok(value),
        _ => Err(damaged(format!("value {word:?}; 0 to {largest} are valid"))),
    }
}

/// Reads the digits of a plain bitmap, of which 1 is black; spaces between them are optional.
fn bits(data: &[u8], count: usize) -> Result<Vec<u32>, Error> {
    let digits: Vec<u8> = words(data)
        .into_iter()
        .filter(|b| !is_space(*b))
        .take(count)
        .collect();
    if digits.len() < count {
        return Err(damaged("image file is truncated"));
    }
    digits.iter().map(|&digit| bit(digit)).collect()
}

fn bit(digit: u8) -> Result<u32, Error> {
    match digit {
        b'0' => Ok(1),
        b'1' => Ok(0),
        other => Err(damaged(format!("{:?} in a bitmap", char::from(other)))),
    }
}
