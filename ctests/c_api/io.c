/* io.c: descriptors of all kinds, slow, interrupted, broken and growing. */

#include "test.h"

#include <sys/resource.h>
#include <sys/socket.h>

#define WMIN FD_CHECKPT_WBUF_MIN
#define RMIN FD_RESTORE_RBUF_MIN

static fd_checkpt_t checkpt_mem[1];
static fd_restore_t restore_mem[1];

/* The I/O buffer, and the same number of bytes for other uses. */

#define IOBUF_MAX (3UL<<20)

static uchar * iobuf;

/* The checkpoint that most of the tests are about: three frames of the
   same buffers.  made is what it must be in bytes (the mode does not
   matter, so mmio says it). */

#define DATA_SZ (600000UL)

static uchar *     data;
static ulong const sizes[]  = { 1UL, 100UL, 65536UL, 70001UL, 0UL, 3UL, 69632UL, 65535UL, 200000UL, 2UL, 17UL, 40000UL };
#define SIZE_CNT (sizeof(sizes)/sizeof(sizes[0]))
static uchar *     made;
static ulong       made_sz;
static ulong       raw_sz; /* Of the frame before those of style LZ4 */

static int
save_all( fd_checkpt_t * c ) {
  int err = test_save( c, RAW, data, sizes, SIZE_CNT );
  if( !err ) err = test_save( c, LZ4, data, sizes, SIZE_CNT );
  if( !err ) err = test_save( c, LZ4, data, sizes, SIZE_CNT );
  return err;
}

static int
load_all( fd_restore_t * r ) {
  int err = test_load( r, RAW, data, sizes, SIZE_CNT );
  if( !err ) err = test_load( r, LZ4, data, sizes, SIZE_CNT );
  if( !err ) err = test_load( r, LZ4, data, sizes, SIZE_CNT );
  return err;
}

static void
make( void ) {
  ulong cap = 4UL*DATA_SZ;
  raw_sz = 0UL;
  for( ulong i=0UL; i<SIZE_CNT; i++ ) raw_sz += sizes[i];
  CHECK( raw_sz<=DATA_SZ );
  made = (uchar *)test_alloc( cap );
  fd_checkpt_t * c = fd_checkpt_init_mmio( checkpt_mem, made, cap );
  CHECK( c );
  WORKS( save_all( c ) );
  made_sz = c->off;
  CHECK( made_sz<cap );
  CHECK( fd_checkpt_fini( c ) );
}

static fd_checkpt_t *
checkpt_to( int   fd,
            ulong wbuf_sz ) {
  memset( iobuf, 0xcc, wbuf_sz );
  fd_checkpt_t * c = fd_checkpt_init_stream( checkpt_mem, fd, iobuf, wbuf_sz );
  CHECK_EQ( c, checkpt_mem );
  return c;
}

static fd_restore_t *
restore_from( int   fd,
              ulong rbuf_sz ) {
  memset( iobuf, 0xcc, rbuf_sz );
  fd_restore_t * r = fd_restore_init_stream( restore_mem, fd, iobuf, rbuf_sz );
  CHECK_EQ( r, restore_mem );
  return r;
}

static void
nonblocking( int fd ) {
  int flags = fcntl( fd, F_GETFL );
  CHECK( flags!=-1 && !fcntl( fd, F_SETFL, flags | O_NONBLOCK ) );
}

/* Peers *************************************************************/

enum { SMALL_PIPE, SOCKETS };

/* connect_pair makes fd[0], to be read, and fd[1], to be written, with
   little space between them. */

static void
connect_pair( int kind,
              int fd[2] ) {
  if( kind==SOCKETS ) {
    int small = 4096;
    CHECK( !socketpair( AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd ) );
    CHECK( !setsockopt( fd[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small) ) );
  } else {
    test_pipe( fd );
    CHECK( fcntl( fd[1], F_SETPIPE_SZ, 4096 )>=0 );
  }
}

/* through writes the checkpoint to a peer that takes it as the arguments
   say, then restores it from such a peer. */

