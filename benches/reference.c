/* reference.c: the API of fd_checkpt.h in the plainest C over lz4.c.

   The reference of `make bench`, and a second oracle in the tests.  It is
   written from the description of the contract alone, as one would write
   it without a thought of speed beyond memcpy and buffers: LZ4 and the
   system do what they do, and nothing is saved around them.

   It gathers and reads ahead as the original does (a buffer goes out when
   it is full; what is as large as the buffer goes straight), and retries
   EAGAIN at once.  In two places it follows not the original but the
   library, so that the two can be compared: EINTR is retried, and a chunk
   that decodes to fewer bytes than asked for is an error.  Failures are
   not logged. */

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lz4.h"

#pragma GCC visibility push(default) /* All else is hidden, see the Makefile */
#include "fd_checkpt.h"
#pragma GCC visibility pop

#define HEADER_SZ (3UL)
#define CSZ_LIMIT ((1UL<<24)-1UL) /* What a header can say */

/* Reading and writing ***********************************************/

static int
again( void ) {
  return errno==EAGAIN || errno==EWOULDBLOCK || errno==EINTR;
}

static int
write_all( int           fd,
           uchar const * src,
           ulong         sz ) {
  while( sz ) {
    ssize_t n = write( fd, src, sz );
    if( n<=0L ) {
      if( n<0L && again() ) continue;
      return FD_CHECKPT_ERR_IO;
    }
    src += n;
    sz  -= (ulong)n;
  }
  return FD_CHECKPT_SUCCESS;
}

/* read_some reads at least min and at most max bytes. */

static int
read_some( int     fd,
           uchar * dst,
           ulong   min,
           ulong   max,
           ulong * got ) {
  *got = 0UL;
  while( *got<min ) {
    ssize_t n = read( fd, dst+*got, max-*got );
    if( n<=0L ) {
      if( n<0L && again() ) continue;
      return FD_CHECKPT_ERR_IO;
    }
    *got += (ulong)n;
  }
  return FD_CHECKPT_SUCCESS;
}

static int
flush( fd_checkpt_t * checkpt ) {
  int err = write_all( checkpt->fd, checkpt->wbuf.mem, checkpt->wbuf.used );
  if( !err ) checkpt->wbuf.used = 0UL;
  return err;
}

static int
write_buffered( fd_checkpt_t * checkpt,
                uchar const *  src,
                ulong          sz ) {
  fd_checkpt_private_wbuf_t * wbuf = &checkpt->wbuf;
  if( wbuf->used ) {
    ulong n = wbuf->sz - wbuf->used;
    if( n>sz ) n = sz;
    memcpy( wbuf->mem + wbuf->used, src, n );
    wbuf->used += n;
    src        += n;
    sz         -= n;
    if( wbuf->used<wbuf->sz ) return FD_CHECKPT_SUCCESS;
    int err = flush( checkpt );
    if( err ) return err;
  }
  if( sz>=wbuf->sz ) return write_all( checkpt->fd, src, sz );
  memcpy( wbuf->mem, src, sz );
  wbuf->used = sz;
  return FD_CHECKPT_SUCCESS;
}

static int
read_buffered( fd_restore_t * restore,
               uchar *        dst,
               ulong          sz ) {
  fd_restore_private_rbuf_t * rbuf = &restore->rbuf;
  ulong n = rbuf->ready<sz ? rbuf->ready : sz;
  memcpy( dst, rbuf->mem + rbuf->lo, n );
  rbuf->lo    += n;
  rbuf->ready -= n;
  dst         += n;
  sz          -= n;
  if( !sz ) return FD_CHECKPT_SUCCESS;
  rbuf->lo = 0UL;
  if( sz>=rbuf->sz ) return read_some( restore->fd, dst, sz, sz, &n );
  int err = read_some( restore->fd, rbuf->mem, sz, rbuf->sz, &n );
  if( err ) return err;
  memcpy( dst, rbuf->mem, sz );
  rbuf->lo    = sz;
  rbuf->ready = n - sz;
  return FD_CHECKPT_SUCCESS;
}

/* Makes sz bytes, no more than the buffer's minimum, ready in it. */

static int
read_ahead( fd_restore_t * restore,
            ulong          sz ) {
  fd_restore_private_rbuf_t * rbuf = &restore->rbuf;
  if( rbuf->ready>=sz ) return FD_CHECKPT_SUCCESS;
  memmove( rbuf->mem, rbuf->mem + rbuf->lo, rbuf->ready );
  rbuf->lo = 0UL;
  ulong n;
  int   err = read_some( restore->fd, rbuf->mem + rbuf->ready, sz - rbuf->ready, rbuf->sz - rbuf->ready, &n );
  if( err ) return err;
  rbuf->ready += n;
  return FD_CHECKPT_SUCCESS;
}

