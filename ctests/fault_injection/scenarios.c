/* scenarios.c: makes and restores checkpoints while the shim makes calls
   fail, and checks what comes of it.

     LD_PRELOAD=shim.so scenario some|all [GROUP [N]]

   A group is one scenario with one fault at the nth call of one kind; a
   run is one group and one n.  A group ends with the run in which nothing
   was injected.  Begins with run N of GROUP (counted from 0 and 1), so
   that the caller can resume after a run that killed the process.

   Prints "run GROUP N WHAT" before each run, "done INJECTED FAILED" after
   it; all other lines tell of failed checks. */

#include "run.h"

/* Faults and where they are injected ********************************/

/* Of what is retried as soon as poll calls the descriptor ready, there
   can't be an endless run (the original would spin for ever, too): many
   in a row stand for it. */
#define MANY (50L)

static fault_t const fault_io[] = {
  { "EIO once",          EIO,           1L       },
  { "EIO for ever",      EIO,           FOR_EVER },
  { "ENOSPC once",       ENOSPC,        1L       },
  { "ENOSPC for ever",   ENOSPC,        FOR_EVER },
  { "ENOMEM once",       ENOMEM,        1L       },
  { "EINTR once",        EINTR,         1L       },
  { "EINTR in a row",    EINTR,         MANY     },
  { "EAGAIN once",       EAGAIN,        1L       },
  { "EAGAIN in a row",   EAGAIN,        MANY     },
  { "one byte once",     FAULT_ONE,     1L       },
  { "one byte for ever", FAULT_ONE,     FOR_EVER },
  { "half once",         FAULT_HALF,    1L       },
  { "half for ever",     FAULT_HALF,    FOR_EVER },
  { "nothing once",      FAULT_NOTHING, 1L       },
  { "nothing for ever",  FAULT_NOTHING, FOR_EVER },
  { NULL, 0, 0L }
};

static fault_t const fault_poll[] = {
  { "EINTR once",     EINTR,  1L       },
  { "EINTR in a row", EINTR,  MANY     },
  { "ENOMEM once",    ENOMEM, 1L       },
  { "EIO for ever",   EIO,    FOR_EVER },
  { NULL, 0, 0L }
};

/* lseek, fstat: no errno is special. */
static fault_t const fault_place[] = {
  { "EIO once",      EIO,    1L       },
  { "EIO for ever",  EIO,    FOR_EVER },
  { "EINTR once",    EINTR,  1L       },
  { "ENOMEM once",   ENOMEM, 1L       },
  { "EAGAIN once",   EAGAIN, 1L       },
  { NULL, 0, 0L }
};

static kind_t const kinds[] = {
  { "read",   KIND_READ,   fault_io    },
  { "readv",  KIND_READV,  fault_io    },
  { "write",  KIND_WRITE,  fault_io    },
  { "writev", KIND_WRITEV, fault_io    },
  { "lseek",  KIND_LSEEK,  fault_place },
  { "fstat",  KIND_STAT,   fault_place },
  { "poll",   KIND_POLL,   fault_poll  },
  { "mmap",   KIND_MMAP,   fault_place },
  { "munmap", KIND_MUNMAP, fault_place },
  { "malloc", KIND_ALLOC,  fault_alloc },
};

static int is_io       ( int kind )  { return kind<=KIND_WRITEV; }
static int is_transient( int fault ) { return fault==EINTR || fault==EAGAIN || fault==FAULT_ONE || fault==FAULT_HALF; }

/* The data **********************************************************/

/* Frames of all sorts: small, with buffers that are as large as meta
   takes or larger, empty, larger than the I/O buffer. */

#define FRAMES  (6UL)
#define BUFFERS (4UL)
#define DATA_SZ (24UL+8UL + 65536UL+1UL+3000UL + 0UL + 70000UL+65536UL+5UL+900UL + 40000UL+40000UL + 100UL)