static void
through( int      kind,
         int      nonblock,
         ulong    iobuf_sz,
         ulong    step,
         unsigned pause_us ) {
  test_peer_t peer = { .step = step, .pause_us = pause_us };
  int         fd[2];

  connect_pair( kind, fd );
  if( nonblock ) nonblocking( fd[1] );
  test_drain( &peer, fd[0] );
  fd_checkpt_t * c = checkpt_to( fd[1], iobuf_sz );
  WORKS( save_all( c ) );
  CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
  close( fd[1] );
  test_join( &peer );
  CHECK_EQ( peer.sz, made_sz );
  CHECK( peer.sz==made_sz && !memcmp( peer.got, made, made_sz ) );
  free( peer.got );

  connect_pair( kind, fd );
  if( nonblock ) nonblocking( fd[0] );
  test_feed( &peer, fd[1], made, made_sz );
  fd_restore_t * r = restore_from( fd[0], iobuf_sz );
  CHECK_EQ( fd_restore_sz( r ), ULONG_MAX );
  WORKS( load_all( r ) );
  CHECK_EQ( fd_restore_fini( r ), restore_mem );
  close( fd[0] );
  test_join( &peer );
}

static void
check_short( void ) {
  for( int kind=SMALL_PIPE; kind<=SOCKETS; kind++ ) for( int nonblock=0; nonblock<2; nonblock++ ) {
    through( kind, nonblock, WMIN,      0UL,     0U  );
    through( kind, nonblock, WMIN+1UL,  4096UL,  20U );
    through( kind, nonblock, 1UL<<20,   10007UL, 0U  );
  }
  through( SMALL_PIPE, 0, WMIN, 61UL, 0U );
}

/* Signals ***********************************************************/

static atomic_ulong interruptions;
static atomic_int   interrupter_stop;
static pthread_t    interrupted;

static void
on_signal( int sig ) {
  (void)sig;
  atomic_fetch_add( &interruptions, 1UL );
}

static void *
interrupter( void * arg ) {
  (void)arg;
  test_peer_block_signals();
  while( !atomic_load( &interrupter_stop ) ) {
    pthread_kill( interrupted, SIGUSR1 );
    test_sleep_us( 50U );
  }
  return NULL;
}

static void
check_eintr( void ) {
  struct sigaction act, old_act;
  sigset_t         usr1, old_mask;
  memset( &act, 0, sizeof(act) );
  act.sa_handler = on_signal; /* No SA_RESTART: the calls do fail with EINTR */
  sigemptyset( &act.sa_mask );
  sigemptyset( &usr1 );
  sigaddset( &usr1, SIGUSR1 );
  sigaction( SIGUSR1, &act, &old_act );
  pthread_sigmask( SIG_UNBLOCK, &usr1, &old_mask );

  pthread_t thread;
  interrupted = pthread_self();
  atomic_store( &interruptions,    0UL );
  atomic_store( &interrupter_stop, 0   );
  if( CHECK( !pthread_create( &thread, NULL, interrupter, NULL ) ) ) {
    through( SMALL_PIPE, 0, WMIN, 4096UL, 300U );
    through( SMALL_PIPE, 1, WMIN, 4096UL, 300U );
    through( SOCKETS,    0, WMIN, 4096UL, 300U );
    atomic_store( &interrupter_stop, 1 );
    pthread_join( thread, NULL );
  }
  CHECK( atomic_load( &interruptions )>=100UL );

  pthread_sigmask( SIG_SETMASK, &old_mask, NULL );
  sigaction( SIGUSR1, &old_act, NULL );
}

/* Waiting ***********************************************************/

static ulong
thread_cpu_ms( void ) {
  struct timespec t;
  clock_gettime( CLOCK_THREAD_CPUTIME_ID, &t );
  return (ulong)t.tv_sec*1000UL + (ulong)t.tv_nsec/1000000UL;
}

/* A peer that does nothing for 300 ms must cost no CPU time. */

static void
check_waiting( void ) {
  ulong       sz[1] = { 200000UL };
  test_peer_t peer  = { .step = 65536UL, .start_us = 300000U };
  int         fd[2];

  test_pipe( fd );
  nonblocking( fd[1] );
  test_drain( &peer, fd[0] );
  fd_checkpt_t * c = checkpt_to( fd[1], WMIN );
  ulong before = thread_cpu_ms();
  WORKS( test_save( c, RAW, data, sz, 1UL ) );
  CHECK( thread_cpu_ms()-before<100UL );
  fd_checkpt_fini( c );
  close( fd[1] );
  test_join( &peer );
  CHECK( peer.sz==sz[0] && !memcmp( peer.got, data, sz[0] ) );
  free( peer.got );

  test_pipe( fd );
  nonblocking( fd[0] );
  test_feed( &peer, fd[1], data, sz[0] );
  fd_restore_t * r = restore_from( fd[0], RMIN );
  before = thread_cpu_ms();
  WORKS( test_load( r, RAW, data, sz, 1UL ) );
  CHECK( thread_cpu_ms()-before<100UL );
  fd_restore_fini( r );
  close( fd[0] );
  test_join( &peer );
}

