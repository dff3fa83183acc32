#ifndef RUN_H
#define RUN_H

/* run.h: what the programs have in common that run under the shim. */

#include "test.h"
#include <dlfcn.h>

#include "faults.h"

#define MAYBE_UNUSED __attribute__((unused))

static faults_plan_t     faults_plan;
static faults_arm_t      faults_arm;
static faults_injected_t faults_injected;
static faults_live_t     faults_live;

/* LIB( call ) is a call of the library: the one place where calls fail. */

#define LIB( call ) ({ faults_arm( 1 ); __typeof__(call) result_ = (call); faults_arm( 0 ); result_; })

/* A way to fail.  Lists of them end with a NULL name. */

struct fault {
  char const * name;
  int          fault;
  long         span;
};

typedef struct fault fault_t;

static fault_t const fault_alloc[] = {
  { "ENOMEM once",     ENOMEM, 1L       },
  { "ENOMEM for ever", ENOMEM, FOR_EVER },
  { NULL, 0, 0L }
};

MAYBE_UNUSED static fault_t const fault_thread[] = {
  { "EAGAIN once",     EAGAIN, 1L       },
  { "EAGAIN for ever", EAGAIN, FOR_EVER },
  { NULL, 0, 0L }
};

/* A kind of call, and the ways in which it fails. */

struct kind {
  char const *    name;
  int             kind;
  fault_t const * faults;
};

typedef struct kind kind_t;

#define COUNT( array ) ((int)(sizeof(array)/sizeof((array)[0])))

static void *
symbol( char const * name ) {
  void * found = dlsym( RTLD_DEFAULT, name );
  if( !found ) { fprintf( stderr, "%s is missing: LD_PRELOAD the shim\n", name ); exit( 2 ); }
  return found;
}

/* find_shim fills in the functions above, and silences the log. */

static void
find_shim( void ) {
  void * found;
  found = symbol( "faults_plan"     ); memcpy( &faults_plan,     &found, sizeof(found) );
  found = symbol( "faults_arm"      ); memcpy( &faults_arm,      &found, sizeof(found) );
  found = symbol( "faults_injected" ); memcpy( &faults_injected, &found, sizeof(found) );
  found = symbol( "faults_live"     ); memcpy( &faults_live,     &found, sizeof(found) );
  fdckpt_set_log_callback( test_quiet, NULL );
}

/* begin_run prints the line before a run.  It ends what hangs. */

MAYBE_UNUSED static void
begin_run( int             group,
           long            n,
           char const *    scenario,
           kind_t const *  kind,
           fault_t const * fault,
           unsigned        seconds ) {
  printf( "run %d %ld %s, %s %s\n", group, n, scenario, kind->name, fault->name );
  fflush( stdout );
  alarm( seconds );
}

/* end_run prints the line after a run: the number of faults injected, and
   of checks that failed since there were fails_before. */

static long
end_run( long  injected,
         ulong fails_before ) {
  printf( "done %ld %lu\n", injected, atomic_load( &test_fails )-fails_before );
  fflush( stdout );
  return injected;
}

/* one_run_fn_t does the nth run of a group and returns the number of faults
   injected: 0 ends the group. */

typedef long (*one_run_fn_t)( int group, int scenario, kind_t const * kind, fault_t const * fault, long n );

/* run_groups does all runs, each scenario with each fault of each kind, from
   run args[1] of group args[0] on (0 and 1 if they are missing).  Returns
   what main is to return. */

MAYBE_UNUSED static int
run_groups( char **        args,
            int            scenario_cnt,
            kind_t const * kinds,
            int            kind_cnt,
            one_run_fn_t   one_run ) {
  int  begin = args[0]            ? atoi( args[0] ) : 0;
  long n     = args[0] && args[1] ? atol( args[1] ) : 1L;
  int  group = 0;
  for( int s=0; s<scenario_cnt; s++ ) for( int k=0; k<kind_cnt; k++ ) {
    for( fault_t const * fault=kinds[ k ].faults; fault->name; fault++, group++ ) {
      if( group<begin ) continue;
      for( long i=group==begin ? n : 1L; one_run( group, s, &kinds[ k ], fault, i ); i++ ) {}
    }
  }
  return atomic_load( &test_fails ) ? 1 : 0;
}

/* file_bytes returns all bytes of a file (to be freed) and their count,
   file_is whether they are these. */

MAYBE_UNUSED static uchar *
file_bytes( char const * path,
            ulong *      sz ) {
  int fd = open( path, O_RDONLY );
  if( fd<0 ) { perror( path ); abort(); }
  uchar * bytes = test_slurp( fd, sz );
  close( fd );
  return bytes;
}

MAYBE_UNUSED static int
file_is( char const *  path,
         uchar const * bytes,
         ulong         sz ) {
  ulong   got_sz;
  uchar * got  = file_bytes( path, &got_sz );
  int     same = got_sz==sz && !memcmp( got, bytes, sz );
  free( got );
  return same;
}

/* fd_cnt counts descriptors. */

MAYBE_UNUSED static int
fd_cnt( void ) {
  int cnt = 0;
  for( int fd=0; fd<32; fd++ ) if( fcntl( fd, F_GETFD )!=-1 ) cnt++;
  return cnt;
}

#endif /* RUN_H */
