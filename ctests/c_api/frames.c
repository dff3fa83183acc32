/* frames.c: many frames at a time, through the C API: the bytes of one
   handle, on any number of threads, and what it says about failures. */

#include "test.h"

#include <dirent.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { FRAMES = 12, BUFS = 3 };

#define DATA_SZ   (6UL<<20)
#define REGION_SZ (DATA_SZ+(1UL<<20))

/* FAILED( want, nth, call ) checks that a call fails with this code, at
   this frame. */

#define FAILED( want, nth, call ) do {                      \
    CHECK_EQ( (call), (want) );                             \
    CHECK_EQ( fdckpt_last_error()->code,  (want) );         \
    CHECK_EQ( fdckpt_last_error()->frame, (uint64_t)(nth) ); \
  } while(0)

static uchar * data;
static uchar * made;   /* What one handle makes of the frames */
static ulong   made_sz;

static fdckpt_buffer_t buf  [ FRAMES ][ BUFS ];
static fdckpt_frame_t  frame[ FRAMES ];
static uint64_t        want [ FRAMES+1 ];

static void
make( void ) {
  data = (uchar *)test_alloc( DATA_SZ );
  test_fill( data, DATA_SZ, 3UL );
  made = (uchar *)test_alloc( REGION_SZ );
  ulong          at    = 0UL;
  ulong          state = 5UL;
  fd_checkpt_t * c     = fd_checkpt_init_mmio( test_alloc( FD_CHECKPT_FOOTPRINT ), made, REGION_SZ );
  for( int i=0; i<FRAMES; i++ ) {
    ulong sz[ BUFS ];
    for( int j=0; j<BUFS; j++ ) {
      sz[j] = i==4 ? 0UL : (i==7 ? 600000UL : test_rand( &state )%90000UL);
      buf[i][j].data = data+at;
      buf[i][j].size  = sz[j];
      at += sz[j];
    }
    frame[i] = (fdckpt_frame_t){ .style = i%4==3 ? RAW : LZ4, .buffer_count = BUFS, .buffers = buf[i] };
    want [i] = c->off;
    CHECK_EQ( test_save( c, frame[i].style, data+at-sz[0]-sz[1]-sz[2], sz, 3UL ), 0 );
  }
  made_sz = want[ FRAMES ] = c->off;
  free( fd_checkpt_fini( c ) );
}

static void
check_told( uint64_t from ) {
  for( int i=0; i<FRAMES; i++ ) {
    CHECK_EQ_MSG( frame[i].begin_offset, from+want[i],   "frame %d", i );
    CHECK_EQ_MSG( frame[i].end_offset, from+want[i+1], "frame %d", i );
  }
}

static void
forget( void ) { for( int i=0; i<FRAMES; i++ ) frame[i].begin_offset = frame[i].end_offset = 777UL; }

/* Making ************************************************************/

static void
checkpt( int threads ) {
  uint64_t bound = 0UL;
  CHECK_EQ( fdckpt_frames_bound( frame, FRAMES, &bound ), FDCKPT_OK );
  CHECK( bound>=made_sz && bound<REGION_SZ );
  uchar * region = (uchar *)test_alloc( bound );

  forget();
  CHECK_EQ( fdckpt_frames_write_memory( frame, FRAMES, region, bound, NULL, threads ), FDCKPT_OK );
  CHECK( !memcmp( region, made, made_sz ) );
  check_told( 0UL );
  free( region );

  /* In two calls, after something else, without moving the file. */
  forget();
  int            fd    = test_file_of( "something", 9UL );
  fdckpt_frames_cursor_t place = { .offset=9UL };
  CHECK_EQ( lseek( fd, 4L, SEEK_SET ), 4 );
  CHECK_EQ( fdckpt_frames_write_file( frame, 5, fd, &place, threads ), FDCKPT_OK );
  CHECK_EQ( place.offset, 9UL+want[5] );
  CHECK_EQ( fdckpt_frames_write_file( frame+5, FRAMES-5, fd, &place, threads ), FDCKPT_OK );
  CHECK_EQ( place.offset, 9UL+made_sz );
  CHECK_EQ( lseek( fd, 0L, SEEK_CUR ), 4 );
  check_told( 9UL );
  ulong   sz;
  uchar * bytes = test_slurp( fd, &sz );
  CHECK( sz==9UL+made_sz && !memcmp( bytes+9, made, made_sz ) );
  free( bytes );
  close( fd );

  forget();
  fd = test_file();
  CHECK_EQ( fdckpt_frames_write_stream( frame, FRAMES, fd, NULL, threads ), FDCKPT_OK );
  CHECK_EQ( (ulong)lseek( fd, 0L, SEEK_CUR ), made_sz );
  check_told( 0UL );
  bytes = test_slurp( fd, &sz );
  CHECK( sz==made_sz && !memcmp( bytes, made, made_sz ) );
  free( bytes );
  close( fd );
}

