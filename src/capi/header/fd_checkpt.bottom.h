/* Accessors.  checkpt must be what init returned (not NULL, not finished). */

/* fd_checkpt_is_mmio returns 1 if checkpt writes to a memory region and
   0 if it writes to a descriptor. */

FD_FN_PURE static inline int fd_checkpt_is_mmio( fd_checkpt_t const * checkpt ) { return checkpt->fd<0; }

/* fd_checkpt_fd returns the descriptor, -1 in mmio mode.  fd_checkpt_wbuf
   and fd_checkpt_wbuf_sz return the write buffer and its size in bytes,
   NULL and 0 in mmio mode. */

FD_FN_PURE static inline int fd_checkpt_fd( fd_checkpt_t const * checkpt ) { return checkpt->fd; }

FD_FN_PURE static inline void *
fd_checkpt_wbuf( fd_checkpt_t * checkpt ) {
  return fd_checkpt_is_mmio( checkpt ) ? NULL : (void *)checkpt->wbuf.mem;
}

FD_FN_PURE static inline ulong
fd_checkpt_wbuf_sz( fd_checkpt_t const * checkpt ) {
  return fd_checkpt_is_mmio( checkpt ) ? 0UL : checkpt->wbuf.sz;
}

/* fd_checkpt_mmio and fd_checkpt_mmio_sz return the memory region and its
   size in bytes, NULL and 0 in stream mode. */

FD_FN_PURE static inline void *
fd_checkpt_mmio( fd_checkpt_t * checkpt ) {
  return fd_checkpt_is_mmio( checkpt ) ? (void *)checkpt->mmio.mem : NULL;
}

FD_FN_PURE static inline ulong
fd_checkpt_mmio_sz( fd_checkpt_t const * checkpt ) {
  return fd_checkpt_is_mmio( checkpt ) ? checkpt->mmio.sz : 0UL;
}

/* fd_checkpt_can_open returns 1 if a frame can be opened, fd_checkpt_in_frame
   1 if one is open.  Both return 0 for a failed checkpt. */

FD_FN_PURE static inline int fd_checkpt_can_open( fd_checkpt_t const * checkpt ) { return checkpt->frame_style==0; }
FD_FN_PURE static inline int fd_checkpt_in_frame( fd_checkpt_t const * checkpt ) { return checkpt->frame_style> 0; }

/* fd_checkpt_open and fd_checkpt_close are fd_checkpt_open_advanced and
   fd_checkpt_close_advanced for callers who don't need the offset. */

static inline int
fd_checkpt_open( fd_checkpt_t * checkpt,
                 int            frame_style ) {
  ulong off;
  return fd_checkpt_open_advanced( checkpt, frame_style, &off );
}

static inline int
fd_checkpt_close( fd_checkpt_t * checkpt ) {
  ulong off;
  return fd_checkpt_close_advanced( checkpt, &off );
}

/* The same for restoring. */

FD_FN_PURE static inline int fd_restore_is_mmio( fd_restore_t const * restore ) { return restore->fd<0; }
FD_FN_PURE static inline int fd_restore_fd     ( fd_restore_t const * restore ) { return restore->fd;   }

FD_FN_PURE static inline void *
fd_restore_rbuf( fd_restore_t * restore ) {
  return fd_restore_is_mmio( restore ) ? NULL : (void *)restore->rbuf.mem;
}

FD_FN_PURE static inline ulong
fd_restore_rbuf_sz( fd_restore_t const * restore ) {
  return fd_restore_is_mmio( restore ) ? 0UL : restore->rbuf.sz;
}

FD_FN_PURE static inline void const *
fd_restore_mmio( fd_restore_t const * restore ) {
  return fd_restore_is_mmio( restore ) ? (void const *)restore->mmio.mem : NULL;
}

FD_FN_PURE static inline ulong
fd_restore_mmio_sz( fd_restore_t const * restore ) {
  return fd_restore_is_mmio( restore ) ? restore->sz : 0UL;
}

/* fd_restore_sz returns the size in bytes of what is restored from: of
   the file when init was called (seeks go from 0 to there), or of the
   region.  ULONG_MAX means that it is unknown, and that seeking is not
   possible (a pipe, for example). */

FD_FN_PURE static inline ulong fd_restore_sz( fd_restore_t const * restore ) { return restore->sz; }

FD_FN_PURE static inline int fd_restore_can_open( fd_restore_t const * restore ) { return restore->frame_style==0; }
FD_FN_PURE static inline int fd_restore_in_frame( fd_restore_t const * restore ) { return restore->frame_style> 0; }

static inline int
fd_restore_open( fd_restore_t * restore,
                 int            frame_style ) {
  ulong off;
  return fd_restore_open_advanced( restore, frame_style, &off );
}

static inline int
fd_restore_close( fd_restore_t * restore ) {
  ulong off;
  return fd_restore_close_advanced( restore, &off );
}

FD_PROTOTYPES_END

#endif /* HEADER_fd_src_util_checkpt_fd_checkpt_h */
