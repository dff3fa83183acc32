/* corruption.c: LZ4 frames that are not what was written.  Whatever they
   hold, restoring them gives 0, ERR_IO or ERR_COMP and touches no byte
   outside of the buffer, and no byte that was not decoded passes for
   data. */

#include "test.h"

enum { FILE_MODE, PIPE_MODE, MMIO_MODE, MODES };

static char const * const mode_name[] = { "file", "pipe", "mmio" };

static fd_checkpt_t checkpt_mem[1];
static fd_restore_t restore_mem[1];
static uchar *      rbuf;

/* What the source is restored from. */

struct source {
  int            mode;
  int            fd;
  uchar *        region;
  test_peer_t    peer;
  int            fed;
  fd_restore_t * restore;
};

static void
source_open( struct source * s,
             int             mode,
             uchar const *   bytes,
             ulong           sz ) {
  memset( s, 0, sizeof(*s) );
  s->mode = mode;
  s->fd   = -1;
  if( mode==MMIO_MODE ) {
    s->region = (uchar *)test_alloc( sz ); /* Exactly that large, so that valgrind sees reads beyond it */
    memcpy( s->region, bytes, sz );
    s->restore = fd_restore_init_mmio( restore_mem, s->region, sz );
  } else {
    if( mode==FILE_MODE ) s->fd = test_file_of( bytes, sz );
    else {
      int fd[2];
      test_pipe( fd );
      s->fd = fd[0];
      if( sz<=4096UL ) { /* Fits: no need for a thread */
        test_write_all( fd[1], bytes, sz );
        close( fd[1] );
      } else {
        test_feed( &s->peer, fd[1], bytes, sz );
        s->fed = 1;
      }
    }
    s->restore = fd_restore_init_stream( restore_mem, s->fd, rbuf, FD_RESTORE_RBUF_MIN );
  }
  CHECK_EQ( s->restore, restore_mem );
}

static void
source_close( struct source * s ) {
  if( fd_restore_in_frame( s->restore ) ) fd_restore_close( s->restore );
  CHECK_EQ( fd_restore_fini( s->restore ), restore_mem );
  if( s->fd>=0 ) close( s->fd );
  if( s->fed ) test_join( &s->peer );
  free( s->region );
}

/* get restores one LZ4 frame: cnt buffers, end to end into out.  It gives
   the first error, the handle must have failed then. */

static int
get( int           mode,
     uchar const * bytes,
     ulong         bytes_sz,
     ulong const * sz,
     ulong         cnt,
     uchar *       out ) {
  struct source s[1];
  source_open( s, mode, bytes, bytes_sz );
  int err = fd_restore_open( s->restore, LZ4 );
  for( ulong i=0UL; !err && i<cnt; i++ ) {
    /* A buffer that ends where its memory does, so that writes beyond it are seen. */
    uchar * buf = (uchar *)test_alloc( sz[i] );
    err = (i & 1UL) && sz[i]<=FD_RESTORE_META_MAX ? fd_restore_meta( s->restore, buf, sz[i] )
                                                  : fd_restore_data( s->restore, buf, sz[i] );
    if( !err && out ) { memcpy( out, buf, sz[i] ); out += sz[i]; }
    free( buf );
  }
  if( err ) CHECK( !fd_restore_in_frame( s->restore ) && !fd_restore_can_open( s->restore ) );
  source_close( s );
  return err;
}

static int
get_one( int           mode,
         uchar const * bytes,
         ulong         bytes_sz,
         ulong         sz ) {
  return get( mode, bytes, bytes_sz, &sz, 1UL, NULL );
}

/* put makes one LZ4 frame in memory and returns its size; at[i] is where
   buffer i begins, at[cnt] the end. */

static ulong
put( uchar *       bytes,
     ulong         cap,
     uchar const * data,
     ulong const * sz,
     ulong         cnt,
     ulong *       at ) {
  fd_checkpt_t * c = fd_checkpt_init_mmio( checkpt_mem, bytes, cap );
  WORKS( fd_checkpt_open( c, LZ4 ) );
  for( ulong i=0UL; i<cnt; i++ ) {
    at[i] = c->off;
    CHECK_EQ( fd_checkpt_data( c, data, sz[i] ), 0 );
    data += sz[i];
  }
  WORKS( fd_checkpt_close_advanced( c, &at[cnt] ) );
  CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
  return at[cnt];
}

/* Chunks made by hand ***********************************************/