/* These can be in progress several times at once. */

static atomic_int reached;

static void
checkpt_quick( int fd, int threads ) {
  fdckpt_frame_t own[ FRAMES ];
  memcpy( own, frame, sizeof(own) );
  if( fdckpt_frames_write_stream( own, FRAMES, fd, NULL, threads ) ) abort();
  CHECK_EQ( own[ FRAMES-1 ].end_offset, made_sz );
}

static uchar * restored_frames( fdckpt_buffer_t to[ FRAMES ][ BUFS ], fdckpt_frame_t wanted[ FRAMES ] );

static void
restore_quick( int threads ) {
  fdckpt_buffer_t to[ FRAMES ][ BUFS ];
  fdckpt_frame_t  wanted[ FRAMES ];
  uchar *         restored = restored_frames( to, wanted );
  CHECK_EQ( fdckpt_frames_read_memory( wanted, FRAMES, made, made_sz, threads ), FDCKPT_OK );
  CHECK( !memcmp( restored, data, (ulong)((uchar *)buf[ FRAMES-1 ][0].data-data) ) );
  free( restored );
}

/* A handle continues where the frames end, and the other way round. */

static void
together( void ) {
  uchar *        region = (uchar *)test_alloc( REGION_SZ );
  fdckpt_frames_cursor_t place  = { 0 };
  CHECK_EQ( fdckpt_frames_write_memory( frame, 3, region, REGION_SZ, &place, 2 ), FDCKPT_OK );
  CHECK( place.offset==want[3] && place.lz4_state!=0UL );
  fdckpt_frames_cursor_t same = place;
  CHECK_EQ( fdckpt_frames_write_memory( NULL, 0, region, REGION_SZ, &place, 2 ), FDCKPT_OK );
  CHECK( !memcmp( &place, &same, sizeof(place) ) );
  CHECK_EQ( fdckpt_frames_write_memory( frame+3, 3, region, REGION_SZ, &place, 2 ), FDCKPT_OK );
  CHECK( !memcmp( region, made, want[6] ) );
  /* Restored by a handle. */
  uchar *        got = (uchar *)test_alloc( buf[5][0].size+1UL );
  fd_restore_t * r   = fd_restore_init_mmio( test_alloc( FD_RESTORE_FOOTPRINT ), region, want[6] );
  CHECK_EQ( fd_restore_seek( r, frame[5].begin_offset ), 0 );
  CHECK_EQ( fd_restore_open( r, LZ4 ), 0 );
  CHECK_EQ( fd_restore_data( r, got, buf[5][0].size ), 0 );
  CHECK( !memcmp( got, buf[5][0].data, buf[5][0].size ) );
  CHECK_EQ( fd_restore_close( r ), 0 );
  free( fd_restore_fini( r ) );
  free( got );
  free( region );
}

/* Restoring *********************************************************/