/* Checkpoints *******************************************************/

static fd_checkpt_t *
checkpt_new( void * mem,
             int    fd ) {
  fd_checkpt_t * checkpt = (fd_checkpt_t *)mem;
  checkpt->lz4 = LZ4_createStream();
  if( !checkpt->lz4 ) return NULL;
  checkpt->fd          = fd;
  checkpt->frame_style = 0;
  checkpt->gbuf_cursor = 0UL;
  checkpt->off         = 0UL;
  return checkpt;
}

fd_checkpt_t *
fd_checkpt_init_stream( void * mem,
                        int    fd,
                        void * wbuf,
                        ulong  wbuf_sz ) {
  if( !mem || (ulong)mem % FD_CHECKPT_ALIGN ) return NULL;
  if( fd<0 || !wbuf || wbuf_sz<FD_CHECKPT_WBUF_MIN ) return NULL;
  fd_checkpt_t * checkpt = checkpt_new( mem, fd );
  if( !checkpt ) return NULL;
  checkpt->wbuf.mem  = (uchar *)wbuf;
  checkpt->wbuf.sz   = wbuf_sz;
  checkpt->wbuf.used = 0UL;
  return checkpt;
}

fd_checkpt_t *
fd_checkpt_init_mmio( void * mem,
                      void * mmio,
                      ulong  mmio_sz ) {
  if( !mem || (ulong)mem % FD_CHECKPT_ALIGN ) return NULL;
  if( !mmio && mmio_sz ) return NULL;
  fd_checkpt_t * checkpt = checkpt_new( mem, -1 );
  if( !checkpt ) return NULL;
  checkpt->mmio.mem = (uchar *)mmio;
  checkpt->mmio.sz  = mmio_sz;
  return checkpt;
}

static int
checkpt_fail( fd_checkpt_t * checkpt,
              int            err ) {
  checkpt->frame_style = -1;
  return err;
}

void *
fd_checkpt_fini( fd_checkpt_t * checkpt ) {
  if( !checkpt ) return NULL;
  if( fd_checkpt_in_frame( checkpt ) ) {
    checkpt_fail( checkpt, 0 );
    return NULL;
  }
  LZ4_freeStream( (LZ4_stream_t *)checkpt->lz4 );
  checkpt->lz4 = NULL;
  return checkpt;
}

int
fd_checkpt_open_advanced( fd_checkpt_t * checkpt,
                          int            frame_style,
                          ulong *        _off ) {
  if( !checkpt ) return FD_CHECKPT_ERR_INVAL;
  if( !fd_checkpt_can_open( checkpt ) || !_off ) return checkpt_fail( checkpt, FD_CHECKPT_ERR_INVAL );
  if( !frame_style ) frame_style = FD_CHECKPT_FRAME_STYLE_DEFAULT;
  if( !fd_checkpt_frame_style_is_supported( frame_style ) ) return checkpt_fail( checkpt, FD_CHECKPT_ERR_UNSUP );
  if( frame_style==FD_CHECKPT_FRAME_STYLE_LZ4 ) {
    LZ4_resetStream_fast( (LZ4_stream_t *)checkpt->lz4 );
    checkpt->gbuf_cursor = 0UL;
  }
  checkpt->frame_style = frame_style;
  *_off = checkpt->off;
  return FD_CHECKPT_SUCCESS;
}

int
fd_checkpt_close_advanced( fd_checkpt_t * checkpt,
                           ulong *        _off ) {
  if( !checkpt ) return FD_CHECKPT_ERR_INVAL;
  if( !fd_checkpt_in_frame( checkpt ) || !_off ) return checkpt_fail( checkpt, FD_CHECKPT_ERR_INVAL );
  if( !fd_checkpt_is_mmio( checkpt ) ) {
    int err = flush( checkpt );
    if( err ) return checkpt_fail( checkpt, err );
  }
  checkpt->frame_style = 0;
  *_off = checkpt->off;
  return FD_CHECKPT_SUCCESS;
}

static int
put_raw( fd_checkpt_t * checkpt,
         uchar const *  buf,
         ulong          sz ) {
  if( fd_checkpt_is_mmio( checkpt ) ) {
    if( sz > checkpt->mmio.sz - checkpt->off ) return FD_CHECKPT_ERR_IO;
    memcpy( checkpt->mmio.mem + checkpt->off, buf, sz );
  } else {
    int err = write_buffered( checkpt, buf, sz );
    if( err ) return err;
  }
  checkpt->off += sz;
  return FD_CHECKPT_SUCCESS;
}

