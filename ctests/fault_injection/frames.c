/* frames.c: makes and restores many frames at a time while the shim makes
   calls fail, those of the threads too, and checks what comes of it.

     LD_PRELOAD=shim.so frames [GROUP [N]]

   Groups, runs and what it prints are as in scenarios.c. */

#include "run.h"

static fault_t const fault_io[] = {
  { "EIO once",          EIO,           1L       },
  { "EIO for ever",      EIO,           FOR_EVER },
  { "EINTR in a row",    EINTR,         50L      },
  { "EAGAIN once",       EAGAIN,        1L       },
  { "one byte once",     FAULT_ONE,     1L       },
  { "half for ever",     FAULT_HALF,    FOR_EVER },
  { "nothing once",      FAULT_NOTHING, 1L       },
  { NULL, 0, 0L }
};

static kind_t const kinds[] = {
  { "read",           KIND_READ,   fault_io     },
  { "write",          KIND_WRITE,  fault_io     },
  { "pwrite",         KIND_PWRITE, fault_io     },
  { "mmap",           KIND_MMAP,   fault_alloc  },
  { "munmap",         KIND_MUNMAP, fault_alloc  },
  { "malloc",         KIND_ALLOC,  fault_alloc  },
  { "pthread_create", KIND_THREAD, fault_thread },
};

enum { TO_MEMORY, TO_STREAM, TO_FILE, FROM_MEMORY, FROM_FILE, ONE_BUFFER, BUFFER_BACK, NEW_POOL, SCENARIOS };

static char const * const scenario_name[ SCENARIOS ] =
  { "to memory", "to a stream", "to a file", "from memory", "from a file", "one buffer", "one buffer back", "with a new pool" };

enum { FRAMES = 9, THREADS = 3 };

#define ROOM  (5UL<<20)
#define LARGE (4400UL<<10) /* One buffer of so much is for several threads, in both directions */
#define RBUF  (512UL<<10)

static uchar *         data;
static uchar *         made;
static ulong           made_sz;
static uchar *         one_made;
static ulong           one_made_sz;
static uchar *         region;
static uchar *         restored;
static int             file;
static fdckpt_buffer_t buf  [ FRAMES ];
static fdckpt_frame_t  frame[ FRAMES ];
static void *          mem;
static uchar           rbuf[ RBUF ];

/* threads_are waits until there are so many: one that was waited for can
   be seen a moment longer. */

static int
threads_are( int want ) {
  for( int i=0; i<1000 && test_file_cnt( "/proc/self/task" )!=want; i++ ) test_sleep_us( 1000U );
  return test_file_cnt( "/proc/self/task" )==want;
}

static int
one_buffer( fd_checkpt_t * c ) {
  ulong off;
  int   code = fd_checkpt_open_advanced( c, LZ4, &off );
  if( !code ) code = fd_checkpt_data( c, data, LARGE );
  if( !code ) code = fd_checkpt_close_advanced( c, &off );
  return code;
}

static int
buffer_back( fd_restore_t * r ) {
  ulong off;
  int   code = fd_restore_open_advanced( r, LZ4, &off );
  if( !code ) code = fd_restore_data( r, restored, LARGE );
  if( !code ) code = fd_restore_close_advanced( r, &off );
  return code;
}

static int
call( int s ) {
  fdckpt_thread_pool_t * pool;
  int             code;
  switch( s ) {
  case TO_MEMORY:   return LIB( fdckpt_frames_write_memory  ( frame, FRAMES, region, ROOM, NULL, THREADS ) );
  case TO_STREAM:   return LIB( fdckpt_frames_write_stream( frame, FRAMES, file, NULL, THREADS ) );
  case TO_FILE:     return LIB( fdckpt_frames_write_file  ( frame, FRAMES, file, NULL, THREADS ) );
  case FROM_MEMORY: return LIB( fdckpt_frames_read_memory  ( frame, FRAMES, made, made_sz, THREADS ) );
  case FROM_FILE:   return LIB( fdckpt_frames_read_file  ( frame, FRAMES, file, THREADS ) );
  case ONE_BUFFER: {
    fd_checkpt_t * c = fd_checkpt_init_mmio( mem, region, ROOM );
    code = LIB( one_buffer( c ) );
    fd_checkpt_fini( c );
    return code;
  }
  case BUFFER_BACK: {
    fd_restore_t * r = fd_restore_init_stream( mem, file, rbuf, RBUF );
    code = LIB( buffer_back( r ) );
    fd_restore_fini( r );
    return code;
  }
  default:
    pool = LIB( fdckpt_thread_pool_new( THREADS ) );
    if( !pool ) return fdckpt_last_error()->code;
    fdckpt_thread_pool_set_current( pool );
    code = LIB( fdckpt_frames_write_memory( frame, FRAMES, region, ROOM, NULL, 0 ) );
    faults_arm( 1 );
    fdckpt_thread_pool_free( pool );
    faults_arm( 0 );
    return code;
  }
}

