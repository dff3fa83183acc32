/* Runs the snippets of docs/guide/drop-in.md. */
#define _GNU_SOURCE
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "drop-in-1.c"

#define CELLS 100000

static double grid[ CELLS ], restored[ CELLS ];

int
main( void ) {
  for( int i=0; i<CELLS; i++ ) grid[i] = i*0.5;
  struct header header = { .step = 17, .cell_cnt = CELLS }, read = { 0 };
  FILE * file = tmpfile();
  assert( file );
  assert( !save( fileno( file ), &header, grid ) );
  rewind( file );
  assert( !restore( fileno( file ), &read, restored, CELLS ) );
  assert( read.step==17 && read.cell_cnt==CELLS && !memcmp( grid, restored, sizeof(grid) ) );
  /* A size that exceeds the memory is refused. */
  rewind( file );
  assert( restore( fileno( file ), &read, restored, CELLS-1 )==FD_CHECKPT_ERR_INVAL );
  return 0;
}
