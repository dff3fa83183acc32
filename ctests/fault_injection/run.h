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

/* end_run tells what came of a run: faults that were injected, and checks
   that failed since there had been so many. */

static long
end_run( long  injected,
         ulong fails_before ) {
  printf( "done %ld %lu\n", injected, atomic_load( &test_fails )-fails_before );
  fflush( stdout );
  return injected;
}

/* fd_cnt counts descriptors. */

MAYBE_UNUSED static int
fd_cnt( void ) {
  int cnt = 0;
  for( int fd=0; fd<32; fd++ ) if( fcntl( fd, F_GETFD )!=-1 ) cnt++;
  return cnt;
}

#endif /* RUN_H */
