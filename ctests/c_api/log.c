/* log.c: what is said about failures, on stderr, to a callback and by
   fdckpt_last_error.

   `log --child MODE` is for itself: what depends on the environment needs
   a process of its own. */

#include "test.h"

#include <sys/socket.h>
#include <sys/wait.h>

#define PREFIX "WARNING fd_checkpt: "

static fd_checkpt_t checkpt_mem[1];
static fd_restore_t restore_mem[1];

/* Opened before stderr is closed, so that nothing takes its place. */

static uchar * iobuf;
static uchar * noise;   /* Does not compress */
static int     full_fd; /* Of /dev/full */
static int     null_fd; /* Of /dev/null, for reading */
static int     dir_fd;
static int     file_fd; /* 100 bytes */
static int     pipe_fd[2];

#define NOISE_SZ (200000UL)

static void
setup( void ) {
  iobuf = (uchar *)test_alloc( FD_CHECKPT_WBUF_MIN );
  noise = (uchar *)test_alloc( NOISE_SZ );
  ulong state = 11UL;
  for( ulong i=0UL; i<NOISE_SZ; i++ ) noise[i] = (uchar)(test_rand( &state )>>24);
  full_fd = open( "/dev/full", O_WRONLY | O_CLOEXEC );
  null_fd = open( "/dev/null", O_RDONLY | O_CLOEXEC );
  dir_fd  = open( "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC );
  file_fd = test_file_of( noise, 100UL );
  test_pipe( pipe_fd );
}

static void
cleanup( void ) {
  free( iobuf );
  free( noise );
  close( full_fd );
  close( null_fd );
  close( dir_fd  );
  close( file_fd );
  close( pipe_fd[0] );
  close( pipe_fd[1] );
}

/* Failures of each kind *********************************************/

/* Each of these makes one call fail and none after it, and returns its
   code; IS_NULL for a function that gave NULL. */

#define IS_NULL (1)

static int null_of( void const * p ) { return p ? 0 : IS_NULL; }

static fd_checkpt_t *
checkpt_in( int    fd, /* -1: a region of 100 bytes */
            int    style ) {
  fd_checkpt_t * c = fd<0 ? fd_checkpt_init_mmio  ( checkpt_mem, iobuf, 100UL )
                          : fd_checkpt_init_stream( checkpt_mem, fd, iobuf, FD_CHECKPT_WBUF_MIN );
  if( style ) fd_checkpt_open( c, style );
  return c;
}

static fd_restore_t *
restore_in( int fd, /* -1: a region of 100 bytes */
            int style ) {
  fd_restore_t * r = fd<0 ? fd_restore_init_mmio  ( restore_mem, noise, 100UL )
                          : fd_restore_init_stream( restore_mem, fd, iobuf, FD_RESTORE_RBUF_MIN );
  if( style ) fd_restore_open( r, style );
  return r;
}

static int end_c( fd_checkpt_t * c, int code ) { fd_checkpt_fini( c ); return code; }
static int end_r( fd_restore_t * r, int code ) { fd_restore_fini( r ); return code; }

/* Bad arguments of init and fini */

static int c_init_null( void ) { return null_of( fd_checkpt_init_stream( NULL, full_fd, iobuf, FD_CHECKPT_WBUF_MIN ) ); }
static int c_init_odd ( void ) { return null_of( fd_checkpt_init_mmio( (uchar *)checkpt_mem+1, iobuf, 100UL ) ); }
static int c_fini_null( void ) { return null_of( fd_checkpt_fini( NULL ) ); }
static int r_init_few ( void ) { return null_of( fd_restore_init_stream( restore_mem, file_fd, iobuf, FD_RESTORE_RBUF_MIN-1UL ) ); }
static int r_init_huge( void ) { return null_of( fd_restore_init_mmio( restore_mem, iobuf, ULONG_MAX ) ); }

/* Calls that the arguments or the state forbid */

static int c_style( void ) { fd_checkpt_t * c = checkpt_in( -1, 0   ); return end_c( c, fd_checkpt_open ( c, 42 ) ); }
static int c_close( void ) { fd_checkpt_t * c = checkpt_in( -1, 0   ); return end_c( c, fd_checkpt_close( c ) ); }
static int c_large( void ) { fd_checkpt_t * c = checkpt_in( -1, RAW ); return end_c( c, fd_checkpt_meta ( c, noise, 65537UL ) ); }
static int c_fini ( void ) { fd_checkpt_t * c = checkpt_in( -1, RAW ); return end_c( c, null_of( fd_checkpt_fini( c ) ) ); }
static int r_fini ( void ) { fd_restore_t * r = restore_in( -1, RAW ); return end_r( r, null_of( fd_restore_fini( r ) ) ); }
static int r_open ( void ) { fd_restore_t * r = restore_in( -1, RAW ); return end_r( r, fd_restore_open ( r, RAW ) ); }
static int r_close( void ) { fd_restore_t * r = restore_in( -1, RAW ); return end_r( r, fd_restore_close_advanced( r, NULL ) ); }
static int r_null ( void ) { fd_restore_t * r = restore_in( -1, RAW ); return end_r( r, fd_restore_data ( r, NULL, 1UL ) ); }
static int r_seek ( void ) { fd_restore_t * r = restore_in( -1, 0   ); return end_r( r, fd_restore_seek ( r, 101UL ) ); }

static int
r_seek_pipe( void ) {
  fd_restore_t * r = restore_in( pipe_fd[0], 0 );
  return end_r( r, fd_restore_seek( r, 0UL ) );
}

/* Regions that are full, descriptors that can't be written to */

static int
c_room_raw( void ) {
  fd_checkpt_t * c = checkpt_in( -1, RAW );
  fd_checkpt_data( c, noise, 60UL );
  return end_c( c, fd_checkpt_data( c, noise+60, 60UL ) );
}

static int
c_room_lz4( void ) {
  fd_checkpt_t * c = checkpt_in( -1, LZ4 );
  fd_checkpt_data( c, noise, 60UL );
  return end_c( c, fd_checkpt_meta( c, noise+60, 60UL ) );
}

static int
c_full_close( void ) {
  fd_checkpt_t * c = checkpt_in( full_fd, RAW );
  fd_checkpt_data( c, noise, 60UL );
  return end_c( c, fd_checkpt_close( c ) );
}

static int
c_full_data( void ) {
  fd_checkpt_t * c = checkpt_in( full_fd, LZ4 );
  return end_c( c, fd_checkpt_data( c, noise, NOISE_SZ ) );
}

static int
c_readonly( void ) {
  fd_checkpt_t * c = checkpt_in( null_fd, RAW );
  return end_c( c, fd_checkpt_data( c, noise, NOISE_SZ ) );
}

/* Sources that end, can't be read, or are corrupt */

static int
r_end_mmio( void ) {
  uchar buf[ 60 ];
  fd_restore_t * r = restore_in( -1, RAW );
  fd_restore_data( r, buf, 60UL );
  return end_r( r, fd_restore_data( r, buf, 60UL ) );
}

static int
r_end_file( void ) {
  uchar buf[ 60 ];
  lseek( file_fd, 0L, SEEK_SET );
  fd_restore_t * r = restore_in( file_fd, RAW );
  fd_restore_data( r, buf, 60UL );
  return end_r( r, fd_restore_data( r, buf, 60UL ) );
}

static int
r_dir( void ) {
  uchar buf[ 60 ];
  fd_restore_t * r = restore_in( dir_fd, RAW );
  return end_r( r, fd_restore_meta( r, buf, 60UL ) );
}

static int
r_corrupt( void ) {
  static uchar const bytes[] = { 4, 0, 0, 0x30, 'a', 'b', 'c', 9, 9, 9, 9, 9, 9, 9 };
  uchar buf[ 60 ];
  fd_restore_t * r = fd_restore_init_mmio( restore_mem, bytes, sizeof(bytes) );
  fd_restore_open( r, LZ4 );
  fd_restore_data( r, buf, 3UL );
  return end_r( r, fd_restore_meta( r, buf, 60UL ) );
}

/* The expected report of each: from and to bound the offset; both 0 if the
   error has no offset that matters. */

static struct {
  int       (* run)( void );
  int          code;
  int          null; /* The function returns NULL, the code is reported by fdckpt_last_error */
  int          errnum;
  ulong        from;
  ulong        to;
  char const * function;
} const kinds[] = {
  { c_init_null,  -1, 1, 0,      0UL,  0UL,      "fd_checkpt_init_stream"    },
  { c_init_odd,   -1, 1, 0,      0UL,  0UL,      "fd_checkpt_init_mmio"      },
  { c_fini_null,  -1, 1, 0,      0UL,  0UL,      "fd_checkpt_fini"           },
  { c_style,      -2, 0, 0,      0UL,  0UL,      "fd_checkpt_open_advanced"  },
  { c_close,      -1, 0, 0,      0UL,  0UL,      "fd_checkpt_close_advanced" },
  { c_large,      -1, 0, 0,      0UL,  0UL,      "fd_checkpt_meta"           },
  { c_fini,       -1, 1, 0,      0UL,  0UL,      "fd_checkpt_fini"           },
  { c_room_raw,   -3, 0, 0,      60UL, 100UL,    "fd_checkpt_data"           },
  { c_room_lz4,   -4, 0, 0,      60UL, 100UL,    "fd_checkpt_meta"           },
  { c_full_close, -3, 0, ENOSPC, 0UL,  60UL,     "fd_checkpt_close_advanced" },
  { c_full_data,  -3, 0, ENOSPC, 0UL,  NOISE_SZ, "fd_checkpt_data"           },
  { c_readonly,   -3, 0, EBADF,  0UL,  NOISE_SZ, "fd_checkpt_data"           },
  { r_init_few,   -1, 1, 0,      0UL,  0UL,      "fd_restore_init_stream"    },
  { r_init_huge,  -1, 1, 0,      0UL,  0UL,      "fd_restore_init_mmio"      },
  { r_fini,       -1, 1, 0,      0UL,  0UL,      "fd_restore_fini"           },
  { r_open,       -1, 0, 0,      0UL,  0UL,      "fd_restore_open_advanced"  },
  { r_close,      -1, 0, 0,      0UL,  0UL,      "fd_restore_close_advanced" },
  { r_null,       -1, 0, 0,      0UL,  0UL,      "fd_restore_data"           },
  { r_seek,       -1, 0, 0,      0UL,  0UL,      "fd_restore_seek"           },
  { r_seek_pipe,  -1, 0, 0,      0UL,  0UL,      "fd_restore_seek"           },
  { r_end_mmio,   -3, 0, 0,      60UL, 100UL,    "fd_restore_data"           },
  { r_end_file,   -3, 0, 0,      60UL, 100UL,    "fd_restore_data"           },
  { r_dir,        -3, 0, EISDIR, 0UL,  60UL,     "fd_restore_meta"           },
  { r_corrupt,    -4, 0, 0,      7UL,  14UL,     "fd_restore_meta"           },
};
#define KIND_CNT (sizeof(kinds)/sizeof(kinds[0]))

static int run_kind( ulong k ) { return kinds[k].run()==(kinds[k].null ? IS_NULL : kinds[k].code); }

/* stderr ************************************************************/

static int stderr_saved;

static void
stderr_to( int fd ) { /* -1: closed */
  fflush( stderr );
  stderr_saved = fcntl( 2, F_DUPFD_CLOEXEC, 3 );
  if( fd<0 ) close( 2 );
  else if( dup2( fd, 2 )!=2 ) perror( "dup2" );
}

static void
stderr_back( void ) {
  if( stderr_saved<0 ) { close( 2 ); return; } /* There was none */
  if( dup2( stderr_saved, 2 )!=2 ) perror( "dup2" );
  close( stderr_saved );
}

/* is_line returns 1 if line (without its newline) is one line of the log. */

static int
is_line( char const * line ) {
  if( strncmp( line, PREFIX, strlen( PREFIX ) ) || strlen( line )<strlen( PREFIX )+10UL ) return 0;
  for( ; *line; line++ ) if( (uchar)*line<0x20 ) return 0;
  return 1;
}

/* tells returns 1 if line tells of a failure of that kind. */

static int
tells( char const * line,
       ulong        k ) {
  char number[ 16 ];
  snprintf( number, sizeof(number), "%d", kinds[k].errnum );
  return strstr( line, kinds[k].function ) &&
         (!kinds[k].errnum || (strstr( line, number ) && strstr( line, strerror( kinds[k].errnum ) )));
}

/* next_packet receives what one write was given, as a string.  Returns its
   size, or -1 if there is none. */

static long
next_packet( int    fd,
             char * line,
             ulong  line_max ) {
  ssize_t n = recv( fd, line, line_max-1UL, MSG_DONTWAIT );
  line[ n>0L ? n : 0L ] = '\0';
  return n;
}

/* A failure is one line, and that is one write. */

static void
check_default( void ) {
  char line[ 4096 ];
  int  fd[2];
  if( !CHECK( !socketpair( AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd ) ) ) return;
  for( ulong k=0UL; k<KIND_CNT; k++ ) {
    stderr_to( fd[1] );
    int right = run_kind( k );
    stderr_back();
    CHECK_MSG( right, "kind %lu: %s", k, kinds[k].function );
    long n = next_packet( fd[0], line, sizeof(line) );
    CHECK_MSG( n>1L && line[ n-1L ]=='\n', "kind %lu: %s", k, line );
    if( n>0L ) line[ n-1L ] = '\0';
    CHECK_MSG( n==(long)strlen( line )+1L && is_line( line ), "kind %lu: %s", k, line );
    CHECK_MSG( tells( line, k ), "kind %lu: %s", k, line );
    CHECK_MSG( next_packet( fd[0], line, sizeof(line) )==-1L, "kind %lu: %s", k, line );
  }

  /* Success says nothing. */
  stderr_to( fd[1] );
  fd_checkpt_t * c = checkpt_in( -1, RAW );
  fd_checkpt_data( c, noise, 100UL );
  fd_checkpt_close( c );
  fd_checkpt_fini( c );
  CHECK( !fd_checkpt_frame_style_is_supported( 99 ) );
  CHECK( fd_checkpt_strerror( 99 ) );
  stderr_back();
  CHECK_EQ( next_packet( fd[0], line, sizeof(line) ), -1L );
  close( fd[0] );
  close( fd[1] );
}

enum { THREADS = 8, FAILURES = 200 };

static void *
fail_run( void * arg ) {
  (void)arg;
  for( int i=0; i<FAILURES; i++ ) fd_checkpt_meta( NULL, NULL, 1UL );
  return NULL;
}

static void
fail_threads( void ) {
  pthread_t thread[ THREADS ];
  int       cnt = 0;
  while( cnt<THREADS && CHECK( !pthread_create( &thread[ cnt ], NULL, fail_run, NULL ) ) ) cnt++;
  for( int i=0; i<cnt; i++ ) pthread_join( thread[i], NULL );
}

struct packets {
  int   fd;
  ulong cnt;
  ulong bad;
};

static void *
packets_run( void * arg ) {
  struct packets * p = (struct packets *)arg;
  char line[ 4096 ];
  test_peer_block_signals();
  for(;;) {
    ssize_t n = recv( p->fd, line, sizeof(line)-1UL, 0 );
    if( n<=0L ) break;
    p->cnt++;
    int ended = line[ n-1L ]=='\n';
    line[ ended ? n-1L : n ] = '\0';
    if( !ended || !is_line( line ) || !strstr( line, "fd_checkpt_meta" ) ) p->bad++;
  }
  return NULL;
}

static void
check_default_threads( void ) {
  struct packets packets = { 0 };
  pthread_t      thread;
  int            fd[2];

  /* Each line one write ... */
  if( !CHECK( !socketpair( AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd ) ) ) return;
  packets.fd = fd[0];
  if( CHECK( !pthread_create( &thread, NULL, packets_run, &packets ) ) ) {
    stderr_to( fd[1] );
    fail_threads();
    stderr_back();
    close( fd[1] );
    pthread_join( thread, NULL );
    CHECK_EQ( packets.cnt, THREADS*FAILURES );
    CHECK_EQ( packets.bad, 0 );
  }
  close( fd[0] );

  /* ... so that they stay whole in a pipe. */
  test_peer_t peer = { .step = 0UL };
  test_pipe( fd );
  CHECK( fcntl( fd[1], F_SETPIPE_SZ, 4096 )>=0 );
  test_drain( &peer, fd[0] );
  stderr_to( fd[1] );
  fail_threads();
  stderr_back();
  close( fd[1] );
  test_join( &peer );
  ulong lines = 0UL, bad = 0UL;
  for( ulong at=0UL; at<peer.sz; ) {
    char * line = (char *)peer.got+at;
    char * end  = (char *)memchr( line, '\n', peer.sz-at );
    if( !end ) { bad++; break; }
    *end = '\0';
    lines++;
    if( !is_line( line ) || !strstr( line, "fd_checkpt_meta" ) ) bad++;
    at += (ulong)(end-line)+1UL;
  }
  CHECK_EQ( lines, THREADS*FAILURES );
  CHECK_EQ( bad, 0 );
  free( peer.got );
}

/* stderr that can't be written to ***********************************/

static atomic_ulong sigpipes;

static void on_sigpipe( int sig ) { (void)sig; atomic_fetch_add( &sigpipes, 1UL ); }

static int
sigpipe_pending( void ) {
  sigset_t set;
  sigemptyset( &set );
  sigpending( &set );
  return sigismember( &set, SIGPIPE );
}

static void
run_all_kinds( char const * where ) {
  for( ulong k=0UL; k<KIND_CNT; k++ ) {
    CHECK_MSG( run_kind( k ), "kind %lu, %s: %s", k, where, kinds[k].function );
    CHECK_EQ_MSG( fdckpt_last_error()->code, kinds[k].code, "kind %lu, %s: %s", k, where, kinds[k].function );
  }
}

static void
check_broken( void ) {
  stderr_to( -1 );
  run_all_kinds( "closed" );
  stderr_back();

  stderr_to( full_fd );
  run_all_kinds( "full" );
  stderr_back();

  stderr_to( null_fd );
  run_all_kinds( "read-only" );
  stderr_back();

  /* A pipe without a reader. */
  struct sigaction act, old_act;
  sigset_t         set, old_set, now;
  int              fd[2];
  memset( &act, 0, sizeof(act) );
  act.sa_handler = SIG_DFL;
  sigaction( SIGPIPE, &act, &old_act );
  sigemptyset( &set );
  sigaddset( &set, SIGPIPE );
  pthread_sigmask( SIG_UNBLOCK, &set, &old_set );
  test_pipe( fd );
  close( fd[0] );

  stderr_to( fd[1] );
  run_all_kinds( "no reader" ); /* Being alive thereafter is the point */
  fail_threads();
  stderr_back();
  CHECK( !sigpipe_pending() );
  pthread_sigmask( SIG_SETMASK, NULL, &now );
  CHECK( !sigismember( &now, SIGPIPE ) );

  /* The host's handler hears nothing of it. */
  act.sa_handler = on_sigpipe;
  sigaction( SIGPIPE, &act, NULL );
  atomic_store( &sigpipes, 0UL );
  stderr_to( fd[1] );
  run_all_kinds( "no reader, handler" );
  fail_threads();
  stderr_back();
  CHECK_EQ( atomic_load( &sigpipes ), 0 );
  CHECK( !sigpipe_pending() );

  /* A host that blocks the signal finds it neither there nor unblocked ... */
  pthread_sigmask( SIG_BLOCK, &set, NULL );
  stderr_to( fd[1] );
  run_all_kinds( "no reader, blocked" );
  stderr_back();
  CHECK( !sigpipe_pending() );
  pthread_sigmask( SIG_SETMASK, NULL, &now );
  CHECK( sigismember( &now, SIGPIPE ) );

  /* ... but one that was there stays. */
  pthread_kill( pthread_self(), SIGPIPE );
  CHECK( sigpipe_pending() );
  stderr_to( fd[1] );
  run_all_kinds( "no reader, pending" );
  stderr_back();
  CHECK( sigpipe_pending() );
  struct timespec zero = { 0, 0 };
  CHECK_EQ( sigtimedwait( &set, NULL, &zero ), SIGPIPE );
  CHECK( !sigpipe_pending() );

  close( fd[1] );
  CHECK_EQ( atomic_load( &sigpipes ), 0 );
  pthread_sigmask( SIG_SETMASK, &old_set, NULL );
  sigaction( SIGPIPE, &old_act, NULL );
}

/* Callbacks *********************************************************/

struct heard {
  ulong          cnt;
  void *         context;
  int            level;
  char           line[ 2048 ];
  ulong          line_sz;
  fdckpt_error_t error;
  char           function[ 64 ];
  pthread_t      thread;
};

static struct heard heard;

static void
hear( void *       context,
      int          level,
      char const * line ) {
  heard.cnt++;
  heard.context = context;
  heard.level   = level;
  heard.line_sz = strlen( line );
  snprintf( heard.line, sizeof(heard.line), "%s", line );
  heard.error   = *fdckpt_last_error();
  snprintf( heard.function, sizeof(heard.function), "%s", heard.error.function );
  heard.thread  = pthread_self();
}

static void
check_callback( void ) {
  char   line[ 4096 ];
  int    context = 0;
  int    fd[2];
  if( !CHECK( !socketpair( AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd ) ) ) return;
  fdckpt_set_log_callback( hear, &context );
  for( ulong k=0UL; k<KIND_CNT; k++ ) {
    memset( &heard, 0, sizeof(heard) );
    stderr_to( fd[1] );
    int right = run_kind( k );
    stderr_back();
    CHECK_MSG( right, "kind %lu: %s", k, kinds[k].function );
    CHECK_EQ_MSG( heard.cnt, 1, "kind %lu", k );
    CHECK_EQ( heard.context, &context );
    CHECK_EQ( heard.level, FDCKPT_LOG_WARNING );
    CHECK( heard.line_sz>0UL && heard.line_sz<sizeof(heard.line) );
    CHECK_MSG( !strchr( heard.line, '\n' ), "kind %lu: %s", k, heard.line );
    CHECK_MSG( tells( heard.line, k ), "kind %lu: %s", k, heard.line );
    CHECK_EQ( heard.error.code,   kinds[k].code   );
    CHECK_EQ( heard.error.errnum, kinds[k].errnum );
    CHECK( !strcmp( heard.function, kinds[k].function ) );
    CHECK( pthread_equal( heard.thread, pthread_self() ) );
    CHECK_EQ( next_packet( fd[0], line, sizeof(line) ), -1L ); /* Nothing on stderr */
  }

  /* A context may be NULL. */
  heard.cnt = 0UL;
  fdckpt_set_log_callback( hear, NULL );
  CHECK( run_kind( 0UL ) );
  CHECK_EQ( heard.cnt, 1 );
  CHECK_EQ( heard.context, NULL );

  /* NULL goes back to stderr. */
  heard.cnt = 0UL;
  fdckpt_set_log_callback( NULL, NULL );
  stderr_to( fd[1] );
  CHECK( run_kind( 0UL ) );
  stderr_back();
  CHECK_EQ( heard.cnt, 0 );
  long n = next_packet( fd[0], line, sizeof(line) );
  CHECK( n>0L && !strncmp( line, PREFIX, strlen( PREFIX ) ) );
  close( fd[0] );
  close( fd[1] );
}

/* A callback that uses the library: it makes a checkpoint, has a call fail
   (which calls it again) and puts another callback in its place. */

static ulong depth;
static ulong deepest;
static ulong calls;

static void
busy( void *       context,
      int          level,
      char const * line ) {
  static fd_checkpt_t mem[1];
  static uchar        region[ 100 ];
  (void)context; (void)level; (void)line;
  calls++;
  depth++;
  if( depth>deepest ) deepest = depth;
  if( depth==1UL ) {
    fd_checkpt_t * c = fd_checkpt_init_mmio( mem, region, sizeof(region) );
    CHECK_EQ( fd_checkpt_open ( c, LZ4 ), 0 );
    CHECK_EQ( fd_checkpt_data ( c, "0123456789", 10UL ), 0 );
    CHECK_EQ( fd_checkpt_close( c ), 0 );
    CHECK_EQ( fd_checkpt_open ( c, 99 ), FD_CHECKPT_ERR_UNSUP );
    CHECK_EQ( fdckpt_last_error()->code, FD_CHECKPT_ERR_UNSUP );
    CHECK( fd_checkpt_fini( c ) );
    fdckpt_set_log_callback( hear, &heard );
    CHECK_EQ( fd_checkpt_data( NULL, NULL, 0UL ), FD_CHECKPT_ERR_INVAL ); /* Is heard */
  }
  depth--;
}

static void
check_busy_callback( void ) {
  memset( &heard, 0, sizeof(heard) );
  depth = deepest = calls = 0UL;
  fdckpt_set_log_callback( busy, NULL );
  CHECK_EQ( fd_checkpt_close( NULL ), FD_CHECKPT_ERR_INVAL );
  /* What failed inside the callback has not taken the place of what failed here */
  CHECK( !strcmp( fdckpt_last_error()->function, "fd_checkpt_close_advanced" ) );
  CHECK_EQ( calls,   2 );
  CHECK_EQ( deepest, 2 );
  CHECK_EQ( heard.cnt, 1 );
  CHECK_EQ( heard.context, &heard );
  CHECK_EQ( fd_checkpt_close( NULL ), FD_CHECKPT_ERR_INVAL );
  CHECK_EQ( calls,     2 );
  CHECK_EQ( heard.cnt, 2 );
  fdckpt_set_log_callback( NULL, NULL );
}

/* Callbacks that are exchanged while calls fail: each is given its own
   context, and no line is lost. */

static atomic_ulong heard_by[2];
static atomic_ulong mixed_up;

static void
hear_as( int    self,
         void * context ) {
  atomic_fetch_add( &heard_by[ self ], 1UL );
  if( context!=&heard_by[ self ] ) atomic_fetch_add( &mixed_up, 1UL );
}

static void hear_0( void * context, int level, char const * line ) { (void)level; (void)line; hear_as( 0, context ); }
static void hear_1( void * context, int level, char const * line ) { (void)level; (void)line; hear_as( 1, context ); }

static void
check_exchange( void ) {
  pthread_t thread[ THREADS ];
  int       cnt = 0;
  atomic_store( &heard_by[0], 0UL );
  atomic_store( &heard_by[1], 0UL );
  atomic_store( &mixed_up,    0UL );
  fdckpt_set_log_callback( hear_0, &heard_by[0] );
  while( cnt<THREADS && CHECK( !pthread_create( &thread[ cnt ], NULL, fail_run, NULL ) ) ) cnt++;
  for( int i=0; i<3000; i++ ) {
    if( i & 1 ) fdckpt_set_log_callback( hear_0, &heard_by[0] );
    else        fdckpt_set_log_callback( hear_1, &heard_by[1] );
  }
  for( int i=0; i<cnt; i++ ) pthread_join( thread[i], NULL );
  fdckpt_set_log_callback( NULL, NULL );
  CHECK_EQ( atomic_load( &heard_by[0] )+atomic_load( &heard_by[1] ), THREADS*FAILURES );
  CHECK_EQ( atomic_load( &mixed_up ), 0 );
}

/* fdckpt_last_error *************************************************/

/* Runs in a thread of its own, in which nothing has failed yet. */

static void *
last_error_run( void * arg ) {
  (void)arg;
  fdckpt_error_t const * error = fdckpt_last_error();
  if( !CHECK( error ) ) return NULL;
  CHECK_EQ( error->code,   0 );
  CHECK_EQ( error->errnum, 0 );
  CHECK( error->function && !strcmp( error->function, "" ) );
  CHECK( error->message );

  /* Success is not reported. */
  fd_checkpt_t * c = checkpt_in( -1, RAW );
  CHECK_EQ( fd_checkpt_close( c ), 0 );
  fd_checkpt_fini( c );
  CHECK_EQ( fdckpt_last_error()->code, 0 );

  for( ulong k=0UL; k<KIND_CNT; k++ ) {
    CHECK_MSG( run_kind( k ), "kind %lu: %s", k, kinds[k].function );
    for( int again=0; again<2; again++ ) {
      error = fdckpt_last_error();
      CHECK_EQ_MSG( error->code,   kinds[k].code,   "kind %lu: %s", k, kinds[k].function );
      CHECK_EQ_MSG( error->errnum, kinds[k].errnum, "kind %lu: %s", k, kinds[k].function );
      CHECK_MSG( !strcmp( error->function, kinds[k].function ), "kind %lu: %s, not %s", k, error->function, kinds[k].function );
      CHECK_MSG( error->message && *error->message && !strchr( error->message, '\n' ), "kind %lu: %s", k, kinds[k].function );
      int there = kinds[k].to ? error->offset>=kinds[k].from && error->offset<=kinds[k].to
                              : error->offset==FDCKPT_NO_OFFSET || error->offset<=101UL;
      CHECK_MSG( there, "kind %lu: %s at %lu", k, error->message, error->offset );

      /* Success does not clear it. */
      c = checkpt_in( -1, RAW );
      CHECK_EQ( fd_checkpt_data( c, noise, 100UL ), 0 );
      CHECK_EQ( fd_checkpt_close( c ), 0 );
      CHECK( fd_checkpt_fini( c ) );
    }
  }

  /* Without a handle there is no offset. */
  CHECK_EQ( fd_checkpt_close( NULL ), FD_CHECKPT_ERR_INVAL );
  CHECK_EQ( fdckpt_last_error()->offset, FDCKPT_NO_OFFSET );
  CHECK_EQ( fd_restore_seek( NULL, 5UL ), FD_CHECKPT_ERR_INVAL );
  CHECK_EQ( fdckpt_last_error()->offset, FDCKPT_NO_OFFSET );
  return NULL;
}

static void
check_last_error( void ) {
  pthread_t thread;
  fdckpt_set_log_callback( test_quiet, NULL );
  CHECK( run_kind( 3UL ) );
  fdckpt_error_t before = *fdckpt_last_error();
  if( CHECK( !pthread_create( &thread, NULL, last_error_run, NULL ) ) ) pthread_join( thread, NULL );
  CHECK_EQ( fdckpt_last_error()->code, before.code ); /* Another thread's failures are not ours */
  CHECK( !strcmp( fdckpt_last_error()->function, kinds[3].function ) );
  fdckpt_set_log_callback( NULL, NULL );
}

/* FDCKPT_LOG ********************************************************/

#if TEST_PROGRAM

static int
child( char const * mode ) {
  ulong before = atomic_load( &test_logged );
  int   good   = 1;
  if( !strcmp( mode, "late" ) ) {            /* It is asked for at the first failure ... */
    setenv( "FDCKPT_LOG", "off", 1 );
    good &= fd_checkpt_close( NULL )==FD_CHECKPT_ERR_INVAL;
    setenv( "FDCKPT_LOG", "on", 1 );
  } else if( !strcmp( mode, "early" ) ) {    /* ... and only then */
    good &= fd_checkpt_close( NULL )==FD_CHECKPT_ERR_INVAL;
    setenv( "FDCKPT_LOG", "off", 1 );
  } else if( !strcmp( mode, "callback" ) ) { /* Failures passed to a callback don't count against the limit */
    fdckpt_set_log_callback( test_quiet, NULL );
    good &= fd_checkpt_close( NULL )==FD_CHECKPT_ERR_INVAL;
    setenv( "FDCKPT_LOG", "off", 1 );
    good &= fd_checkpt_close( NULL )==FD_CHECKPT_ERR_INVAL;
    fdckpt_set_log_callback( NULL, NULL );
    good &= fd_checkpt_close( NULL )==FD_CHECKPT_ERR_INVAL;
    fdckpt_set_log_callback( test_quiet, NULL );
    good &= fd_checkpt_close( NULL )==FD_CHECKPT_ERR_INVAL;
    fdckpt_set_log_callback( NULL, NULL );
    good &= atomic_load( &test_logged )-before==3UL;
  }
  good &= fd_checkpt_close( NULL )==FD_CHECKPT_ERR_INVAL;
  good &= fd_restore_close( NULL )==FD_CHECKPT_ERR_INVAL;
  good &= fdckpt_last_error()->code==FD_CHECKPT_ERR_INVAL; /* Whether it is logged or not */
  return good ? 0 : 1;
}

/* child_lines runs a child with FDCKPT_LOG set to value (NULL: not set) and
   returns how many lines it wrote to stderr, -1 if it failed or wrote what
   is none. */

static int
child_lines( char const * value,
             char const * mode ) {
  char    path[ 4096 ]; /* Not /proc/self/exe itself, which names valgrind under valgrind */
  ssize_t path_sz = readlink( "/proc/self/exe", path, sizeof(path)-1UL );
  if( path_sz<=0L ) return -1;
  path[ path_sz ] = '\0';

  test_peer_t peer = { .step = 1000UL };
  int         fd[2];
  test_pipe( fd );
  fflush( stdout );
  pid_t pid = fork();
  if( !pid ) {
    if( dup2( fd[1], 2 )!=2 ) _exit( 97 );
    if( value ? setenv( "FDCKPT_LOG", value, 1 ) : unsetenv( "FDCKPT_LOG" ) ) _exit( 98 );
    execl( path, path, "--child", mode, (char *)NULL );
    _exit( 99 );
  }
  close( fd[1] );
  test_drain( &peer, fd[0] );
  test_join( &peer );
  int status = -1;
  int lines  = 0;
  if( pid<0 || waitpid( pid, &status, 0 )!=pid || !WIFEXITED( status ) || WEXITSTATUS( status ) ) lines = -1;
  for( ulong at=0UL; lines>=0 && at<peer.sz; ) {
    char * line = (char *)peer.got+at;
    char * end  = (char *)memchr( line, '\n', peer.sz-at );
    if( !end ) { lines = -1; break; }
    *end = '\0';
    lines = is_line( line ) ? lines+1 : -1;
    at += (ulong)(end-line)+1UL;
  }
  free( peer.got );
  return lines;
}

static void
check_environment( void ) {
  CHECK_EQ( child_lines( NULL,     "plain"    ), 2 );
  CHECK_EQ( child_lines( "off",    "plain"    ), 0 );
  CHECK_EQ( child_lines( "on",     "plain"    ), 2 );
  CHECK_EQ( child_lines( "",       "plain"    ), 2 );
  CHECK_EQ( child_lines( "office", "plain"    ), 2 );
  CHECK_EQ( child_lines( "o",      "plain"    ), 2 );
  CHECK_EQ( child_lines( NULL,     "late"     ), 0 );
  CHECK_EQ( child_lines( "on",     "late"     ), 0 );
  CHECK_EQ( child_lines( NULL,     "early"    ), 3 );
  CHECK_EQ( child_lines( "off",    "early"    ), 0 );
  CHECK_EQ( child_lines( NULL,     "callback" ), 0 );
}

#endif

int
main( int     argc,
      char ** argv ) {
#if TEST_PROGRAM
  if( argc==3 && !strcmp( argv[1], "--child" ) ) return child( argv[2] );
#endif
  (void)argc; (void)argv;

  /* Here stderr is to be heard. */
  char const * variable = getenv( "FDCKPT_LOG" );
  char *       old      = variable ? strdup( variable ) : NULL;
  unsetenv( "FDCKPT_LOG" );

  test_begin();
  fdckpt_set_log_callback( NULL, NULL );
  setup();

  check_default();
  check_default_threads();
  check_broken();
  check_callback();
  check_busy_callback();
  check_exchange();
  check_last_error();
#if TEST_PROGRAM
  check_environment();
#endif

  cleanup();
  if( old ) setenv( "FDCKPT_LOG", old, 1 );
  free( old );
  return test_end( "log" );
}
