/* threads.c: many handles at the same time. */

#include "test.h"

#include <sched.h>

enum { THREADS = 8, FRAMES = 24, ROUNDS = 4 };

#define REGION_SZ (2UL<<20)

static uchar *           data;
static ulong             data_sz;
static ulong             frame_sz [ FRAMES ]; /* What frame i holds: data[ frame_at[i], +frame_sz[i] ), as 3 buffers */
static ulong             frame_at [ FRAMES ];
static int               frame_style[ FRAMES ];
static ulong             frame_off[ FRAMES+1 ]; /* Where it is in made */
static uchar *           made;
static ulong             made_sz;
static int               made_fd;
static atomic_ulong      next_frame;
static pthread_barrier_t barrier;

static void
frame_bufs( int   i,
            ulong sz[3] ) {
  sz[0] = frame_sz[i]/3UL;
  sz[1] = frame_sz[i]<300UL ? 1UL : 100UL; /* meta */
  sz[2] = frame_sz[i]-sz[0]-sz[1];
}

static void
run_threads( void * (* run)( void * ) ) {
  pthread_t thread[ THREADS ];
  ulong     started = 0UL;
  for( ; started<THREADS; started++ ) {
    if( !CHECK( !pthread_create( &thread[ started ], NULL, run, (void *)started ) ) ) break;
  }
  for( ulong i=0UL; i<started; i++ ) pthread_join( thread[i], NULL );
}

static fd_checkpt_t * new_checkpt( void ) { return (fd_checkpt_t *)test_alloc( FD_CHECKPT_FOOTPRINT ); }
static fd_restore_t * new_restore( void ) { return (fd_restore_t *)test_alloc( FD_RESTORE_FOOTPRINT ); }

/* One checkpoint, made alone ****************************************/

static void
make( void ) {
  data_sz = 0UL;
  ulong state = 9UL;
  for( int i=0; i<FRAMES; i++ ) {
    frame_at[i]    = data_sz;
    frame_sz[i]    = i==3 ? 200000UL : (i%5 ? 10UL+test_rand( &state )%60000UL : 10UL+test_rand( &state )%300UL);
    frame_style[i] = i%8==6 ? RAW : LZ4;
    data_sz += frame_sz[i];
  }
  data = (uchar *)test_alloc( data_sz );
  test_fill( data, data_sz, 10UL );

  made = (uchar *)test_alloc( REGION_SZ );
  fd_checkpt_t * c = fd_checkpt_init_mmio( new_checkpt(), made, REGION_SZ );
  for( int i=0; i<FRAMES; i++ ) {
    ulong sz[3];
    frame_bufs( i, sz );
    frame_off[i] = c->off;
    CHECK_EQ( test_save( c, frame_style[i], data+frame_at[i], sz, 3UL ), 0 );
  }
  made_sz = frame_off[ FRAMES ] = c->off;
  free( fd_checkpt_fini( c ) );
  made_fd = test_file_of( made, made_sz );
}

/* Many of them, made at once ****************************************/

static void *
checkpt_run( void * arg ) {
  ulong          self   = (ulong)arg;
  int            mmio   = self & 1UL;
  uchar *        buf    = (uchar *)test_alloc( REGION_SZ );
  fd_checkpt_t * mem    = new_checkpt();
  int            fd     = mmio ? -1 : test_file();
  pthread_barrier_wait( &barrier );
  for( int round=0; round<ROUNDS; round++ ) {
    if( !mmio && (ftruncate( fd, 0L ) || lseek( fd, 0L, SEEK_SET )) ) perror( "ftruncate" );
    fd_checkpt_t * c = mmio ? fd_checkpt_init_mmio  ( mem, buf, REGION_SZ )
                            : fd_checkpt_init_stream( mem, fd, buf, FD_CHECKPT_WBUF_MIN + 1000UL*self );
    if( !CHECK_EQ( c, mem ) ) break;
    for( int i=0; i<FRAMES; i++ ) {
      ulong sz[3];
      frame_bufs( i, sz );
      CHECK_EQ( test_save( c, frame_style[i], data+frame_at[i], sz, 3UL ), 0 );
      CHECK_EQ( c->off, frame_off[ i+1 ] );
    }
    CHECK_EQ( fd_checkpt_fini( c ), mem );
    if( mmio ) CHECK( !memcmp( buf, made, made_sz ) );
    else {
      ulong   sz;
      uchar * got = test_slurp( fd, &sz );
      CHECK_EQ( sz, made_sz );
      CHECK( sz==made_sz && !memcmp( got, made, made_sz ) );
      free( got );
    }
  }
  if( fd>=0 ) close( fd );
  free( mem );
  free( buf );
  return NULL;
}

