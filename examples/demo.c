/* demo.c: saves files in a checkpoint, and restores them in three ways.

     demo [-t THREADS] [-o FILE] PATH

   PATH is a file or a folder.  Folders are walked in the order of names,
   without following symbolic links.  The files must not change meanwhile.
   The checkpoint, FILE or else a temporary file, consists of these frames:

     catalogue   RAW          a head_t, a file_t per file, the names
     data ...    LZ4 or RAW   the bytes of all files in a row, cut into
                              frames of head_t.frame_sz bytes
     index       RAW          the offset of each data frame
     tail        RAW          a tail_t: the offset of the index

   Checkpoints don't tell what is in them, so this one describes itself.
   What comes first tells what is needed to restore in order, even from a
   pipe; what comes last, what is needed to go to any frame directly, so
   that threads can share the work.

   It is made with LZ4 data frames, and then with RAW ones (these FILE
   keeps).  Each is restored as a stream, from a memory map by threads, and
   through a pipe, and compared with the files.  On failure the program
   says why and exits.

   cc -std=c11 -O2 -pthread -Iinclude examples/demo.c -lfdckpt -o demo */

#define _POSIX_C_SOURCE 200809L /* mmap, scandir, ... */

#include "fd_checkpt.h"
#include "fdckpt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RAW FD_CHECKPT_FRAME_STYLE_RAW
#define LZ4 FD_CHECKPT_FRAME_STYLE_LZ4

#define FRAME_SZ_MIN (64UL<<10) /* A data frame has a quarter of all data, within these limits */
#define FRAME_SZ_MAX (8UL<<20)
#define IO_BUF_SZ    (1UL<<20)  /* At least FD_CHECKPT_WBUF_MIN and FD_RESTORE_RBUF_MIN */
#define THREADS_MAX  (256L)
#define MAGIC        "FDDEMO1"  /* 8 bytes, the last is 0 */

/* In the checkpoint: numbers of fixed size, and no padding. */

typedef struct { char magic[8]; ulong style, file_cnt, names_sz, data_sz, frame_sz, frame_cnt; } head_t;
typedef struct { ulong off, sz, name; } file_t; /* Where in the data, of what size, where in the names */
typedef struct { char magic[8]; ulong frame_cnt, index_off; } tail_t;

typedef struct { head_t head; file_t * file; char * names; } catalog_t;

/* The files to save. */

typedef struct {
  catalog_t      cat;
  uchar const ** mem; /* Where each is mapped, NULL if empty */
  struct stat    out; /* The checkpoint itself is not saved */
} input_t;

/* One who restores. */

typedef struct {
  char const *      mode;
  input_t const *   in;         /* What must come out */
  catalog_t const * cat;        /* As restored */
  fd_restore_t *    restore;
  uchar *           data;       /* Data of one frame */
  double            seconds;    /* Spent on data frames, comparing aside */
} reader_t;

/* Failures ***********************************************************/

static void
die( char const * what, char const * why ) {
  fprintf( stderr, "demo: %s: %s\n", what, why );
  exit( 1 );
}

/* After a call to the library has failed, for which there is more to know
   than the code that it returned. */

static void
die_lib( char const * what ) {
  fdckpt_error_t const * e = fdckpt_last_error();
  fprintf( stderr, "demo: %s: %s: %s (%s", what, fd_checkpt_strerror( e->code ), e->text, e->function );
  if( e->offset!=FDCKPT_NO_OFFSET ) fprintf( stderr, ", at byte %lu", (ulong)e->offset );
  fprintf( stderr, ")\n" );
  exit( 1 );
}

static void check    ( char const * what, int err ) { if( err ) die_lib( what ); }
static void check_sys( char const * what, int ok  ) { if( !ok ) die( what, strerror( errno ) ); }

static void *
alloc( ulong sz ) {
  void * mem = malloc( sz );
  check_sys( "memory", !!mem );
  return mem;
}

static ulong min( ulong a, ulong b ) { return a<b ? a : b; }

