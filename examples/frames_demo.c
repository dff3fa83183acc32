/* frames_demo.c: saves files in a checkpoint, and restores them in three ways.

     frames_demo [-t THREADS] [-o FILE] PATH

   PATH is a file or a directory.  Directories are walked in the order of names,
   without following symbolic links.  The files must not change meanwhile.
   The checkpoint, FILE or else a temporary file, consists of these frames:

     catalogue   RAW          a head_t, a file_t per file, the names
     data ...    LZ4 or RAW   the bytes of all files in a row, cut into
                              frames of head_t.frame_sz bytes
     index       RAW          the offset of each data frame
     tail        RAW          a tail_t: the offset of the index

   Checkpoints don't tell what is in them, so this one describes itself.
   What comes first is what it takes to restore in order, even from a pipe.
   What comes last is what it takes to go to any frame directly, so that
   threads can share the work.

   It is made with LZ4 data frames, and then with RAW ones (these FILE
   keeps).  Each is restored as a stream, from a memory map by threads, and
   through a pipe, and compared with the files.  On failure the program
   says why and exits; a program that continues would call fini first.

     cc -std=c11 -O2 -pthread -Iinclude examples/frames_demo.c -lfdckpt -o frames_demo */

#define _POSIX_C_SOURCE 200809L

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
#define MAGIC        "FDDEMO1"  /* 8 bytes, the last is 0 */

/* What is in the checkpoint: numbers of fixed size, without padding. */

typedef struct { char magic[8]; ulong style, file_cnt, names_sz, data_sz, frame_sz, frame_cnt; } head_t;
typedef struct { ulong off, sz, name; } file_t; /* Where in the data, of what size, where in the names */
typedef struct { char magic[8]; ulong index_off; } tail_t;
typedef struct { head_t head; file_t * file; char * names; } catalog_t;

/* The files to save. */

typedef struct {
  catalog_t      cat;
  uchar const ** mem; /* Where each file is mapped, NULL if it is empty */
  struct stat    out; /* The checkpoint, not to be saved itself */
} input_t;

/* One who restores.  Of the threads, each is one, and restores the data
   frames first, first+step, first+2*step, ... */

typedef struct {
  char const *    mode;
  input_t const * in;      /* What must come out */
  catalog_t       cat;     /* What the checkpoint says */
  ulong *         index;   /* As restored, too */
  fd_restore_t *  restore;
  uchar *         data;    /* Data of one frame */
  double          seconds; /* Spent on data frames, comparing aside */
  ulong           first, step;
  pthread_t       thread;
} reader_t;

/* Failures.  lib_check is for calls of the library: more is known about a
   failure than the code that they return. */

static void die( char const * what, char const * why ) {
  fprintf( stderr, "demo: %s: %s\n", what, why );
  exit( 1 );
}

static void lib_check( char const * mode, int ok ) {
  if( ok ) return;
  fdckpt_error_t const * e = fdckpt_last_error();
  fprintf( stderr, "demo: %s: %s: %s: %s\n", mode, e->function, fd_checkpt_strerror( e->code ), e->message );
  exit( 1 );
}

static void sys_check( char const * what, int ok ) { if( !ok ) die( what, strerror( errno ) ); }

static void skip( char const * path, char const * why ) { fprintf( stderr, "demo: skipped: %s: %s\n", path, why ); }

static void * alloc( ulong sz ) {
  void * mem = malloc( sz );
  sys_check( "memory", !!mem );
  return mem;
}

static ulong min( ulong a, ulong b ) { return a<b ? a : b; }

