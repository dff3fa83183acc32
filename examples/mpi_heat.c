/* mpi_heat.c: the heat equation on a plate, by several processes of MPI.
   Any of them can be killed at any time: started again, they go on from the
   newest checkpoint that all of them have, to the same result.

     mpicc mpi_heat.c $(pkg-config --cflags --libs fdckpt) -o mpi_heat
     mpirun -n 4 ./mpi_heat FOLDER NAME STEPS ordinary|differential [MS]

   The plate is cut into rows.  Each rank saves its own ones in a file of its
   own, named and placed as FTI does it:

     FOLDER/node0/NAME/l1/Ckpt7-Rank2.fti          levels 1 to 3
     FOLDER/node0/NAME/l2/Ckpt8-Pcof2.fti          the left neighbour's file
     FOLDER/global/NAME/l4/Ckpt10-Rank2.fti        level 4
     FOLDER/global/NAME/dCP/dCPFile-Rank2.fti      differential

   The levels take turns.  With MS, one rank kills itself after so many
   milliseconds, wherever it is then.  With 0 STEPS, nothing is computed: it
   only prints which checkpoint all ranks have. */

#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <mpi.h>
#include <fdckpt.h>

enum { ROWS = 512, COLUMNS = 1024, EVERY = 5, LEVELS = 4, KEPT = 2 };

static int rank, ranks;

/* All that a rank needs to go on: its own rows, with one row of each
   neighbour around them, which are got again in each step. */

static int      step;
static double * grid;
static double * next;
static int      rows;

static double *
row_of( double * of,
        int      row ) {
  return of + (size_t)(row+1)*COLUMNS;
}

/* The first row of a rank: also what fti_repartition.c goes by. */

static int
first_row( int of_rank ) {
  return (int)((long)ROWS*of_rank/ranks);
}

static char const * directory;
static char const * name;

/* path_of tells where a file is.  The kind is "Rank", or "Pcof" for a copy of
   the left neighbour's; level 0 is the one for differential checkpoints. */

static void
path_of( char *       path,
         size_t       sz,
         int          level,
         int          id,
         char const * kind ) {
  if( !level ) snprintf( path, sz, "%s/global/%s/dCP/dCPFile-%s%d.fti", directory, name, kind, rank );
  else snprintf( path, sz, "%s/%s/%s/l%d/Ckpt%d-%s%d.fti", directory, level==LEVELS ? "global" : "node0", name, level, id, kind, rank );
}

/* make_directories makes all directories in front of the last part of a path. */

static void
make_directories( char const * path ) {
  char part[ 4096 ];
  snprintf( part, sizeof(part), "%s", path );
  for( char * p=part+1; (p = strchr( p, '/' )); *p++ = '/' ) {
    *p = '\0';
    mkdir( part, 0777 );
  }
}

static int
all_have( int mine ) {
  int all;
  MPI_Allreduce( &mine, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD );
  return all;
}

static int
any_has( int mine ) {
  int any;
  MPI_Allreduce( &mine, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD );
  return any;
}

static int
level_of( int id ) {
  return (id-1)%LEVELS + 1;
}

/* id_in returns the number of the checkpoint in a file that is whole, or 0. */

static int
id_in( char const * path ) {
  struct stat st;
  if( stat( path, &st ) ) return 0;
  fdckpt_fti_file_t * file = fdckpt_fti_file_open( path );
  if( !file ) return 0;
  fdckpt_fti_file_header_t header = FDCKPT_FTI_FILE_HEADER_INIT;
  int whole = !fdckpt_fti_file_header( file, &header ) && !fdckpt_fti_file_verify( file, 1, NULL, NULL );
  fdckpt_fti_file_free( file );
  return whole ? header.ckpt_id : 0;
}

/* copy_from_left saves what the left neighbour has just saved: at level 2
   each file is in two places. */

static int
copy_from_left( char const * from,
                char const * to,
                uint64_t     left_sz ) {
  FILE *        file  = fopen( from, "rb" );
  struct stat   st    = { .st_size = 0 };
  if( file ) fstat( fileno( file ), &st );
  unsigned char * mine = malloc( (size_t)st.st_size+1UL );
  unsigned char * left = malloc( (size_t)left_sz+1UL );
  int ok = file && mine && left && fread( mine, 1UL, (size_t)st.st_size, file )==(size_t)st.st_size;
  if( file ) fclose( file );
  if( all_have( ok ) ) {
    MPI_Sendrecv( mine, (int)st.st_size, MPI_BYTE, (rank+1)%ranks,       0,
                  left, (int)left_sz,    MPI_BYTE, (rank+ranks-1)%ranks, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE );
    file = fopen( to, "wb" );
    ok   = file && fwrite( left, 1UL, (size_t)left_sz, file )==(size_t)left_sz;
    if( file && fclose( file ) ) ok = 0;
  }
  free( mine );
  free( left );
  return ok;
}