/* close_later closes a descriptor after 50 ms. */

static void *
close_later( void * arg ) {
  test_peer_block_signals();
  test_sleep_us( 50000U );
  close( *(int *)arg );
  return NULL;
}

/* A peer that goes away while it is waited for ends the wait. */

static void
check_peer_leaves( void ) {
  for( int nonblock=0; nonblock<2; nonblock++ ) {
    pthread_t thread;
    int       fd[2];

    test_pipe( fd );
    if( nonblock ) nonblocking( fd[1] );
    fd_checkpt_t * c = checkpt_to( fd[1], WMIN );
    if( CHECK( !pthread_create( &thread, NULL, close_later, &fd[0] ) ) ) {
      WORKS( fd_checkpt_open( c, RAW ) );
      FAILS( FD_CHECKPT_ERR_IO, fd_checkpt_data( c, data, DATA_SZ ) );
      CHECK_EQ( fdckpt_last_error()->errnum, EPIPE );
      pthread_join( thread, NULL );
    }
    CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
    close( fd[1] );

    for( int style=RAW; style<=LZ4; style++ ) {
      uchar byte;
      test_pipe( fd );
      if( nonblock ) nonblocking( fd[0] );
      fd_restore_t * r = restore_from( fd[0], RMIN );
      if( CHECK( !pthread_create( &thread, NULL, close_later, &fd[1] ) ) ) {
        WORKS( fd_restore_open( r, style ) );
        FAILS( FD_CHECKPT_ERR_IO, fd_restore_data( r, &byte, 1UL ) );
        CHECK_EQ( fdckpt_last_error()->errnum, 0 ); /* The end of file is no error of the system's */
        pthread_join( thread, NULL );
      }
      CHECK_EQ( fd_restore_fini( r ), restore_mem );
      close( fd[0] );
    }
  }
}

/* Ends and errors ***************************************************/

/* check_eof cuts a frame short, in a file and in a pipe. */

static void
check_eof( void ) {
  static ulong const cuts[] = { 0UL, 1UL, 2UL, 3UL, 4UL, 5UL, 50UL }; /* Header, payload, and inside it */
  ulong   sz[2] = { 65536UL, 5000UL };
  ulong   cap   = 200000UL;
  uchar * bytes = (uchar *)test_alloc( cap );
  for( int style=RAW; style<=LZ4; style++ ) {
    fd_checkpt_t * c = fd_checkpt_init_mmio( checkpt_mem, bytes, cap );
    WORKS( fd_checkpt_open( c, style ) );
    WORKS( fd_checkpt_data( c, data, sz[0] ) );
    ulong second = c->off; /* Where the second buffer begins */
    WORKS( fd_checkpt_data( c, data+sz[0], sz[1] ) );
    WORKS( fd_checkpt_close( c ) );
    ulong end = c->off;
    fd_checkpt_fini( c );

    for( ulong i=0UL; i<4UL*sizeof(cuts)/sizeof(cuts[0]); i++ ) {
      ulong cut  = cuts[ i/4UL ] + ((i & 1UL) ? second : 0UL);
      int   pipe = !!(i & 2UL);
      if( cut>=end ) continue;
      test_peer_t peer = { .step = 1000UL };
      int         fd[2];
      if( pipe ) { test_pipe( fd ); test_feed( &peer, fd[1], bytes, cut ); }
      else       fd[0] = test_file_of( bytes, cut );
      fd_restore_t * r = restore_from( fd[0], RMIN );
      CHECK_EQ_MSG( test_load( r, style, data, sz, 2UL ), FD_CHECKPT_ERR_IO, "style %d cut %lu pipe %d", style, cut, pipe );
      CHECK_EQ( fdckpt_last_error()->errnum, 0 );
      CHECK_EQ( fd_restore_can_open( r ), 0 );
      CHECK_EQ( fd_restore_fini( r ), restore_mem );
      close( fd[0] );
      if( pipe ) test_join( &peer );
    }
  }
  free( bytes );
}

/* writes_fail checks that writing to fd fails: a little when the frame is
   closed, much at once. */