static int
put_chunk( fd_checkpt_t * checkpt,
           uchar const *  chunk,
           ulong          sz ) {
  int     mmio = fd_checkpt_is_mmio( checkpt );
  uchar * dst;
  ulong   capacity;
  if( mmio ) {
    dst  = checkpt->mmio.mem + checkpt->off;
    capacity = checkpt->mmio.sz  - checkpt->off;
    if( capacity<=HEADER_SZ ) return FD_CHECKPT_ERR_COMP;
  } else {
    if( checkpt->wbuf.sz - checkpt->wbuf.used < FD_CHECKPT_PRIVATE_CSZ_MAX( sz ) ) {
      int err = flush( checkpt );
      if( err ) return err;
    }
    dst  = checkpt->wbuf.mem + checkpt->wbuf.used;
    capacity = checkpt->wbuf.sz  - checkpt->wbuf.used;
  }
  ulong max = capacity - HEADER_SZ;
  if( max>CSZ_LIMIT ) max = CSZ_LIMIT;

  if( FD_CHECKPT_PRIVATE_GBUF_SZ - checkpt->gbuf_cursor < sz ) checkpt->gbuf_cursor = 0UL;
  uchar * gbuf = checkpt->gbuf + checkpt->gbuf_cursor;
  memcpy( gbuf, chunk, sz );
  int csz = LZ4_compress_fast_continue( (LZ4_stream_t *)checkpt->lz4, (char const *)gbuf, (char *)dst + HEADER_SZ,
                                        (int)sz, (int)max, 1 );
  if( csz<=0 ) return FD_CHECKPT_ERR_COMP;
  checkpt->gbuf_cursor += sz;

  dst[0] = (uchar) csz;
  dst[1] = (uchar)(csz>> 8);
  dst[2] = (uchar)(csz>>16);
  checkpt->off += HEADER_SZ + (ulong)csz;
  if( !mmio ) checkpt->wbuf.used += HEADER_SZ + (ulong)csz;
  return FD_CHECKPT_SUCCESS;
}

static int
put( fd_checkpt_t * checkpt,
     void const *   _buf,
     ulong          sz,
     ulong          max ) {
  if( !checkpt ) return FD_CHECKPT_ERR_INVAL;
  if( !fd_checkpt_in_frame( checkpt ) ) return checkpt_fail( checkpt, FD_CHECKPT_ERR_INVAL );
  if( !sz ) return FD_CHECKPT_SUCCESS;
  if( sz>max || !_buf ) return checkpt_fail( checkpt, FD_CHECKPT_ERR_INVAL );
  uchar const * buf = (uchar const *)_buf;

  if( checkpt->frame_style==FD_CHECKPT_FRAME_STYLE_RAW ) {
    int err = put_raw( checkpt, buf, sz );
    return err ? checkpt_fail( checkpt, err ) : err;
  }
  while( sz ) {
    ulong n   = sz<FD_CHECKPT_PRIVATE_CHUNK_USZ_MAX ? sz : FD_CHECKPT_PRIVATE_CHUNK_USZ_MAX;
    int   err = put_chunk( checkpt, buf, n );
    if( err ) return checkpt_fail( checkpt, err );
    buf += n;
    sz  -= n;
  }
  return FD_CHECKPT_SUCCESS;
}

int
fd_checkpt_meta( fd_checkpt_t * checkpt,
                 void const *   buf,
                 ulong          sz ) {
  return put( checkpt, buf, sz, FD_CHECKPT_META_MAX );
}

int
fd_checkpt_data( fd_checkpt_t * checkpt,
                 void const *   buf,
                 ulong          sz ) {
  return put( checkpt, buf, sz, ULONG_MAX );
}

/* Restores **********************************************************/

static fd_restore_t *
restore_new( void * mem,
             int    fd,
             ulong  sz,
             ulong  off ) {
  fd_restore_t * restore = (fd_restore_t *)mem;
  restore->lz4 = LZ4_createStreamDecode();
  if( !restore->lz4 ) return NULL;
  restore->fd          = fd;
  restore->frame_style = 0;
  restore->sbuf_cursor = 0UL;
  restore->sz          = sz;
  restore->off         = off;
  return restore;
}