/* ordinary saves a new file at the level whose turn it is.  The facts about
   other ranks that FTI has in its headers: the size of the left neighbour's
   file at level 2, the largest one at level 3.  Older files go when all ranks
   have the new one.  Returns whether all have. */

static int
ordinary( fdckpt_fti_t * fti,
          int            id ) {
  char path[ 4096 ];
  int  level = level_of( id );
  fdckpt_fti_options_t options = FDCKPT_FTI_OPTIONS_INIT;
  options.format  = FDCKPT_FTI_FORMAT_POST_1_6;
  options.ckpt_id = id;
  uint64_t size = 0UL, left = 0UL, largest = 0UL;
  int ok = !fdckpt_fti_size( fti, options.format, &size );
  MPI_Sendrecv( &size, 1, MPI_UINT64_T, (rank+1)%ranks,       1,
                &left, 1, MPI_UINT64_T, (rank+ranks-1)%ranks, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE );
  MPI_Allreduce( &size, &largest, 1, MPI_UINT64_T, MPI_MAX, MPI_COMM_WORLD );
  if( level==2 ) options.partner_file_size   = left;
  if( level==3 ) options.group_max_file_size = largest;

  path_of( path, sizeof(path), level, id, "Rank" );
  make_directories( path );
  if( ok && fdckpt_fti_checkpoint( fti, path, &options ) ) {
    fprintf( stderr, "rank %d: %s: %s\n", rank, path, fdckpt_last_error()->message ); /* The older files are still there */
    ok = 0;
  }
  if( !all_have( ok ) ) return 0;
  if( level==2 ) {
    char copy[ 4096 ];
    path_of( copy, sizeof(copy), level, id, "Pcof" );
    if( !all_have( copy_from_left( path, copy, left ) ) ) return 0;
  }
  if( id>KEPT ) {
    path_of( path, sizeof(path), level_of( id-KEPT ), id-KEPT, "Rank" );
    unlink( path );
    path_of( path, sizeof(path), level_of( id-KEPT ), id-KEPT, "Pcof" );
    unlink( path );
  }
  return 1;
}

/* differential updates the one file that each rank has, all or none: when
   all are prepared, all are committed.  And none is prepared for the next one
   before that.  Returns whether all have. */

static int
differential( fdckpt_fti_t *         fti,
              int                    id,
              fdckpt_fti_update_stats_t * updated ) {
  char path[ 4096 ];
  path_of( path, sizeof(path), 0, id, "Rank" );
  make_directories( path );
  fdckpt_fti_options_t options = FDCKPT_FTI_OPTIONS_INIT;
  options.format  = FDCKPT_FTI_FORMAT_POST_1_6;
  options.ckpt_id = id;
  fdckpt_fti_update_options_t update = FDCKPT_FTI_UPDATE_OPTIONS_INIT;
  update.block_size  = 4096;
  update.save_hashes = 1;
  int ok = !fdckpt_fti_prepare( fti, path, &options, &update, updated );
  if( !ok ) fprintf( stderr, "rank %d: %s: %s\n", rank, path, fdckpt_last_error()->message );
  int all = all_have( ok );
  if( fdckpt_fti_resolve( path, all ? FDCKPT_FTI_COMMIT : FDCKPT_FTI_ROLLBACK ) ) {
    fprintf( stderr, "rank %d: %s: %s\n", rank, path, fdckpt_last_error()->message );
    MPI_Abort( MPI_COMM_WORLD, 1 ); /* It is settled at the next start */
  }
  MPI_Barrier( MPI_COMM_WORLD );
  return all;
}

/* newest returns the largest id below another one of a file of this rank's
   that is whole, or 0. */

static int
newest( int below ) {
  char path[ 4096 ];
  for( int found=0;; below=found, found=0 ) {
    for( int level=1; level<=LEVELS; level++ ) {
      path_of( path, sizeof(path), level, 0, "Rank" );
      *strrchr( path, '/' ) = '\0';
      DIR * dir = opendir( path );
      if( !dir ) continue;
      for( struct dirent * entry; (entry = readdir( dir )); ) {
        int id, of_rank, end = 0;
        if( sscanf( entry->d_name, "Ckpt%d-Rank%d.fti%n", &id, &of_rank, &end )==2 && end && !entry->d_name[ end ]
         && of_rank==rank && level_of( id )==level && id<below && id>found ) found = id;
      }
      closedir( dir );
    }
    path_of( path, sizeof(path), level_of( found ), found, "Rank" );
    if( !found || id_in( path )==found ) return found;
  }
}