static void
writes_fail( int fd,
             int errnum ) {
  ulong off = 777UL;
  for( int style=RAW; style<=LZ4; style++ ) {
    fd_checkpt_t * c = checkpt_to( fd, WMIN );
    WORKS( fd_checkpt_open( c, style ) );
    WORKS( fd_checkpt_meta( c, data, 100UL ) );
    FAILS( FD_CHECKPT_ERR_IO, fd_checkpt_close_advanced( c, &off ) );
    CHECK_EQ( fdckpt_last_error()->errnum, errnum );
    CHECK_EQ( off, 777 );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_open( c, style ) );
    CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );

    c = checkpt_to( fd, WMIN );
    WORKS( fd_checkpt_open( c, style ) );
    FAILS( FD_CHECKPT_ERR_IO, fd_checkpt_data( c, data, DATA_SZ ) );
    CHECK_EQ( fdckpt_last_error()->errnum, errnum );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_checkpt_close_advanced( c, &off ) );
    CHECK_EQ( off, 777 );
    CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );

    /* A frame that is empty writes nothing, so nothing can fail. */
    c = checkpt_to( fd, WMIN );
    WORKS( fd_checkpt_open ( c, style ) );
    WORKS( fd_checkpt_data ( c, NULL, 0UL ) );
    WORKS( fd_checkpt_close( c ) );
    CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
  }
}

static void
reads_fail( int fd,
            int errnum ) {
  uchar * buf = (uchar *)test_alloc( 2UL*RMIN );
  for( int style=RAW; style<=LZ4; style++ ) for( int large=0; large<2; large++ ) {
    fd_restore_t * r = restore_from( fd, RMIN );
    ulong off = 777UL;
    WORKS( fd_restore_open( r, style ) );
    FAILS( FD_CHECKPT_ERR_IO, fd_restore_data( r, buf, large ? 2UL*RMIN : 1UL ) );
    CHECK_EQ( fdckpt_last_error()->errnum, errnum );
    FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_close_advanced( r, &off ) );
    CHECK_EQ( off, 777 );
    CHECK_EQ( fd_restore_fini( r ), restore_mem );
  }
  free( buf );
}

