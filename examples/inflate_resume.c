/* inflate_resume: decompress a large file so that it survives being killed.

     inflate_resume FORMAT INPUT OUTPUT STATE

   FORMAT is deflate, deflate64, zlib or gzip.  Every few megabytes of
   output (INFLATE_RESUME_EVERY bytes, if that is set) the state is saved to
   the file STATE.  If the program is killed, at whatever moment, the same
   command resumes from the last state saved; at the end STATE is removed.

   What makes it safe: OUTPUT is written and synced before the state that
   says so, and a state takes the place of the one before in one step
   (rename).  So there is always a whole state, and OUTPUT has at least what
   it says; bytes after that are written again, with the same content. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fdckpt.h>

static uint8_t in [ 1<<16 ];
static uint8_t out[ 1<<18 ];
static uint8_t ckpt[ FDCKPT_INFLATE_CHECKPOINT_MAX ];

static void
die( char const * what ) {
  fprintf( stderr, "inflate_resume: %s: %s\n", what, strerror( errno ) );
  exit( 1 );
}

static void
write_all( int fd, uint8_t const * p, size_t sz ) {
  while( sz ) {
    ssize_t n = write( fd, p, sz );
    if( n<0 && errno==EINTR ) continue;
    if( n<0 ) die( "write" );
    p += n; sz -= (size_t)n;
  }
}

/* Puts a checkpoint in the place of the last one. */

static void
save( fdckpt_inflate_t * strm, int out_fd, char const * path ) {
  size_t len;
  char   fresh[ 4096 ];
  if( fdckpt_inflate_checkpoint( strm, FDCKPT_INFLATE_CHECKPOINT_FULL, ckpt, sizeof(ckpt), &len, NULL ) ) {
    fprintf( stderr, "inflate_resume: %s\n", strm->msg );
    exit( 1 );
  }
  if( (size_t)snprintf( fresh, sizeof(fresh), "%s.new", path )>=sizeof(fresh) ) { errno = ENAMETOOLONG; die( path ); }
  if( fdatasync( out_fd ) ) die( "sync" );
  int fd = open( fresh, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0666 );
  if( fd<0 ) die( fresh );
  write_all( fd, ckpt, len );
  if( fsync( fd ) || close( fd ) || rename( fresh, path ) ) die( fresh );
}

/* Resumes from the last checkpoint, if there is one. */

static void
load( fdckpt_inflate_t * strm, char const * path ) {
  int fd = open( path, O_RDONLY|O_CLOEXEC );
  if( fd<0 && errno==ENOENT ) return;
  if( fd<0 ) die( path );
  size_t  len = 0UL;
  ssize_t n;
  while( len<sizeof(ckpt) && (n = read( fd, ckpt+len, sizeof(ckpt)-len ))!=0 ) {
    if( n<0 && errno==EINTR ) continue;
    if( n<0 ) die( path );
    len += (size_t)n;
  }
  close( fd );
  if( fdckpt_inflate_restore( strm, ckpt, len, NULL ) ) {
    fprintf( stderr, "inflate_resume: %s: %s\n", path, strm->msg );
    exit( 1 );
  }
  printf( "resumed at input %llu, output %llu\n", (unsigned long long)strm->total_in, (unsigned long long)strm->total_out );
}

int
main( int argc, char ** argv ) {
  static char const * const formats[] = { "deflate", "deflate64", "zlib", "gzip" };
  int format = -1;
  for( int i=0; argc==5 && i<4; i++ ) if( !strcmp( argv[1], formats[i] ) ) format = i;
  if( format<0 ) {
    fprintf( stderr, "usage: inflate_resume deflate|deflate64|zlib|gzip INPUT OUTPUT STATE\n" );
    return 2;
  }
  char const * step  = getenv( "INFLATE_RESUME_EVERY" );
  uint64_t     every = step ? strtoull( step, NULL, 10 ) : 16UL<<20;
  if( !every ) every = 1UL;
  size_t capacity = every<sizeof(out) ? (size_t)every : sizeof(out);

  int in_fd  = open( argv[2], O_RDONLY|O_CLOEXEC );
  if( in_fd<0 ) die( argv[2] );
  int out_fd = open( argv[3], O_WRONLY|O_CREAT|O_CLOEXEC, 0666 );
  if( out_fd<0 ) die( argv[3] );

  fdckpt_inflate_t strm = FDCKPT_INFLATE_INIT;
  if( fdckpt_inflate_init( &strm, format ) ) { errno = ENOMEM; die( "init" ); }
  load( &strm, argv[4] );
  if( lseek( in_fd,  (off_t)strm.total_in,  SEEK_SET )<0 ) die( argv[2] );
  if( lseek( out_fd, (off_t)strm.total_out, SEEK_SET )<0 ) die( argv[3] );

  uint64_t saved = strm.total_out;
  int      ended = 0;
  strm.avail_in = 0UL;
  for(;;) {
    if( !strm.avail_in ) {
      ssize_t n = read( in_fd, in, sizeof(in) );
      if( n<0 && errno==EINTR ) continue;
      if( n<0 ) die( argv[2] );
      /* At the end there may be output left to give, but when a stream has ended all of it was given. */
      if( !n && ended ) break;
      strm.next_in = in; strm.avail_in = (size_t)n;
    }
    strm.next_out = out; strm.avail_out = capacity;
    int code = fdckpt_inflate( &strm );
    write_all( out_fd, out, capacity-strm.avail_out );
    ended = code==FDCKPT_INFLATE_STREAM_END;
    if( ended && strm.avail_in ) break; /* What follows is no part of it */
    if( code==FDCKPT_INFLATE_NEED_MORE ) {
      fprintf( stderr, "inflate_resume: the input ends too early\n" );
      return 1;
    }
    if( code<0 ) {
      fprintf( stderr, "inflate_resume: %s\n", strm.msg );
      return 1;
    }
    if( strm.total_out-saved>=every ) {
      save( &strm, out_fd, argv[4] );
      saved = strm.total_out;
    }
  }

  /* Something longer may have been there. */
  if( ftruncate( out_fd, (off_t)strm.total_out ) || fsync( out_fd ) || close( out_fd ) ) die( argv[3] );
  if( unlink( argv[4] ) && errno!=ENOENT ) die( argv[4] );
  printf( "done: %llu bytes of %llu\n", (unsigned long long)strm.total_out, (unsigned long long)strm.total_in );
  fdckpt_inflate_end( &strm );
  return 0;
}
