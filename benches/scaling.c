/* scaling.c: what several threads gain, beside what one needs for the same
   work in the same run.

     scaling [--threads N] [--mib N] [--rounds N] [--dir DIR] DATA...

   One and N threads take turns, and who goes first alternates; the ratio
   (time of one / time of N: above 1, N are faster) is the median of the
   ratios of the pairs.  Time is that on the wall, so the machine must have
   nothing else to do: the row "limit" tells what it can give, that is N
   threads which compress a part each, with handles of their own and
   nothing in common.

     one buffer   fd_checkpt_data of all of it in one call, in a LZ4 frame
     frames       fdckpt_frames_* of frames of 4 MiB
     small, pool  a call for four frames of 256 KiB: with threads that are
                  started for it, and with those of a pool

   Memory is touched before, files lie in DIR and are overwritten in place. */

#define _GNU_SOURCE

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <time.h>

#include "fd_checkpt.h"
#include "fdckpt.h"

#include "corpus.h"

#define RAW FD_CHECKPT_FRAME_STYLE_RAW
#define LZ4 FD_CHECKPT_FRAME_STYLE_LZ4

#define FRAME_SZ   (4UL<<20)
#define FRAME_MAX  (1024UL)
#define ROUNDS_MAX (101UL)
#define THREAD_MAX (64UL)

__attribute__((noreturn,format(printf,1,2))) static void
die( char const * format,
     ... ) {
  va_list args;
  va_start( args, format );
  fprintf( stderr, "threads: " );
  vfprintf( stderr, format, args );
  fprintf( stderr, "\n" );
  va_end( args );
  exit( 1 );
}

static ulong   threads = 2UL;
static ulong   rounds  = 9UL;
static uchar * corpus;
static ulong   corpus_sz;
static uchar * region;
static ulong   region_sz;
static uchar * restored;
static int     file;
static uchar   io_buffer[ 1UL<<20 ];

static fdckpt_buffer_t buf  [ FRAME_MAX ];
static fdckpt_frame_t  frame[ FRAME_MAX ];
static ulong           frame_cnt;