static void
check_handmade( void ) {
  /* 3 literals */
  static uchar const abc[] = { 4, 0, 0, 0x30, 'a', 'b', 'c' };
  /* 10 literals; then 10 bytes from 10 before and 10 literals */
  static uchar const two[] = { 11, 0, 0, 0xa0, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j',
                               14, 0, 0, 0x06, 10, 0, 0xa0, '0', '1', '2', '3', '4', '5', '6', '7', '8', '9' };
  static uchar const zero[] = { 0, 0, 0, 0x30, 'a', 'b', 'c' };
  static uchar const huge[] = { 0xff, 0xff, 0xff, 0x30, 'a', 'b', 'c' };
  uchar out[ 30 ];
  ulong sz[2];
  memset( out, 0, sizeof(out) );

  for( int mode=0; mode<MODES; mode++ ) {
    int missing = mode==MMIO_MODE ? FD_CHECKPT_ERR_COMP : FD_CHECKPT_ERR_IO; /* More is wanted than there is */

    sz[0] = 3UL;
    CHECK_EQ( get( mode, abc, sizeof(abc), sz, 1UL, out ), 0 );
    CHECK( !memcmp( out, "abc", 3UL ) );

    /* Fewer bytes come out than were asked for, or more. */
    CHECK_EQ( get_one( mode, abc, sizeof(abc),     1UL ), FD_CHECKPT_ERR_COMP );
    CHECK_EQ( get_one( mode, abc, sizeof(abc),     2UL ), FD_CHECKPT_ERR_COMP );
    CHECK_EQ( get_one( mode, abc, sizeof(abc),     4UL ), FD_CHECKPT_ERR_COMP );
    CHECK_EQ( get_one( mode, abc, sizeof(abc),   100UL ), FD_CHECKPT_ERR_COMP );
    CHECK_EQ( get_one( mode, abc, sizeof(abc), 65536UL ), FD_CHECKPT_ERR_COMP );
    CHECK_EQ( get_one( mode, abc, sizeof(abc), 65537UL ), FD_CHECKPT_ERR_COMP );

    /* A chunk may refer to the one before ... */
    sz[0] = 10UL;
    sz[1] = 20UL;
    CHECK_EQ( get( mode, two, sizeof(two), sz, 2UL, out ), 0 );
    CHECK( !memcmp( out, "abcdefghijabcdefghij0123456789", 30UL ) );

    /* ... but not to what is before the frame, though the ring still has it. */
    struct source s[1];
    source_open( s, mode, two, sizeof(two) );
    WORKS( fd_restore_open ( s->restore, LZ4 ) );
    WORKS( fd_restore_data ( s->restore, out, 10UL ) );
    WORKS( fd_restore_close( s->restore ) );
    WORKS( fd_restore_open ( s->restore, LZ4 ) );
    FAILS( FD_CHECKPT_ERR_COMP, fd_restore_data( s->restore, out, 20UL ) );
    source_close( s );
    CHECK_EQ( get_one( mode, two+14, sizeof(two)-14UL, 20UL ), FD_CHECKPT_ERR_COMP );

    /* Sizes of 0, and too large for the chunk. */
    CHECK_EQ( get_one( mode, zero, sizeof(zero), 3UL     ), FD_CHECKPT_ERR_COMP );
    CHECK_EQ( get_one( mode, zero, 3UL,          3UL     ), FD_CHECKPT_ERR_COMP );
    CHECK_EQ( get_one( mode, huge, sizeof(huge), 3UL     ), FD_CHECKPT_ERR_COMP );
    CHECK_EQ( get_one( mode, huge, sizeof(huge), 65536UL ), FD_CHECKPT_ERR_COMP );

    static ulong const chunk[] = { 1UL, 10UL, 254UL, 255UL, 5000UL, 65535UL, 65536UL, 65537UL, 200000UL };
    for( ulong i=0UL; i<sizeof(chunk)/sizeof(chunk[0]); i++ ) {
      ulong   usz   = chunk[i]<65536UL ? chunk[i] : 65536UL;
      ulong   max   = FD_CHECKPT_PRIVATE_CSZ_MAX( usz )-3UL;
      uchar * bytes = (uchar *)test_alloc( max+4UL );
      for( ulong csz=max-1UL; csz<=max+1UL; csz++ ) {
        bytes[0] = (uchar)csz; bytes[1] = (uchar)(csz>>8); bytes[2] = (uchar)(csz>>16);

        /* All there, but no block: a length without an end. */
        memset( bytes+3, 0xff, csz );
        CHECK_EQ_MSG( get_one( mode, bytes, csz+3UL, chunk[i] ), FD_CHECKPT_ERR_COMP,
                     "%s %lu csz %lu", mode_name[mode], chunk[i], csz );

        /* One byte short: a size that can't be is found before that. */
        int want = csz>max ? FD_CHECKPT_ERR_COMP : missing;
        CHECK_EQ_MSG( get_one( mode, bytes, csz+2UL, chunk[i] ), want, "%s %lu csz %lu", mode_name[mode], chunk[i], csz );
        CHECK_EQ_MSG( get_one( mode, bytes, 4UL,     chunk[i] ), want, "%s %lu csz %lu", mode_name[mode], chunk[i], csz );
      }
      free( bytes );
    }

    /* Payloads that are no LZ4 blocks. */
    static uchar const garbage[][ 8 ] = {
      { 1, 0, 0, 0xf0 },                          /* Literals that are not there */
      { 5, 0, 0, 0x10, 'a', 5, 0, 0 },            /* A match from before the frame */
      { 5, 0, 0, 0x10, 'a', 0xff, 0xff, 0 },
      { 4, 0, 0, 0x1f, 'a', 1, 0 },               /* A match without an end */
      { 2, 0, 0, 0xf0, 0xff },
    };
    for( ulong i=0UL; i<sizeof(garbage)/sizeof(garbage[0]); i++ ) {
      CHECK_EQ_MSG( get_one( mode, garbage[i], 3UL+garbage[i][0], 100UL ), FD_CHECKPT_ERR_COMP,
                   "%s garbage %lu", mode_name[mode], i );
    }
  }
}