static ulong const frame_sz[ FRAMES ][ BUFFERS ] = {
  { 24UL,    8UL,     0UL,    0UL   },
  { 65536UL, 1UL,     3000UL, 0UL   },
  { 0UL,     0UL,     0UL,    0UL   },
  { 70000UL, 65536UL, 5UL,    900UL },
  { 40000UL, 40000UL, 0UL,    0UL   },
  { 100UL,   0UL,     0UL,    0UL   },
};

#define PREFIX  (37UL)   /* Bytes of a file before the checkpoint */
#define GUARD   (64UL)   /* Bytes around memory that the library gets */
#define PATTERN (0xa5)
#define MMIO_SZ (DATA_SZ+DATA_SZ/200UL+70000UL)

/* Styles of a checkpoint: RAW, LZ4, or both in turn. */
#define MIXED (3)

static int
style_of( int   style,
          ulong frame ) {
  return style==MIXED ? (frame & 1UL ? RAW : LZ4) : style;
}

static uchar * data;
static uchar * data_copy;

/* What the checkpoint of each style looks like, and where its frames
   begin and end. */
static uchar * ref   [ MIXED+1 ];
static ulong   ref_at[ MIXED+1 ][ FRAMES+1UL ];

/* Memory with guards ************************************************/

static uchar *
guarded( ulong sz ) {
  uchar * mem = (uchar *)test_alloc( sz+2UL*GUARD );
  memset( mem, PATTERN, sz+2UL*GUARD );
  return mem+GUARD;
}

static int
is_pattern( uchar const * mem,
            ulong         sz ) {
  return !sz || (mem[0]==PATTERN && !memcmp( mem, mem+1, sz-1UL ));
}

static int guards_hold( uchar const * mem, ulong sz ) { return is_pattern( mem-GUARD, GUARD ) && is_pattern( mem+sz, GUARD ); }

static void
unguard( uchar * mem,
         ulong   sz ) {
  CHECK( guards_hold( mem, sz ) );
  free( mem-GUARD );
}

/* Scenarios *********************************************************/

#define TO_FILE   (0)
#define TO_PIPE   (1)
#define TO_MMIO   (2)
#define FROM_FILE (3)
#define FROM_SEEK (4) /* A file, the frames from last to first */
#define FROM_PIPE (5)
#define FROM_MMIO (6)
#define LOGGING   (7) /* The log is what fails */
#define CONTAINER_FILE   (8)  /* See container.h */
#define CONTAINER_PIPE   (9)
#define CONTAINER_OPEN   (10)
#define CONTAINER_APPEND (11)
#define INFLATE_BUILD    (12) /* See inflate.h */
#define INFLATE_SAVE     (13)
#define INFLATE_LOAD     (14)

struct scenario {
  char const * name;
  int          mode;
  int          style;
  int          only_all; /* Not among some */
};

typedef struct scenario scenario_t;

static scenario_t const scenarios[] = {
  { "checkpt file RAW",   TO_FILE,   RAW,   0 },
  { "checkpt file LZ4",   TO_FILE,   LZ4,   0 },
  { "checkpt file mixed", TO_FILE,   MIXED, 1 },
  { "checkpt pipe RAW",   TO_PIPE,   RAW,   0 },
  { "checkpt pipe LZ4",   TO_PIPE,   LZ4,   0 },
  { "checkpt pipe mixed", TO_PIPE,   MIXED, 1 },
  { "checkpt mmio RAW",   TO_MMIO,   RAW,   0 },
  { "checkpt mmio LZ4",   TO_MMIO,   LZ4,   0 },
  { "restore file RAW",   FROM_FILE, RAW,   0 },
  { "restore file LZ4",   FROM_FILE, LZ4,   0 },
  { "restore file mixed", FROM_FILE, MIXED, 1 },
  { "restore seek RAW",   FROM_SEEK, RAW,   0 },
  { "restore seek LZ4",   FROM_SEEK, LZ4,   0 },
  { "restore seek mixed", FROM_SEEK, MIXED, 1 },
  { "restore pipe RAW",   FROM_PIPE, RAW,   0 },
  { "restore pipe LZ4",   FROM_PIPE, LZ4,   0 },
  { "restore pipe mixed", FROM_PIPE, MIXED, 1 },
  { "restore mmio RAW",   FROM_MMIO, RAW,   0 },
  { "restore mmio LZ4",   FROM_MMIO, LZ4,   0 },
  { "log",                LOGGING,   RAW,   0 },
  { "container to file",  CONTAINER_FILE,   RAW, 0 },
  { "container to pipe",  CONTAINER_PIPE,   RAW, 0 },
  { "container open",     CONTAINER_OPEN,   RAW, 0 },
  { "container append",   CONTAINER_APPEND, RAW, 0 },
  { "index build",        INFLATE_BUILD,    RAW, 0 },
  { "index save",         INFLATE_SAVE,     RAW, 0 },
  { "index load",         INFLATE_LOAD,     RAW, 0 },
};

