//! JPEG by libjpeg-turbo's decoder, the one in Pillow: triangle-filtered chroma, accurate integer
//! DCT, block smoothing of unfinished scans, and what is refused. Sequential, progressive and
//! arithmetic-coded pictures of 8 bits; of an MPO the first picture.
//!
//! Calls C through `mozjpeg-sys`, whose decoder is libjpeg-turbo's; nothing outside of this file
//! sees a pointer. Errors of the library unwind through its frames, which that crate compiles for
//! it.
#![allow(unsafe_code)]
// The library is C. Everything it reads or writes is a buffer whose length was checked here.

use std::ffi::{c_int, c_long};
use std::marker::PhantomData;
use std::mem::{MaybeUninit, size_of, transmute};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mozjpeg_sys as sys;

use super::budget::Budget;
use super::colour;
use crate::vision::{Error, Rgb};

/// Scans of one picture; encoders write about ten, and each costs a pass over the whole picture.
const MOST_SCANS: c_int = 500;
/// Bytes that the decoder may hold for each pixel: coefficients of four components, 16 bits each,
/// padded to whole blocks.
const BYTES_PER_PIXEL: u64 = 16;
/// Room for a message of libjpeg, whose longest has 200 bytes.
const MESSAGE: usize = 256;
type FormatMessage = unsafe extern "C-unwind" fn(&mut sys::jpeg_common_struct, &[u8; 80]);
/// The same function, for what it does.
type WriteMessage = unsafe extern "C-unwind" fn(&mut sys::jpeg_common_struct, *mut u8);
const TRUNCATED: &str = "image file is truncated";

/// Decodes to RGB; CMYK is taken as Adobe writes it, inverted, whatever the file says, as Pillow
/// takes it.
pub(super) fn decode(bytes: &[u8], budget: Budget) -> Result<Rgb, Error> {
    let mut decoder = Decoder::new(bytes);
    // Nothing of the decoder is used after an unwinding but its destructor, which libjpeg allows at
    // any point.
    match catch_unwind(AssertUnwindSafe(|| decoder.run(budget))) {
        Ok(result) => result,
        Err(cause) => match cause.downcast::<Raised>() {
            Ok(raised) => Err(Error::Damaged(raised.0)),
            Err(other) => resume_unwind(other),
        },
    }
}

/// An error of libjpeg on its way through C frames.
struct Raised(String);

/// A decompressor and everything it points to, at addresses that stay.
struct Decoder<'a> {
    state: Box<State>,
    bytes: PhantomData<&'a [u8]>,
}

struct State {
    info: MaybeUninit<sys::jpeg_decompress_struct>,
    created: bool,
    errors: MaybeUninit<sys::jpeg_error_mgr>,
    source: sys::jpeg_source_mgr,
    progress: sys::jpeg_progress_mgr,
}