/* Damage to a frame *************************************************/

static int
may_be( int mode,
        int err ) {
  return err==0 || err==FD_CHECKPT_ERR_COMP || (err==FD_CHECKPT_ERR_IO && mode!=MMIO_MODE);
}

/* Every truncation and every single bit of a small frame. */

static void
check_small( void ) {
  ulong const sz[] = { 40UL, 90UL, 1UL, 70UL };
  ulong const cnt  = 4UL;
  uchar data[ 201 ], bytes[ 1000 ], out[ 201 ];
  ulong at[ 5 ];
  for( ulong i=0UL; i<201UL; i++ ) data[i] = (uchar)("abcdefghijklmnopqrstuvwx"[ (i*i/7UL)%24UL ]);
  memcpy( data+40,  data,   36UL ); /* Back references to the chunk before ... */
  memcpy( data+131, data+3, 60UL ); /* ... and to the first */
  ulong bytes_sz = put( bytes, sizeof(bytes), data, sz, cnt, at );
  CHECK( bytes_sz<200UL );

  for( int mode=0; mode<MODES; mode++ ) {
    memset( out, 0, sizeof(out) );
    CHECK_EQ( get( mode, bytes, bytes_sz, sz, cnt, out ), 0 );
    CHECK( !memcmp( out, data, 201UL ) );
    for( ulong cut=0UL; cut<bytes_sz; cut++ ) {
      int want = mode==MMIO_MODE ? FD_CHECKPT_ERR_COMP : FD_CHECKPT_ERR_IO;
      CHECK_EQ_MSG( get( mode, bytes, cut, sz, cnt, NULL ), want, "%s cut at %lu", mode_name[mode], cut );
    }
  }

  for( ulong bit=0UL; bit<8UL*bytes_sz; bit++ ) {
    int err[ MODES ];
    bytes[ bit/8UL ] ^= (uchar)(1U<<(bit & 7UL));
    for( int mode=0; mode<MODES; mode++ ) {
      err[ mode ] = get( mode, bytes, bytes_sz, sz, cnt, NULL );
      CHECK_MSG( may_be( mode, err[ mode ] ), "%s bit %lu: %d", mode_name[mode], bit, err[ mode ] );
    }
    bytes[ bit/8UL ] ^= (uchar)(1U<<(bit & 7UL));
    CHECK_EQ_MSG( err[ FILE_MODE ], err[ PIPE_MODE ], "bit %lu", bit );
    CHECK_EQ_MSG( !err[ FILE_MODE ], !err[ MMIO_MODE ], "bit %lu", bit );
  }

  /* A byte of a header, of every value. */
  for( ulong i=0UL; i<cnt; i++ ) for( ulong j=0UL; j<3UL; j++ ) for( ulong value=0UL; value<256UL; value++ ) {
    uchar old = bytes[ at[i]+j ];
    bytes[ at[i]+j ] = (uchar)value;
    for( int mode=0; mode<MODES; mode+=2 ) {
      int err = get( mode, bytes, bytes_sz, sz, cnt, NULL );
      CHECK_MSG( value==old ? !err : (err && may_be( mode, err )),
                "%s byte %lu of header %lu is %lu: %d", mode_name[mode], j, i, value, err );
    }
    bytes[ at[i]+j ] = old;
  }
}

