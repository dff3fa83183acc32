/* inflate_index: read any part of a large compressed file without
   decompressing what comes before it.

     inflate_index build FORMAT INPUT INDEX OUTPUT [EVERY]
     inflate_index read INPUT INDEX OFFSET COUNT

   build decompresses INPUT to OUTPUT (/dev/null if it is not wanted) and
   writes an index to the file INDEX: a point for each EVERY bytes of
   output (4 MiB).  FORMAT is deflate, deflate64, zlib or gzip.  read
   prints COUNT bytes of the output from OFFSET on. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fdckpt.h>

static int
failed( void ) {
  fprintf( stderr, "inflate_index: %s\n", fdckpt_last_error()->message );
  return 1;
}

static int
opened( char const * path, int flags ) {
  int fd = open( path, flags, 0666 );
  if( fd<0 ) { perror( path ); exit( 1 ); }
  return fd;
}

int
main( int argc, char ** argv ) {
  static char const * const formats[] = { "deflate", "deflate64", "zlib", "gzip" };

  if( argc>=6 && !strcmp( argv[1], "build" ) ) {
    int format = -1;
    for( int i=0; i<4; i++ ) if( !strcmp( argv[2], formats[i] ) ) format = i;
    uint64_t every = argc>6 ? strtoull( argv[6], NULL, 10 ) : 4UL<<20;
    int fd       = opened( argv[3], O_RDONLY );
    int index_fd = opened( argv[4], O_WRONLY|O_CREAT|O_TRUNC );
    int out_fd   = opened( argv[5], O_WRONLY|O_CREAT|O_TRUNC );
    fdckpt_inflate_index_t * index = fdckpt_inflate_index_build( fd, 0UL, FDCKPT_UNTIL_EOF, format, every, out_fd );
    if( !index || fdckpt_inflate_index_save( index, index_fd ) ) return failed();
    fdckpt_inflate_index_free( index );
    return 0;
  }

  if( argc==6 && !strcmp( argv[1], "read" ) ) {
    static char buf[ 1<<16 ];
    uint64_t offset = strtoull( argv[4], NULL, 10 );
    uint64_t count  = strtoull( argv[5], NULL, 10 );
    int      fd     = opened( argv[2], O_RDONLY );
    fdckpt_inflate_index_t * index = fdckpt_inflate_index_load( opened( argv[3], O_RDONLY ), fd, 0UL, FDCKPT_UNTIL_EOF );
    if( !index ) return failed();
    while( count ) {
      size_t got;
      if( fdckpt_inflate_index_read( index, offset, buf, count<sizeof(buf) ? count : sizeof(buf), &got ) ) return failed();
      if( !got ) break; /* The end of the output */
      fwrite( buf, 1UL, got, stdout );
      offset += got; count -= got;
    }
    fdckpt_inflate_index_free( index );
    return fflush( stdout ) ? 1 : 0;
  }

  fprintf( stderr, "usage: inflate_index build deflate|deflate64|zlib|gzip INPUT INDEX OUTPUT [EVERY]\n"
                   "       inflate_index read INPUT INDEX OFFSET COUNT\n" );
  return 2;
}
