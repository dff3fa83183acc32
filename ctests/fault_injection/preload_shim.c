/* preload_shim.c: stands between the library and the system (by
   LD_PRELOAD), and makes calls fail as planned.  See faults.h.

   Meant for one thread that uses the library.  Threads that the library
   starts belong to it; others may run beside them: their calls pass. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "faults.h"

static struct {
  int           kind;
  long          nth;
  int           fault;
  long          span;
  int           fd;
  unsigned long cap;
  int           would_block;
  int           blocked;  /* The last read or write gave EAGAIN for it */
  long          calls;    /* So many of the kind were made */
  long          injected;
} plan;

/* Initial-exec: the access must not allocate. */
static __thread int armed __attribute__((tls_model("initial-exec")));

/* What the library has not given back: allocations and maps. */
#define LIVE_MAX (1024)
static void * live[ LIVE_MAX ];
static long   live_cnt;

void faults_plan( int kind, long nth, int fault, long span, int fd, unsigned long cap, int would_block );
void faults_arm( int on );
long faults_injected( void );
long faults_live( void );

void
faults_plan( int           kind,
             long          nth,
             int           fault,
             long          span,
             int           fd,
             unsigned long cap,
             int           would_block ) {
  memset( &plan, 0, sizeof(plan) );
  plan.kind        = kind;
  plan.nth         = nth;
  plan.fault       = fault;
  plan.span        = span;
  plan.fd          = fd;
  plan.cap         = cap;
  plan.would_block = would_block;
  live_cnt         = 0L; /* What the last run leaked was reported */
}

void faults_arm     ( int on ) { armed = on;           }
long faults_injected( void )   { return plan.injected; }
long faults_live    ( void )   { return live_cnt;      }

/* REAL( name ) is the system's own function. */
#define REAL( name ) ({                                                        \
    static __typeof__(name) * real;                                            \
    if( !real ) {                                                              \
      void * found = dlsym( RTLD_NEXT, #name );                                \
      memcpy( &real, &found, sizeof(real) ); /* C has no cast for this */      \
    }                                                                          \
    real;                                                                      \
  })

/* is_due counts a call, and says whether it gets the fault. */

static int
is_due( int kind ) {
  if( !armed || kind!=plan.kind ) return 0;
  long call = __atomic_add_fetch( &plan.calls, 1L, __ATOMIC_SEQ_CST );
  if( call<plan.nth || call-plan.nth>=plan.span ) return 0;
  __atomic_add_fetch( &plan.injected, 1L, __ATOMIC_SEQ_CST );
  return 1;
}

/* fails is is_due where the only fault is an errno, which it sets. */

static int
fails( int kind ) {
  if( !is_due( kind ) ) return 0;
  errno = plan.fault;
  return 1;
}

static int is_watched( int fd ) { return armed && (fd==plan.fd || plan.fd==ANY_FD); }

/* Reading and writing ***********************************************/

/* decide says what becomes of a call that asks for total bytes: -1 (errno
   is set) or 0 to return that, else 1, and *limit is the most bytes that
   it may transfer. */

static int
decide( int             kind,
        int             fd,
        unsigned long   total,
        unsigned long * limit ) {
  *limit = total;
  if( !is_watched( fd ) ) return 1;
  if( is_due( kind ) ) {
    switch( plan.fault ) {
    case FAULT_ONE:     *limit = total ? 1UL : 0UL;     return 1;
    case FAULT_HALF:    *limit = total/2UL + total%2UL; return 1;
    case FAULT_NOTHING:                                 return 0;
    default:            errno = plan.fault;             return -1;
    }
  }
  if( plan.would_block && __atomic_fetch_xor( &plan.blocked, 1, __ATOMIC_SEQ_CST )==0 ) {
    errno = EAGAIN;
    return -1;
  }
  if( plan.cap && *limit>plan.cap ) *limit = plan.cap;
  return 1;
}

ssize_t
read( int    fd,
      void * buf,
      size_t sz ) {
  unsigned long limit;
  int           go = decide( KIND_READ, fd, sz, &limit );
  return go<=0 ? go : REAL( read )( fd, buf, limit );
}

ssize_t
pread( int    fd,
       void * buf,
       size_t sz,
       off_t  offset ) {
  unsigned long limit;
  int           go = decide( KIND_READ, fd, sz, &limit );
  return go<=0 ? go : REAL( pread )( fd, buf, limit, offset );
}

/* A call that is to transfer less does so in its first part. */

