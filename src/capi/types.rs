//! The C structs of fd_checkpt.h, and how the engine borrows from them.
//!
//! Their layout is ABI: accessors of the header are compiled into the host program.

#![allow(non_camel_case_types)]

use std::ffi::{c_int, c_uchar, c_ulong, c_void};
use std::mem::{MaybeUninit, align_of, offset_of, size_of};
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use crate::codec::decoder::Decoder;
use crate::codec::encoder::Encoder;
use crate::codec::style::Phase;
use crate::codec::{sink, source};
use crate::error::Error;
use crate::sys::lz4::{Compressor, Decompressor, RING_SIZE};
use crate::sys::memory::{Region, RegionMut};

pub type uchar = c_uchar;
pub type ulong = c_ulong;

/// `struct fd_checkpt_private`
#[repr(C)]
pub struct fd_checkpt_t {
    pub(super) fd: c_int,
    pub(super) frame_style: Phase,
    pub(super) lz4: *mut c_void,
    pub(super) gbuf_cursor: ulong,
    pub(super) off: ulong,
    pub(super) to: fd_checkpt_private_to,
    pub(super) gbuf: [MaybeUninit<uchar>; RING_SIZE],
}

/// The anonymous union in `struct fd_checkpt_private`
#[repr(C)]
pub union fd_checkpt_private_to {
    pub(super) wbuf: fd_checkpt_private_wbuf_t,
    pub(super) mmio: fd_checkpt_private_mmio_t,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct fd_checkpt_private_wbuf_t {
    pub(super) mem: *mut uchar,
    pub(super) sz: ulong,
    pub(super) used: ulong,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct fd_checkpt_private_mmio_t {
    pub(super) mem: *mut uchar,
    pub(super) sz: ulong,
}

/// `struct fd_restore_private`
#[repr(C)]
pub struct fd_restore_t {
    pub(super) fd: c_int,
    pub(super) frame_style: Phase,
    pub(super) lz4: *mut c_void,
    pub(super) sbuf_cursor: ulong,
    pub(super) sz: ulong,
    pub(super) off: ulong,
    pub(super) from: fd_restore_private_from,
    pub(super) sbuf: [MaybeUninit<uchar>; RING_SIZE],
}

/// The anonymous union in `struct fd_restore_private`
#[repr(C)]
pub union fd_restore_private_from {
    pub(super) rbuf: fd_restore_private_rbuf_t,
    pub(super) mmio: fd_restore_private_mmio_t,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct fd_restore_private_rbuf_t {
    pub(super) mem: *mut uchar,
    pub(super) sz: ulong,
    pub(super) lo: ulong,
    pub(super) ready: ulong,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct fd_restore_private_mmio_t {
    pub(super) mem: *const uchar,
}

/// The value of `fd` in mmio mode.
pub(super) const NO_FD: c_int = -1;

/// A handle of the C API, out of which the engine borrows for one call.
pub(super) trait Handle {
    type Engine<'h>
    where
        Self: 'h;

    /// # Safety
    /// `self` was initialised by one of its init functions and not finished; the memory that init was given is still there.
    unsafe fn engine(&mut self) -> Self::Engine<'_>;

    fn phase(&mut self) -> &mut Phase;

    /// Gives back what init took.
    ///
    /// # Safety
    /// As for [`engine`](Self::engine), but may have been finished.
    unsafe fn release(&mut self);
}

impl Handle for fd_checkpt_t {
    type Engine<'h> = Encoder<'h>;

    #[inline]
    unsafe fn engine(&mut self) -> Encoder<'_> {
        let Self { fd, frame_style, lz4, gbuf_cursor, off, to, gbuf } = self;
        // SAFETY: the handle is initialised, so `fd` says which part of the union is in use, `lz4` is the state that init made
        // and only ever used with this ring, and the caller answers for the buffer, region and descriptor given to init.
        unsafe {
            let sink = if *fd >= 0 {
                let fd_checkpt_private_wbuf_t { mem, sz, used } = &mut to.wbuf;
                sink::Sink::Stream(sink::Stream {
                    fd: BorrowedFd::borrow_raw(*fd),
                    offset: off,
                    buffer: io_buffer(*mem, *sz),
                    used,
                })
            } else {
                sink::Sink::Mmio(sink::Mmio { offset: off, region: RegionMut::from_raw(to.mmio.mem, to.mmio.sz) })
            };
            Encoder {
                phase: frame_style,
                lz4: NonNull::new(*lz4).map(|lz4| Compressor::from_raw(lz4, NonNull::from(gbuf).cast())),
                ring_cursor: gbuf_cursor,
                end: sink,
            }
        }
    }

    fn phase(&mut self) -> &mut Phase {
        &mut self.frame_style
    }

    unsafe fn release(&mut self) {
        // SAFETY: init made it, and it is forgotten here.
        unsafe { Compressor::free_raw(std::mem::replace(&mut self.lz4, std::ptr::null_mut())) }
    }
}

impl Handle for fd_restore_t {
    type Engine<'h> = Decoder<'h>;

    #[inline]
    unsafe fn engine(&mut self) -> Decoder<'_> {
        let Self { fd, frame_style, lz4, sbuf_cursor, sz, off, from, sbuf } = self;
        // SAFETY: as for fd_checkpt_t.
        unsafe {
            let source = if *fd >= 0 {
                let fd_restore_private_rbuf_t { mem, sz: buffer_sz, lo, ready } = &mut from.rbuf;
                source::Source::Stream(source::Stream {
                    fd: BorrowedFd::borrow_raw(*fd),
                    size: *sz,
                    offset: off,
                    buffer: io_buffer(*mem, *buffer_sz),
                    lo,
                    ready,
                })
            } else {
                source::Source::Mmio(source::Mmio { offset: off, region: Region::from_raw(from.mmio.mem, *sz) })
            };
            Decoder {
                phase: frame_style,
                lz4: NonNull::new(*lz4).map(|lz4| Decompressor::from_raw(lz4, NonNull::from(sbuf).cast())),
                ring_cursor: sbuf_cursor,
                end: source,
            }
        }
    }

    fn phase(&mut self) -> &mut Phase {
        &mut self.frame_style
    }

    unsafe fn release(&mut self) {
        // SAFETY: init made it, and it is forgotten here.
        unsafe { Decompressor::free_raw(std::mem::replace(&mut self.lz4, std::ptr::null_mut())) }
    }
}

/// # Safety
/// `mem` is not NULL; its `sz` bytes, as far as an object can have so many, are the library's alone for now.
#[inline]
unsafe fn io_buffer<'h>(mem: *mut uchar, sz: ulong) -> &'h mut [u8] {
    let size = usize::try_from(sz).unwrap_or(usize::MAX).min(isize::MAX as usize);
    // SAFETY: passed on to the caller.
    unsafe { std::slice::from_raw_parts_mut(mem, size) }
}

/// The one place that turns a pointer to a handle into a reference.
///
/// # Safety
/// `pointer` is NULL or points to memory of the handle's size that is the library's alone for now. What is in it does not
/// matter: each member allows any value.
#[inline]
pub(super) unsafe fn handle<'h, H: Handle>(pointer: *mut H) -> Result<&'h mut H, Error> {
    if pointer.is_null() {
        return Err(Error::Argument("the handle is NULL"));
    }
    if !pointer.is_aligned() {
        return Err(Error::Argument("the handle's address is not a multiple of 8"));
    }
    // SAFETY: not NULL, aligned, and the rest is the caller's promise.
    Ok(unsafe { &mut *pointer })
}

const _: () = {
    assert!(size_of::<fd_checkpt_t>() == 196_664 && align_of::<fd_checkpt_t>() == 8);
    assert!(offset_of!(fd_checkpt_t, fd) == 0);
    assert!(offset_of!(fd_checkpt_t, frame_style) == 4);
    assert!(offset_of!(fd_checkpt_t, lz4) == 8);
    assert!(offset_of!(fd_checkpt_t, gbuf_cursor) == 16);
    assert!(offset_of!(fd_checkpt_t, off) == 24);
    assert!(offset_of!(fd_checkpt_t, to.wbuf) + offset_of!(fd_checkpt_private_wbuf_t, mem) == 32);
    assert!(offset_of!(fd_checkpt_t, to.wbuf) + offset_of!(fd_checkpt_private_wbuf_t, sz) == 40);
    assert!(offset_of!(fd_checkpt_t, to.wbuf) + offset_of!(fd_checkpt_private_wbuf_t, used) == 48);
    assert!(offset_of!(fd_checkpt_t, to.mmio) + offset_of!(fd_checkpt_private_mmio_t, mem) == 32);
    assert!(offset_of!(fd_checkpt_t, to.mmio) + offset_of!(fd_checkpt_private_mmio_t, sz) == 40);
    assert!(offset_of!(fd_checkpt_t, gbuf) == 56);

    assert!(size_of::<fd_restore_t>() == 196_680 && align_of::<fd_restore_t>() == 8);
    assert!(offset_of!(fd_restore_t, fd) == 0);
    assert!(offset_of!(fd_restore_t, frame_style) == 4);
    assert!(offset_of!(fd_restore_t, lz4) == 8);
    assert!(offset_of!(fd_restore_t, sbuf_cursor) == 16);
    assert!(offset_of!(fd_restore_t, sz) == 24);
    assert!(offset_of!(fd_restore_t, off) == 32);
    assert!(offset_of!(fd_restore_t, from.rbuf) + offset_of!(fd_restore_private_rbuf_t, mem) == 40);
    assert!(offset_of!(fd_restore_t, from.rbuf) + offset_of!(fd_restore_private_rbuf_t, sz) == 48);
    assert!(offset_of!(fd_restore_t, from.rbuf) + offset_of!(fd_restore_private_rbuf_t, lo) == 56);
    assert!(offset_of!(fd_restore_t, from.rbuf) + offset_of!(fd_restore_private_rbuf_t, ready) == 64);
    assert!(offset_of!(fd_restore_t, from.mmio) + offset_of!(fd_restore_private_mmio_t, mem) == 40);
    assert!(offset_of!(fd_restore_t, sbuf) == 72);
};