static double
now( void ) {
  struct timespec t;
  clock_gettime( CLOCK_MONOTONIC, &t );
  return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

/* How the data is cut: frame f has the bytes from f*frame_sz to frame_end.
   They are a run of pieces, one per file. */

typedef struct { ulong file, off, sz; } piece_t;

static ulong
frame_end( catalog_t const * cat, ulong f ) {
  return min( (f+1UL)*cat->head.frame_sz, cat->head.data_sz );
}

static piece_t
piece_at( catalog_t const * cat, ulong pos, ulong end ) {
  ulong lo = 0UL, hi = cat->head.file_cnt; /* The last file with off<=pos is in [lo,hi) */
  while( hi-lo>1UL ) {
    ulong mid = lo + (hi-lo)/2UL;
    if( cat->file[ mid ].off<=pos ) lo = mid; else hi = mid;
  }
  ulong off = pos - cat->file[ lo ].off;
  return (piece_t){ .file = lo, .off = off, .sz = min( cat->file[ lo ].sz-off, end-pos ) };
}

/* Making a checkpoint ************************************************/

static void
put_meta( char const * mode, fd_checkpt_t * checkpt, void const * buf, ulong sz ) {
  for( ulong off=0UL; off<sz; off+=FD_CHECKPT_META_MAX )
    check( mode, fd_checkpt_meta( checkpt, (uchar const *)buf+off, min( sz-off, FD_CHECKPT_META_MAX ) ) );
}

static double
make_checkpt( char const * mode, input_t const * in, int fd ) {
  catalog_t const * cat   = &in->cat;
  tail_t            tail  = { .magic = MAGIC, .frame_cnt = cat->head.frame_cnt };
  ulong *           index = alloc( tail.frame_cnt*sizeof(ulong) );
  void *            wbuf  = alloc( IO_BUF_SZ );
  double            start = now();

  /* malloc's alignment is enough for FD_CHECKPT_ALIGN */
  fd_checkpt_t * checkpt = fd_checkpt_init_stream( alloc( FD_CHECKPT_FOOTPRINT ), fd, wbuf, IO_BUF_SZ );
  if( !checkpt ) die_lib( mode );

  check( mode, fd_checkpt_open( checkpt, RAW ) );
  put_meta( mode, checkpt, &cat->head, sizeof(head_t) );
  put_meta( mode, checkpt, cat->file, cat->head.file_cnt*sizeof(file_t) );
  put_meta( mode, checkpt, cat->names, cat->head.names_sz );
  check( mode, fd_checkpt_close( checkpt ) );

  for( ulong f=0UL; f<tail.frame_cnt; f++ ) {
    check( mode, fd_checkpt_open_advanced( checkpt, (int)cat->head.style, &index[ f ] ) );
    ulong end = frame_end( cat, f );
    for( ulong pos=f*cat->head.frame_sz; pos<end; ) {
      piece_t p = piece_at( cat, pos, end );
      check( mode, fd_checkpt_data( checkpt, in->mem[ p.file ]+p.off, p.sz ) ); /* Must stay mapped until close */
      pos += p.sz;
    }
    check( mode, fd_checkpt_close( checkpt ) );
  }

  check( mode, fd_checkpt_open_advanced( checkpt, RAW, &tail.index_off ) );
  put_meta( mode, checkpt, index, tail.frame_cnt*sizeof(ulong) );
  check( mode, fd_checkpt_close( checkpt ) );

  check( mode, fd_checkpt_open( checkpt, RAW ) );
  put_meta( mode, checkpt, &tail, sizeof(tail_t) );
  check( mode, fd_checkpt_close( checkpt ) );

  void * mem = fd_checkpt_fini( checkpt );
  if( !mem ) die_lib( mode );
  double seconds = now()-start;
  free( mem ); free( wbuf ); free( index );
  return seconds;
}

/* Restoring it *******************************************************/

/* A handle for the descriptor fd, or if that is -1, for the memory map. */

static fd_restore_t *
new_restore( char const * mode, int fd, void const * map, ulong map_sz ) {
  void *         mem     = alloc( FD_RESTORE_FOOTPRINT );
  fd_restore_t * restore = fd<0 ? fd_restore_init_mmio  ( mem, map, map_sz )
                                : fd_restore_init_stream( mem, fd, alloc( IO_BUF_SZ ), IO_BUF_SZ );
  if( !restore ) die_lib( mode );
  return restore;
}

static void
delete_restore( char const * mode, fd_restore_t * restore ) {
  void * rbuf = fd_restore_rbuf( restore ); /* NULL without a descriptor */
  void * mem  = fd_restore_fini( restore );
  if( !mem ) die_lib( mode );
  free( mem ); free( rbuf );
}

static void
get_meta( reader_t * rd, void * buf, ulong sz ) {
  for( ulong off=0UL; off<sz; off+=FD_RESTORE_META_MAX )
    check( rd->mode, fd_restore_meta( rd->restore, (uchar *)buf+off, min( sz-off, FD_RESTORE_META_MAX ) ) );
}

static void *
get_array( reader_t * rd, ulong sz ) {
  void * mem = alloc( sz );
  get_meta( rd, mem, sz );
  return mem;
}

static catalog_t
get_catalog( reader_t * rd ) {
  catalog_t const * want = &rd->in->cat;
  catalog_t         got;
  check( rd->mode, fd_restore_open( rd->restore, RAW ) );
  get_meta( rd, &got.head, sizeof(head_t) );
  if( memcmp( &got.head, &want->head, sizeof(head_t) ) ) die( rd->mode, "the catalogue's head differs" );
  got.file  = get_array( rd, got.head.file_cnt*sizeof(file_t) );
  got.names = get_array( rd, got.head.names_sz );
  check( rd->mode, fd_restore_close( rd->restore ) );
  if( memcmp( got.file, want->file, got.head.file_cnt*sizeof(file_t) ) ||
      memcmp( got.names, want->names, got.head.names_sz ) ) die( rd->mode, "the catalogue differs" );
  return got;
}

static void
compare_piece( reader_t const * rd, piece_t p, uchar const * got ) {
  uchar const * want = rd->in->mem[ p.file ]+p.off;
  if( !memcmp( got, want, p.sz ) ) return;
  ulong i = 0UL;
  while( got[ i ]==want[ i ] ) i++;
  fprintf( stderr, "demo: %s: differs at byte %lu of this file:\n", rd->mode, p.off+i );
  die( rd->cat->names+rd->cat->file[ p.file ].name, "not what was saved" );
}

/* Restores data frame f, which begins where the handle is, and compares.
   Returns the frame's offset. */

static ulong
get_frame( reader_t * rd, ulong f ) {
  ulong  begin = f*rd->cat->head.frame_sz, end = frame_end( rd->cat, f ), frame_off;
  double start = now();
  check( rd->mode, fd_restore_open_advanced( rd->restore, (int)rd->cat->head.style, &frame_off ) );
  for( ulong pos=begin; pos<end; ) { /* The same buffers as when it was made */
    piece_t p = piece_at( rd->cat, pos, end );
    check( rd->mode, fd_restore_data( rd->restore, rd->data+(pos-begin), p.sz ) );
    pos += p.sz;
  }
  check( rd->mode, fd_restore_close( rd->restore ) ); /* Not before this may the data be used */
  rd->seconds += now()-start;
  for( ulong pos=begin; pos<end; ) {
    piece_t p = piece_at( rd->cat, pos, end );
    compare_piece( rd, p, rd->data+(pos-begin) );
    pos += p.sz;
  }
  return frame_off;
}

static ulong *
get_index( reader_t * rd, ulong frame_cnt ) {
  check( rd->mode, fd_restore_open( rd->restore, RAW ) );
  ulong * index = get_array( rd, frame_cnt*sizeof(ulong) );
  check( rd->mode, fd_restore_close( rd->restore ) );
  return index;
}

static tail_t
get_tail( reader_t * rd ) {
  tail_t tail;
  check( rd->mode, fd_restore_open( rd->restore, RAW ) );
  get_meta( rd, &tail, sizeof(tail_t) );
  check( rd->mode, fd_restore_close( rd->restore ) );
  if( memcmp( tail.magic, MAGIC, sizeof(MAGIC) ) || tail.frame_cnt!=rd->in->cat.head.frame_cnt )
    die( rd->mode, "the tail differs" );
  return tail;
}

/* In order, without seeking: from a file or a pipe. */

static double
restore_stream( char const * mode, input_t const * in, int fd ) {
  reader_t  rd  = { .mode = mode, .in = in, .restore = new_restore( mode, fd, NULL, 0UL ) };
  catalog_t cat = get_catalog( &rd );
  rd.cat  = &cat;
  rd.data = alloc( cat.head.frame_sz );

  ulong * seen = alloc( cat.head.frame_cnt*sizeof(ulong) );
  for( ulong f=0UL; f<cat.head.frame_cnt; f++ ) seen[ f ] = get_frame( &rd, f );
  ulong * index = get_index( &rd, cat.head.frame_cnt );
  get_tail( &rd );
  if( memcmp( seen, index, cat.head.frame_cnt*sizeof(ulong) ) ) die( mode, "the index differs" );

  delete_restore( mode, rd.restore );
  free( index ); free( seen ); free( rd.data ); free( cat.file ); free( cat.names );
  return rd.seconds;
}

/* By several threads, from one memory map: each has a handle of its own
   and restores the frames first, first+step, first+2*step, ... */

typedef struct {
  pthread_t     thread;
  reader_t      reader;
  ulong const * index;
  ulong         first, step;
} worker_t;

static void *
work( void * arg ) {
  worker_t * w  = arg;
  reader_t * rd = &w->reader;
  for( ulong f=w->first; f<rd->cat->head.frame_cnt; f+=w->step ) {
    check( rd->mode, fd_restore_seek( rd->restore, w->index[ f ] ) );
    get_frame( rd, f );
  }
  return NULL;
}

static double
restore_mmap( char const * mode, input_t const * in, int fd, ulong threads ) {
  ulong  sz  = (ulong)lseek( fd, 0, SEEK_END );
  void * map = mmap( NULL, sz, PROT_READ, MAP_SHARED, fd, 0 );
  check_sys( mode, map!=MAP_FAILED );

  reader_t  rd  = { .mode = mode, .in = in, .restore = new_restore( mode, -1, map, sz ) };
  catalog_t cat = get_catalog( &rd );
  rd.cat = &cat;
  check( mode, fd_restore_seek( rd.restore, fd_restore_sz( rd.restore )-sizeof(tail_t) ) );
  check( mode, fd_restore_seek( rd.restore, get_tail( &rd ).index_off ) );
  ulong * index = get_index( &rd, cat.head.frame_cnt );
  delete_restore( mode, rd.restore );

  worker_t * worker = alloc( threads*sizeof(worker_t) );
  for( ulong t=0UL; t<threads; t++ ) {
    worker_t * w = worker+t;
    *w = (worker_t){ .reader = rd, .index = index, .first = t, .step = threads };
    w->reader.restore = new_restore( mode, -1, map, sz );
    w->reader.data    = alloc( cat.head.frame_sz );
    errno = pthread_create( &w->thread, NULL, work, w );
    check_sys( "starting a thread", !errno );
  }
  double seconds = 0.; /* Of the thread that was busiest */
  for( ulong t=0UL; t<threads; t++ ) {
    worker_t * w = worker+t;
    pthread_join( w->thread, NULL );
    if( w->reader.seconds>seconds ) seconds = w->reader.seconds;
    delete_restore( mode, w->reader.restore );
    free( w->reader.data );
  }
  free( worker ); free( index ); free( cat.file ); free( cat.names );
  munmap( map, sz );
  return seconds;
}

/* Through a pipe, which a thread fills. */

typedef struct { int from, to; } pump_t;

static void *
pump( void * arg ) {
  pump_t const * p   = arg;
  uchar *        buf = alloc( IO_BUF_SZ );
  for( ssize_t n; (n = read( p->from, buf, IO_BUF_SZ )); ) {
    check_sys( "reading the checkpoint", n>0 );
    for( ssize_t done=0, m; done<n; done+=m ) {
      m = write( p->to, buf+done, (size_t)(n-done) );
      check_sys( "writing to the pipe", m>=0 );
    }
  }
  close( p->to );
  free( buf );
  return NULL;
}

static double
restore_pipe( char const * mode, input_t const * in, int fd ) {
  int pipe_fd[ 2 ];
  check_sys( "pipe", !pipe( pipe_fd ) );
  pump_t    p = { .from = fd, .to = pipe_fd[ 1 ] };
  pthread_t thread;
  errno = pthread_create( &thread, NULL, pump, &p );
  check_sys( "starting a thread", !errno );
  double seconds = restore_stream( mode, in, pipe_fd[ 0 ] );
  pthread_join( thread, NULL );
  close( pipe_fd[ 0 ] );
  return seconds;
}

/* The files to save **************************************************/

/* Room for sz bytes at least.  Doubles, so that growing bit by bit is fast. */

static void *
grow( void * mem, ulong sz ) {
  ulong room = 4096UL;
  while( room<sz ) room *= 2UL;
  mem = realloc( mem, room );
  check_sys( "memory", !!mem );
  return mem;
}

static void
skip( char const * path, char const * why ) {
  fprintf( stderr, "demo: skipped: %s: %s\n", path, why );
}

static void
add_file( input_t * in, char const * path, struct stat const * st ) {
  uchar const * mem = NULL;
  ulong         sz  = (ulong)st->st_size;
  if( st->st_dev==in->out.st_dev && st->st_ino==in->out.st_ino ) { skip( path, "it is the checkpoint" ); return; }
  int fd = open( path, O_RDONLY );
  if( fd>=0 && sz ) mem = mmap( NULL, sz, PROT_READ, MAP_PRIVATE, fd, 0 );
  if( mem==MAP_FAILED && errno==ENOMEM ) die( path, "cannot be mapped (more files than vm.max_map_count?)" );
  if( fd<0 || mem==MAP_FAILED ) skip( path, strerror( errno ) );
  if( fd>=0 ) close( fd );
  if( fd<0 || mem==MAP_FAILED ) return;

  catalog_t * cat = &in->cat;
  head_t *    h   = &cat->head;
  ulong       len = strlen( path )+1UL;
  in->mem    = grow( in->mem,    (h->file_cnt+1UL)*sizeof(uchar *) );
  cat->file  = grow( cat->file,  (h->file_cnt+1UL)*sizeof(file_t)  );
  cat->names = grow( cat->names, h->names_sz+len );
  in->mem  [ h->file_cnt ] = mem;
  cat->file[ h->file_cnt ] = (file_t){ .off = h->data_sz, .sz = sz, .name = h->names_sz };
  memcpy( cat->names+h->names_sz, path, len );
  h->file_cnt++;
  h->names_sz += len;
  h->data_sz  += sz;
}

/* flags: 0, or AT_SYMLINK_NOFOLLOW */

static void
walk( input_t * in, char const * path, int flags ) {
  struct stat st;
  if( fstatat( AT_FDCWD, path, &st, flags ) ) { skip( path, strerror( errno ) ); return; }
  if( S_ISREG( st.st_mode ) ) add_file( in, path, &st );
  if( !S_ISDIR( st.st_mode ) ) return;

  struct dirent ** entry;
  int cnt = scandir( path, &entry, NULL, alphasort );
  if( cnt<0 ) { skip( path, strerror( errno ) ); return; }
  for( int i=0; i<cnt; i++ ) {
    char const * name = entry[ i ]->d_name;
    ulong        len  = strlen( path )+strlen( name )+2UL;
    char *       sub  = alloc( len );
    snprintf( sub, len, "%s/%s", path, name );
    if( strcmp( name, "." ) && strcmp( name, ".." ) ) walk( in, sub, AT_SYMLINK_NOFOLLOW );
    free( sub );
    free( entry[ i ] );
  }
  free( entry );
}

static void
free_input( input_t * in ) {
  for( ulong i=0UL; i<in->cat.head.file_cnt; i++ )
    if( in->mem[ i ] ) munmap( (void *)in->mem[ i ], in->cat.file[ i ].sz );
  free( in->mem ); free( in->cat.file ); free( in->cat.names );
}

/* Command line and table *********************************************/

static void
print_row( char const * mode, input_t const * in, int fd, double seconds ) {
  head_t const * h  = &in->cat.head;
  double         sz = (double)h->data_sz, file_sz = (double)lseek( fd, 0, SEEK_END );
  printf( "%-19s %-5s %7lu %14lu %14.0f %6.3f %9.4f %7.3f\n", mode, h->style==LZ4 ? "LZ4" : "RAW", h->frame_cnt,
          h->data_sz, file_sz, sz/file_sz, seconds, sz/seconds/1e9 );
  check_sys( "rewinding the checkpoint", !lseek( fd, 0, SEEK_SET ) );
}

static void
demonstrate( input_t * in, int style, int fd, ulong threads ) {
  char mmap_mode[ 32 ];
  snprintf( mmap_mode, sizeof(mmap_mode), "restore mmap x%lu", threads );
  in->cat.head.style = (ulong)style;
  check_sys( "emptying the checkpoint", !ftruncate( fd, 0 ) );
  print_row( "checkpt stream", in, fd, make_checkpt  ( "checkpt stream", in, fd ) );
  print_row( "restore stream", in, fd, restore_stream( "restore stream", in, fd ) );
  print_row( mmap_mode,        in, fd, restore_mmap  ( mmap_mode,        in, fd, threads ) );
  print_row( "restore pipe",   in, fd, restore_pipe  ( "restore pipe",   in, fd ) );
}

static int
open_checkpt( char const * path ) {
  char tmp[ 4096 ];
  int  fd;
  if( path ) fd = open( path, O_RDWR|O_CREAT, 0666 ); /* Emptied when it is known that it isn't the input */
  else {
    char const * dir = getenv( "TMPDIR" );
    snprintf( tmp, sizeof(tmp), "%s/fdckpt-demo-XXXXXX", dir && *dir ? dir : "/tmp" );
    path = tmp;
    fd   = mkstemp( tmp );
    if( fd>=0 ) unlink( tmp ); /* It lives until it is closed */
  }
  check_sys( path, fd>=0 );
  return fd;
}

int
main( int argc, char ** argv ) {
  long         threads = sysconf( _SC_NPROCESSORS_ONLN );
  char const * out     = NULL;
  if( threads<1L ) threads = 1L;
  if( threads>8L ) threads = 8L;
  for( int opt; (opt = getopt( argc, argv, "t:o:" ))!=-1; ) {
    if( opt=='t' ) threads = strtol( optarg, NULL, 10 );
    if( opt=='o' ) out = optarg;
    if( opt=='?' ) threads = 0L;
  }
  if( optind+1!=argc || threads<1L || threads>THREADS_MAX )
    die( "usage", "demo [-t THREADS] [-o FILE] PATH (THREADS from 1 to 256)" );

  int     fd = open_checkpt( out );
  input_t in = { .cat.head.magic = MAGIC };
  check_sys( "the checkpoint", !fstat( fd, &in.out ) );
  walk( &in, argv[ optind ], 0 );
  head_t * h = &in.cat.head;
  if( !h->data_sz ) die( argv[ optind ], h->file_cnt ? "nothing to save, all files are empty" : "no files to save" );
  h->frame_sz = min( (h->data_sz+3UL)/4UL, FRAME_SZ_MAX );
  if( h->frame_sz<FRAME_SZ_MIN ) h->frame_sz = FRAME_SZ_MIN;
  h->frame_cnt = (h->data_sz+h->frame_sz-1UL)/h->frame_sz;

  printf( "%-19s %-5s %7s %14s %14s %6s %9s %7s\n", "mode", "style", "frames", "bytes of data", "bytes in file", "ratio",
          "seconds", "GB/s" );
  demonstrate( &in, LZ4, fd, min( (ulong)threads, h->frame_cnt ) );
  demonstrate( &in, RAW, fd, min( (ulong)threads, h->frame_cnt ) );
  printf( "every byte compared equal: 6 restores of %lu bytes in %lu files\n", h->data_sz, h->file_cnt );
  free_input( &in );
  check_sys( "closing the checkpoint", !close( fd ) );
  check_sys( "output", !fflush( stdout ) );
  return 0;
}
