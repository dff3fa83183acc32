/* fti_repartition.c: cuts the checkpoint of N processes anew, for M processes.

     cc fti_repartition.c $(pkg-config --cflags --libs fdckpt) -o fti_repartition
     ./fti_repartition FILES N NEW M ID:UNIT..

   FILES and NEW are paths with %d where the rank is, such as
   Ckpt7-Rank%d.fti.  Files of FTI know neither types nor how a program has
   cut what it computes, so that has to be said: a variable that is named as
   ID:UNIT is one run of units of so many bytes (rows of a grid, particles),
   of which each rank has a part, in the order of the ranks.  It is put
   together, and cut into parts of units from K*r/M to K*(r+1)/M.  All others
   must be the same in all files, and are copied. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fdckpt.h>

enum { RANKS_MAX = 4096, UNITS_MAX = 64 };

static struct { int id; uint64_t sz; } units[ UNITS_MAX ];
static int unit_cnt;

static fdckpt_fti_file_t * files[ RANKS_MAX ];
static int                old_cnt;

static void
fail( char const * what ) {
  fprintf( stderr, "fti_repartition: %s\n", what );
  exit( 1 );
}

/* ok fails with what the library says, unless a call has worked. */

static void
ok( int err ) {
  if( err ) fail( fdckpt_last_error()->message );
}

static void *
memory( uint64_t sz ) {
  void * mem = malloc( sz ? (size_t)sz : 1UL );
  if( !mem ) fail( "out of memory" );
  return mem;
}

/* path_of puts a rank in the place of %d. */

static void
path_of( char *       path,
         size_t       sz,
         char const * pattern,
         int          rank ) {
  char const * place = strstr( pattern, "%d" );
  if( !place ) fail( "a path has no %d in it, where the rank is to be" );
  int len = snprintf( path, sz, "%.*s%d%s", (int)(place-pattern), pattern, rank, place+2 );
  if( len<0 || (size_t)len>=sz ) fail( "a path is too long" );
}

static uint64_t
size_in( int rank,
         int id ) {
  fdckpt_fti_file_variable_t variable = FDCKPT_FTI_FILE_VARIABLE_INIT;
  for( uint64_t i=0UL; !fdckpt_fti_file_variable( files[ rank ], i, &variable ); i++ ) if( variable.id==id ) return variable.size;
  fail( "a file lacks a variable that another one has" );
  return 0UL;
}

/* together returns the bytes of a variable in all files, one after the
   other. */

static char *
together( int        id,
          uint64_t * sz ) {
  uint64_t at = 0UL;
  *sz = 0UL;
  for( int r=0; r<old_cnt; r++ ) *sz += size_in( r, id );
  char * all = memory( *sz );
  for( int r=0; r<old_cnt; r++ ) {
    ok( fdckpt_fti_file_extract( files[ r ], id, all+at, size_in( r, id ) ) );
    at += size_in( r, id );
  }
  return all;
}

int
main( int     argc,
      char ** argv ) {
  if( argc<5 ) {
    fprintf( stderr, "usage: fti_repartition FILES N NEW M ID:UNIT..\n" );
    return 2;
  }
  char path[ 4096 ];
  int  new_cnt = atoi( argv[4] );
  old_cnt = atoi( argv[2] );
  if( old_cnt<1 || old_cnt>RANKS_MAX || new_cnt<1 || new_cnt>RANKS_MAX ) fail( "the number of ranks must be 1 to 4096" );
  for( int i=5; i<argc; i++, unit_cnt++ ) {
    unsigned long long sz;
    if( unit_cnt==UNITS_MAX || sscanf( argv[ i ], "%d:%llu", &units[ unit_cnt ].id, &sz )!=2 || !sz ) fail( "ID:UNIT is expected" );
    units[ unit_cnt ].sz = sz;
  }

  /* All of them must be of one checkpoint: files of an update that was not
     settled are not opened. */
  fdckpt_fti_file_header_t header = FDCKPT_FTI_FILE_HEADER_INIT, other = FDCKPT_FTI_FILE_HEADER_INIT;
  for( int r=0; r<old_cnt; r++ ) {
    path_of( path, sizeof(path), argv[1], r );
    if( !(files[ r ] = fdckpt_fti_file_open( path )) ) fail( fdckpt_last_error()->message );
    ok( fdckpt_fti_file_header( files[ r ], r ? &other : &header ) );
    if( r && (other.ckpt_id!=header.ckpt_id || other.variable_count!=header.variable_count) ) fail( "the files are not of one checkpoint" );
    ok( fdckpt_fti_file_verify( files[ r ], 1, NULL, NULL ) );
  }

  /* Each variable, in the order of protection. */
  fdckpt_fti_t ** fti = memory( sizeof(*fti)*(uint64_t)new_cnt );
  for( int r=0; r<new_cnt; r++ ) if( !(fti[ r ] = fdckpt_fti_new()) ) fail( "out of memory" );
  fdckpt_fti_file_variable_t variable = FDCKPT_FTI_FILE_VARIABLE_INIT;
  for( uint64_t v=0UL; !fdckpt_fti_file_variable( files[ 0 ], v, &variable ); v++ ) {
    uint64_t sz, unit = 0UL;
    char *   all = together( variable.id, &sz );
    for( int u=0; u<unit_cnt; u++ ) if( units[ u ].id==variable.id ) unit = units[ u ].sz;
    if( unit ? sz%unit!=0UL : sz!=(uint64_t)old_cnt*variable.size ) fail( "a variable has a size that can't be" );
    for( int r=1; !unit && r<old_cnt; r++ ) {
      if( memcmp( all, all+(uint64_t)r*variable.size, (size_t)variable.size ) ) {
        fprintf( stderr, "variable %d differs from rank to rank: ", variable.id );
        fail( "name it as ID:UNIT if it can be cut, else the checkpoint is for this number of ranks alone" );
      }
    }
    for( int r=0; r<new_cnt; r++ ) {
      uint64_t begin = unit ? sz/unit*(uint64_t)r       /(uint64_t)new_cnt*unit : 0UL;
      uint64_t end   = unit ? sz/unit*((uint64_t)r+1UL)/(uint64_t)new_cnt*unit : variable.size;
      ok( fdckpt_fti_protect( fti[ r ], variable.id, all+begin, (size_t)(end-begin) ) );
    }
  }
  for( int r=0; r<new_cnt; r++ ) {
    path_of( path, sizeof(path), argv[3], r );
    fdckpt_fti_options_t options = FDCKPT_FTI_OPTIONS_INIT;
    options.format  = header.format;
    options.ckpt_id = header.ckpt_id<0 ? 0 : header.ckpt_id;
    ok( fdckpt_fti_checkpoint( fti[ r ], path, &options ) );
  }
  printf( "checkpoint %d of %d ranks is one of %d ranks\n", header.ckpt_id, old_cnt, new_cnt );
  return 0;
}