static long
one_run( int             group,
         int             s,
         kind_t const *  kind,
         fault_t const * fault,
         long            n ) {
  ulong fails = atomic_load( &test_fails );
  begin_run( group, n, scenario_name[ s ], kind, fault, 20U );

  int restores = s==FROM_MEMORY || s==FROM_FILE || s==BUFFER_BACK;
  ulong at = 0UL;
  for( int i=0; i<FRAMES; i++ ) { buf[i].data = (restores ? restored : data)+at; at += buf[i].size; }
  memset( region, 0xEE, ROOM );
  memset( restored, 0xEE, LARGE );
  if( s==TO_STREAM || s==TO_FILE ) {
    if( ftruncate( file, 0L ) || lseek( file, 0L, SEEK_SET ) ) abort();
  } else if( s==FROM_FILE || s==BUFFER_BACK ) {
    if( ftruncate( file, 0L ) || lseek( file, 0L, SEEK_SET ) ) abort();
    if( s==FROM_FILE ) test_write_all( file, made, made_sz );
    /* Something else follows, which may be read ahead. */
    else for( int i=0; i<2; i++ ) test_write_all( file, one_made, one_made_sz );
    if( lseek( file, 0L, SEEK_SET ) ) abort();
  }
  test_logged = 0UL;
  faults_plan( kind->kind, n, fault->fault, fault->span, ANY_FD, 0UL, 0 );
  int  code     = call( s );
  long injected = faults_injected();
  alarm( 0U );

  int f        = fault->fault;
  int transfer = kind->kind==KIND_READ || kind->kind==KIND_WRITE || kind->kind==KIND_PWRITE;
  int again    = kind->kind==KIND_MUNMAP || kind->kind==KIND_THREAD || s==ONE_BUFFER || (s==BUFFER_BACK && !transfer)
              || (transfer && (f==EINTR || f==EAGAIN || f==FAULT_ONE || f==FAULT_HALF));
  if( !injected || again ) CHECK_EQ( code, 0 );
  else if( transfer && s!=BUFFER_BACK ) CHECK( code ); /* What failed there may be what nobody needed */
  ulong done = FRAMES;
  if( code ) {
    /* Threads that get no memory are done without, in the end also the caller's. */
    int want = !transfer ? FDCKPT_ERR_NO_MEMORY : (kind->kind==KIND_READ && f==FAULT_NOTHING ? FDCKPT_ERR_CORRUPT : FDCKPT_ERR_IO);
    if( s==BUFFER_BACK ) want = FD_CHECKPT_ERR_IO;
    CHECK_EQ( code, want );
    CHECK_EQ( test_logged, 1 );
    done = s==BUFFER_BACK ? 0UL : fdckpt_last_error()->frame;
    CHECK( done<FRAMES || s==NEW_POOL );
    if( done>=FRAMES ) done = 0UL;
  } else {
    CHECK_EQ( test_logged, 0 );
  }
  /* Frames before the one that failed are there. */
  ulong end = done==FRAMES ? made_sz : frame[ done ].begin_offset;
  if( s==ONE_BUFFER ) {
    CHECK( !memcmp( region, one_made, one_made_sz ) );
  } else if( restores ) {
    if( !code ) CHECK( !memcmp( restored, data, s==BUFFER_BACK ? LARGE : at ) );
  } else if( s==TO_MEMORY || s==NEW_POOL ) {
    CHECK( !memcmp( region, made, end ) );
  } else {
    ulong   sz;
    uchar * bytes = test_slurp( file, &sz );
    CHECK( sz>=end && !memcmp( bytes, made, end ) );
    free( bytes );
  }
  CHECK( threads_are( 1 ) );
  CHECK_EQ( faults_live(), 0 );
  return end_run( injected, fails );
}

int
main( int argc, char ** argv ) {
  (void)argc;
  find_shim();
  data     = (uchar *)test_alloc( LARGE );
  restored = (uchar *)test_alloc( LARGE );
  made     = (uchar *)test_alloc( ROOM );
  one_made = (uchar *)test_alloc( ROOM );
  region   = (uchar *)test_alloc( ROOM );
  mem      = test_alloc( FD_RESTORE_FOOTPRINT );
  file     = test_file();
  for( ulong i=0UL; i<LARGE; i++ ) data[i] = (uchar)(i/5000UL+i/77777UL);

  ulong at = 0UL;
  for( int i=0; i<FRAMES; i++ ) {
    buf  [i] = (fdckpt_buffer_t){ .data=data+at, .size=i==2 ? 700000UL : 200000UL };
    frame[i] = (fdckpt_frame_t) { .style=i==2 || i==5 ? RAW : LZ4, .buffer_count=1, .buffers=&buf[i] };
    at += buf[i].size;
  }
  fdckpt_frames_cursor_t place = { 0 };
  if( fdckpt_frames_write_memory( frame, FRAMES, made, ROOM, &place, 1 ) ) abort();
  made_sz = place.offset;
  fd_checkpt_t * c = fd_checkpt_init_mmio( mem, one_made, ROOM );
  if( one_buffer( c ) ) abort();
  one_made_sz = c->off;
  fd_checkpt_fini( c );
  fdckpt_set_max_threads( THREADS );

  return run_groups( argv+1, SCENARIOS, kinds, COUNT( kinds ), one_run );
}