/* agree_ordinary returns the newest checkpoint that all ranks have whole, or
   0. */

static int
agree_ordinary( void ) {
  for( int below=INT_MAX;; ) {
    int mine  = newest( below );
    int least = all_have( mine );
    if( least==any_has( mine ) ) return least;
    below = least+1;
  }
}

/* agree_differential brings all ranks to the same state: the newest one if
   each of them has it, in its file or prepared, else the one before it. */

static int
agree_differential( void ) {
  char path[ 4096 ];
  int  pending = FDCKPT_FTI_TRANSACTION_IDLE, id = 0;
  path_of( path, sizeof(path), 0, 0, "Rank" );
  int ok = !fdckpt_fti_transaction_state( path, &pending, &id );
  if( ok && pending==FDCKPT_FTI_TRANSACTION_IDLE ) id = id_in( path );
  /* Nothing is decided on while somebody can't tell what it has: a process that was killed may hold its file still. */
  if( !all_have( ok ) ) {
    if( !ok ) fprintf( stderr, "rank %d: %s: %s\n", rank, path, fdckpt_last_error()->message );
    MPI_Abort( MPI_COMM_WORLD, 1 );
  }
  int all = all_have( id )==any_has( id );
  ok = !fdckpt_fti_resolve( path, all ? FDCKPT_FTI_COMMIT : FDCKPT_FTI_ROLLBACK );
  if( !all_have( ok ) ) {
    if( !ok ) fprintf( stderr, "rank %d: %s: %s\n", rank, path, fdckpt_last_error()->message );
    MPI_Abort( MPI_COMM_WORLD, 1 );
  }
  id = id_in( path );
  if( !id ) { /* An update of a damaged file could be prepared, but not abandoned */
    char away[ 4200 ];
    snprintf( away, sizeof(away), "%s.damaged", path );
    rename( path, away );
  }
  if( all_have( id )==any_has( id ) ) return id;
  if( !rank ) fprintf( stderr, "no checkpoint is intact on all ranks: starting from the beginning\n" );
  return 0;
}

static void
die( int sig ) {
  (void)sig;
  kill( getpid(), SIGKILL );
}

/* One step.  What a cell becomes depends on its neighbours alone, so the
   result is the same, to the last bit, whatever the number of ranks. */

static void
compute( void ) {
  int up   = rank>0       ? rank-1 : MPI_PROC_NULL;
  int down = rank<ranks-1 ? rank+1 : MPI_PROC_NULL;
  MPI_Sendrecv( row_of( grid, 0      ), COLUMNS, MPI_DOUBLE, up,   2,
                row_of( grid, rows   ), COLUMNS, MPI_DOUBLE, down, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE );
  MPI_Sendrecv( row_of( grid, rows-1 ), COLUMNS, MPI_DOUBLE, down, 3,
                row_of( grid, -1     ), COLUMNS, MPI_DOUBLE, up,   3, MPI_COMM_WORLD, MPI_STATUS_IGNORE );
  for( int r=0; r<rows; r++ ) {
    double const * above = row_of( grid, r-1 );
    double const * here  = row_of( grid, r   );
    double const * below = row_of( grid, r+1 );
    double *       to    = row_of( next, r   );
    int            edge  = first_row( rank )+r==0 || first_row( rank )+r==ROWS-1;
    for( int c=0; c<COLUMNS; c++ ) {
      to[ c ] = edge || c==0 || c==COLUMNS-1 ? here[ c ]
              : here[ c ] + 0.2*( above[ c ] + below[ c ] + here[ c-1 ] + here[ c+1 ] - 4.0*here[ c ] );
    }
  }
  memcpy( row_of( grid, 0 ), row_of( next, 0 ), (size_t)rows*COLUMNS*sizeof(double) );
  step++;
}

/* result is a hash of the whole plate, by FNV-1a. */