ssize_t
preadv( int                  fd,
        struct iovec const * parts,
        int                  cnt,
        off_t                offset ) {
  unsigned long limit;
  if( !is_watched( fd ) || cnt<1 ) return REAL( preadv )( fd, parts, cnt, offset );
  int go = decide( KIND_READ, fd, parts->iov_len, &limit );
  if( go<=0 ) return go;
  if( limit<parts->iov_len ) return REAL( pread )( fd, parts->iov_base, limit, offset );
  return REAL( preadv )( fd, parts, cnt, offset );
}

ssize_t
write( int          fd,
       void const * buf,
       size_t       sz ) {
  unsigned long limit;
  int           go = decide( KIND_WRITE, fd, sz, &limit );
  return go<=0 ? go : REAL( write )( fd, buf, limit );
}

ssize_t
pwrite( int          fd,
        void const * buf,
        size_t       sz,
        off_t        off ) {
  unsigned long limit;
  int           go = decide( KIND_PWRITE, fd, sz, &limit );
  return go<=0 ? go : REAL( pwrite )( fd, buf, limit, off );
}

/* vector is readv or writev. */

static ssize_t
vector( int                  kind,
        ssize_t           (* real)( int, struct iovec const *, int ),
        int                  fd,
        struct iovec const * parts,
        int                  cnt ) {
  struct iovec  cut[ 16 ];
  unsigned long total = 0UL;
  unsigned long limit;
  if( !is_watched( fd ) || cnt<0 || cnt>16 ) return real( fd, parts, cnt );
  for( int i=0; i<cnt; i++ ) total += parts[i].iov_len;
  int go = decide( kind, fd, total, &limit );
  if( go<=0 ) return go;
  for( int i=0; i<cnt; i++ ) {
    cut[i] = parts[i];
    if( cut[i].iov_len>limit ) cut[i].iov_len = limit;
    limit -= cut[i].iov_len;
  }
  return real( fd, cut, cnt );
}

ssize_t readv ( int fd, struct iovec const * parts, int cnt ) { return vector( KIND_READV,  REAL( readv ),  fd, parts, cnt ); }
ssize_t writev( int fd, struct iovec const * parts, int cnt ) { return vector( KIND_WRITEV, REAL( writev ), fd, parts, cnt ); }

/* The C library's header says that poll doesn't read fds. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

int
poll( struct pollfd * fds,
      nfds_t          cnt,
      int             timeout ) {
  if( cnt==1UL && is_watched( fds->fd ) && fails( KIND_POLL ) ) return -1;
  return REAL( poll )( fds, cnt, timeout );
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/* Places and sizes **************************************************/

off_t
lseek( int   fd,
       off_t off,
       int   whence ) {
  if( is_watched( fd ) && fails( KIND_LSEEK ) ) return -1L;
  return REAL( lseek )( fd, off, whence );
}

off64_t
lseek64( int     fd,
         off64_t off,
         int     whence ) {
  if( is_watched( fd ) && fails( KIND_LSEEK ) ) return -1L;
  return REAL( lseek64 )( fd, off, whence );
}

int
fstat( int           fd,
       struct stat * st ) {
  if( is_watched( fd ) && fails( KIND_STAT ) ) return -1;
  return REAL( fstat )( fd, st );
}

int
fstat64( int             fd,
         struct stat64 * st ) {
  if( is_watched( fd ) && fails( KIND_STAT ) ) return -1;
  return REAL( fstat64 )( fd, st );
}

/* Rust's way to say fstat. */

int
statx( int             fd,
       char const *    path,
       int             flags,
       unsigned        mask,
       struct statx *  st ) {
  if( is_watched( fd ) && fails( KIND_STAT ) ) return -1;
  return REAL( statx )( fd, path, flags, mask, st );
}

int
ftruncate( int   fd,
           off_t sz ) {
  if( is_watched( fd ) && fails( KIND_CUT ) ) return -1;
  return REAL( ftruncate )( fd, sz );
}

int
fallocate( int   fd,
           int   mode,
           off_t offset,
           off_t sz ) {
  if( is_watched( fd ) && fails( KIND_CUT ) ) return -1;
  return REAL( fallocate )( fd, mode, offset, sz );
}

/* Names *************************************************************/

int
openat( int          dir,
        char const * name,
        int          flags,
        ... ) {
  va_list args;
  va_start( args, flags );
  mode_t mode = flags & O_CREAT ? va_arg( args, mode_t ) : 0;
  va_end( args );
  if( fails( KIND_OPEN ) ) return -1;
  return REAL( openat )( dir, name, flags, mode );
}

int
fsync( int fd ) {
  if( is_watched( fd ) && fails( KIND_SYNC ) ) return -1;
  return REAL( fsync )( fd );
}

int
flock( int fd,
       int operation ) {
  if( is_watched( fd ) && fails( KIND_LOCK ) ) return -1;
  return REAL( flock )( fd, operation );
}

