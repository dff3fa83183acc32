/* throughput.c: measures two libraries with the API of fd_checkpt.h in turn, on
   one thread.  `make bench` runs it; --help lists the options.

   A row is one way of use: style, mode, data, size of the buffers, meta or
   data, checkpt or restore.  Before a row is measured, both libraries do
   its work once and the results are compared byte for byte.  One
   measurement is a frame from open to close; how much it holds is chosen
   so that it takes --ms.  Buffers below 4096 bytes add up to 2 MiB at most,
   in several frames: it is the calls that count there, not the way of
   their data to the memory.

   The two libraries take turns, and who goes first alternates.  The ratio
   of a row (time of the other / time of ours: above 1 ours is faster) is
   the median of the ratios of the pairs; beside it stand the quartiles.
   Many short measurements tell more than few long ones, since what else the
   machine does then disturbs single pairs.  Two copies of one library gave
   ratios within 3 % of 1 in all but a few rows even on a busy machine; RAW
   rows of 8 bytes differ by 5 % by where a library happens to be loaded.

   Both are given the same memory in turn, all of it touched before.  Large
   pieces of memory begin at a page; what is written to begins 2048 bytes
   after a page boundary, as copies are several times slower on some processors where
   the distance is a little over a multiple of 4096, which has nothing to
   do with the libraries.  A file is overwritten in place, so its pages are
   there already.

   RAW rows have one kind of data only, as nothing looks at it.

   From 4096 bytes on the limit is measured in the same turns, that is what
   the work would cost without a library:

     RAW mmio     memcpy of each buffer
     RAW stream   write(2) or read(2) of each buffer, straight from or to
                  its memory; below 64 KiB of 64 KiB at a time, as if the
                  gathering cost nothing (no library can reach that)
     LZ4 mmio     LZ4's streaming functions on the chunks where they lie,
                  without a ring
     LZ4 stream   the same, with write(2) or read(2) of about 64 KiB

   For a profiler, or to count instructions (those of N+1 times less those
   of N times are of the frame alone):

     valgrind --tool=callgrind bench --loop 2 --ours LIB --mib 1 --rows lz4/mmio/acgt/16/meta/restore */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <regex.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <time.h>

#include "fd_checkpt.h"
#include "lz4.h"

#include "corpus.h"

#define RAW FD_CHECKPT_FRAME_STYLE_RAW
#define LZ4 FD_CHECKPT_FRAME_STYLE_LZ4

#define CHUNK      FD_CHECKPT_PRIVATE_CHUNK_USZ_MAX
#define WBUF_SZ    FD_CHECKPT_WBUF_MIN /* The least, as most callers have it */
#define PIECE      (65536UL)           /* I/O of the limit */
#define SHOW_SPEED (4096UL)            /* From here on GB/s and the limit */
#define SMALL_SET  (2UL<<20)           /* Bytes that small buffers add up to, at most */
#define PAIRS_MIN  (5UL)               /* So many at least, but else ... */
#define PAIRS_TIME (0.4)               /* ... no more than take a library this number of seconds */

__attribute__((noreturn,format(printf,1,2))) static void
die( char const * format,
     ... ) {
  va_list args;
  va_start( args, format );
  fprintf( stderr, "bench: " );
  vfprintf( stderr, format, args );
  fprintf( stderr, "\n" );
  va_end( args );
  exit( 1 );
}

/* Libraries *********************************************************/

typedef int (* put_t)( fd_checkpt_t *, void const *, ulong );
typedef int (* get_t)( fd_restore_t *, void *,       ulong );

struct api {
  char const * path;
  void const * base; /* Where it is loaded */
  fd_checkpt_t * (* checkpt_init_stream)( void *, int, void *, ulong );
  fd_checkpt_t * (* checkpt_init_mmio  )( void *, void *, ulong );
  void *         (* checkpt_fini       )( fd_checkpt_t * );
  int            (* checkpt_open       )( fd_checkpt_t *, int, ulong * );
  int            (* checkpt_close      )( fd_checkpt_t *, ulong * );
  put_t             put[2]; /* data, meta */
  fd_restore_t * (* restore_init_stream)( void *, int, void *, ulong );
  fd_restore_t * (* restore_init_mmio  )( void *, void const *, ulong );
  void *         (* restore_fini       )( fd_restore_t * );
  int            (* restore_open       )( fd_restore_t *, int, ulong * );
  int            (* restore_close      )( fd_restore_t *, ulong * );
  get_t             get[2];
};