/* The frames of one, restored at once *******************************/

static void *
restore_run( void * arg ) {
  ulong          self = (ulong)arg;
  uchar *        rbuf = (uchar *)test_alloc( FD_RESTORE_RBUF_MIN );
  fd_restore_t * mem  = new_restore();
  uchar const *  map  = (uchar const *)mmap( NULL, made_sz, PROT_READ, MAP_SHARED, made_fd, 0L );
  char           path[ 64 ];
  snprintf( path, sizeof(path), "/proc/self/fd/%d", made_fd );
  int            fd   = open( path, O_RDONLY | O_CLOEXEC ); /* With a position of its own */
  CHECK( map!=MAP_FAILED && fd>=0 );
  pthread_barrier_wait( &barrier );

  /* Each frame by whoever is free, with a new handle each time. */
  for( ;; ) {
    ulong n = atomic_fetch_add( &next_frame, 1UL );
    if( n>=(ulong)(FRAMES*ROUNDS) ) break;
    int            i = (int)(n%FRAMES);
    fd_restore_t * r = (n & 1UL) ? fd_restore_init_stream( mem, fd, rbuf, FD_RESTORE_RBUF_MIN )
                                 : fd_restore_init_mmio  ( mem, map, made_sz );
    if( !CHECK_EQ( r, mem ) ) break;
    ulong sz[3];
    frame_bufs( i, sz );
    CHECK_EQ( fd_restore_seek( r, frame_off[i] ), 0 );
    CHECK_EQ( test_load( r, frame_style[i], data+frame_at[i], sz, 3UL ), 0 );
    CHECK_EQ( r->off, frame_off[ i+1 ] );
    CHECK_EQ( fd_restore_fini( r ), mem );
  }

  /* All frames with one handle, backwards for some. */
  fd_restore_t * r = (self & 1UL) ? fd_restore_init_stream( mem, fd, rbuf, FD_RESTORE_RBUF_MIN )
                                  : fd_restore_init_mmio  ( mem, map, made_sz );
  CHECK_EQ( r, mem );
  for( int j=0; r && j<FRAMES; j++ ) {
    int   i = (self & 2UL) ? FRAMES-1-j : (j+(int)self)%FRAMES;
    ulong sz[3];
    frame_bufs( i, sz );
    CHECK_EQ( fd_restore_seek( r, frame_off[i] ), 0 );
    CHECK_EQ( test_load( r, frame_style[i], data+frame_at[i], sz, 3UL ), 0 );
  }
  CHECK_EQ( fd_restore_fini( r ), mem );

  if( map!=MAP_FAILED ) munmap( (void *)(uintptr_t)map, made_sz );
  close( fd );
  free( mem  );
  free( rbuf );
  return NULL;
}

/* A handle that goes from thread to thread **************************/

static fd_checkpt_t * passed;
static int            passed_frame;

static void *
pass_run( void * arg ) {
  (void)arg;
  ulong sz[3];
  frame_bufs( passed_frame, sz );
  CHECK_EQ( test_save( passed, frame_style[ passed_frame ], data+frame_at[ passed_frame ], sz, 3UL ), 0 );
  return NULL;
}

