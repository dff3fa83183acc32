/* inflate.h: the part of scenarios.c that makes, saves, loads and uses
   indexes of compressed streams. */

#define PLAIN_SZ (20000UL)
#define PIECE    (5000UL)
#define EVERY    (6000UL)

static uchar   stream[ PLAIN_SZ+PLAIN_SZ/PIECE*5UL ]; /* data[0,PLAIN_SZ) as raw Deflate, stored blocks */
static uchar * index_file;                            /* Its index */
static ulong   index_sz;

/* inflate_judge is judge for these functions.  end is the code where the
   stream is shorter than it was. */

static int
inflate_judge( char const * function,
               int          code,
               int          end ) {
  long injected = faults_injected();
  int  hit      = injected>run.seen;
  int  kind     = run.kind->kind;
  int  fault    = run.fault->fault;
  int  want     = FDCKPT_OK;
  int  errnum   = 0;
  run.seen = injected;
  if( hit && kind==KIND_ALLOC ) {
    want   = FDCKPT_ERR_NO_MEMORY;
    errnum = ENOMEM;
  } else if( hit && (kind==KIND_LSEEK || kind==KIND_STAT) && run.scenario->mode!=INFLATE_LOAD ) {
    want   = FDCKPT_ERR_INVALID_STATE; /* No size, no position */
  } else if( hit && kind!=KIND_MUNMAP && !((is_io( kind ) || kind==KIND_POLL) && is_transient( fault )) ) {
    int is_end = fault==FAULT_NOTHING && kind==KIND_READ;
    want   = is_end ? end : FDCKPT_ERR_IO;
    errnum = is_end ? 0 : fault==FAULT_NOTHING ? EIO : fault;
  }
  fdckpt_error_t const * error = fdckpt_last_error();
  CHECK_EQ_MSG( code, want, "%s (%s)", function, code ? error->message : "" );
  CHECK_EQ_MSG( test_logged, code ? 1UL : 0UL, "%s", function );
  test_logged = 0UL;
  if( !code ) return 1;
  CHECK_EQ_MSG( error->errnum, errnum, "%s", function );
  CHECK_MSG( !strcmp( error->function, function ), "%s is not %s", error->function, function );
  return 0;
}

/* The watched descriptor is the stream's (INFLATE_BUILD), or the index's. */

static void
inflate( int mode ) {
  int fd       = test_file_of( stream, sizeof(stream) );
  int index_fd = mode==INFLATE_LOAD ? test_file_of( index_file, index_sz ) : test_file();
  arm_plan( mode==INFLATE_BUILD ? fd : index_fd );
  fdckpt_inflate_index_t * index;
  int ok;
  if( mode==INFLATE_LOAD ) {
    index = LIB( fdckpt_inflate_index_load( index_fd, fd, 0UL, FDCKPT_UNTIL_EOF ) );
    ok    = inflate_judge( "fdckpt_inflate_index_load", index ? FDCKPT_OK : fdckpt_last_error()->code, 0 );
  } else {
    index = LIB( fdckpt_inflate_index_build( fd, 0UL, FDCKPT_UNTIL_EOF, FDCKPT_INFLATE_DEFLATE, EVERY, -1 ) );
    ok    = inflate_judge( "fdckpt_inflate_index_build", index ? FDCKPT_OK : fdckpt_last_error()->code, FDCKPT_ERR_CORRUPT );
  }
  CHECK_EQ( ok, !!index );
  static ulong const places[] = { 15000UL, 3000UL };
  for( ulong i=0UL; index && i<2UL; i++ ) {
    uchar  some[ 2000 ];
    size_t got = 99UL;
    int    err = LIB( fdckpt_inflate_index_read( index, places[i], some, sizeof(some), &got ) );
    if( inflate_judge( "fdckpt_inflate_index_read", err, FDCKPT_ERR_INVALID_STATE ) ) {
      CHECK( got==sizeof(some) && !memcmp( some, data+places[i], sizeof(some) ) );
    } else CHECK_EQ( got, 99UL );
  }
  if( index && mode!=INFLATE_LOAD ) {
    int err = LIB( fdckpt_inflate_index_save( index, index_fd ) );
    ok = inflate_judge( "fdckpt_inflate_index_save", err, 0 );
    ulong   sz;
    uchar * bytes = test_slurp( index_fd, &sz );
    CHECK( sz<=index_sz && !memcmp( bytes, index_file, sz ) );
    if( ok ) CHECK_EQ( sz, index_sz );
    free( bytes );
  }
  LIB( (fdckpt_inflate_index_free( index ), 0) );
  close( fd );
  close( index_fd );
}

static void
inflate_prepare( void ) {
  uchar * p = stream;
  for( ulong at=0UL; at<PLAIN_SZ; at+=PIECE ) {
    *p++ = at+PIECE==PLAIN_SZ;
    *p++ = (uchar)(PIECE & 255UL); *p++ = (uchar)(PIECE>>8); *p++ = (uchar)(~PIECE & 255UL); *p++ = (uchar)((~PIECE>>8) & 255UL);
    memcpy( p, data+at, PIECE );
    p += PIECE;
  }
  int fd       = test_file_of( stream, sizeof(stream) );
  int index_fd = test_file();
  fdckpt_inflate_index_t * index = fdckpt_inflate_index_build( fd, 0UL, FDCKPT_UNTIL_EOF, FDCKPT_INFLATE_DEFLATE, EVERY, -1 );
  CHECK( index && !fdckpt_inflate_index_save( index, index_fd ) );
  fdckpt_inflate_index_free( index );
  index_file = test_slurp( index_fd, &index_sz );
  close( fd );
  close( index_fd );
}
