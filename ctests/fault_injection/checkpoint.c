/* checkpoint.c: saves, loads and salvages self-describing
   checkpoints while the shim makes calls fail, and checks what comes of it:
   the old file or the new one, right data or an error, nothing else in the
   directory, nothing leaked.

     LD_PRELOAD=shim.so checkpoint FOLDER [GROUP [N]]

   Groups, runs and what is printed are as in scenarios.c. */

#include "run.h"

static fault_t const fault_io[] = {
  { "EIO once",        EIO,           1L       },
  { "ENOSPC for ever", ENOSPC,        FOR_EVER },
  { "EINTR in a row",  EINTR,         50L      },
  { "EAGAIN in a row", EAGAIN,        50L      },
  { "one byte once",   FAULT_ONE,     1L       },
  { "half for ever",   FAULT_HALF,    FOR_EVER },
  { NULL, 0, 0L }
};

static fault_t const fault_other[] = {
  { "EINTR once",   EINTR, 1L       },
  { "EIO once",     EIO,   1L       },
  { "EIO for ever", EIO,   FOR_EVER },
  { NULL, 0, 0L }
};

/* Not interrupted: these never are. */
static fault_t const fault_never_again[] = {
  { "EIO once",     EIO,    1L       },
  { "ENOMEM once",  ENOMEM, 1L       },
  { "EIO for ever", EIO,    FOR_EVER },
  { NULL, 0, 0L }
};

static kind_t const kinds[] = {
  { "pwrite",         KIND_PWRITE, fault_io          },
  { "write",          KIND_WRITE,  fault_io          },
  { "read",           KIND_READ,   fault_io          },
  { "poll",           KIND_POLL,   fault_never_again },
  { "open",           KIND_OPEN,   fault_other       },
  { "fsync",          KIND_SYNC,   fault_other       },
  { "flock",          KIND_LOCK,   fault_other       },
  { "rename",         KIND_RENAME, fault_never_again },
  { "close",          KIND_CLOSE,  fault_other       },
  { "stat",           KIND_STAT,   fault_never_again },
  { "mmap",           KIND_MMAP,   fault_never_again },
  { "munmap",         KIND_MUNMAP, fault_never_again },
  { "malloc",         KIND_ALLOC,  fault_alloc       },
  { "pthread_create", KIND_THREAD, fault_thread      },
};

enum { SAVE, SAVE_PIPE, LOAD, LOAD_PIPE, SALVAGE };

static struct { char const * name; int what; int style; unsigned threads; } const scenarios[] = {
  { "save RAW",                  SAVE,      RAW, 1U },
  { "save LZ4",                  SAVE,      LZ4, 1U },
  { "save LZ4 by two threads",   SAVE,      LZ4, 2U },
  { "save RAW to a pipe",        SAVE_PIPE, RAW, 1U },
  { "load RAW",                  LOAD,      RAW, 1U },
  { "load LZ4",                  LOAD,      LZ4, 1U },
  { "load LZ4 by three threads", LOAD,      LZ4, 3U },
  { "load LZ4 from a pipe",      LOAD_PIPE, LZ4, 1U },
  { "salvage",                   SALVAGE,   LZ4, 1U },
};

#define BIG (400000UL) /* Several frames */

static char         path[ 4096 ];
static char         other[ 4096 ];
static char const * dir;
static uchar *      big;
static uchar *      copy;
static uchar        small[ 100 ];

/* All of these return the code of the call that failed, and leave nothing. */

static int
save( int      fd,
      int      style,
      unsigned threads ) {
  fdckpt_writer_options_t options = { .struct_size = sizeof(fdckpt_writer_options_t), .style = style, .threads = threads, .frame_size = 65536 };
  fdckpt_writer_t *       writer  = fd<0 ? fdckpt_writer_open( path, &options ) : fdckpt_writer_open_fd( fd, &options );
  if( !writer ) return fdckpt_last_error()->code;
  int err = fdckpt_writer_set_attribute( writer, "step", "17", 2UL );
  if( !err ) err = fdckpt_writer_add( writer, "small", small, sizeof(small) );
  if( !err ) err = fdckpt_writer_add( writer, "big",   big,   BIG           );
  if( !err ) err = fdckpt_writer_commit( writer );
  fdckpt_writer_free( writer );
  return err;
}

static int
load( int      fd,
      unsigned threads ) {
  fdckpt_reader_options_t options = { .struct_size = sizeof(fdckpt_reader_options_t), .threads = threads, .spool_memory = 1000 };
  fdckpt_reader_t *       reader  = fd<0 ? fdckpt_reader_open( path, &options ) : fdckpt_reader_open_fd( fd, &options );
  if( !reader ) return fdckpt_last_error()->code;
  uchar few[ sizeof(small) ];
  int err = fdckpt_reader_read( reader, "small", few, sizeof(few) );
  if( !err && memcmp( few, small, sizeof(few) ) ) err = 1; /* Wrong data with success */
  if( !err ) err = fdckpt_reader_read( reader, "big", copy, BIG );
  if( !err && memcmp( copy, big, BIG ) ) err = 1;
  if( !err ) err = fdckpt_reader_verify( reader, NULL, NULL );
  fdckpt_reader_free( reader );
  return err;
}