/* The run in progress. */
static struct {
  scenario_t const * scenario;
  kind_t const *     kind;
  fault_t const *    fault;
  long               n;
  ulong              cap;
  long               seen;       /* Faults injected before the current call */
  int                unseekable; /* lseek or fstat failed in init */
} run;

static void
arm_plan( int fd ) {
  faults_plan( run.kind->kind, run.n, run.fault->fault, run.fault->span, fd, run.cap, run.kind->kind==KIND_POLL );
}

/* judge checks what a call returned against what was injected in it.
   Returns whether the call succeeded. */

static int
judge( char const * function,
       int          code ) {
  long injected = faults_injected();
  int  hit      = injected>run.seen;
  int  kind     = run.kind->kind;
  int  fault    = run.fault->fault;
  int  is_init  = !!strstr( function, "_init_" );
  int  is_seek  = !strcmp( function, "fd_restore_seek" );
  int  want     = FD_CHECKPT_SUCCESS;
  int  errnum   = 0;
  run.seen = injected;

  if( !hit ) {
    if( is_seek && run.unseekable ) want = FD_CHECKPT_ERR_INVAL;
  } else if( (is_io( kind ) || kind==KIND_POLL) && !is_init ) {
    if( !is_transient( fault ) ) want = FD_CHECKPT_ERR_IO;
    /* A read of nothing is the end of the file, a write of nothing has no errno of its own. */
    errnum = fault!=FAULT_NOTHING ? fault : kind==KIND_WRITE || kind==KIND_WRITEV ? EIO : 0;
  } else if( kind==KIND_LSEEK || kind==KIND_STAT ) {
    if( is_init ) run.unseekable = 1;
    else          want           = FD_CHECKPT_ERR_IO;
    errnum = fault;
  } else {
    CHECK_MSG( kind==KIND_ALLOC && is_init, "%s makes a call of this kind", function );
    want   = FD_CHECKPT_ERR_COMP;
    errnum = fault;
  }

  fdckpt_error_t const * error = fdckpt_last_error();
  CHECK_EQ_MSG( code, want, "%s (%s)", function, code ? error->message : "" );
  CHECK_EQ_MSG( test_logged, code ? 1UL : 0UL, "%s", function );
  test_logged = 0UL;
  if( !code ) return 1;
  CHECK_EQ_MSG( error->code,   want,   "%s", function );
  CHECK_EQ_MSG( error->errnum, errnum, "%s", function );
  CHECK_MSG( !strcmp( error->function, function ), "%s is not %s", error->function, function );
  return 0;
}

/* refused checks a call of a failed handle. */

static void
refused( char const * function,
         int          code ) {
  CHECK_EQ_MSG( code, FD_CHECKPT_ERR_INVAL, "%s of a failed handle", function );
  CHECK_EQ_MSG( fdckpt_last_error()->errnum, 0, "%s of a failed handle", function );
  CHECK_EQ_MSG( test_logged, 1UL, "%s of a failed handle", function );
  test_logged = 0UL;
}

#define UNTOUCHED (0xfeedfacecafebeefUL)

/* Making a checkpoint ***********************************************/

/* save_frame adds a frame and notes its end in *end.  Returns whether
   that succeeded. */