static void
check_passed( void ) {
  uchar * buf = (uchar *)test_alloc( REGION_SZ );
  passed = fd_checkpt_init_mmio( new_checkpt(), buf, REGION_SZ );
  for( passed_frame=0; passed_frame<FRAMES; passed_frame++ ) {
    pthread_t thread;
    if( CHECK( !pthread_create( &thread, NULL, pass_run, NULL ) ) ) pthread_join( thread, NULL );
  }
  CHECK_EQ( passed->off, made_sz );
  CHECK( !memcmp( buf, made, made_sz ) );
  free( fd_checkpt_fini( passed ) );
  passed = NULL;
  free( buf );
}

/* Errors ************************************************************/

enum { FAILURES = 200 };

/* Each thread fails in its own way and must see its own failure only. */

static void *
fail_run( void * arg ) {
  ulong                  self  = (ulong)arg;
  fd_checkpt_t *         c     = new_checkpt();
  fd_restore_t *         r     = new_restore();
  uchar                  bad[] = { 0, 0, 0, 0, 0 };
  uchar                  buf[ 100 ];
  fdckpt_error_t const * error = fdckpt_last_error();
  int                    before = atomic_load( &test_fails )>0UL;
  memset( buf, 0, sizeof(buf) );

  /* A thread in which nothing has failed. */
  CHECK( error && error->code==0 && error->errnum==0 && error->function && !*error->function && error->message );
  pthread_barrier_wait( &barrier );

  for( int i=0; i<FAILURES; i++ ) {
    int          code = 0;
    int          want = 0;
    char const * name = "";
    switch( self%5UL ) {
    case 0UL:
      want = FD_CHECKPT_ERR_INVAL; name = "fd_checkpt_close_advanced";
      code = fd_checkpt_close( NULL );
      break;
    case 1UL:
      want = FD_CHECKPT_ERR_UNSUP; name = "fd_checkpt_open_advanced";
      fd_checkpt_init_mmio( c, buf, sizeof(buf) );
      code = fd_checkpt_open( c, 77 );
      fd_checkpt_fini( c );
      break;
    case 2UL:
      want = FD_CHECKPT_ERR_IO; name = "fd_checkpt_data";
      fd_checkpt_init_mmio( c, buf, sizeof(buf) );
      fd_checkpt_open( c, RAW );
      code = fd_checkpt_data( c, data, sizeof(buf)+1UL );
      fd_checkpt_fini( c );
      break;
    case 3UL:
      want = FD_CHECKPT_ERR_COMP; name = "fd_restore_meta";
      fd_restore_init_mmio( r, bad, sizeof(bad) );
      fd_restore_open( r, LZ4 );
      code = fd_restore_meta( r, buf, 10UL );
      fd_restore_fini( r );
      break;
    default: /* No failure at all */
      fd_checkpt_init_mmio( c, buf, sizeof(buf) );
      fd_checkpt_open ( c, RAW );
      fd_checkpt_data ( c, data, sizeof(buf) );
      code = fd_checkpt_close( c );
      fd_checkpt_fini( c );
      break;
    }
    if( !(i & 7) ) sched_yield();
    error = fdckpt_last_error();
    CHECK_EQ( code, want );
    CHECK_EQ( error->code, want );
    CHECK( error->function && !strcmp( error->function, name ) );
    CHECK( error->message );
    if( !before && atomic_load( &test_fails )>100UL ) break; /* Enough said */
  }
  free( c );
  free( r );
  return NULL;
}

TEST_MAIN( "threads" ) {
  if( pthread_barrier_init( &barrier, NULL, THREADS ) ) { perror( "pthread_barrier_init" ); abort(); }
  make();

  run_threads( checkpt_run );

  atomic_store( &next_frame, 0UL );
  run_threads( restore_run );

  check_passed();

  ulong before = atomic_load( &test_logged );
  run_threads( fail_run );
  int failing = 0;
  for( int i=0; i<THREADS; i++ ) failing += i%5!=4;
  CHECK_EQ( atomic_load( &test_logged )-before, failing*FAILURES ); /* One line per failure, none is lost */

  pthread_barrier_destroy( &barrier );
  close( made_fd );
  free( made );
  free( data );
}