static void
check_errors( void ) {
  int fd = open( "/dev/full", O_WRONLY | O_CLOEXEC );
  if( CHECK( fd>=0 ) ) { writes_fail( fd, ENOSPC ); close( fd ); }

  int end[2];
  test_pipe( end );
  close( end[0] );
  writes_fail( end[1], EPIPE );
  close( end[1] );

  fd = open( "/dev/null", O_RDONLY | O_CLOEXEC );
  if( CHECK( fd>=0 ) ) {
    writes_fail( fd, EBADF );
    reads_fail ( fd, 0     ); /* It is at its end */
    close( fd );
  }

  test_pipe( end );
  reads_fail( end[1], EBADF );
  close( end[0] );
  close( end[1] );

  fd = open( "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC );
  if( CHECK( fd>=0 ) ) { reads_fail( fd, EISDIR ); close( fd ); }
}

/* A limit on the size of files makes a write short first, fail then. */

static void
check_file_limit( void ) {
  struct rlimit    old_limit, limit;
  struct sigaction act, old_act;
  if( !CHECK( !getrlimit( RLIMIT_FSIZE, &old_limit ) ) ) return;
  memset( &act, 0, sizeof(act) );
  act.sa_handler = SIG_IGN;
  sigaction( SIGXFSZ, &act, &old_act );
  limit          = old_limit;
  limit.rlim_cur = 100000UL;

  int            fd = test_file();
  fd_checkpt_t * c  = checkpt_to( fd, WMIN );
  WORKS( fd_checkpt_open( c, RAW ) );
  CHECK( !setrlimit( RLIMIT_FSIZE, &limit ) );
  int err = fd_checkpt_data( c, data, 300000UL );
  CHECK( !setrlimit( RLIMIT_FSIZE, &old_limit ) );
  CHECK_EQ( err, FD_CHECKPT_ERR_IO );
  CHECK_EQ( fdckpt_last_error()->errnum, EFBIG );
  CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
  CHECK_EQ( test_file_sz( fd ), 100000 );
  close( fd );
  sigaction( SIGXFSZ, &old_act, NULL );
}

static void
check_devices( void ) {
  int     fd  = open( "/dev/zero", O_RDWR | O_CLOEXEC );
  uchar * buf = (uchar *)test_alloc( 300000UL );
  if( CHECK( fd>=0 ) ) {
    /* fstat says that it has 0 bytes, lseek that it stands at 0. */
    memset( buf, 0x5a, 300000UL );
    fd_restore_t * r = restore_from( fd, RMIN );
    CHECK_EQ( fd_restore_sz( r ), 0 );
    WORKS( fd_restore_open( r, RAW ) );
    WORKS( fd_restore_meta( r, buf, 10UL ) );
    WORKS( fd_restore_data( r, buf+10, 299990UL ) );
    ulong off = 777UL;
    WORKS( fd_restore_close_advanced( r, &off ) );
    CHECK_EQ( off, 300000 );
    ulong sum = 0UL;
    for( ulong i=0UL; i<300000UL; i++ ) sum += buf[i];
    CHECK_EQ( sum, 0 );
    WORKS( fd_restore_open( r, LZ4 ) );
    FAILS( FD_CHECKPT_ERR_COMP, fd_restore_data( r, buf, 1UL ) ); /* A chunk of size 0 */
    CHECK_EQ( fd_restore_fini( r ), restore_mem );

    fd_checkpt_t * c = checkpt_to( fd, WMIN ); /* Writing to it works too */
    WORKS( save_all( c ) );
    CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
    close( fd );
  }
  free( buf );
}

/* Overflow **********************************************************/

static void
check_overflow( void ) {
  static ulong const huge[] = { ULONG_MAX, ULONG_MAX-8UL, ULONG_MAX-9UL, (ulong)LONG_MAX+1UL, (ulong)LONG_MAX, 1UL<<40 };
# define HUGE_CNT (sizeof(huge)/sizeof(huge[0]))
  ulong   capacity   = 1000UL;
  uchar * region = (uchar *)test_alloc( capacity );
  ulong   big_sz = 1UL<<20;
  uchar * big    = (uchar *)test_alloc( big_sz );
  fd_checkpt_t * c;
  fd_restore_t * r;

  /* RAW, into a region: 10 bytes fit, then too many are asked for. */
  for( ulong i=0UL; i<HUGE_CNT; i++ ) {
    c = fd_checkpt_init_mmio( checkpt_mem, region, capacity );
    WORKS( fd_checkpt_open( c, RAW ) );
    WORKS( fd_checkpt_data( c, data, 10UL ) );
    FAILS( FD_CHECKPT_ERR_IO, fd_checkpt_data( c, data, huge[i] ) );
    CHECK_EQ( c->off, 10 );
    CHECK( !memcmp( region, data, 10UL ) && !region[10] );
    CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
  }

  /* A region that claims all of memory: off+sz wraps to 0, to 8. */
  for( ulong i=0UL; i<3UL; i++ ) {
    c = fd_checkpt_init_mmio( checkpt_mem, region, ULONG_MAX );
    WORKS( fd_checkpt_open( c, RAW ) );
    WORKS( fd_checkpt_data( c, data, 10UL ) );
    FAILS( FD_CHECKPT_ERR_IO, fd_checkpt_data( c, data, huge[i] ) );
    CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
  }

  /* LZ4, into a region: it is full before big is at its end. */
  c = fd_checkpt_init_mmio( checkpt_mem, region, capacity );
  WORKS( fd_checkpt_open( c, LZ4 ) );
  FAILS( FD_CHECKPT_ERR_COMP, fd_checkpt_data( c, big, ULONG_MAX ) );
  CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );

  /* RAW, into a file. */
  int fd = test_file();
  for( ulong i=0UL; i<3UL; i++ ) {
    c = checkpt_to( fd, WMIN );
    WORKS( fd_checkpt_open( c, RAW ) );
    WORKS( fd_checkpt_data( c, data, 10UL ) );
    FAILS( FD_CHECKPT_ERR_IO, fd_checkpt_data( c, data, huge[i] ) );
    CHECK_EQ( c->off, 10 );
    CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
  }

  /* A checkpoint whose end offset would overflow. */
  for( int style=RAW; style<=LZ4; style++ ) for( ulong left=0UL; left<8UL; left++ ) {
    c = checkpt_to( fd, WMIN );
    c->off = ULONG_MAX-left;
    ulong off = 777UL;
    WORKS( fd_checkpt_open_advanced( c, style, &off ) );
    CHECK_EQ( off, ULONG_MAX-left );
    FAILS( FD_CHECKPT_ERR_IO, fd_checkpt_data( c, data, 8UL ) );
    CHECK( c->off>=ULONG_MAX-left );
    CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );

    c = fd_checkpt_init_mmio( checkpt_mem, region, capacity );
    c->off = ULONG_MAX-left;
    WORKS( fd_checkpt_open( c, style ) );
    FAILS( style==RAW ? FD_CHECKPT_ERR_IO : FD_CHECKPT_ERR_COMP, fd_checkpt_data( c, data, 8UL ) );
    CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
  }
  c = checkpt_to( fd, WMIN );
  c->off = ULONG_MAX-8UL;
  WORKS( fd_checkpt_open( c, RAW ) );
  WORKS( fd_checkpt_data( c, data, 8UL ) ); /* Ends at the largest offset */
  ulong end = 777UL;
  WORKS( fd_checkpt_close_advanced( c, &end ) );
  CHECK_EQ( end, ULONG_MAX );
  CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
  close( fd );

  /* RAW, out of a region. */
  memset( big, 0x5a, big_sz );
  for( ulong i=0UL; i<HUGE_CNT; i++ ) for( ulong before=0UL; before<11UL; before+=10UL ) {
    r = fd_restore_init_mmio( restore_mem, region, capacity );
    WORKS( fd_restore_open( r, RAW ) );
    WORKS( fd_restore_data( r, big, before ) );
    FAILS( FD_CHECKPT_ERR_IO, fd_restore_data( r, big, huge[i] ) );
    CHECK_EQ( r->off, before );
    CHECK_EQ( fd_restore_fini( r ), restore_mem );
  }
  CHECK_EQ( big[10], 0x5a );

  /* RAW, out of a file that is shorter than the buffer. */
  fd = test_file_of( data, capacity );
  for( ulong i=0UL; i<4UL; i++ ) {
    lseek( fd, 0L, SEEK_SET );
    r = restore_from( fd, RMIN );
    WORKS( fd_restore_open( r, RAW ) );
    WORKS( fd_restore_data( r, big, 10UL ) );
    FAILS( FD_CHECKPT_ERR_IO, fd_restore_data( r, big, i<3UL ? huge[i] : big_sz ) );
    CHECK( i==3UL || r->off==10UL );
    CHECK_EQ( fd_restore_fini( r ), restore_mem );
  }

  /* LZ4: the first chunk is bad, whatever is thought of the size. */
  for( int mmio=0; mmio<2; mmio++ ) {
    static uchar const zeros[] = { 4, 0, 0, 0x30, 'a', 'b', 'c' }; /* 3 bytes where 65536 are wanted */
    int source = test_file_of( zeros, sizeof(zeros) );
    r = mmio ? fd_restore_init_mmio( restore_mem, zeros, sizeof(zeros) ) : restore_from( source, RMIN );
    WORKS( fd_restore_open( r, LZ4 ) );
    FAILS( FD_CHECKPT_ERR_COMP, fd_restore_data( r, big, ULONG_MAX ) );
    CHECK_EQ( fd_restore_fini( r ), restore_mem );
    close( source );
  }

  /* A file position so high that the next would overflow. */
  for( int style=RAW; style<=LZ4; style++ ) {
    close( fd );
    fd = test_file_of( made + (style==LZ4 ? raw_sz : 0UL), 100000UL );
    r  = restore_from( fd, RMIN );
    r->off = ULONG_MAX-3UL;
    WORKS( fd_restore_open( r, style ) );
    FAILS( FD_CHECKPT_ERR_IO, fd_restore_data( r, big, style==LZ4 ? sizes[0] : 4UL ) );
    CHECK( r->off>=ULONG_MAX-3UL );
    CHECK_EQ( fd_restore_fini( r ), restore_mem );
  }
  close( fd );
  free( region );
  free( big );
}