static int
save_frame( fd_checkpt_t * checkpt,
            int            style,
            ulong          frame,
            uchar const *  src,
            ulong *        end ) {
  ulong off = UNTOUCHED;
  if( !judge( "fd_checkpt_open_advanced", LIB( fd_checkpt_open_advanced( checkpt, style_of( style, frame ), &off ) ) ) ) {
    CHECK_EQ( off, UNTOUCHED );
    return 0;
  }
  CHECK_EQ( off, ref_at[ style ][ frame ] );
  CHECK( fd_checkpt_in_frame( checkpt ) );
  for( ulong i=0UL; i<BUFFERS; i++ ) {
    ulong sz = frame_sz[ frame ][ i ];
    int   ok = ((i & 1UL) && sz<=FD_CHECKPT_META_MAX) ? judge( "fd_checkpt_meta", LIB( fd_checkpt_meta( checkpt, src, sz ) ) )
                                                      : judge( "fd_checkpt_data", LIB( fd_checkpt_data( checkpt, src, sz ) ) );
    if( !ok ) return 0;
    src += sz;
  }
  off = UNTOUCHED;
  if( !judge( "fd_checkpt_close_advanced", LIB( fd_checkpt_close_advanced( checkpt, &off ) ) ) ) {
    CHECK_EQ( off, UNTOUCHED );
    return 0;
  }
  CHECK_EQ( off, ref_at[ style ][ frame+1UL ] );
  *end = off;
  return 1;
}

/* end_checkpt ends a checkpoint that failed, or (every other run) one in
   which a frame is given up. */

static void
end_checkpt( fd_checkpt_t * checkpt,
             int            ok ) {
  ulong off  = UNTOUCHED;
  uchar byte = 0;
  if( ok && (run.n & 1L) ) {
    CHECK( fd_checkpt_can_open( checkpt ) );
    judge( "fd_checkpt_open_advanced", LIB( fd_checkpt_open( checkpt, style_of( run.scenario->style, 0UL ) ) ) );
    judge( "fd_checkpt_meta", LIB( fd_checkpt_meta( checkpt, &byte, 1UL ) ) );
    CHECK( !LIB( fd_checkpt_fini( checkpt ) ) );
    test_logged = 0UL;
    ok = 0;
  }
  if( !ok ) {
    CHECK( !fd_checkpt_can_open( checkpt ) );
    CHECK( !fd_checkpt_in_frame( checkpt ) );
    refused( "open",  LIB( fd_checkpt_open_advanced ( checkpt, RAW, &off ) ) );
    refused( "meta",  LIB( fd_checkpt_meta          ( checkpt, &byte, 1UL ) ) );
    refused( "data",  LIB( fd_checkpt_data          ( checkpt, &byte, 1UL ) ) );
    refused( "close", LIB( fd_checkpt_close_advanced( checkpt, &off ) ) );
    CHECK_EQ( off, UNTOUCHED );
  }
  CHECK( LIB( fd_checkpt_fini( checkpt ) )==(void *)checkpt );
  refused( "open", LIB( fd_checkpt_open_advanced( checkpt, RAW, &off ) ) );
}

/* restorable checks that the first cnt frames at mem can be restored. */

static void
restorable( uchar const * mem,
            ulong         sz,
            int           style,
            ulong         cnt ) {
  static fd_restore_t handle[1];
  fd_restore_t *      restore = fd_restore_init_mmio( handle, mem, sz );
  uchar const *       src     = data;
  for( ulong i=0UL; i<cnt; i++ ) {
    CHECK_EQ_MSG( test_load( restore, style_of( style, i ), src, frame_sz[ i ], BUFFERS ), 0, "frame %lu, closed before the fault", i );
    for( ulong j=0UL; j<BUFFERS; j++ ) src += frame_sz[ i ][ j ];
  }
  CHECK( !!fd_restore_fini( restore ) );
}

/* A pipe that holds all of a checkpoint, so that nobody has to be at its
   other end meanwhile. */

static void
big_pipe( int fd[2] ) {
  test_pipe( fd );
  if( fcntl( fd[1], F_SETPIPE_SZ, 1<<20 )<0 ) { perror( "F_SETPIPE_SZ" ); abort(); }
}

