/* Runs the snippets of docs/guide/threads.md. */
#define _GNU_SOURCE
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "threads-1.c"
#include "threads-2.c"

#define CELLS 100000

static double a[ CELLS ], b[ CELLS ], loaded[ CELLS ];

int
main( void ) {
  for( int i=0; i<CELLS; i++ ) { a[i] = i; b[i] = -i; }
  FILE * file = tmpfile();
  assert( file );
  fdckpt_thread_pool_t * pool = start_pool( 2 );
  assert( pool );
  uint64_t offset[ 2 ];
  assert( !save_fields( fileno( file ), a, b, sizeof(a), offset ) );
  assert( !load_field( fileno( file ), loaded, sizeof(loaded), offset[1] ) );
  assert( !memcmp( loaded, b, sizeof(b) ) );
  stop_pool( pool );
  return 0;
}