fd_restore_t *
fd_restore_init_stream( void * mem,
                        int    fd,
                        void * rbuf,
                        ulong  rbuf_sz ) {
  if( !mem || (ulong)mem % FD_RESTORE_ALIGN ) return NULL;
  if( fd<0 || !rbuf || rbuf_sz<FD_RESTORE_RBUF_MIN ) return NULL;
  ulong       sz  = ULONG_MAX;
  ulong       off = 0UL;
  struct stat st;
  off_t       pos = fstat( fd, &st ) ? (off_t)-1 : lseek( fd, 0, SEEK_CUR );
  if( pos>=0 ) {
    sz  = (ulong)st.st_size;
    off = (ulong)pos;
    if( sz>LONG_MAX || off>sz ) return NULL;
  }
  fd_restore_t * restore = restore_new( mem, fd, sz, off );
  if( !restore ) return NULL;
  restore->rbuf.mem   = (uchar *)rbuf;
  restore->rbuf.sz    = rbuf_sz;
  restore->rbuf.lo    = 0UL;
  restore->rbuf.ready = 0UL;
  return restore;
}

fd_restore_t *
fd_restore_init_mmio( void *       mem,
                      void const * mmio,
                      ulong        mmio_sz ) {
  if( !mem || (ulong)mem % FD_RESTORE_ALIGN ) return NULL;
  if( (!mmio && mmio_sz) || mmio_sz>LONG_MAX ) return NULL;
  fd_restore_t * restore = restore_new( mem, -1, mmio_sz, 0UL );
  if( !restore ) return NULL;
  restore->mmio.mem = (uchar const *)mmio;
  return restore;
}

static int
restore_fail( fd_restore_t * restore,
              int            err ) {
  restore->frame_style = -1;
  return err;
}

void *
fd_restore_fini( fd_restore_t * restore ) {
  if( !restore ) return NULL;
  if( fd_restore_in_frame( restore ) ) {
    restore_fail( restore, 0 );
    return NULL;
  }
  LZ4_freeStreamDecode( (LZ4_streamDecode_t *)restore->lz4 );
  restore->lz4 = NULL;
  return restore;
}

int
fd_restore_open_advanced( fd_restore_t * restore,
                          int            frame_style,
                          ulong *        _off ) {
  if( !restore ) return FD_CHECKPT_ERR_INVAL;
  if( !fd_restore_can_open( restore ) || !_off ) return restore_fail( restore, FD_CHECKPT_ERR_INVAL );
  if( !frame_style ) frame_style = FD_CHECKPT_FRAME_STYLE_DEFAULT;
  if( !fd_checkpt_frame_style_is_supported( frame_style ) ) return restore_fail( restore, FD_CHECKPT_ERR_UNSUP );
  if( frame_style==FD_CHECKPT_FRAME_STYLE_LZ4 ) {
    LZ4_setStreamDecode( (LZ4_streamDecode_t *)restore->lz4, NULL, 0 );
    restore->sbuf_cursor = 0UL;
  }
  restore->frame_style = frame_style;
  *_off = restore->off;
  return FD_CHECKPT_SUCCESS;
}

int
fd_restore_close_advanced( fd_restore_t * restore,
                           ulong *        _off ) {
  if( !restore ) return FD_CHECKPT_ERR_INVAL;
  if( !fd_restore_in_frame( restore ) || !_off ) return restore_fail( restore, FD_CHECKPT_ERR_INVAL );
  restore->frame_style = 0;
  *_off = restore->off;
  return FD_CHECKPT_SUCCESS;
}

int
fd_restore_seek( fd_restore_t * restore,
                 ulong          off ) {
  if( !restore ) return FD_CHECKPT_ERR_INVAL;
  if( !fd_restore_can_open( restore ) || restore->sz>LONG_MAX || off>restore->sz )
    return restore_fail( restore, FD_CHECKPT_ERR_INVAL );
  if( !fd_restore_is_mmio( restore ) ) {
    if( lseek( restore->fd, (off_t)off, SEEK_SET )<0 ) return restore_fail( restore, FD_CHECKPT_ERR_IO );
    restore->rbuf.lo    = 0UL;
    restore->rbuf.ready = 0UL;
  }
  restore->off = off;
  return FD_CHECKPT_SUCCESS;
}

static int
get_raw( fd_restore_t * restore,
         uchar *        buf,
         ulong          sz ) {
  if( fd_restore_is_mmio( restore ) ) {
    if( sz > restore->sz - restore->off ) return FD_CHECKPT_ERR_IO;
    memcpy( buf, restore->mmio.mem + restore->off, sz );
  } else {
    int err = read_buffered( restore, buf, sz );
    if( err ) return err;
  }
  restore->off += sz;
  return FD_CHECKPT_SUCCESS;
}