static uchar *
restored_frames( fdckpt_buffer_t to[ FRAMES ][ BUFS ], fdckpt_frame_t wanted[ FRAMES ] ) {
  uchar * restored = (uchar *)test_alloc( DATA_SZ );
  memset( restored, 0xEE, DATA_SZ );
  /* From the last to the first. */
  for( int i=0; i<FRAMES; i++ ) {
    for( int j=0; j<BUFS; j++ ) {
      to[i][j].data = restored+((uchar *)buf[i][j].data-data);
      to[i][j].size  = buf[i][j].size;
    }
    wanted[ FRAMES-1-i ] =
      (fdckpt_frame_t){ .style=frame[i].style, .buffer_count=BUFS, .buffers=to[i], .begin_offset=want[i], .end_offset=777UL };
  }
  return restored;
}

static void
restore( int threads ) {
  fdckpt_buffer_t to[ FRAMES ][ BUFS ];
  fdckpt_frame_t  wanted[ FRAMES ];
  ulong           sz = (ulong)((uchar *)buf[ FRAMES-1 ][ BUFS-1 ].data-data)+buf[ FRAMES-1 ][ BUFS-1 ].size;
  int             fd = test_file_of( made, made_sz );
  CHECK_EQ( lseek( fd, 5L, SEEK_SET ), 5 );
  for( int file=0; file<2; file++ ) {
    uchar * restored = restored_frames( to, wanted );
    if( file ) CHECK_EQ( fdckpt_frames_read_file( wanted, FRAMES, fd, threads ), FDCKPT_OK );
    else       CHECK_EQ( fdckpt_frames_read_memory( wanted, FRAMES, made, made_sz, threads ), FDCKPT_OK );
    CHECK( !memcmp( restored, data, sz ) );
    for( int i=0; i<FRAMES; i++ ) CHECK_EQ( wanted[ FRAMES-1-i ].end_offset, want[i+1] );
    free( restored );

    /* Damage: the lowest of the frames, and where. */
    uchar saved[ 2 ][ 3 ];
    int   damaged[ 2 ] = { 2, 9 };
    for( int i=0; i<2; i++ ) {
      memcpy( saved[i], made+want[ damaged[i] ], 3UL );
      memset( made+want[ damaged[i] ], 0, 3UL );
    }
    int bad = test_file_of( made, made_sz );
    restored = restored_frames( to, wanted );
    if( file ) FAILED( FDCKPT_ERR_CORRUPT, FRAMES-1-9, fdckpt_frames_read_file( wanted, FRAMES, bad, threads ) );
    else       FAILED( FDCKPT_ERR_CORRUPT, FRAMES-1-9, fdckpt_frames_read_memory( wanted, FRAMES, made, made_sz, threads ) );
    CHECK_EQ( fdckpt_last_error()->offset, want[9] );
    CHECK( strstr( fdckpt_last_error()->message, "frame 2 " )!=NULL );
    for( int i=0; i<FRAMES; i++ ) CHECK_EQ( wanted[i].end_offset, 777UL );
    for( int i=0; i<2; i++ ) memcpy( made+want[ damaged[i] ], saved[i], 3UL );
    free( restored );
    close( bad );
  }
  CHECK_EQ( lseek( fd, 0L, SEEK_CUR ), 5 );
  close( fd );
}

/* Threads that stay *************************************************/

static void *
with_pool( void * pool ) {
  fdckpt_thread_pool_set_current( (fdckpt_thread_pool_t *)pool );
  int fd = open( "/dev/null", O_WRONLY );
  for( int i=0; i<10; i++ ) { checkpt_quick( fd, 0 ); restore_quick( 2 ); }
  close( fd );
  CHECK( fdckpt_thread_pool_set_current( NULL )==(fdckpt_thread_pool_t *)pool );
  return NULL;
}

static int
thread_cnt( void ) {
  int   cnt = 0;
  DIR * dir = opendir( "/proc/self/task" );
  if( !dir ) return -1;
  while( readdir( dir ) ) cnt++;
  closedir( dir );
  return cnt-2;
}

/* threads_are waits until there are so many: one that was waited for can
   be seen a moment longer. */