/* Some bits of a larger frame, whose buffers have several chunks. */

static void
check_large( void ) {
  ulong const sz[] = { 100000UL, 65536UL, 3UL, 70000UL, 1000UL };
  ulong const cnt  = 5UL;
  ulong       at[ 6 ];
  ulong       total = 236539UL;
  uchar *     data  = (uchar *)test_alloc( total );
  uchar *     bytes = (uchar *)test_alloc( 2UL*total );
  uchar *     out   = (uchar *)test_alloc( total );
  test_fill( data, total, 3UL );
  ulong bytes_sz = put( bytes, 2UL*total, data, sz, cnt, at );

  ulong state = 77UL;
  for( int i=0; i<150; i++ ) {
    int   mode = i%MODES;
    ulong bit  = test_rand( &state )%(8UL*bytes_sz);
    bytes[ bit/8UL ] ^= (uchar)(1U<<(bit & 7UL));
    int err = get( mode, bytes, bytes_sz, sz, cnt, NULL );
    CHECK_MSG( may_be( mode, err ), "%s bit %lu: %d", mode_name[mode], bit, err );
    bytes[ bit/8UL ] ^= (uchar)(1U<<(bit & 7UL));

    ulong cut = test_rand( &state )%bytes_sz;
    CHECK_EQ_MSG( get( mode, bytes, cut, sz, cnt, NULL ), mode==MMIO_MODE ? FD_CHECKPT_ERR_COMP : FD_CHECKPT_ERR_IO,
                 "%s cut at %lu", mode_name[mode], cut );
  }

  /* Noise from anywhere to the end. */
  uchar * noise = (uchar *)test_alloc( bytes_sz );
  for( int i=0; i<60; i++ ) {
    int   mode = i%MODES;
    ulong from = test_rand( &state )%bytes_sz;
    memcpy( noise, bytes, from );
    for( ulong j=from; j<bytes_sz; j++ ) noise[j] = (uchar)(test_rand( &state )>>16);
    int err = get( mode, noise, bytes_sz, sz, cnt, NULL );
    CHECK_MSG( may_be( mode, err ), "%s noise from %lu: %d", mode_name[mode], from, err );
  }
  free( noise );

  for( int mode=0; mode<MODES; mode++ ) {
    CHECK_EQ( get( mode, bytes, bytes_sz, sz, cnt, out ), 0 ); /* All damage has been undone */
    CHECK( !memcmp( out, data, total ) );
  }
  free( data  );
  free( bytes );
  free( out   );
}

/* Restoring with other sizes than those written. */

static void
check_wrong_sizes( void ) {
  ulong const sz[] = { 1000UL, 2000UL, 66000UL };
  static struct { ulong sz[4]; int good; } const tries[] = {
    { {  1000UL,  2000UL, 66000UL,    0UL }, 1 },
    { {     0UL,  1000UL,  2000UL, 66000UL }, 1 },
    { {  1000UL,  2000UL, 65536UL,   464UL }, 1 }, /* Cut where the chunks are anyway */
    { {   999UL,  2000UL, 66000UL,    0UL }, 0 },
    { {  1001UL,  2000UL, 66000UL,    0UL }, 0 },
    { {  3000UL, 66000UL,     0UL,    0UL }, 0 },
    { {   500UL,   500UL,     0UL,    0UL }, 0 },
    { {     1UL,     0UL,     0UL,    0UL }, 0 },
    { {  2000UL,  1000UL,     0UL,    0UL }, 0 },
    { { 65536UL,     0UL,     0UL,    0UL }, 0 },
    { { 69000UL,     0UL,     0UL,    0UL }, 0 },
    { {  1000UL,  2001UL,     0UL,    0UL }, 0 },
    { {  1000UL,  2000UL, 65535UL,    0UL }, 0 },
    { {  1000UL,  2000UL, 65999UL,    0UL }, 0 },
    { {  1000UL,  2000UL, 66001UL,    0UL }, 0 },
  };
  ulong   at[ 4 ];
  uchar * data  = (uchar *)test_alloc( 69000UL );
  uchar * bytes = (uchar *)test_alloc( 140000UL );
  test_fill( data, 69000UL, 4UL );
  ulong bytes_sz = put( bytes, 140000UL, data, sz, 3UL, at );
  for( ulong i=0UL; i<sizeof(tries)/sizeof(tries[0]); i++ ) for( int mode=0; mode<MODES; mode++ ) {
    CHECK_EQ_MSG( get( mode, bytes, bytes_sz, tries[i].sz, 4UL, NULL ), tries[i].good ? 0 : FD_CHECKPT_ERR_COMP,
                 "%s try %lu", mode_name[mode], i );
  }

  /* A RAW frame, taken for LZ4, and the other way round. */
  for( int mode=0; mode<MODES; mode++ ) {
    int err = get( mode, data, 69000UL, sz, 3UL, NULL );
    CHECK( err==FD_CHECKPT_ERR_COMP || (mode!=MMIO_MODE && err==FD_CHECKPT_ERR_IO) );
    struct source s[1];
    source_open( s, mode, bytes, bytes_sz );
    CHECK_EQ( test_load( s->restore, RAW, bytes, &bytes_sz, 1UL ), 0 );
    source_close( s );
  }
  free( data  );
  free( bytes );
}

