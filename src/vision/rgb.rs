//! A picture in memory.

/// 8-bit RGB, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// `3 * width * height` bytes.
    pub data: Vec<u8>,
}

impl Rgb {
    /// Creates a picture of one colour.
    pub fn filled(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Self {
            width,
            height,
            data: colour.repeat(width * height),
        }
    }

    /// Copies `other` in with its corner at (`x`, `y`); parts outside are cut off.
    pub fn paste(&mut self, other: &Self, x: isize, y: isize) {
        // The columns of `other` that stand inside.
        let first = (-x).max(0);
        let end = (self.width as isize - x).min(other.width as isize);
        if first >= end {
            return;
        }
        // The same of every row: what stands outside is cut off once.
        let length = 3 * (end - first) as usize;
        for row in 0..other.height {
            let target = row as isize + y;
            if (0..self.height as isize).contains(&target) {
                let to = 3 * (target as usize * self.width + (first + x) as usize);
                let from = 3 * (row * other.width + first as usize);
                self.data[to..to + length].copy_from_slice(&other.data[from..from + length]);
            }
        }
    }
}