/* Positions *********************************************************/

static void
check_positions( void ) {
  ulong   prefix = 5000UL;
  int     fd     = test_file();
  uchar * junk   = (uchar *)test_alloc( prefix );
  memset( junk, 0xee, prefix );
  test_write_all( fd, junk, prefix );

  /* Writing begins where the descriptor stands, and offsets there. */
  fd_checkpt_t * c   = checkpt_to( fd, WMIN );
  ulong          off = 777UL;
  WORKS( fd_checkpt_open_advanced( c, RAW, &off ) );
  CHECK_EQ( off, 0 );
  WORKS( fd_checkpt_close( c ) );
  WORKS( save_all( c ) );
  CHECK_EQ( c->off, made_sz );
  CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
  ulong   sz;
  uchar * all = test_slurp( fd, &sz );
  CHECK_EQ( sz, prefix+made_sz );
  CHECK( sz==prefix+made_sz && !memcmp( all, junk, prefix ) && !memcmp( all+prefix, made, made_sz ) );
  free( all );

  /* Restoring begins there too, but offsets are the file's. */
  lseek( fd, (off_t)prefix, SEEK_SET );
  fd_restore_t * r = restore_from( fd, RMIN );
  CHECK_EQ( fd_restore_sz( r ), prefix+made_sz );
  WORKS( fd_restore_open_advanced( r, RAW, &off ) );
  CHECK_EQ( off, prefix );
  WORKS( fd_restore_close( r ) );
  for( int i=0; i<2; i++ ) {
    WORKS( load_all( r ) );
    WORKS( fd_restore_open_advanced( r, RAW, &off ) );
    CHECK_EQ( off, prefix+made_sz );
    WORKS( fd_restore_close( r ) );
    WORKS( fd_restore_seek( r, prefix ) );
  }
  WORKS( fd_restore_seek( r, 0UL ) );
  WORKS( test_load( r, RAW, junk, &prefix, 1UL ) );
  CHECK_EQ( fd_restore_fini( r ), restore_mem );

  /* At the end, and beyond it. */
  lseek( fd, 0L, SEEK_END );
  r = restore_from( fd, RMIN );
  CHECK_EQ( r->off, prefix+made_sz );
  CHECK_EQ( fd_restore_fini( r ), restore_mem );
  lseek( fd, 1L, SEEK_END );
  REFUSED( fd_restore_init_stream( restore_mem, fd, iobuf, RMIN ) );
  close( fd );

  /* Another user of the descriptor who moved it, before a seek. */
  fd = test_file_of( made, made_sz );
  r  = restore_from( fd, RMIN );
  WORKS( load_all( r ) );
  lseek( fd, 1234L, SEEK_SET );
  WORKS( fd_restore_seek( r, 0UL ) );
  WORKS( load_all( r ) );
  CHECK_EQ( fd_restore_fini( r ), restore_mem );
  close( fd );
  free( junk );
}