static void
save( void ) {
  int           style    = run.scenario->style;
  int           mode     = run.scenario->mode;
  ulong         wbuf_sz  = FD_CHECKPT_WBUF_MIN + (run.n%3L==2L ? 4097UL : 0UL);
  uchar *       handle   = guarded( sizeof(fd_checkpt_t) );
  uchar *       wbuf     = guarded( wbuf_sz );
  uchar *       region   = guarded( MMIO_SZ );
  int           fds[2]   = { -1, -1 };
  uchar const * src      = data;
  ulong         closed   = 0UL;
  ulong         end      = 0UL;
  int           ok;
  fd_checkpt_t * checkpt;

  if( mode==TO_PIPE ) big_pipe( fds );
  if( mode==TO_FILE ) {
    fds[1] = test_file();
    test_write_all( fds[1], data, PREFIX );
  }
  arm_plan( fds[1] );
  checkpt = mode==TO_MMIO ? LIB( fd_checkpt_init_mmio( handle, region, MMIO_SZ ) )
                          : LIB( fd_checkpt_init_stream( handle, fds[1], wbuf, wbuf_sz ) );
  ok = judge( mode==TO_MMIO ? "fd_checkpt_init_mmio" : "fd_checkpt_init_stream",
              checkpt ? FD_CHECKPT_SUCCESS : fdckpt_last_error()->code );
  CHECK( ok==!!checkpt );
  if( checkpt ) {
    while( ok && closed<FRAMES ) {
      ok = save_frame( checkpt, style, closed, src, &end );
      if( !ok ) break;
      for( ulong j=0UL; j<BUFFERS; j++ ) src += frame_sz[ closed ][ j ];
      closed++;
      /* Between frames nothing waits in the buffer. */
      if( mode==TO_FILE ) CHECK_EQ( lseek( fds[1], 0L, SEEK_CUR ), PREFIX+end );
    }
    end_checkpt( checkpt, ok );
  }
  CHECK_EQ( end, ref_at[ style ][ closed ] );

  /* What was written, whether it was to be or not, is the start of the checkpoint. */
  uchar * bytes = region;
  ulong   sz    = end;
  if( mode==TO_FILE ) {
    ulong file_sz;
    bytes = test_slurp( fds[1], &file_sz );
    CHECK( file_sz>=PREFIX && !memcmp( bytes, data, PREFIX ) );
    sz = file_sz-PREFIX;
    memmove( bytes, bytes+PREFIX, sz );
    close( fds[1] );
  } else if( mode==TO_PIPE ) {
    close( fds[1] );
    bytes = (uchar *)test_alloc( 1UL<<20 );
    sz    = 0UL;
    for( ssize_t got; (got = read( fds[0], bytes+sz, (1UL<<20)-sz ))>0L; ) sz += (ulong)got;
    close( fds[0] );
  }
  CHECK( sz>=end && sz<=ref_at[ style ][ FRAMES ] );
  CHECK( !memcmp( bytes, ref[ style ], sz ) );
  restorable( bytes, sz, style, closed );
  if( bytes!=region ) free( bytes );
  if( mode!=TO_MMIO ) CHECK( is_pattern( region, MMIO_SZ ) );
  else                CHECK( is_pattern( wbuf, wbuf_sz ) );
  unguard( region, MMIO_SZ );
  unguard( wbuf,   wbuf_sz );
  unguard( handle, sizeof(fd_checkpt_t) );
}

/* Restoring *********************************************************/

/* load_frame restores a frame to dst, where there is a guard after each
   buffer.  Returns how many buffers were restored, BUFFERS+1 if the frame
   was closed too. */