/* The ring **********************************************************/

static void
check_ring( void ) {
  /* Sizes that fill it exactly, miss its end by one, and any. */
  enum { CNT = 160 };
  static ulong const special[] = {
    65536UL, 65536UL, 65536UL, 1UL, 65535UL, 65536UL, 65536UL, 65536UL, 65535UL, 1UL,
    65536UL, 65535UL, 2UL, 65536UL, 131072UL, 131073UL, 196608UL, 196609UL, 200000UL, 65537UL };
  ulong sz[ CNT ];
  ulong total = 0UL;
  ulong state = 5UL;
  for( ulong i=0UL; i<CNT; i++ ) {
    sz[i] = i<sizeof(special)/sizeof(special[0]) ? special[i] : 1UL + 2UL*(test_rand( &state )%15000UL);
    total += sz[i];
  }
  uchar * data  = (uchar *)test_alloc( total );
  uchar * bytes = (uchar *)test_alloc( 2UL*total );
  uchar * out   = (uchar *)test_alloc( total );
  ulong   at[ CNT+1 ];
  test_fill( data, total, 6UL );
  ulong bytes_sz = put( bytes, 2UL*total, data, sz, CNT, at );
  CHECK( bytes_sz<total );
  for( int mode=0; mode<MODES; mode++ ) {
    memset( out, 0, total );
    CHECK_EQ( get( mode, bytes, bytes_sz, sz, CNT, out ), 0 );
    CHECK( !memcmp( out, data, total ) );
  }
  free( data  );
  free( bytes );
  free( out   );
}

/* Where *************************************************************/

static void
check_offsets( void ) {
  ulong const sz[] = { 300UL, 5000UL, 800UL };
  ulong       at[ 4 ];
  uchar       data[ 6100 ];
  uchar       bytes[ 20000 ];
  test_fill( data, sizeof(data), 7UL );
  ulong bytes_sz = put( bytes, sizeof(bytes), data, sz, 3UL, at );
  for( int mode=0; mode<MODES; mode++ ) for( ulong i=0UL; i<3UL; i++ ) {
    uchar old[ 4 ];
    memcpy( old, bytes+at[i], 4UL );
    memset( bytes+at[i], 0xff, 4UL ); /* The chunk's size */
    CHECK_EQ( get( mode, bytes, bytes_sz, sz, 3UL, NULL ), FD_CHECKPT_ERR_COMP );
    memcpy( bytes+at[i], old, 4UL );
    fdckpt_error_t const * error = fdckpt_last_error();
    CHECK_EQ( error->code,   FD_CHECKPT_ERR_COMP );
    CHECK_EQ( error->errnum, 0 );
    CHECK_MSG( error->offset>=at[i] && error->offset<=at[i+1UL],
              "%s chunk %lu [%lu,%lu]: %lu", mode_name[mode], i, at[i], at[i+1UL], error->offset );
    CHECK( !strcmp( error->function, i==1UL ? "fd_restore_meta" : "fd_restore_data" ) );
    CHECK( error->message && *error->message );
  }
}

TEST_MAIN( "corruption" ) {
  rbuf = (uchar *)test_alloc( FD_RESTORE_RBUF_MIN );

  check_handmade();
  check_small();
  check_large();
  check_wrong_sizes();
  check_ring();
  check_offsets();

  free( rbuf );
}