static int
threads_are( int want ) {
  for( int i=0; i<1000 && thread_cnt()!=want; i++ ) test_sleep_us( 1000U );
  return thread_cnt()==want;
}

#if TEST_PROGRAM
/* As programs have that are parallel themselves. It is taken of the stack of
   each thread, of which some must be left nevertheless. */
static _Thread_local volatile uchar of_thread[ 600000 ];
#endif

static void
pool( void ) {
#if TEST_PROGRAM
  of_thread[0] = 1;
#endif
  int before = thread_cnt();
  CHECK( fdckpt_thread_pool_new( -1 )==NULL );
  CHECK_EQ( fdckpt_last_error()->code, FDCKPT_ERR_INVALID_ARGUMENT );
  fdckpt_thread_pool_free( NULL );
  CHECK( fdckpt_thread_pool_set_current( NULL )==NULL );

  fdckpt_thread_pool_t * pool = fdckpt_thread_pool_new( 4 );
  CHECK( pool!=NULL );
  CHECK( threads_are( before+3 ) );
  CHECK( fdckpt_thread_pool_set_current( pool )==NULL );
  checkpt( 0 );
  restore( 3 );
  CHECK( threads_are( before+3 ) );

  /* Other threads have it at the same time. */
  pthread_t thread[ 3 ];
  for( int i=0; i<3; i++ ) CHECK( !pthread_create( &thread[i], NULL, with_pool, pool ) );
  restore_quick( 0 );
  for( int i=0; i<3; i++ ) pthread_join( thread[i], NULL );

#ifndef __SANITIZE_THREAD__ /* Which does not follow a child that starts threads */
  /* A child has none of its threads, and can go on using and freeing it. */
  pid_t child = fork();
  if( !child ) {
    ulong fails = atomic_load( &test_fails );
    checkpt( 0 );
    restore( 4 );
    fdckpt_thread_pool_free( pool );
    checkpt( 4 );
    restore( 4 );
    fflush( stdout );
    _exit( atomic_load( &test_fails )==fails ? 0 : 1 );
  }
  int status = -1;
  CHECK( child>0 && waitpid( child, &status, 0 )==child && status==0 );
#endif

  /* Freeing the one in use ends that. */
  fdckpt_thread_pool_free( pool );
  CHECK( fdckpt_thread_pool_set_current( NULL )==NULL );
  CHECK( threads_are( before ) );
  checkpt( 2 );
}

/* Signals are delivered to the program's threads only, and cancelling a
   thread leaks nothing. */

static atomic_int signals_elsewhere;
static pthread_t  main_thread;

static void
on_signal( int number ) {
  (void)number;
  if( !pthread_equal( pthread_self(), main_thread ) ) atomic_fetch_add( &signals_elsewhere, 1 );
}

static void *
cancelled( void * arg ) {
  int fd = *(int *)arg;
  /* Acted upon at the next cancellation point, which a call of the library is none of. */
  pthread_cancel( pthread_self() );
  checkpt_quick( fd, 4 );
  atomic_fetch_add( &reached, 1 );
  pthread_testcancel();
  atomic_fetch_add( &reached, 100 );
  return NULL;
}

static void
signals_and_cancelling( void ) {
  main_thread = pthread_self();
  struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, old;
  sigaction( SIGALRM, &action, &old );
  struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = { { 0, 0 }, { 0, 0 } };
  setitimer( ITIMER_REAL, &often, NULL );
  int null = open( "/dev/null", O_WRONLY );
  for( int i=0; i<20; i++ ) checkpt_quick( null, 4 );
  setitimer( ITIMER_REAL, &never, NULL );
  action.sa_handler = SIG_IGN; /* One that was on its way when the timer stopped ends there */
  sigaction( SIGALRM, &action, NULL );
  sigaction( SIGALRM, &old, NULL );
  if( TEST_PROGRAM ) CHECK_EQ( atomic_load( &signals_elsewhere ), 0 );

  int before = thread_cnt(), fds = test_fd_count();
  for( int i=0; i<10; i++ ) {
    pthread_t thread;
    void *    result = NULL;
    CHECK( !pthread_create( &thread, NULL, cancelled, &null ) );
    pthread_join( thread, &result );
    CHECK( result==PTHREAD_CANCELED );
  }
  CHECK_EQ( atomic_load( &reached ), 10 );
  if( TEST_PROGRAM ) CHECK( threads_are( before ) );
  CHECK_EQ( test_fd_count(), fds );
  close( null );
}