static ulong
load_frame( fd_restore_t * restore,
            int            style,
            ulong          frame,
            ulong          base,
            uchar *        dst ) {
  ulong off = UNTOUCHED;
  if( !judge( "fd_restore_open_advanced", LIB( fd_restore_open_advanced( restore, style_of( style, frame ), &off ) ) ) ) {
    CHECK_EQ( off, UNTOUCHED );
    return 0UL;
  }
  CHECK_EQ( off, base+ref_at[ style ][ frame ] );
  CHECK( fd_restore_in_frame( restore ) );
  for( ulong i=0UL; i<BUFFERS; i++ ) {
    ulong sz = frame_sz[ frame ][ i ];
    int   ok = ((i & 1UL) && sz<=FD_RESTORE_META_MAX) ? judge( "fd_restore_meta", LIB( fd_restore_meta( restore, dst, sz ) ) )
                                                      : judge( "fd_restore_data", LIB( fd_restore_data( restore, dst, sz ) ) );
    if( !ok ) return i;
    dst += sz+GUARD;
  }
  off = UNTOUCHED;
  if( !judge( "fd_restore_close_advanced", LIB( fd_restore_close_advanced( restore, &off ) ) ) ) {
    CHECK_EQ( off, UNTOUCHED );
    return BUFFERS;
  }
  CHECK_EQ( off, base+ref_at[ style ][ frame+1UL ] );
  return BUFFERS+1UL;
}

static void
end_restore( fd_restore_t * restore,
             int            ok ) {
  ulong off  = UNTOUCHED;
  uchar byte = PATTERN;
  if( ok && (run.n & 1L) ) {
    CHECK( fd_restore_can_open( restore ) );
    judge( "fd_restore_open_advanced", LIB( fd_restore_open( restore, run.scenario->style==RAW ? RAW : LZ4 ) ) );
    CHECK( !LIB( fd_restore_fini( restore ) ) );
    test_logged = 0UL;
    ok = 0;
  }
  if( !ok ) {
    CHECK( !fd_restore_can_open( restore ) );
    CHECK( !fd_restore_in_frame( restore ) );
    refused( "open",  LIB( fd_restore_open_advanced ( restore, RAW, &off ) ) );
    refused( "meta",  LIB( fd_restore_meta          ( restore, &byte, 1UL ) ) );
    refused( "data",  LIB( fd_restore_data          ( restore, &byte, 1UL ) ) );
    refused( "seek",  LIB( fd_restore_seek          ( restore, 0UL ) ) );
    refused( "close", LIB( fd_restore_close_advanced( restore, &off ) ) );
    CHECK( off==UNTOUCHED && byte==PATTERN );
  }
  CHECK( LIB( fd_restore_fini( restore ) )==(void *)restore );
  refused( "open", LIB( fd_restore_open_advanced( restore, RAW, &off ) ) );
}

