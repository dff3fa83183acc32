/* stack.c: how much stack each function of the API takes, in bytes.

     stack LIBRARY...

   The calls are made on a thread with 64 KiB of stack, which is painted
   before each of them; what lost its paint was used (256: at most that).
   Said is the most over both styles and modes, small and large buffers.
   Failing calls are there too, with what they log (to stderr). */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fd_checkpt.h"

#define STACK_SZ (64UL<<10)
#define MARGIN   (256UL) /* For the frame of measure: less is not seen */
#define PAINT    (0xc5)
#define DATA_SZ  (200000UL)

static uchar * stack; /* Its lowest address */
static void *  library;

static struct { char const * name; int fails; ulong used; } function[ 64 ];
static ulong function_cnt;

/* A call with up to four arguments, which are all integers or pointers. */

typedef ulong (* call_t)( ulong, ulong, ulong, ulong );

__attribute__((noinline)) static ulong
measure( char const * name,
         int          fails,
         ulong        a,
         ulong        b,
         ulong        c,
         ulong        d ) {
  void *           symbol = dlsym( library, name );
  call_t           call;
  uchar volatile * here = (uchar volatile *)__builtin_frame_address( 0 );
  memcpy( &call, &symbol, sizeof(call) );
  if( !symbol ) { fprintf( stderr, "there is no %s\n", name ); exit( 1 ); }
  for( uchar volatile * p=stack; p<here-MARGIN; p++ ) *p = PAINT;
  ulong got = call( a, b, c, d );
  uchar volatile * p = stack;
  while( p<here-MARGIN && *p==PAINT ) p++;
  ulong used = (ulong)(here-p);

  ulong i = 0UL;
  while( i<function_cnt && (strcmp( function[i].name, name ) || function[i].fails!=fails) ) i++;
  if( i==function_cnt ) {
    function_cnt++;
    function[i].name  = name;
    function[i].fails = fails;
    function[i].used  = 0UL;
  }
  if( used>function[i].used ) function[i].used = used;
  return got;
}

static void
must( int good ) {
  if( good ) return;
  fprintf( stderr, "a call does not do what it should\n" );
  exit( 1 );
}

static fd_checkpt_t checkpt[1];
static fd_restore_t restore[1];
static uchar        io_buffer[ FD_CHECKPT_WBUF_MIN ];
static uchar        region[ 2UL*DATA_SZ ];
static uchar        data[ DATA_SZ ];

#define U( x ) ((ulong)(x))

static void *
run( void * arg ) {
  (void)arg;
  ulong off;
  for( int mmio=0; mmio<2; mmio++ ) for( int style=1; style<=2; style++ ) {
    FILE * file = tmpfile();
    must( !!file );
    int    fd   = fileno( file );
    for( ulong i=0UL; i<DATA_SZ; i++ ) data[i] = (uchar)(i*i>>7);
    must( mmio ? measure( "fd_checkpt_init_mmio",      0, U( checkpt ), U( region ), sizeof(region), 0UL )==U( checkpt )
               : measure( "fd_checkpt_init_stream",    0, U( checkpt ), U( fd ), U( io_buffer ), sizeof(io_buffer) )==U( checkpt ) );
    must( !(int)measure( "fd_checkpt_open_advanced",  0, U( checkpt ), U( style ), U( &off ), 0UL ) );
    must( !(int)measure( "fd_checkpt_meta",           0, U( checkpt ), U( data ), 16UL, 0UL ) );
    must( !(int)measure( "fd_checkpt_data",           0, U( checkpt ), U( data ), DATA_SZ, 0UL ) );
    must( !(int)measure( "fd_checkpt_close_advanced", 0, U( checkpt ), U( &off ), 0UL, 0UL ) );
    must(  (int)measure( "fd_checkpt_meta",           1, U( checkpt ), U( data ), 16UL, 0UL ) );
    must( !!measure( "fd_checkpt_fini",           0, U( checkpt ), 0UL, 0UL, 0UL ) );
    lseek( fd, 0L, SEEK_SET );
    must( mmio ? measure( "fd_restore_init_mmio",      0, U( restore ), U( region ), off, 0UL )==U( restore )
               : measure( "fd_restore_init_stream",    0, U( restore ), U( fd ), U( io_buffer ), sizeof(io_buffer) )==U( restore ) );
    must( !(int)measure( "fd_restore_seek",           0, U( restore ), 0UL, 0UL, 0UL ) );
    must( !(int)measure( "fd_restore_open_advanced",  0, U( restore ), U( style ), U( &off ), 0UL ) );
    must( !(int)measure( "fd_restore_meta",           0, U( restore ), U( data ), 16UL, 0UL ) );
    must( !(int)measure( "fd_restore_data",           0, U( restore ), U( data ), DATA_SZ, 0UL ) );
    must(  (int)measure( "fd_restore_data",           1, U( restore ), U( data ), DATA_SZ, 0UL ) );
    must( !!measure( "fd_restore_fini",           0, U( restore ), 0UL, 0UL, 0UL ) );
    fclose( file );
  }
  return NULL;
}

int
main( int     argc,
      char ** argv ) {
  stack = (uchar *)mmap( NULL, STACK_SZ, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L );
  if( stack==MAP_FAILED ) { perror( "mmap" ); return 1; }
  for( int i=1; i<argc; i++ ) {
    library = dlopen( argv[i], RTLD_NOW | RTLD_LOCAL );
    if( !library ) { fprintf( stderr, "%s\n", dlerror() ); return 1; }
    printf( "%s\n", argv[i] );
    function_cnt = 0UL;
    pthread_t      thread;
    pthread_attr_t attr;
    pthread_attr_init( &attr );
    if( pthread_attr_setstack( &attr, stack, STACK_SZ ) || pthread_create( &thread, &attr, run, NULL ) ) {
      fprintf( stderr, "no thread\n" );
      return 1;
    }
    pthread_join( thread, NULL );
    pthread_attr_destroy( &attr );
    ulong most = 0UL;
    for( ulong j=0UL; j<function_cnt; j++ ) {
      printf( "  %-26s %-6s %6lu\n", function[j].name, function[j].fails ? "fails" : "", function[j].used );
      if( function[j].used>most ) most = function[j].used;
    }
    printf( "  most: %lu\n", most );
  }
  return 0;
}