/* A program that tracks memory by page faults sees the faults of the
   library's threads too. */

static ulong const       page = 65536UL;
static uchar *           guarded;
static atomic_ulong      faults_elsewhere;

static void
on_fault( int         number,
          siginfo_t * info,
          void *      context ) {
  (void)number; (void)context;
  ulong at = (ulong)(uintptr_t)info->si_addr-(ulong)(uintptr_t)guarded;
  if( at>=DATA_SZ ) abort();
  if( !pthread_equal( pthread_self(), main_thread ) ) atomic_fetch_add( &faults_elsewhere, 1UL );
  mprotect( guarded+at/page*page, page, PROT_READ | PROT_WRITE );
}

static void
faults( void ) {
  main_thread = pthread_self();
  guarded     = (uchar *)mmap( NULL, DATA_SZ, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L );
  if( !CHECK( guarded!=MAP_FAILED ) ) return;
  memcpy( guarded, data, DATA_SZ );
  struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO }, old;
  sigaction( SIGSEGV, &action, &old );
  uchar *         region = (uchar *)test_alloc( REGION_SZ );
  fdckpt_buffer_t part [ FRAMES ];
  fdckpt_frame_t  parts[ FRAMES ];
  for( ulong i=0UL; i<FRAMES; i++ ) {
    part [i] = (fdckpt_buffer_t){ .data=guarded+i*(DATA_SZ/FRAMES), .size=DATA_SZ/FRAMES };
    parts[i] = (fdckpt_frame_t){ .style=LZ4, .buffer_count=1UL, .buffers=&part[i] };
  }
  /* How soon they begin is up to the system. */
  int fails = 0;
  for( int i=0; i<200 && !atomic_load( &faults_elsewhere ); i++ ) {
    fails += !!mprotect( guarded, DATA_SZ, PROT_NONE );
    fails += !!fdckpt_frames_write_memory( parts, FRAMES, region, REGION_SZ, NULL, 4 );
  }
  CHECK_EQ( fails, 0 );
  CHECK( atomic_load( &faults_elsewhere )>0UL );
  sigaction( SIGSEGV, &old, NULL );
  free( region );
  munmap( guarded, DATA_SZ );
}

/* One large buffer, in one frame ************************************/

