/* host_environment.c: what callers do that a library must survive: threads
   that are cancelled in a call, calls that fail in signal handlers, and in
   a child that was forked while other threads had calls fail. */

#include "test.h"

#include <dirent.h>
#include <sys/time.h>
#include <sys/wait.h>

static void
sleep_ms( long ms ) {
  struct timespec t = { .tv_sec = ms/1000L, .tv_nsec = (ms%1000L)*1000000L };
  nanosleep( &t, NULL );
}

/* Cancellation.  A thread that waits in a call gets a pthread_cancel.  It
   must neither take the process with it nor leave the call in the middle:
   the call is completed, and the thread ends at its next cancellation
   point. */

enum { READING, POLLING, WRITING, LOGGING, WAYS };

static struct {
  int          way;
  int          fd;
  atomic_int   logging;
  int          code;
} waiter;

static fd_checkpt_t checkpt[1];
static fd_restore_t restore[1];
static uchar        buf[ FD_CHECKPT_WBUF_MIN ];
static uchar        big[ 1UL<<20 ];

static void
slow_log( void *       context,
          int          level,
          char const * line ) {
  (void)context; (void)level; (void)line;
  atomic_store( &waiter.logging, 1 );
  sleep_ms( 100L ); /* A cancellation point */
}

static void *
wait_in_a_call( void * arg ) {
  (void)arg;
  if( waiter.way==LOGGING ) waiter.code = fd_checkpt_close( NULL );
  else if( waiter.way==WRITING ) {
    fd_checkpt_open( checkpt, RAW );
    waiter.code = fd_checkpt_data( checkpt, big, sizeof(big) );
  } else {
    fd_restore_open( restore, RAW );
    waiter.code = fd_restore_data( restore, big, 10UL );
  }
  pthread_testcancel();
  return NULL;
}

static void
check_cancel( int way ) {
  int fd[2];
  test_pipe( fd );
  waiter.way  = way;
  waiter.code = 777;
  atomic_store( &waiter.logging, 0 );
  if( way==LOGGING ) fdckpt_set_log_callback( slow_log, NULL );
  if( way==POLLING ) CHECK_EQ( fcntl( fd[0], F_SETFL, O_NONBLOCK ), 0 );
  if( way==WRITING ) CHECK( fd_checkpt_init_stream( checkpt, fd[1], buf, sizeof(buf) ) );
  else               CHECK( fd_restore_init_stream( restore, fd[0], buf, sizeof(buf) ) );

  pthread_t thread;
  CHECK_EQ( pthread_create( &thread, NULL, wait_in_a_call, NULL ), 0 );
  if( way==LOGGING ) while( !atomic_load( &waiter.logging ) ) sleep_ms( 1L );
  else sleep_ms( 50L ); /* It waits in the call by now; if not, the test is easier to pass */
  CHECK_EQ( pthread_cancel( thread ), 0 );
  sleep_ms( 20L );

  /* Let it go on. */
  if( way==READING || way==POLLING ) CHECK_EQ( write( fd[1], "0123456789", 10UL ), 10 );
  for( ulong got=0UL; way==WRITING && got<sizeof(big); ) {
    ssize_t n = read( fd[0], buf, sizeof(buf) ); /* Nothing waits in it: it is empty, and big is larger */
    if( !CHECK( n>0 ) ) break;
    got += (ulong)n;
  }
  void * result;
  CHECK_EQ( pthread_join( thread, &result ), 0 );
  CHECK_MSG( result==PTHREAD_CANCELED, "way %d", way );
  CHECK_EQ_MSG( waiter.code, way==LOGGING ? FD_CHECKPT_ERR_INVAL : 0, "way %d", way );

  fdckpt_set_log_callback( test_quiet, NULL );
  if( way==WRITING ) { fd_checkpt_close( checkpt ); CHECK( fd_checkpt_fini( checkpt ) ); }
  else { if( way!=LOGGING ) CHECK_EQ( fd_restore_close( restore ), 0 ); CHECK( fd_restore_fini( restore ) ); }
  close( fd[0] );
  close( fd[1] );
}

/* The same where a call opens and closes files. */

static char       cancelled_directory[] = "/tmp/fdckpt-host-XXXXXX";
static atomic_int completed;

static void *
save_and_load( void * arg ) {
  (void)arg;
  pthread_cancel( pthread_self() ); /* Nothing here is a cancellation point */
  char path[ 64 ];
  snprintf( path, sizeof(path), "%s/saved", cancelled_directory );
  memset( big, 'x', sizeof(big) );
  fdckpt_writer_t * writer = fdckpt_writer_open( path, NULL );
  if( !fdckpt_writer_add( writer, "big", big, sizeof(big) ) && !fdckpt_writer_commit( writer ) ) completed |= 1;
  fdckpt_writer_free( writer );
  memset( big, 0, sizeof(big) );
  fdckpt_reader_t * reader = fdckpt_reader_open( path, NULL );
  if( !fdckpt_reader_read( reader, "big", big, sizeof(big) ) && big[ sizeof(big)-1UL ]=='x' ) completed |= 2;
  fdckpt_reader_free( reader );
  snprintf( path, sizeof(path), "%s/none/saved", cancelled_directory );
  if( !fdckpt_reader_open( path, NULL ) ) completed |= 4;
  writer = fdckpt_writer_open( cancelled_directory, NULL );
  fdckpt_writer_free( writer );
  completed |= 8;
  pthread_testcancel();
  return NULL;
}