typedef struct api api_t;

static void
check_nothing_interposes( void ) {
  if( dlsym( RTLD_DEFAULT, "fd_checkpt_meta" ) || dlsym( RTLD_DEFAULT, "LZ4_compress_fast_continue" ) )
    die( "the process has functions of these names for all to see: one library would use those of another" );
}

static void
load( api_t *      api,
      char const * path ) {
  void * lib = dlopen( path, RTLD_NOW | RTLD_LOCAL );
  if( !lib ) die( "%s", dlerror() );
  api->path = path;
  struct { char const * name; void * at; } const function[] = {
    { "fd_checkpt_init_stream",    &api->checkpt_init_stream },
    { "fd_checkpt_init_mmio",      &api->checkpt_init_mmio   },
    { "fd_checkpt_fini",           &api->checkpt_fini        },
    { "fd_checkpt_open_advanced",  &api->checkpt_open        },
    { "fd_checkpt_close_advanced", &api->checkpt_close       },
    { "fd_checkpt_data",           &api->put[0]              },
    { "fd_checkpt_meta",           &api->put[1]              },
    { "fd_restore_init_stream",    &api->restore_init_stream },
    { "fd_restore_init_mmio",      &api->restore_init_mmio   },
    { "fd_restore_fini",           &api->restore_fini        },
    { "fd_restore_open_advanced",  &api->restore_open        },
    { "fd_restore_close_advanced", &api->restore_close       },
    { "fd_restore_data",           &api->get[0]              },
    { "fd_restore_meta",           &api->get[1]              },
  };
  for( ulong i=0UL; i<sizeof(function)/sizeof(function[0]); i++ ) {
    void *  f = dlsym( lib, function[i].name );
    Dl_info info;
    if( !f || !dladdr( f, &info ) ) die( "%s has no %s", path, function[i].name );
    if( !i ) api->base = info.dli_fbase;
    if( info.dli_fbase!=api->base ) die( "%s has its %s from elsewhere", path, function[i].name );
    memcpy( function[i].at, &f, sizeof(f) );
  }
}

/* Rows **************************************************************/

struct row {
  int   style;
  int   mmio;
  int   corpus;
  int   restore;
  int   meta;
  ulong sz;       /* 0: all in one */
  char  name[64];
};

typedef struct row row_t;

#define ROW_MAX (1024UL)

static row_t row[ ROW_MAX ];
static ulong row_cnt;

static void
make_rows( char const * pattern ) {
  static struct { ulong sz; char const * name; } const size[] = {
    { 8UL, "8" }, { 16UL, "16" }, { 64UL, "64" }, { 256UL, "256" }, { 4096UL, "4096" }, { 65536UL, "65536" },
    { 1UL<<20, "1MiB" }, { 0UL, "whole" }
  };
  regex_t regex;
  if( regcomp( &regex, pattern, REG_EXTENDED | REG_NOSUB ) ) die( "not a regular expression: %s", pattern );
  for( int corpus=0; corpus<CORPUS_CNT; corpus++ )
    for( int style=RAW; style<=LZ4; style++ ) {
      if( style==RAW && corpus ) continue;
      for( int mmio=0; mmio<2; mmio++ )
        for( int restore=0; restore<2; restore++ )
          for( ulong i=0UL; i<sizeof(size)/sizeof(size[0]); i++ )
            for( int meta=1; meta>=0; meta-- ) {
              if( meta && (!size[i].sz || size[i].sz>FD_CHECKPT_META_MAX) ) continue;
              row_t r = { .style = style, .mmio = mmio, .corpus = corpus, .restore = restore, .meta = meta, .sz = size[i].sz };
              snprintf( r.name, sizeof(r.name), "%s/%s/%s/%s/%s/%s", style==RAW ? "raw" : "lz4", mmio ? "mmio" : "stream",
                        corpus_name[ corpus ], size[i].name, meta ? "meta" : "data", restore ? "restore" : "checkpt" );
              if( !regexec( &regex, r.name, 0UL, NULL, 0 ) ) row[ row_cnt++ ] = r;
            }
    }
  regfree( &regex );
}

/* Memory ************************************************************/

static uchar * handle;    /* A fd_checkpt_t or fd_restore_t */
static uchar * io_buffer; /* WBUF_SZ */
static uchar * corpus;    /* The data, corpus_sz of it */
static ulong   corpus_sz;
static uchar * region;    /* What mmio checkpoints are written to, and the limit's compressed data; region_sz */
static uchar * made;      /* The checkpoint that is restored */
static ulong   made_sz;
static ulong   region_sz;
static uchar * restored;  /* Where it is restored to */
static uchar * bounce;    /* I/O buffer of the limit, 3 PIECE */
static int     file;
static int     limit_file;

