//! Decoded pictures of every kind against Pillow's (tests/goldens/pictures.json, written by
//! pictures.py), and what becomes of files that are no pictures.

use std::collections::BTreeMap;

use safetensors::SafeTensors;
use scotoma::vision::{Error, MAX_PIXELS, Rgb, decode, encode_png, size_of};
use serde_json::Value;
use sha2::{Digest, Sha256};

const LIMIT: u64 = 1 << 20;

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!(
        "{}/tests/goldens/{name}",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// What differs, if anything does.
fn difference(row: &[Value], file: &[u8]) -> Option<String> {
    let found = decode(file, LIMIT);
    let [_, _, width, height, sha256, values] = row else {
        return found
            .is_ok()
            .then(|| format!("read, where Pillow has {}", row[2]));
    };
    let picture = match found {
        Ok(picture) => picture,
        Err(error) => return Some(error.to_string()),
    };
    let size = (picture.width as u64, picture.height as u64);
    let expected = (width.as_u64()?, height.as_u64()?);
    if size != expected {
        return Some(format!("{size:?}, not {expected:?}"));
    }
    let equal = hex(&Sha256::digest(&picture.data)[..16]) == sha256.as_str()?;
    (!equal).then(|| {
        format!(
            "other values: {}, not {values}",
            hex(&picture.data[..picture.data.len().min(36)])
        )
    })
}

#[test]
fn every_kind_decodes_to_the_values_of_pillow() {
    let rows: Vec<Vec<Value>> = serde_json::from_slice(&golden("pictures.json")).unwrap();
    let files = golden("pictures.safetensors");
    let files = SafeTensors::deserialize(&files).unwrap();
    let mut kinds: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for row in &rows {
        let (kind, name) = (row[0].as_str().unwrap(), row[1].as_str().unwrap());
        let found = difference(
            row,
            files.tensor(&format!("{kind}: {name}")).unwrap().data(),
        );
        let counts = kinds.entry(kind.to_owned()).or_default();
        counts.0 += 1;
        counts.1 += usize::from(found.is_none());
        wrong.extend(found.map(|found| format!("{kind}, {name}: {found}")));
    }
    println!("{:<24} {:>8} {:>8}", "kind", "pictures", "equal");
    for (kind, (all, equal)) in &kinds {
        println!("{kind:<24} {all:>8} {equal:>8}");
    }
    println!(
        "{:<24} {:>8} {:>8}",
        "all",
        rows.len(),
        rows.len() - wrong.len()
    );
    assert!(rows.len() >= 120);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn limits_hold_before_anything_is_decoded() {
    let files = golden("pictures.safetensors");
    let files = SafeTensors::deserialize(&files).unwrap();
    for (name, file) in files.tensors() {
        if name.starts_with("damaged") {
            continue;
        }
        match decode(file.data(), 1) {
            Err(Error::TooLarge { limit: 1, .. }) => {}
            Ok(picture) => assert_eq!((picture.width, picture.height), (1, 1), "{name}"),
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

#[test]
fn tiles_are_counted_before_they_cost_memory() {
    let mut file = b"\xff\x4f\xff\x51\0\x2f\0\0".to_vec();
    // Width, height, no offset, and the size of tiles.
    for number in [1024_u32, 1024, 0, 0, 2, 2, 0, 0] {
        file.extend(number.to_be_bytes());
    }
    file.extend([0, 3]);
    let error = decode(&file, LIMIT).unwrap_err().to_string();
    assert!(error.contains("262144 tiles; at most 8192"), "{error}");
}

#[test]
fn strips_are_refused_by_their_longest_edge() {
    let strip = |width| encode_png(&Rgb::filled(width, 1, [7; 3])).unwrap();
    assert_eq!(decode(&strip(1 << 16), MAX_PIXELS).unwrap().width, 1 << 16);
    assert_eq!(size_of(&strip(1 << 16), MAX_PIXELS), Some((1, 1 << 16)));
    for (file, size) in [
        (strip(100_000), "100000 x 1"),
        (b"P5 1 65537 255\n".to_vec(), "1 x 65537"),
    ] {
        let error = decode(&file, MAX_PIXELS).unwrap_err().to_string();
        let expected =
            format!("the picture has {size} pixels; edges of up to 65536 pixels are read");
        assert_eq!(error, expected);
        assert_eq!(size_of(&file, MAX_PIXELS), None);
    }
}

/// A grey TIFF of 3 x 2 with bytes last first; `own` are entries (tag, type, count, value).
fn big_endian_tiff(own: &[(u16, u16, u32, [u8; 4])]) -> Vec<u8> {
    let short = |tag: u16, value: u16| {
        let [high, low] = value.to_be_bytes();
        (tag, 3, 1, [high, low, 0, 0])
    };
    // Width, height, bits, compression, photometric, place, samples, rows of a strip, its bytes.
    let usual = [
        (256, 3),
        (257, 2),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 200),
        (277, 1),
        (278, 2),
        (279, 6),
    ];
    let mut entries = usual.map(|(tag, value)| short(tag, value)).to_vec();
    entries.retain(|entry| own.iter().all(|other| other.0 != entry.0));
    entries.extend(own);
    entries.sort_by_key(|entry| entry.0);
    let mut file = b"MM\0*\0\0\0\x08".to_vec();
    file.extend((entries.len() as u16).to_be_bytes());
    for (tag, kind, count, value) in entries {
        file.extend(tag.to_be_bytes());
        file.extend(u16::to_be_bytes(kind));
        file.extend(u32::to_be_bytes(count));
        file.extend(value);
    }
    file.resize(200, 0);
    file.extend([10, 11, 12, 13, 14, 15]);
    file
}

/// What Pillow 13.0.0 makes of each: it goes by the numbers of every type but bytes.
#[test]
fn tags_of_tiff_are_read_by_their_types() {
    let (plain, turned) = ([10, 11, 12, 13, 14, 15], [13, 10, 14, 11, 15, 12]);
    let black = [245, 244, 243, 242, 241, 240];
    let (high, low) = (|n: u8| [n, 0, 0, 0], |n: u8| [0, 0, 0, n]);
    for (entry, expected) in [
        ((274, 3, 1, [0, 6, 0, 0]), turned),
        // LONG, SLONG, IFD, SSHORT and SBYTE.
        ((274, 4, 1, low(6)), turned),
        ((274, 9, 1, low(6)), turned),
        ((274, 13, 1, low(6)), turned),
        ((274, 8, 1, [0, 6, 0, 0]), turned),
        ((274, 6, 1, high(6)), turned),
        // The first of two; none at all.
        ((274, 3, 2, [0, 6, 0, 3]), turned),
        ((274, 3, 0, [0, 6, 0, 0]), plain),
        // 65542, whose low half is 6.
        ((274, 4, 1, [0, 1, 0, 6]), plain),
        // BYTE and UNDEFINED.
        ((274, 1, 1, high(6)), plain),
        ((274, 7, 1, high(6)), plain),
        // Photometric interpretation and order of bits.
        ((262, 4, 1, low(0)), black),
        ((262, 4, 1, low(1)), plain),
        ((266, 4, 1, low(1)), plain),
    ] {
        let picture = decode(&big_endian_tiff(&[entry]), LIMIT);
        let picture = picture.unwrap_or_else(|error| panic!("{entry:?}: {error}"));
        let grey: Vec<u8> = picture.data.iter().copied().step_by(3).collect();
        assert_eq!(grey, expected, "{entry:?}");
    }
    for (entry, says) in [
        // FLOAT 6, which Pillow turns by; two of LONG stand elsewhere.
        ((274, 11, 1, [0x40, 0xc0, 0, 0]), "tag 274 is 1 of type 11"),
        (
            (274, 4, 2, low(8)),
            "tag 274 is 2 of type 4; one whole number is read",
        ),
        ((266, 4, 1, low(2)), "bits in reverse order is not read"),
        ((259, 4, 1, low(7)), "TIFF with JPEG data is not read"),
    ] {
        let error = decode(&big_endian_tiff(&[entry]), LIMIT).unwrap_err();
        assert!(error.to_string().contains(says), "{entry:?}: {error}");
    }
}

#[test]
fn forms_that_are_not_read_are_refused_by_name() {
    let cases: [(&[u8], &str); 4] = [
        (
            b"\0\0\0\x20ftypavif\0\0\0\0",
            "AVIF is not read; JPEG, PNG,",
        ),
        (b"\xff\x0a\0\0", "JPEG XL is not read; JPEG, PNG,"),
        (
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            "SVG is not read",
        ),
        (b"no picture at all", "not a picture; JPEG, PNG,"),
    ];
    for (bytes, expected) in cases {
        let found = decode(bytes, LIMIT).unwrap_err().to_string();
        assert!(found.starts_with(expected), "{found}");
    }
}

/// Numbers that look random and are the same everywhere.
struct Draws(u64);

impl Draws {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }
}

/// `SCOTOMA_FUZZ` says how many mutations a picture gets; by default as many as take seconds.
#[test]
fn mutated_files_are_read_or_refused_and_nothing_else() {
    let files = golden("pictures.safetensors");
    let files = SafeTensors::deserialize(&files).unwrap();
    let rounds: usize = std::env::var("SCOTOMA_FUZZ")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(10);
    let mut draws = Draws(7);
    let (mut read, mut refused) = (0, 0);
    for (_, file) in files.tensors() {
        for _ in 0..rounds {
            let mut bytes = file.data().to_vec();
            for _ in 0..=draws.next(4) {
                let at = draws.next(bytes.len().max(1));
                match draws.next(4) {
                    0 => bytes.truncate(at + 1),
                    1 => bytes
                        .splice(
                            at..at,
                            (0..draws.next(9))
                                .map(|_| draws.next(256) as u8)
                                .collect::<Vec<_>>(),
                        )
                        .for_each(drop),
                    _ => bytes[at] = [0, 0xff, 0x7f, draws.next(256) as u8][draws.next(4)],
                }
            }
            match decode(&bytes, LIMIT) {
                Ok(picture) => {
                    assert_eq!(picture.data.len(), 3 * picture.width * picture.height);
                    read += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    println!("{read} read, {refused} refused");
    assert!(read > 0 && refused > 0);
}