static void
check_cancel_with_files( void ) {
  if( !CHECK( mkdtemp( cancelled_directory ) ) ) return;
  int       fds = test_fd_count();
  pthread_t thread;
  void *    result = NULL;
  CHECK_EQ( pthread_create( &thread, NULL, save_and_load, NULL ), 0 );
  CHECK_EQ( pthread_join( thread, &result ), 0 );
  CHECK( result==PTHREAD_CANCELED );
  CHECK_EQ( completed, 15 );
  CHECK_EQ( test_fd_count(), fds );
  char path[ 64 ];
  snprintf( path, sizeof(path), "%s/saved", cancelled_directory );
  CHECK_EQ( unlink( path ), 0 );
  CHECK_EQ( rmdir( cancelled_directory ), 0 );
}

/* Signal handlers.  Calls fail in the main program, and others in a
   handler that interrupts it there. */

#define TICKS 200

static volatile sig_atomic_t ticks;

static void
on_tick( int signal ) {
  (void)signal;
  int saved = errno;
  fd_restore_close( NULL );
  /* The last one stops the clock, in case that nothing gets on between two of them. */
  struct itimerval never = { { 0, 0 }, { 0, 0 } };
  if( ++ticks==TICKS ) setitimer( ITIMER_REAL, &never, NULL );
  errno = saved;
}

static void
check_signals( void ) {
  struct sigaction tick, old;
  memset( &tick, 0, sizeof(tick) );
  tick.sa_handler = on_tick;
  tick.sa_flags   = SA_RESTART;
  CHECK_EQ( sigaction( SIGALRM, &tick, &old ), 0 );
  struct itimerval often = { { 0, 200 }, { 0, 200 } };
  ticks = 0;
  setitimer( ITIMER_REAL, &often, NULL );
  ulong wrong = 0UL;
  for( ulong i=0UL; ticks<TICKS && i<50000000UL; i++ ) wrong += fd_checkpt_close( NULL )!=FD_CHECKPT_ERR_INVAL;
  tick.sa_handler = SIG_IGN; /* One that is on its way is dropped */
  CHECK_EQ( sigaction( SIGALRM, &tick, NULL ), 0 );
  CHECK_EQ( sigaction( SIGALRM, &old, NULL ), 0 );
  CHECK_EQ( wrong, 0 );
  CHECK( ticks>=TICKS );
}

/* fork.  The child has only the thread that called it: what other threads
   were in the middle of stays so. */

static atomic_int fork_done;

static void *
fail_all_the_time( void * arg ) {
  (void)arg;
  while( !atomic_load( &fork_done ) ) fd_checkpt_close( NULL );
  return NULL;
}

static void
check_fork( void ) {
  pthread_t thread[2];
  atomic_store( &fork_done, 0 );
  for( int i=0; i<2; i++ ) CHECK_EQ( pthread_create( &thread[i], NULL, fail_all_the_time, NULL ), 0 );
  for( int i=0; i<200; i++ ) {
    pid_t child = fork();
    if( !child ) {
      alarm( 10U ); /* Should it hang */
      _exit( fd_checkpt_close( NULL )==FD_CHECKPT_ERR_INVAL ? 0 : 1 );
    }
    int status = -1;
    CHECK_EQ( waitpid( child, &status, 0 ), child );
    if( !CHECK_EQ_MSG( status, 0, "fork %d", i ) ) break;
  }
  atomic_store( &fork_done, 1 );
  for( int i=0; i<2; i++ ) pthread_join( thread[i], NULL );
}

/* A signal ends a process that saves: its handler removes what is not complete,
   which a forked child's does not do. */

static void
on_end( int signal ) {
  fdckpt_remove_temp_files();
  _exit( signal );
}

static int
files_in( char const * directory ) {
  DIR * dir = opendir( directory );
  if( !dir ) return -1;
  int count = 0;
  for( struct dirent * entry; (entry = readdir( dir )); ) count += entry->d_name[0]!='.' || strlen( entry->d_name )>2UL;
  closedir( dir );
  return count;
}

static void
check_end( void ) {
  char directory[] = "/tmp/fdckpt-host-XXXXXX";
  if( !CHECK( mkdtemp( directory ) ) ) return;
  char path[64];
  snprintf( path, sizeof(path), "%s/file", directory );
  pid_t child = fork();
  if( !child ) {
    fdckpt_writer_t * writer = fdckpt_writer_open( path, NULL );
    if( !writer || fdckpt_writer_add( writer, "all", path, sizeof(path) ) || files_in( directory )!=1 ) _exit( 1 );
    pid_t grandchild = fork();
    if( !grandchild ) on_end( 0 );
    int status = -1;
    if( waitpid( grandchild, &status, 0 )!=grandchild || status || files_in( directory )!=1 ) _exit( 2 );
    struct sigaction end;
    memset( &end, 0, sizeof(end) );
    end.sa_handler = on_end;
    sigaction( SIGTERM, &end, NULL );
    raise( SIGTERM );
    _exit( 3 );
  }
  int status = -1;
  CHECK_EQ( waitpid( child, &status, 0 ), child );
  CHECK( WIFEXITED( status ) );
  CHECK_EQ( WEXITSTATUS( status ), SIGTERM );
  CHECK_EQ( files_in( directory ), 0 );
  CHECK_EQ( rmdir( directory ), 0 );
}

TEST_MAIN( "host_environment" ) {
  for( int way=0; way<WAYS; way++ ) check_cancel( way );
  check_cancel_with_files();
  check_signals();
  check_fork();
  check_end();
}