static void
one_buffer( void ) {
  uchar * of_one = (uchar *)test_alloc( REGION_SZ );
  uchar * region = (uchar *)test_alloc( REGION_SZ );
  ulong   end[ 5 ];
  for( int threads=1; threads<5; threads++ ) {
    fdckpt_thread_pool_t * pool = threads==4 ? fdckpt_thread_pool_new( 3 ) : NULL;
    if( pool ) fdckpt_thread_pool_set_current( pool );
    else       fdckpt_set_max_threads( (unsigned)threads );
    fd_checkpt_t * c = fd_checkpt_init_mmio( test_alloc( FD_CHECKPT_FOOTPRINT ), threads==1 ? of_one : region, REGION_SZ );
    CHECK_EQ( test_save( c, LZ4, data, (ulong const[]){ DATA_SZ }, 1UL ), 0 );
    end[ threads ] = c->off;
    CHECK_EQ( end[ threads ], end[1] );
    CHECK( threads==1 || !memcmp( region, of_one, end[1] ) );
    free( fd_checkpt_fini( c ) );

    /* Back from a file, which is read ahead: by no more than the buffer. */
    uchar *        rbuf = (uchar *)test_alloc( 1UL<<20 );
    int            fd   = test_file_of( of_one, end[1] );
    fd_restore_t * r    = fd_restore_init_stream( test_alloc( FD_RESTORE_FOOTPRINT ), fd, rbuf, 1UL<<20 );
    CHECK_EQ( test_load( r, LZ4, data, (ulong const[]){ DATA_SZ }, 1UL ), 0 );
    CHECK_EQ( r->off, end[1] );
    CHECK( (ulong)lseek( fd, 0L, SEEK_CUR )==r->off+r->rbuf.ready && r->rbuf.lo+r->rbuf.ready<=(1UL<<20) );
    free( fd_restore_fini( r ) );
    free( rbuf );
    close( fd );
    fdckpt_thread_pool_free( pool );
  }
  fdckpt_set_max_threads( 1 );

  /* Who asks for threads gets their help, though not in each call of a busy machine. */
  fdckpt_parallel_stats_t before = FDCKPT_PARALLEL_STATS_INIT, now = FDCKPT_PARALLEL_STATS_INIT;
  fdckpt_parallel_stats( NULL );
  fdckpt_parallel_stats( &before );
  now = before;
  int failed = 0;
  for( int tries=0; tries<1000 && now.speculative_segments==before.speculative_segments; tries++ ) {
    fdckpt_set_max_threads( 4U );
    fd_checkpt_t * c = fd_checkpt_init_mmio( test_alloc( FD_CHECKPT_FOOTPRINT ), region, REGION_SZ );
    failed |= test_save( c, LZ4, data, (ulong const[]){ DATA_SZ }, 1UL );
    free( fd_checkpt_fini( c ) );
    fdckpt_parallel_stats( &now );
  }
  CHECK( !failed && now.speculative_segments>before.speculative_segments );
  fdckpt_set_max_threads( 1U );
  free( region );
  free( of_one );
}

/* What is not acceptable ********************************************/