impl<'a> Decoder<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let source = sys::jpeg_source_mgr {
            next_input_byte: bytes.as_ptr(),
            bytes_in_buffer: bytes.len(),
            init_source: Some(nothing),
            fill_input_buffer: Some(suspend),
            skip_input_data: Some(skip),
            resync_to_restart: Some(sys::jpeg_resync_to_restart),
            term_source: Some(nothing),
        };
        let progress = sys::jpeg_progress_mgr {
            progress_monitor: Some(count_scans),
            pass_counter: 0,
            pass_limit: 0,
            completed_passes: 0,
            total_passes: 0,
        };
        let (info, errors) = (MaybeUninit::zeroed(), MaybeUninit::zeroed());
        Self {
            state: Box::new(State {
                info,
                created: false,
                errors,
                source,
                progress,
            }),
            bytes: PhantomData,
        }
    }

    /// Creates the decompressor; may unwind.
    fn create(&mut self, budget: Budget) -> &mut sys::jpeg_decompress_struct {
        let state = &mut *self.state;
        // SAFETY: zeroed memory is what `jpeg_std_error` and `jpeg_CreateDecompress` expect; both
        // fill the struct in whole. The error handler is set before the first call that could fail.
        unsafe {
            let errors = sys::jpeg_std_error(&mut *state.errors.as_mut_ptr());
            errors.error_exit = Some(raise);
            errors.emit_message = Some(count_warnings);
            errors.output_message = Some(silent);
            let info = state.info.as_mut_ptr();
            (*info).common.err = errors;
            state.created = true;
            sys::jpeg_CreateDecompress(
                info,
                sys::JPEG_LIB_VERSION,
                size_of::<sys::jpeg_decompress_struct>(),
            );
            (*info).src = &raw mut state.source;
            (*info).common.progress = &raw mut state.progress;
            let memory = (*info).common.mem;
            (*memory).max_memory_to_use =
                c_long::try_from(budget.buffered.saturating_mul(BYTES_PER_PIXEL) + (8 << 20))
                    .unwrap_or(c_long::MAX);
            &mut *info
        }
    }

    /// Reads the header, then row by row; may unwind.
    fn run(&mut self, budget: Budget) -> Result<Rgb, Error> {
        let truncated = || Error::Damaged(TRUNCATED.into());
        let info = self.create(budget);
        // SAFETY: the decompressor was created, its source is the slice that outlives it.
        let header = unsafe { sys::jpeg_read_header(info, 1) };
        if header != 1 {
            return Err(truncated());
        }
        budget.check(info.image_width, info.image_height)?;
        let channels = match info.num_components {
            1 => 1,
            3 => 3,
            4 => 4,
            other => {
                return Err(Error::Damaged(format!(
                    "JPEG of {other} channels; 1, 3 and 4 are read"
                )));
            }
        };
        // Before the start: libjpeg converts to it row by row, from whatever the file holds.
        info.out_color_space = match channels {
            1 => sys::JCS_GRAYSCALE,
            3 => sys::JCS_RGB,
            _ => sys::JCS_CMYK,
        };
        // SAFETY: as above. Zero means that the data ended, since the source never has more.
        if unsafe { sys::jpeg_start_decompress(info) } == 0 {
            return Err(truncated());
        }
        let (width, height) = (info.output_width as usize, info.output_height as usize);
        if info.output_components != channels {
            return Err(Error::Damaged("JPEG of an unknown colour space".into()));
        }
        let stride = width * channels as usize;
        let mut data = vec![0u8; stride * height];
        for row in data.chunks_exact_mut(stride) {
            let mut line = row.as_mut_ptr();
            // SAFETY: `row` has room for one line of `output_width * output_components` bytes.
            if unsafe { sys::jpeg_read_scanlines(info, &raw mut line, 1) } != 1 {
                return Err(truncated());
            }
        }
        // Pillow looks at what follows the last row, and refuses what libjpeg calls an error there,
        // not what is missing. SAFETY: all rows are read.
        unsafe { sys::jpeg_finish_decompress(info) };
        let data = match channels {
            1 => colour::grey(&data),
            3 => data,
            _ => colour::inverted_cmyk(&data),
        };
        Ok(Rgb {
            width,
            height,
            data,
        })
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        if self.state.created {
            // SAFETY: the struct was handed to `jpeg_CreateDecompress`; a zeroed or half-created
            // one is destroyed as well.
            unsafe { sys::jpeg_destroy_decompress(&mut *self.state.info.as_mut_ptr()) };
        }
    }
}

unsafe extern "C-unwind" fn raise(common: &mut sys::jpeg_common_struct) {
    let mut buffer = [0u8; MESSAGE];
    // SAFETY: set by `jpeg_std_error`.
    if let Some(format) = unsafe { (*common.err).format_message } {
        // SAFETY: the binding says that C reads 80 bytes; it writes up to `JMSG_LENGTH_MAX` (200)
        // of them, the last one zero.
        unsafe { transmute::<FormatMessage, WriteMessage>(format)(common, buffer.as_mut_ptr()) };
    }
    let text = buffer.split(|&b| b == 0).next().unwrap_or_default();
    // No panic hook runs: this is an answer, not a fault.
    resume_unwind(Box::new(Raised(String::from_utf8_lossy(text).into_owned())));
}

/// Pillow decodes what libjpeg warns of.
unsafe extern "C-unwind" fn count_warnings(_: &mut sys::jpeg_common_struct, _: c_int) {}

unsafe extern "C-unwind" fn silent(_: &mut sys::jpeg_common_struct) {}

unsafe extern "C-unwind" fn nothing(_: &mut sys::jpeg_decompress_struct) {}

/// There is no more data: all of it was there from the start.
unsafe extern "C-unwind" fn suspend(_: &mut sys::jpeg_decompress_struct) -> sys::boolean {
    0
}

unsafe extern "C-unwind" fn skip(info: &mut sys::jpeg_decompress_struct, count: c_long) {
    // SAFETY: `src` is the source set in `create`; the pointer moves within the slice.
    unsafe {
        let source = &mut *info.src;
        let count = usize::try_from(count)
            .unwrap_or(0)
            .min(source.bytes_in_buffer);
        source.next_input_byte = source.next_input_byte.add(count);
        source.bytes_in_buffer -= count;
    }
}

unsafe extern "C-unwind" fn count_scans(common: &mut sys::jpeg_common_struct) {
    // SAFETY: only a decompressor has this monitor, and its first field is the common part.
    let info = unsafe { &*std::ptr::from_mut(common).cast::<sys::jpeg_decompress_struct>() };
    if info.input_scan_number > MOST_SCANS {
        resume_unwind(Box::new(Raised(format!("more than {MOST_SCANS} scans"))));
    }
}
