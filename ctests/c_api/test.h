#ifndef TEST_H
#define TEST_H

/* test.h: what the C tests share.  Include it first.

   Each test is one file with a main that counts its checks, continues after
   a failed one and returns non-zero if there were any.  A test can also be
   compiled with -Dmain=NAME_main and be called from another program, so
   everything but main is static, and what a test changes of the process
   (signal handlers, limits, stderr, the log) it puts back.  Two tests must
   not run in one process at the same time. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "fd_checkpt.h"
#include "fdckpt.h"

#define RAW FD_CHECKPT_FRAME_STYLE_RAW
#define LZ4 FD_CHECKPT_FRAME_STYLE_LZ4

/* TEST_PROGRAM is 1 if this is a program of its own, 0 if main is called
   by somebody else. */

#ifdef main
#define TEST_PROGRAM 0
#else
#define TEST_PROGRAM 1
#endif

/* Checks ************************************************************/

static atomic_ulong test_checks;
static atomic_ulong test_fails;
static int          test_fds; /* Descriptors open when the test began */

/* test_failed counts a failure and says where.  A test that crashes later
   has reported it. */

static inline void
test_failed( char const * file,
             int          line ) {
  atomic_fetch_add( &test_fails, 1UL );
  printf( "%s:%d: failed: ", file, line );
}

/* CHECK( cond ) and CHECK_EQ( a, b ) may be used by several threads. They
   yield whether the check held.  CHECK_EQ is for integers (of at most 64
   bits) and pointers. */

#define CHECK( cond ) test_check( (cond) ? 1 : 0, __FILE__, __LINE__, #cond )
#define CHECK_EQ( a, b ) test_check_eq( (unsigned long)(a), (unsigned long)(b), __FILE__, __LINE__, #a, #b )

/* These two also name the case that a loop is at. */

