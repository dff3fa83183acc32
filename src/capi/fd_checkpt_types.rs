//! The C structs of fd_checkpt.h, and how the engine borrows from them.
//!
//! Their layout is ABI: accessors of the header are compiled into the caller.

#![allow(non_camel_case_types)]

use std::ffi::{c_int, c_uchar, c_ulong, c_void};
use std::mem::{MaybeUninit, align_of, offset_of, size_of};
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use crate::frame::decoder::Decoder;
use crate::frame::encoder::Encoder;
use crate::frame::state::FrameState;
use crate::frame::{sink, source};
use crate::sys::lz4::{Compressor, Decompressor, RING_SIZE};
use crate::sys::shared_bytes::{SharedBytes, SharedBytesMut};

pub type uchar = c_uchar;
pub type ulong = c_ulong;

/// `struct fd_checkpt_private`
#[repr(C)]
pub struct fd_checkpt_t {
    pub(super) fd: c_int,
    pub(super) frame_style: FrameState,
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
    pub(super) frame_style: FrameState,
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

/// A handle of the C API, from which the engine borrows for one call.
pub(super) trait Handle {
    type Codec<'h>;

    /// Borrows the fields that the engine needs, each on its own: LZ4 keeps addresses of earlier chunks in the ring, so
    /// no reference to the ring, or to the struct as a whole, may be made between `init` and `fini`.
    ///
    /// # Safety
    /// The handle was initialised by one of its init functions, the memory given to init is still valid, and nobody
    /// else uses either for `'h`.
    unsafe fn codec<'h>(handle: NonNull<Self>) -> Self::Codec<'h>;

    /// Returns what the handle can do next.
    ///
    /// # Safety
    /// As for [`fail`](Self::fail).
    unsafe fn state(handle: NonNull<Self>) -> FrameState;

    /// Marks the handle failed.
    ///
    /// # Safety
    /// The handle was initialised, and nobody else uses it now.
    unsafe fn fail(handle: NonNull<Self>);

    /// Frees what init allocated.
    ///
    /// # Safety
    /// As for [`fail`](Self::fail); it may have been freed before.
    unsafe fn release(handle: NonNull<Self>);
}

impl Handle for fd_checkpt_t {
    type Codec<'h> = Encoder<'h>;

    #[inline]
    unsafe fn codec<'h>(handle: NonNull<Self>) -> Encoder<'h> {
        let handle = handle.as_ptr();
        // SAFETY: the handle is initialised (required), so `fd` says which field of the union is in use, and `lz4` is
        // the state that init made and that is only ever used with this ring. Buffer, region and descriptor given to
        // init are still valid and used by nobody else (required).
        unsafe {
            let offset = &mut (*handle).off;
            let sink = if (*handle).fd >= 0 {
                let wbuf = &mut (*handle).to.wbuf;
                let buffer = io_buffer(wbuf.mem, wbuf.sz);
                let fd = BorrowedFd::borrow_raw((*handle).fd);
                sink::Sink::Stream(sink::Stream { fd, positioned: false, offset, buffer, used: &mut wbuf.used })
            } else {
                let mmio = (*handle).to.mmio;
                sink::Sink::Mmio(sink::Mmio { offset, region: SharedBytesMut::from_raw(mmio.mem, mmio.sz) })
            };
            let ring = NonNull::new_unchecked(&raw mut (*handle).gbuf).cast();
            Encoder {
                state: &mut (*handle).frame_style,
                lz4: NonNull::new((*handle).lz4).map(|lz4| Compressor::from_raw(lz4, ring)),
                ring_cursor: &mut (*handle).gbuf_cursor,
                endpoint: sink,
                threads: 0,
            }
        }
    }

    #[inline]
    unsafe fn state(handle: NonNull<Self>) -> FrameState {
        // SAFETY: the handle is initialised and used by nobody else (required).
        unsafe { (*handle.as_ptr()).frame_style }
    }

    unsafe fn fail(handle: NonNull<Self>) {
        // SAFETY: the handle is initialised and used by nobody else (required).
        unsafe { (*handle.as_ptr()).frame_style = FrameState::FAILED }
    }

    unsafe fn release(handle: NonNull<Self>) {
        // SAFETY: the handle is initialised and used by nobody else (required); its state was made by init, or is NULL
        // once freed.
        unsafe { Compressor::free_raw(std::mem::replace(&mut (*handle.as_ptr()).lz4, std::ptr::null_mut())) }
    }
}

impl Handle for fd_restore_t {
    type Codec<'h> = Decoder<'h>;

    #[inline]
    unsafe fn codec<'h>(handle: NonNull<Self>) -> Decoder<'h> {
        let handle = handle.as_ptr();
        // SAFETY: as for `fd_checkpt_t`: the handle is initialised, what was given to init is still valid (required).
        unsafe {
            let offset = &mut (*handle).off;
            let source = if (*handle).fd >= 0 {
                let rbuf = &mut (*handle).from.rbuf;
                let buffer = io_buffer(rbuf.mem, rbuf.sz);
                let fd = BorrowedFd::borrow_raw((*handle).fd);
                let size = (*handle).sz;
                source::Source::Stream(source::Stream {
                    fd,
                    positioned: false,
                    size,
                    offset,
                    buffer,
                    pos: &mut rbuf.lo,
                    available: &mut rbuf.ready,
                })
            } else {
                let region = SharedBytes::from_raw((*handle).from.mmio.mem, (*handle).sz);
                source::Source::Mmio(source::Mmio { offset, region })
            };
            let ring = NonNull::new_unchecked(&raw mut (*handle).sbuf).cast();
            Decoder {
                state: &mut (*handle).frame_style,
                lz4: NonNull::new((*handle).lz4).map(|lz4| Decompressor::from_raw(lz4, ring)),
                ring_cursor: &mut (*handle).sbuf_cursor,
                endpoint: source,
                threads: 0,
            }
        }
    }

    #[inline]
    unsafe fn state(handle: NonNull<Self>) -> FrameState {
        // SAFETY: the handle is initialised and used by nobody else (required).
        unsafe { (*handle.as_ptr()).frame_style }
    }

    unsafe fn fail(handle: NonNull<Self>) {
        // SAFETY: the handle is initialised and used by nobody else (required).
        unsafe { (*handle.as_ptr()).frame_style = FrameState::FAILED }
    }

    unsafe fn release(handle: NonNull<Self>) {
        // SAFETY: the handle is initialised and used by nobody else (required); its state was made by init, or is NULL
        // once freed.
        unsafe { Decompressor::free_raw(std::mem::replace(&mut (*handle.as_ptr()).lz4, std::ptr::null_mut())) }
    }
}

/// # Safety
/// `mem` is not NULL; its `sz` bytes, at most `isize::MAX` of them, are valid for reads and writes and used by nobody
/// else for `'h`.
#[inline]
unsafe fn io_buffer<'h>(mem: *mut uchar, sz: ulong) -> &'h mut [u8] {
    let size = usize::try_from(sz).unwrap_or(usize::MAX).min(isize::MAX as usize);
    // SAFETY: not NULL, and `size` bytes are valid and used by nobody else (required).
    unsafe { std::slice::from_raw_parts_mut(mem, size) }
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
