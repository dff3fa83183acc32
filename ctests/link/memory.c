/* A program that has malloc under its control: what the library allocates it frees, and where out of memory it says so. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fd_checkpt.h"
#include "fdckpt.h"

extern void * __libc_malloc( size_t );
extern void * __libc_calloc( size_t, size_t );
extern void * __libc_realloc( void *, size_t );
extern void * __libc_memalign( size_t, size_t );
extern void   __libc_free( void * );

static int  failing;  /* Whether allocations fail */
static long refused;  /* How many did */
static long live;     /* Blocks allocated and not freed */

static int
refuse( void ) {
  if( !failing ) return 0;
  refused++;
  errno = ENOMEM;
  return 1;
}

static void *
given( void * mem ) {
  live += !!mem;
  return mem;
}

void * malloc ( size_t sz )               { return refuse() ? NULL : given( __libc_malloc( sz ) ); }
void * calloc ( size_t cnt, size_t sz )   { return refuse() ? NULL : given( __libc_calloc( cnt, sz ) ); }
void * realloc( void * mem, size_t sz )   { return refuse() ? NULL : mem ? __libc_realloc( mem, sz ) : given( __libc_malloc( sz ) ); }
void   free   ( void * mem )              { live -= !!mem; __libc_free( mem ); }
int    posix_memalign( void ** mem, size_t align, size_t sz );
int
posix_memalign( void ** mem, size_t align, size_t sz ) {
  if( refuse() ) return ENOMEM;
  *mem = given( __libc_memalign( align, sz ) );
  return *mem ? 0 : ENOMEM;
}

static int passed, failed;
#define CHECK(c) do { if( c ) passed++; else { failed++; fprintf( stderr, "memory.c:%d: %s\n", __LINE__, #c ); } } while(0)

static fd_checkpt_t checkpt[1];
static fd_restore_t restore[1];
static uchar        data[ 200000 ], region[ 300000 ];

static void
quiet( void * context, int level, char const * line ) {
  (void)context; (void)level; (void)line;
}

static void
check_short( void const * handle ) {
  fdckpt_error_t const * error = fdckpt_last_error();
  CHECK( !handle );
  CHECK( error->code==FD_CHECKPT_ERR_COMP );
  CHECK( error->errnum==ENOMEM );
  CHECK( !!strstr( error->message, "memory" ) );
}

int
main( void ) {
  fdckpt_set_log_callback( quiet, NULL );
  long before = live;

  /* Starting a checkpoint or restore is all that needs memory ... */
  failing = 1;
  check_short( fd_checkpt_init_mmio( checkpt, region, sizeof(region) ) );
  check_short( fd_checkpt_init_stream( checkpt, 0, region, sizeof(region) ) );
  check_short( fd_restore_init_mmio( restore, region, sizeof(region) ) );
  check_short( fd_restore_init_stream( restore, 0, region, sizeof(region) ) );
  CHECK( refused==4 );
  failing = 0;
  CHECK( live==before );

  /* ... from then on there may be none, also for what fails. */
  ulong end;
  CHECK( !!fd_checkpt_init_mmio( checkpt, region, sizeof(region) ) );
  CHECK( live==before+1 );
  failing = 1; refused = 0;
  CHECK( !fd_checkpt_open( checkpt, FD_CHECKPT_FRAME_STYLE_LZ4 ) );
  CHECK( !fd_checkpt_data( checkpt, data, sizeof(data) ) );
  CHECK( !fd_checkpt_close_advanced( checkpt, &end ) );
  CHECK( fd_checkpt_open( checkpt, 99 )==FD_CHECKPT_ERR_UNSUP );
  CHECK( fdckpt_last_error()->code==FD_CHECKPT_ERR_UNSUP );
  CHECK( !!fd_checkpt_fini( checkpt ) );
  CHECK( !refused );
  CHECK( live==before );
  failing = 0;
  CHECK( !!fd_restore_init_mmio( restore, region, end ) );
  failing = 1;
  CHECK( !fd_restore_open( restore, FD_CHECKPT_FRAME_STYLE_LZ4 ) );
  CHECK( !fd_restore_data( restore, data, sizeof(data) ) );
  CHECK( !fd_restore_close( restore ) );
  CHECK( !!fd_restore_fini( restore ) );
  fdckpt_set_log_callback( NULL, NULL );
  CHECK( fd_restore_close( NULL )==FD_CHECKPT_ERR_INVAL ); /* Logs a line */
  CHECK( !refused );
  CHECK( live==before );

  failing = 0;
  printf( "memory: %d passed, %d failed\n", passed, failed );
  return failed!=0;
}
