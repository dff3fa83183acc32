/* fti_heat.c: a small simulation that can be killed at any time.  It saves
   its variables every so many steps, in files that FTI (the Fault
   Tolerance Interface) reads too, and resumes from the newest one that is
   intact.

     cc fti_heat.c $(pkg-config --cflags --libs fdckpt) -o fti_heat
     ./fti_heat FOLDER STEPS [STEP]

   With a third argument it kills itself at that step: start it again
   without. */

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <fdckpt.h>

enum { CELLS = 10000, EVERY = 100, KEPT = 2 };

static int    step;
static double rod[ CELLS ];

static void
path_of( char *       path,
         size_t       sz,
         char const * directory,
         int          id ) {
  snprintf( path, sz, "%s/Ckpt%d-Rank0.fti", directory, id );
}

/* newest returns the largest number of a file in the directory below
   another one, or 0. */

static int
newest( char const * directory,
        int          below ) {
  int   found = 0;
  DIR * dir   = opendir( directory );
  if( !dir ) return 0;
  for( struct dirent * entry; (entry = readdir( dir )); ) {
    int id, end = 0;
    if( sscanf( entry->d_name, "Ckpt%d-Rank0.fti%n", &id, &end )==1 && end && !entry->d_name[ end ]
     && id<below && id>found ) found = id;
  }
  closedir( dir );
  return found;
}

int
main( int     argc,
      char ** argv ) {
  if( argc<3 ) return 2;
  char const * directory = argv[1];
  int          steps  = atoi( argv[2] );
  int          die_at = argc>3 ? atoi( argv[3] ) : -1;
  char         path[ 4096 ];

  /* All that the simulation needs to go on. */
  fdckpt_fti_t * fti = fdckpt_fti_new();
  if( !fti || fdckpt_fti_protect( fti, 0, &step, sizeof(step) )
           || fdckpt_fti_protect( fti, 1, rod,   sizeof(rod)  ) ) return 1;

  /* From the newest file that is intact, else from the start. */
  int id = newest( directory, 1<<30 );
  for( ; id; id = newest( directory, id ) ) {
    path_of( path, sizeof(path), directory, id );
    if( !fdckpt_fti_recover( fti, path, 1 ) ) break;
    printf( "%s: %s\n", path, fdckpt_last_error()->message );
  }
  if( !id ) {
    step     = 0;
    for( int i=0; i<CELLS; i++ ) rod[i] = 0.0;
    rod[ 0 ] = 100.0;
  }
  printf( "from step %d\n", step );

  while( step<steps ) {
    double left = rod[ 0 ];
    for( int i=1; i<CELLS-1; i++ ) {
      double here = rod[ i ];
      rod[ i ] = here + 0.25*(left - 2.0*here + rod[ i+1 ]);
      left     = here;
    }
    step++;
    if( step==die_at ) raise( SIGKILL );
    if( step%EVERY ) continue;

    fdckpt_fti_options_t options = FDCKPT_FTI_OPTIONS_INIT;
    options.format  = FDCKPT_FTI_FORMAT_POST_1_6;
    options.ckpt_id = ++id;
    path_of( path, sizeof(path), directory, id );
    if( fdckpt_fti_checkpoint( fti, path, &options ) ) {
      fprintf( stderr, "%s: %s\n", path, fdckpt_last_error()->message ); /* The older files are still there */
      continue;
    }
    path_of( path, sizeof(path), directory, id-KEPT );
    unlink( path );
  }

  double sum = 0.0;
  for( int i=0; i<CELLS; i++ ) sum += rod[ i ];
  printf( "step %d: %.17g\n", step, sum );
  fdckpt_fti_free( fti );
  return 0;
}