static uchar *
map( ulong sz,
     ulong skew ) {
  void * mem = mmap( NULL, sz+4096UL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0L );
  if( mem==MAP_FAILED ) die( "mmap of %lu bytes: %s", sz, strerror( errno ) );
  return (uchar *)mem + skew;
}

static int
temporary( char const * dir ) {
  char path[ 4096 ];
  snprintf( path, sizeof(path), "%s/bench-XXXXXX", dir );
  int fd = mkstemp( path );
  if( fd<0 ) die( "%s: %s", path, strerror( errno ) );
  unlink( path );
  return fd;
}

static void
rewind_file( int fd ) {
  if( lseek( fd, 0L, SEEK_SET ) ) die( "lseek: %s", strerror( errno ) );
}

static void
write_out( int           fd,
           uchar const * mem,
           ulong         sz ) {
  while( sz ) {
    ssize_t n = write( fd, mem, sz );
    if( n<=0L ) die( "write: %s", strerror( errno ) );
    mem += n;
    sz  -= (ulong)n;
  }
}

/* read_in reads sz bytes, or what the file has left. */

static ulong
read_in( int     fd,
         uchar * mem,
         ulong   sz ) {
  ulong got = 0UL;
  for( ssize_t n; got<sz && (n = read( fd, mem+got, sz-got ))>0L; ) got += (ulong)n;
  return got;
}

/* Measuring *********************************************************/

static clockid_t clock_used = CLOCK_PROCESS_CPUTIME_ID;