static double now( void ) {
  struct timespec t;
  clock_gettime( CLOCK_MONOTONIC, &t );
  return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

/* How the data is cut: frame f goes from f*frame_sz to frame_end, and is a
   run of pieces, each of them part of a file. */

typedef struct { ulong file, off, sz; } piece_t;

static ulong frame_end( catalog_t const * cat, ulong f ) {
  return min( (f+1UL)*cat->head.frame_sz, cat->head.data_sz );
}

static piece_t piece_at( catalog_t const * cat, ulong pos, ulong end ) {
  ulong lo = 0UL, hi = cat->head.file_cnt; /* The last file with off<=pos is in [lo,hi) */
  while( hi-lo>1UL ) {
    ulong mid = lo + (hi-lo)/2UL;
    if( cat->file[ mid ].off<=pos ) lo = mid; else hi = mid;
  }
  ulong off = pos - cat->file[ lo ].off;
  return (piece_t){ .file = lo, .off = off, .sz = min( cat->file[ lo ].sz-off, end-pos ) };
}

/* Making a checkpoint *************************************************/

static void put_meta( char const * mode, fd_checkpt_t * checkpt, void const * buf, ulong sz ) {
  for( ulong off=0UL; off<sz; off+=FD_CHECKPT_META_MAX )
    lib_check( mode, !fd_checkpt_meta( checkpt, (uchar const *)buf+off, min( sz-off, FD_CHECKPT_META_MAX ) ) );
}

static void put_catalog( char const * mode, fd_checkpt_t * checkpt, catalog_t const * cat ) {
  lib_check( mode, !fd_checkpt_open( checkpt, RAW ) );
  put_meta( mode, checkpt, &cat->head, sizeof(head_t) );
  put_meta( mode, checkpt, cat->file, cat->head.file_cnt*sizeof(file_t) );
  put_meta( mode, checkpt, cat->names, cat->head.names_sz );
  lib_check( mode, !fd_checkpt_close( checkpt ) );
}

/* Adds data frame f.  Returns its offset. */

static ulong put_data( char const * mode, fd_checkpt_t * checkpt, input_t const * in, ulong f ) {
  ulong frame_off, end = frame_end( &in->cat, f );
  lib_check( mode, !fd_checkpt_open_advanced( checkpt, (int)in->cat.head.style, &frame_off ) );
  for( ulong pos=f*in->cat.head.frame_sz; pos<end; ) {
    piece_t p = piece_at( &in->cat, pos, end );
    lib_check( mode, !fd_checkpt_data( checkpt, in->mem[ p.file ]+p.off, p.sz ) ); /* Must stay mapped until close */
    pos += p.sz;
  }
  lib_check( mode, !fd_checkpt_close( checkpt ) );
  return frame_off;
}

static ulong put_record( char const * mode, fd_checkpt_t * checkpt, void const * record, ulong sz ) {
  ulong frame_off;
  lib_check( mode, !fd_checkpt_open_advanced( checkpt, RAW, &frame_off ) );
  put_meta( mode, checkpt, record, sz );
  lib_check( mode, !fd_checkpt_close( checkpt ) );
  return frame_off;
}

static double make_checkpt( char const * mode, input_t const * in, int fd ) {
  ulong   frame_cnt = in->cat.head.frame_cnt;
  ulong * index     = alloc( frame_cnt*sizeof(ulong) );
  void *  wbuf      = alloc( IO_BUF_SZ );
  double  start     = now();

  /* malloc aligns well enough for FD_CHECKPT_ALIGN */
  fd_checkpt_t * checkpt = fd_checkpt_init_stream( alloc( FD_CHECKPT_FOOTPRINT ), fd, wbuf, IO_BUF_SZ );
  lib_check( mode, !!checkpt );
  put_catalog( mode, checkpt, &in->cat );
  for( ulong f=0UL; f<frame_cnt; f++ ) index[ f ] = put_data( mode, checkpt, in, f );
  tail_t tail = { .magic = MAGIC, .index_off = put_record( mode, checkpt, index, frame_cnt*sizeof(ulong) ) };
  put_record( mode, checkpt, &tail, sizeof(tail_t) );
  void * mem = fd_checkpt_fini( checkpt );
  lib_check( mode, !!mem );

  double seconds = now()-start;
  free( mem ); free( wbuf ); free( index );
  return seconds;
}

/* Restoring it ********************************************************/

/* From the descriptor fd, or if that is -1, from the memory at map. */

static void init_reader( reader_t * rd, int fd, void const * map, ulong map_sz ) {
  void * mem  = alloc( FD_RESTORE_FOOTPRINT );
  rd->data    = alloc( FRAME_SZ_MAX );
  rd->restore = fd<0 ? fd_restore_init_mmio  ( mem, map, map_sz )
                     : fd_restore_init_stream( mem, fd, alloc( IO_BUF_SZ ), IO_BUF_SZ );
  lib_check( rd->mode, !!rd->restore );
}

static void fini_reader( reader_t * rd ) {
  void * rbuf = fd_restore_rbuf( rd->restore ); /* NULL if there is none */
  void * mem  = fd_restore_fini( rd->restore );
  lib_check( rd->mode, !!mem );
  free( mem ); free( rbuf ); free( rd->data );
}

static void get_meta( reader_t * rd, void * buf, ulong sz ) {
  for( ulong off=0UL; off<sz; off+=FD_RESTORE_META_MAX )
    lib_check( rd->mode, !fd_restore_meta( rd->restore, (uchar *)buf+off, min( sz-off, FD_RESTORE_META_MAX ) ) );
}

static void get_catalog( reader_t * rd ) {
  catalog_t const * want = &rd->in->cat;
  catalog_t *       cat  = &rd->cat;
  lib_check( rd->mode, !fd_restore_open( rd->restore, RAW ) );
  get_meta( rd, &cat->head, sizeof(head_t) );
  if( memcmp( &cat->head, &want->head, sizeof(head_t) ) ) die( rd->mode, "the catalogue's head differs" );
  ulong file_sz = cat->head.file_cnt*sizeof(file_t);
  cat->file  = alloc( file_sz );
  cat->names = alloc( cat->head.names_sz );
  get_meta( rd, cat->file, file_sz );
  get_meta( rd, cat->names, cat->head.names_sz );
  lib_check( rd->mode, !fd_restore_close( rd->restore ) );
  if( memcmp( cat->file, want->file, file_sz ) || memcmp( cat->names, want->names, cat->head.names_sz ) )
    die( rd->mode, "the catalogue differs" );
}

/* Restores data frame f, which begins where the handle is, to rd->data. */

static void get_data( reader_t * rd, ulong f ) {
  ulong  begin = f*rd->cat.head.frame_sz, end = frame_end( &rd->cat, f );
  double start = now();
  lib_check( rd->mode, !fd_restore_open( rd->restore, (int)rd->cat.head.style ) );
  for( ulong pos=begin; pos<end; ) { /* The same buffers as when it was made */
    piece_t p = piece_at( &rd->cat, pos, end );
    lib_check( rd->mode, !fd_restore_data( rd->restore, rd->data+(pos-begin), p.sz ) );
    pos += p.sz;
  }
  lib_check( rd->mode, !fd_restore_close( rd->restore ) ); /* Only now may the data be used */
  rd->seconds += now()-start;
}

static void compare_data( reader_t const * rd, ulong f ) {
  ulong begin = f*rd->cat.head.frame_sz, end = frame_end( &rd->cat, f );
  for( ulong pos=begin; pos<end; ) {
    piece_t p = piece_at( &rd->cat, pos, end );
    if( memcmp( rd->data+(pos-begin), rd->in->mem[ p.file ]+p.off, p.sz ) ) {
      fprintf( stderr, "demo: data frame %lu, file %s:\n", f, rd->cat.names+rd->cat.file[ p.file ].name );
      die( rd->mode, "restored, but not as it was" );
    }
    pos += p.sz;
  }
}

static void get_index( reader_t * rd ) {
  ulong sz = rd->cat.head.frame_cnt*sizeof(ulong);
  rd->index = alloc( sz );
  lib_check( rd->mode, !fd_restore_open( rd->restore, RAW ) );
  get_meta( rd, rd->index, sz );
  lib_check( rd->mode, !fd_restore_close( rd->restore ) );
}

static tail_t get_tail( reader_t * rd ) {
  tail_t tail;
  lib_check( rd->mode, !fd_restore_open( rd->restore, RAW ) );
  get_meta( rd, &tail, sizeof(tail_t) );
  lib_check( rd->mode, !fd_restore_close( rd->restore ) );
  if( memcmp( tail.magic, MAGIC, sizeof(MAGIC) ) ) die( rd->mode, "the tail differs" );
  return tail;
}

/* In order, without seeking: from a file or a pipe. */

static double restore_stream( char const * mode, input_t const * in, int fd ) {
  reader_t rd = { .mode = mode, .in = in };
  init_reader( &rd, fd, NULL, 0UL );
  get_catalog( &rd );
  for( ulong f=0UL; f<rd.cat.head.frame_cnt; f++ ) {
    get_data( &rd, f );
    compare_data( &rd, f );
  }
  get_index( &rd ); /* Of no use here, but then all is read */
  get_tail( &rd );
  fini_reader( &rd );
  free( rd.index ); free( rd.cat.file ); free( rd.cat.names );
  return rd.seconds;
}

/* From a memory map, by threads. */

static void * work( void * arg ) {
  reader_t * rd = arg;
  for( ulong f=rd->first; f<rd->cat.head.frame_cnt; f+=rd->step ) {
    lib_check( rd->mode, !fd_restore_seek( rd->restore, rd->index[ f ] ) );
    get_data( rd, f );
    compare_data( rd, f );
  }
  return NULL;
}

static double restore_mmap( char const * mode, input_t const * in, int fd, ulong threads ) {
  ulong  sz  = (ulong)lseek( fd, 0, SEEK_END );
  void * map = mmap( NULL, sz, PROT_READ, MAP_SHARED, fd, 0 );
  sys_check( mode, map!=MAP_FAILED );

  reader_t rd = { .mode = mode, .in = in, .step = threads };
  init_reader( &rd, -1, map, sz );
  get_catalog( &rd );
  lib_check( mode, !fd_restore_seek( rd.restore, fd_restore_sz( rd.restore )-sizeof(tail_t) ) );
  lib_check( mode, !fd_restore_seek( rd.restore, get_tail( &rd ).index_off ) );
  get_index( &rd );
  fini_reader( &rd );

  reader_t * worker = alloc( threads*sizeof(reader_t) );
  for( ulong t=0UL; t<threads; t++ ) {
    worker[ t ]       = rd; /* They share the catalogue and the index, but not the handle */
    worker[ t ].first = t;
    init_reader( &worker[ t ], -1, map, sz );
    errno = pthread_create( &worker[ t ].thread, NULL, work, &worker[ t ] );
    sys_check( "starting a thread", !errno );
  }
  double seconds = 0.; /* Of the busiest */
  for( ulong t=0UL; t<threads; t++ ) {
    pthread_join( worker[ t ].thread, NULL );
    if( worker[ t ].seconds>seconds ) seconds = worker[ t ].seconds;
    fini_reader( &worker[ t ] );
  }
  free( worker ); free( rd.index ); free( rd.cat.file ); free( rd.cat.names );
  munmap( map, sz );
  return seconds;
}

/* Through a pipe, which a thread fills. */

typedef struct { int from, to; } pump_t;

static void * pump( void * arg ) {
  pump_t const * p   = arg;
  uchar *        buf = alloc( IO_BUF_SZ );
  ssize_t        n;
  while( (n = read( p->from, buf, IO_BUF_SZ ))>0 )
    sys_check( "writing to the pipe", write( p->to, buf, (size_t)n )==n );
  sys_check( "reading the checkpoint", !n );
  close( p->to );
  free( buf );
  return NULL;
}

static double restore_pipe( char const * mode, input_t const * in, int fd ) {
  int       end[ 2 ];
  pthread_t thread;
  sys_check( mode, !pipe( end ) );
  pump_t p = { .from = fd, .to = end[ 1 ] };
  errno = pthread_create( &thread, NULL, pump, &p );
  sys_check( "starting a thread", !errno );
  double seconds = restore_stream( mode, in, end[ 0 ] );
  pthread_join( thread, NULL );
  close( end[ 0 ] );
  return seconds;
}

/* The files to save ***************************************************/

/* Room for at least sz bytes.  Doubles, so that growing bit by bit is fast. */

static void * grow( void * mem, ulong sz ) {
  ulong capacity = 4096UL;
  while( capacity<sz ) capacity *= 2UL;
  mem = realloc( mem, capacity );
  sys_check( "memory", !!mem );
  return mem;
}

static void add_file( input_t * in, char const * path, uchar const * mem, ulong sz ) {
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

static void map_file( input_t * in, char const * path, struct stat const * st ) {
  ulong  sz  = (ulong)st->st_size;
  void * mem = NULL;
  if( st->st_dev==in->out.st_dev && st->st_ino==in->out.st_ino ) { skip( path, "it is the checkpoint" ); return; }
  int fd = open( path, O_RDONLY );
  if( fd<0 ) { skip( path, strerror( errno ) ); return; }
  if( sz ) mem = mmap( NULL, sz, PROT_READ, MAP_PRIVATE, fd, 0 );
  if( mem!=MAP_FAILED ) add_file( in, path, mem, sz );
  else if( errno==ENOMEM ) die( path, "cannot be mapped (more files than vm.max_map_count allows?)" );
  else skip( path, strerror( errno ) );
  close( fd );
}

static void walk( input_t * in, char const * path, int stat_flags ) {
  struct stat      st;
  struct dirent ** entry;
  if( fstatat( AT_FDCWD, path, &st, stat_flags ) ) { skip( path, strerror( errno ) ); return; }
  if( S_ISREG( st.st_mode ) ) map_file( in, path, &st );
  if( !S_ISDIR( st.st_mode ) ) return;
  int cnt = scandir( path, &entry, NULL, alphasort );
  if( cnt<0 ) { skip( path, strerror( errno ) ); return; }
  for( int i=0; i<cnt; i++ ) {
    char const * name = entry[ i ]->d_name;
    ulong        len  = strlen( path )+strlen( name )+2UL;
    char *       sub  = alloc( len );
    snprintf( sub, len, "%s/%s", path, name );
    if( strcmp( name, "." ) && strcmp( name, ".." ) ) walk( in, sub, AT_SYMLINK_NOFOLLOW );
    free( sub ); free( entry[ i ] );
  }
  free( entry );
}

static void free_input( input_t * in ) {
  for( ulong i=0UL; i<in->cat.head.file_cnt; i++ )
    if( in->mem[ i ] ) munmap( (void *)in->mem[ i ], in->cat.file[ i ].sz );
  free( in->mem ); free( in->cat.file ); free( in->cat.names );
}

/* Table and command line **********************************************/

static void print_row( char const * mode, input_t const * in, int fd, double seconds ) {
  head_t const * h  = &in->cat.head;
  double         sz = (double)h->data_sz, file_sz = (double)lseek( fd, 0, SEEK_END );
  printf( "%-20s %-5s %6lu %14lu %14.0f %6.3f %9.6f %7.3f\n", mode, h->style==LZ4 ? "LZ4" : "RAW", h->frame_cnt,
          h->data_sz, file_sz, sz/file_sz, seconds, sz/seconds/1e9 );
  sys_check( "rewinding the checkpoint", !lseek( fd, 0, SEEK_SET ) );
}

static void demonstrate( input_t * in, int style, int fd, ulong threads ) {
  char mmap_mode[ 40 ];
  snprintf( mmap_mode, sizeof(mmap_mode), "restore mmap x%lu", threads );
  in->cat.head.style = (ulong)style;
  sys_check( "emptying the checkpoint", !ftruncate( fd, 0 ) );
  print_row( "checkpt stream", in, fd, make_checkpt  ( "checkpt stream", in, fd ) );
  print_row( "restore stream", in, fd, restore_stream( "restore stream", in, fd ) );
  print_row( mmap_mode,        in, fd, restore_mmap  ( mmap_mode,        in, fd, threads ) );
  print_row( "restore pipe",   in, fd, restore_pipe  ( "restore pipe",   in, fd ) );
}

static int open_checkpt( char const * path ) {
  int fd;
  if( path ) fd = open( path, O_RDWR|O_CREAT, 0666 ); /* Not emptied yet: it could be an input */
  else {
    char const * dir = getenv( "TMPDIR" );
    char         tmp[ 4096 ];
    snprintf( tmp, sizeof(tmp), "%s/fdckpt-demo-XXXXXX", dir && *dir ? dir : "/tmp" );
    fd = mkstemp( tmp );
    if( fd>=0 ) unlink( tmp ); /* It lives until it is closed */
  }
  sys_check( path ? path : "temporary file", fd>=0 );
  return fd;
}

int main( int argc, char ** argv ) {
  char const * out     = NULL;
  long         threads = sysconf( _SC_NPROCESSORS_ONLN );
  if( threads<1L ) threads = 1L;
  if( threads>8L ) threads = 8L;
  for( int opt; (opt = getopt( argc, argv, "t:o:" ))!=-1; ) {
    if( opt=='t' ) threads = strtol( optarg, NULL, 10 );
    if( opt=='o' ) out     = optarg;
    if( opt=='?' ) threads = 0L;
  }
  if( optind+1!=argc || threads<1L || threads>256L ) die( "usage", "demo [-t THREADS] [-o FILE] PATH" );

  int     fd = open_checkpt( out );
  input_t in = { .cat.head.magic = MAGIC };
  head_t * h = &in.cat.head;
  sys_check( "the checkpoint", !fstat( fd, &in.out ) );
  walk( &in, argv[ optind ], 0 );
  if( !h->data_sz ) die( argv[ optind ], h->file_cnt ? "nothing to save, every file is empty" : "no files to save" );
  h->frame_sz  = min( (h->data_sz+3UL)/4UL, FRAME_SZ_MAX );
  if( h->frame_sz<FRAME_SZ_MIN ) h->frame_sz = FRAME_SZ_MIN;
  h->frame_cnt = (h->data_sz+h->frame_sz-1UL)/h->frame_sz;

  printf( "mode                 style frames  bytes of data  bytes in file  ratio   seconds    GB/s\n" );
  demonstrate( &in, LZ4, fd, min( (ulong)threads, h->frame_cnt ) );
  demonstrate( &in, RAW, fd, min( (ulong)threads, h->frame_cnt ) );
  printf( "every byte compared equal: 6 restores of %lu bytes in %lu files\n", h->data_sz, h->file_cnt );
  free_input( &in );
  sys_check( "closing the checkpoint", !close( fd ) );
  sys_check( "output", !fflush( stdout ) );
  return 0;
}
