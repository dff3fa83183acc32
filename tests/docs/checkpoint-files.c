/* Runs the snippets of docs/guide/checkpoint-files.md. */
#include <assert.h>
#include <string.h>

#include "checkpoint-files-1.c"
#include "checkpoint-files-2.c"
#include "checkpoint-files-3.c"

#define CELLS 100000

static double grid[ CELLS ];

int
main( void ) {
  for( int i=0; i<CELLS; i++ ) grid[i] = i*0.5;
  uint64_t step = 17;
  assert( !save( "state.ckpt", grid, CELLS, &step ) );
  size_t   cell_cnt = 0;
  double * restored = restore( "state.ckpt", &cell_cnt );
  assert( restored && cell_cnt==CELLS && !memcmp( grid, restored, sizeof(grid) ) );
  free( restored );
  assert( save( "no/such/directory/state.ckpt", grid, CELLS, &step )==FDCKPT_ERR_IO );

  /* The callback's result 0 cancels nothing; anything else leaves the old file. */
  int volatile cancelled = 0;
  assert( !save_until_cancelled( "data.ckpt", grid, sizeof(grid), &cancelled ) );
  cancelled = 1;
  assert( save_until_cancelled( "data.ckpt", grid, 8, &cancelled )==FDCKPT_ERR_CANCELLED );
  fdckpt_reader_t * reader = fdckpt_reader_open( "data.ckpt", NULL );
  assert( reader && !fdckpt_reader_read( reader, "data", grid, sizeof(grid) ) );
  fdckpt_reader_free( reader );
  return 0;
}