static double
now( void ) {
  struct timespec t;
  clock_gettime( clock_used, &t );
  return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

__attribute__((noinline)) static int
put_all( put_t          put,
         fd_checkpt_t * checkpt,
         uchar const *  p,
         ulong          sz,
         ulong          cnt ) {
  for( ; cnt; cnt--, p+=sz ) {
    int err = put( checkpt, p, sz );
    if( err ) return err;
  }
  return 0;
}

__attribute__((noinline)) static int
get_all( get_t          get,
         fd_restore_t * restore,
         uchar *        p,
         ulong          sz,
         ulong          cnt ) {
  for( ; cnt; cnt--, p+=sz ) {
    int err = get( restore, p, sz );
    if( err ) return err;
  }
  return 0;
}

static ulong
buffer_sz( row_t const * r ) {
  return r->sz && r->sz<corpus_sz ? r->sz : corpus_sz;
}

/* checkpt makes a frame of the first total bytes of the corpus, a multiple
   of the buffer size.  Returns the seconds from open to close; *end is the
   size of the checkpoint. */

static double
checkpt( api_t const * api,
         row_t const * r,
         ulong         total,
         ulong *       end ) {
  fd_checkpt_t * c;
  ulong          sz = buffer_sz( r );
  ulong          off;
  if( r->mmio ) {
    c = api->checkpt_init_mmio( handle, region, region_sz );
  } else {
    rewind_file( file );
    c = api->checkpt_init_stream( handle, file, io_buffer, WBUF_SZ );
  }
  if( !c ) die( "%s: %s: init failed", r->name, api->path );
  double begin = now();
  int    err   = api->checkpt_open( c, r->style, &off );
  if( !err ) err = put_all( api->put[ r->meta ], c, corpus, sz, total/sz );
  if( !err ) err = api->checkpt_close( c, end );
  double seconds = now() - begin;
  if( err ) die( "%s: %s: error %d", r->name, api->path, err );
  api->checkpt_fini( c );
  return seconds;
}

/* restore does so with made, or with the same bytes in the file. */

static double
restore( api_t const * api,
         row_t const * r,
         ulong         total,
         ulong *       end ) {
  fd_restore_t * c;
  ulong          sz = buffer_sz( r );
  ulong          off;
  if( r->mmio ) {
    c = api->restore_init_mmio( handle, made, made_sz );
  } else {
    rewind_file( file );
    c = api->restore_init_stream( handle, file, io_buffer, WBUF_SZ );
  }
  if( !c ) die( "%s: %s: init failed", r->name, api->path );
  double begin = now();
  int    err   = api->restore_open( c, r->style, &off );
  if( !err ) err = get_all( api->get[ r->meta ], c, restored, sz, total/sz );
  if( !err ) err = api->restore_close( c, end );
  double seconds = now() - begin;
  if( err ) die( "%s: %s: error %d", r->name, api->path, err );
  api->restore_fini( c );
  return seconds;
}

static double
work( api_t const * api,
      row_t const * r,
      ulong         total,
      ulong         times ) {
  double seconds = 0.;
  ulong  end;
  for( ; times; times-- ) seconds += r->restore ? restore( api, r, total, &end ) : checkpt( api, r, total, &end );
  return seconds;
}

/* Limits ************************************************************/

static LZ4_stream_t       encoder[1];
static LZ4_streamDecode_t decoder[1];

/* limit_encode compresses to the region, or (out>=0) to a file. */

static void
limit_encode( ulong sz,
              ulong total,
              int   out ) {
  uchar * begin = out<0 ? region : bounce;
  uchar * dst   = begin;
  for( ulong at=0UL; at<total; at+=sz ) {
    ulong csz = (ulong)LZ4_compress_fast_continue( encoder, (char const *)corpus+at, (char *)dst+3, (int)sz,
                                                   (int)FD_CHECKPT_PRIVATE_CSZ_MAX( sz ), 1 );
    dst[0] = (uchar)csz;
    dst[1] = (uchar)(csz>> 8);
    dst[2] = (uchar)(csz>>16);
    dst   += 3UL + csz;
    if( out>=0 && (ulong)(dst-begin)>=PIECE ) {
      write_out( out, begin, (ulong)(dst-begin) );
      dst = begin;
    }
  }
  if( out>=0 ) write_out( out, begin, (ulong)(dst-begin) );
}

static void
limit_decode( ulong sz,
              ulong total,
              int   in ) {
  uchar const * src   = in<0 ? region : bounce;
  ulong         ready = 0UL;
  for( ulong at=0UL; at<total; at+=sz ) {
    while( in>=0 && (ready<3UL || ready<3UL + ((ulong)src[0] | (ulong)src[1]<<8 | (ulong)src[2]<<16)) ) {
      memmove( bounce, src, ready );
      ulong got = read_in( in, bounce+ready, PIECE );
      if( !got ) die( "LZ4's own loop finds the file too short" );
      ready += got;
      src    = bounce;
    }
    ulong csz = (ulong)src[0] | (ulong)src[1]<<8 | (ulong)src[2]<<16;
    int   got = LZ4_decompress_safe_continue( decoder, (char const *)src+3, (char *)restored+at, (int)csz, (int)sz );
    if( got!=(int)sz ) die( "LZ4's own loop fails at %lu", at );
    src   += 3UL + csz;
    ready -= 3UL + csz;
  }
}

static double
limit( row_t const * r,
       ulong         total ) {
  ulong sz = buffer_sz( r );
  if( r->style==LZ4 ) {
    ulong chunk = sz<CHUNK ? sz : CHUNK; /* Divides sz */
    int   fd    = r->mmio ? -1 : r->restore ? limit_file : file;
    if( fd>=0 ) rewind_file( fd );
    LZ4_initStream( encoder, sizeof(encoder) );
    LZ4_setStreamDecode( decoder, NULL, 0 );
    double begin = now();
    if( r->restore ) limit_decode( chunk, total, fd );
    else             limit_encode( chunk, total, fd );
    return now() - begin;
  }
  if( !r->mmio ) rewind_file( file );
  ulong  piece = sz<PIECE && !r->mmio ? PIECE : sz;
  double begin = now();
  for( ulong at=0UL; at<total; at+=piece ) {
    ulong n = total-at<piece ? total-at : piece;
    if(      r->mmio && r->restore ) memcpy( restored+at, made+at, n );
    else if( r->mmio               ) memcpy( region+at, corpus+at, n );
    else if( r->restore            ) { if( read_in( file, restored+at, n )!=n ) die( "%s: the file ends", r->name ); }
    else                             write_out( file, corpus+at, n );
  }
  return now() - begin;
}

/* A row *************************************************************/

/* checkpt_to_made makes a checkpoint and keeps it in made. */

static void
checkpt_to_made( api_t const * api,
                 row_t const * r,
                 ulong         total ) {
  checkpt( api, r, total, &made_sz );
  if( r->mmio ) {
    memcpy( made, region, made_sz );
  } else {
    rewind_file( file );
    if( read_in( file, made, made_sz )!=made_sz ) die( "%s: %s: the file is too short", r->name, api->path );
  }
}

static void
check_restored( row_t const * r,
                char const *  who,
                ulong         total ) {
  if( memcmp( restored, corpus, total ) ) die( "%s: %s does not restore what was checkpointed", r->name, who );
  memset( restored, 0xa5, total );
}

/* verify does the work of a row once, with both libraries and the limit, and
   compares.  It leaves the memory touched, and for a restore the
   checkpoint in place. */

static void
verify( api_t const * api, /* Two */
        row_t const * r,
        ulong         total ) {
  checkpt_to_made( &api[1], r, total );
  ulong end = 0UL;
  if( !r->restore ) {
    if( r->mmio ) memset( region, 0xa5, made_sz );
    else {
      rewind_file( file );
      if( ftruncate( file, 0L ) ) die( "ftruncate: %s", strerror( errno ) );
    }
    checkpt( &api[0], r, total, &end );
    int same = end==made_sz;
    if( same && r->mmio ) same = !memcmp( region, made, end );
    rewind_file( file );
    for( ulong at=0UL; same && !r->mmio && at<end; ) {
      ulong n = read_in( file, bounce, PIECE );
      same = n && n<=end-at && !memcmp( bounce, made+at, n );
      at += n;
    }
    if( !same ) die( "%s: the checkpoints of %s and %s differ", r->name, api[0].path, api[1].path );
    return;
  }
  memset( restored, 0xa5, total );
  for( int i=0; i<2; i++ ) {
    restore( &api[i], r, total, &end );
    if( end!=made_sz ) die( "%s: %s ends at %lu, not %lu", r->name, api[i].path, end, made_sz );
    check_restored( r, api[i].path, total );
  }
  if( buffer_sz( r )>=SHOW_SPEED ) {
    if( r->style==LZ4 ) { /* What the limit restores from */
      row_t opposite = *r;
      int   kept     = file;
      opposite.restore = 0;
      if( !r->mmio ) { file = limit_file; if( ftruncate( file, 0L ) ) die( "ftruncate: %s", strerror( errno ) ); }
      limit( &opposite, total );
      file = kept;
    }
    limit( r, total );
    check_restored( r, "the limit", total );
  }
}

/* amount returns how many bytes the other library handles in ms, no more
   than there are. */

static ulong
amount( api_t const * other,
        row_t const * r,
        double        ms ) {
  ulong sz    = buffer_sz( r );
  ulong chunk = sz<CHUNK ? sz : CHUNK;
  ulong most  = (sz<SHOW_SPEED && corpus_sz>SMALL_SET ? SMALL_SET : corpus_sz)/sz*sz;
  /* What surely fits in the region */
  if( most/chunk>region_sz/FD_CHECKPT_PRIVATE_CSZ_MAX( chunk ) ) most = region_sz/FD_CHECKPT_PRIVATE_CSZ_MAX( chunk )*chunk/sz*sz;
  ulong total = 16UL*sz>PIECE ? 16UL*sz : PIECE;
  if( total>most ) total = most;
  if( ms<=0. || total==most ) return total;
  for(;;) {
    checkpt_to_made( other, r, total );
    double seconds = work( other, r, total, 1UL );
    if( seconds>=0.25e-3*ms || total==most ) {
      double more = 1e-3*ms/(seconds>1e-7 ? seconds : 1e-7);
      ulong  cnt  = (ulong)((double)(total/sz)*more);
      if( cnt<1UL ) cnt = 1UL;
      return cnt<most/sz ? cnt*sz : most;
    }
    total = 4UL*total<most ? 4UL*total : most;
  }
}

static int
compare_doubles( void const * a,
                 void const * b ) {
  double x = *(double const *)a;
  double y = *(double const *)b;
  return (x>y)-(x<y);
}

/* quantile sorts. */

static double
quantile( double * x,
          ulong    cnt,
          double   q ) {
  qsort( x, cnt, sizeof(double), compare_doubles );
  double at = q*(double)(cnt-1UL);
  ulong  i  = (ulong)at;
  return i+1UL<cnt ? x[i] + (at-(double)i)*(x[i+1UL]-x[i]) : x[i];
}

struct result {
  ulong  total;
  ulong  pairs;
  double seconds[3];   /* Medians: ours, the other, the limit (0: none) */
  double ratio[5];     /* Least, quartiles, greatest */
  double limit_ratio;  /* Time of the limit / time of ours */
};

typedef struct result result_t;

static result_t result[ ROW_MAX ];

#define PAIRS_MAX (1000UL)

static void
measure( api_t const * api,
         row_t const * r,
         double        ms,
         ulong         rounds,
         result_t *    res ) {
  static double seconds[3][ PAIRS_MAX ];
  static double ratio  [ PAIRS_MAX ];
  static double to_limit[ PAIRS_MAX ];
  int   limited = buffer_sz( r )>=SHOW_SPEED;
  ulong total   = amount( &api[1], r, ms );
  verify( api, r, total );
  double once  = work( &api[1], r, total, 1UL );
  ulong  times = 1UL;
  if( once<0.5e-3*ms && !limited ) times = (ulong)(1e-3*ms/once); /* A small set, over and over */
  ulong  pairs = (ulong)(PAIRS_TIME/(once*(double)times));
  if( pairs<PAIRS_MIN ) pairs = PAIRS_MIN;
  if( pairs>rounds    ) pairs = rounds;
  for( ulong i=0UL; i<pairs; i++ ) {
    ulong first = i & 1UL;
    seconds[   first ][i] = work( &api[   first ], r, total, times );
    seconds[ 1-first ][i] = work( &api[ 1-first ], r, total, times );
    ratio[i] = seconds[1][i]/seconds[0][i];
    if( !limited ) continue;
    seconds[2][i] = limit( r, total );
    to_limit[i] = seconds[2][i]/seconds[0][i];
  }
  res->total = total*times;
  res->pairs = pairs;
  for( int k=0; k<3; k++ ) res->seconds[k] = k<2 || limited ? quantile( seconds[k], pairs, 0.5 ) : 0.;
  for( int k=0; k<5; k++ ) res->ratio[k]   = quantile( ratio, pairs, 0.25*k );
  res->limit_ratio = limited ? quantile( to_limit, pairs, 0.5 ) : 0.;
}

/* Reporting *********************************************************/

static void
print_head( void ) {
  printf( "%-36s %9s %9s %9s %-4s  %6s  %-15s %8s\n", "", "ours", "other", "limit", "", "ratio", "quartiles", "of limit" );
}

static void
print_row( row_t const *    r,
           result_t const * res ) {
  ulong  sz    = buffer_sz( r );
  int    speed = sz>=SHOW_SPEED;
  double value[3];
  for( int k=0; k<3; k++ )
    value[k] = speed ? 1e-9*(double)res->total/res->seconds[k] : 1e9*res->seconds[k]/(double)(res->total/sz);
  printf( "%-36s %9.2f %9.2f ", r->name, value[0], value[1] );
  if( speed ) printf( "%9.2f GB/s", value[2] );
  else        printf( "%9s ns  ", "" );
  printf( "  %6.3f  %6.3f .. %5.3f", res->ratio[2], res->ratio[1], res->ratio[3] );
  if( speed ) printf( " %8.3f", res->limit_ratio );
  printf( "\n" );
  fflush( stdout );
}

static void
print_summary( void ) {
  printf( "\n%-20s %5s   %-44s %s\n", "", "rows", "worst ratio", "best ratio" );
  for( int style=RAW; style<=LZ4; style++ )
    for( int mmio=0; mmio<2; mmio++ )
      for( int back=0; back<2; back++ ) {
        ulong cnt = 0UL, worst = 0UL, best = 0UL;
        for( ulong i=0UL; i<row_cnt; i++ ) {
          if( row[i].style!=style || row[i].mmio!=mmio || row[i].restore!=back ) continue;
          if( !cnt || result[i].ratio[2]<result[ worst ].ratio[2] ) worst = i;
          if( !cnt || result[i].ratio[2]>result[ best  ].ratio[2] ) best  = i;
          cnt++;
        }
        if( !cnt ) continue;
        char group[32];
        snprintf( group, sizeof(group), "%s/%s/%s", style==RAW ? "raw" : "lz4", mmio ? "mmio" : "stream", back ? "restore" : "checkpt" );
        printf( "%-20s %5lu   %6.3f %-37s %6.3f %s\n", group, cnt, result[ worst ].ratio[2], row[ worst ].name,
                result[ best ].ratio[2], row[ best ].name );
      }
  ulong slower = 0UL, far = 0UL, large = 0UL;
  for( ulong i=0UL; i<row_cnt; i++ ) {
    slower += result[i].ratio[2]<0.97;
    if( buffer_sz( &row[i] )<65536UL ) continue;
    large++;
    far += result[i].limit_ratio<0.95;
  }
  printf( "\nratio below 0.97: %lu of %lu rows\n", slower, row_cnt );
  for( ulong i=0UL; i<row_cnt; i++ )
    if( result[i].ratio[2]<0.97 ) printf( "  %6.3f  %s\n", result[i].ratio[2], row[i].name );
  printf( "below 0.95 of the limit, from 64 KiB up: %lu of %lu rows\n", far, large );
  for( ulong i=0UL; i<row_cnt; i++ )
    if( buffer_sz( &row[i] )>=65536UL && result[i].limit_ratio<0.95 ) printf( "  %6.3f  %s\n", result[i].limit_ratio, row[i].name );
}

/* Strings that are written here are paths and names without a quote. */

static void
write_json( char const *  path,
            api_t const * api ) {
  FILE * out = fopen( path, "w" );
  if( !out ) die( "%s: %s", path, strerror( errno ) );
  fprintf( out, "{\n  \"ours\": \"%s\",\n  \"other\": \"%s\",\n  \"rows\": [", api[0].path, api[1].path );
  for( ulong i=0UL; i<row_cnt; i++ ) {
    row_t const *    r   = &row[i];
    result_t const * res = &result[i];
    double           per = 1e9/(double)(res->total/buffer_sz( r ));
    fprintf( out, "%s\n    { \"row\": \"%s\", \"buffer_size\": %lu, \"bytes\": %lu, \"pairs\": %lu, \"ours_ns\": %.3f, \"other_ns\": %.3f, ",
             i ? "," : "", r->name, buffer_sz( r ), res->total, res->pairs, per*res->seconds[0], per*res->seconds[1] );
    if( res->seconds[2]>0. ) fprintf( out, "\"limit_ns\": %.3f, \"of_limit\": %.4f, ", per*res->seconds[2], res->limit_ratio );
    fprintf( out, "\"ratio\": %.4f, \"quartiles\": [%.4f, %.4f], \"range\": [%.4f, %.4f] }", res->ratio[2], res->ratio[1],
             res->ratio[3], res->ratio[0], res->ratio[4] );
  }
  fprintf( out, "\n  ]\n}\n" );
  if( fclose( out ) ) die( "%s: %s", path, strerror( errno ) );
}

/* loop does the work of the first row that is asked for, over and over, for
   a profiler to watch. */

static void
loop( api_t const * api,
      row_t const * r,
      ulong         cnt ) {
  ulong  total = amount( api, r, 0. );
  double best  = 1e9;
  checkpt_to_made( api, r, total );
  for( ulong i=0UL; i<cnt; i++ ) {
    double seconds = work( api, r, total, 1UL );
    if( seconds<best ) best = seconds;
  }
  printf( "%s: %lu times %lu buffers, %.2f ns a buffer at best\n", r->name, cnt, total/buffer_sz( r ),
          1e9*best/(double)(total/buffer_sz( r )) );
}

static char const usage[] =
  "usage: throughput --ours LIB [--other LIB] [OPTION VALUE...] DATA...\n"
  "  DATA             files and directories for the tar corpus\n"
  "  --rows REGEX     only rows whose names (style/mode/corpus/size/call/direction) match\n"
  "  --rounds N       pairs of measurements a row (35), fewer where one takes long\n"
  "  --ms N           what one measurement should take (8); 0: as little as there is\n"
  "  --mib N          size of the tar corpus (256); the others are a quarter of it\n"
  "  --dir DIR        where the file of the stream rows lies (/dev/shm)\n"
  "  --clock cpu|wall what time is: cpu is that of all threads, without what other processes took (cpu)\n"
  "  --json FILE      also write the results there\n"
  "  --loop N         no comparison: N times the first row, by the library of --ours\n"
  "  --list 1         no measurement: list the rows\n";

static ulong
number( char const * text ) {
  char * end;
  ulong  n = strtoul( text, &end, 10 );
  if( *end || end==text ) die( "not a number: %s", text );
  return n;
}

int
main( int     argc,
      char ** argv ) {
  char const * lib[2] = { NULL, NULL };
  char const * rows   = "";
  char const * dir    = "/dev/shm";
  char const * json   = NULL;
  ulong        rounds = 35UL, ms = 8UL, mib = 256UL, loops = 0UL, list = 0UL;
  int          arg    = 1;
  for( ; arg+1<argc && !strncmp( argv[ arg ], "--", 2UL ); arg+=2 ) {
    char const * name  = argv[ arg ]+2;
    char const * value = argv[ arg+1 ];
    if(      !strcmp( name, "ours"   ) ) lib[0] = value;
    else if( !strcmp( name, "other"  ) ) lib[1] = value;
    else if( !strcmp( name, "rows"   ) ) rows   = value;
    else if( !strcmp( name, "dir"    ) ) dir    = value;
    else if( !strcmp( name, "json"   ) ) json   = value;
    else if( !strcmp( name, "rounds" ) ) rounds = number( value );
    else if( !strcmp( name, "ms"     ) ) ms     = number( value );
    else if( !strcmp( name, "mib"    ) ) mib    = number( value );
    else if( !strcmp( name, "loop"   ) ) loops  = number( value );
    else if( !strcmp( name, "list"   ) ) list   = number( value );
    else if( !strcmp( name, "clock"  ) && !strcmp( value, "cpu"  ) ) clock_used = CLOCK_PROCESS_CPUTIME_ID;
    else if( !strcmp( name, "clock"  ) && !strcmp( value, "wall" ) ) clock_used = CLOCK_MONOTONIC;
    else { fputs( usage, stderr ); return 2; }
  }
  make_rows( rows );
  if( list ) {
    for( ulong i=0UL; i<row_cnt; i++ ) printf( "%s\n", row[i].name );
    return 0;
  }
  if( !lib[0] || (!loops && !lib[1]) || !row_cnt || !rounds || rounds>PAIRS_MAX || !mib || argc-arg>CORPUS_ROOTS ) {
    fputs( row_cnt ? usage : "bench: no such row\n", stderr );
    return 2;
  }
  if( loops ) row_cnt = 1UL;

  api_t api[2];
  check_nothing_interposes();
  for( int i=0; i<2 && lib[i]; i++ ) load( &api[i], lib[i] );
  check_nothing_interposes();
  if( lib[1] && api[0].base==api[1].base ) die( "%s and %s are the same: compare with a copy of it", lib[0], lib[1] );

  ulong const tar_sz = mib<<20;
  ulong const gen_sz = mib<4UL ? 1UL<<20 : (mib/4UL)<<20;
  ulong const max_sz = tar_sz>gen_sz ? tar_sz : gen_sz;
  region_sz = max_sz + max_sz/64UL + (1UL<<20);
  handle    = map( sizeof(fd_restore_t), 2048UL-offsetof( fd_checkpt_t, gbuf ) );
  io_buffer = map( WBUF_SZ,    2048UL );
  corpus    = map( max_sz,     0UL    );
  region    = map( region_sz,  2048UL );
  made      = map( region_sz,  2048UL );
  restored  = map( max_sz,     0UL    );
  bounce    = map( 3UL*PIECE,  2048UL );
  memset( handle,    0, sizeof(fd_restore_t) );
  memset( io_buffer, 0, WBUF_SZ );
  memset( bounce,    0, 3UL*PIECE );
  file       = temporary( dir );
  limit_file = temporary( dir );

  if( !loops )
    printf( "ours  %s\nother %s\nratio: time of other / time of ours; ns a buffer, from %lu bytes GB/s; stream: a file in %s\n",
            lib[0], lib[1], SHOW_SPEED, dir );
  int last = -1;
  for( ulong i=0UL; i<row_cnt; i++ ) {
    row_t const * r = &row[i];
    if( r->corpus!=last ) {
      last      = r->corpus;
      corpus_sz = last ? gen_sz : tar_sz;
      ulong unique = corpus_sz;
      switch( last ) {
      case 0:  unique = corpus_tar( corpus, corpus_sz, (char const * const *)argv+arg, (ulong)(argc-arg) ); break;
      case 1:  corpus_records( corpus, corpus_sz );    break;
      case 2:  corpus_letters( corpus, corpus_sz, 0 ); break;
      default: corpus_letters( corpus, corpus_sz, 1 ); break;
      }
      if( !unique ) die( "there are no files for the tar corpus" );
      if( !loops ) {
        printf( "\n%s: %lu MiB", corpus_name[ last ], corpus_sz>>20 );
        if( unique<corpus_sz ) printf( " (of which %lu MiB are no repetition)", unique>>20 );
        printf( "\n" );
        print_head();
      }
    }
    if( loops ) {
      loop( &api[0], r, loops );
      return 0;
    }
    measure( api, r, (double)ms, rounds, &result[i] );
    print_row( r, &result[i] );
  }
  print_summary();
  if( json ) write_json( json, api );
  return 0;
}