/* A file that grows, or shrinks, after init. */

static void
check_growing( void ) {
  ulong sz[2] = { 100UL, 100UL };
  int   fd    = test_file_of( data, 100UL );
  fd_restore_t * r = restore_from( fd, RMIN );
  CHECK( pwrite( fd, data+100, 150UL, 100L )==150L );
  CHECK_EQ( fd_restore_sz( r ), 100 );
  WORKS( test_load( r, RAW, data, sz, 2UL ) ); /* Reading on works */
  CHECK_EQ( fd_restore_sz( r ), 100 );
  WORKS( fd_restore_seek( r, 100UL ) );
  WORKS( test_load( r, RAW, data+100, sz, 1UL ) );
  FAILS( FD_CHECKPT_ERR_INVAL, fd_restore_seek( r, 101UL ) ); /* Seeking does not */
  CHECK_EQ( fd_restore_fini( r ), restore_mem );

  lseek( fd, 0L, SEEK_SET );
  r = restore_from( fd, RMIN );
  CHECK_EQ( fd_restore_sz( r ), 250 );
  CHECK( !ftruncate( fd, 150L ) );
  WORKS( test_load( r, RAW, data, sz, 1UL ) );
  WORKS( fd_restore_seek( r, 200UL ) );
  WORKS( fd_restore_seek( r, 100UL ) );
  FAILS( FD_CHECKPT_ERR_IO, test_load( r, RAW, data+100, sz, 1UL ) );
  CHECK_EQ( fd_restore_fini( r ), restore_mem );
  close( fd );
}

/* Buffering *********************************************************/

/* The size of the I/O buffer does not matter, frames are complete in the
   file as soon as they are closed, and the descriptor stays open. */

static void
check_buffers( void ) {
  static ulong const iobuf_sz[] = { WMIN, WMIN+1UL, 70001UL, 100000UL, 1UL<<20, IOBUF_MAX };
  for( ulong i=0UL; i<sizeof(iobuf_sz)/sizeof(iobuf_sz[0]); i++ ) {
    int            fd = test_file();
    fd_checkpt_t * c  = checkpt_to( fd, iobuf_sz[i] );
    for( int frame=0; frame<3; frame++ ) {
      WORKS( test_save( c, frame ? LZ4 : RAW, data, sizes, SIZE_CNT ) );
      CHECK_EQ( test_file_sz( fd ), c->off ); /* Before fini */
      ulong   sz;
      uchar * all = test_slurp( fd, &sz );
      CHECK( sz<=made_sz && !memcmp( all, made, sz ) );
      free( all );
    }
    CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );
    CHECK_EQ( test_file_sz( fd ), made_sz );
    CHECK( fcntl( fd, F_GETFD )!=-1 );

    lseek( fd, 0L, SEEK_SET );
    fd_restore_t * r = restore_from( fd, iobuf_sz[i] );
    WORKS( load_all( r ) );
    WORKS( fd_restore_seek( r, raw_sz ) ); /* Drops what was read ahead */
    WORKS( test_load( r, LZ4, data, sizes, SIZE_CNT ) );
    WORKS( fd_restore_seek( r, 0UL ) );
    WORKS( test_load( r, RAW, data, sizes, 2UL ) );
    CHECK_EQ( fd_restore_fini( r ), restore_mem );
    CHECK( fcntl( fd, F_GETFD )!=-1 );
    close( fd );
  }
}