int
renameat( int          from_directory,
          char const * from,
          int          to_directory,
          char const * to ) {
  if( fails( KIND_RENAME ) ) return -1;
  return REAL( renameat )( from_directory, from, to_directory, to );
}

/* Closed it is in any case, as by the system. */

int
close( int fd ) {
  int fault = is_watched( fd ) && is_due( KIND_CLOSE );
  int err   = REAL( close )( fd );
  if( !fault ) return err;
  errno = plan.fault;
  return -1;
}

/* Threads ***********************************************************/

typedef struct { void * (* start)( void * ); void * arg; } start_t;

static void *
start_armed( void * arg ) {
  start_t to_start = *(start_t *)arg;
  free( arg );
  armed = 1;
  void * result = to_start.start( to_start.arg );
  armed = 0;
  return result;
}

int
pthread_create( pthread_t *            thread,
                pthread_attr_t const * attr,
                void *              (* start)( void * ),
                void *                 arg ) {
  if( is_due( KIND_THREAD ) ) return plan.fault;
  if( !armed ) return REAL( pthread_create )( thread, attr, start, arg );
  /* What the system keeps for threads is not the library's. */
  armed = 0;
  start_t * to_start = (start_t *)malloc( sizeof(start_t) );
  if( !to_start ) abort();
  *to_start = (start_t){ start, arg };
  int err = REAL( pthread_create )( thread, attr, start_armed, to_start );
  if( err ) free( to_start );
  armed = 1;
  return err;
}

/* Memory ************************************************************/

static int live_locked;

static void lock_live  ( void ) { while( __atomic_exchange_n( &live_locked, 1, __ATOMIC_ACQUIRE ) ) {} }
static void unlock_live( void ) { __atomic_store_n( &live_locked, 0, __ATOMIC_RELEASE ); }

static void *
born( void * mem ) {
  if( armed && mem ) {
    lock_live();
    if( live_cnt==LIVE_MAX ) abort(); /* The library has so few that it leaks in masses */
    live[ live_cnt++ ] = mem;
    unlock_live();
  }
  return mem;
}

static int
gone( void * mem ) {
  int was = 0;
  if( !mem || !__atomic_load_n( &live_cnt, __ATOMIC_RELAXED ) ) return 0;
  lock_live();
  for( long i=live_cnt-1L; i>=0L; i-- ) {
    if( live[i]!=mem ) continue;
    live[i] = live[ --live_cnt ];
    was = 1;
    break;
  }
  unlock_live();
  return was;
}

static void *
map( void * ( * real)( void *, size_t, int, int, int, off_t ),
     void *     at,
     size_t     sz,
     int        prot,
     int        flags,
     int        fd,
     off_t      off ) {
  if( !is_watched( fd ) ) return real( at, sz, prot, flags, fd, off );
  if( fails( KIND_MMAP ) ) return MAP_FAILED;
  void * mem = real( at, sz, prot, flags, fd, off );
  return mem==MAP_FAILED ? mem : born( mem );
}

void *
mmap( void * at, size_t sz, int prot, int flags, int fd, off_t off ) {
  return map( REAL( mmap ), at, sz, prot, flags, fd, off );
}

void *
mmap64( void * at, size_t sz, int prot, int flags, int fd, off64_t off ) {
  return map( REAL( mmap64 ), at, sz, prot, flags, fd, off );
}

/* A munmap that is to fail is made all the same: the library has tried,
   and many thousand runs need the space. */

int
munmap( void * mem,
        size_t sz ) {
  gone( mem );
  int err = REAL( munmap )( mem, sz );
  return fails( KIND_MUNMAP ) ? -1 : err;
}

void * malloc( size_t sz )             { return fails( KIND_ALLOC ) ? NULL : born( REAL( malloc )( sz ) );      }
void * calloc( size_t cnt, size_t sz ) { return fails( KIND_ALLOC ) ? NULL : born( REAL( calloc )( cnt, sz ) ); }

void *
realloc( void * old,
         size_t sz ) {
  if( fails( KIND_ALLOC ) ) return NULL;
  int    was = gone( old );
  void * mem = REAL( realloc )( old, sz );
  if( !mem && sz && was ) born( old );
  return born( mem );
}

void * aligned_alloc( size_t align, size_t sz ) { return fails( KIND_ALLOC ) ? NULL : born( REAL( aligned_alloc )( align, sz ) ); }

int
posix_memalign( void ** mem,
                size_t  align,
                size_t  sz ) {
  if( is_due( KIND_ALLOC ) ) return plan.fault;
  int err = REAL( posix_memalign )( mem, align, sz );
  if( !err ) born( *mem );
  return err;
}

void
free( void * mem ) {
  gone( mem );
  REAL( free )( mem );
}