#define CHECK_MSG( cond, ... ) test_msg( test_check( (cond) ? 1 : 0, __FILE__, __LINE__, #cond ), __VA_ARGS__ )
#define CHECK_EQ_MSG( a, b, ... ) \
  test_msg( test_check_eq( (unsigned long)(a), (unsigned long)(b), __FILE__, __LINE__, #a, #b ), __VA_ARGS__ )

static inline int
test_check( int          held,
            char const * file,
            int          line,
            char const * text ) {
  atomic_fetch_add( &test_checks, 1UL );
  if( held ) return 1;
  test_failed( file, line );
  printf( "%s\n", text );
  fflush( stdout );
  return 0;
}

static inline int
test_check_eq( unsigned long a,
               unsigned long b,
               char const *  file,
               int           line,
               char const *  text_a,
               char const *  text_b ) {
  atomic_fetch_add( &test_checks, 1UL );
  if( a==b ) return 1;
  test_failed( file, line );
  printf( "%s is %ld (0x%lx), %s is %ld (0x%lx)\n", text_a, (long)a, a, text_b, (long)b, b );
  fflush( stdout );
  return 0;
}

__attribute__((format(printf,2,3))) static inline int
test_msg( int          held,
         char const * format,
         ... ) {
  if( held ) return 1;
  va_list args;
  va_start( args, format );
  printf( "  at " );
  vprintf( format, args );
  printf( "\n" );
  fflush( stdout );
  va_end( args );
  return 0;
}

/* test_fd_count returns how many descriptors this process has. */

static inline int
test_fd_count( void ) {
  int cnt = 0;
  for( int fd=0; fd<1024; fd++ ) if( fcntl( fd, F_GETFD )!=-1 ) cnt++;
  return cnt;
}

/* test_file_cnt returns how many files are in a directory. */

static inline int
test_file_cnt( char const * directory ) {
  int   cnt = 0;
  DIR * dir = opendir( directory );
  if( !dir ) { perror( directory ); abort(); }
  while( readdir( dir ) ) cnt++;
  closedir( dir );
  return cnt-2;
}

static inline void
test_begin( void ) {
  atomic_store( &test_checks, 0UL );
  atomic_store( &test_fails,  0UL );
  test_fds = test_fd_count();
}

/* test_end prints the last line and returns what main is to return.
   In a program that is ours alone no descriptor may have been left. */

static inline int
test_end( char const * name ) {
  if( TEST_PROGRAM ) CHECK_EQ( test_fd_count(), test_fds );
  unsigned long fails = atomic_load( &test_fails );
  printf( "%s: %lu checks, %lu failed\n", name, atomic_load( &test_checks ), fails );
  fflush( stdout );
  return fails ? 1 : 0;
}

/* test_quiet is a log callback for tests that provoke many failures: it
   counts the lines. */

static atomic_ulong test_logged;

static inline void
test_quiet( void *       context,
            int          level,
            char const * line ) {
  (void)context; (void)level; (void)line;
  atomic_fetch_add( &test_logged, 1UL );
}

/* TEST_MAIN( name ) is followed by a block, the test: its main counts the
   checks, silences the log meanwhile and ends with test_end. */

#define TEST_MAIN( name )                          \
  static void test_run( void );                    \
  int                                              \
  main( int     argc,                              \
        char ** argv ) {                           \
    (void)argc; (void)argv;                        \
    test_begin();                                  \
    fdckpt_set_log_callback( test_quiet, NULL );   \
    test_run();                                    \
    fdckpt_set_log_callback( NULL, NULL );         \
    return test_end( name );                       \
  }                                                \
  static void                                      \
  test_run( void )

/* WORKS( call ) checks that a call returns 0 and logs nothing,
   FAILS( code, call ) that it returns this code, logs one line and that
   fdckpt_last_error tells the code, REFUSED( call ) the same of a call
   that returns a pointer.  For one thread at a time, with test_quiet as
   log. */

#define WORKS( call )       test_result ( FD_CHECKPT_SUCCESS, TEST_NOTED( call ), __FILE__, __LINE__, #call )
#define FAILS( code, call ) test_result ( (code),             TEST_NOTED( call ), __FILE__, __LINE__, #call )
#define REFUSED( call )     test_refused( TEST_NOTED( call ), __FILE__, __LINE__, #call )

/* Notes how many lines were logged before the call. */
#define TEST_NOTED( call ) ((void)(test_before = test_logged), (call))

static ulong test_before;

static inline int
test_result( int          want,
             int          got,
             char const * file,
             int          line,
             char const * text ) {
  ulong lines = test_logged-test_before;
  atomic_fetch_add( &test_checks, 1UL );
  if( got==want && lines==(want ? 1UL : 0UL) && (!want || fdckpt_last_error()->code==want) ) return 1;
  test_failed( file, line );
  printf( "%s gave %d, wanted %d, logged %lu lines, last error %d %s\n", text, got, want, lines,
          fdckpt_last_error()->code, fdckpt_last_error()->message );
  fflush( stdout );
  return 0;
}

static inline int
test_refused( void const * got,
              char const * file,
              int          line,
              char const * text ) {
  ulong lines = test_logged-test_before;
  atomic_fetch_add( &test_checks, 1UL );
  if( !got && lines==1UL && fdckpt_last_error()->code<0 ) return 1;
  test_failed( file, line );
  printf( "%s gave %s, logged %lu lines, last error %d %s\n", text, got ? "non-NULL" : "NULL", lines,
          fdckpt_last_error()->code, fdckpt_last_error()->message );
  fflush( stdout );
  return 0;
}

/* Memory and data ***************************************************/

/* test_alloc is malloc of exactly sz bytes (so that valgrind knows where
   they end), zeroed, never NULL. */

static inline void *
test_alloc( ulong sz ) {
  void * mem = calloc( sz ? sz : 1UL, 1UL );
  if( !mem ) { perror( "calloc" ); abort(); }
  return mem;
}

#define TEST_FNV_INIT (0xcbf29ce484222325UL)

static inline ulong
test_fnv( ulong        hash,
          void const * mem,
          ulong        sz ) {
  uchar const * p = (uchar const *)mem;
  for( ulong i=0UL; i<sz; i++ ) hash = (hash ^ p[i])*0x100000001b3UL;
  return hash;
}

/* test_rand is xorshift64; *state must not be 0. */

static inline ulong
test_rand( ulong * state ) {
  ulong x = *state;
  x ^= x<<13;
  x ^= x>>7;
  x ^= x<<17;
  return *state = x;
}

/* test_fill fills mem with data that compresses to about a third: runs,
   text of few letters, repetitions of what came up to 64 KiB before, and
   noise. */

static inline void
test_fill( void * mem,
           ulong  sz,
           ulong  seed ) {
  uchar * p     = (uchar *)mem;
  ulong   state = seed*0x9e3779b97f4a7c15UL + 1UL;
  if( !state ) state = 1UL;
  ulong   i     = 0UL;
  while( i<sz ) {
    ulong r   = test_rand( &state );
    ulong len = 1UL + (r>>8)%200UL;
    if( len>sz-i ) len = sz-i;
    ulong max = i<60000UL ? i : 60000UL;
    switch( r & 3UL ) {
    case 0UL: memset( p+i, (int)((r>>32) & 255UL), len ); break;
    case 1UL: for( ulong j=0UL; j<len; j++ ) p[i+j] = (uchar)("etaoin sh"[ test_rand( &state )%9UL ]); break;
    case 2UL: {
      if( !max ) { memset( p+i, 0, len ); break; }
      ulong back = 1UL + (r>>20)%max;
      for( ulong j=0UL; j<len; j++ ) p[i+j] = p[i+j-back];
      break;
    }
    default:
      if( len>40UL ) len = 40UL;
      for( ulong j=0UL; j<len; j++ ) p[i+j] = (uchar)(test_rand( &state )>>24);
    }
    i += len;
  }
}

/* Files *************************************************************/

/* test_file returns a descriptor, open for reading and writing, of a new
   empty file that vanishes with it. */

static inline int
test_file( void ) {
  int fd = memfd_create( "test", MFD_CLOEXEC );
  if( fd<0 ) { perror( "memfd_create" ); abort(); }
  return fd;
}

static inline void
test_write_all( int          fd,
                void const * mem,
                ulong        sz ) {
  uchar const * p = (uchar const *)mem;
  while( sz ) {
    ssize_t n = write( fd, p, sz );
    if( n<=0L ) { perror( "write" ); abort(); }
    p += n; sz -= (ulong)n;
  }
}

/* test_file_of returns a new file that holds mem[0,sz), at its begin. */

static inline int
test_file_of( void const * mem,
              ulong        sz ) {
  int fd = test_file();
  test_write_all( fd, mem, sz );
  lseek( fd, 0L, SEEK_SET );
  return fd;
}

static inline ulong
test_file_sz( int fd ) {
  struct stat st;
  if( fstat( fd, &st ) ) { perror( "fstat" ); abort(); }
  return (ulong)st.st_size;
}

/* test_slurp returns all bytes of a file (to be freed) and their count. */

static inline uchar *
test_slurp( int     fd,
            ulong * sz ) {
  *sz = test_file_sz( fd );
  uchar * mem = (uchar *)test_alloc( *sz );
  for( ulong got=0UL; got<*sz; ) {
    ssize_t n = pread( fd, mem+got, *sz-got, (off_t)got );
    if( n<=0L ) { perror( "pread" ); abort(); }
    got += (ulong)n;
  }
  return mem;
}

/* Peers: threads at the other end of a pipe *************************/

struct test_peer {
  pthread_t     thread;
  int           fd;         /* Is closed at the end */
  uchar const * src;        /* feed: what to write */
  ulong         sz;         /* feed: how much; drain: how much came */
  uchar *       got;        /* drain: what came */
  ulong         cap;
  ulong         step;       /* Bytes at a time (0: sizes that vary, 1 to 7001) */
  unsigned      start_us;   /* Sleep that long before the first step ... */
  unsigned      pause_us;   /* ... and that long between steps */
};

typedef struct test_peer test_peer_t;

static inline void
test_sleep_us( unsigned us ) {
  struct timespec t = { .tv_sec = (time_t)(us/1000000U), .tv_nsec = (long)(us%1000000U)*1000L };
  while( us && nanosleep( &t, &t ) && errno==EINTR ) {}
}

static inline ulong
test_peer_step( test_peer_t const * peer,
                ulong *             state ) {
  return peer->step ? peer->step : 1UL + test_rand( state )%7001UL;
}

/* A peer blocks all signals: those of the tests are for the thread that
   is tested, and a pipe whose reader is gone is no accident here. */

static inline void
test_peer_block_signals( void ) {
  sigset_t all;
  sigfillset( &all );
  pthread_sigmask( SIG_SETMASK, &all, NULL );
}

static inline void *
test_peer_feed( void * arg ) {
  test_peer_t * peer  = (test_peer_t *)arg;
  ulong         state = 0x5eedUL;
  test_peer_block_signals();
  test_sleep_us( peer->start_us );
  for( ulong at=0UL; at<peer->sz; ) {
    ulong   step = test_peer_step( peer, &state );
    ssize_t n    = write( peer->fd, peer->src+at, step<peer->sz-at ? step : peer->sz-at );
    if( n<0L && errno==EAGAIN ) { test_sleep_us( 100U ); continue; }
    if( n<0L ) break; /* The reader has seen enough */
    at += (ulong)n;
    test_sleep_us( peer->pause_us );
  }
  close( peer->fd );
  return NULL;
}

static inline void *
test_peer_drain( void * arg ) {
  test_peer_t * peer  = (test_peer_t *)arg;
  ulong         state = 0x5eedUL;
  test_peer_block_signals();
  test_sleep_us( peer->start_us );
  for(;;) {
    ulong step = test_peer_step( peer, &state );
    if( peer->cap-peer->sz<step ) {
      ulong   cap = 2UL*peer->cap + step;
      uchar * got = (uchar *)realloc( peer->got, cap );
      if( !got ) { perror( "realloc" ); abort(); }
      peer->got = got;
      peer->cap = cap;
    }
    ssize_t n = read( peer->fd, peer->got+peer->sz, step );
    if( n<0L && errno==EAGAIN ) { test_sleep_us( 100U ); continue; }
    if( n<=0L ) break;
    peer->sz += (ulong)n;
    test_sleep_us( peer->pause_us );
  }
  close( peer->fd );
  return NULL;
}

static inline void
test_peer_start( test_peer_t * peer,
                 void *     (* run)( void * ) ) {
  int err = pthread_create( &peer->thread, NULL, run, peer );
  if( err ) { fprintf( stderr, "pthread_create: %s\n", strerror( err ) ); abort(); }
}

/* test_feed writes src[0,sz) to fd and closes it; test_drain reads fd to
   its end, into peer->got (to be freed), and closes it.  Set the step and
   the pauses before. */

static inline void
test_feed( test_peer_t * peer,
           int           fd,
           void const *  src,
           ulong         sz ) {
  peer->fd  = fd;
  peer->src = (uchar const *)src;
  peer->sz  = sz;
  test_peer_start( peer, test_peer_feed );
}

static inline void
test_drain( test_peer_t * peer,
            int           fd ) {
  peer->fd  = fd;
  peer->got = NULL;
  peer->sz  = peer->cap = 0UL;
  test_peer_start( peer, test_peer_drain );
}

static inline void test_join( test_peer_t * peer ) { pthread_join( peer->thread, NULL ); }

/* test_pipe makes a pipe: fd[0] is to be read, fd[1] to be written. */

static inline void
test_pipe( int fd[2] ) {
  if( pipe2( fd, O_CLOEXEC ) ) { perror( "pipe2" ); abort(); }
}

/* Frames ************************************************************/

/* test_save adds a frame: cnt buffers of sz[i] bytes that lie end to end
   in data.  Buffers that meta takes alternate between meta and data.
   Returns the first error. */

static inline int
test_save( fd_checkpt_t * checkpt,
           int            style,
           void const *   data,
           ulong const *  sz,
           ulong          cnt ) {
  uchar const * p   = (uchar const *)data;
  int           err = fd_checkpt_open( checkpt, style );
  for( ulong i=0UL; !err && i<cnt; i++ ) {
    err = ((i & 1UL) && sz[i]<=FD_CHECKPT_META_MAX) ? fd_checkpt_meta( checkpt, p, sz[i] )
                                                    : fd_checkpt_data( checkpt, p, sz[i] );
    p += sz[i];
  }
  return err ? err : fd_checkpt_close( checkpt );
}

/* test_load restores such a frame and returns the first error, or 1 if
   what came is not what data holds. */

static inline int
test_load( fd_restore_t * restore,
           int            style,
           void const *   data,
           ulong const *  sz,
           ulong          cnt ) {
  ulong total = 0UL;
  for( ulong i=0UL; i<cnt; i++ ) total += sz[i];
  uchar * mem = (uchar *)test_alloc( total );
  uchar * p   = mem;
  int     err = fd_restore_open( restore, style );
  for( ulong i=0UL; !err && i<cnt; i++ ) {
    err = ((i & 1UL) && sz[i]<=FD_RESTORE_META_MAX) ? fd_restore_meta( restore, p, sz[i] )
                                                    : fd_restore_data( restore, p, sz[i] );
    p += sz[i];
  }
  if( !err ) err = fd_restore_close( restore );
  if( !err ) err = !!memcmp( mem, data, total );
  free( mem );
  return err;
}

#endif /* TEST_H */