static void
tell_result( void ) {
  int      counts[ ROWS ], begins[ ROWS ];
  double * all = rank ? NULL : malloc( sizeof(double)*ROWS*COLUMNS );
  for( int r=0; r<ranks; r++ ) {
    begins[ r ] = first_row( r )*COLUMNS;
    counts[ r ] = first_row( r+1 )*COLUMNS - begins[ r ];
  }
  MPI_Gatherv( row_of( grid, 0 ), rows*COLUMNS, MPI_DOUBLE, all, counts, begins, MPI_DOUBLE, 0, MPI_COMM_WORLD );
  if( rank ) return;
  uint64_t hash = 14695981039346656037UL;
  for( size_t i=0UL; i<sizeof(double)*ROWS*COLUMNS; i++ ) hash = (hash^((unsigned char const *)all)[ i ])*1099511628211UL;
  printf( "result: step %d, plate %016llx\n", step, (unsigned long long)hash );
  free( all );
}

int
main( int     argc,
      char ** argv ) {
  MPI_Init( &argc, &argv );
  MPI_Comm_rank( MPI_COMM_WORLD, &rank  );
  MPI_Comm_size( MPI_COMM_WORLD, &ranks );
  int is_differential = argc>4 && !strcmp( argv[4], "differential" );
  if( argc<5 || ranks>ROWS || (!is_differential && strcmp( argv[4], "ordinary" )) ) {
    if( !rank ) fprintf( stderr, "usage: mpi_heat FOLDER NAME STEPS ordinary|differential [MS]\n" );
    MPI_Finalize();
    return 2;
  }
  directory    = argv[1];
  name      = argv[2];
  int steps = atoi( argv[3] );
  int ms    = argc>5 ? atoi( argv[5] ) : 0;
  if( ms ) {
    int victim = 0;
    if( !rank ) victim = (int)((unsigned)getpid()%(unsigned)ranks);
    MPI_Bcast( &victim, 1, MPI_INT, 0, MPI_COMM_WORLD );
    struct itimerval timer = { .it_value = { .tv_sec = ms/1000, .tv_usec = ms%1000*1000 } };
    if( rank==victim ) { signal( SIGALRM, die ); setitimer( ITIMER_REAL, &timer, NULL ); }
  }

  rows = first_row( rank+1 )-first_row( rank );
  grid = calloc( (size_t)(rows+2)*COLUMNS, sizeof(double) );
  next = calloc( (size_t)(rows+2)*COLUMNS, sizeof(double) );
  fdckpt_fti_t * fti = fdckpt_fti_new();
  if( !grid || !next || !fti
   || fdckpt_fti_protect( fti, 0, &step,             sizeof(step)                          )
   || fdckpt_fti_protect( fti, 1, row_of( grid, 0 ), (size_t)rows*COLUMNS*sizeof(double) ) ) MPI_Abort( MPI_COMM_WORLD, 1 );

  /* From the newest checkpoint of all ranks, else from the start: a plate that is hot in one corner. */
  char path[ 4096 ];
  int  id = is_differential ? agree_differential() : agree_ordinary();
  if( id ) {
    path_of( path, sizeof(path), is_differential ? 0 : level_of( id ), id, "Rank" );
    int ok = !fdckpt_fti_recover( fti, path, 1 );
    if( !ok ) fprintf( stderr, "rank %d: %s: %s\n", rank, path, fdckpt_last_error()->message );
    if( !all_have( ok ) ) MPI_Abort( MPI_COMM_WORLD, 1 );
    if( !rank ) {
      path[ strlen( path )-strlen( "0.fti" ) ] = '\0';
      printf( "checkpoint: %d, step %d, files %s%%d.fti\n", id, step, path );
    }
  } else {
    step = 0;
    for( int r=0; r<rows; r++ ) for( int c=0; c<COLUMNS; c++ ) row_of( grid, r )[ c ] = first_row( rank )+r<40 && c<60 ? 100.0 : 0.0;
    if( !rank ) printf( "checkpoint: none, step 0\n" );
  }
  fflush( stdout );

  fdckpt_fti_update_stats_t updated = FDCKPT_FTI_UPDATE_STATS_INIT;
  uint64_t             bytes   = 0UL, changed = 0UL, blocks = 0UL;
  while( step<steps ) {
    compute();
    if( step%EVERY ) continue;
    id++;
    if( is_differential ) differential( fti, id, &updated );
    else                  ordinary( fti, id );
    bytes   += updated.changed_bytes;
    changed += updated.changed_block_count;
    blocks  += updated.block_count;
  }
  if( blocks && !rank ) printf( "differential: %.1f %% of the blocks were written\n", 100.0*(double)changed/(double)blocks );
  if( steps ) tell_result();
  fdckpt_fti_free( fti );
  free( grid );
  free( next );
  MPI_Finalize();
  return 0;
}