static void
load( void ) {
  int            style    = run.scenario->style;
  int            mode     = run.scenario->mode;
  ulong          rbuf_sz  = FD_RESTORE_RBUF_MIN + (run.n%3L==2L ? 4097UL : 0UL);
  ulong          dst_sz   = DATA_SZ + FRAMES*BUFFERS*GUARD;
  uchar *        handle   = guarded( sizeof(fd_restore_t) );
  uchar *        rbuf     = guarded( rbuf_sz );
  uchar *        dst      = guarded( dst_sz );
  ulong          sz       = ref_at[ style ][ FRAMES ];
  int            fds[2]   = { -1, -1 };
  ulong          got[ FRAMES ] = { 0UL }; /* Buffers restored of each frame */
  int            ok;
  fd_restore_t * restore;

  if( mode==FROM_PIPE ) {
    big_pipe( fds );
    test_write_all( fds[1], ref[ style ], sz );
    close( fds[1] );
  } else if( mode!=FROM_MMIO ) {
    fds[0] = test_file();
    test_write_all( fds[0], data, PREFIX );
    test_write_all( fds[0], ref[ style ], sz );
    lseek( fds[0], (long)PREFIX, SEEK_SET );
  }
  arm_plan( fds[0] );
  restore = mode==FROM_MMIO ? LIB( fd_restore_init_mmio( handle, ref[ style ], sz ) )
                            : LIB( fd_restore_init_stream( handle, fds[0], rbuf, rbuf_sz ) );
  ok = judge( mode==FROM_MMIO ? "fd_restore_init_mmio" : "fd_restore_init_stream",
              restore ? FD_CHECKPT_SUCCESS : fdckpt_last_error()->code );
  CHECK( ok==!!restore );
  if( restore ) {
    ulong base = (mode==FROM_FILE || mode==FROM_SEEK) && !run.unseekable ? PREFIX : 0UL;
    CHECK_EQ( fd_restore_sz( restore ), mode==FROM_PIPE || run.unseekable ? ULONG_MAX : base+sz );
    for( ulong step=0UL; ok && step<FRAMES; step++ ) {
      ulong frame = mode==FROM_SEEK ? FRAMES-1UL-step : step;
      if( mode==FROM_SEEK ) {
        ok = judge( "fd_restore_seek", LIB( fd_restore_seek( restore, base+ref_at[ style ][ frame ] ) ) );
        if( !ok ) break;
      }
      ulong at = 0UL;
      for( ulong i=0UL; i<frame; i++ ) for( ulong j=0UL; j<BUFFERS; j++ ) at += frame_sz[ i ][ j ]+GUARD;
      got[ frame ] = load_frame( restore, style, frame, base, dst+at );
      ok = got[ frame ]>BUFFERS;
    }
    end_restore( restore, ok );
  }

  /* Buffers restored are equal; one that failed may hold anything; those not asked for, and what is around them, are untouched. */
  uchar const * src = data;
  uchar const * p   = dst;
  for( ulong i=0UL; i<FRAMES; i++ ) {
    for( ulong j=0UL; j<BUFFERS; j++ ) {
      ulong buf_sz = frame_sz[ i ][ j ];
      int   tried  = j==got[ i ] && !ok;
      if( j<got[ i ] ) CHECK_MSG( !memcmp( p, src, buf_sz ), "buffer %lu of frame %lu", j, i );
      else if( !tried ) CHECK_MSG( is_pattern( p, buf_sz ), "buffer %lu of frame %lu", j, i );
      CHECK_MSG( is_pattern( p+buf_sz, GUARD ), "after buffer %lu of frame %lu", j, i );
      p   += buf_sz+GUARD;
      src += buf_sz;
    }
  }
  if( fds[0]>=0 ) close( fds[0] );
  if( mode==FROM_MMIO ) CHECK( is_pattern( rbuf, rbuf_sz ) );
  unguard( dst,    dst_sz );
  unguard( rbuf,   rbuf_sz );
  unguard( handle, sizeof(fd_restore_t) );
}

/* Logging ***********************************************************/

/* What the default log can't write is lost, and nothing else comes of it:
   the call returns what it returns, errno stays. */

static void
log_fails( void ) {
  static fd_checkpt_t handle[1];
  fd_checkpt_t *      checkpt = fd_checkpt_init_mmio( handle, NULL, 0UL );
  int                 err_fd  = dup( STDERR_FILENO );
  int                 sink    = test_file();
  fflush( stderr );
  dup2( sink, STDERR_FILENO );
  close( sink );
  fdckpt_set_log_callback( NULL, NULL );
  arm_plan( STDERR_FILENO );
  for( int i=0; i<4; i++ ) {
    errno = EDOM;
    CHECK_EQ( LIB( fd_checkpt_data( checkpt, "", 1UL ) ), FD_CHECKPT_ERR_INVAL );
    CHECK_EQ( errno, EDOM );
    CHECK_EQ( fdckpt_last_error()->errnum, 0 );
  }
  CHECK( LIB( fd_checkpt_fini( checkpt ) )==(void *)handle );
  fdckpt_set_log_callback( test_quiet, NULL );
  dup2( err_fd, STDERR_FILENO );
  close( err_fd );
}

#include "container.h"
#include "inflate.h"

/* Runs **************************************************************/

/* one_run returns how many faults it has injected. */