static void
arguments( void ) {
  uchar    region[ 64 ];
  uint64_t bound = 777UL;
  fdckpt_buffer_t one  = { .data=region, .size=8UL };
  fdckpt_buffer_t none = { .data=NULL,   .size=8UL };
  fdckpt_frame_t  ok   = { .style=RAW, .buffer_count=1UL, .buffers=&one };
  fdckpt_frame_t  bad[ 2 ];
  int             arg = FDCKPT_ERR_INVALID_ARGUMENT;

  FAILED( arg, 0, fdckpt_frames_bound( NULL, 1UL, &bound ) );
  FAILED( arg, 0, fdckpt_frames_bound( &ok, 1UL, NULL ) );
  FAILED( arg, 0, fdckpt_frames_write_memory( NULL, 1UL, region, sizeof(region), NULL, 1 ) );
  FAILED( arg, 0, fdckpt_frames_write_memory( &ok, 1UL, NULL, 5UL, NULL, 1 ) );
  FAILED( arg, 0, fdckpt_frames_write_memory( &ok, ULONG_MAX, region, sizeof(region), NULL, 1 ) );
  FAILED( arg, 0, fdckpt_frames_write_memory( (fdckpt_frame_t *)(void *)(region+1), 1UL, region, sizeof(region), NULL, 1 ) );
  FAILED( arg, 0, fdckpt_frames_write_memory( &ok, 1UL, region, sizeof(region), NULL, -1 ) );
  FAILED( arg, 0, fdckpt_frames_write_stream( &ok, 1UL, -1, NULL, 1 ) );
  FAILED( arg, 0, fdckpt_frames_write_file( &ok, 1UL, -1, NULL, 1 ) );
  FAILED( arg, 0, fdckpt_frames_read_file( &ok, 1UL, -1, 1 ) );
  FAILED( arg, 0, fdckpt_frames_read_memory( NULL, 1UL, region, sizeof(region), 1 ) );
  FAILED( arg, 0, fdckpt_frames_read_memory( &ok, 1UL, NULL, 5UL, 1 ) );
  fdckpt_frames_cursor_t place = { .offset=0UL, .lz4_state=ULONG_MAX };
  FAILED( arg, 0, fdckpt_frames_write_memory( &ok, 1UL, region, sizeof(region), &place, 1 ) );
  place = (fdckpt_frames_cursor_t){ .offset=65UL };
  FAILED( arg, 0, fdckpt_frames_write_memory( &ok, 1UL, region, sizeof(region), &place, 1 ) );

  for( int i=0; i<4; i++ ) {
    bad[0] = bad[1] = ok;
    switch( i ) {
    case 0: bad[1].style   = 99;        break;
    case 1: bad[1].buffers    = NULL;      break;
    case 2: bad[1].buffers    = &none;     break;
    case 3: bad[1].buffer_count = ULONG_MAX; break;
    }
    if( i!=2 ) FAILED( arg, 1, fdckpt_frames_bound( bad, 2UL, &bound ) );
    FAILED( arg, 1, fdckpt_frames_write_memory( bad, 2UL, region, sizeof(region), NULL, 1 ) );
    FAILED( arg, 1, fdckpt_frames_read_memory( bad, 2UL, region, sizeof(region), 1 ) );
  }
  CHECK_EQ( bound, 777UL );
  fdckpt_buffer_t huge = { .data=NULL, .size=ULONG_MAX };
  bad[0] = ok;
  bad[0].buffers = &huge;
  bad[1] = bad[0];
  FAILED( arg, 1, fdckpt_frames_bound( bad, 2UL, &bound ) );

  /* Too little space is an answer, and not logged. */
  ulong before = test_logged;
  FAILED( FDCKPT_ERR_BUFFER_TOO_SMALL, 0, fdckpt_frames_write_memory( &ok, 1UL, region, 7UL, NULL, 1 ) );
  CHECK_EQ( test_logged, before );

  /* The frames before it are reported. */
  bad[0] = bad[1] = ok;
  bad[0].begin_offset = bad[1].begin_offset = bad[0].end_offset = bad[1].end_offset = 777UL;
  FAILED( FDCKPT_ERR_BUFFER_TOO_SMALL, 1, fdckpt_frames_write_memory( bad, 2UL, region, 15UL, NULL, 1 ) );
  CHECK( !bad[0].begin_offset && bad[0].end_offset==8UL && bad[1].begin_offset==777UL && bad[1].end_offset==777UL );
  FAILED( FDCKPT_ERR_CORRUPT, 0, fdckpt_frames_read_memory( &ok, 1UL, region, 7UL, 1 ) );

  /* Nothing to do. */
  CHECK_EQ( fdckpt_frames_bound( NULL, 0UL, &bound ), FDCKPT_OK );
  CHECK_EQ( bound, 0UL );
  CHECK_EQ( fdckpt_frames_write_memory( NULL, 0UL, NULL, 0UL, NULL, 0 ), FDCKPT_OK );
  CHECK_EQ( fdckpt_frames_read_memory( NULL, 0UL, NULL, 0UL, 0 ), FDCKPT_OK );
  bad[0] = (fdckpt_frame_t){ 0 };
  CHECK_EQ( fdckpt_frames_write_memory( bad, 1UL, NULL, 0UL, NULL, 0 ), FDCKPT_OK );
  CHECK( bad[0].begin_offset==0UL && bad[0].end_offset==0UL );

  /* Other failures are about no frame. */
  CHECK( fdckpt_container_parse( NULL, 5UL )==NULL );
  CHECK_EQ( fdckpt_last_error()->frame, FDCKPT_NO_FRAME );
}

TEST_MAIN( "frames" ) {
  make();
  for( int threads=0; threads<=8; threads++ ) {
    checkpt( threads );
    restore( threads );
  }
  together();
  one_buffer();
  pool();
  signals_and_cancelling();
  faults();
  arguments();
  free( data );
  free( made );
}