static double
now( void ) {
  struct timespec t;
  clock_gettime( CLOCK_MONOTONIC, &t );
  return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

static uchar *
touched( ulong sz ) {
  void * mem = mmap( NULL, sz, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L );
  if( mem==MAP_FAILED ) die( "mmap of %lu bytes: %s", sz, strerror( errno ) );
  memset( mem, 0xA5, sz );
  return (uchar *)mem;
}

/* What is measured: each does its work on cnt threads. ***************/

struct row;
typedef struct row row_t;

struct row {
  char const * name;
  int          style;
  ulong        sz;   /* Of the corpus */
  double    (* run)( row_t const *, ulong cnt );
};

/* compress is one thread's part with a handle of its own. */

static void
compress( int style, int fd, uchar const * from, ulong sz, uchar * to, ulong to_sz ) {
  static __thread fd_checkpt_t handle[1];
  fd_checkpt_t * c = fd<0 ? fd_checkpt_init_mmio( handle, to, to_sz )
                          : fd_checkpt_init_stream( handle, fd, io_buffer, sizeof(io_buffer) );
  if( !c || fd_checkpt_open( c, style ) || fd_checkpt_data( c, from, sz ) || fd_checkpt_close( c ) ) die( "compressing failed" );
  fd_checkpt_fini( c );
}

static double
one_buffer( row_t const * r,
            ulong         cnt ) {
  int to_file = strstr( r->name, "stream" )!=NULL;
  fdckpt_set_max_threads( (unsigned)cnt );
  if( lseek( file, 0L, SEEK_SET ) ) die( "lseek: %s", strerror( errno ) );
  double begin = now();
  compress( r->style, to_file ? file : -1, corpus, r->sz, region, region_sz );
  double seconds = now()-begin;
  fdckpt_set_max_threads( 1U );
  return seconds;
}

static double
restore_buffer( row_t const * r,
                ulong         cnt ) {
  static fd_restore_t handle[1];
  fdckpt_set_max_threads( (unsigned)cnt );
  if( lseek( file, 0L, SEEK_SET ) ) die( "lseek: %s", strerror( errno ) );
  fd_restore_t * c     = fd_restore_init_stream( handle, file, io_buffer, sizeof(io_buffer) );
  double         begin = now();
  if( !c || fd_restore_open( c, r->style ) || fd_restore_data( c, restored, r->sz ) || fd_restore_close( c ) ) die( "restoring failed" );
  double seconds = now()-begin;
  fd_restore_fini( c );
  fdckpt_set_max_threads( 1U );
  return seconds;
}

static struct { ulong from, sz; uchar * to; ulong to_sz; int style; } part[ THREAD_MAX ];

static void *
do_part( void * arg ) {
  ulong i = (ulong)arg;
  compress( part[i].style, -1, corpus+part[i].from, part[i].sz, part[i].to, part[i].to_sz );
  return NULL;
}

static double
limit( row_t const * r,
       ulong         cnt ) {
  pthread_t thread[ THREAD_MAX ];
  double    begin = now();
  for( ulong i=0UL; i<cnt; i++ ) {
    part[i].from  = r->sz/cnt*i;
    part[i].sz    = r->sz/cnt;
    part[i].to    = region+region_sz/cnt*i;
    part[i].to_sz = region_sz/cnt;
    part[i].style = r->style;
    if( pthread_create( &thread[i], NULL, do_part, (void *)i ) ) die( "a thread can't be started" );
  }
  for( ulong i=0UL; i<cnt; i++ ) pthread_join( thread[i], NULL );
  return now()-begin;
}

static void
make_frames( row_t const * r,
             uchar *       mem,
             ulong         frame_sz ) {
  frame_cnt = 0UL;
  for( ulong at=0UL; at<r->sz && frame_cnt<FRAME_MAX; at+=frame_sz, frame_cnt++ ) {
    buf  [ frame_cnt ].data     = mem+at;
    buf  [ frame_cnt ].size      = r->sz-at<frame_sz ? r->sz-at : frame_sz;
    frame[ frame_cnt ].style   = r->style;
    frame[ frame_cnt ].buffer_count = 1UL;
    frame[ frame_cnt ].buffers    = &buf[ frame_cnt ];
  }
}

static double
frames( row_t const * r,
        ulong         cnt ) {
  int   back     = strstr( r->name, "restore" )!=NULL;
  int   small    = strstr( r->name, "small"   )!=NULL;
  int   times    = small ? 50 : 1;
  fdckpt_thread_pool_t * pool = strstr( r->name, "pool" ) ? fdckpt_thread_pool_new( (int)cnt ) : NULL;
  make_frames( r, back ? restored : corpus, small ? 256UL<<10 : FRAME_SZ );
  if( lseek( file, 0L, SEEK_SET ) ) die( "lseek: %s", strerror( errno ) );
  if( pool ) fdckpt_thread_pool_set_current( pool );
  int    err   = 0;
  double begin = now();
  for( int i=0; i<times && !err; i++ ) {
    if(      strstr( r->name, "from memory" ) ) err = fdckpt_frames_read_memory( frame, frame_cnt, region, region_sz, (int)cnt );
    else if( strstr( r->name, "from file"   ) ) err = fdckpt_frames_read_file( frame, frame_cnt, file, (int)cnt );
    else if( strstr( r->name, "to stream"   ) ) err = fdckpt_frames_write_stream( frame, frame_cnt, file, NULL, (int)cnt );
    else if( strstr( r->name, "to file"     ) ) err = fdckpt_frames_write_file( frame, frame_cnt, file, NULL, (int)cnt );
    else                                        err = fdckpt_frames_write_memory( frame, frame_cnt, region, region_sz, NULL, (int)cnt );
  }
  double seconds = now()-begin;
  fdckpt_thread_pool_free( pool );
  if( err ) die( "%s: error %d", r->name, err );
  return seconds;
}

static int
compare_doubles( void const * a,
                 void const * b ) {
  double x = *(double const *)a;
  double y = *(double const *)b;
  return (x>y)-(x<y);
}

static void
measure( row_t const * r ) {
  static double seconds[ 2 ][ ROUNDS_MAX ];
  static double ratio[ ROUNDS_MAX ];
  ulong const   cnt[ 2 ] = { 1UL, threads };
  /* What is restored: the frames, as they are made there by the rows before. */
  int back = strstr( r->name, "restore" )!=NULL;
  r->run( r, 1UL );
  for( ulong i=0UL; i<rounds; i++ ) {
    for( ulong k=0UL; k<2UL; k++ ) {
      ulong who = (i+k) & 1UL;
      if( back ) memset( restored, 0xA5, r->sz );
      seconds[ who ][ i ] = r->run( r, cnt[ who ] );
      if( back && memcmp( restored, corpus, r->sz ) ) die( "%s: something else was restored", r->name );
    }
    ratio[ i ] = seconds[ 0 ][ i ]/seconds[ 1 ][ i ];
  }
  qsort( ratio, rounds, sizeof(double), compare_doubles );
  for( int k=0; k<2; k++ ) qsort( seconds[ k ], rounds, sizeof(double), compare_doubles );
  printf( "%-34s %5lu MiB %9.2f ms %9.2f ms   %6.3f  %6.3f .. %5.3f\n", r->name, r->sz>>20, 1e3*seconds[0][ rounds/2UL ],
          1e3*seconds[1][ rounds/2UL ], ratio[ rounds/2UL ], ratio[ rounds/4UL ], ratio[ rounds-1UL-rounds/4UL ] );
  fflush( stdout );
}

int
main( int     argc,
      char ** argv ) {
  char const * dir = "/dev/shm";
  ulong        mib = 256UL;
  int          arg = 1;
  for( ; arg+1<argc && !strncmp( argv[ arg ], "--", 2UL ); arg+=2 ) {
    char const * name = argv[ arg ]+2;
    if(      !strcmp( name, "threads" ) ) threads = strtoul( argv[ arg+1 ], NULL, 10 );
    else if( !strcmp( name, "mib"     ) ) mib     = strtoul( argv[ arg+1 ], NULL, 10 );
    else if( !strcmp( name, "rounds"  ) ) rounds  = strtoul( argv[ arg+1 ], NULL, 10 );
    else if( !strcmp( name, "dir"     ) ) dir     = argv[ arg+1 ];
    else die( "no such option: %s", argv[ arg ] );
  }
  if( !threads || threads>THREAD_MAX || !rounds || rounds>ROUNDS_MAX || !mib || mib>FRAME_MAX || arg==argc || argc-arg>CORPUS_ROOTS )
    die( "usage: scaling [--threads N] [--mib N] [--rounds N] [--dir DIR] DATA..." );
  corpus_sz = mib<<20;
  region_sz = corpus_sz + corpus_sz/64UL + (1UL<<20);
  corpus    = touched( corpus_sz );
  region    = touched( region_sz );
  restored  = touched( corpus_sz );
  char path[ 4096 ];
  snprintf( path, sizeof(path), "%s/threads-XXXXXX", dir );
  file = mkstemp( path );
  if( file<0 ) die( "%s: %s", path, strerror( errno ) );
  unlink( path );

  for( int what=0; what<3; what++ ) {
    ulong all = what ? corpus_sz/4UL : corpus_sz;
    if( all<(1UL<<20) ) all = corpus_sz;
    switch( what ) {
    case 0:  if( !corpus_tar( corpus, all, (char const * const *)argv+arg, (ulong)(argc-arg) ) ) die( "there are no files" ); break;
    case 1:  corpus_records( corpus, all );    break;
    default: corpus_letters( corpus, all, 0 ); break;
    }
    printf( "\n%s\n%-38s %11s %9s %lu threads   %6s  %s\n", what==0 ? "tar" : what==1 ? "records" : "letters (ACGT)", "", "", "one",
            threads, "ratio", "quartiles" );
    ulong sizes[] = { all/64UL, all/16UL, all/4UL, all };
    for( ulong i=0UL; i<4UL; i++ ) if( sizes[i]>=(1UL<<20) )
      measure( &(row_t){ "one buffer, mmio", LZ4, sizes[i], one_buffer } );
    if( what ) continue;
    row_t const rows[] = {
      { "one buffer, stream",          LZ4, all/16UL, one_buffer     },
      { "one buffer, stream",          LZ4, all,      one_buffer     },
      { "one buffer, restore stream",  LZ4, all,      restore_buffer },
      { "limit",                       LZ4, all,      limit          },
      { "frames to stream",            LZ4, all,      frames         },
      { "frames to file",              LZ4, all,      frames         },
      { "frames, restore from file",   LZ4, all,      frames         },
      { "frames to memory",            LZ4, all,      frames         },
      { "frames, restore from memory", LZ4, all,      frames         },
      { "small frames",         LZ4, 1UL<<20,  frames         },
      { "small frames, with a pool",          LZ4, 1UL<<20,  frames         },
      { "frames to file",              RAW, all,      frames         },
      { "frames, restore from file",   RAW, all,      frames         },
      { "frames to memory",            RAW, all,      frames         },
      { "frames, restore from memory", RAW, all,      frames         },
    };
    for( ulong i=0UL; i<sizeof(rows)/sizeof(rows[0]); i++ ) {
      if( rows[i].style==RAW && (!i || rows[i-1].style==LZ4) ) printf( "RAW\n" );
      measure( &rows[i] );
    }
  }
  return 0;
}