static long
one_run( int group ) {
  ulong fails = atomic_load( &test_fails );
  int   fds   = fd_cnt();
  printf( "run %d %ld %s, %s %s", group, run.n, run.scenario->name, run.kind->name, run.fault->name );
  if( run.cap ) printf( ", %lu bytes at a time", run.cap );
  printf( "\n" );
  fflush( stdout );
  alarm( 10U ); /* Ends what hangs */
  run.seen       = 0L;
  run.unseekable = 0;
  test_logged    = 0UL;
  if     ( run.scenario->mode>=INFLATE_BUILD  ) inflate( run.scenario->mode );
  else if( run.scenario->mode>=CONTAINER_OPEN ) container_open ( run.scenario->mode==CONTAINER_APPEND );
  else if( run.scenario->mode>=CONTAINER_FILE ) container_write( run.scenario->mode==CONTAINER_PIPE   );
  else if( run.scenario->mode==LOGGING   ) log_fails();
  else if( run.scenario->mode>=FROM_FILE ) load();
  else                                     save();
  alarm( 0U );
  CHECK_EQ( faults_live(), 0 );
  CHECK_EQ( fd_cnt(), fds );
  CHECK( !memcmp( data, data_copy, DATA_SZ ) );
  return end_run( faults_injected(), fails );
}

/* one_group does runs from n on. Returns whether there is any such call. */

static int
one_group( int  group,
           long n,
           int  all ) {
  /* A run that goes byte by byte takes long: a few of them. */
  int leaps = run.fault->fault==FAULT_ONE && run.fault->span==FOR_EVER && !all;
  if( leaps && run.cap ) return 1;
  for( run.n=n; one_run( group ); run.n+=leaps ? 3L*run.n : 1L ) {}
  return run.n>1L;
}

static void
prepare( void ) {
  static fd_checkpt_t handle[1];
  data      = (uchar *)test_alloc( DATA_SZ );
  data_copy = (uchar *)test_alloc( DATA_SZ );
  test_fill( data, DATA_SZ, 1UL );
  memcpy( data_copy, data, DATA_SZ );
  for( int style=RAW; style<=MIXED; style++ ) {
    ref[ style ] = (uchar *)test_alloc( MMIO_SZ );
    fd_checkpt_t * checkpt = fd_checkpt_init_mmio( handle, ref[ style ], MMIO_SZ );
    uchar const *  src     = data;
    for( ulong i=0UL; i<FRAMES; i++ ) {
      int err = fd_checkpt_open_advanced( checkpt, style_of( style, i ), &ref_at[ style ][ i ] );
      for( ulong j=0UL; !err && j<BUFFERS; j++ ) {
        err  = fd_checkpt_data( checkpt, src, frame_sz[ i ][ j ] );
        src += frame_sz[ i ][ j ];
      }
      if( !err ) err = fd_checkpt_close_advanced( checkpt, &ref_at[ style ][ i+1UL ] );
      CHECK_EQ( err, FD_CHECKPT_SUCCESS );
    }
    CHECK( !!fd_checkpt_fini( checkpt ) );
    restorable( ref[ style ], ref_at[ style ][ FRAMES ], style, FRAMES );
  }
}

int
main( int     argc,
      char ** argv ) {
  int  all   = argc>1 && !strcmp( argv[1], "all" );
  int  begin = argc>2 ? atoi( argv[2] ) : 0;
  long n     = argc>3 ? atol( argv[3] ) : 1L;
  find_shim();
  prepare();
  container_prepare();
  inflate_prepare();

  /* To have more calls to fail, reads and writes are cut. */
  static ulong const caps[] = { 0UL, 9973UL, 1999UL };
  int group = 0;
  for( int s=0; s<COUNT( scenarios ); s++ ) {
    run.scenario = &scenarios[ s ];
    if( run.scenario->only_all && !all ) continue;
    for( int k=0; k<COUNT( kinds ); k++ ) {
      run.kind = &kinds[ k ];
      for( int c=0; c<(all ? 3 : 2); c++ ) {
        run.cap = caps[ c ];
        if( run.cap && !is_io( run.kind->kind ) && run.kind->kind!=KIND_POLL ) continue;
        int called = 1; /* Once a group has shown that there is no such call, the others can't do more */
        for( run.fault=run.kind->faults; run.fault->name; run.fault++, group++ ) {
          if( group>=begin && called ) called = one_group( group, group==begin ? n : 1L, all );
        }
      }
    }
  }
  return atomic_load( &test_fails ) ? 1 : 0;
}