static long
one_run( int             group,
         int             s,
         kind_t const *  call,
         fault_t const * fault,
         long            n ) {
  ulong    fails   = atomic_load( &test_fails );
  int      what    = scenarios[ s ].what;
  int      style   = scenarios[ s ].style;
  unsigned threads = scenarios[ s ].threads;
  int      kind    = call->kind;
  begin_run( group, n, scenarios[ s ].name, call, fault, 10U );

  /* An old file, and what the new one is to be. */
  static uchar * old;    static ulong old_sz;
  static uchar * wanted; static ulong wanted_sz;
  static int     prepared = -1;
  if( prepared!=s ) {
    prepared = s;
    free( old ); free( wanted );
    CHECK( !save( -1, style, 1U ) );
    wanted = file_bytes( path, &wanted_sz );
    small[ 7 ]++;
    CHECK( !save( -1, style, 1U ) );
    small[ 7 ]--;
    old = file_bytes( path, &old_sz );
  }
  unlink( path );
  int fd = open( path, O_WRONLY|O_CREAT|O_EXCL, 0600 );
  if( fd<0 ) { perror( path ); abort(); }
  if( what==LOAD || what==SALVAGE ) test_write_all( fd, wanted, wanted_sz );
  else                              test_write_all( fd, old,    old_sz    );
  close( fd );
  unlink( other );
  int pipes[2] = { -1, -1 };
  if( what==SAVE_PIPE || what==LOAD_PIPE ) {
    if( pipe( pipes ) || fcntl( pipes[1], F_SETPIPE_SZ, 1<<20 )<0 ) { perror( "pipe" ); abort(); }
    if( what==LOAD_PIPE ) { test_write_all( pipes[1], wanted, wanted_sz ); close( pipes[1] ); }
  }

  int fds = fd_cnt();
  faults_plan( kind, n, fault->fault, fault->span, ANY_FD, 0UL, kind==KIND_POLL );
  test_logged = 0UL;
  fdckpt_salvage_stats_t salvaged = FDCKPT_SALVAGE_STATS_INIT;
  int code = what==SAVE      ? LIB( save( -1, style, threads ) )
           : what==SAVE_PIPE ? LIB( save( pipes[1], style, threads ) )
           : what==LOAD      ? LIB( load( -1, threads ) )
           : what==LOAD_PIPE ? LIB( load( pipes[0], threads ) )
                             : LIB( fdckpt_salvage_file( path, other, NULL, &salvaged ) );
  long injected = faults_injected();
  alarm( 0U );

  /* What is passed over: short transfers and interruptions; fewer threads; what is closed or unmapped when all is done. */
  int f     = fault->fault;
  int is_io = kind==KIND_PWRITE || kind==KIND_WRITE || kind==KIND_READ;
  int again = (is_io && (f==EINTR || f==EAGAIN || f==FAULT_ONE || f==FAULT_HALF))
           || ((kind==KIND_OPEN || kind==KIND_CLOSE) && f==EINTR)
           || kind==KIND_MUNMAP || kind==KIND_THREAD || kind==KIND_LOCK;
  /* Other files than the one that is written are closed too; who looks for temporary files of dead processes leaves it at that where
     it fails; without memory there are fewer threads, and less is kept for later. */
  int may_be = kind==KIND_CLOSE || kind==KIND_STAT || kind==KIND_ALLOC || (kind==KIND_OPEN && fault->span==1L);
  if( !injected || again ) CHECK_EQ( code, 0 );
  else if( !may_be )       CHECK( code );
  CHECK( code<=0 );
  if( code ) {
    fdckpt_error_t const * error = fdckpt_last_error();
    CHECK_EQ( code, kind==KIND_ALLOC ? FDCKPT_ERR_NO_MEMORY : FDCKPT_ERR_IO );
    CHECK_EQ( error->errnum, f );
    CHECK_EQ( test_logged, 1 );
    if( kind!=KIND_ALLOC && (what==SAVE || what==LOAD) ) CHECK( error->path && !strcmp( error->path, path ) );
  } else {
    CHECK_EQ( test_logged, 0 );
    if( what==SALVAGE ) CHECK( salvaged.index_found && salvaged.verified_count==2UL && !salvaged.lost_count );
  }
  if( what==SAVE_PIPE ) {
    close( pipes[1] );
    ulong   got_sz = 0UL;
    uchar * got    = (uchar *)test_alloc( wanted_sz+1UL );
    for( long rd; (rd = read( pipes[0], got+got_sz, wanted_sz+1UL-got_sz ))>0L; ) got_sz += (ulong)rd;
    /* What was written, whether it was to be or not, is the start of it. */
    CHECK( got_sz<=wanted_sz && !memcmp( got, wanted, got_sz ) && (code || got_sz==wanted_sz) );
    free( got );
    fds -= 1;
  }
  CHECK_EQ( fd_cnt(), fds );
  if( pipes[0]>=0 ) close( pipes[0] );
  /* The second sync is the directory's: the file has its name then. */
  int in_place = !code || (kind==KIND_SYNC && n==2L);
  CHECK_EQ( test_file_cnt( dir ), 1+(what==SALVAGE && in_place) );
  if( what==SAVE ) CHECK( in_place ? file_is( path, wanted, wanted_sz ) : file_is( path, old, old_sz ) );
  if( threads==1U ) CHECK_EQ( faults_live(), 0 ); /* The system keeps memory for threads */
  return end_run( injected, fails );
}

int
main( int     argc,
      char ** argv ) {
  if( argc<2 ) return 2;
  find_shim();
  dir = argv[1];
  snprintf( path,  sizeof(path),  "%s/state.ckpt",    dir );
  snprintf( other, sizeof(other), "%s/salvaged.ckpt", dir );
  big  = (uchar *)test_alloc( BIG );
  copy = (uchar *)test_alloc( BIG );
  test_fill( big, BIG, 1UL );
  test_fill( small, sizeof(small), 2UL );

  return run_groups( argv+2, COUNT( scenarios ), kinds, COUNT( kinds ), one_run );
}