static ulong
chunk_sz( uchar const * header ) {
  return HEADER_SZ + ((ulong)header[0] | (ulong)header[1]<<8 | (ulong)header[2]<<16);
}

static int
get_chunk( fd_restore_t * restore,
           uchar *        buf,
           ulong          sz ) {
  int           mmio = fd_restore_is_mmio( restore );
  ulong         max  = FD_CHECKPT_PRIVATE_CSZ_MAX( sz );
  ulong         left = restore->sz - restore->off; /* mmio */
  uchar const * src;
  ulong         csz;
  if( mmio ) {
    if( left<HEADER_SZ ) return FD_CHECKPT_ERR_COMP;
    src = restore->mmio.mem + restore->off;
    csz = chunk_sz( src );
    if( csz<=HEADER_SZ || csz>max || csz>left ) return FD_CHECKPT_ERR_COMP;
  } else {
    int err = read_ahead( restore, HEADER_SZ );
    if( err ) return err;
    csz = chunk_sz( restore->rbuf.mem + restore->rbuf.lo );
    if( csz<=HEADER_SZ || csz>max ) return FD_CHECKPT_ERR_COMP;
    err = read_ahead( restore, csz );
    if( err ) return err;
    src = restore->rbuf.mem + restore->rbuf.lo;
  }

  if( FD_RESTORE_PRIVATE_SBUF_SZ - restore->sbuf_cursor < sz ) restore->sbuf_cursor = 0UL;
  uchar * sbuf = restore->sbuf + restore->sbuf_cursor;
  int     got  = LZ4_decompress_safe_continue( (LZ4_streamDecode_t *)restore->lz4, (char const *)src + HEADER_SZ,
                                               (char *)sbuf, (int)(csz-HEADER_SZ), (int)sz );
  if( got<0 || (ulong)got!=sz ) return FD_CHECKPT_ERR_COMP;
  memcpy( buf, sbuf, sz );
  restore->sbuf_cursor += sz;

  restore->off += csz;
  if( !mmio ) {
    restore->rbuf.lo    += csz;
    restore->rbuf.ready -= csz;
  }
  return FD_CHECKPT_SUCCESS;
}

static int
get( fd_restore_t * restore,
     void *         _buf,
     ulong          sz,
     ulong          max ) {
  if( !restore ) return FD_CHECKPT_ERR_INVAL;
  if( !fd_restore_in_frame( restore ) ) return restore_fail( restore, FD_CHECKPT_ERR_INVAL );
  if( !sz ) return FD_CHECKPT_SUCCESS;
  if( sz>max || !_buf ) return restore_fail( restore, FD_CHECKPT_ERR_INVAL );
  uchar * buf = (uchar *)_buf;

  if( restore->frame_style==FD_CHECKPT_FRAME_STYLE_RAW ) {
    int err = get_raw( restore, buf, sz );
    return err ? restore_fail( restore, err ) : err;
  }
  while( sz ) {
    ulong n   = sz<FD_CHECKPT_PRIVATE_CHUNK_USZ_MAX ? sz : FD_CHECKPT_PRIVATE_CHUNK_USZ_MAX;
    int   err = get_chunk( restore, buf, n );
    if( err ) return restore_fail( restore, err );
    buf += n;
    sz  -= n;
  }
  return FD_CHECKPT_SUCCESS;
}

int
fd_restore_meta( fd_restore_t * restore,
                 void *         buf,
                 ulong          sz ) {
  return get( restore, buf, sz, FD_RESTORE_META_MAX );
}

int
fd_restore_data( fd_restore_t * restore,
                 void *         buf,
                 ulong          sz ) {
  return get( restore, buf, sz, ULONG_MAX );
}

/* Both **************************************************************/

int
fd_checkpt_frame_style_is_supported( int frame_style ) {
  return frame_style==FD_CHECKPT_FRAME_STYLE_RAW || frame_style==FD_CHECKPT_FRAME_STYLE_LZ4;
}

char const *
fd_checkpt_strerror( int err ) {
  switch( err ) {
  case FD_CHECKPT_SUCCESS:   return "success";
  case FD_CHECKPT_ERR_INVAL: return "bad input args";
  case FD_CHECKPT_ERR_UNSUP: return "unsupported on this target";
  case FD_CHECKPT_ERR_IO:    return "io error";
  case FD_CHECKPT_ERR_COMP:  return "compression error";
  default:                   return "unknown";
  }
}
