/* Runs the snippets of docs/guide/fti.md. */
#include <assert.h>
#include <string.h>

#include "fti-1.c"
#include "fti-2.c"
#include "fti-3.c"

#define CELLS 10000

static double grid[ CELLS ], first[ CELLS ];

int
main( void ) {
  for( int i=0; i<CELLS; i++ ) grid[i] = first[i] = i*0.5;
  int step = 17;
  assert( !run( NULL, "Ckpt1-Rank0.fti", 1, &step, grid, CELLS ) );
  memset( grid, 0, sizeof(grid) );
  step = 0;
  assert( !run( "Ckpt1-Rank0.fti", "Ckpt2-Rank0.fti", 2, &step, grid, CELLS ) );
  assert( step==17 && !memcmp( grid, first, sizeof(grid) ) );
  assert( !verify( "Ckpt2-Rank0.fti" ) );

  fdckpt_fti_t * fti = fdckpt_fti_new();
  assert( fti && !fdckpt_fti_protect( fti, 1, grid, sizeof(grid) ) );
  assert( !update( fti, "dCPFile-Rank0.fti", 1 ) );
  grid[0] = 1.;
  assert( !update( fti, "dCPFile-Rank0.fti", 2 ) );
  fdckpt_fti_free( fti );
  assert( !verify( "dCPFile-Rank0.fti" ) );

  /* Corrupt data is reported. */
  FILE * file = fopen( "dCPFile-Rank0.fti", "r+" );
  assert( file && fputc( 'x', file )!=EOF && !fclose( file ) );
  assert( verify( "dCPFile-Rank0.fti" )==FDCKPT_ERR_VERIFY_FAILED );
  return 0;
}