/* RAW: buffers around the size of the I/O buffer, at many fill levels of
   it, with a small one after. */

static void
check_levels( void ) {
  static ulong const levels[] = { 0UL, 1UL, 2UL, 3UL, 1000UL, 4096UL, 34816UL, 65536UL,
                                  WMIN-3UL, WMIN-2UL, WMIN-1UL, WMIN, WMIN+1UL };
  static ulong const middle[] = { 1UL, 2UL, WMIN-2UL, WMIN-1UL, WMIN, WMIN+1UL,
                                  2UL*WMIN-1UL, 2UL*WMIN, 2UL*WMIN+1UL, 5UL*WMIN+7UL };
  int     fd  = test_file();
  uchar * got = (uchar *)test_alloc( DATA_SZ );
  for( ulong i=0UL; i<sizeof(levels)/sizeof(levels[0]); i++ ) for( ulong j=0UL; j<sizeof(middle)/sizeof(middle[0]); j++ ) {
    ulong sz[3] = { levels[i], middle[j], 3UL };
    ulong total = sz[0]+sz[1]+sz[2];
    CHECK( !ftruncate( fd, 0L ) );
    lseek( fd, 0L, SEEK_SET );
    fd_checkpt_t * c = checkpt_to( fd, WMIN );
    CHECK_EQ_MSG( test_save( c, RAW, data, sz, 3UL ), 0, "level %lu size %lu", sz[0], sz[1] );
    CHECK_EQ_MSG( test_file_sz( fd ), total, "level %lu size %lu", sz[0], sz[1] );
    CHECK( pread( fd, got, total, 0L )==(ssize_t)total );
    CHECK_MSG( !memcmp( got, data, total ), "level %lu size %lu", sz[0], sz[1] );
    CHECK_EQ( fd_checkpt_fini( c ), checkpt_mem );

    lseek( fd, 0L, SEEK_SET );
    fd_restore_t * r = restore_from( fd, RMIN );
    CHECK_EQ_MSG( test_load( r, RAW, data, sz, 3UL ), 0, "level %lu size %lu", sz[0], sz[1] );
    CHECK_EQ( fd_restore_fini( r ), restore_mem );

    /* Two bytes into the read buffer the same again. */
    lseek( fd, 0L, SEEK_SET );
    sz[1] -= sz[1]>2UL ? 2UL : 0UL;
    ulong two = 2UL;
    r = restore_from( fd, RMIN );
    CHECK_EQ( test_load( r, RAW, data, &two, 1UL ), 0 );
    CHECK_EQ_MSG( test_load( r, RAW, data+2, sz, 2UL ), 0, "level %lu size %lu", sz[0], sz[1] );
    CHECK_EQ( fd_restore_fini( r ), restore_mem );
  }
  free( got );
  close( fd );
}

TEST_MAIN( "io" ) {
  /* A pipe without a reader is an error to be returned here. */
  struct sigaction act, old_act;
  memset( &act, 0, sizeof(act) );
  act.sa_handler = SIG_IGN;
  sigaction( SIGPIPE, &act, &old_act );

  iobuf = (uchar *)test_alloc( IOBUF_MAX );
  data  = (uchar *)test_alloc( DATA_SZ );
  test_fill( data, DATA_SZ, 2UL );
  make();

  check_short();
  check_eintr();
  check_waiting();
  check_peer_leaves();
  check_eof();
  check_errors();
  check_file_limit();
  check_devices();
  check_overflow();
  check_positions();
  check_growing();
  check_buffers();
  check_levels();

  free( made  );
  free( data  );
  free( iobuf );
  sigaction( SIGPIPE, &old_act, NULL );
}
